/*
 * action_run.c
 *		Scheduling a task's action, and accepting its result.
 *
 * An ad-hoc action is a chain: each link turns its input into the input of the
 * action below it, down to a built-in one; results travel back up through the
 * links' `output`, innermost first.  The runtime of an action execution keeps
 * what is needed for that when the result arrives:
 *
 *		{"type": built-in name, "input": its input, "adhoc": [definition ids,
 *		outermost first], "target": whose pull workers have it, "delayed": true while a timer holds the
 *		result, "sent": the completion as it was sent}
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/ids.h"
#include "base/json.h"
#include "engine/adhoc.h"
#include "engine/history.h"
#include "engine/notify.h"
#include "engine/states.h"
#include "engine/workflow.h"
#include "guc.h"
#include "queue/message.h"

static void keep_sent(ActionExecution *action, State state, const Jsonb *result);
static bool action_name(Task *task, char **name, char **error);
static bool action_target(Task *task, const Jsonb *input, const Jsonb *items, char **target, char **error);
static void add_defaults(Task *task, Jsonb **input);
static void enqueue(ActionExecution *action, const AdhocChain *chain, int timeout);
static bool is_offered(ActionExecution *action);
static void collect(ActionExecution *action, List **ids);
static Jsonb *engine_headers(ActionExecution *action);
static bool too_large(const Jsonb *value);

bool
action_schedule(Task *task, Jsonb *input, const Jsonb *items, int item, char **error, bool *forced)
{
	ActionExecution *action;
	AdhocChain	chain;
	EvalPlace	place;
	char	   *name;
	char	   *target;
	int			timeout;

	*forced = true;
	if (!action_name(task, &name, error))
		return false;
	add_defaults(task, &input);
	task_place(&place, task);
	if (!adhoc_resolve(&place, name, input, &chain, error, forced))
		return false;
	*forced = true;
	if (!action_target(task, input, items, &target, error) || !adhoc_set_target(&chain, target, error) ||
		!policies_timeout(task, &timeout, error))
		return false;

	action = task_add_action(task, item);
	action->type = chain.type;
	action->name = MemoryContextStrdup(action->cxt, chain.name);
	json_ref_set(&action->input, json_keep(action->cxt, chain.given));
	json_ref_set(&action->runtime, json_keep(action->cxt, adhoc_runtime(&chain)));
	action->separate = ACTION_IS_ASYNC(chain.type) || item >= 0 || !JSON_REF_IS_NULL(&action->runtime);
	task_touch(task);
	history_action(action);
	enqueue(action, &chain, timeout);
	return true;
}

bool
action_input(Task *task, const Jsonb *items, Jsonb **input, char **error)
{
	const TaskSpec *spec = task_spec(task);
	EvalPlace	place;

	if (spec->input == NULL)
	{
		*input = json_empty();
		return true;
	}
	task_place(&place, task);
	place.items = items;
	if (!evaluate_data(&place, spec->input, input, error))
		return false;
	if (!json_is_object(*input))
	{
		*error = psprintf("the input of task \"%s\" must be an object", task->name);
		return false;
	}
	if (too_large(*input))
	{
		*error = psprintf("the input of task \"%s\" is larger than mistral.max_result_size (%d kB)",
						  task->name, guc_max_result_size);
		return false;
	}
	return true;
}

/* Runs an inline action, when its turn comes. */
void
action_run(ActionExecution *action)
{
	Tree	   *tree = action->task->execution->tree;
	Jsonb	   *runtime = json_ref_get(action->cxt, &action->runtime);
	Jsonb	   *input = json_get_jsonb(runtime, "input");
	ActionOutcome outcome = {0};
	Jsonb	   *result;

	action->queued = false;
	if (state_is_final(action->state) || action->type == NULL || action->type->run == NULL)
		return;
	action->type->run(input ? input : json_ref_get(action->cxt, &action->input), &outcome);
	if (outcome.delay_ms > 0 && !json_get_bool(runtime, "delayed", false))
	{
		JsonBuilder b = {0};

		json_begin_object(&b);
		json_add_key(&b, "delayed");
		json_add_bool(&b, true);
		json_add_key(&b, "type");
		json_add_string(&b, action->type->name);
		json_end_object(&b);
		action->separate = true;
		json_ref_set(&action->runtime, json_keep(action->cxt, json_merge(runtime, json_finish(&b))));
		row_touch(&action->change);
		tree_add_timer(tree, TIMER_ACTION, &action->id, outcome.delay_ms);
		return;
	}
	result = outcome.result ? json_keep(action->cxt, outcome.result) : NULL;
	action_finish(action, outcome.failed ? STATE_ERROR : STATE_SUCCESS, result);
}

/*
 * The action has ended, by whoever: applies the ad-hoc outputs, keeps the
 * result and completes the task.  What ended before stays as it is.  `result`
 * is in the tree's context or NULL.
 */
void
action_finish(ActionExecution *action, State state, Jsonb *result)
{
	Task	   *task = action->task;
	Tree	   *tree = task->execution->tree;
	EvalPlace	place;
	char	   *error = NULL;
	const char *info = NULL;

	if (state_is_final(action->state))
		return;
	task_place(&place, task);
	keep_sent(action, state, result);
	if (state == STATE_SUCCESS)
		(void) adhoc_apply_outputs(&place, json_ref_get(action->cxt, &action->runtime), &result, &error);
	if (error == NULL && too_large(result))
		error = psprintf("the result is larger than mistral.max_result_size (%d kB)", guc_max_result_size);
	if (error)
	{
		state = STATE_ERROR;
		result = json_from_string(error);
	}
	json_ref_set(&action->result, result ? json_keep(action->cxt, result) : NULL);
	/* Who ended it may not have been the event. */
	if (action->type && action->type->mode == ACTION_EVENT)
		collect(action, &tree->withdrawn);
	action_set_state(action, state);
	action->accepted = true;
	tree_cancel_timers(tree, &action->id);
	if (action->separate)
		notify_action(action);
	if (error)
	{
		task_force_fail(task, error);
		return;
	}
	if (task->spec >= 0 && task_spec(task)->nwith_items > 0)
	{
		with_items_ended(task, state);
		return;
	}
	if (state != STATE_SUCCESS && !json_is_null(result))
		info = json_to_text(result);
	task_complete(task, state, info);
}

/* What was sent, so that a repeated completion is known even after ad-hoc outputs have changed it. */
static void
keep_sent(ActionExecution *action, State state, const Jsonb *result)
{
	Jsonb	   *runtime = json_ref_get(action->cxt, &action->runtime);

	if (action->type && ACTION_IS_ASYNC(action->type) && json_get(runtime, "adhoc", strlen("adhoc")))
		json_ref_set(&action->runtime, json_keep(action->cxt, json_merge(runtime, json_pair("sent", message_action_result(state_name(state), result)))));
}

static bool
action_name(Task *task, char **name, char **error)
{
	const TaskSpec *spec = task_spec(task);
	EvalPlace	place;
	Jsonb	   *value;
	JsonbValue	v;

	*name = "std.noop";
	if (spec->action == NULL)
		return true;
	task_place(&place, task);
	if (!evaluate_template(&place, spec->action, &value, error))
		return false;
	if (JB_ROOT_IS_SCALAR(value) && JsonbExtractScalar(&value->root, &v))
	{
		if (v.type == jbvString)
		{
			if (v.val.string.len > 0)
				*name = json_value_cstring(&v);
			return true;
		}
		/* What is false in Python's sense means no action. */
		if (v.type == jbvNull || (v.type == jbvBool && !v.val.boolean))
			return true;
	}
	*error = psprintf("the action of task \"%s\" must be a name, not %s", task->name, json_to_text(value));
	return false;
}

/* Whose pull workers are to perform the action; NULL: the task does not say. */
static bool
action_target(Task *task, const Jsonb *input, const Jsonb *items, char **target, char **error)
{
	EvalPlace	place;
	Jsonb	   *value;
	JsonbValue	v;

	*target = NULL;
	if (task_spec(task)->target == NULL)
		return true;
	task_place(&place, task);
	place.first = input;
	place.items = items;
	if (!evaluate_template(&place, task_spec(task)->target, &value, error))
		return false;
	if (JB_ROOT_IS_SCALAR(value) && JsonbExtractScalar(&value->root, &v))
	{
		if (v.type == jbvNull)
			return true;
		if (v.type == jbvString)
		{
			if (v.val.string.len > 0)
				*target = json_value_cstring(&v);
			return true;
		}
	}
	*error = psprintf("the target of task \"%s\" must be a text, not %s", task->name, json_to_text(value));
	return false;
}

/*
 * The environment may give defaults for an action: env.__actions.<name as
 * written>.  Unlike env(), this is the execution's own environment: a
 * sub-workflow has none of its root's defaults, as in the original.
 */
static void
add_defaults(Task *task, Jsonb **input)
{
	Execution  *execution = task->execution;
	char	   *written = json_get_string(task_spec(task)->spec, "action");	/* perhaps with parameters */
	Jsonb	   *env = json_get_jsonb(json_ref_get(execution->cxt, &execution->params), "env");
	Jsonb	   *actions = json_is_object(env) ? json_get_jsonb(env, "__actions") : NULL;
	Jsonb	   *defaults;

	if (!json_is_object(actions) || written == NULL)
		return;
	defaults = json_get_jsonb(actions, pnstrdup(written, strcspn(written, " ")));
	if (json_is_object(defaults))
		*input = json_merge_deep(defaults, *input);
}

/* Hands the action to whoever performs it. */
static void
enqueue(ActionExecution *action, const AdhocChain *chain, int timeout)
{
	Tree	   *tree = action->task->execution->tree;
	const TaskSpec *spec = task_spec(action->task);
	MemoryContext old;
	DispatchRow *row;

	if (chain->type->mode == ACTION_INLINE)
	{
		action->queued = true;
		tree_queue(tree, WORK_ACTION, action);
		return;
	}
	if (chain->target)
		notify_target(tree, chain->target);
	else
		notify_action(action);
	if (chain->target == NULL && chain->type->mode == ACTION_WAIT)
		return;
	old = MemoryContextSwitchTo(tree->step_cxt);
	row = palloc0(sizeof(DispatchRow));
	row->action = action;
	row->base = pstrdup(chain->base);
	if (chain->target)
	{
		/* A worker that is lost is the rule rather than the exception: repeated unless that is ruled out. */
		row->target = pstrdup(chain->target);
		row->safe_rerun = spec->safe_rerun || !spec->safe_rerun_given;
	}
	else if (chain->type->mode == ACTION_EVENT)
	{
		row->waits = true;
		row->input = json_copy(chain->input);
	}
	else if (chain->type->mode != ACTION_ANSWER)
	{
		row->performer = action_performer(chain->type);
		row->input = json_copy(chain->input);
		row->headers = engine_headers(action);
		row->safe_rerun = spec->safe_rerun;
		row->timeout = timeout;
	}
	tree->dispatches = lappend(tree->dispatches, row);
	MemoryContextSwitchTo(old);
}

/* Whether the action, while it runs, is for pull workers or for people who are asked, or waits for an event. */
static bool
is_offered(ActionExecution *action)
{
	return (action->type && (action->type->mode == ACTION_ANSWER || action->type->mode == ACTION_EVENT)) ||
		json_get(json_ref_get(action->cxt, &action->runtime), "target", strlen("target")) != NULL;
}

void
task_collect_offered(Task *task, List **ids)
{
	ListCell   *lc;

	foreach(lc, task->actions)
	{
		ActionExecution *action = lfirst(lc);

		if (!state_is_final(action->state) && is_offered(action))
			collect(action, ids);
	}
}

static void
collect(ActionExecution *action, List **ids)
{
	MemoryContext old = MemoryContextSwitchTo(action->task->execution->tree->step_cxt);
	pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));

	*id = action->id;
	*ids = lappend(*ids, id);
	MemoryContextSwitchTo(old);
}

/* What the original tells the system that it asks. */
static Jsonb *
engine_headers(ActionExecution *action)
{
	Execution  *execution = action->task->execution;
	JsonBuilder b = {0};

	json_begin_object(&b);
	if (action->type->mode == ACTION_HTTP_WAIT)
	{
		json_add_key(&b, "Mistral-Workflow-Name");
		json_add_string(&b, execution->name);
		json_add_key(&b, "Mistral-Workflow-Execution-Id");
		json_add_id(&b, &execution->id);
		json_add_key(&b, "Mistral-Task-Id");
		json_add_id(&b, &action->task->id);
		json_add_key(&b, "Mistral-Action-Execution-Id");
		json_add_id(&b, &action->id);
		json_add_key(&b, "Mistral-Callback-URL");
		json_add_string(&b, psprintf("/v2/action_executions/%s", id_cstring(&action->id)));
	}
	json_end_object(&b);
	return json_finish(&b);
}

static bool
too_large(const Jsonb *value)
{
	return value != NULL && VARSIZE(value) > (Size) guc_max_result_size * 1024;
}
