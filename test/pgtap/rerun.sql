-- Running tasks again and skipping them: what happens, what is refused, and that
-- a rollback undoes it.
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
-- The tree's tasks in order of creation, and the root's state.
CREATE FUNCTION pg_temp.show(id uuid) RETURNS text LANGUAGE sql AS $$
    SELECT (SELECT state FROM mistral.executions e WHERE e.id = $1) || ': '
        || string_agg(name || ':' || t.state, ' ' ORDER BY t.created_at, t.id) FROM mistral.tasks t WHERE root_execution_id = $1
$$;
CREATE FUNCTION pg_temp.task(root uuid, task text) RETURNS uuid LANGUAGE sql AS $$
    SELECT t.id FROM mistral.tasks t WHERE t.root_execution_id = $1 AND t.name = $2 ORDER BY t.created_at DESC, t.id DESC LIMIT 1
$$;
CREATE FUNCTION pg_temp.running(root uuid) RETURNS SETOF uuid LANGUAGE sql AS $$
    SELECT a.id FROM mistral.action_executions a JOIN mistral.tasks t ON t.id = a.task_id
     WHERE t.root_execution_id = $1 AND a.state = 'RUNNING' ORDER BY a.created_at, a.id
$$;
SELECT mistral.load_workflow($$
version: '2.0'
inner:
  tasks:
    i: {action: std.echo output=<% env().k %>, fail-on: <% env().k = bad %>}
$$);

CREATE TEMP TABLE cases (
    n int GENERATED ALWAYS AS IDENTITY,
    what text,
    body text,
    steps text[]                -- '!<SQL, $1: the execution>', or what show() gives after it
);
INSERT INTO cases (what, body, steps) VALUES
('a task in ERROR', 'tasks: {a: {action: std.async_noop, on-success: b}, b: {action: std.noop}}',
 ARRAY['RUNNING: a:RUNNING', '!SELECT mistral.fail_action(pg_temp.running($1), ''1'')', 'ERROR: a:ERROR',
       '!SELECT mistral.rerun_task(pg_temp.task($1, ''a''))', 'RUNNING: a:RUNNING',
       '!SELECT mistral.complete_action(pg_temp.running($1))', 'SUCCESS: a:SUCCESS b:SUCCESS']),
('with an environment', 'tasks: {a: {action: std.echo output=<% env().k %>, fail-on: <% env().k = bad %>, on-success: b}, b: {action: std.noop}}',
 ARRAY['ERROR: a:ERROR', '!SELECT mistral.rerun_task(pg_temp.task($1, ''a''), env => ''{"other": 1}'')', 'ERROR: a:ERROR',
       '!SELECT mistral.rerun_task(pg_temp.task($1, ''a''), env => ''{"k": "good"}'')', 'SUCCESS: a:SUCCESS b:SUCCESS']),
('a join', E'tasks:\n  x: {on-success: j}\n  y: {on-success: j}\n  j: {join: all, action: std.noop, fail-on: <% env().k = bad %>}',
 ARRAY['ERROR: x:SUCCESS y:SUCCESS j:ERROR', '!SELECT mistral.rerun_task(pg_temp.task($1, ''j''), env => ''{"k": "good"}'')',
       'SUCCESS: x:SUCCESS y:SUCCESS j:SUCCESS']),
('the task of a sub-workflow opens what is above', 'tasks: {a: {workflow: inner, on-success: b}, b: {action: std.noop}}',
 ARRAY['ERROR: a:ERROR i:ERROR', '!SELECT mistral.rerun_task(pg_temp.task($1, ''i''))', 'ERROR: a:ERROR i:ERROR']),
('a sub-workflow starts anew', 'tasks: {a: {workflow: inner, on-success: b}, b: {action: std.noop}}',
 ARRAY['ERROR: a:ERROR i:ERROR', '!SELECT mistral.rerun_task(pg_temp.task($1, ''a''), env => ''{"k": "good"}'')',
       'SUCCESS: a:SUCCESS i:ERROR i:SUCCESS b:SUCCESS']),
('a cancelled task', 'tasks: {a: {action: std.async_noop}}',
 ARRAY['RUNNING: a:RUNNING', '!SELECT mistral.cancel_action(pg_temp.running($1))', 'CANCELLED: a:CANCELLED',
       '!SELECT mistral.rerun_task(pg_temp.task($1, ''a''))', 'RUNNING: a:RUNNING',
       '!SELECT mistral.complete_action(pg_temp.running($1))', 'SUCCESS: a:SUCCESS']),
('a task of a workflow that was stopped', 'tasks: {a: {action: std.async_noop}, f: {action: std.fail}}',
 ARRAY['RUNNING: a:RUNNING f:ERROR', '!SELECT mistral.stop_workflow($1, ''ERROR'')', 'ERROR: a:RUNNING f:ERROR',
       '!SELECT mistral.rerun_task(pg_temp.task($1, ''f''))', 'RUNNING: a:RUNNING f:ERROR']),
('all items', 'tasks: {a: {with-items: i in <% range(3) %>, action: std.async_noop}}',
 ARRAY['RUNNING: a:RUNNING', '!SELECT CASE WHEN n = 2 THEN mistral.fail_action(a, ''1'') ELSE mistral.complete_action(a, to_jsonb(n)) END FROM pg_temp.running($1) WITH ORDINALITY x(a, n)',
       'ERROR: a:ERROR', '!SELECT mistral.rerun_task(pg_temp.task($1, ''a''))', 'RUNNING: a:RUNNING',
       '!SELECT is(count(*), 3::bigint, ''all items run again'') FROM pg_temp.running($1)',
       '!SELECT mistral.complete_action(a) FROM pg_temp.running($1) a', 'SUCCESS: a:SUCCESS']),
('only the items that failed', 'tasks: {a: {with-items: i in <% range(3) %>, action: std.async_noop}}',
 ARRAY['RUNNING: a:RUNNING', '!SELECT CASE WHEN n = 2 THEN mistral.fail_action(a, ''1'') ELSE mistral.complete_action(a, to_jsonb(n)) END FROM pg_temp.running($1) WITH ORDINALITY x(a, n)',
       'ERROR: a:ERROR', '!SELECT mistral.rerun_task(pg_temp.task($1, ''a''), false)', 'RUNNING: a:RUNNING',
       '!SELECT is(count(*), 1::bigint, ''one item runs again'') FROM pg_temp.running($1)',
       '!SELECT mistral.complete_action(a, ''"late"'') FROM pg_temp.running($1) a', 'SUCCESS: a:SUCCESS',
       '!SELECT is(result, ''[1, "late", 3]'', ''in its place'') FROM mistral.tasks WHERE id = pg_temp.task($1, ''a'')']),
('skipping goes on with on-skip', 'tasks: {a: {action: std.fail, publish-on-skip: {x: 1}, on-skip: s, on-success: b}, s: {action: std.echo output=<% $.x %>}, b: {action: std.noop}}',
 ARRAY['ERROR: a:ERROR', '!SELECT mistral.skip_task(pg_temp.task($1, ''a''))', 'SUCCESS: a:SKIPPED s:SUCCESS']),
('or with on-success', 'tasks: {a: {action: std.fail, on-success: b}, b: {action: std.noop}}',
 ARRAY['ERROR: a:ERROR', '!SELECT mistral.skip_task(pg_temp.task($1, ''a''))', 'SUCCESS: a:SKIPPED b:SUCCESS']),
('skipping in a sub-workflow', 'tasks: {a: {workflow: inner, on-success: b}, b: {action: std.noop}}',
 ARRAY['ERROR: a:ERROR i:ERROR', '!SELECT mistral.skip_task(pg_temp.task($1, ''i''))', 'SUCCESS: a:SUCCESS i:SKIPPED b:SUCCESS']);

CREATE FUNCTION pg_temp.check_case(c cases) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    started uuid;
    step text;
BEGIN
    PERFORM mistral.load_workflow(E'version: "2.0"\nw:\n' || regexp_replace(c.body, '^', '  ', 'gn'));
    started := mistral.start_workflow('w', params => '{"env": {"k": "bad"}}');
    PERFORM pg_temp.run();
    FOREACH step IN ARRAY c.steps LOOP
        IF step LIKE '!SELECT is(%' THEN
            RETURN QUERY EXECUTE substr(step, 2) USING started;
        ELSIF step LIKE '!%' THEN
            EXECUTE substr(step, 2) USING started;
            PERFORM pg_temp.run();
        ELSE
            RETURN NEXT is(pg_temp.show(started), step, c.what);
        END IF;
    END LOOP;
EXCEPTION WHEN OTHERS THEN
    RETURN NEXT fail(c.what || ': raised ' || SQLERRM);
END $$;
SELECT pg_temp.check_case(c) FROM cases c ORDER BY n;

-- ------------------------------------------------------------------ what is refused, with both states

SELECT mistral.load_workflow(E'version: "2.0"\nw: {tasks: {ok: {action: std.noop, on-success: bad}, bad: {action: std.fail, on-error: ask}, ask: {action: std.async_noop}}}');
SELECT mistral.start_workflow('w') AS e \gset
SELECT pg_temp.run();
CREATE TEMP TABLE refused (what text, call text, code text, says text);
INSERT INTO refused VALUES
('a task that succeeded is not run again', format('mistral.rerun_task(%L)', pg_temp.task(:'e', 'ok')), 'MS020', 'from SUCCESS to RUNNING'),
('nor skipped', format('mistral.skip_task(%L)', pg_temp.task(:'e', 'ok')), 'MS020', 'from SUCCESS to SKIPPED'),
('a task that runs is not run again', format('mistral.rerun_task(%L)', pg_temp.task(:'e', 'ask')), 'MS020', 'from RUNNING to RUNNING'),
('nor skipped', format('mistral.skip_task(%L)', pg_temp.task(:'e', 'ask')), 'MS020', 'from RUNNING to SKIPPED'),
('without items there is no part to run', format('mistral.rerun_task(%L, false)', pg_temp.task(:'e', 'bad')), '22023', 'no items'),
('env is an object', format('mistral.rerun_task(%L, env => %L)', pg_temp.task(:'e', 'bad'), '[1]'), '22023', 'env must be an object'),
('a running execution is not resumed', format('mistral.resume_workflow(%L)', :'e'), 'MS020', 'from RUNNING to RUNNING'),
('what is not there', 'mistral.rerun_task(''00000000-0000-0000-0000-000000000000'')', 'MS023', 'does not exist'),
('what is not there', 'mistral.skip_task(''00000000-0000-0000-0000-000000000000'')', 'MS023', 'does not exist');
SELECT throws_like(format('SELECT %s', call), format('%%%s%%', says), what) FROM refused;
SELECT throws_ok(format('SELECT %s', call), code, NULL, what || ': the code') FROM refused;
SELECT mistral.pause_workflow(:'e');
SELECT throws_like(format('SELECT mistral.rerun_task(%L)', pg_temp.task(:'e', 'bad')), '%is ERROR in an execution that is PAUSED', 'nothing is run again in a pause');
SELECT throws_like(format('SELECT mistral.stop_workflow(%L, %L)', :'e', 'SUCCESS'), '%from PAUSED to SUCCESS', 'a paused one is not stopped but cancelled');
SELECT mistral.resume_workflow(:'e'), mistral.complete_action(pg_temp.running(:'e')), pg_temp.run();
SELECT throws_like(format('SELECT mistral.rerun_task(%L)', pg_temp.task(:'e', 'bad')), '%from SUCCESS to RUNNING', 'a workflow that has succeeded is not opened again');
SELECT throws_like(format('SELECT mistral.pause_workflow(%L)', :'e'), '%from SUCCESS to PAUSED', 'nor paused');
SELECT throws_like(format('SELECT mistral.cancel_workflow(%L)', :'e'), '%from SUCCESS to CANCELLED', 'nor cancelled');

-- ------------------------------------------------------------------ in the caller's transaction

SELECT mistral.load_workflow(E'version: "2.0"\nw: {tasks: {bad: {action: std.fail, on-success: b}, b: {action: std.noop}}}');
SELECT mistral.start_workflow('w') AS e \gset
SELECT pg_temp.run();
SAVEPOINT before;
SELECT mistral.skip_task(pg_temp.task(:'e', 'bad'));
SELECT is((SELECT state FROM mistral.executions WHERE id = :'e'), 'RUNNING', 'open at once');
ROLLBACK TO before;
SELECT pg_temp.run();
SELECT is(pg_temp.show(:'e'), 'ERROR: bad:ERROR', 'and as it was after a rollback');
SELECT mistral.skip_task(pg_temp.task(:'e', 'bad')), pg_temp.run();
SELECT is(pg_temp.show(:'e'), 'SUCCESS: bad:SKIPPED b:SUCCESS', 'and once for all');

SELECT * FROM finish();
ROLLBACK;
