# The server's clock is set, forward and back, over daylight saving and to a
# leap day: slots fire once each, and timers neither wait nor hurry.
#
# libfaketime gives the server's processes another wall clock, by an offset that
# they read anew each time; elapsed time stays the machine's.  What plain_select.c
# is for stands there.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

use MistralTest;

my ($library) = grep { -f } map { "$_/faketime/libfaketime.so.1" } glob('/usr/lib/*');
die "libfaketime is not installed\n" unless $library;

my $shim = PostgreSQL::Test::Utils::tempdir() . '/plain_select.so';
system_or_bail('cc', '-shared', '-fPIC', '-o', $shim, 'test/tap/plain_select.c');

my $offset = PostgreSQL::Test::Utils::tempdir() . '/offset';
my $node = new_server('main');

set_clock('2027-01-10 12:00:00Z');
{
	local %ENV = (
		%ENV,
		LD_PRELOAD => "$shim:$library",
		FAKETIME_TIMESTAMP_FILE => $offset,
		FAKETIME_NO_CACHE => 1,
		DONT_FAKE_MONOTONIC => 1,
		FAKETIME_DONT_FAKE_MONOTONIC => 1,
	);
	$node->start;
}
sql(<<'SQL');
CREATE EXTENSION mistral;
SELECT mistral.load_workflow($$
version: '2.0'
tick:
  tasks: {t: {action: std.noop}}
later:
  tasks:
    t: {action: std.noop, wait-before: 3}
$$);
SQL
ok(wait_for_workers($node, 'postgres', 10), 'the workers run');
like(sql('SELECT clock_timestamp()'), qr/^2027-01-10 12:00:/, 'by another clock');

subtest 'daylight saving begins' => sub {
	set_clock('2027-03-28 00:59:50Z');
	trigger('spring', '30 2 * * *', 'Europe/Berlin');
	trigger('quarters', '*/15 * * * *', 'Europe/Berlin');
	set_clock('2027-03-28 00:59:59Z');
	is(slots('spring', 1), '2027-03-28 01:00:00', 'a slot in the hour that is left out fires once, at the change');
	set_clock('2027-03-28 01:14:59Z');
	is(slots('quarters', 2), '2027-03-28 01:00:00 2027-03-28 01:15:00', 'what goes by elapsed time knows no such hour');
	set_clock('2027-03-29 00:29:59Z');
	is(slots('spring', 2), '2027-03-28 01:00:00 2027-03-29 00:30:00', 'the next day it is at its hour');
	fired_once('spring', 'quarters');
};

subtest 'daylight saving ends' => sub {
	set_clock('2027-10-31 00:29:50Z');
	trigger('autumn', '30 2 * * *', 'Europe/Berlin');
	trigger('halves', '*/30 * * * *', 'Europe/Berlin');
	set_clock('2027-10-31 00:29:59Z');
	is(slots('autumn', 1), '2027-10-31 00:30:00', 'in the first pass');
	set_clock('2027-10-31 00:59:59Z');
	slots('halves', 2);
	set_clock('2027-10-31 01:29:59Z');
	is(slots('halves', 3), '2027-10-31 00:30:00 2027-10-31 01:00:00 2027-10-31 01:30:00', 'elapsed time has both passes');
	is(slots('autumn', 1), '2027-10-31 00:30:00', 'and a given hour only one');
	fired_once('autumn', 'halves');
};

subtest 'leap day' => sub {
	set_clock('2027-12-31 00:00:00Z');
	trigger('leap', '0 0 29 2 *', 'UTC', 'none');
	set_clock('2028-02-28 23:59:59Z');
	is(slots('leap', 1), '2028-02-29 00:00:00', 'it fires in a leap year');
	is(sql("SELECT next_execution_time FROM mistral.cron_triggers WHERE name = 'leap'"), '2032-02-29 00:00:00+00', 'and then in four years');
	fired_once('leap');
};

subtest 'three days forward, a day back' => sub {
	set_clock('2028-05-01 11:00:00Z');
	trigger("noon $_", '0 12 * * *', 'UTC', $_) foreach qw(all one none);
	set_clock('2028-05-01 11:59:59Z');
	is(slots("noon $_", 1), '2028-05-01 12:00:00', "$_: the first slot") foreach qw(all one none);

	my $id = sql("SELECT mistral.start_workflow('later')");
	my $start = time;
	ok(wait_for(sub { sql("SELECT count(*) FROM mistral.tasks WHERE execution_id = '$id'") eq '1' }, 5), 'a delay begins');
	set_clock('2028-05-04 12:30:00Z');
	is(slots('noon all', 3), '2028-05-02 12:00:00 2028-05-03 12:00:00 2028-05-04 12:00:00', 'all: each slot (the first is forgotten by now)');
	is(slots('noon one', 1), '2028-05-04 12:00:00', 'one: the last');
	is(executions('noon none'), 1, 'none: nothing');
	is(sql("SELECT mistral.wait_workflow('$id', '10 s')"), 'SUCCESS', 'the delay ends');
	cmp_ok(time - $start, '>=', 2.9, 'and not early');
	cmp_ok(time - $start, '<', 5, 'nor late');

	$id = sql("SELECT mistral.start_workflow('later')");
	$start = time;
	ok(wait_for(sub { sql("SELECT count(*) FROM mistral.tasks WHERE execution_id = '$id'") eq '1' }, 5), 'another begins');
	set_clock('2028-05-03 11:59:59Z');
	is(sql("SELECT mistral.wait_workflow('$id', '10 s')"), 'SUCCESS', 'it ends, although the clock was set back');
	cmp_ok(time - $start, '>=', 2.9, 'not early');
	cmp_ok(time - $start, '<', 5, 'not late');
	$id = sql("SELECT mistral.start_workflow('later')");
	is(sql("SELECT mistral.wait_workflow('$id', '10 s')"), 'SUCCESS', 'as does one that begins afterwards');
	set_clock('2028-05-05 11:59:59Z');
	is( slots('noon all', 4),
		'2028-05-02 12:00:00 2028-05-03 12:00:00 2028-05-04 12:00:00 2028-05-05 12:00:00',
		'used slots did not fire again, and the next one is at its time');
	slots("noon $_", 1) foreach qw(one none);
	is(executions('noon all'), 5, 'an execution for each slot');
	is(executions('noon one'), 3, 'one: of those that were missed the last');
	is(executions('noon none'), 2, 'none: one that was passed over stays so, although the clock came by once more');
};

is(sql('SELECT count(*) FROM mistral.check()'), 0, 'nothing is out of place');
$node->stop;
done_testing();

sub sql
{
	return $node->safe_psql('postgres', "SET timezone = 'UTC'; " . shift);
}

# The server's wall clock from now on, as a distance from ours.
sub set_clock
{
	my ($wanted) = @_;
	my $now = `date -u -d '$wanted' +%s` - int(time);

	open(my $file, '>', "$offset.new") or die "$offset.new: $!";
	printf $file "%+d\n", $now;
	close $file;
	rename("$offset.new", $offset) or die "$offset: $!";
	return;
}

sub trigger
{
	my ($name, $pattern, $zone, $catchup) = @_;

	sql("SELECT mistral.create_cron_trigger('$name', 'tick', '$pattern', params => jsonb_build_object('trigger', '$name'), timezone => '$zone', catchup => '" . ($catchup // 'one') . "')");
	return;
}

# The slots that have fired, once there are so many or when that has not come true.
sub slots
{
	my ($name, $count) = @_;

	wait_for(sub { sql("SELECT count(*) FROM mistral.cron_slots WHERE cron_trigger = '$name' AND outcome = 'started'") >= $count }, 15);
	return sql("SELECT string_agg(to_char(slot, 'YYYY-MM-DD HH24:MI:SS'), ' ' ORDER BY slot) FROM mistral.cron_slots
		WHERE cron_trigger = '$name' AND outcome = 'started'");
}

# Slots are forgotten after three days: to be called before the clock is set on.
sub fired_once
{
	foreach my $name (@_)
	{
		is(executions($name), sql("SELECT count(*) FROM mistral.cron_slots WHERE cron_trigger = '$name' AND outcome = 'started'"),
			"$name: an execution for each slot");
	}
	return;
}

sub executions
{
	my ($name) = @_;

	return sql("SELECT count(*) FROM mistral.executions WHERE params ->> 'trigger' = '$name'");
}
