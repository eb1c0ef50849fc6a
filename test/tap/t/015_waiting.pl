# Who is woken when: engines by commits, by trees that are let go and by
# COMMIT PREPARED; waiting sessions by the end of their execution.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

use MistralTest;

my $node = new_server('main', 'max_prepared_transactions = 5', 'max_connections = 40');
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION mistral;
SELECT mistral.load_workflow($yaml$
version: '2.0'
short:
  tasks:
    a: {action: std.noop}
delayed:
  tasks:
    a: {action: std.noop, wait-before: 1}
open:
  tasks:
    a: {action: std.async_noop}
endless:
  tasks:
    first: {action: std.noop, on-success: a}
    a: {action: std.noop, on-success: a}
$yaml$);
SQL
ok(wait_for_workers($node, 'postgres', 10), 'the workers run');

sub sql
{
	return $node->safe_psql('postgres', shift);
}

# The id of a new execution.
sub start
{
	return sql("SELECT mistral.start_workflow('" . shift . "')");
}

sub failure
{
	my ($query, @params) = @_;
	my ($code, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$query", extra_params => \@params);
	return $err;
}

subtest 'wait_workflow' => sub {
	my $start = time;
	my $id = start('short');
	is(sql("SELECT mistral.wait_workflow('$id')"), 'SUCCESS', 'gives the state that was reached');
	cmp_ok(time - $start, '<', 1, 'at once');
	$id = start('delayed');
	$start = time;
	is(sql("SELECT mistral.wait_workflow('$id')"), 'SUCCESS', 'sleeps until then');
	cmp_ok(time - $start, '<', 1.8, 'and no longer');
	$id = start('open');
	$start = time;
	is(sql("SELECT mistral.wait_workflow('$id', '300 ms')"), 'RUNNING', 'gives the present state after the timeout');
	cmp_ok(time - $start, '>', 0.29, 'not before it');
	cmp_ok(time - $start, '<', 1, 'nor much later');
	is(sql("SELECT mistral.wait_workflow('$id', '-1 s')"), 'RUNNING', 'a negative timeout does not wait');

	my $waiter = $node->background_psql('postgres');
	$waiter->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1;');
	$waiter->query_until(qr/^$/m, "\\echo\nSELECT 'got ' || mistral.wait_workflow('$id', '20 s');\n");
	usleep(300_000);
	sql("SELECT mistral.complete_action(id, '1') FROM mistral.action_executions WHERE state = 'RUNNING'");
	$start = time;
	like($waiter->query_safe('SELECT 2'), qr/got SUCCESS/, 'sees the end also from a REPEATABLE READ transaction');
	cmp_ok(time - $start, '<', 2, 'soon');
	$waiter->quit;

	$id = start('open');
	my $cancel = $node->background_psql('postgres');
	$cancel->query_until(qr/^$/m, "\\echo\nSELECT 'got ' || mistral.wait_workflow('$id', '20 s');\n");
	usleep(300_000);
	$start = time;
	sql("SELECT mistral.cancel_workflow('$id')");
	like($cancel->query_safe('SELECT 2'), qr/got CANCELLED/, 'is woken by a session that ends the execution');
	cmp_ok(time - $start, '<', 2, 'at once');
	$cancel->quit;
};

subtest 'many who wait' => sub {
	my @waiters;
	for (1 .. 10)
	{
		my $waiter = $node->background_psql('postgres');
		my $id = start('open');
		$waiter->query_until(qr/^$/m, "\\echo\nSELECT 'got ' || mistral.wait_workflow('$id', '60 s');\n");
		push @waiters, $waiter;
	}
	ok(wait_for(sub { sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'Extension' AND query LIKE '%wait_workflow%'") == 10 }, 10),
		'ten sessions wait');
	my $looks = "SELECT sum(idx_scan) FROM pg_stat_user_indexes WHERE indexrelname = 'execution_pkey'";
	# What a session counts it tells when its transaction ends, or later.
	my $settled = sub {
		my ($last, $now) = (-1, -2);
		wait_for(sub { ($last, $now) = ($now, sql($looks)); usleep(1_200_000); return $last == $now; }, 30);
		return $now;
	};
	my $before = $settled->();
	for (1 .. 100)
	{
		my $id = start('short');
		sql("SELECT mistral.wait_workflow('$id')");
	}
	sql("SELECT mistral.complete_action(id, '1') FROM mistral.action_executions WHERE state = 'RUNNING'");
	like($_->query_safe('SELECT 2'), qr/got SUCCESS/, 'each hears of its own') for @waiters;
	$_->quit for @waiters;
	my $each = ($settled->() - $before) / 110;
	# Some five of an execution are its start's, the engine's and the one waiter's; ten who looked at each end would be ten more.
	cmp_ok($each, '<', 8, "and of few others: $each looks for each execution");
};

subtest 'what cannot be waited for' => sub {
	like(
		failure("BEGIN; SELECT mistral.start_workflow('short', execution_id => '0197aaaa-0000-7000-8000-000000000001');"
			  . "SELECT mistral.wait_workflow('0197aaaa-0000-7000-8000-000000000001');"),
		qr/25001: cannot wait for an execution in the transaction that started/,
		'an execution that this transaction has started');
	my $id = start('open');
	like(
		failure("BEGIN; SELECT mistral.pause_workflow('$id'); SELECT mistral.wait_workflow('$id');"),
		qr/25001: /, 'an execution that this transaction has changed');
	like(failure("SELECT mistral.wait_workflow('0197aaaa-0000-7000-8000-00000000ffff')"),
		qr/MS023: execution .* does not exist/, 'one that does not exist');
	sql('CREATE ROLE other LOGIN; GRANT USAGE ON SCHEMA mistral TO other; '
		  . 'GRANT EXECUTE ON FUNCTION mistral.wait_workflow(uuid, interval) TO other');
	like(failure("SELECT mistral.wait_workflow('$id')", '-U', 'other'), qr/MS023: /, "another role's");
};

subtest 'engines' => sub {
	my $id = start('delayed');
	my $holder = $node->background_psql('postgres');

	$holder->query_safe("BEGIN; SELECT mistral.pause_workflow('$id');");
	usleep(1_500_000);
	is(sql("SELECT mistral.wait_workflow('" . start('short') . "', '3 s')"),
		'SUCCESS', 'a locked tree with a due timer holds up nobody');
	is(sql("SELECT state FROM mistral.workers WHERE kind = 'engine'"), 'idle', 'and keeps no engine busy');
	$holder->query_safe('ROLLBACK');
	my $start = time;
	is(sql("SELECT mistral.wait_workflow('$id', '5 s')"), 'SUCCESS', 'let go, it advances');
	cmp_ok(time - $start, '<', 0.7, 'at once');

	$id = start('delayed');
	$holder->query_safe("BEGIN; SAVEPOINT s; SELECT mistral.pause_workflow('$id');");
	usleep(1_300_000);
	$holder->query_safe('ROLLBACK TO s');
	$start = time;
	is(sql("SELECT mistral.wait_workflow('$id', '5 s')"), 'SUCCESS', 'also by ROLLBACK TO SAVEPOINT');
	cmp_ok(time - $start, '<', 0.7, 'at once');
	$holder->quit;

	sql("BEGIN; SELECT mistral.start_workflow('short', execution_id => '0197aaaa-0000-7000-8000-000000000002'); "
		  . "PREPARE TRANSACTION 'p'");
	like(failure("SELECT mistral.wait_workflow('0197aaaa-0000-7000-8000-000000000002', '0 s')"),
		qr/MS023/, 'what is only prepared does not happen');
	sql("COMMIT PREPARED 'p'");
	$start = time;
	is(sql("SELECT mistral.wait_workflow('0197aaaa-0000-7000-8000-000000000002', '5 s')"),
		'SUCCESS', 'COMMIT PREPARED starts it');
	cmp_ok(time - $start, '<', 1, 'at once');

	sql("SELECT mistral.start_workflow('short') FROM generate_series(1, 30000)");
	ok( wait_for(
			sub { sql("SELECT count(*) FROM mistral.executions WHERE state NOT IN ('SUCCESS', 'PAUSED', 'RUNNING', 'CANCELLED')") eq '0'
				  && sql("SELECT count(*) FROM mistral.message") eq '0' },
			60),
		'more messages in a transaction than are remembered: all are found');
};

subtest 'a workflow that has the engine to itself' => sub {
	my $id = start('endless');

	ok(wait_for(sub { sql("SELECT count(*) > 1000 FROM mistral.task WHERE execution_id = '$id'") eq 't' }), 'it runs');
	# Each start but the first comes when a slice of it has just begun.
	sql(<<'SQL');
CREATE TABLE took (ms float);
DO $$
DECLARE
  id uuid;
  began timestamptz;
BEGIN
  FOR i IN 1 .. 10 LOOP
    began := clock_timestamp();
    id := mistral.start_workflow('short');
    COMMIT;
    PERFORM mistral.wait_workflow(id, '20 s');
    INSERT INTO took VALUES (extract(epoch FROM clock_timestamp() - began) * 1000);
  END LOOP;
END $$;
SQL
	cmp_ok(sql('SELECT min(ms) FROM took'), '<', 300, 'gives way when another one is started');
	my $start = time;
	sql("SELECT mistral.stop_workflow('$id', 'CANCELLED', 'enough')");
	is(sql("SELECT state FROM mistral.executions WHERE id = '$id'"), 'CANCELLED', 'and to whoever stops it');
};

subtest 'two engines' => sub {
	my $engines = "SELECT count(*) FROM mistral.workers WHERE kind = 'engine' AND state = 'idle'";
	my $executed = "SELECT executions FROM mistral.workers WHERE kind = 'engine'";

	sql('ALTER SYSTEM SET mistral.engine_workers = 2');
	sql('SELECT pg_reload_conf()');
	ok(wait_for(sub { sql($engines) eq '2' }), 'are there');
	my @before = split /\n/, sql($executed);
	sql("CREATE TABLE many AS SELECT mistral.start_workflow('short') AS id FROM generate_series(1, 6000)");
	ok(wait_for(sub { sql('SELECT count(*) FROM mistral.message') eq '0' && sql($engines) eq '2' }, 60), 'do what there is');
	my @after = split /\n/, sql($executed);
	my @done = map { $after[$_] - $before[$_] } 0 .. 1;
	is($done[0] + $done[1], 6000, 'and each workflow once, where there were too many to be told of');
	cmp_ok($_, '>', 1000, 'by both of them') foreach @done;

	# Who goes leaves behind what it was given of the other's: those that stay find it, without waiting for the look of each minute.
	sql('ALTER SYSTEM SET mistral.batch_size = 100');
	sql('SELECT pg_reload_conf()');
	ok(wait_for(sub { sql('SHOW mistral.batch_size') eq '100' && sql($engines) eq '2' }), 'both are idle');
	my ($first) = split /\n/, sql("SELECT pid FROM mistral.workers WHERE kind = 'engine'");
	kill 'STOP', $first or die "the engine cannot be stopped: $!";
	# As id_share divides: all of them fall to the second.
	sql(q{INSERT INTO many SELECT mistral.start_workflow('short', execution_id => id)
		FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, 4000)) AS made
		WHERE mod(int8and(int8(uuid_hash(id)), 4294967295), 2) = 1});
	ok(wait_for(sub { sql('SELECT count(*) < 1500 FROM mistral.message') eq 't' && sql($engines) eq '2' }, 30), 'the second has done what it has kept');
	cmp_ok(sql('SELECT count(*) FROM mistral.message'), '>', 100, 'and has given some to the first');
	sql("SELECT pg_terminate_backend($first)");
	kill 'CONT', $first;
	ok(wait_for(sub { sql('SELECT count(*) FROM mistral.message') eq '0' }, 20), 'which another does when the first ends');
	sql('ALTER SYSTEM RESET mistral.batch_size');
	sql('ALTER SYSTEM RESET mistral.engine_workers');
	sql('SELECT pg_reload_conf()');
	ok(wait_for(sub { sql("SELECT count(*) FROM mistral.workers WHERE kind = 'engine' AND pid IS NOT NULL") eq '1' }),
		'one leaves');
};

subtest 'maintenance' => sub {
	my $under_way = start('delayed');

	ok( wait_for(sub { sql("SELECT count(*) FROM mistral.tasks WHERE execution_id = '$under_way'") eq '1' }, 5),
		'an execution is under way');
	sql('ALTER SYSTEM SET mistral.maintenance = on');
	$node->reload;
	ok(wait_for(sub { sql('SHOW mistral.maintenance') eq 'on' }, 5), 'maintenance begins');
	my $kept = start('short');
	is(sql("SELECT mistral.wait_workflow('$under_way', '5 s')"), 'SUCCESS', 'it goes on to its end');
	is(sql("SELECT state FROM mistral.executions WHERE id = '$kept'"), 'IDLE', 'what was started waits');
	$node->restart;
	ok(wait_for_workers($node, 'postgres', 10), 'the server is started again');
	is(sql("SELECT state FROM mistral.executions WHERE id = '$kept'"), 'IDLE', 'and it waits still');
	sql('ALTER SYSTEM RESET mistral.maintenance');
	$node->reload;
	is(sql("SELECT mistral.wait_workflow('$kept', '5 s')"), 'SUCCESS', 'and begins when it is over');
};

$node->stop;
done_testing();
