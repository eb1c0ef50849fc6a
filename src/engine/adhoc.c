/*
 * adhoc.c
 *		Ad-hoc actions: from a name and an input down to a built-in action.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"

#include "base/ids.h"
#include "base/json.h"
#include "engine/adhoc.h"
#include "engine/definitions.h"
#include "engine/registered.h"
#include "queue/pull.h"

/* Links of a chain; more means that actions name each other in a circle. */
#define MAX_LINKS 100

typedef struct ParamCheck
{
	const SpecParam *params;
	int			nparams;
	StringInfo	unexpected;
} ParamCheck;

static bool link_input(const EvalPlace *place, const ActionSpec *action, const Jsonb *given, Jsonb **input, char **error);
static void check_param(void *arg, const char *key, int len, const JsonbValue *value);

bool
adhoc_resolve(const EvalPlace *place, const char *name, const Jsonb *input,
			  AdhocChain *chain, char **error, bool *forced)
{
	Execution  *execution = place->execution;
	const char *wanted = name;
	Jsonb	   *current = json_copy(input);
	ActionType	checked;
	char	   *module = NULL;
	char	   *params = NULL;

	memset(chain, 0, sizeof(*chain));
	*error = NULL;
	*forced = true;
	for (;;)
	{
		const Definition *definition;
		RegisteredAction registered;

		chain->type = action_type_find(wanted);
		if (chain->type)
			break;
		definition = definition_find(SPEC_ACTION, wanted, execution->namespace_, true,
									 execution->workbook, execution->owner);
		if (definition == NULL && registered_find(wanted, execution->owner, OWNED_USE, &registered))
		{
			chain->type = registered.target ? &action_type_registered : &action_type_function;
			chain->target = registered.target;
			break;
		}
		if (definition == NULL && module_action_find(wanted, &module, &params))
		{
			chain->type = &action_type_module;
			break;
		}
		if (definition == NULL || list_length(chain->links) >= MAX_LINKS)
		{
			*forced = chain->links == NIL;
			*error = definition == NULL
				? psprintf("action \"%s\" does not exist", wanted)
				: psprintf("action \"%s\" is based on itself", name);
			return false;
		}
		if (chain->name == NULL)
			chain->name = pstrdup(definition->name);
		/* Only what was asked for is held to its parameters: base-input of the links below may give what it likes. */
		if (chain->links == NIL)
			*error = check_params("action", definition->name, definition->action->params,
								  definition->action->nparams, current);
		if (*error)
			return false;
		current = add_param_defaults(definition->action->params, definition->action->nparams, current);
		if (chain->given == NULL)
			chain->given = current;
		if (!link_input(place, definition->action, current, &current, error))
			return false;
		chain->links = lappend(chain->links, unconstify(Definition *, definition));
		wanted = definition->action->base;
	}
	chain->base = pstrdup(wanted);
	if (chain->name == NULL)
		chain->name = chain->base;
	checked = *chain->type;
	if (module)
	{
		checked.name = wanted;
		checked.params = params;
		checked.module = module;
	}
	if (checked.module && !action_module_listed(checked.module))
		*error = psprintf("action \"%s\" needs module \"%s\", which is not loaded: mistral.io_modules names those that are",
						  wanted, checked.module);
	else
		*error = action_check_input(&checked, current);
	if (*error)
		return false;
	chain->input = current;
	if (chain->given == NULL)
		chain->given = current;
	return true;
}

bool
adhoc_set_target(AdhocChain *chain, const char *target, char **error)
{
	if (!ACTION_TAKES_TARGET(chain->type) || target == NULL)
		return true;
	if (strlen(target) > MAX_TARGET)
	{
		*error = psprintf("a target has at most %d bytes", MAX_TARGET);
		return false;
	}
	chain->target = pstrdup(target);
	return true;
}

Jsonb *
adhoc_runtime(const AdhocChain *chain)
{
	JsonBuilder b = {0};
	ListCell   *lc;

	if (chain->links == NIL && chain->target == NULL)
		return NULL;
	json_begin_object(&b);
	if (chain->target)
	{
		json_add_key(&b, "target");
		json_add_string(&b, chain->target);
	}
	if (chain->links == NIL)
	{
		json_end_object(&b);
		return json_finish(&b);
	}
	json_add_key(&b, "type");
	json_add_string(&b, chain->type->name);
	json_add_key(&b, "input");
	json_add_jsonb(&b, chain->input);
	json_add_key(&b, "adhoc");
	json_begin_array(&b);
	foreach(lc, chain->links)
	{
		const Definition *definition = lfirst(lc);

		json_add_id(&b, &definition->id);
	}
	json_end_array(&b);
	json_end_object(&b);
	return json_finish(&b);
}

bool
adhoc_apply_outputs(const EvalPlace *place, const Jsonb *runtime, Jsonb **result, char **error)
{
	JsonbValue *links = json_get(runtime, "adhoc", strlen("adhoc"));
	int			i;

	if (links == NULL || links->type != jbvBinary)
		return true;
	for (i = JsonContainerSize(links->val.binary.data) - 1; i >= 0; i--)
	{
		JsonbValue *link = getIthJsonbValueFromContainer(links->val.binary.data, i);
		const Definition *definition;
		pg_uuid_t	id;

		if (link == NULL || link->type != jbvString || !id_parse(json_value_cstring(link), &id))
			continue;
		definition = definition_by_id(&id);
		if (definition == NULL || definition->action == NULL || definition->action->output == NULL)
			continue;
		if (!evaluate_output(place, definition->action, *result, result, error))
			return false;
	}
	return true;
}

char *
check_params(const char *what, const char *name, const SpecParam *params, int nparams, const Jsonb *input)
{
	StringInfoData missing;
	StringInfoData unexpected;
	ParamCheck	check = {params, nparams, &unexpected};
	int			i;

	initStringInfo(&missing);
	initStringInfo(&unexpected);
	for (i = 0; i < nparams; i++)
	{
		if (params[i].default_value == NULL && json_get(input, params[i].name, strlen(params[i].name)) == NULL)
			appendStringInfo(&missing, "%s%s", missing.len ? ", " : "", params[i].name);
	}
	json_members(input, check_param, &check);
	if (missing.len == 0 && unexpected.len == 0)
		return NULL;
	return psprintf("invalid input of %s \"%s\":%s%s%s%s%s", what, name,
					missing.len ? " missing " : "", missing.data,
					missing.len && unexpected.len ? ";" : "",
					unexpected.len ? " unexpected " : "", unexpected.data);
}

Jsonb *
add_param_defaults(const SpecParam *params, int nparams, const Jsonb *input)
{
	JsonBuilder b = {0};
	bool		any = false;
	int			i;

	json_begin_object(&b);
	for (i = 0; i < nparams; i++)
	{
		if (params[i].default_value == NULL || json_get(input, params[i].name, strlen(params[i].name)) != NULL)
			continue;
		json_add_key(&b, params[i].name);
		json_add_jsonb(&b, params[i].default_value);
		any = true;
	}
	json_end_object(&b);
	return any ? json_merge(json_finish(&b), input) : json_copy(input);
}

/* What the link gives to the action below. */
static bool
link_input(const EvalPlace *place, const ActionSpec *action, const Jsonb *given, Jsonb **input, char **error)
{
	EvalPlace	inner = *place;

	inner.first = given;
	if (action->base_input == NULL)
	{
		*input = json_empty();
		return true;
	}
	if (!evaluate_data(&inner, action->base_input, input, error))
		return false;
	if (!json_is_object(*input))
	{
		*error = psprintf("the base-input of action \"%s\" must be an object", action->name);
		return false;
	}
	return true;
}

static void
check_param(void *arg, const char *key, int len, const JsonbValue *value)
{
	ParamCheck *check = arg;
	int			i;

	for (i = 0; i < check->nparams; i++)
	{
		if ((int) strlen(check->params[i].name) == len && memcmp(check->params[i].name, key, len) == 0)
			return;
	}
	appendStringInfo(check->unexpected, "%s%.*s", check->unexpected->len ? ", " : "", len, key);
}
