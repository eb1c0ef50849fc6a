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

const Scope empty_scope = {.holder = -1, .over = -1};

static void grow_tasks(Execution *execution, int needed);

/* The plain value, read from where it is stored when it is first asked for. */
Jsonb *
json_ref_get(MemoryContext cxt, JsonRef *ref)
{
	if (ref->plain == NULL && ref->stored != NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(cxt);

		ref->plain = DatumGetJsonbP(PointerGetDatum(ref->stored));
		MemoryContextSwitchTo(old);
	}
	return ref->plain;
}

/* A new value, already in its owner's context. */
void
json_ref_set(JsonRef *ref, Jsonb *plain)
{
	ref->stored = NULL;
	ref->plain = plain;
}

Jsonb *
json_keep(MemoryContext cxt, const Jsonb *value)
{
	MemoryContext old = MemoryContextSwitchTo(cxt);
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
	tree->step_cxt = AllocSetContextCreate(cxt, "mistral tree step", ALLOCSET_SMALL_SIZES);
	tree->root_id = *root_id;
	return tree;
}

/* An empty execution in a context of its own. */
Execution *
execution_alloc(Tree *tree, bool is_root)
{
	MemoryContext cxt = is_root ? tree->cxt
		: AllocSetContextCreate(tree->cxt, "mistral execution", ALLOCSET_SMALL_SIZES);
	Execution  *execution = MemoryContextAllocZero(cxt, sizeof(Execution));

	execution->cxt = cxt;
	execution->tree = tree;
	return execution;
}

/* An empty task in a context of its own. */
Task *
task_alloc(Execution *execution)
{
	MemoryContext cxt = AllocSetContextCreate(execution->cxt, "mistral task", ALLOCSET_SMALL_SIZES);
	Task	   *task = MemoryContextAllocZero(cxt, sizeof(Task));

	task->cxt = cxt;
	task->execution = execution;
	return task;
}

/* A new execution of the tree, with an id; the first one is the root. */
Execution *
tree_add_execution(Tree *tree, Task *parent)
{
	Execution  *execution = execution_alloc(tree, parent == NULL);
	MemoryContext old = MemoryContextSwitchTo(tree->cxt);

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
		execution->ordinal = parent->nsubs++;
		MemoryContextSwitchTo(parent->cxt);
		parent->subs = lappend(parent->subs, execution);
		MemoryContextSwitchTo(tree->cxt);
	}
	tree->executions = lappend(tree->executions, execution);
	MemoryContextSwitchTo(old);
	return execution;
}

/* A new task of the execution, IDLE, numbered after the others. */
Task *
execution_add_task(Execution *execution, int spec)
{
	Task	   *task = task_alloc(execution);
	MemoryContext old = MemoryContextSwitchTo(task->cxt);
	TaskSpec   *ts = &execution->workflow->tasks[spec];

	id_new(&task->id);
	task->ordinal = execution->ntasks;
	task->spec = spec;
	task->name = pstrdup(ts->name);
	task->is_workflow = ts->workflow != NULL;
	task->state = STATE_IDLE;
	task->scope = &empty_scope;
	task->created_at = task->updated_at = clock_now();
	task->started_at = task->finished_at = DT_NOBEGIN;
	task->change = ROW_NEW;
	MemoryContextSwitchTo(execution->tree->step_cxt);
	execution->tree->touched = lappend(execution->tree->touched, task);
	execution_place_task(execution, task);
	MemoryContextSwitchTo(old);
	return task;
}

void
tree_revoke(Task *task, bool failed_only, bool forget)
{
	Tree	   *tree = task->execution->tree;
	MemoryContext old;
	RevokedResults *revoked;

	if (task->nactions == list_length(task->actions))
		return;
	old = MemoryContextSwitchTo(tree->step_cxt);
	revoked = palloc(sizeof(RevokedResults));
	revoked->task = task;
	revoked->failed_only = failed_only;
	revoked->forget = forget;
	tree->revoked = lappend(tree->revoked, revoked);
	MemoryContextSwitchTo(old);
}

void
task_touch(Task *task)
{
	Tree	   *tree = task->execution->tree;
	MemoryContext old;

	if (task->change != ROW_CLEAN)
		return;
	task->change = ROW_CHANGED;
	old = MemoryContextSwitchTo(tree->step_cxt);
	tree->touched = lappend(tree->touched, task);
	MemoryContextSwitchTo(old);
}

/* Enters a task at its ordinal and counts it. */
void
execution_place_task(Execution *execution, Task *task)
{
	grow_tasks(execution, task->ordinal + 1);
	execution->tasks[task->ordinal] = task;
	execution->ntasks = Max(execution->ntasks, task->ordinal + 1);
	task->previous = -1;
	if (task->spec >= 0 && task->spec < execution->nlast &&
		execution->last[task->spec] < task->ordinal)
	{
		task->previous = execution->last[task->spec];
		execution->last[task->spec] = task->ordinal;
	}
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
		case STATE_WAITING:
			execution->nwaiting++;
			execution->nincomplete++;
			break;
		default:
			execution->nincomplete++;
			break;
	}
}

ActionExecution *
task_add_action(Task *task, int item)
{
	MemoryContext cxt = item < 0 ? task->cxt
		: AllocSetContextCreate(task->cxt, "mistral item", ALLOCSET_SMALL_SIZES);
	ActionExecution *action = MemoryContextAllocZero(cxt, sizeof(ActionExecution));
	MemoryContext old = MemoryContextSwitchTo(task->cxt);

	id_new(&action->id);
	action->cxt = cxt;
	action->task = task;
	action->ordinal = task->nactions++;
	action->state = STATE_RUNNING;
	action->attempt = 1;
	action->item = item;
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

	(void) json_get_int(json_ref_get(sub->cxt, &sub->params), "index", &item);
	return (int) item;
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
		execution->tasks = MemoryContextAllocZero(execution->cxt, size * sizeof(Task *));
	else
	{
		execution->tasks = repalloc_huge(execution->tasks, size * sizeof(Task *));
		memset(execution->tasks + execution->maxtasks, 0, (size - execution->maxtasks) * sizeof(Task *));
	}
	execution->maxtasks = size;
}
