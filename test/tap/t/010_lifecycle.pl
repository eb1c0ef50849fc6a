# Workers come with the extension and go with it, with its database, with the
# settings and with the server; they never stand in the way of a command.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

use MistralTest;

my $node = new_server('main');
$node->start;

sub sql
{
	my ($database, $query) = @_;
	return $node->safe_psql($database, $query);
}

# Runs a command and says how long it took; dies when it fails.
sub timed
{
	my ($database, $query) = @_;
	my $start = time;

	sql($database, $query);
	return time - $start;
}

sub pid_of
{
	my ($database, $kind) = @_;
	my $where = defined $database ? "datname = '$database'" : 'datname IS NULL';

	return sql('postgres',
		"SELECT min(pid) FROM pg_stat_activity WHERE backend_type = 'mistral $kind' AND $where");
}

subtest 'CREATE and DROP EXTENSION' => sub {
	ok(wait_for(sub { workers($node, undef, 'launcher') == 1 }), 'the launcher runs');
	usleep(300_000);
	is(workers($node, 'postgres', 'engine'), 0, 'no worker stays in a database without the extension');

	my $start = time;
	sql('postgres', 'CREATE EXTENSION mistral');
	ok(wait_for_workers($node, 'postgres'), 'CREATE EXTENSION brings an engine and an executor');
	cmp_ok(time - $start, '<', 3, 'within three seconds');
	is( sql('postgres', "SELECT string_agg(kind, ',' ORDER BY kind) FROM mistral.workers WHERE pid IS NOT NULL"),
		'engine,executor,launcher', 'mistral.workers shows them');
	is(sql('postgres', 'SELECT mistral.instance_matches()'), 't', 'the state belongs to this database');

	sql('postgres', 'BEGIN; DROP EXTENSION mistral; ROLLBACK');
	usleep(300_000);
	is(workers($node, 'postgres', 'engine'), 1, 'a DROP EXTENSION that is rolled back sends nobody away');

	cmp_ok(timed('postgres', 'DROP EXTENSION mistral'), '<', 2, 'DROP EXTENSION does not wait for workers');
	$start = time;
	ok(wait_for_no_workers($node, 'postgres'), 'and they leave');
	cmp_ok(time - $start, '<', 2, 'at once');

	for my $round (1 .. 5)
	{
		sql('postgres', 'CREATE EXTENSION mistral');
		sql('postgres', 'DROP EXTENSION mistral') if $round < 5;
	}
	ok(wait_for_workers($node, 'postgres', 5), 'after five rounds in a row the workers are there');

	sql('postgres', 'DROP SCHEMA mistral CASCADE');
	ok(wait_for_no_workers($node, 'postgres', 5), 'they leave with the schema, too');
	sql('postgres', 'CREATE EXTENSION mistral');
	ok(wait_for_workers($node, 'postgres', 5), 'and come back');
};

subtest 'databases' => sub {
	sql('postgres', "CREATE DATABASE $_") foreach qw(one two);
	sql($_, 'CREATE EXTENSION mistral') foreach qw(one two);
	ok(wait_for_workers($node, $_, 5), "database $_ has workers of its own") foreach qw(one two);

	cmp_ok(timed('postgres', 'ALTER DATABASE one RENAME TO uno'), '<', 3, 'RENAME is quick');
	ok(wait_for_workers($node, 'uno', 5), 'and the workers come back');

	cmp_ok(timed('postgres', 'CREATE DATABASE copy TEMPLATE uno'), '<', 4, 'CREATE DATABASE TEMPLATE is quick');
	ok(wait_for_workers($node, 'uno', 5), 'the workers of the template come back');
	ok( wait_for(
			sub {
				sql('copy', "SELECT state FROM mistral.workers WHERE kind = 'engine' AND database = 'copy'") eq 'unadopted';
			}),
		'the copy is not run before it is adopted');
	is(sql('copy', 'SELECT mistral.instance_matches()'), 'f', 'it knows that it is a copy');
	like(
		sql('copy', "SELECT last_error FROM mistral.workers WHERE kind = 'engine' AND database = 'copy'"),
		qr/mistral\.adopt/, 'and says what to do');
	sql('copy', 'SELECT mistral.adopt()');
	ok(wait_for_workers($node, 'copy', 5), 'adopted, it has all its workers');

	my $log = -s $node->logfile;
	cmp_ok(timed('postgres', 'DROP DATABASE copy'), '<', 3, 'DROP DATABASE is quick');
	sql('two', 'SELECT 1');
	cmp_ok(timed('postgres', 'DROP DATABASE two WITH (FORCE)'), '<', 3, 'and DROP DATABASE WITH (FORCE)');
	usleep(500_000);
	unlike(log_since($node, $log), qr/FATAL/, 'no worker fails because of it');

	my ($code, $out, $err) = $node->psql('postgres', 'BEGIN; DROP DATABASE uno;');
	like($err, qr/cannot run inside a transaction block/, 'a DROP DATABASE that fails says why');
	ok(wait_for_workers($node, 'uno', 5), 'and the workers come back');

	sql('postgres', 'CREATE ROLE nobody LOGIN');
	my $pid = pid_of('uno', 'engine');
	($code, $out, $err) = $node->psql('postgres', 'DROP DATABASE uno', extra_params => [ '-U', 'nobody' ]);
	like($err, qr/must be owner/, 'who does not own the database cannot drop it');
	is(pid_of('uno', 'engine'), $pid, 'nor send its workers away');

	my $path = PostgreSQL::Test::Utils::tempdir();
	sql('postgres', "CREATE TABLESPACE other LOCATION '$path'");
	cmp_ok(timed('postgres', 'ALTER DATABASE uno SET TABLESPACE other'), '<', 5, 'SET TABLESPACE is quick');
	ok(wait_for_workers($node, 'uno', 5), 'and the workers come back');

	sql('postgres', 'ALTER DATABASE uno IS_TEMPLATE true');
	ok(wait_for_no_workers($node, 'uno', 15), 'workers leave a database that becomes a template');
	sql('postgres', 'ALTER DATABASE uno IS_TEMPLATE false');
	ok(wait_for_workers($node, 'uno', 15), 'and come back when it is none');
	sql('postgres', 'DROP DATABASE uno');
	sql('postgres', 'DROP TABLESPACE other');
};

subtest 'settings' => sub {
	sql('postgres', 'CREATE DATABASE three');
	sql('three', 'CREATE EXTENSION mistral');
	ok(wait_for_workers($node, 'three', 5), 'a third database has workers');

	$node->append_conf('postgresql.conf', 'mistral.enabled = off');
	$node->reload;
	ok(wait_for_no_workers($node, $_, 5), "mistral.enabled = off: none in $_") foreach qw(postgres three);
	is(workers($node, undef, 'launcher'), 1, 'the launcher stays');
	$node->append_conf('postgresql.conf', "mistral.enabled = on\nmistral.databases = 'three'");
	$node->reload;
	ok(wait_for_workers($node, 'three', 5), 'switched on again, a database that is named has workers');
	is(workers($node, 'postgres', 'engine'), 0, 'and the other has none');
	$node->append_conf('postgresql.conf', "mistral.databases = ''\nmistral.engine_workers = 3");
	$node->reload;
	ok(wait_for_workers($node, 'postgres', 5), 'with no names all have');
	ok(wait_for(sub { workers($node, 'three', 'engine') == 3 }, 5), 'mistral.engine_workers adds engines');
	$node->append_conf('postgresql.conf', 'mistral.engine_workers = 1');
	$node->reload;
	ok(wait_for(sub { workers($node, 'three', 'engine') == 1 }, 5), 'and takes them away');
	sql('postgres', 'DROP DATABASE three');
};

subtest 'two engines' => sub {
	sql('postgres', "SELECT mistral.load_workflow('{version: ''2.0'', one: {tasks: {t: {action: std.noop}}}}')");
	$node->append_conf('postgresql.conf', 'mistral.engine_workers = 2');
	$node->reload;
	ok(wait_for(sub { workers($node, 'postgres', 'engine') == 2 }, 5), 'there are two');

	# Ids are dealt out by their hash: all of these fall to the first engine.
	my $listener = $node->background_psql('postgres');
	$listener->query_safe('LISTEN mistral_executions');
	my $started = sql('postgres', "SELECT count(mistral.start_workflow('one', execution_id => id)) FROM "
		. "(SELECT gen_random_uuid() AS id FROM generate_series(1, 6000)) ids WHERE uuid_hash(id) & 1 = 0");
	ok(wait_for(sub { sql('postgres', "SELECT count(*) FROM mistral.execution WHERE state = 'SUCCESS'") == $started }),
		'workflows that fall to one of them end');
	is(sql('postgres', "SELECT count(*) FROM mistral.workers WHERE kind = 'engine' AND executions > 0"), 2,
		'and the other one has done some of them');

	my %told;
	ok( wait_for(
			sub {
				my $heard = $listener->query_safe('SELECT 1');
				$told{$_} = 1 foreach $heard =~ /"id": ?"([-0-9a-f]+)", ?"state": ?"SUCCESS"/g;
				return keys %told == $started;
			}),
		'who listens is told of each') or diag(keys(%told) . " of $started");
	$listener->quit;
	$node->append_conf('postgresql.conf', 'mistral.engine_workers = 1');
	$node->reload;
	ok(wait_for(sub { workers($node, 'postgres', 'engine') == 1 }, 5), 'and there is one again');
};

subtest 'terminated workers come back' => sub {
	for my $kind (qw(engine executor))
	{
		my $pid = pid_of('postgres', $kind);
		sql('postgres', "SELECT pg_terminate_backend($pid)");
		ok( wait_for(
				sub {
					my $now = pid_of('postgres', $kind);
					$now ne '' && $now ne $pid;
				},
				10),
			"a new $kind after pg_terminate_backend");
		$pid = pid_of('postgres', $kind);
		sql('postgres', "SELECT pg_cancel_backend($pid)");
		usleep(300_000);
		is(pid_of('postgres', $kind), $pid, "an idle $kind survives pg_cancel_backend");
	}
	my $launcher = pid_of(undef, 'launcher');
	my $engine = pid_of('postgres', 'engine');
	sql('postgres', "SELECT pg_terminate_backend($launcher)");
	ok( wait_for(
			sub {
				my $now = pid_of(undef, 'launcher');
				$now ne '' && $now ne $launcher;
			},
			10),
		'a new launcher after pg_terminate_backend');
	usleep(500_000);
	is(pid_of('postgres', 'engine'), $engine, 'which finds the workers that run');
	is(workers($node, 'postgres', 'engine'), 1, 'and starts no others');

	sql('postgres', 'SELECT mistral.stop_worker()');
	is(workers($node, 'postgres', 'engine'), 0, 'stop_worker() sends the engine away');
	usleep(1_500_000);
	is(workers($node, 'postgres', 'engine'), 0, 'for good');
	is( sql('postgres', "SELECT DISTINCT state FROM mistral.workers WHERE database = 'postgres'"),
		'stopped', 'mistral.workers says so');
	sql('postgres', 'SELECT mistral.restart_worker()');
	ok(wait_for_workers($node, 'postgres', 5), 'restart_worker() brings the workers back');
};

subtest 'rights' => sub {
	for my $function (qw(stop_worker restart_worker adopt))
	{
		my ($code, $out, $err) =
		  $node->psql('postgres', "SELECT mistral.$function()", extra_params => [ '-U', 'nobody' ]);
		like($err, qr/permission denied/, "$function() is not for everybody");
	}
	sql('postgres',
		'GRANT USAGE ON SCHEMA mistral TO nobody; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA mistral TO nobody');
	for my $function (qw(stop_worker restart_worker adopt))
	{
		my ($code, $out, $err) =
		  $node->psql('postgres', "SELECT mistral.$function()", extra_params => [ '-U', 'nobody' ]);
		like($err, qr/Only the owner of the extension/, "$function() needs more than EXECUTE");
	}
};

subtest 'shutdown' => sub {
	my $start = time;
	$node->stop('fast');
	cmp_ok(time - $start, '<', 3, 'stop -m fast takes less than three seconds');
	unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal/, 'nothing crashed');
	$node->start;
	ok(wait_for_workers($node, 'postgres', 10), 'after a restart the workers come by themselves');
	$node->stop('immediate');
	$node->start;
	ok(wait_for_workers($node, 'postgres', 10), 'also after an immediate stop');
};

subtest 'standby' => sub {
	$node->backup('base');
	my $standby = PostgreSQL::Test::Cluster->new('standby');
	$standby->init_from_backup($node, 'base', has_streaming => 1);
	$standby->start;
	$node->wait_for_catchup($standby, 'replay');
	usleep(1_000_000);
	is($standby->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'mistral%'"),
		0, 'no process of ours runs on a standby');
	my ($code, $out, $err) =
	  $standby->psql('postgres', "SELECT mistral.wait_workflow('00000000-0000-7000-8000-000000000000')");
	like($err, qr/on a standby/, 'wait_workflow says that this is a standby');
	$node->stop('immediate');
	$standby->promote;
	ok(wait_for_workers($standby, 'postgres', 10), 'promoted, it has workers');
	is($standby->safe_psql('postgres', 'SELECT mistral.instance_matches()'), 't', 'and carries on without being told');
	$standby->stop;
};

subtest 'dump and restore' => sub {
	$node->start;
	$node->safe_psql('postgres', 'CREATE DATABASE restored');
	my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
	$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, 'postgres' ], 'pg_dump');
	$node->command_ok([ 'pg_restore', '-d', 'restored', $dump ], 'pg_restore');
	is($node->safe_psql('restored', 'SELECT mistral.instance_matches()'), 'f', 'what was restored is not run');
	is($node->safe_psql('restored', 'SELECT count(*) FROM mistral.instance'), 1, 'it names its origin');
	ok( wait_for(
			sub {
				$node->safe_psql('restored',
					"SELECT state FROM mistral.workers WHERE kind = 'engine' AND database = 'restored'") eq
				  'unadopted';
			}),
		'its engine waits');
	$node->safe_psql('restored', 'SELECT mistral.adopt()');
	ok(wait_for_workers($node, 'restored', 5), 'until it is adopted');
	$node->stop;
};

subtest 'no worker slot' => sub {
	my $small = new_server('small', 'max_worker_processes = 2');
	$small->start;
	$small->safe_psql('postgres', 'CREATE EXTENSION mistral');
	ok(wait_for(sub { slurp_file($small->logfile) =~ /no free slot for a background worker/ }, 15),
		'a warning when no slot is free');
	like(slurp_file($small->logfile), qr/max_worker_processes/, 'with a hint');
	usleep(2_000_000);
	my @warnings = slurp_file($small->logfile) =~ /no free slot/g;
	is(scalar @warnings, 1, 'once');
	$small->stop;
};

subtest 'not preloaded' => sub {
	my $plain = PostgreSQL::Test::Cluster->new('plain');
	$plain->init;
	$plain->start;
	$plain->safe_psql('postgres', 'CREATE EXTENSION mistral');
	is($plain->safe_psql('postgres', 'SELECT count(*) FROM mistral.workers'), 0, 'the view is empty');
	for my $function (qw(stop_worker restart_worker))
	{
		my ($code, $out, $err) = $plain->psql('postgres', "\\set VERBOSITY verbose\nSELECT mistral.$function()");
		like($err, qr/MS040: .*no mistral workers run.*HINT: .*shared_preload_libraries/s,
			"$function() says what is missing");
	}
	$plain->safe_psql('postgres', 'DROP EXTENSION mistral');
	$plain->stop;
};

done_testing();
