/*
 * flush.c
 *		Writing what changed in trees: table by table, new rows in one go.
 *
 * A row that was born and finished within a batch is written once, in its final
 * state.  Every written tree stamps its root with this transaction's id.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "base/clock.h"
#include "base/db.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/json_flat.h"
#include "base/rows.h"
#include "engine/context.h"
#include "engine/execution_row.h"
#include "engine/history.h"
#include "engine/items.h"
#include "engine/state_event.h"
#include "engine/states.h"
#include "engine/store.h"
#include "engine/webhook.h"
#include "queue/event_wait.h"
#include "queue/message.h"
#include "queue/pull.h"

static void write_executions(RowWriter *writer, Tree *tree);
static void write_tasks(RowWriter *writer, Tree *tree);
static void write_actions(RowWriter *writer, Tree *tree);
static void keep_out_of_line(Tree *tree, RowWriter *executions, RowWriter *tasks);
static void keep_one(JsonRef *ref, MemoryContext cxt, RowWriter *writer, ItemPointer place, int attnum);
static void release(Tree *tree);
static void write_timers(List *trees);
static void write_dispatches(List *trees);
static void write_dispatch(RowWriter *writer, Tree *tree, const DispatchRow *row);
static void begin_event_wait(Tree *tree, const DispatchRow *row);
static void write_offer(RowWriter *writer, Tree *tree, const DispatchRow *row);
static void settle_offers(List *trees);
static void delete_timers(List *trees);
static void fill_execution(TupleTableSlot *slot, Execution *execution);
static void fill_task(TupleTableSlot *slot, Task *task);
static void fill_action(TupleTableSlot *slot, ActionExecution *action);
static void choose_place(Task *task);
static ActionExecution *folded_action(Task *task);
static Jsonb *store_triggered_by(const Task *task);
static Jsonb *store_next_tasks(const Task *task);
static Jsonb *store_runtime(const Task *task);
static Jsonb *store_execution_runtime(const Execution *execution);

/* Values from this size on may be kept out of line. */
#define LARGE_VALUE 2000

/* The column, from 1. */
#define TASK_ITEMS 26

/* Columns are filled in the order of the table. */
typedef struct Filler
{
	TupleTableSlot *slot;
	int			col;
} Filler;

static void put(Filler *f, Datum datum);
static void put_null(Filler *f);
static void put_text(Filler *f, const char *s);
static void put_json(Filler *f, const Jsonb *json);
static void put_ref(Filler *f, const JsonRef *ref);
static void put_time(Filler *f, TimestampTz t);

void
store_flush(List *trees)
{
	RowWriter	executions;
	RowWriter	tasks;
	RowWriter	actions;
	FullTransactionId stamp = GetTopFullTransactionId();
	List	   *events;
	ListCell   *lc;

	items_write_revoked(trees);
	rows_open(&executions, "execution");
	rows_open(&tasks, "task");
	rows_open(&actions, "action_execution");
	foreach(lc, trees)
	{
		Tree	   *tree = lfirst(lc);

		tree->stamp = stamp;
		row_touch(&tree->root->change);
		write_executions(&executions, tree);
		write_tasks(&tasks, tree);
		write_actions(&actions, tree);
	}
	rows_flush(&executions);
	rows_flush(&tasks);
	foreach(lc, trees)
		keep_out_of_line(lfirst(lc), &executions, &tasks);
	rows_close(&executions);
	rows_close(&tasks);
	rows_close(&actions);
	history_write(trees);
	delete_timers(trees);
	write_timers(trees);
	write_dispatches(trees);
	webhooks_write(trees);
	settle_offers(trees);

	/* A later flush of the same transaction updates what this one wrote. */
	CommandCounterIncrement();
	events = state_events_take(trees);
	foreach(lc, trees)
		release(lfirst(lc));
	state_events_fire(events);
}

static void
write_executions(RowWriter *writer, Tree *tree)
{
	ListCell   *lc;

	foreach(lc, tree->executions)
	{
		Execution  *execution = lfirst(lc);

		if (execution->change == ROW_NEW)
			fill_execution(rows_add(writer, &execution->tid), execution);
		else if (execution->change == ROW_CHANGED)
		{
			fill_execution(rows_update_slot(writer), execution);
			rows_update(writer, &execution->tid);
		}
		execution->change = ROW_CLEAN;
	}
}

static void
write_tasks(RowWriter *writer, Tree *tree)
{
	ListCell   *lc;

	foreach(lc, tree->touched)
	{
		Task	   *task = lfirst(lc);

		choose_place(task);
		if (task->change == ROW_NEW)
			fill_task(rows_add(writer, &task->tid), task);
		else
		{
			fill_task(rows_update_slot(writer), task);
			rows_update(writer, &task->tid);
		}
		task->change = ROW_CLEAN;
	}
}

static void
write_actions(RowWriter *writer, Tree *tree)
{
	ListCell   *lc;
	ListCell   *la;

	foreach(lc, tree->touched)
	{
		Task	   *task = lfirst(lc);

		foreach(la, task->actions)
		{
			ActionExecution *action = lfirst(la);

			if (action->separate && action->change == ROW_NEW)
				fill_action(rows_add(writer, &action->tid), action);
			else if (action->separate && action->change == ROW_CHANGED)
			{
				fill_action(rows_update_slot(writer), action);
				rows_update(writer, &action->tid);
			}
			action->change = ROW_CLEAN;
		}
	}
}

/*
 * Large values that the next write of the same row would write again: those of
 * executions, of which the root is written by each step, and lists of items.
 */
static void
keep_out_of_line(Tree *tree, RowWriter *executions, RowWriter *tasks)
{
	ListCell   *lc;

	foreach(lc, tree->executions)
	{
		Execution  *execution = lfirst(lc);

		keep_one(&execution->input, execution->cxt, executions, &execution->tid, EXECUTION_INPUT + 1);
		keep_one(&execution->params, execution->cxt, executions, &execution->tid, EXECUTION_PARAMS + 1);
		keep_one(&execution->globals, execution->cxt, executions, &execution->tid, EXECUTION_GLOBALS + 1);
	}
	foreach(lc, tree->touched)
	{
		Task	   *task = lfirst(lc);

		keep_one(&task->items, task->cxt, tasks, &task->tid, TASK_ITEMS);
	}
}

static void
keep_one(JsonRef *ref, MemoryContext cxt, RowWriter *writer, ItemPointer place, int attnum)
{
	MemoryContext old;

	if (ref->stored != NULL || ref->plain == NULL || VARSIZE(ref->plain) < LARGE_VALUE)
		return;
	old = MemoryContextSwitchTo(cxt);
	ref->stored = rows_out_of_line(writer, place, attnum);
	MemoryContextSwitchTo(old);
}

/* What has ended and is written leaves memory. */
static void
release(Tree *tree)
{
	ListCell   *lc;

	foreach(lc, tree->touched)
	{
		Task	   *task = lfirst(lc);

		if (task->nitems > 0)
			items_release(task);
	}
	tree->touched = NIL;
	MemoryContextReset(tree->step_cxt);
}

/*
 * The only action of a task, when the engine itself has run it, is kept in the
 * task's row; when a second one comes, both get rows of their own.
 */
static void
choose_place(Task *task)
{
	ListCell   *lc;

	if (task == NULL || list_length(task->actions) < 2)
		return;
	foreach(lc, task->actions)
	{
		ActionExecution *action = lfirst(lc);

		if (!action->separate)
		{
			action->separate = true;
			action->change = ROW_NEW;
		}
	}
}

static ActionExecution *
folded_action(Task *task)
{
	ActionExecution *action = task->actions ? linitial(task->actions) : NULL;

	return action && !action->separate ? action : NULL;
}

/* ---------------------------------------------------------------- rows */

static void
fill_execution(TupleTableSlot *slot, Execution *execution)
{
	Filler		f = {slot, 0};
	bool		is_root = execution->parent_task == NULL;

	put(&f, UUIDPGetDatum(&execution->id));
	put(&f, UUIDPGetDatum(&execution->tree->root_id));
	if (is_root)
		put_null(&f);
	else
		put(&f, UUIDPGetDatum(&execution->parent_task->id));
	put(&f, Int32GetDatum(execution->ordinal));
	put(&f, UUIDPGetDatum(&execution->definition_id));
	put(&f, ObjectIdGetDatum(execution->owner));
	put_text(&f, execution->name);
	put_text(&f, execution->namespace_);
	put_text(&f, state_name(execution->state));
	if (is_root)
		put(&f, FullTransactionIdGetDatum(execution->tree->stamp));
	else
		put_null(&f);
	put(&f, TimestampTzGetDatum(execution->created_at));
	put(&f, TimestampTzGetDatum(execution->updated_at));
	put_time(&f, execution->finished_at);
	put_text(&f, execution->state_info);
	put_text(&f, execution->description);
	put_ref(&f, &execution->input);
	put_ref(&f, &execution->params);
	put_ref(&f, &execution->globals);
	put_ref(&f, &execution->output);
	put_json(&f, store_execution_runtime(execution));
}

static void
fill_task(TupleTableSlot *slot, Task *task)
{
	Filler		f = {slot, 0};
	ActionExecution *action = folded_action(task);

	put(&f, UUIDPGetDatum(&task->id));
	put(&f, UUIDPGetDatum(&task->execution->id));
	put(&f, Int32GetDatum(task->ordinal));
	put_text(&f, task->name);
	put_text(&f, task->is_workflow ? "WORKFLOW" : "ACTION");
	put_text(&f, state_name(task->state));
	put(&f, BoolGetDatum(task->processed));
	put(&f, BoolGetDatum(task->error_handled));
	put(&f, BoolGetDatum(task->has_next_tasks));
	put(&f, TimestampTzGetDatum(task->created_at));
	put(&f, TimestampTzGetDatum(task->updated_at));
	put_time(&f, task->started_at);
	put_time(&f, task->finished_at);
	if (action)
	{
		put(&f, UUIDPGetDatum(&action->id));
		put_text(&f, action->name);
		put_text(&f, state_name(action->state));
	}
	else
	{
		put_null(&f);
		put_null(&f);
		put_null(&f);
	}
	put_text(&f, task->state_info);
	if (action)
	{
		put_ref(&f, &action->input);
		put_ref(&f, &action->result);
	}
	else
	{
		put_null(&f);
		put_null(&f);
	}
	put_ref(&f, &task->published);
	put_json(&f, scope_store(task));
	put_ref(&f, &task->merged);
	put_json(&f, store_triggered_by(task));
	put_json(&f, store_next_tasks(task));
	put_json(&f, store_runtime(task));
	put_ref(&f, &task->items);
}

static void
fill_action(TupleTableSlot *slot, ActionExecution *action)
{
	Filler		f = {slot, 0};
	Execution  *execution = action->task->execution;

	put(&f, UUIDPGetDatum(&action->id));
	put(&f, UUIDPGetDatum(&action->task->id));
	put(&f, UUIDPGetDatum(&execution->id));
	put(&f, UUIDPGetDatum(&execution->tree->root_id));
	put(&f, Int32GetDatum(action->ordinal));
	if (action->item >= 0)
		put(&f, Int32GetDatum(action->item));
	else
		put_null(&f);
	put(&f, ObjectIdGetDatum(execution->owner));
	put_text(&f, action->name);
	put_text(&f, state_name(action->state));
	put(&f, BoolGetDatum(action->accepted));
	put(&f, Int32GetDatum(action->attempt));
	put(&f, TimestampTzGetDatum(action->created_at));
	put(&f, TimestampTzGetDatum(action->updated_at));
	put_time(&f, action->finished_at);
	put_text(&f, "");
	put_ref(&f, &action->runtime);
	put_ref(&f, &action->input);
	put_ref(&f, &action->result);
}

static void
write_timers(List *trees)
{
	RowWriter	writer;
	ListCell   *lc;
	ListCell   *lt;

	rows_open(&writer, "timer");
	foreach(lc, trees)
	{
		Tree	   *tree = lfirst(lc);

		foreach(lt, tree->timers)
		{
			TimerRow   *timer = lfirst(lt);
			Filler		f = {rows_add(&writer, NULL), 0};

			tree->has_timers = true;
			put(&f, TimestampTzGetDatum(timer->due_at));
			put(&f, UUIDPGetDatum(&timer->id));
			put(&f, UUIDPGetDatum(&tree->root_id));
			put_text(&f, timer->kind);
			put(&f, UUIDPGetDatum(&timer->target_id));
		}
	}
	rows_close(&writer);
	foreach(lc, trees)
		((Tree *) lfirst(lc))->timers = NIL;
}

static void
write_dispatches(List *trees)
{
	RowWriter	dispatches;
	RowWriter	offers;
	ListCell   *lc;
	ListCell   *ld;
	List	   *performers = NIL;

	rows_open(&dispatches, "dispatch");
	rows_open(&offers, "offer");
	foreach(lc, trees)
	{
		Tree	   *tree = lfirst(lc);

		foreach(ld, tree->dispatches)
		{
			DispatchRow *row = lfirst(ld);

			/* Somebody has ended it meanwhile. */
			if (row->action->state != STATE_RUNNING)
				continue;
			if (row->waits)
				begin_event_wait(tree, row);
			else if (row->performer == NULL)
				write_offer(&offers, tree, row);
			else
			{
				performers = list_append_unique_ptr(performers, unconstify(char *, row->performer));
				write_dispatch(&dispatches, tree, row);
			}
		}
		tree->dispatches = NIL;
	}
	rows_close(&offers);
	rows_close(&dispatches);
	foreach(lc, performers)
	{
		if (work_dispatched_hook)
			work_dispatched_hook(lfirst(lc), dispatches.lowest);
	}
}

static void
write_dispatch(RowWriter *writer, Tree *tree, const DispatchRow *row)
{
	Filler		f = {rows_add(writer, NULL), 0};

	put(&f, UUIDPGetDatum(&row->action->id));
	put(&f, UUIDPGetDatum(&tree->root_id));
	put(&f, UUIDPGetDatum(&row->action->id));
	put(&f, Int32GetDatum(row->action->attempt));
	put_text(&f, row->performer);
	put(&f, ObjectIdGetDatum(row->action->task->execution->owner));
	put_text(&f, row->base);
	put(&f, BoolGetDatum(row->safe_rerun));
	if (row->timeout > 0)
		put(&f, Int32GetDatum(row->timeout));
	else
		put_null(&f);
	put(&f, TimestampTzGetDatum(clock_now()));
	put_json(&f, row->headers);
	put_json(&f, row->input);
}

static void
begin_event_wait(Tree *tree, const DispatchRow *row)
{
	const Execution *execution = row->action->task->execution;
	EventWait	wait;

	wait.action_id = row->action->id;
	wait.root_id = tree->root_id;
	wait.attempt = row->action->attempt;
	wait.owner = execution->owner;
	wait.execution_id = execution->id;
	wait.task = row->action->task->name;
	wait.started_at = tree->root->created_at;
	wait.input = row->input;
	event_wait_begin(&wait);
}

static void
write_offer(RowWriter *writer, Tree *tree, const DispatchRow *row)
{
	Filler		f = {rows_add(writer, NULL), 0};

	put(&f, UUIDPGetDatum(&row->action->id));
	put(&f, UUIDPGetDatum(&tree->root_id));
	if (row->target)
		put_text(&f, row->target);
	else
		put_null(&f);
	put(&f, ObjectIdGetDatum(row->action->task->execution->owner));
	put_text(&f, row->base);
	put(&f, Int32GetDatum(1));
	put(&f, BoolGetDatum(row->safe_rerun));
	put(&f, BoolGetDatum(state_is_final(row->action->task->execution->state)));
	put(&f, TimestampTzGetDatum(clock_now()));
}

/* What became of actions that were on offer before. */
static void
settle_offers(List *trees)
{
	List	   *withdrawn = NIL;
	List	   *held = NIL;
	List	   *released = NIL;
	ListCell   *lc;

	foreach(lc, trees)
	{
		Tree	   *tree = lfirst(lc);

		withdrawn = list_concat(withdrawn, tree->withdrawn);
		held = list_concat(held, tree->held);
		released = list_concat(released, tree->released);
		tree->withdrawn = tree->held = tree->released = NIL;
	}
	if (withdrawn != NIL)
	{
		pull_withdraw(id_array(withdrawn));
		event_wait_end(id_array(withdrawn));
	}
	if (held != NIL)
		pull_hold(id_array(held), true);
	if (released != NIL)
		pull_hold(id_array(released), false);
}

static void
delete_timers(List *trees)
{
	static DbStatement all = {
		"DELETE FROM mistral.timer WHERE target_id OPERATOR(pg_catalog.=) ANY ($1)",
		1, {UUIDARRAYOID}
	};
	static DbStatement delays = {
		"DELETE FROM mistral.timer WHERE target_id OPERATOR(pg_catalog.=) ANY ($1) AND kind OPERATOR(pg_catalog.<>) 'timeout'",
		1, {UUIDARRAYOID}
	};
	List	   *cancelled = NIL;
	List	   *undelayed = NIL;
	ListCell   *lc;
	Datum		values[1];

	foreach(lc, trees)
	{
		Tree	   *tree = lfirst(lc);

		cancelled = list_concat(cancelled, tree->cancelled);
		undelayed = list_concat(undelayed, tree->undelayed);
		tree->cancelled = tree->undelayed = NIL;
	}
	if ((cancelled == NIL && undelayed == NIL) || db_table_is_empty("timer"))
		return;
	values[0] = id_array(cancelled);
	if (cancelled != NIL)
		db_execute(&all, values, NULL, false, 0);
	values[0] = id_array(undelayed);
	if (undelayed != NIL)
		db_execute(&delays, values, NULL, false, 0);
}

/* ---------------------------------------------------------------- stored forms */

static Jsonb *
store_triggered_by(const Task *task)
{
	JsonFlat	f;
	int			i;

	if (task->ntriggered_by == 0)
		return NULL;
	json_flat_begin(&f, task->ntriggered_by * 48);
	json_flat_open_array(&f, task->ntriggered_by);
	for (i = 0; i < task->ntriggered_by; i++)
	{
		const TriggeredBy *by = &task->triggered_by[i];

		json_flat_open_array(&f, 2);
		json_flat_int(&f, by->ordinal);
		json_flat_string(&f, by->event, strlen(by->event));
		json_flat_close(&f);
	}
	json_flat_close(&f);
	return json_flat_finish(&f);
}

static Jsonb *
store_next_tasks(const Task *task)
{
	JsonFlat	f;
	int			n = 0;
	int			i;

	if (task->nnext_tasks == 0)
		return NULL;
	for (i = 0; i < task->nnext_tasks; i++)
		n += task->next_tasks[i].spec >= 0;
	json_flat_begin(&f, sizeof(uint32) + n * 48);
	json_flat_open_array(&f, n);
	for (i = 0; i < task->nnext_tasks; i++)
	{
		const NextTask *next = &task->next_tasks[i];
		const char *name;

		if (next->spec < 0)
			continue;
		name = task->execution->workflow->tasks[next->spec].name;
		json_flat_open_array(&f, 2);
		json_flat_string(&f, name, strlen(name));
		json_flat_string(&f, next->event, strlen(next->event));
		json_flat_close(&f);
	}
	json_flat_close(&f);
	return json_flat_finish(&f);
}

static Jsonb *
store_runtime(const Task *task)
{
	JsonBuilder b = {0};
	int			member = -1;

	if (task->retry_no == 0 && !task->waited_before && !task->waited_after &&
		task->nitems == 0 && task->concurrency == 0 && task->subs_from == 0 && !task->partial &&
		task->join_decided == 0)
		return NULL;
	json_begin_object(&b);
	json_add_key(&b, "items");
	json_add_int(&b, task->nitems);
	json_add_key(&b, "started");
	json_add_int(&b, task->nstarted);
	json_add_key(&b, "ended");
	json_add_int(&b, task->nended);
	json_add_key(&b, "failed");
	json_add_int(&b, task->nfailed);
	json_add_key(&b, "actions");
	json_add_int(&b, task->nactions);
	json_add_key(&b, "subs");
	json_add_int(&b, task->nsubs);
	json_add_key(&b, "partial");
	json_add_bool(&b, task->partial);
	json_add_key(&b, "join_decided");
	json_add_int(&b, task->join_decided);
	json_add_key(&b, "join_anew");
	json_begin_array(&b);
	while ((member = bms_next_member(task->join_anew, member)) >= 0)
		json_add_int(&b, member);
	json_end_array(&b);
	json_add_key(&b, "concurrency");
	json_add_int(&b, task->concurrency);
	json_add_key(&b, "subs_from");
	json_add_int(&b, task->subs_from);
	json_add_key(&b, "retry_no");
	json_add_int(&b, task->retry_no);
	json_add_key(&b, "waited_before");
	json_add_bool(&b, task->waited_before);
	json_add_key(&b, "waited_after");
	json_add_bool(&b, task->waited_after);
	if (task->waited_after)
	{
		json_add_key(&b, "end_state");
		json_add_string(&b, state_name(task->end_state));
		json_add_key(&b, "end_info");
		json_add_string(&b, task->end_info);
	}
	json_end_object(&b);
	return json_finish(&b);
}

static Jsonb *
store_execution_runtime(const Execution *execution)
{
	JsonBuilder b = {0};
	ListCell   *lc;

	bool		untold = state_is_final(execution->state) && execution->parent_task && !execution->told;

	if (execution->backlog == NIL && execution->timeout == 0 && !untold)
		return NULL;
	json_begin_object(&b);
	/* Only between the two slices of its end and of its task's. */
	if (untold)
	{
		json_add_key(&b, "untold");
		json_add_bool(&b, true);
	}
	if (execution->timeout > 0)
	{
		json_add_key(&b, "timeout");
		json_add_int(&b, execution->timeout);
	}
	json_add_key(&b, "backlog");
	json_begin_array(&b);
	foreach(lc, execution->backlog)
	{
		Command    *command = lfirst(lc);

		json_begin_object(&b);
		json_add_key(&b, "kind");
		json_add_int(&b, command->kind);
		json_add_key(&b, "from");
		json_add_int(&b, command->from);
		json_add_key(&b, "event");
		json_add_string(&b, command->event);
		json_add_key(&b, "message");
		json_add_string(&b, command->message);
		json_add_key(&b, "task");
		json_add_string(&b, command->spec >= 0 ? execution->workflow->tasks[command->spec].name : NULL);
		json_end_object(&b);
	}
	json_end_array(&b);
	json_end_object(&b);
	return json_finish(&b);
}

/* ---------------------------------------------------------------- columns */

static void
put(Filler *f, Datum datum)
{
	f->slot->tts_values[f->col] = datum;
	f->slot->tts_isnull[f->col] = false;
	f->col++;
}

static void
put_null(Filler *f)
{
	f->slot->tts_values[f->col] = (Datum) 0;
	f->slot->tts_isnull[f->col] = true;
	f->col++;
}

static void
put_text(Filler *f, const char *s)
{
	if (s)
		put(f, CStringGetTextDatum(s));
	else
		put_null(f);
}

static void
put_json(Filler *f, const Jsonb *json)
{
	if (json)
		put(f, PointerGetDatum(json));
	else
		put_null(f);
}

/* As it is stored, where it is stored: what was only carried is not read. */
static void
put_ref(Filler *f, const JsonRef *ref)
{
	if (ref->stored)
		put(f, PointerGetDatum(ref->stored));
	else
		put_json(f, ref->plain);
}

static void
put_time(Filler *f, TimestampTz t)
{
	if (TIMESTAMP_NOT_FINITE(t))
		put_null(f);
	else
		put(f, TimestampTzGetDatum(t));
}
