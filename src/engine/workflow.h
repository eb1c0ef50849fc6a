/*
 * workflow.h
 *		The state machines' doors to each other, one group for each file.
 *
 * All work on a tree in memory; nothing here reads or writes tables, except
 * that names are resolved through definitions.h.
 */
#ifndef MISTRAL_WORKFLOW_H
#define MISTRAL_WORKFLOW_H

#include "engine/evaluate.h"
#include "engine/tree.h"

/* ---- execution.c: create, start, pause, resume, stop, complete ---- */

/* What an execution starts with; jsonb values are copied into the tree. */
typedef struct ExecutionStart
{
	const Jsonb *input;
	const Jsonb *params;
	const char *description;
	const char *namespace_;		/* where names below are looked for */
	Oid			owner;
} ExecutionStart;

struct Definition;

/*
 * Creates an execution of the definition in the tree (a root IDLE, a
 * sub-workflow RUNNING) with its input completed by defaults and its vars evaluated.  Returns NULL and *error when
 * input is missing or unexpected (sub-workflows: what is unexpected must have
 * been moved to params) or an expression of vars fails.
 */
extern Execution *execution_create(Tree *tree, Task *parent, const struct Definition *definition,
								   const ExecutionStart *start, char **error);

/* Ties an execution to its compiled definition (NULL: it is gone), for the time of a step. */
extern void execution_attach(Execution *execution, const struct Definition *definition);

/* Dispatches the tasks that nothing leads to. */
extern void execution_run(Execution *execution);

/* Completes the execution when no task of it is incomplete. */
extern void execution_check(Execution *execution);

extern void execution_pause(Execution *execution, const char *message);
extern void execution_resume(Execution *execution);

/* After a resume: dispatches what the pause kept back. */
extern void execution_continue(Execution *execution);

/* Ends it with its output; false and *error when that cannot be evaluated, and nothing is changed. */
extern bool execution_succeed(Execution *execution, const char *message, char **error);

/* ERROR or CANCELLED; the latter cascades to sub-executions. */
extern void execution_stop(Execution *execution, State state, const char *message);

/*
 * Starts the time that the workflow's `timeout` gives (none: does nothing), and
 * what happens when it has run out: ERROR, also out of a pause; what runs below
 * is cancelled.
 */
extern bool execution_start_timeout(Execution *execution, char **error);
extern void execution_time_out(Execution *execution);

/* Adds the ids of unfinished actions of unfinished tasks that are for pull workers, or ask people. */
extern void execution_collect_offered(Execution *execution, List **ids);

/* An error of the definition rather than of an action: no on-error applies. */
extern void execution_force_fail(Execution *execution, const char *message);

/* ---- task.c: run, complete, time out ---- */

extern void task_run_command(Execution *execution, const Command *command);
extern void task_begin(Task *task); /* its policies, then its start */
extern void task_start(Task *task); /* schedules its action or sub-workflow */
extern void task_complete(Task *task, State state, const char *info);
extern void task_force_fail(Task *task, const char *message);
extern void task_ended(Task *task);	/* in its final state: what follows */
extern void task_revoke_results(Task *task, bool failed_only);
extern bool task_publish(Task *task, char **error);
extern void task_continue(Task *task);	/* a delay before it, or between two tries, has passed */
extern void task_place(EvalPlace *place, Task *task);

/* ---- direct.c: what comes next ---- */

/*
 * The commands that follow from the task's state, as List of Command * in the
 * tree's context; *handles_error tells whether an on-error clause gave any.
 * False and *error when an expression fails.
 */
extern bool direct_next_commands(Task *task, List **commands, bool *handles_error, char **error);

/* Carries commands out, what a pause kept back first. */
extern void direct_dispatch(Execution *execution, List *commands);

/* ---- join.c ---- */

/* A branch leads to the join: makes it, or begins a new round of it, unless the branch is late. */
extern void join_arrive(Execution *execution, const Command *command);

/* The task has completed: joins that this may decide are looked at soon. */
extern void join_task_completed(Task *task);

/* Looks at a join that waits: runs it, fails it, or leaves it waiting. */
extern void join_refresh(Task *task);

/* ---- policies.c ---- */

/*
 * Before a task's first start.  *delayed: it is not to start now.  False and
 * *error when a policy's value is wrong.
 */
extern bool policies_before(Task *task, bool *delayed, char **error);

/* After it reached a final state: may change the state, or take it back for a delay or another try. */
extern bool policies_after(Task *task, char **error);

/* The task's timeout in seconds, 0: none. */
extern bool policies_timeout(Task *task, int *seconds, char **error);

/* A time in whole seconds, cut to centuries; `what` names it in the error. */
extern bool policies_seconds(const EvalPlace *place, const char *what, const ExprData *value, int *result, char **error);

/* ---- action_run.c ---- */

/*
 * Starts the task's action with its input; `items` (NULL: none) are the
 * variables of one of its items.  False and *error when it cannot; *forced: no on-error applies.
 */
extern bool action_schedule(Task *task, Jsonb *input, const Jsonb *items, int item, char **error, bool *forced);
extern void action_run(ActionExecution *action);
extern void action_finish(ActionExecution *action, State state, Jsonb *result);

/* The same of one task. */
extern void task_collect_offered(Task *task, List **ids);

/* Evaluates the task's input, of one item if `items` are its variables. */
extern bool action_input(Task *task, const Jsonb *items, Jsonb **input, char **error);

/* ---- subworkflow.c ---- */

extern bool subworkflow_schedule(Task *task, Jsonb *input, int item, char **error, bool *forced);
extern void subworkflow_done(Execution *sub);

/* ---- with_items.c ---- */

extern bool with_items_schedule(Task *task, char **error, bool *forced);
extern void with_items_ended(Task *task, State state);
extern void with_items_reset(Task *task);
extern void with_items_reset_failed(Task *task);
extern void with_items_requeue(Task *task);
extern void with_items_continue(Task *task);

/* ---- reverse.c ---- */

/* The target task's index, or -1 when params.task_name names none. */
extern int	reverse_target(Execution *execution);
extern List *reverse_next_commands(Execution *execution);
extern const Scope *reverse_inbound(Execution *execution, int spec, int owner, Jsonb **merged);

/* ---- rerun.c ---- */

/* Prepares a task in ERROR or CANCELLED to run again, and everything above it. */
extern void task_reopen(Task *task);

/* Runs it again: from the start, or (reset false) only the items that failed. */
extern void task_rerun(Task *task, bool reset);

/* Goes on as if the task, in ERROR, had been SKIPPED. */
extern void task_skip(Task *task);

/* ---- timers of a tree ---- */

#define TIMER_WAIT_BEFORE	"wait-before"
#define TIMER_WAIT_AFTER	"wait-after"
#define TIMER_RETRY			"retry"
#define TIMER_TIMEOUT		"timeout"
#define TIMER_JOIN			"join"
#define TIMER_ACTION		"action-delay"
#define TIMER_WORKFLOW		"workflow-timeout"

extern void tree_add_timer(Tree *tree, const char *kind, const pg_uuid_t *target, int64 delay_ms);

/* The target's timers are of no use any more. */
extern void tree_cancel_timers(Tree *tree, const pg_uuid_t *target);

/* The task's delay is over before its time; its timeout runs on. */
extern void tree_cancel_delay(Tree *tree, const pg_uuid_t *target);

#endif							/* MISTRAL_WORKFLOW_H */
