-- Sub-workflows a thousand deep: started, paused, resumed, ended, cancelled, run
-- again, reported and deleted, within a time that grows with the depth and not
-- with its square.
BEGIN;
SET client_min_messages = error;
SELECT no_plan();

CREATE FUNCTION pg_temp.run() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 10000 LOOP
        IF mistral.step() = 0 THEN RETURN; END IF;
    END LOOP;
    RAISE 'the engine does not come to rest';
END $$;
CREATE FUNCTION pg_temp.states(id uuid) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(state || ' ' || n, ', ' ORDER BY state) FROM (SELECT state, count(*) n FROM mistral.executions WHERE root_execution_id = $1 GROUP BY 1) s
$$;
CREATE FUNCTION pg_temp.start(depth int) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    id uuid := mistral.start_workflow('deep', jsonb_build_object('n', depth));
BEGIN
    PERFORM pg_temp.run();
    RETURN id;
END $$;
SELECT mistral.load_workflow($$
version: '2.0'
deep:
  input: [n]
  output: {depth: <% $.depth %>}
  tasks:
    a:
      action: std.noop
      on-success:
        - down: <% $.n > 1 %>
        - leaf: <% $.n <= 1 %>
    down: {workflow: deep, input: {n: <% $.n - 1 %>}, publish: {depth: <% task().result.depth + 1 %>}}
    leaf: {action: std.async_noop, publish: {depth: 1}}
$$);

SELECT pg_temp.start(1000) AS e \gset
SELECT is(pg_temp.states(:'e'), 'RUNNING 1000', 'a thousand levels run');
SELECT mistral.pause_workflow(:'e');
SELECT is(pg_temp.states(:'e'), 'PAUSED 1000', 'are paused together');
SELECT is((SELECT count(*) FROM mistral.why(:'e') WHERE kind = 'execution'), 1000::bigint, 'why sees each');
SELECT mistral.resume_workflow(:'e'), pg_temp.run();
SELECT is(pg_temp.states(:'e'), 'RUNNING 1000', 'and resumed');
SELECT is(jsonb_array_length(mistral.execution_report(:'e') -> 'waits_for'), 1, 'a report of all of them');
SELECT mistral.complete_action(a.id) FROM mistral.action_executions a JOIN mistral.executions e ON e.id = a.execution_id WHERE e.root_execution_id = :'e' AND a.state = 'RUNNING';
SELECT pg_temp.run();
SELECT is((SELECT state || ' ' || output FROM mistral.executions WHERE id = :'e'), 'SUCCESS {"depth": 1000}', 'they end one after the other');

SELECT pg_temp.start(1000) AS e \gset
SELECT mistral.cancel_workflow(:'e', 'enough'), pg_temp.run();
SELECT is(pg_temp.states(:'e'), 'CANCELLED 1000', 'a cancel reaches the deepest');
SELECT mistral.rerun_task(t.id) FROM mistral.tasks t WHERE t.root_execution_id = :'e' AND t.name = 'down' ORDER BY t.id DESC LIMIT 1;
SELECT pg_temp.run();
SELECT is(pg_temp.states(:'e'), 'CANCELLED 1, RUNNING 1000', 'the deepest task that is run again opens all that is above');
SELECT mistral.stop_workflow(:'e', 'ERROR', 'enough'), mistral.delete_execution(:'e');
SELECT is((SELECT count(*) FROM mistral.executions WHERE root_execution_id = :'e'), 0::bigint, 'a delete leaves none');

SELECT pg_temp.start(1003) AS e \gset
SELECT is((SELECT state FROM mistral.executions WHERE id = :'e'), 'ERROR', 'what is deeper fails');
SELECT is((SELECT count(*) FROM mistral.tasks t WHERE root_execution_id = :'e' AND t.state_info = 'sub-workflows are more than 1000 deep'), 1::bigint, 'and says why, at the bottom');

SELECT * FROM finish();
ROLLBACK;
