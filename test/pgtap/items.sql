-- with-items by a window: of many items only those under way are unfinished and in memory,
-- whatever happens between two steps; results come from the rows, in order.
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
CREATE FUNCTION pg_temp.unfinished(id uuid) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM mistral.action_executions a JOIN mistral.tasks t ON t.id = a.task_id
     WHERE t.root_execution_id = $1 AND a.finished_at IS NULL
$$;
-- Memory of the trees of this session, in kB.
CREATE FUNCTION pg_temp.memory() RETURNS bigint LANGUAGE sql AS $$
    SELECT COALESCE(sum(total_bytes), 0)::bigint / 1024 FROM pg_backend_memory_contexts
     WHERE name IN ('mistral tree', 'mistral tree step', 'mistral execution', 'mistral task', 'mistral item')
$$;
-- Steps until nothing is left to do; the most that was unfinished and the most memory at any look.
CREATE FUNCTION pg_temp.run(id uuid, reload bool, OUT steps int, OUT most bigint, OUT memory bigint) LANGUAGE plpgsql AS $$
BEGIN
    most := 0;
    memory := 0;
    FOR i IN 1 .. 2000 LOOP
        IF reload THEN PERFORM pg_temp.forget(); END IF;
        steps := i;
        IF mistral.step() = 0 THEN RETURN; END IF;
        most := GREATEST(most, pg_temp.unfinished(id));
        memory := GREATEST(memory, pg_temp.memory());
    END LOOP;
    RAISE 'the engine does not come to rest';
END $$;

-- ---------------------------------------------------------------- inline items

SELECT pg_temp.load($$
w:
  input: [n]
  output: {first: <% task(t1).result.first() %>, last: <% task(t1).result.last() %>, n: <% task(t1).result.len() %>, sum: <% task(t1).result.sum() %>}
  tasks:
    t1:
      with-items: i in <% range($.n) %>
      action: std.echo output=<% $.i %>
      concurrency: 100
$$);

SELECT mistral.start_workflow('w', '{"n": 20000}') AS id \gset
SELECT * FROM pg_temp.run(:'id', false) \gset
SELECT cmp_ok(:most::int, '<=', 100, 'no more items are unfinished at any look than may run');
SELECT cmp_ok(:steps::int, '>=', 20, 'a slice ends before 20,000 items have run');
SELECT cmp_ok(:memory::int, '<', 4096, 'what has ended leaves memory');
SELECT is(output, '{"first": 0, "last": 19999, "n": 20000, "sum": 199990000}', 'every item has its result, in order')
  FROM mistral.executions WHERE id = :'id';
SELECT is(count(*), 20000::bigint, 'every item has its row') FROM mistral.action_executions a JOIN mistral.tasks t ON t.id = a.task_id
 WHERE t.execution_id = :'id' AND a.state = 'SUCCESS' AND a.accepted;

SELECT mistral.start_workflow('w', '{"n": 5000}') AS id \gset
SELECT * FROM pg_temp.run(:'id', true) \gset
SELECT cmp_ok(:most::int, '<=', 100, 'loaded anew for each slice, too');
SELECT is(output, '{"first": 0, "last": 4999, "n": 5000, "sum": 12497500}', 'and nothing is lost or done twice')
  FROM mistral.executions WHERE id = :'id';

SELECT pg_temp.load($$
w:
  input: [n]
  output: {n: <% task(t1).result.len() %>, sum: <% task(t1).result.sum() %>}
  tasks:
    t1:
      with-items: i in <% range($.n) %>
      action: std.echo output=<% $.i %>
$$);
SELECT mistral.start_workflow('w', '{"n": 20000}') AS id \gset
SELECT * FROM pg_temp.run(:'id', false) \gset
SELECT cmp_ok(:memory::int, '<', 4096, 'inline items without a limit do not pile up either');
SELECT is(output, '{"n": 20000, "sum": 199990000}', 'and all have run') FROM mistral.executions WHERE id = :'id';

SELECT mistral.start_workflow('w', '{"n": 20000}') AS id \gset
SELECT mistral.step();
SELECT mistral.cancel_workflow(:'id');
SELECT * FROM pg_temp.run(:'id', false) \gset
SELECT cmp_ok(count(*)::int, '<', 20000, 'a cancelled workflow starts no more items') FROM mistral.action_executions a
  JOIN mistral.tasks t ON t.id = a.task_id WHERE t.execution_id = :'id';

SELECT mistral.start_workflow('w', '{"n": 20000}') AS id \gset
SELECT mistral.step();
SELECT mistral.pause_workflow(:'id');
SELECT * FROM pg_temp.run(:'id', true) \gset
SELECT is(state, 'PAUSED', 'a pause keeps further items back') FROM mistral.executions WHERE id = :'id';
SELECT cmp_ok(count(*)::int, '<', 20000, 'they do not exist') FROM mistral.action_executions a
  JOIN mistral.tasks t ON t.id = a.task_id WHERE t.execution_id = :'id';
SELECT mistral.resume_workflow(:'id');
SELECT * FROM pg_temp.run(:'id', false) \gset
SELECT is(output, '{"n": 20000, "sum": 199990000}', 'a resume starts them') FROM mistral.executions WHERE id = :'id';

-- ---------------------------------------------------------------- items that others end

SELECT pg_temp.load($$
w:
  input: [n]
  output: {result: <% task(t1).result %>}
  tasks:
    t1: {with-items: i in <% range($.n) %>, action: std.async_noop, concurrency: 10}
$$);
-- The item's number, from the order in which items were started.
CREATE FUNCTION pg_temp.finish(id uuid, failing int[]) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(CASE WHEN item = ANY (failing) THEN mistral.fail_action(a.id, to_jsonb(item))
                      ELSE mistral.complete_action(a.id, to_jsonb(item)) END)
      FROM mistral.action_execution a JOIN mistral.task t ON t.id = a.task_id
     WHERE t.execution_id = $1 AND a.finished_at IS NULL
$$;
CREATE FUNCTION pg_temp.finish_all(id uuid, failing int[], reload bool) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
    most bigint := 0;
BEGIN
    FOR i IN 1 .. 100 LOOP
        IF reload THEN PERFORM pg_temp.forget(); END IF;
        PERFORM pg_temp.run(id, reload);
        n := pg_temp.finish(id, failing);
        IF n = 0 THEN RETURN most; END IF;
        most := GREATEST(most, n);
    END LOOP;
    RAISE 'the items do not end';
END $$;

CREATE FUNCTION pg_temp.rerun_case(reload bool) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    e uuid := mistral.start_workflow('w', '{"n": 35}');
    how text := CASE WHEN reload THEN ' (loaded anew)' ELSE '' END;
BEGIN
    RETURN NEXT is(pg_temp.finish_all(e, '{3, 17, 34}', reload), 10::bigint, 'ten at a time' || how);
    RETURN NEXT is(state, 'ERROR', 'three items have failed' || how) FROM mistral.tasks WHERE execution_id = e AND name = 't1';
    PERFORM mistral.rerun_task(id, reset => false) FROM mistral.tasks WHERE execution_id = e AND name = 't1';
    PERFORM pg_temp.run(e, reload);
    RETURN NEXT is(pg_temp.unfinished(e), 3::bigint, 'only these three run again' || how);
    RETURN NEXT is(pg_temp.finish_all(e, '{17}', reload), 3::bigint, 'and end' || how);
    RETURN NEXT is(state, 'ERROR', 'one has failed once more' || how) FROM mistral.tasks WHERE execution_id = e AND name = 't1';
    PERFORM mistral.rerun_task(id, reset => false) FROM mistral.tasks WHERE execution_id = e AND name = 't1';
    PERFORM pg_temp.finish_all(e, '{}', reload);
    RETURN NEXT is(state, 'SUCCESS', 'then not' || how) FROM mistral.executions WHERE id = e;
    RETURN NEXT is(output -> 'result', (SELECT jsonb_agg(i) FROM generate_series(0, 34) i), 'one result for each item, in order' || how)
      FROM mistral.executions WHERE id = e;
    RETURN NEXT is(count(*) FILTER (WHERE accepted), 35::bigint, 'one row counts for each item' || how)
      FROM mistral.action_execution WHERE execution_id = e AND item IS NOT NULL;
END $$;
SELECT pg_temp.rerun_case(false);
SELECT pg_temp.rerun_case(true);

-- An input that cannot be evaluated is found before anything starts.
SELECT pg_temp.load($$
w:
  tasks:
    t1:
      with-items: i in [1, 2, 3]
      action: std.echo output=<% 6 / ($.i - 2) %>
$$);
SELECT mistral.start_workflow('w') AS id \gset
SELECT * FROM pg_temp.run(:'id', false) \gset
SELECT is((SELECT e.state || ' ' || count(a.id) FROM mistral.executions e JOIN mistral.tasks t ON t.execution_id = e.id
                                                 LEFT JOIN mistral.action_executions a ON a.task_id = t.id
            WHERE e.id = :'id' GROUP BY e.state), 'ERROR 0', 'no item starts where one of them has no input');

-- ---------------------------------------------------------------- sub-workflows

SELECT pg_temp.load($$
sub: {input: [i], output: {i: '<% $.i %>'}, tasks: {a: {action: std.async_noop}}}
w:
  output: {result: <% task(t1).result.select($.i) %>}
  tasks:
    t1:
      with-items: i in [0, 1, 2]
      workflow: sub i=<% $.i %>
$$);
SELECT mistral.start_workflow('w') AS id \gset
SELECT * FROM pg_temp.run(:'id', false) \gset
-- One of the three ends, and the tree is loaded anew.
SELECT mistral.complete_action(a.id) FROM mistral.action_executions a JOIN mistral.tasks t ON t.id = a.task_id
 WHERE t.root_execution_id = :'id' AND a.finished_at IS NULL ORDER BY a.id LIMIT 1;
SELECT * FROM pg_temp.run(:'id', true) \gset
SELECT mistral.complete_action(a.id) FROM mistral.action_executions a JOIN mistral.tasks t ON t.id = a.task_id
 WHERE t.root_execution_id = :'id' AND a.finished_at IS NULL ORDER BY a.id LIMIT 1;
SELECT * FROM pg_temp.run(:'id', true) \gset
SELECT is(state, 'RUNNING', 'a sub-workflow that has ended is counted once, loaded anew or not') FROM mistral.executions WHERE id = :'id';
SELECT mistral.complete_action(a.id) FROM mistral.action_executions a JOIN mistral.tasks t ON t.id = a.task_id
 WHERE t.root_execution_id = :'id' AND a.finished_at IS NULL;
SELECT * FROM pg_temp.run(:'id', true) \gset
SELECT is(output, '{"result": [0, 1, 2]}', 'all three have') FROM mistral.executions WHERE id = :'id';

SELECT * FROM finish();
ROLLBACK;
