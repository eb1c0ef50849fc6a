# Webhooks: whoever an execution names is told of what happens to it, at least
# once, over failures of the receiver and of the server, in a signed request.
use strict;
use warnings;

use Digest::SHA qw(hmac_sha256_hex);
use FindBin;
use IPC::Open2;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

use MistralTest;

my $dir = PostgreSQL::Test::Utils::tempdir();
my @receiver = receiver();
my $port = $receiver[3];
my $url = "http://127.0.0.1:$port";

open(my $key, '>', "$dir/key") or die $!;
print $key 'ab' x 32, "\n";
close $key;
chmod(0600, "$dir/key");

my $node = new_server('main', "mistral.http_allow = '127.0.0.0/8'", "mistral.secret_key_file = '$dir/key'", 'restart_after_crash = on');
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION mistral;
	CREATE ROLE ann;
	CREATE ROLE bob;
	SELECT mistral.grant_access(role::regrole, kind) FROM unnest(ARRAY['author', 'operator']) AS kind, unnest(ARRAY['ann', 'bob']) AS role;
	GRANT EXECUTE ON FUNCTION mistral.std_http(jsonb) TO ann;
	SET ROLE ann;
	SELECT mistral.set_secret('hook', 'a signing key');
	SELECT mistral.load_workflow($$
version: '2.0'
inner:
  tasks: {i: {action: std.noop}}
outer:
  tasks:
    a: {action: std.noop, on-success: b}
    b: {workflow: inner, on-success: c}
    c: {action: std.fail, on-error: noop}
failing:
  tasks: {f: {action: std.fail}}
waiting:
  tasks: {w: {action: std.async_noop}}
$$);
	RESET ROLE;
	SET ROLE bob;
	SELECT mistral.load_workflow($$
version: '2.0'
bobs:
  tasks: {i: {action: std.noop}}
$$);
});
ok(wait_for_workers($node, 'postgres'), 'the workers are there');

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub start
{
	my ($role, $workflow, @publishers) = @_;
	my $params = encode_json({ notify => \@publishers });
	my $id = sql("SET ROLE $role; SELECT mistral.start_workflow('$workflow', params => '$params')");

	return $id =~ s/.*\n//sr;
}

sub seen
{
	my ($path) = @_;

	return grep { $_->{target} eq $path } map { decode_json($_) } split(/\n/, -e "$dir/seen" ? slurp_file("$dir/seen") : '');
}

sub none_left
{
	return wait_for(sub { sql('SELECT count(*) FROM mistral.webhook WHERE NOT failed') == 0 }, $_[0] // 20);
}

subtest 'every event' => sub {
	my $id = start('ann', 'outer', { type => 'webhook', url => "$url/echo/all", headers => { 'X-Who' => 'ann' } });

	is(sql("SELECT mistral.wait_workflow('$id', '20 s')"), 'SUCCESS', 'it ends');
	ok(none_left(), 'all are delivered');
	my @requests = seen('/echo/all');
	my @events = map { my $data = decode_json($_->{body}); "$data->{event} $data->{name}" } @requests;

	is_deeply(
		[ sort @events ],
		[   sort 'WORKFLOW_LAUNCHED outer', 'TASK_LAUNCHED a', 'TASK_SUCCEEDED a', 'TASK_LAUNCHED b', 'WORKFLOW_LAUNCHED inner',
			'TASK_LAUNCHED i', 'TASK_SUCCEEDED i', 'WORKFLOW_SUCCEEDED inner', 'TASK_SUCCEEDED b', 'TASK_LAUNCHED c',
			'TASK_FAILED c', 'WORKFLOW_SUCCEEDED outer' ],
		'of the sub-workflow, too');
	my ($last) = grep { $_->{body} =~ /WORKFLOW_SUCCEEDED/ && $_->{body} =~ /outer/ } @requests;
	my $data = decode_json($last->{body});

	is($last->{headers}->{'x-who'}, 'ann', 'with the headers asked for');
	is($last->{headers}->{'content-type'}, 'application/json', 'as JSON');
	is($last->{headers}->{'mistral-event'}, 'WORKFLOW_SUCCEEDED', 'which a header names, too');
	like($last->{headers}->{'idempotency-key'}, qr/^[0-9a-f-]{36}$/, 'and a key that stays the same');
	is_deeply(
		[ sort keys %$data ],
		[ qw(created_at event id name project_id root_execution_id state state_info task_execution_id updated_at workflow_id workflow_name workflow_namespace) ],
		'the members are the original\'s');
	is($data->{id}, $id, 'the execution');
	is($data->{project_id}, 'ann', 'its owner');
};

subtest 'only those asked for' => sub {
	my $id = start('ann', 'outer',
		{ type => 'webhook', url => "$url/echo/some", event_types => [ 'TASK_FAILED', 'WORKFLOW_FAILED' ] },
		{ type => 'noop' }, { type => 'elsewhere', url => "$url/echo/elsewhere" }, { url => "$url/echo/untyped" }, 'nonsense', { type => 'webhook' });

	sql("SELECT mistral.wait_workflow('$id', '20 s')");
	ok(none_left(), 'they are delivered');
	is(scalar seen('/echo/some'), 1, 'one');
	is(scalar seen("/echo/$_"), 0, "nothing to $_") foreach qw(elsewhere untyped);
};

subtest 'changes by people' => sub {
	my $id = start('ann', 'waiting', { type => 'webhook', url => "$url/echo/people" });

	ok(wait_for(sub { sql("SELECT state FROM mistral.tasks WHERE execution_id = '$id'") eq 'RUNNING' }), 'it waits');
	sql("SELECT mistral.pause_workflow('$id')");
	ok(wait_for(sub { grep { $_->{body} =~ /WORKFLOW_PAUSED/ } seen('/echo/people') }), 'a pause is told');
	sql("SELECT mistral.resume_workflow('$id')");
	ok(wait_for(sub { grep { $_->{body} =~ /WORKFLOW_RESUMED/ } seen('/echo/people') }), 'a resumption is');
	sql("SELECT mistral.cancel_workflow('$id')");
	ok(wait_for(sub { grep { $_->{body} =~ /WORKFLOW_CANCELLED/ } seen('/echo/people') }), 'an end is');
};

subtest 'signed' => sub {
	my $id = start('ann', 'inner', { type => 'webhook', url => "$url/echo/signed", secret => 'hook', event_types => ['WORKFLOW_SUCCEEDED'] });

	sql("SELECT mistral.wait_workflow('$id', '20 s')");
	ok(none_left(), 'it is delivered');
	my ($request) = seen('/echo/signed');
	my ($time, $code) = $request->{headers}->{'mistral-signature'} =~ /^t=(\d+),v1=([0-9a-f]{64})$/;

	cmp_ok(abs($time - time), '<', 60, 'with the time');
	is($code, hmac_sha256_hex("$time.$request->{body}", 'a signing key'), 'and a code that only who knows the secret can make');
	$id = start('ann', 'inner', { type => 'webhook', url => "$url/echo/unsigned", secret => 'none', event_types => ['WORKFLOW_SUCCEEDED'] });
	ok(wait_for(sub { sql('SELECT error FROM mistral.webhooks') =~ /has no secret "none"/ }), 'without the secret it is not sent');
	is(scalar seen('/echo/unsigned'), 0, 'at all');
	sql("UPDATE mistral.webhook SET attempt = 20");
	ok(wait_for(sub { sql('SELECT state FROM mistral.webhooks') eq 'FAILED' }, 30), 'until it has failed for good');
	is(sql("SELECT mistral.delete_execution('$id'); SELECT count(*) FROM mistral.webhooks") =~ s/.*\n//sr, 0, 'and goes with its execution');
};

subtest 'a receiver that is not there' => sub {
	my @ids = map { start('ann', 'inner', { type => 'webhook', url => "$url/status/503", event_types => ['WORKFLOW_SUCCEEDED'] }) } 1;

	ok(wait_for(sub { sql("SELECT error FROM mistral.webhooks WHERE state = 'DELAYED'") eq 'the server answered 503' }), 'an error is tried again');
	ok(wait_for(sub { sql("SELECT max(attempt) FROM mistral.webhooks") > 2 }, 10), 'and again');
	my @tries = map { $_->{headers}->{'idempotency-key'} } seen('/status/503');
	cmp_ok(scalar @tries, '>=', 2, 'each is a request');
	is(scalar(grep { $_ ne $tries[0] } @tries), 0, 'with the same key');
	sql("UPDATE mistral.webhook SET attempt = 20");
	ok(wait_for(sub { sql("SELECT state FROM mistral.webhooks") eq 'FAILED' }, 30), 'not for ever');
	is(sql("SELECT mistral.wait_workflow('$ids[0]', '20 s')"), 'SUCCESS', 'the execution does not care');
	my ($rc, $out, $err) = $node->psql('postgres', "SET ROLE bob; SELECT mistral.retry_webhook(id) FROM mistral.webhook");
	like($err, qr/permission denied/, 'nobody else sees it');
	my $webhook = sql('SELECT id FROM mistral.webhooks');
	($rc, $out, $err) = $node->psql('postgres', "SET ROLE bob; SELECT mistral.retry_webhook('$webhook')");
	like($err, qr/there is no webhook/, 'or sends it again');
	sql("UPDATE mistral.webhook SET request = jsonb_set(request, '{url}', '\"$url/echo/late\"')");
	sql("SET ROLE ann; SELECT mistral.retry_webhook('$webhook')");
	ok(wait_for(sub { seen('/echo/late') == 1 }), 'its owner does');
	ok(none_left(), 'and it is delivered');
};

subtest 'rights and networks' => sub {
	start('bob', 'bobs', { type => 'webhook', url => "$url/echo/bob", event_types => ['WORKFLOW_SUCCEEDED'] });
	ok(wait_for(sub { sql("SELECT error FROM mistral.webhooks WHERE owner = 'bob'::regrole") =~ /may not use std.http/ }), 'who may not use std.http tells nobody');
	is(scalar seen('/echo/bob'), 0, 'nothing was sent');
	start('ann', 'inner', { type => 'webhook', url => 'http://10.1.2.3/', event_types => ['WORKFLOW_SUCCEEDED'] });
	ok(wait_for(sub { sql("SELECT error FROM mistral.webhooks WHERE url = 'http://10.1.2.3/'") =~ /10\.1\.2\.3/ }), 'networks that are denied are denied');
	sql('DELETE FROM mistral.timer WHERE kind = $$webhook$$; DELETE FROM mistral.webhook');
};

subtest 'crashes' => sub {
	stop_receiver();
	my @ids = map { start('ann', 'inner', { type => 'webhook', url => "$url/echo/crash$_", event_types => ['WORKFLOW_SUCCEEDED'] }) } 1 .. 20;
	sql("SELECT mistral.wait_workflow('$_', '20 s')") foreach @ids;
	foreach my $round (1 .. 3)
	{
		my $executor = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'mistral executor' AND datname = 'postgres'");

		kill('KILL', $executor);
		ok(wait_for(sub { $node->psql('postgres', 'SELECT 1') == 0 && workers($node, 'postgres', 'executor') == 1 }, 60), "after crash $round");
		@receiver = receiver() if $round == 2;
	}
	ok(none_left(60), 'all are delivered');
	is(scalar(grep { seen("/echo/crash$_") >= 1 } 1 .. 20), 20, 'at least once each');
	is(sql('SELECT count(*) FROM mistral.check()'), 0, 'nothing is out of place');
};

stop_receiver();
$node->stop;
done_testing();

# A server that keeps what it gets, on the port of the one before.
sub receiver
{
	my @port = defined $port ? ('--port', $port) : ();
	my $pid = open2(my $out, my $in, $ENV{PYTHON} // 'python3', "$FindBin::Bin/../../lib/hostile_http.py", '--keep', "$dir/seen", @port);
	my $line = <$out>;

	die "the server did not start" unless $line;
	chomp $line;
	return ($pid, $in, $out, $line);
}

sub stop_receiver
{
	close $receiver[1];
	waitpid($receiver[0], 0);
	return;
}
