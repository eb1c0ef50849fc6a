# The alarms of examples/alarms: a Nagios that runs, and what aodh sends, start the
# same workflow, and nothing differs but what the workflow is told of the source.
use strict;
use warnings;

use Cwd qw(getcwd);
use HTTP::Tiny;
use IO::Socket::INET;
use IPC::Open2;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use MistralTest;

# Installed, or where run.sh has unpacked it.
my ($nagios) = grep { -x } '/usr/sbin/nagios4', getcwd() . '/nagios/usr/sbin/nagios4';
plan(skip_all => 'nagios4 is not there') unless $nagios;

# What a plugin says is text from outside; Nagios itself takes out some of its characters.
my $said = qq{CPU at 97 %; '); DROP TABLE incidents; -- :'host' \\! touch owned \xff end};
my $example = getcwd() . '/examples/alarms';
my $directory = PostgreSQL::Test::Utils::tempdir_short();
my %children;
my $test_pid = $$;
my $node = new_server('alarms', 'log_min_messages = warning');
$node->start;

# However the test ends, what it has started does too.
END
{
	if (defined $test_pid && $$ == $test_pid)
	{
		my $status = $?;

		stop($_) foreach keys %children;
		$? = $status;
	}
}

$node->safe_psql('postgres', "CREATE EXTENSION mistral;\n" . readme());
command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', connection('ann'), '-f', "$example/setup.sql" ], 'the example is set up');
ok(wait_for_workers($node, 'postgres'), 'the workers are there');

# Nagios
plugin(0, 'CPU at 3 %');
configure();
start(nagios => $nagios, "$directory/nagios.cfg");
ok(wait_for(sub { published('OK', 'HARD') || logged('Nagios 4.*starting') }, 30), 'Nagios runs');
plugin(2, $said);
ok(wait_for(sub { ended() == 1 }, 60), 'an alarm of Nagios starts the workflow');
ok(!-e 'owned', 'its text is nothing but text');
ok(published('CRITICAL', 'SOFT'), 'and what came before it, which was no alarm yet, has not');
like(one(q{SELECT params #>> '{event_params,output}' FROM mistral.executions}), qr/^CPU at 97 %.* end$/, 'the whole event is with it');
plugin(0, 'CPU at 3 %');
ok(wait_for(sub { published('OK', 'HARD') }, 30), 'Nagios tells of the end as well');
is(ended(), 1, 'which is no alarm');
diag(slurp_file("$directory/nagios.log")) if ended() != 1;
stop('nagios');

# aodh
my $url = start(webhook => $ENV{PYTHON} || 'python3', "$example/webhook.py", 0);
my $alarm = slurp_file("$example/aodh_alarm.json");
is(post('req-1', $alarm), 200, 'an alarm of aodh is taken');
ok(wait_for(sub { ended() == 2 }, 30), 'and starts the workflow');
is(post('req-1', $alarm), 200, 'it is taken again');
is(post('req-2', $alarm =~ s/"current": "alarm"/"current": "ok"/r =~ s/"previous": "ok"/"previous": "alarm"/r), 200, 'so is its end');
is(post('req-8', $alarm =~ s/"previous": "ok"/"previous": "alarm"/r), 200, 'and a repetition');
is(post('req-3', $alarm =~ s/critical/low/r), 200, 'and a lesser one');
is(post('req-4', '{"alarm_name"'), 400, 'what is no JSON is refused');
is(post('req-5', '{"alarm_name": "\u0000"}'), 400, 'and what no database can hold');
like(announce(2_000_000), qr/ 413 /, 'and what is too large');
is(started(), 2, 'none of them starts anything');

# The one and the other
is(one(q{SELECT string_agg(input ->> 'source', ' ' ORDER BY created_at) FROM mistral.executions}), 'nagios aodh', 'both sources have started the workflow');
is(one(q{SELECT string_agg(DISTINCT (input - 'source')::text, ' ') FROM mistral.executions}), '{"host": "web1", "what": "cpu"}',
	'with the same input but for the source');
is(one(q{SELECT count(DISTINCT (workflow_id, state, definition)) FROM mistral.executions JOIN mistral.workflows w ON w.id = workflow_id}), 1,
	'the same workflow, which ends alike');
is(one(q{SELECT string_agg(DISTINCT input::text, ' ') || ' ' || count(*) FROM mistral.action_executions}), '{"host": "web1", "what": "cpu"} 2',
	'the application is asked the same');
is(one(q{SELECT string_agg(number || ' ' || host || ' ' || what, ', ' ORDER BY number) FROM public.incidents}), '1 web1 cpu, 2 web1 cpu', 'and has done the same');

# An alarm that comes while the database is away waits for it.
$node->stop('fast');
my $sender = fork() // die $!;
if ($sender == 0)
{
	require POSIX;
	POSIX::_exit(post('req-7', $alarm) == 200 ? 0 : 1);
}
like(scalar readline($children{webhook}{out}), qr/^the database is away/, 'an alarm comes while the database is away');
$node->start;
waitpid($sender, 0);
is($?, 0, 'and is taken when it is back');
ok(wait_for(sub { ended() == 3 }, 30), 'and starts the workflow');

done_testing();

sub one { return $node->safe_psql('postgres', $_[0]) }

sub started { return one('SELECT count(*) FROM mistral.executions') }

sub ended { return one(q{SELECT count(*) FROM mistral.executions WHERE state = 'SUCCESS'}) }

sub connection { return $node->connstr('postgres') . " user=$_[0]" }

sub published
{
	my ($state, $type) = @_;

	return one("SELECT count(*) FROM mistral.event_seen WHERE dedup_key LIKE 'nagios/web1/cpu/%/$state/$type'");
}

sub logged { return -e "$directory/nagios.log" && slurp_file("$directory/nagios.log") =~ /$_[0]/ }

# The roles, as the example's page tells to create them.
sub readme
{
	my ($roles) = slurp_file("$example/README.md") =~ /^```sql\n(.*?)^```/ms or die 'no roles';

	return $roles;
}

# What the next check finds.
sub plugin
{
	my ($status, $output) = @_;

	put('output', "$output\n");
	put('check_cpu.new', "#!/bin/sh\ncat $directory/output\nexit $status\n");
	chmod(0755, "$directory/check_cpu.new");
	rename("$directory/check_cpu.new", "$directory/check_cpu") or die $!;
	return;
}

# A Nagios of its own, which looks every second, with the example's command.
sub configure
{
	my $user = getpwuid($<);
	my $group = getgrgid($();

	mkdir("$directory/spool") or die $!;
	put('resource.cfg', "\$USER3\$=$example\n\$USER4\$=" . connection('monitoring') . "\n");
	put('nagios.cfg', <<"CFG");
log_file=$directory/nagios.log
cfg_file=$directory/objects.cfg
cfg_file=$example/nagios.cfg
resource_file=$directory/resource.cfg
object_cache_file=$directory/objects.cache
precached_object_file=$directory/objects.precache
status_file=$directory/status
temp_file=$directory/temp
temp_path=$directory
check_result_path=$directory/spool
lock_file=$directory/lock
state_retention_file=$directory/retention
command_file=$directory/command
query_socket=$directory/query
nagios_user=$user
nagios_group=$group
check_external_commands=0
enable_environment_macros=1
enable_event_handlers=1
enable_notifications=0
check_for_updates=0
interval_length=1
use_syslog=0
CFG
	put('objects.cfg', <<"CFG");
define timeperiod {
    timeperiod_name always
    alias always
    sunday 00:00-24:00
    monday 00:00-24:00
    tuesday 00:00-24:00
    wednesday 00:00-24:00
    thursday 00:00-24:00
    friday 00:00-24:00
    saturday 00:00-24:00
}
define command {
    command_name check_cpu
    command_line $directory/check_cpu
}
define contact {
    contact_name nobody
    host_notifications_enabled 0
    service_notifications_enabled 0
    host_notification_period always
    service_notification_period always
    host_notification_commands check_cpu
    service_notification_commands check_cpu
}
define host {
    host_name web1
    address 127.0.0.1
    max_check_attempts 1
    contacts nobody
    notification_period always
}
define service {
    use published
    host_name web1
    service_description cpu
    check_command check_cpu
    check_period always
    check_interval 1
    retry_interval 1
    max_check_attempts 2
    contacts nobody
    notification_period always
}
CFG
	return;
}

sub put
{
	my ($name, $text) = @_;

	open(my $file, '>', "$directory/$name") or die $!;
	print $file $text;
	close $file;
	return;
}

# The first line that a program says.
sub start
{
	my ($name, @command) = @_;
	local $ENV{PGHOST} = $node->host;
	local $ENV{PGPORT} = $node->port;
	local $ENV{PGUSER} = 'monitoring';
	local $ENV{PGDATABASE} = 'postgres';
	my $pid = open2(my $out, my $in, @command);
	my $line = <$out>;

	$children{$name} = { pid => $pid, out => $out };
	return unless defined $line;
	chomp $line;
	return $line;
}

sub stop
{
	my $child = delete $children{$_[0]} or return;

	kill 'TERM', $child->{pid};
	kill 'KILL', $child->{pid} unless wait_for(sub { waitpid($child->{pid}, 1) != 0 }, 10);
	return;
}

# What is answered to who says that so many bytes will come.
sub announce
{
	my ($port) = $url =~ /:(\d+)/;
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 20) or die $!;

	print $socket "POST /aodh.alarm HTTP/1.0\r\nContent-Length: $_[0]\r\n\r\n";
	return scalar <$socket>;
}

# What aodh does with an alarm: the status that it is answered with.
sub post
{
	my ($request, $body) = @_;

	return HTTP::Tiny->new(timeout => 90)->post("${url}aodh.alarm",
		{ content => $body, headers => { 'Content-Type' => 'application/json', 'x-openstack-request-id' => $request } })->{status};
}
