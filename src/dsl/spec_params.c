/*
 * spec_params.c
 *		Parameters of definitions, and what is stored beside a workflow's text
 *		so that a start need not read all of it.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/json.h"
#include "dsl/compile.h"

static YamlNode *params_dict(const YamlNode *input);
static bool read_param(SpecParam *param, const JsonbValue *pair);

/* A parameter that is listed twice counts once, as it was listed last; no value (NULL): it is required. */
static YamlNode *
params_dict(const YamlNode *input)
{
	YamlNode   *dict = yaml_make(YAML_DICT, input);

	for (int i = 0; i < input->nitems; i++)
	{
		const YamlNode *item = input->items[i];

		CHECK_FOR_INTERRUPTS();
		if (item->kind == YAML_DICT)
			yaml_set(dict, item->keys[0], item->items[0]);
		else
			yaml_set(dict, unconstify(YamlNode *, item), NULL);
	}
	return dict;
}

int
compile_params(Compiler *compiler, const YamlNode *input, SpecParam **params)
{
	YamlNode   *dict;

	*params = NULL;
	if (input == NULL)
		return 0;
	dict = params_dict(input);
	*params = keep_zeroed(compiler, mul_size(dict->nitems, sizeof(SpecParam)));
	for (int i = 0; i < dict->nitems; i++)
	{
		(*params)[i].name = keep_text(compiler, dict->keys[i]->text);
		if (dict->items[i] != NULL)
			(*params)[i].default_value = keep_jsonb(compiler, dict->items[i]);
	}
	return dict->nitems;
}

/* [["required"], ["other", default], ...] */
Jsonb *
start_form(const YamlNode *definition)
{
	const YamlNode *input = yaml_get(definition, "input", NULL);
	YamlNode   *form = yaml_make(YAML_LIST, definition);
	YamlNode   *dict;

	if (yaml_is(yaml_get(definition, "type", NULL), "reverse") || yaml_get(definition, "vars", NULL) != NULL ||
		yaml_get(definition, "timeout", NULL) != NULL)
		return NULL;
	dict = input ? params_dict(input) : yaml_make(YAML_DICT, definition);
	for (int i = 0; i < dict->nitems; i++)
	{
		YamlNode   *pair = yaml_make(YAML_LIST, definition);

		yaml_append(pair, NULL, yaml_make_string(dict->keys[i]->text, strlen(dict->keys[i]->text), definition));
		if (dict->items[i] != NULL)
			yaml_append(pair, NULL, dict->items[i]);
		yaml_append(form, NULL, pair);
	}
	return yaml_to_jsonb(form);
}

WorkflowSpec *
spec_read_start_form(const Jsonb *form)
{
	WorkflowSpec *workflow;
	JsonbContainer *list = &unconstify(Jsonb *, form)->root;
	int			n = JsonContainerSize(list);

	if (!JsonContainerIsArray(list) || JsonContainerIsScalar(list))
		return NULL;
	workflow = palloc0(sizeof(WorkflowSpec));
	workflow->params = palloc0(mul_size(Max(n, 1), sizeof(SpecParam)));
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!read_param(&workflow->params[workflow->nparams++], getIthJsonbValueFromContainer(list, i)))
			return NULL;
	}
	return workflow;
}

static bool
read_param(SpecParam *param, const JsonbValue *pair)
{
	JsonbValue *name;
	JsonbValue *value;

	if (pair->type != jbvBinary || !JsonContainerIsArray(pair->val.binary.data))
		return false;
	name = getIthJsonbValueFromContainer(pair->val.binary.data, 0);
	value = getIthJsonbValueFromContainer(pair->val.binary.data, 1);
	if (name == NULL || name->type != jbvString)
		return false;
	param->name = pnstrdup(name->val.string.val, name->val.string.len);
	if (value != NULL)
		param->default_value = json_from_value(value);
	return true;
}
