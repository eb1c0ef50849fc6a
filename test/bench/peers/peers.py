#!/usr/bin/env python3
"""Other engines beside this one, on the same PostgreSQL: ten trivial steps in a row, so many workflows in flight.

    peers.py [--flight N] [--seconds S] [NAME ...]

Each runner is one process of its own; its CPU is told apart from the server's.  run.sh installs what they need into
the directory BENCH_NODE, and says in BENCH_URL how to reach the server.
"""
import argparse
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import baseline  # noqa: E402
import db  # noqa: E402
import definitions  # noqa: E402
import drivers  # noqa: E402
import rows  # noqa: E402
from bench import load, say  # noqa: E402
from meter import Meter, process_cpu  # noqa: E402

DATABASE = "mistral_bench_peer"
STEPS = 10
FORMAT = "%-44s %10s %12s %12s %12s %8s"


def ours(a):
    """Mistral in the server: clients that start a workflow and wait for it, a transaction each."""
    with rows.Bench(a.seconds, False).database(definitions.chain("seq10", STEPS)) as d:
        script = drivers.start_and_wait_script("seq10", '{"n": 7}')
        drivers.pgbench(d.name, a.flight, 1, script)
        with Meter(d) as m:
            n = drivers.pgbench(d.name, a.flight, a.seconds, script)
        return m.cost(n * STEPS), 0.0


def peer(command, url):
    """Runs one runner between two looks at the CPU; the server's cost and the runner's own seconds."""
    with db.create(DATABASE, extension=False) as d:
        env = dict(os.environ, BENCH_URL=url + DATABASE, PYTHONPATH="")
        p = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        try:
            answer(p, "ready")
            own = process_cpu(p.pid)
            with Meter(d, counters=False) as m:
                p.stdin.write("go\n")
                p.stdin.flush()
                done = json.loads(answer(p, "{"))
            own = process_cpu(p.pid) - own
            return m.cost(done["workflows"] * STEPS), own
        finally:
            p.stdin.close()
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()


def answer(p, begin):
    """The next line of the runner that begins so; others are its own talk."""
    for line in p.stdout:
        if line.startswith(begin):
            return line
    raise RuntimeError("the runner ended with %s" % p.wait())


def main():
    a = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    a.add_argument("--flight", type=int, default=50)
    a.add_argument("--seconds", type=float, default=10)
    a.add_argument("names", nargs="*")
    a = a.parse_intermixed_args()
    url, directory = os.environ["BENCH_URL"], os.environ["BENCH_NODE"]
    with open(os.path.join(HERE, "package.json")) as f:
        versions = json.load(f)["dependencies"]

    def node(script, package):
        def run():
            path = os.path.join(directory, script)
            if not os.path.isdir(os.path.join(directory, "node_modules", package)):
                raise rows.NotRun("npm could not install %s" % package)
            return peer(["node", path, str(a.flight), str(a.seconds)], url)
        return run

    def original():
        # From a directory where no mistral.so lies that would be taken for it.
        if subprocess.run(["/usr/bin/python3", "-c", "import mistral.engine"], cwd="/", capture_output=True).returncode:
            raise rows.NotRun("python3-mistral is not installed")
        return peer(["/usr/bin/python3", os.path.join(HERE, "original.py"), str(a.flight), str(a.seconds)], url)

    all_of_them = [
        ("mistral, this one", lambda: ours(a)),
        ("DBOS " + versions["@dbos-inc/dbos-sdk"], node("dbos.mjs", "@dbos-inc/dbos-sdk")),
        ("graphile-worker %s (chained jobs)" % versions["graphile-worker"], node("graphile.mjs", "graphile-worker")),
        ("pg-boss %s (chained jobs)" % versions["pg-boss"], node("pgboss.mjs", "pg-boss")),
        ("OpenStack Mistral (python3-mistral)", original),
    ]
    base = baseline.Baseline(1)
    say("PostgreSQL %s, %d cores, load %s; %d workflows of %d steps in flight, %g s" % (
        base.db.value("SHOW server_version").split()[0], os.cpu_count(), load(), a.flight, STEPS, a.seconds))
    say("Baseline: %.0f tasks per core-second inserted and updated (2b), %.0f inserted (2i)." % base.measure())
    say()
    say(FORMAT % ("", "steps/s", "server us", "own us", "steps/core s", "WAL B"))
    for name, run in all_of_them:
        if a.names and not any(n in name for n in a.names):
            continue
        try:
            cost, own = run()
            say(FORMAT % (name, "%.0f" % cost.rate, "%.0f" % (cost.cpu_each * 1e6), "%.0f" % (own / cost.n * 1e6),
                          "%.0f" % (cost.n / (cost.cpu + own)), "%.0f" % cost.wal_each))
        except rows.NotRun as e:
            say("%-44s not run: %s" % (name, e))
        except Exception as e:
            say("%-44s failed: %s" % (name, str(e).strip().splitlines()[0][:160]))
    say()
    say("CPU is per step: of the whole server, and of the engine's own process where it is outside the server (mistral's is "
        "in it). Baseline at the end %.0f (2b), %.0f (2i); load %s." % (base.measure() + (load(),)))
    base.close()
    for name in (DATABASE, rows.DATABASE):
        db.drop(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
