#!/bin/bash
# The speed of expressions, in C and through SQL, beside the originals
# evaluating the same text in the same run; what is measured says expressions.py.
#
#   expressions.sh              a private server; needs python3-mistral (apt); about five minutes
#   expressions.sh --here       the server of libpq's environment, whose user can read /tmp
#
#   SECONDS_EACH, CORPUS, EVERY, WORST: see expressions.py
set -u
cd "$(dirname "$0")/../.." || exit 1
if [ "${1:-}" = --here ]; then
	die() { echo "$*" >&2; exit 1; }
	PG_CONFIG_PRIVATE=${PG_CONFIG:-pg_config}
	tmp=$(mktemp -d) || exit 1
	trap 'rm -rf "$tmp"' EXIT
	chmod 755 "$tmp"
else
	. test/lib/server.sh
	server_prepare
	server_deadline "${MISTRAL_BENCH_DEADLINE:-1200}"
	server_install || die "the build failed"
	server_create bench "max_worker_processes = 8"
	server_start bench
	tmp=$SERVER_DIR
fi
make -s --no-print-directory -C test/bench PG_CONFIG="$PG_CONFIG_PRIVATE" || die "time_expression.so does not build"
install -m 644 test/bench/time_expression.so "$tmp/time_expression.so"

export PGDATABASE=mistral_bench_expressions
psql -X -q -d postgres -c "SET client_min_messages = warning" -c "DROP DATABASE IF EXISTS $PGDATABASE WITH (FORCE)" \
	-c "CREATE DATABASE $PGDATABASE" && psql -X -q -c "CREATE EXTENSION mistral" || die "no server"
# Debian's python3-mistral belongs to Debian's Python.
"${PYTHON:-/usr/bin/python3}" test/bench/expressions.py "$tmp/time_expression.so"
rc=$?
psql -X -q -d postgres -c "DROP DATABASE $PGDATABASE WITH (FORCE)"
exit $rc
