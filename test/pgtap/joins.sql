-- Joins, arrival by arrival: a join fires once for its arrivals, a late branch changes
-- nothing, and in a cycle it fires again when its branches arrive anew.  Each case
-- runs twice: on the tree that the process keeps, and on one loaded for each moment.
BEGIN;
SET client_min_messages = error;
SELECT no_plan();

CREATE TEMP TABLE cases (
    n int GENERATED ALWAYS AS IDENTITY,
    what text,
    body text,
    moments text[],             -- '<verb> <task> > <tasks in order of creation>', verbs: start, complete, fail, rerun, pause, resume
    state text,
    output jsonb                -- null: not compared
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
-- An aborted subtransaction takes the trees in memory with it.
CREATE FUNCTION pg_temp.forget() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE 'nothing';
EXCEPTION WHEN OTHERS THEN
    NULL;
END $$;
CREATE FUNCTION pg_temp.action(id uuid, task text) RETURNS uuid LANGUAGE sql AS $$
    SELECT a.id FROM mistral.action_executions a JOIN mistral.tasks t ON t.id = a.task_id
     WHERE t.execution_id = $1 AND t.name = $2 AND a.state = 'RUNNING' ORDER BY a.created_at, a.id LIMIT 1
$$;
-- S success, E error, R running, W waiting, D delayed; with the number of runs of a task that ran more than once.
CREATE FUNCTION pg_temp.tasks(id uuid) RETURNS text LANGUAGE sql AS $$
    SELECT COALESCE(string_agg(name || ':' || left(t.state, 1) || CASE WHEN n > 1 THEN '*' || n ELSE '' END, ' ' ORDER BY ordinal), '')
      FROM mistral.tasks t, LATERAL (SELECT count(*) AS n FROM mistral.action_executions a WHERE a.task_id = t.id) a
     WHERE execution_id = $1
$$;

CREATE FUNCTION pg_temp.check_case(c cases, reload bool) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    started uuid;
    moment text;
    verb text;
    task text;
    e mistral.executions;
BEGIN
    PERFORM pg_temp.load('w', c.body);
    FOREACH moment IN ARRAY c.moments LOOP
        verb := split_part(moment, ' ', 1);
        task := split_part(moment, ' ', 2);
        IF reload THEN PERFORM pg_temp.forget(); END IF;
        CASE verb
            WHEN 'start' THEN started := mistral.start_workflow('w');
            WHEN 'complete' THEN PERFORM mistral.complete_action(pg_temp.action(started, task), to_jsonb(task));
            WHEN 'fail' THEN PERFORM mistral.fail_action(pg_temp.action(started, task), to_jsonb(task));
            WHEN 'rerun' THEN PERFORM mistral.rerun_task((SELECT t.id FROM mistral.tasks t WHERE t.execution_id = started AND name = task));
            WHEN 'pause' THEN PERFORM mistral.pause_workflow(started);
            WHEN 'resume' THEN PERFORM mistral.resume_workflow(started);
        END CASE;
        PERFORM pg_temp.run();
        RETURN NEXT is(pg_temp.tasks(started), btrim(split_part(moment, '>', 2)),
                       format('%s: %s%s', c.what, btrim(split_part(moment, '>', 1)), CASE WHEN reload THEN ' (loaded)' ELSE '' END));
    END LOOP;
    SELECT * INTO e FROM mistral.executions x WHERE x.id = started;
    RETURN NEXT is(e.state, c.state, c.what || ': the workflow');
    IF c.output IS NOT NULL THEN
        RETURN NEXT is(e.output, c.output, c.what || ': output');
    END IF;
EXCEPTION WHEN OTHERS THEN
    RETURN NEXT fail(c.what || ': raised ' || SQLERRM);
END $$;

INSERT INTO cases (what, body, moments, state, output) VALUES
('one: the second branch is late', $$
tasks:
  a: {action: std.async_noop, publish: {who: a}, on-success: j}
  b: {action: std.async_noop, publish: {who: b}, on-success: j}
  j: {join: one, on-success: k}
  k: {action: std.noop}
$$, '{start > a:R b:R,complete b > a:R b:S j:S k:S,complete a > a:S b:S j:S k:S}', 'SUCCESS', '{"who": "b"}'),
('one: the second branch comes while the join runs', $$
tasks:
  a: {action: std.async_noop, on-success: j}
  b: {action: std.async_noop, on-success: j}
  j: {join: one, action: std.async_noop, on-success: k}
  k: {action: std.noop}
$$, '{start > a:R b:R,complete a > a:S b:R j:R,complete b > a:S b:S j:R,complete j > a:S b:S j:S k:S}', 'SUCCESS', '{}'),
('one: a branch that comes late by on-error', $$
tasks:
  a: {action: std.async_noop, on-success: j}
  b: {action: std.async_noop, on-error: j}
  j: {join: one, on-success: k}
  k: {action: std.noop}
$$, '{start > a:R b:R,complete a > a:S b:R j:S k:S,fail b > a:S b:E j:S k:S}', 'SUCCESS', '{}'),
('one: a long way to a late branch', $$
tasks:
  a: {action: std.async_noop, on-success: j}
  b: {action: std.async_noop, on-success: c}
  c: {action: std.async_noop, on-success: d}
  d: {on-success: j}
  j: {join: one, on-success: k}
  k: {action: std.noop}
$$, '{start > a:R b:R,complete a > a:S b:R j:S k:S,complete b > a:S b:S j:S k:S c:R,complete c > a:S b:S j:S k:S c:S d:S}', 'SUCCESS', NULL),
('one: a late branch that runs twice', $$
tasks:
  a: {action: std.async_noop, on-success: j}
  b: {action: std.async_noop, on-success: t}
  c: {action: std.async_noop, on-success: t}
  t: {on-success: j}
  j: {join: one}
$$, '{start > a:R b:R c:R,complete a > a:S b:R c:R j:S,complete b > a:S b:S c:R j:S t:S,complete c > a:S b:S c:S j:S t:S t:S}', 'SUCCESS', NULL),
('one: what it fired for comes again', $$
tasks:
  b: {action: std.async_noop, on-success: t}
  c: {action: std.async_noop, on-success: t}
  t: {on-success: j}
  j: {join: one}
$$, '{start > b:R c:R,complete b > b:S c:R t:S j:S,complete c > b:S c:S t:S j:S*2 t:S}', 'SUCCESS', NULL),
('2 of 3: the third is late', $$
tasks:
  a: {action: std.async_noop, on-success: j}
  b: {action: std.async_noop, on-success: j}
  c: {action: std.async_noop, on-success: j}
  j: {join: 2, on-success: k}
  k: {action: std.noop}
$$, '{start > a:R b:R c:R,complete c > a:R b:R c:S j:W,complete a > a:S b:R c:S j:S k:S,complete b > a:S b:S c:S j:S k:S}', 'SUCCESS', NULL),
('2 of 3: an error first', $$
tasks:
  a: {action: std.async_noop, on-success: j}
  b: {action: std.async_noop, on-success: j}
  c: {action: std.async_noop, on-success: j, on-error: noop}
  j: {join: 2}
$$, '{start > a:R b:R c:R,fail c > a:R b:R c:E,complete a > a:S b:R c:E j:W,complete b > a:S b:S c:E j:S}', 'SUCCESS', NULL),
('2 of 3: a late error', $$
tasks:
  a: {action: std.async_noop, on-success: j}
  b: {action: std.async_noop, on-success: j}
  c: {action: std.async_noop, on-success: j}
  j: {join: 2}
$$, '{start > a:R b:R c:R,complete a > a:S b:R c:R j:W,complete b > a:S b:S c:R j:S,fail c > a:S b:S c:E j:S}', 'ERROR', NULL),
('3 of 4: two errors, and a late branch does not fail it again', $$
tasks:
  a: {action: std.async_noop, on-success: j, on-error: noop}
  b: {action: std.async_noop, on-success: j, on-error: noop}
  c: {action: std.async_noop, on-success: j}
  d: {action: std.async_noop, on-success: j}
  j: {join: 3, on-error: h}
  h: {action: std.noop}
$$, '{start > a:R b:R c:R d:R,fail a > a:E b:R c:R d:R,fail b > a:E b:E c:R d:R,complete c > a:E b:E c:S d:R j:E h:S,complete d > a:E b:E c:S d:S j:E h:S}', 'SUCCESS', NULL),
('all: a branch that comes when the join has failed', $$
tasks:
  a: {action: std.async_noop, on-success: j, on-error: noop}
  b: {action: std.async_noop, on-success: j}
  c: {action: std.async_noop, on-success: j}
  j: {join: all, on-error: h}
  h: {action: std.noop}
$$, '{start > a:R b:R c:R,fail a > a:E b:R c:R,complete b > a:E b:S c:R j:E h:S,complete c > a:E b:S c:S j:E h:S}', 'SUCCESS', NULL),
('all: it runs after all when the task that failed it is run again', $$
tasks:
  a: {action: std.async_noop, on-success: j}
  b: {action: std.async_noop, on-success: j}
  j: {join: all, on-success: k}
  k: {action: std.noop}
$$, '{start > a:R b:R,fail a > a:E b:R,complete b > a:E b:S j:E,rerun a > a:R*2 b:S j:E,complete a > a:S*2 b:S j:S k:S}', 'SUCCESS', NULL),
('all: the same, on the way to it', $$
tasks:
  a: {action: std.async_noop, on-success: a2}
  a2: {action: std.async_noop, on-success: j}
  b: {action: std.async_noop, on-success: j}
  j: {join: all}
$$, '{start > a:R b:R,fail a > a:E b:R,complete b > a:E b:S j:E,rerun a > a:R*2 b:S j:E,complete a > a:S*2 b:S j:E a2:R,complete a2 > a:S*2 b:S j:S a2:S}', 'SUCCESS', NULL),
('one: a failed branch that is run again is late', $$
tasks:
  a: {action: std.async_noop, on-success: j}
  b: {action: std.async_noop, on-success: j}
  j: {join: one, on-success: k}
  k: {action: std.noop}
$$, '{start > a:R b:R,fail b > a:R b:E,complete a > a:S b:E j:S k:S,rerun b > a:S b:R*2 j:S k:S,complete b > a:S b:S*2 j:S k:S}', 'SUCCESS', NULL),
('one: the join itself is run again', $$
tasks:
  a: {on-success: j}
  b: {action: std.async_noop, on-success: j}
  j: {join: one, action: std.async_noop, on-success: k}
  k: {action: std.noop}
$$, '{start > a:S b:R j:R,fail j > a:S b:R j:E,complete b > a:S b:S j:E,rerun j > a:S b:S j:R*2,complete j > a:S b:S j:S*2 k:S}', 'SUCCESS', NULL),
('one: a cycle through it', $$
tasks:
  a: {publish: {n: 0}, on-success: j}
  j: {join: one, action: std.async_noop, publish: {n: <% $.n + 1 %>}, on-success: [{b: <% $.n < 3 %>}]}
  b: {on-success: c}
  c: {action: std.async_noop, on-success: j}
$$, '{start > a:S j:R,complete j > a:S j:S b:S c:R,complete c > a:S j:R*2 b:S c:S,complete j > a:S j:S*2 b:S c:S b:S c:R,complete c > a:S j:R*3 b:S c:S b:S c:S,complete j > a:S j:S*3 b:S c:S b:S c:S}', 'SUCCESS', '{"n": 3}'),
('one: two branches in a cycle, of which each round takes the first', $$
tasks:
  s: {publish: {n: 0}, on-success: j}
  j: {join: one, publish: {n: <% $.n + 1 %>}, on-success: [{a: <% $.n < 3 %>}, {b: <% $.n < 3 %>}]}
  a: {action: std.async_noop, on-success: j}
  b: {action: std.async_noop, on-success: j}
$$, '{start > s:S j:S a:R b:R,complete b > s:S j:S*2 a:R b:S a:R b:R,complete a > s:S j:S*2 a:S b:S a:R b:R,complete a > s:S j:S*3 a:S b:S a:S b:R,complete b > s:S j:S*3 a:S b:S a:S b:S}', 'SUCCESS', NULL),
('2 of 3: a cycle that brings two anew', $$
tasks:
  s: {on-success: [a, b, c]}
  a: {action: std.async_noop, on-success: j}
  b: {action: std.async_noop, on-success: j}
  c: {action: std.async_noop, on-success: j}
  j: {join: 2, action: std.async_noop, on-success: [a, b], on-error: k}
  k: {action: std.noop}
$$, '{start > s:S a:R b:R c:R,complete a > s:S a:S b:R c:R j:W,complete b > s:S a:S b:S c:R j:R,complete c > s:S a:S b:S c:S j:R,complete j > s:S a:S b:S c:S j:S a:R b:R,complete a > s:S a:S b:S c:S j:W a:S b:R,complete b > s:S a:S b:S c:S j:R*2 a:S b:S,fail j > s:S a:S b:S c:S j:E*2 a:S b:S k:S}', 'SUCCESS', NULL),
('2 of 2: a cycle that brings one anew; the other counts as it came', $$
tasks:
  s: {on-success: [a, b]}
  a: {action: std.async_noop, on-success: j}
  b: {on-success: j}
  j: {join: 2, action: std.async_noop, on-success: a, on-error: k}
  k: {action: std.noop}
$$, '{start > s:S a:R b:S j:W,complete a > s:S a:S b:S j:R,complete j > s:S a:S b:S j:S a:R,complete a > s:S a:S b:S j:R*2 a:S,fail j > s:S a:S b:S j:E*2 a:S k:S}', 'SUCCESS', NULL),
('all: a cycle whose ways differ in length waits for both', $$
tasks:
  s: {on-success: [a, b]}
  a: {on-success: j}
  b: {on-success: j}
  j: {join: all, action: std.async_noop, on-success: [a, w], on-error: k}
  w: {action: std.async_noop, on-success: b}
  k: {action: std.noop}
$$, '{start > s:S a:S b:S j:R,complete j > s:S a:S b:S j:W a:S w:R,complete w > s:S a:S b:S j:R*2 a:S w:S b:S,fail j > s:S a:S b:S j:E*2 a:S w:S b:S k:S}', 'SUCCESS', NULL),
('all: a cycle whose second branch turns out not to come', $$
tasks:
  s: {on-success: [a, b]}
  a: {on-success: j}
  b: {on-success: j}
  j: {join: all, action: std.async_noop, on-success: [a, w], on-error: k}
  w: {action: std.async_noop, on-success: b, on-error: noop}
  k: {action: std.noop}
$$, '{start > s:S a:S b:S j:R,complete j > s:S a:S b:S j:W a:S w:R,fail w > s:S a:S b:S j:R*2 a:S w:E,fail j > s:S a:S b:S j:E*2 a:S w:E k:S}', 'SUCCESS', NULL),
('one: a pause between the arrivals', $$
tasks:
  a: {action: std.async_noop, on-success: j}
  b: {action: std.async_noop, on-success: j}
  j: {join: one, on-success: k}
  k: {action: std.noop}
$$, '{start > a:R b:R,pause > a:R b:R,complete b > a:R b:S,resume > a:R b:S j:S k:S,pause > a:R b:S j:S k:S,complete a > a:S b:S j:S k:S,resume > a:S b:S j:S k:S}', 'SUCCESS', '{}'),
('one: both arrive during a pause', $$
tasks:
  a: {action: std.async_noop, on-success: j}
  b: {action: std.async_noop, on-success: j}
  j: {join: one}
$$, '{start > a:R b:R,pause > a:R b:R,complete b > a:R b:S,complete a > a:S b:S,resume > a:S b:S j:S}', 'SUCCESS', '{}'),
('one: its next try is the same round', $$
tasks:
  a: {on-success: j}
  b: {action: std.async_noop, on-success: j}
  j: {join: one, action: std.async_noop, retry: {count: 1, delay: 0}, on-success: k}
  k: {action: std.noop}
$$, '{start > a:S b:R j:R,fail j > a:S b:R j:R*2,complete b > a:S b:S j:R*2,complete j > a:S b:S j:S*2 k:S}', 'SUCCESS', NULL),
('a join after one', $$
tasks:
  a: {action: std.async_noop, on-success: j}
  b: {action: std.async_noop, on-success: j}
  j: {join: one, on-success: j2}
  c: {action: std.async_noop, on-success: j2}
  j2: {join: all, on-success: k}
  k: {action: std.noop}
$$, '{start > a:R b:R c:R,complete a > a:S b:R c:R j:S j2:W,complete b > a:S b:S c:R j:S j2:W,complete c > a:S b:S c:S j:S j2:S k:S}', 'SUCCESS', NULL),
('a pause command before a join', $$
tasks:
  a: {on-success: [pause, j]}
  j: {join: all, on-success: k}
  k: {action: std.noop}
$$, '{start > a:S,resume > a:S j:S k:S}', 'SUCCESS', NULL);

SELECT pg_temp.check_case(c, reload) FROM cases c, (VALUES (false), (true)) AS r (reload) ORDER BY n, reload;

SELECT * FROM finish();
ROLLBACK;
