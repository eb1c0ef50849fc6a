#!/bin/bash
# What stops each attack on an expression's time or memory, and how soon: a table of the limit, the expression, the
# processor's and the clock's seconds, and the error. The attacks are those of test/lib/bounds.sql.
#
#   bounds.sh           on a private server
#   bounds.sh --here    on the server that libpq's environment names, in a database of its own
set -u
cd "$(dirname "$0")/../.." || exit 1
if [ "${1:-}" != --here ]; then
	. test/lib/server.sh
	server_prepare
	server_install || die "the extension does not build"
	server_create bounds "fsync = off" "mistral.enabled = off"
	server_start bounds
fi
db=mistral_bounds_$$
psql -X -q -d postgres -c "CREATE DATABASE $db" && psql -X -q -d $db -c 'CREATE EXTENSION mistral' || exit 1
psql -X -q -d $db -v ON_ERROR_STOP=1 -P pager=off -f test/lib/bounds.sql -f - <<'SQL'
SELECT b.bound AS "limit", left(b.expression, 100) AS expression, a.used AS "CPU s", a.seconds AS "wall s",
       CASE WHEN a.state = b.state AND a.message ~ b.message THEN a.state ELSE 'NOT STOPPED: ' || a.state END AS error, left(a.message, 90) AS message
  FROM (SELECT * FROM bounds ORDER BY id) b, LATERAL pg_temp.attack(b.expression) a;
SELECT count(*) AS attacks, max(a) AS "peak of memory, MB" FROM bounds, (SELECT pg_temp.memory_peak() AS a) p;
SQL
rc=$?
psql -X -q -d postgres -c "DROP DATABASE $db"
exit $rc
