#!/bin/bash
# What the way over the program mistral_io costs an action: processor time of the executor and of the program, for a module
# whose action does nothing.
#
#   test/bench/modules.sh [ACTIONS]      20000; one line for each of three rounds
set -eu
cd "$(dirname "$0")/../.."
. test/lib/server.sh
n=${1:-20000}

server_prepare
server_install
cc -O2 -shared -fPIC -I "$("$PG_CONFIG_PRIVATE" --includedir-server)/extension/mistral" -o "$SERVER_DIR/example.so" test/modules/example.c
server_create main "fsync = off" "mistral.io_modules = '$SERVER_DIR/example.so'"
server_start main
sql() { psql -X -q -At -v ON_ERROR_STOP=1 -c "$1"; }
sql 'CREATE EXTENSION mistral'
until_true 30 sh -c "psql -X -At -c \"SELECT count(*) FROM mistral.actions WHERE module = 'example'\" | grep -qx 4"
for action in example.noop std.noop; do
	sql "SELECT mistral.load_workflow(\$\$
version: '2.0'
w_${action#*.}_${action%.*}:
  input: [n]
  tasks:
    t: {with-items: 'i in <% range(\$.n) %>', action: $action}
\$\$)" >/dev/null
done
# Microseconds of processor time so far.
cpu() { awk -v t="$(getconf CLK_TCK)" '{print ($14 + $15) * 1000000 / t}' "/proc/$1/stat"; }
pid_of() { sql "SELECT pid FROM pg_stat_activity WHERE backend_type = 'mistral $1'"; }
executor=$(pid_of executor) engine=$(pid_of engine)
program=$(pgrep -P "$executor" -x mistral_io)
for round in 1 2 3; do
	for workflow in w_noop_example w_noop_std; do
		e=$(cpu "$executor") p=$(cpu "$program") g=$(cpu "$engine")
		id=$(sql "SELECT mistral.start_workflow('$workflow', '{\"n\": $n}')")
		[ "$(sql "SELECT mistral.wait_workflow('$id', '5 min')")" = SUCCESS ]
		awk -v n="$n" -v w="$workflow" -v r="$round" -v e="$e" -v p="$p" -v g="$g" -v e2="$(cpu "$executor")" -v p2="$(cpu "$program")" \
			-v g2="$(cpu "$engine")" 'BEGIN {printf "%s, round %d: %d actions; microseconds each: executor %.1f, program %.1f, engine %.1f\n",
			w, r, n, (e2 - e) / n, (p2 - p) / n, (g2 - g) / n}'
	done
done
