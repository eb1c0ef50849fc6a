-- History: what each step, or session, did to an execution. Rows are only ever
-- inserted, and deleted when they are old (mistral.history_keep).  Oldest first on
-- both sides, so that vacuum gives whole pages back to the inserts: partitions would
-- need tables of the engine's making, with locks on all that reads or replicates.

CREATE TABLE mistral.history (
    xid xid8 NOT NULL,
    at timestamptz NOT NULL,
    n int NOT NULL,
    owner oid NOT NULL,
    execution_id uuid NOT NULL,
    root_id uuid NOT NULL,
    name text NOT NULL,
    state text NOT NULL,
    role text,
    messages text[] NOT NULL,
    transitions jsonb COMPRESSION lz4 NOT NULL,
    PRIMARY KEY (xid, n)
);
CREATE INDEX history_execution ON mistral.history (execution_id);
COMMENT ON TABLE mistral.history IS
  'What each step, or session, did to an execution, in the order of (xid, n). state: the execution''s, afterwards. role: who called, null: the engine. messages: what the step consumed, or the session called. transitions: at (microseconds after the row''s at), to (the state), by, info, task, ordinal, action, item';
SELECT pg_catalog.pg_extension_config_dump('mistral.history', '');

CREATE VIEW mistral.history_steps WITH (security_barrier) AS
SELECT h.xid::text OPERATOR(pg_catalog.||) '/' OPERATOR(pg_catalog.||) h.n::text AS position,
       h.xid,
       h.n,
       h.at,
       h.execution_id,
       h.root_id AS root_execution_id,
       h.name AS workflow_name,
       h.state,
       h.role,
       h.messages,
       h.transitions,
       h.owner::pg_catalog.regrole AS owner
  FROM mistral.history h
 WHERE pg_catalog.pg_has_role(h.owner, 'USAGE');
COMMENT ON VIEW mistral.history_steps IS
  'What each step, or session, did to the executions you may see, one row for each execution; ordered by xid, n';

CREATE VIEW mistral.transitions WITH (security_barrier) AS
SELECT h.xid,
       h.n,
       t.no::int AS no,
       h.at OPERATOR(pg_catalog.+) (t.at OPERATOR(pg_catalog.*) '1 microsecond'::interval) AS at,
       h.execution_id,
       h.root_id AS root_execution_id,
       h.name AS workflow_name,
       CASE WHEN t.task IS NULL THEN 'execution' WHEN t.action IS NULL THEN 'task' ELSE 'action' END AS kind,
       t.task AS task_name,
       t.ordinal,
       t.action AS action_name,
       t.item,
       t."to" AS state,
       t.info AS state_info,
       COALESCE(t."by", h.role) AS role,
       h.messages,
       h.owner::pg_catalog.regrole AS owner
  FROM mistral.history h,
       ROWS FROM (pg_catalog.jsonb_to_recordset(h.transitions)
                  AS (at int, "to" text, "by" text, info text, task text, ordinal int, action text, item int))
       WITH ORDINALITY AS t(at, "to", "by", info, task, ordinal, action, item, no)
 WHERE pg_catalog.pg_has_role(h.owner, 'USAGE');
COMMENT ON VIEW mistral.transitions IS
  'Each change of state of the executions you may see, of their tasks and actions, as far as mistral.history keeps them; ordered by xid, n, no. ordinal is the task''s; role: who did it, null: the engine';

CREATE FUNCTION mistral.history_since(after text DEFAULT NULL, max int DEFAULT 1000)
  RETURNS SETOF mistral.history_steps
  LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
  SELECT h.*
    FROM mistral.history_steps h
   WHERE (h.xid, h.n) OPERATOR(pg_catalog.>)
         (COALESCE(pg_catalog.split_part(after, '/', 1), '0')::xid8, COALESCE(pg_catalog.split_part(after, '/', 2), '0')::int)
     AND h.xid OPERATOR(pg_catalog.<) pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())
   ORDER BY h.xid, h.n
   LIMIT max;
END;
COMMENT ON FUNCTION mistral.history_since(text, int) IS
  'The next rows of the history after a position (null: from the beginning), as far as no transaction can put one before them any more; the last row''s position is the next call''s';
