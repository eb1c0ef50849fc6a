-- A server that does not preload the library: what needs no worker works, what
-- needs one says so.  (test/run.sh gives this file such a server.)
BEGIN;
SET client_min_messages = error;
SELECT no_plan();

SELECT is(current_setting('shared_preload_libraries'), '', 'nothing is preloaded');
SELECT is((SELECT count(*) FROM mistral.validate($$
version: '2.0'
w: {tasks: {a: {action: std.noop}}}
$$)), 0::bigint, 'a valid definition');
SELECT isnt((SELECT count(*) FROM mistral.validate('w: [')), 0::bigint, 'an invalid one');
SELECT is(mistral.evaluate('<% $.a + 1 %>', '{"a": 1}'), '2', 'an expression');
SELECT is(mistral.validate_expression('<% $. %>') IS NOT NULL, true, 'one that does not parse');
SELECT is(mistral.load_workflow($$
version: '2.0'
w: {tasks: {a: {action: std.async_noop, publish: {r: <% task().result %>}}}}
$$), '{w}', 'a workflow is loaded');
SELECT mistral.start_workflow('w') AS e \gset
SELECT is((SELECT state FROM mistral.executions WHERE id = :'e'), 'IDLE', 'and started: nobody takes it up');
SELECT is((SELECT string_agg(kind, ' ') FROM mistral.why(:'e')), 'message', 'why says so');
SELECT lives_ok('SELECT mistral.step()', 'a superuser may step the engine');
SELECT lives_ok(format('SELECT mistral.complete_action(%L, ''1'')', id), 'an action is completed')
  FROM mistral.action_executions WHERE execution_id = :'e';
SELECT lives_ok('SELECT mistral.step()', 'another step');
SELECT is((SELECT state || output FROM mistral.executions WHERE id = :'e'), 'SUCCESS{"r": 1}', 'takes it to its end');
SELECT is((SELECT count(*) FROM mistral.workers), 0::bigint, 'there are no workers');

-- what needs workers
CREATE FUNCTION pg_temp.hint(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    code text;
    hint text;
BEGIN
    EXECUTE query;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, hint = PG_EXCEPTION_HINT;
    RETURN code || ': ' || hint;
END $$;
SELECT matches(pg_temp.hint('SELECT mistral.stop_worker()'), '^MS040: .*shared_preload_libraries', 'stop_worker says what is missing');
SELECT matches(pg_temp.hint('SELECT mistral.restart_worker()'), '^MS040: .*shared_preload_libraries', 'restart_worker says what is missing');
COMMIT;

SELECT mistral.start_workflow('w') AS e \gset
SELECT matches(pg_temp.hint(format('SELECT mistral.wait_workflow(%L, ''5 s'')', :'e')), '^MS040: .*shared_preload_libraries', 'wait_workflow does not wait for nobody');
SELECT is(mistral.wait_workflow(:'e', '0'), 'IDLE', 'and without waiting says the state');
SELECT * FROM finish();
