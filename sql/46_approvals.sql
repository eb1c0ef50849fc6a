-- Questions that wait for somebody's answer, and answering them.

CREATE FUNCTION mistral.approve(id uuid, comment text DEFAULT NULL) RETURNS void
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_approve';
COMMENT ON FUNCTION mistral.approve(uuid, text) IS
  'Approves what a std.approve action asks, for a role that is asked: the action succeeds. The same answer again is harmless; another one to what is answered is an error, and so is one that comes too late';

CREATE FUNCTION mistral.reject(id uuid, comment text DEFAULT NULL) RETURNS void
  LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'mistral_reject';
COMMENT ON FUNCTION mistral.reject(uuid, text) IS
  'Rejects what a std.approve action asks, for a role that is asked: the action ends in ERROR';

CREATE FUNCTION mistral.may_answer(request jsonb, owner oid, asked_at timestamptz) RETURNS boolean
  LANGUAGE C STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mistral_may_answer';
COMMENT ON FUNCTION mistral.may_answer(jsonb, oid, timestamptz) IS
  'Whether the current role may answer a question with this input of std.approve, of an execution of that owner, asked then; for the view mistral.approvals';

-- Goes by the offers without a target, which are few: what has been answered is not looked at.
CREATE VIEW mistral.approvals WITH (security_barrier) AS
SELECT q.id,
       q.request OPERATOR(pg_catalog.->) 'question' AS question,
       q.request OPERATOR(pg_catalog.->) 'details' AS details,
       q.request OPERATOR(pg_catalog.->) 'approvers' AS approvers,
       q.request OPERATOR(pg_catalog.->) 'escalate_to' AS escalate_to,
       q.created_at OPERATOR(pg_catalog.+)
         pg_catalog.make_interval(secs => (q.request OPERATOR(pg_catalog.->>) 'escalate_after')::pg_catalog.float8) AS escalates_at,
       q.may_answer,
       q.execution_id,
       t.name AS task_name,
       e.name AS workflow_name,
       q.owner::pg_catalog.regrole AS owner,
       q.created_at AS asked_at
  FROM (SELECT r.*, mistral.may_answer(r.request, r.owner, r.created_at) AS may_answer
          FROM (SELECT a.id, a.task_id, a.execution_id, a.owner, a.created_at,
                       CASE WHEN a.runtime OPERATOR(pg_catalog.->>) 'type' IS NULL THEN a.input
                            ELSE a.runtime OPERATOR(pg_catalog.->) 'input' END AS request
                  FROM mistral.offer o
                  JOIN mistral.action_execution a ON a.id OPERATOR(pg_catalog.=) o.action_id
                 WHERE o.target IS NULL AND NOT o.held
                OFFSET 0) r
        OFFSET 0) q
  LEFT JOIN mistral.task t ON t.id OPERATOR(pg_catalog.=) q.task_id
  LEFT JOIN mistral.execution e ON e.id OPERATOR(pg_catalog.=) q.execution_id
 WHERE q.may_answer OR pg_catalog.pg_has_role(q.owner, 'USAGE');
COMMENT ON VIEW mistral.approvals IS
  'Questions of std.approve that wait for an answer: those of the executions you may see, and those that you may answer';
COMMENT ON COLUMN mistral.approvals.id IS 'What mistral.approve and mistral.reject are given: the action execution''s id';
COMMENT ON COLUMN mistral.approvals.question IS 'What is asked, as the action says it';
COMMENT ON COLUMN mistral.approvals.details IS 'What the answer depends on, as the action says it; null: nothing';
COMMENT ON COLUMN mistral.approvals.approvers IS 'The roles that are asked, as the action names them; null: the owner';
COMMENT ON COLUMN mistral.approvals.escalate_to IS 'The roles that may answer as well from escalates_at on; null: nobody';
COMMENT ON COLUMN mistral.approvals.escalates_at IS 'When the roles of escalate_to may answer as well; null: never';
COMMENT ON COLUMN mistral.approvals.may_answer IS 'Whether the current role may answer now';
COMMENT ON COLUMN mistral.approvals.execution_id IS 'The execution that asks; null for an action that was run alone';
COMMENT ON COLUMN mistral.approvals.task_name IS 'The task that asks';
COMMENT ON COLUMN mistral.approvals.workflow_name IS 'The workflow that asks';
COMMENT ON COLUMN mistral.approvals.owner IS 'The role whose execution asks';
COMMENT ON COLUMN mistral.approvals.asked_at IS 'When the action began to wait';
