/*
 * join.c
 *		Joins: when a task that several branches lead to may run.
 *
 * Each task that names the join in an on-* clause induces a state: it has
 * triggered the join (RUNNING), it cannot any more (ERROR), or it still may
 * (WAITING).  A join is looked at when what is ready in its tree has run, so
 * that branches which end together are seen together.
 *
 * A join has one row, and fires once for its arrivals: a branch that comes when
 * it has fired without that branch is late, and changes nothing.  It begins a new
 * round when its branches arrive anew: one that it has fired for comes again, or
 * one that follows from the join itself, as in a cycle.  In a new round it waits
 * for as many branches as it needs to arrive anew; those that cannot any more
 * count with their last arrival.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"

#include "base/clock.h"
#include "engine/context.h"
#include "engine/join.h"
#include "engine/states.h"
#include "engine/workflow.h"

typedef enum Induced
{
	INDUCED_WAITING,
	INDUCED_RUNNING,
	INDUCED_ERROR
} Induced;

typedef struct JoinView
{
	Task	   *task;
	Execution  *execution;
	const TaskSpec *spec;
	Induced    *states;			/* per inbound task */
	int			nrunning;
	int			nerrors;
	bool	   *visited;		/* per task: a search for a route was here, in vain; NULL: none was needed */
	int		   *pending;		/* what this search has visited, in order */
} JoinView;

static bool has_enough(Task *join);
static bool arrives_anew(Task *join, Task *from);
static bool follows_from(Task *join, Task *task);
static void wait_for_branches(Task *join);
static void queue_targets(Execution *execution, int spec, Bitmapset **visited, List **pending);
static void queue_waiting(Task *join);
static void view_inbound(JoinView *view, Task *join);
static int	needed(const TaskSpec *spec);
static void view_new_round(JoinView *view);
static bool *tasks_to_come(JoinView *view);
static void mark_targets(const TaskSpec *spec, bool *marks, int *pending, int *npending);
static Induced induced_state(JoinView *view, int inbound, const char **event);
static bool possible_route(JoinView *view, int spec);
static const char *event_towards(const Task *task, int spec);
static Task *last_task(Execution *execution, int spec);
static int	compare_ordinals(const ListCell *a, const ListCell *b);
static void run_join(Task *task, JoinView *view);
static char *list_inbound(JoinView *view, const char *text, Induced state);

void
join_arrive(Execution *execution, const Command *command)
{
	int			last = execution->last[command->spec];
	Task	   *from = command->from >= 0 ? execution->tasks[command->from] : NULL;
	Task	   *join;
	MemoryContext old;

	if (last < 0)
	{
		join = execution_add_task(execution, command->spec);
		/* What it sees should it fail without ever running. */
		if (from)
			scope_give(join, scope_outbound(from));
		wait_for_branches(join);
		return;
	}
	join = execution->tasks[last];
	if (from == NULL || join->ntriggered_by == 0)
	{
		/* One that failed for want of branches runs after all when it has them: something was run again. */
		if (join->state == STATE_ERROR && has_enough(join))
			wait_for_branches(join);
		return;
	}
	if (!arrives_anew(join, from))
		return;
	old = MemoryContextSwitchTo(execution->tree->cxt);
	join->join_anew = bms_add_member(join->join_anew, from->spec);
	if (!list_member_ptr(execution->new_rounds, join))
		execution->new_rounds = lappend(execution->new_rounds, join);
	MemoryContextSwitchTo(old);
	task_touch(join);
	/* One run at a time: one that is under way ends first. */
	if (state_is_final(join->state))
		wait_for_branches(join);
}

/*
 * A join that waits below the task may be decided now: the task triggered it, or
 * the last route to it over tasks that have not run has closed.  In a new round
 * any end may decide.
 */
void
join_task_completed(Task *task)
{
	Execution  *execution = task->execution;
	Bitmapset  *visited = NULL;
	List	   *pending = NIL;
	ListCell   *lc;

	if (task->join_anew && state_is_final(task->state))
		wait_for_branches(task);
	foreach(lc, execution->new_rounds)
	{
		Task	   *join = lfirst(lc);

		if (join->join_anew)
			queue_waiting(join);
		else
			execution->new_rounds = foreach_delete_current(execution->new_rounds, lc);
	}
	if (execution->nwaiting == 0 || task->spec < 0)
		return;
	queue_targets(execution, task->spec, &visited, &pending);
	while (pending != NIL)
	{
		int			spec = llast_int(pending);

		CHECK_FOR_INTERRUPTS();
		pending = list_delete_last(pending);
		queue_targets(execution, spec, &visited, &pending);
	}
	bms_free(visited);
}

/* The joins that wait among what a task of the spec leads to; of the others those that have not run are looked beyond. */
static void
queue_targets(Execution *execution, int spec, Bitmapset **visited, List **pending)
{
	const WorkflowSpec *workflow = execution->workflow;
	const TaskSpec *ts = &workflow->tasks[spec];
	const SpecOnClause *clauses[] = {&ts->on_success, &ts->on_error, &ts->on_complete, &ts->on_skip};
	int			i;
	int			j;

	for (i = 0; i < lengthof(clauses); i++)
	{
		for (j = 0; j < clauses[i]->ntransitions; j++)
		{
			const SpecTransition *t = &clauses[i]->transitions[j];

			/* By name, too: what is named like a command counts among the inbound tasks. */
			int			target = t->command == COMMAND_TASK ? t->task : spec_task_index(workflow, t->name);
			Task	   *reached = target >= 0 ? last_task(execution, target) : NULL;

			if (reached)
				queue_waiting(reached);
			else if (target >= 0 && !bms_is_member(target, *visited))
			{
				*visited = bms_add_member(*visited, target);
				*pending = lappend_int(*pending, target);
			}
		}
	}
}

/* One that waits for its next try is looked at when its timer says so. */
static void
queue_waiting(Task *join)
{
	if (join->state == STATE_WAITING && join->retry_no == 0)
		tree_queue_join(join->execution->tree, join);
}

void
join_refresh(Task *task)
{
	JoinView	view;

	if (task->state != STATE_WAITING || state_is_final(task->execution->state))
		return;
	view_inbound(&view, task);
	if (view.nrunning >= needed(view.spec))
		run_join(task, &view);
	else if (view.nerrors > view.spec->ninbound - needed(view.spec))
	{
		task->ntriggered_by = 0;
		task->join_anew = NULL;
		task_complete(task, STATE_ERROR, list_inbound(&view, "Failed by tasks", INDUCED_ERROR));
	}
}

char *
join_blocked_by(Task *task)
{
	JoinView	view;

	view_inbound(&view, task);
	return list_inbound(&view, "Blocked by tasks", INDUCED_WAITING);
}

/* ---------------------------------------------------------------- rounds */

static bool
has_enough(Task *join)
{
	JoinView	view;

	view_inbound(&view, join);
	return view.nrunning >= needed(view.spec);
}

/* Whether a branch that reaches a join which has fired belongs to a new round, or is late. */
static bool
arrives_anew(Task *join, Task *from)
{
	int			i;

	for (i = 0; i < join->ntriggered_by; i++)
	{
		if (join->execution->tasks[join->triggered_by[i].ordinal]->spec == from->spec)
			return true;
	}
	return follows_from(join, from);
}

/*
 * Whether the task is there because of the join's last run: a search along what
 * triggered it, over what came after that run.  A join's own row may be older.
 */
static bool
follows_from(Task *join, Task *task)
{
	Execution  *execution = join->execution;
	bool	   *visited = palloc0(sizeof(bool) * execution->ntasks);
	int		   *pending = palloc(sizeof(int) * execution->ntasks);
	int			n = 0;
	bool		found = false;

	pending[n++] = task->ordinal;
	visited[task->ordinal] = true;
	while (n > 0 && !found)
	{
		Task	   *t = execution->tasks[pending[--n]];
		int			i;

		CHECK_FOR_INTERRUPTS();
		if (t == NULL || t->spec < 0 || (t->ordinal < join->join_decided && task_spec(t)->join == JOIN_NONE))
			continue;
		for (i = 0; i < t->ntriggered_by && !found; i++)
		{
			int			before = t->triggered_by[i].ordinal;

			found = before == join->ordinal;
			if (!visited[before])
			{
				visited[before] = true;
				pending[n++] = before;
			}
		}
	}
	pfree(visited);
	pfree(pending);
	return found;
}

static void
wait_for_branches(Task *join)
{
	task_set_state(join, STATE_WAITING, "Task is waiting.");
	tree_queue_join(join->execution->tree, join);
}

/* ---------------------------------------------------------------- the branches */

static int
needed(const TaskSpec *spec)
{
	return spec->join == JOIN_ALL ? spec->ninbound : spec->join_count;
}

static void
view_inbound(JoinView *view, Task *join)
{
	int			i;

	view->task = join;
	view->execution = join->execution;
	view->spec = task_spec(join);
	view->states = palloc0(sizeof(Induced) * Max(view->spec->ninbound, 1));
	view->visited = NULL;
	view->nrunning = view->nerrors = 0;
	for (i = 0; i < view->spec->ninbound; i++)
	{
		const char *event;

		view->states[i] = induced_state(view, view->spec->inbound[i], &event);
		view->nrunning += view->states[i] == INDUCED_RUNNING;
		view->nerrors += view->states[i] == INDUCED_ERROR;
	}
	/* Another try is one of the same round. */
	if (join->join_anew && join->retry_no == 0)
		view_new_round(view);
}

/*
 * In a new round, only what has arrived anew counts as long as that is not
 * enough and more may come.
 */
static void
view_new_round(JoinView *view)
{
	bool	   *to_come;
	int			nanew = 0;
	int			ncoming = 0;
	int			i;

	for (i = 0; i < view->spec->ninbound; i++)
	{
		if (view->states[i] == INDUCED_RUNNING && bms_is_member(view->spec->inbound[i], view->task->join_anew))
			nanew++;
	}
	if (nanew >= needed(view->spec))
		return;
	to_come = tasks_to_come(view);
	for (i = 0; i < view->spec->ninbound; i++)
	{
		if (to_come[view->spec->inbound[i]] && !bms_is_member(view->spec->inbound[i], view->task->join_anew))
		{
			view->states[i] = INDUCED_WAITING;
			ncoming++;
		}
	}
	if (ncoming > 0)
	{
		view->nrunning = nanew;
		view->nerrors = 0;
	}
}

/*
 * Per task of the workflow, whether it may end later than now: it is under way,
 * or what is under way may lead to it.  What this join leads to does not count,
 * and a join that waits counts when something leads to it.
 */
static bool *
tasks_to_come(JoinView *view)
{
	const WorkflowSpec *workflow = view->execution->workflow;
	bool	   *marks = palloc0(sizeof(bool) * workflow->ntasks);
	int		   *pending = palloc(sizeof(int) * workflow->ntasks);
	int			n = 0;
	int			i;
	ListCell   *lc;

	/* The join itself is never passed. */
	marks[view->spec->index] = true;
	for (i = 0; i < workflow->ntasks; i++)
	{
		Task	   *task = last_task(view->execution, i);

		if (task == NULL || marks[i] || (task->state == STATE_WAITING && task->retry_no == 0))
			continue;
		if (!state_is_final(task->state))
		{
			marks[i] = true;
			pending[n++] = i;
		}
		else if (!task->processed)
			mark_targets(&workflow->tasks[i], marks, pending, &n);
	}
	foreach(lc, view->execution->backlog)
	{
		Command    *command = lfirst(lc);

		if (command->kind == COMMAND_TASK && !marks[command->spec])
		{
			marks[command->spec] = true;
			pending[n++] = command->spec;
		}
	}
	while (n > 0)
	{
		CHECK_FOR_INTERRUPTS();
		n--;
		mark_targets(&workflow->tasks[pending[n]], marks, pending, &n);
	}
	marks[view->spec->index] = false;
	return marks;
}

static void
mark_targets(const TaskSpec *spec, bool *marks, int *pending, int *npending)
{
	const SpecOnClause *clauses[] = {&spec->on_success, &spec->on_error, &spec->on_complete, &spec->on_skip};
	int			i;
	int			j;

	for (i = 0; i < lengthof(clauses); i++)
	{
		for (j = 0; j < clauses[i]->ntransitions; j++)
		{
			const SpecTransition *t = &clauses[i]->transitions[j];

			if (t->command == COMMAND_TASK && !marks[t->task])
			{
				marks[t->task] = true;
				pending[(*npending)++] = t->task;
			}
		}
	}
}

static Induced
induced_state(JoinView *view, int inbound, const char **event)
{
	Task	   *task = last_task(view->execution, inbound);

	*event = NULL;
	if (task == NULL)
	{
		return possible_route(view, inbound) ? INDUCED_WAITING : INDUCED_ERROR;
	}
	if (!state_is_final(task->state))
		return INDUCED_WAITING;
	*event = event_towards(task, view->spec->index);
	return *event ? INDUCED_RUNNING : INDUCED_ERROR;
}

/*
 * Whether a task that has not run may still be reached: a search backwards over
 * tasks that have not run either.  What an unsuccessful search has visited
 * need not be searched again.
 */
static bool
possible_route(JoinView *view, int spec)
{
	int			n = 0;
	int			next = 0;
	bool		found = false;

	if (view->visited == NULL)
	{
		view->visited = palloc0(sizeof(bool) * view->execution->workflow->ntasks);
		view->pending = palloc(sizeof(int) * view->execution->workflow->ntasks);
	}
	if (view->visited[spec])
		return false;
	view->visited[spec] = true;
	view->pending[n++] = spec;
	while (next < n && !found)
	{
		int			reached = view->pending[next++];
		const TaskSpec *ts = &view->execution->workflow->tasks[reached];
		int			i;

		CHECK_FOR_INTERRUPTS();
		found = ts->ninbound == 0;
		for (i = 0; i < ts->ninbound && !found; i++)
		{
			Task	   *task = last_task(view->execution, ts->inbound[i]);

			if (task != NULL)
				found = !state_is_final(task->state) || event_towards(task, reached) != NULL;
			else if (!view->visited[ts->inbound[i]])
			{
				view->visited[ts->inbound[i]] = true;
				view->pending[n++] = ts->inbound[i];
			}
		}
	}
	while (found && n > 0)
		view->visited[view->pending[--n]] = false;
	return found;
}

/* The event by which a completed task leads to another, or NULL. */
static const char *
event_towards(const Task *task, int spec)
{
	int			i;

	/* Of several, the last counts. */
	for (i = task->nnext_tasks - 1; i >= 0; i--)
	{
		if (task->next_tasks[i].spec == spec)
			return task->next_tasks[i].event;
	}
	return NULL;
}

static Task *
last_task(Execution *execution, int spec)
{
	int			ordinal = execution->last[spec];

	return ordinal >= 0 ? execution->tasks[ordinal] : NULL;
}

static int
compare_ordinals(const ListCell *a, const ListCell *b)
{
	return ((const Task *) lfirst(a))->ordinal - ((const Task *) lfirst(b))->ordinal;
}

/* Its context is what all executions of the inbound tasks that name it have published. */
static void
run_join(Task *task, JoinView *view)
{
	Execution  *execution = task->execution;
	List	   *found = NIL;
	Task	  **sources;
	int			nsources = 0;
	Jsonb	   *merged;
	ListCell   *lc;
	int			i;
	int			n = 0;

	for (i = 0; i < view->spec->ninbound; i++)
	{
		int			ordinal = execution->last[view->spec->inbound[i]];

		while (ordinal >= 0)
		{
			Task	   *t = execution->tasks[ordinal];

			if (t != task && state_is_final(t->state) && event_towards(t, view->spec->index) != NULL)
				found = lappend(found, t);
			ordinal = t->previous;
		}
	}
	/* In the order in which they began: it decides between values that were published as often. */
	list_sort(found, compare_ordinals);
	sources = palloc(sizeof(Task *) * (list_length(found) + 1));
	foreach(lc, found)
		sources[nsources++] = lfirst(lc);
	scope_give(task, scope_merge(execution, sources, nsources, task->ordinal, &merged));
	json_ref_set(&task->merged, merged);

	task->triggered_by = MemoryContextAlloc(task->cxt, sizeof(TriggeredBy) * (view->nrunning + 1));
	for (i = 0; i < view->spec->ninbound; i++)
	{
		if (view->states[i] == INDUCED_RUNNING)
		{
			Task	   *from = last_task(execution, view->spec->inbound[i]);

			task->triggered_by[n].ordinal = from->ordinal;
			task->triggered_by[n].event = event_towards(from, view->spec->index);
			n++;
		}
	}
	task->ntriggered_by = n;
	/* What has fired for all its branches has none that could be late. */
	task->join_decided = view->nrunning < view->spec->ninbound ? execution->ntasks : 0;
	task->join_anew = NULL;
	task_continue(task);
}

static char *
list_inbound(JoinView *view, const char *text, Induced state)
{
	StringInfoData buf;
	bool		any = false;
	int			i;

	initStringInfo(&buf);
	appendStringInfo(&buf, "%s: ", text);
	for (i = 0; i < view->spec->ninbound; i++)
	{
		if (view->states[i] != state)
			continue;
		appendStringInfo(&buf, "%s%s", any ? ", " : "", view->execution->workflow->tasks[view->spec->inbound[i]].name);
		any = true;
	}
	return buf.data;
}
