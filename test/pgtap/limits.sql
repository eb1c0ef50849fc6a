-- What is large, endless, or changes while it runs.
BEGIN;
SET client_min_messages = error;
SELECT no_plan();

CREATE FUNCTION pg_temp.run(steps int DEFAULT 2000) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. steps LOOP
        IF mistral.step() = 0 THEN RETURN i; END IF;
    END LOOP;
    RETURN steps;
END $$;
CREATE FUNCTION pg_temp.load(name text, body text) RETURNS void LANGUAGE sql AS $$
    SELECT mistral.load_workflow(E'version: "2.0"\n' || name || E':\n' || regexp_replace(body, '^', '  ', 'gn'));
$$;
CREATE FUNCTION pg_temp.state(id uuid) RETURNS text LANGUAGE sql AS 'SELECT state FROM mistral.executions e WHERE e.id = $1';
CREATE FUNCTION pg_temp.seconds(since timestamptz) RETURNS numeric LANGUAGE sql AS 'SELECT extract(epoch FROM clock_timestamp() - since)';

-- ------------------------------------------------------------------ slices

SELECT pg_temp.load('endless', $$
tasks:
  s: {on-success: t}
  t: {on-success: t}
$$);
SELECT pg_temp.load('short', $$
tasks:
  a: {on-success: b}
  b: {on-success: c}
  c: {action: std.noop}
$$);
SELECT mistral.start_workflow('endless') AS loop \gset
SELECT mistral.start_workflow('short') AS short \gset
SELECT clock_timestamp() AS t0 \gset
SELECT is(mistral.step(), 2, 'a step with an endless loop comes to an end');
SELECT cmp_ok(pg_temp.seconds(:'t0'), '<', 2.0, 'soon');
SELECT is(pg_temp.state(:'short'), 'SUCCESS', 'and another execution has ended in it');
SELECT is(mistral.step(), 1, 'the loop goes on with the next');
SELECT cmp_ok((SELECT count(*) FROM mistral.tasks WHERE execution_id = :'loop'), '>', 100::bigint, 'it runs');
SELECT mistral.pause_workflow(:'loop');
SELECT pg_temp.run(5);
SELECT is(mistral.step(), 0, 'paused, it rests');
SELECT count(*) AS n FROM mistral.tasks WHERE execution_id = :'loop' \gset
SELECT mistral.resume_workflow(:'loop');
SELECT pg_temp.run(3);
SELECT cmp_ok((SELECT count(*) FROM mistral.tasks WHERE execution_id = :'loop'), '>', :'n'::bigint, 'resumed, it goes on');
SELECT mistral.cancel_workflow(:'loop', 'enough');
SELECT pg_temp.run(5);
SELECT is(pg_temp.state(:'loop'), 'CANCELLED', 'an endless loop can be cancelled');
SELECT is(mistral.step(), 0, 'and then rests');

-- many endless loops at once leave time for others
SELECT count(mistral.start_workflow('endless')) FROM generate_series(1, 60);
SELECT pg_temp.run(1);
SELECT mistral.start_workflow('short') AS short \gset
SELECT clock_timestamp() AS t0 \gset
CREATE FUNCTION pg_temp.until_ended(id uuid) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    n int := 0;
BEGIN
    WHILE pg_temp.state(id) IN ('IDLE', 'RUNNING') AND n < 100 LOOP
        PERFORM mistral.step();
        n := n + 1;
    END LOOP;
    RETURN n;
END $$;
SELECT cmp_ok(pg_temp.until_ended(:'short'), '<', 100, 'among 60 endless loops a short workflow ends');
SELECT diag(format('in %s s', round(pg_temp.seconds(:'t0'), 2)));
SELECT clock_timestamp() AS t0 \gset
SELECT mistral.step();
SELECT cmp_ok(pg_temp.seconds(:'t0'), '<', 0.6, 'a step of many loops is bounded');
SELECT count(mistral.cancel_workflow(id)::text) FROM mistral.executions WHERE workflow_name = 'endless' AND state <> 'CANCELLED';
SELECT pg_temp.run(100);
SELECT is((SELECT count(*) FROM mistral.executions WHERE workflow_name = 'endless' AND state <> 'CANCELLED'), 0::bigint, 'all can be cancelled');

-- ------------------------------------------------------------------ large

SELECT pg_temp.load('fan', E'tasks:\n  s: {publish: {x: 1}, on-success: [' || string_agg('t' || i, ', ') || E']}\n'
                    || string_agg(format(E'  t%s: {action: std.noop}\n', i), ''))
  FROM generate_series(1, 10000) i;
SELECT mistral.start_workflow('fan') AS e \gset
SELECT clock_timestamp() AS t0 \gset
SELECT pg_temp.run();
SELECT is(pg_temp.state(:'e'), 'SUCCESS', '10,000 tasks from one');
SELECT is((SELECT count(*) FROM mistral.tasks WHERE execution_id = :'e' AND state = 'SUCCESS'), 10001::bigint, 'all have run');
SELECT cmp_ok(pg_temp.seconds(:'t0'), '<', 30.0, 'in reasonable time');
SELECT diag(format('fan-out of 10,000: %s s', round(pg_temp.seconds(:'t0'), 2)));

SELECT pg_temp.load('fanin', E'tasks:\n  s: {on-success: [' || string_agg('t' || i, ', ') || E']}\n'
                    || string_agg(format(E'  t%s: {publish: {x: {k%s: %s}}, on-success: j}\n', i, i, i), '') || E'  j: {join: all}\n')
  FROM generate_series(1, 2000) i;
SELECT mistral.start_workflow('fanin') AS e \gset
SELECT clock_timestamp() AS t0 \gset
SELECT pg_temp.run();
SELECT is(pg_temp.state(:'e'), 'SUCCESS', '2,000 branches into one join');
SELECT is((SELECT count(*) FROM mistral.executions e, jsonb_object_keys(output->'x') WHERE e.id = :'e'), 2000::bigint, 'with all their data');
SELECT cmp_ok(pg_temp.seconds(:'t0'), '<', 30.0, 'in reasonable time');
SELECT diag(format('fan-in of 2,000: %s s', round(pg_temp.seconds(:'t0'), 2)));

-- a join that may be reached over a long way: no recursion as deep as the way
SELECT pg_temp.load('way', E'tasks:\n  a: {on-success: j}\n  w0: {action: std.async_noop, on-success: w1}\n'
                    || string_agg(format(E'  w%s: {on-success: w%s}\n', i, i + 1), '') || E'  w20001: {on-success: j}\n  j: {join: all}\n')
  FROM generate_series(1, 20000) i;
SET max_stack_depth = '1MB';
SELECT mistral.start_workflow('way') AS e \gset
SELECT pg_temp.run(10);
SELECT is((SELECT string_agg(name || ':' || state, ' ' ORDER BY ordinal) FROM mistral.tasks WHERE execution_id = :'e'), 'a:SUCCESS w0:RUNNING j:WAITING', 'a join at the end of a way of 20,000 tasks waits');
SELECT is(pg_temp.state(:'e'), 'RUNNING', 'and its execution runs');
RESET max_stack_depth;
SELECT mistral.cancel_workflow(:'e');

-- one value passed along is stored once
SELECT pg_temp.load('wide', E'input: [x]\ntasks:\n  t0: {publish: {x: <% $.x %>}, on-success: t1}\n'
                    || string_agg(format(E'  t%s: {publish: {n: %s}, on-success: [%s]}\n', i, i, CASE WHEN i < 200 THEN 't' || i + 1 ELSE 'noop' END), ''))
  FROM generate_series(1, 200) i;
SELECT pg_total_relation_size('mistral.task') AS before \gset
SELECT mistral.start_workflow('wide', jsonb_build_object('x', (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 30000) i))) AS e \gset
SELECT pg_temp.run();
SELECT is(pg_temp.state(:'e'), 'SUCCESS', 'a megabyte through 200 tasks');
SELECT is((SELECT length(output->>'x') FROM mistral.executions WHERE id = :'e'), 960000, 'arrives');
SELECT cmp_ok(pg_total_relation_size('mistral.task') - :'before', '<', 5000000::bigint, 'and is not copied into each');

-- too large: an error of the execution, not of the engine
SET mistral.max_result_size = '100kB';
SELECT pg_temp.load('big', $$
tasks:
  a: {publish: {x: <% 'x' * 200000 %>}, on-error: b}
  b: {action: std.noop}
$$);
SELECT mistral.start_workflow('big') AS e \gset
SELECT pg_temp.run();
SELECT matches((SELECT state || ' ' || state_info FROM mistral.executions WHERE id = :'e'), '^ERROR .*max_result_size', 'a published value that is too large');
SELECT pg_temp.load('big', $$
tasks:
  a: {action: std.echo output=<% 'x' * 200000 %>, on-error: b}
  b: {action: std.noop}
$$);
SELECT mistral.start_workflow('big') AS e \gset
SELECT pg_temp.run();
SELECT matches((SELECT state || ' ' || state_info FROM mistral.executions WHERE id = :'e'), '^ERROR .*max_result_size', 'an input that is too large');
RESET mistral.max_result_size;

-- ------------------------------------------------------------------ definitions that change

SELECT pg_temp.load('w', $$
tasks:
  a: {action: std.async_noop, on-success: b}
  b: {action: std.echo output="old", publish: {r: <% task().result %>}}
$$);
SELECT mistral.start_workflow('w') AS e \gset
SELECT pg_temp.run();
SELECT pg_temp.load('w', $$
tasks:
  z: {action: std.echo output="new", publish: {r: <% task().result %>}}
$$);
SELECT mistral.start_workflow('w') AS e2 \gset
SELECT mistral.complete_action((SELECT id FROM mistral.action_executions WHERE execution_id = :'e'));
SELECT pg_temp.run();
SELECT is((SELECT output FROM mistral.executions WHERE id = :'e'), '{"r": "old"}', 'an execution keeps the version it started with');
SELECT is((SELECT output FROM mistral.executions WHERE id = :'e2'), '{"r": "new"}', 'the next has the new one');

SELECT pg_temp.load('w', $$
tasks:
  a: {action: std.async_noop, on-success: b}
  b: {workflow: below}
$$);
SELECT pg_temp.load('below', $$
tasks:
  c: {action: std.noop}
$$);
SELECT mistral.start_workflow('w') AS e \gset
SELECT mistral.start_workflow('w') AS e2 \gset
SELECT pg_temp.run();
SELECT mistral.delete_workflow('w');
SELECT mistral.complete_action((SELECT id FROM mistral.action_executions WHERE execution_id = :'e'));
SELECT pg_temp.run();
SELECT is(pg_temp.state(:'e'), 'SUCCESS', 'a definition that was deleted serves those that run');
SELECT throws_ok($$SELECT mistral.start_workflow('w')$$, 'MS003', NULL, 'and no other');
SELECT mistral.delete_workflow('below');
SELECT mistral.complete_action((SELECT id FROM mistral.action_executions WHERE execution_id = :'e2'));
SELECT pg_temp.run();
SELECT is(pg_temp.state(:'e2'), 'ERROR', 'a sub-workflow is looked up when it starts');

-- a definition whose row is gone (nobody may do that): an error of its executions only
SELECT pg_temp.load('gone', $$
tasks:
  a: {action: std.async_noop}
$$);
SELECT mistral.start_workflow('gone') AS e \gset
UPDATE mistral.execution SET definition_id = gen_random_uuid() WHERE id = :'e';
SELECT mistral.start_workflow('short') AS short \gset
SELECT lives_ok('SELECT pg_temp.run()', 'a step with an execution whose definition is missing');
SELECT is(pg_temp.state(:'short'), 'SUCCESS', 'serves the others');
SELECT matches((SELECT state || ' ' || state_info FROM mistral.executions WHERE id = :'e'), '^ERROR the definition of workflow "gone" is missing', 'it says what is wrong');

-- names that are as long as they may be
SELECT pg_temp.load(repeat('w', 255), format(E'tasks:\n  %s: {on-success: %s}\n  %s: {action: std.noop}\n', repeat('a', 255), repeat('b', 255), repeat('b', 255)));
SELECT mistral.start_workflow(repeat('w', 255)) AS e \gset
SELECT pg_temp.run();
SELECT is((SELECT string_agg(length(name) || state, ' ') FROM mistral.tasks WHERE execution_id = :'e'), '255SUCCESS 255SUCCESS', 'long names');

SELECT * FROM finish();
ROLLBACK;
