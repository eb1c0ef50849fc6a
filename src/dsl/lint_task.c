/*
 * lint_task.c
 *		Rules for single tasks.
 */
#include "postgres.h"

#include "dsl/lint.h"
#include "expr/expr.h"

/* Built-in actions start with it. */
#define BUILTIN_PREFIX "std."

static const YamlNode *task_command(const YamlNode *task, const char **key);
static const YamlNode *find_workflow(const Lint *lint, const char *name);

/* ---------------------------------------------------------------- parameters */

static const YamlNode *
task_command(const YamlNode *task, const char **key)
{
	const YamlNode *command = yaml_get(task, *key = "action", NULL);

	return command ? command : yaml_get(task, *key = "workflow", NULL);
}

/* One piece of a line that is no parameter, without the blanks around it. */
static bool
say_leftover(Lint *lint, const YamlNode *command, int from, int to)
{
	while (from < to && strchr(" \t\n,()", command->text[from]) != NULL)
		from++;
	while (to > from && strchr(" \t\n,()", command->text[to - 1]) != NULL)
		to--;
	if (from == to)
		return false;
	lint_warn(lint, yaml_make_part(command, from, to - from),
			  "A value is a text in quotes, an expression, a JSON list, true, false, null or digits.",
			  "\"%.*s\" is no parameter and is passed over", to - from, command->text + from);
	return true;
}

void
lint_leftover(Lint *lint, const YamlNode *command)
{
	PatternMatch match;
	int			from;

	if (command->kind != YAML_STRING || !pattern_search(PATTERN_COMMAND, command->text, command->len, 0, &match))
		return;
	if (strchr(command->text, ' ') == NULL)
	{
		if (match.end[0] < command->len && strchr(command->text, '=') != NULL)
			lint_warn(lint, command, "Write a space before the first parameter.",
					  "without a space, all of \"%s\" is taken as the name", command->text);
		return;
	}
	from = match.end[0];
	while (from < command->len && pattern_search(PATTERN_PARAMETER, command->text, command->len, from, &match))
	{
		if (say_leftover(lint, command, from, match.start[0]))
			return;
		from = match.end[0];
	}
	(void) say_leftover(lint, command, from, command->len);
}

/* The grammar of parameters in the line passes over what it does not know. */
void
lint_dropped_parameter(Lint *lint, const TaskEntry *task)
{
	const char *key;
	const YamlNode *command = task_command(task->node, &key);
	int			mark = check_enter(lint->check, key);

	if (command != NULL)
		lint_leftover(lint, command);
	check_leave(lint->check, mark);
}

typedef struct Given
{
	const YamlNode *dicts[2];	/* the line's, the input's; or NULL */
	const char *keys[2];		/* where they stand */
} Given;

static const YamlNode *
given_key(const Given *given, const char *name, int len)
{
	for (int d = 0; d < 2; d++)
	{
		for (int i = 0; given->dicts[d] != NULL && i < given->dicts[d]->nitems; i++)
		{
			const YamlNode *key = given->dicts[d]->keys[i];

			if (key->kind == YAML_STRING && key->len == len && memcmp(key->text, name, len) == 0)
				return key;
		}
	}
	return NULL;
}

/* Whether it is known what is given: an input that is an expression is not. */
static bool
read_given(Given *given, const YamlNode *input, YamlNode *params, const char *command_key, const char *input_key)
{
	if (input != NULL && input->kind != YAML_DICT)
		return false;
	given->dicts[0] = params;
	given->dicts[1] = input;
	given->keys[0] = command_key;
	given->keys[1] = input_key;
	return true;
}

static void
say_unexpected(Lint *lint, const Given *given, const char *const *names, int nnames, const char *what, const char *hint)
{
	for (int d = 0; d < 2; d++)
	{
		for (int i = 0; given->dicts[d] != NULL && i < given->dicts[d]->nitems; i++)
		{
			const YamlNode *key = given->dicts[d]->keys[i];
			char	   *suggestion;
			int			mark;
			int			k;

			if (key->kind != YAML_STRING)
				continue;
			for (k = 0; k < nnames && strcmp(names[k], key->text) != 0; k++)
				;
			if (k < nnames)
				continue;
			mark = check_enter(lint->check, given->keys[d]);
			suggestion = suggest(key->text, names, nnames);
			lint_warn(lint, key, suggestion ? suggestion : hint, "%s has no parameter \"%s\"", what, key->text);
			check_leave(lint->check, mark);
		}
	}
}

static void
say_missing(Lint *lint, const YamlNode *at, const char *at_key, const char *what, const char *name, int len)
{
	int			mark = check_enter(lint->check, at_key);

	lint_warn(lint, at, NULL, "%s needs the parameter \"%.*s\"", what, len, name);
	check_leave(lint->check, mark);
}

/* What they all start with makes no two of them alike. */
static const char *
suggest_action(const SpecActions *actions, const char *name)
{
	const char **names = palloc(actions->nnames * sizeof(char *));

	for (int i = 0; i < actions->nnames; i++)
		names[i] = actions->names[i] + strlen(BUILTIN_PREFIX);
	return suggest(name + strlen(BUILTIN_PREFIX), names, actions->nnames);
}

void
lint_parameters(Lint *lint, const YamlNode *command, const YamlNode *input, const char *input_key)
{
	char	   *name;
	YamlNode   *params;
	const char *rest;
	const char **names;
	const char *what;
	const char *param;
	int			len;
	int			nnames = 0;
	bool		required;
	Given		given;
	const char *command_key = strcmp(input_key, "base-input") == 0 ? "base" : "action";

	if (command == NULL || command->kind != YAML_STRING || !parse_command(command, &name, &params) ||
		strncmp(name, BUILTIN_PREFIX, strlen(BUILTIN_PREFIX)) != 0 || expr_language(name, strlen(name)) != EXPR_PLAIN)
		return;
	rest = lint->actions->parameters(name);
	if (rest == NULL)
	{
		int			mark = check_enter(lint->check, command_key);

		lint_warn(lint, command, suggest_action(lint->actions, name), "there is no built-in action \"%s\"", name);
		check_leave(lint->check, mark);
		return;
	}
	if (!read_given(&given, input, params, command_key, input_key))
		return;
	what = psprintf("the action \"%s\"", name);
	names = palloc((strlen(rest) + 1) * sizeof(char *));
	while (lint->actions->next_parameter(&rest, &param, &len, &required))
	{
		names[nnames++] = pnstrdup(param, len);
		if (required && given_key(&given, param, len) == NULL)
			say_missing(lint, command, command_key, what, param, len);
	}
	say_unexpected(lint, &given, names, nnames, what, nnames == 0 ? "It takes no parameters." : NULL);
}

void
lint_builtin_action(Lint *lint, const TaskEntry *task)
{
	lint_parameters(lint, yaml_get(task->node, "action", NULL), yaml_get(task->node, "input", NULL), "input");
}

/* A workflow of the same document by the name that a task gives it. */
static const YamlNode *
find_workflow(const Lint *lint, const char *name)
{
	const YamlNode *section = lint->check->document->kind == SPEC_WORKBOOK ? yaml_get(lint->root, "workflows", NULL) : lint->root;
	const YamlNode *found = strcmp(name, "version") == 0 ? NULL : yaml_get(section, name, NULL);

	return found && found->kind == YAML_DICT && yaml_get(found, "tasks", NULL) != NULL ? found : NULL;
}

/* What a sub-workflow does not take as input becomes a parameter of its start. */
void
lint_sub_workflow(Lint *lint, const TaskEntry *task)
{
	/* They are meant so. */
	static const char *const starts[] = {"task_name", "env", "evaluate_env", "notify", "namespace"};
	const YamlNode *command = yaml_get(task->node, "workflow", NULL);
	const YamlNode *workflow;
	const YamlNode *input;
	char	   *name;
	const char **names;
	const char *what;
	YamlNode   *params;
	int			nnames = lengthof(starts);
	Given		given;

	if (command == NULL || !parse_command(command, &name, &params) ||
		!read_given(&given, yaml_get(task->node, "input", NULL), params, "workflow", "input"))
		return;
	workflow = find_workflow(lint, name);
	input = yaml_get(workflow, "input", NULL);
	if (workflow == NULL || (input != NULL && input->kind != YAML_LIST))
		return;
	what = psprintf("the workflow \"%s\"", name);
	names = palloc((lengthof(starts) + (input ? input->nitems : 0)) * sizeof(char *));
	memcpy(names, starts, sizeof(starts));
	for (int i = 0; input != NULL && i < input->nitems; i++)
	{
		const YamlNode *item = input->items[i];
		bool		required = item->kind == YAML_STRING;

		if (item->kind == YAML_DICT && item->nitems == 1)
			item = item->keys[0];
		if (item->kind != YAML_STRING)
			return;
		names[nnames++] = item->text;
		if (required && given_key(&given, item->text, item->len) == NULL)
			say_missing(lint, command, "workflow", what, item->text, item->len);
	}
	say_unexpected(lint, &given, names, nnames, what, "It becomes a parameter of the workflow's start, which nothing reads.");
}

/* ---------------------------------------------------------------- policies */

void
lint_not_evaluated(Lint *lint, const TaskEntry *task)
{
	static const char *const keys[] = {"keep-result", "safe-rerun"};

	for (int i = 0; i < lengthof(keys); i++)
	{
		int			mark;
		const YamlNode *value = lint_enter(lint, task->node, keys[i], &mark);

		if (value != NULL && value->kind == YAML_STRING)
			lint_warn(lint, value, "Write true or false.", "\"%s\" is not evaluated: an expression counts as true", keys[i]);
		check_leave(lint->check, mark);
	}
}

/* The defaults win over what is false in the task. */
void
lint_zero_policy(Lint *lint, const TaskEntry *task)
{
	static const char *const keys[] = {"wait-before", "wait-after", "timeout", "pause-before", "fail-on", "concurrency"};

	for (int i = 0; i < lengthof(keys); i++)
	{
		int			mark;
		const YamlNode *value = lint_enter(lint, task->node, keys[i], &mark);

		if (value != NULL && !yaml_truth(value) && yaml_truth(yaml_get(lint->defaults, keys[i], NULL)))
			lint_warn(lint, value, psprintf("Write \"<%% %s %%>\".", yaml_describe(value)),
					  "%s does not replace the \"%s\" of task-defaults", yaml_describe(value), keys[i]);
		check_leave(lint->check, mark);
	}
}

void
lint_lone_concurrency(Lint *lint, const TaskEntry *task)
{
	YamlNode   *key;

	if (yaml_truth(yaml_get(task->node, "concurrency", &key)) && yaml_get(task->node, "with-items", NULL) == NULL)
		lint_info(lint, key, NULL, "\"concurrency\" has no effect without \"with-items\"");
}

void
lint_join_policy(Lint *lint, const TaskEntry *task)
{
	static const char *const keys[] = {"wait-before", "timeout"};

	for (int i = 0; i < lengthof(keys) && yaml_truth(yaml_get(task->node, "join", NULL)); i++)
	{
		YamlNode   *key;

		if (yaml_truth(yaml_get(task->node, keys[i], &key)))
			lint_warn(lint, key, NULL, "\"%s\" does not apply to a task with \"join\"", keys[i]);
	}
}

/* Only where the defaults retry has it a meaning. */
void
lint_no_retry(Lint *lint, const TaskEntry *task)
{
	int			mark;
	const YamlNode *retry = lint_enter(lint, task->node, "retry", &mark);
	const YamlNode *dict = retry ? parse_retry(retry) : NULL;
	const YamlNode *count = yaml_get(dict, "count", NULL);

	if (count != NULL && count->kind == YAML_INT && count->integer == 0 && yaml_get(lint->defaults, "retry", NULL) == NULL)
		lint_info(lint, count, "The count is that of the tries after the first.", "a task with this \"retry\" is never tried again");
	check_leave(lint->check, mark);
}

/* ---------------------------------------------------------------- with-items */

/* Whether a task publishes a variable for the tasks behind it. */
static bool
publishes(const YamlNode *task, const char *name)
{
	static const char *const keys[] = {"publish", "publish-on-error", "publish-on-skip"};

	for (int i = 0; i < lengthof(keys); i++)
	{
		if (yaml_get(yaml_get(task, keys[i], NULL), name, NULL) != NULL)
			return true;
	}
	for (int kind = 0; kind < CLAUSE_COUNT; kind++)
	{
		const YamlNode *publish = clause_publish(yaml_get(task, clause_keys[kind], NULL));

		if (yaml_get(yaml_get(publish, "branch", NULL), name, NULL) != NULL)
			return true;
	}
	return false;
}

/* What was published on the branch hides an item of the same name. */
void
lint_hidden_item(Lint *lint, const TaskEntry *task)
{
	int			mark;
	const YamlNode *with_items = lint_enter(lint, task->node, "with-items", &mark);
	ListCell   *lc;

	foreach(lc, with_items ? lint_items(task->node) : NIL)
	{
		const char *name = lfirst(lc);
		bool	   *leaders;

		if (!lint_has_variable(lint, name))
			continue;
		leaders = lint_leaders(lint, task->index);
		for (int i = 0; i < lint->table.ntasks; i++)
		{
			const TaskEntry *other = &lint->table.tasks[i];

			if (!leaders[i] || !publishes(other->node, name))
				continue;
			lint_warn(lint, with_items, "Give the item another name.",
					  "the item \"%s\" is hidden by the variable that task \"%s\" publishes", name, other->name);
			break;
		}
	}
	check_leave(lint->check, mark);
}

void
lint_item_twice(Lint *lint, const TaskEntry *task)
{
	int			mark;
	const YamlNode *with_items = lint_enter(lint, task->node, "with-items", &mark);
	List	   *names = with_items ? lint_items(task->node) : NIL;

	for (int i = 1; i < list_length(names); i++)
	{
		for (int k = 0; k < i; k++)
		{
			if (strcmp(list_nth(names, i), list_nth(names, k)) == 0)
				lint_warn(lint, with_items->items[i], NULL, "the item \"%s\" is given again, and only its last list counts",
						  (char *) list_nth(names, i));
		}
	}
	check_leave(lint->check, mark);
}

/* ---------------------------------------------------------------- the rest */

void
lint_no_effect(Lint *lint, const TaskEntry *task)
{
	const KeyTable *table = lint->reverse ? &reverse_task_keys : &direct_task_keys;

	for (int i = 0; i < table->nrules; i++)
	{
		YamlNode   *key;

		if ((table->rules[i].flags & KEY_INJECTED) && yaml_get(task->node, table->rules[i].key, &key) != NULL)
			lint_info(lint, key, NULL, "the key \"%s\" has no effect in a task", key->text);
	}
}

void
lint_command_name(Lint *lint, const TaskEntry *task)
{
	if (!lint->reverse && is_engine_command(task->name, NULL))
		lint_warn(lint, task->key, "Give the task another name.",
				  "in clauses, \"%s\" is the command and never this task", task->name);
}

/* A clause that publishes to all hides what is published for the branch. */
void
lint_hidden_publish(Lint *lint, const TaskEntry *task)
{
	static const struct
	{
		ClauseKind	clause;
		const char *plain;
	}			pairs[] = {
		{ON_SUCCESS, "publish"}, {ON_ERROR, "publish-on-error"}, {ON_SKIP, "publish-on-skip"}
	};

	for (int i = 0; i < lengthof(pairs); i++)
	{
		const YamlNode *publish = clause_publish(yaml_get(task->node, clause_keys[pairs[i].clause], NULL));
		YamlNode   *key;

		if (publish != NULL && yaml_get(publish, "branch", NULL) == NULL && yaml_get(task->node, pairs[i].plain, &key) != NULL)
			lint_warn(lint, key, psprintf("Move it into %s.publish.branch.", clause_keys[pairs[i].clause]),
					  "\"%s\" is lost: \"%s\" publishes without \"branch\"", pairs[i].plain, clause_keys[pairs[i].clause]);
	}
}
