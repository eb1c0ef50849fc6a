#!/bin/bash
# Fuzzes the parsers and evaluators with libFuzzer, inside a private single-user PostgreSQL (harness.c).
#
#   run.sh [TARGET ...]         yaql jinja yaml, one after the other
#
#   FUZZ_SECONDS=60             time for each target, after the seeds
#   PG_CONFIG                   which PostgreSQL
#
# Prints a line for each target. The exit status is not 0 after a crash, a sanitizer's report, a leak, an input
# that takes too long or too much memory; the input is kept in test/fuzz/build/found, the corpus in
# test/fuzz/build/corpus, from where the next run goes on, and libFuzzer's output in test/fuzz/build/log.
# Replay: run.sh TARGET with the input copied to test/fuzz/seeds/TARGET, where it stays once it is repaired.
set -u
cd "$(dirname "$0")/../.." || exit 1
seconds=${FUZZ_SECONDS:-60}
targets=${*:-yaql jinja yaml}

bash test/lib/deps.sh fuzz || exit 1
. test/lib/server.sh
server_prepare
make -s -C test/fuzz -j2 PG_CONFIG="$PG_CONFIG_PRIVATE" || die "the fuzz targets do not build"
server_create fuzz "fsync = off"
work=$SERVER_DIR/work
out=test/fuzz/build
asan=$(clang -print-file-name="libclang_rt.asan-$(uname -m).so")
[ -f "$asan" ] || asan=$(clang -print-file-name=libclang_rt.asan.so)
mkdir -p "$work" $out/log $out/found
cp $out/*.so "$work/"

# What a target has found stays, however the run ends.
at_exit() {
	local t pid
	# A single-user server writes its number with a sign.
	read -r pid 2>/dev/null <"$SERVER_DIR/fuzz/postmaster.pid" && kill "${pid#-}" 2>/dev/null
	for t in $targets; do
		[ ! -d "$work/$t/corpus" ] || { mkdir -p "$out/corpus/$t"; cp -r "$work/$t/corpus/." "$out/corpus/$t/"; }
		[ ! -d "$work/$t/found" ] || cp -r "$work/$t/found/." "$out/found/"
	done
}

# One SQL statement to a single-user server; libFuzzer ends the process.
fuzz() {			# TARGET SEEDS
	local dir=$work/$1 arguments length=1000
	[ "$1" != yaml ] || length=4000
	arguments="$dir/corpus,$dir/seeds,-dict=$dir/dict,-artifact_prefix=$dir/found/$1-,-max_total_time=$seconds"
	arguments+=",-max_len=$length,-timeout=2,-rss_limit_mb=2000,-malloc_limit_mb=100,-detect_leaks=0,-reload=0,-len_control=20"
	arguments+=",-print_final_stats=1"
	printf '%s\n' \
		"CREATE OR REPLACE FUNCTION pg_temp.fuzz(text, jsonb, text[]) RETURNS int LANGUAGE c AS '$work/mistral_fuzz', 'mistral_fuzz'" \
		"SELECT pg_temp.fuzz('$1', '$(tr '\n' ' ' <test/fuzz/context.json | sed "s/'/''/g")', string_to_array('$arguments', ','))" |
		server_as timeout -k 10 $((seconds + 120)) nice -n 5 env LD_PRELOAD="$asan:$work/awake.so" \
			ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:detect_stack_use_after_return=0:handle_segv=1 \
			UBSAN_OPTIONS=print_stacktrace=1 \
			"$SERVER_BIN/postgres" --single -D "$SERVER_DIR/fuzz" -c shared_preload_libraries= -c log_min_messages=panic \
			-c mistral.expression_timeout=100 -c mistral.expression_memory=16MB postgres
}

status=0
for t in $targets; do
	mkdir -p "$work/$t/corpus" "$work/$t/found" "$work/$t/seeds"
	[ ! -d "$out/corpus/$t" ] || cp -r "$out/corpus/$t/." "$work/$t/corpus/"
	seeds=$("$(server_python)" test/fuzz/seeds.py "$t" "$work/$t/seeds" "$work/$t/dict") || die "no seeds for $t"
	[ -z "$SERVER_USER" ] || chown -R "$SERVER_USER" "$work"
	fuzz "$t" >$out/log/"$t" 2>&1
	rc=$?
	grep -aE '^#[0-9]+[[:space:]]' $out/log/"$t" | tail -n 1 | sed -E 's/^#([0-9]+)[[:space:]]+([A-Z]+).* cov: ([0-9]+) ft: ([0-9]+) corp: ([^ ]+).*/\1 \3 \4 \5/' |
		{ read -r n edges features corpus
		  printf '%-6s %s seeds, %s executions in %s s, %s edges, %s features, corpus %s: ' "$t" "$seeds" "$n" "$seconds" "$edges" "$features" "$corpus"; }
	if [ $rc = 0 ] && grep -aq '^stat::number_of_executed_units' $out/log/"$t"; then
		echo "nothing found"
	else
		status=1
		echo "FAILED (exit status $rc)"
		grep -aE '^====|SUMMARY|ERROR|runtime error|libFuzzer: ' $out/log/"$t" | head -n 5
		grep -aA 25 -E '==ERROR|^==== ' $out/log/"$t" | grep -aE '^ *#[0-9]' | head -n 15
		find "$work/$t/found" -type f | sed "s|.*/|kept: $out/found/|"
	fi
done
exit $status
