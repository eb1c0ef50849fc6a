/*
 * join.c
 *		Joins: when a task that several branches lead to may run.
 *
 * Each task that names the join in an on-* clause induces a state: it has
 * triggered the join (RUNNING), it cannot any more (ERROR), or it still may
 * (WAITING).  A join is looked at when what is ready in its tree has run, so
 * that branches which end together are seen together.
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
	Execution  *execution;
	const TaskSpec *spec;
	Induced    *states;			/* per inbound task */
	int			nrunning;
	int			nerrors;
	bool	   *visited;		/* per task: the search for a route was here */
	int		   *pending;		/* tasks that it still has to look at */
} JoinView;

static void view_inbound(JoinView *view);
static Induced induced_state(JoinView *view, int inbound, const char **event);
static bool possible_route(JoinView *view, int spec);
static const char *event_towards(const Task *task, int spec);
static Task *last_task(Execution *execution, int spec);
static void run_join(Task *task, JoinView *view);
static char *list_inbound(JoinView *view, const char *text, Induced state);

/*
 * Any waiting join below the task may be decided now: it triggered it, or a
 * route to it has closed.
 */
void
join_task_completed(Task *task)
{
	Execution  *execution = task->execution;
	ListCell   *lc;

	foreach(lc, execution->waiting)
	{
		Task	   *join = lfirst(lc);

		/* One that waits for its next try is looked at when its timer says so. */
		if (join->state == STATE_WAITING && join->retry_no > 0)
			continue;
		if (join->state == STATE_WAITING)
			tree_queue_join(execution->tree, join);
		else
			execution->waiting = foreach_delete_current(execution->waiting, lc);
	}
}

void
join_refresh(Task *task)
{
	JoinView	view;
	int			needed;

	if (task->state != STATE_WAITING || state_is_final(task->execution->state))
		return;
	view.execution = task->execution;
	view.spec = task_spec(task);
	view_inbound(&view);

	needed = view.spec->join == JOIN_ALL ? view.spec->ninbound : view.spec->join_count;
	if (view.nrunning >= needed)
		run_join(task, &view);
	else if (view.nerrors > view.spec->ninbound - needed)
		task_complete(task, STATE_ERROR, list_inbound(&view, "Failed by tasks", INDUCED_ERROR));
}

char *
join_blocked_by(Task *task)
{
	JoinView	view;

	view.execution = task->execution;
	view.spec = task_spec(task);
	view_inbound(&view);
	return list_inbound(&view, "Blocked by tasks", INDUCED_WAITING);
}

static void
view_inbound(JoinView *view)
{
	int			i;

	view->states = palloc0(sizeof(Induced) * Max(view->spec->ninbound, 1));
	view->visited = palloc0(sizeof(bool) * view->execution->workflow->ntasks);
	view->pending = palloc(sizeof(int) * view->execution->workflow->ntasks);
	view->nrunning = view->nerrors = 0;
	for (i = 0; i < view->spec->ninbound; i++)
	{
		const char *event;

		view->states[i] = induced_state(view, view->spec->inbound[i], &event);
		view->nrunning += view->states[i] == INDUCED_RUNNING;
		view->nerrors += view->states[i] == INDUCED_ERROR;
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
	bool		found = false;

	if (view->visited[spec])
		return false;
	view->visited[spec] = true;
	view->pending[n++] = spec;
	while (n > 0 && !found)
	{
		int			reached = view->pending[--n];
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
	if (found)
		memset(view->visited, 0, sizeof(bool) * view->execution->workflow->ntasks);
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

/* Its context is what all executions of the inbound tasks that name it have published. */
static void
run_join(Task *task, JoinView *view)
{
	Execution  *execution = task->execution;
	Task	  **sources = palloc(sizeof(Task *) * execution->ntasks);
	int			nsources = 0;
	Jsonb	   *merged;
	int			i;
	int			n = 0;

	for (i = 0; i < execution->ntasks; i++)
	{
		Task	   *t = execution->tasks[i];

		if (t != NULL && t != task && t->spec >= 0 && state_is_final(t->state) &&
			event_towards(t, view->spec->index) != NULL)
			sources[nsources++] = t;
	}
	task->scope = scope_merge(execution, sources, nsources, task->ordinal, &merged);
	json_ref_set(&task->merged, merged);

	task->triggered_by = MemoryContextAlloc(execution->tree->cxt, sizeof(TriggeredBy) * (view->nrunning + 1));
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
