# What the demonstrations have in common: chapters, and statements shown before their results.  Sourced.

if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; else bold= dim= plain=; fi
chapter() { printf '\n%s== %s%s\n\n' "$bold" "$*" "$plain"; }
say() { printf '%s\n' "$*"; }
wrong() { printf '\nThis is not what the demo promises: %s\n' "$*" >&2; exit 1; }

# The statements of standard input, each shown before its result.
show() { psql -X -e -P pager=off -P null='' -v ON_ERROR_STOP=1 "$@" || wrong "psql refused that"; }
show_as_written() { psql -X -a -P pager=off -v ON_ERROR_STOP=1 "$@" || wrong "psql refused that"; }
one() { psql -X -q -At -v ON_ERROR_STOP=1 "$@"; }
