# HTTP actions against a server that does everything wrong: each request ends in
# the state it should, says why, and leaves the others and the process alone.
#
# Actions are put into mistral.dispatch by hand (in prepared transactions, whose
# COMMIT PREPARED wakes the workers), so that this test is about the executor
# and nothing else; the WAL, decoded, has the messages that come back, also those
# that are written without a statement, which triggers do not see.
use strict;
use warnings;

use FindBin;
use IO::Socket::INET;
use IPC::Open2;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

use MistralTest;

my $json = JSON::PP->new->allow_nonref->canonical->utf8;
my %servers;
my $transactions = 0;

# A hostile server, for the life of this test; returns its port.
sub hostile
{
	my @options = @_;
	my $pid = open2(my $out, my $in, $ENV{PYTHON} // 'python3', "$FindBin::Bin/../../lib/hostile_http.py", @options);
	my $port = <$out>;

	die "the hostile server did not start" unless $port;
	chomp $port;
	$servers{$port} = [ $pid, $in, $out ];
	return $port;
}

my $port = hostile();
my $other = hostile('--address', '127.0.0.2');
my $url = "http://127.0.0.1:$port";

# Whoever starts the server may have these; no request may follow them.
$ENV{http_proxy} = $ENV{https_proxy} = $ENV{all_proxy} = 'http://127.0.0.1:1/';

my $node = new_server('http', 'max_prepared_transactions = 10', "mistral.max_result_size = '1MB'",
	'log_min_messages = debug1', 'wal_level = logical');
$node->start;
$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION mistral;
	CREATE TABLE public.answers (message uuid PRIMARY KEY, action_id uuid, attempt int, state text, result jsonb);
	SELECT pg_create_logical_replication_slot('answers', 'test_decoding');
	ALTER TABLE mistral.message REPLICA IDENTITY FULL;
	-- One that its own transaction has taken back is none.  After a crash the slot may give again what it has given before.
	CREATE FUNCTION public.take_answers() RETURNS void LANGUAGE sql AS $$
		WITH change AS MATERIALIZED (
			SELECT xid, data, substring(data FROM ': (\w+): ') AS operation,
				   substring(data FROM ' id\[uuid\]:''([^'']*)''')::uuid AS message
			  FROM pg_logical_slot_get_changes('answers', NULL, NULL)
			 WHERE data ~ '^table mistral\.message: (INSERT|DELETE): .* kind\[text\]:''action'' ')
		INSERT INTO public.answers
		SELECT message, substring(data FROM ' target_id\[uuid\]:''([^'']*)''')::uuid,
			   substring(data FROM ' attempt\[integer\]:(-?\d+)')::int, payload ->> 'state', payload -> 'result'
		  FROM change c,
			   CAST(replace(substring(data FROM ' payload\[jsonb\]:''(.*)''$'), '''''', '''') AS jsonb) AS payload
		 WHERE operation = 'INSERT'
		   AND NOT EXISTS (SELECT FROM change d WHERE d.operation = 'DELETE' AND d.message = c.message AND d.xid = c.xid)
		ON CONFLICT (message) DO NOTHING
	$$;
	CREATE ROLE tenant;
});
ok(wait_for_workers($node, 'postgres'), 'the workers are there');

sub sql { return $node->safe_psql('postgres', $_[0]) }

# The same, of the answers that have come until now.
sub seen { return sql("DO 'BEGIN PERFORM public.take_answers(); END'; $_[0]") }

# Puts one action into the queue for each hash; returns their ids.
sub dispatch
{
	my (@actions) = @_;
	my $name = 'dispatch' . ++$transactions;
	my @ids;

	foreach my $action (@actions)
	{
		push @ids, sprintf('%08x-0000-7000-8000-%012x', $transactions, scalar @ids);
		$action->{id} = $ids[-1];
	}
	my $rows = $json->encode(\@actions);
	sql(qq{
		BEGIN;
		INSERT INTO mistral.dispatch (id, root_id, action_id, attempt, performer, owner, action, safe_rerun,
			timeout, created_at, headers, input)
		SELECT id, id, id, 1, 'http', coalesce(owner, 10), coalesce(action, 'std.http'), coalesce(safe_rerun, false),
			timeout, now(), '{"Mistral-Workflow-Name": "test"}', input
		FROM jsonb_to_recordset(\$rows\$$rows\$rows\$) AS
			x (id uuid, owner oid, action text, safe_rerun bool, timeout int, input jsonb);
		PREPARE TRANSACTION '$name';
		COMMIT PREPARED '$name';
	});
	return @ids;
}

# The answers to these ids, in order; undef for one that has none after $seconds.
sub answers
{
	my ($seconds, @ids) = @_;
	my $list = join(',', map { "'$_'" } @ids);

	wait_for(sub { seen("SELECT count(DISTINCT action_id) FROM public.answers WHERE action_id IN ($list)") == @ids },
		$seconds);
	my %found;
	foreach my $line (
		split /\n/,
		sql("SELECT json_build_object('id', action_id, 'attempt', attempt, 'state', state, 'result', result)
			FROM public.answers WHERE action_id IN ($list)"))
	{
		my $answer = $json->decode($line);
		die "two answers for $answer->{id}" if $found{ $answer->{id} };
		$found{ $answer->{id} } = $answer;
	}
	return map { $found{$_} } @ids;
}

# Sends requests (hashes of parameters), returns their answers.
sub request
{
	my @inputs = @_;

	return answers(30, dispatch(map { { input => { timeout => 10, %$_ } } } @inputs));
}

# Sends one and returns the server's account of it.
sub echoed
{
	my (%input) = @_;
	my ($answer) = request({ url => "$url/echo", %input });

	die $json->encode($answer) unless ref $answer->{result} && ref $answer->{result}{content};
	return $answer->{result}{content};
}

sub executor_status
{
	my ($field) = @_;
	my $pid = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'mistral executor' AND datname = 'postgres'");
	my $sum = 0;

	# The executor, and the program that sends for it.
	foreach my $process ($pid, split /\n/, `pgrep -P $pid -x mistral_http`)
	{
		$sum += $field eq 'fds' ? scalar(() = glob("/proc/$process/fd/*")) :
		  slurp_file("/proc/$process/status") =~ /^$field:\s+(\d+)/m ? $1 : 0;
	}
	return $sum;
}

my $failed = 'Failed to send HTTP request:';

subtest 'what may be reached' => sub {
	my ($code, $out, $err);

	foreach my $bad ('10.0.0.1/8', 'localhost', '10.0.0.0/33', '::/129', '1.2.3', '10.0.0.0/x', '10.0.0.0/')
	{
		($code, $out, $err) = $node->psql('postgres', "ALTER SYSTEM SET mistral.http_deny = '127.0.0.0/8', '$bad'");
		like($err, qr/"\Q$bad\E" is not a network in CIDR form/, "$bad is refused when it is set");
	}

	my ($answer) = request({ url => "$url/echo" });
	is($answer->{state}, 'ERROR', 'the loopback address is denied by default');
	is($answer->{result}, "$failed address 127.0.0.1 is not allowed by mistral.http_deny", 'and the action says so');
	is(hits('127.0.0.1', $port), 0, 'nothing was sent');

	sql("ALTER SYSTEM SET mistral.http_allow = '127.0.0.1/32'");
	sql('SELECT pg_reload_conf()');
	ok(wait_for(sub { ((request({ url => "$url/echo" }))[0]{state} // '') eq 'SUCCESS' }), 'allowed, it is reached');

	# The connection of the request before is still open.
	sql("ALTER SYSTEM SET mistral.http_allow = ''");
	sql('SELECT pg_reload_conf()');
	ok( wait_for(sub { ((request({ url => "$url/echo" }))[0]{result} // '') =~ /not allowed/ }),
		'denied again, a kept connection does not help');
	sql("ALTER SYSTEM SET mistral.http_allow = '127.0.0.1/32'");
	sql('SELECT pg_reload_conf()');
	ok(wait_for(sub { ((request({ url => "$url/echo" }))[0]{state} // '') eq 'SUCCESS' }), 'and allowed once more');
	($answer) = request({ url => 'http://127.0.0.1:' . $node->port . '/' });
	is($answer->{result}, "$failed address 127.0.0.1, the database server, is not allowed by mistral.http_deny", "but not the server's own port");

	my @places = (
		"http://127.0.0.2:$other/", "http://[::ffff:127.0.0.2]:$other/", "http://[::ffff:7f00:2]:$other/",
		"http://2130706434:$other/", "http://0x7f.2:$other/", "http://0177.0.0.2:$other/",
		"http://0.0.0.0:$other/", "http://0:$other/", "http://[::1]:$other/", "http://[::]:$other/",
		"http://user\@127.0.0.2:$other/", "http://[64:ff9b::7f00:2]:$other/", "http://[::ffff:0:7f00:2]:$other/", "http://169.254.169.254/latest/meta-data/");
	my @answers = request(map { { url => $_ } } @places);
	like($answers[$_]{result}, qr/^$failed address \S+ is not allowed/, $places[$_]) foreach 0 .. $#places;
	@answers = request(map { { url => "$url/redirect/302?to=$_", allow_redirects => JSON::PP::true } } @places);
	like($answers[$_]{result}, qr/^$failed address \S+ is not allowed/, "redirect to $places[$_]") foreach 0 .. $#places;

	my @schemes = ('file:///etc/passwd', 'ftp://127.0.0.1/', 'gopher://127.0.0.1/', 'dict://127.0.0.1/', 'ldap://127.0.0.1/');
	@answers = request((map { { url => $_ } } @schemes),
		map { { url => "$url/redirect/302?to=$_", allow_redirects => JSON::PP::true } } @schemes);
	like($answers[$_]{result}, qr/^$failed .*only http and https URLs are allowed/, $schemes[ $_ % @schemes ])
	  foreach 0 .. 2 * @schemes - 1;
	is(hits('127.0.0.2', $other), 0, 'no request has reached the server that is denied');
};

subtest 'answers' => sub {
	my $size = qr/^$failed response is larger than mistral\.max_result_size \(1024 kB\)$/;
	my $e_acute = "\x{e9}";

	# path, state, what the result is (a pattern for failures, parts of it for answers), timeout
	my @table = (
		[ '/status/200', 'SUCCESS', { status => 200, reason => 'Some Reason', content => { status => 'given' } } ],
		[ '/status/204', 'SUCCESS', { status => 204 } ],
		[ '/status/299', 'SUCCESS', { status => 299 } ],
		[ '/status/306', 'SUCCESS', { status => 306 } ],
		[ '/status/307', 'ERROR', { status => 307, content => { status => 'given' } } ],
		[ '/status/400', 'ERROR', { status => 400 } ],
		[ '/status/404', 'ERROR', { status => 404 } ],
		[ '/status/503', 'ERROR', { status => 503, content => { status => 'given' } } ],
		[ '/basic', 'ERROR', { status => 401 } ],
		[ '/silence', 'ERROR', qr/^$failed timed out after 1500 ms while waiting for the answer$/, 1.5 ],
		[ '/close', 'ERROR', qr/^$failed (Empty reply|Connection died)/ ],
		[ '/slow-headers', 'ERROR', qr/^$failed timed out after 1500 ms/, 1.5 ],
		[ '/slow-body', 'ERROR', qr/^$failed timed out after 1500 ms while receiving the answer$/, 1.5 ],
		[ '/delay/1', 'SUCCESS', { content => 'late' } ],
		[ '/reset', 'ERROR', qr/^$failed / ],
		[ '/truncated', 'ERROR', qr/^$failed .*91 bytes remaining/ ],
		[ '/huge/20', 'ERROR', $size ],
		[ '/huge-length', 'ERROR', qr/^$failed timed out/, 1.5 ],
		[ '/sized/1048576', 'ERROR', $size ],
		[ '/sized/1000000', 'SUCCESS', { content => 'x' x 1000000 } ],
		[ '/gzip-good', 'SUCCESS', { content => { packed => JSON::PP::true } } ],
		[ '/gzip-bomb/200', 'ERROR', $size ],
		[ '/gzip-twice/20', 'ERROR', $size ],
		[ '/gzip-broken', 'ERROR', qr/^$failed Error while processing content unencoding/ ],
		[ '/chunked', 'SUCCESS', { content => 'hello world' } ],
		[ '/chunked-endless', 'ERROR', $size ],
		[ '/chunked-garbage', 'ERROR', qr/^$failed / ],
		[ '/garbage', 'ERROR', qr/^$failed Received HTTP\/0\.9/ ],
		[ '/no-content', 'SUCCESS', { status => 204, content => '' } ],
		[ '/no-content-with-body', 'SUCCESS', { status => 204, content => '' } ],
		[ '/informational', 'SUCCESS', { status => 200, content => 'after' } ],
		[ '/informational-flood', 'ERROR', qr/^$failed response has more than \d+ lines or 256 kB of headers$/ ],
		[ '/redirect-nowhere', 'SUCCESS', { status => 302, content => 'no location' } ],
		[ '/invalid-utf8', 'SUCCESS', { content => 'Y2Fm6SD//g==', content_encoding => 'base64' } ],
		[ '/nul', 'SUCCESS', { content => 'YmVmb3JlAGFmdGVy', content_encoding => 'base64' } ],
		[ '/binary', 'SUCCESS', { content_encoding => 'base64', encoding => undef } ],
		[ '/latin1', 'SUCCESS', { content => "caf$e_acute", encoding => 'ISO-8859-1' } ],
		[ '/latin1-undeclared', 'SUCCESS', { content => "caf$e_acute", encoding => 'ISO-8859-1' } ],
		[ '/utf8-undeclared', 'SUCCESS', { content => "caf$e_acute", encoding => 'utf-8' } ],
		[ '/windows1252', 'SUCCESS', { content => 'gCCB', content_encoding => 'base64' } ],
		[ '/charset-unknown', 'SUCCESS', { content => 'plain', encoding => 'no-such-charset' } ],
		[ '/utf16', 'SUCCESS', { content_encoding => 'base64' } ],
		[ '/bom', 'SUCCESS', { content => { a => 1 } } ],
		[ '/json-plain', 'SUCCESS', { content => { a => [ 1, 2.5, undef, JSON::PP::true, 'x' ] } } ],
		[ '/json-number', 'SUCCESS', { content => 5 } ],
		[ '/json-nul', 'SUCCESS', { content => '{"a": "x\u0000y"}' } ],
		[ '/json-surrogate', 'SUCCESS', { content => '{"a": "\ud800"}' } ],
		[ '/json-broken', 'SUCCESS', { content => '{"a": 1' } ],
		[ '/json-deep/400', 'SUCCESS', sub { ref $_[0]{content} eq 'ARRAY' } ],
		[ '/json-deep/100000', 'SUCCESS', { content => ('[' x 100000) . (']' x 100000) } ],
		[ '/json-exponent', 'SUCCESS', { content => '[1e131000, 1e-16000, 1e99999999999]' } ],
		[ '/json-digits/100000', 'SUCCESS', sub { !ref $_[0]{content} } ],
		[ '/json-many/1000', 'SUCCESS', sub { @{ $_[0]{content} } == 1001 } ],
		[ '/json-many/200000', 'ERROR', $size ],
		[ '/json-many/400000', 'ERROR', $size ],
		[ '/json-duplicates', 'SUCCESS', { content => { a => 2 } } ],
		[ '/header-big/90', 'SUCCESS', sub { length $_[0]{headers}{'X-Big'} == 90 * 1024 } ],
		[ '/header-big/1000', 'ERROR', qr/^$failed .*header/ ],
		[ '/header-many/1000', 'SUCCESS', sub { $_[0]{headers}{'X-999'} eq 'v' } ],
		[ '/header-many/10000', 'ERROR', qr/^$failed response has more than \d+ lines/ ],
		[ '/header-nul', 'ERROR', qr/^$failed Nul byte in header/ ],
		[ '/header-no-colon', 'ERROR', qr/^$failed Header without colon/ ],
		[ '/header-odd', 'SUCCESS',
			{   reason => "caf$e_acute",
				headers => { 'X-Two' => '1, 2', 'X-Fold' => 'a b', 'X-Empty' => '', 'X-Latin' => $e_acute, 'Content-Length' => '0' }
			}
		],
		[ '/cookies', 'SUCCESS', { cookies => { first => '1', second => 'two' } } ]);

	my $before = executor_status('VmRSS');
	my @answers = request(map { { url => "$url$_->[0]", $_->[3] ? (timeout => $_->[3]) : () } } @table);
	foreach my $i (0 .. $#table)
	{
		my ($path, $state, $expected) = @{ $table[$i] };
		my $result = $answers[$i]{result};

		is($answers[$i]{state}, $state, "$path: $state") or diag explain $result;
		if (ref $expected eq 'Regexp')
		{
			like($result, $expected, "$path: why");
		}
		elsif (ref $expected eq 'CODE')
		{
			ok(ref $result && $expected->($result), "$path: what") or diag substr($json->encode($result), 0, 500);
		}
		else
		{
			my %part = map { $_ => ref $result ? $result->{$_} : $result } keys %$expected;
			ok($json->encode(\%part) eq $json->encode($expected), "$path: what")
			  or diag substr($json->encode($result), 0, 500);
		}
	}
	cmp_ok(executor_status('VmRSS') - $before, '<', 50 * 1024, 'the executor did not grow by 50 MB');

	is_deeply([ sort keys %{ $answers[0]{result} } ],
		[qw(content cookies elapsed encoding headers history reason status url)], 'the result has the parts it should');
	is($answers[0]{result}{url}, "$url/status/200", 'its URL');
	is($answers[0]{result}{headers}{'Content-Type'}, 'application/json', 'headers as they came');
	cmp_ok($answers[13]{result}{elapsed}, '>=', 1, 'the time that passed');
	is($answers[0]{attempt}, 1, 'the message names the attempt');
};

subtest 'requests' => sub {
	my $true = JSON::PP::true;
	my $seen = echoed();

	is($seen->{method}, 'GET', 'GET by default');
	like($seen->{headers}{'idempotency-key'}, qr/^[0-9a-f-]{36}$/, 'every request has an idempotency key');
	is($seen->{headers}{'mistral-attempt'}, '1', 'says which attempt it is');
	is($seen->{headers}{'mistral-workflow-name'}, 'test', 'and has the headers of the engine');

	is(echoed(url => "$url/echo?z=1#f", params => { a => [ 1, 2 ], b => undef, c => $true, d => 'x y&/' })->{target},
		'/echo?z=1&a=1&a=2&c=True&d=x+y%26%2F', 'parameters join the query');
	is(echoed(params => 'raw=1&b=2 x')->{target}, '/echo?raw=1&b=2%20x', 'parameters as text');
	is(echoed(params => [ [ 'x', 1 ], [ 'x', 2 ] ])->{target}, '/echo?x=1&x=2', 'parameters as pairs');
	is(echoed(url => "  $url/echo/a b/\x{e9}")->{target}, '/echo/a%20b/%C3%A9', 'what no URL may hold is escaped');

	$seen = echoed(method => 'post', body => { a => 1, b => [ 1, undef ] });
	is($seen->{method}, 'POST', 'the method in upper case');
	is($seen->{body}, '{"a": 1, "b": [1, null]}', 'an object as body is JSON');
	is($seen->{headers}{'content-type'}, undef, 'without a media type, as in the original');
	$seen = echoed(method => 'PUT', json => [ 1, $true ]);
	is("$seen->{body} $seen->{headers}{'content-type'}", '[1, true] application/json', 'json has its media type');
	is(echoed(method => 'PUT', json => 1, headers => { 'content-type' => 'x/y' })->{headers}{'content-type'}, 'x/y', 'or another');
	is(echoed(method => 'POST', body => "t\x{e9}xt")->{body}, "t\x{e9}xt", 'text as it is');
	$seen = echoed(method => 'POST', body => [ [ 'a', 'b' ], [ 'c', 'd e' ] ]);
	is("$seen->{body} $seen->{headers}{'content-type'}", 'a=b&c=d+e application/x-www-form-urlencoded', 'pairs are form data');
	is(echoed(method => 'DELETE')->{headers}{'content-length'}, '0', 'no body has a length, too');
	is(echoed(method => 'GET', body => 'x')->{body}, 'x', 'a GET with a body');
	is(echoed(method => 'PROPFIND')->{method}, 'PROPFIND', 'any method');
	is((request({ url => "$url/echo", method => 'HEAD' }))[0]{result}{content}, '', 'HEAD has no content');

	$seen = echoed(headers => { A => 1, B => 1.5, C => $true, D => 'x', E => '', 'User-Agent' => 'me' })->{headers};
	is("$seen->{a} $seen->{b} $seen->{c} $seen->{d} '$seen->{e}' $seen->{'user-agent'}", "1 1.5 True x '' me", 'headers');
	is(echoed(headers => { 'Idempotency-Key' => 'mine' })->{headers}{'idempotency-key'}, 'mine', 'a key of the workflow\'s own');
	is(echoed(headers => { 'Mistral-Attempt' => '7' })->{headers}{'mistral-attempt'}, '1', 'but not an attempt');
	is(echoed(headers => { 'Content-Length' => '7' }, method => 'POST', body => 'abc')->{headers}{'content-length'}, '3',
		'nor a length that is wrong');
	is(echoed(cookies => { a => '1', b => 'x' })->{headers}{cookie}, 'a=1; b=x', 'cookies');
	is(echoed(auth => 'u:p')->{headers}{authorization}, 'Basic dTpw', 'auth');
	is(echoed(auth => 'u:p:q')->{headers}{authorization}, 'Basic dTpwOnE=', 'colons in a password');
	is(echoed(url => "http://u:p\@127.0.0.1:$port/echo")->{headers}{authorization}, 'Basic dTpw', 'userinfo');
	is((request({ url => "http://u:p\@127.0.0.1:$port/echo" }))[0]{result}{url}, "$url/echo", 'which is not given back');
	is(echoed(url => 'http://example.invalid/echo', proxies => { http => $url })->{target}, 'http://example.invalid/echo', 'a proxy');

	my @wrong = (
		[ { url => 'no-scheme' }, qr/the URL has no scheme/ ],
		[ { url => '' }, qr/the URL is empty/ ],
		[ { url => 'http://' }, qr/the URL/ ],
		[ { url => undef }, qr/"url" is not a string/ ],
		[ { url => [1] }, qr/"url" is not a string/ ],
		[ { method => "GET / HTTP/1.1\r\nX: y" }, qr/"method" is not an HTTP method/ ],
		[ { params => 5 }, qr/"params" is neither/ ],
		[ { params => [5] }, qr/"params" is neither/ ],
		[ { body => 'x', json => 1 }, qr/only one of "body" and "json"/ ],
		[ { body => ['x'] }, qr/"body" is a list, but not one of pairs/ ],
		[ { headers => 'x' }, qr/"headers" is not an object/ ],
		[ { headers => { A => "x\r\nB: y" } }, qr/header "A" has a line break/ ],
		[ { headers => { "A\r\nB" => 'y' } }, qr/the name of a header is not a token/ ],
		[ { headers => { A => [1] } }, qr/header "A" is neither a string nor a number/ ],
		[ { cookies => { a => "x\r\ny" } }, qr/a cookie has a line break/ ],
		[ { cookies => { a => 'x; b=y' } }, qr/cookie "a" has a name or a value that no cookie can have/ ],
		[ { cookies => 'a=b' }, qr/"cookies" is not an object/ ],
		[ { auth => 'nobody' }, qr/"auth" is not of the form user:password/ ],
		[ { timeout => 0 }, qr/"timeout" is not greater than zero/ ],
		[ { timeout => '5' }, qr/"timeout" is not a number/ ],
		[ { verify => '/etc/passwd' }, qr/"verify" is neither true nor false/ ],
		[ { allow_redirects => 'yes' }, qr/"allow_redirects" is neither true nor false/ ],
		[ { proxies => { http => 'socks5://127.0.0.1' } }, qr/a proxy is not an http or https URL/ ],
		[ { proxies => { http => "http://127.0.0.2:$other" } }, qr/address 127\.0\.0\.2 is not allowed/ ],
		[ { url => 'http://no-such-host.invalid/' }, qr/Could not resolve host/ ],
		[ { url => 'http://127.0.0.1:1/' }, qr/Failed to connect/ ]);
	my $sent = hits('127.0.0.1', $port);
	my @answers = request(map { { url => "$url/echo", %{ $_->[0] } } } @wrong);
	foreach my $i (0 .. $#wrong)
	{
		like($answers[$i]{result}, qr/^$failed .*${\$wrong[$i][1]}/, $json->encode($wrong[$i][0]));
	}
	is(hits('127.0.0.1', $port), $sent, 'none of them was sent');
};

subtest 'redirects' => sub {
	my $true = JSON::PP::true;
	my ($answer) = request({ url => "$url/redirect-chain/2" });

	is($answer->{result}{status}, 302, 'are not followed by default, as in the original');
	($answer) = request({ url => "$url/redirect-chain/3", allow_redirects => $true });
	is($answer->{result}{content}, 'arrived', 'are followed when asked');
	is($answer->{result}{url}, "$url/redirect-chain/0", 'to the last URL');
	is_deeply(
		$answer->{result}{history},
		[ map { { status => 302, url => "$url/redirect-chain/$_" } } 3, 2, 1 ],
		'with a history');
	($answer) = request({ url => "$url/redirect-chain/10", allow_redirects => $true });
	is($answer->{state}, 'SUCCESS', 'ten of them');
	foreach my $path ('redirect-chain/11', 'redirect-loop')
	{
		($answer) = request({ url => "$url/$path", allow_redirects => $true });
		is($answer->{result}, "$failed exceeded 10 redirects", "$path has an end");
	}

	my %methods = (
		301 => { GET => 'GET', POST => 'GET', PUT => 'PUT' },
		302 => { GET => 'GET', POST => 'GET', PUT => 'GET' },
		303 => { GET => 'GET', POST => 'GET', PUT => 'GET' },
		307 => { GET => 'GET', POST => 'POST', PUT => 'PUT' },
		308 => { GET => 'GET', POST => 'POST', PUT => 'PUT' });
	foreach my $status (sort keys %methods)
	{
		foreach my $method (sort keys %{ $methods{$status} })
		{
			my $seen = echoed(
				url => "$url/redirect/$status?to=/echo",
				method => $method,
				$method eq 'GET' ? () : (body => 'b'),
				allow_redirects => $true);
			my $body = $method ne 'GET' && $status >= 307 ? 'b' : '';
			is("$seen->{method} $seen->{body}", "$methods{$status}{$method} $body", "$method after $status");
		}
	}

	is(echoed(url => "$url/cookies-redirect", allow_redirects => $true)->{headers}{cookie}, 'hop=1', 'cookies of a hop go on');
	my $seen = echoed(
		url => "$url/redirect/302?to=http://localhost:$port/echo",
		allow_redirects => $true,
		auth => 'u:p',
		cookies => { a => 'b' },
		headers => { 'X-Key' => 'k' });
	is($seen->{headers}{host}, "localhost:$port", 'another host');
	is($seen->{headers}{$_}, undef, "does not get $_") foreach qw(authorization cookie);
	is($seen->{headers}{'x-key'}, 'k', 'but the other headers');
	is(echoed(url => "$url/redirect/302?to=/echo", allow_redirects => $true, auth => 'u:p')->{headers}{authorization},
		'Basic dTpw', 'the same host does');
};

subtest 'authentication' => sub {
	my ($right, $posted, $wrong, $basic, $bad) = request(
		{ url => "$url/digest", auth => { type => 'digest', user => 'ann', password => 'secret' } },
		{ url => "$url/digest", method => 'POST', body => 'x' x 5000, auth => { type => 'digest', user => 'ann', password => 'secret' } },
		{ url => "$url/digest", auth => { type => 'digest', user => 'ann', password => 'wrong' } },
		{ url => "$url/echo", auth => { user => 'u', password => 'p' } },
		{ url => "$url/echo", auth => { type => 'other', user => 'u', password => 'p' } });
	is($right->{state}, 'SUCCESS', 'digest');
	is(length($posted->{result}{content}{body}), 5000, 'with a body, sent after the challenge');
	is($wrong->{result}{status}, 401, 'with the wrong password');
	is($basic->{result}{content}{headers}{authorization}, 'Basic dTpw', 'basic, as an object');
	like($bad->{result}, qr/other than basic and digest/, 'no other');
};

subtest 'TLS' => sub {
	my $directory = PostgreSQL::Test::Utils::tempdir();
	my $made = eval {
		run_log([ 'openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost',
			'-keyout', "$directory/key", '-out', "$directory/certificate" ]);
	};
	plan skip_all => 'no openssl to make a certificate with' unless $made;

	append_to_file("$directory/certificate", slurp_file("$directory/key"));
	my $tls = hostile('--certificate', "$directory/certificate");
	my ($strict, $lax, $plain) = request(
		{ url => "https://127.0.0.1:$tls/echo" },
		{ url => "https://127.0.0.1:$tls/echo", verify => JSON::PP::false },
		{ url => "http://127.0.0.1:$tls/echo" });
	like($strict->{result}, qr/^$failed .*certificate/, 'a certificate that nobody signed is refused');
	is($lax->{state}, 'SUCCESS', 'unless the action says so');
	is($plain->{state}, 'ERROR', 'TLS where none is spoken');
	my $ca = slurp_file("$directory/certificate");
	my ($signed, $other_name, $no_ca) = request(
		{ url => "https://localhost:$tls/echo", ca => $ca },
		{ url => "https://127.0.0.1:$tls/echo", ca => $ca },
		{ url => "https://localhost:$tls/echo", ca => '/etc/ssl/certs/ca-certificates.crt' });
	is($signed->{state}, 'SUCCESS', 'the action may say who signs');
	like($other_name->{result}, qr/^$failed /, 'for the right name only');
	like($no_ca->{result}, qr/"ca" is not a certificate/, 'not by a path');
};

subtest 'rights' => sub {
	my $tenant = sql("SELECT oid FROM pg_roles WHERE rolname = 'tenant'");
	my ($answer) = answers(10, dispatch({ input => { url => "$url/echo" }, owner => $tenant }));

	is($answer->{state}, 'ERROR', 'who may not EXECUTE mistral.std_http(jsonb) may not send');
	is($answer->{result}, 'role "tenant" may not use std.http: GRANT EXECUTE ON FUNCTION mistral.std_http(jsonb) TO tenant allows it',
		'and learns what is missing');
	sql('GRANT EXECUTE ON FUNCTION mistral.std_http(jsonb) TO tenant');
	my ($http, $waits) = answers(10, dispatch(map { { input => { url => "$url/echo" }, owner => $tenant, action => $_ } }
		  qw(std.http std.mistral_http)));
	is($http->{state}, 'SUCCESS', 'granted, it may');
	like($waits->{result}, qr/may not use std\.mistral_http/, 'each action by itself');
	sql('REVOKE EXECUTE ON FUNCTION mistral.std_http(jsonb) FROM tenant; DROP ROLE tenant');
	($answer) = answers(10, dispatch({ input => { url => "$url/echo" }, owner => $tenant }));
	like($answer->{result}, qr/role $tenant, does not exist any more/, 'a role that is gone may nothing');
	is(sql('SELECT count(*) FROM mistral.attempt'), 0, 'what was refused left no attempt');

	foreach my $name (qw(std_http std_mistral_http))
	{
		my ($code, $out, $err) = $node->psql('postgres', "SELECT mistral.$name('{}')");
		like($err, qr/cannot be called as a function/, "mistral.$name is a guard, not a function");
	}
};

subtest 'std.mistral_http' => sub {
	my @ids = dispatch(map { { input => { url => "$url/$_" }, action => 'std.mistral_http' } }
		  qw(echo status/302 status/500 close));

	ok(wait_for(sub { sql('SELECT count(*) FROM mistral.attempt') == 0 && sql('SELECT count(*) FROM mistral.dispatch') == 0 }),
		'all were sent');
	my @answers = answers(1, @ids);
	is($answers[0], undef, 'taken, the action waits');
	is($answers[1], undef, 'redirected as well');
	is($answers[2]{state}, 'ERROR', 'an HTTP error ends it');
	is($answers[2]{result}{status}, 500, 'with the answer');
	like($answers[3]{result}, qr/^$failed/, 'and so does having no answer');

	# Only an error shows what was asked.
	my ($told, $elsewhere) = answers(
		10,
		dispatch(
			map { { input => { url => "$url/$_", allow_redirects => JSON::PP::true, headers => { 'Mistral-Token' => '1-0' } }, action => 'std.mistral_http' } }
			  'redirect/302?to=/forbid', "redirect/302?to=http://localhost:$port/forbid"));
	my $token = $told->{result}{content}{headers}{'mistral-token'};
	like($token, qr/^1-[0-9a-f]{32}$/, 'whom it asks has a token, and not one that the workflow made up');
	is($elsewhere->{result}{content}{headers}{'mistral-token'}, undef, 'but no other host');
	is(echoed()->{headers}{'mistral-token'}, undef, 'nor who has nothing to complete');
};

subtest 'time' => sub {
	my @answers = answers(10,
		dispatch(
			{ input => { url => "$url/silence" }, timeout => 1 },
			{ input => { url => "$url/silence", timeout => 0.25 }, timeout => 5 },
			{ input => { url => "$url/silence", timeout => 5 }, timeout => 1 }));

	like($answers[0]{result}, qr/timed out after 1000 ms/, 'the task\'s timeout bounds the request');
	like($answers[1]{result}, qr/timed out after 250 ms/, 'a shorter one of the request counts');
	like($answers[2]{result}, qr/timed out after 1000 ms/, 'a longer one does not');
};

subtest 'what others do meanwhile' => sub {
	my ($id) = dispatch({ input => { url => "$url/delay/1" } });

	ok(wait_for(sub { sql("SELECT count(*) FROM mistral.attempt WHERE action_id = '$id'") == 1 }), 'an attempt is under way');
	sql("DELETE FROM mistral.attempt WHERE action_id = '$id'");
	usleep(1_500_000);
	is(seen("SELECT count(*) FROM public.answers WHERE action_id = '$id'"), 0, 'cancelled, its answer is dropped');

	($id) = dispatch({ input => { url => "$url/delay/1" } });
	wait_for(sub { sql("SELECT count(*) FROM mistral.attempt WHERE action_id = '$id'") == 1 });
	my $session = $node->background_psql('postgres');
	$session->query_safe("BEGIN; SELECT 1 FROM mistral.attempt WHERE action_id = '$id' FOR UPDATE");
	usleep(1_300_000);
	my $start = time;
	my ($answer) = request({ url => "$url/echo" });
	is($answer->{state}, 'SUCCESS', 'a session that locks an attempt does not hold up others');
	cmp_ok(time - $start, '<', 2, 'at all');
	is(seen("SELECT count(*) FROM public.answers WHERE action_id = '$id'"), 0, 'that attempt waits');
	$session->query_safe('ROLLBACK');
	($answer) = answers(10, $id);
	is($answer->{state}, 'SUCCESS', 'until the lock is gone') or diag substr(slurp_file($node->logfile), -8000);

	$id = 'ffffffff-0000-7000-8000-000000000001';
	$session->query_safe("BEGIN; INSERT INTO mistral.message (id, root_id, kind, target_id, attempt, created_at)
		VALUES ('$id', '$id', 'held', '$id', 1, now())");
	sql(qq{BEGIN; INSERT INTO mistral.dispatch (id, root_id, action_id, attempt, performer, owner, action, safe_rerun, created_at, input)
		VALUES ('$id', '$id', '$id', 1, 'http', 10, 'std.http', false, now(), '{"url": "$url/echo"}');
		PREPARE TRANSACTION 'held'; COMMIT PREPARED 'held'});
	usleep(500_000);
	$start = time;
	my @answers = request(map { { url => "$url/echo" } } 1 .. 20);
	is(scalar(grep { $_ && $_->{state} eq 'SUCCESS' } @answers), 20, 'nor does one that holds back a completion');
	cmp_ok(time - $start, '<', 5, 'for long');
	$session->query_safe('COMMIT');
	$session->quit;
	ok(wait_for(sub { sql('SELECT count(*) FROM mistral.attempt') == 0 }), 'the completion that came first counts');
	is(seen("SELECT count(*) FROM public.answers WHERE action_id = '$id'"), 0, 'and the answer that came late is dropped');
};

# What all answers under way may hold together is 64 MB here.
my $size = qr/larger than mistral.max_result_size/;
my $largest = qr/hold more than 16 times mistral.max_result_size, and this is the largest of the role that has most/;

subtest 'an answer that is refused holds nothing' => sub {
	my $hits = hits('127.0.0.1', $port);
	my $fds = executor_status('fds');
	my $memory = executor_status('VmRSS');
	my $session = $node->background_psql('postgres');

	# Nothing is recorded until this ends.
	$session->query_safe('BEGIN; LOCK TABLE mistral.message IN SHARE MODE');
	my @ids = dispatch(map { { input => { url => "$url/chunked-endless", timeout => 30 } } } 1 .. 100);
	ok(wait_for(sub { hits('127.0.0.1', $port) == $hits + 100 && executor_status('fds') <= $fds }, 60), 'a hundred answers came');
	ok(wait_for(sub { executor_status('VmRSS') - $memory < 40 * 1024 }, 10), 'and are given up before they are recorded')
	  or diag executor_status('VmRSS') - $memory;
	my ($good) = dispatch({ input => { url => "$url/sized/500000", timeout => 30 } });
	ok(wait_for(sub { hits('127.0.0.1', $port) == $hits + 101 }, 60), 'one comes after them');
	$session->query_safe('ROLLBACK');
	$session->quit;
	my ($last, @answers) = answers(30, $good, @ids);
	is($last->{state}, 'SUCCESS', 'and finds room') or diag explain $last;
	is(scalar(grep { $_ && $_->{result} =~ /$size|$largest/ } @answers), 100, 'each is refused for its own size') or diag explain \@answers;
};

subtest 'the largest make room' => sub {
	my $hits = hits('127.0.0.1', $port);
	my @ids = dispatch(map { { input => { url => "$url/stuck/900000", timeout => 300 } } } 1 .. 90);

	ok(wait_for(sub { hits('127.0.0.1', $port) >= $hits + 90 && sql('SELECT count(*) FROM mistral.attempt') < 70 }, 25),
		'ninety answers that do not end take all the room');
	my @good = request(map { { url => "$url/sized/400000" } } 1 .. 30);
	is(scalar(grep { $_ && $_->{state} eq 'SUCCESS' } @good), 30, 'ordinary ones get through') or diag explain \@good;
	cmp_ok(sql('SELECT count(*) FROM mistral.attempt'), '>', 30, 'at their cost');
	request({ url => "$url/release" });
	my @answers = answers(60, @ids);
	is(scalar(grep { $_ && $_->{result} =~ /$largest|transfer closed/ } @answers), 90, 'which they say') or diag explain \@answers;
	cmp_ok(scalar(grep { $_->{result} =~ $largest } @answers), '>', 25, 'as many as it took');
};

subtest 'the largest of the role that has most' => sub {
	my @stuck = map { hostile() } 1 .. 3;
	my @ids = dispatch(map { my $at = $_; map { { input => { url => "http://127.0.0.1:$at/stuck/400000", timeout => 300 } } } 1 .. 70 } @stuck[ 0, 1 ]);

	ok(wait_for(sub { sql('SELECT count(*) FROM mistral.attempt') == 128 && hits('127.0.0.1', $stuck[0]) + hits('127.0.0.1', $stuck[1]) == 140 }, 30),
		'many small answers take all the room');
	sql('CREATE ROLE neighbour; GRANT EXECUTE ON FUNCTION mistral.std_http(jsonb) TO neighbour');
	my $neighbour = sql("SELECT 'neighbour'::regrole::oid");
	my ($large) = dispatch({ input => { url => "http://127.0.0.1:$stuck[2]/stuck/900000", timeout => 300 }, owner => $neighbour });
	ok(wait_for(sub { sql("SELECT string_agg(n::text, ' ' ORDER BY n) FROM (SELECT count(*) AS n FROM mistral.attempt GROUP BY owner) AS o") eq '1 126' }, 30),
		'another role\'s large one is not what makes room');
	request({ url => "http://127.0.0.1:$_/release" }) foreach @stuck;
	is(scalar(grep { $_ } answers(60, @ids, $large)), 141, 'and all end');
};

subtest 'many' => sub {
	my $fds = executor_status('fds');
	my @inputs = map {
		(   { url => "$url/echo" },
			{ url => "$url/gzip-bomb/50" },
			{ url => "$url/chunked-endless" },
			{ url => "$url/sized/500000" })
	} 1 .. 50;
	push @inputs, map { { url => "$url/delay/1" } } 1 .. 100;
	my @ids = dispatch(map { { input => { timeout => 50, %$_ } } } @inputs);
	my $list = join ',', map { "'$_'" } @ids;
	my $all = wait_for(sub { seen("SELECT count(DISTINCT action_id) FROM public.answers WHERE action_id IN ($list)") == @ids }, 60);
	ok($all, 'three hundred at once, a third of them hostile, end in time');
	# Not the answers themselves: to read all their text takes longer than they took.
	my %found = map { split /\|/, $_, 2 } split /\n/,
	  sql("SELECT action_id, state || ' ' || left(result::text, 200) FROM public.answers WHERE action_id IN ($list)");
	my @unexpected = grep { ($found{ $ids[$_] } // 'none') !~ ($inputs[$_]{url} =~ /bomb|endless/ ? qr/^ERROR/ : qr/^SUCCESS/) } 0 .. $#ids;
	is(scalar(@unexpected), 0, 'as they should') or diag explain [ map { [ $inputs[$_]{url}, $found{ $ids[$_] } ] } @unexpected ];
	cmp_ok(executor_status('VmHWM'), '<', 300 * 1024, 'with little memory');
	cmp_ok(executor_status('fds'), '<=', $fds + 260, 'and no more descriptors than connections that are kept');
};

subtest 'in a workflow' => sub {
	my $id = sql(qq{
		SELECT mistral.load_workflow(\$yaml\$
version: '2.0'
rates:
  input: [base]
  output:
    target: <% \$.target %>
    error: <% \$.error %>
    approved: <% \$.approved %>
  tasks:
    ask:
      action: std.http
      input:
        url: <% \$.base %>/echo
        params: {a: [1, 2]}
      publish:
        target: <% task().result.content.target %>
      on-success: [fail_twice, approve]
    fail_twice:
      action: std.http url="<% \$.base %>/status/503"
      retry: {count: 1, delay: 1}
      publish-on-error:
        error: <% task().result.status %>
      on-error: both
    approve:
      action: std.mistral_http url="<% \$.base %>/echo" method="POST"
      publish:
        approved: <% task().result.approved %>
      on-success: both
    both:
      join: all
      action: std.noop
\$yaml\$);
		SELECT mistral.start_workflow('rates', '{"base": "$url"}')}) =~ s/^.*\n//r;

	ok(wait_for(sub { sql("SELECT count(*) FROM mistral.dispatch") == 0 &&
				sql("SELECT count(*) FROM mistral.action_executions a JOIN mistral.tasks t ON t.id = a.task_id
					WHERE t.execution_id = '$id' AND a.name = 'std.mistral_http' AND a.state = 'RUNNING'") == 1 }),
		'the action that waits is sent');
	sql("SELECT mistral.complete_action(a.id, '{\"approved\": true}') FROM mistral.action_executions a
		JOIN mistral.tasks t ON t.id = a.task_id WHERE t.execution_id = '$id' AND a.name = 'std.mistral_http'");
	is(sql("SELECT mistral.wait_workflow('$id', '20 s')"), 'SUCCESS', 'the workflow ends');
	is(sql("SELECT output FROM mistral.executions WHERE id = '$id'"),
		'{"error": 503, "target": "/echo?a=1&a=2", "approved": true}', 'with what the servers said');
	is(sql("SELECT count(*) FROM mistral.action_executions a JOIN mistral.tasks t ON t.id = a.task_id
			WHERE t.execution_id = '$id' AND t.name = 'fail_twice' AND a.state = 'ERROR'"), 2, 'a retry sends again');
};

subtest 'a slow host' => sub {
	# More than may be claimed at all, for a host that never answers: no other waits for it.
	my @slow = dispatch(map { { input => { url => "$url/silence", timeout => 3 } } } 1 .. 5000);
	ok(wait_for(sub { sql('SELECT count(*) FROM mistral.attempt') >= 200 }), 'many wait for a host');
	my $start = time;
	my ($answer) = request({ url => "http://localhost:$port/echo" });
	is($answer->{state}, 'SUCCESS', 'another is asked');
	cmp_ok(time - $start, '<', 2, 'at once');
	ok(wait_for(sub { seen("SELECT count(*) FROM public.answers WHERE result::text LIKE '%timed out after 3000 ms%'") > 200 }, 20),
		'the slow one\'s come one after the other, each with its full time');
	cmp_ok(sql('SELECT count(*) FROM mistral.attempt'), '>', 0, 'and go on');
	sql('DELETE FROM mistral.dispatch; DELETE FROM mistral.attempt');
};

subtest 'a crash' => sub {
	my ($repeated, $unknown) = dispatch(
		{ input => { url => "$url/delay/3" }, safe_rerun => JSON::PP::true },
		{ input => { url => "$url/delay/3" } });

	ok(wait_for(sub { sql('SELECT count(*) FROM mistral.attempt') == 2 }), 'two are under way');
	$node->stop('immediate');
	$node->start;
	ok(wait_for_workers($node, 'postgres'), 'the server and its workers are back');
	my @answers = answers(20, $repeated, $unknown);
	is($answers[0]{state}, 'SUCCESS', 'what may be repeated is repeated');
	is($answers[0]{attempt}, 2, 'as another attempt');
	is($answers[1]{state}, 'ERROR', 'what may not is an error');
	like($answers[1]{result}, qr/^outcome unknown: the executor died while the request was under way/, 'that says why');
	is(sql('SELECT count(*) FROM mistral.attempt'), 0, 'nothing is left');
};

subtest 'secrets' => sub {
	my $start = -s $node->logfile;

	request(
		{ url => "http://user:canary1\@127.0.0.1:1/?token=canary2", auth => 'u:canary3' },
		{ url => "http://user:canary1\@127.0.0.2:$other/canary2", headers => { 'X-Key' => 'canary4' } },
		{ url => "http://user:canary1\@no-such-host.invalid/canary2", body => 'canary5' });
	is(seen("SELECT count(*) FROM public.answers WHERE result::text LIKE '%canary%'"), 0, 'are in no error');
	unlike(log_since($node, $start) =~ s/^.*(STATEMENT|statement:|jsonb_to_recordset).*$//gmr, qr/canary/, 'and not in the log');
};

subtest 'columns that somebody adds to our tables' => sub {
	sql("ALTER TABLE mistral.$_ ADD COLUMN note text, ADD COLUMN gone int; ALTER TABLE mistral.$_ DROP COLUMN gone") foreach qw(dispatch attempt);
	my ($answer) = request({ url => "$url/echo" });
	is($answer->{state}, 'SUCCESS', 'are in nobody\'s way');
	is(sql('SELECT count(*) FROM mistral.attempt'), 0, 'and nothing is left');
};

kill 'TERM', map { $_->[0] } values %servers;
$node->stop;
done_testing();
