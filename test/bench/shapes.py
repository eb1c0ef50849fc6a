"""The shapes: what a task of each kind costs, beside what the tables themselves cost."""
import definitions
import drivers
import webserver
from meter import family_cpu
from rows import NotRun, Outcome, Row, worker_pids

DATA = '{"n": 7}'
OF_BASELINE = 0.6           # the share of 2b that ten sequential tasks have to reach


def per_core(cost, target, what):
    return Outcome("%s %s per core-second" % (format(round(cost.per_core_second), ","), what),
                   cost.per_core_second >= target, cost, target=target)


def seq10(flight):
    def run(bench):
        with bench.database(definitions.chain("seq10", 10)) as d:
            drivers.lockstep(d.name, "seq10", DATA, flight, bench.seconds / 4)
            cost = bench.measure(d, lambda: drivers.lockstep(d.name, "seq10", DATA, flight, bench.seconds), 10)
        out = per_core(cost, 40000, "tasks")
        out.met = out.met and cost.per_core_second >= OF_BASELINE * bench.before[0]
        return out
    return run


def seq10_clients(bench):
    with bench.database(definitions.chain("seq10", 10)) as d:
        script = drivers.start_and_wait_script("seq10", DATA)
        drivers.pgbench(d.name, 50, 1, script)
        cost = bench.measure(d, lambda: drivers.pgbench(d.name, 50, bench.seconds, script), 10)
    out = per_core(cost, 40000, "tasks")
    out.met = out.met and cost.per_core_second >= OF_BASELINE * bench.before[0]
    return out


def fan(bench):
    with bench.database(definitions.fan("fan50", 50)) as d:
        drivers.lockstep(d.name, "fan50", DATA, 20, bench.seconds / 4)
        return per_core(bench.measure(d, lambda: drivers.lockstep(d.name, "fan50", DATA, 20, bench.seconds), 52),
                        35000, "tasks")


def items(n, flight):
    def run(bench):
        with bench.database(definitions.items("items")) as d:
            drivers.lockstep(d.name, "items", '{"n": 10}', 5)
            data = '{"n": %d}' % n
            return per_core(bench.measure(
                d, lambda: drivers.lockstep(d.name, "items", data, flight, bench.seconds), n), 40000, "items")
    return run


def one_by_clients(bench):
    with bench.database(definitions.one("one")) as d:
        script = drivers.start_script("one")
        drivers.pgbench(d.name, 8, 1, script)
        drivers.delivered(d)
        return per_core(bench.measure(d, lambda: drivers.pgbench(d.name, 8, bench.seconds, script)), 6000, "workflows")


def one_in_bulk(bench):
    with bench.database(definitions.one("one")) as d:
        drivers.lockstep(d.name, "one", "{}", 1000)
        return per_core(bench.measure(d, lambda: drivers.lockstep(d.name, "one", "{}", 10000, bench.seconds)),
                        25000, "workflows")


def latency(idle, p50, p95):
    def run(bench):
        with bench.database(definitions.one("one")) as d:
            drivers.latencies(d.name, "one", 0, 100)
            if idle:
                count = int(max(bench.seconds / (idle + 0.002), 40))
            else:
                count = int(bench.seconds * 500)
            commit, call = drivers.latencies(d.name, "one", idle, count)
        a, b = drivers.percentile(commit, 50), drivers.percentile(commit, 95)
        return Outcome("p50 %.2f ms, p95 %.2f ms" % (a, b), a <= p50 and (p95 is None or b <= p95),
                       note="from the call of the start %.2f / %.2f" %
                       (drivers.percentile(call, 50), drivers.percentile(call, 95)))
    return run


REQUESTS_IN_A_ROW = 20


def http(flight):
    def run(bench):
        with webserver.nginx() as url, bench.database(definitions.http("ask", REQUESTS_IN_A_ROW, url)) as d:
            floor = webserver.curl_floor(url, flight, 20000)
            drivers.lockstep(d.name, "ask", "{}", flight)
            pids = worker_pids(d, "executor")
            if len(pids) != 1:
                raise NotRun("%d executors" % len(pids))
            own = family_cpu(pids[0])
            cost = bench.measure(d, lambda: drivers.lockstep(d.name, "ask", "{}", flight, bench.seconds),
                                 REQUESTS_IN_A_ROW)
            own = (family_cpu(pids[0]) - own) / cost.n * 1e6
            floor = (floor + webserver.curl_floor(url, flight, 20000)) / 2
        return Outcome("%s actions/s, the executor's and its program's CPU %.0f us (curl-multi %.0f us: %.1f times)" %
                       (format(round(cost.rate), ","), own, floor, own / floor),
                       cost.rate >= 5000 and own <= 4 * floor, cost,
                       note="%.0f us of the server's CPU in all" % (cost.cpu_each * 1e6))
    return run


ROWS = [
    Row("seq10, 50 in flight", "40,000; 0.6 of 2b", seq10(50), quick=True),
    Row("seq10, 1000 in flight", "40,000; 0.6 of 2b", seq10(1000), quick=True),
    Row("seq10, 50 clients, a transaction each", "40,000; 0.6 of 2b", seq10_clients),
    Row("1 -> 50 -> join all", "35,000", fan, quick=True),
    Row("with-items over 100", "40,000", items(100, 20), quick=True),
    Row("with-items over 100,000", "40,000", items(100000, 1)),
    Row("one task, started by 8 clients", "6,000", one_by_clients, quick=True),
    Row("one task, started in bulk", "25,000", one_in_bulk, quick=True),
    Row("latency, back to back", "0.7 / 1.2 ms", latency(0, 0.7, 1.2), quick=True),
    Row("latency, after 50 ms of idleness", "p50 2 ms", latency(0.05, 2, None), quick=True),
    Row("std.http, 50 in flight", "5,000/s; 4 x curl-multi", http(50)),
    Row("std.http, 1000 in flight", "5,000/s; 4 x curl-multi", http(1000)),
]
