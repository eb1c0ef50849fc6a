# std.email against an SMTP server that keeps what it is given: what arrives is
# what the workflow said, nothing that it says gets out of its place, and a
# server that is none does no harm.
use strict;
use warnings;

use FindBin;
use IPC::Open2;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

use MistralTest;

my $json = JSON::PP->new->allow_nonref->canonical->utf8;
my $directory = PostgreSQL::Test::Utils::tempdir();
my $failed = 'Failed to send an email message:';
my @servers;

# An SMTP server, for the life of this test; what it kept is in {kept}.
sub smtp
{
	my (@options) = @_;
	my $kept = "$directory/kept" . @servers;
	my $pid = open2(my $out, my $in, $ENV{PYTHON} // 'python3', "$FindBin::Bin/../../lib/smtp_server.py", '--output', $kept, @options);
	my $port = <$out>;

	die "the SMTP server did not start" unless $port;
	chomp $port;
	push @servers, { pid => $pid, in => $in, out => $out, kept => $kept, at => "127.0.0.1:$port" };
	return $servers[-1];
}

# The messages that it has kept since the last time.
sub kept
{
	my ($server) = @_;
	my $text = -e $server->{kept} ? slurp_file($server->{kept}) : '';
	my @lines = map { $json->decode($_) } split /\n/, $text;
	my @new = @lines[ ($server->{read} // 0) .. $#lines ];

	$server->{read} = @lines;
	return @new;
}

$ENV{http_proxy} = $ENV{all_proxy} = 'http://127.0.0.1:1/';
my $node = new_server('mail', "log_min_messages = warning");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION mistral; CREATE ROLE tenant LOGIN; GRANT USAGE ON SCHEMA mistral TO tenant');
ok(wait_for_workers($node, 'postgres'), 'the workers are there');

sub sql { return $node->safe_psql('postgres', $_[0]) }

# The states and results of std.email for each row `i` of a query, in the order of `n`.
sub mails_of
{
	my @ids = split /\n/, sql("SELECT mistral.run_action('std.email', i) FROM ($_[0]) x(i, n) ORDER BY n");
	my $list = join ',', map { "'$_'" } @ids;

	wait_for(sub { sql("SELECT count(*) FROM mistral.action_executions WHERE id IN ($list) AND state = 'RUNNING'") == 0 }, 60);
	my %ended = map { $_->[0] => $_ }
	  @{ $json->decode(sql("SELECT json_agg(json_build_array(id, state, output -> 'result')) FROM mistral.action_executions WHERE id IN ($list)")) };
	return map { [ @{ $ended{$_} }[ 1, 2 ] ] } @ids;
}

sub mails
{
	my $inputs = $json->encode([ map { { from_addr => 'robot@example.com', to_addrs => ['ada@example.com'], %$_ } } @_ ]);

	return mails_of("SELECT * FROM jsonb_array_elements(\$in\$$inputs\$in\$) WITH ORDINALITY");
}

sub mail
{
	my (%input) = @_;

	return @{ (mails(\%input))[0] };
}

# Each of [why, what, input ...] fails, and says why.
sub all_refused
{
	my @cases = @_;
	my @answers = mails(map { my ($why, $what, %input) = @$_; \%input } @cases);

	foreach my $i (0 .. $#cases)
	{
		my ($why, $what) = @{ $cases[$i] };
		ok($answers[$i][0] eq 'ERROR' && $answers[$i][1] =~ /^\Q$failed\E $why/, $what) or diag explain $answers[$i];
	}
}

sub refused { all_refused([@_]) }

my $server = smtp();
my %to = (smtp_server => $server->{at});

refused(qr/address 127\.0\.0\.1 is not allowed by mistral\.http_deny/, 'the loopback address is denied by default', %to);
sql("ALTER SYSTEM SET mistral.http_allow = '127.0.0.1/32'");
sql('SELECT pg_reload_conf()');
ok(wait_for(sub { (mail(%to))[0] eq 'SUCCESS' }), 'allowed, it is reached');
kept($server);

subtest 'what arrives' => sub {
	my ($state, $result) = mail(%to, subject => 'Hello', body => "One\n.\nTwo\n");
	my ($m) = kept($server);

	is($state, 'SUCCESS', 'a message is sent');
	is($result, undef, 'with the result null');
	is($m->{from}, 'robot@example.com', 'from the sender');
	is_deeply($m->{to}, ['ada@example.com'], 'to the recipient');
	is($m->{headers}{subject}, 'Hello', 'its subject');
	is($m->{parts}{plain}, "One\n.\nTwo\n", 'its body, dots and all');
	is($m->{type}, 'text/plain', 'as text');
	like($m->{headers}{date}, qr/^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d+ [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [-+]0000$/, 'with a date');
	like($m->{headers}{'message-id'}, qr/^<[0-9a-f-]{36}\@example\.com>$/, 'and an id');
	ok(!$m->{tls} && !$m->{user}, 'without a password in the clear, as the original does');

	mail(%to, subject => '', body => undef);
	($m) = kept($server);
	is($m->{headers}{subject}, '<No subject>', 'a subject that is missing says so');
	is($m->{parts}{plain}, '<No body>', 'a body as well');
	ok(!exists $m->{headers}{'reply-to'} && !exists $m->{headers}{cc}, 'and there are no empty headers');

	my $long = join ' ', map { "gr\x{fc}\x{df}e \x{1F600} $_" } 1 .. 60;
	my $text = "\x{4f60}\x{597d} " . ('x' x 5000) . "\n" . ('.' x 100) . "\n";
	mail(%to, from_addr => "Jos\x{e9} \x{1F600} <robot\@example.com>", subject => $long, body => $text,
		html_body => "<p>\x{4f60}\x{597d}</p>",
		to_addrs => [ 'ada@example.com', '"Hopper, Grace" <grace@example.com>', 'Bob "B" <bob@example.com>' ],
		cc_addrs => ['cc@example.com'], bcc_addrs => [ 'hidden@example.com', 'hidden2@example.com' ], reply_to => ['desk@example.com']);
	($m) = kept($server);
	is($m->{headers}{subject}, $long, 'a long subject in many scripts');
	is($m->{headers}{from}, "Jos\x{e9} \x{1F600} <robot\@example.com>", 'a sender with a name');
	is($m->{from}, 'robot@example.com', 'which the envelope does not have');
	is($m->{headers}{to}, 'ada@example.com, "Hopper, Grace" <grace@example.com>, "Bob \"B\"" <bob@example.com>', 'several recipients');
	is($m->{headers}{cc}, 'cc@example.com', 'a copy');
	is($m->{headers}{'reply-to'}, 'desk@example.com', 'where to reply');
	is_deeply([ sort @{ $m->{to} } ],
		[ sort map { "$_\@example.com" } qw(ada grace bob cc hidden hidden2) ], 'all of them get it');
	unlike($m->{raw}, qr/hidden/, 'and nobody sees the hidden ones');
	is($m->{type}, 'multipart/alternative', 'two forms');
	is($m->{parts}{plain}, $text, 'the text');
	is($m->{parts}{html}, "<p>\x{4f60}\x{597d}</p>", 'and HTML');
	cmp_ok((sort { $b <=> $a } map { length } split /\r?\n/, $m->{raw})[0], '<=', 998, 'no line is too long');

	mail(%to, to_addrs => 'ada@example.com', smtp_server => "smtp://$server->{at}/");
	is_deeply([ map { $_->{to} } kept($server) ], [ ['ada@example.com'] ], 'one recipient need not be a list, a server may be a URL');
	my $large = q{SELECT jsonb_build_object('from_addr', 'a@b', 'to_addrs', 'c@d', 'smtp_server', '%s', 'body', repeat('x', size),
		'html_body', repeat('x', size)), size FROM (VALUES (1000000), (8500000)) v(size)};
	my @ended = mails_of(sprintf $large, $server->{at});
	is($ended[0][0], 'SUCCESS', 'a large one');
	is(length((kept($server))[0]{parts}{plain}), 1_000_000, 'arrives whole');
	like($ended[1][1], qr/^\Q$failed\E the message has more than \d+ bytes/, 'there is a limit');
};

subtest 'what stays in its place' => sub {
	my $crlf = qr/.* has (an address with )?a line break or another control character/;

	my $none = qr/.* has an address that is none/;
	my $server_none = qr/"smtp_server" is neither/;
	my @cases;

	foreach my $break ("\r\n", "\n", "\r", "\t", "\x{7f}")
	{
		my $bad = "x${break}Bcc: victim\@example.com";
		push @cases, [ $crlf, 'a line break in the subject', %to, subject => $bad ],
		  [ $crlf, 'a line break in the sender', %to, from_addr => "$bad <robot\@example.com>" ],
		  [ $crlf, 'a line break in the password', %to, smtp_password => $bad ],
		  [ $server_none, 'a line break in the server', smtp_server => "$server->{at}$break" ],
		  map { [ $crlf, "a line break in $_", %to, $_ => ["ada\@example.com$break"] ] } qw(to_addrs cc_addrs bcc_addrs reply_to);
	}
	push @cases, map { [ $none, "the address $_", %to, to_addrs => [$_] ] }
	  'a@b> SIZE=1', 'a b@c', 'a@b,c@d', '<a@b>c', '', 'a@b;c', '"a b"@c', "\x{fc}\@b", '-a@b', 'x' x 255;
	push @cases, map { [ $server_none, "the server $_", smtp_server => $_ ] }
	  'http://127.0.0.1/', 'file:///etc/passwd', 'user:word@127.0.0.1', '127.0.0.1/x', '127.0.0.1?x', '127.0.0.1#x', 'a b', ' ', '127.0.0.1:99999';
	push @cases, [ qr/"to_addrs" has an address that is not a string/, 'a number', %to, to_addrs => [5] ],
	  [ qr/"to_addrs" is not a list/, 'an object', %to, to_addrs => { a => 1 } ],
	  [ qr/"to_addrs" is not a list/, 'a thousand and one', %to, to_addrs => [ map { "a$_\@b" } 0 .. 1000 ] ],
	  [ qr/"from_addr" is not one address/, 'two senders', %to, from_addr => [ 'a@b', 'c@d' ] ],
	  [ qr/"subject" is not a string/, 'a subject that is none', %to, subject => [1] ],
	  [ qr/there is nobody/, 'nobody', %to, to_addrs => [] ];
	all_refused(@cases);
	is_deeply([ kept($server) ], [], 'and nothing was sent');

	refused(qr/the server said: 550 5\.1\.1 nobody by that name here/, 'a recipient that the server refuses', %to,
		to_addrs => [ 'ada@example.com', 'nobody@example.com' ]);
	is_deeply([ kept($server) ], [], 'refuses the message');
};

subtest 'encrypted' => sub {
	run_log([ 'openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1',
			'-keyout', "$directory/key", '-out', "$directory/certificate" ])
	  or plan skip_all => 'no openssl to make a certificate with';
	my $ca = slurp_file("$directory/certificate");
	append_to_file("$directory/certificate", slurp_file("$directory/key"));
	my @tls = ('--certificate', "$directory/certificate", '--password', 'open sesame');
	my $starttls = smtp(@tls);
	my $implicit = smtp(@tls, '--implicit');

	foreach my $case ([ $starttls, $starttls->{at} ], [ $implicit, "smtps://$implicit->{at}" ])
	{
		my ($tls, $at) = @$case;
		my %input = (smtp_server => $at, smtp_password => 'open sesame');

		refused(qr/.*certificate/, "$at: a certificate that nobody signed is refused", %input);
		is((mail(%input, verify => $json->decode('false')))[0], 'SUCCESS', 'unless it need not be verified');
		my ($m) = kept($tls);
		ok($m->{tls}, 'the message came over TLS');
		is($m->{user}, 'robot@example.com', 'from the sender, who has logged in');
		is((mail(%input, ca => $ca))[0], 'SUCCESS', 'or is signed by an authority that the action names');
		is(scalar(kept($tls)), 1, 'which brings a message, too');
		refused(qr/.*"ca" is not a certificate/, 'an authority that is none', %input, ca => "$directory/certificate");
		refused(qr/.*535/, 'a wrong password', %input, verify => $json->decode('false'), smtp_password => 'wrong');
		is_deeply([ kept($tls) ], [], 'sends nothing');
	}
	refused(qr/.*/, 'a server without TLS gets no password', %to, smtp_password => 'open sesame');
	is_deeply([ kept($server) ], [], 'and no message');
};

subtest 'servers that are none' => sub {
	my $memory = sub {
		my $pid = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'mistral executor' AND datname = 'postgres'");
		return slurp_file("/proc/$pid/status") =~ /^VmHWM:\s+(\d+)/m ? $1 : undef;
	};

	refused(qr/response has more than \d+ lines/, 'one that does not stop talking', smtp_server => smtp('--hostile', 'flood')->{at});
	refused(qr/.+/, 'one that talks something else', smtp_server => smtp('--hostile', 'garbage')->{at});
	refused(qr/.*(refused|connect)/i, 'one that is not there', smtp_server => '127.0.0.1:1');
	my $silent = smtp('--hostile', 'silence')->{at};
	my $start = time;
	sql(qq{SELECT mistral.load_workflow(\$yaml\$
version: '2.0'
silent:
  output-on-error: {said: <% task(t).result %>}
  tasks:
    t:
      action: std.email from_addr="a\@b" to_addrs=<% [c] %> smtp_server="$silent"
      timeout: 2
\$yaml\$)});
	my $id = sql(q{SELECT mistral.start_workflow('silent')});
	is(sql("SELECT mistral.wait_workflow('$id', '30 s')"), 'ERROR', 'one that says nothing runs into the timeout of the task');
	cmp_ok($memory->(), '<', 200 * 1024, 'and none of them costs memory');
};

subtest 'who may' => sub {
	sql("SELECT mistral.grant_access('tenant', 'operator')");
	my $id = sql(qq{SET ROLE tenant; SELECT mistral.run_action('std.email', '{"from_addr": "a\@b", "to_addrs": ["c\@d"], "smtp_server": "$server->{at}"}')});
	ok(wait_for(sub { sql("SELECT state FROM mistral.action_executions WHERE id = '$id'") eq 'ERROR' }), 'who was not granted it may not');
	like(sql("SELECT output ->> 'result' FROM mistral.action_executions WHERE id = '$id'"),
		qr/role "tenant" may not use std\.email: GRANT EXECUTE ON FUNCTION mistral\.std_email\(jsonb\) TO tenant allows it/, 'and hears how');
	is_deeply([ kept($server) ], [], 'nothing was sent');
};

$node->stop;
foreach my $server (@servers)
{
	close $server->{in};
	waitpid $server->{pid}, 0;
}
done_testing();
