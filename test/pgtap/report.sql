-- execution_report: the failing path, errors first, bounds, rights.
BEGIN;
SET client_min_messages = error;
SELECT no_plan();

CREATE FUNCTION pg_temp.run() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 300 LOOP
        IF mistral.step() = 0 THEN RETURN; END IF;
    END LOOP;
    RAISE 'the engine does not come to rest';
END $$;
CREATE FUNCTION pg_temp.at(seconds numeric) RETURNS void LANGUAGE sql AS $$
    SELECT set_config('mistral.fake_now', (timestamptz '2030-01-01 00:00:00Z' + seconds * interval '1 s')::text, true)
$$;
CREATE FUNCTION pg_temp.start(body text, name text DEFAULT 'w') RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    id uuid;
BEGIN
    PERFORM mistral.load_workflow(E'version: "2.0"\n' || body);
    id := mistral.start_workflow(name);
    PERFORM pg_temp.run();
    RETURN id;
END $$;
-- The names and states of a report's tree, in its order.
CREATE FUNCTION pg_temp.tree(e jsonb) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN (
    SELECT format('%s %s(%s)', e ->> 'name', e ->> 'state', COALESCE((SELECT string_agg(
               format('%s %s[%s%s]', t ->> 'name', t ->> 'state',
                      (SELECT string_agg(concat_ws(' ', a ->> 'name', a ->> 'state', a ->> 'state_info'), ',' ORDER BY i) FROM jsonb_array_elements(t -> 'actions') WITH ORDINALITY AS x(a, i)),
                      (SELECT string_agg(pg_temp.tree(s), ',' ORDER BY i) FROM jsonb_array_elements(t -> 'executions') WITH ORDINALITY AS x(s, i))), ' ' ORDER BY n)
             FROM jsonb_array_elements(e -> 'tasks') WITH ORDINALITY AS y(t, n)), '')));
END $$;

SELECT pg_temp.at(0);
SELECT pg_temp.start($$
w:
  tasks:
    good: {action: std.noop}
    handled: {action: std.fail error_data="never mind", on-error: good2}
    good2: {action: std.noop}
    bad: {workflow: middle}
    waiting: {wait-before: 60}
middle:
  tasks:
    ok: {action: std.noop}
    deep: {workflow: low}
low:
  tasks:
    fine: {action: std.noop, wait-before: 4, on-success: wrong}
    wrong: {action: std.fail error_data="the cause"}
$$) AS e \gset
SELECT is(jsonb_array_length(mistral.execution_report(:'e') -> 'failing_path'), 0, 'what runs has no failing path');
SELECT is((SELECT string_agg(w ->> 'detail', ', ' ORDER BY w ->> 'detail') FROM jsonb_array_elements(mistral.execution_report(:'e') -> 'waits_for') w),
          'the timer of wait-before has not run out, the timer of wait-before has not run out', 'but what it waits for');
SELECT pg_temp.at(4), pg_temp.run(), pg_temp.at(60), pg_temp.run();
SELECT mistral.execution_report(:'e') AS r \gset
SELECT is((SELECT string_agg(concat_ws(' ', p ->> 'kind', p ->> 'name'), ' > ' ORDER BY n) FROM jsonb_array_elements(:'r'::jsonb -> 'failing_path') WITH ORDINALITY AS x(p, n)),
          'execution w > task bad > execution middle > task deep > execution low > task wrong > action std.fail', 'the failing path ends at the cause');
SELECT matches(:'r'::jsonb #>> '{failing_path,5,state_info}', 'the cause', 'which says why');
SELECT is(:'r'::jsonb #>> '{failing_path,6,state_info}', 'the cause', 'in the action''s own words');
SELECT is(pg_temp.tree(:'r'::jsonb -> 'execution'),
          'w ERROR(bad ERROR[middle ERROR(deep ERROR[low ERROR(wrong ERROR[std.fail ERROR the cause] fine SUCCESS[std.noop SUCCESS])] ok SUCCESS[std.noop SUCCESS])] '
          'handled ERROR[std.fail ERROR never mind] good SUCCESS[std.noop SUCCESS] waiting SUCCESS[std.noop SUCCESS] good2 SUCCESS[std.noop SUCCESS])', 'errors come first, unhandled ones before handled ones');
SELECT is(:'r'::jsonb #> '{statistics}', '{"tasks": {"ERROR": 4, "SUCCESS": 5, "total": 9}, "executions": {"ERROR": 3, "total": 3}}', 'counts by state');
SELECT is((:'r'::jsonb #>> '{execution,seconds}')::numeric, 60::numeric, 'how long it took');
SELECT is((:'r'::jsonb #>> '{execution,tasks,0,seconds}')::numeric, 4::numeric, 'and the failing task');
SELECT ok(NOT :'r'::jsonb ? 'waits_for', 'what has ended waits for nothing');
SELECT is((mistral.execution_report(id) #>> '{execution,name}') || jsonb_array_length(mistral.execution_report(id) -> 'failing_path'), 'low3', 'a sub-workflow has a report of its own')
  FROM mistral.executions WHERE workflow_name = 'low';

-- bounds: the failing part is in, however large the rest
SELECT pg_temp.start($$
w:
  tasks:
    many: {with-items: i in <% range(3000) %>, action: std.noop, on-success: bad}
    bad: {action: std.fail error_data="here"}
$$) AS e \gset
SELECT mistral.execution_report(:'e') AS r \gset
SELECT is(:'r'::jsonb #>> '{failing_path,1,name}', 'bad', 'the path of a large one');
SELECT is(array[:'r'::jsonb #>> '{execution,tasks,0,name}', :'r'::jsonb #>> '{execution,tasks,1,name}'], '{bad,many}', 'the failing task is shown');
SELECT is(jsonb_array_length(:'r'::jsonb #> '{execution,tasks,1,actions}') + (:'r'::jsonb #>> '{execution,tasks,1,omitted}')::int, 3000, 'what is not shown is counted');
SELECT cmp_ok(length(:'r'), '<', 400000, 'and the whole is bounded');
SELECT pg_temp.start(format($$
w:
  tasks:
    bad: {action: std.fail error_data="%s"}
$$, repeat('long ', 5000))) AS e \gset
SELECT cmp_ok(length(mistral.execution_report(:'e')::text), '<', 16000, 'texts are cut');

-- who may see it
SELECT throws_ok($$SELECT mistral.execution_report('00000000-0000-0000-0000-000000000000')$$, 'MS023', NULL, 'what is not there');
SELECT throws_ok($$SELECT mistral.execution_report(NULL)$$, '22004', NULL, 'null');
CREATE ROLE report_stranger;
SELECT mistral.grant_access('report_stranger', 'viewer');
SET LOCAL ROLE report_stranger;
SELECT throws_ok(format('SELECT mistral.execution_report(%L)', :'e'), 'MS023', NULL, 'what others own');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
