-- What a running execution waits for: every kind of reason, and nothing else.
BEGIN;
SET client_min_messages = error;
SELECT no_plan();

CREATE FUNCTION pg_temp.run() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 200 LOOP
        IF mistral.step() = 0 THEN RETURN; END IF;
    END LOOP;
    RAISE 'the engine does not come to rest';
END $$;
CREATE FUNCTION pg_temp.load(name text, body text) RETURNS void LANGUAGE sql AS $$
    SELECT mistral.load_workflow(E'version: "2.0"\n' || name || E':\n' || regexp_replace(body, '^', '  ', 'gn'));
$$;
CREATE FUNCTION pg_temp.why(id uuid) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', w.kind, w.name, w.state), ', ' ORDER BY w.kind, w.name) FROM mistral.why(id) w
$$;

SET mistral.fake_now = '2030-01-01 00:00:00Z';
SELECT pg_temp.load('w', $$
tasks:
  ask: {action: std.async_noop, timeout: 60, on-success: j}
  wait: {wait-before: 10, on-success: j}
  again: {action: std.fail, retry: {count: 1, delay: 20}, on-complete: j}
  nap: {action: std.sleep seconds=30, on-success: j}
  sub: {workflow: child, on-success: j}
  first: {on-success: j}
  j: {join: all}
$$);
SELECT pg_temp.load('child', $$
tasks:
  c: {action: std.async_noop}
$$);

SELECT mistral.start_workflow('w') AS e \gset
SELECT is(pg_temp.why(:'e'), 'message start', 'before the engine has seen it: its message');
SELECT pg_temp.run();
SELECT is(pg_temp.why(:'e'), 'action std.async_noop RUNNING, action std.async_noop RUNNING, join j WAITING, timer again DELAYED, timer ask RUNNING, timer nap RUNNING, timer wait DELAYED',
          'actions, timers and the join');
SELECT is((SELECT detail FROM mistral.why(:'e') WHERE kind = 'join'), 'Blocked by tasks: ask, wait, again, nap, sub', 'the join says by whom');
SELECT is((SELECT array_agg(due_at ORDER BY due_at) FROM mistral.why(:'e') WHERE kind = 'timer'),
          array['2030-01-01 00:00:10Z', '2030-01-01 00:00:20Z', '2030-01-01 00:00:30Z', '2030-01-01 00:01:00Z']::timestamptz[], 'timers say when they are due');
SELECT is((SELECT string_agg(name || ': ' || detail, ', ' ORDER BY due_at) FROM mistral.why(:'e') WHERE kind = 'timer' AND name IN ('nap', 'wait')),
          'wait: the timer of wait-before has not run out, nap: its action ends when its time has passed', 'and whose they are');
SELECT is((SELECT array_agg(DISTINCT a.id ORDER BY a.id) FROM mistral.action_executions a WHERE a.name = 'std.async_noop' AND a.state = 'RUNNING'),
          (SELECT array_agg(object_id ORDER BY object_id) FROM mistral.why(:'e') WHERE kind = 'action'), 'actions give the id to complete');
SELECT is(pg_temp.why((SELECT id FROM mistral.executions WHERE workflow_name = 'child')), pg_temp.why(:'e'), 'a sub-workflow waits for what its tree waits for');

SELECT mistral.complete_action((SELECT id FROM mistral.action_executions WHERE execution_id = :'e' AND name = 'std.async_noop'));
SELECT matches(pg_temp.why(:'e'), 'message action', 'a result that no step has taken');
SELECT mistral.pause_workflow(:'e');
SELECT matches(pg_temp.why(:'e'), 'execution w PAUSED', 'a pause');
SELECT mistral.cancel_workflow(:'e');
SELECT pg_temp.run();
SELECT is((SELECT count(*) FROM mistral.why(:'e') WHERE kind IN ('action', 'join', 'execution', 'message')), 0::bigint, 'what has ended waits for nothing');

SELECT mistral.start_workflow('child') AS e \gset
SELECT pg_temp.run();
SELECT mistral.complete_action((SELECT id FROM mistral.action_executions WHERE execution_id = :'e'));
SELECT pg_temp.run();
SELECT is(pg_temp.why(:'e'), NULL, 'nor does what has succeeded');

-- a message that was put aside
SELECT mistral.start_workflow('child') AS e \gset
INSERT INTO mistral.parked_message SELECT m.*, 'it broke', now() FROM mistral.message m WHERE root_id = :'e';
DELETE FROM mistral.message WHERE root_id = :'e';
SELECT matches((SELECT detail FROM mistral.why(:'e') WHERE kind = 'message'), 'put aside: it broke', 'a message that was put aside says why');

-- what nothing can move any more
SELECT pg_temp.load('lost', $$
tasks:
  first: {wait-before: 10, on-success: j}
  second: {on-success: j}
  j: {join: all}
$$);
SELECT mistral.start_workflow('lost') AS e \gset
SELECT pg_temp.run();
SELECT is((SELECT count(*)::int FROM mistral.check() c WHERE c.id = :'e'), 0, 'with its timer it is nothing that check() minds');
DELETE FROM mistral.timer WHERE root_id = :'e';
SELECT is((SELECT problem || ' - ' || detail FROM mistral.check() c WHERE c.id = :'e'),
          'execution that waits for nothing - lost: task "first" of lost is DELAYED, task "j" of lost is WAITING', 'without it check() finds it, and says what stands still');
SELECT matches((SELECT detail FROM mistral.why(:'e') WHERE kind = 'nothing'), 'no message, timer or action is left', 'and why() that nothing will move it');
SELECT mistral.cancel_workflow(:'e');
SELECT pg_temp.run();
SELECT is((SELECT count(*)::int FROM mistral.why(:'e')) + (SELECT count(*)::int FROM mistral.check() c WHERE c.id = :'e'), 0, 'it can be ended');

SELECT * FROM finish();
ROLLBACK;
