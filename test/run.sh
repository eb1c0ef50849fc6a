#!/bin/bash
# Everything that proves it works, stage by stage, on private servers.
#
#   test/run.sh                 all stages (what `make test` runs)
#   test/run.sh STAGE ...       only these: checks pgtap isolation tap cases conformance bench fuzz demo
#
# A stage that fails does not stop the others; the last line sums up, and the
# exit status is 0 only if nothing failed.
#
#   PG_CONFIG        which PostgreSQL (default: the pg_config in PATH)
#   TESTS="a b"      only those pgtap, isolation or tap tests, by the file's name without its ending
#   UPDATE=1         with checks: write the table of docs/settings.md and the JSON Schema; with conformance: raise the floor
#   MISTRAL_KEEP=1   keep the temporary directory (data, logs)
set -u
cd "$(dirname "$0")/.." || exit 1
all="checks pgtap isolation tap cases conformance bench fuzz demo"
stages=${*:-$all}
for s in $stages; do
	[[ " $all " == *" $s "* ]] || { echo "no such stage: $s (there are: $all)"; exit 2; }
done
exec </dev/null

bash test/lib/deps.sh test || exit 1
. test/lib/server.sh

passed=0 failed=0
failures=()
begun=$SECONDS

heading() { printf '\n===== %s\n' "$*"; }
count() {			# PASSED FAILED WHAT
	passed=$((passed + $1))
	failed=$((failed + $2))
	[ "$2" = 0 ] || failures+=("$3: $2")
}
summary() {
	printf '\n===== summary (%d s)\n' $((SECONDS - begun))
	[ ${#failures[@]} = 0 ] || printf 'failed in %s\n' "${failures[@]}"
	printf '\n%d passed, %d failed\n' "$passed" "$failed"
	[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
	exit
}
wanted() { [[ " $stages " == *" $1 "* ]]; }

# The files of a directory, all of them or those that TESTS names.
chosen() {			# DIRECTORY ENDING
	local f b
	for f in "$1"/*"$2"; do
		[ -f "$f" ] || continue
		b=$(basename "$f" "$2")
		[ -z "${TESTS:-}" ] || [[ " $TESTS " == *" $b "* ]] || continue
		echo "$f"
	done
}

# Runs prove, lets its lines through, and counts what the tests printed.
run_prove() {		# NAME SECONDS PROVE-ARGUMENT...
	local name=$1 limit=$2 spool=$SERVER_DIR/log/spool.$1 rc ok bad
	[ "$limit" -le $((time_limit - SECONDS + begun)) ] || limit=$((time_limit - SECONDS + begun + 1))
	shift 2
	mkdir -p "$spool"
	[ -z "$SERVER_USER" ] || chown "$SERVER_USER" "$spool"
	PERL_TEST_HARNESS_DUMP_TAP=$spool timeout -k 20 "$limit" ${prove_as[@]+"${prove_as[@]}"} prove "$@"
	rc=$?
	ok=$(find "$spool" -type f -exec cat {} + | grep -cE '^ok\b')
	bad=$(find "$spool" -type f -exec cat {} + | grep -E '^not ok\b' | grep -vc '# [T]ODO')
	[ $rc != 124 ] && [ $rc != 137 ] || echo "$name: stopped after $limit s"
	# prove names the tests that failed by number; what they said is in the spool.
	[ "$bad" = 0 ] ||
		find "$spool" -type f -exec awk '/^not ok/ {p = 1; print; next} /^ok/ {p = 0} p && /^ *#/' {} + |
			cut -c1-400 | head -n 60
	# A test that died, or planned more than it ran, is a failure as well.
	[ $rc = 0 ] || [ "$bad" -gt 0 ] || bad=1
	count "$ok" "$bad" "$name"
}

logs_of() {			# what the server said that it should not have
	grep -aE 'PANIC|TRAP:|was terminated by signal' "$SERVER_DIR/log/$1.log" | head -n 5
}

# ---------------------------------------------------------------------------------------------

server_prepare
# Half an hour at most, whatever hangs.
time_limit=${MISTRAL_TEST_DEADLINE:-1680}
server_deadline "$time_limit"
trap 'count 0 1 "a signal to end after $((SECONDS - begun)) s (the limit is $time_limit s)"; summary' TERM
at_exit() { :; }

heading "build (all warnings are errors)"
if server_install; then
	count 1 0 build
	echo "built: $(wc -c <mistral.so) bytes"
else
	count 0 1 build
	summary
fi

server_create main "fsync = off" "max_prepared_transactions = 10" "mistral.http_allow = '127.0.0.0/8'" \
	"mistral.notify = 'executions,tasks,actions'" "log_line_prefix = '%m [%p] %b %d '" "max_worker_processes = 40"
server_start main

if wanted checks; then
	heading "checks (layers, names, sizes, comments, grants, documentation)"
	[ -z "${UPDATE:-}" ] || bash test/lib/checks.sh --update-settings
	run_prove checks 120 --exec bash test/lib/checks.sh
	run_prove docs 120 --exec "$(server_python)" test/lib/docs.py
	[ -z "${UPDATE:-}" ] || "$(server_python psycopg2,jsonschema)" test/lib/schema.py --update >/dev/null
	run_prove schema 120 --exec "$(server_python psycopg2,jsonschema)" test/lib/schema.py
	run_prove examples 120 --exec "$(server_python psycopg2)" test/lib/examples.py
	run_prove cron 120 --exec "$(server_python psycopg2)" test/conformance/cron_random.py
fi

if wanted pgtap; then
	heading "pgTAP (each file in a database of its own)"
	mapfile -t files < <(chosen test/pgtap .sql | grep -v /without_preload.sql)
	[ ${#files[@]} = 0 ] || run_prove pgtap 1200 --exec 'bash test/lib/pgtap_one.sh' "${files[@]}"
	mapfile -t files < <(chosen test/pgtap .sql | grep /without_preload.sql)
	if [ ${#files[@]} != 0 ]; then
		server_create bare "port = 5433" "fsync = off" "shared_preload_libraries = ''"
		server_start bare
		PGPORT=5433 run_prove without_preload 120 --exec 'bash test/lib/pgtap_one.sh' "${files[@]}"
		trouble=$(logs_of bare)
		[ -z "$trouble" ] || { echo "$trouble"; count 0 1 "server log"; }
		server_stop bare || count 0 1 "server stop"
	fi
fi

if wanted isolation; then
	heading "isolation (every interleaving of two sessions)"
	mapfile -t files < <(chosen test/isolation/specs .spec)
	if [ ${#files[@]} != 0 ]; then
		mkdir -p "$SERVER_DIR/isolation"
		pgxs=$("$PG_CONFIG_PRIVATE" --pgxs)
		timeout -k 20 300 "${pgxs%/makefiles/*}/test/isolation/pg_isolation_regress" --inputdir=test/isolation \
			--outputdir="$SERVER_DIR/isolation" --bindir="$SERVER_BIN" --host="$PGHOST" --user=postgres \
			--load-extension=mistral --dbname=isolation_mistral \
			$(printf '%s\n' "${files[@]}" | sed -E 's|.*/||; s|\.spec$||') >"$SERVER_DIR/log/isolation" 2>&1
		rc=$?
		# PostgreSQL 16 and later print TAP.
		ok=$(grep -cE '^test .*\.\.\. ok|^ok ' "$SERVER_DIR/log/isolation")
		cat "$SERVER_DIR/log/isolation"
		[ $rc = 0 ] || head -n 60 "$SERVER_DIR/isolation/regression.diffs" 2>/dev/null
		count "$ok" $((${#files[@]} - ok)) isolation
	fi
fi

if wanted tap; then
	heading "TAP (crashes, failover, HTTP: servers of their own)"
	mapfile -t files < <(chosen test/tap/t .pl)
	if [ ${#files[@]} != 0 ]; then
		# The servers' user may not be able to read this tree.
		mkdir -p "$SERVER_DIR/tap/node" "$SERVER_DIR/tap/src/base"
		cp -r test examples "$SERVER_DIR/tap/"
		cp src/base/plain_json.[ch] "$SERVER_DIR/tap/src/base/"
		if [[ ${files[*]} == *worker_examples* || ${files[*]} == *salary* ]]; then
			command -v node >/dev/null 2>&1 && modules=$SERVER_DIR/tap/node || modules=
			bash test/lib/deps.sh node ${modules:+"$modules"} ||
				heading "the worker in Node is left out, node with its module pg is not there"
			export NODE_PATH=${NODE_PATH:+$NODE_PATH:}$SERVER_DIR/tap/node/usr/share/nodejs
		fi
		if [[ ${files[*]} == *alarms* ]]; then
			mkdir "$SERVER_DIR/tap/nagios"
			bash test/lib/deps.sh nagios "$SERVER_DIR/tap/nagios" || heading "the alarms are left out, nagios4 is not there"
		fi
		[ -z "$SERVER_USER" ] || chown -R "$SERVER_USER" "$SERVER_DIR/tap"
		pgxs=$("$PG_CONFIG_PRIVATE" --pgxs)
		src=${pgxs%/makefiles/*}
		# As many kills as somebody wants take their time.
		limit=900
		[ -z "${MISTRAL_KILLS:-}" ] || limit=$time_limit
		prove_as=()
		[ -z "$SERVER_USER" ] || prove_as=(runuser -u "$SERVER_USER" --)
		cd "$SERVER_DIR/tap" || exit 1
		PG_REGRESS=$src/test/regress/pg_regress TESTDIR=$SERVER_DIR/tap TESTDATADIR=$SERVER_DIR/tap/tmp_check \
			TESTLOGDIR=$SERVER_DIR/tap/log PYTHON=$(server_python psycopg2,aiosmtpd) HOME=$SERVER_DIR/tap \
			run_prove tap "$limit" -I "$src/test/perl" -I test/tap "${files[@]}"
		[ $failed = 0 ] || tail -n 15 tmp_check/log/*.log 2>/dev/null | cut -c1-300
		cd "$OLDPWD" || exit 1
		prove_as=()
	fi
fi

if wanted cases; then
	heading "cases (workflows of our own against the original's answers)"
	run_prove cases 300 --exec "$(server_python psycopg2)" test/conformance/run.py
	run_prove random 300 --exec "$(server_python psycopg2)" test/conformance/workflow_random.py
fi

if wanted conformance && [ ! -x ../shared/conformance/run ]; then
	heading "conformance: left out, ../shared/conformance/run is not there"
elif wanted conformance; then
	heading "conformance (the shared cases; the floor is test/conformance/floor.txt)"
	python=$(server_python psycopg2)
	PGOPTIONS= timeout -k 20 "${MISTRAL_CONFORMANCE_TIMEOUT:-480}" "$python" ../shared/conformance/run \
		--report "$SERVER_DIR/log/conformance.json" -v >"$SERVER_DIR/log/conformance" 2>&1 ||
		[ $? = 1 ] || { tail -n 5 "$SERVER_DIR/log/conformance"; count 0 1 conformance; }
	grep -E '^DIFFERS' "$SERVER_DIR/log/conformance" | cut -c1-220 | head -n "${MISTRAL_SHOW:-40}"
	grep -vE '^DIFFERS' "$SERVER_DIR/log/conformance"
	[ -z "${MISTRAL_REPORT:-}" ] || cp "$SERVER_DIR/log/conformance.json" "$MISTRAL_REPORT"
	[ -z "${UPDATE:-}" ] || "$python" test/conformance/floor.py --update "$SERVER_DIR/log/conformance.json"
	CONFORMANCE_REPORT=$SERVER_DIR/log/conformance.json \
		run_prove floor 60 --exec "$python" test/conformance/floor.py
fi

if wanted bench; then
	heading "benchmark (the gate: rows, commits, WAL, HOT; and that it runs, with small counts)"
	run_prove bench 120 --exec "$(server_python psycopg2)" test/bench/gate.py
	run_prove bench_expressions 120 --exec bash test/bench/expressions_gate.sh
fi

if wanted fuzz; then
	heading "fuzz (the seeds, and a few seconds of each target)"
	if bash test/lib/deps.sh fuzz; then
		run_prove fuzz 300 --exec bash test/fuzz/smoke.sh
	else
		heading "fuzz: left out, clang with libFuzzer is not there"
	fi
fi

trouble=$(logs_of main)
if [ -n "$trouble" ]; then
	heading "the server's log"
	echo "$trouble"
	count 0 1 "server log"
fi
server_stop main || count 0 1 "server stop"

if wanted demo; then
	heading "demo (make demo, to its end)"
	if PG_CONFIG=$SERVER_PG_CONFIG timeout -k 20 300 bash examples/demo.sh >"$SERVER_DIR/log/demo" 2>&1; then
		count 1 0 demo
		tail -n 1 "$SERVER_DIR/log/demo"
	else
		count 0 1 demo
		tail -n 40 "$SERVER_DIR/log/demo"
	fi
fi

summary
