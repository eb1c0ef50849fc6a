/*
 * lint_workflow.c
 *		Rules for whole workflows and ad-hoc actions, but for how tasks follow
 *		each other.
 */
#include "postgres.h"

#include "dsl/lint.h"
#include "expr/expr.h"

/* Unknown keys of a workflow are ignored. */
void
lint_unknown_key(Lint *lint)
{
	for (int i = 0; i < lint->definition->nitems; i++)
	{
		const YamlNode *key = lint->definition->keys[i];
		int			k;

		/* These two are often repeated here, and do no harm. */
		if (yaml_is(key, "name") || yaml_is(key, "version"))
			continue;
		for (k = 0; k < workflow_keys.nrules && !yaml_is(key, workflow_keys.rules[k].key); k++)
			;
		if (k == workflow_keys.nrules)
			lint_warn(lint, key, suggest_key(&workflow_keys, key), "%s is no key of a workflow and is ignored", yaml_describe(key));
	}
}

/* Defaults of parameters are taken as they are. */
void
lint_default_expression(Lint *lint)
{
	int			mark;
	const YamlNode *input = lint_enter(lint, lint->definition, "input", &mark);

	for (int i = 0; input != NULL && i < input->nitems; i++)
	{
		const YamlNode *item = input->items[i];
		const YamlNode *value = item->kind == YAML_DICT && item->nitems == 1 ? item->items[0] : NULL;

		if (value != NULL && value->kind == YAML_STRING && expr_language(value->text, value->len) != EXPR_PLAIN)
			lint_warn(lint, value, "Compute it in vars or in a task.", "the default of a parameter is not evaluated");
	}
	check_leave(lint->check, mark);
}

/* Of the clauses of task-defaults only the targets count. */
void
lint_defaults_publish(Lint *lint)
{
	for (int kind = 0; kind < CLAUSE_COUNT; kind++)
	{
		YamlNode   *key;

		if (yaml_get(yaml_get(lint->defaults, clause_keys[kind], NULL), "publish", &key) != NULL)
			lint_warn(lint, key, NULL, "what a clause of task-defaults publishes is ignored");
	}
}

void
lint_builtin_base(Lint *lint)
{
	int			mark;
	const YamlNode *base = lint_enter(lint, lint->definition, "base", &mark);

	if (base != NULL)
		lint_leftover(lint, base);
	check_leave(lint->check, mark);
	lint_parameters(lint, base, yaml_get(lint->definition, "base-input", NULL), "base-input");
}
