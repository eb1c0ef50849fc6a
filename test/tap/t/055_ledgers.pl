# What actions do to the world, under kills: as often as they promise, and as the tables say.
#
# Clients start workflows whose actions leave a line or a row each: functions of
# the database, HTTP requests, actions of a module, results of pull workers.
# Some of the starts are rolled back.  Meanwhile processes are killed at random.
# At the end every ledger is held against the states.
#
# MISTRAL_KILLS: how many kills (20); MISTRAL_SEED: repeats a run's choices.
use strict;
use warnings;

use List::Util qw(max sum0);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

use MistralTest;

my $kills = $ENV{MISTRAL_KILLS} // 20;
my $seed = $ENV{MISTRAL_SEED} // time % 100_000;
srand($seed);
diag("seed $seed");

my $lease = 1;
my $directory = PostgreSQL::Test::Utils::tempdir();
my ($port, $world) = start_world("$directory/requests");
ok(compile_module($directory), 'the module is there');
my $node = new_server(
	'ledgers', 'max_connections = 50', "mistral.http_allow = '127.0.0.1/32'", "mistral.io_modules = '$directory/example.so'",
	"mistral.io_directory = '$directory'", 'restart_after_crash = on', 'mistral.engine_workers = 2', 'mistral.sql_workers = 2',
	'log_min_messages = warning');
$node->start;
install();

my $test_pid = $$;
my @load = pgbench_until($node, "$directory/stop", '-c', 6, '-R', 30, scripts());
my @workers = map { start_worker($_ ? () : 'late') } 0 .. 2;

# However the test ends, what it started does too.
END
{
	if (defined $test_pid && $$ == $test_pid)
	{
		my $status = $?;

		append_to_file("$directory/stop", '');
		kill 'TERM', @load, @workers;
		$? = $status;
	}
}

ok(wait_for(sub { answer($node, "SELECT count(*) > 20 FROM mistral.executions WHERE state = 'SUCCESS'") eq 't' }, 30), 'the load runs');
ok(wait_for(sub { grep { /^refused/ } lines('pulled') }, 30), 'pull workers: a completion that comes too late is refused');

my (%done, @outages, @leaving);
my $begun = time;
for (my $tries = 0; sum0(values %done) < $kills && $tries < 10 * $kills; $tries++)
{
	usleep(20_000 + rand(330_000));
	my $fault = rand() < 0.08 ? 'postmaster' : (qw(engine executor sql starter io worker terminate))[ int(rand(7)) ];
	my $before = time;

	strike($fault) or next;
	$done{$fault}++;
	if (!wait_for(sub { answer($node, 'SELECT 1') eq '1' }, 30))
	{
		fail("the server is there again after a kill ($fault)");
		last;
	}
	push @outages, time - $before;
}
is(sum0(values %done), $kills, 'as many kills as wanted');
my $seconds = time - $begun;
append_to_file("$directory/stop", '');
waitpid($load[0], 0);
ok( wait_for(
		sub { answer($node, "SELECT count(*) FROM mistral.executions WHERE state NOT IN ('SUCCESS', 'ERROR')") eq '0' }, 90),
	'everything comes to an end')
  or diag(answer($node, "SELECT w.* FROM mistral.executions e, mistral.why(e.id) w WHERE e.finished_at IS NULL LIMIT 10"));
# The late ones, too: what they have claimed is over.
ok(wait_for(sub { said_everything() }, 30), 'every worker has heard what became of its work');

diag(sprintf('%d kills in %.0f s (%s); there again after %.2f s at most; %s executions',
		sum0(values %done), $seconds, join(', ', map { "$done{$_} $_" } sort keys %done),
		max(@outages, 0), answer($node, 'SELECT count(*) FROM mistral.executions')));
is(scalar(grep { $_ > 10 } @leaving), 0, 'without a postmaster no process stays');
check_states();
check_functions();
check_sent('an HTTP request', 'http', map { m{^/(\S+) (\S+) (\d+)$} ? [ $2, $3, $1 ] : [ $_, 0 ] } lines('requests'));
check_sent('an action of a module', 'module', map { [ split ] } lines('notes'));
check_pulled();
check_tables();
# They have inherited the input of the outside world, which ends with it.
kill 'TERM', @workers;
waitpid($_, 0) foreach @workers;
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|signal 11|signal 6|TRAP:/, 'nothing crashed by itself');
$world->{handle}->finish;
done_testing();

# ---------------------------------------------------------------- the load

sub install
{
	$node->safe_psql('postgres', <<"SQL");
CREATE EXTENSION mistral;
CREATE TABLE ledger (id uuid PRIMARY KEY);
CREATE TABLE effect (n text NOT NULL);
CREATE FUNCTION book(a jsonb) RETURNS void LANGUAGE sql AS \$f\$
  INSERT INTO public.effect VALUES (a ->> 'n'); SELECT pg_sleep(random() * 0.03) \$f\$;
CREATE FUNCTION try(a jsonb) RETURNS void LANGUAGE plpgsql AS \$f\$
BEGIN
  INSERT INTO public.effect VALUES (a ->> 'n');
  IF random() < 0.5 THEN RAISE 'no luck'; END IF;
END \$f\$;
SELECT mistral.register_action('book', 'book(jsonb)');
SELECT mistral.register_action('try', 'try(jsonb)');
SELECT mistral.register_action('deliver', target => 'ledger');
SELECT mistral.load_workflow(\$yaml\$
version: '2.0'
function:
  tasks:
    a: {action: book n=<% execution().id %>, on-success: b}
    b: {action: std.noop}
mixed:
  tasks:
    items: {with-items: i in <% range(4) %>, concurrency: 2, action: book n="<% execution().id %>/<% \$.i %>", on-success: both}
    tried: {action: try n="<% execution().id %>/try", retry: {count: 4, delay: 0}, on-complete: both}
    both: {join: all, action: book n="<% execution().id %>/both"}
http_safe:
  tasks:
    a: {action: std.http, input: {url: "http://127.0.0.1:$port/<% execution().id %>", method: POST}, safe-rerun: true, on-success: b}
    b: {action: std.noop}
http_once:
  tasks:
    a: {action: std.http, input: {url: "http://127.0.0.1:$port/<% execution().id %>", method: POST}, on-success: b}
    b: {action: std.noop}
module_safe:
  tasks:
    a: {action: example.note seconds=0.05, safe-rerun: true, on-success: b}
    b: {action: std.noop}
module_once:
  tasks:
    a: {action: example.note seconds=0.05, on-success: b}
    b: {action: std.noop}
pulled:
  tasks:
    a: {action: deliver, on-success: b}
    b: {action: std.noop}
\$yaml\$);
SQL
	return;
}

# What the clients do: each workflow, some of them slowly enough to be killed in the middle, and starts that are rolled back.
sub scripts
{
	my $start = 'INSERT INTO ledger SELECT mistral.start_workflow(:w)';
	my %scripts = (
		quick => "$start;\n",
		slow => "BEGIN;\n$start;\nSELECT pg_sleep(0.1) /* start_workflow */;\nCOMMIT;\n",
		back => "BEGIN;\n$start;\nSELECT pg_sleep(0.02);\nROLLBACK;\n");
	my @arguments;

	foreach my $workflow (qw(function mixed http_safe http_once module_safe module_once pulled))
	{
		foreach my $kind (sort keys %scripts)
		{
			append_to_file("$directory/$workflow.$kind.sql", $scripts{$kind} =~ s/:w/'$workflow'/r);
			push @arguments, '-f', "$directory/$workflow.$kind.sql@" . ($kind eq 'quick' ? 4 : 1);
		}
	}
	return @arguments;
}

sub start_worker
{
	my @late = @_;
	my $pid = fork;

	die "could not fork: $!" unless defined $pid;
	return $pid if $pid;
	local @ENV{qw(PGHOST PGPORT)} = ($node->host, $node->port);
	exec($ENV{PYTHON} || 'python3', 'test/tap/ledger_worker.py', "$directory/pulled", $lease, @late) or POSIX::_exit(1);
}

# ---------------------------------------------------------------- the faults

# Kills something of that kind; false when there is none at the moment.
sub strike
{
	my ($fault) = @_;
	my %what = (
		engine => "backend_type = 'mistral engine'",
		executor => "backend_type = 'mistral executor'",
		sql => "backend_type = 'mistral sql worker'",
		terminate => "backend_type LIKE 'mistral %'",
		starter => "backend_type = 'client backend' AND state <> 'idle' AND query LIKE '%start_workflow%'");

	return kill_postmaster() if $fault eq 'postmaster';
	if ($fault eq 'worker')
	{
		my $number = int(rand(@workers));

		kill 'KILL', $workers[$number];
		waitpid($workers[$number], 0);
		$workers[$number] = start_worker();
		return 1;
	}
	my @pids = $fault eq 'io' ? children('-x', 'mistral_io', '-P', join(',', victims($node, $what{executor}))) : victims($node, $what{$fault});
	return @pids ? kill($fault eq 'terminate' ? 'TERM' : 'KILL', $pids[ rand @pids ]) : 0;
}

sub children
{
	my @arguments = @_;

	return () if $arguments[-1] eq '';
	return split /\n/, `pgrep @arguments`;
}

# The others find out by themselves, and leave; until then no server can be started there.
sub kill_postmaster
{
	chomp(my $postmaster = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0]);
	my @pids = children('-P', $postmaster);
	my $before = time;

	push @pids, children('-P', join(',', @pids));
	$node->kill9;
	wait_for(sub { !grep { kill 0, $_ } @pids }, 20);
	push @leaving, time - $before;
	$node->start;
	return 1;
}

# ---------------------------------------------------------------- the balance

sub lines
{
	my ($file) = @_;

	return -e "$directory/$file" ? split(/\n/, slurp_file("$directory/$file")) : ();
}

sub none
{
	my ($query, $what) = @_;

	is(answer($node, "SELECT string_agg(x::text, E'\\n') FROM (SELECT * FROM ($query) q LIMIT 10) x"), '', $what);
	return;
}

sub check_states
{
	none('SELECT id FROM ledger EXCEPT SELECT id FROM mistral.executions', 'no execution is lost');
	none('SELECT id FROM mistral.executions EXCEPT SELECT id FROM ledger', 'none came from a transaction that did not commit');
	none( "SELECT name, output FROM mistral.action_executions WHERE state = 'ERROR' AND NOT CASE name
			WHEN 'try' THEN output #>> '{result,message}' = 'no luck' OR output ->> 'result' LIKE 'action try was given up: the process that ran it died %'
			WHEN 'book' THEN output ->> 'result' LIKE 'action book was given up: the process that ran it died %'
			ELSE output ->> 'result' LIKE 'outcome unknown: % died %' OR output ->> 'result' LIKE '%died 3 times while the request was under way' END",
		'what has failed says why');
	none( "SELECT e.id FROM mistral.executions e WHERE state = 'ERROR' AND NOT EXISTS
			(SELECT FROM mistral.action_executions a WHERE a.execution_id = e.id AND a.state = 'ERROR')",
		'no execution has failed by itself');
	is(answer($node, "SELECT count(*) FILTER (WHERE state = 'SUCCESS') * 2 > count(*) FROM mistral.executions"), 't', 'most of them have succeeded');
	none( "SELECT execution_id FROM mistral.tasks GROUP BY 1, name HAVING count(*) > 1", 'no task ran twice');
	return;
}

sub check_functions
{
	none( "SELECT n, rows, successes FROM (SELECT n, count(*) AS rows FROM effect GROUP BY 1) f
			FULL JOIN (SELECT input ->> 'n' AS n, count(*) AS successes FROM mistral.action_executions
			            WHERE name IN ('book', 'try') AND state = 'SUCCESS' GROUP BY 1) a USING (n)
			WHERE (rows, successes) IS DISTINCT FROM (1, 1)",
		'functions: one row for each success, and none besides');
	diag('functions: ' . answer($node, 'SELECT count(*) FROM effect') . ' effects, '
		  . answer($node, "SELECT count(*) FROM mistral.action_executions WHERE name IN ('book', 'try') AND state = 'ERROR'") . ' failures undone');
	return;
}

# Lines of id, attempt, and perhaps execution: what came out of the database.
sub check_sent
{
	my ($what, $kind, @lines) = @_;
	my (%seen, %attempts, @wrong);
	my %actions = map { my @row = split /\|/; ($row[0] => \@row) }
	  split /\n/, answer($node, "SELECT a.id, e.id, e.workflow_name, a.state, a.output ->> 'result' FROM mistral.action_executions a
		JOIN mistral.executions e ON e.id = a.execution_id WHERE e.workflow_name LIKE '${kind}\\_%' AND a.name <> 'std.noop'");

	foreach my $line (@lines)
	{
		my ($id, $attempt, $execution) = @$line;
		my $action = $actions{$id};

		$seen{$id}++;
		push @wrong, "@$line is unknown" if !$action || defined $execution && $execution ne $action->[1];
		push @wrong, "@$line is no right attempt" if $attempt < 1 || $attempt > 3 || $attempts{"$id $attempt"}++;
	}
	is("@wrong[0 .. ($#wrong > 9 ? 9 : $#wrong)]", '', "$what: each has the key of its action, and its number");
	my ($lost, $twice, $unknown, $repeated) = (0, 0, 0, 0);
	foreach my $action (values %actions)
	{
		my ($id, undef, $workflow, $state, $result) = @$action;
		my $n = $seen{$id} // 0;

		$lost++ if $state eq 'SUCCESS' && $n == 0;
		$twice++ if $workflow =~ /once/ && $n > 1;
		$repeated++ if $n > 1;
		$unknown++ if $workflow =~ /once/ && $state eq 'ERROR' && $result =~ /^outcome unknown: /;
	}
	cmp_ok(scalar(keys %actions), '>', 0, "$what: there are some");
	is($lost, 0, "$what: at least once for each success");
	is($twice, 0, "$what: at most once without safe-rerun");
	diag(sprintf('%s: %d actions, %d effects, %d of them seen more than once (safe-rerun), %d ended as unknown',
			$what, scalar(keys %actions), scalar(@lines), $repeated, $unknown));
	return;
}

sub said_everything
{
	my %open;

	foreach my $line (lines('pulled'))
	{
		my ($said, undef, undef, $text) = split / /, $line;
		my ($pid) = $text =~ m{/(\d+)$};

		$open{$text} = $said eq 'claimed' if grep { $_ == $pid } @workers;
	}
	return !grep { $_ } values %open;
}

# What the pull workers were told, against the results that are there.
sub check_pulled
{
	my %result = map { split /\|/ } split /\n/,
	  answer($node, "SELECT id, output ->> 'result' FROM mistral.action_executions WHERE name = 'deliver' AND state = 'SUCCESS'");
	my (%claimed, %texts, %count, @wrong);

	foreach my $line (lines('pulled'))
	{
		my ($said, $id, $attempt, $text) = split / /, $line;

		$count{$said}++;
		$texts{$text}++;
		push @wrong, "$line: unknown" unless exists $result{$id};
		push @wrong, "$line: twice" if $said eq 'claimed' && $claimed{"$id $attempt"}++;
		push @wrong, "$line: another counts" if $said eq 'done' && $text ne ($result{$id} // '');
		push @wrong, "$line: counts all the same" if $said eq 'refused' && $text eq ($result{$id} // '');
		push @wrong, $line if $said eq 'failed';
	}
	push @wrong, map { "$_: from nowhere" } grep { !$texts{$_} } values %result;
	is(join("\n", @wrong[0 .. ($#wrong > 9 ? 9 : $#wrong)]), '', 'pull workers: one completion counts, and everybody was told the truth');
	diag(sprintf('pull workers: %d actions, %d claims, %d done, %d refused', scalar(keys %result),
			$count{claimed} // 0, $count{done} // 0, $count{refused} // 0));
	return;
}

sub check_tables
{
	none('SELECT * FROM mistral.check()', 'nothing is out of place');
	foreach my $table (qw(message parked_message timer dispatch attempt offer lease))
	{
		none("SELECT * FROM mistral.$table", "nothing is left in mistral.$table");
	}
  SKIP:
	{
		my $amcheck = PostgreSQL::Test::Utils::system_log('pg_amcheck', '--version') == 0
		  && answer($node, "SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'") eq '1';

		skip 'pg_amcheck is not there', 1 unless $amcheck;
		$node->command_ok([ 'pg_amcheck', '--install-missing', '--heapallindexed', '-d', 'postgres' ], 'pg_amcheck finds nothing');
	}
	return;
}
