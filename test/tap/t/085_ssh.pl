# std.ssh with eight hosts: 127.0.0.2 to 127.0.0.9, each an sshd of our own with a key of its own; std.ssh_proxied with one more, behind them.
use strict;
use warnings;

use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

use MistralTest;

my $sshd = '/usr/sbin/sshd';
plan skip_all => 'openssh-server is not installed' unless -x $sshd;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $user = getpwuid($<);
my @hosts = map { "127.0.0.$_" } 2 .. 9;
my $inner = '127.0.0.20';		# the rules forbid it
my @servers;

mkdir "$dir/$_" foreach qw(ssh ssh/keys);
sub run_quietly { return IPC::Run::run([@_], '>', \my $out, '2>&1') }
run_quietly('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', "$dir/ssh/keys/$_") foreach qw(good stranger);
my $public = slurp_file("$dir/ssh/keys/good.pub");
append_to_file("$dir/authorized_keys", $public);
foreach my $host (@hosts, $inner)
{
	run_quietly('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', "$dir/host_$host");
	my ($type, $key) = split ' ', slurp_file("$dir/host_$host.pub");
	# 127.0.0.8 is not known, 127.0.0.9 is known with another's key, 127.0.0.7 is no gateway.
	append_to_file("$dir/ssh/known_hosts", "[$host]:$port $type $key\n") unless $host =~ /\.[89]$/;
	append_to_file("$dir/ssh/known_hosts", "$host $type $key\n") if $host eq $inner;
	append_to_file("$dir/ssh/known_hosts", "[$host]:$port " . join(' ', (split ' ', $public)[ 0, 1 ]) . "\n") if $host =~ /\.9$/;
	append_to_file("$dir/config_$host",
		join("\n", "ListenAddress $host:$port", "HostKey $dir/host_$host", "AuthorizedKeysFile $dir/authorized_keys", 'StrictModes no',
			'UsePAM no', 'PasswordAuthentication no', "PidFile $dir/pid_$host", "SetEnv MISTRAL_HOST=$host",
			'MaxStartups 200', 'LogLevel VERBOSE', 'AllowTcpForwarding ' . ($host =~ /\.7$/ ? 'no' : 'yes'), '') . "\n");
	push @servers, IPC::Run::start([ $sshd, '-D', '-e', '-f', "$dir/config_$host" ], '<', \undef, '>', "$dir/log_$host", '2>&1');
}
ok(wait_for(sub { !grep { !-s "$dir/pid_$_" } @hosts, $inner }, 60), 'nine hosts') or diag map { slurp_file("$dir/log_$_") } @hosts;

my $node = new_server('ssh', "mistral.io_modules = 'mistral_ssh'", "mistral.io_directory = '$dir'", "mistral.http_allow = '127.0.0.0/29, 127.0.0.8/31'");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION mistral');
$node->safe_psql('postgres', <<'SQL');
SELECT mistral.load_workflow($$
version: '2.0'
run:
  input: [input, {seconds: 60}, {action: std.ssh}]
  tasks:
    t: {action: <% $.action %>, input: <% $.input %>, timeout: <% $.seconds %>}
each:
  input: [hosts, input, {action: std.ssh}]
  tasks:
    t:
      with-items: host in <% $.hosts %>
      action: <% $.action %>
      input: <% $.input + {host => $.host} %>
      timeout: 60
$$);
SQL

sub start
{
	my ($workflow, $input) = @_;
	my $json = encode_json($input);
	return $node->safe_psql('postgres', "SELECT mistral.start_workflow('$workflow', \$json\$$json\$json\$::jsonb)");
}

sub ended
{
	my ($id) = @_;
	# A task that times out ends its execution; its action ends when the module has given it up, a moment before or after.
	wait_for(sub { $node->safe_psql('postgres', <<"SQL") eq 't' }, 90);
SELECT bool_and(state IN ('SUCCESS', 'ERROR')) FROM (SELECT state FROM mistral.executions WHERE id = '$id'
 UNION ALL SELECT state FROM mistral.action_executions WHERE execution_id = '$id') s
SQL
	return $node->safe_psql('postgres',
		"SELECT state, output ->> 'result' FROM mistral.action_executions WHERE execution_id = '$id' ORDER BY output ->> 'result'");
}

my %login = (username => $user, private_key_filename => 'good');
my @known = map { "$_:$port" } @hosts[ 0 .. 5 ];

sub run { my (%input) = @_; return ended(start('run', { input => { %login, host => $known[0], cmd => 'echo $MISTRAL_HOST', %input } })) }

is(run(), "SUCCESS|127.0.0.2\n", 'a command\'s output is its result');
is(run(host => [ @known[ 0, 1 ] ]), 'SUCCESS|["127.0.0.2\n", "127.0.0.3\n"]', 'a list of hosts gives a list');
is(run(cmd => 'echo out; echo err >&2; exit 3'), "ERROR|Failed to execute ssh cmd on $known[0]: exit status 3", 'an exit status is an error');
is(run(cmd => 'kill -KILL $$'), "ERROR|Failed to execute ssh cmd on $known[0]: the command was ended by signal KILL", 'so is a signal');
is(length(run(cmd => 'head -c 3000000 /dev/zero | tr "\0" x; head -c 3000000 /dev/zero >&2')), length('SUCCESS|') + 3000000, 'much output');
my $key = slurp_file("$dir/ssh/keys/good");
is(run(private_key_filename => undef, private_key => $key), "SUCCESS|127.0.0.2\n", 'the key itself may be given');

# ---- what is refused

like(run(host => "$hosts[6]:$port"), qr/^ERROR\|.*it is not in known_hosts$/, 'a host that is not known');
like(run(host => "$hosts[7]:$port"), qr/^ERROR\|.*its key is another one than in known_hosts$/, 'a host with another key');
like(run(host => "127.0.0.17:$port"), qr/^ERROR\|.*127\.0\.0\.17 is not allowed/, 'an address that the rules forbid');
like(run(private_key_filename => 'stranger'), qr/^ERROR\|.*it does not let the user in/, 'a key that the host does not know');
is(run(private_key_filename => 'nothing') =~ s/: it does not.*//sr, run(private_key_filename => 'stranger') =~ s/: it does not.*//sr, 'a file that is not there is refused alike');
like(run(private_key_filename => '../known_hosts'), qr/^ERROR\|private_key_filename must be the name of a file/, 'a file elsewhere');
like(run(host => 'a:b:c]'), qr/^ERROR\|/, 'a host that is none');

# ---- eight at once; one that is slow holds up nobody

my $slow = start('run', { input => { %login, host => $known[0], cmd => 'sleep 60' }, seconds => 8 });
my $begin = time;
my $all = ended(start('each', { hosts => \@known, input => { %login, cmd => 'sleep 1; echo $MISTRAL_HOST' } }));
is($all, join("\n", map { "SUCCESS|$_\n" } @hosts[ 0 .. 5 ]), 'a command on each of six');
cmp_ok(time - $begin, '<', 7, 'at the same time');
like(ended($slow), qr/^ERROR\|.*(?:timeout of 8 s|too long)/, 'one that takes too long is ended');
like($node->safe_psql('postgres', "SELECT state || ' ' || state_info FROM mistral.executions WHERE id = '$slow'"), qr/^ERROR .*\Q[timeout(s)=8]\E/s,
	'and its workflow says why');

# ---- one role's commands do not take all threads

$node->safe_psql('postgres', 'CREATE ROLE crowd; SELECT mistral.grant_access(\'crowd\', \'operator\'); GRANT EXECUTE ON FUNCTION mistral.std_ssh(jsonb) TO crowd');
my $crowd = encode_json({ %login, host => $known[0], cmd => 'sleep 20' });
$node->safe_psql('postgres', "SET SESSION AUTHORIZATION crowd; SELECT count(mistral.run_action('std.ssh', \$json\$$crowd\$json\$)) FROM generate_series(1, 100)");
ok(wait_for(sub { $node->safe_psql('postgres', q{SELECT count(*) FROM mistral.attempt}) == 100 }, 60), 'a hundred long commands of another role');
is(run(), "SUCCESS|127.0.0.2\n", 'a command has a thread beside them');
is($node->safe_psql('postgres', q{SELECT count(*) FROM mistral.attempt}), 100, 'before any of them has ended');
$node->safe_psql('postgres', q{SELECT mistral.cancel_action(id) FROM mistral.action_executions WHERE state = 'RUNNING'});
ok(wait_for(sub { $node->safe_psql('postgres', q{SELECT count(*) FROM mistral.attempt}) == 0 }, 60), 'nobody waits for them any more');

# ---- behind a gateway

my %over = (%login, host => "$inner:$port", cmd => 'echo $MISTRAL_HOST', gateway_host => $known[0]);

sub over
{
	my ($input, %more) = @_;
	return ended(start('run', { action => 'std.ssh_proxied', input => { %over, %$input }, %more }));
}

like(run(host => "$inner:$port"), qr/^ERROR\|.*127\.0\.0\.20 is not allowed/, 'a host that the rules forbid');
is(over({}), "SUCCESS|$inner\n", 'is reached over a gateway');
is(over({ host => [ "$inner:$port", $known[1] ] }), "SUCCESS|[\"$inner\\n\", \"127.0.0.3\\n\"]", 'and others');
is(over({ gateway_username => $user, private_key_filename => undef, private_key => $key }), "SUCCESS|$inner\n", 'with the key itself');
is(over({ cmd => 'exit 3' }), "ERROR|Failed to execute ssh cmd on $inner:$port: exit status 3", 'its exit status counts');
is(length(over({ cmd => 'head -c 3000000 /dev/zero | tr "\0" x; head -c 3000000 /dev/zero >&2' })), length('SUCCESS|') + 3000000, 'much output');
is(over({ cmd => ': ' . 'x' x 25000 . '; echo long' }), "SUCCESS|long\n", 'a long command');

my $log = "$dir/log_$hosts[6]";
my $size = -s $log;
is(over({ host => "$hosts[6]:$port" }), "ERROR|Failed to execute ssh cmd on $hosts[6]:$port: it is not in known_hosts", 'a host that is not known');
is(-s $log, $size, 'is not even tried');
is(over({ host => "$inner:1" }), "ERROR|Failed to execute ssh cmd on $inner:1: it is not in known_hosts", 'nor is another port of one that is');
like(over({ host => "$hosts[7]:$port" }), qr/^ERROR\|.*: its key is another one than in known_hosts$/, 'a host with another key');
like(over({ gateway_host => "$hosts[6]:$port" }), qr/^ERROR\|.*: gateway 127\.0\.0\.8:\d+: it is not in known_hosts$/, 'a gateway that is not known');
like(over({ gateway_host => "$hosts[7]:$port" }), qr/^ERROR\|.*: gateway .*: its key is another one than in known_hosts$/, 'a gateway with another key');
like(over({ gateway_host => "$inner:$port" }), qr/^ERROR\|.*127\.0\.0\.20 is not allowed/, 'a gateway that the rules forbid');
like(over({ gateway_host => $known[5] }), qr/^ERROR\|.*: its gateway does not reach it/, 'a gateway that is none');
like(over({ gateway_username => 'nobody_of_that_name' }), qr/^ERROR\|.*: gateway .*: it does not let the user in/, 'a user whom the gateway does not know');
like(over({ private_key_filename => undef, password => 'secret' }), qr/^ERROR\|.*the gateway is not given the password$/, 'without a key');
like(over({ proxy_command => 'touch /tmp/x' }), qr/^ERROR\|proxy_command is not supported/, 'a command on the server');
like(over({ cmd => 'sleep 60' }, seconds => 4), qr/^ERROR\|.*(?:timeout of 4 s|too long)/, 'one that takes too long is ended');

$begin = time;
$all = ended(start('each', { action => 'std.ssh_proxied', hosts => [ map { ("$inner:$port", @known[ 1 .. 4 ]) } 1 .. 4 ], input => { %over, cmd => 'sleep 1; echo $MISTRAL_HOST' } }));
is($all, join("\n", map { ("SUCCESS|$_\n") x 4 } sort $inner, @hosts[ 1 .. 4 ]), 'twenty at once over one gateway');
cmp_ok(time - $begin, '<', 19, 'at the same time');
is($node->safe_psql('postgres', 'SELECT (SELECT count(*) FROM mistral.attempt) + (SELECT count(*) FROM mistral.check())'), '0', 'nothing is left behind');

$node->stop;
done_testing();

END
{
	$_->kill_kill(grace => 1) foreach @servers;
}
