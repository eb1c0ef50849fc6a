# The history equals what happened, whatever is killed; who follows it misses
# nothing that commits late; logical replication carries it to another server.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

use MistralTest;

my $node = new_server('main', 'wal_level = logical', 'restart_after_crash = on', "mistral.history = 'tasks'");
my $other = PostgreSQL::Test::Cluster->new('other');
$node->start;
$other->init;
$other->start;

$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION mistral;
CREATE PUBLICATION history FOR TABLE mistral.history WITH (publish = 'insert');
SELECT mistral.load_workflow($$
version: '2.0'
seq:
  tasks:
    a: {action: std.noop, on-success: b}
    b: {action: std.noop, wait-before: 1, on-success: c}
    c: {action: std.noop}
asks:
  tasks:
    a: {action: std.async_noop, on-success: b}
    b: {action: std.noop}
late:
  tasks:
    a: {action: std.async_noop, on-success: b}
    b: {action: std.noop}
below:
  tasks:
    s: {workflow: seq}
$$);
SQL

# What reads the history elsewhere needs a table of that shape, and no extension.
$other->safe_psql('postgres', <<'SQL');
CREATE SCHEMA mistral;
CREATE TABLE mistral.history (xid xid8, at timestamptz, n int, owner oid, execution_id uuid, root_id uuid, name text,
                              state text, role text, messages text[], transitions jsonb, PRIMARY KEY (xid, n));
SQL
$other->safe_psql('postgres',
	sprintf("CREATE SUBSCRIPTION history CONNECTION 'host=%s port=%s dbname=postgres' PUBLICATION history", $node->host, $node->port));
ok(wait_for_workers($node, 'postgres', 10), 'the workers run');

# A transaction that has written its row and does not commit: what others write
# behind it must wait, or who has read that would never see this.
my $late = $node->background_psql('postgres');
my ($position, @read) = ('');
follow();
$late->query_safe("BEGIN; SELECT mistral.start_workflow('late') AS id \\gset");
$late->query_safe("SELECT mistral.pause_workflow(:'id'); SELECT mistral.resume_workflow(:'id')");
$node->safe_psql('postgres', "SELECT mistral.start_workflow('seq') FROM generate_series(1, 20)");
ok(wait_for(sub { $node->safe_psql('postgres', 'SELECT count(*) FROM mistral.history') >= 20 }, 20), 'others go on');
follow();
is(scalar(@read), 0, 'nobody is told what comes after a transaction that is still open');
$late->query_safe('COMMIT');
$late->quit;
follow();
cmp_ok(scalar(@read), '>=', 22, 'and then it is all there');

my $killed = 0;
for my $round (1 .. 12)
{
	$node->safe_psql('postgres',
		"SELECT mistral.start_workflow(w) FROM unnest('{seq,asks,below}'::text[]) w, generate_series(1, 5)");
	$node->safe_psql('postgres',
		"SELECT mistral.complete_action(id, '1') FROM mistral.action_executions WHERE name = 'std.async_noop' AND state = 'RUNNING'");
	usleep(int(rand(300_000)));
	if ($round % 4 == 0)
	{
		$node->stop('immediate');
		$node->start;
		$killed++;
	}
	else
	{
		my $pid = $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'mistral engine'");

		$killed += $pid ? kill('KILL', $pid) : 0;
	}
	ok(wait_for(sub { answers() }, 30), "round $round: the server is back");
	follow();
}
cmp_ok($killed, '>=', 9, 'kills found their victims');
ok( wait_for(
		sub {
			$node->safe_psql('postgres',
				"SELECT mistral.complete_action(id, '1') FROM mistral.action_executions WHERE name = 'std.async_noop' AND state = 'RUNNING'");
			return $node->safe_psql('postgres', 'SELECT count(*) FROM mistral.executions WHERE finished_at IS NULL') eq '0';
		},
		60),
	'everything comes to an end');
ok(wait_for(sub { follow(); scalar(@read) == $node->safe_psql('postgres', 'SELECT count(*) FROM mistral.history') }, 20),
	'who follows has read as much as there is');
is(join(' ', @read), $node->safe_psql('postgres', "SELECT string_agg(xid || '/' || n, ' ' ORDER BY xid, n) FROM mistral.history"),
	'all of it, in order, once');

# Nothing is lost and nothing doubled: every execution of a kind has had the same transitions.
is( $node->safe_psql('postgres', <<'SQL'), <<'EXPECTED' =~ s/\n\z//r, 'the history is what happened');
SELECT p.workflow_name, count(*) = (SELECT count(*) FROM mistral.executions e WHERE e.workflow_name = p.workflow_name), p.path
  FROM (SELECT t.workflow_name, t.execution_id,
               string_agg(COALESCE(t.task_name || CASE t.kind WHEN 'action' THEN '.' ELSE '' END, '*') || '>' || t.state, ' '
                          ORDER BY t.xid, t.n, t.no) AS path
          FROM mistral.transitions t GROUP BY 1, 2) p
 GROUP BY p.workflow_name, p.path ORDER BY 1
SQL
asks|t|*>IDLE *>RUNNING a>RUNNING a.>SUCCESS a>SUCCESS b>RUNNING b>SUCCESS *>SUCCESS
below|t|*>IDLE *>RUNNING s>RUNNING s>SUCCESS *>SUCCESS
late|t|*>IDLE *>PAUSED *>RUNNING a>RUNNING a.>SUCCESS a>SUCCESS b>RUNNING b>SUCCESS *>SUCCESS
seq|f|*>IDLE *>RUNNING a>RUNNING a>SUCCESS b>RUNNING b>DELAYED b>RUNNING b>SUCCESS c>RUNNING c>SUCCESS *>SUCCESS
seq|f|*>RUNNING a>RUNNING a>SUCCESS b>RUNNING b>DELAYED b>RUNNING b>SUCCESS c>RUNNING c>SUCCESS *>SUCCESS
EXPECTED

$node->wait_for_catchup('history');
is( $other->safe_psql('postgres', 'SELECT count(*), md5(string_agg(h::text, chr(10) ORDER BY xid, n)) FROM mistral.history h'),
	$node->safe_psql('postgres', 'SELECT count(*), md5(string_agg(h::text, chr(10) ORDER BY xid, n)) FROM mistral.history h'),
	'the other server has the same');

$node->safe_psql('postgres', "ALTER SYSTEM SET mistral.history_keep = 0; SELECT pg_reload_conf()");
ok(wait_for(sub { $node->safe_psql('postgres', 'SHOW mistral.history_keep') eq '0' }), 'nothing is to be kept');
$node->safe_psql('postgres', 'SELECT mistral.run_retention()');
is($node->safe_psql('postgres', 'SELECT count(*) FROM mistral.history'), '0', 'what is deleted here');
$node->wait_for_catchup('history');
cmp_ok($other->safe_psql('postgres', 'SELECT count(*) FROM mistral.history'), '==', scalar(@read), 'stays there');

$other->stop;
$node->stop;
done_testing();

# The next rows, as far as there are any.
sub follow
{
	my $after = $position eq '' ? 'NULL' : "'$position'";
	my @new;

	do
	{
		@new = split /\n/, $node->safe_psql('postgres', "SELECT position FROM mistral.history_since($after, 20)");
		push @read, @new;
		$position = $new[-1] if @new;
		$after = "'$position'";
	} while (@new == 20);
	return;
}

sub answers
{
	my ($rc, $out) = $node->psql('postgres', 'SELECT 1');

	return $rc == 0;
}
