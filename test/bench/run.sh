#!/bin/bash
# The benchmark on a private server with PostgreSQL's and mistral's default
# settings, but for max_wal_size: at these rates the default would make a checkpoint every few seconds.
#
#   run.sh [--quick | --full] [--seconds S] [ROW ...]     as bench.py says
set -u
cd "$(dirname "$0")/../.." || exit 1
exec </dev/null
bash test/lib/deps.sh bench || exit 1
. test/lib/server.sh
server_prepare
server_install || die "the build failed"
server_create bench "max_connections = 200" "max_wal_size = '4GB'" "mistral.http_allow = '127.0.0.0/8'"
server_start bench

BENCH_CURL_FLOOR=$SERVER_DIR/curl_floor
cc -O2 -o "$BENCH_CURL_FLOOR" test/bench/curl_floor.c -lcurl || die "curl_floor.c does not compile"
BENCH_PG_CTL="$SERVER_BIN/pg_ctl -D $SERVER_DIR/bench -l $SERVER_DIR/log/bench.log -w -t 60 -s"
[ -z "$SERVER_USER" ] || BENCH_PG_CTL="runuser -u $SERVER_USER -- $BENCH_PG_CTL"
export BENCH_CURL_FLOOR BENCH_PG_CTL PYTHONDONTWRITEBYTECODE=1
"$(server_python psycopg2)" test/bench/bench.py "$@"
rc=$?
grep -aE 'PANIC|TRAP:|was terminated by signal|ERROR: .*mistral' "$SERVER_DIR/log/bench.log" | head -n 5
exit $rc
