-- Events, event triggers, watched tables.
BEGIN;
SET client_min_messages = error;
SELECT no_plan();

SELECT mistral.load_workflow($$
version: '2.0'
w:
  input: [n]
  output: {n: <% $.n %>, p: <% execution().params.get(event_params) %>}
  tasks:
    t: {action: std.noop}
$$);
CREATE FUNCTION pg_temp.outputs() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 50 LOOP EXIT WHEN mistral.step() = 0; END LOOP;
    RETURN (SELECT COALESCE(string_agg(output::text, ' ' ORDER BY created_at, id), '') FROM mistral.executions WHERE description <> 'seen');
END $$;
-- Forgets what has been looked at.
CREATE FUNCTION pg_temp.clear() RETURNS void LANGUAGE sql AS $$
    SELECT mistral.delete_execution(id) FROM mistral.executions
$$;

-- ---- events

SELECT mistral.create_event_trigger('t', 'w', 'host.down', filter => '<% $.payload.severity > 2 %>',
                                    input => '{"n": "<% $.payload.host %>"}', params => '{"env": {"e": 1}}');
SELECT is(mistral.publish_event('host.down', '{"host": "a", "severity": 3}'), 1, 'an event starts a workflow');
SELECT is(pg_temp.outputs(), '{"n": "a", "p": {"host": "a", "severity": 3}}', 'whose input is made of it, and whose params hold it');
SELECT is((SELECT params -> 'env' FROM mistral.executions), '{"e": 1}', 'beside the trigger''s params');
SELECT is((SELECT description::jsonb #>> '{triggered_by,name}' FROM mistral.executions), 't', 'the description names the trigger');
SELECT pg_temp.clear();
SELECT is(mistral.publish_event('host.down', '{"host": "a", "severity": 2}'), 0, 'the filter says no');
SELECT is(mistral.publish_event('host.up', '{"host": "a", "severity": 3}'), 0, 'another event');
SELECT is(mistral.publish_event('host.down', '{"host": "b", "severity": 3}', dedup_key => 'k1'), 1, 'a key');
SELECT is(mistral.publish_event('host.down', '{"host": "b", "severity": 3}', dedup_key => 'k1'), 0, 'the same key is the same event');
SELECT is(mistral.publish_event('host.down', '{"host": "b", "severity": 3}', dedup_key => 'k2'), 1, 'another key is another');
SELECT set_config('mistral.fake_now', (now() + interval '25 h')::text, true);
SELECT is(mistral.publish_event('host.down', '{"host": "b", "severity": 3}', dedup_key => 'k1'), 1, 'for a day');
SELECT set_config('mistral.fake_now', '', true);
SAVEPOINT s;
SELECT mistral.publish_event('host.down', '{"host": "c", "severity": 3}');
ROLLBACK TO s;
SELECT pg_temp.clear() FROM (SELECT pg_temp.outputs()) o;
SELECT is((SELECT count(*)::int FROM mistral.executions), 0, 'what was published in a transaction that is rolled back never was');

SELECT mistral.create_event_trigger('any', 'w', 'alarm.*', exchange => 'aodh', input => '{"n": "<% $.event %> <% $.exchange %> <% $.topic %>"}');
SELECT is(mistral.publish_event('alarm.cpu', '{}', 'nagios', 't'), 0, 'another exchange');
SELECT is(mistral.publish_event('alarm.cpu'), 0, 'none');
SELECT is(mistral.publish_event('alarm.cpu', '{}', 'aodh', 't'), 1, 'a name that begins so, the exchange');
SELECT is(pg_temp.outputs(), '{"n": "alarm.cpu aodh t", "p": {}}', 'what expressions see');
SELECT pg_temp.clear();
SELECT mistral.create_event_trigger('broken', 'w', 'alarm.*', filter => '<% $.payload.nothing %>');
SELECT is(mistral.publish_event('alarm.cpu', '{}', 'aodh'), 1, 'a trigger that fails does not hold up another');
SELECT mistral.delete_event_trigger('broken'), mistral.delete_event_trigger('any'), mistral.delete_event_trigger('t');
SELECT is((SELECT count(*)::int FROM mistral.event_triggers), 0, 'deleted');
SELECT pg_temp.clear() FROM (SELECT pg_temp.outputs()) o;

SELECT throws_ok($$SELECT mistral.create_event_trigger('x', 'nowhere', 'e')$$, 'MS003', 'workflow "nowhere" does not exist');
SELECT throws_ok($$SELECT mistral.create_event_trigger('x', 'w', 'e', filter => 'true')$$, '22023', 'the filter is not one expression');
SELECT throws_ok($$SELECT mistral.create_event_trigger('x', 'w', 'e', filter => '<% $. %>')$$, 'MS010', 'the filter does not parse');
SELECT throws_ok($$SELECT mistral.create_event_trigger('x', 'w', '')$$, '22023', 'event must have 1 to 255 characters');
SELECT throws_ok($$SELECT mistral.delete_event_trigger('x')$$, 'MS003', 'event trigger "x" does not exist');
SELECT throws_ok($$SELECT mistral.publish_event('e', dedup_key => repeat('k', 1001))$$, '22023', 'dedup_key must have at most 1000 bytes');

-- ---- tables

CREATE TABLE orders (id int PRIMARY KEY, item text, amount numeric);
SELECT is(mistral.watch_table('orders', 'insert, update', 'w', '{"n": "<% $.operation %> <% $.new.id %> <% $.new.amount %>"}',
                              filter => '<% $.new.amount > 1 %>', name => 'big orders'), 'big orders', 'a watch');
INSERT INTO orders VALUES (1, 'nail', 0.5), (2, 'ladder', 30), (3, 'saw', 20);
SELECT is(pg_temp.outputs(), '{"n": "INSERT 2 30", "p": null} {"n": "INSERT 3 20", "p": null}', 'one execution for each row that the filter lets through');
SELECT pg_temp.clear();
UPDATE orders SET amount = amount * 3;
SELECT is(pg_temp.outputs(), '{"n": "UPDATE 1 1.5", "p": null} {"n": "UPDATE 2 90", "p": null} {"n": "UPDATE 3 60", "p": null}', 'updates');
SELECT pg_temp.clear();
SAVEPOINT s;
INSERT INTO orders VALUES (4, 'axe', 40);
ROLLBACK TO s;
DELETE FROM orders WHERE id = 3;
SELECT is((SELECT count(*)::int FROM mistral.executions), 0, 'neither what was rolled back nor what is not watched');
SELECT mistral.unwatch_table('big orders');
INSERT INTO orders VALUES (5, 'axe', 40);
SELECT is((SELECT count(*)::int FROM mistral.executions), 0, 'no longer watched');
SELECT is((SELECT count(*)::int FROM pg_trigger WHERE tgrelid = 'orders'::regclass), 0, 'and the trigger is gone');

SELECT mistral.watch_table('orders', 'delete', 'w', '{"n": "<% $.table %> <% $.old.item %> <% $.new %>"}', name => 'gone');
DELETE FROM orders WHERE id = 5;
SELECT is(pg_temp.outputs(), '{"n": "public.orders axe None", "p": null}', 'deletes');
SELECT pg_temp.clear();
-- What cannot be started is an error of the statement: a change without its workflow would be lost.
SELECT mistral.delete_workflow('w');
SELECT throws_ok('DELETE FROM orders', 'MS003', 'workflow "w" does not exist');
SELECT mistral.unwatch_table('gone');

SELECT mistral.load_workflow(E'version: "2.0"\nw:\n  input: [n]\n  output: {n: <% $.n %>}\n  tasks: {t: {action: std.noop}}');
CREATE TABLE parts (id int, day date) PARTITION BY RANGE (day);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2030-01-01') TO ('2031-01-01');
SELECT mistral.watch_table('parts', 'insert', 'w', '{"n": "<% $.new.id %>"}', name => 'parts');
INSERT INTO parts VALUES (7, '2030-05-01');
SELECT is(pg_temp.outputs(), '{"n": 7}', 'partitions are watched with their table');
SELECT pg_temp.clear();

SELECT throws_ok($$SELECT mistral.publish_changes('mistral.executions', 'insert', 'x')$$, '42809', 'only tables can be watched');
SELECT throws_ok($$SELECT mistral.publish_changes('orders', 'insert', '')$$, '22023');
SELECT throws_ok($$SELECT mistral.publish_changes('orders', 'insert', 'mistral.task.ERROR')$$, 'event name "mistral.task.ERROR" is reserved');
SELECT throws_ok($$SELECT mistral.publish_changes('orders', 'insert', 'x', filter => '<% ( %>')$$);
SELECT throws_ok($$SELECT mistral.watch_table('orders', 'truncate', 'w')$$, '22023', 'operation "truncate" does not exist');
SELECT throws_ok($$SELECT mistral.watch_table('orders', '', 'w')$$, '22023', 'operations must name insert, update or delete');
SELECT throws_ok($$SELECT mistral.watch_table('mistral.executions', 'insert', 'w')$$, '42809', 'only tables can be watched');
SELECT throws_ok($$SELECT mistral.unwatch_table('x')$$, 'MS003', 'watch "x" does not exist');

-- ---- other roles

CREATE ROLE mistral_events_ann;
CREATE ROLE mistral_events_bob;
SELECT mistral.grant_access('mistral_events_ann', 'operator'), mistral.grant_access('mistral_events_bob', 'operator');
SELECT mistral.load_workflow(E'version: "2.0"\nshared:\n  tasks: {t: {action: std.noop}}', scope => 'public');
SET ROLE mistral_events_ann;
SELECT mistral.create_event_trigger('mine', 'shared', 'e');
SELECT throws_ok($$SELECT mistral.create_event_trigger('all', 'shared', 'e', scope => 'public')$$, '42501', NULL, 'a public trigger needs the right to publish');
SELECT throws_ok($$SELECT mistral.watch_table('public.orders', 'insert', 'shared')$$, '42501', 'permission denied for table orders',
                 'who may put no trigger on a table may not watch it');
SELECT throws_ok($$SELECT mistral.publish_changes('public.orders', 'insert', 'x')$$, '42501', 'permission denied for table orders',
                 'nor publish its changes');
SET ROLE mistral_events_bob;
SELECT is(mistral.publish_event('e'), 0, 'a trigger does not hear strangers');
SELECT throws_ok($$SELECT mistral.delete_event_trigger('mine')$$, 'MS003', 'event trigger "mine" does not exist');
RESET ROLE;
SELECT mistral.grant_access('mistral_events_ann', 'publisher');
SET ROLE mistral_events_ann;
SELECT is(mistral.publish_event('e'), 1, 'but its owner');
SELECT mistral.create_event_trigger('all', 'shared', 'f', scope => 'public');
SET ROLE mistral_events_bob;
SELECT is(mistral.publish_event('f'), 1, 'a public one hears everybody');
RESET ROLE;
SELECT is((SELECT string_agg(DISTINCT owner::text, ' ') FROM mistral.executions WHERE workflow_name = 'shared'), 'mistral_events_ann',
          'what a trigger starts is its owner''s');
-- A role that only writes into the table starts what its watcher may start.
GRANT TRIGGER, INSERT ON orders TO mistral_events_ann;
GRANT INSERT ON orders TO mistral_events_bob;
GRANT USAGE ON SCHEMA public TO mistral_events_ann, mistral_events_bob;
SET ROLE mistral_events_ann;
SELECT mistral.watch_table('public.orders', 'insert', 'shared', name => 'anns');
SET ROLE mistral_events_bob;
INSERT INTO public.orders VALUES (100, 'x', 1);
RESET ROLE;
SELECT is((SELECT count(*)::int FROM mistral.executions WHERE workflow_name = 'shared' AND owner = 'mistral_events_ann'::regrole), 3, 'with the watcher''s rights');
SET ROLE mistral_events_ann;
SELECT lives_ok($$SELECT mistral.unwatch_table('anns')$$, 'who watches may stop to, without owning the table');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
