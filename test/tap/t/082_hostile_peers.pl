# Brokers and SSH hosts that mean no good: what they send takes neither the program with it nor what others need.
use strict;
use warnings;

use FindBin;
use IPC::Open2;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use MistralTest;

my $dir = PostgreSQL::Test::Utils::tempdir();
mkdir "$dir/$_" foreach qw(ssh ssh/keys);
append_to_file("$dir/ssh/known_hosts", '');

my ($to, $from);
my $peers = open2($from, $to, $ENV{PYTHON} // 'python3', "$FindBin::Bin/../../lib/hostile_peers.py");
my $ports = decode_json(scalar readline $from);

# As much memory as the threads of a few connections need, and their messages.
my $node = new_server('hostile', "mistral.io_modules = 'mistral_amqp, mistral_ssh'", "mistral.io_directory = '$dir'",
	"mistral.http_allow = '127.0.0.0/8'", 'mistral.io_memory = 400MB', 'mistral.io_hang_timeout = 5s');
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION mistral;
CREATE ROLE mallory;
CREATE ROLE ann;
SELECT mistral.grant_access(r, 'operator'), mistral.grant_access(r, 'author') FROM unnest('{mallory, ann}'::regrole[]) r;
GRANT EXECUTE ON FUNCTION mistral.std_amqp(jsonb), mistral.std_ssh(jsonb) TO mallory, ann;
SET ROLE mallory;
SELECT mistral.load_workflow($$
version: '2.0'
run:
  input: [host]
  tasks:
    t: {action: std.ssh, timeout: 3, input: {host: <% $.host %>, username: u, password: p, cmd: c}}
$$);
SQL

plan skip_all => 'mistral_amqp or mistral_ssh is not built'
  unless wait_for(sub { $node->safe_psql('postgres', q{SELECT count(*) FROM mistral.actions WHERE name IN ('std.amqp', 'std.ssh') AND module IS NOT NULL}) eq '2'
	&& log_since($node, 0) =~ /loaded module "mistral_amqp".*loaded module "mistral_ssh"/s });

sub publish
{
	my ($role, $way, $vhost) = @_;
	my $json = encode_json({ url => "amqp://u:p\@127.0.0.1:$ports->{$way}/" . ($vhost // 'x'), routing_key => 'key', body => 'hello' });
	return $node->safe_psql('postgres', "SET ROLE $role; SELECT mistral.run_action('std.amqp', '$json')");
}

sub ssh
{
	my ($way) = @_;
	return $node->safe_psql('postgres', "SET ROLE mallory; SELECT mistral.run_action('std.ssh', "
		. "'{\"host\": \"127.0.0.1:$ports->{$way}\", \"username\": \"u\", \"password\": \"p\", \"cmd\": \"c\"}')");
}

sub state_of
{
	my ($id) = @_;
	return $node->safe_psql('postgres', "SELECT state FROM mistral.action_executions WHERE id = '$id'");
}

sub ended
{
	my ($id) = @_;
	wait_for(sub { state_of($id) =~ /SUCCESS|ERROR/ }, 60);
	return $node->safe_psql('postgres', "SELECT concat_ws(': ', state, output ->> 'result') FROM mistral.action_executions WHERE id = '$id'");
}

sub threads
{
	my $executor = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'mistral executor'});
	foreach my $status (glob '/proc/[0-9]*/status')
	{
		open my $file, '<', $status or next;
		my $text = join '', <$file>;
		return $1 if $text =~ /^Name:\s+mistral_io\n.*^PPid:\s+$executor\n.*^Threads:\s+(\d+)/ms;
	}
	return 0;
}

# ---- brokers

my $patient = publish('ann', 'amqp_silent', 'ann');
ok(wait_for(sub { threads() > 1 }), 'a message of somebody else is on its way');
my @hello = map { publish('mallory', 'amqp_hello', $_) } 1 .. 3;
like(ended(publish('mallory', 'amqp_headers')), qr/^SUCCESS/, 'tables in tables, ten thousand deep');
like(ended(publish('mallory', 'amqp_class')), qr/^ERROR: outcome unknown: .*did not go on with a message/, 'properties of another class are no message');
like(ended(publish('mallory', 'amqp_body')), qr/^SUCCESS/, 'a message larger than the memory passes by');
like(ended(publish('mallory', 'amqp_channels')), qr/^ERROR: outcome unknown: .*on a channel that is not open/, 'a broker does not open channels');
like(ended(publish('mallory', 'amqp_acks')), qr/^SUCCESS/, 'a broker that never comes to an end');
like(ended(publish('mallory', 'amqp_acks')), qr/^SUCCESS/, 'is given the next message all the same');

# Brokers that keep their connections busy when nobody waits for them any more, as many as there may be.
my @slow = map { publish('mallory', 'amqp_slow', $_) } 1 .. 34;
ok(wait_for(sub { !grep { state_of($_) !~ /SUCCESS|ERROR/ } @slow }), 'many slow brokers');
like(join("\n", map { ended($_) } @slow), qr/^ERROR: this role has connections to 16 brokers already$/m, 'are not as many as there may be');
like(ended(publish('ann', 'amqp_fine', $_)), qr/^SUCCESS/, 'somebody else has room') foreach 1 .. 4;

# ---- SSH hosts

like(ended(ssh('ssh_packets')), qr/^ERROR: Failed to execute ssh cmd on 127\.0\.0\.1:\d+: no SSH connection/, 'a host that sends what nobody has asked for');
my $before = threads();
my $run = $node->safe_psql('postgres', "SET ROLE mallory; SELECT mistral.start_workflow('run', '{\"host\": \"127.0.0.1:$ports->{ssh_lines}\"}')");
ok(wait_for(sub { threads() > $before }), 'a host that goes on for ever');
ok(wait_for(sub { $node->safe_psql('postgres', "SELECT state FROM mistral.executions WHERE id = '$run'") eq 'ERROR' }), 'has until its timeout');
ok(wait_for(sub { threads() <= $before }), 'and no thread after that');

# ---- and the program

is(state_of($patient), 'RUNNING', 'what was on its way is on its way');
unlike(log_since($node, 0), qr/mistral_io, which runs the actions of modules, is gone/, 'the program is the first one');

$node->stop;
close $to;
waitpid $peers, 0;
done_testing();
