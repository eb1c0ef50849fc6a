-- Pull workers, under a clock that the test sets: targets, claims, leases that
-- run out, attempts that were lost, rights.
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
CREATE FUNCTION pg_temp.at(seconds numeric) RETURNS void LANGUAGE sql AS $$
    SELECT set_config('mistral.fake_now', (timestamptz '2030-01-01 00:00:00Z' + seconds * interval '1 s')::text, true)
$$;
CREATE FUNCTION pg_temp.start(body text, input jsonb DEFAULT '{}', params jsonb DEFAULT '{}') RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    id uuid;
BEGIN
    PERFORM pg_temp.load('w', body);
    id := mistral.start_workflow('w', input, params);
    PERFORM pg_temp.run();
    RETURN id;
END $$;
CREATE FUNCTION pg_temp.state(id uuid) RETURNS text LANGUAGE sql AS $$
    SELECT e.state || ' ' || COALESCE(e.output::text, '') FROM mistral.executions e WHERE e.id = $1
$$;
CREATE FUNCTION pg_temp.targets() RETURNS text LANGUAGE sql AS $$
    SELECT COALESCE(string_agg(format('%s:%s+%s', target, waiting, leased), ' ' ORDER BY target), '') FROM mistral.targets
$$;

SELECT mistral.register_action('bill', target => 'billing', description => 'Writes a bill');
SELECT pg_temp.at(0);

-- ------------------------------------------------------------------ what goes to whom

CREATE TEMP TABLE cases (n int GENERATED ALWAYS AS IDENTITY, what text, body text, wanted text, params jsonb DEFAULT '{}');
INSERT INTO cases (what, body, wanted) VALUES
('a registered action goes to its target', 'tasks: {t: {action: bill, input: {amount: 5}}}', 'billing bill {"amount": 5}'),
('a registered action with parameters in the line', 'tasks: {t: {action: bill amount=5}}', 'billing bill {"amount": 5}'),
('the task''s target wins', 'tasks: {t: {action: bill, target: other}}', 'other bill {}'),
('a target may be an expression', 'vars: {where: there}
tasks: {t: {action: bill, target: <% $.where %>}}', 'there bill {}'),
('a target sees the action''s input', 'tasks: {t: {action: bill place="here", target: "{{ _.place }}-1"}}', 'here-1 bill {"place": "here"}'),
('a target in task-defaults', 'task-defaults: {target: common}
tasks: {t: {action: bill}}', 'common bill {}'),
('the task''s target before that of task-defaults', 'task-defaults: {target: common}
tasks: {t: {action: bill, target: mine}}', 'mine bill {}'),
('a target that is null is none', 'vars: {where: null}
tasks: {t: {action: bill, target: <% $.where %>}}', 'billing bill {}'),
('a built-in action that is performed outside', 'tasks: {t: {action: std.http url="http://x.test/", target: dmz}}', 'dmz std.http {"url": "http://x.test/"}'),
('a built-in action that waits', 'tasks: {t: {action: std.async_noop, target: people}}', 'people std.async_noop {}'),
('an ad-hoc action gives its base', 'tasks: {t: {action: bill_all sum=7}}', 'billing bill {"amount": 8}'),
('with-items', 'tasks: {t: {with-items: "i in [1, 2]", action: bill amount=<% $.i %>, target: "<% concat(of, str($.i)) %>"}}',
 'of1 bill {"amount": 1}, of2 bill {"amount": 2}');
SELECT mistral.load_action(E'version: "2.0"\nbill_all: {base: bill, base-input: {amount: <% $.sum + 1 %>}, input: [sum], output: {billed: <% $ %>}}');
CREATE FUNCTION pg_temp.check_case(c cases) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    started uuid := pg_temp.start(c.body);
BEGIN
    RETURN NEXT is((SELECT string_agg(concat_ws(' ', a.target, l.action, l.input), ', ' ORDER BY l.action_execution_id)
                      FROM mistral.claim_actions(max => 10) l JOIN mistral.action_executions a ON a.id = l.action_execution_id), c.wanted, c.what);
    PERFORM mistral.cancel_workflow(started);
    PERFORM pg_temp.run();
    DELETE FROM mistral.lease;
END $$;
SELECT pg_temp.check_case(c) FROM cases c ORDER BY n;

SELECT is(pg_temp.state(pg_temp.start('output: {r: <% task(t).result %>}
tasks: {t: {action: std.echo output=1, target: billing}}')), 'SUCCESS {"r": 1}', 'what the engine computes it computes, whatever the target');
SELECT is(pg_temp.targets(), '', 'and offers to nobody');
SELECT matches(pg_temp.state(pg_temp.start('tasks: {t: {action: bill, target: <% $.nothing %>, on-error: n}, n: {action: std.noop}}')), '^ERROR', 'a target that cannot be evaluated is forced');
SELECT matches(pg_temp.state(pg_temp.start('tasks: {t: {action: bill, target: <% 5 %>}}')), '^ERROR .*must be a text, not 5', 'a target is a text');
SELECT matches(pg_temp.state(pg_temp.start(format('tasks: {t: {action: bill, target: %s}}', repeat('x', 256)))), '^ERROR .*at most 255 bytes', 'of some length');
SELECT isnt_empty($$SELECT * FROM mistral.validate(E'version: "2.0"\nw: {tasks: {t: {action: bill, target: 5}}}')$$, 'and not a number');

-- ------------------------------------------------------------------ claiming and completing

SELECT pg_temp.start('output: {r: <% task(t).result %>}
tasks: {t: {with-items: i in <% range(3) %>, action: bill amount=<% $.i %>}}') AS e \gset
SELECT is(pg_temp.targets(), 'billing:3+0', 'demand by target');
SELECT is((SELECT oldest FROM mistral.targets), '2030-01-01 00:00:00Z'::timestamptz, 'and since when');
SELECT is((SELECT string_agg(kind || ' ' || detail, ',' ORDER BY object_id) FROM mistral.why(:'e') LIMIT 1),
          repeat('offer no pull worker of target "billing" has claimed it yet (task "t"),', 2) || 'offer no pull worker of target "billing" has claimed it yet (task "t")', 'why says so');
SELECT is_empty($$SELECT * FROM mistral.claim_actions('nobody')$$, 'another target has none');
CREATE TEMP TABLE claimed AS SELECT * FROM mistral.claim_actions('billing', 'ann', 2, '30 s');
SELECT is((SELECT string_agg(concat_ws(' ', action, input, task, workflow, execution_id = :'e', attempt, lease_until AT TIME ZONE 'UTC'), ', ' ORDER BY action_execution_id) FROM claimed),
          'bill {"amount": 0} t w t 1 2030-01-01 00:00:30, bill {"amount": 1} t w t 1 2030-01-01 00:00:30', 'the oldest come first, with all that is known');
SELECT is(pg_temp.targets(), 'billing:1+2', 'leased');
SELECT is((SELECT kind || ' ' || detail || ' ' || (due_at AT TIME ZONE 'UTC')::text FROM mistral.why(:'e') ORDER BY kind, object_id LIMIT 1),
          'lease pull worker "ann" of target "billing" has it (task "t") 2030-01-01 00:00:30', 'why names the worker');
SELECT is(mistral.heartbeat_actions(array_agg(action_execution_id), '1 min'), 2, 'a heartbeat finds both') FROM claimed;
SELECT is(mistral.heartbeat_actions(array_agg(action_execution_id), '1 min', 'bob'), 0, 'not under another name') FROM claimed;
SELECT is(mistral.heartbeat_actions(array_agg(action_execution_id), '1 min', 'ann'), 2, 'but under this one') FROM claimed;
SELECT is((SELECT max(lease_until) FROM mistral.lease), '2030-01-01 00:01:00Z'::timestamptz, 'and prolongs');
SELECT mistral.complete_action(action_execution_id, input, attempt) FROM claimed;
SELECT is(pg_temp.targets(), 'billing:1+0', 'a result ends the lease');
SELECT is(mistral.heartbeat_actions(array_agg(action_execution_id)), 0, 'and the heartbeat says so') FROM claimed;
SELECT lives_ok(format('SELECT mistral.complete_action(%L, %L, %s)', action_execution_id, input, attempt), 'saying it again is harmless') FROM claimed;
SELECT throws_ok(format('SELECT mistral.complete_action(%L, %L, %s)', action_execution_id, '9', attempt), 'MS021', NULL, 'saying something else is not') FROM claimed;
SELECT mistral.fail_action(action_execution_id, '"no"', attempt) FROM mistral.claim_actions('billing');
SELECT pg_temp.run();
SELECT is((SELECT state FROM mistral.executions WHERE id = :'e'), 'ERROR', 'a failure counts');
SELECT throws_ok($$SELECT mistral.claim_actions(max => 0)$$, '22023', NULL, 'max has bounds');
SELECT throws_ok($$SELECT mistral.claim_actions(lease => '0 s')$$, '22023', NULL, 'a lease has a length');
SELECT throws_ok($$SELECT mistral.heartbeat_actions('{}', '-1 s')$$, '22023', NULL, 'a heartbeat too');
SELECT is(mistral.heartbeat_actions('{}'), 0, 'of nothing');
SELECT throws_ok($$SELECT mistral.complete_action('00000000-0000-0000-0000-000000000000', NULL, 0)$$, '22023', NULL, 'attempts count from 1');

-- outputs of ad-hoc actions apply
SELECT pg_temp.start('output: {r: <% task(t).result %>}
tasks: {t: {action: bill_all sum=7}}') AS e \gset
SELECT mistral.complete_action(action_execution_id, '"done"') FROM mistral.claim_actions('billing');
SELECT pg_temp.run();
SELECT is(pg_temp.state(:'e'), 'SUCCESS {"r": {"billed": "done"}}', 'an ad-hoc action''s output applies to a pull worker''s result');

-- ------------------------------------------------------------------ leases that run out

SELECT pg_temp.start('tasks: {t: {action: bill}}') AS e \gset
SELECT action_execution_id AS a FROM mistral.claim_actions('billing', 'ann', 1, '10 s') \gset
SELECT pg_temp.at(9.9), pg_temp.run();
SELECT is(pg_temp.targets(), 'billing:0+1', 'a lease holds until its time is over');
SELECT pg_temp.at(10), pg_temp.run();
SELECT is(pg_temp.targets(), 'billing:1+0', 'then the action is on offer again');
SELECT is(mistral.heartbeat_actions(array[:'a'::uuid]), 0, 'who had it hears that it is lost');
SELECT is((SELECT attempt FROM mistral.claim_actions('billing', 'bob', 1, '10 s')), 2, 'the next attempt');
SELECT throws_ok(format('SELECT mistral.complete_action(%L, ''1'', 1)', :'a'), 'MS024', NULL, 'whose lease went to another is refused');
SELECT throws_ok(format('SELECT mistral.fail_action(%L, ''1'', 1)', :'a'), 'MS024', NULL, 'also with an error');
SELECT is(pg_temp.targets(), 'billing:0+1', 'and the other one keeps it');
SELECT mistral.complete_action(:'a', '2', 2);
SELECT lives_ok(format('SELECT mistral.complete_action(%L, %L, 1)', :'a', '2'), 'unless the result is the same');
SELECT throws_ok(format('SELECT mistral.complete_action(%L, %L, 1)', :'a', '1'), 'MS021', NULL, 'and not another one');
SELECT pg_temp.run();
SELECT is((SELECT state FROM mistral.executions WHERE id = :'e'), 'SUCCESS', 'the result counts once');

SELECT pg_temp.at(0);
SELECT pg_temp.start('tasks: {t: {action: bill}}') AS e \gset
SELECT action_execution_id AS a FROM mistral.claim_actions('billing', 'ann', 1, '10 s') \gset
SELECT pg_temp.at(11), pg_temp.run();
SELECT lives_ok(format('SELECT mistral.complete_action(%L, %L, 1)', :'a', '1'), 'a late result is taken while nobody else has the action');
SELECT is(pg_temp.targets(), '', 'which takes it off the offer');
SELECT pg_temp.run();
SELECT is((SELECT state FROM mistral.executions WHERE id = :'e'), 'SUCCESS', 'and counts');

-- ------------------------------------------------------------------ tokens

SELECT pg_temp.at(0);
SELECT pg_temp.start('tasks: {t: {action: bill}}') AS e \gset
SELECT pg_temp.start('tasks: {t: {action: bill}}') AS e2 \gset
SELECT action_execution_id AS a, token AS first FROM mistral.claim_actions('billing', 'ann', 1, '10 s') \gset
SELECT action_execution_id AS a2, token AS other FROM mistral.claim_actions('billing', 'ann', 1, '10 min') \gset
SELECT matches(:'first'::text, '^1-[0-9a-f]{32}$', 'a token names its attempt, and nobody makes it up');
SELECT is(mistral.heartbeat_actions(array[:'a', :'a2']::uuid[], '10 s', tokens => array[:'first', :'other']), 2, 'tokens prolong leases');
SELECT is(mistral.heartbeat_actions(array[:'a', :'a2']::uuid[], '10 s', tokens => array[:'other', :'other']), 1, 'each its own');
SELECT pg_temp.at(11), pg_temp.run();
SELECT action_execution_id AS a, token AS second FROM mistral.claim_actions('billing', 'bob', 1, '10 min') \gset
SELECT matches(:'second'::text, '^2-', 'the next attempt has another one');
SELECT is(mistral.heartbeat_actions(array[:'a'::uuid]), 1, 'without a token a lease is prolonged by whoever knows the id');
SELECT is(mistral.heartbeat_actions(array[:'a'::uuid], tokens => array[:'first']), 0, 'but not with the token of the lost attempt');
SELECT is(mistral.heartbeat_actions(array[:'a'::uuid], tokens => array[null::text]), 0, 'nor with none');
SELECT throws_ok(format('SELECT mistral.heartbeat_actions(array[%L::uuid], tokens => ''{}'')', :'a'), '22023', NULL, 'there are as many tokens as ids');
SELECT throws_ok(format('SELECT mistral.complete_action(%L, ''1'', token => %L)', :'a', :'first'), 'MS024', NULL, 'a token is refused where its attempt is');
CREATE FUNCTION pg_temp.refused(a uuid, token text) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT throws_ok(format('SELECT mistral.%s(%L, ''1'', %s token => %L)', f, a, attempt, token), 'MS025', NULL, format('%s with %s %s', f, attempt, token))
      FROM unnest('{complete_action,fail_action}'::text[]) f, unnest('{"",1}'::text[]) n, LATERAL (SELECT n || left(',', length(n)) AS attempt) x
$$;
SELECT pg_temp.refused(:'a', t) FROM unnest(array[:'other', '', '2', 'x', '0-' || repeat('0', 32), '-' || :'second', '2-' || repeat('0', 32), :'second' || '0', ' ' || :'second',
                                                  rtrim(:'second', '0123456789abcdef'), replace(:'second', '2-', '3-'), replace(:'first', '1-', '2-')]) t;
SELECT throws_ok(format('SELECT mistral.complete_action(%L, ''1'', 1, %L)', :'a', :'second'), 'MS025', NULL, 'an attempt and a token of another one');
SELECT lives_ok(format('SELECT mistral.complete_action(%L, ''1'', 2, %L)', :'a', :'second'), 'the token of the attempt under way');
SELECT throws_ok(format('SELECT mistral.complete_action(%L, ''1'', token => %L)', :'a', :'other'), 'MS025', NULL, 'what is no token is refused also when the action has ended so');
SELECT results_eq(format('SELECT error_code FROM mistral.complete_actions(array[%L, %L]::uuid[], tokens => array[%L, null])', :'a2', :'a', :'second'),
                  $$VALUES ('MS021'), ('MS025')$$, 'of many, too');
SELECT is_empty(format('SELECT mistral.fail_actions(array[%L]::uuid[], ''{1}'', tokens => array[%L])', :'a2', :'other'), 'each with its own');
SELECT pg_temp.run();
SELECT is(array_agg(state ORDER BY id), '{SUCCESS,ERROR}'::text[], 'which counts') FROM mistral.executions WHERE id IN (:'e', :'e2');

SELECT pg_temp.start('tasks: {t: {action: bill}}') AS e \gset
SELECT action_execution_id AS a, token FROM mistral.claim_actions('billing') \gset
SELECT mistral.adopt();
SELECT throws_ok(format('SELECT mistral.complete_action(%L, ''1'', token => %L)', :'a', :'token'), 'MS025', NULL, 'a token from before the database was adopted is none');
SELECT mistral.complete_action(:'a'), pg_temp.run();

-- ------------------------------------------------------------------ the oldest first

SELECT pg_temp.at(0);
SELECT pg_temp.start('tasks: {t: {with-items: "i in <% range(300) %>", action: bill amount=<% $.i %>}}') AS e \gset
CREATE FUNCTION pg_temp.claim(n int) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s-%s', min((input ->> 'amount')::int), max((input ->> 'amount')::int)) FROM mistral.claim_actions('billing', 'ann', n, '10 s')
$$;
SELECT is(pg_temp.claim(10), '0-9', 'the oldest are claimed');
SELECT is(pg_temp.claim(10), '10-19', 'then those behind them');
SAVEPOINT s;
SELECT is(pg_temp.claim(10), '20-29', 'and so on');
ROLLBACK TO s;
SELECT is(pg_temp.claim(10), '20-29', 'what was claimed in vain is claimed again');
SELECT is((SELECT count(*) FROM mistral.claim_actions(max => 10)), 10::bigint, 'of any target');
-- Another session has given these back, long ago.
CREATE TEMP TABLE back AS WITH l AS (DELETE FROM mistral.lease WHERE action_id IN (SELECT action_id FROM mistral.lease ORDER BY action_id LIMIT 5) RETURNING *)
SELECT * FROM l;
INSERT INTO mistral.offer (action_id, root_id, target, owner, action, attempt, safe_rerun, held, created_at)
SELECT action_id, root_id, target, owner, action, attempt + 1, safe_rerun, false, created_at FROM back;
CREATE FUNCTION pg_temp.claims_until_given_back() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    deadline timestamptz := clock_timestamp() + '10 s';
BEGIN
    LOOP
        IF (SELECT attempt = 2 FROM mistral.claim_actions('billing', 'ann', 1)) THEN RETURN true; END IF;
        IF clock_timestamp() > deadline OR (SELECT count(*) FROM mistral.offer WHERE attempt = 1) = 0 THEN RETURN false; END IF;
        PERFORM pg_sleep(0.01);
    END LOOP;
END $$;
SELECT ok(pg_temp.claims_until_given_back(), 'what lies before the place that claims have reached is found soon, with others behind it');
SELECT is((SELECT count(*) FROM mistral.claim_actions('billing', max => 1000) WHERE attempt = 2), 4::bigint, 'and at once where those do not suffice');
SELECT mistral.cancel_workflow(:'e'), pg_temp.run();
DELETE FROM mistral.lease;

-- ------------------------------------------------------------------ many results at once

SELECT pg_temp.at(0);
SELECT pg_temp.start('output: {r: <% task(t).result %>}
tasks: {t: {with-items: "i in <% range(6) %>", action: bill amount=<% $.i %>}}') AS e \gset
CREATE TEMP TABLE batch AS
SELECT action_execution_id AS id, attempt, input -> 'amount' AS result FROM mistral.claim_actions('billing', 'ann', 2, '10 s');
SELECT pg_temp.at(11), pg_temp.run();
SELECT is((SELECT count(*) FROM mistral.claim_actions('billing', 'bob', 2) WHERE attempt = 2), 2::bigint, 'two leases are lost to another worker');
INSERT INTO batch SELECT action_execution_id, attempt, input -> 'amount' FROM mistral.claim_actions('billing', 'ann', 4);
SELECT mistral.complete_action(id, '"first"') FROM batch WHERE result = '3';
CREATE FUNCTION pg_temp.complete(wanted text) RETURNS TABLE (result jsonb, error_code text) LANGUAGE sql AS $$
    SELECT b.result, r.error_code
      FROM (SELECT array_agg(id ORDER BY id DESC) AS ids, array_agg(attempt ORDER BY id DESC) AS attempts,
                   array_agg(CASE result WHEN '5' THEN to_jsonb(repeat('x', 1100000)) ELSE result END ORDER BY id DESC) AS results
              FROM batch WHERE result::text = ANY (string_to_array(wanted, ' '))) x,
           mistral.complete_actions(x.ids || gen_random_uuid(), x.results || jsonb '7', x.attempts || 1) r
      LEFT JOIN batch b ON b.id = r.action_execution_id ORDER BY b.result
$$;
SET mistral.max_result_size = '1MB';
SELECT results_eq($$SELECT * FROM pg_temp.complete('0 1 2 3 4 5')$$,
                  $$VALUES (jsonb '0', 'MS024'), ('1', 'MS024'), ('3', 'MS021'), ('5', 'MS030'), (NULL, 'MS022')$$, 'who is refused is named');
RESET mistral.max_result_size;
SELECT is(pg_temp.targets(), 'billing:0+3', 'the others have ended, and nothing else');
SELECT results_eq($$SELECT * FROM pg_temp.complete('2 4')$$, $$VALUES (NULL::jsonb, 'MS022')$$, 'saying it again is harmless');
SELECT pg_temp.run();
SELECT results_eq($$SELECT * FROM pg_temp.complete('2 3 4')$$, $$VALUES (jsonb '3', 'MS021'), (NULL, 'MS022')$$, 'afterwards, too');
SELECT is_empty($$SELECT mistral.complete_actions(array_agg(id), array_agg(result), array_agg(2)) FROM batch WHERE result < '2'$$, 'the attempt under way is taken');
SELECT is_empty($$SELECT mistral.complete_actions(array_agg(id)) FROM batch WHERE result = '5'$$, 'results and attempts need not be');
SELECT pg_temp.run();
SELECT is(pg_temp.state(:'e'), 'SUCCESS {"r": [0, 1, 2, "first", 4, null]}', 'each result is in its place');

SELECT pg_temp.start('output-on-error: {r: <% task(t).result %>}
tasks: {t: {with-items: "i in <% range(2) %>", action: bill}}') AS e \gset
SELECT is_empty($$SELECT mistral.fail_actions(array_agg(action_execution_id), array['"no"', null]::jsonb[], array_agg(attempt)) FROM mistral.claim_actions('billing', max => 2)$$, 'errors');
SELECT pg_temp.run();
SELECT is((SELECT output -> 'r' FROM mistral.executions WHERE id = :'e'), '["no", "Unknown error"]', 'end them with errors');
SELECT is_empty($$SELECT mistral.complete_actions('{}')$$, 'none are nothing');
SELECT is_empty($$SELECT mistral.complete_actions(null)$$, 'as is no list');
SELECT throws_ok($$SELECT mistral.complete_actions(array[gen_random_uuid()], '{}')$$, '22023', NULL, 'lists have one length');
SELECT throws_ok($$SELECT mistral.complete_actions(array[gen_random_uuid()], null, '{0}')$$, '22023', NULL, 'attempts count from 1 here, too');
SELECT throws_ok($$SELECT mistral.complete_actions(array[null::uuid])$$, '22004', NULL, 'an id is an id');
SELECT throws_ok($$SELECT mistral.fail_actions(array[x, x], null) FROM gen_random_uuid() x$$, '22023', NULL, 'each id comes once');

CREATE TEMP TABLE rerun (written text, wanted text);
INSERT INTO rerun VALUES ('', 'billing:1+0'), (', safe-rerun: true', 'billing:1+0'), (', safe-rerun: false', '');
CREATE FUNCTION pg_temp.lose(written text) RETURNS TABLE (targets text, execution uuid) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_temp.at(0);
    execution := pg_temp.start(format('tasks: {t: {action: bill%s}}', written));
    PERFORM mistral.claim_actions('billing', 'ann', 1, '10 s');
    PERFORM pg_temp.at(10), pg_temp.run();
    targets := pg_temp.targets();
    DELETE FROM mistral.offer;
    RETURN NEXT;
END $$;
SELECT is((pg_temp.lose(written)).targets, wanted, format('a lost lease with "%s"', written)) FROM rerun;
SELECT execution AS e FROM pg_temp.lose(', safe-rerun: false') \gset
SELECT is((SELECT state || ' ' || state_info FROM mistral.tasks WHERE execution_id = :'e'),
          'ERROR outcome unknown: the lease of worker "ann" ran out, and safe-rerun is false', 'says that nobody knows');

-- ------------------------------------------------------------------ what is not to be done any more

SELECT pg_temp.at(0);
SELECT pg_temp.start('tasks: {t: {action: bill, timeout: 5, on-error: n}, n: {action: std.async_noop}}') AS e \gset
SELECT pg_temp.at(5), pg_temp.run();
SELECT is(pg_temp.targets(), '', 'a task that timed out takes its action back');
SELECT mistral.cancel_workflow(:'e'), pg_temp.run();

SELECT pg_temp.at(0);
SELECT pg_temp.start('tasks: {t: {action: bill, timeout: 5, on-error: n}, n: {action: std.async_noop}}') AS e \gset
SELECT action_execution_id AS a FROM mistral.claim_actions('billing', 'ann', 1, '10 min') \gset
SELECT pg_temp.at(5), pg_temp.run();
SELECT is(mistral.heartbeat_actions(array[:'a'::uuid]), 0, 'also from whoever has claimed it');
SELECT lives_ok(format('SELECT mistral.complete_action(%L, %L, 1)', :'a', '1'), 'whose result harms nobody');
SELECT mistral.cancel_workflow(:'e'), pg_temp.run();

SELECT pg_temp.at(0);
SELECT pg_temp.start('tasks: {t: {action: bill, timeout: 5, retry: {count: 1, delay: 1}}}') AS e \gset
SELECT pg_temp.at(5), pg_temp.run();
SELECT is(pg_temp.targets(), '', 'before a task is tried again');
SELECT pg_temp.at(6), pg_temp.run();
SELECT is(pg_temp.targets(), 'billing:1+0', 'with another action');
SELECT mistral.cancel_workflow(:'e'), pg_temp.run();
SELECT is(pg_temp.targets(), '', 'a cancelled workflow offers nothing');
SELECT is_empty($$SELECT * FROM mistral.claim_actions()$$, 'to nobody');

SELECT pg_temp.at(0);
SELECT pg_temp.start('tasks: {f: {action: std.fail, on-error: fail}, t: {action: bill}, u: {action: bill}}') AS e \gset
SELECT is(pg_temp.targets(), '', 'what a failed workflow had on offer is held back');
SELECT mistral.rerun_task(id) FROM mistral.tasks WHERE execution_id = :'e' AND name = 'f';
SELECT is(pg_temp.targets(), 'billing:2+0', 'until it runs again');
SELECT action_execution_id AS a FROM mistral.claim_actions('billing', 'ann', 1, '10 s') \gset
SELECT pg_temp.run();
SELECT is(mistral.heartbeat_actions(array[:'a'::uuid]), 0, 'a lease of a workflow that has ended is of no use');
SELECT pg_temp.at(10), pg_temp.run();
SELECT is(pg_temp.targets(), '', 'when it runs out, nothing is offered');
SELECT mistral.rerun_task(id) FROM mistral.tasks WHERE execution_id = :'e' AND name = 'f';
SELECT is(array_agg(attempt ORDER BY action_execution_id), '{2,1}', 'and the attempt is remembered') FROM mistral.claim_actions('billing', max => 5);
SELECT pg_temp.run();
SELECT mistral.delete_execution(:'e');
SELECT is((SELECT count(*) FROM mistral.lease) + (SELECT count(*) FROM mistral.offer WHERE root_id = :'e'), 0::bigint, 'a deleted execution leaves nothing');

-- cancelling an action that somebody has
SELECT pg_temp.start('tasks: {t: {action: bill}}') AS e \gset
SELECT action_execution_id AS a FROM mistral.claim_actions('billing') \gset
SELECT mistral.cancel_action(:'a');
SELECT throws_ok(format('SELECT mistral.complete_action(%L, %L, 1)', :'a', '1'), 'MS021', NULL, 'a cancelled action takes no result');
SELECT pg_temp.run();
SELECT is((SELECT state FROM mistral.executions WHERE id = :'e'), 'CANCELLED', 'its workflow is cancelled');

-- ------------------------------------------------------------------ without a workflow

SELECT mistral.run_action('bill', '{"amount": 3}') AS a \gset
SELECT is((SELECT concat_ws(' ', action, input, task, workflow, execution_id, attempt) FROM mistral.claim_actions('billing')), 'bill {"amount": 3} 1', 'run_action goes to the pull workers');
SELECT mistral.complete_action(:'a', '"paid"', 1), pg_temp.run();
SELECT is((SELECT state || ' ' || output || ' ' || target FROM mistral.action_executions WHERE id = :'a'), 'SUCCESS {"result": "paid"} billing', 'and ends with their result');
SELECT mistral.run_action('std.http', '{"url": "http://x.test/"}', target => 'dmz') AS a \gset
SELECT is((SELECT count(*) FROM mistral.dispatch WHERE action_id = :'a'), 0::bigint, 'with a target the executor has nothing to do');
SELECT is((SELECT action_execution_id FROM mistral.claim_actions('dmz', 'ann', 1, '10 s')), :'a'::uuid, 'but the pull workers of the target');
SELECT pg_temp.at(30), pg_temp.run();
SELECT is(pg_temp.targets(), 'dmz:1+0', 'leases run out here, too');
SELECT mistral.run_action('std.echo', '{"output": 1}', target => 'dmz') AS a \gset
SELECT is((SELECT state FROM mistral.action_executions WHERE id = :'a'), 'SUCCESS', 'what the engine computes it computes');
SELECT throws_ok(format('SELECT mistral.run_action(%L, target => %L)', 'bill', repeat('x', 256)), 'MS004', NULL, 'a target has a length');

-- ------------------------------------------------------------------ registering

SELECT is((SELECT concat_ws('|', name, definition, description, is_system, target) FROM mistral.actions WHERE name = 'bill'), 'bill|Writes a bill|f|billing', 'the view shows it');
SELECT mistral.register_action('bill', target => 'books');
SELECT is((SELECT target || description FROM mistral.actions WHERE name = 'bill'), 'books', 'registering again replaces');
SELECT throws_ok($$SELECT mistral.register_action('std.bill', target => 'x')$$, '22023', NULL, 'std. is reserved');
SELECT throws_ok($$SELECT mistral.register_action('a b', target => 'x')$$, '22023', NULL, 'no spaces');
SELECT throws_ok($$SELECT mistral.register_action('b', target => '')$$, '22023', NULL, 'no empty target');
SELECT throws_ok($$SELECT mistral.register_action('b', 'pg_catalog.now()')$$, '42809', 'function pg_catalog.now() cannot be an action');
SELECT throws_ok($$SELECT mistral.register_action('b')$$, '22023', 'an action has a function or a target');
SELECT lives_ok($$SELECT mistral.delete_action('bill')$$, 'and it can be deleted');
SELECT matches(pg_temp.state(pg_temp.start('tasks: {t: {action: bill}}')), '^ERROR .*does not exist', 'then it is unknown');
SELECT throws_ok($$SELECT mistral.delete_action('bill')$$, 'MS003', NULL, 'once');

-- ------------------------------------------------------------------ registered anew, and not

SELECT mistral.register_action('moved', target => 'here');
SELECT mistral.run_action('moved');
SAVEPOINT elsewhere;
SELECT mistral.register_action('moved', target => 'there');
SELECT mistral.run_action('moved');
SELECT pg_temp.run();
SELECT results_eq($$SELECT target, waiting FROM mistral.targets WHERE target IN ('here', 'there') ORDER BY 1$$,
    $$VALUES ('here'::text, 1::bigint), ('there', 1)$$, 'what is registered anew counts at once');
ROLLBACK TO elsewhere;
SELECT mistral.run_action('moved');
SELECT pg_temp.start(E'tasks: {t: {with-items: "i in [1, 2, 3]", action: moved}}');
SELECT results_eq($$SELECT target, waiting FROM mistral.targets WHERE target IN ('here', 'there')$$,
    $$VALUES ('here'::text, 5::bigint)$$, 'what is rolled back, no longer');

-- ------------------------------------------------------------------ who may

CREATE ROLE pull_owner;
CREATE ROLE pull_worker;
CREATE ROLE pull_stranger;
GRANT pull_owner TO pull_worker;
SELECT mistral.grant_access('pull_owner', k) FROM unnest('{author,operator}'::text[]) k;
SELECT mistral.grant_access('pull_worker', k) FROM unnest('{worker,viewer}'::text[]) k;
SELECT mistral.grant_access('pull_stranger', k) FROM unnest('{worker,viewer}'::text[]) k;
SET LOCAL ROLE pull_owner;
SELECT mistral.register_action('job', target => 'shop');
SELECT mistral.load_workflow(E'version: "2.0"\nof_owner: {tasks: {t: {action: job}}}');
SELECT mistral.start_workflow('of_owner') AS e \gset
SELECT throws_ok($$SELECT mistral.claim_actions()$$, '42501', NULL, 'an operator is no worker');
RESET ROLE;
SELECT pg_temp.run();
SET LOCAL ROLE pull_stranger;
SELECT is_empty($$SELECT * FROM mistral.targets WHERE target = 'shop'$$, 'a stranger sees no demand');
SELECT is_empty($$SELECT * FROM mistral.claim_actions('shop')$$, 'and is given nothing');
SELECT is_empty($$SELECT * FROM mistral.claim_actions(max => 100)$$, 'of any target');
SET LOCAL ROLE pull_worker;
SELECT results_eq($$SELECT waiting FROM mistral.targets WHERE target = 'shop'$$, '{1}'::bigint[], 'who has the owner''s rights sees it');
SELECT action_execution_id AS a FROM mistral.claim_actions('shop', 'one') \gset
SELECT ok(:'a' IS NOT NULL, 'and is given it');
SET LOCAL ROLE pull_stranger;
SELECT is(mistral.heartbeat_actions(array[:'a'::uuid], '1 hour'), 0, 'a stranger prolongs nothing');
SELECT throws_ok(format('SELECT mistral.complete_action(%L)', :'a'), 'MS022', NULL, 'and completes nothing');
SELECT throws_ok($$SELECT mistral.register_action('job', target => 'mine')$$, '42501', NULL, 'nor registers');
SET LOCAL ROLE pull_worker;
SELECT lives_ok(format('SELECT mistral.complete_action(%L, NULL, 1)', :'a'), 'the worker completes');
RESET ROLE;
SELECT pg_temp.run();
SELECT is((SELECT state FROM mistral.executions WHERE id = :'e'), 'SUCCESS', 'and the owner''s workflow goes on');

-- ------------------------------------------------------------------ what a name means, from one action to the next

SELECT mistral.register_action('turn', target => 'turns');
CREATE FUNCTION pg_temp.turn() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    ran uuid := mistral.run_action('turn');
BEGIN
    PERFORM pg_temp.run();
    RETURN (SELECT name || ' ' || state FROM mistral.action_executions a WHERE a.id = ran);
END $$;
SELECT is(pg_temp.turn(), 'turn RUNNING', 'a registered action that no definition has the name of');
SAVEPOINT s;
SELECT mistral.load_action(E'version: "2.0"\nturn: {base: std.noop}');
SELECT is(pg_temp.turn(), 'turn SUCCESS', 'a definition of that name that has come meanwhile');
ROLLBACK TO s;
SELECT is(pg_temp.turn(), 'turn RUNNING', 'and has gone');
SELECT mistral.load_action(E'version: "2.0"\nturn: {base: std.noop}');
SELECT is(pg_temp.turn(), 'turn SUCCESS', 'and come again');

SELECT is_empty($$SELECT * FROM mistral.check() WHERE problem LIKE '%offer%'$$, 'check() finds nothing');
SELECT * FROM finish();
ROLLBACK;
