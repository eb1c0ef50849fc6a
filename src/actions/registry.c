/*
 * registry.c
 *		The table of built-in actions and the check of their input.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "actions/registry.h"
#include "actions/std_basic.h"
#include "base/json.h"

const ActionType action_types[] = {
#define ACTION(name, mode, run, params, description) {name, mode, params, run, description},
#include "actions/action_list.h"
#undef ACTION
};

const ActionType action_type_registered = {"", ACTION_PULL, NULL, NULL, ""};

const int	action_type_count = lengthof(action_types);

typedef struct InputCheck
{
	const char *params;
	StringInfoData unexpected;
} InputCheck;

static const char *param_end(const char *p);
static bool has_param(const char *params, const char *name, int len);
static void check_member(void *arg, const char *key, int len, const JsonbValue *value);

const ActionType *
action_type_find(const char *name)
{
	int			low = 0;
	int			high = action_type_count - 1;

	while (low <= high)
	{
		int			mid = (low + high) / 2;
		int			cmp = strcmp(name, action_types[mid].name);

		if (cmp == 0)
			return &action_types[mid];
		if (cmp < 0)
			high = mid - 1;
		else
			low = mid + 1;
	}
	return NULL;
}

char *
action_check_input(const ActionType *type, const Jsonb *input)
{
	InputCheck	check;
	StringInfoData missing;
	StringInfoData message;
	const char *p = type->params;

	if (p == NULL)
		return NULL;
	initStringInfo(&missing);
	while (*p)
	{
		const char *end = param_end(p);
		const char *eq = memchr(p, '=', end - p);

		if (eq == NULL && json_get(input, p, end - p) == NULL)
			appendStringInfo(&missing, "%s%.*s", missing.len ? ", " : "", (int) (end - p), p);
		p = *end ? end + 1 : end;
	}

	check.params = type->params;
	initStringInfo(&check.unexpected);
	json_members(input, check_member, &check);

	if (missing.len == 0 && check.unexpected.len == 0)
		return NULL;
	initStringInfo(&message);
	appendStringInfo(&message, "invalid input of action \"%s\":", type->name);
	if (missing.len)
		appendStringInfo(&message, " missing %s%s", missing.data, check.unexpected.len ? ";" : "");
	if (check.unexpected.len)
		appendStringInfo(&message, " unexpected %s", check.unexpected.data);
	return message.data;
}

/* The end of the parameter that starts at p: a space outside of quotes, or the text's end. */
static const char *
param_end(const char *p)
{
	bool		quoted = false;

	while (*p && (quoted || *p != ' '))
	{
		if (*p == '"')
			quoted = !quoted;
		p++;
	}
	return p;
}

static bool
has_param(const char *params, const char *name, int len)
{
	const char *p = params;

	while (*p)
	{
		const char *end = param_end(p);
		const char *eq = memchr(p, '=', end - p);
		int			n = (eq ? eq : end) - p;

		if (n == len && memcmp(p, name, len) == 0)
			return true;
		p = *end ? end + 1 : end;
	}
	return false;
}

static void
check_member(void *arg, const char *key, int len, const JsonbValue *value)
{
	InputCheck *check = arg;

	if (!has_param(check->params, key, len))
		appendStringInfo(&check->unexpected, "%s%.*s", check->unexpected.len ? ", " : "", len, key);
}
