"""The rows of scale.sh: generators, and what is measured of each."""
import os
import random
import sys
import time

import psycopg2

HEAD = "version: '2.0'\n"
SMALL = 10 if os.environ.get("SCALE_SMALL") else 1
PAGE = os.sysconf("SC_CLK_TCK")


# ---------------------------------------------------------------- workflows

def chain(n, variable="v"):
    """n tasks in a row, each with an expression and a published variable; %d in its name: a new one each."""
    lines = [HEAD + "w:", "  input: [{n: 1}, {big: null}]", "  tasks:"]
    for i in range(1, n + 1):
        name = variable % i if "%" in variable else variable
        lines += ["    t%d:" % i, "      action: std.echo output=<%% $.n + %d %%>" % i, "      publish: {%s: <%% task().result %%>}" % name]
        if i < n:
            lines.append("      on-success: t%d" % (i + 1))
    return "\n".join(lines) + "\n"


def fan(n, join="all", clause="on-success", action="std.noop"):
    """One task, n after it, and a join of them."""
    lines = [HEAD + "w:", "  input: [{n: 1}, {big: null}]", "  tasks:", "    first:", "      on-success:"]
    lines += ["        - b%d" % i for i in range(1, n + 1)]
    for i in range(1, n + 1):
        lines += ["    b%d: {action: %s, %s: last}" % (i, action, clause)]
    lines += ["    last: {join: %s}" % join]
    return "\n".join(lines) + "\n"


def dag(n, seed=1):
    """Random edges from earlier tasks to later ones; who has several in-edges joins them."""
    r = random.Random(seed)
    edges = {i: set() for i in range(n)}
    inbound = [0] * n
    for i in range(1, n):
        for j in {r.randrange(max(0, i - 50), i) for _ in range(r.choice((1, 1, 2, 3)))}:
            edges[j].add(i)
            inbound[i] += 1
    lines = [HEAD + "w:", "  tasks:"]
    for i in range(n):
        lines.append("    t%d:" % i)
        lines.append("      publish: {v%d: <%% %d %%>}" % (i % 20, i))
        if inbound[i] > 1:
            lines.append("      join: all")
        if edges[i]:
            lines.append("      on-success: [%s]" % ", ".join("t%d" % j for j in sorted(edges[i])))
    return "\n".join(lines) + "\n"


LOOP = HEAD + """w:
  input: [n, {big: null}]
  vars: {i: 0}
  tasks:
    first: {action: std.noop, on-success: again}
    again:
      action: std.echo output=<% $.i + 1 %>
      publish: {i: <% task().result %>}
      on-success:
        - again: <% $.i < $.n %>
"""


def items(action, concurrency):
    return HEAD + """w:
  input: [n]
  output: {count: <%% len(task(t1).result) %%>}
  tasks:
    t1:
      with-items: i in <%% range($.n) %%>
      action: %s
      %s
""" % (action, "concurrency: %d" % concurrency if concurrency else "keep-result: true")


SUBS = HEAD + """w:
  input: [n]
  tasks:
    t1: {with-items: i in <% range($.n) %>, workflow: sub, %s}
"""
SUB = HEAD + "sub: {tasks: {a: {action: std.noop}}}\n"
DEEP = HEAD + """w:
  input: [n]
  tasks:
    t1: {action: std.noop, on-success: [{deeper: <% $.n > 1 %>}]}
    deeper: {workflow: w n=<% $.n - 1 %>}
"""


# ---------------------------------------------------------------- measuring

class Engine:
    """A new database and its engine's process."""

    def __init__(self):
        self.service = connect("postgres")
        run(self.service, "SET client_min_messages = warning", "DROP DATABASE IF EXISTS scale WITH (FORCE)", "CREATE DATABASE scale")
        self.con = connect("scale")
        run(self.con, "CREATE EXTENSION mistral")
        until(lambda: self.pid() is not None, 30)

    def pid(self):
        found = rows(self.con, "SELECT pid FROM pg_stat_activity WHERE datname = 'scale' AND backend_type LIKE 'mistral engine%'")
        return found[0][0] if found else None

    def peak(self):
        with open("/proc/%d/status" % self.pid()) as f:
            return [int(line.split()[1]) for line in f if line.startswith("VmHWM")][0] / 1024

    def cpu(self):
        with open("/proc/%d/stat" % self.pid()) as f:
            parts = f.read().rsplit(") ", 1)[1].split()
        return (int(parts[11]) + int(parts[12])) / PAGE

    def close(self):
        self.con.close()
        run(self.service, "DROP DATABASE scale WITH (FORCE)")
        self.service.close()


def connect(name):
    con = psycopg2.connect(dbname=name)
    con.autocommit = True
    return con


def rows(con, query, *args):
    with con.cursor() as c:
        c.execute(query, args or None)
        return c.fetchall() if c.description else []


def run(con, *queries):
    for q in queries:
        rows(con, q)


def until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError("not within %d s" % seconds)
        time.sleep(0.05)


ALIVE = "SELECT count(*) FROM mistral.action_execution WHERE finished_at IS NULL"


def complete_all(con):
    """Completes what waits for somebody, a hundred at a time, as workers would; returns the most that waited."""
    most = 0
    while True:
        found = rows(con, "SELECT id FROM mistral.action_execution WHERE finished_at IS NULL AND id NOT IN "
                     "(SELECT target_id FROM mistral.message WHERE target_id IS NOT NULL) LIMIT 1000")
        if not found:
            return most
        most = max(most, len(found))
        rows(con, "SELECT mistral.complete_action(id, '1') FROM unnest(%s::uuid[]) id", [f[0] for f in found])


def measure(texts, data, tasks, repeat=1, warm=False, look=False, external=False, seconds=600):
    """Loads the texts, runs `w` `repeat` times one after the other, and returns what it took."""
    e = Engine()
    try:
        start = time.monotonic()
        for text in texts:
            rows(e.con, "SELECT mistral.load_workflow(%s)", text)
        load = time.monotonic() - start
        # Once, so that the definition is compiled.
        if warm:
            one(e, data, False, external, seconds)
        wal = rows(e.con, "SELECT pg_current_wal_lsn()")[0][0]
        cpu = e.cpu()
        start = time.monotonic()
        alive = 0
        for _ in range(repeat):
            alive = max(alive, one(e, data, look, external, seconds))
        elapsed = time.monotonic() - start
        written = rows(e.con, "SELECT pg_current_wal_lsn() - %s::pg_lsn", wal)[0][0]
        n = tasks * repeat
        return {"load": load, "us": elapsed / n * 1e6, "cpu": (e.cpu() - cpu) / n * 1e6, "wal": float(written) / n,
                "peak": e.peak(), "alive": alive}
    finally:
        e.close()


def one(e, data, look, external, seconds):
    id = rows(e.con, "SELECT mistral.start_workflow('w', %s::jsonb)", data)[0][0]
    end = time.monotonic() + seconds
    alive = 0
    while True:
        state = rows(e.con, "SELECT mistral.wait_workflow(%s, %s)", id, "0.2 s" if look or external else "%d s" % seconds)[0][0]
        if state in ("SUCCESS", "ERROR", "CANCELLED"):
            break
        if look:
            alive = max(alive, rows(e.con, ALIVE)[0][0])
        if external:
            alive = max(alive, complete_all(e.con))
        if time.monotonic() > end:
            raise RuntimeError("%s after %d s" % (state, seconds))
    if state != "SUCCESS":
        raise RuntimeError("%s: %s" % (state, rows(e.con, "SELECT left(state_info, 300) FROM mistral.executions WHERE id = %s", id)))
    return alive


def sizes(*all):
    return [max(10, n // SMALL) if n > 100 else n for n in all]


def kinds():
    for name, make in (("chain", chain), ("variables", lambda n: chain(n, "v%d")), ("fan-join", fan), ("random-dag", dag),
                       ("fan-join-one", lambda n: fan(n, "one")), ("fan-join-error", lambda n: fan(n, "all", "on-error", "std.fail"))):
        for n in sizes(10, 1000, 10000, 50000) if name in ("chain", "fan-join", "random-dag") else sizes(10, 1000, 10000):
            yield name, n, dict(texts=[make(n)], data="{}", tasks=n, repeat=max(1, 5000 // n), warm=True)
    for n in sizes(10, 1000, 10000, 100000):
        yield "loop", n, dict(texts=[LOOP], data='{"n": %d}' % n, tasks=n, repeat=max(1, 5000 // n), warm=True)
    for size in (1, 100, 1000):
        yield "context-kb", size, dict(texts=[chain(1000)], data='{"big": "%s"}' % ("x%d" % size * (size * 512))[:size * 1024], tasks=1000, repeat=3)
    for n in sizes(1000, 100000, 1000000):
        yield "items-100", n, dict(texts=[items("std.echo output=<% $.i %>", 100)], data='{"n": %d}' % n, tasks=n, look=True)
    for n in sizes(1000, 100000, 1000000):
        yield "items-all", n, dict(texts=[items("std.echo output=<% $.i %>", 0)], data='{"n": %d}' % n, tasks=n, look=True)
    for n in sizes(1000, 20000):
        yield "items-async", n, dict(texts=[items("std.async_noop", 100)], data='{"n": %d}' % n, tasks=n, external=True)
    for n in sizes(100, 10000):
        yield "subs", n, dict(texts=[SUB, SUBS.replace(", %s", "")], data='{"n": %d}' % n, tasks=n)
    for n in sizes(100, 10000):
        yield "subs-10", n, dict(texts=[SUB, SUBS.replace("%s", "concurrency: 10")], data='{"n": %d}' % n, tasks=n)
    for n in sizes(100, 1000):
        yield "deep", n, dict(texts=[DEEP], data='{"n": %d}' % n, tasks=n)


def main():
    print("%-15s %8s %9s %9s %9s %8s %7s %8s %6s" % ("shape", "size", "load s", "us/task", "cpu us", "WAL B", "peak MB", "alive", "ratio"))
    first = {}
    for name, n, what in kinds():
        if sys.argv[1:] and not any(name.startswith(a) for a in sys.argv[1:]):
            continue
        try:
            m = measure(**what)
        except RuntimeError as problem:
            print("%-15s %8d %s" % (name, n, problem), flush=True)
            continue
        base = first.setdefault(name, m)
        print("%-15s %8d %9.3f %9.1f %9.1f %8.0f %7.0f %8d %6.2f" % (name, n, m["load"], m["us"], m["cpu"], m["wal"], m["peak"],
                                                                     m["alive"], m["cpu"] / base["cpu"] if base["cpu"] else 0), flush=True)


main()
