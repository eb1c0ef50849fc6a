-- State.  No table carries a grant: the functions and the views are the doors.
-- No index names a column that an update changes, so that updates stay HOT; no
-- foreign keys between state tables (mistral.check() finds orphans).

CREATE TABLE mistral.instance (
    system_identifier bigint NOT NULL,
    database_oid oid NOT NULL,
    adopted_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE mistral.instance IS
  'The cluster and database this state belongs to; one row, not dumped. Where it does not match (a restored or copied database), workers wait for mistral.adopt()';

CREATE TABLE mistral.server_key (
    name text PRIMARY KEY,
    key bytea NOT NULL DEFAULT pg_catalog.sha256(
        pg_catalog.uuid_send(pg_catalog.gen_random_uuid()) OPERATOR(pg_catalog.||)
        pg_catalog.uuid_send(pg_catalog.gen_random_uuid()) OPERATOR(pg_catalog.||)
        pg_catalog.uuid_send(pg_catalog.gen_random_uuid()))
);
COMMENT ON TABLE mistral.server_key IS
  'The key that the tokens of attempts are made with; not dumped, and drawn anew by mistral.adopt()';
INSERT INTO mistral.server_key (name) VALUES ('token');

CREATE TABLE mistral.definition (
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('workbook', 'workflow', 'action')),
    name text NOT NULL,
    namespace text NOT NULL DEFAULT '',
    workbook text,
    owner oid NOT NULL,
    scope text NOT NULL DEFAULT 'private' CHECK (scope IN ('private', 'public')),
    live boolean NOT NULL DEFAULT true,
    definition text COMPRESSION lz4 NOT NULL,
    input text NOT NULL DEFAULT '',
    tags text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    start jsonb,
    merged text COMPRESSION lz4,
    overlays jsonb,
    refused text
);
-- The name comes first: it alone tells nearly all of them apart.
CREATE UNIQUE INDEX definition_name ON mistral.definition (name, namespace, kind, owner) WHERE live;
CREATE UNIQUE INDEX definition_public_name ON mistral.definition (name, namespace, kind) WHERE live AND scope = 'public';
COMMENT ON TABLE mistral.definition IS
  'Versions of workbooks, workflows and ad-hoc actions; at most one live version per owner, kind, namespace and name. An execution keeps the version it started with';
COMMENT ON COLUMN mistral.definition.merged IS 'The workflow with its overlays, which is what runs. Null: there are none';
COMMENT ON COLUMN mistral.definition.overlays IS 'The tasks that overlays have inserted: {"task": "overlay"}';
COMMENT ON COLUMN mistral.definition.refused IS 'Why this version does not start: an overlay that is required does not fit';
COMMENT ON COLUMN mistral.definition.start IS
  'What a start has to know of a workflow, so that it need not read the definition: [["required parameter"], ["other", default], ...]. Null: it reads the definition';

CREATE TABLE mistral.environment (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    owner oid NOT NULL,
    scope text NOT NULL DEFAULT 'private' CHECK (scope IN ('private', 'public')),
    description text NOT NULL DEFAULT '',
    variables jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (name, owner)
);
COMMENT ON TABLE mistral.environment IS 'Named sets of variables that an execution may start with';

-- An execution's tree (a root and the sub-workflows below it) is one unit: the
-- root's row is the only lock that anyone waits for, and every step of the tree
-- writes that row's stamp.  The page keeps room for the row as it will be, with
-- its output: the update then stays in the page and touches no index.
CREATE TABLE mistral.execution (
    id uuid PRIMARY KEY,
    root_id uuid NOT NULL,
    parent_task_id uuid,
    ordinal int NOT NULL DEFAULT 0,
    definition_id uuid NOT NULL,
    owner oid NOT NULL,
    name text NOT NULL,
    namespace text NOT NULL,
    state text NOT NULL,
    stamp xid8,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    finished_at timestamptz,
    state_info text,
    description text NOT NULL DEFAULT '',
    input jsonb COMPRESSION lz4 NOT NULL,
    params jsonb COMPRESSION lz4 NOT NULL,
    globals jsonb COMPRESSION lz4,
    output jsonb COMPRESSION lz4,
    runtime jsonb COMPRESSION lz4
) WITH (fillfactor = 30);
CREATE INDEX execution_root ON mistral.execution (root_id);
COMMENT ON TABLE mistral.execution IS
  'Workflow executions. globals: vars and globally published variables. runtime: commands kept back by a pause, seconds of the timeout that runs. stamp: the transaction that last changed the tree (roots only)';

-- A task's context is not copied into it: scope maps each visible variable to
-- the ordinal of the task that published it (merged: values that a join made);
-- [{own}, n] is what task n sees with these added.
CREATE TABLE mistral.task (
    id uuid PRIMARY KEY,
    execution_id uuid NOT NULL,
    ordinal int NOT NULL,
    name text NOT NULL,
    type text NOT NULL,
    state text NOT NULL,
    processed boolean NOT NULL DEFAULT false,
    error_handled boolean NOT NULL DEFAULT false,
    has_next_tasks boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    started_at timestamptz,
    finished_at timestamptz,
    action_id uuid,
    action_name text,
    action_state text,
    state_info text,
    input jsonb COMPRESSION lz4,
    result jsonb COMPRESSION lz4,
    published jsonb COMPRESSION lz4,
    scope jsonb COMPRESSION lz4,
    merged jsonb COMPRESSION lz4,
    triggered_by jsonb COMPRESSION lz4,
    next_tasks jsonb COMPRESSION lz4,
    runtime jsonb COMPRESSION lz4,
    items jsonb COMPRESSION lz4
) WITH (fillfactor = 85);
CREATE INDEX task_execution ON mistral.task (execution_id);
COMMENT ON TABLE mistral.task IS
  'Task executions. The one action that ended within its step is folded in (action_id, action_name, action_state, input, result); every other action has a row in action_execution';

CREATE TABLE mistral.action_execution (
    id uuid PRIMARY KEY,
    task_id uuid,
    execution_id uuid,
    root_id uuid NOT NULL,
    ordinal int NOT NULL DEFAULT 0,
    item int,
    owner oid NOT NULL,
    name text NOT NULL,
    state text NOT NULL,
    accepted boolean NOT NULL DEFAULT false,
    attempt int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    finished_at timestamptz,
    description text NOT NULL DEFAULT '',
    runtime jsonb COMPRESSION lz4,
    input jsonb COMPRESSION lz4,
    result jsonb COMPRESSION lz4
) WITH (fillfactor = 45);
CREATE INDEX action_execution_task ON mistral.action_execution (task_id);
CREATE INDEX action_execution_lone ON mistral.action_execution (id) WHERE task_id IS NULL;
COMMENT ON TABLE mistral.action_execution IS
  'Action executions that something outside the engine ends or that are not their task''s only one. runtime: the ad-hoc actions whose output is still to be applied';

-- Everything that may move a tree is a message. Its consumer deletes it in the
-- transaction that records the consequence: each takes effect exactly once.
CREATE TABLE mistral.message (
    id uuid NOT NULL,
    root_id uuid NOT NULL,
    kind text NOT NULL,
    target_id uuid,
    attempt int,
    created_at timestamptz NOT NULL,
    payload jsonb COMPRESSION lz4
);
-- One completion for each attempt of an action, whoever sends it.
CREATE UNIQUE INDEX message_completion ON mistral.message (target_id, attempt) WHERE attempt IS NOT NULL;
COMMENT ON TABLE mistral.message IS
  'What is to happen to a tree: start, action (a result arrived), continue, resume, child. No ordering index: engines hold the places of new messages in shared memory, and read the table in full when they start';

CREATE TABLE mistral.parked_message (
    LIKE mistral.message,
    error text NOT NULL,
    parked_at timestamptz NOT NULL
);
COMMENT ON TABLE mistral.parked_message IS
  'Messages that failed alone three times, with the error; their executions say so in state_info';

CREATE TABLE mistral.timer (
    due_at timestamptz NOT NULL,
    id uuid NOT NULL,
    root_id uuid NOT NULL,
    kind text NOT NULL,
    target_id uuid NOT NULL,
    PRIMARY KEY (due_at, id)
);
CREATE INDEX timer_target ON mistral.timer (target_id);
COMMENT ON TABLE mistral.timer IS 'Delays that run: wait_before, wait_after, retry, timeout, join, action-delay, workflow-timeout (by target task, action or execution)';

-- Work for processes outside the engine. The engine only inserts; a performer
-- moves the row to attempt, commits, does the work, and sends the result as a
-- message while it deletes the attempt.
CREATE TABLE mistral.dispatch (
    id uuid NOT NULL,
    root_id uuid NOT NULL,
    action_id uuid NOT NULL,
    attempt int NOT NULL,
    performer text NOT NULL,
    owner oid NOT NULL,
    action text NOT NULL,
    safe_rerun boolean NOT NULL,
    timeout int,
    created_at timestamptz NOT NULL,
    headers jsonb,
    input jsonb COMPRESSION lz4
);
COMMENT ON TABLE mistral.dispatch IS 'Actions that wait for a performer (http, sql, io)';

CREATE TABLE mistral.attempt (
    action_id uuid NOT NULL,
    attempt int NOT NULL,
    root_id uuid NOT NULL,
    performer text NOT NULL,
    owner oid NOT NULL,
    action text NOT NULL,
    safe_rerun boolean NOT NULL,
    timeout int,
    started_at timestamptz NOT NULL,
    place int,
    tries int NOT NULL DEFAULT 1,
    headers jsonb,
    input jsonb COMPRESSION lz4,
    PRIMARY KEY (action_id, attempt)
);
COMMENT ON TABLE mistral.attempt IS
  'Actions under way: committed before the first byte leaves. A row left by a performer that died has an unknown outcome; performer sql: the worker of that place has it, or had, and begun so many tries; performer http: headers and input only where it may be sent again (safe_rerun)';

-- The actions that modules have brought along (mistral.io_modules), loaded now or
-- not: what the executor was told when it started them last.
CREATE TABLE mistral.module_action (
    name text PRIMARY KEY,
    module text NOT NULL,
    input text NOT NULL,
    description text NOT NULL
);
COMMENT ON TABLE mistral.module_action IS 'Actions that modules have, by what their module said when it was loaded last';

-- What modules read from outside, and for whom.
CREATE TABLE mistral.source (
    name text PRIMARY KEY,
    module text NOT NULL,
    kind text NOT NULL,
    owner oid NOT NULL,
    config jsonb NOT NULL,
    created_at timestamptz NOT NULL
);
COMMENT ON TABLE mistral.source IS 'Sources: what modules read from outside (kind: events, oslo, answers)';

-- The same for pull workers: an offer that is claimed becomes a lease, and again
-- an offer when the lease runs out.  What people are asked is an offer without a target.
CREATE TABLE mistral.offer (
    action_id uuid PRIMARY KEY,
    root_id uuid NOT NULL,
    target text,
    owner oid NOT NULL,
    action text NOT NULL,
    attempt int NOT NULL,
    safe_rerun boolean NOT NULL,
    held boolean NOT NULL,
    created_at timestamptz NOT NULL
);
-- An execution that ends with actions on offer is rare enough for an index that names what it changes.
CREATE INDEX offer_target ON mistral.offer (target, action_id) WHERE NOT held;
COMMENT ON TABLE mistral.offer IS
  'Actions that wait for a pull worker of their target, or (null) for the answer of people. attempt: the delivery that is next. held: their execution has ended';

CREATE TABLE mistral.lease (
    action_id uuid PRIMARY KEY,
    root_id uuid NOT NULL,
    target text NOT NULL,
    owner oid NOT NULL,
    action text NOT NULL,
    attempt int NOT NULL,
    safe_rerun boolean NOT NULL,
    created_at timestamptz NOT NULL,
    worker text,
    leased_at timestamptz NOT NULL,
    lease_until timestamptz NOT NULL
) WITH (fillfactor = 70);
COMMENT ON TABLE mistral.lease IS
  'Actions that a pull worker has, until when. Ended by its result, or taken back by the engine when the time is over';

CREATE TABLE mistral.registered_action (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    owner oid NOT NULL,
    target text,
    function text,
    description text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (name, owner),
    CHECK ((target IS NULL) <> (function IS NULL))
);
COMMENT ON TABLE mistral.registered_action IS
  'Actions by name that pull workers of a target perform, or a function of the database (by its qualified name: an oid would not survive a restore)';

-- Without a primary key a table in a publication FOR ALL TABLES could not be
-- deleted from.  Logged so only where wal_level is logical.
ALTER TABLE mistral.instance REPLICA IDENTITY FULL;
ALTER TABLE mistral.message REPLICA IDENTITY FULL;
ALTER TABLE mistral.parked_message REPLICA IDENTITY FULL;
ALTER TABLE mistral.dispatch REPLICA IDENTITY FULL;

-- One statement each: within one, the extension's row would be updated twice.
SELECT pg_catalog.pg_extension_config_dump('mistral.definition', '');
SELECT pg_catalog.pg_extension_config_dump('mistral.environment', '');
SELECT pg_catalog.pg_extension_config_dump('mistral.execution', '');
SELECT pg_catalog.pg_extension_config_dump('mistral.task', '');
SELECT pg_catalog.pg_extension_config_dump('mistral.action_execution', '');
SELECT pg_catalog.pg_extension_config_dump('mistral.message', '');
SELECT pg_catalog.pg_extension_config_dump('mistral.parked_message', '');
SELECT pg_catalog.pg_extension_config_dump('mistral.timer', '');
SELECT pg_catalog.pg_extension_config_dump('mistral.dispatch', '');
SELECT pg_catalog.pg_extension_config_dump('mistral.attempt', '');
SELECT pg_catalog.pg_extension_config_dump('mistral.offer', '');
SELECT pg_catalog.pg_extension_config_dump('mistral.lease', '');
SELECT pg_catalog.pg_extension_config_dump('mistral.registered_action', '');
SELECT pg_catalog.pg_extension_config_dump('mistral.source', '');
