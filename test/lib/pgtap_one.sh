#!/bin/bash
# Runs one pgTAP file in a database of its own, for prove --exec.
set -u
file=$1
db=pgtap_$(basename "$file" .sql | tr -c 'a-z0-9\n' '_')
export PGOPTIONS='-c client_min_messages=warning'
psql() { command psql -X -q -A -t -v ON_ERROR_STOP=1 -P pager=off "$@"; }
psql -d postgres -c "DROP DATABASE IF EXISTS $db WITH (FORCE)" -c "CREATE DATABASE $db" || exit 1
psql -d "$db" -c 'CREATE EXTENSION pgtap' -c 'CREATE EXTENSION mistral' || exit 1
timeout -k 5 "${MISTRAL_FILE_TIMEOUT:-180}" psql -X -q -A -t -v ON_ERROR_STOP=1 -P pager=off -d "$db" -f "$file" 2>&1
rc=$?
psql -d postgres -c "DROP DATABASE IF EXISTS $db WITH (FORCE)"
exit $rc
