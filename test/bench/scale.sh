#!/bin/bash
# How cost grows with size: workflows of 10 to 50,000 tasks, joins of 10,000
# branches, with-items of a million, deep trees, large contexts.
#
#   scale.sh [NAME ...]     only the rows whose names begin so; SCALE_SMALL=1: a tenth of the sizes
#
# A private server with its default, durable settings.  Per row: time and CPU of the engine per task, WAL per
# task, the engine's peak memory (VmHWM), unfinished rows at most at any look, and the ratio to the first row
# of its kind.
set -u
cd "$(dirname "$0")/../.." || exit 1
. test/lib/server.sh
server_prepare
server_deadline "${SCALE_DEADLINE:-1500}"
server_install || die "the build failed"
server_create scale "max_wal_size = '4GB'"
server_start scale
python=$(server_python psycopg2) || die "python3 with psycopg2 is needed"
"$python" test/bench/scale.py "$@"
