/*
 * history.c
 *		The append-only history: what each step, or session, did to an execution.
 *
 * A row's position is the id of its transaction and its number within it.
 * Whoever reads in that order, and only below the oldest transaction that still
 * runs, misses nothing that commits late (mistral.history_since); a sequence
 * could not say that.  Times are microseconds after the row's own, and objects go
 * by name and ordinal, so that a transition costs some fifty bytes.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/xid8.h"

#include "base/db.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/json_flat.h"
#include "base/rows.h"
#include "engine/history.h"
#include "engine/states.h"
#include "guc.h"
#include "queue/message.h"

/* Longest text of a transition, in bytes: the rest is in the object's own row. */
#define MAX_INFO 1000

static bool wanted(const Tree *tree, HistoryLevel level, const char *role);
static char *doer(Tree *tree, Task *task, const pg_uuid_t *id);
static void note(Execution *execution, Task *task, ActionExecution *action, const char *role, State state, const char *info,
				 TimestampTz at);
static void note_message(Tree *tree, const char *kind);
static void fill(TupleTableSlot *slot, Execution *execution, int number);
static Datum message_array(const Tree *tree);
static Jsonb *store_transitions(const Execution *execution, TimestampTz start);
static void store_transition(JsonFlat *f, const Transition *t, TimestampTz start);
static void add_text(JsonFlat *f, const char *s);
static int	next_number(FullTransactionId xid);

void
history_execution(Execution *execution, State from)
{
	if (!wanted(execution->tree, HISTORY_EXECUTIONS, NULL))
		return;
	/* That it was started is told with what came next, or each start would write a row for it. */
	if (from == STATE_IDLE && execution->parent_task == NULL)
		note(execution, NULL, NULL, GetUserNameFromId(execution->owner, true), STATE_IDLE, NULL, execution->created_at);
	note(execution, NULL, NULL, NULL, execution->state, execution->state_info, execution->updated_at);
}

void
history_task(Task *task)
{
	Tree	   *tree = task->execution->tree;
	char	   *role = doer(tree, task, &task->id);

	if (wanted(tree, HISTORY_TASKS, role))
		note(task->execution, task, NULL, role, task->state, task->state_info, task->updated_at);
}

void
history_action(ActionExecution *action)
{
	Execution  *execution = action->task->execution;
	char	   *role = doer(execution->tree, action->task, &action->id);

	if (wanted(execution->tree, HISTORY_ACTIONS, role))
		note(execution, action->task, action, role, action->state, NULL, action->updated_at);
}

void
history_message(Tree *tree, const char *kind, const char *role, const pg_uuid_t *target)
{
	tree->acting = NULL;
	tree->acting_task = NULL;
	if (guc_history == HISTORY_OFF)
		return;
	note_message(tree, kind);
	if (role)
	{
		tree->acting = MemoryContextStrdup(tree->step_cxt, role);
		tree->acting_on = *target;
	}
}

void
history_session(Tree *tree, const char *what, Oid role)
{
	if (guc_history == HISTORY_OFF)
		return;
	note_message(tree, what);
	tree->session_role = MemoryContextStrdup(tree->step_cxt, GetUserNameFromId(role, false));
}

const char *
history_sender(Oid role)
{
	return guc_history == HISTORY_OFF ? NULL : GetUserNameFromId(role, false);
}

char *
history_signer(const Jsonb *payload)
{
	return payload ? json_get_string(payload, MESSAGE_SENDER) : NULL;
}

void
history_write(List *trees)
{
	RowWriter	writer;
	ListCell   *lc;
	ListCell   *le;

	rows_open(&writer, "history");
	foreach(lc, trees)
	{
		Tree	   *tree = lfirst(lc);

		foreach(le, tree->executions)
		{
			Execution  *execution = lfirst(le);

			if (execution->transitions == NIL)
				continue;
			fill(rows_add(&writer, NULL), execution, next_number(tree->stamp));
			execution->transitions = NIL;
		}
		tree->messages = NIL;
		tree->acting = tree->session_role = NULL;
	}
	rows_close(&writer);
}

/* Only a cluster that has counted further leaves ids that are not in the past here. */
void
history_adopt(void)
{
	static DbStatement renumber = {
		"UPDATE mistral.history h SET xid = '0', n = o.n FROM "
		"(SELECT i.xid, i.n AS old, COALESCE((SELECT pg_catalog.max(z.n) FROM mistral.history z WHERE z.xid OPERATOR(pg_catalog.=) '0'), 0)"
		" OPERATOR(pg_catalog.+) (pg_catalog.row_number() OVER (ORDER BY i.xid, i.n))::int AS n"
		" FROM mistral.history i WHERE i.xid OPERATOR(pg_catalog.>) '0'"
		" AND EXISTS (SELECT FROM mistral.history l WHERE l.xid OPERATOR(pg_catalog.>) pg_catalog.pg_current_xact_id())) o"
		" WHERE h.xid OPERATOR(pg_catalog.=) o.xid AND h.n OPERATOR(pg_catalog.=) o.old",
		0
	};

	db_execute(&renumber, NULL, NULL, false, 0);
}

/* ---------------------------------------------------------------- noting */

/* What somebody did is kept where less is, too. */
static bool
wanted(const Tree *tree, HistoryLevel level, const char *role)
{
	return guc_history >= level || (guc_history >= HISTORY_ROLES && (role || tree->session_role));
}

/* Who moves the object of that id: an action, or the task itself. What follows elsewhere is the engine's doing. */
static char *
doer(Tree *tree, Task *task, const pg_uuid_t *id)
{
	if (tree->acting == NULL)
		return NULL;
	if (id_equal(id, &tree->acting_on))
		tree->acting_task = task;
	else if (task != tree->acting_task || !id_equal(id, &task->id))
		return NULL;
	return tree->acting;
}

static void
note(Execution *execution, Task *task, ActionExecution *action, const char *role, State state, const char *info,
	 TimestampTz at)
{
	Tree	   *tree = execution->tree;
	MemoryContext old = MemoryContextSwitchTo(tree->step_cxt);
	Transition *t = palloc(sizeof(Transition));

	t->task = task;
	t->action = action;
	t->state = state;
	t->at = at;
	t->info = info && info[0] ? info : NULL;
	t->role = role;
	execution->transitions = lappend(execution->transitions, t);
	MemoryContextSwitchTo(old);
}

/* A thousand results are one kind of message. */
static void
note_message(Tree *tree, const char *kind)
{
	MemoryContext old;
	ListCell   *lc;

	foreach(lc, tree->messages)
	{
		if (strcmp(lfirst(lc), kind) == 0)
			return;
	}
	old = MemoryContextSwitchTo(tree->step_cxt);
	tree->messages = lappend(tree->messages, pstrdup(kind));
	MemoryContextSwitchTo(old);
}

/* ---------------------------------------------------------------- writing */

/* In the order of the table. */
static void
fill(TupleTableSlot *slot, Execution *execution, int number)
{
	Tree	   *tree = execution->tree;
	Transition *first = linitial(execution->transitions);
	Datum	   *v = slot->tts_values;

	*v++ = FullTransactionIdGetDatum(tree->stamp);
	*v++ = TimestampTzGetDatum(first->at);
	*v++ = Int32GetDatum(number);
	*v++ = ObjectIdGetDatum(execution->owner);
	*v++ = UUIDPGetDatum(&execution->id);
	*v++ = UUIDPGetDatum(&tree->root_id);
	*v++ = CStringGetTextDatum(execution->name);
	*v++ = CStringGetTextDatum(state_name(execution->state));
	if (tree->session_role)
		*v = CStringGetTextDatum(tree->session_role);
	else
		slot->tts_isnull[v - slot->tts_values] = true;
	v++;
	*v++ = message_array(tree);
	*v = PointerGetDatum(store_transitions(execution, first->at));
}

static Datum
message_array(const Tree *tree)
{
	int			n = list_length(tree->messages);
	Datum	   *elements = palloc(sizeof(Datum) * Max(n, 1));
	int			i;

	for (i = 0; i < n; i++)
		elements[i] = CStringGetTextDatum(list_nth(tree->messages, i));
	return PointerGetDatum(construct_array(elements, n, TEXTOID, -1, false, TYPALIGN_INT));
}

static Jsonb *
store_transitions(const Execution *execution, TimestampTz start)
{
	JsonFlat	f;
	ListCell   *lc;

	json_flat_begin(&f, list_length(execution->transitions) * 96);
	json_flat_open_array(&f, list_length(execution->transitions));
	foreach(lc, execution->transitions)
		store_transition(&f, lfirst(lc), start);
	json_flat_close(&f);
	return json_flat_finish(&f);
}

/* Keys in jsonb's order: the shorter ones first. */
static void
store_transition(JsonFlat *f, const Transition *t, TimestampTz start)
{
	bool		item = t->action && t->action->item >= 0;
	int64		us = t->at - start;
	int			len = t->info ? strlen(t->info) : 0;

	json_flat_open_object(f, 2 + (t->role != NULL) + (t->info != NULL) + item + 2 * (t->task != NULL) + (t->action != NULL));
	add_text(f, "at");
	if (t->role)
		add_text(f, "by");
	add_text(f, "to");
	if (t->info)
		add_text(f, "info");
	if (item)
		add_text(f, "item");
	if (t->task)
		add_text(f, "task");
	if (t->action)
		add_text(f, "action");
	if (t->task)
		add_text(f, "ordinal");

	json_flat_int(f, (int) Min(Max(us, PG_INT32_MIN), PG_INT32_MAX));
	if (t->role)
		add_text(f, t->role);
	add_text(f, state_name(t->state));
	if (t->info)
		json_flat_string(f, t->info, len > MAX_INFO ? pg_mbcliplen(t->info, len, MAX_INFO) : len);
	if (item)
		json_flat_int(f, t->action->item);
	if (t->task)
		add_text(f, t->task->name);
	if (t->action)
		add_text(f, t->action->name);
	if (t->task)
		json_flat_int(f, t->task->ordinal);
	json_flat_close(f);
}

static void
add_text(JsonFlat *f, const char *s)
{
	json_flat_string(f, s, strlen(s));
}

/* The number of the transaction's next row. */
static int
next_number(FullTransactionId xid)
{
	static FullTransactionId counted;
	static int	n;

	if (!FullTransactionIdEquals(counted, xid))
	{
		counted = xid;
		n = 0;
	}
	return ++n;
}
