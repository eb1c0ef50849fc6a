/*
 * task.c
 *		One task: run it, complete it.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/json.h"
#include "engine/context.h"
#include "engine/states.h"
#include "engine/workflow.h"
#include "guc.h"

static void run_new(Execution *execution, const Command *command, const TaskSpec *spec);
static void forget_results(Task *task);
static const SpecPublish *publish_of(const Task *task);
static bool evaluate_publish(const EvalPlace *place, const ExprData *part, Jsonb **result, char **error);
static void remember_next(Task *task, List *commands);
static void set_triggered_by(Task *task, int ordinal, const char *event);

/* What expressions of the task see. */
void
task_place(EvalPlace *place, Task *task)
{
	memset(place, 0, sizeof(*place));
	place->execution = task->execution;
	place->task = task;
	place->scope = task->scope;
}

void
task_run_command(Execution *execution, const Command *command)
{
	const TaskSpec *spec = &execution->workflow->tasks[command->spec];

	if (spec->join != JOIN_NONE)
		join_arrive(execution, command);
	else
		run_new(execution, command, spec);
}

static void
run_new(Execution *execution, const Command *command, const TaskSpec *spec)
{
	Task	   *task = execution_add_task(execution, command->spec);

	if (execution->workflow->reverse)
	{
		Jsonb	   *merged;

		scope_give(task, reverse_inbound(execution, command->spec, task->ordinal, &merged));
		json_ref_set(&task->merged, merged);
	}
	else if (command->from >= 0)
	{
		scope_give(task, scope_outbound(execution->tasks[command->from]));
		set_triggered_by(task, command->from, command->event);
	}
	task_set_state(task, STATE_RUNNING, NULL);
	task_begin(task);
}

/* The policies before a start, and the start unless they delay it. */
void
task_begin(Task *task)
{
	bool		delayed = false;
	char	   *error;

	if (!policies_before(task, &delayed, &error))
		task_force_fail(task, error);
	else if (!delayed)
		task_start(task);
}

void
task_start(Task *task)
{
	char	   *error = NULL;
	bool		forced = true;
	bool		scheduled;
	Jsonb	   *input;

	if (task_spec(task)->nwith_items > 0)
		scheduled = with_items_schedule(task, &error, &forced);
	else if (!action_input(task, NULL, &input, &error))
		scheduled = false;
	else if (task->is_workflow)
		scheduled = subworkflow_schedule(task, input, -1, &error, &forced);
	else
		scheduled = action_schedule(task, input, NULL, -1, &error, &forced);
	if (scheduled)
		return;
	if (forced)
		task_force_fail(task, error);
	else
		task_complete(task, STATE_ERROR, error);
}

/* wait-before, a retry's delay, or a join's condition is over. */
void
task_continue(Task *task)
{
	task_set_state(task, STATE_RUNNING, NULL);
	task->processed = false;
	if (task_spec(task)->nwith_items > 0 && !task->partial)
		with_items_reset(task);
	task_start(task);
}

void
task_complete(Task *task, State state, const char *info)
{
	char	   *error;

	if (state_is_final(task->state))
		return;
	/* A timeout or an earlier try's action may end it within a delay: that delay's timer is not the next one's. */
	if (task->state == STATE_DELAYED)
		tree_cancel_delay(task->execution->tree, &task->id);
	task_set_state(task, state, info);
	if (!task_publish(task, &error))
	{
		task_force_fail(task, error);
		return;
	}
	if (!task_spec(task)->keep_result)
		forget_results(task);
	if (!policies_after(task, &error))
	{
		task_force_fail(task, error);
		return;
	}
	/* Delayed by wait-after, or to be tried again. */
	if (state_is_final(task->state))
		task_ended(task);
}

/* Finds what follows from the task's final state, and carries it out. */
void
task_ended(Task *task)
{
	Execution  *execution = task->execution;
	List	   *commands;
	bool		handles_error;
	char	   *error;

	tree_cancel_timers(execution->tree, &task->id);
	task_collect_offered(task, &execution->tree->withdrawn);
	if (!direct_next_commands(task, &commands, &handles_error, &error))
	{
		task_force_fail(task, error);
		return;
	}
	remember_next(task, commands);
	if (task->state == STATE_ERROR)
		task_set_error_handled(task, handles_error);

	/* A paused execution looks at the task again when it is resumed. */
	if (execution->state == STATE_PAUSED)
		return;
	task->processed = true;
	direct_dispatch(execution, commands);
	if (!state_is_final(execution->state))
		join_task_completed(task);
	execution_check(execution);
}

/* The task was told not to keep them. */
static void
forget_results(Task *task)
{
	ListCell   *lc;

	foreach(lc, task->actions)
	{
		ActionExecution *action = lfirst(lc);

		json_ref_set(&action->result, NULL);
		row_touch(&action->change);
	}
	tree_revoke(task, false, true);
	task_touch(task);
}

/* Another try begins: what the actions have given, or (failed_only) those that failed, does not count any more. */
void
task_revoke_results(Task *task, bool failed_only)
{
	ListCell   *lc;

	foreach(lc, task->actions)
	{
		ActionExecution *action = lfirst(lc);

		if (failed_only && action->state != STATE_ERROR && action->state != STATE_CANCELLED)
			continue;
		action->accepted = false;
		row_touch(&action->change);
	}
	tree_revoke(task, failed_only, false);
	task_touch(task);
}

void
task_force_fail(Task *task, const char *message)
{
	task_set_state(task, STATE_ERROR, message);
	tree_cancel_timers(task->execution->tree, &task->id);
	task_collect_offered(task, &task->execution->tree->withdrawn);
	execution_force_fail(task->execution, message);
}

static const SpecPublish *
publish_of(const Task *task)
{
	const TaskSpec *spec = task_spec(task);

	switch (task->state)
	{
		case STATE_SUCCESS:
			return &spec->publish;
		case STATE_ERROR:
			return &spec->publish_on_error;
		case STATE_SKIPPED:
			return &spec->publish_on_skip;
		default:
			return NULL;
	}
}

/* One part, branch or global; NULL when there is none. */
static bool
evaluate_publish(const EvalPlace *place, const ExprData *part, Jsonb **result, char **error)
{
	*result = NULL;
	if (part == NULL)
		return true;
	if (!evaluate_data(place, part, result, error))
		return false;
	if (VARSIZE(*result) > (Size) guc_max_result_size * 1024)
	{
		*error = psprintf("the published variables are larger than mistral.max_result_size (%d kB)", guc_max_result_size);
		return false;
	}
	return true;
}

/* Evaluates what is published in the task's state; each try publishes anew. */
bool
task_publish(Task *task, char **error)
{
	Execution  *execution = task->execution;
	const SpecPublish *publish = publish_of(task);
	Jsonb	   *published;
	Jsonb	   *globals;
	EvalPlace	place;

	if (publish == NULL || !publish->present)
		return true;
	task_place(&place, task);
	if (!evaluate_publish(&place, publish->branch, &published, error))
		return false;
	json_ref_set(&task->published, published ? json_keep(task->cxt, published) : NULL);
	task_touch(task);
	if (!evaluate_publish(&place, publish->global, &globals, error))
		return false;
	if (globals)
	{
		Jsonb	   *old = json_ref_get(execution->cxt, &execution->globals);

		json_ref_set(&execution->globals, json_keep(execution->cxt, old ? json_merge_deep(old, globals) : globals));
		row_touch(&execution->change);
	}
	return true;
}

/* Keeps the names of the tasks that follow: joins and the final context ask for them. */
static void
remember_next(Task *task, List *commands)
{
	ListCell   *lc;

	task->nnext_tasks = 0;
	task->next_tasks = MemoryContextAlloc(task->cxt, sizeof(NextTask) * (list_length(commands) + 1));
	foreach(lc, commands)
	{
		Command    *command = lfirst(lc);

		if (command->kind != COMMAND_TASK)
			continue;
		task->next_tasks[task->nnext_tasks].spec = command->spec;
		task->next_tasks[task->nnext_tasks].event = command->event;
		task->nnext_tasks++;
	}
	task->has_next_tasks = task->nnext_tasks > 0;
	task_touch(task);
}

static void
set_triggered_by(Task *task, int ordinal, const char *event)
{
	task->triggered_by = MemoryContextAlloc(task->cxt, sizeof(TriggeredBy));
	task->triggered_by[0].ordinal = ordinal;
	task->triggered_by[0].event = event;
	task->ntriggered_by = 1;
}
