-- std.wait_event: tasks that wait for an event.
BEGIN;
SET client_min_messages = error;
SELECT no_plan();

SELECT mistral.load_workflow($$
version: '2.0'
w:
  input: [event: paid, match: null, exchange: null, topic: null, lookback: null]
  output: {e: <% $.e %>}
  tasks:
    t:
      action: std.wait_event
      input:
        event: <% $.event %>
        match: <% $.match %>
        exchange: <% $.exchange %>
        topic: <% $.topic %>
        lookback: <% $.lookback %>
      publish: {e: <% task().result %>}
brief:
  tasks:
    t: {action: std.wait_event event="paid", timeout: 10}
twice:
  output: {seen: <% $.seen %>}
  vars: {seen: []}
  tasks:
    first: {on-success: t}
    t:
      action: std.wait_event event="tick"
      publish: {seen: "<% $.seen + [task().result.payload.n] %>"}
      on-success: [{t: "<% $.seen.len() < 3 %>"}]
side:
  output: {seen: <% task(t).result.select($.payload.n) %>}
  tasks:
    t: {with-items: "i in <% range(3) %>", action: std.wait_event event="tick"}
again:
  output: {e: <% task(t).result.payload.n %>}
  tasks:
    t:
      action: std.wait_event event="tick"
      retry: {count: 5, delay: 0, continue-on: "<% task().result.payload.n < 5 %>"}
aimed:
  tasks:
    t: {action: std.wait_event event="tick", target: nobody}
parent:
  output: {e: <% task(t).result.e.payload %>}
  tasks:
    t: {workflow: w}
$$) \g /dev/null
CREATE FUNCTION pg_temp.run() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 50 LOOP EXIT WHEN mistral.step() = 0; END LOOP;
END $$;
CREATE FUNCTION pg_temp.start(input jsonb DEFAULT '{}', workflow text DEFAULT 'w') RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    id uuid := mistral.start_workflow(workflow, input);
BEGIN
    PERFORM pg_temp.run();
    RETURN id;
END $$;
CREATE FUNCTION pg_temp.seen(id uuid) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_temp.run();
    RETURN (SELECT e.state || COALESCE(' ' || ((e.output -> 'e') - 'published_at')::text, '') FROM mistral.executions e WHERE e.id = seen.id);
END $$;
CREATE FUNCTION pg_temp.refused(input jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    refused uuid := pg_temp.start(input);
BEGIN
    RETURN (SELECT e.state || ' ' || e.state_info FROM mistral.executions e WHERE e.id = refused);
END $$;
-- What wakes a wait with this input: one event.
CREATE FUNCTION pg_temp.wakes(input jsonb, event text, payload jsonb DEFAULT '{}', exchange text DEFAULT NULL, topic text DEFAULT NULL)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    waits uuid;
    ended text;
BEGIN
    -- Later than the event before.
    PERFORM set_config('mistral.fake_now', (current_setting('mistral.fake_now')::timestamptz + interval '1 second')::text, true);
    waits := pg_temp.start(input);
    IF (SELECT e.state FROM mistral.executions e WHERE e.id = waits) <> 'RUNNING' THEN
        RAISE EXCEPTION 'it did not wait: %', (SELECT e.state_info FROM mistral.executions e WHERE e.id = waits);
    END IF;
    PERFORM mistral.publish_event(event, payload, exchange, topic);
    ended := pg_temp.seen(waits);
    PERFORM mistral.stop_workflow(waits, 'CANCELLED') WHERE ended = 'RUNNING';
    PERFORM mistral.delete_execution(waits);
    RETURN ended LIKE 'SUCCESS%';
END $$;
-- Time passes between what is published and what starts.
CREATE FUNCTION pg_temp.at(seconds int) RETURNS void LANGUAGE sql AS $$
    SELECT set_config('mistral.fake_now', ('2030-01-01'::timestamptz + make_interval(secs => seconds))::text, true)
$$;

-- ---- an event that comes later

SELECT pg_temp.at(0) \g /dev/null
SELECT pg_temp.start('{"match": {"order": 1}}') AS a \gset
SELECT pg_temp.start('{"match": {"order": 1}}') AS b \gset
SELECT pg_temp.start('{"match": {"order": 2}}') AS c \gset
SELECT is(pg_temp.seen(:'a'), 'RUNNING', 'the task waits');
SELECT is((SELECT string_agg(y.detail, ' ') FROM mistral.why(:'a') y WHERE y.kind = 'event'), 'waits for an event "paid" whose payload has {"order": 1} (task "t")', 'why() says for what');
SELECT is(mistral.publish_event('paid', '{"order": 3}') + mistral.publish_event('lost', '{"order": 1}'), 0, 'no workflow starts');
SELECT is(pg_temp.seen(:'a'), 'RUNNING', 'another payload and another name do not match');
SELECT mistral.publish_event('paid', '{"order": 1, "sum": 5}', topic => 'bank') \g /dev/null
SELECT is(pg_temp.seen(:'a'), 'SUCCESS {"event": "paid", "topic": "bank", "payload": {"sum": 5, "order": 1}, "exchange": null}', 'one that matches ends it, and is its result');
SELECT is(pg_temp.seen(:'b'), pg_temp.seen(:'a'), 'everybody who waits hears it');
SELECT is(pg_temp.seen(:'c'), 'RUNNING', 'except who waits for something else');
SELECT is((SELECT count(*)::int FROM mistral.event_wait), 1, 'what ended does not wait');
SELECT pg_temp.at(10) \g /dev/null
SELECT pg_temp.start(workflow => 'parent') AS p \gset
SELECT mistral.publish_event('paid', '{"order": 9}') \g /dev/null
SELECT is(pg_temp.seen(:'p'), 'SUCCESS {"order": 9}', 'a sub-workflow waits too');

-- ---- what matches

SELECT pg_temp.at(50) \g /dev/null
SELECT is(pg_temp.wakes(input, event, payload, exchange, topic), wakes, 'wait ' || input::text || ', event ' || concat_ws(' ', event, payload, exchange, topic))
  FROM (VALUES
    ('{}'::jsonb, 'paid', '{}'::jsonb, NULL, NULL, true),
    ('{"match": {}}', 'paid', '7', NULL, NULL, true),
    ('{"match": {"a": 1}}', 'paid', '7', NULL, NULL, false),
    ('{"match": {"a": 1}}', 'paid', '[{"a": 1}]', NULL, NULL, false),
    ('{"match": {"a": 1}}', 'paid', '{"a": 1.0, "b": 2}', NULL, NULL, true),
    ('{"match": {"a": 1}}', 'paid', '{"a": "1"}', NULL, NULL, false),
    ('{"match": {"a": 1}}', 'paid', '{"a": {"a": 1}}', NULL, NULL, false),
    ('{"match": {"a": null}}', 'paid', '{"b": 1}', NULL, NULL, false),
    ('{"match": {"a": null}}', 'paid', '{"a": null}', NULL, NULL, true),
    ('{"match": {"a": true, "b": "x"}}', 'paid', '{"b": "x", "a": true}', NULL, NULL, true),
    ('{"match": {"a": true, "b": "x"}}', 'paid', '{"b": "x", "a": false}', NULL, NULL, false),
    ('{"match": {"a": {"b": {"c": 1}}, "d": 2}}', 'paid', '{"a": {"b": {"c": 1, "x": 0}}, "d": 2}', NULL, NULL, true),
    ('{"match": {"a": {"b": {"c": 1}}, "d": 2}}', 'paid', '{"a": {"b": {"d": 2, "x": 0}}, "c": 1}', NULL, NULL, false),
    ('{"match": {"a": {"b": 1}}}', 'paid', '{"a": 1}', NULL, NULL, false),
    ('{"match": {"a": {}}}', 'paid', '{"a": 1}', NULL, NULL, false),
    ('{"match": {"a": {}}}', 'paid', '{"a": {"b": 1}}', NULL, NULL, true),
    ('{"match": {"a": [2]}}', 'paid', '{"a": [1, 2]}', NULL, NULL, true),
    ('{"match": {"a": [3]}}', 'paid', '{"a": [1, 2]}', NULL, NULL, false),
    ('{"event": "alarm.*"}', 'alarm.cpu', '{}', NULL, NULL, true),
    ('{"event": "alarm.*"}', 'alarm.', '{}', NULL, NULL, true),
    ('{"event": "alarm.*"}', 'alarm', '{}', NULL, NULL, false),
    ('{"event": "*"}', 'ä', '{}', NULL, NULL, true),
    ('{"event": "ä*"}', 'äö', '{}', NULL, NULL, true),
    ('{"event": "a%"}', 'ab', '{}', NULL, NULL, false),
    ('{"exchange": "x"}', 'paid', '{}', NULL, NULL, false),
    ('{"exchange": "x"}', 'paid', '{}', 'y', NULL, false),
    ('{"exchange": "x"}', 'paid', '{}', 'x', 'y', true),
    ('{"topic": "x"}', 'paid', '{}', 'x', NULL, false),
    ('{"topic": "x"}', 'paid', '{}', NULL, 'x', true)) AS v (input, event, payload, exchange, topic, wakes);

-- One that does not match hides none that does, whatever their matches have in common.
SELECT pg_temp.at(80) \g /dev/null
SELECT pg_temp.start(jsonb_build_object('event', 'hidden', 'match', m)) FROM unnest('{"{\"a\": [1]}","{\"a\": {}}","{\"b\": 1, \"a\": {\"c\": {}}}"}'::jsonb[]) m \g /dev/null
SELECT pg_temp.start('{"event": "hidden"}') AS all, pg_temp.start('{"event": "hidden", "match": {"b": 1}}') AS one \gset
SELECT mistral.publish_event('hidden', '{"b": 1}') \g /dev/null
SELECT is(pg_temp.seen(:'all') || ' ' || pg_temp.seen(:'one'), 'SUCCESS {"event": "hidden", "topic": null, "payload": {"b": 1}, "exchange": null} SUCCESS {"event": "hidden", "topic": null, "payload": {"b": 1}, "exchange": null}', 'a wait for what is not there hides none');

-- ---- an event that came first

SELECT pg_temp.at(100) \g /dev/null
SELECT is(pg_temp.seen(pg_temp.start('{"match": {"order": 1}}')), 'RUNNING', 'what came before the execution does not count');
SELECT alike(pg_temp.seen(pg_temp.start('{"match": {"order": 1}, "lookback": 200}')), 'SUCCESS%"sum": 5%', 'unless it looks back so far');
SELECT alike(pg_temp.seen(pg_temp.start('{"event": "pa*", "match": {"order": 1}, "lookback": 200}')), 'SUCCESS%"sum": 5%', 'by the beginning of the name too');
SELECT is(pg_temp.seen(pg_temp.start('{"match": {"order": 1}, "lookback": 60}')), 'RUNNING', 'and no farther');
SELECT mistral.start_workflow('w', '{"match": {"order": 4}}') AS d \gset
SELECT mistral.publish_event('paid', '{"order": 4, "n": 1}'), mistral.publish_event('paid', '{"order": 4, "n": 2}') \g /dev/null
SELECT alike(pg_temp.seen(:'d'), 'SUCCESS%"n": 1%', 'what came since its start counts, the oldest first');
SELECT mistral.publish_event('many', jsonb_build_object('n', n, 'kind', 'x')) FROM generate_series(1, 1200) n \g /dev/null
SELECT alike(pg_temp.seen(pg_temp.start('{"event": "many", "match": {"n": 1150, "kind": "x"}, "lookback": 10}')), 'SUCCESS%"n": 1150%', 'one of many that are kept');
SELECT alike(pg_temp.seen(pg_temp.start('{"event": "many", "match": {"kind": "x"}, "lookback": 10}')), 'SUCCESS%"n": 1,%', 'the oldest of many');
SELECT is(pg_temp.seen(pg_temp.start('{"event": "many", "match": {"n": 1300, "kind": "x"}, "lookback": 10}')), 'RUNNING', 'none of many');
SELECT is((SELECT count(*)::int FROM mistral.event_news), 0, 'everything has been looked at');

-- ---- once for each task

SELECT pg_temp.at(200) \g /dev/null
CREATE TEMP TABLE run AS SELECT w AS workflow, mistral.start_workflow(w) AS id FROM unnest('{twice,side,again}'::text[]) w;
SELECT mistral.publish_event('tick', jsonb_build_object('n', n)) FROM generate_series(1, 2) n \g /dev/null
SELECT pg_temp.run() \g /dev/null
SELECT is((SELECT string_agg(e.state, ' ') FROM run JOIN mistral.executions e USING (id)), 'RUNNING RUNNING RUNNING', 'an event is heard once, not again');
SELECT mistral.publish_event('tick', jsonb_build_object('n', n)) FROM generate_series(3, 6) n \g /dev/null
SELECT pg_temp.run() \g /dev/null
SELECT is((SELECT e.state || e.output FROM run JOIN mistral.executions e USING (id) WHERE workflow = 'twice'), 'SUCCESS{"seen": [1, 2, 3]}', 'a task that runs again hears the next one');
SELECT is((SELECT (SELECT jsonb_agg(x ORDER BY x) FROM jsonb_array_elements(e.output -> 'seen') x) FROM run JOIN mistral.executions e USING (id) WHERE workflow = 'side'), '[1, 2, 3]', 'so does each item');
SELECT is((SELECT e.state || e.output FROM run JOIN mistral.executions e USING (id) WHERE workflow = 'again'), 'SUCCESS{"e": 5}', 'so does a retry, until the event is the right one');

-- ---- many waits for one event

SELECT pg_temp.at(250) \g /dev/null
SELECT count(mistral.run_action('std.wait_event', '{"event": "go"}')) FROM generate_series(1, 2100) \g /dev/null
SELECT pg_temp.run() \g /dev/null
SELECT mistral.publish_event('go') \g /dev/null
SELECT pg_temp.run() \g /dev/null
SELECT is((SELECT count(*)::int FROM mistral.action_execution WHERE state = 'SUCCESS' AND result ->> 'event' = 'go'), 2100, 'more than are told at once');
SELECT is((SELECT count(*)::int FROM mistral.event_wait WHERE event = 'go'), 0, 'all were told');

-- ---- too large

SELECT pg_temp.start('{"match": {"large": true}}') AS big \gset
SELECT pg_temp.start('{"match": {"order": 12}}') AS small \gset
SET LOCAL mistral.max_result_size = '64kB';
SELECT mistral.publish_event('paid', jsonb_build_object('large', true, 'x', repeat('x', 60000))) \g /dev/null
SELECT mistral.publish_event('paid', '{"order": 12}') \g /dev/null
SELECT pg_temp.run() \g /dev/null
SELECT alike((SELECT e.state || ' ' || e.state_info FROM mistral.executions e WHERE e.id = :'big'), 'ERROR%the event is larger than mistral.max_result_size (64 kB)%', 'an event that is too large ends the wait in ERROR');
SELECT alike(pg_temp.seen(:'small'), 'SUCCESS%"order": 12%', 'and holds up no other');
RESET mistral.max_result_size;

-- One that is too deep to be compared holds up no other either.
CREATE FUNCTION pg_temp.deep() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    deep jsonb := '1';
BEGIN
    -- As deep as can be made.
    LOOP
        deep := jsonb_build_object('deep', deep);
    END LOOP;
EXCEPTION WHEN statement_too_complex THEN
    RETURN deep;
END $$;
SET LOCAL max_stack_depth = '300kB';
CREATE TEMP TABLE deep AS SELECT pg_temp.deep() AS v;
SELECT pg_temp.start('{"event": "deep", "match": {"order": 13}}') AS small \gset
SELECT mistral.run_action('std.wait_event', '{"event": "deep"}') \g /dev/null
SELECT mistral.publish_event('deep', v) FROM deep \g /dev/null
SELECT mistral.publish_event('deep', '{"order": 13}') \g /dev/null
SELECT alike(pg_temp.seen(:'small'), 'SUCCESS%"order": 13%', 'one that is too deep to be told holds up no other');
RESET max_stack_depth;

-- ---- other ends, and wrong input

SELECT pg_temp.at(300) \g /dev/null
SELECT pg_temp.start(workflow => 'brief') AS f \gset
SELECT pg_temp.at(400) \g /dev/null
SELECT is(pg_temp.seen(:'f'), 'ERROR', 'the task''s timeout');
SELECT is((SELECT count(*)::int FROM mistral.event_wait w JOIN mistral.action_execution a ON a.id = w.action_id WHERE a.finished_at IS NOT NULL), 0, 'it waits no longer');
SELECT pg_temp.start('{"match": {"order": 5}}') AS g \gset
SELECT mistral.stop_workflow(:'g', 'CANCELLED') \g /dev/null
SELECT mistral.publish_event('paid', '{"order": 5}') \g /dev/null
SELECT is(pg_temp.seen(:'g'), 'CANCELLED', 'a stopped execution stays stopped');
SELECT pg_temp.start('{"match": {"order": 6}}') AS g \gset
SELECT mistral.complete_action(a.id, '"by hand"') FROM mistral.action_executions a JOIN mistral.tasks t ON t.id = a.task_id WHERE t.execution_id = :'g' \g /dev/null
SELECT pg_temp.run() \g /dev/null
SELECT is((SELECT e.state || (e.output ->> 'e') FROM mistral.executions e WHERE e.id = :'g'), 'SUCCESSby hand', 'who may can end it by hand');
SELECT is((SELECT count(*)::int FROM mistral.event_wait w WHERE w.match = '{"order": 6}'), 0, 'and then nothing waits');
SELECT mistral.run_action('std.wait_event', '{"event": "lone"}') AS l \gset
SELECT mistral.complete_action(:'l', '1') \g /dev/null
SELECT pg_temp.run() \g /dev/null
SELECT is((SELECT count(*)::int FROM mistral.event_wait w WHERE w.event = 'lone'), 0, 'without a workflow likewise');
SELECT is(pg_temp.seen(pg_temp.start(workflow => 'aimed')), 'RUNNING', 'a target makes no difference');
SELECT is((SELECT count(*)::int FROM mistral.offer), 0, 'it is on offer to nobody');
SELECT alike(pg_temp.refused(input), 'ERROR%std.wait_event": ' || error || '%', left(input::text, 50))
  FROM (VALUES
    ('{"event": ""}'::jsonb, 'event must be'),
    ('{"event": 7}', 'event must be'),
    ('{"event": "mistral.task.SUCCESS"}', 'event must not be one of a state'),
    ('{"event": null}', 'event must be'),
    (jsonb_build_object('event', repeat('x', 256)), 'event must be'),
    ('{"exchange": ""}', 'exchange and topic must be'),
    ('{"topic": []}', 'exchange and topic must be'),
    ('{"match": []}', 'match must be'),
    ('{"match": "x"}', 'match must be'),
    ('{"lookback": -1}', 'lookback must be'),
    ('{"lookback": 1e300}', 'lookback must be'),
    ('{"lookback": "1"}', 'lookback must be')) AS v (input, error);
SELECT throws_like($$SELECT mistral.run_action('std.wait_event', '{"event": 1}')$$, '%cannot run action%', 'without a workflow it is told at once');

-- ---- whose events

SELECT pg_temp.at(500) \g /dev/null
CREATE ROLE wait_event_a;
CREATE ROLE wait_event_b;
CREATE ROLE wait_event_ab IN ROLE wait_event_a, wait_event_b;
SELECT mistral.grant_access(r, k) FROM unnest('{wait_event_a,wait_event_b,wait_event_ab}'::regrole[]) r, unnest('{operator,author,publisher}'::text[]) k \g /dev/null
SET LOCAL ROLE wait_event_a;
SELECT mistral.load_workflow($$
version: '2.0'
own: {tasks: {t: {action: std.wait_event event="paid"}}}
$$) \g /dev/null
SELECT mistral.start_workflow('own') AS h \gset
SELECT mistral.start_workflow('own') AS i \gset
RESET ROLE;
SELECT pg_temp.run() \g /dev/null
SET LOCAL ROLE wait_event_b;
SELECT mistral.publish_event('paid') \g /dev/null
RESET ROLE;
SELECT is(pg_temp.seen(:'h'), 'RUNNING', 'another role''s event is not heard');
SET LOCAL ROLE wait_event_a;
SELECT mistral.publish_event('paid') \g /dev/null
RESET ROLE;
SELECT is(pg_temp.seen(:'h') || pg_temp.seen(:'i'), 'SUCCESSSUCCESS', 'one''s own is');
SELECT pg_temp.at(501) \g /dev/null
SET LOCAL ROLE wait_event_a;
SELECT mistral.start_workflow('own') AS h \gset
RESET ROLE;
SET LOCAL ROLE wait_event_b;
SELECT mistral.publish_event('paid') \g /dev/null
RESET ROLE;
SELECT is(pg_temp.seen(:'h'), 'RUNNING', 'also when the event came first');
SET LOCAL ROLE wait_event_ab;
SELECT mistral.publish_event('paid') \g /dev/null
RESET ROLE;
SELECT is(pg_temp.seen(:'h'), 'SUCCESS', 'that of a member is');

-- ---- changes of tables

SELECT pg_temp.at(600) \g /dev/null
CREATE TABLE public.wait_orders (id int PRIMARY KEY, state text NOT NULL);
INSERT INTO wait_orders VALUES (1, 'new'), (2, 'shipped');
SELECT mistral.load_workflow($$
version: '2.0'
shipped:
  input: [id]
  output: {how: <% $.how %>}
  tasks:
    look:
      action: std.async_noop
      publish: {how: there}
      on-success: [{hear: "<% not task().result %>"}]
    hear:
      action: std.wait_event
      input: {event: orders.changed, match: {new: {id: <% $.id %>, state: shipped}}}
      publish: {how: "<% task().result.payload.operation + ' ' + task().result.payload.old.state %>"}
$$) \g /dev/null
SELECT is(mistral.publish_changes('wait_orders', 'insert, update', 'orders.changed', filter => '<% $.new.state != lost %>', name => 'shipments'), 'shipments', 'changes are events');
SELECT is((SELECT row(w.event, w.workflow_name, w.filter)::text FROM mistral.table_watches w WHERE name = 'shipments'), '(orders.changed,,"<% $.new.state != lost %>")', 'as the view says');
-- Looks, as std.sql would, and is told that it is not shipped; meanwhile it is.
CREATE FUNCTION pg_temp.looked(of uuid, said text) RETURNS void LANGUAGE sql AS $$
    SELECT mistral.complete_action(a.id, looked.said::jsonb) FROM mistral.action_executions a JOIN mistral.tasks t ON t.id = a.task_id
     WHERE t.execution_id = looked.of AND t.name = 'look'
$$;
SELECT pg_temp.start('{"id": 1}', 'shipped') AS o1 \gset
SELECT pg_temp.start('{"id": 2}', 'shipped') AS o2 \gset
UPDATE wait_orders SET state = 'packed' WHERE id = 1;
UPDATE wait_orders SET state = 'shipped' WHERE id = 1;
SELECT pg_temp.looked(:'o1', 'false'), pg_temp.looked(:'o2', 'true') \g /dev/null
SELECT pg_temp.run() \g /dev/null
SELECT is((SELECT string_agg(e.state || e.output, ' ' ORDER BY e.id) FROM mistral.executions e WHERE e.id IN (:'o1', :'o2')),
          'SUCCESS{"how": "UPDATE packed"} SUCCESS{"how": "there"}', 'a change between the look and the wait is heard');
SELECT pg_temp.start('{"id": 3}', 'shipped') AS o3 \gset
SELECT pg_temp.looked(:'o3', 'false') \g /dev/null
SELECT pg_temp.run() \g /dev/null
SAVEPOINT change;
INSERT INTO wait_orders VALUES (3, 'shipped');
ROLLBACK TO change;
INSERT INTO wait_orders VALUES (4, 'shipped'), (5, 'lost');
SELECT pg_temp.run() \g /dev/null
SELECT is((SELECT e.state FROM mistral.executions e WHERE e.id = :'o3'), 'RUNNING', 'neither what was rolled back nor another row');
SELECT is((SELECT count(*)::int FROM mistral.event WHERE event = 'orders.changed'), 3, 'nor what the filter leaves out');
SELECT mistral.unwatch_table('shipments') \g /dev/null
UPDATE wait_orders SET state = 'new';
SELECT is((SELECT count(*)::int FROM mistral.event WHERE event = 'orders.changed'), 3, 'until unwatch_table');

-- ---- what is forgotten

SELECT is((SELECT count(*)::int FROM mistral.check()), 0, 'nothing is left over');
SELECT mistral.stop_workflow(id, 'CANCELLED') FROM mistral.execution WHERE id = root_id AND state = 'RUNNING' \g /dev/null
SELECT mistral.delete_execution(id) FROM mistral.execution WHERE id = root_id \g /dev/null
SELECT is((SELECT count(*)::int FROM mistral.event_wait), 0, 'nothing waits for what has been deleted');

SELECT pg_temp.at(86700) \g /dev/null
SELECT mistral.publish_event('fresh') \g /dev/null
SELECT pg_temp.run() \g /dev/null
SELECT is((SELECT count(*) FILTER (WHERE e.published_at < '2030-01-01 00:05')::text || ' ' || bool_or(event = 'fresh') FROM mistral.event e), '0 true', 'events are kept for mistral.event_retention');
SELECT ok((SELECT count(*) > 0 FROM mistral.event e WHERE e.published_at < '2030-01-01 00:10'), 'and so long');
SELECT is((SELECT count(*)::int FROM mistral.event_taken t WHERE NOT EXISTS (SELECT FROM mistral.event e WHERE e.id = t.event_id)), 0, 'who has heard them is forgotten with them');

SELECT * FROM finish();
ROLLBACK;
