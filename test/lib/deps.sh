#!/bin/bash
# What the build, the demo and the tests need of the system.
#
#   deps.sh [demo|salary|test|bench|fuzz|node]   names what is missing; as root on a system with
#                           apt it installs that, else it exits with 1
#   deps.sh nagios|node DIRECTORY         the same, but unpacks it into the directory
#
# Everything is looked for by what it provides, not by package name, so that a
# server built from source (PG_CONFIG=...) or another distribution does as well.
set -u
what=${1:-test}
unpacked=${2:-}
pg_config=${PG_CONFIG:-pg_config}
missing=()

have() { command -v "$1" >/dev/null 2>&1; }
need() { missing+=("$@"); }

header() {		# FILE: does the compiler find it?
	printf '#include <%s>\n' "$1" | cc -E -x c - >/dev/null 2>&1
}

clang_runtime() {	# PART: is it there?
	have clang && find "$(clang -print-resource-dir)/lib" -name "libclang_rt.$1*" | grep -q .
}

python_with() {	# MODULE: prints a python3 that has it
	local p
	for p in "${PYTHON:-}" /usr/bin/python3 python3; do
		[ -n "$p" ] && "$p" -c "import $1" >/dev/null 2>&1 && { echo "$p"; return; }
	done
	return 1
}

look() {
	local major=15 dir
	missing=()
	have cc || need gcc libc6-dev
	have make || need make
	if have "$pg_config"; then
		major=$("$pg_config" --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/')
		[ -f "$("$pg_config" --includedir-server)/postgres.h" ] && [ -f "$("$pg_config" --pgxs)" ] ||
			need "postgresql-server-dev-$major"
		dir=$("$pg_config" --bindir)
		[ -x "$dir/postgres" ] && [ -x "$dir/initdb" ] || need "postgresql-$major"
		[ -x "$dir/psql" ] || need "postgresql-client-$major"
		dir=$("$pg_config" --sharedir)
	else
		need postgresql-15 postgresql-server-dev-15
		dir=/nowhere
	fi
	header yaml.h || need libyaml-dev
	header curl/curl.h || need libcurl4-openssl-dev
	header openssl/evp.h || need libssl-dev
	have cc && printf '#define PCRE2_CODE_UNIT_WIDTH 8\n#include <pcre2.h>\n' | cc -E -x c - >/dev/null 2>&1 ||
		need libpcre2-dev
	python_with json >/dev/null || need python3
	[ "$(id -u)" != 0 ] || have runuser || need util-linux
	if [ "$what" = bench ]; then
		python_with psycopg2 >/dev/null || need python3-psycopg2
		PATH=$PATH:/usr/sbin have nginx || need nginx-light
		return
	fi
	if [ "$what" = fuzz ]; then
		# The compiler, libFuzzer and the sanitizers' runtime.
		have clang || need clang
		clang_runtime fuzzer_no_main || need libclang-rt-dev
		return
	fi
	if [ "$what" = node ]; then
		# A node that is not Debian's does not let Debian's modules be installed: they are unpacked beside it.
		have node || need nodejs
		NODE_PATH=${NODE_PATH:-}:$unpacked/usr/share/nodejs node -e 'require("pg")' >/dev/null 2>&1 || need node-pg node-split2 node-xtend
		return
	fi
	if [ "$what" = nagios ]; then
		# Installing it would start a daemon and bring a mail server along.
		PATH=$PATH:/usr/sbin:$unpacked/usr/sbin have nagios4 || need nagios4-core
		return
	fi
	[ "$what" = test ] || [ "$what" = salary ] || return
	python_with psycopg2,aiosmtpd,pika >/dev/null || need python3-psycopg2 python3-aiosmtpd python3-pika
	header libssh2.h || need libssh2-1-dev
	[ -x /usr/sbin/sshd ] || need openssh-server
	have ssh-keygen || need openssh-client
	header amqp.h || need librabbitmq-dev
	[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || need rabbitmq-server
	PATH=$PATH:/usr/sbin have nginx || need nginx-light
	have openssl || need openssl
	[ "$what" = test ] || return
	[ -f "$dir/extension/pgtap.control" ] || need "postgresql-$major-pgtap"
	have prove || need perl
	have pgrep || need procps
	perl -MIPC::Run -e 1 >/dev/null 2>&1 || need libipc-run-perl
	python_with psycopg2,jsonschema >/dev/null || need python3-jsonschema
	python_with psycopg2,croniter >/dev/null || need python3-croniter
	have nm || need binutils
	compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null || need libfaketime
}

install() {
	local hold= policy= rc
	export DEBIAN_FRONTEND=noninteractive
	if [ -n "$unpacked" ]; then
		mkdir -p "$unpacked" && cd "$unpacked" || return
		apt-get -o Acquire::Retries=3 -qq download "${missing[@]}" >"$1" 2>&1 ||
			{ apt-get -o Acquire::Retries=3 -qq update && apt-get -o Acquire::Retries=3 -qq download "${missing[@]}"; } >"$1" 2>&1 &&
			find . -name '*.deb' -exec dpkg -x {} . \;
		return
	fi
	# Installing the server's package would create a cluster and start it.  We
	# want the programs only; a cluster that is already there is left alone.
	if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
		hold=/etc/postgresql-common/createcluster.d/mistral-programs-only.conf
		mkdir -p "${hold%/*}"
		echo 'create_main_cluster = false' > "$hold"
	fi
	# Nor is any other service to be started.
	if [ ! -e /usr/sbin/policy-rc.d ]; then
		policy=/usr/sbin/policy-rc.d
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
	apt-get -o Acquire::Retries=3 -qq update &&
		apt-get -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 -qq install -y --no-install-recommends "${missing[@]}" \
			>"$1" 2>&1 </dev/null
	rc=$?
	[ -z "$hold" ] || rm -f "$hold"
	[ -z "$policy" ] || rm -f "$policy"
	return $rc
}

look
[ ${#missing[@]} -gt 0 ] || exit 0
echo "Missing: ${missing[*]}"
if [ "$(id -u)" != 0 ] && [ -z "$unpacked" ] || ! have apt-get; then
	echo "These are Debian's package names. As root: apt-get install --no-install-recommends ${missing[*]}"
	exit 1
fi
echo "Installing them with apt-get ..."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! timeout 900 bash -c "$(declare -p missing unpacked); $(declare -f install); install '$log'"; then
	tail -n 20 "$log"
	echo "apt-get could not install: ${missing[*]}"
	exit 1
fi
look
[ ${#missing[@]} -eq 0 ] || { echo "Still missing after the installation: ${missing[*]}"; exit 1; }
