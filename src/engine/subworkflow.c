/*
 * subworkflow.c
 *		Tasks that are workflows: starting the child, taking its end back.
 */
#include "postgres.h"

#include "base/ids.h"
#include "base/json.h"
#include "engine/definitions.h"
#include "engine/states.h"
#include "engine/workflow.h"

/* Sub-workflows within each other; deeper is taken for a workflow that starts itself. */
#define MAX_DEPTH 1000

typedef struct InputSplit
{
	const WorkflowSpec *workflow;
	JsonBuilder input;
	JsonBuilder params;
} InputSplit;

static bool workflow_name(Task *task, char **name, char **error);
static void split_member(void *arg, const char *key, int len, const JsonbValue *value);
static int	depth_of(Execution *execution);

/*
 * Starts the child.  An error here is the task's (on-error applies), except
 * that an expression which cannot be evaluated is forced.
 */
bool
subworkflow_schedule(Task *task, Jsonb *input, int item, char **error, bool *forced)
{
	Execution  *parent = task->execution;
	Tree	   *tree = parent->tree;
	const Definition *definition;
	ExecutionStart start = {0};
	InputSplit	split;
	Execution  *child;
	Jsonb	   *notify;
	char	   *name;

	*forced = true;
	if (!workflow_name(task, &name, error))
		return false;
	*forced = false;
	definition = definition_find(SPEC_WORKFLOW, name, parent->namespace_, true, parent->workbook, parent->owner);
	if (definition == NULL)
	{
		*error = psprintf("workflow \"%s\" does not exist", name);
		return false;
	}
	if (depth_of(parent) >= MAX_DEPTH)
	{
		*error = psprintf("sub-workflows are more than %d deep", MAX_DEPTH);
		return false;
	}

	/* What the child does not declare becomes a parameter of its start. */
	memset(&split, 0, sizeof(split));
	split.workflow = definition->workflow;
	json_begin_object(&split.input);
	json_begin_object(&split.params);
	notify = json_get_jsonb(json_ref_get(parent->cxt, &parent->params), "notify");
	if (notify)
	{
		/* Who is told of the parent is told of the child, unless the task says otherwise. */
		json_add_key(&split.params, "notify");
		json_add_jsonb(&split.params, notify);
	}
	json_members(input, split_member, &split);
	if (json_get(input, "env", strlen("env")) == NULL)
	{
		json_add_key(&split.params, "env");
		json_add_jsonb(&split.params, json_empty());
	}
	json_add_key(&split.params, "task_execution_id");
	json_add_id(&split.params, &task->id);
	json_add_key(&split.params, "root_execution_id");
	json_add_id(&split.params, &tree->root_id);
	json_add_key(&split.params, "index");
	json_add_int(&split.params, Max(item, 0));
	json_add_key(&split.params, "namespace");
	json_add_string(&split.params, parent->namespace_);
	json_end_object(&split.input);
	json_end_object(&split.params);

	start.input = json_finish(&split.input);
	start.params = json_finish(&split.params);
	start.description = "sub-workflow execution";
	start.namespace_ = parent->namespace_;
	start.owner = parent->owner;
	child = execution_create(tree, task, definition, &start, error);
	if (child == NULL)
		return false;
	tree_queue(tree, WORK_SUB_START, child);
	return true;
}

/* The child has ended: so does its task. */
void
subworkflow_done(Execution *sub)
{
	Task	   *task = sub->parent_task;
	Jsonb	   *output;
	char	   *info;

	if (state_is_final(sub->state))
	{
		sub->told = true;
		row_touch(&sub->change);
	}
	/* An earlier try's child does not count. */
	if (task == NULL || !state_is_final(sub->state) || sub->ordinal < task->subs_from)
		return;
	if (task_spec(task)->nwith_items > 0)
	{
		with_items_ended(task, sub->state);
		return;
	}
	if (sub->ordinal != task->nsubs - 1)
		return;
	if (sub->state == STATE_SUCCESS)
	{
		task_complete(task, STATE_SUCCESS, NULL);
		return;
	}
	output = json_ref_get(sub->cxt, &sub->output);
	if (sub->state_info && sub->state_info[0])
		info = json_to_text(json_get_jsonb(output, "result"));
	else
		info = psprintf("%s subworkflow [execution_id=%s]",
						sub->state == STATE_ERROR ? "Failed" : "Cancelled", id_cstring(&sub->id));
	task_complete(task, sub->state, info);
}

static bool
workflow_name(Task *task, char **name, char **error)
{
	EvalPlace	place;
	Jsonb	   *value;
	JsonbValue	v;

	task_place(&place, task);
	if (!evaluate_template(&place, task_spec(task)->workflow, &value, error))
		return false;
	if (!JB_ROOT_IS_SCALAR(value) || !JsonbExtractScalar(&value->root, &v) || v.type != jbvString)
	{
		*error = psprintf("the workflow of task \"%s\" must be a name, not %s", task->name, json_to_text(value));
		return false;
	}
	*name = json_value_cstring(&v);
	return true;
}

static void
split_member(void *arg, const char *key, int len, const JsonbValue *value)
{
	InputSplit *split = arg;
	JsonBuilder *b = &split->params;
	int			i;

	for (i = 0; i < split->workflow->nparams; i++)
	{
		const char *name = split->workflow->params[i].name;

		if ((int) strlen(name) == len && memcmp(name, key, len) == 0)
			b = &split->input;
	}
	json_add_key(b, pnstrdup(key, len));
	json_add_value(b, value);
}

static int
depth_of(Execution *execution)
{
	int			depth = 0;

	while (execution->parent_task)
	{
		execution = execution->parent_task->execution;
		depth++;
	}
	return depth;
}
