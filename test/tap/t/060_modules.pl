# Actions of modules: the program mistral_io, what it may, and that nobody suffers when it dies.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use MistralTest;

my $pg_config = $ENV{PG_CONFIG} // 'pg_config';
my $dir = PostgreSQL::Test::Utils::tempdir();
ok(compile_module($dir), 'a module is compiled with the installed header alone');

append_to_file("$dir/key", ('0123456789abcdef' x 4) . "\n");
chmod 0600, "$dir/key";
my $node = new_server('modules', "mistral.secret_key_file = '$dir/key'", "mistral.io_modules = '$dir/example.so, $dir/nothing'", 'log_min_messages = info', 'restart_after_crash = on');
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION mistral');
my $offset = 0;

sub state_of
{
	my ($id) = @_;
	return $node->safe_psql('postgres', "SELECT state FROM mistral.executions WHERE id = '$id'");
}

sub start
{
	my ($workflow, $input) = @_;
	return $node->safe_psql('postgres', "SELECT mistral.start_workflow('$workflow', '" . ($input // '{}') . "')");
}

sub ended
{
	my ($id, $seconds) = @_;
	wait_for(sub { state_of($id) =~ /SUCCESS|ERROR|CANCELLED/ }, $seconds // 30);
	return state_of($id);
}

sub errors_of
{
	my ($id) = @_;
	return $node->safe_psql('postgres',
		"SELECT string_agg(DISTINCT a.output ->> 'result', '|') FROM mistral.action_executions a WHERE a.execution_id = '$id' AND a.state = 'ERROR'");
}

sub program
{
	my $executor = $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'mistral executor' AND datname = 'postgres'");
	return '' if $executor eq '';
	my $pid = `pgrep -P $executor -x mistral_io`;
	chomp $pid;
	return $pid;
}

$node->safe_psql('postgres', <<'SQL');
CREATE ROLE ann;
SELECT mistral.grant_access('ann', k) FROM unnest('{author,operator}'::text[]) k;
SELECT mistral.load_workflow($$
version: '2.0'
echo:
  input: [{seconds: 0}]
  output: {text: <% $.text %>}
  tasks:
    t:
      action: example.echo_slow
      input: {output: 'Ä " \ %', seconds: <% $.seconds %>}
      publish: {text: <% task().result.output %>}
many:
  input: [n, seconds]
  tasks:
    t:
      with-items: i in <% range($.n) %>
      action: example.echo_slow output=<% $.i %> seconds=<% $.seconds %>
many_again:
  input: [n, seconds]
  tasks:
    t:
      with-items: i in <% range($.n) %>
      action: example.echo_slow output=<% $.i %> seconds=<% $.seconds %>
      safe-rerun: true
crash:
  tasks:
    t: {action: example.crash, safe-rerun: true}
hang:
  tasks:
    t: {action: example.hang}
late:
  tasks:
    t: {action: example.echo_slow output=1 seconds=3600, timeout: 1}
wrong:
  tasks:
    t: {action: example.echo_slow colour="red"}
other:
  tasks:
    t: {action: std.noop, on-success: u}
    u: {action: std.echo output=1}
$$, scope => 'public');
SQL

chomp(my $libraries = `$pg_config --pkglibdir`);
my $needed = `objdump -p $libraries/mistral.so $libraries/mistral_io`;
like($needed, qr/NEEDED +libyaml/, 'the extension links the libraries that it needs');
unlike($needed, qr/NEEDED +(librabbitmq|libssh2|libcurl|libssl)/, 'and none that talks to anybody');
like(`objdump -p $libraries/mistral_http`, qr/NEEDED +libcurl/, 'which is in a program of its own');

# ---- what is loaded

ok(wait_for(sub { $node->safe_psql('postgres', "SELECT count(*) FROM mistral.actions WHERE module = 'example'") == 6 }), 'the actions of a module are known');
is($node->safe_psql('postgres', "SELECT input, description, is_system FROM mistral.actions WHERE name = 'example.echo_slow'"),
	'output seconds=1|Gives back its input, after some seconds.|f', 'with what the module says of them');
like(log_since($node, $offset), qr/could not load module "\Q$dir\E\/nothing.so"/, 'a module that is not there is named in the log');

my $id = start('echo');
is(ended($id), 'SUCCESS', 'an action of a module ends');
is($node->safe_psql('postgres', "SELECT output ->> 'text' FROM mistral.executions WHERE id = '$id'"), "Ä \" \\ %", 'with its result');
$id = start('wrong');
is(ended($id), 'ERROR', 'its parameters are checked');
like($node->safe_psql('postgres', "SELECT state_info FROM mistral.executions WHERE id = '$id'"), qr/missing output; unexpected colour/, 'by what the module says');

# ---- who may

$id = $node->safe_psql('postgres', "SET ROLE ann; SELECT mistral.start_workflow('echo')");
is(ended($id), 'ERROR', 'a role needs a grant');
like(errors_of($id), qr/GRANT EXECUTE ON FUNCTION mistral\.module_action\(jsonb\) TO ann/, 'which is named');
$node->safe_psql('postgres', 'GRANT EXECUTE ON FUNCTION mistral.module_action(jsonb) TO ann');
is(ended($node->safe_psql('postgres', "SET ROLE ann; SELECT mistral.start_workflow('echo')")), 'SUCCESS', 'and is enough');
$node->safe_psql('postgres', q{CREATE FUNCTION mistral.example_echo_slow(jsonb) RETURNS void LANGUAGE sql AS '';
	REVOKE ALL ON FUNCTION mistral.example_echo_slow(jsonb) FROM PUBLIC});
$id = $node->safe_psql('postgres', "SET ROLE ann; SELECT mistral.start_workflow('echo')");
is(ended($id), 'ERROR', 'a function of its own name takes the place of the general one');
like(errors_of($id), qr/mistral\.example_echo_slow\(jsonb\)/, 'and is named');
$node->safe_psql('postgres', 'DROP FUNCTION mistral.example_echo_slow(jsonb)');

# ---- secrets

$node->safe_psql('postgres', q{SELECT mistral.set_secret('word', 'open sesame');
	SELECT mistral.load_workflow($$
version: '2.0'
whisper:
  tasks:
    t:
      action: example.echo_slow
      input: {output: "say <% secret(word) %>", seconds: 0}
      publish: {said: <% task().result.output %>}
  output: {said: <% $.said %>}
$$)});
$id = start('whisper');
is(ended($id), 'SUCCESS', 'a secret goes to the module');
is($node->safe_psql('postgres', "SELECT output ->> 'said' FROM mistral.executions WHERE id = '$id'"), 'say ***', 'and does not come back');

# ---- what the program is

my $pid = program();
isnt($pid, '', 'the program runs');
is(join(' ', sort { $a <=> $b } map { (split '/')[-1] } glob("/proc/$pid/fd/*")), '0 1 2 3', 'it has no descriptor of the server');
unlike(slurp_file("/proc/$pid/maps"), qr{/dev/zero|SYSV|PostgreSQL|mistral\.so}, 'nor its shared memory, nor its library');
like(slurp_file("/proc/$pid/limits"), qr/Max address space\s+1073741824/, 'its memory is limited');
like(slurp_file("/proc/$pid/limits"), qr/Max core file size\s+0/, 'it leaves no core files');

# ---- an answer from elsewhere

my $asked = $node->safe_psql('postgres', q{SELECT mistral.run_action('example.ask')});
ok(wait_for(sub { $node->safe_psql('postgres', 'SELECT (SELECT count(*) FROM mistral.dispatch) + (SELECT count(*) FROM mistral.attempt)') == 0 }), 'a request that is answered later is sent');
is($node->safe_psql('postgres', "SELECT state FROM mistral.action_executions WHERE id = '$asked'"), 'RUNNING', 'and waits');
$node->safe_psql('postgres', "SELECT mistral.complete_action('$asked', '7')");
ok(wait_for(sub { $node->safe_psql('postgres', "SELECT state || (output ->> 'result') FROM mistral.action_executions WHERE id = '$asked'") eq 'SUCCESS7' }), 'for whoever completes it');

# ---- what a task's timeout does

$offset = -s $node->logfile;
$id = start('late');
is(ended($id), 'ERROR', 'an action that takes too long fails');
ok(wait_for(sub { log_since($node, $offset) =~ /example\.echo_slow was cancelled/ }), 'and the module is told');
$offset = -s $node->logfile;
my $lone = $node->safe_psql('postgres', q{SELECT mistral.run_action('example.echo_slow', '{"output": 1, "seconds": 3600}')});
ok(wait_for(sub { $node->safe_psql('postgres', "SELECT count(*) FROM mistral.attempt WHERE action_id = '$lone'") == 1 }), 'an action that nobody has ended is under way');
$node->safe_psql('postgres', "SELECT mistral.cancel_action('$lone')");
ok(wait_for(sub { log_since($node, $offset) =~ /example\.echo_slow was cancelled/ }), 'one that somebody has cancelled is so in the module');
ok(wait_for(sub { $node->safe_psql('postgres', "SELECT count(*) FROM mistral.attempt") == 0 }), 'and leaves nothing');

# ---- one role's actions, and another's

my $hog = start('many', '{"n": 4100, "seconds": 15}');
ok(wait_for(sub { $node->safe_psql('postgres', 'SELECT count(*) FROM mistral.attempt') >= 2000 }, 60), 'a role has as many under way as one may have');
is(ended($node->safe_psql('postgres', "SET ROLE ann; SELECT mistral.start_workflow('echo')")), 'SUCCESS', 'another one has room');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM mistral.attempt'), '<=', 2500, 'so much is kept free');
is(ended($hog, 120), 'SUCCESS', 'the others have their turn');

# ---- a crash in a library

my $born = $node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()');
my $executor = $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'mistral executor'");
my $once = start('many', '{"n": 20, "seconds": 3}');
my $again = start('many_again', '{"n": 20, "seconds": 3}');
ok(wait_for(sub { $node->safe_psql('postgres', 'SELECT count(*) FROM mistral.attempt') == 40 }), 'forty actions are under way');
$pid = program();
# Until the last of them has left the worker, it might come back unharmed.
usleep(300_000);
kill 'SEGV', $pid;
my $other = start('other');
is(ended($other), 'SUCCESS', 'other workflows go on');
ok(wait_for(sub { my $p = program(); $p ne '' && $p ne $pid }), 'the program is started again');
is(ended($once), 'ERROR', 'what may not be repeated fails');
like(errors_of($once), qr/^outcome unknown: the program mistral_io died while the request was under way; it is repeated only with safe-rerun: true$/, 'and says why');
is(ended($again), 'SUCCESS', 'what may be repeated is');
is($node->safe_psql('postgres', 'SELECT count(*) FROM mistral.attempt'), '0', 'nothing is left');
$id = start('crash');
is(ended($id, 60), 'ERROR', 'an action that takes the program with it each time is given up');
is(errors_of($id), 'the program mistral_io died 3 times while the request was under way', 'after three times');
is(ended(start('echo')), 'SUCCESS', 'and the others are performed again');
is($node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()'), $born, 'the server has not been restarted');
is($node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'mistral executor'"), $executor, 'nor has the executor');
like(log_since($node, $offset), qr/mistral_io, which runs the actions of modules, is gone: it was terminated by signal 11/, 'the log says what happened');

# ---- a library that does not return

$node->safe_psql('postgres', 'ALTER SYSTEM SET mistral.io_hang_timeout = 2');
$node->reload;
$pid = program();
$again = start('many_again', '{"n": 5, "seconds": 0}');
is(ended($again), 'SUCCESS', 'a program that answers in time is left alone');
$id = start('hang');
is(ended($id, 30), 'ERROR', 'an action that holds up the program is given up');
is(errors_of($id), 'outcome unknown: the program mistral_io died while the request was under way; it is repeated only with safe-rerun: true', 'as if the program had crashed');
like(log_since($node, $offset), qr/mistral_io, which runs the actions of modules, is gone: it did not answer for 2 s \(mistral\.io_hang_timeout\)/, 'which the log explains');
is(ended(start('echo')), 'SUCCESS', 'the next program performs the others');
ok(program() ne $pid, 'and is another one');
is($node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'mistral executor'"), $executor, 'the executor has not been restarted');
$pid = program();
usleep(5_000_000);
is(program(), $pid, 'one with nothing to do is not taken for one that hangs');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET mistral.io_hang_timeout');
$node->reload;

# ---- a crash of the executor

$pid = program();
kill 'KILL', $executor;
ok(wait_for(sub { !kill(0, $pid) }), 'without its worker the program ends');
ok(wait_for(sub { my $e = ''; eval { $e = $node->safe_psql('postgres', 'SELECT 1') }; $e eq '1' }, 60), 'the server is back');
is(ended(start('echo'), 60), 'SUCCESS', 'and so are modules');

# ---- other modules

$node->safe_psql('postgres', "ALTER SYSTEM SET mistral.io_modules = ''");
$node->reload;
ok(wait_for(sub { program() eq '' }), 'without modules there is no program');
$id = start('echo');
is(ended($id), 'ERROR', 'an action whose module is not loaded fails');
like($node->safe_psql('postgres', "SELECT state_info FROM mistral.executions WHERE id = '$id'"),
	qr/action "example\.echo_slow" needs module "example", which is not loaded: mistral\.io_modules names those that are/, 'and says so');
my ($rc, $out, $err) = $node->psql('postgres', q{SELECT mistral.run_action('example.noop')});
like($err, qr/needs module "example"/, 'as does running it alone');
$node->safe_psql('postgres', "ALTER SYSTEM RESET mistral.io_modules");
$node->reload;
ok(wait_for(sub { ended(start('echo')) eq 'SUCCESS' }), 'and when it is loaded again, it works');

$node->stop;
done_testing();
