-- Executions: the functions that move them and the views that show them.

CREATE FUNCTION mistral.now() RETURNS timestamptz
  LANGUAGE C VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mistral_now';
COMMENT ON FUNCTION mistral.now() IS
  'The time that timers go by: the clock''s, or mistral.fake_now where a superuser has set it';

CREATE FUNCTION mistral.start_workflow(
    workflow text, input jsonb DEFAULT '{}', params jsonb DEFAULT '{}', namespace text DEFAULT '',
    description text DEFAULT '', execution_id uuid DEFAULT NULL) RETURNS uuid
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_start_workflow';
COMMENT ON FUNCTION mistral.start_workflow(text, jsonb, jsonb, text, text, uuid) IS
  'Starts a workflow and returns its execution''s id; it exists when the transaction commits. An execution_id that exists already returns that execution';

CREATE FUNCTION mistral.pause_workflow(id uuid) RETURNS void
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_pause_workflow';
COMMENT ON FUNCTION mistral.pause_workflow(uuid) IS
  'Pauses an execution, its sub-workflows and what it belongs to: no new task starts; what runs goes on';

CREATE FUNCTION mistral.resume_workflow(id uuid, env jsonb DEFAULT NULL) RETURNS void
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_resume_workflow';
COMMENT ON FUNCTION mistral.resume_workflow(uuid, jsonb) IS
  'Resumes a paused execution; env is merged into its environment';

CREATE FUNCTION mistral.stop_workflow(id uuid, state text, message text DEFAULT NULL) RETURNS void
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_stop_workflow';
COMMENT ON FUNCTION mistral.stop_workflow(uuid, text, text) IS
  'Ends an execution at once as SUCCESS, ERROR or CANCELLED; what its tasks still do no longer matters';

CREATE FUNCTION mistral.cancel_workflow(id uuid, message text DEFAULT NULL) RETURNS void
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_cancel_workflow';
COMMENT ON FUNCTION mistral.cancel_workflow(uuid, text) IS
  'Cancels an execution and its sub-workflows';

CREATE FUNCTION mistral.rerun_task(task_id uuid, reset boolean DEFAULT true, env jsonb DEFAULT NULL) RETURNS void
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_rerun_task';
COMMENT ON FUNCTION mistral.rerun_task(uuid, boolean, jsonb) IS
  'Runs a task in ERROR or CANCELLED again, and its workflow from there; reset false: only the items that failed';

CREATE FUNCTION mistral.skip_task(task_id uuid) RETURNS void
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_skip_task';
COMMENT ON FUNCTION mistral.skip_task(uuid) IS
  'Takes a task in ERROR for SKIPPED, and goes on with on-skip, or on-success when that leads nowhere';

CREATE FUNCTION mistral.delete_execution(id uuid) RETURNS void
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_delete_execution';
COMMENT ON FUNCTION mistral.delete_execution(uuid) IS
  'Deletes a finished execution with its sub-workflows, tasks and actions';

CREATE FUNCTION mistral.step(executions int DEFAULT 100) RETURNS int
  LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME', 'mistral_step';
COMMENT ON FUNCTION mistral.step(int) IS
  'One step of the engine in this session and transaction, for tests: how many messages, timers and leases that ran out it consumed';

CREATE VIEW mistral.executions WITH (security_barrier) AS
SELECT e.id,
       e.name AS workflow_name,
       e.namespace AS workflow_namespace,
       e.definition_id AS workflow_id,
       e.state,
       e.state_info,
       e.input,
       e.params,
       COALESCE(e.output, '{}'::jsonb) AS output,
       e.globals AS published_global,
       d.tags,
       e.parent_task_id AS task_execution_id,
       e.root_id AS root_execution_id,
       e.description,
       e.owner::pg_catalog.regrole AS owner,
       e.created_at,
       e.updated_at,
       e.finished_at
  FROM mistral.execution e
  LEFT JOIN mistral.definition d ON d.id OPERATOR(pg_catalog.=) e.definition_id
 WHERE pg_catalog.pg_has_role(e.owner, 'USAGE');
COMMENT ON VIEW mistral.executions IS
  'Workflow executions that you own or whose owner you are a member of. A root''s root_execution_id is its own id';

CREATE VIEW mistral.tasks WITH (security_barrier) AS
SELECT t.id,
       t.execution_id,
       e.root_id AS root_execution_id,
       t.name,
       e.name AS workflow_name,
       e.namespace AS workflow_namespace,
       t.type,
       t.state,
       t.state_info,
       COALESCE(t.published, '{}'::jsonb) AS published,
       CASE WHEN t.items IS NULL
            THEN COALESCE(t.result,
                          (SELECT a.result FROM mistral.action_execution a
                            WHERE a.task_id OPERATOR(pg_catalog.=) t.id AND a.accepted
                            ORDER BY a.ordinal DESC LIMIT 1),
                          (SELECT s.output FROM mistral.execution s
                            WHERE t.type OPERATOR(pg_catalog.=) 'WORKFLOW'
                              AND s.root_id OPERATOR(pg_catalog.=) e.root_id
                              AND s.parent_task_id OPERATOR(pg_catalog.=) t.id
                            ORDER BY s.ordinal DESC LIMIT 1))
            -- with-items: a list, in the order of the items.
            WHEN t.action_id IS NOT NULL THEN pg_catalog.jsonb_build_array(t.result)
            WHEN t.type OPERATOR(pg_catalog.=) 'WORKFLOW'
            THEN (SELECT COALESCE(pg_catalog.jsonb_agg(i.output ORDER BY i.item), '[]'::jsonb)
                    FROM (SELECT DISTINCT ON (s.params OPERATOR(pg_catalog.->) 'index')
                                 s.params OPERATOR(pg_catalog.->) 'index' AS item, s.output
                            FROM mistral.execution s
                           WHERE s.root_id OPERATOR(pg_catalog.=) e.root_id
                             AND s.parent_task_id OPERATOR(pg_catalog.=) t.id
                             AND s.finished_at IS NOT NULL
                             AND s.ordinal OPERATOR(pg_catalog.>=)
                                 COALESCE((t.runtime OPERATOR(pg_catalog.->>) 'subs_from')::int, 0)
                           ORDER BY s.params OPERATOR(pg_catalog.->) 'index', s.ordinal DESC) i)
            ELSE (SELECT COALESCE(pg_catalog.jsonb_agg(a.result ORDER BY a.item), '[]'::jsonb)
                    FROM mistral.action_execution a
                   WHERE a.task_id OPERATOR(pg_catalog.=) t.id AND a.accepted) END AS result,
       t.processed,
       t.error_handled,
       t.ordinal,
       t.next_tasks,
       e.owner::pg_catalog.regrole AS owner,
       t.created_at,
       t.updated_at,
       t.started_at,
       t.finished_at,
       (SELECT d.overlays OPERATOR(pg_catalog.->>) t.name FROM mistral.definition d
         WHERE d.id OPERATOR(pg_catalog.=) e.definition_id) AS overlay
  FROM mistral.task t
  JOIN mistral.execution e ON e.id OPERATOR(pg_catalog.=) t.execution_id
 WHERE pg_catalog.pg_has_role(e.owner, 'USAGE');
COMMENT ON VIEW mistral.tasks IS 'Task executions of the executions you may see; ordinal orders those of one execution';
COMMENT ON COLUMN mistral.tasks.overlay IS 'The overlay that has inserted the task into its workflow; null: it is the author''s';

CREATE VIEW mistral.action_executions WITH (security_barrier) AS
SELECT a.id,
       a.task_id,
       a.execution_id,
       a.name,
       -- A completion counts for whoever looks as soon as it is committed, not
       -- only when the engine has taken it.
       CASE WHEN a.finished_at IS NULL
            THEN COALESCE((SELECT m.payload OPERATOR(pg_catalog.->>) 'state' FROM mistral.message m
                            WHERE m.target_id OPERATOR(pg_catalog.=) a.id
                              AND m.attempt OPERATOR(pg_catalog.=) a.attempt AND m.attempt IS NOT NULL),
                          a.state)
            ELSE a.state END AS state,
       a.input,
       CASE WHEN a.finished_at IS NOT NULL
            THEN pg_catalog.jsonb_build_object('result', a.result) END AS output,
       a.accepted,
       a.attempt,
       a.owner::pg_catalog.regrole AS owner,
       a.created_at,
       a.updated_at,
       a.finished_at,
       a.runtime OPERATOR(pg_catalog.->>) 'target' AS target,
       CASE WHEN a.finished_at IS NOT NULL
             AND COALESCE(a.runtime OPERATOR(pg_catalog.->>) 'type', a.name) OPERATOR(pg_catalog.=) 'std.approve'
            THEN COALESCE(a.runtime OPERATOR(pg_catalog.#>) '{sent,result}', a.result) END AS answer
  FROM mistral.action_execution a
 WHERE pg_catalog.pg_has_role(a.owner, 'USAGE')
UNION ALL
SELECT t.action_id,
       t.id,
       t.execution_id,
       t.action_name,
       t.action_state,
       t.input,
       CASE WHEN t.action_state OPERATOR(pg_catalog.<>) 'RUNNING'
            THEN pg_catalog.jsonb_build_object('result', t.result) END,
       t.action_state OPERATOR(pg_catalog.<>) 'RUNNING',
       1,
       e.owner::pg_catalog.regrole,
       t.created_at,
       t.updated_at,
       t.finished_at,
       NULL::text,
       NULL::jsonb
  FROM mistral.task t
  JOIN mistral.execution e ON e.id OPERATOR(pg_catalog.=) t.execution_id
 WHERE t.action_id IS NOT NULL AND pg_catalog.pg_has_role(e.owner, 'USAGE');
COMMENT ON VIEW mistral.action_executions IS
  'Action executions of the executions you may see; task_id is null for an action run alone, target for one that no pull worker performs';
COMMENT ON COLUMN mistral.action_executions.answer IS
  'Who approved or rejected what a std.approve asked, when and with what comment, whatever an ad-hoc action made of it; null for all else';

CREATE FUNCTION mistral.why(id uuid)
  RETURNS TABLE (kind text, object_id uuid, name text, state text, detail text, since timestamptz, due_at timestamptz)
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_why';
COMMENT ON FUNCTION mistral.why(uuid) IS
  'What a running execution waits for: the timer, the action, the request, the join, the message, the lock';

CREATE FUNCTION mistral.execution_report(id uuid) RETURNS jsonb
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_execution_report';
COMMENT ON FUNCTION mistral.execution_report(uuid) IS
  'What became of an execution: the failing path, what it waits for, counts by state, and its tree with errors first, of at most 1000 entries';
