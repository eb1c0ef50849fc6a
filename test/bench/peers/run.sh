#!/bin/bash
# Other engines beside this one, each with ten trivial steps a workflow, on one private server.
#
#   run.sh [--flight N] [--seconds S] [NAME ...]     as peers.py says
#
# What is not there is installed where that is possible (npm into the temporary directory, apt as root), and the
# table says which engines could not be run.  Everything is reached through a loopback port.
set -u
cd "$(dirname "$0")/../../.." || exit 1
exec </dev/null
bash test/lib/deps.sh bench || exit 1
. test/lib/server.sh
server_prepare
server_install || die "the build failed"
port=$("$(server_python)" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
server_create peers "max_connections = 300" "max_wal_size = '4GB'" "listen_addresses = '127.0.0.1'" "port = $port"
export PGPORT=$port
server_start peers
export PGHOST=127.0.0.1 BENCH_URL=postgresql://postgres@127.0.0.1:$port/ BENCH_NODE=$SERVER_DIR/node PYTHONDONTWRITEBYTECODE=1

mkdir -p "$BENCH_NODE"
cp test/bench/peers/package.json test/bench/peers/*.mjs "$BENCH_NODE/"
if command -v npm >/dev/null; then
	(cd "$BENCH_NODE" && timeout 300 npm install --no-audit --no-fund --ignore-scripts --loglevel=error) ||
		echo "npm could not install the packages of test/bench/peers/package.json"
else
	echo "npm is not installed: the engines that need it are left out"
fi
(cd / && /usr/bin/python3 -c 'import mistral.engine') 2>/dev/null || [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null ||
	DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends python3-mistral >/dev/null 2>&1 ||
	echo "apt-get could not install python3-mistral"
"$(server_python psycopg2)" test/bench/peers/peers.py "$@"
