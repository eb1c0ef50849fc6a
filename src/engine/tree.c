/*
 * tree.c
 *		A tree in memory: making and finding its parts.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/clock.h"
#include "base/ids.h"
#include "base/json.h"
#include "engine/tree.h"

const Scope empty_scope = {0};

static void grow_tasks(Execution *execution, int needed);

/* The plain value, read from where it is stored when it is first asked for. */
Jsonb *
json_ref_get(Tree *tree, JsonRef *ref)
{
	if (ref->plain == NULL && ref->stored != NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(tree->cxt);

		ref->plain = DatumGetJsonbP(PointerGetDatum(ref->stored));
		MemoryContextSwitchTo(old);
	}
	return ref->plain;
}

/* A new value, already in the tree's context. */
void
json_ref_set(JsonRef *ref, Jsonb *plain)
{
	ref->stored = NULL;
	ref->plain = plain;
}

Jsonb *
tree_keep(Tree *tree, const Jsonb *value)
{
	MemoryContext old = MemoryContextSwitchTo(tree->cxt);
	Jsonb	   *copy = json_copy(value);

	MemoryContextSwitchTo(old);
	return copy;
}

/* An empty tree, with a context of its own below `parent`. */
Tree *
tree_new(MemoryContext parent, const pg_uuid_t *root_id)
{
	MemoryContext cxt = AllocSetContextCreate(parent, "mistral tree", ALLOCSET_SMALL_SIZES);
	Tree	   *tree = MemoryContextAllocZero(cxt, sizeof(Tree));

	tree->cxt = cxt;
	tree->root_id = *root_id;
	return tree;
}

/* A new execution of the tree, with an id; the first one is the root. */
Execution *
tree_add_execution(Tree *tree, Task *parent)
{
	MemoryContext old = MemoryContextSwitchTo(tree->cxt);
	Execution  *execution = palloc0(sizeof(Execution));

	execution->tree = tree;
	execution->parent_task = parent;
	execution->description = "";
	execution->created_at = execution->updated_at = clock_now();
	execution->finished_at = DT_NOBEGIN;
	execution->change = ROW_NEW;
	if (parent == NULL)
	{
		execution->id = tree->root_id;
		tree->root = execution;
	}
	else
	{
		id_new(&execution->id);
		execution->ordinal = list_length(parent->subs);
		parent->subs = lappend(parent->subs, execution);
	}
	tree->executions = lappend(tree->executions, execution);
	MemoryContextSwitchTo(old);
	return execution;
}

/* A new task of the execution, IDLE, numbered after the others. */
Task *
execution_add_task(Execution *execution, int spec)
{
	MemoryContext old = MemoryContextSwitchTo(execution->tree->cxt);
	Task	   *task = palloc0(sizeof(Task));
	TaskSpec   *ts = &execution->workflow->tasks[spec];

	id_new(&task->id);
	task->execution = execution;
	task->ordinal = execution->ntasks;
	task->spec = spec;
	task->name = pstrdup(ts->name);
	task->is_workflow = ts->workflow != NULL;
	task->state = STATE_IDLE;
	task->scope = &empty_scope;
	task->created_at = task->updated_at = clock_now();
	task->started_at = task->finished_at = DT_NOBEGIN;
	task->change = ROW_NEW;
	execution_place_task(execution, task);
	MemoryContextSwitchTo(old);
	return task;
}

/* Enters a task at its ordinal and counts it. */
void
execution_place_task(Execution *execution, Task *task)
{
	grow_tasks(execution, task->ordinal + 1);
	execution->tasks[task->ordinal] = task;
	execution->ntasks = Max(execution->ntasks, task->ordinal + 1);
	if (task->spec >= 0 && task->spec < execution->nlast &&
		execution->last[task->spec] < task->ordinal)
		execution->last[task->spec] = task->ordinal;
	switch (task->state)
	{
		case STATE_SUCCESS:
		case STATE_SKIPPED:
			break;
		case STATE_ERROR:
			execution->nunhandled += !task->error_handled;
			break;
		case STATE_CANCELLED:
			execution->ncancelled++;
			break;
		default:
			execution->nincomplete++;
			break;
	}
}

ActionExecution *
task_add_action(Task *task)
{
	MemoryContext old = MemoryContextSwitchTo(task->execution->tree->cxt);
	ActionExecution *action = palloc0(sizeof(ActionExecution));

	id_new(&action->id);
	action->task = task;
	action->ordinal = list_length(task->actions);
	action->state = STATE_RUNNING;
	action->attempt = 1;
	action->item = -1;
	action->created_at = action->updated_at = clock_now();
	action->finished_at = DT_NOBEGIN;
	action->change = ROW_NEW;
	task->actions = lappend(task->actions, action);
	MemoryContextSwitchTo(old);
	return action;
}

Execution *
tree_find_execution(Tree *tree, const pg_uuid_t *id)
{
	ListCell   *lc;

	foreach(lc, tree->executions)
	{
		Execution  *execution = lfirst(lc);

		if (id_equal(&execution->id, id))
			return execution;
	}
	return NULL;
}

Task *
tree_find_task(Tree *tree, const pg_uuid_t *id)
{
	ListCell   *lc;

	foreach(lc, tree->executions)
	{
		Execution  *execution = lfirst(lc);
		int			i;

		/* Who is asked for is nearly always among the newest. */
		for (i = execution->ntasks - 1; i >= 0; i--)
		{
			if (execution->tasks[i] != NULL && id_equal(&execution->tasks[i]->id, id))
				return execution->tasks[i];
		}
	}
	return NULL;
}

ActionExecution *
tree_find_action(Tree *tree, const pg_uuid_t *id)
{
	ListCell   *lc;

	foreach(lc, tree->executions)
	{
		Execution  *execution = lfirst(lc);
		int			i;

		for (i = execution->ntasks - 1; i >= 0; i--)
		{
			Task	   *task = execution->tasks[i];
			ListCell   *la;

			if (task == NULL)
				continue;
			foreach(la, task->actions)
			{
				ActionExecution *action = lfirst(la);

				if (id_equal(&action->id, id))
					return action;
			}
		}
	}
	return NULL;
}

int
execution_item(Execution *sub)
{
	int64		item = -1;

	(void) json_get_int(json_ref_get(sub->tree, &sub->params), "index", &item);
	return (int) item;
}

Execution *
execution_of_item(Task *task, int item)
{
	int			i;

	for (i = list_length(task->subs) - 1; i >= task->subs_from; i--)
	{
		Execution  *sub = list_nth(task->subs, i);

		if (execution_item(sub) == item)
			return sub;
	}
	return NULL;
}

void
tree_queue(Tree *tree, WorkKind kind, void *object)
{
	MemoryContext old = MemoryContextSwitchTo(tree->cxt);
	Work	   *work = palloc(sizeof(Work));

	work->kind = kind;
	work->object = object;
	tree->work = lappend(tree->work, work);
	MemoryContextSwitchTo(old);
}

void
tree_queue_join(Tree *tree, Task *join)
{
	MemoryContext old;

	if (join->queued)
		return;
	join->queued = true;
	old = MemoryContextSwitchTo(tree->cxt);
	tree->joins = lappend(tree->joins, join);
	MemoryContextSwitchTo(old);
}

static void
grow_tasks(Execution *execution, int needed)
{
	int			size = execution->maxtasks;

	if (needed <= size)
		return;
	while (size < needed)
		size = size == 0 ? 8 : size * 2;
	if (execution->tasks == NULL)
		execution->tasks = MemoryContextAllocZero(execution->tree->cxt, size * sizeof(Task *));
	else
	{
		execution->tasks = repalloc_huge(execution->tasks, size * sizeof(Task *));
		memset(execution->tasks + execution->maxtasks, 0, (size - execution->maxtasks) * sizeof(Task *));
	}
	execution->maxtasks = size;
}
