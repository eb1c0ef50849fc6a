#!/bin/bash
# The first figure: ten sequential tasks with an expression and a published
# variable each, beside what PostgreSQL itself can do, in one run.
#
#   seq10.sh            a private server with its default, durable settings; about 45 s
#   seq10.sh --here     the server of libpq's environment (as root or as its user, on its machine)
#
#   SECONDS_EACH=10     length of each measurement
#   IN_FLIGHT=50        workflows under way at a time
#
# Baselines, per task one row inserted and once updated, as narrow as a row of state can be:
#   naive     one transaction a task, 50 connections
#   set-wise  one statement inserts 1000 rows, one updates them: the most that tables give
# CPU is what all processes of the server used (also the sessions that start and wait); compare CPU and
# not tasks/s where other work runs on the machine.
set -u
cd "$(dirname "$0")/../.." || exit 1
each=${SECONDS_EACH:-10}
flight=${IN_FLIGHT:-50}
if [ "${1:-}" = --here ]; then
	die() { echo "$*" >&2; exit 1; }
	tmp=$(mktemp -d) || exit 1
	trap 'rm -rf "$tmp"' EXIT
else
	. test/lib/server.sh
	server_prepare
	server_deadline 300
	server_install || die "the build failed"
	server_create bench "max_connections = 200" "max_wal_size = '4GB'"
	server_start bench
	tmp=$SERVER_DIR/bench.tmp
	mkdir -p "$tmp"
fi

db=mistral_bench
psql -X -q -d postgres -c "SET client_min_messages = warning" -c "DROP DATABASE IF EXISTS $db WITH (FORCE)" \
	-c "CREATE DATABASE $db" || die "no server"
export PGDATABASE=$db
sql() { psql -X -q -At -v ON_ERROR_STOP=1 "$@" || die "psql failed"; }
postmaster=$(head -n 1 "$(sql -c 'SHOW data_directory')/postmaster.pid") || die "not the server's machine"

sql <<-'SQL'
	CREATE EXTENSION mistral;
	CREATE TABLE plain (id bigserial PRIMARY KEY, execution_id bigint, name text, state text, created_at timestamptz,
	                    input jsonb, published jsonb) WITH (fillfactor = 85);
SQL
{
	echo "version: '2.0'"
	echo "bench_seq10:"
	echo "  input: [n]"
	echo "  tasks:"
	for i in 1 2 3 4 5 6 7 8 9 10; do
		echo "    t$i:"
		echo "      action: std.echo"
		echo "      input: {output: <% \$.n + $i %>}"
		echo "      publish: {v$i: <% task().result %>}"
		[ $i = 10 ] || echo "      on-success: t$((i + 1))"
	done
	echo "bench_one:"
	echo "  tasks:"
	echo "    t1: {action: std.echo output=1}"
} >"$tmp/workflow.yaml"
sql -v d="$(cat "$tmp/workflow.yaml")" <<<"SELECT mistral.load_workflow(:'d')" >/dev/null

cat >"$tmp/naive.sql" <<'SQL'
BEGIN;
INSERT INTO plain (execution_id, name, state, created_at, input)
     VALUES (:client_id, 't1', 'RUNNING', now(), '{"output": 8}') RETURNING id \gset
UPDATE plain SET state = 'SUCCESS', published = '{"v1": 8}' WHERE id = :id;
COMMIT;
SQL
cat >"$tmp/setwise.sql" <<'SQL'
BEGIN;
INSERT INTO plain (execution_id, name, state, created_at, input)
     SELECT g, 't1', 'RUNNING', now(), '{"output": 8}' FROM generate_series(1, 1000) g;
UPDATE plain SET state = 'SUCCESS', published = '{"v1": 8}'
 WHERE id BETWEEN currval('plain_id_seq') - 999 AND currval('plain_id_seq');
COMMIT;
SQL
cat >"$tmp/seq10.sql" <<'SQL'
SELECT mistral.start_workflow('bench_seq10', '{"n": 7}') AS id \gset
SELECT mistral.wait_workflow(:id, '60 s');
SQL
sed 's/bench_seq10/bench_one/; s/{"n": 7}/{}/' "$tmp/seq10.sql" >"$tmp/one.sql"

cpu() {				# seconds of CPU of the server's processes, those that ended included
	{
		awk '{sub(/.*\) /, ""); print $12 + $13 + $14 + $15}' "/proc/$postmaster/stat"
		for p in $(cat "/proc/$postmaster/task/$postmaster/children"); do
			awk '{sub(/.*\) /, ""); print $12 + $13}' "/proc/$p/stat" 2>/dev/null
		done
	} | awk -v hz="$(getconf CLK_TCK)" '{s += $1} END {printf "%.2f", s / hz}'
}
wal() { sql -c "SELECT pg_current_wal_insert_lsn() - '0/0'"; }
rows() {			# row versions written in the extension's tables
	sql -c "SELECT pg_stat_force_next_flush()" >/dev/null 2>&1
	sleep 1.2			# the other processes report once a second
	sql -c "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_stat_user_tables"
}
percentile() {		# P: of the third column of pgbench's logs, in ms
	cat "$tmp"/log.* | awk '{print $3}' | sort -n | awk -v p="$1" '{a[NR] = $1} END {i = int(NR * p / 100 + 0.999999); if (i < 1) i = 1; printf "%.1f", a[i] / 1000}'
}

# measure NAME CLIENTS TASKS-A-SCRIPT SCRIPT: a line of the table, and R_tps and R_cpu for the ratios
measure() {
	local c0 c1 w0 w1 r0 r1 n t0 t1
	rm -f "$tmp"/log.*
	sql -c CHECKPOINT
	r0=$(rows) w0=$(wal) c0=$(cpu) t0=$(date +%s.%N)
	( cd "$tmp" && pgbench -n -M prepared -c "$2" -j 2 -T "$each" -l --log-prefix=log -f "$tmp/$4" "$db" ) >"$tmp/out" 2>&1 ||
		{ cat "$tmp/out"; die "pgbench failed"; }
	t1=$(date +%s.%N) w1=$(wal)
	until [ "$(sql -c "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbench'")" = 0 ]; do sleep 0.05; done
	c1=$(cpu) r1=$(rows)		# a backend's CPU is its parent's once it is gone
	n=$(cat "$tmp"/log.* | wc -l)
	[ "$n" -gt 0 ] || die "$1: nothing was done"
	R_n=$((n * $3))
	R_tps=$(awk -v n="$R_n" -v a="$t0" -v b="$t1" 'BEGIN {printf "%.0f", n / (b - a)}')
	R_cpu=$(awk -v n="$R_n" -v a="$c0" -v b="$c1" 'BEGIN {printf "%.3f", (b - a) * 1000 / n}')
	printf '%-34s %10s %14s %14s %9s %10s %8s / %s\n' "$1" "$R_tps" "$R_cpu" \
		"$(awk -v c="$R_cpu" 'BEGIN {printf "%.0f", (c > 0 ? 1000 / c : 0)}')" \
		"$(((w1 - w0) / R_n))" "$(awk -v n="$R_n" -v r="$((r1 - r0))" 'BEGIN {printf "%.1f", r / n}')" \
		"$(percentile 50)" "$(percentile 95)"
}

echo "PostgreSQL $(sql -c 'SHOW server_version'), $(nproc) cores, $each s each, $flight in flight, load $(cut -d' ' -f1 /proc/loadavg)"
printf '%-34s %10s %14s %14s %9s %10s %s\n' "" "tasks/s" "CPU s / 1000" "tasks / core s" "WAL B" "rows" "p50 / p95 ms"
# First, while there is nothing for autovacuum to do.
( cd "$tmp" && pgbench -n -M prepared -c 1 -T 1 -f one.sql "$db" >/dev/null 2>&1 )		# warm
measure "one task, one at a time" 1 1 one.sql
measure "naive, a transaction a task" "$flight" 1 naive.sql
naive=$R_cpu
measure "set-wise, 1000 tasks a statement" 1 1000 setwise.sql
setwise=$R_cpu
psql -X -q -c 'TRUNCATE plain' -c 'VACUUM ANALYZE'
( cd "$tmp" && pgbench -n -M prepared -c "$flight" -j 2 -T 2 -f seq10.sql "$db" >/dev/null 2>&1 )		# warm
measure "seq10 (10 x std.echo), workflows" "$flight" 10 seq10.sql
seq=$R_cpu
left=$(sql -c "SELECT count(*) FROM mistral.executions WHERE state <> 'SUCCESS'")
awk -v s="$seq" -v n="$naive" -v w="$setwise" 'BEGIN {
	if (s > 0 && w > 0) printf "\nOne seq10 task costs %.2f of a naive transaction and %.1f of a set-wise row pair, in CPU.\n", s / n, s / w}'
echo "p50 / p95 are of a whole script: call of start_workflow to SUCCESS seen by wait_workflow (per workflow)."
[ "$left" = 0 ] || die "$left executions did not end in SUCCESS"
psql -X -q -d postgres -c "DROP DATABASE $db WITH (FORCE)"
