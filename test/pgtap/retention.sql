-- What ended long ago goes, with all that belongs to it; nothing else does.
BEGIN;
SET client_min_messages = error;
SELECT no_plan();

SELECT mistral.load_workflow($$
version: '2.0'
ends:
  tasks:
    a: {action: std.async_noop, on-success: b}
    b: {workflow: below}
below:
  tasks:
    c:
      with-items: i in <% range(3) %>
      action: std.echo output=<% $.i %>
fails:
  tasks:
    a: {action: std.fail}
stays:
  tasks:
    a: {action: std.async_noop, timeout: 100000}
$$);
CREATE FUNCTION pg_temp.run() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 200 LOOP EXIT WHEN mistral.step() = 0; END LOOP;
END $$;
CREATE FUNCTION pg_temp.left() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(workflow_name, ' ' ORDER BY created_at, id) FROM mistral.executions WHERE task_execution_id IS NULL
$$;
CREATE FUNCTION pg_temp.at(hours int) RETURNS void LANGUAGE sql AS $$
    SELECT set_config('mistral.fake_now', (timestamptz '2030-01-01 00:00Z' + hours * interval '1 h')::text, true)
$$;

SELECT is(mistral.run_retention(), 0, 'without a setting nothing goes');
SELECT pg_temp.at(0);
SELECT mistral.start_workflow('ends');
SELECT mistral.start_workflow('fails');
SELECT mistral.start_workflow('stays');
SELECT pg_temp.run();
SELECT mistral.complete_action(a.id) FROM mistral.action_executions a JOIN mistral.tasks t ON t.id = a.task_id WHERE t.workflow_name = 'ends';
SELECT mistral.run_action('std.noop');
SELECT pg_temp.run();
SELECT pg_temp.at(2);
SELECT mistral.start_workflow('fails');
SELECT pg_temp.run();
SET LOCAL mistral.retention = '3h';
SELECT is(mistral.run_retention(), 0, 'nothing is old');
SELECT pg_temp.at(4);
SET LOCAL mistral.retention_ignored_states = 'error, cancelled';
SELECT is(mistral.run_retention(), 2, 'what has succeeded is: an execution and a lone action');
SELECT is(pg_temp.left(), 'fails stays fails', 'its tree is gone');
SET LOCAL mistral.retention_ignored_states = '';
SELECT is(mistral.run_retention(), 1, 'states that are no longer kept');
SELECT is(pg_temp.left(), 'stays fails', 'the old one of them');
SELECT is((SELECT count(*)::int FROM mistral.task t), 2, 'no task is left behind');
SELECT is((SELECT count(*)::int FROM mistral.action_execution), 1, 'no action');
SELECT is((SELECT count(*)::int FROM mistral.timer), 1, 'the timer of what runs is');
SELECT is_empty('SELECT * FROM mistral.check()', 'nothing is out of place');

SET LOCAL mistral.retention = -1;
SET LOCAL mistral.retention_max_executions = 3;
SELECT mistral.start_workflow('fails') FROM generate_series(1, 6);
SELECT pg_temp.run();
SELECT is(mistral.run_retention(), 4, 'a limit on their number');
SELECT is(pg_temp.left(), 'stays fails fails fails', 'the oldest go, what runs does not count');
SELECT is(mistral.run_retention(), 0, 'and then there is nothing to do');

-- ---- webhooks: what has failed goes with its execution, what fails afterwards at once

SET LOCAL mistral.retention_max_executions = 0;
CREATE FUNCTION pg_temp.told() RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    id uuid := mistral.start_workflow('fails', params => '{"notify": [{"type": "webhook", "url": "http://127.0.0.1:1/", "event_types": ["WORKFLOW_FAILED"]}]}');
BEGIN
    PERFORM pg_temp.run();
    UPDATE mistral.webhook SET attempt = 20;
    RETURN id;
END $$;
-- The executor's answer to the last attempt.
CREATE FUNCTION pg_temp.refuse() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO mistral.message (id, root_id, kind, target_id, attempt, created_at, payload)
    SELECT gen_random_uuid(), w.id, 'action', w.id, 20, now(), '{"state": "ERROR", "result": "no"}' FROM mistral.webhook w;
    PERFORM pg_temp.run();
END $$;
SELECT pg_temp.told() AS kept \gset
SELECT pg_temp.refuse();
SELECT is((SELECT string_agg(state || ' ' || error, ',') FROM mistral.webhooks), 'FAILED no', 'what has failed stays');
SELECT mistral.delete_execution(:'kept');
SELECT is_empty('SELECT FROM mistral.webhook', 'as long as its execution');
SELECT pg_temp.told() AS gone \gset
SELECT mistral.delete_execution(:'gone');
SELECT is((SELECT count(*)::int FROM mistral.webhook), 1, 'what is under way survives it');
SELECT pg_temp.refuse();
SELECT is_empty('SELECT FROM mistral.webhook', 'until it fails');
SELECT is_empty('SELECT * FROM mistral.check()', 'nothing is left over');

SELECT * FROM finish();
ROLLBACK;
