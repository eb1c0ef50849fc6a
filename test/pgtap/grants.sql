-- Rights: nothing for PUBLIC, kinds of users in plain GRANTs.
BEGIN;
SELECT plan(40);

CREATE ROLE grant_ann;
CREATE ROLE "grant Bob";

-- PUBLIC
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
                   WHERE p.pronamespace = 'mistral'::regnamespace AND a.grantee = 0$$, 'PUBLIC may call nothing');
SELECT is_empty($$SELECT c.oid::regclass FROM pg_class c, aclexplode(c.relacl) a
                   WHERE c.relnamespace = 'mistral'::regnamespace AND a.grantee = 0$$, 'PUBLIC may read nothing');
SELECT is_empty($$SELECT 1 FROM pg_namespace n, aclexplode(n.nspacl) a WHERE n.nspname = 'mistral' AND a.grantee = 0$$,
                'PUBLIC may not use the schema');
SELECT is_empty($$SELECT oid::regclass FROM pg_class c WHERE relnamespace = 'mistral'::regnamespace AND relkind = 'v'
                   AND relname <> 'workers' AND NOT coalesce(reloptions, '{}') @> '{security_barrier=true}'$$, 'every view is a barrier');

-- what a role has been granted, in words
CREATE FUNCTION pg_temp.may(who regrole) RETURNS text[] LANGUAGE sql AS $$
  SELECT coalesce(array_agg(what ORDER BY what), '{}') FROM (
    SELECT p.proname::text AS what FROM pg_proc p, aclexplode(p.proacl) a
     WHERE p.pronamespace = 'mistral'::regnamespace AND a.grantee = who AND a.privilege_type = 'EXECUTE'
    UNION ALL SELECT 'read ' || c.relname FROM pg_class c, aclexplode(c.relacl) a
     WHERE c.relnamespace = 'mistral'::regnamespace AND a.grantee = who AND a.privilege_type = 'SELECT'
    UNION ALL SELECT 'schema' FROM pg_namespace n, aclexplode(n.nspacl) a WHERE n.nspname = 'mistral' AND a.grantee = who) t
$$;

SELECT is(pg_temp.may('grant_ann'), '{}', 'a role starts with nothing');

SELECT lives_ok($$SELECT mistral.grant_access('grant_ann', 'author')$$, 'author is granted');
SELECT ok(pg_temp.may('grant_ann') @> '{schema,load_workbook,load_workflow,load_action,delete_workbook,delete_workflow,delete_action,validate,set_environment,delete_environment,read workflows,read executions}',
          'an author loads, deletes, validates and reads');
SELECT ok(NOT pg_temp.may('grant_ann') && '{publish_definition,start_workflow,complete_action,grant_access}', 'and no more');
SELECT lives_ok($$SELECT mistral.revoke_access('grant_ann', 'author')$$, 'author is revoked');
SELECT is(pg_temp.may('grant_ann'), '{}', 'nothing is left');

SELECT lives_ok($$SELECT mistral.grant_access('grant_ann', 'viewer')$$, 'viewer is granted');
SELECT ok(pg_temp.may('grant_ann') @> '{schema,read workbooks,read workflows,read actions,read executions,read tasks,read action_executions,read environments}',
          'a viewer reads every view');
SELECT ok(NOT pg_temp.may('grant_ann') && '{load_workflow,start_workflow,validate,complete_action}', 'and changes nothing');
SET LOCAL ROLE grant_ann;
SELECT lives_ok($$SELECT count(*) FROM mistral.actions$$, 'a view with a function in it can be read');
SELECT throws_ok($$SELECT count(*) FROM mistral.definition$$, '42501', NULL, 'the tables cannot');
SELECT throws_ok($$SELECT mistral.load_workflow('')$$, '42501', NULL, 'loading is refused');
RESET ROLE;

SELECT mistral.grant_access('grant_ann', 'worker');
SELECT mistral.revoke_access('grant_ann', 'worker');
SELECT ok(pg_temp.may('grant_ann') @> '{schema,read executions}', 'what a viewer needs stays when worker goes');
SELECT ok(NOT pg_temp.may('grant_ann') && '{complete_action,fail_action,cancel_action}', 'what a worker needs goes');

SELECT mistral.grant_access('grant_ann', 'author');
SELECT mistral.grant_access('grant_ann', 'operator');
SELECT mistral.revoke_access('grant_ann', 'author');
SELECT ok(pg_temp.may('grant_ann') @> '{schema,read executions,start_workflow}', 'an operator stays one when author goes');
SELECT ok(NOT pg_temp.may('grant_ann') && '{load_workflow,validate}', 'an author is no longer one');
SELECT mistral.revoke_access('grant_ann', 'operator');
SELECT is(pg_temp.may('grant_ann'), '{}', 'and in the end nothing is left');

SELECT lives_ok($$SELECT mistral.grant_access('"grant Bob"', 'publisher')$$, 'a role''s name may need quotes');
SELECT is(pg_temp.may('"grant Bob"'), '{publish_definition,schema}', 'a publisher may publish');

-- an approver reads what is asked, and nothing else
SELECT mistral.grant_access('grant_ann', 'approver');
SELECT is(pg_temp.may('grant_ann'), '{approve,may_answer,"read approvals",reject,schema}', 'an approver sees questions and answers them');
SET LOCAL ROLE grant_ann;
SELECT is_empty('SELECT * FROM mistral.approvals', 'the view can be read');
RESET ROLE;
SELECT mistral.grant_access('grant_ann', 'viewer');
SELECT mistral.revoke_access('grant_ann', 'viewer');
SELECT is(pg_temp.may('grant_ann'), '{approve,may_answer,"read approvals",reject,schema}', 'which stay when viewer goes');
SELECT mistral.grant_access('grant_ann', 'viewer');
SELECT mistral.revoke_access('grant_ann', 'approver');
SELECT ok(pg_temp.may('grant_ann') @> '{may_answer,"read approvals","read executions"}' AND NOT pg_temp.may('grant_ann') && '{approve,reject}',
          'a viewer sees the questions, too, when approver goes');
SELECT mistral.revoke_access('grant_ann', 'viewer');

-- who may grant
SELECT throws_ok($$SELECT mistral.grant_access('grant_ann', 'admin')$$, '22023', NULL, 'another kind is refused');
SELECT throws_ok($$SELECT mistral.grant_access(NULL, 'author')$$, '22004', NULL, 'null is refused');
SELECT throws_ok($$SELECT mistral.grant_access(999999999::oid::regrole, 'author')$$, '42704', NULL, 'a role that is not there is refused');
SET LOCAL ROLE grant_ann;
SELECT throws_ok($$SELECT mistral.grant_access('grant_ann', 'author')$$, '42501', NULL, 'a role cannot help itself');
RESET ROLE;
GRANT USAGE ON SCHEMA mistral TO grant_ann;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA mistral TO grant_ann;
SET LOCAL ROLE grant_ann;
SELECT throws_ok($$SELECT mistral.grant_access('grant_ann', 'author')$$, '42501', NULL, 'not even with the right to call the function');
SELECT throws_ok($$SELECT mistral.revoke_access('"grant Bob"', 'publisher')$$, '42501', NULL, 'nor take from others');
RESET ROLE;

-- a definition outlives its owner's role
SELECT mistral.grant_access('"grant Bob"', 'author');
SET LOCAL ROLE "grant Bob";
SELECT mistral.load_workflow(E'version: 2\nleft: {tasks: {t: {action: std.noop}}}', scope => 'public');
RESET ROLE;
SELECT mistral.revoke_access('"grant Bob"', 'author');
SELECT mistral.revoke_access('"grant Bob"', 'publisher');
SELECT lives_ok($$DROP ROLE "grant Bob"$$, 'a role without rights can be dropped');
SELECT isnt_empty($$SELECT owner FROM mistral.workflows WHERE name = 'left'$$, 'its definition is still shown');

-- what a name means to a superuser is not what anybody has put there
SELECT mistral.load_workflow(E'version: 2\ngrant_helper:\n  output: {whose: mine}\n  tasks: {t: {action: std.noop}}');
SELECT mistral.load_workbook($$
version: '2.0'
name: grant_shop
workflows:
  main:
    output: {whose: <% task(t).result.whose %>}
    tasks: {t: {workflow: grant_helper}}
$$);
SELECT mistral.grant_access('grant_ann', 'author');
SET LOCAL ROLE grant_ann;
SELECT mistral.load_workflow(E'version: 2\ngrant_shop.grant_helper:\n  output: {whose: hers}\n  tasks: {t: {action: std.noop}}');
SELECT mistral.register_action('grant_action', target => 'hers');
SELECT mistral.set_environment('grant_env', '{"whose": "hers"}');
RESET ROLE;
SELECT mistral.start_workflow('grant_shop.main') AS grant_id \gset
DO $$BEGIN WHILE mistral.step() > 0 LOOP END LOOP; END$$;
SELECT is((SELECT output FROM mistral.executions WHERE id = :'grant_id'), '{"whose": "mine"}', 'a workbook of a superuser calls the superuser''s workflow');
SELECT throws_ok($$SELECT mistral.start_workflow('grant_shop.grant_helper')$$, 'MS003', NULL, 'nor does a superuser start what another role has loaded');
SELECT throws_ok($$SELECT mistral.start_workflow('grant_shop.main', params => '{"env": "grant_env"}')$$, 'MS003', NULL, 'nor read its environment');
SELECT mistral.load_workflow(E'version: 2\ngrant_action:\n  tasks: {t: {action: grant_action}}');
SELECT mistral.start_workflow('grant_action') AS grant_id \gset
DO $$BEGIN WHILE mistral.step() > 0 LOOP END LOOP; END$$;
SELECT is((SELECT state FROM mistral.executions WHERE id = :'grant_id'), 'ERROR', 'nor hand work to its registered action');
SELECT lives_ok($$SELECT mistral.delete_workflow('grant_shop.grant_helper')$$, 'but deletes it');

SELECT * FROM finish();
ROLLBACK;
