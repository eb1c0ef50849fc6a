#!/bin/bash
# The benchmark of expressions with tiny counts, as TAP: it has to work, its figures mean nothing here.
cd "$(dirname "$0")" || exit 1
echo 1..2
if out=$(SECONDS_EACH=0.0001 ROUNDS=2 EVERY=100 bash expressions.sh --here 2>&1); then
	echo "ok 1 - expressions.sh runs"
else
	echo "not ok 1 - expressions.sh runs"
fi
sed 's/^/# /' <<<"$out"
if [ "$(grep -cE '^(one text|array|[0-9]+ keys).*( +-?[0-9]+){3}' <<<"$out")" = 9 ]; then
	echo "ok 2 - nine sizes of contexts"
else
	echo "not ok 2 - nine sizes of contexts"
fi
