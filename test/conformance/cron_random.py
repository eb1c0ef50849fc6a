#!/usr/bin/env python3
"""Compares cron patterns with python3-croniter, which the original uses, and prints TAP.

    cron_random.py [N] [SEED]       N random patterns and times (default 10000)

Needs a server with the extension in a database of its own (libpq's environment) and python3-croniter; without the
latter it says so and skips.  What is left out is where croniter 1.3 is known to err (docs/cron.md): a day of the month
together with a numbered day of the week, or one that its months do not have together with a day of the week; days above
the 28th beside others (it passes over the first days of March); and, in patterns with seconds, steps of weekdays (they
reach 7, which is no Sunday there).
"""
import datetime
import random
import sys

import psycopg2

DB = "mistral_cron"
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
DAYS = "sun mon tue wed thu fri sat".split()


def field(rnd, low, high, names=None, star=0.4, steps=True):
    def value():
        v = rnd.randint(low, high)
        return names[v - low] if names and v - low < len(names) and rnd.random() < 0.3 else str(v)

    def item():
        kind = rnd.random()
        if kind < 0.5:
            return value()
        a, b = sorted((rnd.randint(low, high), rnd.randint(low, high)))
        step = "/%d" % rnd.randint(1, high) if steps and rnd.random() < 0.5 else ""
        if kind < 0.8 or not steps:
            return "%d-%d%s" % (a, b, step)
        return "%s%s" % (rnd.choice(["*", str(a)]), step or "/2")
    if rnd.random() < star:
        return "*"
    return ",".join(item() for _ in range(1 if rnd.random() < 0.6 else rnd.randint(2, 4)))


def pattern(rnd):
    if rnd.random() < 0.03:
        return rnd.choice("@midnight @hourly @daily @weekly @monthly @yearly @annually".split())
    seconds = rnd.random() < 0.2
    day = field(rnd, 1, 28, steps=False) if rnd.random() < 0.9 else str(rnd.randint(29, 31))
    weekday = field(rnd, 1 if seconds else 0, 6 if seconds else 7, DAYS[1:] if seconds else DAYS, 0.4, not seconds)
    extra = rnd.random()
    if extra < 0.05:
        day = rnd.choice(["l", "L", "15,l"])
    elif extra < 0.12:
        day = "*"
        weekday = rnd.choice(["%d#%d" % (rnd.randint(0, 6), rnd.randint(1, 5)), "L%d" % rnd.randint(0, 6),
                              "fri#%d" % rnd.randint(1, 4), "1#1,3#2"])
    elif extra < 0.18:
        weekday = rnd.choice(["mon-fri", "mon-sun", "sun-tue", "fri"]) if not seconds else "mon-fri"
    text = " ".join([field(rnd, 0, 59), field(rnd, 0, 23), day, field(rnd, 1, 12, MONTHS, 0.6), weekday])
    return text + (" " + field(rnd, 0, 59) if seconds else "")


def ours(db, text, start):
    with db.cursor() as c:
        try:
            c.execute("SELECT slot AT TIME ZONE 'UTC' FROM mistral.next_runs(%s, 'UTC', 3, %s::timestamptz) AS slot",
                      (text, start.isoformat() + "Z"))
            return [r[0] for r in c.fetchall()]
        except psycopg2.Error as e:
            return "error" if e.pgcode == "22023" else e.pgcode


def theirs(croniter, text, start):
    try:
        it = croniter.croniter(text, start, ret_type=datetime.datetime)
    except (ValueError, KeyError):
        return "error"
    found = []
    try:
        for _ in range(3):
            found.append(it.get_next())
    except croniter.CroniterBadDateError:
        pass
    return found


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 10000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    try:
        import croniter
    except ImportError:
        print("1..0 # SKIP python3-croniter is not there")
        return 0
    admin = psycopg2.connect(dbname="postgres")
    admin.autocommit = True
    with admin.cursor() as c:
        c.execute("DROP DATABASE IF EXISTS %s WITH (FORCE)" % DB)
        c.execute("CREATE DATABASE %s" % DB)
    db = psycopg2.connect(dbname=DB)
    db.autocommit = True
    with db.cursor() as c:
        c.execute("CREATE EXTENSION mistral")
    rnd = random.Random(seed)
    wrong = []
    for _ in range(n):
        text = pattern(rnd)
        start = datetime.datetime(2000, 1, 1) + datetime.timedelta(seconds=rnd.randint(0, 40 * 365 * 86400))
        a, b = ours(db, text, start), theirs(croniter, text, start)
        if b == [] and isinstance(a, list) and "*" not in (text.split() + ["*"] * 5)[2:5:2]:
            continue
        if a != b:
            wrong.append("%s from %s: %s, croniter %s" % (text, start, a, b))
    db.close()
    with admin.cursor() as c:
        c.execute("DROP DATABASE IF EXISTS %s WITH (FORCE)" % DB)
    print("1..1")
    print("%s 1 - %d random patterns agree with croniter" % ("not ok" if wrong else "ok", n))
    for line in wrong[:20]:
        print("#   " + line)
    return 1 if wrong else 0


sys.exit(main())
