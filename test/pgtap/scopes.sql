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
        SELECT a.id INTO action FROM mistral.action_execution a WHERE a.root_id = run.id AND finished_at IS NULL ORDER BY a.id LIMIT 1;
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

SELECT pg_temp.load(pg_temp.chain(20));
SELECT mistral.start_workflow('w') AS id \gset
SELECT is(pg_temp.run(:'id', false), pg_temp.expected(20), 'few variables');
SELECT is(count(*) FILTER (WHERE jsonb_typeof(scope) = 'array'), 0::bigint, 'are in every row as they are') FROM mistral.task WHERE execution_id = :'id';

SELECT pg_temp.load(pg_temp.chain(200));
SELECT mistral.start_workflow('w') AS id \gset
SELECT is(pg_temp.run(:'id', false), pg_temp.expected(200), 'many variables');
SELECT cmp_ok(count(*) FILTER (WHERE jsonb_typeof(scope -> 0) = 'object'), '<=', 10::bigint, 'are in few rows')
  FROM mistral.task WHERE execution_id = :'id';
SELECT cmp_ok(max(pg_column_size(scope)) FILTER (WHERE jsonb_typeof(scope -> 0) = 'number'), '<', 1500, 'a row has only those published since')
  FROM mistral.task WHERE execution_id = :'id';
SELECT mistral.start_workflow('w') AS id \gset
SELECT is(pg_temp.run(:'id', true), pg_temp.expected(200), 'many variables, loaded anew for each slice');

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
 WHERE t.execution_id = :'id' AND t.scope -> 0 = to_jsonb(j.ordinal);

SELECT * FROM finish();
ROLLBACK;
