# std.http against a real nginx: connections that are kept, HTTP/2, gzip, an upstream that is dead, a body that is too
# large, and two thousand requests over a reload and a restart.
use strict;
use warnings;

use IO::Socket::INET;
use IPC::Run;
use JSON::PP;
use List::Util qw(uniq);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use MistralTest;

local $ENV{PATH} = "$ENV{PATH}:/usr/sbin";
my ($nginx) = grep { -x } map { "$_/nginx" } split /:/, $ENV{PATH};
plan skip_all => 'nginx is not installed' unless $nginx;

my $requests = 2000;
my $dir = PostgreSQL::Test::Utils::tempdir();
my ($plain, $tls, $upstream) = map { PostgreSQL::Test::Cluster::get_free_port() } 1 .. 3;
my $url = "http://127.0.0.1:$plain";
my $large = encode_json({ rows => [ map { { n => $_, name => "row $_" } } 1 .. 2000 ] });
my $server;

certificates();
append_to_file("$dir/large.json", $large);
configure(0);
ok(start_nginx(), 'an nginx starts') or BAIL_OUT(slurp_file("$dir/error.log"));

my $node = new_server('nginx', "mistral.http_allow = '127.0.0.1/32'", "mistral.max_result_size = '1MB'");
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION mistral;
SELECT mistral.load_workflow($$
version: '2.0'
ask:
  input: [input]
  tasks:
    t: {action: std.http, input: <% $.input %>}
in_a_row:
  input: [url]
  output: {seen: <% task(t).result.content %>}
  tasks:
    t:
      with-items: i in <% range(10) %>
      concurrency: 1
      action: std.http url=<% $.url %>
persistent:
  input: [url]
  output: {status: <% task(t).result.status %>}
  tasks:
    t:
      action: std.http url=<% $.url %>
      retry: {count: 100, delay: 1}
many:
  input: [url, n]
  tasks:
    t:
      with-items: i in <% range($.n) %>
      workflow: one
      input: {url: <% $.url %>, i: <% $.i %>}
one:
  input: [url, i]
  tasks:
    t:
      action: std.http
      input:
        url: <% $.url %>?i=<% $.i %>
      safe-rerun: true
      retry: {count: 20, delay: 1}
$$);
SQL
ok(wait_for_workers($node, 'postgres'), 'the workers are there');

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub start
{
	my ($workflow, %input) = @_;
	my $json = encode_json(\%input);
	return sql("SELECT mistral.start_workflow('$workflow', convert_from('\\x" . unpack('H*', $json) . "', 'UTF8')::jsonb)");
}

# How an execution has ended, and what its last action gave.
sub ended
{
	my ($id) = @_;
	my $state = sql("SELECT mistral.wait_workflow('$id', '60 s')");
	my $result = sql("SELECT output -> 'result' FROM mistral.action_executions WHERE execution_id = '$id' ORDER BY created_at DESC, id DESC LIMIT 1");
	return ($state, JSON::PP->new->allow_nonref->decode($result));
}

sub ask { return ended(start('ask', input => {@_})) }

# ---- single requests

my $id = start('in_a_row', url => "$url/echo");
is(sql("SELECT mistral.wait_workflow('$id', '60 s')"), 'SUCCESS', 'ten requests one after the other');
my @seen = @{ decode_json(sql("SELECT output -> 'seen' FROM mistral.executions WHERE id = '$id'")) };
is_deeply([ map { $_->{request} } @seen ], [ 1 .. 10 ], 'go over a connection that is kept');
is(scalar(uniq(map { $_->{connection} } @seen)), 1, 'which is one');
my ($state, $result) = ask(url => "$url/echo", method => 'POST', json => {});
is($result->{content}{request}, 1, 'one that may not be repeated has a connection of its own');

($state, $result) = ask(url => "https://127.0.0.1:$tls/echo");
is($state, 'ERROR', 'a certificate of an authority that nobody knows');
like($result, qr/certificate/, 'is refused');
($state, $result) = ask(url => "https://127.0.0.1:$tls/echo", ca => slurp_file("$dir/ca.pem"));
is($state, 'SUCCESS', 'with the authority in "ca" it is accepted') or diag explain $result;
is($result->{content}{protocol}, 'HTTP/2.0', 'and HTTP/2 is spoken');
($state, $result) = ask(url => "https://localhost:$tls/echo", ca => slurp_file("$dir/ca.pem"));
is($state, 'ERROR', 'but not for another name');

($state, $result) = ask(url => "$url/large.json");
is_deeply($result->{content}, decode_json($large), 'a compressed response is the same as any other');
my ($line) = grep { $_->{path} eq '/large.json' } log_lines();
cmp_ok($line->{bytes}, '<', length($large) / 3, 'and has come compressed');

($state, $result) = ask(url => "$url/small", method => 'POST', body => 'x' x 1000);
is("$state $result->{status}", 'SUCCESS 200', 'a body of the size that is allowed');
($state, $result) = ask(url => "$url/small", method => 'POST', body => 'x' x 500_000);
is("$state $result->{status} $result->{reason}", 'ERROR 413 Request Entity Too Large', 'one that is too large is an error that says so');
like($result->{content}, qr/<h1>413/, 'with the page that came');

# ---- an upstream that is dead at first

$id = start('persistent', url => "$url/upstream");
my $bad_gateways = sub { return scalar grep { $_->{path} eq '/upstream' && $_->{status} == 502 } log_lines() };
ok(wait_for(sub { $bad_gateways->() >= 2 }, 30), 'a gateway without its upstream is asked again');
is(sql("SELECT DISTINCT output -> 'result' ->> 'status' FROM mistral.action_executions WHERE execution_id = '$id' AND state = 'ERROR'"), 502, '502 is an error');
configure(1);
reload();
($state, $result) = ended($id);
is("$state $result->{status}", 'SUCCESS 200', 'until the upstream is there');
is(sql("SELECT count(*) FROM mistral.action_executions WHERE execution_id = '$id'"), $bad_gateways->() + 1, 'and no more often');

# ---- two thousand over a reload and a restart

my $among = 'FROM mistral.action_executions a JOIN mistral.executions e ON e.id = a.execution_id WHERE e.root_execution_id =';
$id = start('many', url => "$url/queued", n => $requests);
ok(wait_for(sub { served() >= $requests / 5 }, 30), 'a part is served');
my @before = nginx_workers();
reload();
ok(wait_for(sub { my %new = map { $_ => 1 } nginx_workers(); %new && !grep { $new{$_} } @before }, 30), 'nginx is reloaded: other processes serve');
ok(wait_for(sub { served() >= $requests / 2 }, 30), 'a half is served');
stop_nginx();
cmp_ok(served(), '<', $requests, 'nginx is stopped in the middle');
ok(wait_for(sub { sql("SELECT EXISTS (SELECT $among '$id' AND a.state = 'ERROR')") eq 't' }, 30), 'requests fail');
ok(start_nginx(), 'it is started again');
is(sql("SELECT mistral.wait_workflow('$id', '60 s')"), 'SUCCESS', 'all of them end in success');

my @log = grep { $_->{path} =~ m{^/queued} && $_->{status} == 200 } log_lines();
my (%of_item, %of_key);
$of_item{ $_->{path} }++, $of_key{ $_->{key} }++ foreach @log;
is(scalar keys %of_item, $requests, 'none is lost');
is(scalar(grep { $_ > 1 } values %of_key), 0, 'no attempt is served twice');
my %asked = map { split /\|/ }
  split /\n/, sql("SELECT a.id, a.state $among '$id' AND a.name = 'std.http'");
is(scalar(grep { $_ eq 'SUCCESS' } values %asked), $requests, 'each has one answer');
is_deeply([ grep { !exists $asked{$_} } keys %of_key ], [], 'and nothing is served that was not asked for');
# What is served more often was repeated because its answer never came.
is(scalar(grep { $asked{$_} eq 'SUCCESS' } keys %of_key), $requests, 'nothing is repeated that had its answer');
note(sprintf '%d served, %d asked', scalar @log, scalar keys %asked);

$node->stop;
done_testing();

END
{
	stop_nginx();
}

# ---- nginx, as an ordinary user, with all that it writes in a directory of ours

sub certificates
{
	my $out;
	my $make = sub { IPC::Run::run([ 'openssl', @_ ], '>', \$out, '2>&1') or die "openssl: $out" };

	append_to_file("$dir/names", "subjectAltName = IP:127.0.0.1\n");
	$make->('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=an authority', '-keyout', "$dir/ca.key", '-out', "$dir/ca.pem");
	$make->('req', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=a server', '-keyout', "$dir/tls.key", '-out', "$dir/tls.csr");
	$make->('x509', '-req', '-in', "$dir/tls.csr", '-CA', "$dir/ca.pem", '-CAkey', "$dir/ca.key", '-CAcreateserial', '-days', '2', '-extfile', "$dir/names",
		'-out', "$dir/tls.pem");
	return;
}

# With the upstream, or without.  limit_req lets requests wait in nginx, so that some are there whenever something happens to it.
sub configure
{
	my ($with_upstream) = @_;
	my $second = $with_upstream ? "server { listen 127.0.0.1:$upstream; location / { return 200 '{}'; } }" : '';

	unlink "$dir/conf";
	append_to_file("$dir/conf", <<"CONF");
daemon off; worker_processes 2; pid $dir/pid; error_log $dir/error.log warn;
events { worker_connections 1024; }
http {
  log_format lines '{"path": "\$request_uri", "status": \$status, "key": "\$http_idempotency_key", "bytes": \$body_bytes_sent}';
  access_log $dir/access.log lines;
  client_body_temp_path $dir/1; proxy_temp_path $dir/2; fastcgi_temp_path $dir/3; uwsgi_temp_path $dir/4; scgi_temp_path $dir/5;
  default_type application/json;
  types { application/json json; }
  gzip on; gzip_types application/json; gzip_proxied any;
  limit_req_zone \$server_port zone=queue:1m rate=200r/s;
  server {
    listen 127.0.0.1:$plain; listen 127.0.0.1:$tls ssl http2;
    ssl_certificate $dir/tls.pem; ssl_certificate_key $dir/tls.key;
    root $dir;
    location = /echo { return 200 '{"connection": \$connection, "request": \$connection_requests, "protocol": "\$server_protocol"}'; }
    location = /large.json { }
    location = /small { client_max_body_size 1k; return 200 '{}'; }
    location = /upstream { proxy_pass http://127.0.0.1:$upstream; access_log $dir/access.log lines; }
    location = /queued { limit_req zone=queue burst=1000; limit_req_log_level info; try_files /one.json =404; }
  }
  $second
}
CONF
	append_to_file("$dir/one.json", '{}') unless -e "$dir/one.json";
	return;
}

# True when it answers.
sub start_nginx
{
	$server = IPC::Run::start([ $nginx, '-p', $dir, '-e', "$dir/error.log", '-c', "$dir/conf" ], '<', \undef, '>', "$dir/out", '2>&1');
	return wait_for(sub { -s "$dir/pid" && IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $plain, Timeout => 1) }, 20);
}

sub stop_nginx
{
	return unless $server;
	$server->signal('TERM');
	$server->finish;
	$server = undef;
	return;
}

sub reload
{
	my $out;
	IPC::Run::run([ $nginx, '-p', $dir, '-e', "$dir/error.log", '-c', "$dir/conf", '-s', 'reload' ], '>', \$out, '2>&1') or die "reload: $out";
	return;
}

sub nginx_workers
{
	my $pid = slurp_file("$dir/pid");
	return split /\n/, `pgrep -P $pid`;
}

sub log_lines
{
	return map { decode_json($_) } grep { /\}$/ } split /\n/, -e "$dir/access.log" ? slurp_file("$dir/access.log") : '';
}

sub served
{
	return scalar(() = slurp_file("$dir/access.log") =~ m{"/queued[^"]*", "status": 200,}g);
}
