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
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "base/clock.h"
#include "base/db.h"
#include "base/ids.h"
#include "base/json.h"
#include "queue/message.h"

message_put_hook_type message_put_hook = NULL;
root_locked_hook_type root_locked_hook = NULL;
work_dispatched_hook_type work_dispatched_hook = NULL;

#define MESSAGE_COLUMNS 7

static void insert_plain(Datum *values, bool *nulls, ItemPointer tid);
static bool insert_completion(Datum *values, bool *nulls, ItemPointer tid);

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

Jsonb *
message_action_result(const char *state, const Jsonb *result)
{
	JsonBuilder b = {0};

	json_begin_object(&b);
	json_add_key(&b, "state");
	json_add_string(&b, state);
	json_add_key(&b, "result");
	json_add_jsonb(&b, result);
	json_end_object(&b);
	return json_finish(&b);
}

static void
insert_plain(Datum *values, bool *nulls, ItemPointer tid)
{
	Relation	rel = table_open(db_table("message"), RowExclusiveLock);
	HeapTuple	tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);

	simple_heap_insert(rel, tuple);
	*tid = tuple->t_self;
	heap_freetuple(tuple);
	table_close(rel, RowExclusiveLock);
}

static bool
insert_completion(Datum *values, bool *nulls, ItemPointer tid)
{
	static DbStatement insert = {
		"INSERT INTO mistral.message (id, root_id, kind, target_id, attempt, created_at, payload) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7) "
		"ON CONFLICT (target_id, attempt) WHERE attempt IS NOT NULL DO NOTHING RETURNING ctid",
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
