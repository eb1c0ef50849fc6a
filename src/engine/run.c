/*
 * run.c
 *		Running a tree in memory: what a message does, and the queue that
 *		follows from it.
 *
 * The queue is first in, first out: all commands of one completion are carried
 * out before the next completion is looked at.  Joins are looked at when the
 * queue is empty.  What is left at the end of a slice can be told from the rows
 * alone (tree_requeue), so that another process may go on.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/lock.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "base/ids.h"
#include "base/json.h"
#include "engine/definitions.h"
#include "engine/engine.h"
#include "engine/notify.h"
#include "engine/run.h"
#include "engine/states.h"
#include "engine/workflow.h"
#include "queue/message.h"

/* A slice of one tree: pieces of work, and milliseconds. */
#define SLICE_WORK 1000
#define SLICE_MS 20.0

/*
 * The same as long as nobody waits for its end: what a slice leaves under way is
 * written now and once more when it has ended.
 */
#define LONG_SLICE_WORK 50000
#define LONG_SLICE_MS 500.0

/* Pieces of work, between two looks at whether somebody waits. */
#define PATIENCE_WORK 16

others_wait_hook_type others_wait_hook = NULL;

static bool slice_is_over(int done, double ms, bool alone);
static bool somebody_waits(void);
static void apply_start(Tree *tree);
static void apply_action(Tree *tree, const TreeEvent *event);
static void apply_resume(Tree *tree, const TreeEvent *event);
static void apply_rerun(Tree *tree, const TreeEvent *event);
static void apply_stopped(Tree *tree, const TreeEvent *event);
static void apply_task_timer(Tree *tree, const TreeEvent *event);
static void apply_action_timer(Tree *tree, const TreeEvent *event);
static void apply_workflow_timer(Tree *tree, const TreeEvent *event);
static void forget_done(Tree *tree);
static void do_work(Work *work);
static void cancel_timers(Tree *tree, const pg_uuid_t *target, const char *except, List **stored);

void
tree_attach(Tree *tree)
{
	ListCell   *lc;

	foreach(lc, tree->executions)
	{
		Execution  *execution = lfirst(lc);
		const Definition *definition = definition_by_id(&execution->definition_id);

		if (definition == NULL && !state_is_final(execution->state))
			ereport(ERROR,
					(errcode(ERRCODE_MISTRAL_UNDEFINED),
					 errmsg("the definition of workflow \"%s\" is missing", execution->name)));
		execution_attach(execution, definition);
	}
}

void
tree_apply(Tree *tree, const TreeEvent *event)
{
	if (strcmp(event->kind, MESSAGE_START) == 0)
		apply_start(tree);
	else if (strcmp(event->kind, MESSAGE_ACTION) == 0)
		apply_action(tree, event);
	else if (strcmp(event->kind, MESSAGE_RESUME) == 0)
		apply_resume(tree, event);
	else if (strcmp(event->kind, MESSAGE_RERUN) == 0 || strcmp(event->kind, MESSAGE_SKIP) == 0)
		apply_rerun(tree, event);
	else if (strcmp(event->kind, MESSAGE_STOPPED) == 0)
		apply_stopped(tree, event);
	else if (strcmp(event->kind, MESSAGE_CONTINUE) == 0)
		;						/* the queue says what is left */
	else if (strcmp(event->kind, TIMER_ACTION) == 0)
		apply_action_timer(tree, event);
	else if (strcmp(event->kind, TIMER_WORKFLOW) == 0)
		apply_workflow_timer(tree, event);
	else
		apply_task_timer(tree, event);
}

bool
tree_run(Tree *tree, bool alone)
{
	MemoryContext slice = AllocSetContextCreate(CurrentMemoryContext, "mistral slice", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(slice);
	instr_time	start;
	instr_time	now;
	int			done = 0;

	INSTR_TIME_SET_CURRENT(start);
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (tree->next_work < list_length(tree->work))
			do_work(list_nth(tree->work, tree->next_work++));
		else if (tree->joins != NIL)
		{
			Task	   *join = linitial(tree->joins);

			tree->joins = list_delete_first(tree->joins);
			join->queued = false;
			join_refresh(join);
		}
		else
			break;
		/* One expression may take long: look after each piece. */
		INSTR_TIME_SET_CURRENT(now);
		INSTR_TIME_SUBTRACT(now, start);
		if (slice_is_over(++done, INSTR_TIME_GET_MILLISEC(now), alone))
			break;
		if (done % 16 == 0)
			MemoryContextReset(slice);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(slice);

	forget_done(tree);
	return tree->work != NIL || tree->joins != NIL;
}

static bool
slice_is_over(int done, double ms, bool alone)
{
	if (done < SLICE_WORK && ms <= SLICE_MS)
		return false;
	if (!alone || done >= LONG_SLICE_WORK || ms > LONG_SLICE_MS)
		return true;
	return done % PATIENCE_WORK == 0 && somebody_waits();
}

/* For another tree's turn, or for this transaction: to stop or pause what it runs, say. */
static bool
somebody_waits(void)
{
	TransactionId xid = GetTopTransactionIdIfAny();
	LOCKTAG		tag;

	if (others_wait_hook == NULL || others_wait_hook() || !TransactionIdIsValid(xid))
		return true;
	SET_LOCKTAG_TRANSACTION(tag, xid);
	return LockHasWaiters(&tag, ExclusiveLock, false);
}

/* The pieces of work that are done. */
static void
forget_done(Tree *tree)
{
	MemoryContext old = MemoryContextSwitchTo(tree->cxt);
	List	   *left = list_copy_tail(tree->work, tree->next_work);
	int			i;

	for (i = 0; i < tree->next_work; i++)
		pfree(list_nth(tree->work, i));
	list_free(tree->work);
	tree->work = left;
	tree->next_work = 0;
	MemoryContextSwitchTo(old);
}

void
tree_requeue(Tree *tree)
{
	ListCell   *lc;

	foreach(lc, tree->executions)
	{
		Execution  *execution = lfirst(lc);
		int			i;

		if (execution->parent_task && execution->state == STATE_RUNNING && execution->ntasks == 0)
			tree_queue(tree, WORK_SUB_START, execution);
		if (execution->parent_task && state_is_final(execution->state) && !execution->told)
			tree_queue(tree, WORK_SUB_DONE, execution);
		for (i = 0; i < execution->ntasks; i++)
		{
			Task	   *task = execution->tasks[i];
			ListCell   *la;

			if (task == NULL)
				continue;
			if (task->state == STATE_WAITING && task->retry_no == 0)
				tree_queue_join(tree, task);
			with_items_requeue(task);
			foreach(la, task->actions)
			{
				ActionExecution *action = lfirst(la);

				if (action->state == STATE_RUNNING && action->type && !ACTION_IS_ASYNC(action->type) &&
					!json_get_bool(json_ref_get(action->cxt, &action->runtime), "delayed", false))
				{
					action->queued = true;
					tree_queue(tree, WORK_ACTION, action);
				}
			}
		}
	}
}

static void
do_work(Work *work)
{
	switch (work->kind)
	{
		case WORK_ACTION:
			action_run(work->object);
			break;
		case WORK_ITEMS:
			with_items_continue(work->object);
			break;
		case WORK_SUB_START:
			if (((Execution *) work->object)->ntasks == 0)
				execution_run(work->object);
			break;
		case WORK_SUB_DONE:
			subworkflow_done(work->object);
			break;
	}
}

/* ---------------------------------------------------------------- events */

static void
apply_start(Tree *tree)
{
	Execution  *root = tree->root;

	if (root->state == STATE_IDLE)
		execution_set_state(root, STATE_RUNNING, NULL);
	if (root->ntasks == 0 && (root->state == STATE_RUNNING || root->state == STATE_PAUSED))
		execution_run(root);
}

static void
apply_action(Tree *tree, const TreeEvent *event)
{
	ActionExecution *action = tree_find_action(tree, &event->target);
	char	   *name = json_get_string(event->payload, "state");
	State		state;
	Jsonb	   *result;

	if (action == NULL || name == NULL || !state_parse(name, &state) || !state_is_final(state))
		return;
	result = json_get_jsonb(event->payload, "result");
	action_finish(action, state, result ? json_keep(action->cxt, result) : NULL);
}

/* Sub-executions go on before what they belong to. */
static void
apply_resume(Tree *tree, const TreeEvent *event)
{
	int			i;

	for (i = list_length(tree->executions) - 1; i >= 0; i--)
	{
		Execution  *execution = list_nth(tree->executions, i);

		if (event->has_target && id_equal(&execution->id, &event->target))
			notify_execution(execution);
		execution_continue(execution);
	}
}

static void
apply_rerun(Tree *tree, const TreeEvent *event)
{
	Task	   *task = event->has_target ? tree_find_task(tree, &event->target) : NULL;

	if (task == NULL)
		return;
	notify_execution(task->execution);
	if (strcmp(event->kind, MESSAGE_SKIP) == 0)
		task_skip(task);
	else
		task_rerun(task, json_get_bool(event->payload, "reset", true));
}

/* A session has stopped or paused an execution: tell who listens; its task is in the queue. */
static void
apply_stopped(Tree *tree, const TreeEvent *event)
{
	Execution  *execution = event->has_target ? tree_find_execution(tree, &event->target) : NULL;

	if (execution == NULL)
		return;
	notify_execution(execution);
	if (state_is_final(execution->state))
		tree->ended |= ENDED_BIT(&execution->id);
}

static void
apply_task_timer(Tree *tree, const TreeEvent *event)
{
	Task	   *task = tree_find_task(tree, &event->target);

	if (task == NULL || state_is_final(task->state))
		return;
	if (strcmp(event->kind, TIMER_TIMEOUT) == 0)
	{
		int			seconds = 0;
		char	   *error;

		(void) policies_timeout(task, &seconds, &error);
		task_complete(task, STATE_ERROR, psprintf("Task timed out [timeout(s)=%d].", seconds));
	}
	else if (strcmp(event->kind, TIMER_JOIN) == 0)
		tree_queue_join(tree, task);
	else if (task->state != STATE_DELAYED)
		;						/* somebody else has moved it meanwhile */
	else if (strcmp(event->kind, TIMER_WAIT_AFTER) == 0)
		task_complete(task, task->end_state, task->end_info);
	else if (!state_is_final(task->execution->state))
		task_continue(task);
}

static void
apply_action_timer(Tree *tree, const TreeEvent *event)
{
	ActionExecution *action = tree_find_action(tree, &event->target);

	if (action != NULL)
		action_run(action);
}

static void
apply_workflow_timer(Tree *tree, const TreeEvent *event)
{
	Execution  *execution = tree_find_execution(tree, &event->target);

	if (execution != NULL)
		execution_time_out(execution);
}

/* ---------------------------------------------------------------- timers */

void
tree_add_timer(Tree *tree, const char *kind, const pg_uuid_t *target, int64 delay_ms)
{
	MemoryContext old = MemoryContextSwitchTo(tree->step_cxt);
	TimerRow   *timer = palloc(sizeof(TimerRow));

	id_new(&timer->id);
	timer->due_at = TimestampTzPlusMilliseconds(clock_timers(), delay_ms);
	timer->kind = kind;
	timer->target_id = *target;
	tree->timers = lappend(tree->timers, timer);
	MemoryContextSwitchTo(old);
}

void
tree_cancel_timers(Tree *tree, const pg_uuid_t *target)
{
	cancel_timers(tree, target, NULL, &tree->cancelled);
}

void
tree_cancel_delay(Tree *tree, const pg_uuid_t *target)
{
	cancel_timers(tree, target, TIMER_TIMEOUT, &tree->undelayed);
}

/* All timers of the target but those of the kind `except`. */
static void
cancel_timers(Tree *tree, const pg_uuid_t *target, const char *except, List **stored)
{
	ListCell   *lc;
	MemoryContext old;
	pg_uuid_t  *copy;

	/* Those of this step are not written yet. */
	foreach(lc, tree->timers)
	{
		TimerRow   *timer = lfirst(lc);

		if (id_equal(&timer->target_id, target) && (except == NULL || strcmp(timer->kind, except) != 0))
			tree->timers = foreach_delete_current(tree->timers, lc);
	}
	if (!tree->has_timers)
		return;
	old = MemoryContextSwitchTo(tree->step_cxt);
	copy = palloc(sizeof(pg_uuid_t));
	*copy = *target;
	*stored = lappend(*stored, copy);
	MemoryContextSwitchTo(old);
}
