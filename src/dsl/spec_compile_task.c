/*
 * spec_compile_task.c
 *		Tasks into the form that the engine runs.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "dsl/compile.h"

/* What a clause publishes, in YAML. */
typedef struct PublishNodes
{
	bool		present;
	const YamlNode *branch;
	const YamlNode *global;
} PublishNodes;

static void compile_command(Compiler *compiler, TaskSpec *task, const YamlNode *node);
static void compile_clause(Compiler *compiler, SpecOnClause *clause, const TaskTable *table, const TaskEntry *entry,
						   const YamlNode *defaults, ClauseKind kind);
static const YamlNode *effective(const YamlNode *task, const YamlNode *defaults, const char *key);
static void compile_publish(Compiler *compiler, SpecPublish *publish, const YamlNode *node, const char *plain,
							const char *on_key);
static PublishNodes publish_nodes(const YamlNode *task, const char *on_key);
static void merge_publish(PublishNodes *result, PublishNodes over, PublishNodes below);
static void compile_policies(Compiler *compiler, SpecPolicies *policies, const YamlNode *task, const YamlNode *defaults);
static void compile_retry(Compiler *compiler, SpecRetry *retry, const YamlNode *node);
static void compile_join(TaskSpec *task, const YamlNode *join);
static void compile_with_items(Compiler *compiler, TaskSpec *task, const YamlNode *node);
static void compile_requires(Compiler *compiler, TaskSpec *task, const TaskTable *table,
							 const YamlNode *own, const YamlNode *of_defaults);

void
compile_task(Compiler *compiler, WorkflowSpec *workflow, const TaskTable *table, int index, const YamlNode *defaults)
{
	const TaskEntry *entry = &table->tasks[index];
	const YamlNode *node = entry->node;
	TaskSpec   *task = &workflow->tasks[index];
	SpecOnClause *clauses[CLAUSE_COUNT] = {&task->on_success, &task->on_error, &task->on_complete, &task->on_skip};
	const YamlNode *rerun = yaml_get(node, "safe-rerun", NULL);
	const YamlNode *keep = yaml_get(node, "keep-result", NULL);

	task->name = keep_text(compiler, entry->name);
	task->index = index;
	task->spec = keep_jsonb(compiler, task_as_stored(node, entry->name, workflow->reverse));
	compile_command(compiler, task, node);
	compile_publish(compiler, &task->publish, node, "publish", workflow->reverse ? NULL : "on-success");
	compile_publish(compiler, &task->publish_on_error, node, "publish-on-error", workflow->reverse ? NULL : "on-error");
	compile_publish(compiler, &task->publish_on_skip, node, "publish-on-skip", workflow->reverse ? NULL : "on-skip");
	for (int kind = 0; kind < CLAUSE_COUNT && !workflow->reverse; kind++)
		compile_clause(compiler, clauses[kind], table, entry, defaults, kind);
	compile_policies(compiler, &task->policies, node, defaults);
	task->keep_result = keep == NULL || yaml_truth(keep);
	if (rerun == NULL)
		rerun = yaml_get(defaults, "safe-rerun", NULL);
	task->safe_rerun_given = rerun != NULL;
	task->safe_rerun = yaml_truth(rerun);
	task->target = compile_template(compiler, effective(node, defaults, "target"));
	compile_join(task, yaml_get(node, "join", NULL));
	compile_with_items(compiler, task, yaml_get(node, "with-items", NULL));
	if (workflow->reverse)
		compile_requires(compiler, task, table, yaml_get(node, "requires", NULL), yaml_get(defaults, "requires", NULL));
}

YamlNode *
task_as_stored(const YamlNode *task, const char *name, bool reverse)
{
	YamlNode   *stored = yaml_shallow_copy(task);
	const char *type = reverse ? "reverse" : "direct";
	const YamlNode *input = yaml_get(task, "input", NULL);
	const YamlNode *command = yaml_get(task, "action", NULL);
	char	   *ignored;
	YamlNode   *params = NULL;

	/* Parameters of the action's line appear in an input that was written, as in the original. */
	if (command == NULL)
		command = yaml_get(task, "workflow", NULL);
	if (input != NULL && command != NULL && parse_command(command, &ignored, &params) && params != NULL)
		yaml_set(stored, yaml_make_string("input", 5, task), unconstify(YamlNode *, merge_dicts(input, params)));
	yaml_set(stored, yaml_make_string("name", 4, task), yaml_make_string(name, strlen(name), task));
	yaml_set(stored, yaml_make_string("version", 7, task), yaml_make_string("2.0", 3, task));
	yaml_set(stored, yaml_make_string("type", 4, task), yaml_make_string(type, strlen(type), task));
	return stored;
}

static void
compile_command(Compiler *compiler, TaskSpec *task, const YamlNode *node)
{
	const YamlNode *action = yaml_get(node, "action", NULL);
	const YamlNode *workflow = yaml_get(node, "workflow", NULL);
	const YamlNode *command = action ? action : workflow;
	char	   *name = "std.noop";
	YamlNode   *params = NULL;

	if (command != NULL && !parse_command(command, &name, &params))
		elog(ERROR, "stored definition is damaged: no name in \"%s\"", command->text);
	if (workflow != NULL)
		task->workflow = compile_text(compiler, name);
	else
		task->action = compile_text(compiler, name);
	task->input = compile_data(compiler, merge_dicts(yaml_get(node, "input", NULL), params));
}

static void
compile_clause(Compiler *compiler, SpecOnClause *clause, const TaskTable *table, const TaskEntry *entry,
			   const YamlNode *defaults, ClauseKind kind)
{
	const YamlNode *own = yaml_get(entry->node, clause_keys[kind], NULL);
	List	   *targets = task_targets(entry->node, entry->name, defaults, kind);
	ListCell   *lc;

	clause->present = own != NULL || yaml_get(defaults, clause_keys[kind], NULL) != NULL;
	clause->transitions = keep_zeroed(compiler, mul_size(list_length(targets), sizeof(SpecTransition)));
	foreach(lc, targets)
	{
		ClauseTarget *target = lfirst(lc);
		SpecTransition *transition = &clause->transitions[clause->ntransitions++];

		transition->name = keep_text(compiler, target->name);
		transition->command = COMMAND_TASK;
		transition->task = -1;
		if (!is_engine_command(target->name, &transition->command))
		{
			transition->task = task_table_find(table, target->name);
			if (transition->task < 0)
				elog(ERROR, "stored definition is damaged: no task \"%s\"", target->name);
		}
		/* A guard that is no text, or an empty one, lets everything pass. */
		if (target->guard != NULL && target->guard->kind == YAML_STRING && target->guard->len > 0)
			transition->guard = compile_template(compiler, target->guard);
		transition->params = compile_data(compiler, target->params);
	}
}

/*
 * What is published under `plain`, under `on_key` (NULL: no clauses) and under
 * on-complete, in one.  What overwrites is the text, not the value: an expression
 * that another clause replaces is never evaluated.  Of clauses of the defaults
 * only the targets count.
 */
static void
compile_publish(Compiler *compiler, SpecPublish *publish, const YamlNode *node, const char *plain, const char *on_key)
{
	const YamlNode *own = yaml_get(node, plain, NULL);
	PublishNodes nodes = {yaml_truth(own), yaml_truth(own) ? own : NULL, NULL};

	if (on_key != NULL)
	{
		merge_publish(&nodes, publish_nodes(node, "on-complete"), nodes);
		merge_publish(&nodes, nodes, publish_nodes(node, on_key));
	}
	publish->present = nodes.present;
	publish->branch = compile_data(compiler, nodes.branch);
	publish->global = compile_data(compiler, nodes.global);
}

static PublishNodes
publish_nodes(const YamlNode *task, const char *on_key)
{
	const YamlNode *clause = yaml_get(task, on_key, NULL);
	const YamlNode *publish = clause ? clause_publish(clause) : NULL;
	PublishNodes nodes = {publish != NULL, NULL, NULL};

	if (publish != NULL)
	{
		nodes.branch = yaml_get(publish, "branch", NULL);
		nodes.global = yaml_get(publish, "global", NULL);
	}
	return nodes;
}

/* A part that the clause below does not have is hidden in the one over it, as in the original. */
static void
merge_publish(PublishNodes *result, PublishNodes over, PublishNodes below)
{
	*result = below.present ? below : over;
	if (!below.present || !over.present)
		return;
	if (below.branch != NULL)
		result->branch = merge_dicts(below.branch, over.branch);
	if (below.global != NULL)
		result->global = merge_dicts(below.global, over.global);
}

/* ---------------------------------------------------------------- policies */

/* The task's own value when it is true-like, else that of the defaults when that is. */
static const YamlNode *
effective(const YamlNode *task, const YamlNode *defaults, const char *key)
{
	const YamlNode *own = yaml_get(task, key, NULL);

	if (yaml_truth(own))
		return own;
	own = yaml_get(defaults, key, NULL);
	return yaml_truth(own) ? own : NULL;
}

static void
compile_policies(Compiler *compiler, SpecPolicies *policies, const YamlNode *task, const YamlNode *defaults)
{
	policies->pause_before.value = compile_data(compiler, effective(task, defaults, "pause-before"));
	policies->wait_before.value = compile_data(compiler, effective(task, defaults, "wait-before"));
	policies->wait_after.value = compile_data(compiler, effective(task, defaults, "wait-after"));
	policies->fail_on.value = compile_data(compiler, effective(task, defaults, "fail-on"));
	policies->timeout.value = compile_data(compiler, effective(task, defaults, "timeout"));
	policies->concurrency.value = compile_data(compiler, effective(task, defaults, "concurrency"));
	compile_retry(compiler, &policies->retry, effective(task, defaults, "retry"));
}

static void
compile_retry(Compiler *compiler, SpecRetry *retry, const YamlNode *node)
{
	const YamlNode *dict;

	if (node == NULL)
		return;
	dict = parse_retry(node);
	retry->present = true;
	retry->count = compile_data(compiler, yaml_get(dict, "count", NULL));
	retry->delay = compile_data(compiler, yaml_get(dict, "delay", NULL));
	retry->break_on = compile_template(compiler, yaml_get(dict, "break-on", NULL));
	retry->continue_on = compile_template(compiler, yaml_get(dict, "continue-on", NULL));
	retry->backoff = compile_data(compiler, yaml_get(dict, "backoff", NULL));
	retry->max_delay = compile_data(compiler, yaml_get(dict, "max-delay", NULL));
	retry->jitter = compile_data(compiler, yaml_get(dict, "jitter", NULL));
}

/* ---------------------------------------------------------------- the rest */

static void
compile_join(TaskSpec *task, const YamlNode *join)
{
	task->join = JOIN_NONE;
	if (!yaml_truth(join))
		return;
	task->join = yaml_is(join, "all") ? JOIN_ALL : JOIN_COUNT;
	/* Checked: no more than the tasks that lead here. */
	task->join_count = task->join == JOIN_ALL ? 0 : yaml_is(join, "one") ? 1 : (int) join->real;
}

static void
compile_with_items(Compiler *compiler, TaskSpec *task, const YamlNode *node)
{
	int			nitems = node == NULL ? 0 : node->kind == YAML_LIST ? node->nitems : 1;

	task->with_items = keep_zeroed(compiler, mul_size(nitems, sizeof(SpecWithItem)));
	for (int i = 0; i < nitems; i++)
	{
		const YamlNode *item = node->kind == YAML_LIST ? node->items[i] : node;
		char	   *var;
		YamlNode   *list;
		int			k;

		if (parse_with_item(item, &var, &list) != NULL)
			elog(ERROR, "stored definition is damaged: bad \"with-items\"");
		/* The last list of a variable counts, in the place of the first. */
		for (k = 0; k < task->nwith_items && strcmp(task->with_items[k].var, var) != 0; k++)
			;
		if (k == task->nwith_items)
			task->with_items[task->nwith_items++].var = keep_text(compiler, var);
		task->with_items[k].items = compile_data(compiler, list);
	}
}

static void
compile_requires(Compiler *compiler, TaskSpec *task, const TaskTable *table,
				 const YamlNode *own, const YamlNode *of_defaults)
{
	const YamlNode *lists[] = {own, of_defaults};
	bool	   *required = palloc0(table->ntasks * sizeof(bool));
	int			count = 0;

	for (int k = 0; k < lengthof(lists); k++)
	{
		int			nitems = lists[k] == NULL ? 0 : lists[k]->kind == YAML_LIST ? lists[k]->nitems : 1;

		for (int i = 0; i < nitems; i++)
		{
			const YamlNode *item = lists[k]->kind == YAML_LIST ? lists[k]->items[i] : lists[k];
			int			found = task_table_find(table, item->text);

			if (found < 0 || found == task->index || required[found])
				continue;
			required[found] = true;
			count++;
		}
	}
	task->requires = keep_zeroed(compiler, mul_size(count, sizeof(int)));
	for (int i = 0; i < table->ntasks; i++)
	{
		if (required[i])
			task->requires[task->nrequires++] = i;
	}
	pfree(required);
}
