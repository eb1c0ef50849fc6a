/*
 * items.c
 *		The items of a with-items task that have left memory.
 *
 * In memory are those under way and those that ended in this step; of the
 * others the rows are read.  An item may have several rows when it was run
 * again: the last one counts, and what is in memory is newer than any row.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"

#include "base/db.h"
#include "base/ids.h"
#include "base/json.h"
#include "engine/items.h"
#include "engine/states.h"

typedef struct Results
{
	Task	   *task;
	JsonRef    *values;			/* per item */
	bool	   *present;
} Results;

typedef struct Taken
{
	Task	   *task;
	bool		without_failed;
	Bitmapset  *items;
} Taken;

static void read_rows(Task *task, DbRow row, void *arg);
static void revoked_of(Task *task, bool *all, bool *failed);
static void add_row(void *arg, uint64 row);
static void add_result(Results *results, int item, JsonRef value);
static void take_row(void *arg, uint64 row);
static void take(Taken *taken, int item, bool counts, State state);

Bitmapset *
items_taken(Task *task, bool without_failed)
{
	MemoryContext old = MemoryContextSwitchTo(task->cxt);
	Taken		taken = {task, without_failed, NULL};
	ListCell   *lc;

	if (task->nitems > 0)
	{
		/* Large enough from the start. */
		taken.items = bms_add_member(NULL, task->nitems);
		taken.items = bms_del_member(taken.items, task->nitems);
	}
	read_rows(task, take_row, &taken);
	foreach(lc, task->actions)
	{
		ActionExecution *action = lfirst(lc);

		take(&taken, action->item, action->accepted, action->state);
	}
	foreach(lc, task->subs)
	{
		Execution  *sub = lfirst(lc);

		if (sub->ordinal >= task->subs_from)
			take(&taken, execution_item(sub), sub->state == STATE_SUCCESS, sub->state);
	}
	MemoryContextSwitchTo(old);
	return taken.items;
}

Jsonb *
items_results(Task *task)
{
	Results		results = {task};
	JsonBuilder b = {0};
	MemoryContext old;
	ListCell   *lc;
	Jsonb	   *list;
	int			i;

	results.values = palloc_extended(sizeof(JsonRef) * (task->nitems + 1), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	results.present = palloc0(task->nitems + 1);
	read_rows(task, add_row, &results);
	foreach(lc, task->actions)
	{
		ActionExecution *action = lfirst(lc);

		if (action->accepted)
			add_result(&results, action->item, action->result);
	}
	foreach(lc, task->subs)
	{
		Execution  *sub = lfirst(lc);

		if (sub->ordinal >= task->subs_from && state_is_final(sub->state))
			add_result(&results, execution_item(sub), sub->output);
	}
	json_begin_array(&b);
	for (i = 0; i < task->nitems; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (results.present[i])
			json_add_jsonb(&b, json_ref_get(CurrentMemoryContext, &results.values[i]));
	}
	json_end_array(&b);
	old = MemoryContextSwitchTo(task->cxt);
	list = json_finish(&b);
	MemoryContextSwitchTo(old);
	return list;
}

void
items_release(Task *task)
{
	List	   *kept = NIL;
	MemoryContext old = MemoryContextSwitchTo(task->cxt);
	ListCell   *lc;

	foreach(lc, task->actions)
	{
		ActionExecution *action = lfirst(lc);

		if (action->item >= 0 && action->separate && state_is_final(action->state) && !action->queued)
			MemoryContextDelete(action->cxt);
		else
			kept = lappend(kept, action);
	}
	list_free(task->actions);
	task->actions = kept;
	MemoryContextSwitchTo(old);
}

/*
 * To rows of actions that have left memory.  Those in memory are written as
 * they are, a moment later.
 */
void
items_write_revoked(List *trees)
{
	static DbStatement revoke = {
		"UPDATE mistral.action_execution SET accepted = false WHERE task_id OPERATOR(pg_catalog.=) $1 AND accepted "
		"AND (NOT $2 OR state OPERATOR(pg_catalog.=) ANY ('{ERROR,CANCELLED}')) AND id OPERATOR(pg_catalog.<>) ALL ($3)",
		3, {UUIDOID, BOOLOID, UUIDARRAYOID}
	};
	static DbStatement forget = {
		"UPDATE mistral.action_execution SET result = NULL WHERE task_id OPERATOR(pg_catalog.=) $1 AND result IS NOT NULL "
		"AND NOT $2 AND id OPERATOR(pg_catalog.<>) ALL ($3)",
		3, {UUIDOID, BOOLOID, UUIDARRAYOID}
	};
	ListCell   *lc;
	ListCell   *lr;
	ListCell   *la;

	foreach(lc, trees)
	{
		Tree	   *tree = lfirst(lc);

		foreach(lr, tree->revoked)
		{
			RevokedResults *revoked = lfirst(lr);
			List	   *ids = NIL;
			Datum		values[3];

			foreach(la, revoked->task->actions)
				ids = lappend(ids, &((ActionExecution *) lfirst(la))->id);
			values[0] = UUIDPGetDatum(&revoked->task->id);
			values[1] = BoolGetDatum(revoked->failed_only);
			values[2] = id_array(ids);
			db_execute(revoked->forget ? &forget : &revoke, values, NULL, false, 0);
		}
		tree->revoked = NIL;
	}
}

/* ---------------------------------------------------------------- the rows */

/*
 * Rows of (item, counts, state, value), oldest first, that are not in memory or
 * are older than what is.
 */
static void
read_rows(Task *task, DbRow row, void *arg)
{
	static DbStatement actions = {
		"SELECT item, accepted AND NOT $2 AND NOT ($3 AND state OPERATOR(pg_catalog.=) ANY ('{ERROR,CANCELLED}')), state, result "
		"FROM mistral.action_execution WHERE task_id OPERATOR(pg_catalog.=) $1 ORDER BY ordinal",
		3, {UUIDOID, BOOLOID, BOOLOID}
	};
	static DbStatement executions = {
		"SELECT (params OPERATOR(pg_catalog.->>) 'index')::pg_catalog.int4, finished_at IS NOT NULL, state, output "
		"FROM mistral.execution WHERE root_id OPERATOR(pg_catalog.=) $1 AND parent_task_id OPERATOR(pg_catalog.=) $2 "
		"AND ordinal OPERATOR(pg_catalog.>=) $3 ORDER BY ordinal",
		3, {UUIDOID, UUIDOID, INT4OID}
	};
	Datum		values[3];
	bool		all;
	bool		failed;

	if (task->is_workflow)
	{
		if (task->nsubs == list_length(task->subs))
			return;
		values[0] = UUIDPGetDatum(&task->execution->tree->root_id);
		values[1] = UUIDPGetDatum(&task->id);
		values[2] = Int32GetDatum(task->subs_from);
		db_each(&executions, values, NULL, row, arg);
	}
	else if (task->nactions > list_length(task->actions))
	{
		revoked_of(task, &all, &failed);
		values[0] = UUIDPGetDatum(&task->id);
		values[1] = BoolGetDatum(all);
		values[2] = BoolGetDatum(failed);
		db_each(&actions, values, NULL, row, arg);
	}
}

/* What of its rows does not count any more, although they do not say so yet. */
static void
revoked_of(Task *task, bool *all, bool *failed)
{
	ListCell   *lc;

	*all = *failed = false;
	foreach(lc, task->execution->tree->revoked)
	{
		RevokedResults *revoked = lfirst(lc);

		if (revoked->task == task && !revoked->forget)
		{
			*failed |= revoked->failed_only;
			*all |= !revoked->failed_only;
		}
	}
}

static void
add_row(void *arg, uint64 row)
{
	bool		isnull;
	int			item = DatumGetInt32(db_datum(row, 1, &isnull));
	bool		counts = DatumGetBool(db_datum(row, 2, &isnull));
	Datum		value = db_datum(row, 4, &isnull);
	JsonRef		ref = {NULL, NULL};

	if (!counts)
		return;
	if (!isnull)
		ref.stored = (struct varlena *) DatumGetPointer(datumCopy(value, false, -1));
	add_result(arg, item, ref);
}

static void
add_result(Results *results, int item, JsonRef value)
{
	if (item < 0 || item >= results->task->nitems)
		return;
	results->values[item] = value;
	results->present[item] = true;
}

static void
take_row(void *arg, uint64 row)
{
	bool		isnull;
	int			item = DatumGetInt32(db_datum(row, 1, &isnull));
	bool		counts = DatumGetBool(db_datum(row, 2, &isnull));
	Datum		name = db_datum(row, 3, &isnull);
	State		state = STATE_ERROR;

	(void) state_parse(TextDatumGetCString(name), &state);
	/* Of sub-executions, only a success stays. */
	if (((Taken *) arg)->task->is_workflow)
		counts = state == STATE_SUCCESS;
	take(arg, item, counts, state);
}

static void
take(Taken *taken, int item, bool counts, State state)
{
	if (item < 0 || item >= taken->task->nitems)
		return;
	if (taken->without_failed && (state == STATE_ERROR || state == STATE_CANCELLED))
		counts = false;
	if (counts || !state_is_final(state))
		taken->items = bms_add_member(taken->items, item);
	else
		taken->items = bms_del_member(taken->items, item);
}
