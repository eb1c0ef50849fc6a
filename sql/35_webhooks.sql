-- Webhooks: requests that tell somebody of what happened (params.notify of an execution).

CREATE TABLE mistral.webhook (
    id uuid PRIMARY KEY,
    root_id uuid NOT NULL,
    execution_id uuid NOT NULL,
    owner oid NOT NULL,
    event text NOT NULL,
    attempt int NOT NULL,
    failed boolean NOT NULL,
    next_at timestamptz,
    created_at timestamptz NOT NULL,
    error text,
    request jsonb COMPRESSION lz4 NOT NULL
);
CREATE INDEX webhook_root ON mistral.webhook (root_id);
COMMENT ON TABLE mistral.webhook IS
  'Webhooks that have not been delivered. next_at: when a timer sends it again; null: it is with the executor, or has failed for good. Delivered ones are deleted';
SELECT pg_catalog.pg_extension_config_dump('mistral.webhook', '');

CREATE FUNCTION mistral.retry_webhook(id uuid)
RETURNS void LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mistral_retry_webhook';
COMMENT ON FUNCTION mistral.retry_webhook(uuid) IS 'Sends a webhook that has failed for good once more, with as many attempts as a new one';

CREATE VIEW mistral.webhooks WITH (security_barrier) AS
  SELECT w.id, w.execution_id, w.root_id AS root_execution_id, w.event,
         w.request OPERATOR(pg_catalog.->>) 'url' AS url,
         CASE WHEN w.failed THEN 'FAILED' WHEN w.next_at IS NULL THEN 'SENDING' ELSE 'DELAYED' END AS state,
         w.attempt, w.next_at, w.error, w.owner::pg_catalog.regrole AS owner, w.created_at
    FROM mistral.webhook w
   WHERE pg_catalog.pg_has_role(w.owner, 'USAGE');
COMMENT ON VIEW mistral.webhooks IS
  'Webhooks of your executions that are not delivered: those under way, and those that have failed for good, which stay as long as their execution';
COMMENT ON COLUMN mistral.webhooks.state IS 'SENDING (with the executor), DELAYED (again at next_at) or FAILED';
COMMENT ON COLUMN mistral.webhooks.attempt IS 'How many times it has been, or is being, sent';
COMMENT ON COLUMN mistral.webhooks.error IS 'What was wrong the last time';
