"""What the tables of PostgreSQL can do without any engine: the measure of everything else.

2b  one statement inserts the rows of 1000 tasks, one updates them, one transaction
2i  one statement inserts 1000 finished rows, one transaction

The table is as wide as a task's state needs to be: 12 columns, about 220 bytes of jsonb, a primary key and two
indexes.  Both are done by one session; keys come in order.
"""
import math
import threading
import time

import db
from meter import Meter

DATABASE = "mistral_bench_baseline"
ROWS = 1000
OF_TARGETS = 51000          # 2b of the machine that the targets are for

TABLE = """
CREATE TABLE task (
    id bigint PRIMARY KEY, execution_id bigint NOT NULL, name text NOT NULL, state text NOT NULL, type text NOT NULL,
    created_at timestamptz NOT NULL, updated_at timestamptz, finished_at timestamptz, attempt int NOT NULL,
    input jsonb, published jsonb, runtime jsonb);
CREATE INDEX ON task (execution_id);
CREATE INDEX ON task (created_at);
"""

INSERT = """
PREPARE put(bigint, text) AS
INSERT INTO task
SELECT g, g / 10, 't' || g % 10, $2, 'ACTION', now(), now(), CASE $2 WHEN 'SUCCESS' THEN now() END, 1,
       '{{"output": 7, "note": "{x}"}}', '{{"v1": 7, "note": "{y}"}}', '{{"retries": 0}}'
  FROM generate_series($1, $1 + 999) g
""".format(x="x" * 80, y="y" * 80)

UPDATE = """
PREPARE finish(bigint) AS
UPDATE task SET state = 'SUCCESS', updated_at = now(), finished_at = now() WHERE id BETWEEN $1 AND $1 + 999
"""


class Baseline:
    """Tasks per core-second of both, measured again whenever asked."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.next = 1
        db.create(DATABASE, extension=False).close()
        self.db = db.Db(DATABASE)
        self.db.run(TABLE)
        self._prepare()
        self._run(True, 0.2)
        self._run(False, 0.2)

    def _prepare(self):
        self.db.run(INSERT, UPDATE)

    def connect(self):
        """Again, after the server has been restarted."""
        self.db.con.close()
        self.db = db.Db(DATABASE)
        self._prepare()

    def close(self):
        self.db.close()
        db.drop(DATABASE)

    def _run(self, update, seconds):
        """Longer when it was too short for the system to count any processor time."""
        figure = self._run_once(update, seconds)
        while math.isinf(figure):
            seconds *= 2
            figure = self._run_once(update, seconds)
        return figure

    def _run_once(self, update, seconds):
        # The same start every time: an empty table, and no checkpoint on the way.
        self.db.run("TRUNCATE task", "CHECKPOINT")
        with Meter(self.db, counters=False) as m:
            n = 0
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                if update:
                    self.db.run("BEGIN; EXECUTE put(%d, 'RUNNING'); EXECUTE finish(%d); COMMIT" % (self.next, self.next))
                else:
                    self.db.run("EXECUTE put(%d, 'SUCCESS')" % self.next)
                self.next += ROWS
                n += ROWS
        return m.cost(n).per_core_second

    def two_sessions(self):
        """How many times as much two sessions insert and update in the same time as one, each in a table of its own: what
        the machine and its disk have for a second engine."""
        with db.Db(DATABASE) as other:
            other.run("CREATE SCHEMA other", "SET search_path = other", TABLE)
            other.run(INSERT, UPDATE)
            done = [self._together(sessions) for sessions in ((self.db,), (self.db, other)) * 2]
            other.run("DROP SCHEMA other CASCADE")
        return (done[1] + done[3]) / (done[0] + done[2])

    def _together(self, sessions):
        first = self.next
        end = time.monotonic() + self.seconds

        def body(session, at, count):
            while time.monotonic() < end:
                session.run("BEGIN; EXECUTE put(%d, 'RUNNING'); EXECUTE finish(%d); COMMIT" % (at, at))
                at += ROWS
                count.append(at)

        counts = [[] for _ in sessions]
        threads = [threading.Thread(target=body, args=(s, first, c)) for s, c in zip(sessions, counts)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.next = max(max(c, default=first) for c in counts)
        return sum(len(c) for c in counts)

    def measure(self):
        """(2b, 2i) now."""
        return self._run(True, self.seconds), self._run(False, self.seconds / 2)
