# The program mistral_http: it may die or hang, and neither the server nor the next request suffers.
use strict;
use warnings;

use FindBin;
use IPC::Open2;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use MistralTest;

my $pid = open2(my $out, my $in, $ENV{PYTHON} // 'python3', "$FindBin::Bin/../../lib/hostile_http.py");
chomp(my $port = <$out>);
my $url = "http://127.0.0.1:$port";

my $node = new_server('program', "mistral.http_allow = '127.0.0.0/8'", 'restart_after_crash = on');
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION mistral');
ok(wait_for_workers($node, 'postgres'), 'the workers are there');

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub executor { return sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'mistral executor'") }

sub program
{
	chomp(my $found = `pgrep -P @{[executor()]} -x mistral_http`);
	return $found;
}

sub start
{
	my ($workflow, $n) = @_;
	return sql("SELECT mistral.start_workflow('$workflow', '{\"n\": $n}')");
}

sub ended
{
	my ($id) = @_;
	wait_for(sub { sql("SELECT state FROM mistral.executions WHERE id = '$id'") =~ /SUCCESS|ERROR|CANCELLED/ }, 60);
	return sql("SELECT state FROM mistral.executions WHERE id = '$id'");
}

# The states of an execution's actions, how many of each.
sub states
{
	my ($id) = @_;
	return sql("SELECT string_agg(s, ',' ORDER BY s) FROM (SELECT state || ' ' || count(*) AS s FROM mistral.action_executions
		WHERE execution_id = '$id' GROUP BY state) AS x");
}

sub errors
{
	my ($id) = @_;
	return sql("SELECT string_agg(DISTINCT output ->> 'result', '|') FROM mistral.action_executions WHERE execution_id = '$id' AND state = 'ERROR'");
}

sql(qq{SELECT mistral.load_workflow(\$\$
version: '2.0'
once:
  input: [n]
  tasks:
    t: {with-items: "i in <% range(\$.n) %>", action: std.http url="$url/delay/3"}
again:
  input: [n]
  tasks:
    t: {with-items: "i in <% range(\$.n) %>", action: std.http url="$url/delay/3", safe-rerun: true}
quick:
  input: [n]
  tasks:
    t: {with-items: "i in <% range(\$.n) %>", action: std.http url="$url/echo"}
\$\$)});

# ---- what it is

is(program(), '', 'without a request there is no program');
is(ended(start('quick', 1)), 'SUCCESS', 'a request is sent');
my $first = program();
ok($first ne '', 'by a program of its own');
my %fds = map { readlink($_) => 1 } glob("/proc/$first/fd/*");
is(scalar(grep { m{/(base|pg_wal|global)/|\.sock|\.s\.PGSQL} } keys %fds), 0, 'which has none of the server\'s files open');
unlike(slurp_file("/proc/$first/maps"), qr{/dev/zero|PostgreSQL\.\d|SYSV}, 'nor its shared memory');
like(slurp_file("/proc/$first/limits"), qr/Max address space +1073741824 /, 'and may use as much memory as mistral.io_memory says');

# ---- a crash

my $born = sql('SELECT pg_postmaster_start_time()');
my $executor = executor();
my $engine = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'mistral engine'");
my $offset = -s $node->logfile;
foreach my $signal ('SEGV', 'KILL')
{
	my $hits = hits('127.0.0.1', $port);
	my $once = start('once', 20);
	my $again = start('again', 20);
	ok(wait_for(sub { hits('127.0.0.1', $port) >= $hits + 40 }), "$signal: forty requests are under way");
	my $victim = program();
	kill $signal, $victim;
	is(ended(start('quick', 5)), 'SUCCESS', 'new ones go on at once');
	is(ended($once), 'ERROR', 'what may not be repeated fails');
	is(states($once), 'ERROR 20', 'all of it');
	is(errors($once), 'outcome unknown: the program mistral_http died while the request was under way; it is repeated only with safe-rerun: true',
		'and says why');
	is(ended($again), 'SUCCESS', 'what may be repeated is');
	is(states($again), 'SUCCESS 20', 'all of it');
	is(hits('127.0.0.1', $port), $hits + 65, 'once, and nothing else');
	isnt(program(), $victim, 'by another program');
}
like(log_since($node, $offset), qr/mistral_http, which sends requests and mails, is gone: it was terminated by signal 11/, 'the log says what happened');

# ---- a program that hangs

sql("ALTER SYSTEM SET mistral.io_hang_timeout = 2");
$node->reload;
ok(wait_for(sub { sql('SHOW mistral.io_hang_timeout') eq '2s' }), 'two seconds are enough');
my $busy = program();
my $slow = start('again', 3);
is(ended($slow), 'SUCCESS', 'a server that takes its time is none that hangs');
is(program(), $busy, 'nor is the program');
kill 'STOP', $busy;
my $waiting = start('again', 3);
is(ended($waiting), 'SUCCESS', 'what it was given is repeated by the next');
isnt(program(), $busy, 'when it has been ended');
like(log_since($node, $offset), qr/mistral_http, which sends requests and mails, is gone: it did not answer for 2 s \(mistral\.io_hang_timeout\)/, 'as the log says');

# ---- nobody else

is(sql('SELECT pg_postmaster_start_time()'), $born, 'the server has not been restarted');
is(executor(), $executor, 'nor has the executor');
is(sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'mistral engine'"), $engine, 'nor has the engine');
unlike(log_since($node, $offset), qr/terminating any other active server processes/, 'no process was sent away');
is(sql('SELECT count(*) FROM mistral.attempt'), '0', 'nothing is left');
my $last = program();
$node->stop;
ok(wait_for(sub { !kill 0, $last }), 'without its server the program ends');
kill 'TERM', $pid;
waitpid $pid, 0;
done_testing();
