-- std.approve: who is asked, who answers, and what is kept of it.
BEGIN;
SET client_min_messages = error;
SELECT no_plan();
CREATE ROLE appr_owner; CREATE ROLE appr_boss; CREATE ROLE appr_chief; CREATE ROLE appr_none; CREATE ROLE "x"" OR true --";
SELECT mistral.grant_access('appr_owner', k) FROM unnest('{author,operator,worker}'::text[]) k;
GRANT USAGE ON SCHEMA mistral TO appr_boss, appr_chief, appr_none, "x"" OR true --";
GRANT SELECT ON mistral.approvals TO appr_owner, appr_boss, appr_chief, appr_none, "x"" OR true --";
GRANT EXECUTE ON FUNCTION mistral.approve, mistral.reject, mistral.may_answer TO appr_owner, appr_boss, appr_chief, appr_none, "x"" OR true --";
CREATE FUNCTION pg_temp.run() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 200 LOOP
        IF mistral.step() = 0 THEN RETURN; END IF;
    END LOOP;
    RAISE 'the engine does not come to rest';
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
SELECT * FROM finish();
ROLLBACK;
