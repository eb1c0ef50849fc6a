/*
 * execution.c
 *		One execution: create, start, pause, resume, stop, complete.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"

#include "base/clock.h"
#include "base/ids.h"
#include "base/json.h"
#include "engine/adhoc.h"
#include "engine/context.h"
#include "engine/definitions.h"
#include "engine/states.h"
#include "engine/workflow.h"

static bool evaluate_vars(Execution *execution, char **error);
static const Scope *final_context(Execution *execution, Jsonb **merged);
static bool evaluate_result(Execution *execution, const ExprData *output, Jsonb **result, char **error);
static void fail(Execution *execution, const char *message);
static void end_in_error(Execution *execution, const char *message);
static void stop_below(Execution *execution, State state, const char *message);
static void cancel(Execution *execution, const char *message);
static void ended(Execution *execution);
static char *fail_message(Execution *execution);
static char *cancel_message(Execution *execution);
static void pause_below(Execution *execution, const char *message);

Execution *
execution_create(Tree *tree, Task *parent, const Definition *definition, const ExecutionStart *start, char **error)
{
	const WorkflowSpec *workflow = definition->workflow;
	Execution  *execution;
	Jsonb	   *input;
	MemoryContext old;

	if (definition->refused)
	{
		*error = pstrdup(definition->refused);
		return NULL;
	}
	*error = check_params("workflow", definition->name, workflow->params, workflow->nparams, start->input);
	if (*error)
		return NULL;
	input = add_param_defaults(workflow->params, workflow->nparams, start->input);

	execution = tree_add_execution(tree, parent);
	old = MemoryContextSwitchTo(execution->cxt);
	execution->definition_id = definition->id;
	execution->owner = start->owner;
	execution->name = pstrdup(definition->name);
	execution->namespace_ = pstrdup(start->namespace_);
	execution->description = pstrdup(start->description ? start->description : "");
	json_ref_set(&execution->input, json_copy(input));
	json_ref_set(&execution->params, json_copy(start->params));
	MemoryContextSwitchTo(old);
	execution_attach(execution, definition);

	/* A root is IDLE until the engine takes it up. */
	execution->state = STATE_IDLE;
	if (workflow->reverse && reverse_target(execution) < 0)
		*error = psprintf("params.task_name must name the target task of workflow \"%s\"", definition->name);
	if (*error || !evaluate_vars(execution, error) || !execution_start_timeout(execution, error))
	{
		/* It never was: its number is free again. */
		tree->executions = list_delete_ptr(tree->executions, execution);
		if (parent)
		{
			parent->subs = list_delete_ptr(parent->subs, execution);
			parent->nsubs--;
		}
		return NULL;
	}
	if (parent)
		execution_set_state(execution, STATE_RUNNING, NULL);
	return execution;
}

/* Ties an execution to its compiled definition, for the time of a step. */
void
execution_attach(Execution *execution, const Definition *definition)
{
	int			i;

	execution->workflow = definition ? definition->workflow : NULL;
	execution->workbook = definition ? definition->workbook : NULL;
	if (definition == NULL || execution->last != NULL)
		return;
	execution->nlast = definition->workflow->ntasks;
	execution->last = MemoryContextAlloc(execution->cxt, sizeof(int) * Max(execution->nlast, 1));
	for (i = 0; i < execution->nlast; i++)
		execution->last[i] = -1;
}

void
execution_run(Execution *execution)
{
	const WorkflowSpec *workflow = execution->workflow;
	List	   *commands = NIL;
	MemoryContext old = MemoryContextSwitchTo(execution->tree->step_cxt);
	int			i;

	if (workflow->reverse)
		commands = reverse_next_commands(execution);
	for (i = 0; !workflow->reverse && i < workflow->nstart; i++)
	{
		Command    *command = palloc0(sizeof(Command));

		command->kind = COMMAND_TASK;
		command->spec = workflow->start[i];
		command->from = -1;
		commands = lappend(commands, command);
	}
	MemoryContextSwitchTo(old);
	direct_dispatch(execution, commands);
	execution_check(execution);
}

void
execution_check(Execution *execution)
{
	char	   *error;

	if (execution->state != STATE_RUNNING || execution->nincomplete > 0 || execution->backlog != NIL)
		return;
	if (execution->ncancelled > 0)
		cancel(execution, cancel_message(execution));
	else if (execution->nunhandled == 0)
	{
		if (!execution_succeed(execution, NULL, &error))
			fail(execution, error);
	}
	else
		fail(execution, fail_message(execution));
}

/*
 * A pause is one of the whole tree: an execution pauses what is below it and
 * what it belongs to, and that pauses what is below it in turn.
 */
void
execution_pause(Execution *execution, const char *message)
{
	pause_below(execution->tree->root, message);
}

/*
 * RUNNING again, with everything below it; what is above runs again when no
 * other sub-workflow of it is paused.
 */
void
execution_resume(Execution *execution)
{
	Task	   *task = execution->parent_task;
	int			i;

	check_stack_depth();
	if (execution->state != STATE_PAUSED)
		return;
	for (i = 0; i < execution->ntasks; i++)
	{
		ListCell   *lc;

		if (execution->tasks[i] == NULL)
			continue;
		foreach(lc, execution->tasks[i]->subs)
			execution_resume(lfirst(lc));
		if (execution->tasks[i]->state == STATE_PAUSED)
			task_set_state(execution->tasks[i], STATE_RUNNING, NULL);
	}
	execution_set_state(execution, STATE_RUNNING, NULL);

	if (task == NULL || task->state != STATE_PAUSED)
		return;
	task_set_state(task, STATE_RUNNING, NULL);
	for (i = 0; i < task->execution->ntasks; i++)
	{
		if (task->execution->tasks[i] && task->execution->tasks[i]->state == STATE_PAUSED)
			return;
	}
	execution_resume(task->execution);
}

void
execution_continue(Execution *execution)
{
	List	   *commands = NIL;
	int			i;

	if (execution->state != STATE_RUNNING || execution->workflow == NULL)
		return;
	/* Paused before it began: its start may be what was kept back. */
	if (execution->ntasks == 0 && execution->backlog == NIL)
	{
		execution_run(execution);
		return;
	}
	for (i = 0; i < execution->ntasks; i++)
	{
		Task	   *task = execution->tasks[i];
		List	   *found;
		bool		handles_error;
		char	   *error;
		ListCell   *lc;

		if (task)
			with_items_requeue(task);
		/* What pause-before has held back. */
		if (task && task->state == STATE_IDLE)
		{
			task_continue(task);
			continue;
		}
		if (task == NULL || !state_is_final(task->state) || task->processed)
			continue;
		if (!direct_next_commands(task, &found, &handles_error, &error))
		{
			task_force_fail(task, error);
			return;
		}
		task->processed = true;
		task_touch(task);
		foreach(lc, found)
		{
			Command    *command = lfirst(lc);

			/* Whoever resumes does not want to be paused again by what happened meanwhile. */
			if (command->kind != COMMAND_PAUSE)
				commands = lappend(commands, command);
		}
		join_task_completed(task);
	}
	direct_dispatch(execution, commands);
	execution_check(execution);
}

void
execution_stop(Execution *execution, State state, const char *message)
{
	check_stack_depth();
	if (state == STATE_ERROR)
		fail(execution, message);
	else
	{
		cancel(execution, message);
		stop_below(execution, state, message);
	}
}

static void
stop_below(Execution *execution, State state, const char *message)
{
	int			i;

	for (i = 0; i < execution->ntasks; i++)
	{
		ListCell   *lc;

		if (execution->tasks[i] == NULL)
			continue;
		foreach(lc, execution->tasks[i]->subs)
		{
			Execution  *sub = lfirst(lc);

			if (!state_is_final(sub->state))
				execution_stop(sub, state, message);
		}
	}
}

bool
execution_start_timeout(Execution *execution, char **error)
{
	EvalPlace	place = {.execution = execution};

	if (execution->workflow == NULL || execution->workflow->timeout == NULL)
		return true;
	if (!policies_seconds(&place, psprintf("timeout of workflow \"%s\"", execution->name),
						  execution->workflow->timeout, &execution->timeout, error))
		return false;
	if (execution->timeout > 0)
		tree_add_timer(execution->tree, TIMER_WORKFLOW, &execution->id, (int64) execution->timeout * 1000);
	row_touch(&execution->change);
	return true;
}

/* Unlike a task's error this also ends a paused one: the time is a promise to whoever waits. */
void
execution_time_out(Execution *execution)
{
	if (state_is_final(execution->state))
		return;
	end_in_error(execution, psprintf("Workflow timed out [timeout(s)=%d].", execution->timeout));
	stop_below(execution, STATE_CANCELLED, "Cancelled: a workflow above has timed out.");
}

void
execution_force_fail(Execution *execution, const char *message)
{
	fail(execution, message);
}

/* ---------------------------------------------------------------- results */

/* vars see the environment, the input and no other vars. */
static bool
evaluate_vars(Execution *execution, char **error)
{
	EvalPlace	place = {.execution = execution};
	Jsonb	   *vars;

	if (execution->workflow->vars == NULL)
		return true;
	if (!evaluate_data(&place, execution->workflow->vars, &vars, error))
		return false;
	json_ref_set(&execution->globals, json_keep(execution->cxt, vars));
	return true;
}

/* What the tasks with nothing after them have published, merged. */
static const Scope *
final_context(Execution *execution, Jsonb **merged)
{
	Task	  **ends = palloc(sizeof(Task *) * Max(execution->ntasks, 1));
	int			n = 0;
	int			i;

	for (i = 0; i < execution->ntasks; i++)
	{
		Task	   *task = execution->tasks[i];

		if (task == NULL || !state_is_final(task->state))
			continue;
		if (execution->workflow->reverse ? task->spec == reverse_target(execution) : !task->has_next_tasks)
			ends[n++] = task;
	}
	return scope_merge(execution, ends, n, -1, merged);
}

/* An output that turns out empty means the whole final context, as in the original. */
static bool
evaluate_result(Execution *execution, const ExprData *output, Jsonb **result, char **error)
{
	EvalPlace	place = {.execution = execution};
	Jsonb	   *merged;
	Jsonb	   *value = NULL;

	place.scope = final_context(execution, &merged);
	place.merged = merged;
	if (output && !evaluate_data(&place, output, &value, error))
		return false;
	*result = value && json_count(value) > 0 ? value : scope_to_jsonb(execution, place.scope, merged);
	return true;
}

bool
execution_succeed(Execution *execution, const char *message, char **error)
{
	Jsonb	   *output;

	/* A task before the command may have ended it by force. */
	if (state_is_final(execution->state))
		return true;
	if (!evaluate_result(execution, execution->workflow ? execution->workflow->output : NULL, &output, error))
		return false;
	execution_set_state(execution, STATE_SUCCESS, message);
	json_ref_set(&execution->output, json_keep(execution->cxt, output));
	ended(execution);
	return true;
}

/* Does nothing to an execution that is paused or has ended, as the original. */
static void
fail(Execution *execution, const char *message)
{
	if (!state_is_final(execution->state) && execution->state != STATE_PAUSED)
		end_in_error(execution, message);
}

static void
end_in_error(Execution *execution, const char *message)
{
	Jsonb	   *extra = NULL;
	Jsonb	   *output;
	char	   *error;

	if (!evaluate_result(execution, execution->workflow ? execution->workflow->output_on_error : NULL, &extra, &error))
	{
		message = psprintf("output-on-error cannot be evaluated: %s; the error was: %s", error, message ? message : "");
		extra = NULL;
	}
	execution_set_state(execution, STATE_ERROR, message);
	output = json_pair("result", message ? json_from_string(execution->state_info) : NULL);
	json_ref_set(&execution->output, json_keep(execution->cxt, json_merge(output, extra)));
	ended(execution);
}

static void
cancel(Execution *execution, const char *message)
{
	if (state_is_final(execution->state))
		return;
	execution_set_state(execution, STATE_CANCELLED, message);
	json_ref_set(&execution->output,
				 json_keep(execution->cxt, json_pair("result", message ? json_from_string(execution->state_info) : NULL)));
	ended(execution);
}

static void
ended(Execution *execution)
{
	if (execution->timeout > 0)
		tree_cancel_timers(execution->tree, &execution->id);
	execution->timeout = 0;
	execution_collect_offered(execution, &execution->tree->held);
	if (execution->parent_task)
		tree_queue(execution->tree, WORK_SUB_DONE, execution);
}

void
execution_collect_offered(Execution *execution, List **ids)
{
	int			i;

	for (i = 0; execution->nincomplete > 0 && i < execution->ntasks; i++)
	{
		if (execution->tasks[i] && !state_is_final(execution->tasks[i]->state))
			task_collect_offered(execution->tasks[i], ids);
	}
}

static char *
fail_message(Execution *execution)
{
	StringInfoData buf;
	bool		any = false;
	int			i;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "Failure caused by error in tasks: ");
	for (i = 0; i < execution->ntasks; i++)
	{
		Task	   *task = execution->tasks[i];

		if (task && task->state == STATE_ERROR && !task->error_handled)
		{
			appendStringInfo(&buf, "%s%s", any ? ", " : "", task->name);
			any = true;
		}
	}
	appendStringInfoString(&buf, "\n");
	for (i = 0; i < execution->ntasks; i++)
	{
		Task	   *task = execution->tasks[i];

		if (task && task->state == STATE_ERROR && !task->error_handled && buf.len < MAX_STATE_INFO)
			appendStringInfo(&buf, "\n  %s [task_ex_id=%s] -> %s\n", task->name,
							 id_cstring(&task->id), task->state_info ? task->state_info : "");
	}
	return buf.data;
}

static char *
cancel_message(Execution *execution)
{
	StringInfoData buf;
	bool		any = false;
	int			i;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "Cancelled tasks: ");
	for (i = 0; i < execution->ntasks; i++)
	{
		Task	   *task = execution->tasks[i];

		if (task && task->state == STATE_CANCELLED)
		{
			appendStringInfo(&buf, "%s%s", any ? ", " : "", task->name);
			any = true;
		}
	}
	return buf.data;
}

/* ---------------------------------------------------------------- pausing */

static void
pause_below(Execution *execution, const char *message)
{
	int			i;

	check_stack_depth();
	for (i = 0; i < execution->ntasks; i++)
	{
		Task	   *task = execution->tasks[i];
		ListCell   *lc;

		if (task == NULL)
			continue;
		foreach(lc, task->subs)
		{
			Execution  *sub = lfirst(lc);

			if (state_is_final(sub->state))
				continue;
			pause_below(sub, message);
			if (!state_is_final(task->state))
				task_set_state(task, STATE_PAUSED, NULL);
		}
	}
	if (execution->state == STATE_RUNNING || execution->state == STATE_IDLE)
		execution_set_state(execution, STATE_PAUSED, message);
}
