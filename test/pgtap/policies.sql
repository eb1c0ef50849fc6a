-- Policies under a clock that the test sets: each case says which tasks and
-- states there are at which second, and that a timer never fires early.
BEGIN;
SET client_min_messages = error;
SELECT no_plan();

CREATE TEMP TABLE cases (
    n int GENERATED ALWAYS AS IDENTITY,
    what text,
    body text,
    moments text[],             -- '<seconds> <tasks in order of creation>', '<seconds> !<SQL to run, $1: the execution>'
    state text,
    info text                   -- a regular expression for the first task's state_info; null: not compared
);

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
CREATE FUNCTION pg_temp.action(id uuid, task text) RETURNS uuid LANGUAGE sql AS $$
    SELECT a.id FROM mistral.action_executions a JOIN mistral.tasks t ON t.id = a.task_id
     WHERE t.execution_id = $1 AND t.name = $2 AND a.state = 'RUNNING' ORDER BY a.created_at DESC, a.id DESC LIMIT 1
$$;
CREATE FUNCTION pg_temp.at(seconds numeric) RETURNS void LANGUAGE sql AS $$
    SELECT set_config('mistral.fake_now', (timestamptz '2030-01-01 00:00:00Z' + seconds * interval '1 s')::text, true)
$$;

CREATE FUNCTION pg_temp.check_case(c cases) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    started uuid;
    moment text;
    seconds numeric;
    wanted text;
    before text := '';
    e mistral.executions;
BEGIN
    PERFORM pg_temp.load('w', c.body);
    PERFORM pg_temp.at(0);
    started := mistral.start_workflow('w');
    FOREACH moment IN ARRAY c.moments LOOP
        seconds := split_part(moment, ' ', 1);
        wanted := substr(moment, strpos(moment, ' ') + 1);
        IF wanted LIKE '!%' THEN
            PERFORM pg_temp.at(seconds);
            PERFORM pg_temp.run();
            IF wanted LIKE '!SELECT is(%' THEN
                RETURN QUERY EXECUTE substr(wanted, 2) USING started;
            ELSE
                EXECUTE substr(wanted, 2) USING started;
            END IF;
            PERFORM pg_temp.run();
            before := '';
            CONTINUE;
        END IF;
        IF seconds > 0 AND before <> '' THEN
            PERFORM pg_temp.at(seconds - 0.001);
            PERFORM pg_temp.run();
            RETURN NEXT is(pg_temp.tasks(started), before, format('%s: just before %s s', c.what, seconds));
        END IF;
        PERFORM pg_temp.at(seconds);
        PERFORM pg_temp.run();
        RETURN NEXT is(pg_temp.tasks(started), wanted, format('%s: at %s s', c.what, seconds));
        before := wanted;
    END LOOP;
    SELECT * INTO e FROM mistral.executions x WHERE x.id = started;
    RETURN NEXT is(e.state, c.state, c.what || ': the workflow');
    IF c.info IS NOT NULL THEN
        RETURN NEXT matches((SELECT t.state_info FROM mistral.tasks t WHERE t.execution_id = started ORDER BY t.ordinal LIMIT 1), c.info, c.what || ': state_info');
    END IF;
    RETURN NEXT is((SELECT count(*) FROM mistral.timer t WHERE t.root_id = started), 0::bigint, c.what || ': no timer is left')
     WHERE e.finished_at IS NOT NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN NEXT fail(c.what || ': raised ' || SQLERRM);
END $$;

INSERT INTO cases (what, body, moments, state, info) VALUES
('wait-before', $$
tasks:
  a: {wait-before: 10, on-success: b}
  b: {action: std.noop}
$$, '{0 a:DELAYED,10 a:SUCCESS b:SUCCESS}', 'SUCCESS', NULL),
('wait-before: 0 does not wait', $$
tasks:
  a: {wait-before: 0}
$$, '{0 a:SUCCESS}', 'SUCCESS', NULL),
('wait-after', $$
tasks:
  a: {wait-after: 10, publish: {x: 1}, on-success: b}
  b: {action: std.echo output=<% $.x %>}
$$, '{0 a:DELAYED,10 a:SUCCESS b:SUCCESS}', 'SUCCESS', NULL),
('wait-after an error', $$
tasks:
  a: {action: std.fail error_data="mine", wait-after: 10, on-error: b}
  b: {action: std.noop}
$$, '{0 a:DELAYED,10 a:ERROR b:SUCCESS}', 'SUCCESS', '^mine$'),
('wait-before and wait-after', $$
tasks:
  a: {wait-before: 3, wait-after: 4}
$$, '{0 a:DELAYED,3 a:DELAYED,7 a:SUCCESS}', 'SUCCESS', NULL),
('a policy may be an expression', $$
vars: {n: 5}
tasks:
  a: {wait-before: <% $.n * 2 %>}
$$, '{0 a:DELAYED,10 a:SUCCESS}', 'SUCCESS', NULL),
('std.sleep', $$
tasks:
  a: {action: std.sleep seconds=2, on-success: b}
  b: {action: std.noop}
$$, '{0 a:RUNNING,2 a:SUCCESS b:SUCCESS}', 'SUCCESS', NULL),
('retry until the tries are used up', $$
tasks:
  a: {action: std.fail, retry: {count: 2, delay: 5}, on-error: b}
  b: {action: std.noop}
$$, '{0 a:DELAYED,5 a:DELAYED,10 a:ERROR b:SUCCESS}', 'SUCCESS', NULL),
('retry: count 0 is no retry', $$
tasks:
  a: {action: std.fail, retry: {count: 0, delay: 5}}
$$, '{0 a:ERROR}', 'ERROR', NULL),
('retry: delay 0', $$
tasks:
  a: {action: std.fail, retry: {count: 3, delay: 0}}
$$, '{0 a:ERROR}', 'ERROR', NULL),
('retry after a success that came late', $$
tasks:
  a: {action: std.async_noop, retry: {count: 3, delay: 5}, publish: {r: <% task().result %>}}
$$, ARRAY['0 a:RUNNING', '1 !SELECT mistral.fail_action(pg_temp.action($1, ''a''), ''"no"'')', '1 a:DELAYED', '6 a:RUNNING',
          '7 !SELECT mistral.complete_action(pg_temp.action($1, ''a''), ''1'')', '7 a:SUCCESS'], 'SUCCESS', NULL),
('retry: break-on true ends it', $$
tasks:
  a: {action: std.fail, publish-on-error: {stop: true}, retry: {count: 3, delay: 5, break-on: <% $.stop %>}}
$$, '{0 a:ERROR}', 'ERROR', NULL),
('retry: break-on false goes on', $$
tasks:
  a: {action: std.fail, retry: {count: 1, delay: 5, break-on: <% false %>}}
$$, '{0 a:DELAYED,5 a:ERROR}', 'ERROR', NULL),
('retry: continue-on true repeats a success', $$
tasks:
  a: {action: std.echo output=1, retry: {count: 2, delay: 5, continue-on: <% task().result = 1 %>}}
$$, '{0 a:DELAYED,5 a:DELAYED,10 a:SUCCESS}', 'SUCCESS', NULL),
('retry: continue-on false ends a success', $$
tasks:
  a: {action: std.echo output=1, retry: {count: 2, delay: 5, continue-on: <% task().result = 2 %>}}
$$, '{0 a:SUCCESS}', 'SUCCESS', NULL),
('retry: continue-on false ends an error', $$
tasks:
  a: {action: std.fail, retry: {count: 2, delay: 5, continue-on: <% false %>}}
$$, '{0 a:ERROR}', 'ERROR', NULL),
('retry: a condition that fails is forced', $$
tasks:
  a: {action: std.fail, retry: {count: 2, delay: 5, break-on: <% $.nothing %>}, on-error: b}
  b: {action: std.noop}
$$, '{0 a:ERROR}', 'ERROR', 'nothing'),
('timeout', $$
tasks:
  a: {action: std.async_noop, timeout: 10, on-error: b}
  b: {action: std.noop}
$$, '{0 a:RUNNING,10 a:ERROR b:SUCCESS}', 'SUCCESS', '^Task timed out \[timeout\(s\)=10\]\.$'),
('a result in time', $$
tasks:
  a: {action: std.async_noop, timeout: 10, on-success: b}
  b: {action: std.noop}
$$, ARRAY['0 a:RUNNING', '9 !SELECT mistral.complete_action(pg_temp.action($1, ''a''))', '9 a:SUCCESS b:SUCCESS'], 'SUCCESS', NULL),
('a timeout counts wait-before', $$
tasks:
  a: {action: std.async_noop, wait-before: 4, timeout: 10}
$$, '{0 a:DELAYED,4 a:RUNNING,10 a:ERROR}', 'ERROR', 'timed out'),
('a timeout shorter than wait-before', $$
tasks:
  a: {action: std.async_noop, wait-before: 10, timeout: 4}
$$, '{0 a:DELAYED,4 a:ERROR,11 a:ERROR}', 'ERROR', 'timed out'),
('a timeout is not set again by a retry', $$
tasks:
  a: {action: std.async_noop, timeout: 4, retry: {count: 2, delay: 2}}
$$, '{0 a:RUNNING,4 a:DELAYED,6 a:RUNNING,100 a:RUNNING}', 'RUNNING', NULL),
('a timeout while a retry waits', $$
tasks:
  a: {action: std.fail, timeout: 7, retry: {count: 5, delay: 5}}
$$, '{0 a:DELAYED,5 a:DELAYED,7 a:DELAYED,12 a:DELAYED}', 'RUNNING', NULL),
('a timeout of a task that has ended does nothing', $$
tasks:
  a: {timeout: 5, on-success: b}
  b: {action: std.async_noop}
$$, '{0 a:SUCCESS b:RUNNING,6 a:SUCCESS b:RUNNING}', 'RUNNING', NULL),
('a timeout of a sub-workflow''s task', $$
tasks:
  a: {workflow: asking, timeout: 5, on-error: b}
  b: {action: std.noop}
$$, '{0 a:RUNNING,5 a:ERROR b:SUCCESS}', 'SUCCESS', 'timed out'),
('a retry starts a sub-workflow anew', $$
tasks:
  a: {workflow: failing, retry: {count: 1, delay: 5}}
$$, '{0 a:DELAYED,5 a:ERROR}', 'ERROR', NULL),
('a retry of a join', $$
tasks:
  s: {on-success: [x, y]}
  x: {on-success: j}
  y: {on-success: j}
  j: {join: all, action: std.fail, retry: {count: 1, delay: 5}, on-error: b}
  b: {action: std.noop}
$$, '{0 s:SUCCESS x:SUCCESS y:SUCCESS j:WAITING,5 s:SUCCESS x:SUCCESS y:SUCCESS j:ERROR b:SUCCESS}', 'SUCCESS', NULL),
('task-defaults', $$
task-defaults: {wait-before: 5, on-error: b, retry: {count: 1, delay: 2}}
tasks:
  a: {action: std.fail}
  b: {wait-before: 1}
$$, '{0 a:DELAYED,5 a:DELAYED,7 a:ERROR b:DELAYED,8 a:ERROR b:SUCCESS}', 'SUCCESS', NULL);

-- values that no policy takes: forced, before the task has begun
INSERT INTO cases (what, body, moments, state, info)
SELECT p || ': ' || v, format(E'tasks:\n  a: {action: std.async_noop, %s, on-error: b}\n  b: {action: std.noop}\n', format(pattern, v)),
       '{0 a:ERROR}', 'ERROR', 'integer of 0 or more'
  FROM (VALUES ('wait-before', 'wait-before: %s'), ('wait-after', 'wait-after: %s'), ('timeout', 'timeout: %s'),
               ('retry count', 'retry: {count: %s, delay: 1}'), ('retry delay', 'retry: {count: 1, delay: %s}')) AS p(p, pattern),
       unnest('{<% -1 %>,<% 1.5 %>,<% ''3'' %>,<% true %>,<% null %>,<% dict() %>}'::text[]) AS v;

-- delays do not end early because something else ends
INSERT INTO cases (what, body, moments, state, info) VALUES
('a timeout within a retry''s delay begins another', $$
tasks:
  a: {action: std.fail, timeout: 7, retry: {count: 3, delay: 5}, publish-on-error: {tries: <% $.get(tries, 0) + 1 %>}}
$$, ARRAY['0 a:DELAYED', '5 a:DELAYED', '7 a:DELAYED', '11 !SELECT is((SELECT count(*) FROM mistral.action_executions WHERE execution_id = $1), 2::bigint)',
          '12 a:ERROR'], 'ERROR', NULL),
('an unrelated task does not end a join''s delay', $$
tasks:
  x: {on-success: j}
  y: {on-success: j}
  z: {action: std.async_noop}
  j: {join: all, action: std.fail, retry: {count: 1, delay: 5}}
$$, ARRAY['0 x:SUCCESS y:SUCCESS z:RUNNING j:WAITING', '1 !SELECT mistral.complete_action(pg_temp.action($1, ''z''))',
          '1 x:SUCCESS y:SUCCESS z:SUCCESS j:WAITING', '5 x:SUCCESS y:SUCCESS z:SUCCESS j:ERROR'], 'ERROR', NULL),
('a late failure of an earlier try begins another delay', $$
tasks:
  a: {action: std.async_noop, timeout: 4, retry: {count: 3, delay: 2}}
$$, ARRAY['0 a:RUNNING', '4 a:DELAYED', '5 !SELECT mistral.fail_action(pg_temp.action($1, ''a''), ''1'')', '5 a:DELAYED', '7 a:RUNNING'], 'RUNNING', NULL);

SELECT pg_temp.load('asking', $$
tasks:
  q: {action: std.async_noop}
$$);
SELECT pg_temp.load('failing', $$
tasks:
  q: {action: std.fail}
$$);
SELECT pg_temp.check_case(c) FROM cases c ORDER BY n;

-- ------------------------------------------------------------------ tries leave their rows

SELECT pg_temp.at(0);
SELECT pg_temp.load('w', $$
tasks:
  a: {action: std.fail, retry: {count: 2, delay: 5}}
$$);
SELECT mistral.start_workflow('w') AS e \gset
SELECT pg_temp.run(), pg_temp.at(5), pg_temp.run(), pg_temp.at(10), pg_temp.run();
SELECT is((SELECT string_agg(a.state || ' ' || a.accepted, ', ' ORDER BY a.created_at, a.id) FROM mistral.action_executions a WHERE a.execution_id = :'e'),
          'ERROR false, ERROR false, ERROR true', 'each try is an action execution, the last is accepted');
SELECT is((SELECT array[started_at, finished_at] FROM mistral.tasks WHERE execution_id = :'e'),
          array['2030-01-01 00:00:00Z', '2030-01-01 00:00:10Z']::timestamptz[], 'one task, from the first try to the last');

-- ------------------------------------------------------------------ a result and a timer at the same time

-- Whoever was told that a result was taken must find it taken.
SELECT pg_temp.at(0);
SELECT pg_temp.load('w', $$
tasks:
  a: {action: std.async_noop, timeout: 10, on-success: b}
  b: {action: std.noop}
$$);
SELECT mistral.start_workflow('w') AS e \gset
SELECT pg_temp.run(), pg_temp.at(9);
SELECT mistral.complete_action(pg_temp.action(:'e', 'a'));
SELECT pg_temp.at(3600), pg_temp.run();
SELECT is(pg_temp.tasks(:'e'), 'a:SUCCESS b:SUCCESS', 'a result in time counts, though the engine comes late');

-- ------------------------------------------------------------------ pausing and delays

SELECT pg_temp.at(0);
SELECT pg_temp.load('w', $$
tasks:
  a: {action: std.fail, retry: {count: 1, delay: 5}, on-error: b}
  b: {action: std.noop}
$$);
SELECT mistral.start_workflow('w') AS e \gset
SELECT pg_temp.run();
SELECT mistral.pause_workflow(:'e');
SELECT pg_temp.at(6), pg_temp.run();
SELECT is(pg_temp.tasks(:'e'), 'a:ERROR', 'a retry within a pause runs, nothing follows');
SELECT mistral.resume_workflow(:'e');
SELECT pg_temp.run();
SELECT is(pg_temp.tasks(:'e'), 'a:ERROR b:SUCCESS', 'until it is resumed');

SELECT * FROM finish();
ROLLBACK;
