-- Questions that wait for somebody's answer, and answering them.

CREATE FUNCTION mistral.approve(id uuid, comment text DEFAULT NULL) RETURNS void
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_approve';
COMMENT ON FUNCTION mistral.approve(uuid, text) IS
  'Approves what a std.approve action asks, for a role that is asked: the action succeeds. The same answer again is harmless; another one to what is answered is an error';

CREATE FUNCTION mistral.reject(id uuid, comment text DEFAULT NULL) RETURNS void
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_reject';
COMMENT ON FUNCTION mistral.reject(uuid, text) IS
  'Rejects what a std.approve action asks, for a role that is asked: the action ends in ERROR';

CREATE FUNCTION mistral.may_answer(request jsonb, owner oid, asked_at timestamptz) RETURNS boolean
  LANGUAGE C STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mistral_may_answer';
COMMENT ON FUNCTION mistral.may_answer(jsonb, oid, timestamptz) IS
  'Whether the current role may answer a question with this input of std.approve, of an execution of that owner, asked then; for the view mistral.approvals';

CREATE VIEW mistral.approvals WITH (security_barrier) AS
SELECT q.id,
       q.request OPERATOR(pg_catalog.->) 'question' AS question,
       q.request OPERATOR(pg_catalog.->) 'details' AS details,
       q.request OPERATOR(pg_catalog.->) 'approvers' AS approvers,
       q.may_answer,
       q.execution_id,
       t.name AS task_name,
       e.name AS workflow_name,
       q.owner::pg_catalog.regrole AS owner,
       q.created_at AS asked_at
  FROM (SELECT r.*, mistral.may_answer(r.request, r.owner, r.created_at) AS may_answer
          FROM (SELECT a.id, a.task_id, a.execution_id, a.owner, a.created_at, a.attempt,
                       CASE WHEN a.runtime OPERATOR(pg_catalog.->>) 'type' IS NULL THEN a.input
                            ELSE a.runtime OPERATOR(pg_catalog.->) 'input' END AS request
                  FROM mistral.action_execution a
                 WHERE a.finished_at IS NULL
                   AND COALESCE(a.runtime OPERATOR(pg_catalog.->>) 'type', a.name) OPERATOR(pg_catalog.=) 'std.approve'
                OFFSET 0) r
        OFFSET 0) q
  LEFT JOIN mistral.task t ON t.id OPERATOR(pg_catalog.=) q.task_id
  LEFT JOIN mistral.execution e ON e.id OPERATOR(pg_catalog.=) q.execution_id
 WHERE (q.may_answer OR pg_catalog.pg_has_role(q.owner, 'USAGE'))
   AND t.finished_at IS NULL AND e.finished_at IS NULL
   AND NOT EXISTS (SELECT FROM mistral.message m
                    WHERE m.target_id OPERATOR(pg_catalog.=) q.id
                      AND m.attempt OPERATOR(pg_catalog.=) q.attempt AND m.attempt IS NOT NULL);
COMMENT ON VIEW mistral.approvals IS
  'Questions of std.approve that wait for an answer: those of the executions you may see, and those that you may answer';
COMMENT ON COLUMN mistral.approvals.id IS 'What mistral.approve and mistral.reject are given';
COMMENT ON COLUMN mistral.approvals.approvers IS 'The roles that are asked, as the action names them; null: the owner';
COMMENT ON COLUMN mistral.approvals.may_answer IS 'Whether the current role may answer now';
