#!/bin/bash
# Each target with its seeds and a few seconds more, as TAP. FUZZ_SECONDS=10
cd "$(dirname "$0")" || exit 1
echo 1..3
n=0
for t in yaql jinja yaml; do
	n=$((n + 1))
	if out=$(FUZZ_SECONDS=${FUZZ_SECONDS:-10} bash run.sh $t 2>&1); then echo "ok $n - $t"; else echo "not ok $n - $t"; fi
	sed 's/^/# /' <<<"$out"
done
