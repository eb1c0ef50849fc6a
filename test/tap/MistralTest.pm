# What the crash and lifecycle tests share: a server with the extension
# preloaded, waiting for its workers, a load, and an outside world that counts.
package MistralTest;

use strict;
use warnings;

use Exporter 'import';
use IO::Socket::INET;
use IPC::Run;
use POSIX ();
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
  answer
  compile_module
  start_world
  pgbench_until
  victims
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

# What the server has logged since an offset.
sub log_since
{
	my ($node, $offset) = @_;

	return slurp_file($node->logfile, $offset);
}

# What a query gives; empty while the server does not answer.
sub answer
{
	my ($node, $query) = @_;
	my ($out, $err) = ('', '');

	# By argument: a psql that cannot connect is gone before it reads its input.
	my $ok = IPC::Run::run(
		[ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', $query ],
		'<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(20));
	chomp $out;
	return $ok ? $out : '';
}

# Compiles test/modules/example.c as an author of a module would, with what is installed; true when that went well.
sub compile_module
{
	my ($directory) = @_;
	my $pg_config = $ENV{PG_CONFIG} // 'pg_config';
	chomp(my $include = `$pg_config --includedir-server`);

	return system('cc', '-shared', '-fPIC', '-Wall', '-Wextra', '-Wno-missing-field-initializers', '-Wno-unused-parameter',
		'-Werror', '-I', "$include/extension/mistral", '-o', "$directory/example.so", 'test/modules/example.c') == 0;
}

# Starts test/tap/ledger_http.py: its port, and what its caller has to keep as long as it is to run.
sub start_world
{
	my ($file) = @_;
	my ($in, $out) = ('', '');
	append_to_file($file, '');
	my $handle =
	  IPC::Run::start([ $ENV{PYTHON} || 'python3', 'test/tap/ledger_http.py', $file ], '<', \$in, '>', \$out);

	$handle->pump until $out =~ /\n/;
	chomp(my $number = $out);
	# The string that is its input must outlive it: its end would end the server.
	return ($number, { handle => $handle, in => \$in });
}

# Runs pgbench with these arguments until a file exists, and gives the pid of the child that does.
# pgbench gives up when its connection is lost: the child begins again.
sub pgbench_until
{
	my ($node, $file, @arguments) = @_;
	my $pid = fork;

	die "could not fork: $!" unless defined $pid;
	return $pid if $pid;
	until (-e $file)
	{
		system('sh', '-c', '"$@" >/dev/null 2>&1', 'sh', 'pgbench', '-n', '-T', 2, '-h', $node->host, '-p',
			$node->port, @arguments, 'postgres');
		usleep(50_000);
	}
	POSIX::_exit(0);
}

# The pids of the server's processes for which a condition on pg_stat_activity holds.
sub victims
{
	my ($node, $condition) = @_;

	return split /\n/, answer($node, "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND ($condition)");
}

1;
