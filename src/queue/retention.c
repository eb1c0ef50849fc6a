/*
 * retention.c
 *		Deleting what ended long ago.
 *
 * Executions are looked at in order of their ids, which is that of their
 * creation, a batch a transaction.  No index names when they ended: it would
 * make every end of an execution dearer to make this pass cheaper.  The
 * history is deleted from its beginning.
 *
 * Under load most executions end soon after their creation, and are to go in
 * nearly the same order: a pass that follows goes on where the last one ended,
 * at the first that will be old soon, and reads neither what stays for long nor
 * what was deleted and a transaction elsewhere may still see.  A pass over all
 * finds the rest, now and then.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
#include "utils/varlena.h"

#include "base/clock.h"
#include "base/db.h"
#include "engine/archive.h"
#include "engine/forget.h"
#include "engine/store.h"
#include "guc.h"
#include "queue/retention.h"

/* Rows looked at, and rows of the history deleted, in one transaction at most. */
#define LOOK_SIZE	2000
#define HISTORY_SIZE 1000

/* Who follows waits so long at an execution that is to go later than others of its age: s. */
#define WAIT_AT_FRONT 10

/* So late, in s, or with so large a part too many, it is behind as far as can be. */
#define VERY_LATE	20
#define VERY_MANY	0.1

typedef struct Found
{
	pg_uuid_t	ids[RETENTION_MAX_BATCH];
	int			n;
	bool		end;			/* of the table, or of what may be old */
} Found;

static bool executions_wanted(void);
static bool retain_executions(RetentionPass *pass, int size, RetentionBatch *batch);
static bool retain_history(RetentionPass *pass, RetentionBatch *batch);
static void find(RetentionPass *pass, int size, Found *found, RetentionBatch *batch);
static bool is_ignored(const char *state);
static double lateness(int keep, TimestampTz at);
static TimestampTz end_of_pass(const RetentionPass *pass, int keep);

bool
retention_wanted(void)
{
	return executions_wanted() || guc_history_keep >= 0;
}

static bool
executions_wanted(void)
{
	return guc_retention >= 0 || guc_retention_max_executions > 0;
}

bool
retention_run(RetentionPass *pass, int size, RetentionBatch *batch)
{
	bool		over;

	memset(batch, 0, sizeof(*batch));
	if (pass->part == RETAIN_HISTORY)
		over = guc_history_keep < 0 || retain_history(pass, batch);
	else
		over = !executions_wanted() || (pass->follows && guc_retention < 0) || retain_executions(pass, size, batch);
	if (!over)
		return false;
	pass->begun_at = 0;
	if (pass->part == RETAIN_HISTORY)
	{
		pass->part = RETAIN_ROOTS;
		return true;
	}
	pass->part++;
	return false;
}

/* A batch of the executions, or lone actions; true when it was the last. */
static bool
retain_executions(RetentionPass *pass, int size, RetentionBatch *batch)
{
	Found		found = {0};
	LockedRoot *locked = palloc(sizeof(LockedRoot) * RETENTION_MAX_BATCH);
	char	   *front = pass->front[pass->part];
	instr_time	start;

	db_use_indexes();
	if (pass->begun_at == 0)
	{
		if (pass->follows)
			memcpy(pass->after, front, UUID_LEN);
		else
			memset(pass->after, 0, UUID_LEN);
		pass->begun_at = clock_now();
		pass->dense = pass->waits = false;
	}
	INSTR_TIME_SET_CURRENT(start);
	find(pass, Min(size, RETENTION_MAX_BATCH), &found, batch);
	batch->look_ms = clock_ms_since(start);
	if (pass->part == RETAIN_ROOTS)
	{
		/* Who is locked is looked at again in the next pass. */
		found.n = store_lock_roots(found.ids, found.n, false, locked);
		for (int i = 0; i < found.n; i++)
			found.ids[i] = locked[i].id;
		if (found.n > 0)
		{
			if (guc_archive)
				archive_trees(found.ids, found.n);
			forget_trees(found.ids, found.n);
		}
	}
	else if (found.n > 0)
	{
		if (guc_archive)
			archive_lone_actions(found.ids, found.n);
		forget_lone_actions(found.ids, found.n);
	}
	batch->ndeleted = found.n;
	if (!found.end)
		return false;
	if (!pass->waits)
		memcpy(front, pass->after, UUID_LEN);
	if (pass->part == RETAIN_LONE_ACTIONS && !pass->follows)
	{
		pass->excess = guc_retention_max_executions > 0 ? Max(pass->nfinished - guc_retention_max_executions, 0) : 0;
		pass->nfinished = 0;
	}
	return true;
}

/* The oldest rows; true when what follows is to stay. Those that are deleted are not looked at again. */
static bool
retain_history(RetentionPass *pass, RetentionBatch *batch)
{
	static DbStatement delete = {
		"WITH gone AS (DELETE FROM mistral.history WHERE ctid OPERATOR(pg_catalog.=) ANY (ARRAY("
		"SELECT o.place FROM (SELECT h.ctid AS place, h.at FROM mistral.history h"
		" WHERE (h.xid, h.n) OPERATOR(pg_catalog.>) ($1, $2) ORDER BY h.xid, h.n LIMIT $3) o"
		" WHERE o.at OPERATOR(pg_catalog.<=) $4)) RETURNING xid, n, at)"
		" SELECT xid, n, pg_catalog.count(*) OVER (), pg_catalog.min(at) OVER () FROM gone ORDER BY xid DESC, n DESC LIMIT 1",
		4, {XID8OID, INT4OID, INT8OID, TIMESTAMPTZOID}
	};
	Datum		values[4];
	bool		isnull;

	if (pass->begun_at == 0)
	{
		if (!pass->follows)
			pass->history_xid = pass->history_n = 0;
		pass->begun_at = clock_now();
	}
	values[0] = Int64GetDatum(pass->history_xid);
	values[1] = Int32GetDatum(pass->history_n);
	values[2] = Int64GetDatum(HISTORY_SIZE);
	values[3] = TimestampTzGetDatum(end_of_pass(pass, guc_history_keep));
	if (db_execute(&delete, values, NULL, false, 0) == 0)
		return true;
	pass->history_xid = DatumGetInt64(db_datum(0, 1, &isnull));
	pass->history_n = DatumGetInt32(db_datum(0, 2, &isnull));
	batch->nhistory = (int) DatumGetInt64(db_datum(0, 3, &isnull));
	batch->behind = lateness(guc_history_keep, DatumGetTimestampTz(db_datum(0, 4, &isnull)));
	return batch->nhistory < HISTORY_SIZE;
}

/* What has ended and no setting keeps: roots, or actions without a workflow. Only roots are limited in number. */
static void
find(RetentionPass *pass, int size, Found *found, RetentionBatch *batch)
{
	static DbStatement roots = {
		"SELECT id, state, finished_at, created_at FROM mistral.execution WHERE id OPERATOR(pg_catalog.>) $1"
		" AND root_id OPERATOR(pg_catalog.=) id ORDER BY id LIMIT $2",
		2, {UUIDOID, INT8OID}
	};
	static DbStatement lone_actions = {
		"SELECT id, state, finished_at, created_at FROM mistral.action_execution WHERE id OPERATOR(pg_catalog.>) $1"
		" AND task_id IS NULL ORDER BY id LIMIT $2",
		2, {UUIDOID, INT8OID}
	};
	bool		lone = pass->part == RETAIN_LONE_ACTIONS;
	bool		counted = !pass->follows && guc_retention_max_executions > 0;
	int64		look = pass->dense ? size : LOOK_SIZE;
	Datum		values[2] = {UUIDPGetDatum((pg_uuid_t *) pass->after), Int64GetDatum(look)};
	uint64		n = db_execute(lone ? &lone_actions : &roots, values, NULL, true, 0);
	TimestampTz limit = end_of_pass(pass, guc_retention);
	bool		young = true;	/* all of them are, so that what follows is, too */
	uint64		i;

	for (i = 0; i < n && found->n < size; i++)
	{
		bool		isnull;
		bool		running;
		bool		excess = pass->excess > 0 && guc_retention_max_executions > 0 && !lone && !pass->follows;
		pg_uuid_t  *id = DatumGetUUIDP(db_datum(i, 1, &isnull));
		TimestampTz finished_at = DatumGetTimestampTz(db_datum(i, 3, &running));
		TimestampTz created_at = DatumGetTimestampTz(db_datum(i, 4, &isnull));
		bool		ignored = !running && is_ignored(TextDatumGetCString(db_datum(i, 2, &isnull)));

		if (created_at <= limit)
			young = false;
		if (!running && !ignored && (finished_at <= limit || excess))
		{
			batch->behind = Max(batch->behind, finished_at <= limit ? lateness(guc_retention, finished_at) :
								Min(pass->excess / (guc_retention_max_executions * VERY_MANY), 1.0));
			pass->excess -= excess;
			found->ids[found->n++] = *id;
		}
		else if (!ignored)
		{
			pass->nfinished += !running && !lone;
			if (!pass->waits && guc_retention >= 0 && created_at > limit - WAIT_AT_FRONT * USECS_PER_SEC)
			{
				memcpy(pass->front[pass->part], pass->after, UUID_LEN);
				pass->waits = true;
			}
		}
		memcpy(pass->after, id->data, UUID_LEN);
	}
	pass->dense = found->n == size;
	found->end = i == n && (n < look || (young && !counted));
}

/* How far it is behind when it finds something of `at` that was to be kept for so many seconds. */
static double
lateness(int keep, TimestampTz at)
{
	return Max(Min((double) (clock_now() - keep * USECS_PER_SEC - at) / (VERY_LATE * USECS_PER_SEC), 1.0), 0.0);
}

/* What is of that time, or older, is to go in this pass; the setting, and the wall clock, may have changed since it began. */
static TimestampTz
end_of_pass(const RetentionPass *pass, int keep)
{
	return keep >= 0 ? Min(pass->begun_at, clock_now()) - keep * USECS_PER_SEC : DT_NOBEGIN;
}

/* Whether mistral.retention_ignored_states names it. */
static bool
is_ignored(const char *state)
{
	List	   *names;
	ListCell   *lc;

	if (guc_retention_ignored_states[0] == '\0' ||
		!SplitIdentifierString(pstrdup(guc_retention_ignored_states), ',', &names))
		return false;
	foreach(lc, names)
	{
		if (pg_strcasecmp(lfirst(lc), state) == 0)
			return true;
	}
	return false;
}
