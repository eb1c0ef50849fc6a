-- mistral.lint: each rule with an example that gives exactly its finding, and one that gives none.
BEGIN;

CREATE TEMP TABLE rules (
    n int GENERATED ALWAYS AS IDENTITY,
    rule text,
    bad text,
    expected text,               -- severity line:col message
    good text
);

-- Tasks of one workflow: the text goes below "tasks:" with four spaces, so that its first line is line 4.
CREATE FUNCTION pg_temp.tasks(body text) RETURNS text LANGUAGE sql AS $$
  SELECT E'version: "2.0"\nwf:\n  tasks:\n' || pg_catalog.regexp_replace(body, '^', '    ', 'gn') || E'\n'
$$;
-- A workflow: below "wf:" with two spaces, its first line is line 3.
CREATE FUNCTION pg_temp.workflow(body text) RETURNS text LANGUAGE sql AS $$
  SELECT E'version: "2.0"\nwf:\n' || pg_catalog.regexp_replace(body, '^', '  ', 'gn') || E'\n'
$$;

INSERT INTO rules (rule, bad, expected, good) VALUES
-- values
('duplicate key', pg_temp.tasks(E't:\n  action: std.fail\n  action: std.noop'),
 'warning 6:7 the key "action" is given again, and only its last value counts',
 pg_temp.tasks(E't:\n  <<: {action: std.fail}\n  action: std.noop')),
('YAML boolean, value', pg_temp.tasks('t: {publish: {answer: yes}}'), 'info 4:27 yes is the boolean true',
 pg_temp.tasks('t: {publish: {answer: "yes", x: true}, pause-before: yes}')),
('YAML boolean, key', pg_temp.tasks('t: {publish: {x: {on: 1}}}'), 'warning 4:23 the key on is the boolean true',
 pg_temp.tasks('t: {publish: {x: {"on": 1}}}')),
('YAML number, octal', pg_temp.tasks('t: {publish: {x: 010}}'), 'warning 4:22 010 is the number 8',
 pg_temp.tasks('t: {publish: {x: "010", y: 0, z: 0.5}}')),
('YAML number, sixties', pg_temp.tasks('t: {publish: {x: 1:30}}'), 'warning 4:22 1:30 is the number 90',
 pg_temp.tasks('t: {publish: {x: "1:30"}}')),

-- texts
('open expression, comma', pg_temp.tasks('t: {publish: {x: <% max(1, 2) %>}}'),
 'warning 4:22 an expression that is not closed is plain text', pg_temp.tasks('t: {publish: {x: "<% max(1, 2) %>"}}')),
('open expression, line end', pg_temp.tasks(E't:\n  publish:\n    x: |\n      <% 1 +\n         1 %>'),
 'warning 7:11 an expression with a line end between its delimiters is plain text',
 pg_temp.tasks(E't:\n  publish:\n    x: >\n      <% 1 +\n      1 %>')),
('open expression, Jinja2', pg_temp.tasks(E't:\n  publish:\n    x: |\n      {{ 1 +\n      1 }}'),
 'warning 7:11 an expression with a line end between its delimiters is plain text',
 pg_temp.tasks(E't:\n  publish:\n    x: "{{ 1 + 1 }}"')),
('broken expression', pg_temp.tasks('t: {publish: {x: {y: "<% 1 + %>"}}}'),
 'warning 4:34 an expression that is not checked when it is loaded: unexpected end of the expression',
 pg_temp.tasks('t: {publish: {x: {y: "<% 1 + 1 %>"}}}')),
('broken expression, action', E'version: "2.0"\na: {base: std.noop, output: {x: "<% 1 + %>"}}\n',
 'warning 2:41 an expression that is not checked when it is loaded: unexpected end of the expression',
 E'version: "2.0"\na: {base: std.noop, output: {x: "<% 1 %>"}}\n'),
('two languages below the first level', pg_temp.tasks('t: {publish: {x: ["<% 1 %> {{ 2 }}"]}}'),
 'warning 4:24 an expression that is not checked when it is loaded: YAQL and Jinja2 expressions cannot be used in one string',
 pg_temp.tasks('t: {publish: {x: ["<% 1 %>", "{{ 2 }}"]}}')),
('blocks only', pg_temp.tasks('t: {publish: {x: "{% if 1 %}a{% endif %}"}}'),
 'warning 4:22 a text with Jinja2 statements and without {{ }} fails when it is evaluated',
 pg_temp.tasks('t: {publish: {x: "{% if 1 %}{{ 1 }}{% endif %}"}}')),
('unknown function, YAQL', pg_temp.tasks('t: {publish: {x: "<% lenn([1]) %>"}}'), 'warning 4:26 there is no function "lenn"',
 pg_temp.tasks('t: {publish: {x: "<% len([1]) %>", y: "<% def(f, $ + 1) -> f(1) %>", z: "<% [1].select($ + 1).sum() %>"}}')),
('unknown function, Jinja2', pg_temp.tasks('t: {publish: {x: "{{ rang(3) }}"}}'), 'warning 4:26 there is no name "rang"',
 pg_temp.tasks('t: {publish: {x: "{{ range(3)|list }}", y: "{% set a = 1 %}{{ a }}", z: "{{ task().result }}"}}')),
('unknown filter', pg_temp.tasks('t: {publish: {x: "{{ 1|uper }}"}}'), 'warning 4:28 there is no filter "uper"',
 pg_temp.tasks('t: {publish: {x: "{{ 1|upper }}"}}')),
('unknown test', pg_temp.tasks('t: {publish: {x: "{{ 1 is od }}"}}'), 'warning 4:31 there is no test "od"',
 pg_temp.tasks('t: {publish: {x: "{{ 1 is odd }}"}}')),
('unknown variable, YAQL', pg_temp.workflow(E'input: [name]\ntasks:\n  t: {publish: {x: <% $.nam %>}}'),
 'warning 5:27 nothing in the workflow gives the variable "nam"',
 pg_temp.workflow(E'input: [name, {title: x}]\nvars: {v: 1}\ntasks:\n  t: {publish: {x: <% $.name %>, y: <% $.title %>, z: <% $.v %>, a: <% $.get(b) %>, '
                  'c: "{{ _.__env }}"}, on-success: {publish: {branch: {b: 1}, global: {g: "<% [{i=>1}].select($.i) %>"}}}}\n  u: {publish: {x: <% $.g %>}}')),
('unknown variable, Jinja2', pg_temp.tasks('t: {publish: {x: "{{ _.y }}"}}'), 'warning 4:28 nothing in the workflow gives the variable "y"',
 pg_temp.tasks('t: {publish: {x: "{{ _.y|default(1) }}", z: "{{ _.y is defined }}", a: "{{ _.get(1) }}", b: "{{ _.x }}"}}')),
('unknown variable, an item', pg_temp.tasks('t: {with-items: "i in [1]", action: std.echo output=<% $.i %>, publish: {x: <% $.i %>}}'),
 'warning 4:86 nothing in the workflow gives the variable "i"',
 pg_temp.tasks('t: {with-items: "i in [1]", action: std.echo output=<% $.i %>, publish: {x: <% task().result %>}}')),
('expression in a key', pg_temp.tasks('t: {publish: {x: {"<% 1 %>": 1}}}'), 'warning 4:23 the expression in a key is plain text',
 pg_temp.tasks('t: {on-success: [''fail msg="<% 1 %>"'': <% task().result %>]}')),

-- tasks
('dropped parameter, word', pg_temp.tasks('t: {action: std.echo output=1 delay=soon}'), 'warning 4:35 "delay=soon" is no parameter and is passed over',
 pg_temp.tasks('t: {action: ''std.echo output="soon" delay=1''}')),
('dropped parameter, number', pg_temp.tasks('t: {action: std.echo output=1.5}'), 'warning 4:34 ".5" is no parameter and is passed over',
 pg_temp.tasks('t: {action: std.echo output=<% 1.5 %>}')),
('dropped parameter, no space', pg_temp.tasks('t: {action: my.echo(output=1)}'),
 'warning 4:17 without a space, all of "my.echo(output=1)" is taken as the name', pg_temp.tasks('t: {action: my.echo output=1}')),
('built-in action', pg_temp.tasks('t: {action: std.nop}'), 'warning 4:17 there is no built-in action "std.nop"',
 pg_temp.tasks('t: {action: <% "std." + task().name %>}')),
('missing parameter', pg_temp.tasks('t: {action: std.echo}'), 'warning 4:17 the action "std.echo" needs the parameter "output"',
 pg_temp.tasks(E't: {action: std.echo, input: {output: 1}}\nu: {action: std.echo, input: <% task().result %>}')),
('unknown parameter', pg_temp.tasks('t: {action: std.noop, input: {output: 1}}'), 'warning 4:35 the action "std.noop" has no parameter "output"',
 pg_temp.tasks('t: {action: my.noop, input: {output: 1}}')),
('sub-workflow, missing', E'version: "2.0"\na: {tasks: {t: {workflow: b}}}\nb: {input: [x, {y: 1}], tasks: {t: {action: std.noop}}}\n',
 'warning 2:27 the workflow "b" needs the parameter "x"',
 E'version: "2.0"\na: {tasks: {t: {workflow: b x=1, input: {env: {}}}}}\nb: {input: [x, {y: 1}], tasks: {t: {action: std.noop}}}\n'),
('sub-workflow, unknown', E'version: "2.0"\na: {tasks: {t: {workflow: b z=1}}}\nb: {tasks: {t: {action: std.noop}}}\n',
 'warning 2:29 the workflow "b" has no parameter "z"', E'version: "2.0"\na: {tasks: {t: {workflow: c z=1}}}\n'),
('not evaluated', pg_temp.tasks('t: {keep-result: <% false %>}'), 'warning 4:22 "keep-result" is not evaluated: an expression counts as true',
 pg_temp.tasks('t: {keep-result: false, safe-rerun: true}')),
('zero policy', pg_temp.workflow(E'task-defaults: {timeout: 5}\ntasks: {t: {timeout: 0}}'),
 'warning 4:24 0 does not replace the "timeout" of task-defaults',
 pg_temp.workflow(E'task-defaults: {timeout: 5}\ntasks: {t: {timeout: 1, wait-before: 0}}')),
('lone concurrency', pg_temp.tasks('t: {concurrency: 2}'), 'info 4:9 "concurrency" has no effect without "with-items"',
 pg_temp.tasks('t: {concurrency: 2, with-items: "i in [1]"}')),
('join policy', pg_temp.tasks(E'a: {on-success: b}\nb: {join: all, timeout: 5}'), 'warning 5:20 "timeout" does not apply to a task with "join"',
 pg_temp.tasks(E'a: {on-success: b}\nb: {join: all, wait-after: 5}')),
('no retry', pg_temp.tasks('t: {retry: {count: 0, delay: 1}}'), 'info 4:24 a task with this "retry" is never tried again',
 pg_temp.workflow(E'task-defaults: {retry: {count: 1, delay: 1}}\ntasks: {t: {retry: {count: 0, delay: 1}}}')),
('hidden item', pg_temp.tasks(E'a: {publish: {i: 1}, on-success: b}\nb: {with-items: "i in [1]", action: std.echo output=<% $.i %>}'),
 'warning 5:21 the item "i" is hidden by the variable that task "a" publishes',
 pg_temp.tasks(E'a: {publish: {j: 1}, on-success: b}\nb: {with-items: "i in [1]", action: std.echo output=<% $.i %>, publish: {i: 1}}')),
('item twice', pg_temp.tasks('t: {with-items: ["i in [1]", "i in [2]"]}'), NULL, pg_temp.tasks('t: {with-items: ["i in [1]", "j in [2]"]}')),
('no effect', pg_temp.tasks('t: {name: x, action: std.noop}'), 'info 4:9 the key "name" has no effect in a task',
 pg_temp.tasks('t: {description: x, action: std.noop}')),
('command as name', pg_temp.tasks('pause: {action: std.noop}'), 'warning 4:5 in clauses, "pause" is the command and never this task',
 pg_temp.tasks('pauses: {action: std.noop}')),
('hidden publish', pg_temp.tasks('t: {publish: {a: 1}, on-success: {publish: {global: {b: 1}}}}'),
 'warning 4:9 "publish" is lost: "on-success" publishes without "branch"',
 pg_temp.tasks('t: {publish: {a: 1}, on-success: {publish: {global: {b: 1}, branch: {c: 1}}}, on-error: {publish: {global: {b: 1}}}}')),

-- clauses
('lost condition', pg_temp.tasks(E'a: {on-success: {b: <% 1 %>}}\nb: {action: std.noop}'),
 'warning 4:22 a clause that names no task: a dictionary is read as {publish, next}',
 pg_temp.tasks(E'a: {on-success: [b: <% 1 %>]}\nb: {action: std.noop}')),
('lost condition, next', pg_temp.tasks(E'a: {on-success: {next: {b: <% 1 %>}}}\nb: {action: std.noop}'),
 'warning 4:29 the condition is not looked at where "next" is a dictionary',
 pg_temp.tasks(E'a: {on-success: {next: [b: <% 1 %>]}}\nb: {action: std.noop}')),
('constant condition', pg_temp.tasks('a: {on-success: [fail: <% false %>]}'), 'warning 4:28 "fail" never follows: the condition is always false',
 pg_temp.tasks('a: {on-success: [fail: <% true %>]}')),
('after the end', pg_temp.tasks(E'a: {on-success: [succeed, b]}\nb: {action: std.noop}'),
 'warning 4:31 "b" never follows: "succeed" before it ends the workflow',
 pg_temp.tasks(E'a: {on-success: [b, succeed]}\nb: {on-success: [pause, c]}\nc: {on-success: [fail: <% task().result %>, d]}\nd: {action: std.noop}')),
('target parameter, task', pg_temp.tasks(E'a: {on-success: b x=1}\nb: {action: std.noop}'),
 'warning 4:23 a parameter of a task that follows has no effect', pg_temp.tasks('a: {on-success: ''fail msg="x y"''}')),
('target parameter, command', pg_temp.tasks('a: {on-success: ''fail message="x"''}'), 'warning 4:27 "fail" has no parameter "message"',
 pg_temp.tasks('a: {on-success: [''fail(msg="x y")'']}')),
('target parameter, dropped', pg_temp.tasks('a: {on-success: fail msg=oops}'), 'warning 4:26 "msg=oops" is no parameter and is passed over',
 pg_temp.tasks('a: {on-success: ''fail msg="oops"''}')),
('atomic', pg_temp.tasks('a: {on-success: {publish: {atomic: {x: 1}}}}'), 'warning 4:32 "atomic" publishes nothing',
 pg_temp.tasks('a: {on-success: {publish: {global: {x: 1}}}}')),

-- the flow
('unreached', pg_temp.tasks(E'a: {action: std.noop}\nb: {on-error: b}'), 'warning 5:5 the task never runs: no task that is started leads to it',
 pg_temp.tasks(E'a: {on-success: b}\nb: {on-error: b}')),
('twice', pg_temp.tasks(E'a: {on-success: b, on-complete: b}\nb: {action: std.noop}'), 'warning 4:37 "b" runs twice: "on-success" names it, too',
 pg_temp.tasks(E'a: {on-success: [b: <% $.get(x) %>], on-complete: b}\nb: {on-success: c, on-complete: c}\nc: {join: all}')),
('once per parent', pg_temp.tasks(E'a: {on-success: c}\nb: {on-success: c}\nc: {action: std.noop}'),
 'warning 6:5 the task runs once after "a" and once after "b"',
 pg_temp.tasks(E'a: {on-success: c, on-error: d}\nb: {on-success: [c], on-error: d}\nc: {join: all}\nd: {action: std.noop}')),
('once per parent, one clause', pg_temp.tasks(E's: {on-success: [a, b]}\na: {on-success: c}\nb: {on-success: c}\nc: {action: std.noop}'),
 'warning 7:5 the task runs once after "a" and once after "b"',
 pg_temp.tasks(E's: {on-success: [a: <% $.get(x) %>, b: <% not $.get(x) %>]}\na: {on-success: c}\nb: {on-success: c}\nc: {action: std.noop}')),
('join never, ends', pg_temp.tasks(E'a: {on-success: c, on-error: b}\nb: {on-success: c}\nc: {join: all}'),
 'warning 6:15 the join never fires: its branches follow different ends of task "a"',
 pg_temp.tasks(E'a: {on-success: c, on-error: b}\nb: {on-success: c}\nc: {join: one}')),
('join never, two branches', pg_temp.tasks(E'a: {on-success: [b], on-error: [c]}\nb: {on-success: d}\nc: {on-complete: d}\nd: {join: 2}'),
 'warning 7:15 the join never fires: its branches follow different ends of task "a"',
 pg_temp.tasks(E'a: {on-success: [b], on-complete: [c]}\nb: {on-success: d}\nc: {on-complete: d}\nd: {join: all}')),
('requires a cycle', pg_temp.workflow(E'type: reverse\ntasks:\n  a: {action: std.noop}\n  b: {requires: c}\n  c: {requires: [a, d]}\n  d: {requires: c}'),
 NULL, pg_temp.workflow(E'type: reverse\ntask-defaults: {requires: a}\ntasks:\n  a: {action: std.noop}\n  b: {requires: [a, c]}\n  c: {requires: [a, c]}')),

-- workflows and actions
('unknown key', pg_temp.workflow(E'inputs: [a]\ntasks: {t: {action: std.noop}}'), 'warning 3:3 "inputs" is no key of a workflow and is ignored',
 pg_temp.workflow(E'version: 2.0\ndescription: x\ntimeout: 5\ntasks: {t: {action: std.noop}}')),
('default expression', pg_temp.workflow(E'input: [a: <% 1 %>]\ntasks: {t: {action: std.noop}}'),
 'warning 3:14 the default of a parameter is not evaluated', pg_temp.workflow(E'input: [a: 1 % 2]\ntasks: {t: {action: std.noop}}')),
('publish of defaults', pg_temp.workflow(E'task-defaults: {on-error: {publish: {branch: {a: 1}}, next: fail}}\ntasks: {t: {action: std.noop}}'),
 'warning 3:30 what a clause of task-defaults publishes is ignored',
 pg_temp.workflow(E'task-defaults: {on-error: {next: fail}}\ntasks: {t: {action: std.noop}}')),
('base', E'version: "2.0"\na: {base: std.echo text=1}\n', NULL, E'version: "2.0"\na: {base: std.echo output=<% $.x %>, input: [x: 1]}\n'),
('default expression of an action', E'version: "2.0"\na: {base: std.noop, input: [x: <% 1 %>]}\n', 'warning 2:32 the default of a parameter is not evaluated',
 E'version: "2.0"\na: {base: std.noop, input: [x: 1]}\n'),

-- errors are there, too; what is wrong is not looked at further
('error', pg_temp.tasks('t: {actoin: std.nop, publish: {x: <% $.y %>}}'), 'error 4:9 expected a key of a task, found "actoin"',
 pg_temp.tasks('t: {action: std.noop}')),
('name with a space', E'version: "2.0"\n"my a": {base: std.noop}\n', 'error 2:1 expected a name without spaces, found "my a"',
 E'version: "2.0"\nmy.a: {base: std.noop}\n'),
('long name', E'version: "2.0"\n' || pg_catalog.repeat('x', 256) || E': {base: std.noop}\n', 'error 2:1 expected a name of 1 to 255 characters, found 256',
 E'version: "2.0"\nmy.a: {base: std.noop}\n'),
('reserved name', E'version: "2.0"\nstd.a: {base: std.noop}\n', 'error 2:1 expected a name that does not start with "std.", found "std.a"',
 E'version: "2.0"\nmy.a: {base: std.noop}\n');

SELECT plan((SELECT count(expected) + count(*) FROM rules)::int + 9);

CREATE FUNCTION pg_temp.said(document text) RETURNS text LANGUAGE sql AS $$
  SELECT pg_catalog.string_agg(severity || ' ' || line || ':' || col || ' ' || message, '; ') FROM mistral.lint(document)
$$;
SELECT is(pg_temp.said(bad), expected, rule || ' is found') FROM rules WHERE expected IS NOT NULL ORDER BY n;
SELECT is(pg_temp.said(good), NULL, rule || ': none in ' || pg_catalog.replace(pg_catalog.left(good, 60), E'\n', '|')) FROM rules ORDER BY n;

-- examples that give two findings
SELECT is(pg_temp.said(bad), 'warning 4:34 the item "i" is given again, and only its last list counts', 'the same item twice')
  FROM rules WHERE rule = 'item twice';
SELECT alike(pg_temp.said(bad), '% the task requires itself through others', 'a cycle of requirements') FROM rules WHERE rule = 'requires a cycle';
SELECT is(pg_temp.said(bad), 'warning 2:11 the action "std.echo" needs the parameter "output"; warning 2:20 the action "std.echo" has no parameter "text"',
          'parameters of a base') FROM rules WHERE rule = 'base';

-- paths, hints, documents
SELECT results_eq($$SELECT severity, line, path, hint FROM mistral.lint(E'version: "2.0"\nname: wb\nworkflows:\n  w:\n    tasks:\n      t:\n        action: std.echo outptu=1 output=2\n')$$,
                  $$VALUES ('warning', 7, 'workflows.w.tasks.t.action', 'Did you mean "output"?')$$, 'in a workbook, with path and hint');
SELECT is(pg_temp.said(E'version: "2.0"\na: {tasks: {t: {action: std.ech}}}\nb: {tasks: {t: {actoin: std.ech}}}\n'),
          'warning 2:25 there is no built-in action "std.ech"; error 3:17 expected a key of a task, found "actoin"',
          'an error in one workflow does not keep quiet about another');
SELECT is(pg_temp.said('a: b: c'), 'error 1:5 not YAML: mapping values are not allowed in this context', 'what is no YAML is an error');
SELECT throws_ok($$SELECT * FROM mistral.lint(NULL)$$, '22004', NULL, 'a null document is an error');
SELECT throws_ok($$SELECT * FROM mistral.lint('', 'task')$$, '22023', NULL, 'another kind is an error');

-- a thousand findings, and time that grows with the text: without a bound, hints alone would be a hundred million comparisons
SET LOCAL statement_timeout = '30s';
SELECT is((SELECT count(*)::int FROM mistral.lint(E'version: "2.0"\nmany:\n  tasks:\n' || (
           SELECT string_agg(format(E'    t%s: {action: std.echo output=<%% $.unknown%s %%>, publish: {published%s: 1}}\n', n, n, n), '') FROM generate_series(1, 10000) n))),
          1000, 'ten thousand unknown variables');
SET LOCAL statement_timeout = 0;

SELECT * FROM finish();
ROLLBACK;
