/*
 * lint.c
 *		Runs the rules of lint over a document.
 *
 * Values are looked at in every document that can be read; the rules that know
 * what a workflow or an action is see only definitions without errors.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "dsl/lint.h"

static void walk_values(Lint *lint, const YamlNode *value);
static void lint_section(Lint *lint, const YamlNode *section, SpecKind kind, const List *errors);
static bool has_error(const List *errors, const YamlNode *key, const YamlNode *item);
static void lint_workflow(Lint *lint);
static void lint_task(Lint *lint, const TaskEntry *task);

static const LintValueRule value_rules[] = {
#define LINT_VALUE(function) function,
#include "dsl/lint_list.h"
};

static const LintTaskRule task_rules[] = {
#define LINT_TASK(function) function,
#include "dsl/lint_list.h"
};

static const LintClauseRule clause_rules[] = {
#define LINT_CLAUSE(function) function,
#include "dsl/lint_list.h"
};

static const LintRule workflow_rules[] = {
#define LINT_WORKFLOW(function) function,
#include "dsl/lint_list.h"
};

static const LintRule action_rules[] = {
#define LINT_ACTION(function) function,
#include "dsl/lint_list.h"
};

SpecDocument *
spec_lint(const char *text, int len, SpecKind kind, const SpecActions *actions)
{
	SpecDocument *document = palloc0(sizeof(SpecDocument));
	Check		check = {0};
	Lint		lint = {&check, actions};
	List	   *errors;

	lint.root = check_document(&check, document, text, len, kind);
	spec_check_load(document);
	errors = list_copy(document->problems);
	if (lint.root == NULL)
		return document;
	check.severity = SPEC_WARNING;
	walk_values(&lint, lint.root);
	if (lint.root->kind == YAML_DICT && document->kind != SPEC_WORKBOOK)
		lint_section(&lint, lint.root, document->kind, errors);
	else
	{
		int			mark;
		const YamlNode *section = lint_enter(&lint, lint.root, "actions", &mark);

		lint_section(&lint, section, SPEC_ACTION, errors);
		check_leave(&check, mark);
		section = lint_enter(&lint, lint.root, "workflows", &mark);
		lint_section(&lint, section, SPEC_WORKFLOW, errors);
		check_leave(&check, mark);
	}
	spec_sort_problems(document);
	return document;
}

const YamlNode *
lint_enter(Lint *lint, const YamlNode *dict, const char *key, int *mark)
{
	const YamlNode *value = yaml_get(dict, key, NULL);

	*mark = value ? check_enter(lint->check, key) : lint->check->path.len;
	return value;
}

static void
walk_values(Lint *lint, const YamlNode *value)
{
	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	for (int i = 0; i < lengthof(value_rules); i++)
		value_rules[i] (lint, value);
	for (int i = 0; i < value->nitems; i++)
	{
		int			mark = value->kind == YAML_DICT ? check_enter(lint->check, yaml_key_text(value->keys[i])) :
			check_enter_index(lint->check, i);

		walk_values(lint, value->items[i]);
		check_leave(lint->check, mark);
	}
}

/* ---------------------------------------------------------------- definitions */

static void
lint_section(Lint *lint, const YamlNode *section, SpecKind kind, const List *errors)
{
	if (section == NULL || section->kind != YAML_DICT)
		return;
	for (int i = 0; i < section->nitems; i++)
	{
		int			mark;

		CHECK_FOR_INTERRUPTS();
		if (yaml_is(section->keys[i], "version") || section->items[i]->kind != YAML_DICT ||
			has_error(errors, section->keys[i], section->items[i]))
			continue;
		lint->key = section->keys[i];
		lint->definition = section->items[i];
		mark = check_enter(lint->check, yaml_key_text(lint->key));
		if (kind == SPEC_WORKFLOW)
			lint_workflow(lint);
		else
		{
			for (int k = 0; k < lengthof(action_rules); k++)
				action_rules[k] (lint);
			lint_evaluated(lint, kind);
		}
		check_leave(lint->check, mark);
	}
}

/* Whether an error stands in these lines. */
static bool
has_error(const List *errors, const YamlNode *key, const YamlNode *item)
{
	const ListCell *lc;

	foreach(lc, errors)
	{
		const SpecProblem *error = lfirst(lc);

		if (error->line >= key->line && error->line <= item->end_line)
			return true;
	}
	return false;
}

static void
lint_workflow(Lint *lint)
{
	int			mark;

	lint->reverse = yaml_is(yaml_get(lint->definition, "type", NULL), "reverse");
	lint->defaults = yaml_get(lint->definition, "task-defaults", NULL);
	task_table_build(&lint->table, yaml_get(lint->definition, "tasks", NULL));
	lint_graph_build(lint);
	for (int i = 0; i < lengthof(workflow_rules); i++)
		workflow_rules[i] (lint);
	mark = check_enter(lint->check, "tasks");
	for (int i = 0; i < lint->table.ntasks; i++)
		lint_task(lint, &lint->table.tasks[i]);
	check_leave(lint->check, mark);
	lint_evaluated(lint, SPEC_WORKFLOW);
}

static void
lint_task(Lint *lint, const TaskEntry *task)
{
	int			mark = check_enter(lint->check, task->name);

	CHECK_FOR_INTERRUPTS();
	for (int i = 0; i < lengthof(task_rules); i++)
		task_rules[i] (lint, task);
	for (int kind = 0; kind < CLAUSE_COUNT; kind++)
	{
		int			clause_mark;
		const YamlNode *clause = lint_enter(lint, task->node, clause_keys[kind], &clause_mark);

		for (int i = 0; clause != NULL && i < lengthof(clause_rules); i++)
			clause_rules[i] (lint, clause, kind);
		check_leave(lint->check, clause_mark);
	}
	check_leave(lint->check, mark);
}
