/*
 * message.c
 *		Putting messages into the queue.
 *
 * A plain message is one heap insert without any index; only completions carry
 * an attempt and go through the unique index that makes the first one win.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "base/clock.h"
#include "base/db.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/json_flat.h"
#include "base/rows.h"
#include "queue/message.h"

message_put_hook_type message_put_hook = NULL;
root_locked_hook_type root_locked_hook = NULL;
work_dispatched_hook_type work_dispatched_hook = NULL;

#define MESSAGE_COLUMNS 7

/* The index that lets one completion of an attempt in. */
#define FIRST_ONE_WINS "ON CONFLICT (target_id, attempt) WHERE attempt IS NOT NULL DO NOTHING "

/* Rows, and bytes of payload after which no further row is added, of one statement. */
#define PUT_ROWS 1000
#define PUT_BYTES (16 * 1024 * 1024)

static void insert_plain(Datum *values, bool *nulls, ItemPointer tid);
static bool insert_completion(Datum *values, bool *nulls, ItemPointer tid);
static void insert_sole(MessageCompletion *completions, int n);
static void fill_message(TupleTableSlot *slot, const pg_uuid_t *id, const MessageCompletion *completion, Datum kind, TimestampTz now);
static int	insert_completions(MessageCompletion *completions, int n);

bool
message_put(const pg_uuid_t *root_id, const char *kind, const pg_uuid_t *target_id,
			int attempt, const Jsonb *payload)
{
	pg_uuid_t	id;
	ItemPointerData tid;
	Datum		values[MESSAGE_COLUMNS];
	bool		nulls[MESSAGE_COLUMNS];

	id_new(&id);
	memset(nulls, false, sizeof(nulls));
	values[0] = UUIDPGetDatum(&id);
	values[1] = UUIDPGetDatum(root_id);
	values[2] = CStringGetTextDatum(kind);
	values[3] = UUIDPGetDatum(target_id);
	nulls[3] = target_id == NULL;
	values[4] = Int32GetDatum(attempt);
	nulls[4] = attempt == 0;
	values[5] = TimestampTzGetDatum(clock_now());
	values[6] = PointerGetDatum(payload);
	nulls[6] = payload == NULL;

	if (attempt == 0)
		insert_plain(values, nulls, &tid);
	else if (!insert_completion(values, nulls, &tid))
		return false;
	if (message_put_hook)
		message_put_hook(&tid, &id, root_id);
	return true;
}

void
message_put_completions(MessageCompletion *completions, int n)
{
	insert_sole(completions, n);
	for (int done = 0; done < n;)
		done += insert_completions(completions + done, n - done);
}

Jsonb *
message_action_result(const char *state, const Jsonb *result)
{
	return message_action_result_from(state, result, NULL);
}

Jsonb *
message_action_result_from(const char *state, const Jsonb *result, const char *sender)
{
	JsonFlat	f;

	json_flat_begin(&f, 64 + (sender ? strlen(sender) : 0) + (result ? VARSIZE(result) : 0));
	json_flat_open_object(&f, sender ? 3 : 2);
	if (sender)
		json_flat_string(&f, MESSAGE_SENDER, strlen(MESSAGE_SENDER));
	json_flat_string(&f, "state", strlen("state"));
	json_flat_string(&f, "result", strlen("result"));
	if (sender)
		json_flat_string(&f, sender, strlen(sender));
	json_flat_string(&f, state, strlen(state));
	json_flat_jsonb(&f, result);
	json_flat_close(&f);
	return json_flat_finish(&f);
}

static void
insert_plain(Datum *values, bool *nulls, ItemPointer tid)
{
	Relation	rel = table_open(db_table("message"), RowExclusiveLock);
	int			natts = RelationGetDescr(rel)->natts;
	HeapTuple	tuple;

	if (natts > MESSAGE_COLUMNS)
	{
		/* What somebody has added is NULL. */
		values = memcpy(palloc0(natts * sizeof(Datum)), values, MESSAGE_COLUMNS * sizeof(Datum));
		nulls = memcpy(memset(palloc(natts * sizeof(bool)), true, natts * sizeof(bool)), nulls, MESSAGE_COLUMNS * sizeof(bool));
	}
	tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
	simple_heap_insert(rel, tuple);
	*tid = tuple->t_self;
	heap_freetuple(tuple);
	/* The lock stays: the transaction's next message has it already. */
	table_close(rel, NoLock);
}

static bool
insert_completion(Datum *values, bool *nulls, ItemPointer tid)
{
	static DbStatement insert = {
		"INSERT INTO mistral.message (id, root_id, kind, target_id, attempt, created_at, payload) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7) " FIRST_ONE_WINS "RETURNING ctid",
		MESSAGE_COLUMNS,
		{UUIDOID, UUIDOID, TEXTOID, UUIDOID, INT4OID, TIMESTAMPTZOID, JSONBOID}
	};
	char		null_flags[MESSAGE_COLUMNS];
	bool		isnull;
	bool		inserted;
	int			i;

	for (i = 0; i < MESSAGE_COLUMNS; i++)
		null_flags[i] = nulls[i] ? 'n' : ' ';
	inserted = db_execute(&insert, values, null_flags, false, 0) == 1;
	if (inserted)
		*tid = *(ItemPointer) DatumGetPointer(db_datum(0, 1, &isnull));
	return inserted;
}

/*
 * Rows first, then their entries in the index.  That leaves two who put the same
 * at once to wait for each other, which is why it is for those that are sole.
 * What finds another entry all the same is taken back, and left to the statement.
 */
static void
insert_sole(MessageCompletion *completions, int n)
{
	pg_uuid_t  *ids = palloc(sizeof(pg_uuid_t) * n);
	ItemPointerData *places = palloc(sizeof(ItemPointerData) * n);
	Datum		kind = CStringGetTextDatum(MESSAGE_ACTION);
	TimestampTz now = clock_now();
	RowWriter	writer;

	rows_open(&writer, "message");
	writer.lenient = true;
	for (int i = 0; i < n; i++)
	{
		completions[i].put = false;
		if (!completions[i].sole)
			continue;
		id_new(&ids[i]);
		fill_message(rows_add(&writer, &places[i]), &ids[i], &completions[i], kind, now);
	}
	rows_close(&writer);
	for (int i = 0; i < n; i++)
	{
		if (!completions[i].sole || !ItemPointerIsValid(&places[i]))
			continue;
		completions[i].put = true;
		if (message_put_hook)
			message_put_hook(&places[i], &ids[i], &completions[i].root_id);
	}
}

static void
fill_message(TupleTableSlot *slot, const pg_uuid_t *id, const MessageCompletion *completion, Datum kind, TimestampTz now)
{
	slot->tts_values[0] = UUIDPGetDatum(id);
	slot->tts_values[1] = UUIDPGetDatum(&completion->root_id);
	slot->tts_values[2] = kind;
	slot->tts_values[3] = UUIDPGetDatum(&completion->action_id);
	slot->tts_values[4] = Int32GetDatum(completion->attempt);
	slot->tts_values[5] = TimestampTzGetDatum(now);
	slot->tts_values[6] = PointerGetDatum(completion->payload);
}

/* Of those not put yet; as many as PUT_ROWS and PUT_BYTES allow.  Returns how many were looked at. */
static int
insert_completions(MessageCompletion *completions, int n)
{
	static DbStatement insert = {
		"INSERT INTO mistral.message (id, root_id, kind, target_id, attempt, created_at, payload) "
		"SELECT m.id, m.root_id, '" MESSAGE_ACTION "', m.target_id, m.attempt, $6, m.payload "
		"FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3), pg_catalog.unnest($4), pg_catalog.unnest($5)) "
		"AS m(id, root_id, target_id, attempt, payload) "
		FIRST_ONE_WINS "RETURNING ctid, id, root_id, target_id",
		6, {UUIDARRAYOID, UUIDARRAYOID, UUIDARRAYOID, INT4ARRAYOID, JSONBARRAYOID, TIMESTAMPTZOID}
	};
	pg_uuid_t  *ids = palloc(sizeof(pg_uuid_t) * Min(n, PUT_ROWS));
	Datum	   *columns[5];
	Datum		values[6];
	Size		bytes = 0;
	uint64		put;
	uint64		i;
	int			rows = 0;
	int			done;
	int			next = 0;
	bool		isnull;

	for (int k = 0; k < 5; k++)
		columns[k] = palloc(sizeof(Datum) * Min(n, PUT_ROWS));
	for (done = 0; done < n && rows < PUT_ROWS && bytes < PUT_BYTES; done++)
	{
		MessageCompletion *c = &completions[done];

		if (c->put)
			continue;
		id_new(&ids[rows]);
		columns[0][rows] = UUIDPGetDatum(&ids[rows]);
		columns[1][rows] = UUIDPGetDatum(&c->root_id);
		columns[2][rows] = UUIDPGetDatum(&c->action_id);
		columns[3][rows] = Int32GetDatum(c->attempt);
		columns[4][rows] = PointerGetDatum(c->payload);
		bytes += VARSIZE(c->payload);
		rows++;
	}
	if (rows == 0)
		return done;
	for (int k = 0; k < 3; k++)
		values[k] = PointerGetDatum(construct_array(columns[k], rows, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
	values[3] = PointerGetDatum(construct_array(columns[3], rows, INT4OID, sizeof(int32), true, TYPALIGN_INT));
	values[4] = PointerGetDatum(construct_array(columns[4], rows, JSONBOID, -1, false, TYPALIGN_INT));
	values[5] = TimestampTzGetDatum(clock_now());
	put = db_execute(&insert, values, NULL, false, 0);
	for (i = 0; i < put; i++)
	{
		while (!id_equal(&completions[next].action_id, DatumGetUUIDP(db_datum(i, 4, &isnull))))
			next++;
		completions[next++].put = true;
		if (message_put_hook)
			message_put_hook((ItemPointer) DatumGetPointer(db_datum(i, 1, &isnull)), DatumGetUUIDP(db_datum(i, 2, &isnull)),
							 DatumGetUUIDP(db_datum(i, 3, &isnull)));
	}
	return done;
}
