# The workers of examples/workers: any of them may die, and its actions go to the others.
#
# Three of them, each in a language of its own, share sixty actions, while the
# server crashes under them, one after the other is killed with kill -9 or
# frozen while it holds leases, and a fresh one takes over from the last.
# The WAL, decoded, says what was claimed, by whom, and whose result was taken: nothing that was
# rolled back, and also what is written without a statement, which triggers do not see.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

use MistralTest;

my $items = 60;
my $lease = 2;
my $directory = PostgreSQL::Test::Utils::tempdir();
my $node = new_server('workers', 'restart_after_crash = on', 'log_min_messages = warning', 'wal_level = logical');
$node->start;

my %program = (
	psql => [ 'bash', 'examples/workers/worker.sh' ],
	python => [ $ENV{PYTHON} || 'python3', 'examples/workers/worker.py' ],
	node => [ 'node', 'examples/workers/worker.js' ]);
my $third = system(q{node -e 'require("pg")' >/dev/null 2>&1}) == 0 ? 'node' : 'python';
diag('node with its module pg is not there: a second worker in Python takes the place of the one in Node') if $third ne 'node';

install();
my $execution = $node->safe_psql('postgres', "SELECT mistral.start_workflow('squares', '{\"n\": $items}')");
my $test_pid = $$;
my @workers = map { start_worker($_) } 'psql', 'python', $third;
my ($shell, $python, $other) = @workers;

# However the test ends, its workers do too.
END
{
	if (defined $test_pid && $$ == $test_pid)
	{
		my $status = $?;

		kill 'KILL', grep { defined } map { $_->{pid} } @workers;
		$? = $status;
	}
}

ok(wait_for(sub { done($_) > 0 }, 30), "$_->{name} works") foreach @workers;

# The server crashes under them all.
$node->stop('immediate');
my %before = map { $_->{name} => done($_) } @workers;
$node->start;
ok(wait_for(sub { done($_) > $before{ $_->{name} } }, 30), "$_->{name} goes on after the server has crashed") foreach @workers;

# One dies.
my @orphans = freeze($shell);
kill_worker($shell);
cmp_ok(scalar @orphans, '>', 0, 'one is killed while it holds leases');
ok(wait_for(sub { accepted_later($shell, @orphans) }, 30), 'others perform its actions, as another attempt');

# One is cut off for longer than its lease, and comes back.
@orphans = freeze($python);
cmp_ok(scalar @orphans, '>', 0, 'another one is frozen while it holds leases');
ok(wait_for(sub { claimed_later(@orphans) == @orphans }, 30), 'its actions are claimed as another attempt');
kill 'CONT', $python->{pid};
ok(wait_for(sub { output($python) =~ /^refused (\S+) attempt 1: MS02[14]$/m && grep { $_ eq $1 } @orphans }, 30),
	'what it brings when it is back is refused');
my $count = done($python);

# The others die as well; the one that came back goes on alone, until it dies, too.
@orphans = freeze($other);
kill_worker($other);
cmp_ok(scalar @orphans, '>', 0, 'the third is killed while it holds leases');
ok(wait_for(sub { done($python) > $count }, 30), 'the one that was refused works on');
@orphans = freeze($python);
kill_worker($python);
cmp_ok(scalar @orphans, '>', 0, 'the last one is killed while it holds leases');
is(state(), 'RUNNING', 'and nobody is left');
push @workers, map { start_worker($_) } 'psql', 'python', $third;
ok(wait_for(sub { accepted_later($python, @orphans) }, 30), 'fresh ones take over');
ok(wait_for(sub { state() eq 'SUCCESS' }, 60), 'the workflow ends in SUCCESS') or diag(unfinished());

check();
leave();
$node->stop;
done_testing();

sub install
{
	$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION mistral;
SELECT mistral.register_action('square', target => 'demo');
SELECT mistral.load_workflow($$
version: '2.0'
squares:
  input: [n]
  output: {results: <% task(t).result %>}
  tasks:
    t:
      with-items: i in <% range($.n) %>
      action: square
      input: {n: <% $.i %>, seconds: 0.4}
failing:
  output-on-error: {said: <% task(t).result %>}
  tasks:
    t: {action: circle, target: demo}
$$);
ALTER TABLE mistral.offer REPLICA IDENTITY FULL;
ALTER TABLE mistral.lease REPLICA IDENTITY FULL;
SELECT pg_create_logical_replication_slot('workers', 'test_decoding');
CREATE VIEW change AS
SELECT xid::text AS transaction,
       substring(data FROM '^table mistral\.(\w+): ') AS "table",
       substring(data FROM ': (INSERT|DELETE): ') AS operation,
       substring(data FROM ' (?:action|target)_id\[uuid\]:''([^'']*)''')::uuid AS action_id,
       substring(data FROM ' attempt\[integer\]:(\d+)')::int AS attempt,
       substring(data FROM ' worker\[text\]:''([^'']*)''') AS worker
  FROM pg_logical_slot_peek_changes('workers', NULL, NULL, 'include-xids', '0')
 WHERE data ~ '^table mistral\.(offer|lease|message): (INSERT|DELETE): ';
CREATE VIEW claim AS
SELECT action_id, attempt, worker FROM change WHERE "table" = 'lease' AND operation = 'INSERT';
-- A result ends the lease in the transaction that puts it into the queue; or the offer, when nobody else
-- has taken the action over from whoever had it before.
CREATE VIEW taken AS
WITH c AS MATERIALIZED (SELECT * FROM change)
SELECT ended.action_id, ended.attempt, coalesce(ended.worker, before.worker) AS worker
  FROM c ended
  JOIN c result ON result.transaction = ended.transaction AND result.action_id = ended.action_id
                   AND result."table" = 'message' AND result.operation = 'INSERT'
  LEFT JOIN c before ON before."table" = 'lease' AND before.operation = 'INSERT'
                        AND before.action_id = ended.action_id AND before.attempt = ended.attempt - 1
 WHERE ended."table" IN ('offer', 'lease') AND ended.operation = 'DELETE';
SQL
}

# ---------------------------------------------------------------- the workers

sub start_worker
{
	my ($kind) = @_;
	my $worker = { kind => $kind, output => "$directory/" . @workers . "-$kind-" . int(rand(1_000_000)) };
	my $pid = fork;

	die "could not fork: $!" unless defined $pid;
	if ($pid == 0)
	{
		%ENV = (
			%ENV, PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'postgres', PGUSER => scalar getpwuid($<),
			MISTRAL_TARGET => 'demo', MISTRAL_LEASE => $lease, MISTRAL_BATCH => 3);
		open STDIN, '<', '/dev/null' or die;
		open STDOUT, '>', $worker->{output} or die;
		open STDERR, '>&', \*STDOUT or die;
		exec @{ $program{$kind} } or die "could not run $kind: $!";
	}
	$worker->{pid} = $pid;
	$worker->{name} = "$kind:$pid";
	return $worker;
}

sub output
{
	my ($worker) = @_;

	return -e $worker->{output} ? slurp_file($worker->{output}) : '';
}

# How many results of a worker were taken, as it says.
sub done
{
	my ($worker) = @_;

	return scalar(() = output($worker) =~ /^complete_action /mg);
}

# A worker's name in the database has the host in the middle.
sub is_worker
{
	my ($worker) = @_;

	return "worker LIKE '$worker->{kind}:%:$worker->{pid}'";
}

# Stops a worker where it holds leases, with nothing of it under way in the server; the actions that it holds.
sub freeze
{
	my ($worker) = @_;
	my @held;

	wait_for(
		sub {
			kill 'STOP', $worker->{pid};
			wait_for(
				sub {
					query("SELECT count(*) FROM (SELECT application_name AS worker, state FROM pg_stat_activity) s"
						  . " WHERE state <> 'idle' AND " . is_worker($worker)) eq '0';
				},
				5);
			@held = split /\n/, query('SELECT action_id FROM mistral.lease WHERE ' . is_worker($worker));
			return 1 if @held;
			kill 'CONT', $worker->{pid};
			return 0;
		},
		30);
	return @held;
}

sub kill_worker
{
	my ($worker) = @_;

	kill 'KILL', $worker->{pid};
	waitpid($worker->{pid}, 0);
	is($? & 127, 9, "$worker->{name} is dead");
	delete $worker->{pid};
	$worker->{dead} = 1;
}

# ---------------------------------------------------------------- what the tables say

sub query
{
	my ($query) = @_;

	return $node->safe_psql('postgres', $query);
}

sub in_list
{
	return join ', ', map { "'$_'" } @_;
}

sub state
{
	return query("SELECT state FROM mistral.executions WHERE id = '$execution'");
}

# How many of the actions have been claimed again.
sub claimed_later
{
	my $ids = in_list(@_);

	return query("SELECT count(DISTINCT action_id) FROM claim WHERE attempt > 1 AND action_id IN ($ids)");
}

# Whether all these actions ended with the result of somebody else, in a later attempt.
sub accepted_later
{
	my ($worker, @ids) = @_;
	my $ids = in_list(@ids);

	return query("SELECT count(*) FROM taken WHERE attempt > 1 AND action_id IN ($ids) AND NOT " . is_worker($worker)) == @ids;
}

sub unfinished
{
	return query("SELECT * FROM mistral.why('$execution') LIMIT 5") . join '', map { "\n$_->{name}:\n" . output($_) } @workers;
}

sub check
{
	is( query("SELECT count(*) FROM mistral.executions e, jsonb_array_elements(e.output -> 'results') WITH ORDINALITY AS r(value, n)"
			  . " WHERE e.id = '$execution' AND (r.value ->> 'square')::int = (n - 1) ^ 2"),
		$items, 'each item has its result, in its place');
	is( query("SELECT count(*) || ' ' || count(DISTINCT action_id) FROM taken"),
		"$items $items", 'the result of each action was taken once');
	is( query("SELECT count(*) FROM taken t JOIN mistral.action_executions a ON a.id = t.action_id"
			  . " WHERE a.state = 'SUCCESS' AND a.output -> 'result' ->> 'worker' = t.worker"),
		$items, 'and it is the result of whoever had the lease');
	is(query("SELECT count(*) FROM (SELECT FROM claim GROUP BY action_id, attempt HAVING count(*) > 1) x"),
		0, 'no attempt was handed out twice');
	is(query('SELECT count(*) FROM mistral.lease') + query('SELECT count(*) FROM mistral.offer'), 0, 'nothing is left on offer or leased');
}

# An action that cannot be performed fails with what was wrong; on SIGTERM what is claimed is finished.
sub leave
{
	my @alive = grep { !$_->{dead} } @workers;

	my $failing = query("SELECT mistral.start_workflow('failing')");
	is(query("SELECT mistral.wait_workflow('$failing', '30 s')"), 'ERROR', 'an action that no worker knows fails');

	my $again = query("SELECT mistral.start_workflow('squares', '{\"n\": 9}')");
	ok( wait_for(sub { query('SELECT count(DISTINCT worker) FROM mistral.lease') == @alive }, 30), 'all have claimed something');
	kill 'TERM', map { $_->{pid} } @alive;
	foreach my $worker (@alive)
	{
		ok(wait_for(sub { waitpid($worker->{pid}, 1) == $worker->{pid} }, 30) && $? == 0, "$worker->{name} ends on SIGTERM");
		delete $worker->{pid};
	}
	is(query('SELECT count(*) FROM mistral.lease'), 0, 'and leaves nothing unfinished');
	is(query("SELECT count(*) FROM claim WHERE attempt > 1 AND action_id IN"
			  . " (SELECT id FROM mistral.action_executions WHERE execution_id = '$again')"),
		0, 'nor to be repeated');
}
