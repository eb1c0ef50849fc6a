#!/bin/bash
# make demo: the process that the project was founded on, on a server of its own.
#
# Installs what is missing, builds, starts a private PostgreSQL, and runs
# examples/salary.yaml against two real HTTP systems: once through a crash of
# the server to SUCCESS, once with a system that fails.  What it claims it
# checks: it exits with 1 if the process does anything else.  Nothing is left
# running and nothing outside a temporary directory is written, except what
# apt installs and what the build leaves in this tree.
set -u
cd "$(dirname "$0")/.." || exit 1
started=$SECONDS

. examples/narrate.sh

say "A process with two systems, one person, and a crash in the middle.  This builds the extension and runs it on"
say "a PostgreSQL server of its own; nothing that runs already is touched, and nothing is left running."

chapter "What the build needs"
bash test/lib/deps.sh demo || exit 1
. test/lib/server.sh
python=$(server_python) || die "python3 is needed"

server_prepare
server_deadline 600
say "A C compiler, PostgreSQL $("$PG_CONFIG_PRIVATE" --version | sed 's/^PostgreSQL //'), libyaml, libcurl, PCRE2 and python3 are here."

chapter "Build"
SECONDS_BUILD=$SECONDS
server_install || die "the build failed"
say "Built in $((SECONDS - SECONDS_BUILD)) s and installed into a private copy of PostgreSQL under $SERVER_DIR/pg."

# ---- what runs beside the server ------------------------------------------------------------

work=$SERVER_DIR/work
systems_pid='' listen_pid='' tick_pid=''
mkdir -p "$work"

at_exit() {
	listen_off
	[ -z "$systems_pid" ] || { kill "$systems_pid" && wait "$systems_pid"; } 2>/dev/null
}

# A psql session that listens and prints what it hears, as it hears it; ids are cut to fit a line.
listen_on() {
	rm -f "$work/listen"
	mkfifo "$work/listen"
	psql -X -q -At <"$work/listen" 2>&1 |
		sed -u -n -E "s/\"[0-9a-f]{8}-[0-9a-f-]*([0-9a-f]{6})\"/\"..\\1\"/g
			s/^Asynchronous notification \"([a-z_]+)\" with payload \"(.*)\" received.*/   ${dim}\\1  \\2${plain}/p" &
	listen_pid=$!
	exec 7>"$work/listen"
	echo 'LISTEN mistral_executions; LISTEN mistral_tasks; LISTEN mistral_actions;' >&7
	# psql looks for notifications when it has run something.
	( trap '' PIPE; while echo 'SELECT 1 \g /dev/null' >&7; do sleep 0.2; done 2>/dev/null ) &
	tick_pid=$!
}

listen_off() {
	[ -n "$listen_pid" ] || return 0
	kill "$tick_pid" 2>/dev/null
	wait "$tick_pid" 2>/dev/null
	exec 7>&-
	wait "$listen_pid" 2>/dev/null
	listen_pid=''
}

start_salary() {
	one -v employee="$1" -v base="$BASE_SYSTEM" -v bonus="$BONUS_SYSTEM" -v post="$POST_OFFICE" <<-'SQL'
		SELECT mistral.start_workflow('payroll.salary', jsonb_build_object(
		    'employee', :'employee', 'base_system', :'base', 'bonus_system', :'bonus', 'post_office', :'post'));
	SQL
}

states() {
	show -v id="$1" <<-'SQL'
		SELECT workflow_name, state, state_info, date_trunc('milliseconds', coalesce(finished_at, now()) - created_at) AS age
		  FROM mistral.executions WHERE id = :'id';
		SELECT name, state, published, date_trunc('milliseconds', finished_at - started_at) AS took, left(state_info, 40) AS state_info
		  FROM mistral.tasks WHERE execution_id = :'id' ORDER BY ordinal;
	SQL
}

requests() {
	say "What the systems saw:"
	sed 's/^/   /' "$work/requests.log"
	: >"$work/requests.log"
}

waits_for() {
	show -v id="$1" <<<"SELECT kind, name, state, detail FROM mistral.why(:'id');"
}

waits_for_approval() {
	[ "$(one -v id="$1" <<<"SELECT state FROM mistral.tasks WHERE execution_id = :'id' AND name = 'approve'")" = RUNNING ]
}

# ---- the server and the systems -------------------------------------------------------------

chapter "A PostgreSQL of its own, and two systems to talk to"
server_create demo "mistral.http_allow = '127.0.0.0/8'" "mistral.notify = 'executions,tasks,actions'"
server_start demo
"$python" examples/systems.py "$work" </dev/null &
systems_pid=$!
until_true 20 test -f "$work/addresses" || die "the example's systems did not start"
. "$work/addresses"
say "PostgreSQL listens on a Unix socket in $PGHOST, as user ${SERVER_USER:-$(id -un)}."
say "System 1 (base salaries)      $BASE_SYSTEM"
say "System 2 (bonuses)            $BONUS_SYSTEM"
say "Pay slips and administrator   $POST_OFFICE"

chapter "The process: examples/salary.yaml"
sed -n '/^    tasks:/,/^      add_up:/p' examples/salary.yaml | sed '$d'
say "      ... (the whole file is worth a look)"
say
show_as_written <<'SQL'
CREATE EXTENSION mistral;
\set definition `cat examples/salary.yaml`
SELECT mistral.load_workbook(:'definition');
SQL

# ---- first run ------------------------------------------------------------------------------

chapter "First run: Alice's salary, as it happens"
say "Another session has said LISTEN mistral_executions, mistral_tasks, mistral_actions.  What it hears, as it hears it"
say "(ids are cut to their last six digits here; the payloads are JSON, with ids and states only):"
say
listen_on
id=$(start_salary alice) || wrong "start_workflow failed"
say "SELECT mistral.start_workflow('payroll.salary', '{\"employee\": \"alice\", ...}');"
say "   $id"
until_true 30 waits_for_approval "$id" ||
	{ states "$id"; wrong "nobody asked the manager within 30 seconds"; }
sleep 0.5			# the last notifications, before the tables
listen_off
say
requests
say
states "$id"
say "Both amounts came in, in parallel; the two joined. What does it wait for now?"
say
waits_for "$id"

chapter "While the manager thinks, the server dies"
say "pg_ctl stop -m immediate      (no shutdown, no checkpoint: what a crash leaves)"
server_stop demo immediate || wrong "the server did not stop"
one <<<'SELECT 1' >/dev/null 2>&1 && wrong "the server still answers"
say "pg_ctl start"
server_start demo
grep -m1 -o 'database system was not properly shut down.*' "$SERVER_DIR/log/demo.log" | sed 's/^/   server log: /'
say
show -v id="$id" <<-'SQL'
	SELECT name, state, published FROM mistral.tasks WHERE execution_id = :'id' ORDER BY ordinal;
SQL
waits_for "$id"
say "Nothing is lost, and nothing was repeated: it still waits for the manager."

chapter "The manager approves, from another session"
say "complete_action is all that a program, or a person with psql, has to call.  The listener is back, too:"
say
listen_on
action=$(one -v id="$id" <<-'SQL'
	SELECT a.id FROM mistral.action_executions a JOIN mistral.tasks t ON t.id = a.task_id
	 WHERE t.execution_id = :'id' AND t.name = 'approve' AND a.state = 'RUNNING';
SQL
) && [ -n "$action" ] || wrong "the approval is gone"
show -v action="$action" <<-'SQL'
	SELECT mistral.complete_action(:'action', '{"approved": true, "by": "carol"}');
SQL
show -v id="$id" <<<"SELECT mistral.wait_workflow(:'id', '30 s');"
state=$(one -v id="$id" <<<"SELECT state FROM mistral.executions WHERE id = :'id'")
sleep 0.5			# the last notifications, before the tables
listen_off
say
grep -q 'GET ' "$work/requests.log" && { requests; wrong "a system was asked again after the crash"; }
requests
say
states "$id"
show -v id="$id" <<<"SELECT jsonb_pretty(output) AS output FROM mistral.executions WHERE id = :'id';"
[ "$state" = SUCCESS ] || wrong "the process ended as $state"
[ "$(one -v id="$id" <<<"SELECT output->>'total' FROM mistral.executions WHERE id = :'id'")" = "4550 EUR" ] ||
	wrong "the total is not 4550 EUR"
say "It went on from the point where it died: nothing was asked twice."

# ---- second run -----------------------------------------------------------------------------

chapter "Second run: system 2 answers 500"
touch "$work/system2-is-broken"
listen_on
id=$(start_salary alice) || wrong "start_workflow failed"
say "SELECT mistral.start_workflow('payroll.salary', '{\"employee\": \"alice\", ...}');"
say "   $id"
state=$(one -v id="$id" <<<"SELECT mistral.wait_workflow(:'id', '30 s')")
sleep 0.5
listen_off
say
grep -q 'POST /administrator' "$work/requests.log" || { requests; wrong "the administrator heard nothing"; }
requests
say
states "$id"
show -v id="$id" <<<"SELECT jsonb_pretty(output) AS output FROM mistral.executions WHERE id = :'id';"
show -v id="$id" <<-'SQL'
	SELECT t.name, a.state, a.output->'result'->>'status' AS status, a.output->'result'->>'reason' AS reason
	  FROM mistral.action_executions a JOIN mistral.tasks t ON t.id = a.task_id
	 WHERE t.execution_id = :'id' AND a.state = 'ERROR' ORDER BY a.created_at, a.id;
SQL
[ "$state" = ERROR ] || wrong "the process ended as $state"
say "Asked three times (retry: count 2), then on-error told the administrator and the process failed, in words."

# ---- the end --------------------------------------------------------------------------------

at_exit
systems_pid=''
server_stop demo || wrong "the server did not stop"

chapter "Where to go next"
cat <<'END'
   examples/salary.yaml    the process you just saw; change it and run `make demo` again
   make demo-salary        the same with everything a company has: nginx, RabbitMQ, SSH, mail, workers, and more that dies
   docs/quickstart.md      the same by hand, on your own server
   docs/language.md        what a process may say
   docs/operations.md      backup, standby, what to watch
   docs/settings.md        every setting
   docs/errors.md          every error code
   make test               everything that proves that it works
END
say
dir=$SERVER_DIR
rm -rf "$dir"
say "Nothing is left running, and $dir is removed. It took $((SECONDS - started)) seconds."
