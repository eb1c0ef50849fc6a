/*
 * forget.c
 *		Deleting whole trees, a batch at a time.
 *
 * Executions, their tasks and their actions go in this order: each statement
 * returns the ids by which the next finds its rows, so that none is looked up
 * twice.  They are as many as the trees have tasks, and are handed down a part
 * at a time.  What nobody uses is an empty table, and costs no statement.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/uuid.h"

#include "base/db.h"
#include "base/ids.h"
#include "engine/forget.h"
#include "engine/store.h"

/* Ids that one statement is given at most. */
#define IDS_AT_ONCE 2000

/* What goes by the ids of other rows: a statement, and the table that it has nothing to do in while that is empty. */
typedef struct Dependents
{
	const char *table;
	DbStatement statement;
} Dependents;

typedef enum Level
{
	EXECUTIONS,
	TASKS,
	ACTIONS
} Level;

typedef struct Deleted
{
	Level		level;
	int			n;
	pg_uuid_t	ids[IDS_AT_ONCE];
} Deleted;

static void delete_level(Level level, const pg_uuid_t *ids, int nids);
static void note_deleted(void *arg, uint64 row);
static void delete_below(Deleted *deleted);
static void delete_dependents(Dependents *dependents, int ndependents, const pg_uuid_t *ids, int nids);

void
forget_trees(const pg_uuid_t *roots, int nroots)
{
	static Dependents of_roots[] = {
		{"parked_message", {"DELETE FROM mistral.parked_message WHERE root_id OPERATOR(pg_catalog.=) ANY ($1)", 1, {UUIDARRAYOID}}},
		/* Those under way go when they are delivered, or fail: locked, so that who fails one meanwhile sees its execution gone. */
		{"webhook", {"SELECT FROM mistral.webhook WHERE root_id OPERATOR(pg_catalog.=) ANY ($1) FOR UPDATE", 1, {UUIDARRAYOID}}},
		{"webhook", {"DELETE FROM mistral.webhook WHERE root_id OPERATOR(pg_catalog.=) ANY ($1) AND failed", 1, {UUIDARRAYOID}}},
		{"hook_run", {"DELETE FROM mistral.hook_run WHERE execution_id OPERATOR(pg_catalog.=) ANY ($1)", 1, {UUIDARRAYOID}}},
	};

	for (int i = 0; i < nroots; i++)
	{
		Tree	   *tree = cache_find(&roots[i]);

		if (tree)
			cache_drop(tree);
	}
	db_use_indexes();
	delete_dependents(of_roots, lengthof(of_roots), roots, nroots);
	delete_level(EXECUTIONS, roots, nroots);
}

void
forget_lone_actions(const pg_uuid_t *ids, int nids)
{
	static Dependents of_lone_actions[] = {
		{"parked_message", {"DELETE FROM mistral.parked_message WHERE root_id OPERATOR(pg_catalog.=) ANY ($1)", 1, {UUIDARRAYOID}}},
		{"event_wait", {"DELETE FROM mistral.event_wait WHERE action_id OPERATOR(pg_catalog.=) ANY ($1)", 1, {UUIDARRAYOID}}},
		{"action_execution", {"DELETE FROM mistral.action_execution WHERE id OPERATOR(pg_catalog.=) ANY ($1) AND task_id IS NULL", 1, {UUIDARRAYOID}}},
	};

	db_use_indexes();
	delete_dependents(of_lone_actions, lengthof(of_lone_actions), ids, nids);
}

/* The rows of one level that belong to these, and all below them. */
static void
delete_level(Level level, const pg_uuid_t *ids, int nids)
{
	static DbStatement statements[] = {
		[EXECUTIONS] = {"DELETE FROM mistral.execution WHERE root_id OPERATOR(pg_catalog.=) ANY ($1) RETURNING id", 1, {UUIDARRAYOID}},
		[TASKS] = {"DELETE FROM mistral.task WHERE execution_id OPERATOR(pg_catalog.=) ANY ($1) RETURNING id", 1, {UUIDARRAYOID}},
		[ACTIONS] = {"DELETE FROM mistral.action_execution WHERE task_id OPERATOR(pg_catalog.=) ANY ($1) RETURNING id", 1, {UUIDARRAYOID}},
	};
	Deleted    *deleted = palloc(sizeof(Deleted));
	Datum		value = id_array_of(ids, nids);

	deleted->level = level;
	deleted->n = 0;
	db_each(&statements[level], &value, NULL, note_deleted, deleted);
	delete_below(deleted);
	pfree(deleted);
}

static void
note_deleted(void *arg, uint64 row)
{
	Deleted    *deleted = arg;
	bool		isnull;

	deleted->ids[deleted->n++] = *DatumGetUUIDP(db_datum(row, 1, &isnull));
	if (deleted->n == IDS_AT_ONCE)
		delete_below(deleted);
}

static void
delete_below(Deleted *deleted)
{
	static Dependents timers[] = {
		{"timer", {"DELETE FROM mistral.timer WHERE target_id OPERATOR(pg_catalog.=) ANY ($1)", 1, {UUIDARRAYOID}}},
	};
	static Dependents of_actions[] = {
		{"offer", {"DELETE FROM mistral.offer WHERE action_id OPERATOR(pg_catalog.=) ANY ($1)", 1, {UUIDARRAYOID}}},
		{"lease", {"DELETE FROM mistral.lease WHERE action_id OPERATOR(pg_catalog.=) ANY ($1)", 1, {UUIDARRAYOID}}},
		{"event_wait", {"DELETE FROM mistral.event_wait WHERE action_id OPERATOR(pg_catalog.=) ANY ($1)", 1, {UUIDARRAYOID}}},
	};

	if (deleted->n == 0)
		return;
	delete_dependents(timers, lengthof(timers), deleted->ids, deleted->n);
	if (deleted->level == ACTIONS)
		delete_dependents(of_actions, lengthof(of_actions), deleted->ids, deleted->n);
	else if (deleted->level == EXECUTIONS || !db_table_is_empty("action_execution"))
		delete_level(deleted->level + 1, deleted->ids, deleted->n);
	deleted->n = 0;
}

static void
delete_dependents(Dependents *dependents, int ndependents, const pg_uuid_t *ids, int nids)
{
	Datum		value = id_array_of(ids, nids);

	for (int i = 0; i < ndependents; i++)
		if (!db_table_is_empty(dependents[i].table))
			db_execute(&dependents[i].statement, &value, NULL, false, 0);
	pfree(DatumGetPointer(value));
}
