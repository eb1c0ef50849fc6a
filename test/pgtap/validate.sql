-- mistral.validate: what is a problem, where it is, and what is none.
BEGIN;

CREATE TEMP TABLE documents (
    n int GENERATED ALWAYS AS IDENTITY,
    kind text,
    document text,
    expected text[]              -- line:col:path of each problem; {} for a valid document
);

-- Tasks of one workflow: the text goes below "tasks:" with four spaces.
CREATE FUNCTION pg_temp.tasks(body text) RETURNS text LANGUAGE sql AS $$
  SELECT E'version: "2.0"\nwf:\n  tasks:\n' || pg_catalog.regexp_replace(body, '^', '    ', 'gn') || E'\n'
$$;

INSERT INTO documents (kind, document, expected) VALUES
-- documents
('workflow', '', '{1:1:,1:1:}'),
('workflow', '- a', '{1:1:}'),
('workflow', 'version: "2.0"', '{1:1:}'),
('workflow', E'wf:\n  tasks:\n    t: {action: std.noop}\n', '{1:1:}'),
('workflow', E'version: 3\nwf:\n  tasks:\n    t: {action: std.noop}\n', '{}'),
('workflow', E'version: ""\nwf:\n  tasks:\n    t: {action: std.noop}\n', '{1:10:version}'),
('workflow', E'version: "2.0"\nwf:\n  tasks:\n    t: {action: std.javascript script="1"}\n', '{4:17:wf.tasks.t.action}'),
('action', E'version: "2.0"\na: {base: std.js, base-input: {script: x}}\n', '{2:11:a.base}'),
('workflow', E'version: "2.0"\nwf:\n', '{2:4:wf}'),
('workflow', E'version: "2.0"\nwf: {}\n', '{2:5:wf}'),
('workflow', E'version: "2.0"\nwf: {foo: 1, tasks: {t: {action: std.noop}}}\n', '{}'),
('workflow', E'version: "2.0"\nwf: {foo: 1}\n', '{2:5:wf}'),
('workflow', E'version: "2.0"\nwf: {type: revers, tasks: {t: {action: std.noop}}}\n', '{2:12:wf.type}'),
('workflow', E'version: "2.0"\n6d1f7d5a-1b3e-4c71-8c53-0f4a8d2f9d11: {tasks: {t: {action: std.noop}}}\n',
 '{2:1:6d1f7d5a-1b3e-4c71-8c53-0f4a8d2f9d11}'),
('workflow', E'version: "2.0"\n"w f": {tasks: {t: {action: std.noop}}}\n', '{}'),
('workflow', E'version: "2.0"\n"": {tasks: {t: {actoin: std.noop}}}\n', '{2:18:tasks.t.actoin}'),
('workflow', pg_temp.tasks('"": {action: std.noop}'), '{4:5:wf.tasks.}'),
('workflow', pg_temp.tasks('t: {action: std.noop, type: 2020-01-01}'), '{4:33:wf.tasks.t}'),
('workflow', E'version: "2.0"\n' || pg_catalog.repeat('ä', 255) || E': {tasks: {t: {action: std.noop}}}\n', '{}'),
('workflow', E'version: "2.0"\n' || pg_catalog.repeat('x', 256) || E': {tasks: {t: {action: std.noop}}}\n',
 '{}'),
('workbook', E'version: "2.0"\nname: w b\nworkflows: {a: {}}\n', '{3:16:workflows.a}'),
('workbook', E'version: "2.0"\nname: ' || pg_catalog.repeat('x', 200) || E'\nactions: {a: {base: b}, ' || pg_catalog.repeat('y', 60) || E': {base: b}}\n',
 '{}'),
('action', E'version: "2.0"\n"a b": {base: std.echo}\n', '{}'),
('workbook', E'version: "2.0"\nname: wb\n', '{}'),
('workbook', E'version: "2.0"\n', '{1:1:}'),
('workbook', E'version: "1.0"\nname: wb\n', '{1:10:version}'),
('workbook', E'version: 2.0\nname: wb\nworkflow: {}\n', '{3:1:workflow}'),
('workbook', E'version: "2.0"\nname: wb\nworkflows:\n  a b: {tasks: {t: {action: std.noop}}}\n', '{"4:3:workflows.a b"}'),
('workbook', E'version: "2.0"\nname: wb\nworkflows:\n  pay:\n    tasks:\n      send:\n        retry: {count: x, delay: 1}\n',
 '{7:24:workflows.pay.tasks.send.retry.count}'),
('workbook', E'version: "2.0"\nname: wb\nactions:\n  a: {input: [x]}\n', '{4:6:actions.a}'),
('action', E'version: "2.0"\na: {base: std.echo output="<% $.x %>", input: [x]}\n', '{}'),
('action', E'version: "2.0"\na: {base: std.echo, bse-input: {x: 1}}\n', '{2:21:a.bse-input}'),
-- YAML
('workflow', 'a: b: c', '{1:5:}'),
('workflow', E'version: "2.0"\nwf: [\n', '{3:1:}'),
('workflow', E'a: {{ _.x }}', '{1:5:}'),
('workflow', E'a: !!python/object:os.system x', '{1:4:}'),
('workflow', E'a: 1\n---\nb: 2', '{2:1:}'),
('workflow', E'a: "\\0"', '{1:4:}'),
('workflow', E'a: .nan', '{1:4:}'),
('workflow', pg_temp.tasks('t: {action: std.noop, publish: {a: &x, b: *x, c: @x}}'), '{}'),
('workflow', pg_temp.tasks('t: {action: std.noop, publish: {a: *}}'), '{4:40:}'),
('workflow', pg_temp.tasks(E't: {action: std.noop}\nt: {action: 5}\nt: {action: std.fail}'), '{}'),
('workflow', pg_temp.tasks(E't: {<<: {action: 5}}'), '{4:22:wf.tasks.t.action}'),
-- tasks
('workflow', pg_temp.tasks('t:'), '{4:5:wf.tasks.t}'),
('workflow', pg_temp.tasks('t: {}'), '{4:8:wf.tasks.t}'),
('workflow', pg_temp.tasks('t-1: {}'), '{}'),
('workflow', pg_temp.tasks('1: {action: std.noop}'), '{4:5:wf.tasks.1}'),
('workflow', pg_temp.tasks('t: {actoin: std.noop}'), '{4:9:wf.tasks.t.actoin}'),
('workflow', pg_temp.tasks('t: {action: a, workflow: b}'), '{4:30:wf.tasks.t}'),
('workflow', pg_temp.tasks('t: {name: 5, version: null, type: foo}'), '{}'),
('workflow', pg_temp.tasks('t: {requires: t}'), '{4:9:wf.tasks.t.requires}'),
('workflow', pg_temp.tasks('t: {action: " std.noop a=1"}'), '{4:17:wf.tasks.t.action}'),
('workflow', pg_temp.tasks('t: {action: std.echo output=1, input: <% $.x %>}'), '{4:43:wf.tasks.t}'),
('workflow', pg_temp.tasks('t: {action: std.echo, input: ""}'), '{4:34:wf.tasks.t.input}'),
('workflow', pg_temp.tasks('t: {publish: {}}'), '{4:18:wf.tasks.t.publish}'),
('workflow', pg_temp.tasks('t: {publish: {1: 2}}'), '{4:19:wf.tasks.t.publish.1}'),
('workflow', pg_temp.tasks('t: {publish: {a: 2020-01-01}}'), '{4:22:wf.tasks.t.publish.a}'),
('workflow', pg_temp.tasks('t: {publish: {a: {b: 2020-01-01, 1: 2}}}'), '{}'),
('workflow', pg_temp.tasks('t: {wait-before: 1.0, wait-after: 1.5, timeout: -1, concurrency: true}'),
 '{4:39:wf.tasks.t.wait-after,4:53:wf.tasks.t.timeout,4:70:wf.tasks.t.concurrency}'),
('workflow', pg_temp.tasks('t: {tags: [a, a], description: ""}'), '{4:19:wf.tasks.t.tags[1],4:36:wf.tasks.t.description}'),
('workflow', pg_temp.tasks('t: {retry: count=3 delay=1}'), '{}'),
('workflow', pg_temp.tasks('t: {retry: count=3}'), '{4:16:wf.tasks.t.retry,4:16:wf.tasks.t.retry}'),
('workflow', pg_temp.tasks('t: {retry: ''count="3" delay=1''}'), '{4:24:wf.tasks.t.retry.count}'),
('workflow', pg_temp.tasks('t: {retry: count=1 delay=<% $. %>}'), '{4:36:wf.tasks.t.retry.delay}'),
('workflow', pg_temp.tasks('t: {action: std.echo a=1 b="<% 1 + %>"}'), '{4:40:wf.tasks.t.action.b}'),
('workflow', pg_temp.tasks('t: {with-items: i in <% $. %>}'), '{4:32:wf.tasks.t.with-items}'),
('workflow', pg_temp.tasks('t: {retry: count=3 delay=1 backoff=1.5 max-delay=0.5 jitter=0.25}'), '{}'),
('workflow', pg_temp.tasks('t: {retry: {count: 3, delay: 1, backoff: 0.5, max-delay: -1, jitter: 2}}'),
 '{4:46:wf.tasks.t.retry.backoff,4:62:wf.tasks.t.retry.max-delay,4:74:wf.tasks.t.retry.jitter}'),
('workflow', pg_temp.tasks('t: {retry: {count: 3, delay: 1, backoff: true, max-delay: "3", jitter: <% $.j %>}}'),
 '{4:46:wf.tasks.t.retry.backoff,4:63:wf.tasks.t.retry.max-delay}'),
('workflow', pg_temp.tasks('t: {with-items: ''i in [1, null, "a"]''}'), '{}'),
('workflow', pg_temp.tasks('t: {with-items: [i in <% $.x %>, "j in [1,]"]}'), '{4:38:wf.tasks.t.with-items[1]}'),
('workflow', pg_temp.tasks('t: {with-items: "i of [1]"}'), '{4:21:wf.tasks.t.with-items}'),
('workflow', pg_temp.tasks(pg_catalog.repeat('x', 255) || ': {action: std.noop}'), '{}'),
('workflow', pg_temp.tasks(pg_catalog.repeat('x', 256) || ': {action: std.noop}'), ARRAY['4:5:wf.tasks.' || pg_catalog.repeat('x', 256)]),
-- transitions
('workflow', pg_temp.tasks(E'a: {on-success: b}\nb: {action: std.noop}'), '{}'),
('workflow', pg_temp.tasks(E'a: {on-success: c}\nb: {action: std.noop}'), '{4:21:wf.tasks.a.on-success}'),
('workflow', pg_temp.tasks(E'a: {on-success: [b, b]}\nb: {action: std.noop}'), '{4:25:wf.tasks.a.on-success[1]}'),
('workflow', pg_temp.tasks(E'a: {on-success: []}'), '{4:21:wf.tasks.a.on-success}'),
('workflow', pg_temp.tasks(E'a: {on-success: {b: <% $.x %>}}\nb: {action: std.noop}'), '{}'),
('workflow', pg_temp.tasks(E'a: {on-success: [b: <% $.x %>, c: true]}\nb: {action: std.noop}'),
 '{4:36:wf.tasks.a.on-success,4:39:wf.tasks.a.on-success[1]}'),
('workflow', pg_temp.tasks('a: {on-success: ''fail(msg="x")''}'), '{4:21:wf.tasks.a.on-success}'),
('workflow', pg_temp.tasks('a: {on-success: [''fail(msg="x y")'', noop, succeed msg=<% $.x %>, pause]}'), '{}'),
('workflow', pg_temp.tasks(E'a: {on-success: {publish: {branch: {x: 1}, global: {y: 2}}, next: b}}\nb: {action: std.noop}'), '{}'),
('workflow', pg_temp.tasks('a: {on-success: {publish: {glob: {x: 1}}}}'), '{4:32:wf.tasks.a.on-success.publish.glob}'),
('workflow', pg_temp.tasks('a: {on-success: {publish: {}}}'), '{4:31:wf.tasks.a.on-success.publish}'),
('workflow', pg_temp.tasks(E'a: {on-success: b}\nb: {on-success: a}'), '{4:5:wf.tasks}'),
('workflow', pg_temp.tasks('a: {join: all}'), '{4:15:wf.tasks.a.join}'),
('workflow', pg_temp.tasks(E'a: {on-success: b, on-error: b}\nb: {join: 2}'), '{5:15:wf.tasks.b.join}'),
('workflow', pg_temp.tasks(E'a: {on-success: b}\nb: {join: one}'), '{}'),
('workflow', pg_temp.tasks('a: {join: some}'), '{4:15:wf.tasks.a.join}'),
('workflow', E'version: "2.0"\nwf:\n  task-defaults: {on-error: [t2], retries: 1}\n  tasks:\n    t1: {action: std.noop}\n    t2: {action: std.noop}\n',
 '{3:35:wf.task-defaults.retries}'),
('workflow', E'version: "2.0"\nwf:\n  type: reverse\n  tasks:\n    a: {requires: [b, c]}\n    b: {on-success: a}\n',
 '{5:23:wf.tasks.a.requires,6:9:wf.tasks.b.on-success}'),
('workflow', E'version: "2.0"\nwf:\n  input: [a, {b: 1, c: 2}, a, 5]\n  tasks: {t: {action: std.noop}}\n',
 '{3:14:wf.input[1],3:28:wf.input[2],3:31:wf.input[3]}'),
-- expressions: one language in a text; below the first level nobody looks
('workflow', pg_temp.tasks('t: {publish: {a: "<% 1 %> {{ 2 }}"}}'), '{4:23:wf.tasks.t.publish.a}'),
('workflow', pg_temp.tasks('t: {publish: {a: "{{ _.x"}}'), '{}'),
('workflow', pg_temp.tasks('t: {publish: {a: "x {{ {{ _.x }}"}}'), '{4:35:wf.tasks.t.publish.a}'),
('workflow', pg_temp.tasks('t: {publish: {a: "{{ _.x }} {% if"}}'), '{4:38:wf.tasks.t.publish.a}'),
('workflow', pg_temp.tasks('t: {publish: {a: <% * %>}}'), '{4:25:wf.tasks.t.publish.a}'),
('workflow', pg_temp.tasks(E't:\n  publish:\n    a: |\n      one\n      two <% * %>'), '{8:18:wf.tasks.t.publish.a}'),
('workflow', pg_temp.tasks(E't:\n  publish:\n    a: >\n      one\n      two <% * %>'), '{8:18:wf.tasks.t.publish.a}'),
('workflow', pg_temp.tasks(E't:\n  publish:\n    a: "1\\t<% * %>"'), '{6:19:wf.tasks.t.publish.a}'),
('workflow', pg_temp.tasks('t: {publish: {a: {b: <% * %>}}}'), '{}'),
('workflow', pg_temp.tasks('t: {target: <% * %>}'), '{}'),
('workflow', pg_temp.tasks('t: {on-success: [fail: <% * %>]}'), '{4:31:wf.tasks.t.on-success}'),
('workflow', pg_temp.tasks('t: {wait-before: "<% 1 %> s"}'), '{4:22:wf.tasks.t.wait-before}');

SELECT plan((SELECT count(*)::int FROM documents) + 12 + 18);

SELECT is(ARRAY(SELECT v.line || ':' || v.col || ':' || v.path FROM mistral.validate(d.document, d.kind) v),
          d.expected, d.n || ': ' || replace(left(d.document, 120), E'\n', '|'))
  FROM documents d ORDER BY d.n;

-- every problem at once, in the document's order
SELECT is((SELECT count(*)::int FROM mistral.validate(
             pg_temp.tasks(E'a: {actoin: 1}\nb: {timeout: -1}\nc: {join: x}\nd: {on-success: zzz}'), 'workflow')), 4,
          'all problems of a document are reported');
SELECT results_eq($$SELECT line FROM mistral.validate(pg_temp.tasks(E'a: {timeout: -1}\nb: {timeout: -1}\nc: {timeout: -1}'))$$,
                  'VALUES (4), (5), (6)', 'in the order of the document');

-- hints
SELECT is((SELECT hint FROM mistral.validate(pg_temp.tasks('a: {on-sucess: b}'), 'workflow')),
          'Did you mean "on-success"?', 'a misspelt key has a suggestion');
SELECT is((SELECT hint FROM mistral.validate(pg_temp.tasks('a: {on_error: fail}'), 'workflow')),
          'Did you mean "on-error"?', 'underscores count as hyphens');
SELECT is((SELECT hint FROM mistral.validate(pg_temp.tasks(E'start: {on-success: sned}\nsend: {action: std.noop}'), 'workflow')),
          'Did you mean "send"?', 'a misspelt task has a suggestion');
SELECT is((SELECT hint FROM mistral.validate(pg_temp.tasks('a: {requires: b}'), 'workflow')),
          'The key is for workflows of type "reverse".', 'a key of the other type is explained');
SELECT alike((SELECT hint FROM mistral.validate(pg_temp.tasks('a: {zzzzzz: b}'), 'workflow')),
            'The keys of a task are: description, %', 'an unknown key has the list of keys');

CREATE TEMP TABLE hints (n int GENERATED ALWAYS AS IDENTITY, document text, hint text);
INSERT INTO hints (document, hint) VALUES
(E'verison: "2.0"\nwf: {tasks: {t: {action: std.noop}}}', 'Is it the key "verison" in line 1?'),
(E'version: "2.0"\nwf:\n  task: {t: {action: std.noop}}', 'Is it the key "task" in line 3?'),
(E'version: "2.0"\nwf:\ntasks:\n  t: {action: std.noop}', 'What belongs to a key is indented deeper than the key.'),
(pg_temp.tasks(E't: {action: a}\naction: std.noop'), 'Indent the key "action" deeper than the name of its task.'),
(pg_temp.tasks(E't:\n  action:std.noop'), 'A colon after a key is followed by a space.'),
(pg_temp.tasks('- t: {action: a}'), 'Write the names of the tasks as keys, without hyphens.'),
(pg_temp.tasks(E'a: {on-success: elsewhere}\nb: {action: c}'), 'The tasks are: a, b.'),
(E'version: "2.0"\nwf:\n  input: {a: 1}\n  tasks: {t: {action: b}}', 'Write a list: - name, or - name: default.'),
(E'version: "2.0"\nwf:\n\ttasks: {}', 'Indent with spaces, and quote a text that starts with a tab, a percent sign or a grave accent.'),
(pg_temp.tasks(E't:\n  action: a\n input: b'), 'The keys of a dictionary start in the same column.'),
(E'version: "2.0"\nwf: "tasks', 'The quote in line 2, column 5 is not closed.'),
(E'version: "2.0"\nwf: [a\nb: c', 'The bracket in line 2, column 5 is not closed, or a comma is missing.');
SELECT is((SELECT v.hint FROM mistral.validate(h.document, 'workflow') v WHERE v.hint IS NOT NULL LIMIT 1), h.hint, h.n || ': ' || h.hint)
  FROM hints h ORDER BY h.n;

-- the kind is found out
SELECT is_empty($$SELECT * FROM mistral.validate(E'version: "2.0"\nname: wb\nworkflows: {w: {tasks: {t: {action: a}}}}')$$,
                'a workbook is recognised');
SELECT is_empty($$SELECT * FROM mistral.validate(E'version: "2.0"\na: {base: std.echo}')$$, 'actions are recognised');
SELECT is_empty($$SELECT * FROM mistral.validate(E'version: "2.0"\na: {tasks: {t: {action: a}}}')$$, 'workflows are recognised');
SELECT throws_ok($$SELECT * FROM mistral.validate('', 'task')$$, '22023', NULL, 'another kind is an error');
SELECT throws_ok($$SELECT * FROM mistral.validate(NULL)$$, '22004', NULL, 'a null document is an error');

-- limits
SELECT is((SELECT count(*)::int FROM mistral.validate(repeat('[', 100000), 'workflow')), 1, 'deep nesting is one problem');
SELECT is((SELECT message FROM mistral.validate(repeat('- ', 250) || 'a', 'workflow')), 'nested deeper than 200 levels',
          'the depth has a limit');
SET LOCAL mistral.max_definition_size = '1kB';
SELECT is((SELECT count(*)::int FROM mistral.validate(repeat('#', 1025), 'workflow')), 1, 'the size has a limit');
SELECT is((SELECT message FROM mistral.validate(repeat('#', 1025), 'workflow')),
          'expected a document of at most 1 kB, found 2 kB', 'which is named');
RESET mistral.max_definition_size;
SELECT cmp_ok((SELECT count(*)::int FROM mistral.validate(
                 E'version: "2.0"\nwf:\n  tasks:\n' || repeat(E'    a: {b: c}\n', 10)
                 || (SELECT string_agg('    t' || i || ': {b: c}', E'\n') FROM generate_series(1, 2000) i), 'workflow')),
              '<=', 1000, 'the number of problems has a limit');
-- 20000 tasks in a row are no problem, and quick enough for a test
SELECT is_empty($$SELECT * FROM mistral.validate(E'version: "2.0"\nwf:\n  tasks:\n'
                 || (SELECT string_agg(format('    t%s: {action: std.noop, on-success: t%s}', i, i + 1), E'\n') FROM generate_series(1, 20000) i)
                 || E'\n    t20001: {action: std.noop}\n', 'workflow')$$, 'a large workflow is valid');

SELECT * FROM finish();
ROLLBACK;
