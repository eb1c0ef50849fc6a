/*
 * retention.c
 *		Deleting what ended long ago.
 *
 * Executions are looked at in order of their ids, which is that of their
 * creation, a batch a transaction.  No index names when they ended: it would
 * make every end of an execution dearer to make this rare pass cheaper.  The
 * history is deleted from its beginning.
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

/* Rows looked at, and trees deleted, in one transaction at most. */
#define LOOK_SIZE	2000
#define DELETE_SIZE 200

typedef struct Found
{
	pg_uuid_t	ids[DELETE_SIZE];
	int			n;
	bool		end;			/* of the table */
} Found;

static bool executions_wanted(void);
static bool retain_executions(RetentionPass *pass, int *ndeleted);
static bool retain_history(RetentionPass *pass);
static void find(RetentionPass *pass, Found *found);
static bool is_ignored(const char *state);
static bool is_old(TimestampTz finished_at);

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
retention_run(RetentionPass *pass, int *ndeleted)
{
	bool		over;

	*ndeleted = 0;
	if (pass->part == RETAIN_HISTORY)
		over = guc_history_keep < 0 || retain_history(pass);
	else
		over = !executions_wanted() || retain_executions(pass, ndeleted);
	if (!over)
		return false;
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
retain_executions(RetentionPass *pass, int *ndeleted)
{
	Found		found = {0};
	LockedRoot *locked = palloc(sizeof(LockedRoot) * DELETE_SIZE);

	find(pass, &found);
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
	*ndeleted = found.n;
	if (!found.end)
		return false;
	memset(pass->after, 0, sizeof(pass->after));
	if (pass->part == RETAIN_LONE_ACTIONS)
	{
		pass->excess = guc_retention_max_executions > 0 ? Max(pass->nfinished - guc_retention_max_executions, 0) : 0;
		pass->nfinished = 0;
	}
	return true;
}

/* The oldest rows; true when what follows is to stay. Those that this pass has deleted are not looked at again. */
static bool
retain_history(RetentionPass *pass)
{
	static DbStatement delete = {
		"WITH gone AS (DELETE FROM mistral.history WHERE ctid OPERATOR(pg_catalog.=) ANY (ARRAY("
		"SELECT o.place FROM (SELECT h.ctid AS place, h.at FROM mistral.history h"
		" WHERE (h.xid, h.n) OPERATOR(pg_catalog.>) ($1, $2) ORDER BY h.xid, h.n LIMIT $3) o"
		" WHERE o.at OPERATOR(pg_catalog.<=) $4)) RETURNING xid, n)"
		" SELECT xid, n, pg_catalog.count(*) OVER () FROM gone ORDER BY xid DESC, n DESC LIMIT 1",
		4, {XID8OID, INT4OID, INT8OID, TIMESTAMPTZOID}
	};
	Datum		values[4];
	bool		isnull;

	values[0] = Int64GetDatum(pass->history_xid);
	values[1] = Int32GetDatum(pass->history_n);
	values[2] = Int64GetDatum(LOOK_SIZE);
	values[3] = TimestampTzGetDatum(clock_now() - guc_history_keep * USECS_PER_SEC);
	if (db_execute(&delete, values, NULL, false, 0) == 0 || DatumGetInt64(db_datum(0, 3, &isnull)) < LOOK_SIZE)
	{
		pass->history_xid = pass->history_n = 0;
		return true;
	}
	pass->history_xid = DatumGetInt64(db_datum(0, 1, &isnull));
	pass->history_n = DatumGetInt32(db_datum(0, 2, &isnull));
	return false;
}

/* What has ended and no setting keeps: roots, or actions without a workflow. Only roots are limited in number. */
static void
find(RetentionPass *pass, Found *found)
{
	static DbStatement roots = {
		"SELECT id, state, finished_at FROM mistral.execution WHERE id OPERATOR(pg_catalog.>) $1"
		" AND root_id OPERATOR(pg_catalog.=) id ORDER BY id LIMIT $2",
		2, {UUIDOID, INT8OID}
	};
	static DbStatement lone_actions = {
		"SELECT id, state, finished_at FROM mistral.action_execution WHERE id OPERATOR(pg_catalog.>) $1"
		" AND task_id IS NULL ORDER BY id LIMIT $2",
		2, {UUIDOID, INT8OID}
	};
	Datum		values[2] = {UUIDPGetDatum((pg_uuid_t *) pass->after), Int64GetDatum(LOOK_SIZE)};
	bool		lone = pass->part == RETAIN_LONE_ACTIONS;
	uint64		n = db_execute(lone ? &lone_actions : &roots, values, NULL, true, 0);
	uint64		i;

	for (i = 0; i < n && found->n < DELETE_SIZE; i++)
	{
		bool		isnull;
		bool		running;
		bool		excess = pass->excess > 0 && !lone;
		Datum		finished_at = db_datum(i, 3, &running);

		memcpy(pass->after, DatumGetUUIDP(db_datum(i, 1, &isnull))->data, UUID_LEN);
		if (running || is_ignored(TextDatumGetCString(db_datum(i, 2, &isnull))))
			continue;
		if (is_old(DatumGetTimestampTz(finished_at)) || excess)
		{
			pass->excess -= excess;
			memcpy(found->ids[found->n++].data, pass->after, UUID_LEN);
		}
		else if (!lone)
			pass->nfinished++;
	}
	found->end = i == n && n < LOOK_SIZE;
}

static bool
is_old(TimestampTz finished_at)
{
	return guc_retention >= 0 && finished_at <= clock_now() - guc_retention * USECS_PER_SEC;
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
