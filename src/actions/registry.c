/*
 * registry.c
 *		The table of built-in actions and the check of their input.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "actions/registry.h"
#include "actions/std_approve.h"
#include "actions/std_basic.h"
#include "actions/std_wait_event.h"
#include "base/json.h"
#include "guc.h"

const ActionType action_types[] = {
#define ACTION(name, mode, run, params, description) {name, mode, params, run, description},
#define MODULE_ACTION(name, module, params, description) {name, ACTION_MODULE, params, NULL, description, module},
#include "actions/action_list.h"
#undef ACTION
#undef MODULE_ACTION
};

const ActionType action_type_registered = {"", ACTION_PULL, NULL, NULL, ""};
const ActionType action_type_function = {"", ACTION_SQL, NULL, NULL, ""};
const ActionType action_type_module = {"", ACTION_MODULE, NULL, NULL, ""};

const int	action_type_count = lengthof(action_types);

typedef struct InputCheck
{
	const char *params;
	StringInfoData unexpected;
} InputCheck;

static char *check_values(const ActionType *type, const Jsonb *input);
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

const char *
action_parameters(const char *name)
{
	const ActionType *type = action_type_find(name);

	return type ? type->params : NULL;
}

bool
action_next_parameter(const char **params, const char **name, int *len, bool *required)
{
	const char *end = *params;
	const char *equals = NULL;
	bool		quoted = false;

	/* It ends at a space outside of quotes. */
	for (; *end && (quoted || *end != ' '); end++)
	{
		if (*end == '"')
			quoted = !quoted;
		if (*end == '=' && equals == NULL)
			equals = end;
	}
	*name = *params;
	*len = (equals ? equals : end) - *params;
	*required = equals == NULL;
	*params = *end ? end + 1 : end;
	return *len > 0;
}

const char *
action_performer(const ActionType *type)
{
	switch (type->mode)
	{
		case ACTION_SQL:
			return "sql";
		case ACTION_MODULE:
			return "io";
		default:
			return "http";
	}
}

bool
action_module_listed(const char *module)
{
	const char *element = guc_io_modules;

	while (*element)
	{
		const char *end;

		element += strspn(element, ", \t");
		end = element + strcspn(element, ", \t");
		if (end > element && strcmp(action_module_name(element, end - element), module) == 0)
			return true;
		element = end;
	}
	return false;
}

char *
action_module_name(const char *file, int len)
{
	char	   *name = pnstrdup(file, len);

	if (strrchr(name, '/'))
		name = strrchr(name, '/') + 1;
	if (strlen(name) > 3 && strcmp(name + strlen(name) - 3, ".so") == 0)
		name[strlen(name) - 3] = '\0';
	return name;
}

char *
action_check_input(const ActionType *type, const Jsonb *input)
{
	InputCheck	check;
	StringInfoData missing;
	StringInfoData message;
	const char *params = type->params;
	const char *name;
	int			len;
	bool		required;

	if (params == NULL)
		return NULL;
	initStringInfo(&missing);
	while (action_next_parameter(&params, &name, &len, &required))
	{
		if (required && json_get(input, name, len) == NULL)
			appendStringInfo(&missing, "%s%.*s", missing.len ? ", " : "", len, name);
	}

	check.params = type->params;
	initStringInfo(&check.unexpected);
	json_members(input, check_member, &check);

	if (missing.len == 0 && check.unexpected.len == 0)
	{
		char	   *error = check_values(type, input);

		return error ? psprintf("invalid input of action \"%s\": %s", type->name, error) : NULL;
	}
	initStringInfo(&message);
	appendStringInfo(&message, "invalid input of action \"%s\":", type->name);
	if (missing.len)
		appendStringInfo(&message, " missing %s%s", missing.data, check.unexpected.len ? ";" : "");
	if (check.unexpected.len)
		appendStringInfo(&message, " unexpected %s", check.unexpected.data);
	return message.data;
}

/* What is wrong with the values, or NULL; of most actions they are checked where they are used. */
static char *
check_values(const ActionType *type, const Jsonb *input)
{
	if (type->mode == ACTION_ANSWER)
		return approve_check(input);
	if (type->mode == ACTION_EVENT)
		return wait_event_check(input);
	return NULL;
}

static bool
has_param(const char *params, const char *name, int len)
{
	const char *param;
	int			param_len;
	bool		required;

	while (action_next_parameter(&params, &param, &param_len, &required))
	{
		if (param_len == len && memcmp(param, name, len) == 0)
			return true;
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
