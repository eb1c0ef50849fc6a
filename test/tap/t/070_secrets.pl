# Secrets: twenty are planted, reach the server that they are for, and are found
# nowhere else: no table, dump, log, write-ahead log or statistics view.
use strict;
use warnings;

use FindBin;
use IPC::Open2;
use JSON::PP;
use MIME::Base64;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use MistralTest;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $pid = open2(my $out, my $in, $ENV{PYTHON} // 'python3', "$FindBin::Bin/../../lib/hostile_http.py", '--keep', "$dir/seen");
my $port = <$out>;
die "the server did not start" unless $port;
chomp $port;
my $url = "http://127.0.0.1:$port";

my $node = new_server('main', "mistral.http_allow = '127.0.0.0/8'", "log_statement = all", "log_min_messages = debug1",
	"wal_keep_size = '1GB'", "mistral.notify = 'executions,tasks,actions'");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION mistral; CREATE ROLE ann; CREATE ROLE bob');
$node->safe_psql('postgres', "SELECT mistral.grant_access('$_', kind) FROM unnest(ARRAY['author', 'operator']) AS kind;
	GRANT EXECUTE ON FUNCTION mistral.std_http(jsonb), mistral.std_mistral_http(jsonb), pg_read_file(text) TO $_;
	GRANT pg_read_server_files TO $_") foreach qw(ann bob);

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub refused
{
	my ($statement, $pattern, $name) = @_;
	my ($rc, $stdout, $stderr) = $node->psql('postgres', $statement);

	like($stderr, $pattern, $name);
	return;
}

sub write_key
{
	my ($mode, @lines) = @_;

	open(my $file, '>', "$dir/key.new") or die $!;
	print $file "$_\n" foreach @lines;
	close $file;
	chmod($mode, "$dir/key.new");
	rename("$dir/key.new", "$dir/key");
	return;
}

# A value is read from a file, so that no statement holds it.
sub set_secret
{
	my ($role, $name, $value) = @_;

	open(my $file, '>', "$dir/value") or die $!;
	print $file $value;
	close $file;
	sql("SET ROLE $role; SELECT mistral.set_secret('$name', pg_read_file('$dir/value'))");
	unlink("$dir/value");
	return;
}

sub run
{
	my ($role, $workflow, $input, $state) = @_;
	my $id = sql("SET ROLE $role; SELECT mistral.start_workflow('$workflow', '" . ($input // '{}') . "')");

	$id =~ s/.*\n//s;
	is(sql("SELECT mistral.wait_workflow('$id', '20 s')"), $state // 'SUCCESS', "$workflow ends");
	return $id;
}

my ($first, $second) = ('a1' x 32, 'B2' x 32);

subtest 'the key' => sub {
	refused("SELECT mistral.set_secret('x', 'y')", qr/mistral\.secret_key_file names none/, 'without a file there are no secrets');
	write_key(0600, $first);
	$node->append_conf('postgresql.conf', "mistral.secret_key_file = '$dir/key'");
	$node->reload;
	ok(wait_for(sub { sql('SHOW mistral.secret_key_file') ne '' }), 'a file is named');
	write_key(0640, $first);
	refused("SELECT mistral.set_secret('x', 'y')", qr/mode 0600/, 'one that others may read is refused');
	write_key(0600, 'zz' x 32);
	refused("SELECT mistral.set_secret('x', 'y')", qr/64 hexadecimal digits/, 'as is one with something else in it');
	write_key(0600, '# keys', $first, "$first 0");
	refused("SELECT mistral.set_secret('x', 'y')", qr/64 hexadecimal digits/, 'on any line');
	unlink("$dir/key");
	refused("SELECT mistral.set_secret('x', 'y')", qr/cannot be read(?!.*$dir)/, 'and one that is not there, whose place is not told');
	write_key(0600, $first);
	refused("SELECT mistral.set_secret('$_', 'y')", qr/name of a secret must be/, "\"$_\" is no name") foreach ('', 'a b', 'x' x 65);
	refused("SELECT mistral.set_secret('x', '')", qr/1 to 65536 bytes/, 'nothing is no value');
	refused("SELECT mistral.set_secret('x', repeat('y', 65537))", qr/1 to 65536 bytes/, 'nor is too much');
};

# Every kind of character that something on the way escapes.
my %canary = map { ("s$_", sprintf('canary%02d-%08x', $_, rand(2**32)) . (' &=+%', '"\\', "/?#'", '<~>', '')[ $_ % 5 ]) } 1 .. 20;
set_secret('ann', $_, $canary{$_}) foreach sort keys %canary;
set_secret('bob', 's1', 'bobs-own-canary');

subtest 'who may do what' => sub {
	like(sql("SET ROLE ann; SELECT count(*) FROM mistral.secrets"), qr/20$/, 'an owner sees the names');
	like(sql("SET ROLE bob; SELECT string_agg(name, ' ') FROM mistral.secrets"), qr/s1$/, 'and nobody else does');
	refused('SET ROLE ann; SELECT * FROM mistral.secret', qr/permission denied/, 'nobody reads the table');
	refused("SET ROLE bob; SELECT mistral.delete_secret('s2')", qr/does not exist/, 'nobody deletes what is another role\'s');
	refused("SELECT mistral.evaluate('<% secret(s1) %>')", qr/not available here/, 'it means nothing outside a workflow');
	refused("SET ROLE bob; SELECT mistral.rotate_secrets()", qr/permission denied/, 'only the owner of the extension rotates');
};

subtest 'they reach the server' => sub {
	my $tasks = '';

	foreach my $i (1 .. 20)
	{
		my $input = (
			"headers: {X-Key: \"Bearer <% secret(s$i) %>\"}",
			"params: {key: \"{{ secret('s$i') }}\"}",
			"json: {deep: [{key: \"<% secret(s$i) %>\"}]}\n        method: POST",
			"body: \"key={{ secret('s$i') }}\"\n        method: PUT",
			"auth: \"ann:<% secret(s$i) %>\"")[ $i % 5 ];
		$tasks .= "    t$i:\n      action: std.http\n      input:\n        url: $url/echo/t$i\n        $input\n"
		  . "      publish: {a$i: <% task().result %>}\n";
	}
	sql("SET ROLE ann; SELECT mistral.load_workflow(\$y\$\nversion: '2.0'\nall_of_them:\n  tasks:\n$tasks\$y\$)");
	my $id = run('ann', 'all_of_them');
	my %seen = map { ($_->{target} =~ m{^/echo/(t\d+)} ? $1 : '') => $_ } map { decode_json($_) } split(/\n/, slurp_file("$dir/seen"));

	foreach my $i (1 .. 20)
	{
		my $request = $seen{"t$i"};
		my $came = (
			sub { $request->{headers}->{'x-key'} =~ s/^Bearer //r },
			sub { ($request->{target} =~ s/^.*\?key=//r) =~ tr/+/ /r =~ s/%(..)/chr(hex($1))/ger },
			sub { decode_json($request->{body})->{deep}->[0]->{key} },
			sub { $request->{body} =~ s/^key=//r },
			sub { decode_base64($request->{headers}->{authorization} =~ s/^Basic //r) =~ s/^ann://r })[ $i % 5 ];

		is($came->(), $canary{"s$i"}, "s$i arrived");
	}
	like(sql("SELECT string_agg(result::text, '') FROM mistral.tasks WHERE execution_id = '$id'"), qr/\*\*\*/, 'answers that hold them are masked');
};

subtest 'a redirect takes them nowhere else' => sub {
	my $elsewhere = "http://localhost:$port/echo";

	sql(qq{SET ROLE ann; SELECT mistral.load_workflow(\$y\$
version: '2.0'
redirected:
  tasks:
    header:
      action: std.http
      input: {url: "$url/redirect/302?to=$elsewhere/r1", allow_redirects: true, headers: {X-Key: "Bearer <% secret(s1) %>", X-Other: kept}}
      on-complete: here
    here:
      action: std.http
      input: {url: "$url/redirect/302?to=/echo/r2", allow_redirects: true, headers: {X-Key: "Bearer <% secret(s1) %>"}}
      on-complete: body
    body:
      action: std.http
      input: {url: "$url/redirect/307?to=$elsewhere/r3", allow_redirects: true, method: POST, json: {key: "<% secret(s4) %>"}}
      on-error: innocent
    innocent:
      action: std.http
      input: {url: "$url/redirect/307?to=$elsewhere/r4", allow_redirects: true, method: POST, json: {key: nothing}}
\$y\$)});
	my $id = run('ann', 'redirected');
	my %seen = map { ($_->{target} =~ m{^/echo/(r\d)} ? $1 : '') => $_ } map { decode_json($_) } split(/\n/, slurp_file("$dir/seen"));
	ok(!exists $seen{r1}->{headers}->{'x-key'}, 'a header with one is left out');
	is($seen{r1}->{headers}->{'x-other'}, 'kept', 'while others go along');
	like($seen{r2}->{headers}->{'x-key'}, qr/canary01/, 'to the same place it goes');
	ok(!exists $seen{r3}, 'a body with one does not go');
	like($seen{r4}->{body}, qr/nothing/, 'one without does');
	like(sql("SELECT state_info FROM mistral.tasks WHERE execution_id = '$id' AND name = 'body'"), qr/holds a secret is not allowed/, 'and the task says why');
};

subtest 'a failure tells nothing' => sub {
	sql(qq{SET ROLE ann; SELECT mistral.load_workflow(\$y\$
version: '2.0'
failing:
  tasks:
    refused:
      action: std.http
      input: {url: "http://127.0.0.1:1/<% secret(s1) %>", timeout: 5}
      on-error: wrong
    wrong:
      action: std.http
      input: {url: "gopher://<% secret(s2) %>/"}
      on-error: status
    status:
      action: std.http
      input: {url: "$url/status/500?<% secret(s3) %>", headers: {X: "{{ secret('s3') }}"}}
      on-error: header
    header:
      action: std.http
      input: {url: "$url/echo", headers: {"X": "<% secret(s4) %>\\r\\nY: z"}}
      on-error: noop
\$y\$)});
	run('ann', 'failing');
};

subtest 'a mail server that tells what it was sent' => sub {
	run_log([ 'openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-keyout', "$dir/mail.key", '-out', "$dir/mail" ])
	  or plan skip_all => 'no openssl to make a certificate with';
	append_to_file("$dir/mail", slurp_file("$dir/mail.key"));
	my $mail_pid = open2(my $from, my $to, $ENV{PYTHON} // 'python3', "$FindBin::Bin/../../lib/smtp_server.py", '--output', "$dir/mails",
		'--certificate', "$dir/mail", '--password', 'open sesame');
	chomp(my $at = readline($from) // '');
	plan skip_all => 'no SMTP server' unless $at;
	sql(qq{GRANT EXECUTE ON FUNCTION mistral.std_email(jsonb) TO ann; SET ROLE ann; SELECT mistral.load_workflow(\$y\$
version: '2.0'
mailing:
  tasks:
    t:
      action: std.email
      input: {smtp_server: "127.0.0.1:$at", smtp_password: <% secret(s5) %>, verify: false, from_addr: ann\@example.com, to_addrs: bob\@example.com}
\$y\$)});
	my $id = run('ann', 'mailing', '{}', 'ERROR');
	like(sql("SELECT state_info FROM mistral.tasks WHERE execution_id = '$id'"), qr/the server said: 535 5\.7\.8 not \*\*\* \*\*\*/, 'what it tells is no secret');
	close $to;
	waitpid $mail_pid, 0;
};

subtest 'a reference is nobody else\'s' => sub {
	sql(qq{SET ROLE $_; SELECT mistral.load_workflow(\$y\$
version: '2.0'
forged_$_:
  input: [text]
  output: {came: <% \$.came %>}
  tasks:
    t:
      action: std.http
      input: {url: "$url/echo/$_", method: POST, body: <% \$.text %>}
      publish: {came: <% task().result.content %>}
leaky_$_:
  output: {reference: <% secret(s1) %>}
  tasks: {t: {action: std.noop}}
\$y\$)}) foreach qw(ann bob);
	my $id = run('ann', 'leaky_ann');
	my $reference = sql("SELECT output ->> 'reference' FROM mistral.executions WHERE id = '$id'");

	like($reference, qr/^~mistral-secret~s1~[0-9a-f]{32}~$/, 'what a workflow sees is a reference');
	foreach my $role (qw(ann bob))
	{
		foreach my $text ($reference, '~mistral-secret~s1~' . '0' x 32 . '~', '~mistral-secret~s1~', '~mistral-secret~')
		{
			$id = run($role, "forged_$role", qq({"text": "$text"}));
			like(sql("SELECT output ->> 'came' FROM mistral.executions WHERE id = '$id'"), qr/\Q$text\E/, 'it stays text in another execution');
		}
	}
	sql(qq{SET ROLE bob; SELECT mistral.load_workflow(\$y\$
version: '2.0'
others:
  tasks:
    t:
      action: std.http
      input: {url: "$url/echo", body: <% secret(s2) %>}
\$y\$)});
	$id = run('bob', 'others', '{}', 'ERROR');
	like(sql("SELECT state_info FROM mistral.tasks WHERE execution_id = '$id' AND name = 't'"), qr/has no secret "s2"/, 'and of no other role');
};

subtest 'keys change' => sub {
	write_key(0600, $second, $first);
	is(sql('SELECT mistral.rotate_secrets()'), 21, 'all are stored under the new key');
	write_key(0600, $second);
	run('ann', 'all_of_them');
	write_key(0600, $first);
	refused('SELECT mistral.rotate_secrets()', qr/no key of mistral.secret_key_file opens secret/, 'which the old one does not open');
	write_key(0600, $second, $first);
	sql("UPDATE mistral.secret SET value = (SELECT value FROM mistral.secret WHERE name = 's5') WHERE name = 's6'");
	refused('SELECT mistral.rotate_secrets()', qr/opens secret "s6"/, 'a value opens in its own row only');
	set_secret('ann', 's6', $canary{s6});
	write_key(0600, $second);
};

subtest 'buffers' => sub {
	my $program = PostgreSQL::Test::Utils::tempdir() . '/wiped';

	system_or_bail('cc', '-D_GNU_SOURCE', '-Isrc', '-Wl,--wrap=free,--wrap=realloc', '-o', $program, 'test/tap/wiped.c', 'src/base/plain_json.c', '-lm');
	is(slurp_command($program), "wiped\n", 'memory that held a secret is given back empty');
	is(slurp_command($program, 'plain'), "left\n", 'and other memory as it is');
};

subtest 'they are nowhere else' => sub {
	my %places;

	$node->safe_psql('postgres', 'CHECKPOINT');
	$places{dump} = slurp_command('pg_dump', '-h', $node->host, '-p', $node->port, 'postgres');
	$places{tables} = join('', map { sql("SELECT string_agg(t::text, '') FROM $_ AS t") }
		  split(/\n/, sql("SELECT format('mistral.%I', relname) FROM pg_class WHERE relnamespace = 'mistral'::regnamespace AND relkind IN ('r', 'p', 'v')")));
	$places{activity} = sql("SELECT string_agg(a::text, '') FROM pg_stat_activity AS a");
	$places{log} = slurp_file($node->logfile);
	$node->stop;
	$places{'data directory, write-ahead log included'} =
	  join('', map { slurp_file($_) } split(/\n/, slurp_command('find', $node->data_dir, '-type', 'f')));
	foreach my $place (sort keys %places)
	{
		cmp_ok(length($places{$place}), '>', 1000, "$place: there is something to search");
		foreach my $name (sort keys %canary)
		{
			my ($core) = $canary{$name} =~ /^(canary\d\d-[0-9a-f]{8})/;

			ok(index($places{$place}, $core) < 0, "$place: no $name");
		}
	}
};

close $in;
waitpid($pid, 0);
done_testing();

sub slurp_command
{
	my (@command) = @_;

	open(my $pipe, '-|', @command) or die "$command[0]: $!";
	local $/;
	my $output = <$pipe>;
	close $pipe;
	return $output;
}
