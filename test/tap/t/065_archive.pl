# What retention deletes is archived in the same transaction: wherever it is
# killed, each execution is in one of the two places, and a dump has both.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use MistralTest;

my $number = 1500;
my $node = new_server('main', 'restart_after_crash = on');
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION mistral;
CREATE TABLE archive_2020 PARTITION OF mistral.archive (PRIMARY KEY (id, part)) FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE ledger (id uuid PRIMARY KEY);
SELECT mistral.load_workflow($$
version: '2.0'
twice:
  tasks:
    a: {action: std.noop, on-success: b}
    b: {with-items: i in <% range(2) %>, action: std.noop}
$$);
SQL
$node->safe_psql('postgres', "INSERT INTO ledger SELECT mistral.start_workflow('twice') FROM generate_series(1, $number)");
ok( wait_for(
		sub { $node->safe_psql('postgres', "SELECT count(*) FROM mistral.executions WHERE state = 'SUCCESS'") == $number },
		60),
	'all have ended');

$node->safe_psql('postgres', $_)
  foreach 'ALTER SYSTEM SET mistral.archive = on', 'ALTER SYSTEM SET mistral.retention = 0', 'SELECT pg_reload_conf()';

# Everything at one glance: where each of the ledger is.
my $places = <<'SQL';
SELECT count(*) FILTER (WHERE e.id IS NULL AND a.id IS NULL), count(*) FILTER (WHERE e.id IS NOT NULL AND a.id IS NOT NULL),
       count(*) FILTER (WHERE a.id IS NOT NULL)
  FROM ledger l LEFT JOIN mistral.execution e USING (id) LEFT JOIN mistral.archive a USING (id)
SQL
my ($archived, $between, $killed) = (0, 0, 0);
for my $round (1 .. 40)
{
	usleep(int(rand(400_000)));
	if ($round % 7 == 0)
	{
		$node->stop('immediate');
		$node->start;
	}
	else
	{
		my $pid = $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'mistral engine'");

		$killed += $pid ? kill('KILL', $pid) : 0;
	}
	wait_for(sub { ($node->psql('postgres', 'SELECT 1'))[0] == 0 }, 30) or die 'the server does not come back';
	my ($lost, $twice);
	($lost, $twice, $archived) = split /\|/, $node->safe_psql('postgres', $places);
	is("$lost $twice", '0 0', "round $round: none is lost, none is in both places") if $lost || $twice;
	$between++ if $archived > 0 && $archived < $number;
	last if $archived == $number;
}
cmp_ok($between, '>', 0, "kills came between ($between times of $killed)");
ok(wait_for(sub { $node->safe_psql('postgres', $places) eq "0|0|$number" }, 120), 'in the end all are archived')
  or diag($node->safe_psql('postgres', $places));
is( $node->safe_psql('postgres',
		"SELECT DISTINCT jsonb_array_length(d -> 'executions'), jsonb_array_length(d -> 'tasks'), jsonb_array_length(d -> 'actions') "
		  . 'FROM ledger, mistral.archived_execution(id) d'),
	'1|2|2', 'each as a whole');
is($node->safe_psql('postgres', 'SELECT (SELECT count(*) FROM mistral.task), (SELECT count(*) FROM mistral.action_execution)'),
	'0|0', 'and nothing is left behind');

# A dump has the archive: its own partition, and those of whoever runs the server.
$node->safe_psql('postgres', <<'SQL');
INSERT INTO mistral.archive
SELECT gen_random_uuid(), part, kind, owner, name, namespace, state, created_at, '2020-02-02', archived_at, document FROM mistral.archive LIMIT 1
SQL
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, 'postgres' ], 'pg_dump');
$node->command_ok([ 'pg_restore', '-e', '-d', 'restored', $dump ], 'pg_restore');
is($node->safe_psql('restored', 'SELECT count(*), (SELECT count(*) FROM archive_2020) FROM mistral.archived'),
	sprintf('%d|1', $number + 1), 'the archive is restored');
$node->stop;
done_testing();
