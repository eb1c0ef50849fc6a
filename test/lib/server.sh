# Private PostgreSQL servers for the demo, the tests and the benchmark: sourced.
#
# A server of ours never touches the system's: server_prepare copies the
# installation that PG_CONFIG names into a temporary directory (PostgreSQL finds
# its files relative to its programs), and `make install` goes into that copy.
# Clusters live in the same directory, listen on a Unix socket there and nowhere
# else, and run as an ordinary user.  However the script ends, its servers are
# stopped and the directory is removed.
#
#   server_prepare [installed]  SERVER_DIR, SERVER_BIN, PG_CONFIG_PRIVATE; `installed`: without a copy, to be used as it is
#   server_install              builds the extension and installs it into the copy
#   server_create NAME [LINE..] a cluster with these lines in postgresql.conf
#   server_start NAME           waits until it answers; sets PGHOST, PGUSER
#   server_stop NAME [MODE]     fast by default
#   server_as CMD ...           runs CMD as the user whose servers these are

SERVER_USER=
SERVER_DIR=
SERVER_BIN=
SERVER_NAMES=()
SERVER_WATCH=

die() { echo "$*" >&2; exit 1; }

server_as() {
	if [ -n "$SERVER_USER" ]; then
		# From a directory that the user may enter.
		( cd "$SERVER_DIR" && exec runuser -u "$SERVER_USER" -- "$@" )
	else
		"$@"
	fi
}

# Stops everything, removes everything; keeps the script's exit status.
server_cleanup() {
	local rc=$? n
	trap - EXIT INT TERM HUP
	[ -z "$SERVER_WATCH" ] || kill "$SERVER_WATCH" 2>/dev/null
	for n in ${SERVER_NAMES[@]+"${SERVER_NAMES[@]}"}; do
		server_stop "$n" fast >/dev/null 2>&1 || server_stop "$n" immediate >/dev/null 2>&1
	done
	declare -F at_exit >/dev/null && at_exit
	# Servers that a test started itself and could not stop.
	if [ -n "$SERVER_DIR" ]; then
		find "$SERVER_DIR" -name postmaster.pid 2>/dev/null | while read -r n; do
			server_as "$SERVER_BIN/pg_ctl" -D "${n%/*}" -w -t 30 -s -m immediate stop >/dev/null 2>&1
		done
	fi
	if [ -n "$SERVER_DIR" ] && [ -z "${MISTRAL_KEEP:-}" ]; then
		rm -rf "$SERVER_DIR"
	elif [ -n "$SERVER_DIR" ]; then
		echo "Kept: $SERVER_DIR"
	fi
	exit $rc
}

# No run may hang: after SECONDS the script is told to end, and cleans up.
server_deadline() {
	( trap - EXIT; exec >/dev/null 2>&1 </dev/null
	  sleep "$1" & sleeper=$!; trap 'kill $sleeper; exit' TERM; wait $sleeper; kill -TERM $$ ) &
	SERVER_WATCH=$!
}

server_prepare() {
	local bin share lib prefix p
	SERVER_PG_CONFIG=${PG_CONFIG:-pg_config}
	bin=$("$SERVER_PG_CONFIG" --bindir) && share=$("$SERVER_PG_CONFIG" --sharedir) &&
		lib=$("$SERVER_PG_CONFIG" --pkglibdir) || die "pg_config does not answer (PG_CONFIG=$SERVER_PG_CONFIG)"

	if [ "$(id -u)" = 0 ]; then
		# PostgreSQL refuses to run as root.
		if id postgres >/dev/null 2>&1; then SERVER_USER=postgres; else SERVER_USER=nobody; fi
	fi
	# A Unix socket's path is limited to 107 bytes.
	p=${TMPDIR:-/tmp}
	[ ${#p} -le 60 ] || p=/tmp
	SERVER_DIR=$(mktemp -d "$p/mistral.XXXXXX") || die "cannot make a directory in $p"
	trap server_cleanup EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	chmod 755 "$SERVER_DIR"

	if [ "${1:-}" = installed ]; then
		SERVER_BIN=$bin PG_CONFIG_PRIVATE=$SERVER_PG_CONFIG
	else
		server_copy
	fi
	mkdir -p "$SERVER_DIR/s" "$SERVER_DIR/log"
	if [ -n "$SERVER_USER" ]; then
		chown "$SERVER_USER" "$SERVER_DIR" "$SERVER_DIR/s" "$SERVER_DIR/log"
	fi
	export PATH=$SERVER_BIN:$PATH
	export PGHOST=$SERVER_DIR/s PGUSER=postgres PGDATABASE=postgres PGCONNECT_TIMEOUT=20
	# What initdb and psql take from the environment is the same everywhere.
	export LANG=C.UTF-8
	unset LC_ALL LC_CTYPE LC_COLLATE LC_MESSAGES LANGUAGE PGCLIENTENCODING
	unset PGPORT PGSERVICE PGPASSFILE PGOPTIONS PGDATA PGSSLMODE
}

# The copy of the installation: the variables are server_prepare's.
server_copy() {
	# The longest directory that programs, libraries and shared files have in common.
	prefix=$bin
	while [ "${share#"$prefix"/}" = "$share" ] || [ "${lib#"$prefix"/}" = "$lib" ]; do
		prefix=${prefix%/*}
		[ -n "$prefix" ] || die "no common prefix of $bin, $share and $lib"
	done
	mkdir -p "$SERVER_DIR/pg"
	for p in "$bin" "$lib" "$share"; do
		p=${p#"$prefix"/}
		[ -e "$SERVER_DIR/pg/$p" ] && continue
		mkdir -p "$SERVER_DIR/pg/${p%/*}"
		cp -rL --preserve=mode,timestamps "$prefix/$p" "$SERVER_DIR/pg/$p" || die "cannot copy $prefix/$p"
	done
	# The JIT compiler's bitcode of the server itself: 20 MB that nothing here reads.
	rm -rf "$SERVER_DIR/pg/${lib#"$prefix"/}/bitcode"
	p=$("$SERVER_PG_CONFIG" --includedir-server)
	[ "${p#"$prefix"/}" = "$p" ] || server_mirror "$prefix" "$SERVER_DIR/pg" "${p#"$prefix"/}/extension"
	SERVER_BIN=$SERVER_DIR/pg/${bin#"$prefix"/}
	PG_CONFIG_PRIVATE=$SERVER_BIN/pg_config
	# Ubuntu's of version 14 names the installation that it was copied from.
	if [ "$("$PG_CONFIG_PRIVATE" --bindir)" != "$SERVER_BIN" ]; then
		PG_CONFIG_PRIVATE=$SERVER_DIR/pg/pg_config
		printf '#!/bin/sh\n"%s" "$@" | sed "s|^%s/|%s/|"\n' "$SERVER_BIN/pg_config" "$prefix" "$SERVER_DIR/pg" \
			>"$PG_CONFIG_PRIVATE"
		chmod 755 "$PG_CONFIG_PRIVATE"
	fi
}

# A directory of links to what is in FROM, for reading, but with the directory PATH of its own, for writing.
server_mirror() {	# FROM TO PATH
	local first=${3%%/*} f
	mkdir -p "$2/$first"
	[ "$first" != "$3" ] || return 0
	for f in "$1/$first"/*; do
		[ "${f##*/}" = "$(cut -d/ -f2 <<<"$3")" ] || [ ! -e "$f" ] || ln -sfn "$f" "$2/$first/"
	done
	server_mirror "$1/$first" "$2/$first" "${3#*/}"
}

server_install() {
	local make="make -s --no-print-directory -j2 PG_CONFIG=$PG_CONFIG_PRIVATE"
	unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
	$make all && $make install
}

server_create() {
	local name=$1
	shift
	server_as "$SERVER_BIN/initdb" -D "$SERVER_DIR/$name" -U postgres -A trust --no-sync --no-instructions \
		-E UTF8 --locale=C.UTF-8 >"$SERVER_DIR/log/initdb.$name" 2>&1 ||
		{ cat "$SERVER_DIR/log/initdb.$name"; die "initdb failed"; }
	printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$SERVER_DIR/s'" "max_connections = 100" \
		"shared_preload_libraries = 'mistral'" "max_worker_processes = 32" "$@" \
		>>"$SERVER_DIR/$name/postgresql.conf"
	SERVER_NAMES+=("$name")
}

server_start() {
	server_as "$SERVER_BIN/pg_ctl" -D "$SERVER_DIR/$1" -l "$SERVER_DIR/log/$1.log" -w -t 60 -s start ||
		{ tail -n 30 "$SERVER_DIR/log/$1.log"; die "the server $1 did not start"; }
}

server_stop() {
	[ -f "$SERVER_DIR/$1/postmaster.pid" ] || return 0
	server_as "$SERVER_BIN/pg_ctl" -D "$SERVER_DIR/$1" -w -t 30 -s -m "${2:-fast}" stop
}

# A python3 that has the module, if there is one.
server_python() {
	local p
	for p in "${PYTHON:-}" /usr/bin/python3 python3; do
		[ -n "$p" ] && "$p" -c "import ${1:-json}" >/dev/null 2>&1 && { echo "$p"; return; }
	done
	return 1
}

# until_true SECONDS CMD...: polls CMD until it succeeds.
until_true() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
}
