# Whatever is killed, whenever: what was committed happens, and happens once.
#
# Clients start workflows of several kinds, each start together with a row of a
# ledger in one transaction.  Meanwhile processes are killed at random.  At the
# end every row of the ledger has its execution and every execution its row, and
# each has ended right with exactly its tasks.  (What actions do to the world
# outside is 055_ledgers.pl.)
#
# MISTRAL_KILLS: how many faults (25); MISTRAL_SEED: repeats a run's choices.
use strict;
use warnings;

use List::Util qw(max sum0);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

use MistralTest;

my $kills = $ENV{MISTRAL_KILLS} // 25;
my $seed = $ENV{MISTRAL_SEED} // time;
srand($seed);
note("seed $seed");

my $directory = PostgreSQL::Test::Utils::tempdir();
my $node = new_server('victim', 'max_connections = 50',
	'restart_after_crash = on', 'mistral.engine_workers = 2', 'log_min_messages = warning', 'autovacuum_naptime = 5');
$node->start;

my @kinds = (
	{ name => 'seq', tasks => 5 },
	{ name => 'fork', tasks => 5 },
	{ name => 'delayed', tasks => 2 },
	{ name => 'waits', tasks => 2 },
	{ name => 'parent', tasks => 2 },
	{ name => 'many', tasks => 43 });

install();
my $test_pid = $$;
my @load = (
	pgbench_until($node, "$directory/stop", '-c', 4, '-R', 80, map { ('-f', "$directory/$_->{name}.sql") } @kinds),
	pgbench_until($node, "$directory/stop-all", '-c', 2, '-R', 10, '-f', "$directory/complete.sql"));

# However the test ends, its load does too: who runs it waits for its output to be closed.
END
{
	if (defined $test_pid && $$ == $test_pid)
	{
		my $status = $?;

		append_to_file("$directory/$_", '') foreach qw(stop stop-all);
		kill 'TERM', @load;
		$? = $status;
	}
}

ok( wait_for(sub { answer($node, "SELECT count(*) > 20 FROM mistral.executions WHERE state = 'SUCCESS'") eq 't' }, 30),
	'the load runs');

my %done;
my @resumed;
for my $number (1 .. $kills)
{
	usleep(50_000 + rand(700_000));
	my $fault = (qw(engine engine executor executor client client backend terminate immediate))[ int(rand(9)) ];
	my $before = time;

	fault($fault) or next;
	$done{$fault}++;
	if (!wait_for(sub { progressed($before) }, 30))
	{
		fail("work goes on after fault $number ($fault)");
		last;
	}
	push @resumed, time - $before;
}
is(sum0(values %done) > $kills / 2 ? 1 : 0, 1, 'most faults found a victim');
stop_load(@load);
ok(wait_for(sub { drained() }, 60), 'everything comes to an end') or diag(unfinished());
check();

@resumed = sort { $a <=> $b } @resumed;
diag(sprintf(
		'%d faults (%s); %s executions, %s tasks; work went on after %.2f s (median), %.2f s (longest)',
		sum0(values %done),
		join(', ', map { "$done{$_} $_" } sort keys %done),
		answer($node, 'SELECT count(*) FROM mistral.executions'),
		answer($node, 'SELECT count(*) FROM mistral.tasks'),
		$resumed[ @resumed / 2 ] // 0,
		max(@resumed, 0)));

drops();
$node->stop;
done_testing();

# ---------------------------------------------------------------- the load

sub install
{
	# Each task has a variable of its own, and the last one still sees them all.
	my %next = map { ("m$_" => 'm' . ($_ + 1)) } 1 .. 39;
	my $many = '';

	@next{qw(m20 x y j)} = ('[x, y]', 'j', 'j', 'm21');
	foreach my $task ((map { "m$_" } 1 .. 40), qw(x y j))
	{
		my $action = $task =~ /^(?:m10|m30|x)$/ ? 'std.async_noop' : 'std.noop';
		my $value = $task =~ /^m(\d+)/ ? $1 : 1;

		$many .= "    $task: {action: $action, publish: {v$task: $value}"
		  . ($next{$task} ? ", on-success: $next{$task}" : '') . ($task eq 'j' ? ', join: all' : '') . "}\n";
	}
	$node->safe_psql('postgres', <<'SQL' =~ s/^MANY\n/$many/mr);
CREATE EXTENSION mistral;
CREATE TABLE ledger (id uuid PRIMARY KEY, kind text NOT NULL);
SELECT mistral.load_workflow($yaml$
version: '2.0'
seq:
  output: {sum: <% $.e %>}
  tasks:
    a: {action: std.echo output=1, publish: {a: <% task().result %>}, on-success: b}
    b: {action: std.noop, publish: {b: <% $.a + 1 %>}, on-success: c}
    c: {action: std.noop, publish: {c: <% $.b + 1 %>}, on-success: d}
    d: {action: std.noop, publish: {d: <% $.c + 1 %>}, on-success: e}
    e: {action: std.noop, publish: {e: <% $.d + 1 %>}}
fork:
  output: {sum: <% $.sum %>}
  tasks:
    start: {action: std.noop, on-success: [x, y, z]}
    x: {action: std.echo output=1, publish: {x: <% task().result %>}, on-success: end}
    y: {action: std.async_noop, publish: {y: 2}, on-success: end}
    z: {action: std.noop, wait-before: 1, publish: {z: 3}, on-success: end}
    end: {join: all, action: std.noop, publish: {sum: <% $.x + $.y + $.z - 1 %>}}
delayed:
  output: {sum: <% $.sum %>}
  tasks:
    a: {action: std.noop, wait-before: 1, wait-after: 1, on-success: b}
    b: {action: std.noop, publish: {sum: 5}}
waits:
  output: {sum: <% $.sum %>}
  tasks:
    a: {action: std.async_noop, on-success: b}
    b: {action: std.noop, publish: {sum: 5}}
parent:
  output: {sum: <% $.sum %>}
  tasks:
    a: {workflow: seq, publish: {sum: <% task().result.sum %>}, on-success: b}
    b: {action: std.noop}
many:
  output: {sum: <% $.vm1 + $.vm20 + $.vm40 - $.vm19 - $.vm39 + $.vx + $.vy %>}
  tasks:
MANY
$yaml$);
SQL
	foreach my $kind (@kinds)
	{
		append_to_file("$directory/$kind->{name}.sql",
			"INSERT INTO ledger SELECT mistral.start_workflow('$kind->{name}'), '$kind->{name}';\n");
	}
	append_to_file("$directory/complete.sql",
		"SELECT mistral.complete_action(id, '1') FROM (SELECT id FROM mistral.action_executions "
		  . "WHERE name = 'std.async_noop' AND state = 'RUNNING' ORDER BY id DESC LIMIT 20) AS a;\n");
}

sub stop_load
{
	my ($starter, $completer) = @_;

	append_to_file("$directory/stop", '');
	waitpid($starter, 0);
	wait_for(sub { drained() }, 60);
	append_to_file("$directory/stop-all", '');
	waitpid($completer, 0);
}

# ---------------------------------------------------------------- the faults

sub fault
{
	my ($fault) = @_;

	if ($fault eq 'immediate')
	{
		$node->stop('immediate');
		$node->start;
		return 1;
	}
	my %what = (
		engine => "backend_type = 'mistral engine'",
		executor => "backend_type = 'mistral executor'",
		terminate => "backend_type LIKE 'mistral %'",
		backend => "backend_type = 'client backend'",
		client => '');
	if ($fault eq 'client')
	{
		my @pids = split /\s+/, `pgrep -u $< -x pgbench`;
		@pids = grep { slurp_file("/proc/$_/cmdline") =~ /\Q$directory\E/ } grep { -e "/proc/$_/cmdline" } @pids;
		return @pids ? kill('KILL', $pids[ rand @pids ]) : 0;
	}
	my @pids = victims($node, $what{$fault});
	return 0 unless @pids;
	return kill($fault eq 'terminate' ? 'TERM' : 'KILL', $pids[ rand @pids ]);
}

# Whether something was started, and something ended, since then.
sub progressed
{
	my ($since) = @_;

	return answer($node, "SELECT count(*) > 0 FROM mistral.executions WHERE created_at > to_timestamp($since)"
		  . ' AND finished_at IS NOT NULL') eq 't';
}

sub drained
{
	return answer($node, "SELECT count(*) FROM mistral.executions WHERE state NOT IN ('SUCCESS', 'ERROR', 'CANCELLED')") eq '0';
}

sub unfinished
{
	return answer($node, "SELECT e.id, e.workflow_name, e.state, t.name, t.state FROM mistral.executions e "
		  . "LEFT JOIN mistral.tasks t ON t.execution_id = e.id AND t.state NOT IN ('SUCCESS', 'ERROR') "
		  . "WHERE e.state NOT IN ('SUCCESS', 'ERROR', 'CANCELLED') LIMIT 10")
	  . answer($node, 'SELECT * FROM mistral.message LIMIT 5')
	  . answer($node, 'SELECT * FROM mistral.workers');
}

# ---------------------------------------------------------------- the balance

sub check
{
	is(answer($node, 'SELECT count(*) FROM ledger l WHERE NOT EXISTS (SELECT FROM mistral.executions e WHERE e.id = l.id)'),
		0, 'no execution is lost');
	is( answer($node, "SELECT count(*) FROM mistral.executions e WHERE task_execution_id IS NULL"
			  . ' AND NOT EXISTS (SELECT FROM ledger l WHERE e.id = l.id)'),
		0, 'none came from a transaction that did not commit');
	is(answer($node, "SELECT count(*) FROM mistral.executions WHERE state <> 'SUCCESS'"), 0, 'all have succeeded');
	is( answer($node, "SELECT count(*) FROM mistral.executions WHERE state = 'SUCCESS' AND output->>'sum' IS DISTINCT FROM '5'"),
		0, 'with the right output');
	foreach my $kind (@kinds)
	{
		is( answer($node, "SELECT count(*) FROM (SELECT e.id FROM mistral.executions e LEFT JOIN mistral.tasks t"
				  . " ON t.execution_id = e.id WHERE e.workflow_name = '$kind->{name}' AND e.state = 'SUCCESS'"
				  . " GROUP BY e.id HAVING count(t.id) <> $kind->{tasks} OR count(DISTINCT t.name) <> $kind->{tasks}) x"),
			0, "$kind->{name}: each task ran once");
	}
	foreach my $table (qw(message parked_message timer dispatch attempt))
	{
		is(answer($node, "SELECT count(*) FROM mistral.$table"), 0, "nothing is left in mistral.$table");
	}
	unlike(slurp_file($node->logfile), qr/PANIC|signal 11|signal 6|TRAP:/, 'nothing crashed by itself');
}

# ---------------------------------------------------------------- commands under load

sub drops
{
	for my $command ('DROP EXTENSION', 'DROP DATABASE')
	{
		my $log = -s $node->logfile;

		$node->safe_psql('postgres', 'CREATE DATABASE busy');
		$node->safe_psql('busy', <<'SQL');
CREATE EXTENSION mistral;
SELECT mistral.load_workflow($yaml$
version: '2.0'
loop:
  tasks:
    first: {action: std.noop, on-success: again}
    again: {action: std.noop, on-success: again}
short:
  tasks:
    a: {action: std.noop}
$yaml$);
SELECT mistral.start_workflow('loop');
SELECT mistral.start_workflow('short') FROM generate_series(1, 2000);
SQL
		ok( wait_for(
				sub {
					$node->safe_psql('busy', "SELECT count(*) > 0 FROM mistral.executions WHERE state = 'SUCCESS'") eq 't';
				}),
			"$command: the workers are busy");
		my $start = time;
		if ($command eq 'DROP EXTENSION')
		{
			$node->safe_psql('busy', 'DROP EXTENSION mistral');
			cmp_ok(time - $start, '<', 5, 'DROP EXTENSION under load takes less than five seconds');
			ok(wait_for_no_workers($node, 'busy', 5), 'the workers leave');
			$node->safe_psql('busy', 'CREATE EXTENSION mistral');
			ok(wait_for_workers($node, 'busy', 10), 'CREATE EXTENSION brings them back');
		}
		$start = time;
		$node->safe_psql('postgres', 'DROP DATABASE busy');
		cmp_ok(time - $start, '<', 6, "$command: then DROP DATABASE takes less than six seconds");
		unlike(log_since($node, $log), qr/PANIC|FATAL|terminated by signal|deadlock/, "$command: the log is clean");
	}
}
