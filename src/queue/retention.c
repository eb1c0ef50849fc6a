/*
 * retention.c
 *		Deleting what ended long ago.
 *
 * Executions are looked at in order of their ids, which is that of their
 * creation, a batch a transaction.  No index names when they ended: it would
 * make every end of an execution dearer to make this rare pass cheaper.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
#include "utils/varlena.h"

#include "base/clock.h"
#include "base/db.h"
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

static void find(RetentionPass *pass, Found *found);
static bool is_ignored(const char *state);
static bool is_old(TimestampTz finished_at);

bool
retention_wanted(void)
{
	return guc_retention >= 0 || guc_retention_max_executions > 0;
}

bool
retention_run(RetentionPass *pass, int *ndeleted)
{
	Found		found = {0};
	LockedRoot *locked = palloc(sizeof(LockedRoot) * DELETE_SIZE);

	find(pass, &found);
	if (!pass->lone)
	{
		/* Who is locked is looked at again in the next pass. */
		found.n = store_lock_roots(found.ids, found.n, false, locked);
		for (int i = 0; i < found.n; i++)
			found.ids[i] = locked[i].id;
		if (found.n > 0)
			forget_trees(found.ids, found.n);
	}
	else if (found.n > 0)
		forget_lone_actions(found.ids, found.n);
	*ndeleted = found.n;
	if (!found.end)
		return false;
	memset(pass->after, 0, sizeof(pass->after));
	pass->lone = !pass->lone;
	if (pass->lone)
		return false;
	pass->excess = guc_retention_max_executions > 0 ? Max(pass->nfinished - guc_retention_max_executions, 0) : 0;
	pass->nfinished = 0;
	return true;
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
	uint64		n = db_execute(pass->lone ? &lone_actions : &roots, values, NULL, true, 0);
	uint64		i;

	for (i = 0; i < n && found->n < DELETE_SIZE; i++)
	{
		bool		isnull;
		bool		running;
		bool		excess = pass->excess > 0 && !pass->lone;
		Datum		finished_at = db_datum(i, 3, &running);

		memcpy(pass->after, DatumGetUUIDP(db_datum(i, 1, &isnull))->data, UUID_LEN);
		if (running || is_ignored(TextDatumGetCString(db_datum(i, 2, &isnull))))
			continue;
		if (is_old(DatumGetTimestampTz(finished_at)) || excess)
		{
			pass->excess -= excess;
			memcpy(found->ids[found->n++].data, pass->after, UUID_LEN);
		}
		else if (!pass->lone)
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
