# Whatever is killed, whenever: what was committed happens, and happens once.
#
# Clients start workflows of several kinds, each start together with a row of a
# ledger in one transaction.  Meanwhile processes are killed at random.  At the
# end every row of the ledger has its execution and every execution its row,
# each has ended right with exactly its tasks, and the outside world saw each
# HTTP action as often as its safe-rerun allows.
#
# MISTRAL_KILLS: how many faults (25); MISTRAL_SEED: repeats a run's choices.
use strict;
use warnings;

use IPC::Run;
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
my ($port, $world) = start_world("$directory/requests");
my $node = new_server('victim', 'max_connections = 50', "mistral.http_allow = '127.0.0.1/32'",
	'restart_after_crash = on', 'mistral.engine_workers = 2', 'log_min_messages = warning', 'autovacuum_naptime = 5');
$node->start;

my @kinds = (
	{ name => 'seq', tasks => 5 },
	{ name => 'fork', tasks => 5 },
	{ name => 'delayed', tasks => 2 },
	{ name => 'waits', tasks => 2 },
	{ name => 'parent', tasks => 2 },
	{ name => 'http_safe', tasks => 2 },
	{ name => 'http_once', tasks => 2 });

install();
my $test_pid = $$;
my @load = start_load();

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

ok( wait_for(sub { answer("SELECT count(*) > 20 FROM mistral.executions WHERE state = 'SUCCESS'") eq 't' }, 30),
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
		answer('SELECT count(*) FROM mistral.executions'),
		answer('SELECT count(*) FROM mistral.tasks'),
		$resumed[ @resumed / 2 ] // 0,
		max(@resumed, 0)));

drops();
$node->stop;
$world->{handle}->finish;
done_testing();

# ---------------------------------------------------------------- the load

sub install
{
	$node->safe_psql('postgres', <<"SQL");
CREATE EXTENSION mistral;
CREATE TABLE ledger (id uuid PRIMARY KEY, kind text NOT NULL);
SELECT mistral.load_workflow(\$yaml\$
version: '2.0'
seq:
  output: {sum: <% \$.e %>}
  tasks:
    a: {action: std.echo output=1, publish: {a: <% task().result %>}, on-success: b}
    b: {action: std.noop, publish: {b: <% \$.a + 1 %>}, on-success: c}
    c: {action: std.noop, publish: {c: <% \$.b + 1 %>}, on-success: d}
    d: {action: std.noop, publish: {d: <% \$.c + 1 %>}, on-success: e}
    e: {action: std.noop, publish: {e: <% \$.d + 1 %>}}
fork:
  output: {sum: <% \$.sum %>}
  tasks:
    start: {action: std.noop, on-success: [x, y, z]}
    x: {action: std.echo output=1, publish: {x: <% task().result %>}, on-success: end}
    y: {action: std.async_noop, publish: {y: 2}, on-success: end}
    z: {action: std.noop, wait-before: 1, publish: {z: 3}, on-success: end}
    end: {join: all, action: std.noop, publish: {sum: <% \$.x + \$.y + \$.z - 1 %>}}
delayed:
  output: {sum: <% \$.sum %>}
  tasks:
    a: {action: std.noop, wait-before: 1, wait-after: 1, on-success: b}
    b: {action: std.noop, publish: {sum: 5}}
waits:
  output: {sum: <% \$.sum %>}
  tasks:
    a: {action: std.async_noop, on-success: b}
    b: {action: std.noop, publish: {sum: 5}}
parent:
  output: {sum: <% \$.sum %>}
  tasks:
    a: {workflow: seq, publish: {sum: <% task().result.sum %>}, on-success: b}
    b: {action: std.noop}
http_safe:
  output: {sum: <% \$.sum %>}
  tasks:
    a: {action: std.http, input: {url: "http://127.0.0.1:$port/safe", method: POST}, safe-rerun: true, on-success: b}
    b: {action: std.noop, publish: {sum: 5}}
http_once:
  output: {sum: <% \$.sum %>}
  tasks:
    a: {action: std.http, input: {url: "http://127.0.0.1:$port/once", method: POST}, on-success: b}
    b: {action: std.noop, publish: {sum: 5}}
\$yaml\$);
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

# pgbench gives up when its connection is lost: a child of ours begins again.
sub start_load
{
	my @files = map { ('-f', "$directory/$_->{name}.sql") } @kinds;
	my @loads = ([ '-c', 4, '-R', 80, @files ], [ '-c', 2, '-R', 10, '-f', "$directory/complete.sql" ]);
	my @children;

	foreach my $load (@loads)
	{
		my $pid = fork;
		die "could not fork: $!" unless defined $pid;
		if ($pid == 0)
		{
			while (!-e "$directory/stop" || $load->[5] =~ /complete/ && !-e "$directory/stop-all")
			{
				system('sh', '-c', '"$@" >/dev/null 2>&1', 'sh', 'pgbench', '-n', '-T', 2, '-h', $node->host, '-p',
					$node->port, @$load, 'postgres');
				usleep(50_000);
			}
			require POSIX;
			POSIX::_exit(0);
		}
		push @children, $pid;
	}
	return @children;
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

sub start_world
{
	my ($file) = @_;
	my ($in, $out) = ('', '');
	append_to_file($file, '');
	my $handle =
	  IPC::Run::start([ $ENV{PYTHON} || 'python3', 'test/tap/ledger_http.py', $file ], '<', \$in, '>', \$out);

	$handle->pump until $out =~ /\n/;
	chomp(my $number = $out);
	# The string that is its input must outlive it: its end would end the server.
	return ($number, { handle => $handle, in => \$in });
}

# ---------------------------------------------------------------- the faults

# One value; empty while the server does not answer.
sub answer
{
	my ($query) = @_;
	my ($out, $err) = ('', '');

	# By argument: a psql that cannot connect is gone before it reads its input.
	my $ok = IPC::Run::run(
		[ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', $query ],
		'<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(20));
	chomp $out;
	return $ok ? $out : '';
}

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
		backend => "backend_type = 'client backend' AND pid <> pg_backend_pid()",
		client => '');
	if ($fault eq 'client')
	{
		my @pids = split /\s+/, `pgrep -u $< -x pgbench`;
		@pids = grep { slurp_file("/proc/$_/cmdline") =~ /\Q$directory\E/ } grep { -e "/proc/$_/cmdline" } @pids;
		return @pids ? kill('KILL', $pids[ rand @pids ]) : 0;
	}
	my @pids = split /\n/, answer("SELECT pid FROM pg_stat_activity WHERE $what{$fault}");
	return 0 unless @pids;
	return kill($fault eq 'terminate' ? 'TERM' : 'KILL', $pids[ rand @pids ]);
}

# Whether something was started, and something ended, since then.
sub progressed
{
	my ($since) = @_;

	return answer("SELECT count(*) > 0 FROM mistral.executions WHERE created_at > to_timestamp($since)"
		  . ' AND finished_at IS NOT NULL') eq 't';
}

sub drained
{
	return answer("SELECT count(*) FROM mistral.executions WHERE state NOT IN ('SUCCESS', 'ERROR', 'CANCELLED')") eq '0';
}

sub unfinished
{
	return answer("SELECT e.id, e.workflow_name, e.state, t.name, t.state FROM mistral.executions e "
		  . "LEFT JOIN mistral.tasks t ON t.execution_id = e.id AND t.state NOT IN ('SUCCESS', 'ERROR') "
		  . "WHERE e.state NOT IN ('SUCCESS', 'ERROR', 'CANCELLED') LIMIT 10")
	  . answer('SELECT * FROM mistral.message LIMIT 5')
	  . answer('SELECT * FROM mistral.workers');
}

# ---------------------------------------------------------------- the balance

sub check
{
	is(answer('SELECT count(*) FROM ledger l WHERE NOT EXISTS (SELECT FROM mistral.executions e WHERE e.id = l.id)'),
		0, 'no execution is lost');
	is( answer("SELECT count(*) FROM mistral.executions e WHERE task_execution_id IS NULL"
			  . ' AND NOT EXISTS (SELECT FROM ledger l WHERE e.id = l.id)'),
		0, 'none came from a transaction that did not commit');
	is( answer("SELECT count(*) FROM mistral.executions WHERE state <> 'SUCCESS' AND workflow_name <> 'http_once'"),
		0, 'all have succeeded, but those whose request may have been lost');
	is( answer("SELECT count(*) FROM mistral.executions WHERE state = 'SUCCESS' AND output->>'sum' IS DISTINCT FROM '5'"),
		0, 'with the right output');
	foreach my $kind (@kinds)
	{
		is( answer("SELECT count(*) FROM (SELECT e.id FROM mistral.executions e LEFT JOIN mistral.tasks t"
				  . " ON t.execution_id = e.id WHERE e.workflow_name = '$kind->{name}' AND e.state = 'SUCCESS'"
				  . " GROUP BY e.id HAVING count(t.id) <> $kind->{tasks} OR count(DISTINCT t.name) <> $kind->{tasks}) x"),
			0, "$kind->{name}: each task ran once");
	}
	is( answer("SELECT count(*) FROM mistral.executions WHERE workflow_name = 'http_once' AND state = 'ERROR'"
			  . " AND state_info NOT LIKE '%outcome unknown%'"),
		0, 'a lost request says that its outcome is unknown');
	foreach my $table (qw(message parked_message timer dispatch attempt))
	{
		is(answer("SELECT count(*) FROM mistral.$table"), 0, "nothing is left in mistral.$table");
	}
	check_world();
	unlike(slurp_file($node->logfile), qr/PANIC|signal 11|signal 6|TRAP:/, 'nothing crashed by itself');
}

# What the outside world saw, against what the tables say.
sub check_world
{
	my %seen;
	my ($twice, $never) = (0, 0);

	foreach my $line (split /\n/, slurp_file("$directory/requests"))
	{
		my ($path, $key) = split / /, $line;
		$seen{$key}++;
		$twice++ if $path eq '/once' && $seen{$key} > 1;
	}
	is($twice, 0, 'no request without safe-rerun was sent twice');
	my %ended;
	foreach my $row (
		split /\n/,
		answer(
			"SELECT t.id || ' ' || coalesce(a.id::text, '') FROM mistral.tasks t "
			  . 'LEFT JOIN mistral.action_executions a ON a.task_id = t.id '
			  . "WHERE t.name = 'a' AND t.workflow_name LIKE 'http%' AND t.state = 'SUCCESS'"))
	{
		my ($task, $action) = split / /, $row;
		$never++ unless $seen{ $action // '' };
	}
	is($never, 0, 'no action succeeded whose request was not sent');
	diag(sprintf(
			'%d HTTP actions reached the outside world, %d of them more than once (safe-rerun), %s ended as unknown',
			scalar keys %seen,
			scalar(grep { $_ > 1 } values %seen),
			answer("SELECT count(*) FROM mistral.executions WHERE state = 'ERROR'")));
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
