-- Maintenance: what is under way goes on, what is started waits, and begins afterwards.
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
CREATE FUNCTION pg_temp.ask(id uuid) RETURNS uuid LANGUAGE sql AS $$
    SELECT a.id FROM mistral.action_executions a WHERE a.execution_id = $1 AND a.state = 'RUNNING'
$$;
CREATE FUNCTION pg_temp.state(id uuid) RETURNS text LANGUAGE sql AS $$
    SELECT e.state || ' ' || (SELECT count(*) FROM mistral.tasks t WHERE t.execution_id = e.id) FROM mistral.executions e WHERE e.id = $1
$$;

SELECT mistral.load_workflow($$
version: '2.0'
w:
  tasks:
    ask: {action: std.async_noop, on-success: sub}
    sub: {workflow: child, on-success: end}
    end: {action: std.noop}
child:
  tasks:
    c: {action: std.noop}
$$);

SELECT mistral.start_workflow('w') AS under_way \gset
SELECT pg_temp.run();
SET mistral.maintenance = on;
SELECT mistral.start_workflow('w') AS kept \gset
SELECT mistral.start_workflow('w') AS paused \gset
SELECT mistral.start_workflow('w') AS cancelled \gset
SELECT is(mistral.step(), 0, 'nothing is to be done for what is started');
SELECT is(pg_temp.state(:'kept'), 'IDLE 0', 'it has not begun');
SELECT is((SELECT detail FROM mistral.why(:'kept')), 'mistral.maintenance is on: nothing begins', 'why says so');

SELECT mistral.complete_action(pg_temp.ask(:'under_way'));
SELECT pg_temp.run();
SELECT is(pg_temp.state(:'under_way'), 'SUCCESS 3', 'what is under way goes on, its sub-workflows too');

SELECT mistral.pause_workflow(:'paused');
SELECT mistral.resume_workflow(:'paused');
SELECT mistral.cancel_workflow(:'cancelled');
SELECT pg_temp.run();
SELECT is(pg_temp.state(:'paused'), 'RUNNING 0', 'what is resumed before it has begun waits as well');
SELECT is(pg_temp.state(:'cancelled'), 'CANCELLED 0', 'and can be cancelled');

SET mistral.maintenance = off;
SELECT pg_temp.run();
SELECT is(pg_temp.state(:'kept'), 'RUNNING 1', 'what was kept begins');
SELECT is(pg_temp.state(:'paused'), 'RUNNING 1', 'each once');
SELECT is(pg_temp.state(:'cancelled'), 'CANCELLED 0', 'what was cancelled does not');
SELECT mistral.complete_action(pg_temp.ask(:'kept')), mistral.complete_action(pg_temp.ask(:'paused'));
SELECT pg_temp.run();
SELECT is(pg_temp.state(:'kept') || ', ' || pg_temp.state(:'paused'), 'SUCCESS 3, SUCCESS 3', 'and ends');
SELECT is((SELECT count(*) FROM mistral.check()), 0::bigint, 'nothing is left over');

SELECT * FROM finish();
ROLLBACK;
