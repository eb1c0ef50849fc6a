-- Loading, replacing, finding and deleting definitions.
BEGIN;
SELECT plan(66);

CREATE ROLE def_ann;
CREATE ROLE def_bob;
CREATE ROLE def_team;
GRANT def_team TO def_ann;
SELECT mistral.grant_access('def_ann', 'author');
SELECT mistral.grant_access('def_bob', 'author');
SELECT mistral.grant_access('def_team', 'author');

-- workflows
SELECT is(mistral.load_workflow($$
version: '2.0'

# the first one
pay:
  description: pays somebody
  input:
    - who
    - amount: 3
    - note: {a: [1, "x"]}
  tags: [money, daily]
  tasks:
    send:
      action: std.echo output="<% $.who %>"  # as text
      on-success:
        - done: <% $.amount > 1 %>

    # between two tasks
    done:
      action: std.noop
      publish:
        text: |
          a letter:
            yours

          faithfully
other: {tasks: {t: {action: std.noop}}}
$$), '{pay,other}', 'every workflow of a document is loaded');

SELECT is(input, 'who, amount=3, note={"a": [1, "x"]}', 'parameters with defaults') FROM mistral.workflows WHERE name = 'pay';
SELECT is(tags, '{money,daily}', 'tags') FROM mistral.workflows WHERE name = 'pay';
SELECT is(owner, current_user::regrole, 'the loader owns it') FROM mistral.workflows WHERE name = 'pay';
SELECT is(scope, 'private', 'private by default') FROM mistral.workflows WHERE name = 'pay';
SELECT is(definition, $$version: "2.0"

pay:
  description: pays somebody
  input:
    - who
    - amount: 3
    - note: {a: [1, "x"]}
  tags: [money, daily]
  tasks:
    send:
      action: std.echo output="<% $.who %>"  # as text
      on-success:
        - done: <% $.amount > 1 %>

    # between two tasks
    done:
      action: std.noop
      publish:
        text: |
          a letter:
            yours

          faithfully
$$, 'its own part of the document, as written') FROM mistral.workflows WHERE name = 'pay';
SELECT is(definition, E'version: "2.0"\n\nother: {tasks: {t: {action: std.noop}}}\n', 'on one line, too')
  FROM mistral.workflows WHERE name = 'other';
SELECT is(mistral.load_workflow((SELECT definition FROM mistral.workflows WHERE name = 'pay')), '{pay}',
          'what the view shows can be loaded again');
SELECT is(mistral.load_workflow('{version: "2.0", flow: {tasks: {t: {action: std.noop, publish: {f: 1.0, g: 1e+2, s: "é\n", n: null, d: {2020-01-01: x, yes: 1}}}}}}'),
          '{flow}', 'a document in braces');
SELECT is(definition, E'version: "2.0"\n\n{"flow": {"tasks": {"t": {"action": "std.noop", "publish": {"f": 1.0, "g": "1e+2", "s": "é\\n", "n": null, "d": {2020-01-01: "x", true: 1}}}}}}\n',
          'is written anew') FROM mistral.workflows WHERE name = 'flow';

-- replacing
CREATE TEMP TABLE before AS SELECT id, created_at FROM mistral.workflows WHERE name = 'pay';
SELECT mistral.load_workflow(E'version: 2\npay: {tasks: {t: {action: std.fail}}}');
SELECT is(count(*)::int, 1, 'a loaded name is replaced') FROM mistral.workflows WHERE name = 'pay';
SELECT isnt(w.id, b.id, 'by a version of its own') FROM mistral.workflows w, before b WHERE w.name = 'pay';
SELECT is(w.created_at, b.created_at, 'which keeps the time of creation') FROM mistral.workflows w, before b WHERE w.name = 'pay';
SELECT is(live, false, 'the old version is kept') FROM mistral.definition d, before b WHERE d.id = b.id;
SELECT is(mistral.load_workflow(E'version: 2\npay: {tasks: {t: {action: std.noop}}}', 'ns'), '{pay}', 'a namespace has its own names');
SELECT is(array_agg(namespace ORDER BY namespace), '{"",ns}', 'both are there') FROM mistral.workflows WHERE name = 'pay';

-- refusals
SELECT throws_ok($$SELECT mistral.load_workflow(E'version: 2\nw: {tasks: {t: {actoin: std.noop}}}')$$, 'MS001',
                 'invalid workflow definition: expected a key of a task, found "actoin"', 'an invalid workflow is refused');
SELECT is_empty($$SELECT * FROM mistral.workflows WHERE name = 'w'$$, 'and not stored');
CREATE FUNCTION pg_temp.error_of(command text, OUT detail text, OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE command;
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
END $$;
SELECT is(detail, 'Line 3, column 17, w.tasks.t.actoin; 1 more problem.', 'the error says where')
  FROM pg_temp.error_of($$SELECT mistral.load_workflow(E'version: 2\nw:\n    tasks: {t: {actoin: std.noop, timeout: x}}')$$);
SELECT is(hint, 'Did you mean "action"?', 'and what may have been meant')
  FROM pg_temp.error_of($$SELECT mistral.load_workflow(E'version: 2\nw: {tasks: {t: {actoin: std.noop}}}')$$);
SELECT throws_ok($$SELECT mistral.load_workflow(E'version: 2\n"w f": {tasks: {t: {action: std.noop}}}')$$, 'MS001', NULL,
                 'a name with a space is refused');
SELECT throws_ok(format($$SELECT mistral.load_workflow(E'version: 2\n%s: {tasks: {t: {action: std.noop}}}')$$, repeat('x', 256)), 'MS001', NULL,
                 'a long name is refused');
SELECT lives_ok(format($$SELECT mistral.load_workflow(E'version: 2\n%s: {tasks: {t: {action: std.noop}}}')$$, repeat('ä', 255)),
                 '255 characters are a name');
SELECT throws_ok($$SELECT mistral.load_action(E'version: 2\nstd.x: {base: std.echo}')$$, 'MS001', NULL, 'std. is reserved');
SELECT throws_ok($$SELECT mistral.load_workbook(E'version: "2.0"\nname: w b')$$, 'MS001', NULL, 'also in a workbook''s name');
SELECT throws_ok($$SELECT mistral.load_workflow(E'a: b: c')$$, 'MS001', NULL, 'what is no YAML is refused');
SELECT throws_ok($$SELECT mistral.load_workflow(NULL)$$, '22004', NULL, 'null is refused');
SELECT throws_ok($$SELECT mistral.load_workflow('', NULL)$$, '22004', NULL, 'a null namespace is refused');
SELECT throws_ok($$SELECT mistral.load_workflow('', '', 'all')$$, '22023', NULL, 'another scope is refused');
SET LOCAL mistral.max_definition_size = '1kB';
SELECT throws_ok($$SELECT mistral.load_workflow(repeat('#', 1025))$$, 'MS030', NULL, 'the limit of size has its own code');
RESET mistral.max_definition_size;

-- what is accepted
SELECT lives_ok($$SELECT mistral.load_workflow(E'version: 2\nw: {input: [a: "{{ plain }}"], tasks: {t: {pause-before: false, keep-result: true, concurrency: 0, description: "{{ x }}"}}}')$$,
                'what changes nothing is loaded');

-- workbooks
SELECT is(mistral.load_workbook($$
version: '2.0'
name: wb
tags: [t]
actions:
  greet:
    base: std.echo output="Hello <% $.name %>"
    input: [name]
workflows:
  one:
    tasks:
      a: {action: greet name="x"}
  two: {tasks: {a: {action: std.noop}}}
$$, 'books'), 'wb', 'a workbook is loaded');
SELECT is(array_agg(name ORDER BY name), '{wb.one,wb.two}', 'its workflows are there') FROM mistral.workflows
 WHERE workbook_name = 'wb' AND namespace = 'books';
SELECT is(definition, E'one:\n  tasks:\n    a: {action: greet name="x"}\n', 'with their own text') FROM mistral.workflows WHERE name = 'wb.one';
SELECT is(input, 'name', 'its actions are there') FROM mistral.actions WHERE name = 'wb.greet' AND namespace = 'books';
SELECT is(tags, '{t}', 'the workbook is there') FROM mistral.workbooks WHERE name = 'wb';
SELECT lives_ok($$SELECT mistral.delete_workbook('wb', 'books')$$, 'a workbook is deleted');
SELECT is_empty($$SELECT * FROM mistral.workbooks$$, 'it is gone');
SELECT isnt_empty($$SELECT * FROM mistral.workflows WHERE name = 'wb.one'$$, 'its workflows stay');
SELECT throws_ok($$SELECT mistral.delete_workflow('wb.one')$$, 'MS003', NULL, 'a name is deleted in its namespace only');
SELECT lives_ok($$SELECT mistral.delete_workflow('wb.one', 'books')$$, 'where it is');
SELECT throws_ok($$SELECT mistral.delete_workflow('wb.one', 'books')$$, 'MS003', 'workflow "wb.one" does not exist', 'and only once');

-- owners
SET LOCAL ROLE def_ann;
SELECT is_empty($$SELECT name FROM mistral.workflows$$, 'others'' private definitions are not seen');
SELECT mistral.load_workflow(E'version: 2\nmine: {tasks: {t: {action: std.noop}}}');
SET LOCAL ROLE def_team;
SELECT mistral.load_workflow(E'version: 2\nours: {tasks: {t: {action: std.noop}}}');
SET LOCAL ROLE def_bob;
SELECT throws_ok($$SELECT mistral.delete_workflow('mine')$$, 'MS003', NULL, 'and not deleted');
SELECT throws_ok($$SELECT mistral.load_workflow(E'version: 2\npub: {tasks: {t: {action: std.noop}}}', scope => 'public')$$, '42501', NULL,
                 'publishing is a right of its own');
SET LOCAL ROLE def_ann;
SELECT is(array_agg(name ORDER BY name), '{mine,ours}', 'a member sees its own and its role''s') FROM mistral.workflows;
SELECT lives_ok($$SELECT mistral.delete_workflow('ours')$$, 'and may delete both');
RESET ROLE;
SELECT mistral.grant_access('def_bob', 'publisher');
SET LOCAL ROLE def_bob;
SELECT lives_ok($$SELECT mistral.load_workflow(E'version: 2\npub: {tasks: {t: {action: std.noop}}}', scope => 'public')$$, 'a publisher publishes');
SET LOCAL ROLE def_ann;
SELECT isnt_empty($$SELECT * FROM mistral.workflows WHERE name = 'pub' AND owner = 'def_bob'::regrole$$, 'everybody sees it');
SELECT throws_ok($$SELECT mistral.delete_workflow('pub')$$, 'MS003', NULL, 'its owner alone deletes it');
RESET ROLE;
SELECT throws_ok($$SELECT mistral.load_workflow(E'version: 2\npub: {tasks: {t: {action: std.noop}}}', scope => 'public')$$, '42710', NULL,
                 'public names are unique');

-- the start form: what a start reads instead of the definition
SELECT mistral.load_workflow($$
version: '2.0'
form:
  input: [a, b: 1, c: {x: [1, null]}, d: "", b: 2, e: null]
  tasks: {t: {action: std.noop}}
form_none: {tasks: {t: {action: std.noop}}}
form_vars: {vars: {x: 1}, tasks: {t: {action: std.noop}}}
form_timeout: {timeout: 5, tasks: {t: {action: std.noop}}}
form_reverse: {type: reverse, tasks: {t: {action: std.noop}}}
$$);
SELECT is(start, '[["a"], ["b", 2], ["c", {"x": [1, null]}], ["d", ""], ["e", null]]',
          'parameters in order, each as it was listed last') FROM mistral.definition WHERE name = 'form';
SELECT is(start, '[]', 'no parameters') FROM mistral.definition WHERE name = 'form_none';
SELECT is(array_agg(name ORDER BY name), '{form_reverse,form_timeout,form_vars}', 'what is evaluated at a start has none')
  FROM mistral.definition WHERE start IS NULL AND name LIKE 'form%';

CREATE FUNCTION pg_temp.input_of(input jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  started uuid := mistral.start_workflow('form', input);
BEGIN
  RETURN (SELECT e.input FROM mistral.execution e WHERE e.id = started);
END $$;
CREATE FUNCTION pg_temp.broken(form text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
  UPDATE mistral.definition SET start = form::jsonb WHERE name = 'form';
  RETURN pg_temp.input_of('{"a": 5, "c": 6}');
END $$;
CREATE TEMP TABLE by_form AS SELECT pg_temp.input_of('{"a": 5, "c": 6}') AS input;
SELECT is(input, '{"a": 5, "b": 2, "c": 6, "d": "", "e": null}', 'a start by the form fills in defaults') FROM by_form;
SELECT throws_ok($$SELECT mistral.start_workflow('form')$$, 'MS004', NULL, 'and misses what is required');
SELECT throws_ok($$SELECT mistral.start_workflow('form', '{"a": 1, "z": 1}')$$, 'MS004', NULL, 'and refuses what is not listed');
-- Whatever else the column holds, the definition is read.
SELECT is(pg_temp.broken(form), (SELECT input FROM by_form), 'a start without a good form is the same: ' || coalesce(form, 'null'))
  FROM unnest('{NULL,"{}","7","[1]","[[]]","[[7]]"}'::text[]) AS form;

-- what a name meant at the last start is remembered, and forgotten when roles change
SELECT mistral.grant_access(r, 'operator') FROM unnest('{def_ann,def_bob}'::regrole[]) r;
SET LOCAL SESSION AUTHORIZATION def_team;
SELECT mistral.load_workflow($$
version: '2.0'
def_known: {tasks: {t: {action: std.noop}}}
$$);
SET LOCAL SESSION AUTHORIZATION def_ann;
SELECT lives_ok($$SELECT mistral.start_workflow('def_known') FROM generate_series(1, 2)$$, 'a member starts what is its group''s');
SET LOCAL SESSION AUTHORIZATION def_bob;
SELECT throws_ok($$SELECT mistral.start_workflow('def_known')$$, 'MS003', NULL, 'another role does not, in the same session');
RESET SESSION AUTHORIZATION;
REVOKE def_team FROM def_ann;
SET LOCAL SESSION AUTHORIZATION def_ann;
SELECT throws_ok($$SELECT mistral.start_workflow('def_known')$$, 'MS003', NULL, 'nor who is no member any more');
RESET SESSION AUTHORIZATION;

SELECT * FROM finish();
ROLLBACK;
