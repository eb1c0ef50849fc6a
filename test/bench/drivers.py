"""Ways to give the engine work.  Each gives back how many workflows it has started and seen through."""
import os
import subprocess
import tempfile
import threading
import time

from db import Db

PATIENCE = 120              # seconds that a wave may take


class Late(Exception):
    """The work was not done in time."""


def _finish(session, ids, patience):
    """Waits until all of them have ended; raises Late, or what went wrong.

    The session sleeps in wait_workflow, for the last of them first: when that one has ended, nearly all have.  All
    the others are looked at in one statement, as whoever has a batch to watch would.
    """
    end = time.monotonic() + patience
    one = ids[-1]
    while True:
        session.value("SELECT mistral.wait_workflow(%s, %s)", one, "%d ms" % max(int((end - time.monotonic()) * 1000), 1))
        others = session.rows("SELECT id, state, state_info, count(*) OVER () FROM mistral.execution "
                              "WHERE id = ANY (%s::uuid[]) AND state <> 'SUCCESS' ORDER BY id DESC LIMIT 1", ids)
        if not others:
            return
        one, state, info, left = others[0]
        if state not in ("IDLE", "RUNNING"):
            raise RuntimeError("a workflow ended in %s: %s" % (state, info))
        if time.monotonic() > end:
            raise Late("%d of %d workflows were under way after %d s" % (left, len(ids), patience))


def start(session, workflow, data, n):
    """Starts n of them in one statement; their ids."""
    return session.value("SELECT array_agg(mistral.start_workflow(%s, %s::jsonb))::text[] FROM generate_series(1, %s)",
                         workflow, data, n)


def lockstep(database, workflow, data, flight, seconds=0, waves=1, patience=PATIENCE):
    """A session starts `flight` workflows in one transaction, waits until all have ended, starts the next.

    At least `waves` times, and until the seconds are over.
    """
    n = 0
    end = time.monotonic() + seconds
    with Db(database) as s:
        while n < waves * flight or time.monotonic() < end:
            ids = start(s, workflow, data, flight)
            _finish(s, ids, patience)
            n += flight
    return n


def sessions(database, count, what):
    """Runs what(database) in that many sessions at once; the sum of what they give."""
    results = []
    errors = []

    def body():
        try:
            results.append(what(database))
        except Exception as e:          # told by the caller's thread
            errors.append(e)

    threads = [threading.Thread(target=body) for _ in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]
    return sum(results)


def delivered(db, patience=PATIENCE):
    """Waits until no message is left: what the engine can do by itself, it has done."""
    db.until("no message left", patience, "SELECT NOT EXISTS (SELECT FROM mistral.message)")


def pgbench(database, clients, seconds, script):
    """Clients that each run the script over and over, prepared; how often it ran in all."""
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "script.sql")
        with open(path, "w") as f:
            f.write(script)
        out = subprocess.run(["pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T",
                              str(max(int(seconds), 1)), "-f", path, database], capture_output=True, text=True)
    for line in out.stdout.splitlines() if out.returncode == 0 else ():
        if line.startswith("number of transactions actually processed:"):
            return int(line.split(":")[1].split("/")[0])
    raise RuntimeError("pgbench: " + out.stderr.strip()[-400:])


def start_script(workflow, data="{}"):
    return "SELECT mistral.start_workflow('%s', '%s');\n" % (workflow, data)


def start_and_wait_script(workflow, data="{}"):
    return ("SELECT mistral.start_workflow('%s', '%s') AS id \\gset\n"
            "SELECT mistral.wait_workflow(:id, '60 s');\n" % (workflow, data))


def latencies(database, workflow, idle, count):
    """Milliseconds of single workflows, one at a time: from the commit of the start, and from the call, to the
    moment at which the waiting client knows the end."""
    from_commit = []
    from_call = []
    with Db(database) as s, s.con.cursor() as c:
        c.execute("PREPARE start AS SELECT mistral.start_workflow('%s')" % workflow)
        c.execute("PREPARE wait(uuid) AS SELECT mistral.wait_workflow($1)")
        for _ in range(count):
            if idle:
                time.sleep(idle)
            t0 = time.perf_counter()
            c.execute("EXECUTE start")
            t1 = time.perf_counter()
            c.execute("EXECUTE wait('%s')" % c.fetchone()[0])
            t2 = time.perf_counter()
            if c.fetchone()[0] != "SUCCESS":
                raise RuntimeError("a workflow did not end in SUCCESS")
            from_commit.append((t2 - t1) * 1000)
            from_call.append((t2 - t0) * 1000)
    return from_commit, from_call


def percentile(values, p):
    s = sorted(values)
    return s[min(int(len(s) * p / 100), len(s) - 1)]
