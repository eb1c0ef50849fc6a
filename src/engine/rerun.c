/*
 * rerun.c
 *		Tasks that run again, or are skipped, after their workflow has ended.
 */
#include "postgres.h"

#include "base/ids.h"
#include "engine/context.h"
#include "engine/states.h"
#include "engine/workflow.h"

static void reopen(Execution *execution);

void
task_reopen(Task *task)
{
	Execution  *execution = task->execution;

	for (;;)
	{
		if (state_is_final(execution->state))
			reopen(execution);
		if (execution->parent_task == NULL)
			break;
		task_set_state(execution->parent_task, STATE_RUNNING, NULL);
		execution->parent_task->processed = false;
		if (execution->parent_task->error_handled)
			task_set_error_handled(execution->parent_task, false);
		execution = execution->parent_task->execution;
	}
}

/* With all of its time once more. */
static void
reopen(Execution *execution)
{
	char	   *error;

	execution_set_state(execution, STATE_RUNNING, NULL);
	execution_collect_offered(execution, &execution->tree->released);
	if (!execution_start_timeout(execution, &error))
		ereport(ERROR,
				(errcode(ERRCODE_MISTRAL_EXPRESSION),
				 errmsg("execution %s cannot be run again", id_cstring(&execution->id)),
				 errdetail("%s.", error)));
}

void
task_rerun(Task *task, bool reset)
{
	bool		items = task_spec(task)->nwith_items > 0;

	if (task->state != STATE_ERROR && task->state != STATE_CANCELLED)
		return;
	task->retry_no = 0;
	task->waited_before = task->waited_after = false;
	task->processed = false;
	if (task->error_handled)
		task_set_error_handled(task, false);
	task_revoke_results(task, items && !reset);
	if (items && !reset)
		with_items_reset_failed(task);
	else if (items)
		with_items_reset(task);
	else
		task->subs_from = task->nsubs;

	if (task_spec(task)->join != JOIN_NONE)
	{
		task_set_state(task, STATE_WAITING, "Task is waiting.");
		tree_queue_join(task->execution->tree, task);
		return;
	}
	task_set_state(task, STATE_RUNNING, NULL);
	task->started_at = task->updated_at;
	task_begin(task);
}

void
task_skip(Task *task)
{
	char	   *error;

	if (task->state != STATE_ERROR)
		return;
	task_set_state(task, STATE_SKIPPED, NULL);
	if (!task_publish(task, &error))
	{
		task_force_fail(task, error);
		return;
	}
	task_ended(task);
}
