-- Pull workers: claiming actions, and keeping them.

CREATE FUNCTION mistral.claim_actions(
    target text DEFAULT NULL, worker text DEFAULT NULL, max int DEFAULT 1, lease interval DEFAULT '1 min')
  RETURNS TABLE (action_execution_id uuid, action text, input jsonb, task text, workflow text, execution_id uuid,
                 attempt int, lease_until timestamptz, token text)
  LANGUAGE C VOLATILE ROWS 100 AS 'MODULE_PATHNAME', 'mistral_claim_actions';
COMMENT ON FUNCTION mistral.claim_actions(text, text, int, interval) IS
  'Gives the oldest actions that wait for a worker of the target (null: of any) to the caller, for the time of the lease';

CREATE FUNCTION mistral.heartbeat_actions(ids uuid[], lease interval DEFAULT '1 min', worker text DEFAULT NULL, tokens text[] DEFAULT NULL) RETURNS int
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_heartbeat_actions';
COMMENT ON FUNCTION mistral.heartbeat_actions(uuid[], interval, text, text[]) IS
  'Prolongs leases from now on, with a worker only those that were claimed under that name, with tokens only those of their attempts; how many were still held by actions that somebody waits for';

CREATE VIEW mistral.targets WITH (security_barrier) AS
SELECT w.target,
       pg_catalog.count(*) FILTER (WHERE NOT w.leased) AS waiting,
       pg_catalog.count(*) FILTER (WHERE w.leased) AS leased,
       pg_catalog.min(w.created_at) FILTER (WHERE NOT w.leased) AS oldest
  FROM (SELECT o.target, o.owner, o.created_at, false AS leased FROM mistral.offer o WHERE o.target IS NOT NULL AND NOT o.held
        UNION ALL
        SELECT l.target, l.owner, l.created_at, true FROM mistral.lease l) w
 WHERE pg_catalog.pg_has_role(w.owner, 'USAGE')
 GROUP BY w.target;
COMMENT ON VIEW mistral.targets IS
  'Demand by target: how many actions wait for a pull worker, how many are leased, and since when the oldest waits';
