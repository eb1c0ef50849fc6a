# SQL actions: whose rights they have, and what they may do.  (That they happen exactly once, whatever is killed, is 055_ledgers.pl.)
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use MistralTest;

my $node = new_server('sql', 'mistral.sql_timeout = 2s', 'mistral.sql_workers = 2', 'restart_after_crash = on');
$node->start;

$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION mistral;
CREATE ROLE ann;
CREATE ROLE bob;
SELECT mistral.grant_access(r, k) FROM unnest('{ann,bob}'::regrole[]) r, unnest('{author,operator,worker}'::text[]) k;
CREATE TABLE ledger (n int, who text DEFAULT current_user);
CREATE TABLE secret (n int);
INSERT INTO secret VALUES (42);
GRANT INSERT, SELECT ON ledger TO ann;
CREATE FUNCTION note(a jsonb) RETURNS jsonb LANGUAGE sql AS $$
  INSERT INTO public.ledger (n) VALUES ((a ->> 'n')::int) RETURNING jsonb_build_object('noted', n, 'by', current_user) $$;
CREATE FUNCTION fails(a jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN INSERT INTO public.ledger (n) VALUES (-1); RAISE 'no %', a ->> 'what' USING ERRCODE = 'XX123', HINT = 'try again'; END $$;
CREATE FUNCTION nothing(a jsonb) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION sleeps(a jsonb) RETURNS void LANGUAGE sql AS 'INSERT INTO public.ledger (n) VALUES (-2); SELECT pg_sleep((a ->> ''s'')::float)';
CREATE FUNCTION temporary(a jsonb) RETURNS void LANGUAGE plpgsql AS $$ BEGIN CREATE TEMP TABLE t (i int); END $$;
CREATE FUNCTION becomes(a jsonb) RETURNS void LANGUAGE plpgsql AS $$ BEGIN SET ROLE postgres; END $$;
CREATE FUNCTION steals(a jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT to_jsonb(n) FROM public.secret';
CREATE FUNCTION dies(a jsonb) RETURNS void LANGUAGE sql SECURITY DEFINER AS 'SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(5)';
CREATE FUNCTION goes_on(a jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN LOOP BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$;
CREATE FUNCTION one_of(a jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN IF a ->> 'n' = '0' THEN EXECUTE format('SELECT public.%I($1)', a ->> 'worst') USING a; END IF; END $$;
CREATE FUNCTION large(a jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT to_jsonb(repeat(''x'', 20000000))';
CREATE FUNCTION wrong(a text) RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb';
SET ROLE ann;
SELECT mistral.register_action(f, (f || '(jsonb)')::regprocedure)
  FROM unnest('{note,fails,nothing,sleeps,temporary,becomes,steals,dies,one_of,large}'::text[]) f;
SELECT mistral.load_workflow($$
version: '2.0'
call:
  input: [action, input]
  tasks:
    t:
      action: <% $.action %>
      input: <% $.input %>
many:
  input: [n]
  tasks:
    t:
      with-items: i in <% range($.n) %>
      action: note n=<% $.i %>
among:
  input: [worst]
  tasks:
    t:
      with-items: i in <% range(20) %>
      action: one_of n=<% $.i %> worst=<% $.worst %>
slow:
  tasks:
    t: {action: sleeps, input: {s: 1.5}}
adhoc:
  tasks:
    t: {action: twice, input: {n: 3}, publish: {r: <% task().result %>}}
$$);
SELECT mistral.load_action($$
version: '2.0'
twice:
  base: note
  input: [n]
  base-input: {n: <% $.n * 2 %>}
  output: {was: <% $.noted %>}
$$);
SQL

# Runs an action as ann: its state, and what came of it.
sub call
{
	my ($action, $input) = @_;

	my $id = $node->safe_psql('postgres', "SET ROLE ann; SELECT mistral.start_workflow('call', jsonb_build_object('action', '$action', 'input', \$i\$$input\$i\$::jsonb))");
	$node->safe_psql('postgres', "SELECT mistral.wait_workflow('$id', '30 s')");
	return $node->safe_psql('postgres',
		"SELECT e.state, a.output ->> 'result' FROM mistral.executions e JOIN mistral.tasks t ON t.execution_id = e.id
		   JOIN mistral.action_executions a ON a.task_id = t.id WHERE e.id = '$id'");
}

is(call('note', '{"n": 1}'), 'SUCCESS|{"by": "ann", "noted": 1}', 'a function, as the execution\'s owner');
is($node->safe_psql('postgres', 'SELECT n, who FROM ledger'), '1|ann', 'what it did is there');
is(call('nothing', '{}'), 'SUCCESS|', 'one that gives nothing');
is(call('fails', '{"what": "way"}'), 'ERROR|{"hint": "try again", "message": "no way", "sqlstate": "XX123"}', 'one that fails');
is($node->safe_psql('postgres', 'SELECT count(*) FROM ledger WHERE n = -1'), '0', 'what it did is undone');
like(call('sleeps', '{"s": 30}'), qr/^ERROR\|.*57014/, 'one that takes too long');
is($node->safe_psql('postgres', 'SELECT count(*) FROM ledger WHERE n = -2'), '0', 'what it did is undone');
like(call('temporary', '{}'), qr/^ERROR\|.*cannot create temporary table within security-restricted operation/, 'no temporary tables');
like(call('becomes', '{}'), qr/^ERROR\|.*cannot set parameter .*role.* within security-definer function/, 'no SET ROLE');
like(call('steals', '{}'), qr/^ERROR\|.*permission denied for table secret/, 'no rights but the owner\'s');
like(call('large', '{}'), qr/^ERROR\|the result is larger than mistral.max_result_size/, 'no result above the limit');
like(call('dies', '{}'), qr/^ERROR\|action dies was given up: the process that ran it died 3 times/, 'three tries, and no more');
is(call('note', '{"n": 2}'), 'SUCCESS|{"by": "ann", "noted": 2}', 'which stops nobody');

# Simple enough to become part of the statement that calls it, whose plan is kept.
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE crew;
GRANT crew TO ann;
CREATE FUNCTION simple(a jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$SELECT to_jsonb('first'::text)$$;
REVOKE EXECUTE ON FUNCTION simple FROM public;
GRANT EXECUTE ON FUNCTION simple TO crew;
SET ROLE ann;
SELECT mistral.register_action('simple', 'simple(jsonb)');
SQL
is(call('simple', '{}'), 'SUCCESS|first', 'one that a group\'s rights allow') for 1 .. 3;
$node->safe_psql('postgres', q{CREATE OR REPLACE FUNCTION simple(a jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$SELECT to_jsonb('second'::text)$$});
is(call('simple', '{}'), 'SUCCESS|second', 'a new body counts at once');
$node->safe_psql('postgres', 'REVOKE crew FROM ann');
like(call('simple', '{}'), qr/^ERROR\|.*permission denied for function simple/, 'and so does that the owner has left the group');
$node->safe_psql('postgres', 'DROP FUNCTION simple');
like(call('simple', '{}'), qr/^ERROR\|the function of action simple does not exist any more/, 'and that the function is gone');

# Of twenty that are claimed together, the first takes its process with it.
sub among
{
	my ($worst) = @_;
	my $id = $node->safe_psql('postgres', "SET ROLE ann; SELECT mistral.start_workflow('among', '{\"worst\": \"$worst\"}')");

	wait_for(sub { answer($node, "SELECT state FROM mistral.executions WHERE id = '$id'") eq 'ERROR' }, 60);
	return $node->safe_psql('postgres',
		"SELECT string_agg(n || ' ' || state, ', ' ORDER BY state)
		   FROM (SELECT count(*) n, a.state FROM mistral.tasks t JOIN mistral.action_executions a ON a.task_id = t.id WHERE t.execution_id = '$id' GROUP BY a.state) g");
}
is(among('dies'), '1 ERROR, 19 SUCCESS', 'those that were claimed with it are not given up with it');
is(among('goes_on'), '1 ERROR, 19 SUCCESS', 'one that catches the end of its time ends all the same');

my $id = $node->safe_psql('postgres', "SET ROLE ann; SELECT mistral.start_workflow('adhoc')");
$node->safe_psql('postgres', "SELECT mistral.wait_workflow('$id', '30 s')");
is($node->safe_psql('postgres', "SELECT output FROM mistral.executions WHERE id = '$id'"), '{"r": {"was": 6}}', 'an ad-hoc action above a function');

my (undef, undef, $err) = $node->psql('postgres', "SELECT mistral.register_action('w', 'wrong(text)')");
like($err, qr/function public.wrong\(pg_catalog.text\) cannot be an action/, 'what an action\'s function looks like');
(undef, undef, $err) = $node->psql('postgres', "SELECT mistral.register_action('w')");
like($err, qr/an action has a function or a target/, 'one of both');

# ---- std.sql

like(call('std.sql', '{"query": "SELECT 1"}'), qr/^ERROR\|role "ann" may not use std.sql: GRANT EXECUTE ON FUNCTION mistral.std_sql\(jsonb\) TO ann allows it/, 'std.sql is guarded');
$node->safe_psql('postgres', 'GRANT EXECUTE ON FUNCTION mistral.std_sql(jsonb) TO ann');
is( call('std.sql', '{"query": "SELECT $1 + 1 AS a, $2 AS b, $3 AS c, cardinality($4::int[]) AS d", "params": [1, "x\'y", null, [1, 2, 3]]}'),
	'SUCCESS|{"rows": [{"a": 2, "b": "x\'y", "c": null, "d": 3}], "row_count": 1}', 'parameters are bound');
is(call('std.sql', '{"query": "INSERT INTO public.ledger (n) SELECT generate_series(100, 104)"}'), 'SUCCESS|{"rows": [], "row_count": 5}', 'a statement without rows');
is(call('std.sql', '{"query": "SHOW mistral.sql_workers"}'), 'SUCCESS|{"rows": [{"mistral.sql_workers": "2"}], "row_count": 1}', 'rows of what is no query');
is(call('std.sql', '{"query": "INSERT INTO public.ledger (n) VALUES (105), (106) RETURNING n"}'), 'SUCCESS|{"rows": [{"n": 105}, {"n": 106}], "row_count": 2}', 'and of what changes something');
like(call('std.sql', '{"query": "SELECT repeat($1, 100000) || CASE i WHEN 1000 THEN pg_sleep(60)::text ELSE $1 END FROM generate_series(1, 1000) i", "params": ["x"]}'),
	qr/^ERROR\|.*the result is larger than mistral.max_result_size.*54000/, 'what is above the limit ends while it comes, not when all of it has come');
like(call('std.sql', '{"query": "SELECT 1; SELECT 2"}'), qr/^ERROR\|.*std.sql takes one statement/, 'one statement');
like(call('std.sql', '{"query": "COMMIT"}'), qr/^ERROR/, 'no end of the transaction');
like(call('std.sql', '{"query": "SELECT $1::int", "params": ["1; DROP TABLE ledger"]}'), qr/^ERROR\|.*22P02/, 'a parameter is no text of the statement');
like(call('std.sql', '{"query": "SELECT * FROM public.secret"}'), qr/^ERROR\|.*permission denied/, 'the owner\'s rights');
like(call('std.sql', '{"query": "SELECT $1", "params": []}'), qr/^ERROR\|.*has 1 parameters/, 'as many parameters as there are');

is(call('std.sql', '{"query": "SELECT 1 AS one FROM pg_advisory_lock(42)"}'), 'SUCCESS|{"rows": [{"one": 1}], "row_count": 1}', 'a lock of the session');
ok(wait_for(sub { answer($node, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") eq '0' }, 10), 'ends with the transaction');

# ---- an action that somebody ends while it runs

$id = $node->safe_psql('postgres', "SET ROLE ann; SELECT mistral.start_workflow('slow')");
ok(wait_for(sub { answer($node, "SELECT kind FROM mistral.why('$id')") eq 'function' }, 10), 'why says that a worker runs it');
ok(wait_for(sub { answer($node, "SELECT count(*) FROM mistral.attempt WHERE performer = 'sql'") eq '1' }, 10), 'it runs');
$node->safe_psql('postgres', "SELECT mistral.complete_action(id, '7') FROM mistral.action_executions WHERE execution_id = '$id'");
ok(wait_for(sub { answer($node, "SELECT state FROM mistral.executions WHERE id = '$id'") eq 'SUCCESS' }, 10), 'somebody completes it');
ok(wait_for(sub { answer($node, "SELECT count(*) FROM mistral.attempt WHERE performer = 'sql'") eq '0' }, 20), 'its worker is done');
is($node->safe_psql('postgres', 'SELECT count(*) FROM ledger WHERE n = -2'), '0', 'and what it did does not stay');

# ---- many of them, by several workers

$node->safe_psql('postgres', 'TRUNCATE ledger');
$id = $node->safe_psql('postgres', "SET ROLE ann; SELECT mistral.start_workflow('many', '{\"n\": 1000}')");
is($node->safe_psql('postgres', "SELECT mistral.wait_workflow('$id', '60 s')"), 'SUCCESS', 'all of them end');
is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT n) FROM ledger'), '1000|1000', 'each has happened once');
is($node->safe_psql('postgres', 'SELECT count(*) FROM mistral.check()'), '0', 'nothing is out of place');
ok(wait_for(sub { answer($node, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'mistral sql worker'") eq '0' }, 40),
	'workers leave when there is nothing to do');
is(call('note', '{"n": 9999}'), 'SUCCESS|{"by": "ann", "noted": 9999}', 'and come back');

$node->stop;
done_testing();
