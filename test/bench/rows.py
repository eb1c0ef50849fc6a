"""What a row of the table is, and what one may use to measure itself."""
import os
import subprocess

import db
import drivers
from meter import Meter

DATABASE = "mistral_bench"


class Outcome:
    """What a row has found: a figure in words, whether it meets the target, and what it cost where that is known."""

    def __init__(self, figure, met, cost=None, note="", target=None):
        self.figure = figure
        self.met = met
        self.cost = cost
        self.note = note
        self.target = target        # of cost.per_core_second, on a machine where 2b is baseline.OF_TARGETS


class NotRun(Exception):
    """The machine or the build cannot do this row; the text says why."""


class Row:
    """One line of the table: run(bench) gives an Outcome, or raises NotRun or drivers.Late."""

    def __init__(self, name, target, run, quick=False):
        self.lines = [(name, target)]
        self.run = run
        self.quick = quick


class Group(Row):
    """Several lines that one run measures: run(bench) gives an Outcome for each, in order."""

    def __init__(self, lines, run, quick=False):
        self.lines = lines
        self.run = run
        self.quick = quick


class Bench:
    """The server, how long to measure, and the baseline around the row that is running."""

    def __init__(self, seconds, full, baseline=None):
        self.seconds = seconds
        self.baseline = baseline
        self.full = full            # the long versions of the growth rows
        self.before = None          # (2b, 2i) measured just before the row
        self.restarted = False      # connections from before are gone
        self.pg_ctl_words = os.environ.get("BENCH_PG_CTL", "").split()

    def database(self, *definitions):
        """A new database with these workflows loaded; whoever uses it closes it."""
        d = db.create(DATABASE)
        for text in definitions:
            d.rows("SELECT mistral.load_workflow(%s)", text)
        # No checkpoint that is due from before falls into the row.
        d.run("CHECKPOINT")
        return d

    def measure(self, d, work, each=1):
        """Runs work() and gives its cost for each of the workflows that it says it did, times `each`."""
        with Meter(d) as m:
            n = work()
            drivers.delivered(d)
        return m.cost(n * each)

    def stop_server(self):
        self._pg_ctl("stop", "-m", "fast")
        self.restarted = True

    def start_server(self):
        self._pg_ctl("start")

    def _pg_ctl(self, *words):
        if not self.pg_ctl_words:
            raise NotRun("the server is not ours to restart")
        # Its output goes to the server that it starts, and would never end.
        subprocess.run(self.pg_ctl_words + list(words), check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, timeout=120)

    def setting(self, name, value):
        """Sets it for the whole server until it is set to None."""
        with db.Db(db.SERVICE) as s:
            if value is None:
                s.run("ALTER SYSTEM RESET " + name)
            else:
                s.rows("ALTER SYSTEM SET " + name + " = %s", value)
            s.run("SELECT pg_reload_conf()")


def worker_pids(d, kind):
    """The processes of this database that are the engine's ('engine') or the executor's ('executor')."""
    return [r[0] for r in d.rows("SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
                                 "AND backend_type LIKE %s ORDER BY 1", "mistral " + kind + "%")]
