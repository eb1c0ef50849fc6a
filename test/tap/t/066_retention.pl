# Retention keeps up with what ends, finds what ended late, and takes the time
# that it needs when there is much to delete.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

use MistralTest;

my $node = new_server('main', "mistral.retention = '1s'", 'mistral.history_keep = 1', "mistral.history = 'executions'");
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION mistral;
SELECT mistral.load_workflow($$
version: '2.0'
ends:
  tasks:
    a: {action: std.noop}
stays:
  tasks:
    a: {action: std.async_noop}
twice:
  tasks:
    a: {action: std.noop, on-success: b}
    b: {with-items: i in <% range(2) %>, action: std.noop}
$$);
SQL
ok(wait_for_workers($node, 'postgres', 10), 'the workers run');

# The first wave is there before retention has found anything; each of the others comes when it has just been at work.
my $stays = $node->safe_psql('postgres', "SELECT mistral.start_workflow('stays')");
$node->safe_psql('postgres', "UPDATE mistral.execution SET created_at = created_at - interval '1 h'");
for my $wave (1 .. 3)
{
	$node->safe_psql('postgres', "SELECT mistral.start_workflow('ends') FROM generate_series(1, 300)");
	$node->safe_psql('postgres', "SELECT mistral.run_action('std.noop')");
	ok(wait_for(sub { left('execution') == 1 && left('action_execution') == 1 && left('history') <= 1 }, 20),
		"wave $wave: what has ended is soon gone");
}
is($node->safe_psql('postgres', 'SELECT id FROM mistral.executions'), $stays, 'what has not ended stays');
is($node->safe_psql('postgres', 'SELECT count(*) FROM mistral.check()'), '0', 'nothing is out of place');
$node->safe_psql('postgres', 'SELECT mistral.complete_action(id) FROM mistral.action_executions');
ok(wait_for(sub { left('execution') == 0 && left('action_execution') == 0 }, 150), 'and goes after its end, though later ones went first');

# Archived, so that the time is that of deleting, not of waiting.
$node->safe_psql('postgres', $_)
  foreach 'ALTER SYSTEM SET mistral.archive = on', 'ALTER SYSTEM SET mistral.retention = -1';
$node->restart;
backlog();
my $begun = time;
is($node->safe_psql('postgres', "SET mistral.retention = '1h'; SELECT mistral.run_retention()"), '1500', 'all at once');
my $at_once = time - $begun;
backlog();
$node->safe_psql('postgres', "ALTER SYSTEM SET mistral.retention = '1h'");
$node->restart;
$begun = time;
ok(wait_for(sub { left('execution') == 0 }, 120), 'the engine catches up');
my $took = time - $begun;
# A tenth of the engine's time would make it ten times as long, and small batches cost more.
cmp_ok($took, '<', 8 * $at_once + 2, sprintf('it took %.1f s, for what takes %.1f s', $took, $at_once));
is($node->safe_psql('postgres', 'SELECT count(*) FROM mistral.archive'), '3000', 'and keeps what it has deleted');

$node->stop;
done_testing();

sub left
{
	my ($table) = @_;

	return $node->safe_psql('postgres', "SELECT count(*) FROM mistral.$table");
}

# Executions that ended two hours ago.
sub backlog
{
	$node->safe_psql('postgres', "SELECT mistral.start_workflow('twice') FROM generate_series(1, 1500)");
	ok( wait_for(
			sub { $node->safe_psql('postgres', "SELECT count(*) FROM mistral.executions WHERE state = 'SUCCESS'") == 1500 }, 60),
		'a backlog');
	$node->safe_psql('postgres', <<'SQL');
UPDATE mistral.execution SET created_at = created_at - interval '2 h', finished_at = finished_at - interval '2 h'
SQL
	return;
}
