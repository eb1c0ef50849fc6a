/*
 * recorder.c
 *		From a performer's result to a message.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/clock.h"
#include "base/db.h"
#include "base/ids.h"
#include "base/json.h"
#include "executor/protect.h"
#include "executor/recorder.h"
#include "mistral.h"
#include "queue/message.h"

#define RECORD_RETRY_MS 100
#define RECORD_RETRY_MAX_MS 60000

/* How long a record waits for another transaction that completes the same action. */
#define RECORD_LOCK_TIMEOUT "20ms"

/* Bytes of results after which they are put and forgotten, so that a batch of large ones is not in memory as a whole. */
#define PUT_AT_BYTES (1024 * 1024)

/* Columns of mistral.attempt, from 1. */
enum
{
	COL_ACTION_ID = 1,
	COL_ATTEMPT
};

/* What a protected call needs. */
typedef struct Recording
{
	Recorder   *recorder;
	Attempt    *attempt;
} Recording;

static int	settle_lost(Recorder *recorder);
static Attempt **take_waiting(Recorder *recorder, int max, int *count);
static bool *delete_attempts(Attempt **attempts, int count, bool again);
static int	delete_by_place(Attempt **attempts, int count, bool *owned);
static bool attempt_exists(const Attempt *attempt);
static void put_results(Recorder *recorder, Attempt **attempts, const bool *owned, int count);
static void record_protected(Recorder *recorder, Attempt *attempt);
static void record_one(void *arg);
static void defer(Recorder *recorder, Attempt *attempt);
static void forget_all(Recorder *recorder, dlist_head *list);

void
recorder_init(Recorder *recorder)
{
	dlist_init(&recorder->waiting);
	dlist_init(&recorder->recorded);
	dlist_init(&recorder->deferred);
	dlist_init(&recorder->lost);
	recorder->count = recorder->nlost = 0;
}

void
recorder_add(Recorder *recorder, Attempt *attempt)
{
	dlist_push_tail(&recorder->waiting, &attempt->node);
	recorder->count++;
}

void
recorder_lose(Recorder *recorder, Attempt *attempt)
{
	dlist_push_tail(&recorder->lost, &attempt->node);
	recorder->count++;
	recorder->nlost++;
}

bool
recorder_relieved(Recorder *recorder)
{
	bool		again = recorder->again;

	recorder->again = false;
	return again;
}

int
recorder_ready(Recorder *recorder, TimestampTz now)
{
	dlist_mutable_iter iter;
	dlist_iter	it;
	int			ready = recorder->nlost;

	dlist_foreach_modify(iter, &recorder->deferred)
	{
		Attempt    *attempt = dlist_container(Attempt, node, iter.cur);

		if (attempt->record_after > now)
			continue;
		dlist_delete(&attempt->node);
		dlist_push_tail(&recorder->waiting, &attempt->node);
	}
	dlist_foreach(it, &recorder->waiting)
		ready++;
	return ready;
}

TimestampTz
recorder_next(const Recorder *recorder, TimestampTz other)
{
	dlist_iter	iter;

	dlist_foreach(iter, &unconstify(Recorder *, recorder)->deferred)
	{
		TimestampTz after = dlist_container(Attempt, node, iter.cur)->record_after;

		if (other == 0 || after < other)
			other = after;
	}
	return other;
}

/*
 * The first time a batch is recorded as a whole.  What was in a batch that failed
 * is recorded one by one in subtransactions, so that the culprit is found and
 * the others get through.
 */
int
recorder_record(Recorder *recorder, int max)
{
	DbSession	session;
	MemoryContext context;
	MemoryContext old;
	Attempt   **attempts;
	bool	   *deleted;
	int			settled = settle_lost(recorder);
	int			count;
	int			i;

	attempts = take_waiting(recorder, max, &count);
	if (count == 0)
		return settled;
	db_enter(&session);
	/* A session that holds back the completion of one action must not stop the others. */
	(void) set_config_option("lock_timeout", RECORD_LOCK_TIMEOUT, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	deleted = delete_attempts(attempts, count, false);
	context = AllocSetContextCreate(CurrentMemoryContext, "record", ALLOCSET_DEFAULT_SIZES);
	for (i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		old = MemoryContextSwitchTo(context);
		if (attempts[i]->record_failures > 0)
			record_protected(recorder, attempts[i]);
		else if (!deleted[i] && attempt_exists(attempts[i]))
			defer(recorder, attempts[i]);	/* locked by somebody who may be about to cancel it */
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
	}
	MemoryContextDelete(context);
	put_results(recorder, attempts, deleted, count);
	db_leave(&session);
	return settled + count;
}

void
recorder_recorded(Recorder *recorder, bool committed)
{
	dlist_mutable_iter iter;

	if (committed && recorder->settling)
	{
		forget_all(recorder, &recorder->lost);
		recorder->nlost = 0;
		recorder->again = true;
	}
	recorder->settling = false;
	if (committed)
	{
		forget_all(recorder, &recorder->recorded);
		return;
	}
	dlist_foreach_modify(iter, &recorder->recorded)
		defer(recorder, dlist_container(Attempt, node, iter.cur));
}

void
recorder_clear(Recorder *recorder)
{
	forget_all(recorder, &recorder->waiting);
	forget_all(recorder, &recorder->recorded);
	forget_all(recorder, &recorder->deferred);
	forget_all(recorder, &recorder->lost);
	recorder->nlost = 0;
}

int
attempts_settle(const char *performer, List *only, const char *who)
{
	static DbStatement again = {
		"WITH gone AS (DELETE FROM mistral.attempt WHERE performer = $1 AND safe_rerun AND attempt < $2 "
		"AND ($4 IS NULL OR action_id = ANY ($4)) RETURNING *) "
		"INSERT INTO mistral.dispatch (id, root_id, action_id, attempt, performer, owner, action, safe_rerun, "
		"timeout, created_at, headers, input) "
		"SELECT pg_catalog.gen_random_uuid(), root_id, action_id, attempt + 1, performer, owner, action, safe_rerun, "
		"timeout, $3, headers, input FROM gone",
		4, {TEXTOID, INT4OID, TIMESTAMPTZOID, UUIDARRAYOID}
	};
	static DbStatement lost = {
		"DELETE FROM mistral.attempt WHERE performer = $1 AND ($2 IS NULL OR action_id = ANY ($2)) "
		"RETURNING root_id, action_id, attempt, safe_rerun",
		2, {TEXTOID, UUIDARRAYOID}
	};
	Datum		ids = only ? id_array(only) : (Datum) 0;
	Datum		values[4];
	uint64		repeated;
	uint64		n;
	uint64		i;
	SPITupleTable *rows;

	values[0] = CStringGetTextDatum(performer);
	values[1] = Int32GetDatum(MAX_ATTEMPTS);
	values[2] = TimestampTzGetDatum(clock_now());
	values[3] = ids;
	repeated = db_execute(&again, values, only ? NULL : "   n", false, 0);
	values[1] = ids;
	n = db_execute(&lost, values, only ? NULL : " n", false, 0);
	rows = SPI_tuptable;
	for (i = 0; i < n; i++)
	{
		TupleDesc	desc = rows->tupdesc;
		bool		isnull;
		pg_uuid_t  *root_id = DatumGetUUIDP(SPI_getbinval(rows->vals[i], desc, 1, &isnull));
		pg_uuid_t  *action_id = DatumGetUUIDP(SPI_getbinval(rows->vals[i], desc, 2, &isnull));
		int			attempt = DatumGetInt32(SPI_getbinval(rows->vals[i], desc, 3, &isnull));
		bool		safe_rerun = DatumGetBool(SPI_getbinval(rows->vals[i], desc, 4, &isnull));

		CHECK_FOR_INTERRUPTS();
		attempt_put_error(root_id, action_id, attempt,
						  safe_rerun ?
						  psprintf("%s died %d times while the request was under way", who, attempt) :
						  psprintf("outcome unknown: %s died while the request was under way; "
								   "it is repeated only with safe-rerun: true", who));
	}
	return (int) (repeated + n);
}

/*
 * Under a key of its own (the attempt's number, negative), not the one that lets
 * only one completion in: it would wait for whoever holds back another one, and
 * with it every request of the database.
 */
void
attempt_put_error(const pg_uuid_t *root_id, const pg_uuid_t *action_id, int number, const char *text)
{
	(void) message_put(root_id, MESSAGE_ACTION, action_id, -number,
					   message_action_result("ERROR", json_from_string(text)));
}

/* As if an executor had died with them; they are forgotten when that is committed.  Returns how many. */
static int
settle_lost(Recorder *recorder)
{
	DbSession	session;
	List	   *ids = NIL;
	dlist_iter	iter;

	if (recorder->nlost == 0)
		return 0;
	db_enter(&session);
	dlist_foreach(iter, &recorder->lost)
		ids = lappend(ids, &dlist_container(Attempt, node, iter.cur)->action_id);
	(void) attempts_settle(recorder->performer, ids, recorder->program);
	db_leave(&session);
	recorder->settling = true;
	return recorder->nlost;
}

/* Moves at most `max` attempts to `recorded`, where they stay until the transaction's end. */
static Attempt **
take_waiting(Recorder *recorder, int max, int *count)
{
	Attempt   **attempts = palloc(Max(max, 1) * sizeof(Attempt *));

	*count = 0;
	while (*count < max && !dlist_is_empty(&recorder->waiting))
	{
		Attempt    *attempt = dlist_container(Attempt, node, dlist_pop_head_node(&recorder->waiting));

		dlist_push_tail(&recorder->recorded, &attempt->node);
		attempts[(*count)++] = attempt;
	}
	return attempts;
}

/*
 * Deletes the rows of these attempts (of those tried before, or of the
 * others), except those that are gone already or locked by others, and says
 * which: what is deleted here is ours to record.
 */
static bool *
delete_attempts(Attempt **attempts, int count, bool again)
{
	static DbStatement delete = {
		"DELETE FROM mistral.attempt WHERE ctid = ANY (ARRAY("
		"SELECT a.ctid FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS f (action_id, attempt) "
		"JOIN mistral.attempt AS a ON a.action_id = f.action_id AND a.attempt = f.attempt "
		"FOR UPDATE OF a SKIP LOCKED)) RETURNING action_id, attempt",
		2, {UUIDARRAYOID, INT4ARRAYOID}
	};
	Datum	   *ids = palloc(count * sizeof(Datum));
	Datum	   *numbers = palloc(count * sizeof(Datum));
	bool	   *owned = palloc0(count * sizeof(bool));
	Datum		values[2];
	uint64		n;
	uint64		row;
	int			nelements = 0;
	int			i;

	if (!again && delete_by_place(attempts, count, owned) == count)
		return owned;
	for (i = 0; i < count; i++)
	{
		if ((attempts[i]->record_failures > 0) != again || owned[i])
			continue;
		ids[nelements] = UUIDPGetDatum(&attempts[i]->action_id);
		numbers[nelements++] = Int32GetDatum(attempts[i]->number);
	}
	values[0] = PointerGetDatum(construct_array(ids, nelements, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
	values[1] = PointerGetDatum(construct_array(numbers, nelements, INT4OID, sizeof(int32), true, TYPALIGN_INT));
	n = db_execute(&delete, values, NULL, false, 0);
	for (row = 0; row < n; row++)
	{
		bool		isnull;
		pg_uuid_t  *action_id = DatumGetUUIDP(db_datum(row, 1, &isnull));
		int			number = DatumGetInt32(db_datum(row, 2, &isnull));

		for (i = 0; i < count; i++)
			if (attempts[i]->number == number && id_equal(&attempts[i]->action_id, action_id))
				owned[i] = true;
	}
	return owned;
}

/* Those whose rows lie where they were written, without a statement; returns how many. */
static int
delete_by_place(Attempt **attempts, int count, bool *owned)
{
	Relation	rel = table_open(db_table("attempt"), RowExclusiveLock);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	BlockNumber nblocks = RelationGetNumberOfBlocks(rel);
	int			n = 0;

	for (int i = 0; i < count; i++)
	{
		ItemPointer place = &attempts[i]->place;
		TM_FailureData failure;
		bool		isnull;

		/* Reading past the end would be an error. */
		if (attempts[i]->record_failures > 0 || !ItemPointerIsValid(place) || ItemPointerGetBlockNumber(place) >= nblocks ||
			!table_tuple_fetch_row_version(rel, place, snapshot, slot))
			continue;
		/* A place is only a hint. */
		if (id_equal(DatumGetUUIDP(slot_getattr(slot, COL_ACTION_ID, &isnull)), &attempts[i]->action_id) &&
			DatumGetInt32(slot_getattr(slot, COL_ATTEMPT, &isnull)) == attempts[i]->number &&
			table_tuple_delete(rel, place, GetCurrentCommandId(true), snapshot, InvalidSnapshot, false, &failure, false) == TM_Ok)
		{
			owned[i] = true;
			n++;
		}
		ExecClearTuple(slot);
	}
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
	return n;
}

static bool
attempt_exists(const Attempt *attempt)
{
	static DbStatement find = {
		"SELECT 1 FROM mistral.attempt WHERE action_id = $1 AND attempt = $2",
		2, {UUIDOID, INT4OID}
	};
	Datum		values[2] = {UUIDPGetDatum(&attempt->action_id), Int32GetDatum(attempt->number)};

	return db_execute(&find, values, NULL, false, 1) > 0;
}

/*
 * The messages of those whose rows are deleted.  What was tried before goes by
 * the statement, for somebody may hold back another one all the time.
 */
static void
put_results(Recorder *recorder, Attempt **attempts, const bool *owned, int count)
{
	MessageCompletion *completions = palloc(count * sizeof(MessageCompletion));
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "results", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Size		bytes = 0;
	int			n = 0;
	int			i;

	for (i = 0; i < count; i++)
	{
		Jsonb	   *payload;

		CHECK_FOR_INTERRUPTS();
		if (owned[i] && (payload = recorder->result(attempts[i])) != NULL)
		{
			completions[n++] = (MessageCompletion) {
				attempts[i]->root_id, attempts[i]->action_id, attempts[i]->number, payload,
				.sole = attempts[i]->record_failures == 0
			};
			bytes += VARSIZE(payload);
		}
		if (n > 0 && (bytes > PUT_AT_BYTES || i == count - 1))
		{
			message_put_completions(completions, n);
			MemoryContextReset(context);
			bytes = 0;
			n = 0;
		}
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* Deletes the row and puts the message, in a subtransaction. */
static void
record_protected(Recorder *recorder, Attempt *attempt)
{
	Recording	recording = {recorder, attempt};
	int			sqlstate = protected_call(record_one, &recording);

	if (sqlstate != 0 && sqlstate != ERRCODE_LOCK_NOT_AVAILABLE)
	{
		recorder->spoil(attempt, sqlstate);
		sqlstate = protected_call(record_one, &recording);
	}
	if (sqlstate != 0)
		defer(recorder, attempt);
}

static void
record_one(void *arg)
{
	Recording  *recording = arg;

	bool	   *owned = delete_attempts(&recording->attempt, 1, true);

	if (*owned)
		put_results(recording->recorder, &recording->attempt, owned, 1);
	else if (attempt_exists(recording->attempt))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("the attempt is locked")));
}

/* Moves it out of the batch, to be tried again later, and later each time. */
static void
defer(Recorder *recorder, Attempt *attempt)
{
	int64		delay_ms = (int64) RECORD_RETRY_MS << Min(attempt->record_failures, 10);

	dlist_delete(&attempt->node);
	attempt->record_failures++;
	attempt->record_after = clock_steady() + Min(delay_ms, RECORD_RETRY_MAX_MS) * 1000;
	dlist_push_tail(&recorder->deferred, &attempt->node);
}

static void
forget_all(Recorder *recorder, dlist_head *list)
{
	while (!dlist_is_empty(list))
	{
		recorder->count--;
		recorder->forget(dlist_container(Attempt, node, dlist_pop_head_node(list)));
	}
}
