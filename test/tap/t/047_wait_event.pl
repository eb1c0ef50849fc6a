# Events and waits for them, whatever is killed: every wait hears its event and
# no other, once, whichever came first.  Waits and events are committed in
# random order while the engine is killed, or told to end, or the server is.
use strict;
use warnings;

use List::Util qw(shuffle);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use MistralTest;

my $seed = $ENV{MISTRAL_SEED} // time;
srand($seed);
note("seed $seed");

my $node = new_server('main', 'restart_after_crash = on', 'mistral.engine_workers = 2');
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION mistral;
SELECT mistral.load_workflow($yaml$
version: '2.0'
w:
  input: [n]
  output: {heard: <% $.heard %>}
  tasks:
    t:
      action: std.wait_event
      input: {event: go, match: {n: <% $.n %>}, lookback: 600}
      publish: {heard: <% task().result.payload.n %>}
$yaml$);
SQL
ok(wait_for_workers($node, 'postgres', 10), 'the workers run');

# Until it has been committed; a repetition of what was changes nothing.
sub surely
{
	my ($query) = @_;

	return wait_for(sub { ($node->psql('postgres', $query))[0] == 0 }, 30);
}

my $rounds = 40;
my @work = shuffle(map { ([ 'wait', $_ ], [ 'event', $_ ]) } 1 .. 10 * $rounds);
my $lost = 0;
my $kills = 0;

foreach my $round (1 .. $rounds)
{
	my @statements = map {
		my ($what, $n) = @$_;
		$what eq 'wait'
		  ? "SELECT mistral.start_workflow('w', '{\"n\": $n}', execution_id => '00000000-0000-7000-8000-" . sprintf('%012d', $n) . "')"
		  : "SELECT mistral.publish_event('go', '{\"n\": $n}', dedup_key => '$n')";
	} splice(@work, 0, 20);

	surely("BEGIN; " . join('; ', @statements) . "; COMMIT") or $lost++;
	next if $round % 5 != 0;
	if ($round % 15 == 0)
	{
		$node->stop('immediate');
		$node->start;
		$kills++;
		next;
	}
	my $pid = answer($node, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'mistral engine' ORDER BY backend_start LIMIT 1");
	usleep(rand(20_000));
	$kills += kill($round % 10 == 0 ? 'KILL' : 'TERM', $pid) if $pid =~ /^\d+$/;
}
is($lost, 0, 'everything was committed');
cmp_ok($kills, '>=', 5, 'most kills found a victim');
ok( wait_for(sub { answer($node, "SELECT count(*) FROM mistral.executions WHERE state = 'SUCCESS'") eq 10 * $rounds }, 60),
	'every wait heard an event')
  or diag(answer($node, 'SELECT state, count(*) FROM mistral.executions GROUP BY 1'));
is(answer($node, "SELECT count(*) FROM mistral.executions WHERE output -> 'heard' IS DISTINCT FROM input -> 'n'"), '0', 'its own');
is(answer($node, 'SELECT count(*) FROM mistral.event_taken'), 10 * $rounds, 'once');
is(answer($node, 'SELECT count(*) FROM mistral.event_wait') . answer($node, 'SELECT count(*) FROM mistral.event_news'), '00', 'nothing is left');

# ---- how long events are kept
$node->safe_psql('postgres', q{ALTER SYSTEM SET mistral.event_retention = 0; SELECT pg_reload_conf(); SELECT mistral.run_action('std.wait_event', '{"event": "late"}')});
$node->safe_psql('postgres', q{SELECT mistral.publish_event('late')});
ok(wait_for(sub { answer($node, q{SELECT count(*) FROM mistral.action_execution WHERE state = 'SUCCESS' AND result ->> 'event' = 'late'}) eq '1' }, 20),
	'who waits hears what is not kept');
$node->restart;
ok(wait_for(sub { answer($node, 'SELECT count(*) FROM mistral.event') eq '0' }, 20), 'it is forgotten by the next look, here that of a new engine');
is(answer($node, 'SELECT count(*) FROM mistral.event_taken'), '0', 'with those who heard it');

$node->stop;
done_testing();
