-- What sessions do to executions and actions: pause, resume, cancel, stop, delete,
-- wait, idempotent starts, completions.  Nothing is committed but where it says so.
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
CREATE FUNCTION pg_temp.tasks(id uuid) RETURNS text LANGUAGE sql AS $$
    SELECT COALESCE(string_agg(name || ':' || t.state, ' ' ORDER BY ordinal), '') FROM mistral.tasks t WHERE execution_id = $1
$$;
CREATE FUNCTION pg_temp.state(id uuid) RETURNS text LANGUAGE sql AS 'SELECT state FROM mistral.executions e WHERE e.id = $1';
CREATE FUNCTION pg_temp.action(id uuid, task text) RETURNS uuid LANGUAGE sql AS $$
    SELECT a.id FROM mistral.action_executions a JOIN mistral.tasks t ON t.id = a.task_id
     WHERE t.execution_id = $1 AND t.name = $2 ORDER BY a.created_at DESC, a.id DESC LIMIT 1
$$;
CREATE FUNCTION pg_temp.start(wf text) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    id uuid := mistral.start_workflow(wf);
BEGIN
    PERFORM pg_temp.run();
    RETURN id;
END $$;

SELECT pg_temp.load('noop', $$
tasks:
  a: {on-success: b}
  b: {action: std.noop}
$$);
SELECT pg_temp.load('ask', $$
tasks:
  a: {action: std.async_noop, publish: {r: <% task().result %>}, on-success: b}
  b: {action: std.noop}
$$);
SELECT pg_temp.load('parent', $$
tasks:
  p: {workflow: ask, on-success: q}
  q: {action: std.noop}
$$);
SELECT pg_temp.load('kept', $$
tasks:
  a: {on-success: [b, pause, c]}
  b: {on-success: d}
  c: {action: std.noop}
  d: {action: std.noop}
$$);
SELECT pg_temp.load('two', $$
tasks:
  a: {workflow: ask, on-success: j}
  b: {workflow: ask, on-success: j}
  j: {join: all}
$$);

-- ------------------------------------------------------------------ pause and resume

SELECT pg_temp.start('ask') AS e \gset
SELECT mistral.pause_workflow(:'e');
SELECT is(pg_temp.state(:'e'), 'PAUSED', 'paused at once');
SELECT lives_ok(format('SELECT mistral.pause_workflow(%L)', :'e'), 'pausing twice is harmless');
SELECT mistral.complete_action(pg_temp.action(:'e', 'a'), '5');
SELECT pg_temp.run();
SELECT is(pg_temp.tasks(:'e'), 'a:SUCCESS', 'what runs goes on, nothing follows');
SELECT is((SELECT processed FROM mistral.tasks WHERE execution_id = :'e'), false, 'the task says that it is not done with');
SELECT throws_ok(format('SELECT mistral.stop_workflow(%L, ''SUCCESS'')', :'e'), 'MS020', NULL, 'a paused one is not stopped as SUCCESS');
SELECT throws_ok(format('SELECT mistral.stop_workflow(%L, ''ERROR'')', :'e'), 'MS020', NULL, 'nor as ERROR');
SELECT mistral.resume_workflow(:'e', '{"k": 1}');
SELECT is(pg_temp.state(:'e'), 'RUNNING', 'resumed at once');
SELECT throws_ok(format('SELECT mistral.resume_workflow(%L)', :'e'), 'MS020', NULL, 'only what is paused is resumed');
SELECT pg_temp.run();
SELECT is(pg_temp.tasks(:'e'), 'a:SUCCESS b:SUCCESS', 'and goes on');
SELECT is((SELECT array[state, output::text, params->>'env'] FROM mistral.executions WHERE id = :'e'), '{SUCCESS,"{\"r\": 5}","{\"k\": 1}"}',
          'to its end, with what was added to env');
SELECT throws_ok(format('SELECT mistral.pause_workflow(%L)', :'e'), 'MS020', NULL, 'a finished one is not paused');
SELECT throws_ok(format('SELECT mistral.resume_workflow(%L)', :'e'), 'MS020', NULL, 'nor resumed');

-- before the engine has taken it up
SELECT mistral.start_workflow('noop') AS e \gset
SELECT mistral.pause_workflow(:'e');
SELECT pg_temp.run();
SELECT is(pg_temp.state(:'e') || pg_temp.tasks(:'e'), 'PAUSED', 'paused before it began: no task');
SELECT mistral.resume_workflow(:'e');
SELECT pg_temp.run();
SELECT is(pg_temp.tasks(:'e'), 'a:SUCCESS b:SUCCESS', 'resumed: each task once');
SELECT mistral.start_workflow('noop') AS e \gset
SELECT mistral.pause_workflow(:'e'), mistral.resume_workflow(:'e'), mistral.pause_workflow(:'e'), mistral.resume_workflow(:'e');
SELECT pg_temp.run();
SELECT is(pg_temp.state(:'e') || ' ' || pg_temp.tasks(:'e'), 'SUCCESS a:SUCCESS b:SUCCESS', 'paused and resumed before it began, in one statement');

-- what the command pause keeps back
SELECT pg_temp.start('kept') AS e \gset
SELECT is(pg_temp.state(:'e') || ' ' || pg_temp.tasks(:'e'), 'PAUSED a:SUCCESS b:SUCCESS', 'the command pause');
SELECT mistral.resume_workflow(:'e');
SELECT pg_temp.run();
SELECT is(pg_temp.state(:'e') || ' ' || pg_temp.tasks(:'e'), 'SUCCESS a:SUCCESS b:SUCCESS c:SUCCESS d:SUCCESS', 'c was kept back, then d follows from b');

-- a tree pauses and resumes as one
SELECT pg_temp.start('two') AS e \gset
SELECT id AS s FROM mistral.executions WHERE root_execution_id = :'e' AND id <> :'e' ORDER BY created_at, id LIMIT 1 \gset
SELECT mistral.pause_workflow(:'s');
SELECT is((SELECT string_agg(state, ' ') FROM mistral.executions WHERE root_execution_id = :'e'), 'PAUSED PAUSED PAUSED', 'pausing a sub-workflow pauses the tree');
SELECT is(pg_temp.tasks(:'e'), 'a:PAUSED b:PAUSED', 'and the tasks that sub-workflows belong to');
SELECT mistral.resume_workflow(:'s');
SELECT is(pg_temp.state(:'e') || ' ' || pg_temp.tasks(:'e'), 'PAUSED a:RUNNING b:PAUSED', 'resuming one leaves the others');
SELECT mistral.resume_workflow(:'e');
SELECT is((SELECT string_agg(state, ' ') FROM mistral.executions WHERE root_execution_id = :'e'), 'RUNNING RUNNING RUNNING', 'resuming the root resumes all');
SELECT mistral.complete_action(a.id) FROM mistral.action_executions a JOIN mistral.executions x ON x.id = a.execution_id WHERE x.root_execution_id = :'e';
SELECT pg_temp.run();
SELECT is(pg_temp.state(:'e') || ' ' || pg_temp.tasks(:'e'), 'SUCCESS a:SUCCESS b:SUCCESS j:SUCCESS', 'and all go on');

-- ------------------------------------------------------------------ cancel and stop

SELECT pg_temp.start('parent') AS e \gset
SELECT mistral.cancel_workflow(:'e', 'enough');
SELECT is((SELECT string_agg(state || ' ' || state_info, ', ') FROM mistral.executions WHERE root_execution_id = :'e'),
          'CANCELLED enough, CANCELLED enough', 'cancelling cancels the tree at once');
SELECT lives_ok(format('SELECT mistral.cancel_workflow(%L)', :'e'), 'twice is harmless');
SELECT throws_ok(format('SELECT mistral.stop_workflow(%L, ''SUCCESS'')', :'e'), 'MS020', NULL, 'but it does not become SUCCESS');
SELECT pg_temp.run();
SELECT is(pg_temp.tasks(:'e'), 'p:CANCELLED', 'nothing follows');
SELECT is((SELECT output FROM mistral.executions WHERE id = :'e'), '{"result": "enough"}', 'the message is the result');

SELECT pg_temp.start('ask') AS e \gset
SELECT mistral.stop_workflow(:'e', 'SUCCESS', 'done');
SELECT is((SELECT state || ' ' || state_info || ' ' || output FROM mistral.executions WHERE id = :'e'), 'SUCCESS done {}', 'stopped as SUCCESS');
SELECT lives_ok(format('SELECT mistral.complete_action(%L, ''1'')', pg_temp.action(:'e', 'a')), 'a result after the end is taken');
SELECT pg_temp.run();
SELECT is(pg_temp.tasks(:'e'), 'a:SUCCESS', 'and nothing follows');
SELECT pg_temp.start('ask') AS e \gset
SELECT mistral.stop_workflow(:'e', 'ERROR', 'bad');
SELECT is((SELECT state || ' ' || state_info || ' ' || output FROM mistral.executions WHERE id = :'e'), 'ERROR bad {"result": "bad"}', 'stopped as ERROR');
SELECT throws_ok(format('SELECT mistral.stop_workflow(%L, ''PAUSED'')', :'e'), '22023', NULL, 'only final states');
SELECT throws_ok(format('SELECT mistral.stop_workflow(%L, NULL)', :'e'), '22004', NULL, 'a state is needed');

SELECT mistral.start_workflow('noop') AS e \gset
SELECT mistral.cancel_workflow(:'e');
SELECT pg_temp.run();
SELECT is(pg_temp.state(:'e') || pg_temp.tasks(:'e'), 'CANCELLED', 'cancelled before it began: no task');

-- what waits in an execution that has ended does not start any more
SELECT pg_temp.load('later', $$
tasks:
  a: {action: std.async_noop, wait-before: 10}
  b: {action: std.fail, retry: {count: 3, delay: 10}}
$$);
SET mistral.fake_now = '2030-01-01 00:00:00Z';
SELECT pg_temp.start('later') AS e \gset
SELECT is(pg_temp.tasks(:'e'), 'a:DELAYED b:DELAYED', 'two delayed tasks');
SELECT mistral.cancel_workflow(:'e');
SET mistral.fake_now = '2030-01-01 00:01:00Z';
SELECT pg_temp.run();
SELECT is((SELECT count(*) FROM mistral.action_executions WHERE execution_id = :'e'), 1::bigint, 'no action starts after the workflow has ended');
SELECT is((SELECT count(*) FROM mistral.timer WHERE root_id = :'e'), 0::bigint, 'and no timer is left');
RESET mistral.fake_now;

-- ------------------------------------------------------------------ delete

SELECT pg_temp.start('parent') AS e \gset
SELECT id AS s FROM mistral.executions WHERE root_execution_id = :'e' AND id <> :'e' \gset
SELECT throws_ok(format('SELECT mistral.delete_execution(%L)', :'e'), 'MS020', NULL, 'a running execution is not deleted');
SELECT mistral.cancel_workflow(:'e');
SELECT throws_ok(format('SELECT mistral.delete_execution(%L)', :'s'), 'MS020', NULL, 'nor a sub-workflow by itself');
SELECT lives_ok(format('SELECT mistral.delete_execution(%L)', :'e'), 'a finished one is, also before the engine has seen its end');
SELECT pg_temp.run();
SELECT is((SELECT count(*) FROM mistral.execution WHERE root_id = :'e')
        + (SELECT count(*) FROM mistral.task WHERE execution_id IN (:'e', :'s'))
        + (SELECT count(*) FROM mistral.action_execution WHERE execution_id IN (:'e', :'s'))
        + (SELECT count(*) FROM mistral.message WHERE root_id = :'e'), 0::bigint, 'with all that belongs to it');
SELECT throws_ok(format('SELECT mistral.delete_execution(%L)', :'e'), 'MS023', NULL, 'once');

SET mistral.fake_now = '2030-01-01 00:00:00Z';
SELECT pg_temp.load('timers', $$
tasks:
  a: {action: std.sleep seconds=10}
  b: {action: std.async_noop, timeout: 10}
  c: {action: std.noop, wait-after: 10}
$$);
SELECT pg_temp.start('timers') AS e \gset
SELECT is((SELECT count(*) FROM mistral.timer WHERE root_id = :'e'), 3::bigint, 'three timers');
SELECT mistral.cancel_workflow(:'e');
SELECT mistral.delete_execution(:'e');
SELECT is((SELECT count(*) FROM mistral.timer WHERE root_id = :'e'), 0::bigint, 'go with their execution');
RESET mistral.fake_now;

-- ------------------------------------------------------------------ what does not exist

SELECT throws_ok(format('SELECT mistral.%s', f), code, NULL, f)
  FROM (VALUES ('pause_workflow(gen_random_uuid())', 'MS023'), ('resume_workflow(gen_random_uuid())', 'MS023'),
               ('cancel_workflow(gen_random_uuid())', 'MS023'), ('stop_workflow(gen_random_uuid(), ''ERROR'')', 'MS023'),
               ('delete_execution(gen_random_uuid())', 'MS023'), ('why(gen_random_uuid())', 'MS023'),
               ('wait_workflow(gen_random_uuid(), ''0'')', 'MS023'),
               ('complete_action(gen_random_uuid())', 'MS022'), ('fail_action(gen_random_uuid(), ''1'')', 'MS022'),
               ('cancel_action(gen_random_uuid())', 'MS022'),
               ('pause_workflow(NULL)', '22004'), ('resume_workflow(NULL)', '22004'), ('cancel_workflow(NULL)', '22004'),
               ('stop_workflow(NULL, ''ERROR'')', '22004'), ('delete_execution(NULL)', '22004'), ('why(NULL)', '22004'),
               ('complete_action(NULL)', '22004'), ('fail_action(NULL, NULL)', '22004'), ('cancel_action(NULL)', '22004'),
               ('run_action(NULL)', '22004')) AS f(f, code);

-- ------------------------------------------------------------------ wait

SELECT pg_temp.start('noop') AS e \gset
SELECT is(mistral.wait_workflow(:'e', '0'), 'SUCCESS', 'what has ended is not waited for');
SELECT pg_temp.start('ask') AS e \gset
SELECT throws_ok(format('SELECT mistral.wait_workflow(%L, ''1 s'')', :'e'), '25001', NULL, 'not in the transaction that started it');

-- ------------------------------------------------------------------ idempotent starts

SELECT is(mistral.start_workflow('ask', execution_id => '11111111-1111-4111-8111-111111111111'), '11111111-1111-4111-8111-111111111111'::uuid, 'an id of one''s own');
SELECT is(mistral.start_workflow('ask', execution_id => '11111111-1111-4111-8111-111111111111'), '11111111-1111-4111-8111-111111111111'::uuid, 'a second start gives the first');
SELECT is((SELECT count(*) FROM mistral.executions WHERE id = '11111111-1111-4111-8111-111111111111'), 1::bigint, 'once');
SELECT pg_temp.run();
SELECT is(mistral.start_workflow('nowhere', execution_id => '11111111-1111-4111-8111-111111111111'), '11111111-1111-4111-8111-111111111111'::uuid, 'whatever it asks for');
SELECT pg_temp.run();
SELECT is(pg_temp.tasks('11111111-1111-4111-8111-111111111111'), 'a:RUNNING', 'nothing ran twice');

-- ------------------------------------------------------------------ completions

CREATE TEMP TABLE payload (what text, json jsonb);
INSERT INTO payload VALUES ('null', 'null'), ('a text', '"x"'), ('a number', '1.50'), ('an object', '{"b": 1, "a": [1, {}]}'), ('SQL NULL', NULL);

CREATE FUNCTION pg_temp.completions() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    e uuid;
    a uuid;
    p payload;
    first text;
    second text;
    calls text[] := '{complete_action(%L%s),fail_action(%L%s),cancel_action(%L)}';
    ends text[] := '{SUCCESS,ERROR,CANCELLED}';
    stepped bool;
BEGIN
    FOR p IN SELECT * FROM payload LOOP
        FOR i IN 1 .. 3 LOOP
            FOR stepped IN VALUES (false), (true) LOOP
                e := pg_temp.start('ask');
                a := pg_temp.action(e, 'a');
                first := 'SELECT mistral.' || format(calls[i], a, ', ' || quote_nullable(p.json));
                EXECUTE first;
                IF stepped THEN PERFORM pg_temp.run(); END IF;
                FOR j IN 1 .. 3 LOOP
                    second := 'SELECT mistral.' || format(calls[j], a, ', ' || quote_nullable(p.json));
                    IF i = j THEN
                        RETURN NEXT lives_ok(second, format('%s, %s twice%s', p.what, ends[i], CASE WHEN stepped THEN ', after the step' END));
                    ELSE
                        RETURN NEXT throws_ok(second, 'MS021', NULL, format('%s, %s after %s%s', p.what, ends[j], ends[i], CASE WHEN stepped THEN ', after the step' END));
                    END IF;
                END LOOP;
                IF i < 3 THEN
                    RETURN NEXT throws_ok('SELECT mistral.' || format(calls[i], a, ', ''"else"'''), 'MS021', NULL, format('%s, %s with something else', p.what, ends[i]));
                END IF;
                PERFORM pg_temp.run();
                RETURN NEXT is(pg_temp.tasks(e), 'a:' || ends[i] || CASE i WHEN 1 THEN ' b:SUCCESS' ELSE '' END, format('%s, %s: what follows', p.what, ends[i]));
                RETURN NEXT is(pg_temp.state(e), ends[i], format('%s, %s: the workflow', p.what, ends[i]));
            END LOOP;
        END LOOP;
    END LOOP;
END $$;
SELECT pg_temp.completions();

SELECT pg_temp.start('ask') AS e \gset
SELECT pg_temp.action(:'e', 'a') AS a \gset
SELECT mistral.fail_action(:'a', '{"code": 1}');
SELECT pg_temp.run();
SELECT is((SELECT array[state, output::text, accepted::text] FROM mistral.action_executions WHERE id = :'a'), '{ERROR,"{\"result\": {\"code\": 1}}",true}', 'the action''s row');
SELECT is((SELECT state_info FROM mistral.tasks WHERE execution_id = :'e'), '{"code": 1}', 'the error is the task''s state_info');

SELECT pg_temp.start('ask') AS e \gset
SELECT pg_temp.action(:'e', 'a') AS a \gset
SET mistral.max_result_size = '1MB';
SELECT throws_ok(format('SELECT mistral.complete_action(%L, to_jsonb(repeat(''x'', 1100000)))', :'a'), 'MS030', NULL, 'a result that is too large');
SELECT throws_ok(format('SELECT mistral.fail_action(%L, to_jsonb(repeat(''x'', 1100000)))', :'a'), 'MS030', NULL, 'an error that is too large');
SELECT throws_ok($$SELECT mistral.start_workflow('ask', jsonb_build_object('x', repeat('x', 1100000)))$$, 'MS030', NULL, 'an input that is too large');
SELECT is((SELECT state FROM mistral.action_executions WHERE id = :'a'), 'RUNNING', 'the action goes on waiting');
RESET mistral.max_result_size;
SELECT lives_ok(format('SELECT mistral.complete_action(%L, to_jsonb(repeat(''x'', 1100000)))', :'a'), 'a large result within the limit');
SELECT pg_temp.run();
SELECT is((SELECT length(output->>'r') FROM mistral.executions WHERE id = :'e'), 1100000, 'arrives');

-- ------------------------------------------------------------------ actions run alone

SELECT mistral.load_action($$
version: '2.0'
asked: {base: std.async_noop, output: {said: <% $ %>}}
asked_badly: {base: std.async_noop, output: <% $.nothing %>}
$$);
SELECT is((SELECT state || output FROM mistral.action_executions WHERE id = mistral.run_action('std.echo', '{"output": 3}')), NULL, 'not in the same snapshot');
SELECT mistral.run_action('std.echo', '{"output": 3}') AS a \gset
SELECT is((SELECT state || output FROM mistral.action_executions WHERE id = :'a'), 'SUCCESS{"result": 3}', 'an action run alone');
SELECT mistral.run_action('std.fail', '{"error_data": 3}') AS a \gset
SELECT is((SELECT state || output FROM mistral.action_executions WHERE id = :'a'), 'ERROR{"result": 3}', 'one that fails');
SELECT throws_ok($$SELECT mistral.run_action('no.such')$$, 'MS004', NULL, 'one that does not exist');
SELECT throws_ok($$SELECT mistral.run_action('std.echo')$$, 'MS004', NULL, 'missing input');
SELECT mistral.run_action('asked') AS a \gset
SELECT mistral.complete_action(:'a', '"x"');
SELECT lives_ok(format('SELECT mistral.complete_action(%L, ''"x"'')', :'a'), 'completed twice before the step');
SELECT pg_temp.run();
SELECT is((SELECT state || output FROM mistral.action_executions WHERE id = :'a'), 'SUCCESS{"result": {"said": "x"}}', 'an ad-hoc one, with its output');
SELECT lives_ok(format('SELECT mistral.complete_action(%L, ''"x"'')', :'a'), 'completed twice after the step');
SELECT throws_ok(format('SELECT mistral.fail_action(%L, ''"x"'')', :'a'), 'MS021', NULL, 'but not otherwise');
SELECT mistral.run_action('asked_badly') AS a \gset
SELECT mistral.complete_action(:'a', '{"x": 1}');
SELECT pg_temp.run();
SELECT is((SELECT state FROM mistral.action_executions WHERE id = :'a'), 'ERROR', 'an output that fails');
SELECT lives_ok(format('SELECT mistral.complete_action(%L, ''{"x": 1}'')', :'a'), 'the same again is harmless');

-- ------------------------------------------------------------------ other roles

CREATE ROLE control_ann;
CREATE ROLE control_bob;
SELECT mistral.grant_access(r::regrole, k) FROM unnest('{control_ann,control_bob}'::text[]) r, unnest('{author,operator,worker,viewer}'::text[]) k;
SET ROLE control_ann;
SELECT pg_temp.load('hers', $$
tasks:
  a: {action: std.async_noop}
$$);
SELECT mistral.start_workflow('hers', execution_id => '22222222-2222-4222-8222-222222222222') AS e \gset
RESET ROLE;
SELECT pg_temp.run();
SELECT pg_temp.action(:'e', 'a') AS a \gset
SET ROLE control_bob;
SELECT is((SELECT count(*) FROM mistral.executions WHERE id = :'e'), 0::bigint, 'another role does not see it');
SELECT is((SELECT count(*) FROM mistral.tasks WHERE execution_id = :'e'), 0::bigint, 'nor its tasks');
SELECT is((SELECT count(*) FROM mistral.action_executions WHERE execution_id = :'e'), 0::bigint, 'nor its actions');
SELECT throws_ok(format('SELECT mistral.%s(%L%s)', f, CASE WHEN f LIKE '%action' THEN :'a' ELSE :'e' END, more), code, NULL, 'another role: ' || f)
  FROM (VALUES ('pause_workflow', '', 'MS023'), ('resume_workflow', '', 'MS023'), ('cancel_workflow', '', 'MS023'),
               ('stop_workflow', ', ''ERROR''', 'MS023'), ('delete_execution', '', 'MS023'), ('why', '', 'MS023'),
               ('wait_workflow', ', ''0''', 'MS023'), ('complete_action', '', 'MS022'), ('fail_action', ', ''1''', 'MS022'),
               ('cancel_action', '', 'MS022')) AS f(f, more, code);
SELECT throws_ok($$SELECT mistral.start_workflow('hers')$$, 'MS003', NULL, 'another role does not start her workflow');
SELECT throws_ok($$SELECT mistral.start_workflow('hers', execution_id => '22222222-2222-4222-8222-222222222222')$$, '23505', NULL, 'nor gets her execution by its id');
SELECT throws_ok('SELECT mistral.step()', '42501', NULL, 'nobody steps the engine');
SELECT throws_ok($$SET mistral.fake_now = '2030-01-01'$$, '42501', NULL, 'nor sets its clock');
SELECT throws_ok('SELECT * FROM mistral.execution', '42501', NULL, 'nor reads its tables');
SELECT throws_ok('SELECT * FROM mistral.message', '42501', NULL, 'nor its messages');
RESET ROLE;
GRANT control_ann TO control_bob;
SET ROLE control_bob;
SELECT lives_ok(format('SELECT mistral.complete_action(%L)', :'a'), 'a member of her role does');
RESET ROLE;
SELECT pg_temp.run();
SELECT is(pg_temp.state(:'e'), 'SUCCESS', 'and it counts');

-- the engine acts for the execution's owner, whoever steps
SELECT is((SELECT owner::text FROM mistral.executions WHERE id = :'e'), 'control_ann', 'it stays hers');

-- ------------------------------------------------------------------ savepoints

SELECT mistral.start_workflow('ask') AS e \gset
SAVEPOINT s;
SELECT pg_temp.run();
SELECT is(pg_temp.tasks(:'e'), 'a:RUNNING', 'a step after a savepoint');
ROLLBACK TO s;
SELECT is(pg_temp.state(:'e') || pg_temp.tasks(:'e'), 'IDLE', 'is undone with it');
SELECT pg_temp.run();
SELECT is(pg_temp.tasks(:'e'), 'a:RUNNING', 'and done again');
SAVEPOINT s;
SELECT mistral.complete_action(pg_temp.action(:'e', 'a'), '1');
SELECT pg_temp.run();
SELECT is(pg_temp.state(:'e'), 'SUCCESS', 'completed after a savepoint');
ROLLBACK TO s;
SELECT is(pg_temp.state(:'e'), 'RUNNING', 'undone');
SELECT mistral.complete_action(pg_temp.action(:'e', 'a'), '2');
SELECT pg_temp.run();
SELECT is((SELECT state || output FROM mistral.executions WHERE id = :'e'), 'SUCCESS{"r": 2}', 'completed with something else');
SAVEPOINT s;
SELECT mistral.start_workflow('ask') AS e2 \gset
ROLLBACK TO s;
SELECT pg_temp.run();
SELECT is((SELECT count(*) FROM mistral.execution WHERE id = :'e2') + (SELECT count(*) FROM mistral.message WHERE root_id = :'e2'), 0::bigint,
          'a start that was rolled back leaves nothing');

-- an error that is not the execution's leaves the step through all subtransactions
SELECT mistral.start_workflow('slow') FROM (SELECT pg_temp.load('slow', $$
tasks:
  a: {publish: {x: "<% range(1, 100000000).select($ * 2).sum() %>"}}
$$)) x \gset
SELECT mistral.start_workflow('ask') AS e \gset
CREATE FUNCTION pg_temp.step_and_catch() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_temp.run();
    RETURN 'done';
EXCEPTION WHEN query_canceled THEN
    RETURN 'cancelled';
END $$;
SET mistral.expression_timeout = 0;
SET mistral.expression_memory = '1GB';
SET statement_timeout = '300 ms';
SELECT pg_temp.step_and_catch() AS caught \gset
RESET statement_timeout;
SET mistral.expression_timeout = '100 ms';
SELECT is(:'caught'::text, 'cancelled', 'a step that is cancelled can be caught');
SELECT is(pg_temp.state(:'e') || pg_temp.tasks(:'e'), 'IDLE', 'and has done nothing');
SELECT pg_temp.run();
SELECT is(pg_temp.state(:'e') || ' ' || pg_temp.tasks(:'e'), 'RUNNING a:RUNNING', 'the next one does it');
SELECT is((SELECT string_agg(state, ' ') FROM mistral.executions WHERE workflow_name = 'slow'), 'ERROR', 'an expression that takes too long is its execution''s error');
RESET mistral.expression_timeout;
RESET mistral.expression_memory;

-- ------------------------------------------------------------------ results of items

SELECT pg_temp.load('one', $$
input: [i]
output: {r: <% $.i %>}
tasks:
  a: {action: std.async_noop}
$$);
SELECT pg_temp.load('items', $$
output: {all: <% $.all %>}
tasks:
  t:
    with-items: i in [1, 2, 3]
    workflow: one
    input: {i: <% $.i %>}
    publish: {all: <% task().result %>}
$$);
CREATE FUNCTION pg_temp.action_of_item(id uuid, item int) RETURNS uuid LANGUAGE sql AS $$
    SELECT a.id FROM mistral.executions e JOIN mistral.action_executions a ON a.execution_id = e.id
     WHERE e.root_execution_id = $1 AND e.input = jsonb_build_object('i', $2) AND a.state = 'RUNNING'
$$;
SELECT pg_temp.start('items') AS e \gset
SELECT mistral.complete_action(pg_temp.action_of_item(:'e', 3)), mistral.fail_action(pg_temp.action_of_item(:'e', 2), '1'),
       mistral.complete_action(pg_temp.action_of_item(:'e', 1)), pg_temp.run();
SELECT is(pg_temp.state(:'e'), 'ERROR', 'items: one sub-workflow has failed');
SELECT is(t.result #- '{1,result}', '[{"r": 1}, {}, {"r": 3}]', 'items: results in their order') FROM mistral.tasks t WHERE execution_id = :'e';
SELECT mistral.rerun_task(t.id, false), pg_temp.run() FROM mistral.tasks t WHERE execution_id = :'e';
SELECT mistral.complete_action(pg_temp.action_of_item(:'e', 2)), pg_temp.run();
SELECT is(output, '{"all": [{"r": 1}, {"r": 2}, {"r": 3}]}', 'items: what is run again is where it was') FROM mistral.executions WHERE id = :'e';
SELECT is(t.result, '[{"r": 1}, {"r": 2}, {"r": 3}]', 'items: and in the view') FROM mistral.tasks t WHERE execution_id = :'e';

-- What has ended is counted once, also on a tree that was loaded again in between.
SELECT pg_temp.start('items') AS e \gset
SELECT mistral.complete_action(pg_temp.action_of_item(:'e', 1)), pg_temp.run();
SELECT mistral.pause_workflow(:'e'), pg_temp.run();
SELECT mistral.resume_workflow(:'e'), pg_temp.run();
SELECT mistral.pause_workflow(:'e'), mistral.resume_workflow(:'e'), pg_temp.run();
SELECT is((SELECT array_agg(t.state ORDER BY t.state) FROM mistral.tasks t WHERE root_execution_id = :'e'), '{RUNNING,RUNNING,RUNNING,SUCCESS}', 'items: one of three has ended');
SELECT mistral.complete_action(pg_temp.action_of_item(:'e', 3)), pg_temp.run();
SELECT mistral.complete_action(pg_temp.action_of_item(:'e', 2)), pg_temp.run();
SELECT is(output, '{"all": [{"r": 1}, {"r": 2}, {"r": 3}]}', 'items: and then the others') FROM mistral.executions WHERE id = :'e';

SELECT pg_temp.load('echoes', $$
tasks:
  a: {with-items: 'i in [1, null, "x"]', action: std.echo output=<% $.i %>}
  b: {with-items: 'i in [5]', action: std.echo output=<% $.i %>}
  c: {with-items: 'i in <% list() %>', action: std.noop}
  d: {action: std.echo output=6}
$$);
SELECT pg_temp.start('echoes') AS e \gset
SELECT is((SELECT jsonb_object_agg(name, result) FROM mistral.tasks WHERE execution_id = :'e'), '{"a": [1, null, "x"], "b": [5], "c": [], "d": 6}', 'the results of items are a list');

-- ------------------------------------------------------------------ published tables

-- A publication of all tables forbids deletes from tables without an identity.
CREATE PUBLICATION control_all FOR ALL TABLES;
SELECT lives_ok(format('DELETE FROM mistral.%I', relname), 'published: ' || relname)
  FROM pg_class WHERE relnamespace = 'mistral'::regnamespace AND relkind = 'r' AND relname IN ('message', 'parked_message', 'dispatch', 'attempt', 'timer');
SELECT is((SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class c
            WHERE relnamespace = 'mistral'::regnamespace AND relkind = 'r' AND relreplident <> 'f'
              AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary)), NULL, 'every table has an identity');
DROP PUBLICATION control_all;

-- ------------------------------------------------------------------ read only

SELECT pg_temp.start('ask') AS e \gset
SELECT pg_temp.action(:'e', 'a') AS a \gset
SELECT mistral.register_action('leased', target => 'read only');
SELECT mistral.run_action('leased'), mistral.run_action('leased');
DO $$ BEGIN WHILE mistral.step() > 0 LOOP END LOOP; END $$;
SELECT array_agg(action_execution_id) AS leased FROM mistral.claim_actions('read only', max => 2) \gset
SET transaction_read_only = on;
SELECT throws_ok(format('SELECT mistral.%s', f), '25006', NULL, 'read only: ' || f)
  FROM (VALUES ('start_workflow(''ask'')'), ('start_workflow(''ask'', execution_id => gen_random_uuid())'),
               (format('pause_workflow(%L)', :'e')), (format('cancel_workflow(%L)', :'e')),
               (format('stop_workflow(%L, ''ERROR'')', :'e')), (format('delete_execution(%L)', :'e')), (format('resume_workflow(%L)', :'e')),
               (format('complete_actions(%L)', :'leased')), (format('fail_actions(%L, NULL)', :'leased')),
               (format('complete_action(%L)', :'a')), (format('fail_action(%L, ''1'')', :'a')), (format('cancel_action(%L)', :'a')),
               ('run_action(''std.noop'')'), ('step()'), (E'load_workflow(E''version: "2.0"\\nx: {tasks: {a: {action: std.noop}}}'')'),
               ('set_environment(''e'', ''{}'')')) AS f(f);
SELECT lives_ok(format('SELECT mistral.why(%L)', :'e'), 'read only: why');
SELECT lives_ok($$SELECT * FROM mistral.validate('x')$$, 'read only: validate');
SELECT lives_ok($$SELECT mistral.evaluate('<% 1 + 1 %>')$$, 'read only: evaluate');

SELECT * FROM finish();
ROLLBACK;
