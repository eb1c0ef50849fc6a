-- Hooks on tasks and workflows, and events of states.
BEGIN;
SET client_min_messages = error;
SELECT no_plan();

CREATE FUNCTION pg_temp.run() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 200 LOOP EXIT WHEN mistral.step() = 0; END LOOP;
END $$;
-- What has been started by hooks, in order; then everything is forgotten.
CREATE FUNCTION pg_temp.heard() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    heard text;
BEGIN
    PERFORM pg_temp.run();
    heard := (SELECT COALESCE(string_agg(e.output ->> 'said', ', ' ORDER BY e.created_at, e.id), '')
                FROM mistral.executions e JOIN mistral.hook_runs r ON r.execution_id = e.id);
    PERFORM mistral.delete_execution(id) FROM mistral.executions WHERE root_execution_id IS NULL OR root_execution_id = id;
    RETURN heard;
END $$;

SELECT mistral.load_workflow($$
version: '2.0'
pay:
  input: [amount, bad: false]
  output: {paid: <% $.amount %>}
  tasks:
    check:
      action: std.echo output=<% $.amount %>
      publish: {checked: <% task().result %>}
      on-success: send
    send:
      action: std.fail
      retry: {count: 1, delay: 0}
      on-error: apologise
    apologise: {action: std.noop}
list:
  tasks:
    each:
      with-items: i in [1, 2, 3]
      action: std.echo output=<% $.i %>
      on-success: below
    below: {workflow: inner}
inner:
  output: {a: 1}
  tasks:
    t: {action: std.noop}
hear:
  input: [said]
  output: {said: <% $.said %>}
  tasks:
    t: {action: std.noop}
$$);

-- ---- each state of each subject: name, workflow, task, state, template, what is started, what is heard

CREATE TEMP TABLE cases (n serial, what text, task text, state text, said text, workflow text, input jsonb, heard text);
INSERT INTO cases (what, task, state, said, workflow, input, heard) VALUES
    ('the success of a task', 'check', 'SUCCESS', '<% $.task %> <% $.state %> <% $.result %> <% $.published.checked %>', 'pay', '{"amount": 5}', 'check SUCCESS 5 5'),
    ('its error, once for all tries', 'send', 'ERROR', '<% $.task %> <% $.state %> <% $.event %>', 'pay', '{"amount": 5}', 'send ERROR mistral.task.ERROR'),
    ('each of its tries', 'send', 'RUNNING', '<% $.state %> <% $.result %>', 'pay', '{"amount": 5}', 'RUNNING None, RUNNING None'),
    ('what handles the error', 'apologise', 'SUCCESS', '<% $.workflow %> <% $.owner = ' || quote_literal(current_user) || ' %>', 'pay', '{"amount": 5}', 'pay True'),
    ('a state that is not reached', 'check', 'ERROR', 'x', 'pay', '{"amount": 5}', ''),
    ('the workflow itself', NULL, 'SUCCESS', '<% $.result.paid %> <% $.get(task) %>', 'pay', '{"amount": 5}', '5 None'),
    ('and its beginning', NULL, 'RUNNING', '<% $.state %>', 'pay', '{"amount": 5}', 'RUNNING'),
    ('a list of results', 'each', 'SUCCESS', '<% $.result.len() %> <% $.result[2] %>', 'list', '{}', '3 3'),
    ('a sub-workflow''s result', 'below', 'SUCCESS', '<% $.result.a %>', 'list', '{}', '1');

CREATE FUNCTION pg_temp.check_case(c cases) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    heard text;
BEGIN
    PERFORM mistral.add_hook('h', c.workflow, 'hear', task => c.task, state => c.state, input => jsonb_build_object('said', c.said));
    PERFORM mistral.start_workflow(c.workflow, c.input);
    heard := pg_temp.heard();
    PERFORM mistral.remove_hook('h');
    RETURN is(heard, c.heard, c.what);
END $$;
SELECT pg_temp.check_case(c) FROM cases c ORDER BY n;

-- A sub-workflow is a workflow like others.
SELECT mistral.add_hook('h', 'inner', 'hear', task => 't', input => '{"said": "<% $.workflow %> <% $.execution_id != $.root_execution_id %>"}');
SELECT mistral.start_workflow('list');
SELECT is(pg_temp.heard(), 'inner True', 'in a sub-workflow');
SELECT mistral.remove_hook('h');
SELECT mistral.start_workflow('list');
SELECT is(pg_temp.heard(), '', 'a hook that is removed hears nothing');

-- ---- what is started, and by what

SELECT mistral.add_hook('h', 'pay', 'hear', task => 'check', filter => '<% $.result > 10 %>', input => '{"said": "<% $.task_execution_id %>"}', params => '{"env": {"e": 1}}');
SELECT mistral.start_workflow('pay', '{"amount": 10}'), mistral.start_workflow('pay', '{"amount": 11}');
SELECT pg_temp.run();
SELECT is((SELECT count(*)::int FROM mistral.hook_runs), 1, 'the filter says which');
SELECT is((SELECT e.input ->> 'said' FROM mistral.executions e WHERE e.workflow_name = 'hear'), (SELECT source_task_execution_id::text FROM mistral.hook_runs),
          'what it began with is known');
SELECT is((SELECT t.name || ' ' || (w.input ->> 'amount') FROM mistral.hook_runs r JOIN mistral.tasks t ON t.id = r.source_task_execution_id
             JOIN mistral.executions w ON w.id = r.source_execution_id), 'check 11', 'the task, the execution');
SELECT is((SELECT params #>> '{hook,task}' || (params #>> '{env,e}') FROM mistral.executions WHERE workflow_name = 'hear'), 'check1', 'params hold it, beside the hook''s');
SELECT is((SELECT description::jsonb #>> '{triggered_by,type}' FROM mistral.executions WHERE workflow_name = 'hear'), 'hook', 'and the description says who');
SELECT pg_temp.heard();
SELECT is((SELECT count(*)::int FROM mistral.hook_run), 0, 'which goes with the execution');

-- In the transaction of the change: neither is there when it is undone.
SELECT mistral.start_workflow('pay', '{"amount": 12}');
SAVEPOINT s;
SELECT pg_temp.run();
ROLLBACK TO s;
SELECT is((SELECT count(*)::int FROM mistral.executions WHERE workflow_name = 'hear'), 0, 'what is undone has started nothing');
SELECT pg_temp.run();
SELECT is((SELECT count(*)::int FROM mistral.executions WHERE workflow_name = 'hear'), 1, 'what happens after all has started it once');
SELECT pg_temp.heard();
SELECT mistral.remove_hook('h');

-- A rerun is another change of state, and what a session does is one, too.
SELECT mistral.load_workflow(E'version: "2.0"\nfails:\n  tasks: {t: {action: std.fail}}\nwaits:\n  tasks: {t: {action: std.async_noop}}');
SELECT mistral.add_hook('h', 'fails', 'hear', task => 't', state => 'ERROR', input => '{"said": "e"}');
SELECT mistral.start_workflow('fails');
SELECT pg_temp.run();
SELECT mistral.rerun_task(id) FROM mistral.tasks WHERE name = 't' AND workflow_name = 'fails';
SELECT is(pg_temp.heard(), 'e, e', 'run again, it fails again');
SELECT mistral.remove_hook('h');
SELECT mistral.add_hook('h', 'waits', 'hear', state => 'CANCELLED', input => '{"said": "c"}');
SELECT mistral.start_workflow('waits');
SELECT pg_temp.run();
SELECT mistral.cancel_workflow(id) FROM mistral.executions;
SELECT is(pg_temp.heard(), 'c', 'cancelled by a session');
SELECT mistral.remove_hook('h');

-- ---- what cannot be started stops nothing, and says why

SELECT mistral.add_hook('h', 'pay', 'hear', task => 'check', input => '{"other": 1}');
SELECT mistral.add_hook('h2', 'pay', 'hear', task => 'check', input => '{"said": "second"}');
SELECT mistral.start_workflow('pay', '{"amount": 1}');
SELECT pg_temp.run();
SELECT is((SELECT state FROM mistral.executions WHERE workflow_name = 'pay'), 'SUCCESS', 'a hook that fails holds up nobody');
SELECT is(pg_temp.heard(), 'second', 'nor another hook');
SELECT matches((SELECT error FROM mistral.hooks WHERE name = 'h' AND failed_at IS NOT NULL), 'cannot start workflow "hear": .*other', 'and says why');
SELECT mistral.remove_hook('h'), mistral.remove_hook('h2');
SELECT mistral.add_hook('h', 'pay', 'hear', task => 'check', filter => '<% $.nothing.at.all %>', input => '{"said": 1}');
SELECT mistral.start_workflow('pay', '{"amount": 1}');
SELECT is(pg_temp.heard(), '', 'nor a filter that fails');
SELECT matches((SELECT error FROM mistral.hooks), 'nothing', 'which says so');
SELECT mistral.remove_hook('h');

-- ---- chains end

SELECT mistral.add_hook('own', 'hear', 'hear', task => 't', input => '{"said": "again"}');
SELECT mistral.start_workflow('hear', '{"said": 0}');
SELECT is(pg_temp.heard(), 'again', 'a hook does not hear what it has started');
SELECT mistral.add_hook('other', 'hear', 'hear', task => 't', input => '{"said": "other"}');
SELECT mistral.start_workflow('hear', '{"said": 0}');
SELECT is(pg_temp.heard(), 'again, other, other, again', 'nor over another');
SELECT mistral.remove_hook('own'), mistral.remove_hook('other');
SELECT mistral.load_workflow(E'version: "2.0"\nw' || n || E':\n  input: [said]\n  output: {said: <% $.said %>}\n  tasks: {t: {action: std.noop}}') FROM generate_series(0, 12) n;
SELECT mistral.add_hook('h' || n, 'w' || n, 'w' || n + 1, input => jsonb_build_object('said', n)) FROM generate_series(0, 11) n;
SELECT mistral.start_workflow('w0', '{"said": 0}');
SELECT is(pg_temp.heard(), '0, 1, 2, 3, 4, 5, 6, 7, 8, 9', 'a chain is ten long');
SELECT is((SELECT string_agg(name, ' ') FROM mistral.hooks WHERE error ~ 'chain'), 'h10', 'and who would be the next says so');
SELECT mistral.remove_hook('h' || n) FROM generate_series(0, 11) n;

-- ---- events of states

SELECT mistral.create_event_trigger('t', 'hear', 'mistral.task.*', filter => '<% $.payload.workflow = inner %>', input => '{"said": "<% $.event %> <% $.payload.task %> <% $.exchange %>"}');
SELECT mistral.create_event_trigger('w', 'hear', 'mistral.workflow.SUCCESS', filter => '<% $.payload.workflow = list %>', input => '{"said": "<% $.payload.state %>"}');
SELECT mistral.start_workflow('list');
SELECT is(pg_temp.heard(), 'mistral.task.RUNNING t None, mistral.task.SUCCESS t None, SUCCESS', 'an event trigger hears them by name');
SELECT mistral.create_event_trigger('every', 'hear', '*', input => '{"said": "every"}');
SELECT mistral.delete_event_trigger('t'), mistral.delete_event_trigger('w');
SELECT mistral.start_workflow('list');
SELECT is(pg_temp.heard(), '', 'a trigger on everything hears what is published, and not each change of state');
SELECT mistral.delete_event_trigger('every');
SELECT throws_ok($$SELECT mistral.publish_event('mistral.task.SUCCESS')$$, '42939', 'event name "mistral.task.SUCCESS" is reserved');
SELECT throws_ok($$SELECT mistral.create_event_trigger('x', 'hear', 'mistral.task.DONE')$$, '22023', 'there is no event "mistral.task.DONE"');
SELECT throws_ok($$SELECT mistral.create_event_trigger('x', 'hear', 'mistral.task.ERROR', topic => 't')$$, '22023',
                 'a trigger on "mistral.task.ERROR" can have no exchange and no topic, and cannot be public');
SELECT throws_ok($$SELECT mistral.create_event_trigger('x', 'hear', 'mistral.task.ERROR', scope => 'public')$$, '22023',
                 'a trigger on "mistral.task.ERROR" can have no exchange and no topic, and cannot be public');

-- ---- what is refused

SELECT mistral.add_hook('h', 'pay', 'hear');
SELECT throws_ok($$SELECT mistral.add_hook('h', 'pay', 'hear')$$, '42710', 'hook "h" exists already');
SELECT throws_ok($$SELECT mistral.add_hook('i', 'nowhere', 'hear')$$, 'MS003', 'workflow "nowhere" does not exist');
SELECT throws_ok($$SELECT mistral.add_hook('i', 'pay', 'nowhere')$$, 'MS003', 'workflow "nowhere" does not exist');
SELECT throws_ok($$SELECT mistral.add_hook('i', 'pay', 'hear', task => 'x')$$, 'MS003', 'workflow "pay" has no task "x"');
SELECT throws_ok($$SELECT mistral.add_hook('i', 'pay', 'hear', state => 'DONE')$$, '22023', 'state "DONE" cannot be reached');
SELECT throws_ok($$SELECT mistral.add_hook('i', 'pay', 'hear', filter => 'x')$$, '22023', 'the filter is not one expression');
SELECT throws_ok($$SELECT mistral.remove_hook('x')$$, 'MS003', 'hook "x" does not exist');
SELECT throws_ok($$SELECT mistral.grant_hook('pg_monitor', 'pay', 'own')$$, '22023', 'access "own" does not exist');
SELECT throws_ok($$SELECT mistral.grant_hook('pg_monitor', 'nowhere')$$, 'MS003', 'workflow "nowhere" does not exist');
SELECT mistral.remove_hook('h');

-- ---- other roles: ann's workflow, bob's hook, eve who has no right, carl who starts it

CREATE ROLE mistral_hooks_ann;
CREATE ROLE mistral_hooks_bob;
CREATE ROLE mistral_hooks_eve;
CREATE ROLE mistral_hooks_carl;
SELECT mistral.grant_access(r::regrole, k) FROM unnest('{mistral_hooks_ann,mistral_hooks_bob,mistral_hooks_eve,mistral_hooks_carl}'::text[]) r, unnest('{author,operator}'::text[]) k;
SELECT mistral.grant_access('mistral_hooks_ann', 'publisher');
CREATE FUNCTION pg_temp.as(role text, command text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', role);
    EXECUTE command;
    RESET ROLE;
END $$;
SET ROLE mistral_hooks_ann;
SELECT mistral.load_workflow(E'version: "2.0"\nopen:\n  tasks: {t: {action: std.echo, input: {output: gold}}}', scope => 'public');
SELECT mistral.load_workflow(E'version: "2.0"\nclosed:\n  tasks: {t: {action: std.noop}}');
SET ROLE mistral_hooks_bob;
SELECT mistral.load_workflow(E'version: "2.0"\nheard:\n  input: [said]\n  output: {said: <% $.said %>}\n  tasks: {t: {action: std.noop}}');
SELECT throws_ok($$SELECT mistral.add_hook('h', 'open', 'heard', task => 't')$$, '42501', 'permission denied to put a hook on workflow "open"');
SELECT throws_ok($$SELECT mistral.add_hook('h', 'closed', 'heard', task => 't')$$, 'MS003', 'workflow "closed" does not exist');
SELECT throws_ok($$SELECT mistral.grant_hook('mistral_hooks_bob', 'open')$$, 'MS003', 'workflow "open" does not exist');
RESET ROLE;
SELECT pg_temp.as('mistral_hooks_ann', $$SELECT mistral.grant_hook('mistral_hooks_bob', 'open'), mistral.grant_hook('mistral_hooks_bob', 'closed')$$);
SET ROLE mistral_hooks_bob;
SELECT mistral.add_hook('h', 'open', 'heard', task => 't', input => '{"said": "<% $.owner %> <% $.result %> <% $.state %>"}');
SELECT lives_ok($$SELECT mistral.add_hook('c', 'closed', 'heard')$$, 'the right reaches where one may not look');
SET ROLE mistral_hooks_carl;
SELECT mistral.start_workflow('open');
RESET ROLE;
SELECT is(pg_temp.heard(), 'mistral_hooks_carl None SUCCESS', 'a hook hears of whoever starts the workflow, without results');
SELECT pg_temp.as('mistral_hooks_ann', $$SELECT mistral.grant_hook('mistral_hooks_bob', 'open', 'results')$$);
SELECT pg_temp.as('mistral_hooks_carl', $$SELECT mistral.start_workflow('open')$$);
SELECT pg_temp.run();
SELECT is((SELECT owner::text FROM mistral.executions WHERE workflow_name = 'heard'), 'mistral_hooks_bob', 'what it starts is its owner''s');
SELECT is(pg_temp.heard(), 'mistral_hooks_carl gold SUCCESS', 'with results, where that is granted');

-- The right is looked at each time.
SELECT pg_temp.as('mistral_hooks_ann', $$SELECT mistral.revoke_hook('mistral_hooks_bob', 'open', 'results')$$);
SELECT pg_temp.as('mistral_hooks_carl', $$SELECT mistral.start_workflow('open')$$);
SELECT is(pg_temp.heard(), 'mistral_hooks_carl None SUCCESS', 'until it is taken back');
SELECT pg_temp.as('mistral_hooks_ann', $$SELECT mistral.revoke_hook('mistral_hooks_bob', 'open')$$);
SELECT pg_temp.as('mistral_hooks_carl', $$SELECT mistral.start_workflow('open')$$);
SELECT is(pg_temp.heard(), '', 'and without any a hook hears nothing');
SET ROLE mistral_hooks_bob;
SELECT is((SELECT string_agg(name || ' ' || allowed, ', ' ORDER BY name) FROM mistral.hooks), 'c true, h false', 'which its owner can see');
SELECT is((SELECT string_agg(workflow_name || ' ' || access, ', ') FROM mistral.hook_grants), 'closed attach', 'as what is granted');
SET ROLE mistral_hooks_ann;
SELECT is((SELECT string_agg(name || ' ' || owner, ', ' ORDER BY name) FROM mistral.hooks), 'c mistral_hooks_bob, h mistral_hooks_bob', 'and whose workflow it is on');
SET ROLE mistral_hooks_eve;
SELECT is((SELECT count(*)::int FROM mistral.hooks) + (SELECT count(*)::int FROM mistral.hook_grants), 0, 'but nobody else');
SELECT throws_ok($$SELECT mistral.remove_hook('h')$$, 'MS003', 'hook "h" does not exist');
SET ROLE mistral_hooks_ann;
SELECT lives_ok($$SELECT mistral.remove_hook('h')$$, 'whose workflow it is on may remove it');
RESET ROLE;

-- Two roles may have hooks of the same name: whose workflow it is on says whose is meant.
SELECT pg_temp.as('mistral_hooks_ann', $$SELECT mistral.grant_hook('mistral_hooks_bob', 'open'), mistral.grant_hook('mistral_hooks_eve', 'open')$$);
SELECT pg_temp.as('mistral_hooks_bob', $$SELECT mistral.add_hook('twin', 'open', 'heard')$$);
SELECT pg_temp.as('mistral_hooks_eve', $$SELECT mistral.load_workflow(E'version: "2.0"\nheard:\n  tasks: {t: {action: std.noop}}'), mistral.add_hook('twin', 'open', 'heard')$$);
SET ROLE mistral_hooks_ann;
SELECT throws_ok($$SELECT mistral.remove_hook('twin')$$, '42725', 'hook name "twin" is ambiguous');
SELECT lives_ok($$SELECT mistral.remove_hook('twin', owner => 'mistral_hooks_bob')$$, 'the owner tells them apart');
SELECT lives_ok($$SELECT mistral.remove_hook('twin')$$, 'and then there is one');
RESET ROLE;
SELECT pg_temp.as('mistral_hooks_ann', $$SELECT mistral.revoke_hook('mistral_hooks_bob', 'open'), mistral.revoke_hook('mistral_hooks_eve', 'open')$$);

-- A grant is on one role's workflow: another of the same name is not meant.
SELECT pg_temp.as('mistral_hooks_carl', $$SELECT mistral.load_workflow(E'version: "2.0"\nclosed:\n  tasks: {t: {action: std.noop}}'), mistral.start_workflow('closed')$$);
SELECT is(pg_temp.heard(), '', 'a workflow of another role with the same name is another');

-- A trigger on events of states hears of roles whose rights its owner has, and of no others.
SELECT pg_temp.as('mistral_hooks_eve', $$SELECT mistral.load_workflow(E'version: "2.0"\nspy:\n  tasks: {t: {action: std.noop}}')$$);
SELECT pg_temp.as('mistral_hooks_eve', $$SELECT mistral.create_event_trigger('spy', 'spy', 'mistral.*')$$);
SELECT pg_temp.as('mistral_hooks_carl', $$SELECT mistral.start_workflow('open')$$);
SELECT pg_temp.run();
SELECT is((SELECT count(*)::int FROM mistral.executions WHERE workflow_name = 'spy'), 0, 'a stranger''s trigger hears nothing');
-- A member's events are not for the group either: the group has not the member's rights.
GRANT mistral_hooks_eve TO mistral_hooks_carl;
SELECT pg_temp.as('mistral_hooks_carl', $$SELECT mistral.start_workflow('open')$$);
SELECT pg_temp.run();
SELECT is((SELECT count(*)::int FROM mistral.executions WHERE workflow_name = 'spy'), 0, 'nor one of a role that it is a member of');
GRANT mistral_hooks_carl TO mistral_hooks_bob;
SELECT pg_temp.as('mistral_hooks_bob', $$SELECT mistral.create_event_trigger('mine', 'heard', 'mistral.workflow.SUCCESS', input => '{"said": "<% $.payload.owner %>"}')$$);
SELECT pg_temp.as('mistral_hooks_carl', $$SELECT mistral.start_workflow('open')$$);
SELECT pg_temp.run();
SELECT is((SELECT output ->> 'said' FROM mistral.executions WHERE workflow_name = 'heard'), 'mistral_hooks_carl', 'but one of a role that has its rights');

SELECT * FROM finish();
ROLLBACK;
