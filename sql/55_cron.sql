-- Cron triggers: workflows that start by the clock.

CREATE TABLE mistral.cron_trigger (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    owner oid NOT NULL,
    workflow text NOT NULL,
    namespace text NOT NULL DEFAULT '',
    pattern text,
    timezone text NOT NULL,
    first_time timestamptz,
    remaining int,
    overlap text NOT NULL,
    catchup text NOT NULL,
    catchup_window interval NOT NULL,
    jitter interval NOT NULL,
    paused boolean NOT NULL DEFAULT false,
    last_slot timestamptz,
    last_error text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    input jsonb COMPRESSION lz4 NOT NULL,
    params jsonb COMPRESSION lz4 NOT NULL,
    UNIQUE (name, owner)
);
COMMENT ON TABLE mistral.cron_trigger IS 'Triggers that start workflows by a cron pattern, a first time, or both';

CREATE TABLE mistral.cron_due (
    due_at timestamptz NOT NULL,
    trigger_id uuid NOT NULL,
    slot timestamptz NOT NULL,
    PRIMARY KEY (due_at, trigger_id)
);
COMMENT ON TABLE mistral.cron_due IS 'The next slot of each trigger that is not paused. due_at: the slot with its jitter';

-- What makes a slot fire once: its row is written in the transaction that starts the execution.
CREATE TABLE mistral.cron_slot (
    trigger_id uuid NOT NULL,
    slot timestamptz NOT NULL,
    execution_id uuid,
    outcome text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (trigger_id, slot)
);
CREATE INDEX cron_slot_created ON mistral.cron_slot (created_at);
COMMENT ON TABLE mistral.cron_slot IS
  'Slots that are used up: started (with the execution), skipped, waiting (for an earlier execution to end) or error. Kept for three days, and while their executions run';

-- Who may still run, for overlap policies; a row goes when its execution is seen to have ended.
CREATE TABLE mistral.cron_running (
    trigger_id uuid NOT NULL,
    execution_id uuid NOT NULL,
    PRIMARY KEY (trigger_id, execution_id)
);
COMMENT ON TABLE mistral.cron_running IS 'Executions of triggers with an overlap policy that have not been seen to end';

CREATE TABLE mistral.cron_waiting (
    trigger_id uuid NOT NULL,
    slot timestamptz NOT NULL,
    PRIMARY KEY (trigger_id, slot)
);
COMMENT ON TABLE mistral.cron_waiting IS 'Slots that are kept until the trigger''s earlier execution ends (overlap: buffer_one, buffer_all)';

SELECT pg_catalog.pg_extension_config_dump('mistral.cron_trigger', '');
SELECT pg_catalog.pg_extension_config_dump('mistral.cron_due', '');
SELECT pg_catalog.pg_extension_config_dump('mistral.cron_slot', '');
SELECT pg_catalog.pg_extension_config_dump('mistral.cron_running', '');
SELECT pg_catalog.pg_extension_config_dump('mistral.cron_waiting', '');

CREATE FUNCTION mistral.create_cron_trigger(
    name text, workflow text, pattern text DEFAULT NULL, input jsonb DEFAULT '{}', params jsonb DEFAULT '{}',
    namespace text DEFAULT '', first_time timestamptz DEFAULT NULL, remaining int DEFAULT NULL,
    timezone text DEFAULT 'UTC', overlap text DEFAULT 'allow_all', catchup text DEFAULT 'one',
    catchup_window interval DEFAULT '365 days', jitter interval DEFAULT '0') RETURNS uuid
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_create_cron_trigger';
COMMENT ON FUNCTION mistral.create_cron_trigger(text, text, text, jsonb, jsonb, text, timestamptz, int, text, text, text, interval, interval) IS
  'Starts a workflow at each slot of a cron pattern, from first_time on, or once at first_time; returns the trigger''s id';

CREATE FUNCTION mistral.delete_cron_trigger(name text) RETURNS void
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_delete_cron_trigger';
COMMENT ON FUNCTION mistral.delete_cron_trigger(text) IS 'Deletes a cron trigger; executions that it has started go on';

CREATE FUNCTION mistral.pause_cron_trigger(name text) RETURNS void
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_pause_cron_trigger';
COMMENT ON FUNCTION mistral.pause_cron_trigger(text) IS 'Lets a cron trigger start nothing until it is resumed';

CREATE FUNCTION mistral.resume_cron_trigger(name text) RETURNS void
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_resume_cron_trigger';
COMMENT ON FUNCTION mistral.resume_cron_trigger(text) IS
  'Lets a paused cron trigger go on with its next slot; what it missed meanwhile can be made up for with backfill_cron_trigger';

CREATE FUNCTION mistral.backfill_cron_trigger(name text, from_time timestamptz, to_time timestamptz) RETURNS int
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_backfill_cron_trigger';
COMMENT ON FUNCTION mistral.backfill_cron_trigger(text, timestamptz, timestamptz) IS
  'Starts an execution for each slot of a past interval (both ends included) that has not been used up, whatever the overlap policy; returns how many';

CREATE FUNCTION mistral.next_runs(
    pattern text, timezone text DEFAULT 'UTC', n int DEFAULT 5, after timestamptz DEFAULT NULL) RETURNS SETOF timestamptz
  LANGUAGE C VOLATILE PARALLEL SAFE ROWS 5 AS 'MODULE_PATHNAME', 'mistral_next_runs';
COMMENT ON FUNCTION mistral.next_runs(text, text, int, timestamptz) IS
  'The next n slots of a cron pattern in a time zone, after a moment or after now';

CREATE FUNCTION mistral.run_schedules(triggers int DEFAULT 100) RETURNS int
  LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME', 'mistral_run_schedules';
COMMENT ON FUNCTION mistral.run_schedules(int) IS
  'What the engine does when cron triggers are due, in this session and transaction, for tests: how many slots it used up';

CREATE VIEW mistral.cron_triggers WITH (security_barrier) AS
SELECT t.id,
       t.name,
       t.workflow AS workflow_name,
       t.namespace AS workflow_namespace,
       t.input AS workflow_input,
       t.params AS workflow_params,
       t.pattern,
       t.timezone,
       t.first_time AS first_execution_time,
       d.slot AS next_execution_time,
       t.remaining AS remaining_executions,
       t.overlap,
       t.catchup,
       t.catchup_window,
       t.jitter,
       t.paused,
       (SELECT pg_catalog.count(*) FROM mistral.cron_waiting w WHERE w.trigger_id OPERATOR(pg_catalog.=) t.id) AS waiting,
       t.last_slot,
       t.last_error,
       t.owner::pg_catalog.regrole AS owner,
       t.created_at,
       t.updated_at
  FROM mistral.cron_trigger t
  LEFT JOIN mistral.cron_due d ON d.trigger_id OPERATOR(pg_catalog.=) t.id
 WHERE pg_catalog.pg_has_role(t.owner, 'USAGE');
COMMENT ON VIEW mistral.cron_triggers IS 'Cron triggers that you own or whose owner you are a member of';

CREATE VIEW mistral.cron_slots WITH (security_barrier) AS
SELECT t.name AS cron_trigger,
       s.slot,
       s.outcome,
       s.execution_id,
       s.created_at,
       t.owner::pg_catalog.regrole AS owner
  FROM mistral.cron_slot s
  JOIN mistral.cron_trigger t ON t.id OPERATOR(pg_catalog.=) s.trigger_id
 WHERE pg_catalog.pg_has_role(t.owner, 'USAGE');
COMMENT ON VIEW mistral.cron_slots IS 'Slots that your cron triggers have used up, and what came of them';
