"""A connection to one database of the server under test, and the databases that measurements take place in."""
import os
import time

import psycopg2

EXTENSION = "mistral"
SERVICE = "postgres"


class Db:
    """One session in autocommit mode."""

    def __init__(self, name):
        self.name = name
        self.con = psycopg2.connect(dbname=name, application_name="bench")
        self.con.autocommit = True
        with open(os.path.join(self.value("SHOW data_directory"), "postmaster.pid")) as f:
            self.postmaster = int(f.readline())

    def rows(self, query, *args):
        with self.con.cursor() as c:
            c.execute(query, args or None)
            return c.fetchall() if c.description else []

    def row(self, query, *args):
        return self.rows(query, *args)[0]

    def value(self, query, *args):
        return self.row(query, *args)[0]

    def run(self, *queries):
        for q in queries:
            self.rows(q)

    def close(self):
        self.con.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def until(self, what, seconds, query, *args):
        """Waits until the query gives true."""
        end = time.monotonic() + seconds
        while not self.value(query, *args):
            if time.monotonic() > end:
                raise RuntimeError("not within %d s: %s" % (seconds, what))
            time.sleep(0.02)


def drop(name):
    with Db(SERVICE) as s:
        s.run("SET client_min_messages = warning", "DROP DATABASE IF EXISTS %s WITH (FORCE)" % name)


def create(name, extension=True):
    """A new database, with the extension and its workers at work."""
    drop(name)
    with Db(SERVICE) as s:
        s.run("CREATE DATABASE %s" % name)
    db = Db(name)
    if extension:
        db.run("CREATE EXTENSION %s" % EXTENSION)
        db.until("an engine", 30, "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() "
                 "AND backend_type LIKE 'mistral engine%%'")
    return db
