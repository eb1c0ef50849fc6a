/*
 * forget.c
 *		Deleting whole trees, a batch at a time.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/uuid.h"

#include "base/db.h"
#include "base/ids.h"
#include "engine/forget.h"
#include "engine/store.h"

static void delete_all(DbStatement *statements, int nstatements, const pg_uuid_t *ids, int nids);

void
forget_trees(const pg_uuid_t *roots, int nroots)
{
	/* What is below goes first: it is found through what is above. */
	static DbStatement statements[] = {
		{"DELETE FROM mistral.timer m USING mistral.action_execution a, mistral.task t, mistral.execution e "
			"WHERE e.root_id OPERATOR(pg_catalog.=) ANY ($1) AND t.execution_id OPERATOR(pg_catalog.=) e.id "
		"AND a.task_id OPERATOR(pg_catalog.=) t.id AND m.target_id OPERATOR(pg_catalog.=) a.id", 1, {UUIDARRAYOID}},
		{"DELETE FROM mistral.offer o USING mistral.action_execution a, mistral.task t, mistral.execution e "
			"WHERE e.root_id OPERATOR(pg_catalog.=) ANY ($1) AND t.execution_id OPERATOR(pg_catalog.=) e.id "
		"AND a.task_id OPERATOR(pg_catalog.=) t.id AND o.action_id OPERATOR(pg_catalog.=) a.id", 1, {UUIDARRAYOID}},
		{"DELETE FROM mistral.lease l USING mistral.action_execution a, mistral.task t, mistral.execution e "
			"WHERE e.root_id OPERATOR(pg_catalog.=) ANY ($1) AND t.execution_id OPERATOR(pg_catalog.=) e.id "
		"AND a.task_id OPERATOR(pg_catalog.=) t.id AND l.action_id OPERATOR(pg_catalog.=) a.id", 1, {UUIDARRAYOID}},
		{"DELETE FROM mistral.event_wait w USING mistral.action_execution a, mistral.task t, mistral.execution e "
			"WHERE e.root_id OPERATOR(pg_catalog.=) ANY ($1) AND t.execution_id OPERATOR(pg_catalog.=) e.id "
		"AND a.task_id OPERATOR(pg_catalog.=) t.id AND w.action_id OPERATOR(pg_catalog.=) a.id", 1, {UUIDARRAYOID}},
		{"DELETE FROM mistral.action_execution a USING mistral.task t, mistral.execution e "
			"WHERE e.root_id OPERATOR(pg_catalog.=) ANY ($1) AND t.execution_id OPERATOR(pg_catalog.=) e.id "
		"AND a.task_id OPERATOR(pg_catalog.=) t.id", 1, {UUIDARRAYOID}},
		{"DELETE FROM mistral.timer m USING mistral.task t, mistral.execution e "
			"WHERE e.root_id OPERATOR(pg_catalog.=) ANY ($1) AND t.execution_id OPERATOR(pg_catalog.=) e.id "
		"AND m.target_id OPERATOR(pg_catalog.=) t.id", 1, {UUIDARRAYOID}},
		{"DELETE FROM mistral.timer m USING mistral.execution e "
		"WHERE e.root_id OPERATOR(pg_catalog.=) ANY ($1) AND m.target_id OPERATOR(pg_catalog.=) e.id", 1, {UUIDARRAYOID}},
		{"DELETE FROM mistral.task t USING mistral.execution e "
		"WHERE e.root_id OPERATOR(pg_catalog.=) ANY ($1) AND t.execution_id OPERATOR(pg_catalog.=) e.id", 1, {UUIDARRAYOID}},
		{"DELETE FROM mistral.parked_message WHERE root_id OPERATOR(pg_catalog.=) ANY ($1)", 1, {UUIDARRAYOID}},
		/* Those under way go when they are delivered, or fail: locked, so that who fails one meanwhile sees its execution gone. */
		{"SELECT FROM mistral.webhook WHERE root_id OPERATOR(pg_catalog.=) ANY ($1) FOR UPDATE", 1, {UUIDARRAYOID}},
		{"DELETE FROM mistral.webhook WHERE root_id OPERATOR(pg_catalog.=) ANY ($1) AND failed", 1, {UUIDARRAYOID}},
		{"DELETE FROM mistral.hook_run WHERE execution_id OPERATOR(pg_catalog.=) ANY ($1)", 1, {UUIDARRAYOID}},
		{"DELETE FROM mistral.execution WHERE root_id OPERATOR(pg_catalog.=) ANY ($1)", 1, {UUIDARRAYOID}},
	};

	for (int i = 0; i < nroots; i++)
	{
		Tree	   *tree = cache_find(&roots[i]);

		if (tree)
			cache_drop(tree);
	}
	delete_all(statements, lengthof(statements), roots, nroots);
}

void
forget_lone_actions(const pg_uuid_t *ids, int nids)
{
	static DbStatement statements[] = {
		{"DELETE FROM mistral.parked_message WHERE root_id OPERATOR(pg_catalog.=) ANY ($1)", 1, {UUIDARRAYOID}},
		{"DELETE FROM mistral.event_wait WHERE action_id OPERATOR(pg_catalog.=) ANY ($1)", 1, {UUIDARRAYOID}},
		{"DELETE FROM mistral.action_execution WHERE id OPERATOR(pg_catalog.=) ANY ($1) AND task_id IS NULL", 1, {UUIDARRAYOID}},
	};

	delete_all(statements, lengthof(statements), ids, nids);
}

static void
delete_all(DbStatement *statements, int nstatements, const pg_uuid_t *ids, int nids)
{
	Datum		values[1] = {id_array_of(ids, nids)};

	db_use_indexes();
	for (int i = 0; i < nstatements; i++)
		db_execute(&statements[i], values, NULL, false, 0);
}
