-- Events, and workflows that start by them; rows of the user's tables as events.

CREATE TABLE mistral.event_trigger (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    owner oid NOT NULL,
    event text NOT NULL,
    exchange text,
    topic text,
    workflow text NOT NULL,
    namespace text NOT NULL DEFAULT '',
    filter text,
    scope text NOT NULL CHECK (scope IN ('private', 'public')),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    input jsonb COMPRESSION lz4 NOT NULL,
    params jsonb COMPRESSION lz4 NOT NULL,
    UNIQUE (name, owner)
);
CREATE INDEX event_trigger_event ON mistral.event_trigger (event);
COMMENT ON TABLE mistral.event_trigger IS
  'Workflows that start when an event is published. event: a name, or the beginning of one with * behind it; exchange, topic: null means any';

CREATE TABLE mistral.event_seen (
    owner oid NOT NULL,
    dedup_key text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (owner, dedup_key)
);
CREATE INDEX event_seen_created ON mistral.event_seen (created_at);
COMMENT ON TABLE mistral.event_seen IS 'Keys of events of the last day, by the role that published them: another event with the same key is the same event';

CREATE TABLE mistral.event (
    id uuid PRIMARY KEY,
    published_at timestamptz NOT NULL,
    owner oid NOT NULL,
    event text COLLATE "C" NOT NULL,
    exchange text,
    topic text,
    payload jsonb COMPRESSION lz4 NOT NULL
);
CREATE INDEX event_name ON mistral.event (event, published_at);
CREATE INDEX event_published ON mistral.event (published_at);
CREATE INDEX event_payload ON mistral.event USING gin (payload jsonb_path_ops);
COMMENT ON TABLE mistral.event IS 'Events that are kept for actions that wait for them. owner: who published it';

CREATE TABLE mistral.event_wait (
    action_id uuid PRIMARY KEY,
    root_id uuid NOT NULL,
    execution_id uuid NOT NULL,
    owner oid NOT NULL,
    attempt int NOT NULL,
    shape bigint NOT NULL,
    key bigint NOT NULL,
    since timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    event text COLLATE "C" NOT NULL,
    exchange text,
    topic text,
    task text NOT NULL,
    match jsonb COMPRESSION lz4 NOT NULL
);
CREATE INDEX event_wait_key ON mistral.event_wait (event, owner, shape, key, action_id);
COMMENT ON TABLE mistral.event_wait IS
  'Actions that wait for an event. event: a name, or the beginning of one with * behind it; since: older events do not count; shape, key: hashes of the places of match, and of the scalars that it holds there';

CREATE TABLE mistral.event_news (
    id uuid NOT NULL,
    is_wait boolean NOT NULL
);
ALTER TABLE mistral.event_news REPLICA IDENTITY FULL;
COMMENT ON TABLE mistral.event_news IS 'Events, and waits for events, that nobody has looked at yet';

CREATE TABLE mistral.event_taken (
    event_id uuid NOT NULL,
    execution_id uuid NOT NULL,
    task text NOT NULL,
    PRIMARY KEY (event_id, execution_id, task)
);
COMMENT ON TABLE mistral.event_taken IS 'Which task of an execution has heard an event that is kept: it hears it once';

CREATE TABLE mistral.table_watch (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    owner oid NOT NULL,
    relation regclass NOT NULL,
    operations text[] NOT NULL,
    workflow text,
    namespace text NOT NULL DEFAULT '',
    filter text,
    created_at timestamptz NOT NULL,
    input jsonb COMPRESSION lz4 NOT NULL,
    params jsonb COMPRESSION lz4 NOT NULL,
    event text,
    CHECK ((workflow IS NULL) <> (event IS NULL)),
    UNIQUE (name, owner)
);
COMMENT ON TABLE mistral.table_watch IS 'Tables whose rows start workflows, or are events, when they change, by the trigger of that name';

SELECT pg_catalog.pg_extension_config_dump('mistral.event_trigger', '');
SELECT pg_catalog.pg_extension_config_dump('mistral.event_seen', '');
SELECT pg_catalog.pg_extension_config_dump('mistral.event', '');
SELECT pg_catalog.pg_extension_config_dump('mistral.event_wait', '');
SELECT pg_catalog.pg_extension_config_dump('mistral.event_news', '');
SELECT pg_catalog.pg_extension_config_dump('mistral.event_taken', '');
SELECT pg_catalog.pg_extension_config_dump('mistral.table_watch', '');

CREATE FUNCTION mistral.create_event_trigger(
    name text, workflow text, event text, exchange text DEFAULT NULL, topic text DEFAULT NULL, filter text DEFAULT NULL,
    input jsonb DEFAULT '{}', params jsonb DEFAULT '{}', namespace text DEFAULT '', scope text DEFAULT 'private') RETURNS uuid
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_create_event_trigger';
COMMENT ON FUNCTION mistral.create_event_trigger(text, text, text, text, text, text, jsonb, jsonb, text, text) IS
  'Starts a workflow for each event of that name (or of names that begin so, with * at the end); filter and the strings of input are expressions over event, payload, exchange, topic';

CREATE FUNCTION mistral.delete_event_trigger(name text) RETURNS void
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_delete_event_trigger';
COMMENT ON FUNCTION mistral.delete_event_trigger(text) IS 'Deletes an event trigger; executions that it has started go on';

CREATE FUNCTION mistral.publish_event(
    event text, payload jsonb DEFAULT '{}', exchange text DEFAULT NULL, topic text DEFAULT NULL, dedup_key text DEFAULT NULL) RETURNS int
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_publish_event';
COMMENT ON FUNCTION mistral.publish_event(text, jsonb, text, text, text) IS
  'Publishes an event in this transaction and returns how many workflows it started; with a key that was used within a day nothing happens';

CREATE FUNCTION mistral.watch_table(
    relation regclass, operations text, workflow text, input jsonb DEFAULT '{}', filter text DEFAULT NULL,
    params jsonb DEFAULT '{}', namespace text DEFAULT '', name text DEFAULT NULL) RETURNS text
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_watch_table';
COMMENT ON FUNCTION mistral.watch_table(regclass, text, text, jsonb, text, jsonb, text, text) IS
  'Starts a workflow for each row of a table that is inserted, updated or deleted (a list of these words), in the row''s transaction; filter and the strings of input are expressions over operation, table, new, old; returns the watch''s name';

CREATE FUNCTION mistral.publish_changes(
    relation regclass, operations text, event text, filter text DEFAULT NULL, name text DEFAULT NULL) RETURNS text
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_publish_changes';
COMMENT ON FUNCTION mistral.publish_changes(regclass, text, text, text, text) IS
  'Publishes an event for each row of a table that is inserted, updated or deleted (a list of these words), in the row''s transaction; the payload, and what filter sees, has operation, table, new, old; returns the watch''s name, for unwatch_table';

CREATE FUNCTION mistral.unwatch_table(name text) RETURNS void
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_unwatch_table';
COMMENT ON FUNCTION mistral.unwatch_table(text) IS 'Ends a watch of a table and drops its trigger';

CREATE FUNCTION mistral.row_changed() RETURNS trigger
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_row_changed';
COMMENT ON FUNCTION mistral.row_changed() IS 'The trigger function that watch_table puts on a table';

CREATE VIEW mistral.event_triggers WITH (security_barrier) AS
SELECT t.id,
       t.name,
       t.event,
       t.exchange,
       t.topic,
       t.filter,
       t.workflow AS workflow_name,
       t.namespace AS workflow_namespace,
       t.input AS workflow_input,
       t.params AS workflow_params,
       t.scope,
       t.owner::pg_catalog.regrole AS owner,
       t.created_at,
       t.updated_at
  FROM mistral.event_trigger t
 WHERE pg_catalog.pg_has_role(t.owner, 'USAGE');
COMMENT ON VIEW mistral.event_triggers IS 'Event triggers that you own or whose owner you are a member of';

CREATE VIEW mistral.table_watches WITH (security_barrier) AS
SELECT w.id,
       w.name,
       w.relation,
       w.operations,
       w.filter,
       w.workflow AS workflow_name,
       w.namespace AS workflow_namespace,
       w.input AS workflow_input,
       w.params AS workflow_params,
       w.owner::pg_catalog.regrole AS owner,
       w.created_at,
       w.event
  FROM mistral.table_watch w
 WHERE pg_catalog.pg_has_role(w.owner, 'USAGE');
COMMENT ON VIEW mistral.table_watches IS 'Watches of tables that you own or whose owner you are a member of';
