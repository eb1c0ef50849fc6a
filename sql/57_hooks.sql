-- Hooks: workflows that start when a task or a workflow of somebody else changes its state.

CREATE TABLE mistral.hook (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    owner oid NOT NULL,
    workflow_owner oid NOT NULL,
    workflow text NOT NULL,
    namespace text NOT NULL DEFAULT '',
    task text,
    state text NOT NULL,
    hook_workflow text NOT NULL,
    hook_namespace text NOT NULL DEFAULT '',
    filter text,
    created_at timestamptz NOT NULL,
    failed_at timestamptz,
    error text,
    input jsonb COMPRESSION lz4 NOT NULL,
    params jsonb COMPRESSION lz4 NOT NULL,
    UNIQUE (name, owner)
);
COMMENT ON TABLE mistral.hook IS
  'Workflows that start when a task (null: the workflow itself) of a workflow reaches a state. failed_at, error: when one could not be started last, and why';

CREATE TABLE mistral.hook_grant (
    workflow_owner oid NOT NULL,
    workflow text NOT NULL,
    namespace text NOT NULL DEFAULT '',
    grantee oid NOT NULL,
    access text NOT NULL CHECK (access IN ('attach', 'results', 'insert')),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (workflow_owner, workflow, namespace, grantee, access)
);
COMMENT ON TABLE mistral.hook_grant IS
  'Roles that the owner of a workflow lets put hooks on it (attach), read what its tasks give (results), and insert tasks (insert)';

CREATE TABLE mistral.hook_run (
    execution_id uuid PRIMARY KEY,
    kind text NOT NULL,
    trigger_id uuid NOT NULL,
    event text NOT NULL,
    source_root_id uuid NOT NULL,
    source_execution_id uuid NOT NULL,
    source_task_id uuid,
    chain uuid[] NOT NULL,
    created_at timestamptz NOT NULL
);
COMMENT ON TABLE mistral.hook_run IS
  'Executions that began with a change of state of another. chain: the hooks and event triggers that led to it, in order; deleted with the execution';

SELECT pg_catalog.pg_extension_config_dump('mistral.hook', '');
SELECT pg_catalog.pg_extension_config_dump('mistral.hook_grant', '');
SELECT pg_catalog.pg_extension_config_dump('mistral.hook_run', '');

-- Each process remembers who listens until one of these tables changes.
CREATE FUNCTION mistral.listeners_changed() RETURNS trigger
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_listeners_changed';
COMMENT ON FUNCTION mistral.listeners_changed() IS 'The trigger function that tells all processes that hooks or event triggers have changed';
-- Not when a failure is noted: nobody listens to anything else then.
CREATE TRIGGER listeners_changed AFTER INSERT OR UPDATE OF name, owner, workflow_owner, workflow, namespace, task, state, hook_workflow, hook_namespace, filter, input, params OR DELETE OR TRUNCATE ON mistral.hook
  FOR EACH STATEMENT EXECUTE FUNCTION mistral.listeners_changed();
CREATE TRIGGER listeners_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON mistral.event_trigger
  FOR EACH STATEMENT EXECUTE FUNCTION mistral.listeners_changed();

CREATE FUNCTION mistral.add_hook(
    name text, workflow text, hook_workflow text, task text DEFAULT NULL, state text DEFAULT 'SUCCESS', input jsonb DEFAULT '{}',
    filter text DEFAULT NULL, params jsonb DEFAULT '{}', namespace text DEFAULT '', hook_namespace text DEFAULT '') RETURNS uuid
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_add_hook';
COMMENT ON FUNCTION mistral.add_hook(text, text, text, text, text, jsonb, text, jsonb, text, text) IS
  'Starts hook_workflow, as the caller, each time that the task (null: the workflow itself) of a workflow reaches the state, in the same transaction; filter and the strings of input are expressions over what happened';

CREATE FUNCTION mistral.remove_hook(name text, owner regrole DEFAULT NULL) RETURNS void
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_remove_hook';
COMMENT ON FUNCTION mistral.remove_hook(text, regrole) IS 'Removes a hook of yours, or one on a workflow of yours (owner: whose, where several have the name); executions that it has started go on';

CREATE FUNCTION mistral.grant_hook(role regrole, workflow text, access text DEFAULT 'attach', namespace text DEFAULT '') RETURNS void
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_grant_hook';
COMMENT ON FUNCTION mistral.grant_hook(regrole, text, text, text) IS
  'Lets a role put hooks on a workflow of yours (attach), also read what its tasks give (results), or insert tasks, which run with the rights of whoever starts it (insert)';

CREATE FUNCTION mistral.revoke_hook(role regrole, workflow text, access text DEFAULT 'attach', namespace text DEFAULT '') RETURNS void
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_revoke_hook';
COMMENT ON FUNCTION mistral.revoke_hook(regrole, text, text, text) IS
  'Takes back what grant_hook has granted; hooks that rested on it start nothing any more, overlays are left out of new executions';

CREATE VIEW mistral.hooks WITH (security_barrier) AS
SELECT h.id,
       h.name,
       h.workflow AS workflow_name,
       h.namespace AS workflow_namespace,
       h.workflow_owner::pg_catalog.regrole AS workflow_owner,
       h.task AS task_name,
       h.state,
       h.filter,
       h.hook_workflow,
       h.hook_namespace,
       h.input AS hook_input,
       h.params AS hook_params,
       h.owner::pg_catalog.regrole AS owner,
       pg_catalog.pg_has_role(h.owner, h.workflow_owner, 'USAGE')
         OR EXISTS (SELECT FROM mistral.hook_grant g
                     WHERE g.workflow_owner OPERATOR(pg_catalog.=) h.workflow_owner AND g.workflow OPERATOR(pg_catalog.=) h.workflow
                       AND g.namespace OPERATOR(pg_catalog.=) h.namespace
                       AND pg_catalog.pg_has_role(h.owner, g.grantee, 'USAGE')) AS allowed,
       h.created_at,
       h.failed_at,
       h.error
  FROM mistral.hook h
 WHERE pg_catalog.pg_has_role(h.owner, 'USAGE') OR pg_catalog.pg_has_role(h.workflow_owner, 'USAGE');
COMMENT ON VIEW mistral.hooks IS 'Hooks of yours, and hooks on workflows of yours';
COMMENT ON COLUMN mistral.hooks.task_name IS 'Null: the workflow itself';
COMMENT ON COLUMN mistral.hooks.allowed IS 'Whether its owner still has the right; without it the hook starts nothing';
COMMENT ON COLUMN mistral.hooks.error IS 'Why it could not start its workflow the last time that it failed, at failed_at';

CREATE VIEW mistral.hook_grants WITH (security_barrier) AS
SELECT g.workflow AS workflow_name,
       g.namespace AS workflow_namespace,
       g.workflow_owner::pg_catalog.regrole AS workflow_owner,
       g.grantee::pg_catalog.regrole AS grantee,
       g.access,
       g.created_at
  FROM mistral.hook_grant g
 WHERE pg_catalog.pg_has_role(g.workflow_owner, 'USAGE') OR pg_catalog.pg_has_role(g.grantee, 'USAGE');
COMMENT ON VIEW mistral.hook_grants IS 'Who may put hooks on your workflows, and on whose workflows you may';

CREATE VIEW mistral.hook_runs WITH (security_barrier) AS
SELECT r.execution_id,
       r.kind,
       r.trigger_id,
       r.event,
       r.source_execution_id,
       r.source_root_id AS source_root_execution_id,
       r.source_task_id AS source_task_execution_id,
       r.chain,
       r.created_at
  FROM mistral.hook_run r
  JOIN mistral.execution e ON e.id OPERATOR(pg_catalog.=) r.execution_id
 WHERE pg_catalog.pg_has_role(e.owner, 'USAGE');
COMMENT ON VIEW mistral.hook_runs IS 'Which of your executions began with a change of state of another, by which hook (or event trigger), and of whose';
COMMENT ON COLUMN mistral.hook_runs.kind IS 'hook or event_trigger: what trigger_id is the id of';
COMMENT ON COLUMN mistral.hook_runs.chain IS 'The hooks and event triggers that led to it, over other executions, in order';
