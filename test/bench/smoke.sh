#!/bin/bash
# The benchmark with tiny counts, as TAP: it has to work, its figures mean nothing here.
cd "$(dirname "$0")" || exit 1
echo 1..2
if out=$(SECONDS_EACH=1 IN_FLIGHT=5 bash seq10.sh --here 2>&1); then echo "ok 1 - seq10.sh runs"; else echo "not ok 1 - seq10.sh runs"; fi
sed 's/^/# /' <<<"$out"
if [ "$(grep -cE '^(naive|set-wise|seq10|one task).* [1-9][0-9]* +[0-9.]+ ' <<<"$out")" = 4 ]; then
	echo "ok 2 - four lines of figures"
else
	echo "not ok 2 - four lines of figures"
fi
