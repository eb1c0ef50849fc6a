/*
 * spec_compile.c
 *		Definitions into the form that the engine runs: workflows, actions.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "dsl/compile.h"

static void compile_links(Compiler *compiler, WorkflowSpec *workflow, const TaskTable *table);
static Jsonb *workflow_as_stored(Compiler *compiler);

/* ---------------------------------------------------------------- the compiler */

void
compiler_begin(Compiler *compiler, const char *text, int len)
{
	YamlError	error;
	YamlNode   *root;

	compiler->result = CurrentMemoryContext;
	compiler->work = AllocSetContextCreate(CurrentMemoryContext, "mistral definition compiler", ALLOCSET_DEFAULT_SIZES);
	compiler->caller = MemoryContextSwitchTo(compiler->work);
	root = yaml_read(text, len, &error);
	if (root == NULL || root->kind != YAML_DICT || root->nitems != 1 || root->items[0]->kind != YAML_DICT)
		elog(ERROR, "stored definition is damaged: %s", root == NULL && error.line > 0 ? error.message : "no single entry");
	compiler->key = root->keys[0];
	compiler->definition = root->items[0];
}

void
compiler_end(Compiler *compiler)
{
	MemoryContextSwitchTo(compiler->caller);
	MemoryContextDelete(compiler->work);
}

void *
keep_zeroed(Compiler *compiler, Size size)
{
	return MemoryContextAllocZero(compiler->result, Max(size, 1));
}

char *
keep_text(Compiler *compiler, const char *text)
{
	return MemoryContextStrdup(compiler->result, text);
}

Jsonb *
keep_jsonb(Compiler *compiler, const YamlNode *node)
{
	Jsonb	   *jsonb = yaml_to_jsonb(node);
	Jsonb	   *copy = MemoryContextAlloc(compiler->result, VARSIZE(jsonb));

	memcpy(copy, jsonb, VARSIZE(jsonb));
	return copy;
}

List *
keep_tags(Compiler *compiler, const YamlNode *tags)
{
	MemoryContext work = MemoryContextSwitchTo(compiler->result);
	List	   *list = tags_list(tags);

	MemoryContextSwitchTo(work);
	return list;
}

ExprData *
compile_data(Compiler *compiler, const YamlNode *node)
{
	MemoryContext work;
	ExprData   *data;
	Jsonb	   *jsonb;

	if (node == NULL)
		return NULL;
	jsonb = yaml_to_jsonb(node);
	work = MemoryContextSwitchTo(compiler->result);
	data = expr_data_compile(jsonb);
	MemoryContextSwitchTo(work);
	return data;
}

ExprTemplate *
compile_template(Compiler *compiler, const YamlNode *node)
{
	if (node == NULL || node->kind != YAML_STRING)
		return NULL;
	return compile_text(compiler, node->text);
}

ExprTemplate *
compile_text(Compiler *compiler, const char *text)
{
	MemoryContext work = MemoryContextSwitchTo(compiler->result);
	ExprError	error = {0};
	ExprTemplate *tmpl = expr_template_compile(text, strlen(text), true, &error);

	MemoryContextSwitchTo(work);
	return tmpl;
}

const YamlNode *
merge_dicts(const YamlNode *dict, const YamlNode *over)
{
	YamlNode   *merged;

	check_stack_depth();
	if (over == NULL)
		return dict;
	if (dict == NULL || dict->kind != YAML_DICT)
		return over;
	merged = yaml_shallow_copy(dict);
	for (int i = 0; i < over->nitems; i++)
	{
		YamlNode   *old = yaml_get(merged, over->keys[i]->text, NULL);

		/* Two dicts grow together; anything else replaces. */
		if (old != NULL && old->kind == YAML_DICT && over->items[i]->kind == YAML_DICT)
			yaml_set(merged, over->keys[i], unconstify(YamlNode *, merge_dicts(old, over->items[i])));
		else
			yaml_set(merged, over->keys[i], over->items[i]);
	}
	return merged;
}

/* ---------------------------------------------------------------- workflows */

WorkflowSpec *
spec_compile_workflow(const char *text, int len)
{
	Compiler	compiler;
	TaskTable	table;
	WorkflowSpec *workflow;
	const YamlNode *definition;
	const YamlNode *defaults;

	compiler_begin(&compiler, text, len);
	definition = compiler.definition;
	defaults = yaml_get(definition, "task-defaults", NULL);
	workflow = keep_zeroed(&compiler, sizeof(WorkflowSpec));
	workflow->name = keep_text(&compiler, yaml_key_text(compiler.key));
	workflow->reverse = yaml_is(yaml_get(definition, "type", NULL), "reverse");
	workflow->nparams = compile_params(&compiler, yaml_get(definition, "input", NULL), &workflow->params);
	workflow->vars = compile_data(&compiler, yaml_get(definition, "vars", NULL));
	workflow->output = compile_data(&compiler, yaml_get(definition, "output", NULL));
	workflow->output_on_error = compile_data(&compiler, yaml_get(definition, "output-on-error", NULL));
	workflow->timeout = compile_data(&compiler, yaml_get(definition, "timeout", NULL));
	workflow->tags = keep_tags(&compiler, yaml_get(definition, "tags", NULL));
	workflow->spec = workflow_as_stored(&compiler);

	task_table_build(&table, yaml_get(definition, "tasks", NULL));
	workflow->ntasks = table.ntasks;
	workflow->tasks = keep_zeroed(&compiler, mul_size(table.ntasks, sizeof(TaskSpec)));
	for (int i = 0; i < table.ntasks; i++)
	{
		CHECK_FOR_INTERRUPTS();
		compile_task(&compiler, workflow, &table, i, defaults);
	}
	workflow->by_name = keep_zeroed(&compiler, mul_size(table.ntasks, sizeof(int)));
	for (int i = 0; i < table.ntasks; i++)
		workflow->by_name[i] = table.by_name[i].index;
	compile_links(&compiler, workflow, &table);
	compiler_end(&compiler);
	return workflow;
}

static Jsonb *
workflow_as_stored(Compiler *compiler)
{
	const YamlNode *definition = compiler->definition;
	YamlNode   *stored = yaml_shallow_copy(definition);
	YamlNode   *tasks = yaml_shallow_copy(yaml_get(definition, "tasks", NULL));
	bool		reverse = yaml_is(yaml_get(definition, "type", NULL), "reverse");

	for (int i = 0; i < tasks->nitems; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (tasks->items[i]->kind == YAML_DICT)
			tasks->items[i] = task_as_stored(tasks->items[i], yaml_key_text(tasks->keys[i]), reverse);
	}
	yaml_set(stored, yaml_make_string("tasks", 5, definition), tasks);
	yaml_set(stored, yaml_make_string("name", 4, definition),
			 yaml_make_string(yaml_key_text(compiler->key), strlen(yaml_key_text(compiler->key)), definition));
	yaml_set(stored, yaml_make_string("version", 7, definition), yaml_make_string("2.0", 3, definition));
	return keep_jsonb(compiler, stored);
}

/* Who leads to whom, once each; and the tasks that nobody leads to. */
static void
compile_links(Compiler *compiler, WorkflowSpec *workflow, const TaskTable *table)
{
	int		   *last_seen = palloc0(mul_size(Max(workflow->ntasks, 1), sizeof(int)));
	int			pass;
	int			i;

	/* First the counts, then the lists. */
	for (pass = 0; pass < 2; pass++)
	{
		memset(last_seen, 0, workflow->ntasks * sizeof(int));
		for (i = 0; i < workflow->ntasks; i++)
		{
			TaskSpec   *task = &workflow->tasks[i];
			SpecOnClause *clauses[] = {&task->on_success, &task->on_error, &task->on_complete, &task->on_skip};

			for (int k = 0; k < lengthof(clauses); k++)
			{
				for (int t = 0; t < clauses[k]->ntransitions; t++)
				{
					/* By name: a task that is named like a command has its inbound tasks, too. */
					int			found = task_table_find(table, clauses[k]->transitions[t].name);

					if (found < 0 || last_seen[found] == i + 1)
						continue;
					last_seen[found] = i + 1;
					if (pass == 1)
						workflow->tasks[found].inbound[workflow->tasks[found].ninbound] = i;
					workflow->tasks[found].ninbound++;
				}
			}
		}
		for (i = 0; pass == 0 && i < workflow->ntasks; i++)
		{
			TaskSpec   *task = &workflow->tasks[i];

			workflow->nstart += task->ninbound == 0;
			task->inbound = keep_zeroed(compiler, mul_size(task->ninbound, sizeof(int)));
			task->ninbound = 0;
		}
	}
	workflow->start = keep_zeroed(compiler, mul_size(workflow->nstart, sizeof(int)));
	workflow->nstart = 0;
	for (i = 0; i < workflow->ntasks; i++)
	{
		if (workflow->tasks[i].ninbound == 0)
			workflow->start[workflow->nstart++] = i;
	}
}

int
spec_task_index(const WorkflowSpec *workflow, const char *name)
{
	int			low = 0;
	int			high = workflow->ntasks;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;
		int			order = strcmp(workflow->tasks[workflow->by_name[middle]].name, name);

		if (order == 0)
			return workflow->by_name[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return -1;
}

/* ---------------------------------------------------------------- actions */

ActionSpec *
spec_compile_action(const char *text, int len)
{
	Compiler	compiler;
	ActionSpec *action;
	const YamlNode *output;
	char	   *base;
	YamlNode   *params = NULL;

	compiler_begin(&compiler, text, len);
	action = keep_zeroed(&compiler, sizeof(ActionSpec));
	action->name = keep_text(&compiler, yaml_key_text(compiler.key));
	if (!parse_command(yaml_get(compiler.definition, "base", NULL), &base, &params))
		elog(ERROR, "stored definition is damaged: no name in \"base\"");
	action->base = keep_text(&compiler, base);
	action->base_input = compile_data(&compiler, merge_dicts(yaml_get(compiler.definition, "base-input", NULL), params));
	action->nparams = compile_params(&compiler, yaml_get(compiler.definition, "input", NULL), &action->params);
	output = yaml_get(compiler.definition, "output", NULL);
	if (yaml_truth(output))
	{
		action->output = compile_data(&compiler, output);
		action->output_as_written = yaml_to_jsonb(output);
	}
	action->tags = keep_tags(&compiler, yaml_get(compiler.definition, "tags", NULL));
	compiler_end(&compiler);
	return action;
}
