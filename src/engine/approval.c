/*
 * approval.c
 *		Questions of std.approve: who may answer, and what an answer says.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"

#include "actions/std_approve.h"
#include "base/clock.h"
#include "base/json.h"
#include "engine/approval.h"

static Jsonb *without_time(const Jsonb *outcome);
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

Jsonb *
approval_answer(bool approved, Oid role, const char *comment)
{
	JsonBuilder b = {0};

	json_begin_object(&b);
	json_add_key(&b, "approved");
	json_add_bool(&b, approved);
	json_add_key(&b, "by");
	json_add_string(&b, GetUserNameFromId(role, false));
	json_add_key(&b, "at");
	json_add_time(&b, clock_now());
	json_add_key(&b, "comment");
	json_add_string(&b, comment);
	json_end_object(&b);
	return json_finish(&b);
}

bool
approval_same(const Jsonb *before, const Jsonb *now)
{
	return json_equal(without_time(before), without_time(now));
}

static Jsonb *
without_time(const Jsonb *outcome)
{
	Jsonb	   *answer = json_get_jsonb(outcome, "result");

	return json_is_object(answer) ? json_merge(outcome, json_pair("result", json_without(answer, "at"))) : json_copy(outcome);
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
