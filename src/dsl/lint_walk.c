/*
 * lint_walk.c
 *		Everything that is evaluated of a definition, and what is known of the
 *		place where it stands.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "dsl/lint.h"

static void walk_text(Lint *lint, const YamlNode *text, const LintPlace *place);
static void walk_data(Lint *lint, const YamlNode *data, LintPlace place);
static void walk_key(Lint *lint, const YamlNode *dict, const char *key, LintPlace place);
static void walk_command(Lint *lint, const YamlNode *dict, const char *key, LintPlace place);
static void walk_policies(Lint *lint, const YamlNode *dict, LintPlace place);
static void walk_clause(Lint *lint, const YamlNode *dict, ClauseKind kind, LintPlace place);
static void walk_task(Lint *lint, const TaskEntry *task);

static const LintTextRule text_rules[] = {
#define LINT_TEXT(function) function,
#include "dsl/lint_list.h"
};

static const LintValueRule key_rules[] = {
#define LINT_KEY(function) function,
#include "dsl/lint_list.h"
};

void
lint_evaluated(Lint *lint, SpecKind kind)
{
	LintPlace	place = {.checked = true};
	LintPlace	unchecked = {.variables = true};
	const YamlNode *output;
	int			mark;

	if (kind == SPEC_ACTION)
	{
		walk_command(lint, lint->definition, "base", place);
		walk_key(lint, lint->definition, "base-input", place);
		/* Only a text is checked here. */
		output = yaml_get(lint->definition, "output", NULL);
		place.checked = output != NULL && output->kind == YAML_STRING;
		walk_key(lint, lint->definition, "output", place);
		return;
	}
	walk_key(lint, lint->definition, "vars", place);
	walk_key(lint, lint->definition, "timeout", place);
	place.variables = true;
	walk_key(lint, lint->definition, "output", place);
	walk_key(lint, lint->definition, "output-on-error", unchecked);

	mark = check_enter(lint->check, "task-defaults");
	walk_policies(lint, lint->defaults, place);
	walk_key(lint, lint->defaults, "target", unchecked);
	for (int i = 0; i < CLAUSE_COUNT; i++)
		walk_clause(lint, lint->defaults, i, place);
	check_leave(lint->check, mark);

	mark = check_enter(lint->check, "tasks");
	for (int i = 0; i < lint->table.ntasks; i++)
		walk_task(lint, &lint->table.tasks[i]);
	check_leave(lint->check, mark);
}

static void
walk_task(Lint *lint, const TaskEntry *task)
{
	LintPlace	place = {.task = task, .checked = true, .variables = true};
	LintPlace	input = place;
	LintPlace	unchecked = place;
	const YamlNode *with_items;
	int			mark = check_enter(lint->check, task->name);
	int			items_mark;

	CHECK_FOR_INTERRUPTS();
	input.items = true;
	unchecked.checked = false;
	walk_command(lint, task->node, "action", input);
	walk_command(lint, task->node, "workflow", input);
	walk_key(lint, task->node, "input", input);
	walk_key(lint, task->node, "publish", place);
	walk_key(lint, task->node, "publish-on-error", place);
	walk_key(lint, task->node, "publish-on-skip", place);
	walk_key(lint, task->node, "target", unchecked);
	walk_policies(lint, task->node, place);
	for (int i = 0; i < CLAUSE_COUNT; i++)
		walk_clause(lint, task->node, i, place);
	with_items = lint_enter(lint, task->node, "with-items", &items_mark);
	for (int i = 0; with_items != NULL && i < (with_items->kind == YAML_LIST ? with_items->nitems : 1); i++)
	{
		char	   *name;
		YamlNode   *list;

		if (parse_with_item(with_items->kind == YAML_LIST ? with_items->items[i] : with_items, &name, &list) == NULL)
			walk_data(lint, list, list->kind == YAML_STRING ? place : unchecked);
	}
	check_leave(lint->check, items_mark);
	check_leave(lint->check, mark);
}

static void
walk_text(Lint *lint, const YamlNode *text, const LintPlace *place)
{
	for (int i = 0; i < lengthof(text_rules); i++)
		text_rules[i] (lint, text, place);
}

/* Expressions are evaluated at any depth, and checked in the first level only. */
static void
walk_data(Lint *lint, const YamlNode *data, LintPlace place)
{
	LintPlace	below = place;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (data->kind == YAML_STRING)
		walk_text(lint, data, &place);
	for (int i = 0; i < data->nitems; i++)
	{
		int			mark;

		/* What is not text was not looked at. */
		if (data->items[i]->kind == YAML_LIST || data->items[i]->kind == YAML_DICT)
			below.checked = false;
		else
			below.checked = place.checked;
		if (data->kind == YAML_DICT && data->keys[i]->kind == YAML_STRING)
		{
			for (int k = 0; k < lengthof(key_rules); k++)
				key_rules[k] (lint, data->keys[i]);
		}
		mark = data->kind == YAML_DICT ? check_enter(lint->check, yaml_key_text(data->keys[i])) :
			check_enter_index(lint->check, i);
		walk_data(lint, data->items[i], below);
		check_leave(lint->check, mark);
	}
}

static void
walk_key(Lint *lint, const YamlNode *dict, const char *key, LintPlace place)
{
	int			mark;
	const YamlNode *value = lint_enter(lint, dict, key, &mark);

	if (value != NULL)
		walk_data(lint, value, place);
	check_leave(lint->check, mark);
}

/* The name of an action or workflow, where items are not seen, and the parameters behind it. */
static void
walk_command(Lint *lint, const YamlNode *dict, const char *key, LintPlace place)
{
	int			mark;
	const YamlNode *command = lint_enter(lint, dict, key, &mark);
	char	   *name;
	YamlNode   *params;

	if (command != NULL && command->kind == YAML_STRING && parse_command(command, &name, &params))
	{
		LintPlace	of_name = place;

		of_name.items = of_name.checked = false;
		walk_text(lint, yaml_make_part(command, 0, strlen(name)), &of_name);
		if (params != NULL)
			walk_data(lint, params, place);
	}
	check_leave(lint->check, mark);
}

static void
walk_policies(Lint *lint, const YamlNode *dict, LintPlace place)
{
	static const char *const keys[] = {"wait-before", "wait-after", "timeout", "pause-before", "concurrency", "fail-on"};
	const YamlNode *retry;
	int			mark;

	for (int i = 0; i < lengthof(keys); i++)
		walk_key(lint, dict, keys[i], place);
	retry = lint_enter(lint, dict, "retry", &mark);
	if (retry != NULL && parse_retry(retry) != NULL)
		walk_data(lint, parse_retry(retry), place);
	check_leave(lint->check, mark);
}

static void
walk_clause(Lint *lint, const YamlNode *dict, ClauseKind kind, LintPlace place)
{
	int			mark;
	const YamlNode *clause = lint_enter(lint, dict, clause_keys[kind], &mark);
	const YamlNode *publish = clause_publish(clause);
	LintPlace	unchecked = place;
	int			publish_mark;
	ListCell   *lc;

	unchecked.checked = false;
	foreach(lc, parse_clause(clause))
	{
		ClauseTarget *target = lfirst(lc);

		if (target->guard != NULL)
			walk_data(lint, target->guard, place);
		if (target->params != NULL)
			walk_data(lint, target->params, unchecked);
	}
	/* What the defaults publish is not looked at by anybody. */
	if (publish != NULL && place.task != NULL)
	{
		publish_mark = check_enter(lint->check, "publish");
		walk_key(lint, publish, "branch", place);
		walk_key(lint, publish, "global", place);
		check_leave(lint->check, publish_mark);
	}
	check_leave(lint->check, mark);
}
