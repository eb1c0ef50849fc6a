-- Environments: setting, replacing, seeing, deleting.
BEGIN;
SELECT plan(19);

CREATE ROLE env_ann;
CREATE ROLE env_bob;
SELECT mistral.grant_access('env_ann', 'author');
SELECT mistral.grant_access('env_bob', 'author');

SELECT lives_ok($$SELECT mistral.set_environment('prod', '{"url": "http://x"}', 'the real one')$$, 'an environment is set');
SELECT is(variables, '{"url": "http://x"}', 'its variables') FROM mistral.environments WHERE name = 'prod';
SELECT is(description, 'the real one', 'its description') FROM mistral.environments WHERE name = 'prod';
CREATE TEMP TABLE before AS SELECT id FROM mistral.environments;
SELECT lives_ok($$SELECT mistral.set_environment('prod', '{}')$$, 'it is replaced');
SELECT is(e.id, b.id, 'in place') FROM mistral.environments e, before b;
SELECT is((description, variables)::text, '("",{})', 'all of it') FROM mistral.environments;

SELECT throws_ok($$SELECT mistral.set_environment('x', '[1]')$$, '22023', NULL, 'variables are an object');
SELECT throws_ok($$SELECT mistral.set_environment('x', NULL)$$, '22004', NULL, 'and not null');
SELECT throws_ok($$SELECT mistral.set_environment('', '{}')$$, '22023', NULL, 'a name is not empty');
SELECT throws_ok(format($$SELECT mistral.set_environment(%L, '{}')$$, repeat('x', 256)), '22023', NULL, 'and not too long');
SET LOCAL mistral.max_result_size = '1kB';
SELECT throws_ok(format($$SELECT mistral.set_environment('x', %L)$$, jsonb_build_object('a', repeat('x', 1024))), 'MS030', NULL,
                 'the variables have a limit');
RESET mistral.max_result_size;

SET LOCAL ROLE env_ann;
SELECT is_empty($$SELECT * FROM mistral.environments$$, 'others'' private environments are not seen');
SELECT throws_ok($$SELECT mistral.delete_environment('prod')$$, 'MS003', NULL, 'and not deleted');
SELECT throws_ok($$SELECT mistral.set_environment('e', '{}', scope => 'public')$$, '42501', NULL, 'publishing is a right of its own');
SELECT mistral.set_environment('e', '{"a": 1}');
SET LOCAL ROLE env_bob;
SELECT lives_ok($$SELECT mistral.set_environment('e', '{"a": 2}')$$, 'each owner has its own names');
SELECT is(array_agg(variables), ARRAY['{"a": 2}'::jsonb], 'and sees them') FROM mistral.environments;
SELECT lives_ok($$SELECT mistral.delete_environment('e')$$, 'an owner deletes');
RESET ROLE;
SELECT is(count(*)::int, 2, 'only its own') FROM mistral.environments;
SELECT mistral.grant_access('env_ann', 'publisher');
SET LOCAL ROLE env_ann;
SELECT mistral.set_environment('e', '{"a": 3}', scope => 'public');
SET LOCAL ROLE env_bob;
SELECT is(array_agg(variables), ARRAY['{"a": 3}'::jsonb], 'a public environment is seen by all') FROM mistral.environments;

SELECT * FROM finish();
ROLLBACK;
