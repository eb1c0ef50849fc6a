-- Many variables: what each task publishes is seen by those behind it, however the tree came into
-- memory, and a task's row does not grow with what the tasks before it have published.
BEGIN;
SET client_min_messages = error;
SELECT no_plan();

CREATE FUNCTION pg_temp.load(body text) RETURNS void LANGUAGE sql AS $$
    SELECT mistral.load_workflow(E'version: "2.0"\n' || body);
$$;
-- An aborted subtransaction takes the trees in memory with it.
CREATE FUNCTION pg_temp.forget() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE 'nothing';
EXCEPTION WHEN OTHERS THEN
    NULL;
END $$;
-- Runs to the end; each action that waits is completed in a step of its own.
CREATE FUNCTION pg_temp.run(id uuid, reload bool) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    action uuid;
BEGIN
    FOR i IN 1 .. 2000 LOOP
        IF reload THEN PERFORM pg_temp.forget(); END IF;
        IF mistral.step() > 0 THEN CONTINUE; END IF;
        SELECT a.id INTO action FROM mistral.action_execution a WHERE a.root_id = run.id AND a.state = 'RUNNING' ORDER BY a.id LIMIT 1;
        IF NOT FOUND THEN
            RETURN (SELECT output FROM mistral.executions e WHERE e.id = run.id);
        END IF;
        PERFORM mistral.complete_action(action, '1');
    END LOOP;
    RAISE 'the engine does not come to rest';
END $$;
-- n tasks in a row, each with a variable of its own and one that all publish; every tenth waits.
CREATE FUNCTION pg_temp.chain(n int) RETURNS text LANGUAGE sql AS $$
    SELECT E'w:\n  tasks:\n' || string_agg(format(
        E'    t%s:\n      action: %s\n      publish: {v%s: %s, last: %s, seen: "<%% $.get(v%s, -1) + $.get(v%s, -1) %%>"}\n%s',
        i, CASE WHEN i % 10 = 0 THEN 'std.async_noop' ELSE 'std.noop' END, i, i, i, i - 1, i / 2,
        CASE WHEN i < n THEN format(E'      on-success: t%s\n', i + 1) ELSE '' END), '' ORDER BY i)
      FROM generate_series(1, n) i
$$;
CREATE FUNCTION pg_temp.expected(n int) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_object_agg('v' || i, i) || jsonb_build_object('last', n, 'seen', n - 1 + n / 2) FROM generate_series(1, n) i
$$;

-- The whole of what a row's scope stands for, and how many variables the row itself has.
CREATE FUNCTION pg_temp.whole(id uuid, n int) RETURNS jsonb LANGUAGE sql AS $$
    WITH RECURSIVE parts AS (
        SELECT 0 AS depth, scope FROM mistral.task WHERE execution_id = $1 AND ordinal = $2
        UNION ALL
        SELECT depth + 1, t.scope FROM parts p JOIN mistral.task t ON t.execution_id = $1 AND to_jsonb(t.ordinal) = p.scope -> 1)
    SELECT COALESCE(jsonb_object_agg(e.key, e.value ORDER BY depth DESC), '{}')
      FROM parts, jsonb_each(CASE jsonb_typeof(scope) WHEN 'array' THEN scope -> 0 ELSE scope END) e
$$;
CREATE FUNCTION pg_temp.own(id uuid) RETURNS SETOF bigint LANGUAGE sql AS $$
    SELECT (SELECT count(*) FROM jsonb_object_keys(CASE jsonb_typeof(scope) WHEN 'array' THEN scope -> 0 ELSE scope END))
      FROM mistral.task WHERE execution_id = $1 AND scope IS NOT NULL
$$;

SELECT pg_temp.load(pg_temp.chain(20));
SELECT mistral.start_workflow('w') AS id \gset
SELECT is(pg_temp.run(:'id', false), pg_temp.expected(20), 'few variables');

SELECT pg_temp.load(pg_temp.chain(200));
SELECT mistral.start_workflow('w') AS id \gset
SELECT is(pg_temp.run(:'id', false), pg_temp.expected(200), 'many variables');
SELECT cmp_ok(max(own), '<=', 6::bigint, 'a row has what the task before it has published') FROM pg_temp.own(:'id') own;
SELECT is(pg_temp.whole(:'id', 199), (SELECT jsonb_object_agg('v' || i, i - 1) || '{"last": [198, 199], "seen": [198, 199]}' FROM generate_series(1, 199) i),
          'and leads to all the others');
SELECT mistral.start_workflow('w') AS id \gset
SELECT is(pg_temp.run(:'id', true), pg_temp.expected(200), 'many variables, loaded anew for each slice');
SELECT cmp_ok(max(own), '<=', 6::bigint, 'a row has no more then') FROM pg_temp.own(:'id') own;

-- Rows of before: every 40 tasks one has a base and its own, the others the task that has the base and their own.
CREATE FUNCTION pg_temp.diff(a jsonb, b jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT COALESCE(jsonb_object_agg(key, value), '{}') FROM jsonb_each(b) WHERE a -> key IS DISTINCT FROM value
$$;
SELECT mistral.start_workflow('w') AS id \gset
DO $$ BEGIN
    FOR i IN 1 .. 10 LOOP
        PERFORM mistral.step();
        PERFORM mistral.complete_action(id, '1') FROM mistral.action_execution WHERE finished_at IS NULL;
    END LOOP;
    PERFORM mistral.step();
END $$;
CREATE TEMP TABLE wholes AS SELECT ordinal, pg_temp.whole(:'id', ordinal) AS whole FROM mistral.task WHERE execution_id = :'id';
UPDATE mistral.task t
   SET scope = CASE WHEN w.ordinal < 40 THEN w.whole
                    ELSE jsonb_build_array(CASE WHEN w.ordinal = h.ordinal THEN b.whole ELSE to_jsonb(h.ordinal) END, pg_temp.diff(b.whole, w.whole)) END
  FROM wholes w JOIN wholes h ON h.ordinal = w.ordinal / 40 * 40 LEFT JOIN wholes b ON b.ordinal = h.ordinal - 3
 WHERE t.execution_id = :'id' AND t.ordinal = w.ordinal AND t.ordinal > 0;
SELECT is(array_agg(DISTINCT jsonb_typeof(scope -> 0) || jsonb_typeof(scope -> 1)), '{numberobject,objectobject}', 'rows of before')
  FROM mistral.task WHERE execution_id = :'id' AND ordinal >= 40;
SELECT pg_temp.forget();
SELECT is(pg_temp.run(:'id', true), pg_temp.expected(200), 'are read, and added to');
SELECT is(array_agg(ordinal ORDER BY ordinal) FILTER (WHERE jsonb_typeof(scope -> 0) = 'object' AND jsonb_typeof(scope -> 1) = 'object'), '{40,80}',
          'those that have a base keep it') FROM mistral.task WHERE execution_id = :'id';
-- The one that waited has a base and is written again.
SELECT mistral.start_workflow('w') AS id \gset
DO $$ BEGIN
    FOR i IN 1 .. 4 LOOP
        PERFORM mistral.step();
        PERFORM mistral.complete_action(id, '1') FROM mistral.action_execution WHERE finished_at IS NULL;
    END LOOP;
    PERFORM mistral.step();
END $$;
UPDATE mistral.task SET scope = jsonb_build_array(pg_temp.whole(:'id', 45), pg_temp.diff(pg_temp.whole(:'id', 45), pg_temp.whole(:'id', 49)))
 WHERE execution_id = :'id' AND ordinal = 49;
UPDATE mistral.task SET scope = jsonb_build_array(49, pg_temp.diff(pg_temp.whole(:'id', 45), pg_temp.whole(:'id', 48))) WHERE execution_id = :'id' AND ordinal = 48;
SELECT pg_temp.forget();
SELECT is(pg_temp.run(:'id', true), pg_temp.expected(200), 'a row with a base is written again');
SELECT is(jsonb_typeof(scope -> 0) || jsonb_typeof(scope -> 1), 'objectobject', 'and still has it')
  FROM mistral.task WHERE execution_id = :'id' AND ordinal = 49 AND state = 'SUCCESS';

-- A row that leads nowhere, or back to where one came from.
SELECT mistral.start_workflow('w') AS id \gset
SELECT mistral.step();
CREATE FUNCTION pg_temp.broken(id uuid, scope jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    UPDATE mistral.task t SET scope = broken.scope WHERE execution_id = $1 AND ordinal = 7;
    PERFORM pg_temp.forget();
    PERFORM mistral.execution_report($1);
    RAISE 'read' USING ERRCODE = 'MS999';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT is(pg_temp.broken(:'id', scope), 'XX001 the variables of task "t8" are missing: task ' || n || ' of its execution does not hold them', what)
  FROM (VALUES ('[{}, 1000]'::jsonb, 1000, 'a task that is not there'), ('[{}, 0]', 0, 'one without variables'), ('[{"x": 1}, 7]', 7, 'itself'),
               ('[6, {"x": 1}]', 6, 'one without a base'), ('[{"x": 1}, -1]', -1, 'none')) v (scope, n, what);
SELECT ok(pg_temp.broken(:'id', '[{}, 9]') LIKE 'XX001 the variables of task%are missing%', 'one that leads back');

-- Scopes of each size that are stored as a whole.
SELECT pg_temp.load('w: {tasks: {' || string_agg(format('a%1$s: {publish: {%2$s}, on-success: b%1$s}, b%1$s: {action: std.noop}', i,
    (SELECT string_agg(format('v%s: %s', k, k), ', ') FROM generate_series(1, i) k)), ', ') || '}}') FROM generate_series(1, 140) i;
SELECT mistral.start_workflow('w') AS id \gset
SELECT 1 FROM pg_temp.run(:'id', true);
SELECT is(count(*), 140::bigint, 'have the bytes that jsonb has for them') FROM mistral.task t
  JOIN mistral.task a ON a.execution_id = t.execution_id AND t.name = replace(a.name, 'a', 'b')
 WHERE t.execution_id = :'id' AND a.name LIKE 'a%' AND
       record_image_eq(ROW(t.scope), ROW((SELECT jsonb_object_agg('v' || k, a.ordinal) FROM generate_series(1, substr(a.name, 2)::int) k)));

-- Branches with many variables each, some in common, meet in a join and go on; one runs again.
SELECT pg_temp.load($$w:
  tasks:
    a: {publish: {$$ || string_agg(format('x%s: %s', i, i), ', ') || $$}, on-success: [b, c]}
    b: {action: std.async_noop, publish: {$$ || string_agg(format('b%s: %s, x%s: b', i, i, i), ', ') FILTER (WHERE i % 2 = 0) || $$}, on-success: j}
    c: {action: std.async_noop, publish: {$$ || string_agg(format('c%s: %s, x%s: c', i, i, i), ', ') FILTER (WHERE i % 2 = 1) || $$}, on-success: j}
    j: {join: all, action: std.async_noop, publish: {j: "<% $.x1 + $.x2 %>"}, on-success: k}
    k: {action: std.async_noop, publish: {k: "<% $.j + str($.b100) + str($.c99) %>"}}
$$) FROM generate_series(1, 100) i;
CREATE FUNCTION pg_temp.joined() RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_object_agg(CASE WHEN i % 2 = 0 THEN 'b' ELSE 'c' END || i, i) ||
           jsonb_object_agg('x' || i, CASE WHEN i % 2 = 0 THEN 'b' ELSE 'c' END) || '{"j": "cb", "k": "cb10099"}'
      FROM generate_series(1, 100) i
$$;
SELECT mistral.start_workflow('w') AS id \gset
SELECT is(pg_temp.run(:'id', false), pg_temp.joined(), 'a join of many variables');
SELECT mistral.start_workflow('w') AS id \gset
SELECT is(pg_temp.run(:'id', true), pg_temp.joined(), 'a join of many variables, loaded anew for each slice');
SELECT is(count(*), 0::bigint, 'no join''s row holds what others need')
  FROM mistral.task t JOIN mistral.task j ON j.execution_id = t.execution_id AND j.name = 'j'
 WHERE t.execution_id = :'id' AND t.scope -> 1 = to_jsonb(j.ordinal);

-- Fork and join again and again, each task with a variable of its own, behind many that all have.
SELECT pg_temp.load('w: {tasks: {first: {publish: {' || string_agg(format('x%s: %s', i, i), ', ') || '}, on-success: [a1, b1]}, ' || (
    SELECT string_agg(format('a%1$s: {publish: {a%1$s: %1$s, all: {a%1$s: %1$s}}, on-success: j%1$s}, '
                             'b%1$s: {action: %3$s, publish: {b%1$s: <%% $.x%1$s %%>, all: {b%1$s: %1$s}}, on-success: j%1$s}, '
                             'j%1$s: {join: all, publish: {j%1$s: <%% $.a%1$s + $.b%1$s %%>}%2$s}',
                             j, CASE WHEN j < 30 THEN format(', on-success: [a%1$s, b%1$s]', j + 1) ELSE '' END,
                             CASE WHEN j % 5 = 0 THEN 'std.async_noop' ELSE 'std.noop' END), ', ' ORDER BY j)
      FROM generate_series(1, 30) j) || '}}') FROM generate_series(1, 100) i;
CREATE FUNCTION pg_temp.forked() RETURNS jsonb LANGUAGE sql AS $$
    SELECT (SELECT jsonb_object_agg('x' || i, i) FROM generate_series(1, 100) i) || jsonb_object_agg('a' || i, i) || jsonb_object_agg('b' || i, i) ||
           jsonb_object_agg('j' || i, 2 * i) || jsonb_build_object('all', '{"a30": 30, "b30": 30}'::jsonb) FROM generate_series(1, 30) i
$$;
SELECT mistral.start_workflow('w') AS id \gset
SELECT is(pg_temp.run(:'id', false), pg_temp.forked(), 'forks and joins');
SELECT mistral.start_workflow('w') AS reloaded \gset
SELECT is(pg_temp.run(:'reloaded', true), pg_temp.forked(), 'forks and joins, loaded anew for each slice');
SELECT is((SELECT max(own) FROM (SELECT own FROM pg_temp.own(id) own ORDER BY own DESC OFFSET 1) o), 4::bigint,
          'one row has what all have: ' || what)
  FROM (VALUES (:'id'::uuid, 'in one go'), (:'reloaded', 'loaded anew')) v (id, what);
SELECT is(pg_temp.whole(:'id', ordinal), pg_temp.whole(:'reloaded', ordinal), 'all that the last one sees is the same')
  FROM mistral.task WHERE execution_id = :'id' AND name = 'j30';

-- A join runs again in each round, with other variables; what is behind an earlier round keeps those that it saw.
SELECT pg_temp.load('w: {tasks: {first: {publish: {round: 0, ' || string_agg(format('x%s: %s', i, i), ', ') || '}, on-success: [a, b]}, ' || $$
    a: {publish: {a: "<% $.round %>", round: "<% $.round + 1 %>"}, on-success: j}, b: {action: std.async_noop, publish: {b: "<% $.round %>"}, on-success: j},
    j: {join: all, publish: {j: "<% $.a + $.b %>"}, on-success: k},
    k: {action: std.async_noop, publish: {k: "<% $.j %>"}, on-success: [{a: "<% $.round < 4 %>"}, {b: "<% $.round < 4 %>"}]}}}$$) FROM generate_series(1, 100) i;
SELECT mistral.start_workflow('w') AS id \gset
SELECT is(pg_temp.run(:'id', true), (SELECT jsonb_object_agg('x' || i, i) || '{"a": 3, "b": 3, "j": 6, "k": 6, "round": 4}' FROM generate_series(1, 100) i), 'a join in rounds');
SELECT is(array_agg(pg_temp.whole(:'id', ordinal) -> 'round' ORDER BY ordinal), ARRAY[format('[%s, 2]', 1), format('[%s, 3]', 5), format('[%s, 4]', 8), format('[%s, 5]', 11)]::jsonb[], 'each round has its own')
  FROM mistral.task WHERE execution_id = :'id' AND name = 'k';

-- Many branches: each one changes variables that all have, adds one, and a member to an object.
SELECT pg_temp.load('w: {tasks: {first: {publish: {' || string_agg(format('x%s: %s', i, i), ', ') || '}, on-success: [' ||
    string_agg('b' || i, ', ') || ']}, ' ||
    string_agg(format('b%1$s: {publish: {b%1$s: %1$s, x%1$s: changed, object: {b%1$s: %1$s}, last: %1$s}, on-success: j}', i), ', ') ||
    ', j: {join: all, action: std.async_noop, publish: {sum: <% $.b1 + $.b300 %>}}}}') FROM generate_series(1, 300) i;
SELECT mistral.start_workflow('w') AS id \gset
CREATE FUNCTION pg_temp.fanned() RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_object_agg('b' || i, i) || jsonb_object_agg('x' || i, 'changed') || jsonb_build_object('last', 300, 'sum', 301, 'object', jsonb_object_agg('b' || i, i))
      FROM generate_series(1, 300) i
$$;
SELECT is(pg_temp.run(:'id', true), pg_temp.fanned(), 'many branches that differ');
-- What merging leaves behind is cleared away in between.
SELECT pg_temp.load('w: {tasks: {first: {on-success: [' || string_agg('b' || i, ', ') || ']}, ' ||
    string_agg(format('b%s: {publish: {%s, object: {b%s: %s}}, on-success: j}', i, (SELECT string_agg(format('x%s: %s', k, i), ', ') FROM generate_series(1, 1000) k), i, i), ', ') ||
    ', j: {join: all}}}') FROM generate_series(1, 120) i;
SELECT mistral.start_workflow('w') AS id \gset
SELECT is(pg_temp.run(:'id', false), (SELECT jsonb_object_agg('x' || i, 120) || jsonb_build_object('object', (SELECT jsonb_object_agg('b' || i, i) FROM generate_series(1, 120) i))
                                        FROM generate_series(1, 1000) i), 'many branches with many variables');

-- What runs again, or is skipped, has the variables that it had, and so do those behind it.
SELECT pg_temp.load('w: {tasks: {' || string_agg(format('t%1$s: {action: %2$s, publish: {v%1$s: %1$s, sum: %3$s}%4$s}', i,
    CASE WHEN i IN (35, 70) THEN 'std.noop, fail-on: <% env().k = bad %>, publish-on-error: {wrong: 1}, publish-on-skip: {v' || i || ': skipped}' ELSE 'std.noop' END,
    CASE WHEN i IN (1, 36, 69, 70, 71) THEN '0' ELSE format('<%% $.v%s + $.v%s %%>', i - 1, (i + 1) / 2) END,
    CASE WHEN i < 90 THEN format(', on-success: t%s', i + 1) ELSE '' END), ', ' ORDER BY i)
    || '}}') FROM generate_series(1, 90) i;
CREATE FUNCTION pg_temp.rerun(id uuid, reload bool) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    output jsonb;
BEGIN
    PERFORM pg_temp.run(id, reload);
    PERFORM mistral.rerun_task(t.id, env => '{"k": "good"}') FROM mistral.task t WHERE execution_id = rerun.id AND state = 'ERROR';
    PERFORM pg_temp.run(id, reload);
    RETURN pg_temp.run(id, reload);
END $$;
SELECT mistral.start_workflow('w', params => '{"env": {"k": "bad"}}') AS id \gset
SELECT is(pg_temp.rerun(:'id', false), (SELECT jsonb_object_agg('v' || i, i) || '{"sum": 134}' FROM generate_series(1, 90) i), 'one that runs again');
SELECT is(count(*), 90::bigint, 'all have run') FROM mistral.task WHERE execution_id = :'id' AND state = 'SUCCESS';
SELECT mistral.start_workflow('w', params => '{"env": {"k": "bad"}}') AS id \gset
SELECT is(pg_temp.rerun(:'id', true), (SELECT jsonb_object_agg('v' || i, i) || '{"sum": 134}' FROM generate_series(1, 90) i), 'loaded anew for each slice');
SELECT mistral.start_workflow('w', params => '{"env": {"k": "bad"}}') AS id \gset
SELECT 1 FROM pg_temp.run(:'id', true);
SELECT mistral.skip_task(id) FROM mistral.task WHERE execution_id = :'id' AND state = 'ERROR';
SELECT 1 FROM pg_temp.run(:'id', true);
SELECT mistral.rerun_task(id, env => '{"k": "good"}') FROM mistral.task WHERE execution_id = :'id' AND state = 'ERROR';
SELECT is(pg_temp.run(:'id', true), (SELECT jsonb_object_agg('v' || i, i) || '{"sum": 134, "v35": "skipped"}' FROM generate_series(1, 90) i), 'one that is skipped, and one that runs again');

SELECT * FROM finish();
ROLLBACK;
