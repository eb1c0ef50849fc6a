# Limits of HTTP: in all, for a host, for a role, and by rate.  What one host or
# one role waits for holds up nobody else.
use strict;
use warnings;

use FindBin;
use IPC::Open2;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

use MistralTest;

my %servers;
my @addresses = map { "127.0.0.$_" } 1 .. 9;
my %port = map { ($_ => server($_)) } @addresses;

my $node = new_server('main', "mistral.http_allow = '127.0.0.0/8'");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION mistral;
	CREATE ROLE greedy;
	CREATE ROLE modest;
	SELECT mistral.grant_access(role::regrole, 'operator') FROM unnest(ARRAY['greedy', 'modest']) AS role;
	GRANT EXECUTE ON FUNCTION mistral.std_http(jsonb) TO greedy, modest;
});
ok(wait_for_workers($node, 'postgres'), 'the workers are there');

sub sql { return $node->safe_psql('postgres', $_[0]) }

# Starts requests of a role: so many to each of the addresses.
sub requests
{
	my ($role, $count, $path, @to) = @_;
	my $urls = join(',', map { "'http://$_:$port{$_}$path'" } @to);

	sql("SET ROLE $role; SELECT count(mistral.run_action('std.http', jsonb_build_object('url', url, 'timeout', 120)))
		FROM generate_series(1, $count), unnest(ARRAY[$urls]) AS url");
	return;
}

sub open_actions
{
	my ($role) = @_;

	return sql("SELECT count(*) FROM mistral.action_execution WHERE owner = '$role'::regrole AND finished_at IS NULL");
}

sub set
{
	my (%settings) = @_;

	$node->append_conf('postgresql.conf', "$_ = '$settings{$_}'") foreach sort keys %settings;
	$node->reload;
	foreach my $name (keys %settings)
	{
		ok(wait_for(sub { sql("SHOW $name") eq $settings{$name} }), "$name is set");
	}
	return;
}

# Ends what hangs, with the role's actions.
sub end_all
{
	my ($role) = @_;

	sql("DELETE FROM mistral.dispatch WHERE owner = '$role'::regrole");
	sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'mistral executor' AND datname = 'postgres'");
	ok(wait_for(sub { sql("SELECT count(*) FROM mistral.attempt") == 0 && workers($node, 'postgres', 'executor') == 1 }, 30), 'what hung has ended');
	sql("DELETE FROM mistral.action_execution WHERE owner = '$role'::regrole");
	return;
}

sub median_latency
{
	my @times;

	foreach my $i (1 .. 40)
	{
		my $start = time;

		requests('modest', 1, '/echo', '127.0.0.9');
		wait_for(sub { open_actions('modest') == 0 }, 20) or return 20;
		push @times, time - $start;
	}
	return (sort { $a <=> $b } @times)[ @times / 2 ];
}

subtest 'rates' => sub {
	foreach my $wrong ('example.com', 'example.com=', '=5', 'example.com=0', 'example.com=-1', 'example.com=x', 'a b=5', 'example.com=5,x')
	{
		my ($rc, $out, $err) = $node->psql('postgres', "ALTER SYSTEM SET mistral.http_rate_limits = '$wrong'");
		like($err, qr/invalid value/, "\"$wrong\" is refused");
	}
	set('mistral.http_rate_limits' => "127.0.0.1=20, 127.0.0.2:$port{'127.0.0.2'}=1000, 127.0.0.3:1=0.001");
	my $start = time;
	requests('modest', 40, '/echo', @addresses[ 0 .. 2 ]);
	ok(wait_for(sub { sql("SELECT count(*) FROM mistral.action_execution WHERE finished_at IS NOT NULL AND input ->> 'url' NOT LIKE '%127.0.0.1:%'") == 80 }, 30), 'those without a limit, or with a high one');
	my $quick = time - $start;
	ok(wait_for(sub { open_actions('modest') == 0 }, 30), 'all get through');
	my $slow = time - $start;
	cmp_ok($slow, '>=', 1.8, 'forty at twenty a second take their time');
	cmp_ok($quick, '<', $slow, 'the others do not wait for them');
	set('mistral.http_rate_limits' => '');
};

subtest 'for each host' => sub {
	set('mistral.http_max_connections_per_host' => 7);
	my @before = map { hits($_, $port{$_}) } @addresses[ 0, 1 ];
	requests('greedy', 50, '/silence', @addresses[ 0, 1 ]);
	ok(wait_for(sub { hits($addresses[0], $port{ $addresses[0] }) == $before[0] + 7 && hits($addresses[1], $port{ $addresses[1] }) == $before[1] + 7 }, 20), 'seven to each');
	requests('modest', 20, '/echo', '127.0.0.3');
	ok(wait_for(sub { open_actions('modest') == 0 }, 20), 'others are not held up');
	is(hits($addresses[0], $port{ $addresses[0] }), $before[0] + 7, 'no more meanwhile');
	end_all('greedy');

	# Hosts of which somebody who knows PostgreSQL's hashes could think that they share a limit with another's; two may by chance, not all.
	my $ports = sql("SELECT string_agg(p::text, ' ') FROM (SELECT p FROM generate_series(20000, 60000) AS p
		WHERE (hashtext('127.0.0.1:' || p) & 1023) = (hashtext('127.0.0.3:$port{'127.0.0.3'}') & 1023) LIMIT 9) AS l");
	my $answered = 0;
	foreach my $twin (split / /, $ports)
	{
		local $port{'127.0.0.1'} = eval { server('127.0.0.1', '--port', $twin) } // next;
		requests('greedy', 7, '/silence', '127.0.0.1');
		ok(wait_for(sub { hits('127.0.0.1', $twin) == 7 }, 20), 'all that one host may have');
		requests('modest', 1, '/echo', '127.0.0.3');
		$answered = wait_for(sub { open_actions('modest') == 0 }, 10);
		last if $answered;
	}
	ok($answered, 'are none that another one needs');
	end_all($_) foreach qw(greedy modest);
	set('mistral.http_max_connections_per_host' => 100);
};

subtest 'for each role' => sub {
	set('mistral.http_max_connections_per_owner' => 20, 'mistral.http_max_connections' => 40);
	my $before = 0;
	$before += hits($_, $port{$_}) foreach @addresses[ 0 .. 7 ];
	requests('greedy', 100, '/silence', @addresses[ 0 .. 7 ]);
	ok(wait_for(sub { my $now = 0; $now += hits($_, $port{$_}) foreach @addresses[ 0 .. 7 ]; $now == $before + 20 }, 20), 'twenty of one role');
	requests('modest', 100, '/echo', @addresses[ 0 .. 3 ]);
	ok(wait_for(sub { open_actions('modest') == 0 }, 30), 'another role has its share, also of the same hosts');
	my $now = 0;
	$now += hits($_, $port{$_}) foreach @addresses[ 4 .. 7 ];
	cmp_ok($now, '<=', $before + 20, 'the first has no more meanwhile');
	end_all('greedy');
	set('mistral.http_max_connections_per_owner' => 500, 'mistral.http_max_connections' => 1000);
};

subtest 'five hundred that hang' => sub {
	my $alone = median_latency();

	requests('greedy', 63, '/silence', @addresses[ 0 .. 7 ]);
	ok(wait_for(sub { sql('SELECT count(*) FROM mistral.attempt') == 504 }, 30), 'are under way');
	my $beside = median_latency();
	note sprintf('a request takes %.1f ms alone and %.1f ms beside them', $alone * 1000, $beside * 1000);
	cmp_ok($beside, '<', 2 * $alone + 0.02, 'a healthy one is as fast as before');
	end_all('greedy');
};

$node->stop;
foreach my $server (values %servers)
{
	close $server->[1];
	waitpid($server->[0], 0);
}
done_testing();

sub server
{
	my ($address, @options) = @_;
	my $pid = open2(my $out, my $in, $ENV{PYTHON} // 'python3', "$FindBin::Bin/../../lib/hostile_http.py", '--address', $address, @options);
	my $line = <$out>;

	die "the server did not start" unless $line;
	chomp $line;
	$servers{"$address:$line"} = [ $pid, $in, $out ];
	return $line;
}
