-- What the engine makes of a workflow: a table of cases, each stepped to its end
-- in this session.  Nothing is committed, so that no worker takes part.
BEGIN;
SET client_min_messages = error;
SELECT no_plan();

-- Tasks are written name:state in the order of their creation, of the root only.
CREATE TEMP TABLE cases (
    n int GENERATED ALWAYS AS IDENTITY,
    what text,
    tasks text,
    state text,
    output jsonb,               -- null: not compared
    body text,                  -- the workflow's attributes
    input jsonb DEFAULT '{}',
    params jsonb DEFAULT '{}',
    info text                   -- a regular expression for state_info; null: not compared
);

CREATE FUNCTION pg_temp.run() RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    steps int := 0;
BEGIN
    WHILE mistral.step() > 0 LOOP
        steps := steps + 1;
        IF steps > 200 THEN RAISE 'the engine does not come to rest'; END IF;
    END LOOP;
    RETURN steps;
END $$;

CREATE FUNCTION pg_temp.tasks_of(id uuid) RETURNS text LANGUAGE sql AS $$
    SELECT COALESCE(string_agg(name || ':' || t.state, ' ' ORDER BY ordinal), '') FROM mistral.tasks t WHERE execution_id = $1
$$;

-- Indented as the attributes of a workflow of that name.
CREATE FUNCTION pg_temp.load(name text, body text) RETURNS void LANGUAGE sql AS $$
    SELECT mistral.load_workflow(E'version: "2.0"\n' || name || E':\n' || regexp_replace(body, '^', '  ', 'gn'));
$$;

CREATE FUNCTION pg_temp.check_case(c cases) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    started uuid;
    e mistral.executions;
BEGIN
    PERFORM pg_temp.load('w', c.body);
    started := mistral.start_workflow('w', c.input, c.params);
    SELECT * INTO e FROM mistral.executions x WHERE x.id = started;
    RETURN NEXT is(e.state, 'IDLE', c.what || ': starts IDLE');
    PERFORM pg_temp.run();
    SELECT * INTO e FROM mistral.executions x WHERE x.id = started;
    RETURN NEXT is(e.state, c.state, c.what || ': state');
    RETURN NEXT is(pg_temp.tasks_of(e.id), c.tasks, c.what || ': tasks');
    IF c.output IS NOT NULL THEN
        RETURN NEXT is(e.output, c.output, c.what || ': output');
    END IF;
    IF c.info IS NOT NULL THEN
        RETURN NEXT matches(e.state_info, c.info, c.what || ': state_info');
    END IF;
    RETURN NEXT is(e.finished_at IS NOT NULL, c.state IN ('SUCCESS', 'ERROR', 'CANCELLED'), c.what || ': finished_at');
EXCEPTION WHEN OTHERS THEN
    RETURN NEXT fail(c.what || ': raised ' || SQLERRM);
END $$;

-- ------------------------------------------------------------------ order of tasks, guards

INSERT INTO cases (what, tasks, state, output, body) VALUES
('one task', 't1:SUCCESS', 'SUCCESS', '{}', $$
tasks:
  t1: {action: std.noop}
$$),
('a sequence', 't1:SUCCESS t2:SUCCESS t3:SUCCESS', 'SUCCESS', '{"a": 1, "b": 2, "c": 3}', $$
tasks:
  t1: {action: std.echo output=1, publish: {a: <% task().result %>}, on-success: t2}
  t2: {action: std.echo output=2, publish: {b: <% task().result %>}, on-success: [t3]}
  t3: {action: std.echo output=3, publish: {c: <% task().result %>}}
$$),
('several start tasks', 'a:SUCCESS b:SUCCESS c:SUCCESS', 'SUCCESS', '{}', $$
tasks:
  a: {action: std.noop}
  b: {action: std.noop}
  c: {action: std.noop}
$$),
('all commands of a completion before the next completion', 'a:SUCCESS b:SUCCESS a1:SUCCESS a2:SUCCESS b1:SUCCESS', 'SUCCESS', '{}', $$
tasks:
  a: {on-success: [a1, a2]}
  b: {on-success: b1}
  a1: {action: std.noop}
  a2: {action: std.noop}
  b1: {action: std.noop}
$$),
('on-success before on-complete', 'a:SUCCESS s:SUCCESS c:SUCCESS', 'SUCCESS', '{}', $$
tasks:
  a: {on-complete: c, on-success: s}
  s: {action: std.noop}
  c: {action: std.noop}
$$),
('the same target twice runs twice', 'a:SUCCESS x:SUCCESS x:SUCCESS', 'SUCCESS', '{}', $$
tasks:
  a: {on-complete: x, on-success: x}
  x: {action: std.noop}
$$),
('two parents without a join: once for each', 'a:SUCCESS b:SUCCESS x:SUCCESS x:SUCCESS', 'SUCCESS', '{}', $$
tasks:
  a: {on-success: x}
  b: {on-success: x}
  x: {action: std.noop}
$$),
('a loop with a way out', 's:SUCCESS n:SUCCESS n:SUCCESS n:SUCCESS', 'SUCCESS', '{"i": 3}', $$
vars: {i: 0}
tasks:
  s: {on-success: n}
  n: {publish: {i: <% $.i + 1 %>}, on-success: [{n: <% $.i < 3 %>}]}
$$),
('guards: what Python takes for false', 'a:SUCCESS yes1:SUCCESS yes2:SUCCESS yes3:SUCCESS', 'SUCCESS', '{}', $$
tasks:
  a:
    on-success:
      - nay: <% 0 %>
      - nay: <% '' %>
      - nay: <% [] %>
      - nay: <% dict() %>
      - nay: <% null %>
      - nay: <% false %>
      - yes1: <% 'False' %>
      - yes2: <% [0] %>
      - yes3: <% -1 %>
  nay: {action: std.noop}
  yes1: {action: std.noop}
  yes2: {action: std.noop}
  yes3: {action: std.noop}
$$);

-- ------------------------------------------------------------------ errors

INSERT INTO cases (what, tasks, state, output, body, info) VALUES
('an error that nothing handles', 'a:ERROR', 'ERROR', NULL, $$
tasks:
  a: {action: std.fail error_data="broken", on-success: b}
  b: {action: std.noop}
$$, '(?s)^Failure caused by error in tasks: a\n.*broken'),
('other branches go on', 'a:ERROR b:SUCCESS c:SUCCESS', 'ERROR', NULL, $$
tasks:
  a: {action: std.fail}
  b: {on-success: c}
  c: {action: std.noop}
$$, 'tasks: a\n'),
('on-error handles', 'a:ERROR b:SUCCESS', 'SUCCESS', '{"e": {"code": 5}}', $$
tasks:
  a: {action: std.fail, input: {error_data: {code: 5}}, publish-on-error: {e: <% task().result %>}, on-error: b}
  b: {action: std.noop}
$$, NULL),
('on-error: noop handles', 'a:ERROR', 'SUCCESS', '{}', $$
tasks:
  a: {action: std.fail, on-error: noop}
$$, NULL),
('on-error whose guard is false does not handle', 'a:ERROR', 'ERROR', NULL, $$
tasks:
  a: {action: std.fail, on-error: [{b: <% false %>}]}
  b: {action: std.noop}
$$, 'Failure caused by error'),
('on-complete runs and does not handle', 'a:ERROR b:SUCCESS', 'ERROR', NULL, $$
tasks:
  a: {action: std.fail, on-complete: b}
  b: {action: std.noop}
$$, 'tasks: a\n'),
('publish is for success, publish-on-error for error', 'a:ERROR b:SUCCESS', 'SUCCESS', '{"y": 2}', $$
tasks:
  a: {action: std.fail, publish: {x: 1}, publish-on-error: {y: 2}, on-error: b}
  b: {action: std.noop}
$$, NULL),
('an expression that fails in publish: forced', 'a:ERROR', 'ERROR', NULL, $$
tasks:
  a: {publish: {x: <% $.nothing %>}, on-error: b, on-complete: b}
  b: {action: std.noop}
$$, 'nothing'),
('an expression that fails in a guard: forced', 'a:ERROR', 'ERROR', NULL, $$
tasks:
  a: {on-success: [{b: <% $.nothing %>}], on-error: b}
  b: {action: std.noop}
$$, 'nothing'),
('an expression that fails in an input: forced', 'a:ERROR', 'ERROR', NULL, $$
tasks:
  a: {action: std.echo output=<% $.nothing %>, on-error: b}
  b: {action: std.noop}
$$, 'nothing'),
('an unknown action: forced', 'a:ERROR', 'ERROR', NULL, $$
tasks:
  a: {action: no.such, on-error: b}
  b: {action: std.noop}
$$, 'no.such'),
('missing input of an action: forced', 'a:ERROR', 'ERROR', NULL, $$
tasks:
  a: {action: std.echo, on-error: b}
  b: {action: std.noop}
$$, 'output'),
('unexpected input of an action: forced', 'a:ERROR', 'ERROR', NULL, $$
tasks:
  a: {action: std.echo output=1 colour="red", on-error: b}
  b: {action: std.noop}
$$, 'colour'),
('a forced failure does not keep its sisters from running', 'a:SUCCESS bad:ERROR good:SUCCESS', 'ERROR', NULL, $$
tasks:
  a: {on-success: [bad, good]}
  bad: {action: no.such}
  good: {action: std.noop}
$$, 'no.such'),
('a succeed behind a forced failure comes too late', 'a:SUCCESS bad:ERROR', 'ERROR', NULL, $$
tasks:
  a: {on-success: [bad, succeed]}
  bad: {action: no.such}
$$, 'no.such'),
('a fail behind a forced failure comes too late', 'a:SUCCESS bad:ERROR', 'ERROR', NULL, $$
tasks:
  a: {on-success: [bad, fail msg="late"]}
  bad: {action: no.such}
$$, 'no.such'),
('an input that is no object: forced', 'a:ERROR', 'ERROR', NULL, $$
tasks:
  a: {action: std.echo, input: <% 5 %>, on-error: b}
  b: {action: std.noop}
$$, 'must be an object');

-- ------------------------------------------------------------------ engine commands

INSERT INTO cases (what, tasks, state, output, body, info) VALUES
('fail', 'a:SUCCESS', 'ERROR', '{"result": "no way"}', $$
tasks:
  a: {on-success: [fail msg="no way", b]}
  b: {action: std.noop}
$$, '^no way$'),
('tasks before fail are started', 'a:SUCCESS b:SUCCESS', 'ERROR', '{"result": "x 1"}', $$
vars: {v: 1}
tasks:
  a: {on-success: [b, fail msg="x <% $.v %>", c]}
  b: {on-success: c}
  c: {action: std.noop}
$$, '^x 1$'),
('succeed', 'a:SUCCESS', 'SUCCESS', '{"v": 1}', $$
output: {v: 1}
tasks:
  a: {on-success: succeed, on-complete: b}
  b: {action: std.noop}
$$, NULL),
('fail handles an error, as any command', 'a:ERROR', 'ERROR', '{"result": "mine"}', $$
tasks:
  a: {action: std.fail, on-error: [fail msg="mine"]}
$$, '^mine$'),
('pause keeps the rest for later', 'a:SUCCESS b:SUCCESS', 'PAUSED', '{}', $$
tasks:
  a: {on-success: [b, pause msg="wait", c]}
  b: {on-success: d}
  c: {action: std.noop}
  d: {action: std.noop}
$$, '^wait$'),
('a command beats a task of its name', 'a:SUCCESS', 'ERROR', NULL, $$
tasks:
  a: {on-success: fail}
  fail: {action: std.noop, join: all}
$$, NULL);

-- ------------------------------------------------------------------ data flow

INSERT INTO cases (what, tasks, state, output, body, input, params) VALUES
('a branch sees what its tasks have published', 'a:SUCCESS b:SUCCESS', 'SUCCESS', '{"x": 1, "y": 2}', $$
tasks:
  a: {publish: {x: 1}, on-success: b}
  b: {publish: {y: <% $.x + 1 %>}}
$$, '{}', '{}'),
('the variables of a clause do not see each other', 'a:SUCCESS b:ERROR', 'ERROR', NULL, $$
tasks:
  a: {on-success: b}
  b: {publish: {x: 1, y: <% $.x %>}}
$$, '{}', '{}'),
('publishing replaces, also objects', 'a:SUCCESS b:SUCCESS', 'SUCCESS', '{"x": {"b": 2}}', $$
tasks:
  a: {publish: {x: {a: 1}}, on-success: b}
  b: {publish: {x: {b: 2}}}
$$, '{}', '{}'),
('branches do not see each other', 'a:SUCCESS b:SUCCESS c:SUCCESS', 'SUCCESS', '{"seen": null, "x": 1, "z": 3}', $$
tasks:
  a: {publish: {x: 1}}
  b: {publish: {z: 3}, on-success: c}
  c: {publish: {seen: <% $.get(x) %>}}
$$, '{}', '{}'),
('input, defaults, vars and env', 'a:SUCCESS', 'SUCCESS', '{"o": ["i", 5, "<% 1 %>", "vi", "e"]}', $$
input: [i, {d: 5}, {lit: <% 1 %>}]
vars: {v: v<% $.i %>}
output: {o: "<% [$.i, $.d, $.lit, $.v, env().k] %>"}
tasks:
  a: {action: std.noop}
$$, '{"i": "i"}', '{"env": {"k": "e"}}'),
('given null is given', 'a:SUCCESS', 'SUCCESS', '{"o": [null]}', $$
input: [i, {d: 5}]
output: {o: "<% [$.d] %>"}
tasks:
  a: {action: std.noop}
$$, '{"i": 1, "d": null}', '{}'),
('a branch variable hides vars, vars hide input', 'a:SUCCESS b:SUCCESS', 'SUCCESS', '{"o": ["branch", "vars", "input"]}', $$
input: [x, y, z]
vars: {x: vars, y: vars}
output: {o: "<% [$.x, $.y, $.z] %>"}
tasks:
  a: {publish: {x: branch}, on-success: b}
  b: {action: std.noop}
$$, '{"x": "input", "y": "input", "z": "input"}', '{}'),
('vars do not see vars', 'a:SUCCESS', 'SUCCESS', '{"o": [1, null]}', $$
vars: {a: 1, b: <% $.get(a) %>}
output: {o: "<% [$.a, $.b] %>"}
tasks:
  a: {action: std.noop}
$$, '{}', '{}'),
('the context may be told by the end tasks only', 'a:SUCCESS b:SUCCESS c:SUCCESS', 'SUCCESS', '{"b": 1, "c": 1, "a": 1}', $$
tasks:
  a: {publish: {a: 1}, on-success: [b, c]}
  b: {publish: {b: 1}}
  c: {publish: {c: 1}}
$$, '{}', '{}'),
('an output that fails', 'a:SUCCESS', 'ERROR', NULL, $$
output: {o: <% $.nothing %>}
tasks:
  a: {action: std.noop}
$$, '{}', '{}'),
('output-on-error', 'a:ERROR', 'ERROR', '{"result": "mine", "x": 3}', $$
output-on-error: {result: mine, x: <% $.i %>}
input: [i]
tasks:
  a: {action: std.fail}
$$, '{"i": 3}', '{}'),
('task(), also of another task', 'a:SUCCESS b:SUCCESS', 'SUCCESS', '{"r": [7, "SUCCESS", "b", null]}', $$
tasks:
  a: {action: std.echo output=7, on-success: b}
  b: {publish: {r: "<% [task(a).result, task(a).state, task().name, task(nothing)] %>"}}
$$, '{}', '{}'),
('defaults of an action in env', 'a:SUCCESS', 'SUCCESS', '{"r": "env"}', $$
tasks:
  a: {action: std.echo, publish: {r: <% task().result %>}}
$$, '{}', '{"env": {"__actions": {"std.echo": {"output": "env"}}}}'),
('the name of an action may be told by an expression', 'a:SUCCESS b:SUCCESS', 'SUCCESS', '{"r": 4, "s": null}', $$
vars: {kind: echo}
tasks:
  a: {action: "<% concat('std.', $.kind) %>", input: {output: 4}, publish: {r: <% task().result %>}, on-success: b}
  b: {action: <% '' %>, publish: {s: <% task().result %>}}
$$, '{}', '{}');

-- ------------------------------------------------------------------ joins

INSERT INTO cases (what, tasks, state, output, body, info) VALUES
('join all', 'a:SUCCESS b:SUCCESS j:SUCCESS', 'SUCCESS', '{"x": 1, "y": 2, "z": 3}', $$
tasks:
  a: {publish: {x: 1}, on-success: j}
  b: {publish: {y: 2}, on-success: j}
  j: {join: all, publish: {z: <% $.x + $.y %>}}
$$, NULL),
('join all and a branch that fails', 'a:ERROR b:SUCCESS j:ERROR', 'ERROR', NULL, $$
tasks:
  a: {action: std.fail, on-success: j}
  b: {on-success: j}
  j: {join: all}
$$, 'Failed by tasks: a'),
('join all and a branch that goes elsewhere, handled', 'a:SUCCESS b:SUCCESS j:ERROR h:SUCCESS', 'SUCCESS', '{"y": 2, "h": 1}', $$
tasks:
  a: {on-success: [{j: <% false %>}]}
  b: {publish: {y: 2}, on-success: j}
  j: {join: all, on-error: h}
  h: {publish: {h: 1}}
$$, NULL),
('a join that no branch reaches is never made', 'a:SUCCESS b:SUCCESS', 'SUCCESS', '{}', $$
tasks:
  a: {on-error: j}
  b: {on-error: j}
  j: {join: all}
$$, NULL),
('an impossible route', 'a:ERROR b:SUCCESS j:ERROR', 'ERROR', NULL, $$
tasks:
  a: {action: std.fail, on-success: c, on-error: noop}
  c: {on-success: j}
  b: {on-success: j}
  j: {join: all}
$$, 'Failed by tasks: c'),
('an impossible route, long', 'a:ERROR b:SUCCESS j:ERROR', 'ERROR', NULL, $$
tasks:
  a: {action: std.fail, on-success: c, on-error: noop}
  c: {on-success: d}
  d: {on-success: e}
  e: {on-success: [d, j]}
  b: {on-success: j}
  j: {join: all}
$$, 'Failed by tasks: e'),
('join one', 'a:SUCCESS b:ERROR j:SUCCESS', 'SUCCESS', '{}', $$
tasks:
  a: {on-success: j}
  b: {action: std.fail, on-success: j, on-error: noop}
  j: {join: one}
$$, NULL),
('join 2 of 3', 'a:SUCCESS b:SUCCESS c:ERROR j:SUCCESS', 'SUCCESS', '{}', $$
tasks:
  a: {on-success: j}
  b: {on-success: j}
  c: {action: std.fail, on-success: j, on-error: noop}
  j: {join: 2}
$$, NULL),
('join 2 of 3 with two that cannot come', 'a:SUCCESS b:ERROR c:ERROR j:ERROR', 'ERROR', NULL, $$
tasks:
  a: {on-success: j}
  b: {action: std.fail, on-success: j, on-error: noop}
  c: {action: std.fail, on-success: j, on-error: noop}
  j: {join: 2}
$$, 'Failed by tasks: b, c'),
('a failed branch may arrive by on-complete', 'a:ERROR b:SUCCESS j:SUCCESS', 'ERROR', NULL, $$
tasks:
  a: {action: std.fail, on-complete: j}
  b: {on-success: j}
  j: {join: all}
$$, 'tasks: a\n'),
('the branch that published a variable more often wins', 'a:SUCCESS b:SUCCESS a2:SUCCESS j:SUCCESS', 'SUCCESS', '{"x": "a2"}', $$
tasks:
  a: {publish: {x: a}, on-success: a2}
  b: {publish: {x: b}, on-success: j}
  a2: {publish: {x: a2}, on-success: j}
  j: {join: all}
$$, NULL),
('objects are merged at a join', 'a:SUCCESS b:SUCCESS j:SUCCESS', 'SUCCESS', '{"x": {"a": 1, "b": 2, "both": {"a": 1, "b": 2}}}', $$
tasks:
  a: {publish: {x: {a: 1, both: {a: 1}}}, on-success: j}
  b: {publish: {x: {b: 2, both: {b: 2}}}, on-success: j}
  j: {join: all}
$$, NULL),
('the last branch wins a tie', 'a:SUCCESS b:SUCCESS j:SUCCESS', 'SUCCESS', '{"x": "b"}', $$
tasks:
  a: {publish: {x: a}, on-success: j}
  b: {publish: {x: b}, on-success: j}
  j: {join: all}
$$, NULL),
('a join after a join', 'a:SUCCESS b:SUCCESS c:SUCCESS j1:SUCCESS j2:SUCCESS', 'SUCCESS', '{"x": 3}', $$
tasks:
  a: {publish: {x: 1}, on-success: j1}
  b: {on-success: j1}
  c: {on-success: j2}
  j1: {join: all, publish: {x: <% $.x + 2 %>}, on-success: j2}
  j2: {join: all}
$$, NULL),
('a diamond', 's:SUCCESS a:SUCCESS b:SUCCESS j:SUCCESS', 'SUCCESS', '{"s": 1, "a": 2, "b": 3}', $$
tasks:
  s: {publish: {s: 1}, on-success: [a, b]}
  a: {publish: {a: <% $.s + 1 %>}, on-success: j}
  b: {publish: {b: <% $.s + 2 %>}, on-success: j}
  j: {join: all}
$$, NULL);

SELECT pg_temp.check_case(c) FROM cases c ORDER BY n;

-- ------------------------------------------------------------------ refused at the start

SELECT pg_temp.load('picky', $$
input: [a, {b: 1}]
tasks:
  t: {action: std.noop}
$$);
SELECT throws_ok($$SELECT mistral.start_workflow('picky')$$, 'MS004', NULL, 'missing input');
SELECT throws_ok($$SELECT mistral.start_workflow('picky', '{"a": 1, "c": 2}')$$, 'MS004', NULL, 'unexpected input');
SELECT throws_ok($$SELECT mistral.start_workflow('picky', '[]')$$, 'MS004', NULL, 'input that is no object');
SELECT throws_ok($$SELECT mistral.start_workflow('picky', '{"a": 1}', '5')$$, 'MS004', NULL, 'params that are no object');
SELECT throws_ok($$SELECT mistral.start_workflow('nowhere')$$, 'MS003', NULL, 'an unknown workflow');
SELECT throws_ok($$SELECT mistral.start_workflow(NULL)$$, '22004', NULL, 'no workflow');
SELECT throws_ok($$SELECT mistral.start_workflow('picky', '{"a": 1}', '{"env": "none"}')$$, 'MS003', NULL, 'an unknown environment');
SELECT throws_ok($$SELECT mistral.start_workflow('picky', '{"a": 1}', '{"env": 5}')$$, 'MS003', NULL, 'an environment that is a number');
SELECT throws_ok($$SELECT mistral.start_workflow('picky', '{"a": 1}', '{"env": {"x": "<% $. %>"}}')$$, 'MS010', NULL,
                 'an environment that does not parse');
SELECT throws_ok($$SELECT mistral.start_workflow('picky', '{"a": 1}', '{"env": {"x": "<% $.y %>"}}')$$, 'MS011', NULL,
                 'an environment that cannot be evaluated');
SELECT pg_temp.load('badvars', $$
vars: {v: <% $.nothing %>}
tasks:
  t: {action: std.noop}
$$);
SELECT throws_ok($$SELECT mistral.start_workflow('badvars')$$, 'MS004', NULL, 'vars that cannot be evaluated');
SELECT is((SELECT count(*) FROM mistral.executions WHERE workflow_name IN ('picky', 'badvars')), 0::bigint, 'nothing of them is left');

-- ------------------------------------------------------------------ ad-hoc actions

SELECT mistral.load_action($$
version: '2.0'
twice:
  base: std.echo
  input: [n]
  base-input: {output: <% $.n * 2 %>}
  output: {twice: <% $ %>}
four:
  base: twice
  input: [n, {more: 0}]
  base-input: {n: <% $.n + $.more %>}
  output: <% $.twice * 2 %>
circle1: {base: circle2}
circle2: {base: circle1}
broken:
  base: std.echo output=1
  output: <% $.nothing %>
failing:
  base: std.fail
  input: [why]
  base-input: {error_data: <% $.why %>}
  output: never
ask:
  base: std.async_noop
  output: {said: <% $ %>}
$$);

TRUNCATE cases;
INSERT INTO cases (what, tasks, state, output, body, info) VALUES
('an ad-hoc action', 'a:SUCCESS', 'SUCCESS', '{"r": {"twice": 6}}', $$
tasks:
  a: {action: twice n=3, publish: {r: <% task().result %>}}
$$, NULL),
('an ad-hoc action over another', 'a:SUCCESS', 'SUCCESS', '{"r": 20}', $$
tasks:
  a: {action: four n=3 more=2, publish: {r: <% task().result %>}}
$$, NULL),
('missing input of an ad-hoc action: forced', 'a:ERROR', 'ERROR', NULL, $$
tasks:
  a: {action: four, on-error: noop}
$$, 'missing n'),
('unexpected input of an ad-hoc action: forced', 'a:ERROR', 'ERROR', NULL, $$
tasks:
  a: {action: four n=1 m=1, on-error: noop}
$$, 'unexpected m'),
('a circle of ad-hoc actions', 'a:ERROR', 'ERROR', NULL, $$
tasks:
  a: {action: circle1}
$$, 'based on itself'),
('an output that fails: forced', 'a:ERROR', 'ERROR', NULL, $$
tasks:
  a: {action: broken, on-error: noop}
$$, 'nothing'),
('errors pass an ad-hoc action''s output', 'a:ERROR', 'SUCCESS', '{"r": {"x": 1}}', $$
tasks:
  a: {action: failing, input: {why: {x: 1}}, publish-on-error: {r: <% task().result %>}, on-error: noop}
$$, NULL);
SELECT pg_temp.check_case(c) FROM cases c ORDER BY n;

-- an asynchronous one: the output is applied when the result comes
SELECT pg_temp.load('w', $$
tasks:
  a: {action: ask, publish: {r: <% task().result %>}}
$$);
SELECT mistral.start_workflow('w') AS e \gset
SELECT pg_temp.run();
SELECT is(pg_temp.tasks_of(:'e'), 'a:RUNNING', 'an asynchronous ad-hoc action waits');
SELECT id AS a FROM mistral.action_executions WHERE execution_id = :'e' \gset
SELECT is((SELECT name FROM mistral.action_executions WHERE id = :'a'), 'ask', 'under its own name');
SELECT lives_ok(format('SELECT mistral.complete_action(%L, %L)', :'a', '"hello"'), 'it is completed');
SELECT lives_ok(format('SELECT mistral.complete_action(%L, %L)', :'a', '"hello"'), 'twice, before the step');
SELECT pg_temp.run();
SELECT is((SELECT output FROM mistral.executions WHERE id = :'e'), '{"r": {"said": "hello"}}', 'and its output applied');
SELECT lives_ok(format('SELECT mistral.complete_action(%L, %L)', :'a', '"hello"'), 'the same again is harmless, though the result looks different');
SELECT throws_ok(format('SELECT mistral.complete_action(%L, %L)', :'a', '{"said": "hello"}'), 'MS021', NULL, 'the output is not what was sent');

-- the same when the output fails
SELECT mistral.load_action($$
version: '2.0'
ask: {base: std.async_noop, output: <% $.nothing %>}
$$);
SELECT mistral.start_workflow('w') AS e \gset
SELECT pg_temp.run();
SELECT id AS a FROM mistral.action_executions WHERE execution_id = :'e' \gset
SELECT mistral.complete_action(:'a', '{"x": 1}');
SELECT pg_temp.run();
SELECT is((SELECT state FROM mistral.executions WHERE id = :'e'), 'ERROR', 'an output that fails ends the workflow');
SELECT lives_ok(format('SELECT mistral.complete_action(%L, %L)', :'a', '{"x": 1}'), 'and the same completion again is harmless');
SELECT throws_ok(format('SELECT mistral.fail_action(%L, %L)', :'a', '{"x": 1}'), 'MS021', NULL, 'but not another');

-- ------------------------------------------------------------------ sub-workflows

SELECT pg_temp.load('child', $$
input: [x, {y: 7}]
output: {sum: <% $.x + $.y %>, env: <% env().get(k) %>}
output-on-error: {mine: <% $.x %>}
tasks:
  c1: {on-success: [{c2: <% $.x < 0 %>}]}
  c2: {action: std.fail error_data="negative"}
$$);
TRUNCATE cases;
INSERT INTO cases (what, tasks, state, output, body, params, info) VALUES
('a sub-workflow', 'a:SUCCESS b:SUCCESS', 'SUCCESS', '{"r": {"sum": 10, "env": "root"}}', $$
tasks:
  a: {workflow: child x=3, publish: {r: <% task().result %>}, on-success: b}
  b: {action: std.noop}
$$, '{"env": {"k": "root"}}', NULL),
('what it does not declare becomes a parameter; env is the root''s', 'a:SUCCESS', 'SUCCESS', '{"r": {"sum": 3, "env": "root"}}', $$
tasks:
  a: {workflow: child, input: {x: 1, y: 2, env: {k: other}, more: 5}, publish: {r: <% task().result %>}}
$$, '{"env": {"k": "root"}}', NULL),
('its error is the task''s', 'a:ERROR', 'ERROR', NULL, $$
tasks:
  a: {workflow: child x=<% -3 %>}
$$, '{}', 'tasks: a\n'),
('its error is handled, its output-on-error is the result', 'a:ERROR b:SUCCESS', 'SUCCESS', '{"r": -3}', $$
tasks:
  a: {workflow: child x=<% -3 %>, publish-on-error: {r: <% task().result.mine %>}, on-error: b}
  b: {action: std.noop}
$$, '{}', NULL),
('missing input is the task''s error', 'a:ERROR', 'SUCCESS', '{}', $$
tasks:
  a: {workflow: child, on-error: noop}
$$, '{}', NULL),
('an unknown sub-workflow is the task''s error', 'a:ERROR', 'SUCCESS', '{}', $$
tasks:
  a: {workflow: nowhere, on-error: noop}
$$, '{}', NULL),
('a name that cannot be evaluated: forced', 'a:ERROR', 'ERROR', NULL, $$
tasks:
  a: {workflow: <% $.nothing %>, on-error: noop}
$$, '{}', 'nothing'),
('contexts are apart', 'a:SUCCESS b:SUCCESS', 'SUCCESS', '{"v": 1}', $$
tasks:
  a: {publish: {v: 1}, on-success: b}
  b: {workflow: child x=1 y=<% $.v %>}
$$, '{}', NULL);
SELECT pg_temp.check_case(c) FROM cases c ORDER BY n;

-- rows of a sub-workflow
SELECT pg_temp.load('w', $$
tasks:
  a: {workflow: child, input: {x: 1, y: 2, more: 5}}
$$);
SELECT mistral.start_workflow('w', params => '{"env": {"k": 1}}', description => 'the root') AS e \gset
SELECT pg_temp.run();
SELECT id AS child, root_execution_id AS root, task_execution_id AS task FROM mistral.executions WHERE workflow_name = 'child' AND root_execution_id = :'e' \gset
SELECT is((SELECT array[input, params - 'task_execution_id' - 'root_execution_id'] FROM mistral.executions WHERE id = :'child'),
          array['{"x": 1, "y": 2}', '{"env": {}, "more": 5, "index": 0, "namespace": ""}']::jsonb[], 'input and params of a sub-workflow');
SELECT is((SELECT params->>'task_execution_id' FROM mistral.executions WHERE id = :'child'), :'task', 'params name the task');
SELECT is((SELECT type || ' ' || name FROM mistral.tasks WHERE id = :'task'), 'WORKFLOW a', 'the task is one of type WORKFLOW');
SELECT is((SELECT root_execution_id FROM mistral.executions WHERE id = :'e'), :'e'::uuid, 'a root is its own root');
SELECT is((SELECT count(*) FROM mistral.executions WHERE id = :'e' AND task_execution_id IS NULL), 1::bigint, 'and belongs to no task');
SELECT is((SELECT result FROM mistral.tasks WHERE id = :'task'), '{"sum": 3, "env": 1}', 'the task''s result is the output');

-- a workflow that starts itself is stopped
SELECT pg_temp.load('w', $$
tasks:
  a: {workflow: w}
$$);
SELECT mistral.start_workflow('w') AS e \gset
SELECT pg_temp.run();
SELECT is((SELECT state FROM mistral.executions WHERE id = :'e'), 'ERROR', 'a workflow within itself ends in ERROR');
SELECT is((SELECT count(*) FROM mistral.executions WHERE root_execution_id = :'e'), 1001::bigint, 'after 1000 levels');
SELECT is((SELECT count(*) FROM mistral.executions WHERE root_execution_id = :'e' AND state <> 'ERROR'), 0::bigint, 'all of them');

-- ------------------------------------------------------------------ a task's data flow as it is stored

-- More variables than jsonb counts without an offset, in another order than that of its keys.
SELECT pg_temp.load('w', 'tasks:
  a: {publish: {x: 1, ' || (SELECT string_agg(format('%s%s: %s', repeat(chr(122 - i % 7), 1 + i % 5), i, i), ', ' ORDER BY i)
                              FROM generate_series(1, 300) i) || '}, on-success: [b, c]}
  b: {publish: {x: 2, zzz: 3}, on-success: j}
  c: {action: std.async_noop, publish: {other: 4}, on-success: j}
  j: {join: all, publish: {seen: "<% [$.x, $.zzz, $.other, $.yy1, $.t300] %>"}}
');
CREATE TEMP TABLE flows AS SELECT form, mistral.start_workflow('w') AS id FROM unnest('{new,old}'::text[]) form;
SELECT pg_temp.run();
-- As rows were written before: an array for each variable, and many variables as a base that one row has and others name.
CREATE FUNCTION pg_temp.old_form(scope jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT COALESCE(jsonb_object_agg(key, CASE jsonb_typeof(value) WHEN 'number' THEN jsonb_build_array(value, 1) ELSE value END), '{}')
      FROM jsonb_each(scope)
$$;
UPDATE mistral.task t
   SET scope = CASE WHEN jsonb_typeof(scope) = 'object' THEN jsonb_build_array(pg_temp.old_form(scope), '{}'::jsonb)
                    ELSE jsonb_build_array(scope -> 1, pg_temp.old_form(scope -> 0)) END
  FROM flows f WHERE f.form = 'old' AND t.execution_id = f.id AND scope IS NOT NULL;
-- An aborted subtransaction takes the trees in memory with it.
DO $$ BEGIN RAISE 'nothing'; EXCEPTION WHEN OTHERS THEN NULL; END $$;
SELECT mistral.complete_action(a.id, '0') FROM mistral.action_executions a JOIN mistral.tasks t ON t.id = a.task_id
  JOIN flows f ON f.id = t.execution_id WHERE a.state = 'RUNNING';
SELECT pg_temp.run();
SELECT is(e.output -> 'seen', '[2, 3, 4, 1, 300]', 'the data flow is read again: stored in the ' || form || ' form')
  FROM flows JOIN mistral.executions e USING (id) ORDER BY form;
SELECT is(count(*), 3::bigint, 'scopes, triggered_by and next_tasks have the bytes that jsonb has for them')
  FROM flows f JOIN mistral.task t ON t.execution_id = f.id
 WHERE f.form = 'new' AND scope <> '{}' AND
       record_image_eq(ROW(scope, triggered_by, next_tasks), ROW(scope::text::jsonb, triggered_by::text::jsonb, next_tasks::text::jsonb));
SELECT is(jsonb_object_agg(t.name, t.scope ORDER BY t.name) FILTER (WHERE t.name <> 'b'), '{"c": [{}, 1], "j": [{"x": [1, 2], "zzz": 1, "other": 2}, 1]}',
          'a variable is the task that published it, with the times if more than once; what another row has is not repeated')
  FROM flows f JOIN mistral.task t ON t.execution_id = f.id WHERE f.form = 'new' AND t.scope IS NOT NULL;

-- ------------------------------------------------------------------ many in one step

SELECT pg_temp.load('w', $$
input: [i]
tasks:
  a: {publish: {i: <% $.i * 2 %>}, on-success: b}
  b: {action: std.echo output=<% $.i + 1 %>, publish: {r: <% task().result %>}}
$$);
CREATE TEMP TABLE many AS SELECT i, mistral.start_workflow('w', jsonb_build_object('i', i)) AS id FROM generate_series(1, 250) i;
SELECT is(mistral.step(), 100, 'a step takes as many executions as it is told, 100 by default');
SELECT is(mistral.step(7), 7, 'or fewer');
SELECT pg_temp.run();
SELECT is((SELECT count(*) FROM many m JOIN mistral.executions e USING (id)
            WHERE e.state = 'SUCCESS' AND e.output = jsonb_build_object('i', m.i * 2, 'r', m.i * 2 + 1)), 250::bigint,
          'each has its own data');
SELECT throws_ok('SELECT mistral.step(0)', '22023', NULL, 'a step of nothing');
SELECT is(mistral.step(), 0, 'nothing is left');
SELECT is((SELECT count(*) FROM mistral.message), 0::bigint, 'no message');
SELECT is((SELECT count(*) FROM mistral.timer), 0::bigint, 'no timer');

-- ------------------------------------------------------------------ indexes that somebody adds

CREATE INDEX by_expression ON mistral.execution (upper(name), (input ->> 'i'));
CREATE INDEX by_predicate ON mistral.task (execution_id) WHERE name = 'b';
CREATE UNIQUE INDEX late ON mistral.task (id, name);
CREATE INDEX by_hash ON mistral.execution USING hash (id);
CREATE FUNCTION pg_temp.by_index(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
BEGIN
    SET LOCAL enable_seqscan = off;
    EXECUTE query INTO n;
    RETURN n;
END $$;
CREATE TEMP TABLE indexed AS SELECT mistral.start_workflow('w', '{"i": 7777}') AS id FROM generate_series(1, 20);
SELECT pg_temp.run();
SELECT is(pg_temp.by_index($$SELECT count(*) FROM mistral.execution WHERE upper(name) = 'W' AND input ->> 'i' = '7777'$$), 20::bigint,
          'an index on an expression has every execution');
SELECT is(pg_temp.by_index($$SELECT count(*) FROM indexed i WHERE EXISTS (SELECT FROM mistral.execution e WHERE e.id = i.id)$$), 20::bigint,
          'and the indexes beside it');
SELECT is(pg_temp.by_index($$SELECT count(*) FROM indexed i WHERE EXISTS (SELECT FROM mistral.task t WHERE t.execution_id = i.id AND t.name = 'b')$$),
          20::bigint, 'one with a predicate has the tasks that it is for');
DROP INDEX mistral.by_expression, mistral.by_predicate, mistral.by_hash;
CREATE TEMP TABLE unique_only AS SELECT mistral.start_workflow('w', '{"i": 1}') AS id FROM generate_series(1, 20);
SELECT pg_temp.run();
SELECT is(pg_temp.by_index($$SELECT count(*) FROM unique_only i JOIN mistral.tasks t ON t.execution_id = i.id
                             WHERE EXISTS (SELECT FROM mistral.task k WHERE k.id = t.id AND k.name = t.name)$$), 40::bigint,
          'a plain index of somebody else''s has every task, too');
CREATE INDEX by_null ON mistral.task (name) WHERE triggered_by IS NULL;
CREATE INDEX by_not_null ON mistral.task (name, id) WHERE triggered_by IS NOT NULL;
SELECT pg_temp.load('pairs', 'tasks: {earlier: {on-success: later}, later: {action: std.noop}}');
SELECT count(mistral.start_workflow('pairs')) FROM generate_series(1, 20)
\g /dev/null
SELECT pg_temp.run();
SELECT is(pg_temp.by_index(format('SELECT count(*) FROM mistral.task WHERE name = %L AND triggered_by IS %s', task, what)), expected,
          format('one of those where a column is %s has %s of the tasks "%s"', what, expected, task))
  FROM (VALUES ('earlier', 'NULL', 20::bigint), ('later', 'NULL', 0), ('earlier', 'NOT NULL', 0), ('later', 'NOT NULL', 20)) x (task, what, expected);

-- ------------------------------------------------------------------ columns that somebody adds, and drops again

SELECT format('ALTER TABLE mistral.%I ADD COLUMN note text, ADD COLUMN left_over text', t)
  FROM unnest('{execution,task,action_execution,message,timer,dispatch,offer,lease,history}'::text[]) t \gexec
SELECT format('ALTER TABLE mistral.%I DROP COLUMN left_over', t)
  FROM unnest('{execution,task,action_execution,message,timer,dispatch,offer,lease,history}'::text[]) t \gexec
SELECT mistral.register_action('noted', target => 'notes');
SELECT pg_temp.load('noted', 'tasks: {t: {with-items: "i in [1, 2]", action: noted, timeout: 60}}');
SELECT mistral.start_workflow('noted') AS e \gset
SELECT pg_temp.run();
CREATE TEMP TABLE noted AS SELECT action_execution_id AS id FROM mistral.claim_actions('notes', max => 2);
SELECT is_empty($$SELECT * FROM mistral.complete_actions((SELECT array_agg(id) FROM noted))$$, 'actions are claimed and completed');
SELECT pg_temp.run();
SELECT is((SELECT state || ' ' || COALESCE(note, 'no note') FROM mistral.execution WHERE id = :'e'), 'SUCCESS no note',
          'columns that somebody has added are NULL');

SELECT * FROM finish();
ROLLBACK;
