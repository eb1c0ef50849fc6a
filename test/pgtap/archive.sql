-- What retention deletes goes to the archive, whole, and is read by whom it concerns.
BEGIN;
SET client_min_messages = error;
SELECT no_plan();
SET LOCAL mistral.archive = on;

CREATE ROLE archive_ann;
CREATE ROLE archive_eve;
SELECT mistral.grant_access(r, 'operator') FROM unnest('{archive_ann,archive_eve}'::regrole[]) r;
CREATE FUNCTION pg_temp.run() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    FOR i IN 1 .. 200 LOOP EXIT WHEN mistral.step() = 0; END LOOP;
END $$;
CREATE FUNCTION pg_temp.later(hours int) RETURNS void LANGUAGE sql AS $$
    SELECT set_config('mistral.fake_now', (timestamptz '2030-01-01 00:00Z' + hours * interval '1 h')::text, true)
$$;
SELECT mistral.load_workflow($$
version: '2.0'
whole:
  input: [n, x: null]
  output: {r: <% $.r %>}
  tasks:
    a: {action: std.echo output=<% $.n %>, publish: {r: <% task().result %>}, on-success: [b, c]}
    b: {workflow: below}
    c:
      with-items: i in <% range(3) %>
      action: std.echo output=<% $.i %>
below:
  tasks:
    d: {action: std.fail, on-error: e}
    e: {action: std.noop}
large:
  input: [x]
  tasks:
    a: {action: std.echo output=<% $.x %>, on-success: b}
    b: {action: std.echo output=<% $.x %>, on-success: c}
    c: {action: std.echo output=<% $.x %>}
stays:
  tasks:
    a: {action: std.async_noop}
$$, scope => 'public');

SELECT pg_temp.later(0);
SET LOCAL ROLE archive_ann;
SELECT mistral.start_workflow('whole', '{"n": 7}', description => 'the one') AS whole \gset
SELECT mistral.start_workflow('stays') AS stays \gset
SELECT mistral.run_action('std.echo', '{"output": "alone"}') AS alone \gset
SELECT pg_temp.run();
RESET ROLE;

-- What the views show, before and from the archive.
CREATE TEMP TABLE shown AS
SELECT (SELECT jsonb_object_agg(e.id, jsonb_build_array(e.workflow_name, e.state, e.input, e.output, e.finished_at)) FROM mistral.executions e
         WHERE e.root_execution_id = :'whole') AS executions,
       (SELECT jsonb_object_agg(t.id, jsonb_build_array(t.execution_id, t.name, t.state, t.published, t.ordinal)) FROM mistral.tasks t
         WHERE t.root_execution_id = :'whole') AS tasks,
       (SELECT jsonb_object_agg(a.id, jsonb_build_array(a.task_id, a.name, a.state, a.input, a.output -> 'result')) FROM mistral.action_executions a
          JOIN mistral.tasks t ON t.id = a.task_id WHERE t.root_execution_id = :'whole') AS actions;

SELECT pg_temp.later(2);
SET LOCAL mistral.retention = '1h';
SELECT is(mistral.run_retention(), 2, 'an execution and a lone action go');
SELECT is((SELECT array_agg(id) FROM mistral.executions), ARRAY[:'stays'::uuid], 'what runs stays');
SELECT is((SELECT count(*)::int FROM mistral.task), 1, 'nothing of the others');
SELECT is((SELECT array_agg(id ORDER BY id) FROM mistral.archived), (SELECT array_agg(v ORDER BY v) FROM unnest(ARRAY[:'whole', :'alone']::uuid[]) v),
          'they are in the archive');
SELECT is((SELECT format('%s %s %s %s %s', kind, name, state, owner, part) FROM mistral.archived WHERE id = :'whole'), 'execution whole SUCCESS archive_ann 0', 'the execution');
SELECT is((SELECT archived_at FROM mistral.archived WHERE id = :'whole'), mistral.now(), 'with its time');
SELECT is((SELECT format('%s %s %s', kind, name, state) FROM mistral.archived WHERE id = :'alone'), 'action std.echo SUCCESS', 'the action');
SELECT is(mistral.archived_execution(:'alone') #> '{actions,0,result}', '"alone"', 'with its result');

CREATE TEMP TABLE kept AS SELECT mistral.archived_execution(:'whole') AS d;
SELECT is((SELECT jsonb_object_agg(e ->> 'id', jsonb_build_array(e -> 'name', e -> 'state', e -> 'input', COALESCE(NULLIF(e -> 'output', 'null'), '{}'), (e ->> 'finished_at')::timestamptz))
             FROM kept, jsonb_array_elements(d -> 'executions') e), (SELECT executions FROM shown), 'all executions of the tree');
SELECT is((SELECT jsonb_object_agg(t ->> 'id', jsonb_build_array(t -> 'execution_id', t -> 'name', t -> 'state', COALESCE(NULLIF(t -> 'published', 'null'), '{}'), t -> 'ordinal'))
             FROM kept, jsonb_array_elements(d -> 'tasks') t), (SELECT tasks FROM shown), 'all tasks');
SELECT is((SELECT jsonb_object_agg(a ->> 'id', jsonb_build_array(a -> 'task_id', a -> 'name', a -> 'state', a -> 'input', a -> 'result'))
             FROM (SELECT jsonb_array_elements(d -> 'actions') AS a FROM kept UNION ALL
                   SELECT jsonb_build_object('id', t -> 'action_id', 'task_id', t -> 'id', 'name', t -> 'action_name', 'state', t -> 'action_state', 'input', t -> 'input', 'result', t -> 'result')
                     FROM kept, jsonb_array_elements(d -> 'tasks') t WHERE t ->> 'action_id' IS NOT NULL) x), (SELECT actions FROM shown), 'all actions');
SELECT is((SELECT d #>> '{executions,0,id}' FROM kept), :'whole', 'the root first');
SELECT is(mistral.archived_execution(gen_random_uuid()), NULL, 'what is not there is null');

SET LOCAL ROLE archive_eve;
SELECT is((SELECT count(*)::int FROM mistral.archived), 0, 'others see nothing');
SELECT is(mistral.archived_execution(:'whole'), NULL, 'and read nothing');
SELECT throws_ok('SELECT FROM mistral.archive', '42501', NULL, 'nor the table');
SET LOCAL ROLE archive_ann;
SELECT is(mistral.archived_execution(:'whole') #>> '{executions,0,description}', 'the one', 'the owner does');
RESET ROLE;

-- A tree larger than a document may be.
SELECT mistral.start_workflow('large', jsonb_build_object('x', repeat('x', 7000000))) AS large \gset
SELECT pg_temp.run();
SELECT pg_temp.later(4);
SELECT is(mistral.run_retention(), 1, 'a large one goes');
SELECT cmp_ok((SELECT count(*)::int FROM mistral.archived WHERE id = :'large'), '>', 1, 'in parts');
SELECT is((SELECT min(part) FROM mistral.archived WHERE id = :'large'), 0, 'from 0');
SELECT is((SELECT string_agg(t ->> 'name', ' ' ORDER BY no) || ' ' || sum(length(t ->> 'result'))
             FROM jsonb_array_elements(mistral.archived_execution(:'large') -> 'tasks') WITH ORDINALITY AS l(t, no)), 'a b c 21000000', 'and is put together');

-- Partitions of one's own.
CREATE TABLE archive_2030 PARTITION OF mistral.archive FOR VALUES FROM ('2030-01-01 04:00Z') TO ('2031-01-01 00:00Z');
SELECT mistral.start_workflow('whole', '{"n": 1}') AS second \gset
SELECT pg_temp.run();
SELECT pg_temp.later(6);
SELECT is(mistral.run_retention(), 1, 'another one goes');
SELECT is((SELECT array_agg(id) FROM archive_2030), ARRAY[:'second'::uuid], 'to the partition of its time');

SET LOCAL mistral.archive = off;
SELECT mistral.start_workflow('whole', '{"n": 1}') AS third \gset
SELECT mistral.start_workflow('whole', '{"n": 1}') AS fourth \gset
SELECT pg_temp.run();
SELECT pg_temp.later(8);
SELECT is(mistral.run_retention(), 2, 'without the setting');
SELECT is((SELECT count(*)::int FROM mistral.archived WHERE id IN (:'third', :'fourth')), 0, 'nothing is archived');
SELECT is_empty('SELECT * FROM mistral.check()', 'nothing is out of place');

SELECT * FROM finish();
ROLLBACK;
