# std.amqp with a real RabbitMQ: confirms, errors, and ten thousand messages over a broker that is killed.
#
# MISTRAL_MESSAGES: how many (10000).
use strict;
use warnings;

use FindBin;
use IPC::Open2;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

use MistralTest;
use RabbitMQ;

plan skip_all => 'rabbitmq-server is not installed' unless RabbitMQ::available();

my $messages = $ENV{MISTRAL_MESSAGES} // 10000;
my $dir = PostgreSQL::Test::Utils::tempdir();

# ---- two authorities: ours, which has signed for localhost and for a client, and a stranger's

sub openssl
{
	my $out;
	IPC::Run::run([ 'openssl', @_ ], '>', \$out, '2>&1') or die "openssl @_: $out";
	return;
}

sub authority
{
	my ($name) = @_;
	openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', "/CN=$name",
		'-keyout', "$dir/$name.key", '-out', "$dir/amqp/ca/$name");
	return;
}

sub signed
{
	my ($authority, $name, $host) = @_;
	append_to_file("$dir/$name.ext", "subjectAltName=DNS:$host\n");
	openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', "/CN=$name", '-keyout', "$dir/$name.key", '-out', "$dir/$name.csr");
	openssl('x509', '-req', '-in', "$dir/$name.csr", '-CA', "$dir/amqp/ca/$authority", '-CAkey', "$dir/$authority.key", '-CAcreateserial', '-days', '2',
		'-extfile', "$dir/$name.ext", '-out', "$dir/$name.crt");
	append_to_file("$dir/amqp/certificates/$name", slurp_file("$dir/$name.crt") . slurp_file("$dir/$name.key"));
	return;
}

mkdir "$dir/$_" foreach qw(amqp amqp/ca amqp/certificates broker);
authority($_) foreach qw(ours stranger);
signed('ours', 'server', 'localhost');
signed('ours', 'client', 'client.example.com');
signed('stranger', 'nobody', 'client.example.com');
append_to_file("$dir/broker/$_->[0]", slurp_file("$dir/$_->[1]")) foreach [ 'ca', 'amqp/ca/ours' ], [ 'server.crt', 'server.crt' ], [ 'server.key', 'server.key' ];

my $broker = RabbitMQ->new(tls => "$dir/broker");
append_to_file("$dir/key", ('0123456789abcdef' x 4) . "\n");
chmod 0600, "$dir/key";
my $node = new_server('amqp', "mistral.io_modules = 'mistral_amqp'", "mistral.http_allow = '127.0.0.1/32'", "mistral.io_directory = '$dir'",
	"mistral.secret_key_file = '$dir/key'");

ok($broker->start, 'a broker starts') or diag slurp_file("$broker->{dir}/out");
$broker->peer('declare', 'work');
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION mistral');

my $url = $broker->url;

sub execution
{
	my ($id) = @_;
	return $node->safe_psql('postgres', "SELECT state FROM mistral.executions WHERE id = '$id'");
}

sub publish
{
	my ($input, %more) = @_;
	my $json = encode_json({ input => { url => $url, exchange => '', routing_key => 'work', %$input }, %more });
	my $id = $node->safe_psql('postgres', "SELECT mistral.start_workflow('send', \$json\$$json\$json\$::jsonb)");
	wait_for(sub { execution($id) =~ /SUCCESS|ERROR/ && $node->safe_psql('postgres', "SELECT state FROM mistral.action_executions WHERE execution_id = '$id'") =~ /SUCCESS|ERROR/ }, 60);
	return split /\|/,
	  $node->safe_psql('postgres', "SELECT state, output ->> 'result' FROM mistral.action_executions WHERE execution_id = '$id'"), 2;
}

sub drained
{
	return map { decode_json($_) } split /\n/, $broker->peer('drain', 'work');
}

$node->safe_psql('postgres', <<"SQL");
SELECT mistral.set_secret('rabbit', 'guest');
SELECT mistral.load_workflow(\$\$
version: '2.0'
send:
  input: [input, {seconds: 50}]
  tasks:
    t:
      action: std.amqp
      input: <% \$.input %>
      timeout: <% \$.seconds %>
sealed:
  tasks:
    t:
      action: std.amqp
      input:
        url: "amqp://guest:<% secret(rabbit) %>\@127.0.0.1:$broker->{port}/%2F"
        routing_key: work
        body: sealed
many:
  input: [n]
  tasks:
    t:
      with-items: i in <% range(\$.n) %>
      action: std.amqp
      input:
        url: $url
        routing_key: work
        body: {i: <% \$.i %>}
      safe-rerun: true
      timeout: 600
\$\$);
SQL

# ---- one message

my ($state, $result) = publish({ body => { text => 'say "so" \\ %' }, headers => { colour => 'red', size => 3, last => JSON::PP::true }, reply_to => 'answers' });
is($state, 'SUCCESS', 'a message is confirmed') or diag $result;
my $confirmed = decode_json($result);
my ($message) = drained();
is($message->{id}, $confirmed->{message_id}, 'its id is the action\'s');
is($message->{correlation}, $message->{id}, 'and what an answer is known by');
is_deeply(decode_json($message->{body}), { text => 'say "so" \\ %' }, 'an object is sent as JSON');
is($message->{type}, 'application/json', 'and says so');
is_deeply($message->{headers}, { colour => 'red', size => 3, last => JSON::PP::true }, 'with its headers');
is($message->{mode}, 2, 'and outlives the broker');
($state, $result) = publish({ body => 'plain', content_type => 'text/x-plain', persistent => JSON::PP::false });
($message) = drained();
is("$message->{body} $message->{type} $message->{mode}", 'plain text/x-plain 1', 'a text is sent as it is');

# ---- what goes wrong

($state, $result) = publish({ routing_key => 'nobody', body => 1 });
is("$state $result", 'ERROR no queue takes messages of this exchange and routing key', 'a message that no queue takes is an error');
($state, $result) = publish({ routing_key => 'nobody', body => 1, mandatory => JSON::PP::false });
is($state, 'SUCCESS', 'unless that is allowed');
($state, $result) = publish({ exchange => 'nowhere', body => 1 });
like("$state $result", qr/^ERROR NOT_FOUND - no exchange 'nowhere'/, 'so is an exchange that is not there');
($state, $result) = publish({ body => 'still' });
is($state, 'SUCCESS', 'which others do not suffer from') or diag $result;
($state, $result) = publish({ url => $broker->url('wrong'), body => 1 });
like("$state $result", qr/^ERROR the broker says: ACCESS_REFUSED/, 'a wrong password is an error');
unlike($result, qr/wrong/, 'that does not tell it');
($state, $result) = publish({ url => 'http://127.0.0.1/', body => 1 });
like("$state $result", qr/^ERROR the URL is not of the form/, 'so is another URL');
($state, $result) = publish({ url => "amqp://guest:guest\@127.0.0.2:$broker->{port}/%2F", body => 1 });
like("$state $result", qr/^ERROR .*address 127\.0\.0\.2 is not allowed/, 'the egress rules hold');
drained();
my $sealed = $node->safe_psql('postgres', "SELECT mistral.start_workflow('sealed')");
ok(wait_for(sub { execution($sealed) eq 'SUCCESS' }), 'the password may be a secret');
drained();

# ---- TLS

my %tls = (url => $broker->tls_url('localhost'), ca_filename => 'ours', body => 'sealed');
($state, $result) = publish({%tls});
is($state, 'SUCCESS', 'a message through TLS') or diag $result;
($message) = drained();
is($message->{body}, 'sealed', 'arrives');
my $large = 'x' x 3000000;
($state, $result) = publish({ %tls, body => $large });
is($state, 'SUCCESS', 'a large one') or diag $result;
is((drained())[0]->{body} eq $large, 1, 'arrives whole');
($state, $result) = publish({ %tls, url => $broker->tls_url('127.0.0.1') });
like("$state $result", qr/^ERROR the broker's certificate is not trusted: .*mismatch/, 'a certificate for another name is refused');
($state, $result) = publish({ %tls, ca_filename => 'stranger' });
like("$state $result", qr/^ERROR the broker's certificate is not trusted: /, 'so is one of another authority');
($state, $result) = publish({ %tls, ca_filename => undef });
like("$state $result", qr/^ERROR the broker's certificate is not trusted: /, 'and one that the system does not know');
($state, $result) = publish({ %tls, ca_filename => 'nothing' });
like("$state $result", qr/^ERROR the certificates to be trusted \(ca_filename\) cannot be read$/, 'a file that is not there');
($state, $result) = publish({ %tls, ca_filename => '../ca/ours' });
like("$state $result", qr/^ERROR ca_filename and certificate_filename must be names of files/, 'a file elsewhere');
($state, $result) = publish({ %tls, url => $url });
like("$state $result", qr/^ERROR ca_filename and certificate_filename are for amqps$/, 'without TLS');
($state, $result) = publish({ %tls, url => $broker->tls_url('localhost', 'wrong') });
like("$state $result", qr/^ERROR the broker says: ACCESS_REFUSED/, 'a wrong password');
($state, $result) = publish({ %tls, url => "amqps://guest:guest\@localhost:$broker->{port}/%2F" }, seconds => 5);
like("$state $result", qr/^ERROR .*no TLS connection/, 'a broker that does not speak TLS');
($state, $result) = publish({ %tls, url => "amqps://guest:guest\@127.0.0.2:$broker->{tls_port}/%2F" });
like("$state $result", qr/^ERROR .*address 127\.0\.0\.2 is not allowed/, 'the egress rules hold');
drained();
($state, $result) = publish({ %tls, certificate_filename => 'client' });
is($state, 'SUCCESS', 'with a certificate of our own') or diag $result;
($state, $result) = publish({ %tls, certificate_filename => 'nobody' }, seconds => 5);
is($state, 'ERROR', 'which the broker looks at') or diag $result;
is(scalar(drained()), 1, 'one message has arrived');

# ---- many, and a broker that is killed

my $begin = time;
my $id = $node->safe_psql('postgres', "SELECT mistral.start_workflow('many', '{\"n\": $messages}')");
my $done = "SELECT count(*) FROM mistral.action_executions WHERE execution_id = '$id' AND state = 'SUCCESS'";
ok(wait_for(sub { $node->safe_psql('postgres', $done) > $messages / 5 }, 120), 'messages are on their way');
$broker->kill;
my $before = $node->safe_psql('postgres', $done);
cmp_ok($before, '<', $messages, "the broker is killed when $before are confirmed");
ok($broker->start, 'and started again');
ok(wait_for(sub { execution($id) =~ /SUCCESS|ERROR/ }, 300), 'all come to an end');
is(execution($id), 'SUCCESS', 'a good one');
note sprintf '%d messages in %.1f s, the broker\'s restart included', $messages, time - $begin;
my %seen;
my %ids;
foreach my $got (drained())
{
	$seen{ decode_json($got->{body})->{i} }{ $got->{id} }++;
	$ids{ $got->{id} }++;
}
is(scalar(keys %seen), $messages, 'none is lost');
is(scalar(grep { keys %$_ > 1 } values %seen), 0, 'those that came twice have the same id');
note scalar(grep { $_ > 1 } values %ids) . ' came twice';

# ---- what comes back: events, notifications, answers

$broker->peer('declare', $_) foreach qw(events oslo answers);
$node->safe_psql('postgres', <<"SQL");
SELECT mistral.add_source('orders', 'mistral_amqp', 'events',
  jsonb_build_object('url', 'amqp://guest\@127.0.0.1:$broker->{port}/%2F', 'password_secret', 'rabbit', 'queue', 'events', 'event', 'order'));
SELECT mistral.add_source('notices', 'mistral_amqp', 'oslo', '{"url": "$url", "queue": "oslo"}');
SELECT mistral.add_source('replies', 'mistral_amqp', 'answers', '{"url": "$url", "queue": "answers"}');
SELECT mistral.load_workflow(\$\$
version: '2.0'
noted:
  input: [what, n]
  tasks:
    t: {action: std.noop}
asked:
  output: {answer: <% \$.answer %>}
  tasks:
    t:
      action: std.async_noop
      publish: {answer: <% task().result %>}
\$\$);
SELECT mistral.create_event_trigger('orders', 'noted', 'order', input => '{"what": "order", "n": "<% \$.payload.i %>"}');
SELECT mistral.create_event_trigger('notices', 'noted', 'compute.instance.create.end', input => '{"what": "notice", "n": "<% \$.payload.i %>"}');
SQL
my $noted = "SELECT count(*), count(DISTINCT input ->> 'n') FROM mistral.executions WHERE workflow_name = 'noted' AND input ->> 'what' = ";
my $events = int($messages / 10);
$broker->peer('send', 'events', $events);
ok(wait_for(sub { $node->safe_psql('postgres', "$noted 'order'") =~ /^(\d+)/ && $1 > $events / 4 }, 120), 'messages become events');
$broker->kill;
ok($broker->start, 'over a broker that is killed');
$node->restart('immediate');
ok(wait_for(sub { $node->safe_psql('postgres', "$noted 'order'") =~ /\|$events$/ }, 180), 'and a server: none is lost')
  or diag $node->safe_psql('postgres', "$noted 'order'");
is($node->safe_psql('postgres', "$noted 'order'"), "$events|$events", 'and each counts once');
$broker->peer('send', 'events', 1);
$broker->peer('send', 'events', 1);
$broker->peer('send_oslo', 'oslo', 5);
ok(wait_for(sub { $node->safe_psql('postgres', "$noted 'notice'") eq '5|5' }, 60), 'notifications of OpenStack are events');
is($node->safe_psql('postgres', "$noted 'order'"), "$events|$events", 'a message that comes again is none');
$broker->peer('declare', 'sealed');
$node->safe_psql('postgres', <<"SQL");
SELECT mistral.add_source('sealed', 'mistral_amqp', 'events', jsonb_build_object('url', 'amqps://guest\@localhost:$broker->{tls_port}/%2F',
  'password_secret', 'rabbit', 'ca_filename', 'ours', 'certificate_filename', 'client', 'queue', 'sealed', 'event', 'sealed'));
SELECT mistral.create_event_trigger('sealed', 'noted', 'sealed', input => '{"what": "sealed", "n": "<% \$.payload.i %>"}');
SQL
$broker->peer('send', 'sealed', 100);
ok(wait_for(sub { $node->safe_psql('postgres', "$noted 'sealed'") eq '100|100' }, 60), 'a queue is read through TLS');
my $since = -s $node->logfile;
$node->safe_psql('postgres', qq{SELECT mistral.add_source('doubtful', 'mistral_amqp', 'events', jsonb_build_object('url', '} . $broker->tls_url('127.0.0.1') .
	q{', 'ca_filename', 'ours', 'queue', 'sealed', 'event', 'sealed'))});
ok(wait_for(sub { log_since($node, $since) =~ /source "doubtful" has no connection, and tries again: the broker's certificate is not trusted/ }, 60), 'but not of just anybody');
my $asked = $node->safe_psql('postgres', "SELECT mistral.start_workflow('asked')");
my $action = '';
ok(wait_for(sub { $action = $node->safe_psql('postgres', "SELECT id FROM mistral.action_executions WHERE execution_id = '$asked'") }), 'an action waits');
$broker->peer('reply', 'answers', $action, '{"result": {"n": 7}}');
ok(wait_for(sub { execution($asked) eq 'SUCCESS' }, 60), 'and an answer completes it');
is($node->safe_psql('postgres', "SELECT output #>> '{answer,n}' FROM mistral.executions WHERE id = '$asked'"), '7', 'with its result');
my $offset = -s $node->logfile;
$broker->peer('reply', 'answers', 'nonsense', '1');
ok(wait_for(sub { log_since($node, $offset) =~ /a delivery of source "replies" was refused: it names no action/ }, 60), 'one that means nothing is refused');
ok(wait_for(sub { $node->safe_psql('postgres', 'SELECT 1') }), 'and the rest goes on');
$node->safe_psql('postgres', "SELECT mistral.delete_source(name) FROM mistral.sources");

# A broker that begins a message, does not end it, and sends heartbeats: it may have the connection for some time, not for ever.
my ($to, $from);
my $pid = open2($from, $to, $ENV{PYTHON} // 'python3', "$FindBin::Bin/../../lib/stuck_broker.py");
chomp(my $stuck = readline $from);
$offset = -s $node->logfile;
$node->safe_psql('postgres', "SELECT mistral.create_event_trigger('whole', 'noted', 'whole', input => '{\"what\": \"whole\", \"n\": 1}');
	SELECT mistral.add_source('halves', 'mistral_amqp', 'events', '{\"url\": \"amqp://guest:guest\@127.0.0.1:$stuck/%2F\", \"queue\": \"q\", \"event\": \"whole\"}')");
ok(wait_for(sub { log_since($node, $offset) =~ /source "halves" has no connection, and tries again: the broker began a message, and did not end it in time/ }, 60),
	'half a message is waited for');
ok(wait_for(sub { $node->safe_psql('postgres', q{SELECT count(*) FROM mistral.executions WHERE input ->> 'what' = 'whole'}) eq '1' }, 60),
	'and not for ever: the next connection brings a whole one');
$node->safe_psql('postgres', "SELECT mistral.delete_source(name) FROM mistral.sources");
close $to;
waitpid $pid, 0;

$node->stop;
is(scalar(map { split /\n/, $broker->peer('drain', $_) } qw(events oslo answers sealed)), 0, 'nothing is left in the queues');
done_testing();

END
{
	$broker->stop if $broker;
}
