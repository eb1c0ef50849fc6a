/*
 * http_egress.c
 *		Which addresses requests may reach: mistral.http_allow and mistral.http_deny.
 */
#include "postgres.h"

#include "base/egress.h"
#include "executor/http_egress.h"
#include "guc.h"

static Egress egress;

bool
http_egress_list_valid(const char *list, char **bad)
{
	const char *element;
	int			len;

	if (egress_list_valid(list, &element, &len))
		return true;
	*bad = pnstrdup(element, len);
	return false;
}

void
http_egress_refresh(void)
{
	if (!egress_set(&egress, guc_http_allow, guc_http_deny))
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
}

bool
http_egress_allowed(const struct sockaddr *address)
{
	return egress_allowed(&egress, address);
}

bool
http_egress_text_allowed(const char *address)
{
	return egress_text_allowed(&egress, address);
}
