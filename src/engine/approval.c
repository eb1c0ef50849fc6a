/*
 * approval.c
 *		Who may answer a question of std.approve.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"

#include "actions/std_approve.h"
#include "base/clock.h"
#include "base/json.h"
#include "engine/approval.h"

static List *asked_roles(const Jsonb *request, Oid owner, TimestampTz asked);

bool
approval_asks(const char *name, const Jsonb *runtime)
{
	char	   *type = json_get_string(runtime, "type");

	return strcmp(type ? type : name, ACTION_APPROVE_NAME) == 0;
}

const Jsonb *
approval_request(const Jsonb *runtime, const Jsonb *input)
{
	return json_get_string(runtime, "type") ? json_get_jsonb(runtime, "input") : input;
}

bool
approval_may_answer(const Jsonb *request, Oid owner, TimestampTz asked, Oid role)
{
	ListCell   *lc;

	foreach(lc, asked_roles(request, owner, asked))
	{
		const char *name = lfirst(lc);
		Oid			approver = strlen(name) < NAMEDATALEN ? get_role_oid(name, true) : InvalidOid;

		CHECK_FOR_INTERRUPTS();
		if (OidIsValid(approver) && has_privs_of_role(role, approver))
			return true;
	}
	return false;
}

char *
approval_who(const Jsonb *request, Oid owner, TimestampTz asked)
{
	StringInfoData who;
	ListCell   *lc;

	initStringInfo(&who);
	foreach(lc, asked_roles(request, owner, asked))
		appendStringInfo(&who, "%s\"%s\"", who.len ? " or " : "", (char *) lfirst(lc));
	return who.len ? who.data : pstrdup("nobody");
}

static List *
asked_roles(const Jsonb *request, Oid owner, TimestampTz asked)
{
	List	   *roles = approve_roles(request, "approvers");
	double		after = approve_escalate_after(request);
	JsonbValue *approvers = json_get(request, "approvers", strlen("approvers"));

	if (approvers == NULL || approvers->type == jbvNull)
	{
		char	   *name = GetUserNameFromId(owner, true);

		if (name != NULL)
			roles = list_make1(name);
	}
	if (after >= 0 && (double) (clock_now() - asked) >= after * USECS_PER_SEC)
		roles = list_concat(roles, approve_roles(request, "escalate_to"));
	return roles;
}
