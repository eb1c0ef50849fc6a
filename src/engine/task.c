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
static void defer_join(Execution *execution, const Command *command);
static bool publish(Task *task, char **error);
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
		defer_join(execution, command);
	else
		run_new(execution, command, spec);
}

static void
run_new(Execution *execution, const Command *command, const TaskSpec *spec)
{
	Task	   *task = execution_add_task(execution, command->spec);
	bool		delayed = false;
	char	   *error;

	if (command->from >= 0)
	{
		task->scope = scope_outbound(execution->tasks[command->from]);
		set_triggered_by(task, command->from, command->event);
	}
	task_set_state(task, STATE_RUNNING, NULL);
	if (!policies_before(task, &delayed, &error))
	{
		task_force_fail(task, error);
		return;
	}
	if (!delayed)
		task_start(task);
}

/*
 * A join has one row: created waiting when the first branch arrives, put back
 * to waiting when another arrives after it has run.
 */
static void
defer_join(Execution *execution, const Command *command)
{
	int			last = execution->last[command->spec];
	Task	   *task = last >= 0 ? execution->tasks[last] : NULL;

	if (task == NULL)
	{
		task = execution_add_task(execution, command->spec);
		/* What it sees should it fail without ever running. */
		if (command->from >= 0)
			task->scope = scope_outbound(execution->tasks[command->from]);
	}
	if (task->state != STATE_WAITING)
		task_set_state(task, STATE_WAITING, "Task is waiting.");
}

void
task_start(Task *task)
{
	char	   *error = NULL;
	bool		forced = true;
	bool		scheduled;

	scheduled = task->is_workflow
		? subworkflow_schedule(task, &error, &forced)
		: action_schedule(task, &error, &forced);
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
	task_start(task);
}

void
task_complete(Task *task, State state, const char *info)
{
	Execution  *execution = task->execution;
	List	   *commands;
	bool		handles_error;
	char	   *error;

	if (state_is_final(task->state))
		return;
	/* A timeout or an earlier try's action may end it within a delay: that delay's timer is not the next one's. */
	if (task->state == STATE_DELAYED)
		tree_cancel_delay(execution->tree, &task->id);
	task_set_state(task, state, info);
	if (!publish(task, &error) || !policies_after(task, &error))
	{
		task_force_fail(task, error);
		return;
	}
	/* Delayed by wait-after, or to be tried again. */
	if (!state_is_final(task->state))
		return;
	tree_cancel_timers(execution->tree, &task->id);
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

void
task_force_fail(Task *task, const char *message)
{
	task_set_state(task, STATE_ERROR, message);
	tree_cancel_timers(task->execution->tree, &task->id);
	execution_force_fail(task->execution, message);
}

/* Evaluates the publish clauses for the task's state; each try publishes anew. */
static bool
publish(Task *task, char **error)
{
	const TaskSpec *spec = task_spec(task);
	const ExprData *clauses[2];
	Tree	   *tree = task->execution->tree;
	Jsonb	   *published = NULL;
	EvalPlace	place;
	int			i;

	if (task->state != STATE_SUCCESS && task->state != STATE_ERROR)
		return true;
	/* Later clauses overwrite earlier ones: on-complete beats publish beats on-success. */
	clauses[0] = task->state == STATE_SUCCESS ? spec->on_success.publish.branch : spec->on_error.publish.branch;
	clauses[1] = task->state == STATE_SUCCESS ? spec->publish : spec->publish_on_error;
	task_place(&place, task);
	for (i = 0; i < 2; i++)
	{
		Jsonb	   *value;

		if (clauses[i] == NULL)
			continue;
		if (!evaluate_data(&place, clauses[i], &value, error))
			return false;
		published = published ? json_merge(published, value) : value;
	}
	if (published == NULL)
		return true;
	if (VARSIZE(published) > (Size) guc_max_result_size * 1024)
	{
		*error = psprintf("the published variables are larger than mistral.max_result_size (%d kB)", guc_max_result_size);
		return false;
	}
	json_ref_set(&task->published, tree_keep(tree, published));
	row_touch(&task->change);
	return true;
}

/* Keeps the names of the tasks that follow: joins and the final context ask for them. */
static void
remember_next(Task *task, List *commands)
{
	ListCell   *lc;

	task->nnext_tasks = 0;
	task->next_tasks = MemoryContextAlloc(task->execution->tree->cxt, sizeof(NextTask) * (list_length(commands) + 1));
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
	row_touch(&task->change);
}

static void
set_triggered_by(Task *task, int ordinal, const char *event)
{
	task->triggered_by = MemoryContextAlloc(task->execution->tree->cxt, sizeof(TriggeredBy));
	task->triggered_by[0].ordinal = ordinal;
	task->triggered_by[0].event = event;
	task->ntriggered_by = 1;
}
