-- Overlays: tasks that are inserted into workflows.
BEGIN;
SET client_min_messages = error;
SELECT no_plan();

CREATE FUNCTION pg_temp.run() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 200 LOOP EXIT WHEN mistral.step() = 0; END LOOP;
END $$;
-- The state of an execution and its tasks, in the order in which they began.
CREATE FUNCTION pg_temp.ran(workflow text, params jsonb DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    started uuid;
BEGIN
    started := mistral.start_workflow(workflow, params => params);
    PERFORM pg_temp.run();
    RETURN (SELECT state FROM mistral.executions e WHERE e.id = started) || ': ' ||
           (SELECT COALESCE(string_agg(t.name || CASE t.state WHEN 'SUCCESS' THEN '' ELSE ' ' || t.state END, ' ' ORDER BY t.ordinal), '')
              FROM mistral.tasks t WHERE t.execution_id = started);
END $$;

-- ---- where tasks are put: the workflow's tasks, the overlay's, the params, what runs

CREATE TEMP TABLE cases (n serial, what text, workflow text, overlay text, params jsonb, ran text);
INSERT INTO cases (what, workflow, overlay, params, ran) VALUES
    ('before a task', 'a: {on-success: b}, b: {on-success: c}, c: {action: std.noop}', 'n: {before: b, action: std.noop}', '{}', 'SUCCESS: a n b c'),
    ('after a task', 'a: {on-success: b}, b: {action: std.noop}', 'n: {after: a, action: std.noop}', '{}', 'SUCCESS: a n b'),
    ('before the first', 'a: {on-success: b}, b: {action: std.noop}', 'n: {before: a, action: std.noop}', '{}', 'SUCCESS: n a b'),
    ('after the last', 'a: {on-success: b}, b: {action: std.noop}', 'n: {after: b, action: std.noop}', '{}', 'SUCCESS: a b n'),
    ('several before one, in their order', 'a: {on-success: b}, b: {action: std.noop}', 'n: {before: b, action: std.noop}, m: {before: b, action: std.noop}', '{}', 'SUCCESS: a n m b'),
    ('several after one, in their order', 'a: {on-success: b}, b: {action: std.noop}', 'n: {after: a, action: std.noop}, m: {after: a, action: std.noop}', '{}', 'SUCCESS: a n m b'),
    ('before an error handler', 'a: {action: std.fail, on-error: b}, b: {action: std.noop}', 'n: {before: b, action: std.noop}', '{}', 'SUCCESS: a ERROR n b'),
    ('before what on-complete leads to', 'a: {on-complete: [b]}, b: {action: std.noop}', 'n: {before: b, action: std.noop}', '{}', 'SUCCESS: a n b'),
    ('on every way that leads there', 'a: {on-success: c}, b: {on-success: c}, c: {action: std.noop}', 'n: {before: c, action: std.noop}', '{}', 'SUCCESS: a b n n c c'),
    ('before a join it waits in its place', 'a: {on-success: c}, b: {on-success: c}, c: {join: all, on-success: d}, d: {action: std.noop}', 'n: {before: c, action: std.noop}', '{}', 'SUCCESS: a b n c d'),
    ('before a join that is nothing else', 'a: {on-success: c}, b: {on-success: c}, c: {join: 2}', 'n: {before: c, action: std.noop}', '{}', 'SUCCESS: a b n c'),
    ('before a join that fails, with a handler of its own', 'a: {action: std.fail, on-success: c}, b: {on-success: c}, c: {join: all, on-error: d}, d: {action: std.noop}', 'n: {before: c, action: std.noop, on-error: d}', '{}', 'ERROR: a ERROR b n ERROR d'),
    ('after a join', 'a: {on-success: c}, b: {on-success: c}, c: {join: all, on-success: d}, d: {action: std.noop}', 'n: {after: c, action: std.noop}', '{}', 'SUCCESS: a b c n d'),
    ('on one branch to a join', 'a: {on-success: c}, b: {on-success: c}, c: {join: all}', 'n: {after: a, action: std.noop}', '{}', 'SUCCESS: a b n c'),
    ('conditions stay', 'a: {on-success: [{b: <% false %>}, {c: <% true %>}]}, b: {action: std.noop}, c: {action: std.noop}', 'n: {after: a, action: std.noop}, m: {before: b, action: std.noop}', '{}', 'SUCCESS: a n c'),
    ('commands stay', 'a: {on-success: [{fail: <% true %>}]}', 'n: {after: a, action: std.noop}', '{}', 'ERROR: a n'),
    ('what the anchor publishes reaches the task', 'a: {action: std.echo output=1, publish: {x: <% task().result %>}, on-success: {publish: {branch: {y: 2}}, next: [b]}}, b: {action: std.noop}',
     'n: {after: a, action: std.fail, publish-on-error: {z: <% $.x + $.y %>}, on-error: [b]}', '{}', 'SUCCESS: a n ERROR b'),
    ('with-items', 'a: {with-items: "i in [1, 2]", action: std.echo output=<% $.i %>, on-success: b}, b: {action: std.noop}', 'n: {before: a, with-items: "i in [1, 2, 3]", action: std.echo output=<% $.i %>}, m: {after: a, action: std.noop}', '{}', 'SUCCESS: n a m b'),
    ('an anchor that is tried again', 'a: {action: std.fail, retry: {count: 2, delay: 0}, on-error: b}, b: {action: std.noop}', 'n: {after: a, action: std.noop}, m: {before: b, action: std.noop}', '{}', 'SUCCESS: a ERROR m b'),
    ('its own error ends the workflow', 'a: {on-success: b}, b: {action: std.noop}', 'n: {before: b, action: std.fail}', '{}', 'ERROR: a n ERROR'),
    ('or is handled as it says', 'a: {on-success: b}, b: {action: std.noop}, c: {action: std.noop}', 'n: {before: b, action: std.fail, on-error: [succeed]}', '{}', 'SUCCESS: a c n ERROR'),
    ('a loop', 's: {on-success: a}, a: {publish: {i: "<% $.get(i, 0) + 1 %>"}, on-success: [{a: "<% $.i < 2 %>"}, {b: "<% $.i > 1 %>"}]}, b: {action: std.noop}',
     'n: {before: a, action: std.noop}, m: {after: a, action: std.noop}', '{}', 'SUCCESS: s n a m n a m b'),
    ('reverse: before', 'type: reverse, a: {action: std.noop}, b: {requires: a}', 'n: {before: b, action: std.noop}', '{"task_name": "b"}', 'SUCCESS: a n b'),
    ('reverse: before the first', 'type: reverse, a: {action: std.noop}, b: {requires: [a]}', 'n: {before: a, action: std.noop}', '{"task_name": "b"}', 'SUCCESS: n a b'),
    ('reverse: after', 'type: reverse, a: {action: std.noop}, b: {requires: a}, c: {requires: [a, b]}', 'n: {after: a, action: std.noop}', '{"task_name": "c"}', 'SUCCESS: a n b c'),
    ('task-defaults that lead to the anchor', 'task-defaults: {on-error: [b]}, a: {action: std.fail}, b: {action: std.noop}', 'n: {before: b, action: std.noop}', '{}', 'SUCCESS: a ERROR n b'),
    ('task-defaults that lead on from it', 'task-defaults: {on-success: [c]}, a: {action: std.noop}, c: {action: std.noop}', 'n: {after: a, action: std.noop}', '{}', 'SUCCESS: a n c');

-- A workflow of one line: its type and defaults stand before the tasks.
CREATE FUNCTION pg_temp.load(tasks text) RETURNS void LANGUAGE sql AS $$
    SELECT mistral.load_workflow(E'version: "2.0"\nw:\n' ||
        CASE WHEN tasks LIKE 'type: reverse,%' THEN E'  type: reverse\n' ELSE '' END ||
        CASE WHEN tasks LIKE 'task-defaults:%' THEN '  ' || substr(tasks, 1, strpos(tasks, '},')) || E'\n' ELSE '' END ||
        '  tasks: {' || regexp_replace(tasks, '^(type: reverse,|task-defaults: [^}]*},)', '') || '}')
$$;
CREATE FUNCTION pg_temp.check_case(c cases) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    ran text;
BEGIN
    PERFORM pg_temp.load(c.workflow);
    PERFORM mistral.add_overlay('w', 'o', 'tasks: {' || c.overlay || '}');
    ran := pg_temp.ran('w', c.params);
    PERFORM mistral.remove_overlay('o');
    RETURN is(ran, c.ran, c.what);
EXCEPTION WHEN OTHERS THEN
    RETURN is(SQLERRM, c.ran, c.what);
END $$;
SELECT pg_temp.check_case(c) FROM cases c ORDER BY n;

-- ---- what is refused, with its place

CREATE TEMP TABLE refused (n serial, workflow text, overlay text, detail text);
INSERT INTO refused (workflow, overlay, detail) VALUES
    ('a: {action: std.noop}', E'tasks:\n  n:\n    before: x\n    action: std.noop', 'line 3, column 13, tasks.n.before: the workflow has no task "x".'),
    ('a: {action: std.noop}', E'tasks:\n  a: {before: a, action: std.noop}', 'line 2, column 15, tasks.a.before: the workflow has a task "a" already.'),
    ('a: {action: std.noop}', E'tasks:\n  n: {action: std.noop}', 'line 2, column 3, tasks.n: expected "before" or "after" and the name of a task.'),
    ('a: {action: std.noop}', E'tasks:\n  n: {before: a, after: a}', 'line 2, column 18, tasks.n: expected either "before" or "after", found both.'),
    ('a: {action: std.noop}', E'tasks:\n  n: {before: a, on-success: a}', 'line 2, column 18, tasks.n: unexpected key "on-success" in a task of an overlay.'),
    ('a: {action: std.noop}', E'tasks:\n  n: {before: a, actoin: std.noop}', 'line 2, column 18, tasks.n.actoin: expected a key of a task, found "actoin".'),
    ('a: {action: std.noop}', E'tasks:\n  n:\n    before: a\n    action: std.echo\n    input: {output: "<% $. %>"}', NULL),
    ('a: {action: std.noop}', E'tasks:\n  n: {before: a, on-error: [nowhere]}', NULL),
    ('a: {action: std.noop}', E'workflows:\n  n: {before: a}', NULL),
    ('a: {action: std.noop}', E'tasks: [', NULL),
    ('a: {action: std.noop}', '', NULL),
    ('a: {on-success: [{b: <% task().result %>}]}, b: {action: std.noop}', 'tasks: {n: {after: a, action: std.noop}}', 'line 1, column 20, tasks.n.after: the conditions in "on-success" of "a" ask for task(), which would be another.'),
    ('a: {on-success: b, on-error: b}, b: {join: all}', 'tasks: {n: {after: a, action: std.noop}}', 'line 1, column 20, tasks.n.after: "a" leads to the join "b" by "on-error", too, and would count twice there.'),
    ('a: {on-success: c}, c: {join: all, on-error: d}, d: {action: std.noop}', 'tasks: {n: {before: c, action: std.noop}}',
     'line 1, column 21, tasks.n.before: when the join "c" fails its "on-error" counts, in place of which the task needs an "on-error" of its own.'),
    ('task-defaults: {on-complete: [b]}, a: {action: std.noop}, b: {action: std.noop}', 'tasks: {n: {before: b, action: std.noop}}', NULL),
    ('task-defaults: {on-success: [b]}, a: {action: std.noop}, b: {action: std.noop}', 'tasks: {n: {after: b, action: std.noop}}', NULL),
    ('type: reverse, a: {action: std.noop}, b: {requires: a}', 'tasks: {n: {after: b, action: std.noop}}', 'line 1, column 20, tasks.n.after: no task requires "b", so that nothing would require what is after it.');
CREATE FUNCTION pg_temp.check_refused(r refused) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    message text;
    detail text;
BEGIN
    PERFORM pg_temp.load(r.workflow);
    BEGIN
        PERFORM mistral.add_overlay('w', 'o', r.overlay);
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
    END;
    RETURN NEXT is(message, 'overlay "o" does not fit workflow "w"', 'refused: ' || r.overlay);
    RETURN NEXT COALESCE(is(detail, COALESCE(r.detail, detail), 'with its place'));
END $$;
SELECT pg_temp.check_refused(r) FROM refused r ORDER BY n;
SELECT is((SELECT count(*)::int FROM mistral.overlays), 0, 'what is refused is not there');

-- ---- versions

SELECT mistral.load_workflow($$
version: '2.0'
pay:
  # as its author wrote it
  tasks:
    check: {action: std.async_noop, on-success: transfer}
    transfer: {action: std.noop}
$$);
CREATE TEMP TABLE texts AS SELECT definition FROM mistral.workflows WHERE name = 'pay';
CREATE TEMP TABLE begun AS SELECT mistral.start_workflow('pay') AS id;
SELECT pg_temp.run();
SELECT mistral.add_overlay('pay', 'four eyes', E'tasks:\n  look: {before: transfer, action: std.noop}');
SELECT is((SELECT definition FROM mistral.workflows WHERE name = 'pay'), (SELECT definition FROM texts), 'the author''s text stays');
SELECT is((SELECT overlays FROM mistral.workflows WHERE name = 'pay'), '{"look": "four eyes"}', 'the view says what has been inserted');
SELECT matches((SELECT merged_definition FROM mistral.workflows WHERE name = 'pay'), 'look', 'and what runs');
INSERT INTO begun SELECT mistral.start_workflow('pay');
SELECT pg_temp.run();
SELECT mistral.remove_overlay('four eyes');
INSERT INTO begun SELECT mistral.start_workflow('pay');
SELECT pg_temp.run();
SELECT mistral.complete_action(id, '1') FROM mistral.action_executions WHERE state = 'RUNNING';
SELECT pg_temp.run();
SELECT is((SELECT string_agg(ran, ', ') FROM (SELECT string_agg(t.name || COALESCE(' of ' || overlay, ''), ' ' ORDER BY t.ordinal) AS ran FROM begun b JOIN mistral.tasks t ON t.execution_id = b.id GROUP BY b.id ORDER BY b.id) r),
          'check transfer, check look of four eyes transfer, check transfer', 'who has begun goes on as it was when it began');
SELECT is((SELECT merged_definition FROM mistral.workflows WHERE name = 'pay'), NULL, 'and the rest is as it was');

-- A rerun of an inserted task leads on.
SELECT mistral.load_workflow(E'version: "2.0"\nr:\n  input: [f: true]\n  tasks: {a: {on-success: b}, b: {action: std.noop}}');
SELECT mistral.add_overlay('r', 'o', E'tasks:\n  n: {before: b, action: std.noop, fail-on: "<% env().get(bad, true) %>"}');
SELECT is(pg_temp.ran('r'), 'ERROR: a n ERROR', 'a task of an overlay fails');
SELECT mistral.rerun_task(id, env => '{"bad": false}') FROM mistral.tasks WHERE name = 'n' AND state = 'ERROR' AND workflow_name = 'r';
SELECT pg_temp.run();
SELECT is((SELECT state FROM mistral.executions WHERE workflow_name = 'r'), 'SUCCESS', 'and leads on when it is run again');
SELECT mistral.delete_execution(id) FROM mistral.executions WHERE workflow_name = 'r';
SELECT pg_temp.ran('r');
SELECT mistral.skip_task(id) FROM mistral.tasks WHERE name = 'n' AND state = 'ERROR' AND workflow_name = 'r';
SELECT pg_temp.run();
SELECT is((SELECT string_agg(name, ' ' ORDER BY ordinal) FROM mistral.tasks WHERE workflow_name = 'r'), 'a n b', 'or is skipped');

-- A version that an overlay does not fit.
SELECT mistral.load_workflow(E'version: "2.0"\nr:\n  tasks: {a: {action: std.noop}}');
SELECT throws_ok($$SELECT mistral.start_workflow('r')$$, 'MS004', 'cannot start workflow "r"', 'a required overlay that does not fit: the workflow does not start');
DO $$
DECLARE
    hint text;
BEGIN
    PERFORM mistral.start_workflow('r');
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
    PERFORM set_config('overlays.hint', hint, true);
END $$;
SELECT matches(current_setting('overlays.hint', true), 'removed it', 'and the error says what to do');
SELECT is((SELECT problem FROM mistral.overlays), 'line 2, column 15, tasks.n.before: the workflow has no task "b"', 'and why can be seen');
SELECT matches((SELECT refused FROM mistral.workflows WHERE name = 'r'), 'overlay "o" does not fit', 'there, too');
SELECT mistral.load_workflow(E'version: "2.0"\nouter:\n  tasks: {s: {workflow: r}}');
SELECT is(pg_temp.ran('outer'), 'ERROR: s ERROR', 'nor as a sub-workflow');
SELECT mistral.load_workflow(E'version: "2.0"\nr:\n  tasks: {b: {action: std.noop}}');
SELECT is((SELECT problem FROM mistral.overlays), NULL, 'a version that it fits has it again');
SELECT is(pg_temp.ran('r', '{"env": {"bad": false}}'), 'SUCCESS: n b', 'at its place');
SELECT mistral.load_workflow(E'version: "2.0"\nr:\n  tasks: {a: {action: std.noop}}');
SELECT mistral.remove_overlay('o');
SELECT is(pg_temp.ran('r'), 'SUCCESS: a', 'without the overlay it starts');
SELECT mistral.load_workflow(E'version: "2.0"\nr:\n  tasks: {b: {action: std.noop}}');
SELECT mistral.add_overlay('r', 'o', E'tasks:\n  n: {before: b, action: std.noop}', required => false);
SELECT mistral.load_workflow(E'version: "2.0"\nr:\n  tasks: {a: {action: std.noop}}');
SELECT is(pg_temp.ran('r'), 'SUCCESS: a', 'one that is not required is left out');
SELECT isnt((SELECT problem FROM mistral.overlays), NULL, 'and says so');
SELECT mistral.remove_overlay('o');

-- Several overlays, one over the other; hooks on an inserted task.
SELECT mistral.load_workflow(E'version: "2.0"\nr:\n  tasks: {a: {on-success: b}, b: {action: std.noop}}');
SELECT mistral.add_overlay('r', 'one', E'tasks:\n  n: {before: b, action: std.noop}');
SELECT mistral.add_overlay('r', 'two', E'tasks:\n  m: {after: n, action: std.noop}');
SELECT is(pg_temp.ran('r'), 'SUCCESS: a n m b', 'an overlay over another');
SELECT lives_ok($$SELECT mistral.add_hook('h', 'r', 'pay', task => 'm')$$, 'a hook on a task of an overlay');
SELECT throws_ok($$SELECT mistral.add_overlay('r', 'one', E'tasks:\n  k: {before: b, action: std.noop}')$$, '42710', 'overlay "one" exists already');
SELECT throws_ok($$SELECT mistral.remove_overlay('x')$$, 'MS003', 'overlay "x" does not exist');
SELECT throws_ok($$SELECT mistral.add_overlay('nowhere', 'x', '')$$, 'MS003', 'workflow "nowhere" does not exist');
SELECT mistral.remove_hook('h'), mistral.remove_overlay('two'), mistral.remove_overlay('one');

-- A workbook's workflow, in a namespace.
SELECT mistral.load_workbook(E'version: "2.0"\nname: b\nworkflows:\n  w:\n    tasks: {a: {action: std.noop}}', 'ns');
SELECT mistral.add_overlay('b.w', 'o', E'tasks:\n  n: {before: a, action: std.noop}', namespace => 'ns');
CREATE TEMP TABLE wb AS SELECT mistral.start_workflow('b.w', namespace => 'ns') AS id;
SELECT mistral.load_workbook(E'version: "2.0"\nname: b\nworkflows:\n  w:\n    tasks: {a: {on-success: c}, c: {action: std.noop}}', 'ns');
INSERT INTO wb SELECT mistral.start_workflow('b.w', namespace => 'ns');
SELECT pg_temp.run();
SELECT is((SELECT string_agg(t.name, ' ' ORDER BY t.execution_id, t.ordinal) FROM wb JOIN mistral.tasks t ON t.execution_id = wb.id), 'n a n a c', 'a workflow of a workbook, in a namespace, and its next version');
SELECT mistral.remove_overlay('o');

-- ---- other roles: ann's workflow, bob's overlay, eve who has no right, carl who starts it

CREATE ROLE mistral_overlays_ann;
CREATE ROLE mistral_overlays_bob;
CREATE ROLE mistral_overlays_eve;
CREATE ROLE mistral_overlays_carl;
SELECT mistral.grant_access(r::regrole, k) FROM unnest('{mistral_overlays_ann,mistral_overlays_bob,mistral_overlays_eve,mistral_overlays_carl}'::text[]) r, unnest('{author,operator}'::text[]) k;
SELECT mistral.grant_access('mistral_overlays_ann', 'publisher');
SET ROLE mistral_overlays_ann;
SELECT mistral.load_workflow(E'version: "2.0"\nopen:\n  tasks: {t: {action: std.noop}}', scope => 'public');
SELECT mistral.grant_hook('mistral_overlays_bob', 'open', 'results');
SET ROLE mistral_overlays_bob;
SELECT throws_ok($$SELECT mistral.add_overlay('open', 'bobs', E'tasks:\n  n: {after: t, action: std.noop}')$$, '42501',
                 'permission denied to insert tasks into workflow "open"', 'to hear is not to insert');
SET ROLE mistral_overlays_ann;
SELECT mistral.load_workflow(E'version: "2.0"\nshut:\n  tasks: {t: {action: std.noop}}');
SELECT mistral.grant_hook('mistral_overlays_bob', 'shut');
SET ROLE mistral_overlays_bob;
SELECT throws_ok($$SELECT mistral.add_overlay('shut', 'bobs', E'tasks:\n  n: {after: t, action: std.noop}')$$, '42501',
                 'permission denied to insert tasks into workflow "shut"', 'of a private workflow, too, to who knows it by another right');
SET ROLE mistral_overlays_ann;
SELECT mistral.grant_hook('mistral_overlays_bob', 'open', 'insert');
SELECT mistral.revoke_hook('mistral_overlays_bob', 'open', 'results');
SET ROLE mistral_overlays_bob;
SELECT lives_ok($$SELECT mistral.add_overlay('open', 'bobs', E'tasks:\n  n: {after: t, action: std.noop}')$$, 'with the right');
SELECT throws_ok($$SELECT mistral.add_hook('h', 'open', 'open')$$, '42501', NULL, 'to insert is not to hear');
SET ROLE mistral_overlays_carl;
SELECT mistral.start_workflow('open');
RESET ROLE;
SELECT pg_temp.run();
SET ROLE mistral_overlays_carl;
SELECT is((SELECT string_agg(name || COALESCE(' of ' || overlay, '') || ' as ' || owner, ', ' ORDER BY ordinal) FROM mistral.tasks),
          't as mistral_overlays_carl, n of bobs as mistral_overlays_carl', 'an inserted task is of whoever starts the workflow');
SELECT is((SELECT overlays FROM mistral.workflows WHERE name = 'open'), '{"n": "bobs"}', 'who can see what it starts');
SET ROLE mistral_overlays_eve;
SELECT is((SELECT count(*)::int FROM mistral.overlays), 0, 'overlays are seen by their owner and the workflow''s');
SELECT throws_ok($$SELECT mistral.remove_overlay('bobs')$$, 'MS003', 'overlay "bobs" does not exist');
SELECT throws_ok($$SELECT mistral.grant_hook('mistral_overlays_eve', 'open', 'insert')$$, 'MS003', 'workflow "open" does not exist');
SET ROLE mistral_overlays_ann;
SELECT is((SELECT name || ' ' || owner FROM mistral.overlays), 'bobs mistral_overlays_bob', 'the workflow''s');
SELECT mistral.revoke_hook('mistral_overlays_bob', 'open', 'insert');
SELECT is((SELECT overlays || COALESCE(refused, '') FROM (SELECT overlays::text, refused FROM mistral.workflows WHERE name = 'open') w), '{}',
          'when the right is taken back the tasks go, and the workflow starts');
SELECT is((SELECT problem FROM mistral.overlays), 'its owner has not the right to insert tasks any more', 'which can be seen');
SELECT lives_ok($$SELECT mistral.remove_overlay('bobs')$$, 'whose workflow it is may remove it');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
