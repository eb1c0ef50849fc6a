/*
 * std_approve.c
 *		std.approve: who is asked.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "actions/std_approve.h"
#include "base/json.h"

/* Roles that one question names at most: each is looked up whenever somebody looks. */
#define MAX_ROLES 100

/* The longest time until an escalation, in seconds: that of every delay. */
#define MAX_ESCALATE_AFTER 1000000000

static bool is_given(const Jsonb *input, const char *key);
static char *check_roles(const Jsonb *input, const char *key);

char *
approve_check(const Jsonb *input)
{
	JsonbValue *after = json_get(input, "escalate_after", strlen("escalate_after"));
	char	   *error = check_roles(input, "approvers");

	if (error == NULL)
		error = check_roles(input, "escalate_to");
	if (error != NULL)
		return error;
	if (is_given(input, "escalate_to") != is_given(input, "escalate_after"))
		return pstrdup("escalate_to and escalate_after need each other");
	if (is_given(input, "escalate_after") &&
		(after->type != jbvNumeric || !(approve_escalate_after(input) >= 0 && approve_escalate_after(input) <= MAX_ESCALATE_AFTER)))
		return psprintf("escalate_after must be a number of seconds between 0 and %d", MAX_ESCALATE_AFTER);
	return NULL;
}

List *
approve_roles(const Jsonb *input, const char *key)
{
	JsonbValue *v = json_get(input, key, strlen(key));
	List	   *names = NIL;

	if (v == NULL)
		return NIL;
	if (v->type == jbvString)
		return list_make1(json_value_cstring(v));
	if (v->type != jbvBinary || !JsonContainerIsArray(v->val.binary.data))
		return NIL;
	for (uint32 i = 0; i < JsonContainerSize(v->val.binary.data); i++)
	{
		JsonbValue *name = getIthJsonbValueFromContainer(v->val.binary.data, i);

		CHECK_FOR_INTERRUPTS();
		if (name->type == jbvString)
			names = lappend(names, json_value_cstring(name));
	}
	return names;
}

double
approve_escalate_after(const Jsonb *input)
{
	JsonbValue *v = json_get(input, "escalate_after", strlen("escalate_after"));

	if (v == NULL || v->type != jbvNumeric)
		return -1;
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(v->val.numeric)));
}

static bool
is_given(const Jsonb *input, const char *key)
{
	JsonbValue *v = json_get(input, key, strlen(key));

	return v != NULL && v->type != jbvNull;
}

/* Whether a role of that name exists is asked when somebody answers, not now. */
static char *
check_roles(const Jsonb *input, const char *key)
{
	JsonbValue *v = json_get(input, key, strlen(key));
	bool		list = v != NULL && v->type == jbvBinary && JsonContainerIsArray(v->val.binary.data);
	List	   *names;
	ListCell   *lc;

	if (!is_given(input, key))
		return NULL;
	if (list && JsonContainerSize(v->val.binary.data) > MAX_ROLES)
		return psprintf("%s names more than %d roles", key, MAX_ROLES);
	names = approve_roles(input, key);
	foreach(lc, names)
	{
		const char *name = lfirst(lc);

		if (name[0] == '\0' || strlen(name) >= NAMEDATALEN)
			names = NIL;
		if (names == NIL)
			break;
	}
	if (names == NIL || list_length(names) != (list ? JsonContainerSize(v->val.binary.data) : 1))
		return psprintf("%s must be the name of a role or a list of such names", key);
	return NULL;
}
