# The salaries of examples/salary, whole: run.sh starts all the peers, kills some of them, and keeps what each has seen.
use strict;
use warnings;

use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

use MistralTest;

my %needed = (
	'nginx' => 'PATH=$PATH:/usr/sbin command -v nginx',
	'rabbitmq-server' => 'test -x /usr/lib/rabbitmq/bin/rabbitmq-server',
	'openssh-server' => 'test -x /usr/sbin/sshd',
	'node with its module pg' => q{node -e 'require("pg")'});
foreach my $peer (sort keys %needed)
{
	plan skip_all => "$peer is not there" if system("($needed{$peer}) >/dev/null 2>&1");
}

my $dir = PostgreSQL::Test::Utils::tempdir();
# The one that the tests use.
local $ENV{PG_CONFIG} = 'pg_config';
# All that it starts inherits this.
local $ENV{MISTRAL_SALARY_RUN} = "run $$ of " . time;
my $out;
my $ok = IPC::Run::run([ 'bash', 'examples/salary/run.sh', '--installed', '--report', $dir ], '<', \undef, '>', \$out, '2>&1');
ok($ok, 'the month is paid') or diag $out;
BAIL_OUT('there is nothing to look at') unless $ok && -s "$dir/database.json";

# Helpers of a broker notice a moment later that it has gone.
wait_for(sub { !still_running() }, 20);
is(join(' ', map { "$_ " . slurp_file("$_/cmdline") } still_running()), '', 'nothing is left running');

my $database = decode_json(slurp_file("$dir/database.json"));
my %salary = map { $_->{input}{employee} => $_ } grep { $_->{workflow} eq 'payroll.salary' } @{ $database->{executions} };
my ($month) = grep { $_->{workflow} eq 'payroll.month' } @{ $database->{executions} };
my @actions = @{ $database->{actions} };

sub still_running
{
	# Those of others cannot be read, and some end meanwhile.
	my %environment = map { $_ => eval { slurp_file("$_/environ") } // '' } glob '/proc/[0-9]*';
	return grep { index($environment{$_}, $ENV{MISTRAL_SALARY_RUN}) >= 0 } sort keys %environment;
}

sub lines { return map { decode_json($_) } split /\n/, slurp_file("$dir/$_[0]") }
sub actions_of { my ($task, $state) = @_; return grep { $_->{task} eq $task && $_->{state} eq $state } @actions }

# ---- money

is_deeply([ map { [ @$_{qw(employee amount reason)} ] } sort { $a->{employee} cmp $b->{employee} } @{ $database->{ledger} } ],
	[ [ 'alice', 3640, undef ], [ 'bob', 3120, undef ], [ 'carl', 2576, 'the account is closed' ], [ 'dora', 2880, undef ] ],
	'everybody is booked once, and what the bank refused is taken back');
my @orders = lines('orders');
is_deeply([ sort map { "$_->{employee} $_->{amount}" } grep { !$_->{repeated} } @orders ],
	[ 'alice 3640', 'bob 3120', 'carl 2576', 'dora 2880' ], 'the bank has an order for each');
is_deeply([ map { "$_: $salary{$_}{state}" } sort keys %salary ], [ 'alice: SUCCESS', 'bob: SUCCESS', 'carl: ERROR', 'dora: SUCCESS' ], 'the salaries end accordingly');
is("$month->{state} $month->{output}{total}", 'SUCCESS 9640', 'and the month, which is what is paid');

# ---- people

is_deeply({ map { $_->{employee} => "$_->{answer}{by} $_->{answer}{comment}" } grep { $_->{answer} } @actions },
	{ alice => 'manager well done', carl => 'manager well done', dora => 'manager not this month' }, 'the manager has answered');
is_deeply([ sort map { "$_->{to}[0]: $_->{headers}{subject}" } lines('mails') ],
	[ 'alice@example.com: Your salary of ' . $month->{output}{month},
		'bob@example.com: Your salary of ' . $month->{output}{month},
		'dora@example.com: Your salary of ' . $month->{output}{month},
		'manager@example.com: Salaries of ' . $month->{output}{month},
		'manager@example.com: The salary of carl could not be paid' ],
	'the letters');

# ---- machines

is_deeply($month->{output}{offices}, [ map { "office-$_" } 2 .. 9 ], 'each of eight offices answers over SSH');
is(slurp_file("$dir/notice.$_"), "the salaries are paid\n", "office $_ has the notice") foreach 2 .. 9;
my $requests = slurp_file("$dir/requests.log");
is(scalar(() = $requests =~ m{GET /employees/}g), 8, 'each amount is asked for once');
is(scalar(() = $requests =~ m{=> pay slip (\d)}g), 3, 'three pay slips are in the archive');
is_deeply([ map { scalar(() = $requests =~ /$_/g) } 'payroll\.salary: WORKFLOW_SUCCEEDED', 'payroll\.salary: WORKFLOW_FAILED', 'payroll\.month: WORKFLOW_SUCCEEDED' ],
	[ 3, 1, 1 ], 'the webhooks tell of all that');
unlike(slurp_file("$dir/access.log"), qr/ 401 /, 'nginx lets the password in');

# ---- what died

like($out, qr/the other worker says: complete_action \S+ attempt 2$/m, 'the action of the worker that was killed is another one\'s');
cmp_ok(scalar(actions_of('archive', 'ERROR')), '>', 1, 'nginx was missed');
is($database->{check}, undef, 'and nothing is left in disorder');

done_testing();
