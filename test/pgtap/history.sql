-- The history: each kind of transition leaves its row, with who did it and by which message; kept by policy, seen by
-- whom it concerns. Nothing is committed.
BEGIN;
SET client_min_messages = error;
SELECT no_plan();
SET LOCAL mistral.history = 'actions';

CREATE ROLE history_ann;
CREATE ROLE history_bob IN ROLE history_ann;
CREATE ROLE history_eve;
SELECT mistral.grant_access(r, k) FROM unnest('{history_ann,history_bob,history_eve}'::regrole[]) r, unnest('{operator,worker,author,approver}'::text[]) k;

CREATE FUNCTION pg_temp.run() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    FOR i IN 1 .. 200 LOOP EXIT WHEN mistral.step() = 0; END LOOP;
END $$;
CREATE FUNCTION pg_temp.later(after interval) RETURNS void LANGUAGE sql AS $$
    SELECT set_config('mistral.fake_now', (mistral.now() + after)::text, true)
$$;
-- The history of an execution: one text for each row, "[who] messages: object>state(role)".
CREATE FUNCTION pg_temp.history(id uuid) RETURNS text LANGUAGE sql SECURITY DEFINER AS $$
    SELECT string_agg(format('%s%s:%s', r.role || ' ', array_to_string(r.messages, '+'), r.list), '; ' ORDER BY r.xid, r.n)
      FROM (SELECT h.xid, h.n, h.role, h.messages,
                   (SELECT string_agg(format(' %s>%s%s', COALESCE(t.task_name || CASE t.kind WHEN 'action' THEN '.' || COALESCE(t.item::text, '') ELSE '' END, '*'),
                                             t.state, '(' || NULLIF(t.role, h.role) || ')'), '' ORDER BY t.no)
                      FROM mistral.transitions t WHERE (t.xid, t.n) = (h.xid, h.n)) AS list
              FROM mistral.history_steps h WHERE h.execution_id = $1) r
$$;
CREATE FUNCTION pg_temp.action(wf uuid, task text DEFAULT NULL) RETURNS uuid LANGUAGE sql SECURITY DEFINER AS $$
    SELECT a.id FROM mistral.action_executions a JOIN mistral.tasks t ON t.id = a.task_id
     WHERE t.execution_id = $1 AND (task IS NULL OR t.name = $2) AND a.state = 'RUNNING' ORDER BY a.created_at, a.id LIMIT 1
$$;
CREATE FUNCTION pg_temp.task(wf uuid, task text) RETURNS uuid LANGUAGE sql AS $$
    SELECT t.id FROM mistral.tasks t WHERE t.execution_id = $1 AND t.name = $2 ORDER BY ordinal DESC LIMIT 1
$$;
CREATE FUNCTION pg_temp.tell(what text, id uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE what USING id;
    PERFORM pg_temp.run();
END $$;

SELECT mistral.load_workflow($$
version: '2.0'
plain:
  tasks:
    a: {action: std.echo output=1, on-success: b}
    b: {action: std.noop}
fails:
  tasks:
    a: {action: std.fail}
asks:
  tasks:
    a: {action: std.async_noop}
approval:
  tasks:
    a: {action: std.approve question="Shall we?"}
items:
  tasks:
    a: {with-items: i in <% range(2) %>, action: std.async_noop}
joins:
  tasks:
    a: {action: std.async_noop, on-success: j}
    b: {action: std.noop, on-success: j}
    j: {join: all, action: std.noop}
retries:
  tasks:
    a: {action: std.fail, retry: {count: 1, delay: 10}}
waits:
  tasks:
    a: {action: std.noop, wait-before: 10, wait-after: 20}
late:
  tasks:
    a: {action: std.async_noop, timeout: 10}
late_whole:
  timeout: 10
  tasks:
    a: {action: std.async_noop}
pauses:
  tasks:
    a: {action: std.noop, on-success: pause}
below:
  tasks:
    s: {workflow: asks}
$$, scope => 'public');

SELECT set_config('mistral.fake_now', '2030-01-01 00:00Z', true);
CREATE TEMP TABLE cases (no serial, workflow text, steps text, expected text);
INSERT INTO cases (workflow, steps, expected) VALUES
('plain', '', 'start: *>IDLE(history_ann) *>RUNNING a>RUNNING a.>RUNNING a.>SUCCESS a>SUCCESS b>RUNNING b.>RUNNING b.>SUCCESS b>SUCCESS *>SUCCESS'),
('fails', '', 'start: *>IDLE(history_ann) *>RUNNING a>RUNNING a.>RUNNING a.>ERROR a>ERROR *>ERROR'),
('fails', 'SELECT mistral.rerun_task(pg_temp.task($1, ''a''))',
 'start: *>IDLE(history_ann) *>RUNNING a>RUNNING a.>RUNNING a.>ERROR a>ERROR *>ERROR; history_bob rerun: *>RUNNING; rerun: a>RUNNING(history_bob) a.>RUNNING a.>ERROR a>ERROR(history_bob) *>ERROR'),
('fails', 'SELECT mistral.skip_task(pg_temp.task($1, ''a''))',
 'start: *>IDLE(history_ann) *>RUNNING a>RUNNING a.>RUNNING a.>ERROR a>ERROR *>ERROR; history_bob skip: *>RUNNING; skip: a>SKIPPED(history_bob) *>SUCCESS'),
('asks', 'SELECT mistral.complete_action(pg_temp.action($1))',
 'start: *>IDLE(history_ann) *>RUNNING a>RUNNING a.>RUNNING; action: a.>SUCCESS(history_bob) a>SUCCESS(history_bob) *>SUCCESS'),
('asks', 'SELECT mistral.fail_action(pg_temp.action($1), ''"no"'')',
 'start: *>IDLE(history_ann) *>RUNNING a>RUNNING a.>RUNNING; action: a.>ERROR(history_bob) a>ERROR(history_bob) *>ERROR'),
('asks', 'SELECT mistral.cancel_action(pg_temp.action($1))',
 'start: *>IDLE(history_ann) *>RUNNING a>RUNNING a.>RUNNING; action: a.>CANCELLED(history_bob) a>CANCELLED(history_bob) *>CANCELLED'),
('asks', 'SELECT mistral.pause_workflow($1); SELECT mistral.resume_workflow($1); SELECT mistral.cancel_workflow($1)',
 'start: *>IDLE(history_ann) *>RUNNING a>RUNNING a.>RUNNING; history_bob pause: *>PAUSED; history_bob resume: *>RUNNING; history_bob stop: *>CANCELLED'),
('asks', 'SELECT mistral.stop_workflow($1, ''SUCCESS'', ''enough'')',
 'start: *>IDLE(history_ann) *>RUNNING a>RUNNING a.>RUNNING; history_bob stop: *>SUCCESS'),
('approval', 'SELECT mistral.approve(pg_temp.action($1))',
 'start: *>IDLE(history_ann) *>RUNNING a>RUNNING a.>RUNNING; action: a.>SUCCESS(history_bob) a>SUCCESS(history_bob) *>SUCCESS'),
('approval', 'SELECT mistral.reject(pg_temp.action($1))',
 'start: *>IDLE(history_ann) *>RUNNING a>RUNNING a.>RUNNING; action: a.>ERROR(history_bob) a>ERROR(history_bob) *>ERROR'),
('items', 'SELECT mistral.complete_action(pg_temp.action($1)); SELECT mistral.complete_action(pg_temp.action($1))',
 'start: *>IDLE(history_ann) *>RUNNING a>RUNNING a.0>RUNNING a.1>RUNNING; action: a.0>SUCCESS(history_bob); action: a.1>SUCCESS(history_bob) a>SUCCESS(history_bob) *>SUCCESS'),
('joins', 'SELECT mistral.complete_action(pg_temp.action($1))',
 'start: *>IDLE(history_ann) *>RUNNING a>RUNNING a.>RUNNING b>RUNNING b.>RUNNING b.>SUCCESS b>SUCCESS j>WAITING; action: a.>SUCCESS(history_bob) a>SUCCESS(history_bob) j>RUNNING j.>RUNNING j.>SUCCESS j>SUCCESS *>SUCCESS'),
('retries', 'SELECT pg_temp.later(''11 s'')',
 'start: *>IDLE(history_ann) *>RUNNING a>RUNNING a.>RUNNING a.>ERROR a>ERROR a>DELAYED; retry: a>RUNNING a.>RUNNING a.>ERROR a>ERROR *>ERROR'),
('waits', 'SELECT pg_temp.later(''11 s''); SELECT pg_temp.later(''21 s'')',
 'start: *>IDLE(history_ann) *>RUNNING a>RUNNING a>DELAYED; wait-before: a>RUNNING a.>RUNNING a.>SUCCESS a>SUCCESS a>DELAYED; wait-after: a>SUCCESS *>SUCCESS'),
('late', 'SELECT pg_temp.later(''11 s'')',
 'start: *>IDLE(history_ann) *>RUNNING a>RUNNING a.>RUNNING; timeout: a>ERROR *>ERROR'),
('late_whole', 'SELECT pg_temp.later(''11 s'')',
 'start: *>IDLE(history_ann) *>RUNNING a>RUNNING a.>RUNNING; workflow-timeout: *>ERROR'),
('pauses', '', 'start: *>IDLE(history_ann) *>RUNNING a>RUNNING a.>RUNNING a.>SUCCESS a>SUCCESS *>PAUSED'),
('below', '', 'start: *>IDLE(history_ann) *>RUNNING s>RUNNING');

CREATE FUNCTION pg_temp.case(c cases) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    id uuid;
    step text;
BEGIN
    SET LOCAL ROLE history_ann;
    id := mistral.start_workflow(c.workflow);
    PERFORM pg_temp.run();
    SET LOCAL ROLE history_bob;
    FOREACH step IN ARRAY string_to_array(c.steps, ';') LOOP
        IF step ~ 'later' THEN RESET ROLE; END IF;
        PERFORM pg_temp.tell(step, id);
        SET LOCAL ROLE history_bob;
    END LOOP;
    RESET ROLE;
    RETURN pg_temp.history(id);
END $$;
SELECT is(pg_temp.case(c), c.expected, c.workflow || COALESCE(': ' || (SELECT string_agg(substring(s FROM '\.(\w+)\('), ', ') FROM string_to_table(c.steps, ';') s), ''))
  FROM cases c ORDER BY no;

SELECT is((SELECT count(*)::int FROM mistral.transitions t WHERE t.state_info LIKE 'no%'), 1, 'what an error says is there');
SELECT is_empty($$SELECT e.id FROM mistral.executions e WHERE e.state IS DISTINCT FROM
                  (SELECT h.state FROM mistral.history_steps h WHERE h.execution_id = e.id ORDER BY h.xid DESC, h.n DESC LIMIT 1)$$,
                'the last row has the state of the execution');
SELECT is_empty($$SELECT t.id FROM mistral.tasks t WHERE t.state IS DISTINCT FROM
                  (SELECT h.state FROM mistral.transitions h WHERE h.execution_id = t.execution_id AND h.ordinal = t.ordinal AND h.kind = 'task'
                    ORDER BY h.xid DESC, h.n DESC, h.no DESC LIMIT 1)$$,
                'and each task''s last transition the task''s');
SELECT is_empty($$SELECT t.id FROM mistral.tasks t WHERE t.finished_at IS NOT NULL AND t.finished_at IS DISTINCT FROM
                  (SELECT h.at FROM mistral.transitions h WHERE h.execution_id = t.execution_id AND h.ordinal = t.ordinal AND h.kind = 'task'
                    ORDER BY h.xid DESC, h.n DESC, h.no DESC LIMIT 1)$$,
                'at the time that it has');
SELECT is_empty('SELECT * FROM mistral.history_since()', 'what is not committed is not told to those who follow');

-- who may look
SET LOCAL ROLE history_bob;
SELECT is((SELECT count(DISTINCT execution_id)::int FROM mistral.transitions), 20, 'a member of the owner''s role sees the history');
SET LOCAL ROLE history_eve;
SELECT is((SELECT count(*)::int FROM mistral.transitions), 0, 'others do not');
SELECT is((SELECT count(*)::int FROM mistral.history_steps), 0, 'nor the rows');
SELECT throws_ok('SELECT FROM mistral.history', '42501', NULL, 'nor the table');
RESET ROLE;

-- how much is kept
CREATE FUNCTION pg_temp.level(level text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    c cases;
BEGIN
    PERFORM set_config('mistral.history', level, true);
    SELECT INTO c * FROM cases WHERE workflow = 'items';
    RETURN pg_temp.case(c);
END $$;
SELECT is(pg_temp.level('off'), NULL, 'off: nothing');
SELECT is(pg_temp.level('roles'), 'action: a.0>SUCCESS(history_bob); action: a.1>SUCCESS(history_bob) a>SUCCESS(history_bob)',
          'roles: what somebody did');
SELECT is(pg_temp.level('executions'),
          'start: *>IDLE(history_ann) *>RUNNING; action: a.0>SUCCESS(history_bob); action: a.1>SUCCESS(history_bob) a>SUCCESS(history_bob) *>SUCCESS',
          'executions: their states, too');
SELECT is(pg_temp.level('tasks'),
          'start: *>IDLE(history_ann) *>RUNNING a>RUNNING; action: a.0>SUCCESS(history_bob); action: a.1>SUCCESS(history_bob) a>SUCCESS(history_bob) *>SUCCESS',
          'tasks: theirs, too');

-- how long
SELECT set_config('mistral.history', 'tasks', true);
CREATE TEMP TABLE before AS SELECT count(*)::int AS n FROM mistral.history;
SELECT pg_temp.later('2 days');
SELECT mistral.start_workflow('plain') AS young \gset
SELECT pg_temp.run();
SET LOCAL mistral.history_keep = -1;
SELECT mistral.run_retention();
SELECT is((SELECT count(*)::int FROM mistral.history), (SELECT n + 1 FROM before), 'the history is kept for ever');
SET LOCAL mistral.history_keep = '1d';
SELECT mistral.run_retention();
SELECT is((SELECT array_agg(execution_id) FROM mistral.history), ARRAY[:'young'::uuid], 'or for a day');
SELECT mistral.delete_execution(:'young');
SELECT is((SELECT count(*)::int FROM mistral.history), 1, 'it outlives its execution');

-- from another cluster, which has counted further
SELECT mistral.start_workflow('plain') FROM generate_series(1, 3);
SELECT pg_temp.run();
CREATE TEMP TABLE was AS SELECT array_agg(execution_id ORDER BY xid, n) AS ids FROM mistral.history;
UPDATE mistral.history SET xid = '1000000000000';
SELECT mistral.adopt();
SELECT is((SELECT array_agg(execution_id ORDER BY xid, n) FROM mistral.history), (SELECT ids FROM was), 'what came with a restore keeps its order');
SELECT is((SELECT max(xid)::text FROM mistral.history), '0', 'before all that follows');
SELECT mistral.adopt();
SELECT is((SELECT array_agg(execution_id ORDER BY xid, n) FROM mistral.history), (SELECT ids FROM was), 'and once is enough');

SELECT * FROM finish();
ROLLBACK;
