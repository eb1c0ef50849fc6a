# Slots fire once each, and events and row changes act once each, whatever is killed and however often the standby takes over.
#
# Triggers fire every second, with and without a limit on what is caught up with;
# a client inserts rows into a watched table and publishes events, each beside a
# row of a ledger in one transaction.  Meanwhile processes are killed, the
# server is stopped without warning, and standbys are promoted.
#
# MISTRAL_KILLS: how many kills (10); MISTRAL_FAILOVERS: how many promotions (1).
use strict;
use warnings;

use IPC::Run;
use List::Util qw(max);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

use MistralTest;

my $kills = $ENV{MISTRAL_KILLS} // 10;
my $failovers = $ENV{MISTRAL_FAILOVERS} // 1;
my $seed = $ENV{MISTRAL_SEED} // time;
srand($seed);
note("seed $seed");

my $number = 0;
my $node = new_server('primary0', 'restart_after_crash = on', 'mistral.engine_workers = 2', 'log_min_messages = warning');
$node->start;
install();
ok(wait_for(sub { answer($node, "SELECT count(*) > 10 FROM mistral.cron_slot") eq 't' }, 30), 'slots fire');

for my $turn (0 .. $failovers)
{
	for (1 .. int($kills / ($failovers + 1)))
	{
		act();
		usleep(rand(600_000));
		strike();
		ok(wait_for(sub { act() }, 30), 'the server is there again') or last;
	}
	fail_over() if $turn < $failovers;
}
act();
sleep_until_slot();
check();
$node->stop;
done_testing();

# ---------------------------------------------------------------- the load

sub install
{
	$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION mistral;
CREATE TABLE ledger (n bigserial PRIMARY KEY, kind text NOT NULL);
CREATE TABLE watched (n bigint PRIMARY KEY);
SELECT mistral.load_workflow($$
version: '2.0'
tick:
  tasks: {t: {action: std.noop}}
changed:
  input: [n]
  tasks: {t: {action: std.noop}}
heard:
  input: [n]
  tasks: {t: {action: std.noop}}
hooked:
  input: [of]
  tasks: {t: {action: std.noop}}
$$);
SELECT mistral.add_hook('h', 'heard', 'hooked', task => 't', input => '{"of": "<% $.task_execution_id %>"}');
SELECT mistral.create_cron_trigger('all ' || i, 'tick', '* * * * * *', catchup => 'all', params => jsonb_build_object('i', i))
  FROM generate_series(1, 5) i;
SELECT mistral.create_cron_trigger('skip ' || i, 'tick', '* * * * * */2', overlap => 'skip', params => jsonb_build_object('i', i))
  FROM generate_series(1, 2) i;
SELECT mistral.watch_table('watched', 'insert', 'changed', '{"n": "<% $.new.n %>"}', name => 'w');
SELECT mistral.create_event_trigger('e', 'heard', 'seen', input => '{"n": "<% $.payload.n %>"}');
SQL
	return;
}

# Rows and events, some of whose transactions are rolled back; false when the server is not there.
sub act
{
	my $end = rand() < 0.3 ? 'ROLLBACK' : 'COMMIT';

	return (run_psql(<<"SQL"))[0] == 0;
BEGIN;
WITH l AS (INSERT INTO ledger (kind) VALUES ('row') RETURNING n) INSERT INTO watched SELECT n FROM l;
WITH l AS (INSERT INTO ledger (kind) VALUES ('event') RETURNING n)
SELECT mistral.publish_event('seen', jsonb_build_object('n', n), dedup_key => 'k' || n) FROM l;
$end;
SQL
}

sub run_psql
{
	my ($sql) = @_;
	my ($out, $err);
	# A psql that is refused may be gone before it has been given its input, which psql() dies of.
	my $rc = eval { $node->psql('postgres', $sql, stdout => \$out, stderr => \$err, timeout => 20) };

	die $@ if $@ && $@ !~ /Broken pipe/;
	return ($rc // 2, $out);
}

# ---------------------------------------------------------------- faults

sub strike
{
	my $fault = (qw(engine engine terminate immediate))[ int(rand(4)) ];

	if ($fault eq 'immediate')
	{
		$node->stop('immediate');
		$node->start;
		return;
	}
	my $pid = answer($node, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'mistral engine' ORDER BY random() LIMIT 1");

	return if $pid !~ /^\d+$/;
	kill($fault eq 'engine' ? 'KILL' : 'TERM', $pid);
	return;
}

# A synchronous standby, so that nothing committed is lost; the old primary dies without a word.
sub fail_over
{
	my $next = 'primary' . ++$number;

	$node->backup("base$number");
	my $standby = PostgreSQL::Test::Cluster->new($next);

	$standby->init_from_backup($node, "base$number", has_streaming => 1);
	$standby->start;
	$node->safe_psql('postgres', "ALTER SYSTEM SET synchronous_standby_names = '*'");
	$node->reload;
	ok( wait_for(sub { answer($node, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") eq '1' }, 30),
		'the standby keeps up');
	act();
	$node->stop('immediate');
	$standby->safe_psql('postgres', 'SELECT 1');
	$standby->append_conf('postgresql.auto.conf', "synchronous_standby_names = ''\n");
	$standby->promote;
	$node = $standby;
	$node->reload;
	ok(wait_for_workers($node, 'postgres', 20), 'the standby takes over');
	return;
}

sub sleep_until_slot
{
	my $now = answer($node, 'SELECT clock_timestamp()');

	ok( wait_for(
			sub {
				answer($node, "SELECT bool_and(last_slot > '$now') FROM mistral.cron_triggers WHERE catchup = 'all'") eq 't'
				  && answer($node, "SELECT count(*) FROM mistral.executions WHERE state NOT IN ('SUCCESS')") eq '0';
			},
			60),
		'everything has been caught up with');
	$node->safe_psql('postgres', "SELECT mistral.pause_cron_trigger(name) FROM mistral.cron_triggers");
	ok(wait_for(sub { answer($node, "SELECT count(*) FROM mistral.executions WHERE finished_at IS NULL") eq '0' }, 30), 'and has ended');
	return;
}

sub check
{
	is( answer($node,
			"SELECT count(*) FROM (SELECT slot - lag(slot) OVER (PARTITION BY cron_trigger ORDER BY slot) AS step FROM mistral.cron_slots
			  WHERE cron_trigger LIKE 'all%') s WHERE step <> interval '1 s'"),
		0, 'no slot was lost');
	is(answer($node, "SELECT count(*) FROM mistral.cron_slots WHERE outcome NOT IN ('started', 'skipped')"), 0, 'none failed');
	is( answer($node,
			"SELECT (SELECT count(*) FROM mistral.cron_slots WHERE outcome = 'started') - (SELECT count(*) FROM mistral.executions WHERE workflow_name = 'tick')"),
		0, 'as many executions as slots');
	is( answer($node,
			"SELECT count(*) FROM (SELECT FROM mistral.executions WHERE workflow_name = 'tick'
			   GROUP BY params #> '{cron_trigger}' HAVING count(*) > 1) d"),
		0, 'none was started twice');
	is( answer($node,
			"SELECT count(*) FROM ledger l FULL JOIN (SELECT (input ->> 'n')::bigint AS n, workflow_name FROM mistral.executions
			   WHERE workflow_name IN ('changed', 'heard')) e ON e.n = l.n AND (kind = 'row') = (workflow_name = 'changed')
			  WHERE l.n IS NULL OR e.n IS NULL"),
		0, 'each row and each event has its execution, and none has another');
	is( answer($node, "SELECT count(*) - count(DISTINCT input) FROM mistral.executions WHERE workflow_name IN ('changed', 'heard')"),
		0, 'once each');
	is( answer($node,
			"SELECT count(*) FROM (SELECT id::text AS of FROM mistral.tasks WHERE workflow_name = 'heard' AND state = 'SUCCESS') t
			   FULL JOIN (SELECT input ->> 'of' AS of, count(*) AS n FROM mistral.executions WHERE workflow_name = 'hooked' GROUP BY 1) e USING (of)
			  WHERE e.n IS DISTINCT FROM 1 OR t.of IS NULL"),
		0, 'and each task that a hook is on has started it once');
	is(answer($node, 'SELECT count(*) FROM mistral.check()'), 0, 'nothing is out of place');
	diag(sprintf('%d kills, %d failovers: %s slots, %s rows and events', $kills, $failovers,
			answer($node, 'SELECT count(*) FROM mistral.cron_slot'), answer($node, 'SELECT count(*) FROM ledger')));
	return;
}
