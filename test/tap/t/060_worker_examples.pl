# The workers of examples/workers: any of them may die, and its actions go to the others.
#
# Three of them, each in a language of its own, share sixty actions, while the
# server crashes under them, one after the other is killed with kill -9 or
# frozen while it holds leases, and a fresh one takes over from the last.
# Triggers on the tables of offers and leases keep what was claimed, by whom, and whose result was
# taken; a refused result rolls back what they wrote.
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
my $node = new_server('workers', 'restart_after_crash = on', 'log_min_messages = warning');
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
CREATE TABLE history (action_id uuid, attempt int, event text, worker text);
CREATE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    -- What the engine takes back is not a worker's doing.
    IF TG_OP = 'INSERT' THEN
        INSERT INTO public.history VALUES (NEW.action_id, NEW.attempt, 'claim', NEW.worker);
    ELSIF current_setting('application_name') ~ '^(psql|python|node):' THEN
        INSERT INTO public.history VALUES (OLD.action_id, OLD.attempt, 'end of ' || TG_TABLE_NAME, current_setting('application_name'));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER remember AFTER INSERT OR DELETE ON mistral.lease FOR EACH ROW EXECUTE FUNCTION remember();
CREATE TRIGGER remember AFTER DELETE ON mistral.offer FOR EACH ROW EXECUTE FUNCTION remember();
-- A result is taken from whoever holds the lease, or from whoever held it while nobody else does; an offer that ends because it
-- is claimed is no result.
CREATE VIEW taken AS
SELECT h.action_id, h.attempt, h.worker FROM history h
 WHERE h.event = 'end of lease' OR h.event = 'end of offer'
   AND NOT EXISTS (SELECT FROM history c WHERE c.action_id = h.action_id AND c.attempt = h.attempt AND c.event = 'claim');
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

	return query("SELECT count(DISTINCT action_id) FROM history WHERE event = 'claim' AND attempt > 1 AND action_id IN ($ids)");
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
	is(query("SELECT count(*) FROM (SELECT FROM history WHERE event = 'claim' GROUP BY action_id, attempt HAVING count(*) > 1) x"),
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
	is(query("SELECT count(*) FROM history h WHERE h.event = 'claim' AND h.attempt > 1 AND h.action_id IN"
			  . " (SELECT id FROM mistral.action_executions WHERE execution_id = '$again')"),
		0, 'nor to be repeated');
}
