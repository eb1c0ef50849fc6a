/*
 * http_egress.c
 *		Which addresses requests may reach: mistral.http_allow and mistral.http_deny.
 */
#include "postgres.h"

#include "base/egress.h"
#include "executor/http_egress.h"

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
