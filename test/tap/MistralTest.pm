# What the crash and lifecycle tests share: a server with the extension
# preloaded, and waiting for its workers.
package MistralTest;

use strict;
use warnings;

use Exporter 'import';
use IO::Socket::INET;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(
  new_server
  wait_for
  workers
  wait_for_workers
  wait_for_no_workers
  log_since
  hits
);

# A server with the library preloaded, not started; the rest goes to its settings.
sub new_server
{
	my ($name, @settings) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(allows_streaming => 1);
	$node->append_conf('postgresql.conf',
		"shared_preload_libraries = 'mistral'\nmax_worker_processes = 24\nfsync = off\n");
	$node->append_conf('postgresql.conf', "$_\n") foreach @settings;
	return $node;
}

# Until $condition gives true; false when $seconds have passed.
sub wait_for
{
	my ($condition, $seconds) = @_;
	my $until = time + ($seconds // 20);

	while (time < $until)
	{
		return 1 if $condition->();
		usleep(20_000);
	}
	return 0;
}

# How many workers of a kind (engine, executor, launcher) are connected to a database.
sub workers
{
	my ($node, $database, $kind) = @_;
	my $where = defined $database ? "datname = '$database'" : 'datname IS NULL';

	return $node->safe_psql('postgres',
		"SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'mistral $kind' AND $where");
}

sub wait_for_workers
{
	my ($node, $database, $seconds) = @_;

	return wait_for(
		sub {
			workers($node, $database, 'engine') >= 1 && workers($node, $database, 'executor') == 1;
		},
		$seconds);
}

sub wait_for_no_workers
{
	my ($node, $database, $seconds) = @_;

	return wait_for(
		sub {
			workers($node, $database, 'engine') == 0 && workers($node, $database, 'executor') == 0;
		},
		$seconds);
}

# What the server has logged since an offset.
# How many requests test/lib/hostile_http.py has had at that address and port.
sub hits
{
	my $socket = IO::Socket::INET->new(PeerAddr => $_[0], PeerPort => $_[1]) or die "no connection: $!";
	print $socket "GET /hits HTTP/1.1\r\nHost: x\r\n\r\n";
	my $text = '';
	while (sysread($socket, my $piece, 1000))
	{
		$text .= $piece;
		return $1 if $text =~ /\r\n\r\n(\d+)$/;
	}
	die "no answer: $text";
}

sub log_since
{
	my ($node, $offset) = @_;

	return slurp_file($node->logfile, $offset);
}

1;
