/*
 * direct.c
 *		Direct workflows: which commands follow from a task, and carrying them
 *		out in the original's order.
 */
#include "postgres.h"

#include "base/json.h"
#include "engine/context.h"
#include "engine/states.h"
#include "engine/workflow.h"

static bool add_clause(EvalPlace *place, const SpecOnClause *clause, const char *event,
					   List **commands, char **error);
static List *rearrange(Execution *execution, List *commands);
static int	compare_joins(const ListCell *a, const ListCell *b);
static void run_commands(Execution *execution, List *commands);

bool
direct_next_commands(Task *task, List **commands, bool *handles_error, char **error)
{
	const TaskSpec *spec = task_spec(task);
	EvalPlace	place;

	*commands = NIL;
	*handles_error = false;
	/* Nothing follows once the execution has ended, and no guard is asked. */
	if (state_is_final(task->execution->state))
		return true;
	if (task->execution->workflow->reverse)
	{
		*commands = reverse_next_commands(task->execution);
		return true;
	}
	task_place(&place, task);
	place.scope = scope_outbound(task);

	if (task->state == STATE_ERROR)
	{
		if (!add_clause(&place, &spec->on_error, "on-error", commands, error))
			return false;
		*handles_error = *commands != NIL;
	}
	else if (task->state == STATE_SUCCESS)
	{
		if (!add_clause(&place, &spec->on_success, "on-success", commands, error))
			return false;
	}
	else if (task->state == STATE_SKIPPED)
	{
		if (!add_clause(&place, &spec->on_skip, "on-skip", commands, error))
			return false;
		if (*commands == NIL)
			return add_clause(&place, &spec->on_success, "on-success", commands, error);
	}
	if (task->state == STATE_ERROR || task->state == STATE_SUCCESS)
		return add_clause(&place, &spec->on_complete, "on-complete", commands, error);
	return true;
}

void
direct_dispatch(Execution *execution, List *commands)
{
	List	   *backlog = execution->backlog;

	if (backlog != NIL && execution->state == STATE_RUNNING)
	{
		execution->backlog = NIL;
		row_touch(&execution->change);
		run_commands(execution, backlog);
	}
	run_commands(execution, commands);
}

static bool
add_clause(EvalPlace *place, const SpecOnClause *clause, const char *event,
		   List **commands, char **error)
{
	Tree	   *tree = place->execution->tree;
	int			i;

	for (i = 0; i < clause->ntransitions; i++)
	{
		const SpecTransition *t = &clause->transitions[i];
		Command    *command;
		MemoryContext old;
		bool		open = true;
		Jsonb	   *params = NULL;

		if (t->guard && !evaluate_guard(place, t->guard, &open, error))
			return false;
		if (!open)
			continue;
		if (t->params && !evaluate_data(place, t->params, &params, error))
			return false;
		old = MemoryContextSwitchTo(tree->step_cxt);
		command = palloc0(sizeof(Command));
		command->kind = t->command;
		command->spec = t->task;
		command->from = place->task->ordinal;
		command->event = event;
		if (params && !json_is_null(json_get_jsonb(params, "msg")))
			command->message = json_to_text(json_get_jsonb(params, "msg"));
		*commands = lappend(*commands, command);
		MemoryContextSwitchTo(old);
	}
	return true;
}

static void
run_commands(Execution *execution, List *commands)
{
	ListCell   *lc;
	char	   *error;

	/*
	 * Only what ended before stops the commands: a task that fails by force
	 * does not keep those beside it from running, as in the original.
	 */
	if (state_is_final(execution->state))
		return;
	foreach(lc, rearrange(execution, commands))
	{
		Command    *command = lfirst(lc);

		if (execution->state == STATE_PAUSED)
		{
			MemoryContext old = MemoryContextSwitchTo(execution->cxt);
			Command    *kept = palloc(sizeof(Command));

			*kept = *command;
			if (command->message)
				kept->message = pstrdup(command->message);
			execution->backlog = lappend(execution->backlog, kept);
			row_touch(&execution->change);
			MemoryContextSwitchTo(old);
			continue;
		}
		switch (command->kind)
		{
			case COMMAND_TASK:
				task_run_command(execution, command);
				break;
			case COMMAND_FAIL:
				execution_stop(execution, STATE_ERROR, command->message);
				break;
			case COMMAND_SUCCEED:
				/* An output that cannot be evaluated is an error of the task that led here. */
				if (!execution_succeed(execution, command->message, &error))
				{
					if (command->from >= 0)
						task_force_fail(execution->tasks[command->from], error);
					else
						execution_force_fail(execution, error);
				}
				break;
			case COMMAND_PAUSE:
				execution_pause(execution, command->message);
				break;
			case COMMAND_NOOP:
				break;
		}
	}
}

/*
 * The order of carrying out: tasks before the first command that changes the
 * execution's state (joins last among them, and before those the tasks that may
 * pause it, so that nothing beside such a task is held up), then that command; what stands
 * behind it is dropped, except that a pause keeps it for the resume.  A fail or
 * succeed in the first place stands alone.
 */
static List *
rearrange(Execution *execution, List *commands)
{
	List	   *plain = NIL;
	List	   *pausing = NIL;
	List	   *joins = NIL;
	List	   *tail = NIL;
	Command    *state_command = NULL;
	ListCell   *lc;

	foreach(lc, commands)
	{
		Command    *command = lfirst(lc);
		const TaskSpec *spec = command->kind == COMMAND_TASK ? &execution->workflow->tasks[command->spec] : NULL;

		if (command->kind == COMMAND_NOOP)
			continue;
		if (state_command)
			tail = lappend(tail, command);
		else if (spec == NULL)
			state_command = command;
		else if (spec->join != JOIN_NONE)
			joins = lappend(joins, command);
		else if (spec->policies.pause_before.value != NULL)
			pausing = lappend(pausing, command);
		else
			plain = lappend(plain, command);
	}
	if (joins != NIL)
		list_sort(joins, compare_joins);
	plain = list_concat(list_concat(plain, pausing), joins);
	if (state_command)
	{
		plain = lappend(plain, state_command);
		if (state_command->kind == COMMAND_PAUSE)
			plain = list_concat(plain, tail);
	}
	return plain;
}

static int
compare_joins(const ListCell *a, const ListCell *b)
{
	const Command *x = lfirst(a);
	const Command *y = lfirst(b);

	return x->spec - y->spec;
}
