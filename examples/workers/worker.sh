#!/bin/bash
# A pull worker: performs the actions of a target with psql and nothing else.  README.md says how to run it.
#
# The connection is libpq's environment (PGHOST, PGDATABASE ...).  MISTRAL_TARGET (demo), MISTRAL_LEASE (seconds, 60)
# and MISTRAL_BATCH (how many to claim at once, 5) say what it takes.  On SIGTERM it finishes what it has, and ends.
#
# It heartbeats between two actions, so one action must take less than a lease.  A heartbeat in the background would
# go on after a kill -9, and keep what nobody works at.
set -u
target=${MISTRAL_TARGET:-demo} lease=${MISTRAL_LEASE:-60} batch=${MISTRAL_BATCH:-5}
worker="psql:$HOSTNAME:$$"
export PGAPPNAME=$worker
stopping=
trap 'stopping=1' TERM

# The rows of one statement, a transaction by itself; values go in as :'name', never as text.  Each of ours may be said
# twice, so one whose connection broke is said again; leases of a claim whose answer was lost run out.
sql() {				# STATEMENT [NAME=VALUE ...]
	local statement=$1 value values=() rc
	shift
	for value; do values+=(-v "$value"); done
	while :; do
		psql -XAtq -F ' ' -v ON_ERROR_STOP=1 -v VERBOSITY=sqlstate -v worker="$worker" -v lease="$lease seconds" \
			${values[@]+"${values[@]}"} <<<"$statement"
		rc=$?
		[ $rc = 2 ] && [ -z "$stopping" ] || return $rc
		sleep 1
	done
}

# The work itself: prints the result as JSON.  KEY is the action execution's id, the same for every attempt: what must
# not happen twice takes it along, as an Idempotency-Key or as a primary key, and finds out that it has happened already.
perform() {			# ACTION INPUT KEY
	local seconds
	[ "$1" = square ] || { echo "no such action: $1" >&2; return 1; }
	seconds=$(sql "SELECT coalesce((:'input'::jsonb ->> 'seconds')::float, 0)" input="$2") || return 1
	sleep "$seconds"
	sql "SELECT jsonb_build_object('square', (:'input'::jsonb ->> 'n')::int ^ 2, 'worker', :'worker')" input="$2"
}

# The token fences: whoever has lost the lease is refused, and does not disturb who has it now.
report() {			# FUNCTION KEY VALUE ATTEMPT TOKEN
	local said
	if said=$(sql "SELECT mistral.$1(:'key', :'value', token => :'token')" key="$2" value="$3" token="$5" 2>&1); then
		echo "$1 $2 attempt $4"
		return
	fi
	echo "refused $2 attempt $4: ${said##* }"
	case $1,${said##* } in
		complete_action,MS021 | complete_action,MS022 | complete_action,MS024 | complete_action,MS025) ;;	# ended otherwise, gone, or somebody else's
		complete_action,*) report fail_action "$2" "\"the result was refused: ${said##* }\"" "$4" "$5" ;;
	esac
}

while [ -z "$stopping" ]; do
	# jsonb as text is one line, whatever is in it; it comes last because it may have spaces.
	claimed=$(sql "SELECT action_execution_id, attempt, token, action, input
		FROM mistral.claim_actions(:'target', :'worker', :batch, :'lease')" target="$target" batch="$batch")
	[ -n "$claimed" ] || { sleep 1; continue; }
	ids=$(cut -d ' ' -f 1 <<<"$claimed" | paste -sd ,)
	while read -r key attempt token action input; do
		# All that are left are prolonged; whether this one is still ours is what counts here.
		ours=$(sql "SELECT count(*) FILTER (WHERE id = :'key'::uuid) FROM unnest(:'ids'::uuid[]) AS id
			WHERE mistral.heartbeat_actions(ARRAY[id], :'lease', :'worker') = 1" key="$key" ids="{$ids}")
		[ "$ours" != 1 ] || {
			if result=$(perform "$action" "$input" "$key" </dev/null); then
				report complete_action "$key" "$result" "$attempt" "$token"
			else
				report fail_action "$key" '"could not be performed"' "$attempt" "$token"
			fi
		}
		ids=${ids#"$key"}
		ids=${ids#,}
	done <<<"$claimed"
done
