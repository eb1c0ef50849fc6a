#!/bin/bash
# Runs a command in a network of its own, with the files of the machine as they are but for /etc/resolv.conf.
#
#   own_network.sh CMD ...
#
# The network has nothing but a loopback interface, and on it addresses of every kind: one that the internet could
# have (203.0.113.5), private, shared and link-local ones.  Names are asked of 127.0.0.53 there.  What CMD leaves
# running goes on in it.  The user stays the same, and gains no rights.  Where user namespaces are not to be had
# this fails, before CMD is run, with exit status 77.
set -u
trap 'exit 77' ERR

if [ "${1:-}" != --inside ]; then
	for needed in unshare setpriv ip; do
		PATH=$PATH:/usr/sbin command -v $needed >/dev/null || exit 77
	done
	unshare --user --map-current-user --keep-caps --net --mount true 2>/dev/null
	exec unshare --user --map-current-user --keep-caps --net --mount bash "$0" --inside "$@"
fi
shift
PATH=$PATH:/usr/sbin
ip link set lo up
for address in 203.0.113.5 10.0.0.1 100.64.0.1 169.254.169.254 172.16.0.1 192.168.0.1; do
	ip addr add $address/32 dev lo
done
echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start
names=$(mktemp)
printf '%s\n' 'nameserver 127.0.0.53' >"$names"
mount --bind "$names" /etc/resolv.conf
rm -f "$names"
exec setpriv --ambient-caps -all --inh-caps -all "$@"
