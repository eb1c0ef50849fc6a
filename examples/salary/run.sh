#!/bin/bash
# make demo-salary: the salaries of a month with real peers, of which some die on the way.
#
#   run.sh [--installed] [--report DIRECTORY]
#
# Starts a PostgreSQL, an nginx, a RabbitMQ, an SMTP server, eight SSH servers, a bank and the workers, each on loopback,
# as an ordinary user, in a temporary directory; has the month paid; kills a worker, the database and nginx while it is;
# and checks that everybody was paid once.  Exits with 1 if anything else happened.  Nothing is left running.
#
#   --installed   takes the PostgreSQL that PG_CONFIG names as it is, with the extension installed, and builds nothing
#   --report      keeps what each of the systems has seen, in files in that directory
set -u
cd "$(dirname "$0")/../.." || exit 1
started=$SECONDS installed='' report=''
while [ $# -gt 0 ]; do
	case $1 in
		--installed) installed=installed ;;
		--report) report=$2; shift ;;
		*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 2 ;;
	esac
	shift
done

. examples/narrate.sh
. test/lib/server.sh
if [ -z "$installed" ]; then
	chapter "What it needs"
	bash test/lib/deps.sh salary || exit 1
fi
python=$(server_python psycopg2,aiosmtpd,pika) || die "python3 with psycopg2, aiosmtpd and pika is needed"
PATH=$PATH:/usr/sbin
server_prepare $installed
server_deadline 300
if [ -z "$installed" ]; then
	bash test/lib/deps.sh node "$SERVER_DIR/node" || die "Node with its module pg is needed"
	export NODE_PATH=${NODE_PATH:+$NODE_PATH:}$SERVER_DIR/node/usr/share/nodejs
	chapter "Build"
	server_install || die "the build failed"
fi

# ---- the programs around the database -------------------------------------------------------

work=$SERVER_DIR/work
declare -A pids=()
# Unlike runuser this becomes the program, so that its pid is the one to kill.
[ -z "$SERVER_USER" ] || become=(setpriv --reuid "$SERVER_USER" --regid "$(id -g "$SERVER_USER")" --init-groups)
mkdir -p "$work/log" "$work/io/ssh/keys" "$work/rabbit"
cp -r examples test "$work/"

# Runs a program beside us, as the ordinary user; its output is in log/NAME.
spawn() {		# NAME COMMAND ...
	local name=$1
	shift
	( cd "$work" && exec ${become[@]+"${become[@]}"} "$@" ) \
		>"$work/log/$name" 2>&1 <"${input:-/dev/null}" 8>&- &
	pids[$name]=$!
}

end() {			# NAME [SIGNAL]
	kill "-${2:-TERM}" "${pids[$1]}" 2>/dev/null
	wait "${pids[$1]}" 2>/dev/null
	unset "pids[$1]"
}

at_exit() {
	local name
	for name in "${!pids[@]}"; do kill "${pids[$name]}" 2>/dev/null; done
	[ -z "${rabbit_ports:-}" ] || server_as bash "$work/test/lib/rabbitmq.sh" stop "$work/rabbit" $rabbit_ports
	for name in "${!pids[@]}"; do end "$name" KILL; done
}

free_ports() {		# N
	"$python" -c 'import socket, sys
s = [socket.socket() for _ in range(int(sys.argv[1]))]
[x.bind(("127.0.0.1", 0)) for x in s]
print(*[x.getsockname()[1] for x in s])' "$1"
}

answers() { (exec 9<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
quietly() { "$@" >>"$work/log/tools" 2>&1 || die "$1 failed: $(tail -n 3 "$work/log/tools")"; }
until_said() { until_true 120 grep -q "$2" "$work/log/$1" || die "$1 did not start: $(tail -n 5 "$work/log/$1")"; }

start_nginx() {
	spawn nginx nginx -p "$work" -e "$work/nginx.log" -c "$work/nginx.conf"
	until_true 30 answers "$nginx_port" || die "nginx did not start: $(cat "$work/log/nginx")"
}

start_worker() {	# NAME COMMAND ...
	local name=$1
	shift
	spawn "$name" env PGUSER=payroll_worker MISTRAL_LEASE=2 "$@"
}

chapter "The peers"
read -r nginx_port ssh_port rabbit_port dist_port epmd_port <<<"$(free_ports 5)"
rabbit_ports="$rabbit_port $dist_port $epmd_port"
[ -z "$SERVER_USER" ] || chown -R "$SERVER_USER" "$work"
spawn rabbit bash test/lib/rabbitmq.sh start "$work/rabbit" $rabbit_ports		# takes the longest

# Keys and certificates: for nginx an authority of our own, for each office a host key, for payroll one to log in with.
user=${SERVER_USER:-$(id -un)}
systems_password=$(openssl rand -hex 12)
hook_secret=$(openssl rand -hex 12)
openssl rand -hex 32 >"$work/secrets.key"
echo 'subjectAltName = IP:127.0.0.1' >"$work/names"
quietly openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=payroll' -keyout "$work/ca.key" -out "$work/ca.pem"
quietly openssl req -newkey rsa:2048 -nodes -subj '/CN=systems' -keyout "$work/tls.key" -out "$work/tls.csr"
quietly openssl x509 -req -in "$work/tls.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -CAcreateserial -days 2 \
	-extfile "$work/names" -out "$work/tls.pem"
echo "payroll:$(openssl passwd -apr1 "$systems_password")" >"$work/nginx.passwords"
quietly ssh-keygen -q -t ed25519 -N '' -f "$work/io/ssh/keys/payroll"
offices=
for n in 2 3 4 5 6 7 8 9; do
	quietly ssh-keygen -q -t ed25519 -N '' -f "$work/office$n.key"
	echo "[127.0.0.$n]:$ssh_port $(cut -d' ' -f1,2 "$work/office$n.key.pub")" >>"$work/io/ssh/known_hosts"
	printf '%s\n' "ListenAddress 127.0.0.$n:$ssh_port" "HostKey $work/office$n.key" "PidFile $work/office$n.pid" 'UsePAM no' \
		"AuthorizedKeysFile $work/io/ssh/keys/payroll.pub" 'StrictModes no' 'PasswordAuthentication no' \
		"SetEnv OFFICE=office-$n NOTICE=$work/notice.$n" >"$work/office$n.conf"
	offices+="${offices:+ }127.0.0.$n:$ssh_port"
done
chmod 600 "$work/secrets.key" "$work"/*.key "$work/io/ssh/keys/payroll"
[ -z "$SERVER_USER" ] || chown -R "$SERVER_USER" "$work"

for n in 2 3 4 5 6 7 8 9; do spawn "office$n" /usr/sbin/sshd -D -e -f "$work/office$n.conf"; done
spawn systems "$python" examples/systems.py "$work"
mkfifo "$work/mail.in"
[ -z "$SERVER_USER" ] || chown "$SERVER_USER" "$work/mail.in"
exec 8<>"$work/mail.in"
input=$work/mail.in spawn mail "$python" test/lib/smtp_server.py --output "$work/mails"
until_true 30 test -f "$work/addresses" || die "the systems did not start"
. "$work/addresses"
sed -e "s|DIR|$work|g; s|PORT|$nginx_port|g; s|BASE_SYSTEM|$BASE_SYSTEM|; s|BONUS_SYSTEM|$BONUS_SYSTEM|; s|POST_OFFICE|$POST_OFFICE|" \
	examples/salary/nginx.conf >"$work/nginx.conf"
start_nginx
until_true 30 test -s "$work/log/mail" || die "the SMTP server did not start"
for n in 2 3 4 5 6 7 8 9; do until_true 30 test -s "$work/office$n.pid" || die "sshd did not start: $(cat "$work/log/office$n")"; done
until_said rabbit 'completed with'
spawn bank "$python" examples/salary/bank.py "amqp://guest:guest@127.0.0.1:$rabbit_port/%2F" "$work/orders"
until_said bank ready
say "nginx           127.0.0.1:$nginx_port, TLS and a password; behind it the base salaries, the bonuses, the archive"
say "RabbitMQ        127.0.0.1:$rabbit_port, and a bank that listens there"
say "SMTP            127.0.0.1:$(cat "$work/log/mail")"
say "eight offices   127.0.0.2 to 127.0.0.9, port $ssh_port, an sshd each"

chapter "The database, and who is who: setup.sql, application.sql"
server_create demo "mistral.http_allow = '127.0.0.0/8'" "mistral.io_modules = 'mistral_amqp, mistral_ssh'" \
	"mistral.io_directory = '$work/io'" "mistral.secret_key_file = '$work/secrets.key'"
server_start demo
show_as_written -q <examples/salary/setup.sql
one -U payroll >/dev/null -f examples/salary/application.sql -v definition="$(cat examples/salary/payroll.yaml)" \
	-v systems="https://127.0.0.1:$nginx_port" -v ca="$(cat "$work/ca.pem")" -v broker="127.0.0.1:$rabbit_port/%2F" \
	-v mail="127.0.0.1:$(cat "$work/log/mail")" -v offices="$offices" -v office_user="$user" -v hook="$POST_OFFICE/hooks" \
	-v systems_password="$systems_password" -v rabbit_password=guest -v hook_secret="$hook_secret" ||
	wrong "application.sql does not run"
start_worker tax1 MISTRAL_TARGET=tax THINK=600 "$python" examples/salary/tax.py
start_worker slip MISTRAL_TARGET=slip node examples/salary/slip.js
say
say "From here on nobody is a superuser."

# ---- the month ------------------------------------------------------------------------------

as_payroll() { one -U payroll "$@"; }
salaries() {
	show -U payroll <<-'SQL'
		SELECT e.input ->> 'employee' AS employee, e.state, t.name AS task, t.state AS task_state, left(t.state_info, 60) AS why
		  FROM mistral.executions e
		  LEFT JOIN LATERAL (SELECT name, state, state_info FROM mistral.tasks WHERE execution_id = e.id ORDER BY ordinal DESC LIMIT 1) t ON true
		 WHERE e.workflow_name = 'payroll.salary' ORDER BY 1;
	SQL
}
holds() { [ "$(as_payroll -c "$1")" = t ]; }

chapter "The clock says: last month's salaries"
show -U payroll <<-'SQL'
	SELECT name, pattern, timezone, next_execution_time FROM mistral.cron_triggers;
	SELECT mistral.backfill_cron_trigger('salaries', date_trunc('month', now()) - interval '1 month', date_trunc('month', now()));
SQL
month=$(as_payroll -c "SELECT id FROM mistral.executions WHERE workflow_name = 'payroll.month'")
[ -n "$month" ] || wrong "the trigger has started nothing"

chapter "A worker is killed while it works: kill -9"
until_true 60 holds "SELECT leased > 0 FROM mistral.targets WHERE target = 'tax'" || { salaries; wrong "nobody computes taxes"; }
end tax1 KILL
say "It had bob's taxes; there is no bonus to ask the manager for. Another worker is started, and gets them when the lease is over."
start_worker tax2 MISTRAL_TARGET=tax "$python" examples/salary/tax.py
until_true 60 holds "SELECT count(*) = 1 FROM mistral.executions WHERE workflow_name = 'payroll.salary' AND state = 'SUCCESS'" ||
	{ salaries; wrong "bob was not paid"; }
until_true 60 holds "SELECT count(*) = 3 FROM mistral.tasks WHERE name = 'approve' AND state = 'RUNNING'" ||
	{ salaries; wrong "the manager was not asked three times"; }
sed 's/^/   the other worker says: /' "$work/log/tax2"
salaries

chapter "The database is killed: pg_ctl stop -m immediate"
server_stop demo immediate || wrong "the server did not stop"
server_start demo
say "And started again. Nothing is lost, and nothing is asked for twice:"
salaries

chapter "nginx goes away, and the manager answers"
end nginx
show -U manager <<-'SQL'
	SELECT question, asked_at, mistral.approve(id, 'well done') FROM mistral.approvals WHERE question::text NOT LIKE '%dora%' ORDER BY 1;
	SELECT question, asked_at, mistral.reject(id, 'not this month') FROM mistral.approvals WHERE question::text LIKE '%dora%';
SQL
until_true 60 holds "SELECT count(*) > 1 FROM mistral.action_executions a JOIN mistral.tasks t ON t.id = a.task_id
	WHERE t.name = 'archive' AND a.state = 'ERROR'" || { salaries; wrong "nobody missed nginx"; }
salaries
say "They are booked and the bank has them; the archive is behind nginx, and is tried again and again."
start_nginx
say "nginx is started again."
[ "$(as_payroll -c "SELECT mistral.wait_workflow('$month', '90 s')")" = SUCCESS ] || { salaries; wrong "the month did not end"; }

# ---- what has become of it ------------------------------------------------------------------

chapter "Everybody's month"
salaries
show -U payroll <<-SQL
	SELECT payment, employee, month, amount, taken_back_at IS NOT NULL AS taken_back, reason FROM payroll.ledger ORDER BY employee;
	SELECT e.input ->> 'employee' AS employee, a.answer ->> 'approved' AS approved, a.answer ->> 'by' AS by, a.answer ->> 'comment' AS comment
	  FROM mistral.action_executions a JOIN mistral.executions e ON e.id = a.execution_id WHERE a.answer IS NOT NULL ORDER BY 1;
	SELECT jsonb_pretty(output) AS month FROM mistral.executions WHERE id = '$month';
SQL
say "What the bank got:"
sed 's/^/   /' "$work/orders"
say "What is in the letters:"
"$python" -c 'import json, sys
for m in map(json.loads, sys.stdin): print("   %-20s %s" % (m["to"][0], m["headers"]["subject"]))' <"$work/mails"
say "What the archive got, and the webhooks:"
until_true 60 holds "SELECT NOT EXISTS (SELECT FROM mistral.webhooks)" || wrong "a webhook was not delivered"
grep POST "$work/requests.log" | cut -c1-120 | sed 's/^/   /'
say "The notices in the offices:"
sort "$work"/notice.* | uniq -c

if [ -n "$report" ]; then
	for f in orders mails requests.log access.log; do cp "$work/$f" "$report/"; done
	cp "$work"/notice.* "$report/"
	one <<-'SQL' >"$report/database.json"
		SELECT jsonb_build_object(
		  'ledger', (SELECT jsonb_agg(to_jsonb(l) ORDER BY payment) FROM payroll.ledger l),
		  'executions', (SELECT jsonb_agg(jsonb_build_object('workflow', workflow_name, 'state', state, 'state_info', state_info,
		      'input', input, 'output', output) ORDER BY created_at, id) FROM mistral.executions),
		  'actions', (SELECT jsonb_agg(jsonb_build_object('task', t.name, 'employee', e.input -> 'employee', 'state', a.state, 'answer', a.answer)
		      ORDER BY a.created_at, a.id)
		      FROM mistral.action_executions a JOIN mistral.tasks t ON t.id = a.task_id JOIN mistral.executions e ON e.id = a.execution_id),
		  'check', (SELECT jsonb_agg(to_jsonb(c)) FROM mistral.check() c));
	SQL
fi

paid=$(as_payroll -c "SELECT string_agg(concat_ws(' ', employee, trim_scale(amount), reason), ', ' ORDER BY employee) FROM payroll.ledger")
[ "$paid" = "alice 3640, bob 3120, carl 2576 the account is closed, dora 2880" ] || wrong "the ledger has: $paid"
[ "$(grep -c '"repeated": false' "$work/orders")" = 4 ] || wrong "the bank has not got four orders"
[ "$(wc -l <"$work/mails")" = 5 ] || wrong "there are not five letters"
[ "$(cat "$work"/notice.* | wc -l)" = 8 ] || wrong "there are not eight notices"

at_exit
pids=() rabbit_ports=
server_stop demo || wrong "the server did not stop"
chapter "The end"
say "A worker, the database and nginx were gone for a while, and everybody was paid once; what the bank refused was taken back."
say "Nothing is left running. It took $((SECONDS - started)) seconds. Read on: examples/salary/README.md"
