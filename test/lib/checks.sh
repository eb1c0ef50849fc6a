#!/bin/bash
# What a reader could check by hand, as TAP: layers, sizes, exported names,
# comments, grants, and that the documentation says what is there.
#
#   checks.sh                     needs a server with the extension (libpq's environment)
#   checks.sh --update-settings   writes the table of docs/settings.md from the server
set -u
shopt -s lastpipe
cd "$(dirname "$0")/../.." || exit 1
n=0
check() {			# WHAT: standard input says what is wrong, a line each; nothing is right
	local wrong
	wrong=$(head -n 20)
	n=$((n + 1))
	if [ -z "$wrong" ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		sed 's/^/#   /' <<<"$wrong"
	fi
}
sql() { psql -X -q -At -F ' ' -v ON_ERROR_STOP=1 -d "$db" "$@" 2>&1; }
files() {			# the tree's own files, with or without git
	if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
		git ls-files -co --exclude-standard -- "$@"
	else
		find "$@" -type f
	fi | while read -r f; do [ -f "$f" ] && echo "$f"; done
}

db=mistral_checks
psql -X -q -d postgres -c "SET client_min_messages = warning" -c "DROP DATABASE IF EXISTS $db WITH (FORCE)" \
	-c "CREATE DATABASE $db" && sql -c 'CREATE EXTENSION mistral' || { echo "Bail out! no server with the extension"; exit 1; }
trap 'psql -X -q -d postgres -c "DROP DATABASE IF EXISTS $db WITH (FORCE)"' EXIT

settings_table() {
	echo '| setting | default | range | changed by | meaning |'
	echo '| --- | --- | --- | --- | --- |'
	sql <<-'SQL'
		SELECT format('| `%s` | %s | %s | %s | %s |', name,
		       CASE WHEN coalesce(boot_val, '') = '' THEN 'empty'
		            WHEN unit IS NOT NULL THEN boot_val || ' ' || unit
		            ELSE '`' || replace(boot_val, ',', ', ') || '`' END,
		       CASE vartype WHEN 'integer' THEN min_val || ' to ' || max_val || coalesce(' ' || unit, '')
		                    WHEN 'bool' THEN 'on, off' WHEN 'enum' THEN array_to_string(enumvals, ', ') ELSE 'text' END,
		       CASE context WHEN 'sighup' THEN 'reload' WHEN 'postmaster' THEN 'restart'
		                    WHEN 'superuser' THEN 'superuser' WHEN 'user' THEN 'anyone' ELSE context END,
		       short_desc || coalesce(' ' || extra_desc, ''))
		  FROM pg_settings WHERE name LIKE 'mistral.%' ORDER BY name COLLATE "C";
	SQL
}

if [ "${1:-}" = --update-settings ]; then
	settings_table >"${TMPDIR:-/tmp}/settings.$$"
	sed -i -e '/^| /d' -e "/^<!-- the table is written/r ${TMPDIR:-/tmp}/settings.$$" docs/settings.md
	rm -f "${TMPDIR:-/tmp}/settings.$$"
	exit
fi

# ---- the source -----------------------------------------------------------------------------

grep -ln 'PG_VERSION_NUM' $(files src | grep '\.[ch]$') | grep -v '^src/compat\.h$' |
	check "versions of PostgreSQL differ in src/compat.h only"

rank() {
	case $1 in
		base | http | io | modules) echo 0 ;; dsl | expr) echo 1 ;; actions) echo 2 ;; engine | queue) echo 3 ;;
		executor) echo 4 ;; worker) echo 5 ;; api) echo 6 ;; *) echo 9 ;;
	esac
}
for f in $(files src | grep '^src/[a-z]*/.*\.[ch]$'); do
	layer=${f#src/}
	layer=${layer%%/*}
	[ "$(rank "$layer")" != 9 ] || echo "$f: no such layer: $layer"
	grep -oE '^#include "[a-z]+/[a-z0-9_]+\.h"' "$f" | sed -E 's/.*"(.*)"/\1/' | while read -r h; do
		[ -f "src/$h" ] || continue			# one of PostgreSQL's
		[ "$(rank "${h%%/*}")" -le "$(rank "$layer")" ] || echo "$f includes $h"
	done
done | check "includes point downward or sideways: base < dsl, expr < actions < engine, queue < executor < worker < api"

grep -lE '#include ["<]curl/' $(files src | grep '\.[ch]$') /dev/null | grep -v '^src/http/' |
	check "libcurl is used by src/http only"

wc -l $(files src | grep '\.[ch]$') | awk '$2 != "total" && $1 > 800 {print $2 ": " $1 " lines"}' |
	check "no source file is longer than 800 lines"

for f in $(files src | grep '\.[ch]$'); do
	head -n 3 "$f" | grep -q "^ \* $(basename "$f")" || echo "$f"
done | check "every source file has a header comment with its name"

nm -D --defined-only mistral.so | awk '$2 ~ /^[TDBR]$/ {print $3}' |
	grep -vE '^(mistral_[a-z0-9_]+|pg_finfo_mistral_[a-z0-9_]+|Pg_magic_func|_PG_init)$' |
	check "mistral.so exports only mistral_*, its pg_finfo_* and PostgreSQL's entry points"

grep -nE '\b(TODO|FIXME|XXX|HACK)\b' $(files src sql test examples docs Makefile | grep -v '^test/lib/checks\.sh$') /dev/null |
	grep -v 'mktemp\|XXXXXX' | cut -c1-160 | check "nothing is left to do in the source"

grep -nIE '[[:blank:]]+$' $(files src sql test examples docs Makefile | grep -vE '\.(out|json|md)$') /dev/null |
	cut -c1-120 | check "no trailing blanks"

for f in $(files test/isolation/expected | grep '\.out$'); do
	b=$(basename "$f" .out)
	[ -f "test/isolation/specs/${b%_[0-9]}.spec" ] || echo "$f: no spec"
done | check "every expected file has its spec"
for f in $(files test/isolation/specs | grep '\.spec$'); do
	[ -f "test/isolation/expected/$(basename "$f" .spec).out" ] || echo "$f: no expected output"
done | check "every spec has its expected file"
for f in $(files test examples .ci | grep -E '\.sh$|^\.ci/run$'); do bash -n "$f" 2>&1; done |
	check "every shell script parses"

# ---- the catalog ----------------------------------------------------------------------------

members="pg_depend d ON d.objid = o.oid AND d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass
         AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'mistral')"

sql -c "SELECT o.oid::regprocedure FROM pg_proc o JOIN $members AND d.classid = 'pg_proc'::regclass
         WHERE obj_description(o.oid, 'pg_proc') IS NULL ORDER BY 1" | check "every function has a comment"
sql -c "SELECT o.oid::regclass FROM pg_class o JOIN $members AND d.classid = 'pg_class'::regclass
         WHERE o.relkind IN ('r', 'v', 'm', 'p') AND obj_description(o.oid, 'pg_class') IS NULL ORDER BY 1" |
	check "every table and view has a comment"
sql -c "SELECT o.oid::regprocedure FROM pg_proc o JOIN $members AND d.classid = 'pg_proc'::regclass,
               aclexplode(coalesce(o.proacl, acldefault('f', o.proowner))) a WHERE a.grantee = 0 ORDER BY 1" |
	check "PUBLIC may execute nothing"
sql -c "SELECT o.oid::regclass::text, a.privilege_type FROM pg_class o
          JOIN $members AND d.classid = 'pg_class'::regclass, aclexplode(o.relacl) a WHERE a.grantee = 0
        UNION ALL SELECT 'schema ' || nspname, a.privilege_type FROM pg_namespace, aclexplode(nspacl) a
         WHERE nspname = 'mistral' AND a.grantee = 0" |
	check "PUBLIC may read no table and use no schema"
sql -c "SELECT o.oid::regclass, a.grantee::regrole FROM pg_class o JOIN $members AND d.classid = 'pg_class'::regclass,
               aclexplode(o.relacl) a WHERE o.relkind = 'r' AND a.grantee <> o.relowner ORDER BY 1" |
	check "tables carry no grants"
sql -c "SELECT o.oid::regprocedure FROM pg_proc o JOIN $members AND d.classid = 'pg_proc'::regclass
         WHERE o.prosecdef ORDER BY 1" | check "no function is SECURITY DEFINER"
sql -c "SELECT o.oid::regprocedure FROM pg_proc o JOIN $members AND d.classid = 'pg_proc'::regclass
          JOIN pg_language l ON l.oid = o.prolang
         WHERE l.lanname = 'c' AND o.prosrc <> 'mistral_' || o.proname
           AND NOT EXISTS (SELECT FROM pg_proc p WHERE p.prosrc = o.prosrc AND p.prosrc LIKE 'mistral\_%'
                                                   AND p.pronamespace = o.pronamespace) ORDER BY 1" |
	check "C functions are called mistral_<name>"

# ---- the documentation ----------------------------------------------------------------------

diff <(grep '^| ' docs/settings.md) <(settings_table) |
	check "docs/settings.md has every setting as the server knows it (checks.sh --update-settings)"

docs=$(files README.md docs 2>/dev/null | grep '\.md$')
known=$(sql -c "SELECT proname FROM pg_proc WHERE pronamespace = 'mistral'::regnamespace
                UNION SELECT relname FROM pg_class WHERE relnamespace = 'mistral'::regnamespace
                UNION SELECT substr(name, 9) FROM pg_settings WHERE name LIKE 'mistral.%'")
grep -noE '\bmistral\.[a-z_]+' $docs /dev/null | sort -u | while IFS=: read -r f line name; do
	name=${name#mistral.}
	case $name in control | so | c | h | sql | yaml | schema | workflow) continue ;; esac
	grep -qx "$name" <<<"$known" || echo "$f:$line: mistral.$name is not there"
done | check "every mistral.<name> in the documentation exists"
grep -noE '(`|^    )make [a-z]+' $docs /dev/null | sort -u | while IFS=: read -r f line cmd; do
	t=${cmd##*make }
	case $t in all | install | installcheck | clean | it | sure | the | a) continue ;; esac
	grep -qE "^$t:" Makefile || echo "$f:$line: $cmd"
done | check "every make target in the documentation exists"
grep -noE '`(docs|examples|test|src|sql|\.ci)/[A-Za-z0-9_./-]+`' $docs /dev/null | tr -d '`' | while IFS=: read -r f line p; do
	[ -e "$p" ] || echo "$f:$line: $p"
done | check "every file that the documentation names exists"
grep -noE '\]\([^)#: ]+' $docs /dev/null | while IFS=: read -r f line p; do
	[ -e "$(dirname "$f")/${p#](}" ] || echo "$f:$line: ${p#](}"
done | check "every link in the documentation leads somewhere"
grep -noE '^ +(docs|examples)/[a-z_.]+' examples/demo.sh | while IFS=: read -r line p; do
	[ -e "${p// /}" ] || echo "examples/demo.sh:$line: ${p// /}"
done | check "every file that the demo names exists"

echo "1..$n"
