#!/bin/bash
# A RabbitMQ of one's own, as an ordinary user, on loopback, with nothing of the system's.
#
#   rabbitmq.sh start DIRECTORY PORT PORT PORT    becomes the broker; all that it writes is in the directory;
#                                                 its configuration, where there is one, is DIRECTORY/rabbit.conf
#   rabbitmq.sh stop DIRECTORY PORT PORT PORT     ends its port mapper, and a broker that has outlived its script
#
# The ports, all free ones: the broker's, that of Erlang's distribution, that of its port mapper.  The broker's output
# says "completed with" when it is ready.
what=$1 dir=$2
export HOME=$dir
export RABBITMQ_MNESIA_BASE=$dir/mnesia RABBITMQ_LOG_BASE=$dir/log RABBITMQ_PID_FILE=$dir/pid
export RABBITMQ_NODENAME=mistral_$3@localhost RABBITMQ_NODE_PORT=$3 RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_DIST_PORT=$4
[ -f "$dir/rabbit.conf" ] && export RABBITMQ_CONFIG_FILE=$dir/rabbit.conf || export RABBITMQ_CONFIG_FILE=$dir/none
export RABBITMQ_CONF_ENV_FILE=$dir/env RABBITMQ_ENABLED_PLUGINS_FILE=$dir/plugins
export RABBITMQ_GENERATED_CONFIG_DIR=$dir/generated
export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-rabbit loopback_users []'
export ERL_EPMD_PORT=$5 ERL_EPMD_ADDRESS=127.0.0.1
if [ "$what" = start ]; then
	echo >"$dir/env"
	echo '[].' >"$dir/plugins"
	exec /usr/lib/rabbitmq/bin/rabbitmq-server
fi
[ ! -s "$dir/pid" ] || kill -KILL "$(cat "$dir/pid")" 2>/dev/null
# The mapper refuses to go while it knows of a node, and does for a moment after that has ended.
for _ in $(seq 100); do
	epmd -names >/dev/null 2>&1 || exit 0
	epmd -kill >/dev/null 2>&1
	sleep 0.1
done
exit 1
