-- std.approve: who is asked, who answers, and what is kept of it.
BEGIN;
SET client_min_messages = error;
SELECT no_plan();
CREATE ROLE appr_owner; CREATE ROLE appr_boss; CREATE ROLE appr_chief; CREATE ROLE appr_none; CREATE ROLE "x"" OR true --";
SELECT mistral.grant_access('appr_owner', k) FROM unnest('{author,operator,worker}'::text[]) k;
SELECT mistral.grant_access(r, 'approver') FROM unnest('{appr_owner,appr_boss,appr_chief,appr_none,"\"x\"\" OR true --\""}'::regrole[]) r;
CREATE FUNCTION pg_temp.run() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 200 LOOP
        IF mistral.step() = 0 THEN RETURN; END IF;
    END LOOP;
    RAISE 'the engine does not come to rest';
END $$;
CREATE FUNCTION pg_temp.load(body text) RETURNS void LANGUAGE sql AS $$
    SELECT mistral.load_workflow(E'version: "2.0"\n' || body)
$$;
-- the question that a new execution asks
CREATE FUNCTION pg_temp.ask(workflow text) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    e uuid := mistral.start_workflow(workflow);
BEGIN
    PERFORM pg_temp.run();
    RETURN (SELECT id FROM mistral.approvals WHERE execution_id = e);
END $$;
-- the tables that a query reads from end to end
CREATE FUNCTION pg_temp.scans(query text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
    RETURN COALESCE((SELECT array_agg(DISTINCT m[1]) FROM regexp_matches(plan::text, '"Node Type": "Seq Scan"[^}]*?"Relation Name": "(\w+)"', 'g') m), '{}');
END $$;
SET LOCAL mistral.fake_now = '2030-01-01 00:00:00Z';
SET LOCAL ROLE appr_owner;
SELECT mistral.load_workflow($$
version: '2.0'
appr:
  input: [who]
  output: {said: <% $.said %>}
  output-on-error: {said: no}
  tasks:
    ask:
      action: std.approve
      input: {question: "Pay?", details: {sum: 5}, approvers: <% $.who %>, escalate_to: appr_chief, escalate_after: 60}
      publish: {said: <% task().result.by %>}
$$);
SELECT mistral.start_workflow('appr', '{"who": "appr_boss"}') AS e \gset
SELECT mistral.start_workflow('appr', '{"who": ["x\" OR true --"]}') AS e2 \gset
SELECT mistral.start_workflow('appr', '{"who": 5}') AS e3 \gset
RESET ROLE;
SELECT pg_temp.run();
SELECT is((SELECT state FROM mistral.executions WHERE id = :'e3'), 'ERROR', 'what names no role is refused');
SELECT id AS a FROM mistral.approvals WHERE execution_id = :'e' \gset
SELECT id AS a2 FROM mistral.approvals WHERE execution_id = :'e2' \gset
SELECT matches((SELECT detail FROM mistral.why(:'e') WHERE kind = 'action'), '^"appr_boss" has to call approve or reject', 'why says whose answer is missing');
SET LOCAL ROLE appr_owner;
SELECT is((SELECT may_answer FROM mistral.approvals WHERE id = :'a'), false, 'the owner sees it and may not answer');
SELECT throws_ok(format('SELECT mistral.approve(%L)', :'a'), '42501', NULL, 'nor does approve let the owner');
SELECT throws_ok(format('SELECT mistral.complete_action(%L, %L)', :'a', '{"approved": true, "by": "appr_boss"}'), '42501', NULL, 'an answer cannot be forged');
SELECT throws_ok(format('SELECT mistral.fail_action(%L, %L)', :'a', '{"approved": false}'), '42501', NULL, 'nor a refusal');
SET LOCAL ROLE appr_none;
SELECT is_empty('SELECT * FROM mistral.approvals', 'who is not asked sees nothing');
SELECT throws_ok(format('SELECT mistral.approve(%L)', :'a'), 'MS022', NULL, 'and finds nothing');
SET LOCAL ROLE appr_chief;
SELECT is_empty('SELECT * FROM mistral.approvals', 'before its time the escalation sees nothing');
RESET ROLE;
SET LOCAL mistral.fake_now = '2030-01-01 00:01:00Z';
SET LOCAL ROLE appr_chief;
SELECT is((SELECT count(*) FROM mistral.approvals WHERE may_answer), 2::bigint, 'and then both');
SET LOCAL ROLE appr_boss;
SELECT is((SELECT ROW(question, details, task_name, workflow_name, owner)::text FROM mistral.approvals), ROW('"Pay?"'::jsonb, '{"sum": 5}'::jsonb, 'ask', 'appr', 'appr_owner')::text, 'the boss sees the question that is the boss''s');
SELECT lives_ok(format('SELECT mistral.approve(%L, %L)', :'a', 'fine'), 'the boss approves');
RESET ROLE;
SET LOCAL mistral.fake_now = '2030-01-01 00:02:00Z';
SET LOCAL ROLE appr_boss;
SELECT lives_ok(format('SELECT mistral.approve(%L, %L)', :'a', 'fine'), 'again, before the engine has it');
SELECT is_empty('SELECT * FROM mistral.approvals', 'it waits no more');
SELECT throws_ok(format('SELECT mistral.reject(%L)', :'a'), 'MS021', NULL, 'another answer is refused');
RESET ROLE;
SELECT pg_temp.run();
SET LOCAL ROLE appr_boss;
SELECT lives_ok(format('SELECT mistral.approve(%L, %L)', :'a', 'fine'), 'again, after the engine has it');
SELECT throws_ok(format('SELECT mistral.reject(%L)', :'a'), 'MS021', NULL, 'and another answer is refused');
SET LOCAL ROLE "x"" OR true --";
SELECT lives_ok(format('SELECT mistral.reject(%L, %L)', :'a2', 'no'), 'a role whose name needs quotes rejects');
RESET ROLE;
SELECT pg_temp.run();
SELECT is((SELECT output FROM mistral.executions WHERE id = :'e'), '{"said": "appr_boss"}', 'who approved is known to the workflow');
SELECT is((SELECT state FROM mistral.executions WHERE id = :'e2'), 'ERROR', 'a refusal is an error');
SELECT is((SELECT (output->'result') - 'at' FROM mistral.action_executions WHERE id = :'a2'), '{"approved": false, "by": "x\" OR true --", "comment": "no"}', 'and is kept');
SELECT is((SELECT answer - 'at' FROM mistral.action_executions WHERE id = :'a'), '{"approved": true, "by": "appr_boss", "comment": "fine"}', 'who and what');
SELECT is((SELECT answer->>'at' FROM mistral.action_executions WHERE id = :'a')::timestamptz, '2030-01-01 00:01:00Z'::timestamptz, 'and when are in the history');

-- escalation in the view, and its bounds
SET LOCAL ROLE appr_owner;
SELECT mistral.run_action('std.approve', '{"question": "Alone?", "approvers": "appr_boss", "escalate_to": ["appr_chief", "appr_none"], "escalate_after": 90.5}') AS lone \gset
SELECT is((SELECT ROW(escalate_to, escalates_at, execution_id, task_name)::text FROM mistral.approvals),
          ROW('["appr_chief", "appr_none"]'::jsonb, '2030-01-01 00:03:30.5Z'::timestamptz, NULL::uuid, NULL::text)::text, 'run_action asks, and the view shows who is asked later, and when');
SELECT throws_ok(format('SELECT mistral.run_action(%L, %L)', 'std.approve', i), 'MS004', NULL, i)
  FROM unnest(ARRAY['{"question": "?", "escalate_to": "a", "escalate_after": 1e400}', '{"question": "?", "escalate_to": "a", "escalate_after": -1}',
                    '{"question": "?", "escalate_to": "a"}', '{"question": "?", "escalate_after": 5}', '{"question": "?", "approvers": [1]}', '{}']) i;
SELECT throws_ok(format('SELECT mistral.complete_action(%L)', :'lone'), '42501', NULL, 'the owner of what was run alone cannot forge the answer');
SET LOCAL ROLE appr_boss;
SELECT mistral.approve(:'lone', 'alone');
SELECT lives_ok(format('SELECT mistral.approve(%L, %L)', :'lone', 'alone'), 'the same again');
SELECT throws_ok(format('SELECT mistral.approve(%L, %L)', :'lone', 'together'), 'MS021', NULL, 'another comment is another answer');
RESET ROLE;
SELECT pg_temp.run();
SELECT is((SELECT ROW(state, answer->>'by')::text FROM mistral.action_executions WHERE id = :'lone'), '(SUCCESS,appr_boss)', 'and it has ended');

-- what nobody waits for any more
SELECT pg_temp.load($$
appr_late:
  tasks:
    ask:
      action: std.approve question="Quick?" approvers="appr_boss"
      timeout: 10
      on-error: [after]
    after: {action: std.noop}
appr_stopped:
  tasks:
    ask: {action: std.approve question="Still?" approvers="appr_boss"}
appr_retried:
  tasks:
    ask:
      action: std.approve question="Sure?" approvers="appr_boss"
      retry: {count: 1, delay: 5}
appr_target:
  tasks:
    ask: {action: std.approve question="Who?" approvers="appr_boss", target: billing}
appr_paused:
  tasks:
    ask:
      action: std.approve question="Go on?" approvers="appr_boss"
      on-success: [after]
    after: {action: std.noop}
$$);
SELECT mistral.load_action($$
version: '2.0'
sign:
  base: std.approve
  base-input: {question: "Sign <% $.what %>?", approvers: appr_boss}
  input: [what]
  output: signed
$$);
SELECT pg_temp.load($$
appr_adhoc:
  output: {is: <% task(ask).result %>}
  tasks:
    ask: {action: sign what="it"}
$$);
SELECT pg_temp.ask('appr_late') AS a \gset
SET LOCAL mistral.fake_now = '2030-01-01 00:02:11Z';
SELECT pg_temp.run();
SET LOCAL ROLE appr_boss;
SELECT is_empty('SELECT * FROM mistral.approvals', 'what has timed out is asked no more');
SELECT throws_like(format('SELECT mistral.approve(%L)', :'a'), '%comes too late', 'and answered too late');
RESET ROLE;
SELECT is((SELECT state FROM mistral.executions WHERE workflow_name = 'appr_late'), 'SUCCESS', 'the workflow went its other way');
SELECT is((SELECT count(*) FROM mistral.message), 0::bigint, 'no refused answer is kept');

SELECT pg_temp.ask('appr_stopped') AS a \gset
SELECT mistral.stop_workflow(id, 'ERROR', 'enough') FROM mistral.executions WHERE workflow_name = 'appr_stopped';
SELECT pg_temp.run();
SET LOCAL ROLE appr_boss;
SELECT is_empty('SELECT * FROM mistral.approvals', 'a workflow that was stopped asks no more');
SELECT throws_like(format('SELECT mistral.reject(%L)', :'a'), '%comes too late', 'and what it asked is answered too late');
RESET ROLE;

SELECT pg_temp.ask('appr_retried') AS a \gset
SET LOCAL ROLE appr_boss;
SELECT mistral.reject(:'a');
RESET ROLE;
SELECT pg_temp.run();
SET LOCAL mistral.fake_now = '2030-01-01 00:02:17Z';
SELECT pg_temp.run();
SET LOCAL ROLE appr_boss;
SELECT is((SELECT count(*) FROM mistral.approvals WHERE id <> :'a' AND question = '"Sure?"'), 1::bigint, 'retry asks again');
SELECT throws_ok(format('SELECT mistral.approve(%L)', :'a'), 'MS021', NULL, 'the first answer stays');
SELECT mistral.approve(id) FROM mistral.approvals;
RESET ROLE;
SELECT pg_temp.run();
SELECT is((SELECT state FROM mistral.executions WHERE workflow_name = 'appr_retried'), 'SUCCESS', 'and the second counts');

SELECT pg_temp.ask('appr_target') AS a \gset
SELECT is_empty('SELECT * FROM mistral.targets', 'a target makes no pull worker of people');
SELECT is_empty($$SELECT * FROM mistral.claim_actions('billing') UNION ALL SELECT * FROM mistral.claim_actions()$$, 'and no worker claims a question');
SET LOCAL ROLE appr_boss;
SELECT lives_ok(format('SELECT mistral.approve(%L)', :'a'), 'who is asked answers');
RESET ROLE;

SELECT pg_temp.ask('appr_paused') AS a \gset
SELECT id AS e FROM mistral.executions WHERE workflow_name = 'appr_paused' \gset
SELECT mistral.pause_workflow(:'e');
SELECT pg_temp.run();
SET LOCAL ROLE appr_boss;
SELECT lives_ok(format('SELECT mistral.approve(%L)', :'a'), 'a paused workflow takes the answer');
RESET ROLE;
SELECT pg_temp.run();
SELECT is((SELECT string_agg(name || ' ' || state, ', ') FROM mistral.tasks WHERE execution_id = :'e'), 'ask SUCCESS', 'and does nothing about it');
SELECT mistral.resume_workflow(:'e');
SELECT pg_temp.run();
SELECT is((SELECT state FROM mistral.executions WHERE id = :'e'), 'SUCCESS', 'until it is resumed');

SELECT pg_temp.ask('appr_adhoc') AS a \gset
SELECT throws_ok(format('SELECT mistral.complete_action(%L, %L)', :'a', '"signed"'), '42501', NULL, 'nor is an answer forged through an ad-hoc action');
SET LOCAL ROLE appr_boss;
SELECT is((SELECT question FROM mistral.approvals), '"Sign it?"', 'an ad-hoc action may ask');
RESET ROLE;
GRANT EXECUTE ON FUNCTION mistral.cancel_action(uuid) TO appr_boss;
SET LOCAL ROLE appr_boss;
SELECT throws_ok(format('SELECT mistral.cancel_action(%L)', :'a'), '42501', format('action execution %s waits for an answer', :'a'), 'who is asked may answer, not give it up');
SELECT mistral.approve(:'a', 'with pleasure');
RESET ROLE;
SELECT pg_temp.run();
SELECT is((SELECT output FROM mistral.executions WHERE workflow_name = 'appr_adhoc'), '{"is": "signed"}', 'its output is what it says');
SELECT is((SELECT answer - 'at' FROM mistral.action_executions WHERE id = :'a'), '{"approved": true, "by": "appr_boss", "comment": "with pleasure"}', 'and who said so is still known');

SELECT pg_temp.ask('appr_stopped') AS a \gset
SELECT lives_ok(format('SELECT mistral.cancel_action(%L)', :'a'), 'a question may be cancelled by the owner');
SELECT pg_temp.run();
SELECT is((SELECT state FROM mistral.action_executions WHERE id = :'a'), 'CANCELLED', 'and is');
SELECT is((SELECT count(*) FROM mistral.offer WHERE NOT held), 0::bigint, 'nothing is left to answer');

-- items: one question for each
SELECT pg_temp.load($$
appr_items:
  output: {by: <% task(ask).result.select($.comment) %>}
  tasks:
    ask:
      with-items: i in ["one", "two"]
      action: std.approve
      input: {question: <% $.i %>, approvers: appr_boss}
$$);
SELECT mistral.start_workflow('appr_items') AS e \gset
SELECT pg_temp.run();
SELECT is((SELECT string_agg(DISTINCT c.error_code, ' ') || ' ' || count(*) FROM mistral.complete_actions((SELECT array_agg(id) FROM mistral.approvals)) c), '42501 2',
          'nor are answers forged by the batch');
SET LOCAL ROLE appr_boss;
SELECT is((SELECT string_agg(question::text, ', ' ORDER BY question) FROM mistral.approvals), '"one", "two"', 'each item asks');
SELECT mistral.approve(id, question ->> 0) FROM (SELECT id, jsonb_build_array(question) AS question FROM mistral.approvals) q;
SELECT is_empty('SELECT * FROM mistral.approvals', 'and each is answered');
RESET ROLE;
SELECT pg_temp.run();
SELECT is((SELECT output FROM mistral.executions WHERE id = :'e'), '{"by": ["one", "two"]}', 'in the order of the items');

-- what has been answered costs the view nothing
INSERT INTO mistral.action_execution (id, root_id, owner, name, state, accepted, created_at, updated_at, finished_at, input)
SELECT gen_random_uuid(), gen_random_uuid(), 'appr_owner'::regrole, 'std.approve', 'SUCCESS', true, now(), now(), now(), '{"question": "Old?"}' FROM generate_series(1, 20000);
ANALYZE mistral.action_execution;
SELECT pg_temp.ask('appr_stopped') AS a \gset
SELECT is(pg_temp.scans('SELECT * FROM mistral.action_execution'), '{action_execution}', 'a plan shows what is read from end to end');
SELECT ok(NOT pg_temp.scans('SELECT * FROM mistral.approvals') && '{action_execution}', 'the view does not look at what has ended');
SELECT * FROM finish();
ROLLBACK;
