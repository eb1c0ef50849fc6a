/*
 * archive.c
 *		Keeping what is about to be deleted, as documents in mistral.archive.
 *
 * A document is what the tables hold, but for what only a running engine needs.
 * A jsonb has a limit of 256 MB, and a tree has none: it is cut into parts, each
 * with as many rows as some size allows.  They are made once, whatever the
 * planner thinks of the join with what they belong to.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "base/clock.h"
#include "base/db.h"
#include "base/ids.h"
#include "engine/archive.h"

/* Size of a part, in bytes, beyond which the next begins. */
#define PART_SIZE 16777216

/* What only a running engine needs, or is a column of the archive itself. */
#define WITHOUT(columns) " OPERATOR(pg_catalog.-) '{" columns "}'::pg_catalog.text[]"

/* From items(root, kind, key, row) to the rows of the archive; the roots are in that table. */
#define PARTS(table, namespace) \
	"numbered AS (SELECT i.root, i.kind, i.key, i.row, " \
	"((pg_catalog.sum(pg_catalog.pg_column_size(i.row)) OVER (PARTITION BY i.root ORDER BY i.kind OPERATOR(pg_catalog.<>) 'executions', i.kind, i.key)" \
	" OPERATOR(pg_catalog.-) pg_catalog.pg_column_size(i.row)) OPERATOR(pg_catalog./) $3)::pg_catalog.int4 AS part FROM items i), " \
	"lists AS (SELECT root, part, kind, pg_catalog.jsonb_agg(row ORDER BY key) AS list FROM numbered GROUP BY root, part, kind), " \
	"parts AS MATERIALIZED (SELECT root, part, pg_catalog.jsonb_object_agg(kind, list) AS document FROM lists GROUP BY root, part) " \
	"INSERT INTO mistral.archive (id, part, kind, owner, name, namespace, state, created_at, finished_at, archived_at, document) " \
	"SELECT h.id, p.part, $4, h.owner, h.name, " namespace ", h.state, h.created_at, h.finished_at, $2, p.document " \
	"FROM parts p JOIN mistral." table " h ON h.id OPERATOR(pg_catalog.=) p.root"

static void archive(DbStatement *statement, const char *kind, const pg_uuid_t *ids, int nids);

void
archive_trees(const pg_uuid_t *roots, int nroots)
{
	static DbStatement insert = {
		"WITH found AS MATERIALIZED (SELECT e.* FROM mistral.execution e WHERE e.root_id OPERATOR(pg_catalog.=) ANY ($1)), "
		"items AS (SELECT f.root_id AS root, 'executions' AS kind, f.id AS key,"
		" pg_catalog.to_jsonb(f)" WITHOUT("owner,stamp,runtime") " AS row FROM found f "
		"UNION ALL SELECT f.root_id, 'tasks', t.id,"
		" pg_catalog.to_jsonb(t)" WITHOUT("scope,merged,runtime")
		" FROM found f JOIN mistral.task t ON t.execution_id OPERATOR(pg_catalog.=) f.id "
		"UNION ALL SELECT f.root_id, 'actions', a.id,"
		" pg_catalog.to_jsonb(a)" WITHOUT("owner,root_id,runtime")
		" FROM found f JOIN mistral.task t ON t.execution_id OPERATOR(pg_catalog.=) f.id"
		" JOIN mistral.action_execution a ON a.task_id OPERATOR(pg_catalog.=) t.id), " PARTS("execution", "h.namespace"),
		4, {UUIDARRAYOID, TIMESTAMPTZOID, INT8OID, TEXTOID}
	};

	archive(&insert, "execution", roots, nroots);
}

void
archive_lone_actions(const pg_uuid_t *ids, int nids)
{
	static DbStatement insert = {
		"WITH items AS (SELECT a.id AS root, 'actions' AS kind, a.id AS key,"
		" pg_catalog.to_jsonb(a)" WITHOUT("owner,root_id,runtime") " AS row FROM mistral.action_execution a"
		" WHERE a.id OPERATOR(pg_catalog.=) ANY ($1) AND a.task_id IS NULL), " PARTS("action_execution", "''"),
		4, {UUIDARRAYOID, TIMESTAMPTZOID, INT8OID, TEXTOID}
	};

	archive(&insert, "action", ids, nids);
}

static void
archive(DbStatement *statement, const char *kind, const pg_uuid_t *ids, int nids)
{
	Datum		values[4];

	values[0] = id_array_of(ids, nids);
	values[1] = TimestampTzGetDatum(clock_now());
	values[2] = Int64GetDatum(PART_SIZE);
	values[3] = CStringGetTextDatum(kind);
	db_use_indexes();
	db_execute(statement, values, NULL, false, 0);
}
