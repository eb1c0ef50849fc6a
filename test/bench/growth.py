"""What grows, and what a task costs then: each row measures a small and a large case side by side."""
import statistics
import threading
import time

import definitions
import drivers
from db import Db
from meter import memory, process_cpu, server_cpu
from rows import DATABASE, Group, NotRun, Outcome, Row, worker_pids

DATA = '{"n": 7}'
WAITING = 1000000           # executions that wait
LARGE = 10000               # tasks in a workflow, definitions in a database
QUIET_SECONDS = 120         # autovacuum may take so long to have done with what a row has made


def times(ratio, allowed, cost=None, note=""):
    return Outcome("%.2f times" % ratio, ratio <= allowed, cost, note)


def micro(cost):
    return "%.1f us" % (cost.cpu_each * 1e6)


def around(small, large):
    """small() and large() give costs; the ratio of what one task costs, the small case before and after the large."""
    first = small()
    big = large()
    last = small()
    return big.cpu_each / ((first.cpu_each + last.cpu_each) / 2), big, "%s, then %s, then %s a task" % (
        micro(first), micro(big), micro(last))


def quiet(d):
    """Waits until autovacuum has nothing more to do."""
    calm = time.monotonic()
    end = time.monotonic() + QUIET_SECONDS
    while time.monotonic() < end and time.monotonic() - calm < 5:
        if d.value("SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'"):
            calm = time.monotonic()
        time.sleep(0.25)


# ---------------------------------------------------------------- executions that wait

def waiting(bench):
    """A million executions whose one action somebody has to complete, started and left alone."""
    seconds = bench.seconds / 2
    with bench.database(definitions.chain("seq10", 10), definitions.waiting("wait")) as d:
        def load():
            return bench.measure(d, lambda: drivers.lockstep(d.name, "seq10", DATA, 50, seconds), 10)

        load()
        # A checkpoint writes what was made before on nobody's account.
        d.run("CHECKPOINT")
        before = load()
        begun = time.monotonic()
        with Db(d.name) as s:
            made = 0
            while made < WAITING:
                drivers.start(s, "wait", "{}", 10000)
                made += 10000
                # The engine keeps up, or memory for hints runs over.
                drivers.delivered(d, 300)
                if time.monotonic() - begun > 900:
                    break
        took = time.monotonic() - begun
        quiet(d)
        d.run("CHECKPOINT")
        after = load()
        quiet(d)
        d.run("CHECKPOINT")
        t0, cpu = time.monotonic(), server_cpu(d.postmaster)
        time.sleep(10)
        idle = (server_cpu(d.postmaster) - cpu) / (time.monotonic() - t0) * 100
    note = "%s waiting, made in %.0f s; %s, then %s a task" % (format(made, ","), took, micro(before), micro(after))
    out = [times(after.cpu_each / before.cpu_each, 1.2, after, note),
           Outcome("%.2f %% of a core" % idle, idle < 0.5)]
    try:
        bench.stop_server()
        t0 = time.monotonic()
        bench.start_server()
        answered = time.monotonic() - t0
        drivers.lockstep(DATABASE, "seq10", DATA, 1)
        first = time.monotonic() - t0
        out.append(Outcome("%.2f s" % first, first < 5, note="the server answered after %.2f s" % answered))
    except NotRun as e:
        out.append(Outcome("not run: %s" % e, None))
    for o in out[1:]:
        if made < WAITING:
            o.met = False
    if made < WAITING:
        out[0].met = False
    return out


# ---------------------------------------------------------------- tasks in a workflow

def tasks(shape, large=LARGE):
    """Workflows of 10 tasks of this shape against workflows of many."""
    small_n = 10
    extra = {"fan": 2, "loop": 1}.get(shape, 0)

    def run(bench):
        if shape == "loop":
            texts = [definitions.loop("small")]
            names = ("small", "small")
            data = ('{"n": %d}' % small_n, '{"n": %d}' % large)
        else:
            make = {"chain": lambda name, n: definitions.chain(name, n, "v"), "variables": definitions.chain,
                    "fan": definitions.fan}[shape]
            texts = [make("small", small_n), make("large", large)]
            names = ("small", "large")
            data = (DATA, DATA)
        with bench.database(*texts) as d:
            def case(which, n, flight):
                return lambda: bench.measure(d, lambda: drivers.lockstep(d.name, names[which], data[which], flight,
                                                                         bench.seconds / 2), n + extra)
            # Once each, so that the definitions are compiled.
            drivers.lockstep(d.name, names[0], data[0], 100)
            drivers.lockstep(d.name, names[1], data[1], 1)
            ratio, cost, note = around(case(0, small_n, 100), case(1, large, 1))
        return times(ratio, 1.3, cost, note)
    return run


# ---------------------------------------------------------------- context

def context(bench):
    """A text in the input that no task looks at.  What its start costs is taken out: the cost of a task is the
    difference between workflows of 1010 and of 10 tasks."""
    sizes = (1024, 1024 * 1024)
    each = []
    with bench.database(definitions.chain("short", 10, "v"), definitions.chain("long", 1010, "v")) as d:
        for size in sizes:
            # Not a text that compression makes small.
            text = d.value("SELECT left(string_agg(md5(i::text), ''), %s) FROM generate_series(1, %s) i", size, size // 32 + 1)
            data = '{"n": 7, "big": "%s"}' % text
            drivers.lockstep(d.name, "long", data, 2)
            costs = [bench.measure(d, lambda: drivers.lockstep(d.name, w, data, 5, bench.seconds / 4, waves=3))
                     for w in ("short", "long")]
            each.append(((costs[1].cpu_each - costs[0].cpu_each) / 1000, (costs[1].wal_each - costs[0].wal_each) / 1000))
    cpu, wal = each[1][0] / each[0][0], each[1][1] / each[0][1]
    return [times(cpu, 1.5, note="%.1f us, then %.1f us a task" % (each[0][0] * 1e6, each[1][0] * 1e6)),
            times(wal, 1.1, note="%.0f B, then %.0f B a task" % (each[0][1], each[1][1]))]


# ---------------------------------------------------------------- long transactions, long load

class Load:
    """Sessions that keep the engine busy in the background; count is what they have seen through."""

    def __init__(self, database, sessions=2, flight=100, pause=0):
        self.count = 0
        self.errors = []
        self.stopping = False
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._body, args=(database, flight, pause)) for _ in range(sessions)]
        for t in self.threads:
            t.start()

    def _body(self, database, flight, pause):
        try:
            while not self.stopping:
                n = drivers.lockstep(database, "seq10", DATA, flight)
                with self.lock:
                    self.count += n
                if pause:
                    time.sleep(pause)
        except Exception as e:          # told by stop()
            self.errors.append(e)

    def buckets(self, seconds, bucket, db):
        """For each bucket of the time to come: workflows a second, and tasks per core-second of the server."""
        out = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            n, t, cpu = self.count, time.monotonic(), server_cpu(db.postmaster)
            time.sleep(bucket)
            n, t, cpu = self.count - n, time.monotonic() - t, server_cpu(db.postmaster) - cpu
            out.append((n / t, n * 10 / cpu))
        return out

    def stop(self):
        self.stopping = True
        for t in self.threads:
            t.join()
        if self.errors:
            raise self.errors[0]


def open_transaction(bench):
    """A transaction that sees an old state and has written, open elsewhere while the engine is fully busy."""
    seconds = 600 if bench.full else max(bench.seconds * 3, 5)
    alone = 3600 if bench.full else seconds
    with bench.database(definitions.chain("seq10", 10)) as d:
        d.run("CREATE TABLE elsewhere (i int)")
        load = Load(d.name)
        try:
            time.sleep(bench.seconds / 4)
            without = load.buckets(alone, alone / 20, d)
            with Db(d.name) as other:
                other.run("BEGIN ISOLATION LEVEL REPEATABLE READ", "INSERT INTO elsewhere VALUES (1)")
                held = load.buckets(seconds, seconds / 20, d)
                other.run("ROLLBACK")
        finally:
            load.stop()

    def compared(earlier, later):
        """The later buckets beside the earlier ones.  The figure is by processor time, as everywhere; on a machine that
        does nothing else the rate says the same."""
        was, now = ([statistics.mean(c) for c in zip(*part)] for part in (earlier, later))
        return now[1] / was[1], "%.0f and %.0f tasks per core-second; %.0f and %.0f workflows/s, %.2f times" % (
            was[1], now[1], was[0], now[0], now[0] / was[0])

    ratio, words = compared(without[-5:], held[-5:])
    decay, decay_words = compared(without[:5], without[-5:])
    return [Outcome("%.2f times the throughput" % ratio, ratio >= 0.7, note="%.0f s open; before and at the end %s" % (seconds, words)),
            Outcome("%.2f times the throughput" % decay, decay >= 0.9,
                    note="%.0f s; first and last quarter %s" % (alone, decay_words))]


PAST = """
SELECT count(*), coalesce(extract(epoch FROM now() - min(finished_at))::float8, 0) FROM mistral.execution
 WHERE root_id = id AND finished_at < now() - %s * interval '1 s'
"""


def long_load(bench):
    """Full load with a retention; the memory of each worker, and what the tables take.

    Time is scaled: where two hours are cut short, the retention is, and so is the time after which autovacuum looks
    whether there is something to do (a minute by default), for what it has not come to is a part of the tables.
    """
    seconds = 7200 if bench.full else max(bench.seconds * 6, 5)
    keep = max(int(seconds / 20), 1)
    naptime = min(max(int(seconds / 60), 1), 60)
    with bench.database(definitions.chain("seq10", 10)) as d:
        bench.setting("mistral.retention", "%ds" % keep)
        bench.setting("autovacuum_naptime", "%ds" % naptime)
        load = Load(d.name, sessions=1, flight=100, pause=0.05)
        try:
            # Caches fill first, the first executions grow old, and autovacuum comes.
            time.sleep(seconds / 4)
            pids = worker_pids(d, "")
            samples = []
            end = time.monotonic() + seconds * 3 / 4
            while time.monotonic() < end:
                samples.append(([memory(p) for p in pids],
                                d.value("SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class "
                                        "WHERE relnamespace = 'mistral'::regnamespace AND relkind = 'r'")))
                time.sleep(max(seconds / 200, 0.1))
            past, oldest = d.row(PAST, keep)
        finally:
            load.stop()
            bench.setting("mistral.retention", None)
            bench.setting("autovacuum_naptime", None)
        n = load.count * 10
        vacuums = d.value("SELECT autovacuum_count FROM pg_stat_user_tables WHERE relid = 'mistral.task'::regclass")
    third = len(samples) // 3
    growth = [statistics.mean(s[0][i] for s in samples[-third:]) - statistics.mean(s[0][i] for s in samples[third:2 * third])
              for i in range(len(pids))]
    worst = max(growth) / 1024
    note = "%.0f s, %s tasks; a process at most %.1f MB" % (seconds, format(n, ","), max(max(s[0]) for s in samples) / 1e6)
    size = statistics.mean(s[1] for s in samples[-third:]) / statistics.mean(s[1] for s in samples[third:2 * third])
    # At most a twentieth of all time is kept; and nothing may be left for so long again.
    late = max(oldest - keep, 0)
    return [Outcome("%+.0f KB from the middle to the last third" % worst, worst < 256, note=note),
            Outcome("%.2f times from the middle to the last third" % size, size <= 1.1 and late <= max(keep, 10),
                    note="%.0f MB at the end; kept for %d s, %s executions past it, the oldest for %.1f s; autovacuum every "
                    "%d s, %d times at the tasks" % (samples[-1][1] / 1e6, keep, format(past, ","), late, naptime, vacuums))]


# ---------------------------------------------------------------- engines, definitions

def engines(bench):
    """The time to drain a queue that is there when the engines start."""
    # On a fast machine two engines drain 20,000 in two seconds.
    queue = 2000 if bench.seconds < 4 else 20000
    rates = []
    cpu = []
    locks = 0
    try:
        with bench.database(definitions.chain("seq10", 10)) as d:
            drivers.lockstep(d.name, "seq10", DATA, 100)
            for count in (1, 2, 1, 2):
                bench.setting("mistral.engine_workers", str(count))
                d.until("that many engines", 60, "SELECT count(*) = %s FROM pg_stat_activity WHERE datname = "
                        "current_database() AND backend_type LIKE 'mistral engine%%'", count)
                # Whoever may sees the starts at once, when they commit.
                rate, each, waits = drain(d, queue)
                rates.append(rate)
                cpu.append(each * 1e6)
                locks += waits if count == 2 else 0
    finally:
        bench.setting("mistral.engine_workers", None)
    ratio = (rates[1] + rates[3]) / (rates[0] + rates[2])
    tables = bench.baseline.two_sessions()
    return [Outcome("%.2f times the throughput" % ratio, ratio >= 1.6,
                    note="%s tasks/s, then %s; the engines' CPU %.1f us, then %.1f us a task; two sessions of 2b %.2f times one" % (
                        *(format(round((rates[i] + rates[i + 2]) / 2), ",") for i in (0, 1)),
                        *((cpu[i] + cpu[i + 2]) / 2 for i in (0, 1)), tables)),
            Outcome("%d seen" % locks, locks == 0)]


def drain(d, queue):
    """Commits so many starts at once; from then to the end tasks a second, the engines' seconds of CPU a task, and how
    often an engine waited for a lock."""
    waits = 0
    pids = worker_pids(d, "engine")
    with Db(d.name) as s:
        s.run("BEGIN")
        ids = drivers.start(s, "seq10", DATA, queue)
        t0, cpu = time.monotonic(), sum(process_cpu(p) for p in pids)
        s.run("COMMIT")
    while True:
        waiting, left = d.row("SELECT (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND "
                              "backend_type LIKE 'mistral engine%%' AND wait_event_type = 'Lock'), "
                              "EXISTS (SELECT FROM mistral.message)")
        waits += waiting
        if not left:
            break
        time.sleep(0.01)
        if time.monotonic() - t0 > drivers.PATIENCE:
            raise drivers.Late("%d workflows were not drained in %d s" % (queue, drivers.PATIENCE))
    n = len(ids) * 10
    return n / (time.monotonic() - t0), (sum(process_cpu(p) for p in pids) - cpu) / n, waits


def many_definitions(bench):
    """The same workflow with 10,000 others loaded; and starts that go through all of them in turn."""
    with bench.database(definitions.one("w1")) as d:
        def same():
            return bench.measure(d, lambda: drivers.lockstep(d.name, "w1", "{}", 1000, bench.seconds / 2))

        def turns():
            with Db(d.name) as s:
                s.rows("SELECT mistral.start_workflow('w' || i) FROM generate_series(1, %s) i", LARGE)
            return LARGE

        drivers.lockstep(d.name, "w1", "{}", 1000)
        first = same()
        with Db(d.name) as s:
            for at in range(2, LARGE + 1, 100):
                s.rows("SELECT mistral.load_workflow(%s)",
                       definitions.HEAD + "".join("w%d: {tasks: {t1: {action: std.echo output=1}}}\n" % i
                                                  for i in range(at, min(at + 100, LARGE + 1))))
            s.run("ANALYZE mistral.definition")
        many = same()
        # The first round compiles each of them.
        turns()
        drivers.delivered(d)
        rotating = bench.measure(d, turns)
        last = same()
    small = (first.cpu_each + last.cpu_each) / 2
    return [times(many.cpu_each / first.cpu_each, 1.2, many, "%s, then %s a workflow" % (micro(first), micro(many))),
            times(rotating.cpu_each / small, 1.2, rotating, "%s, then %s a workflow" % (micro(last), micro(rotating)))]


ROWS = [
    Group([("1,000,000 executions wait: a task's cost", "1.2 times"), ("1,000,000 executions wait: idle server", "0.5 %"),
           ("1,000,000 executions wait: restart", "5 s to the first transition")], waiting),
    Row("tasks 10 -> 10,000: chain", "1.3 times", tasks("chain")),
    Row("tasks 10 -> 10,000: fan and join", "1.3 times", tasks("fan")),
    Row("tasks 10 -> 10,000: loop", "1.3 times", tasks("loop")),
    Row("tasks 10 -> 1,000: chain, each a new variable", "1.3 times", tasks("variables", 1000)),
    Group([("context 1 KB -> 1 MB: a task's cost", "1.5 times"), ("context 1 KB -> 1 MB: a task's WAL", "flat (1.1 times)")],
          context),
    Group([("a transaction open elsewhere", "0.7 times"), ("none open: decay over time", "none (0.9 times)")],
          open_transaction),
    Group([("engine workers 1 -> 2", "1.6 times"), ("engine workers 2: waits for locks", "none")], engines),
    Group([("definitions 1 -> 10,000", "flat (1.2 times)"), ("definitions: 10,000 in turn", "flat (1.2 times)")],
          many_definitions),
    Group([("load over time: memory of a process", "no slope (256 KB)"), ("load over time: tables", "bounded (1.1 times)")],
          long_load),
]
