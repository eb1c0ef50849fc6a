/*
 * check_workflow.c
 *		Workflows, tasks and ad-hoc actions: their keys, and how tasks hang
 *		together.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "dsl/check.h"
#include "mistral.h"

/* So many are listed where none is near. */
#define MAX_LISTED_TASKS 12

static bool rule_type(Check *check, const YamlNode *node);
static bool rule_tasks(Check *check, const YamlNode *node);
static bool rule_any_value(Check *check, const YamlNode *node);
static bool check_task(Check *check, const YamlNode *key, const YamlNode *task, bool reverse);
static void check_direct_links(Check *check, const YamlNode *workflow, const TaskTable *table, bool sound);
static void check_reverse_links(Check *check, const YamlNode *workflow, const TaskTable *table);
static void check_joins(Check *check, const TaskTable *table, const int *ninbound);

const char *const clause_keys[CLAUSE_COUNT] = {"on-success", "on-error", "on-complete", "on-skip"};

static const KeyRule workflow_rules[] = {
	{"type", &type_workflow_type, 0, "direct (tasks say what follows) or reverse (tasks say what they require)."},
	{"description", &type_any, 0, "For readers."},
	{"task-defaults", &type_defaults, 0, "Policies and on-* clauses of the tasks that do not say otherwise."},
	{"input", &type_parameters, 0, "Parameters: a name must be given, {name: default} may be left out. Defaults are not evaluated."},
	{"output", &type_expressions, 0, "What the workflow gives, evaluated at its end."},
	{"output-on-error", &type_dict, 0, "What the workflow gives when it fails."},
	{"vars", &type_expressions, 0, "Variables, evaluated once at the start."},
	{"timeout", &type_expression_or_integer, 0, "Seconds after which the workflow ends in ERROR."},
	{"tags", &type_unique_texts, 0, "Words for readers, copied to the executions."},
	{"tasks", &type_tasks, KEY_REQUIRED, "The tasks, by name."}
};

static const KeyRule task_rules[] = {
	{"name", &type_any, KEY_INJECTED, "Has no effect: the task's key is its name."},
	{"version", &type_any, KEY_INJECTED, "Has no effect."},
	{"type", &type_any, KEY_INJECTED, "Has no effect: the workflow has a type."},
	{"description", &type_text, 0, "For readers."},
	{"tags", &type_unique_texts, 0, "Words for readers."},
	{"action", &type_command, 0, "The action that the task performs; parameters may follow: std.echo output=\"Hello\"."},
	{"workflow", &type_command, 0, "The workflow that the task runs; parameters may follow."},
	{"input", &type_task_input, 0, "Parameters of the action or workflow, or an expression that gives them."},
	{"with-items", &type_with_items, 0, "One action for each item: name in <% $.names %>."},
	{"publish", &type_expressions, 0, "Variables for the tasks that follow, when the task ends in SUCCESS."},
	{"publish-on-error", &type_expressions, 0, "Variables for the tasks that follow, when the task ends in ERROR."},
	{"publish-on-skip", &type_expressions, 0, "Variables for the tasks that follow, when the task is skipped."},
	{"retry", &type_retry, 0, "How the task is tried again: {count, delay, break-on, continue-on}."},
	{"wait-before", &type_expression_or_integer, 0, "Seconds before the task starts."},
	{"wait-after", &type_expression_or_integer, 0, "Seconds after the task has ended."},
	{"timeout", &type_expression_or_integer, 0, "Seconds after which the task ends in ERROR."},
	{"pause-before", &type_expression_or_boolean, 0, "Whether the workflow pauses before the task."},
	{"concurrency", &type_expression_or_integer, 0, "How many items run at a time."},
	{"fail-on", &type_expression_or_boolean, 0, "Turns a success into an error when it is true."},
	{"target", &type_text, 0, "Who performs the action."},
	{"keep-result", &type_expression_or_boolean, 0, "false forgets the result after publishing. An expression is not evaluated and counts as true."},
	{"safe-rerun", &type_expression_or_boolean, 0, "Whether an action whose outcome is unknown may be repeated. An expression is not evaluated and counts as true."},
	{"join", &type_join, KEY_DIRECT, "Waits for the tasks that lead here: all, one, or so many."},
	{"on-success", &type_clause, KEY_DIRECT, "What comes next when the task ends in SUCCESS."},
	{"on-error", &type_clause, KEY_DIRECT, "What comes next when the task ends in ERROR; handles the error."},
	{"on-complete", &type_clause, KEY_DIRECT, "What comes next when the task ends in SUCCESS or ERROR."},
	{"on-skip", &type_clause, KEY_DIRECT, "What comes next when the task is skipped."},
	{"requires", &type_text_or_texts, KEY_REVERSE, "The tasks that must have succeeded before."}
};

static const KeyRule defaults_rules[] = {
	{"name", &type_text, KEY_INJECTED, "Has no effect."},
	{"version", &type_version, KEY_INJECTED, "Has no effect."},
	{"description", &type_text, KEY_INJECTED, "For readers."},
	{"tags", &type_unique_texts, KEY_INJECTED, "Has no effect."},
	{"retry", &type_retry, 0, "How tasks are tried again."},
	{"wait-before", &type_expression_or_integer, 0, "Seconds before a task starts."},
	{"wait-after", &type_expression_or_integer, 0, "Seconds after a task has ended."},
	{"timeout", &type_expression_or_integer, 0, "Seconds after which a task ends in ERROR."},
	{"pause-before", &type_expression_or_boolean, 0, "Whether the workflow pauses before each task."},
	{"concurrency", &type_expression_or_integer, 0, "How many items run at a time."},
	{"fail-on", &type_expression_or_boolean, 0, "Turns successes into errors when it is true."},
	{"on-success", &type_clause, 0, "What comes next after tasks that name nothing."},
	{"on-error", &type_clause, 0, "What comes next after failed tasks that name nothing."},
	{"on-complete", &type_clause, 0, "What comes next after ended tasks that name nothing."},
	{"on-skip", &type_clause, 0, "What comes next after skipped tasks that name nothing."},
	{"target", &type_text, 0, "Whose pull workers perform the actions."},
	{"safe-rerun", &type_expression_or_boolean, 0, "Whether actions whose outcome is unknown may be repeated."},
	{"requires", &type_text_or_texts, 0, "The tasks that every task requires."}
};

static const KeyRule action_rules[] = {
	{"name", &type_any, KEY_INJECTED, "Has no effect: the action's key is its name."},
	{"version", &type_any, KEY_INJECTED, "Has no effect."},
	{"description", &type_text, 0, "For readers."},
	{"tags", &type_unique_texts, 0, "Words for readers."},
	{"base", &type_command, KEY_REQUIRED, "The action below; parameters may follow."},
	{"base-input", &type_expressions, 0, "Parameters of the action below, evaluated against this action's input."},
	{"input", &type_parameters, 0, "Parameters: a name must be given, {name: default} may be left out. Defaults are not evaluated."},
	{"output", &type_any_value, 0, "The result, evaluated against that of the action below."}
};

const KeyTable workflow_keys = {"a workflow", workflow_rules, lengthof(workflow_rules), false};
const KeyTable defaults_keys = {"task-defaults", defaults_rules, lengthof(defaults_rules), true};
const KeyTable direct_task_keys = {"a task", task_rules, lengthof(task_rules), true, KEY_REVERSE};
const KeyTable reverse_task_keys = {"a task", task_rules, lengthof(task_rules), true, KEY_DIRECT};
const KeyTable action_keys = {"an action", action_rules, lengthof(action_rules), true};

#define REF(name) "{'$ref': '#/definitions/" name "'}"
#define TASKS(task) "{'type': 'object', 'minProperties': 1, 'additionalProperties': " REF(task) "}"
#define TASK "{'allOf': [@keys], 'not': {'required': ['action', 'workflow']}}"

const ValueType type_workflow_type = {"workflow-type", rule_type, "{'enum': ['direct', 'reverse']}"};
const ValueType type_defaults = {"task-defaults", rule_dict, "@keys", &defaults_keys};
const ValueType type_tasks = {"tasks", rule_tasks, "{'type': 'object', 'minProperties': 1}"};
const ValueType type_direct_tasks = {"direct-tasks", NULL, TASKS("task")};
const ValueType type_reverse_tasks = {"reverse-tasks", NULL, TASKS("reverse-task")};
const ValueType type_task = {"task", NULL, TASK, &direct_task_keys};
const ValueType type_reverse_task = {"reverse-task", NULL, TASK, &reverse_task_keys};
const ValueType type_workflow = {
	"workflow", NULL,
	"{'allOf': [@keys], 'if': {'properties': {'type': {'const': 'reverse'}}, 'required': ['type']},"
	" 'then': {'properties': {'tasks': " REF("reverse-tasks") "}},"
	" 'else': {'properties': {'tasks': " REF("direct-tasks") "}}}",
	&workflow_keys
};
const ValueType type_any_value = {"any-value", rule_any_value, "{}"};
const ValueType type_action = {"action", NULL, "@keys", &action_keys};

/* ---------------------------------------------------------------- keys */

/* Whether the text reads as a UUID, in any of the forms that Python's uuid takes. */
static bool
is_uuid_like(const char *name)
{
	int			n = 0;
	const char *p = name;
	const char *end = name + strlen(name);

	if (strncmp(p, "urn:", 4) == 0)
		p += 4;
	if (strncmp(p, "uuid:", 5) == 0)
		p += 5;
	while (p < end && (*p == '{' || *p == '}'))
		p++;
	while (end > p && (end[-1] == '{' || end[-1] == '}'))
		end--;
	for (; p < end; p++)
	{
		if (*p == '-')
			continue;
		if (n == 32 || strchr("0123456789abcdefABCDEF", *p) == NULL)
			return false;
		n++;
	}
	return n == 32;
}

void
check_workflow(Check *check, const YamlNode *key, const YamlNode *workflow)
{
	int			before = list_length(check->document->problems);
	const YamlNode *defaults;

	if (workflow->kind != YAML_DICT)
	{
		check_problem(check, workflow, NULL, "expected a workflow, found %s", yaml_describe(workflow));
		return;
	}
	if (key->kind == YAML_STRING && is_uuid_like(key->text))
		check_problem(check, key, NULL, "expected a workflow's name, found a UUID");
	check_table(check, workflow, &workflow_keys);
	defaults = yaml_get(workflow, "task-defaults", NULL);
	if (defaults != NULL && defaults->kind == YAML_DICT)
	{
		int			mark = check_enter(check, "task-defaults");

		check_table(check, defaults, &defaults_keys);
		check_leave(check, mark);
	}
	if (yaml_get(workflow, "tasks", NULL) != NULL)
	{
		const YamlNode *tasks = yaml_get(workflow, "tasks", NULL);
		int			mark = check_enter(check, "tasks");
		int			i;

		for (i = 0; tasks->kind == YAML_DICT && i < tasks->nitems; i++)
		{
			CHECK_FOR_INTERRUPTS();
			if (tasks->keys[i]->kind == YAML_STRING)
				check_task(check, tasks->keys[i], tasks->items[i], yaml_is(yaml_get(workflow, "type", NULL), "reverse"));
		}
		check_leave(check, mark);
	}
	check_workflow_links(check, key, workflow, list_length(check->document->problems) == before);
}

static bool
rule_type(Check *check, const YamlNode *node)
{
	static const char *const types[] = {"direct", "reverse"};

	if (yaml_is(node, types[0]) || yaml_is(node, types[1]))
		return true;
	return check_problem(check, node, node->kind == YAML_STRING ? suggest(node->text, types, lengthof(types)) : NULL,
						 "expected \"direct\" or \"reverse\", found %s", yaml_describe(node));
}

static bool
rule_tasks(Check *check, const YamlNode *node)
{
	bool		sound = true;
	int			i;

	if (node->kind != YAML_DICT || node->nitems == 0)
		return check_problem(check, node,
							 node->kind == YAML_NULL ? DEEPER :
							 node->kind == YAML_LIST ? "Write the names of the tasks as keys, without hyphens." : NULL,
							 "expected a dictionary of tasks, found %s", yaml_describe(node));
	for (i = 0; i < node->nitems; i++)
	{
		const YamlNode *key = node->keys[i];
		int			mark;

		if (key->kind == YAML_STRING)
			continue;
		mark = check_enter(check, yaml_key_text(key));
		sound = check_problem(check, key, "Quote it.", "expected a task's name, found %s", yaml_describe(key));
		check_leave(check, mark);
	}
	return sound;
}

static bool
rule_any_value(Check *check, const YamlNode *node)
{
	if (node->kind == YAML_TIME)
		return check_problem(check, node, "Quote it when it is meant as text.",
							 "expected a value that JSON has, found %s", yaml_describe(node));
	return node->kind != YAML_STRING || check_expressions(check, node);
}

/* What may have been meant where a task is no dict. */
static const char *
task_hint(const YamlNode *key, const YamlNode *task)
{
	for (int i = 0; i < lengthof(task_rules); i++)
	{
		if (task->kind != YAML_DICT && task->kind != YAML_NULL && strcmp(task_rules[i].key, key->text) == 0)
			return psprintf("Indent the key \"%s\" deeper than the name of its task.", key->text);
	}
	if (task->kind == YAML_STRING && strchr(task->text, ':') != NULL)
		return "A colon after a key is followed by a space.";
	if (task->kind == YAML_NULL)
		return "A task needs at least one key, indented deeper than its name, for instance action: std.noop.";
	return "A task needs at least one key, for instance action: std.noop.";
}

static bool
check_task(Check *check, const YamlNode *key, const YamlNode *task, bool reverse)
{
	int			mark = check_enter(check, key->text);
	bool		sound;
	const YamlNode *input;
	const YamlNode *second;
	int			i;

	/* The original looks into a task's dict before the task, where the name is one word. */
	if (task->kind != YAML_DICT ||
		(task->nitems == 0 && pattern_search(PATTERN_WORD, key->text, key->len, 0, NULL)))
	{
		check_problem(check, task->kind == YAML_NULL ? key : task, task_hint(key, task),
					  "expected a task, found %s", yaml_describe(task));
		check_leave(check, mark);
		return false;
	}
	sound = check_table(check, task, reverse ? &reverse_task_keys : &direct_task_keys);
	for (i = 0; i < task->nitems; i++)
	{
		if (task->items[i]->kind == YAML_TIME && (yaml_is(task->keys[i], "name") || yaml_is(task->keys[i], "type") || yaml_is(task->keys[i], "version")))
			sound = check_problem(check, task->items[i], NULL, "expected a text, found %s", yaml_describe(task->items[i]));
	}
	if (key->len == 0)
		sound = check_problem(check, key, NULL, "expected a task's name, found %s", yaml_describe(key));
	else if (pg_mbstrlen_with_len(key->text, key->len) > MAX_NAME_LENGTH)
		sound = check_problem(check, key, NULL, "expected a task's name of at most %d characters, found %d",
							  MAX_NAME_LENGTH, pg_mbstrlen_with_len(key->text, key->len));
	else if (yaml_truth(yaml_get(task, "join", NULL)) &&
			 pg_mbstrlen_with_len(key->text, key->len) > MAX_JOIN_NAME_LENGTH)
		sound = check_problem(check, key, NULL, "expected the name of a task with join of at most %d characters, found %d",
							  MAX_JOIN_NAME_LENGTH, pg_mbstrlen_with_len(key->text, key->len));

	second = yaml_get(task, "workflow", NULL);
	if (second != NULL && yaml_get(task, "action", NULL) != NULL)
		sound = check_problem(check, second, NULL, "expected either \"action\" or \"workflow\", found both");
	input = yaml_get(task, "input", NULL);
	if (sound && input != NULL && input->kind == YAML_STRING)
	{
		const YamlNode *command = yaml_get(task, "action", NULL);
		char	   *name;
		YamlNode   *params = NULL;

		if (command == NULL)
			command = second;
		if (command != NULL && parse_command(command, &name, &params) && params != NULL)
			sound = check_problem(check, input, "Write the parameters of the action into the dictionary.",
								  "expected a dictionary beside parameters in the action's line, found %s", yaml_describe(input));
	}
	check_leave(check, mark);
	return sound;
}

void
check_action(Check *check, const YamlNode *key, const YamlNode *action)
{
	if (action->kind != YAML_DICT)
		check_problem(check, action, NULL, "expected an action, found %s", yaml_describe(action));
	else
		check_table(check, action, &action_keys);
	if (key->kind != YAML_STRING || key->len == 0)
		check_problem(check, key, "Quote it.", "expected an action's name, found %s", yaml_describe(key));
}

/* ---------------------------------------------------------------- links */

bool
is_engine_command(const char *name, EngineCommand *command)
{
	static const struct
	{
		const char *name;
		EngineCommand command;
	}			commands[] = {
		{"fail", COMMAND_FAIL}, {"succeed", COMMAND_SUCCEED}, {"pause", COMMAND_PAUSE}, {"noop", COMMAND_NOOP}
	};

	for (int i = 0; i < lengthof(commands); i++)
	{
		if (strcmp(commands[i].name, name) != 0)
			continue;
		if (command)
			*command = commands[i].command;
		return true;
	}
	return false;
}

static int
compare_entries(const void *a, const void *b)
{
	return strcmp(((const TaskEntry *) a)->name, ((const TaskEntry *) b)->name);
}

/* Every entry that is a task: a key "version" is none, wherever it stands. */
void
task_table_build(TaskTable *table, const YamlNode *tasks)
{
	int			i;

	memset(table, 0, sizeof(*table));
	if (tasks == NULL || tasks->kind != YAML_DICT)
		return;
	table->tasks = palloc(mul_size(Max(tasks->nitems, 1), sizeof(TaskEntry)));
	for (i = 0; i < tasks->nitems; i++)
	{
		TaskEntry  *entry = &table->tasks[table->ntasks];

		if (tasks->keys[i]->kind != YAML_STRING || tasks->items[i]->kind != YAML_DICT || yaml_is(tasks->keys[i], "version"))
			continue;
		entry->name = tasks->keys[i]->text;
		entry->key = tasks->keys[i];
		entry->node = tasks->items[i];
		entry->index = table->ntasks++;
	}
	table->by_name = palloc(mul_size(Max(table->ntasks, 1), sizeof(TaskEntry)));
	memcpy(table->by_name, table->tasks, table->ntasks * sizeof(TaskEntry));
	qsort(table->by_name, table->ntasks, sizeof(TaskEntry), compare_entries);
}

int
task_table_find(const TaskTable *table, const char *name)
{
	TaskEntry	wanted = {.name = name};
	TaskEntry  *found;

	if (table->ntasks == 0)
		return -1;
	found = bsearch(&wanted, table->by_name, table->ntasks, sizeof(TaskEntry), compare_entries);
	return found ? found->index : -1;
}

List *
task_targets(const YamlNode *task, const char *task_name, const YamlNode *defaults, ClauseKind kind)
{
	List	   *targets = parse_clause(yaml_get(task, clause_keys[kind], NULL));
	List	   *others = NIL;
	ListCell   *lc;

	if (targets != NIL || defaults == NULL)
		return targets;
	foreach(lc, parse_clause(yaml_get(defaults, clause_keys[kind], NULL)))
	{
		ClauseTarget *target = lfirst(lc);

		if (strcmp(target->name, task_name) != 0)
			others = lappend(others, target);
	}
	return others;
}

void
check_workflow_links(Check *check, const YamlNode *key, const YamlNode *workflow, bool sound)
{
	TaskTable	table;
	int			mark = check_enter(check, "tasks");

	task_table_build(&table, yaml_get(workflow, "tasks", NULL));
	if (yaml_is(yaml_get(workflow, "type", NULL), "reverse"))
		check_reverse_links(check, workflow, &table);
	else
		check_direct_links(check, workflow, &table, sound);
	check_leave(check, mark);
}

static void
unknown_task(Check *check, const TaskTable *table, const YamlNode *at, const char *name)
{
	int			n = Min(table->ntasks, MAX_CANDIDATES);
	const char **names = palloc(Max(n, 1) * sizeof(char *));
	char	   *hint;
	int			i;

	for (i = 0; i < n; i++)
		names[i] = table->tasks[i].name;
	hint = suggest(name, names, n);
	if (hint == NULL && table->ntasks <= MAX_LISTED_TASKS)
	{
		StringInfoData list;

		initStringInfo(&list);
		for (i = 0; i < n; i++)
			appendStringInfo(&list, "%s%s", i == 0 ? "The tasks are: " : ", ", names[i]);
		appendStringInfoChar(&list, '.');
		hint = n > 0 ? list.data : NULL;
	}
	check_problem(check, at, hint, "expected a task of this workflow, found \"%s\"", name);
}

static void
check_direct_links(Check *check, const YamlNode *workflow, const TaskTable *table, bool sound)
{
	const YamlNode *defaults = yaml_get(workflow, "task-defaults", NULL);
	int		   *ninbound = palloc0(mul_size(Max(table->ntasks, 1), sizeof(int)));
	int		   *last_seen = palloc0(mul_size(Max(table->ntasks, 1), sizeof(int)));
	List	   *reported = NIL;
	int			nstart = 0;
	int			i;

	for (i = 0; i < table->ntasks; i++)
	{
		const TaskEntry *entry = &table->tasks[i];
		int			mark = check_enter(check, entry->name);

		for (int kind = 0; kind < CLAUSE_COUNT; kind++)
		{
			int			clause_mark = check_enter(check, clause_keys[kind]);
			ListCell   *lc;

			foreach(lc, task_targets(entry->node, entry->name, defaults, kind))
			{
				ClauseTarget *target = lfirst(lc);
				int			found = task_table_find(table, target->name);

				CHECK_FOR_INTERRUPTS();
				if (found >= 0 && last_seen[found] != i + 1)
				{
					last_seen[found] = i + 1;
					ninbound[found]++;
				}
				/*
				 * A target of the defaults is one place, however many tasks use
				 * it.  What looks like a call may have been reported as such.
				 */
				if (found < 0 && !is_engine_command(target->name, NULL) &&
					(sound || !pattern_search(PATTERN_TARGET_CALL, target->name, strlen(target->name), 0, NULL)) &&
					list_length(reported) < MAX_PROBLEMS && !list_member_ptr(reported, target->at))
				{
					unknown_task(check, table, target->at, target->name);
					reported = lappend(reported, unconstify(YamlNode *, target->at));
				}
			}
			check_leave(check, clause_mark);
		}
		check_leave(check, mark);
	}
	if (!sound)
		return;
	for (i = 0; i < table->ntasks; i++)
		nstart += ninbound[i] == 0;
	if (nstart == 0)
		check_problem(check, yaml_get(workflow, "tasks", NULL), "Take one task out of every on-* clause.",
					  "expected a task that no other task leads to, found none to start with");
	check_joins(check, table, ninbound);
}

static void
check_joins(Check *check, const TaskTable *table, const int *ninbound)
{
	int			i;

	for (i = 0; i < table->ntasks; i++)
	{
		const TaskEntry *entry = &table->tasks[i];
		const YamlNode *join = yaml_get(entry->node, "join", NULL);
		int			mark;

		if (!yaml_truth(join))
			continue;
		mark = check_enter(check, psprintf("%s.join", entry->name));
		if (yaml_is(join, "all"))
		{
			if (ninbound[i] == 0)
				check_problem(check, join, NULL, "expected tasks that lead to the join, found none");
		}
		else if (ninbound[i] < (yaml_is(join, "one") ? 1 : join->real))
			check_problem(check, join, NULL, "expected at least %s tasks that lead to the join, found %d",
						  yaml_is(join, "one") ? "1" : yaml_describe(join), ninbound[i]);
		check_leave(check, mark);
	}
}

static void
check_required(Check *check, const TaskTable *table, const YamlNode *requires, const char *self)
{
	int			nitems = requires == NULL ? 0 : requires->kind == YAML_LIST ? requires->nitems : 1;
	int			i;

	for (i = 0; i < nitems; i++)
	{
		const YamlNode *item = requires->kind == YAML_LIST ? requires->items[i] : requires;

		if (item->kind == YAML_STRING && (self == NULL || strcmp(item->text, self) != 0) &&
			task_table_find(table, item->text) < 0)
			unknown_task(check, table, item, item->text);
	}
}

static void
check_reverse_links(Check *check, const YamlNode *workflow, const TaskTable *table)
{
	const YamlNode *defaults = yaml_get(workflow, "task-defaults", NULL);
	int			i;

	for (i = 0; i < table->ntasks; i++)
	{
		int			mark = check_enter(check, psprintf("%s.requires", table->tasks[i].name));

		check_required(check, table, yaml_get(table->tasks[i].node, "requires", NULL), table->tasks[i].name);
		check_leave(check, mark);
	}
	if (table->ntasks > 0)
		check_required(check, table, yaml_get(defaults, "requires", NULL), NULL);
}
