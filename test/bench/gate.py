#!/usr/bin/env python3
"""What no noise moves, as TAP: per task of ten in a row, 50 in flight, at most so much WAL, so many row versions
and commits, and updates that leave the indexes alone.  And the benchmark itself has to work, with tiny counts.

The server is the one of libpq's environment.  How fast it is does not matter here.
"""
import os
import subprocess
import sys

import db
import definitions
import drivers
import rows

FLIGHT = 50
WAVES = 8
TASKS = 10
LIMITS = (
    ("row versions a task", lambda c: c.rows_each, "<=", 3),
    ("commits a task", lambda c: c.commits_each, "<=", 0.05),
    ("bytes of WAL a task", lambda c: c.wal_each, "<=", 1500),
    ("share of updates that are HOT", lambda c: c.hot, ">=", 0.95),
)
WIDE = 3000                 # tasks of a workflow that has the engine to itself
WIDE_ROWS = 1.1             # row versions a task of it
WIDE_TRIES = 10             # on a busy machine its time may be over before it has ended
# Each of these lines has to come out of the benchmark, with a figure.
SMOKE = ("seq10, 50 in flight", "1 -> 50 -> join all", "with-items over 100", "one task, started by 8 clients",
         "one task, started in bulk", "latency, back to back", "a transaction open elsewhere", "none open: decay over time")

number = 0


def ok(good, what):
    global number
    number += 1
    print("%sok %d - %s" % ("" if good else "not ", number, what), flush=True)


def cost():
    bench = rows.Bench(1, False)
    with bench.database(definitions.chain("seq10", TASKS)) as d:
        drivers.lockstep(d.name, "seq10", '{"n": 7}', FLIGHT, waves=2)
        return bench.measure(d, lambda: drivers.lockstep(d.name, "seq10", '{"n": 7}', FLIGHT, waves=WAVES), TASKS)


def wide():
    """The fewest row versions a task of a fan needed: those that begin in a slice end in it."""
    bench = rows.Bench(1, False)
    fewest = None
    with bench.database(definitions.fan("wide", WIDE)) as d:
        for _ in range(WIDE_TRIES):
            each = bench.measure(d, lambda: drivers.lockstep(d.name, "wide", '{"n": 7}', 1), WIDE + 2).rows_each
            fewest = each if fewest is None else min(fewest, each)
            if fewest <= WIDE_ROWS:
                break
    return fewest


def main():
    print("1..%d" % (2 + len(LIMITS) + len(SMOKE)))
    c = cost()
    db.drop(rows.DATABASE)
    ok(c.n == FLIGHT * WAVES * TASKS and c.inserted >= c.n, "%d tasks, a row each: %d rows inserted, %d updated" % (
        c.n, c.inserted, c.updated))
    for what, figure, how, limit in LIMITS:
        value = figure(c)
        good = value is not None and (value <= limit if how == "<=" else value >= limit)
        ok(good, "%s: %s %s %s" % (what, "none" if value is None else "%.4g" % value, how, limit))
    each = wide()
    db.drop(rows.DATABASE)
    ok(each <= WIDE_ROWS, "row versions a task of a wide workflow: %.4g <= %s" % (each, WIDE_ROWS))
    here = os.path.dirname(os.path.abspath(__file__))
    out = subprocess.run([sys.executable, os.path.join(here, "bench.py"), "--seconds", "0.2"] + list(SMOKE),
                         capture_output=True, text=True)
    lines = out.stdout.splitlines()
    for name in SMOKE:
        mine = [line for line in lines if line.startswith(name + " ")]
        good = len(mine) == 1 and not any(w in mine[0] for w in ("failed", "not run", "not done"))
        ok(good, "bench.py measures: " + name)
    for line in lines + out.stderr.splitlines():
        print("# " + line)


if __name__ == "__main__":
    main()
