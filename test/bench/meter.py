"""What a piece of work cost the server: CPU, WAL, commits, row versions.

CPU is the time that all processes of the server used, those that ended meanwhile included: a process that is
gone has been waited for by the postmaster, whose own account then holds it.  The programs that drive the load
are not the server's children, so they do not count; the sessions that serve them do.
"""
import os
import time

HZ = os.sysconf("SC_CLK_TCK")


def _stat(pid):
    """The fields of /proc/PID/stat from the third on, or None when it is gone."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def process_cpu(pid):
    """Seconds of CPU of one process that runs."""
    s = _stat(pid)
    return (int(s[11]) + int(s[12])) / HZ if s else 0.0


def children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
            return [int(p) for p in f.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def family_cpu(pid):
    """The same of one process with its programs: what they used, those that have ended included."""
    s = _stat(pid)
    return (process_cpu(pid) + (int(s[13]) + int(s[14])) / HZ + sum(process_cpu(p) for p in children(pid))) if s else 0.0


def server_cpu(postmaster):
    """Seconds of CPU of the postmaster and of every process it ever had, with the programs of its workers."""
    while True:
        before = _stat(postmaster)
        live = sum(family_cpu(p) for p in children(postmaster))
        after = _stat(postmaster)
        # Who ends between the two would be counted twice, or not at all.
        if before[13:15] == after[13:15]:
            return sum(int(v) for v in after[11:15]) / HZ + live


def memory(pid):
    """Bytes of a process that are its own, shared buffers left out; 0 when it is gone."""
    try:
        with open("/proc/%d/status" % pid) as f:
            for line in f:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0


COUNTERS = """
SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint,
       (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()),
       (SELECT coalesce(sum(n_tup_ins), 0)::bigint FROM pg_stat_user_tables WHERE schemaname = 'mistral'),
       (SELECT coalesce(sum(n_tup_upd), 0)::bigint FROM pg_stat_user_tables WHERE schemaname = 'mistral'),
       (SELECT coalesce(sum(n_tup_hot_upd), 0)::bigint FROM pg_stat_user_tables WHERE schemaname = 'mistral')
"""
SETTLE_SECONDS = 3          # a process reports what it did at most a second late


class Cost:
    """The difference of two moments; n is what it is divided by."""

    def __init__(self, **kw):
        self.__dict__.update(kw)

    @property
    def per_core_second(self):
        return self.n / self.cpu if self.cpu > 0 else float("inf")

    @property
    def cpu_each(self):
        return self.cpu / self.n

    @property
    def rate(self):
        return self.n / self.seconds

    @property
    def wal_each(self):
        return self.wal / self.n

    @property
    def rows_each(self):
        return (self.inserted + self.updated) / self.n

    @property
    def commits_each(self):
        return self.commits / self.n

    @property
    def hot(self):
        """Share of the updates that touched no index; None where nothing was updated."""
        return self.hot_updated / self.updated if self.updated else None


class Meter:
    """with Meter(db) as m: ...; then m.cost(n)."""

    def __init__(self, db, counters=True):
        self.db = db
        self.counters = counters

    def _count(self):
        return self.db.row(COUNTERS) if self.counters else (self.db.value(
            "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"), 0, 0, 0, 0)

    def _settled(self):
        """The counters once the processes have reported what they did: three looks apart that agree."""
        end = time.monotonic() + SETTLE_SECONDS
        seen = []
        while self.counters and time.monotonic() < end:
            seen.append(self._count()[2:])
            if len(seen) >= 7 and len(set(seen[-7:])) == 1:
                break
            time.sleep(0.2)
        return self._count()

    def __enter__(self):
        self.before = self._settled()
        self.cpu0 = server_cpu(self.db.postmaster)
        self.t0 = time.monotonic()
        return self

    def __exit__(self, *exc):
        self.t1 = time.monotonic()
        self.cpu1 = server_cpu(self.db.postmaster)
        wal = self._count()[0]
        after = self._settled() if exc[0] is None else self.before
        self.delta = [wal - self.before[0]] + [b - a for a, b in zip(self.before[1:], after[1:])]

    def cost(self, n):
        wal, commits, inserted, updated, hot = self.delta
        return Cost(n=n, cpu=self.cpu1 - self.cpu0, seconds=self.t1 - self.t0, wal=wal, commits=commits,
                    inserted=inserted, updated=updated, hot_updated=hot)
