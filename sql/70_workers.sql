-- The processes that do the work, and waiting for them.

CREATE FUNCTION mistral.worker_status(
    OUT database text, OUT kind text, OUT pid int, OUT state text, OUT started_at timestamptz,
    OUT last_loop timestamptz, OUT last_error text, OUT last_error_at timestamptz, OUT queue_depth int,
    OUT executions bigint, OUT messages bigint)
RETURNS SETOF record
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'mistral_worker_status';
COMMENT ON FUNCTION mistral.worker_status() IS
  'What the view mistral.workers shows: the workers of this database; all of the server and the texts of errors for the extension''s owner and pg_read_all_stats';
REVOKE ALL ON FUNCTION mistral.worker_status() FROM PUBLIC;

CREATE VIEW mistral.workers AS
SELECT s.database, s.kind, s.pid, s.state, s.started_at, s.last_loop, s.last_error, s.last_error_at,
       s.queue_depth, s.executions, s.messages
  FROM mistral.worker_status() AS s;
COMMENT ON VIEW mistral.workers IS
  'Background workers: state is starting, running, idle, backoff (after an error), unadopted (waits for mistral.adopt()), stopped or failed (starts again by itself); executions and messages count what was advanced and consumed (executor: requests claimed and recorded)';

CREATE FUNCTION mistral.stop_worker() RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'mistral_stop_worker';
COMMENT ON FUNCTION mistral.stop_worker() IS
  'Sends this database''s workers away at once (not at commit), until mistral.restart_worker() or a restart of the server; for the extension''s owner';
REVOKE ALL ON FUNCTION mistral.stop_worker() FROM PUBLIC;

CREATE FUNCTION mistral.restart_worker() RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'mistral_restart_worker';
COMMENT ON FUNCTION mistral.restart_worker() IS
  'Replaces this database''s workers by new ones, also after mistral.stop_worker(); for the extension''s owner';
REVOKE ALL ON FUNCTION mistral.restart_worker() FROM PUBLIC;

CREATE FUNCTION mistral.adopt() RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'mistral_adopt';
COMMENT ON FUNCTION mistral.adopt() IS
  'Says that the workflows in this database, which came with a restore or a copy, are to be carried on here; for the extension''s owner';
REVOKE ALL ON FUNCTION mistral.adopt() FROM PUBLIC;

CREATE FUNCTION mistral.instance_matches() RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'mistral_instance_matches';
COMMENT ON FUNCTION mistral.instance_matches() IS
  'Whether the state in this database was made, or adopted, in this database of this cluster; if not, workers wait for mistral.adopt()';
REVOKE ALL ON FUNCTION mistral.instance_matches() FROM PUBLIC;

CREATE FUNCTION mistral.run_retention() RETURNS int
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'mistral_run_retention';
COMMENT ON FUNCTION mistral.run_retention() IS
  'Deletes at once, in this transaction, what mistral.retention, mistral.retention_max_executions and mistral.history_keep no longer keep, and returns how many executions and lone actions that were; an engine does the same by itself; for the extension''s owner';
REVOKE ALL ON FUNCTION mistral.run_retention() FROM PUBLIC;

CREATE FUNCTION mistral.wait_workflow(id uuid, timeout interval DEFAULT '30 s') RETURNS text
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'mistral_wait_workflow';
COMMENT ON FUNCTION mistral.wait_workflow(uuid, interval) IS
  'Waits until the execution has ended or the timeout has passed, and gives its state; not in the transaction that started it';
REVOKE ALL ON FUNCTION mistral.wait_workflow(uuid, interval) FROM PUBLIC;

-- The table is dumped, so that a restored database also holds its origin's row
-- and does not match.  And a restore (all of pg_dump's scripts turn row_security
-- off) starts without a row: workers stay out while the data arrives.
COMMENT ON TABLE mistral.instance IS
  'The clusters and databases this state comes from. Where any row names another than this one, or there is none (a restored or copied database), workers wait for mistral.adopt()';
SELECT pg_catalog.pg_extension_config_dump('mistral.instance', '');
SELECT mistral.adopt()
 WHERE pg_catalog.current_setting('row_security') OPERATOR(pg_catalog.=) 'on';
