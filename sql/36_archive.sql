-- The archive: what retention has deleted, as documents, where mistral.archive is
-- on. Partitioned by the time of the end, so that whoever runs the server may give
-- each month a table (and a tablespace) of its own, and drop it as a whole. Each
-- partition has its own key: pg_dump would give those of others, whose parent is an
-- extension's, an inherited one twice.

CREATE TABLE mistral.archive (
    id uuid NOT NULL,
    part int NOT NULL,
    kind text NOT NULL,
    owner oid NOT NULL,
    name text NOT NULL,
    namespace text NOT NULL,
    state text NOT NULL,
    created_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    archived_at timestamptz NOT NULL,
    document jsonb COMPRESSION lz4 NOT NULL
) PARTITION BY RANGE (finished_at);
COMMENT ON TABLE mistral.archive IS
  'Executions (kind execution) and actions run alone (action) that retention has deleted. document: {"executions": [...], "tasks": [...], "actions": [...]}, the rows as they were; what is very large has several parts';
CREATE TABLE mistral.archive_default PARTITION OF mistral.archive (PRIMARY KEY (id, part)) DEFAULT;
COMMENT ON TABLE mistral.archive_default IS 'What ended at a time for which mistral.archive has no other partition';
SELECT pg_catalog.pg_extension_config_dump('mistral.archive_default', '');

CREATE VIEW mistral.archived WITH (security_barrier) AS
SELECT a.id, a.part, a.kind, a.name, a.namespace, a.state, a.owner::pg_catalog.regrole AS owner,
       a.created_at, a.finished_at, a.archived_at, a.document
  FROM mistral.archive a
 WHERE pg_catalog.pg_has_role(a.owner, 'USAGE');
COMMENT ON VIEW mistral.archived IS
  'What is in the archive of what you own or whose owner you are a member of; where part 0 is not all, mistral.archived_execution puts it together';

CREATE FUNCTION mistral.archived_execution(id uuid) RETURNS jsonb
  LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
  SELECT pg_catalog.jsonb_object_agg(l.kind, l.list)
    FROM (SELECT d.key AS kind, pg_catalog.jsonb_agg(e.value ORDER BY a.part, e.no) AS list
            FROM mistral.archived a, pg_catalog.jsonb_each(a.document) d,
                 pg_catalog.jsonb_array_elements(d.value) WITH ORDINALITY AS e(value, no)
           WHERE a.id OPERATOR(pg_catalog.=) archived_execution.id
           GROUP BY d.key) l;
END;
COMMENT ON FUNCTION mistral.archived_execution(uuid) IS
  'An execution (or an action run alone) from the archive: {"executions": [...], "tasks": [...], "actions": [...]}; null where there is none that you may see';
