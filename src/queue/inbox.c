/*
 * inbox.c
 *		Taking messages and due timers out of their tables.
 *
 * Messages are read and deleted by place: the queue has no index to search,
 * and the dead rows that an old snapshot keeps cost nothing.  A place is only a
 * hint; the row's id tells whether it still means the same message.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "storage/bufmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/db.h"
#include "base/ids.h"
#include "base/json.h"
#include "queue/inbox.h"
#include "queue/message.h"

/* Columns of mistral.message, from 1. */
enum
{
	COL_ID = 1,
	COL_ROOT_ID,
	COL_KIND,
	COL_TARGET_ID,
	COL_ATTEMPT,
	COL_CREATED_AT,
	COL_PAYLOAD
};

static bool read_row(TupleTableSlot *slot, const MessageHint *hint, InboxMessage *message);
static int	compare_messages(const void *a, const void *b);

int
inbox_look(int limit, bool starts, int part, int parts, MessageHint **hints)
{
	/* As id_share divides. */
#define OF_PART \
	"pg_catalog.mod(pg_catalog.int8and(pg_catalog.int8(pg_catalog.uuid_hash(root_id)), 4294967295), $2) OPERATOR(pg_catalog.=) $3"
	static DbStatement select = {
		"SELECT ctid, id, root_id FROM mistral.message WHERE " OF_PART " LIMIT $1",
		3, {INT8OID, INT8OID, INT8OID}
	};
	static DbStatement select_others = {
		"SELECT ctid, id, root_id FROM mistral.message WHERE " OF_PART " "
		"AND kind OPERATOR(pg_catalog.<>) '" MESSAGE_START "' LIMIT $1",
		3, {INT8OID, INT8OID, INT8OID}
	};
	Datum		values[3] = {Int64GetDatum(limit), Int64GetDatum(parts), Int64GetDatum(part)};
	uint64		n = db_execute(starts ? &select : &select_others, values, NULL, false, 0);
	uint64		i;

	*hints = palloc(sizeof(MessageHint) * Max(n, 1));
	for (i = 0; i < n; i++)
	{
		bool		isnull;

		(*hints)[i].tid = *(ItemPointer) DatumGetPointer(db_datum(i, 1, &isnull));
		(*hints)[i].id = *DatumGetUUIDP(db_datum(i, 2, &isnull));
		(*hints)[i].root_id = *DatumGetUUIDP(db_datum(i, 3, &isnull));
	}
	return (int) n;
}

int
inbox_due_timers(TimestampTz now, int limit, InboxMessage **timers)
{
	/* Locked, for they are not read again when their trees are: another engine sees them too. */
	static DbStatement select = {
		"SELECT due_at, id, root_id, kind, target_id FROM mistral.timer "
		"WHERE due_at OPERATOR(pg_catalog.<=) $1 ORDER BY due_at, id LIMIT $2 FOR UPDATE SKIP LOCKED",
		2, {TIMESTAMPTZOID, INT8OID}
	};
	Datum		values[2] = {TimestampTzGetDatum(now), Int64GetDatum(limit)};
	uint64		n = db_table_is_empty("timer") ? 0 : db_execute(&select, values, NULL, false, 0);
	uint64		i;

	*timers = palloc0(sizeof(InboxMessage) * Max(n, 1));
	for (i = 0; i < n; i++)
	{
		InboxMessage *timer = &(*timers)[i];
		bool		isnull;

		timer->is_timer = true;
		timer->due_at = DatumGetTimestampTz(db_datum(i, 1, &isnull));
		timer->id = *DatumGetUUIDP(db_datum(i, 2, &isnull));
		timer->root_id = *DatumGetUUIDP(db_datum(i, 3, &isnull));
		timer->kind = TextDatumGetCString(db_datum(i, 4, &isnull));
		timer->target = *DatumGetUUIDP(db_datum(i, 5, &isnull));
		timer->has_target = true;
	}
	return (int) n;
}

int
inbox_read(const MessageHint *hints, int nhints, InboxMessage *messages)
{
	Relation	rel = table_open(db_table("message"), RowExclusiveLock);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	BlockNumber nblocks = RelationGetNumberOfBlocks(rel);
	int			n = 0;
	int			i;

	for (i = 0; i < nhints; i++)
	{
		ItemPointerData tid = hints[i].tid;

		/* Reading past the end would be an error. */
		if (ItemPointerGetBlockNumber(&tid) >= nblocks ||
			!table_tuple_fetch_row_version(rel, &tid, snapshot, slot))
			continue;
		if (read_row(slot, &hints[i], &messages[n]))
			n++;
		ExecClearTuple(slot);
	}
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
	qsort(messages, n, sizeof(InboxMessage), compare_messages);
	/* The same place twice (a ring's and a full look's) is one message. */
	for (i = 1; i < n;)
	{
		if (id_equal(&messages[i].id, &messages[i - 1].id))
			memmove(&messages[i], &messages[i + 1], sizeof(InboxMessage) * (--n - i));
		else
			i++;
	}
	return n;
}

void
inbox_delete(const InboxMessage *messages, int nmessages)
{
	static DbStatement delete_timers = {
		"DELETE FROM mistral.timer t USING ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS d(due_at, id) "
		"WHERE t.due_at OPERATOR(pg_catalog.=) d.due_at AND t.id OPERATOR(pg_catalog.=) d.id",
		2, {TIMESTAMPTZARRAYOID, UUIDARRAYOID}
	};
	Relation	rel = table_open(db_table("message"), RowExclusiveLock);
	Datum	   *due = palloc(sizeof(Datum) * Max(nmessages, 1));
	Datum	   *ids = palloc(sizeof(Datum) * Max(nmessages, 1));
	int			ntimers = 0;
	int			i;

	for (i = 0; i < nmessages; i++)
	{
		ItemPointerData tid = messages[i].tid;

		if (messages[i].is_timer)
		{
			due[ntimers] = TimestampTzGetDatum(messages[i].due_at);
			ids[ntimers] = UUIDPGetDatum(&messages[i].id);
			ntimers++;
		}
		else
			simple_heap_delete(rel, &tid);
	}
	table_close(rel, NoLock);
	if (ntimers > 0)
	{
		Datum		values[2];

		values[0] = PointerGetDatum(construct_array(due, ntimers, TIMESTAMPTZOID, sizeof(TimestampTz),
													FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
		values[1] = PointerGetDatum(construct_array(ids, ntimers, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
		if (db_execute(&delete_timers, values, NULL, false, 0) != (uint64) ntimers)
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("a timer was taken by another process")));
	}
}

void
inbox_park(const MessageHint *hint, const char *error)
{
	static DbStatement park = {
		"WITH gone AS (DELETE FROM mistral.message WHERE ctid OPERATOR(pg_catalog.=) $1 "
		"AND id OPERATOR(pg_catalog.=) $2 RETURNING *) "
		"INSERT INTO mistral.parked_message SELECT gone.*, $3, $4 FROM gone",
		4, {TIDOID, UUIDOID, TEXTOID, TIMESTAMPTZOID}
	};
	static DbStatement tell = {
		"UPDATE mistral.execution SET state_info = $2, stamp = pg_catalog.pg_current_xact_id() "
		"WHERE id OPERATOR(pg_catalog.=) $1 AND finished_at IS NULL",
		2, {UUIDOID, TEXTOID}
	};
	ItemPointerData tid = hint->tid;
	pg_uuid_t	id = hint->id;
	Datum		values[4];

	values[0] = PointerGetDatum(&tid);
	values[1] = UUIDPGetDatum(&id);
	values[2] = CStringGetTextDatum(error);
	values[3] = TimestampTzGetDatum(GetCurrentTimestamp());
	if (db_execute(&park, values, NULL, false, 0) == 0)
		return;
	id = hint->root_id;
	values[0] = UUIDPGetDatum(&id);
	values[1] = CStringGetTextDatum(psprintf("a message could not be handled and was put aside: %s", error));
	db_execute(&tell, values, NULL, false, 0);
}

TimestampTz
inbox_next_timer(void)
{
	static DbStatement select = {
		"SELECT due_at FROM mistral.timer ORDER BY due_at, id LIMIT 1", 0, {0}
	};
	bool		isnull;

	if (db_table_is_empty("timer") || db_execute(&select, NULL, NULL, false, 1) == 0)
		return DT_NOEND;
	return DatumGetTimestampTz(db_datum(0, 1, &isnull));
}

static bool
read_row(TupleTableSlot *slot, const MessageHint *hint, InboxMessage *message)
{
	Datum		datum;
	bool		isnull;

	memset(message, 0, sizeof(*message));
	message->id = *DatumGetUUIDP(slot_getattr(slot, COL_ID, &isnull));
	if (!id_equal(&message->id, &hint->id))
		return false;
	message->tid = hint->tid;
	message->root_id = *DatumGetUUIDP(slot_getattr(slot, COL_ROOT_ID, &isnull));
	message->kind = TextDatumGetCString(slot_getattr(slot, COL_KIND, &isnull));
	datum = slot_getattr(slot, COL_TARGET_ID, &isnull);
	message->has_target = !isnull;
	if (!isnull)
		message->target = *DatumGetUUIDP(datum);
	datum = slot_getattr(slot, COL_PAYLOAD, &isnull);
	if (!isnull)
		message->payload = DatumGetJsonbPCopy(datum);
	message->due_at = DT_NOBEGIN;
	return true;
}

static int
compare_messages(const void *a, const void *b)
{
	const InboxMessage *x = a;
	const InboxMessage *y = b;

	return memcmp(x->id.data, y->id.data, UUID_LEN);
}
