#!/usr/bin/env python3
"""Holds the shared conformance scores to a floor, as TAP.

    floor.py [REPORT.json]             one line a group: at least as many cases agree as floor.txt says
    floor.py --update [REPORT.json]    writes the report's scores into floor.txt, never below what is there

The shared runner looks at an execution when nothing has changed for 1.3 seconds, so that a machine that stands
still for as long cuts a case short: the floor of the groups that run workflows is MARGIN cases below their score.

REPORT.json is what the shared runner's --report wrote (default: $CONFORMANCE_REPORT).
"""
import collections
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
MARGIN = 3
FLOOR = os.path.join(HERE, "floor.txt")


def read_floor():
    floor = {}
    if os.path.exists(FLOOR):
        for line in open(FLOOR, encoding="utf-8"):
            if line.strip() and not line.startswith("#"):
                group, n = line.rsplit(None, 1)
                floor[group] = int(n)
    return floor


def main():
    args = [a for a in sys.argv[1:] if not a.startswith("--")]
    path = args[0] if args else os.environ["CONFORMANCE_REPORT"]
    good, total = collections.Counter(), collections.Counter()
    if os.path.exists(path):
        for c in json.load(open(path, encoding="utf-8")):
            total[c["group"]] += 1
            good[c["group"]] += c["ok"]
    floor = read_floor()
    groups = sorted(set(floor) | set(total))
    if "--update" in sys.argv:
        with open(FLOOR, "w", encoding="utf-8") as f:
            f.write("# Cases of the shared conformance set that agree, at least, by group. Raised with floor.py --update.\n")
            for g in groups:
                score = good[g] - MARGIN if g.startswith("engine") else good[g]
                f.write("%-32s %d\n" % (g, max(score, floor.get(g, 0))))
        return 0
    print("1..%d" % len(groups) if groups else "1..0 # SKIP no scores")
    bad = 0
    for i, g in enumerate(groups, 1):
        ok = good[g] >= floor.get(g, 0)
        bad += not ok
        print("%s %d - %s: %d of %d, floor %d" % ("ok" if ok else "not ok", i, g, good[g], total[g], floor.get(g, 0)))
    return bad > 0


sys.exit(main())
