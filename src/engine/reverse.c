/*
 * reverse.c
 *		Reverse workflows: from a target task back along `requires`.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/json.h"
#include "engine/context.h"
#include "engine/states.h"
#include "engine/workflow.h"

typedef struct Walk
{
	Execution  *execution;
	bool	   *visited;
	List	   *commands;
} Walk;

static void visit(Walk *walk, int spec);
static bool may_run(Execution *execution, int spec);

int
reverse_target(Execution *execution)
{
	Jsonb	   *params = json_ref_get(execution->cxt, &execution->params);
	char	   *name = json_get_string(params, "task_name");

	return name ? spec_task_index(execution->workflow, name) : -1;
}

/*
 * The tasks that the target needs, that have not run, and whose own
 * requirements have all succeeded; deepest first.
 */
List *
reverse_next_commands(Execution *execution)
{
	Walk		walk = {execution, NULL, NIL};
	int			target = reverse_target(execution);

	if (target < 0)
		return NIL;
	walk.visited = palloc0(sizeof(bool) * execution->workflow->ntasks);
	visit(&walk, target);
	return walk.commands;
}

/* What the tasks that this one requires have published. */
const Scope *
reverse_inbound(Execution *execution, int spec, int owner, Jsonb **merged)
{
	const TaskSpec *ts = &execution->workflow->tasks[spec];
	Task	  **sources = palloc(sizeof(Task *) * (ts->nrequires + 1));
	int			n = 0;
	int			i;

	for (i = 0; i < ts->nrequires; i++)
	{
		int			last = execution->last[ts->requires[i]];

		if (last >= 0 && execution->tasks[last]->state == STATE_SUCCESS)
			sources[n++] = execution->tasks[last];
	}
	return scope_merge(execution, sources, n, owner, merged);
}

static void
visit(Walk *walk, int spec)
{
	const TaskSpec *ts = &walk->execution->workflow->tasks[spec];
	Command    *command;
	MemoryContext old;
	int			i;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (walk->visited[spec])
		return;
	walk->visited[spec] = true;
	for (i = 0; i < ts->nrequires; i++)
		visit(walk, ts->requires[i]);
	if (!may_run(walk->execution, spec))
		return;
	old = MemoryContextSwitchTo(walk->execution->tree->step_cxt);
	command = palloc0(sizeof(Command));
	command->kind = COMMAND_TASK;
	command->spec = spec;
	command->from = -1;
	command->event = "";
	walk->commands = lappend(walk->commands, command);
	MemoryContextSwitchTo(old);
}

static bool
may_run(Execution *execution, int spec)
{
	const TaskSpec *ts = &execution->workflow->tasks[spec];
	int			i;

	if (execution->last[spec] >= 0)
		return false;
	for (i = 0; i < ts->nrequires; i++)
	{
		int			last = execution->last[ts->requires[i]];

		if (last < 0 || execution->tasks[last]->state != STATE_SUCCESS)
			return false;
	}
	return true;
}
