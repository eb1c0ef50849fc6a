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
('pause-before: what stands beside it starts', $$
tasks:
  s: {on-success: [p, b]}
  p: {pause-before: true}
  b: {on-success: c}
  c: {action: std.noop}
$$, '{0 s:SUCCESS b:SUCCESS p:IDLE,0 !SELECT mistral.resume_workflow($1),0 s:SUCCESS b:SUCCESS p:SUCCESS c:SUCCESS}', 'SUCCESS', NULL),
('pause-before: also beside it at the start', $$
tasks:
  p: {pause-before: true}
  b: {action: std.noop}
$$, '{0 b:SUCCESS p:IDLE}', 'PAUSED', NULL),
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

-- ours: backoff, max-delay, jitter
INSERT INTO cases (what, body, moments, state, info) VALUES
('backoff multiplies the delay', $$
tasks:
  a: {action: std.fail, retry: {count: 4, delay: 2, backoff: 3}}
$$, '{0 a:DELAYED,2 a:DELAYED,8 a:DELAYED,26 a:DELAYED,80 a:ERROR}', 'ERROR', NULL),
('backoff may be a fraction', $$
tasks:
  a: {action: std.fail, retry: {count: 3, delay: 2, backoff: 1.5}}
$$, '{0 a:DELAYED,2 a:DELAYED,5 a:DELAYED,9.5 a:ERROR}', 'ERROR', NULL),
('max-delay bounds it', $$
tasks:
  a: {action: std.fail, retry: {count: 3, delay: 2, backoff: 10, max-delay: 7.5}}
$$, '{0 a:DELAYED,2 a:DELAYED,9.5 a:DELAYED,17 a:ERROR}', 'ERROR', NULL),
('max-delay bounds the first delay, too', $$
tasks:
  a: {action: std.fail, retry: {count: 1, delay: 20, max-delay: 3}}
$$, '{0 a:DELAYED,3 a:ERROR}', 'ERROR', NULL),
('in one line', $$
tasks:
  a: {action: std.fail, retry: count=3 delay=1 backoff=2 max-delay=3}
$$, '{0 a:DELAYED,1 a:DELAYED,3 a:DELAYED,6 a:ERROR}', 'ERROR', NULL),
('in one line, with fractions', $$
tasks:
  a: {action: std.fail, retry: count=2 delay=2 backoff=1.5 max-delay=2.5}
$$, '{0 a:DELAYED,2 a:DELAYED,4.5 a:ERROR}', 'ERROR', NULL),
('in one line, as expressions', $$
vars: {f: 4, m: 6}
tasks:
  a: {action: std.fail, retry: 'count=2 delay=2 backoff=<% $.f %> max-delay={{ _.m }}'}
$$, '{0 a:DELAYED,2 a:DELAYED,8 a:ERROR}', 'ERROR', NULL),
('expressions', $$
vars: {f: 4, m: 6}
tasks:
  a: {action: std.fail, retry: {count: 2, delay: 2, backoff: <% $.f %>, max-delay: "{{ _.m }}", jitter: <% false %>}}
$$, '{0 a:DELAYED,2 a:DELAYED,8 a:ERROR}', 'ERROR', NULL),
('in task-defaults', $$
task-defaults: {retry: {count: 2, delay: 1, backoff: 5}}
tasks:
  a: {action: std.fail}
$$, '{0 a:DELAYED,1 a:DELAYED,6 a:ERROR}', 'ERROR', NULL),
('of a join', $$
tasks:
  x: {on-success: j}
  j: {join: all, action: std.fail, retry: {count: 2, delay: 1, backoff: 5}}
$$, '{0 x:SUCCESS j:WAITING,1 x:SUCCESS j:WAITING,6 x:SUCCESS j:ERROR}', 'ERROR', NULL),
('nothing overflows', $$
tasks:
  a: {action: std.fail, retry: {count: 1000000000, delay: 1, backoff: 1.0e+300, max-delay: 3}}
$$, '{0 a:DELAYED,1 a:DELAYED,4 a:DELAYED,7 a:DELAYED,10 a:DELAYED}', 'RUNNING', NULL),
('what is larger than any delay', $$
tasks:
  a: {action: std.fail, retry: {count: 3, delay: 4000000000, backoff: 9.0e+300}}
$$, '{0 a:DELAYED,1000000000 a:DELAYED}', 'RUNNING', NULL),
('no delay stays none', $$
tasks:
  a: {action: std.fail, retry: {count: 3, delay: 0, backoff: 1.0e+300, jitter: true}}
$$, '{0 a:ERROR}', 'ERROR', NULL);

-- a workflow's own timeout
INSERT INTO cases (what, body, moments, state, info) VALUES
('a workflow that does not end in time', $$
timeout: 10
output-on-error: {why: late}
tasks:
  a: {action: std.async_noop, on-error: b}
  b: {action: std.noop}
$$, ARRAY['0 a:RUNNING', '10 a:RUNNING', '10 !SELECT is((SELECT state_info || '' '' || output FROM mistral.executions WHERE id = $1),
    ''Workflow timed out [timeout(s)=10]. {"why": "late", "result": "Workflow timed out [timeout(s)=10]."}'')'], 'ERROR', NULL),
('a workflow that ends in time', $$
timeout: 10
tasks:
  a: {wait-before: 9}
$$, '{0 a:DELAYED,9 a:SUCCESS}', 'SUCCESS', NULL),
('a workflow''s timeout as an expression', $$
input: [{limit: 3}]
vars: {more: 4}
timeout: <% $.limit + $.more %>
tasks:
  a: {action: std.async_noop}
$$, '{0 a:RUNNING,7 a:RUNNING}', 'ERROR', NULL),
('a workflow''s timeout of 0 is none', $$
timeout: 0
tasks:
  a: {action: std.async_noop}
$$, '{0 a:RUNNING,100 a:RUNNING}', 'RUNNING', NULL),
('the timeout of a sub-workflow is an error of its task', $$
tasks:
  a: {workflow: hurried, on-error: b}
  b: {action: std.echo output=<% task(a).result.result %>}
$$, ARRAY['0 a:RUNNING', '3 a:ERROR b:SUCCESS', '3 !SELECT is((SELECT result #>> ''{}'' FROM mistral.tasks WHERE execution_id = $1 AND name = ''b''),
    ''Workflow timed out [timeout(s)=3].'')'], 'SUCCESS', 'Workflow timed out'),
('the sub-workflows of a workflow that timed out are cancelled', $$
timeout: 2
tasks:
  a: {workflow: around}
$$, ARRAY['0 a:RUNNING', '2 a:CANCELLED', '2 !SELECT is((SELECT string_agg(workflow_name || '' '' || state, '', '' ORDER BY created_at, id) FROM mistral.executions
    WHERE root_execution_id = $1), ''w ERROR, around CANCELLED, hurried CANCELLED'')', '100 a:CANCELLED'], 'ERROR', NULL),
('time runs on while a workflow is paused', $$
timeout: 10
tasks:
  a: {workflow: asking}
$$, ARRAY['0 a:RUNNING', '4 !SELECT mistral.pause_workflow($1)', '5 a:PAUSED', '10 a:CANCELLED'], 'ERROR', NULL);

-- values that no policy takes: forced, before the task has begun
INSERT INTO cases (what, body, moments, state, info)
SELECT p || ': ' || v, format(E'tasks:\n  a: {action: std.async_noop, %s, on-error: b}\n  b: {action: std.noop}\n', format(pattern, v)),
       '{0 a:ERROR}', 'ERROR', 'integer of 0 or more'
  FROM (VALUES ('wait-before', 'wait-before: %s'), ('wait-after', 'wait-after: %s'), ('timeout', 'timeout: %s'),
               ('retry count', 'retry: {count: %s, delay: 1}'), ('retry delay', 'retry: {count: 1, delay: %s}')) AS p(p, pattern),
       unnest('{<% -1 %>,<% 1.5 %>,<% ''3'' %>,<% true %>,<% null %>,<% dict() %>}'::text[]) AS v;
INSERT INTO cases (what, body, moments, state, info)
SELECT k || ': ' || v, format(E'tasks:\n  a: {action: std.async_noop, retry: {count: 1, delay: 1, %s: %s}, on-error: b}\n  b: {action: std.noop}\n', k, v),
       '{0 a:ERROR}', 'ERROR', format('must be a number (of %s or more|from 0 to 1)', low)
  FROM (VALUES ('backoff', 1, '{<% 0.5 %>,<% true %>}'::text[]), ('max-delay', 0, '{<% -1 %>,<% true %>}'), ('jitter', 0, '{<% 1.5 %>,<% -1 %>}')) AS p(k, low, own),
       unnest(own || '{<% ''3'' %>,<% null %>,<% dict() %>}'::text[]) AS v;

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
SELECT pg_temp.load('hurried', $$
timeout: 3
tasks:
  q: {action: std.async_noop}
$$);
SELECT pg_temp.load('around', $$
tasks:
  q: {workflow: hurried}
$$);
SELECT pg_temp.check_case(c) FROM cases c ORDER BY n;

-- ------------------------------------------------------------------ a workflow's timeout

SELECT pg_temp.at(0);
SELECT pg_temp.load('w', $$
timeout: 10
tasks:
  a: {action: std.async_noop}
$$);
SELECT mistral.start_workflow('w') AS e \gset
SELECT is((SELECT t.kind || extract(epoch FROM t.due_at - mistral.now()) FROM mistral.timer t WHERE t.target_id = :'e'), 'workflow-timeout10.000000', 'a row says so from the start');
SELECT pg_temp.at(4), pg_temp.run();
SELECT is((SELECT kind || extract(epoch FROM due_at - mistral.now()) FROM mistral.why(:'e') WHERE object_id = :'e'), 'timer6.000000', 'why shows it');
SELECT is((SELECT count(*) FROM mistral.check() c WHERE c.id = :'e'), 0::bigint, 'it is nothing that check() minds');
SELECT mistral.fail_action(pg_temp.action(:'e', 'a'), '"no"');
SELECT pg_temp.run();
SELECT is((SELECT count(*) FROM mistral.timer t WHERE t.root_id = :'e'), 0::bigint, 'and goes with the end');
SELECT pg_temp.at(100);
SELECT mistral.rerun_task(t.id) FROM mistral.tasks t WHERE t.execution_id = :'e';
SELECT pg_temp.run(), pg_temp.at(109.9), pg_temp.run();
SELECT is((SELECT state FROM mistral.executions WHERE id = :'e'), 'RUNNING', 'who runs again has all of the time again');
SELECT pg_temp.at(110), pg_temp.run();
SELECT is((SELECT state || ' ' || state_info FROM mistral.executions WHERE id = :'e'), 'ERROR Workflow timed out [timeout(s)=10].', 'and no more');
SELECT pg_temp.load('w', E'timeout: <% $.nothing %>\ntasks:\n  a: {action: std.noop}\n');
SELECT throws_ok($$SELECT mistral.start_workflow('w')$$, 'MS004', NULL, 'a timeout that cannot be evaluated');
SELECT pg_temp.load('w', E'timeout: <% -1 %>\ntasks:\n  a: {action: std.noop}\n');
SELECT throws_ok($$SELECT mistral.start_workflow('w')$$, 'MS004', NULL, 'a timeout that is none');

-- ------------------------------------------------------------------ jitter

-- A share of the delay, told by the task's id and the number of the try.
CREATE FUNCTION pg_temp.share(id uuid, tries int) RETURNS float8 LANGUAGE sql AS $$
    SELECT ((uuid_hash_extended(id, tries)::numeric + CASE WHEN uuid_hash_extended(id, tries) < 0 THEN 18446744073709551616 ELSE 0 END) / 18446744073709551616)::float8
$$;
CREATE FUNCTION pg_temp.delays(jitter text) RETURNS TABLE (tries int, off float8, seconds float8) LANGUAGE plpgsql AS $$
DECLARE
    started uuid;
    task uuid;
    due timestamptz;
BEGIN
    PERFORM pg_temp.load('w', format(E'tasks:\n  a: {action: std.fail, retry: {count: 3, delay: 100, backoff: 2, jitter: %s}}\n', jitter));
    PERFORM pg_temp.at(0);
    started := mistral.start_workflow('w');
    FOR i IN 0 .. 2 LOOP
        PERFORM pg_temp.run();
        SELECT t.id INTO task FROM mistral.tasks t WHERE t.execution_id = started;
        SELECT t.due_at INTO due FROM mistral.timer t WHERE t.target_id = task;
        tries := i;
        seconds := extract(epoch FROM due - mistral.now());
        off := 1 - seconds / (100 * 2 ^ i);
        RETURN NEXT;
        off := pg_temp.share(task, i);
        seconds := NULL;
        RETURN NEXT;
        PERFORM set_config('mistral.fake_now', due::text, true);
    END LOOP;
END $$;
CREATE TEMP TABLE jitters AS SELECT j, d.* FROM unnest('{0.25,1,true,0,false,<% 0.5 %>,<% true %>}'::text[]) j, pg_temp.delays(j) d;
SELECT is(round(max(off) FILTER (WHERE seconds IS NOT NULL)::numeric, 3),
          round((max(off) FILTER (WHERE seconds IS NULL) * CASE WHEN j ~ 'true' THEN 1 WHEN j ~ 'false' THEN 0 WHEN j ~ '0.5' THEN 0.5 ELSE j::numeric END)::numeric, 3),
          format('jitter %s, try %s', j, tries))
  FROM jitters GROUP BY j, tries ORDER BY j, tries;
SELECT cmp_ok((SELECT count(DISTINCT off) FROM jitters WHERE j = '1'), '>', 3::bigint, 'and no two tries wait alike');

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
