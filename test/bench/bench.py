#!/usr/bin/env python3
"""Measures the engine beside PostgreSQL's own tables, and prints one table.

    bench.py [--quick | --full] [--seconds S] [--list] [WORD ...]

The server is the one of libpq's environment, on this machine, with the extension installed and preloaded
(run.sh starts a private one).  With words only the rows that contain one of them are run.

    --quick     the shapes that take a moment, two minutes in all
    --full      the rows that take time in their full length (hours)
    --seconds   length of each measurement

Every row runs in a new database between two measurements of the baseline.  A row that cannot be run says so.
"""
import argparse
import os
import sys
import time
import traceback

import baseline
import db
import drivers
import growth
import outside
import rows
import shapes

SHOWN = ("fsync", "synchronous_commit", "shared_buffers", "max_wal_size")
FORMAT = "%-44s %-52s %6s %6s %7s %6s %7s %5s  %-24s %s"
HEADING = FORMAT % ("", "figure", "of 2b", "of 2i", "WAL B", "rows", "commits", "HOT", "target", "met")


def load():
    with open("/proc/loadavg") as f:
        return f.read().split()[0]


def say(line=""):
    print(line.rstrip(), flush=True)


def verdict(outcome, before, after):
    """A machine that is slower than the targets' own can meet one as a share of what its tables can do."""
    if outcome.met is None:
        return "not run"
    if outcome.met:
        return "met"
    if outcome.target and outcome.cost.per_core_second / ((before[0] + after[0]) / 2) >= outcome.target / baseline.OF_TARGETS:
        return "met as a ratio"
    return "NOT MET"


def line_of(name, target, outcome, before, after):
    cost = outcome.cost
    cells = [""] * 6
    if cost is not None:
        two_b, two_i = [(b + a) / 2 for b, a in zip(before, after)]
        cells = ["%.2f" % (cost.per_core_second / two_b), "%.2f" % (cost.per_core_second / two_i),
                 "%.0f" % cost.wal_each, "%.2f" % cost.rows_each, "%.4f" % cost.commits_each,
                 "" if cost.hot is None else "%.2f" % cost.hot]
    return FORMAT % ((name, outcome.figure) + tuple(cells) + (target, verdict(outcome, before, after))) + \
        ("  (" + outcome.note + ")" if outcome.note else "")


def attempt(row, bench):
    """The outcomes of its lines, whatever happens."""
    try:
        found = row.run(bench)
        return found if isinstance(found, list) else [found]
    except rows.NotRun as e:
        outcome = rows.Outcome("not run: %s" % e, None)
    except drivers.Late as e:
        outcome = rows.Outcome("not done: %s" % e, False)
    except Exception as e:
        if os.environ.get("BENCH_TRACE"):
            traceback.print_exc()
        outcome = rows.Outcome("failed: %s" % (str(e).strip() or repr(e)).splitlines()[0][:160], False)
    return [outcome] * len(row.lines)


def main():
    a = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    a.add_argument("--quick", action="store_true")
    a.add_argument("--full", action="store_true")
    a.add_argument("--seconds", type=float)
    a.add_argument("--list", action="store_true")
    a.add_argument("words", nargs="*")
    o = a.parse_intermixed_args()
    chosen = [r for r in shapes.ROWS + outside.ROWS + growth.ROWS
              if (r.quick or not o.quick) and (not o.words or any(w in name for name, _ in r.lines for w in o.words))]
    if o.list:
        for r in chosen:
            for line in r.lines:
                say("%-44s %s" % line)
        return 0
    seconds = o.seconds or (2 if o.quick else 10)
    begun = time.monotonic()
    base = baseline.Baseline(min(seconds / 4, 2))
    bench = rows.Bench(seconds, o.full, base)
    say("PostgreSQL %s, %d cores, load %s, %s; %g s a row" % (
        base.db.value("SHOW server_version").split()[0], os.cpu_count(), load(),
        ", ".join("%s %s" % (s, base.db.value("SHOW " + s)) for s in SHOWN), seconds))
    before = base.measure()
    say("Baseline: %s tasks per core-second inserted and updated (2b), %s inserted (2i), 1000 a transaction." % (
        format(round(before[0]), ","), format(round(before[1]), ",")))
    say()
    say(HEADING)
    lines = met = 0
    for row in chosen:
        bench.before = before
        outcomes = attempt(row, bench)
        db.drop(rows.DATABASE)
        if bench.restarted:
            base.connect()
            bench.restarted = False
        after = base.measure()
        for (name, target), outcome in zip(row.lines, outcomes):
            say(line_of(name, target, outcome, before, after))
            lines += 1
            met += outcome.met is True
        before = after
    say()
    say("%d of %d rows met; baseline at the end %s (2b), %s (2i); load %s; %d s" % (
        met, lines, format(round(before[0]), ","), format(round(before[1]), ","), load(), time.monotonic() - begun))
    say("WAL, rows (versions inserted and updated) and commits are per task (workflow, item, action); "
        "of 2b, of 2i: of the mean of the baseline before and after.")
    say("met as a ratio: it would be met where 2b is %s, as on the machine of the targets." % format(baseline.OF_TARGETS, ","))
    base.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
