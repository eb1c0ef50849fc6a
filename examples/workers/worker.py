#!/usr/bin/env python3
"""A pull worker: performs the actions of a target.  README.md says how to run it; needs psycopg2.

The connection is libpq's environment (PGHOST, PGDATABASE ...).  MISTRAL_TARGET (demo), MISTRAL_LEASE (seconds, 60) and
MISTRAL_BATCH (how many to claim at once, 5) say what it takes.  On SIGTERM it finishes what it has, and ends.
"""
import json
import os
import select
import signal
import socket
import threading
import time

import psycopg2

TARGET = os.environ.get("MISTRAL_TARGET", "demo")
LEASE = float(os.environ.get("MISTRAL_LEASE", "60"))
BATCH = int(os.environ.get("MISTRAL_BATCH", "5"))
WORKER = "python:%s:%d" % (socket.gethostname(), os.getpid())
REFUSED = ("MS021", "MS022", "MS024", "MS025")     # ended otherwise, gone, or in the hands of another attempt

connection = None
lock = threading.RLock()                    # the heartbeat uses the connection as well
stopping = threading.Event()
held = set()                                # the ids of the actions whose lease is ours


def perform(action, action_input, key):
    """The work itself.  `key` is the action execution's id, the same for every attempt: what must not happen twice
    takes it along, as an Idempotency-Key or as a primary key, and finds out that it has happened already."""
    if action != "square":
        raise ValueError("no such action: %s" % action)
    time.sleep(action_input.get("seconds", 0))
    return {"square": action_input["n"] ** 2, "worker": WORKER}


def call(statement, *values):
    """The rows of one statement, a transaction by itself.  Each of ours may be said twice, so one whose connection broke
    is said again on the next; leases of a claim whose answer was lost run out."""
    global connection
    while True:
        with lock:
            try:
                if connection is None or connection.closed:
                    connection = psycopg2.connect(application_name=WORKER)
                    connection.autocommit = True
                    connection.cursor().execute("LISTEN mistral_actions")
                with connection.cursor() as cursor:
                    cursor.execute(statement, values)
                    return cursor.fetchall()
            except psycopg2.Error as e:
                # Not every loss of the connection is an OperationalError; the server's own errors have a code.
                if stopping.is_set() or e.pgcode and connection is not None and not connection.closed:
                    raise
                if connection is not None:
                    connection.close()
                print("no connection: %s" % str(e).strip(), flush=True)
        time.sleep(1)


def heartbeat():
    """Prolongs our leases, well before they run out, and forgets those that are lost."""
    while True:
        time.sleep(LEASE / 3)
        ids = list(held)
        if not ids:
            continue
        try:
            kept = call("SELECT id::text FROM unnest(%s::uuid[]) AS id "
                        "WHERE mistral.heartbeat_actions(ARRAY[id], make_interval(secs => %s), %s) = 1", ids, LEASE, WORKER)
            held.difference_update(set(ids) - {row[0] for row in kept})
        except psycopg2.Error as e:
            print("no heartbeat: %s" % str(e).strip(), flush=True)


def report(function, key, value, attempt, token):
    """The token fences: whoever has lost the lease is refused, and does not disturb who has it now."""
    try:
        call("SELECT mistral.%s(%%s, %%s, token => %%s)" % function, key, json.dumps(value), token)
        print("%s %s attempt %d" % (function, key, attempt), flush=True)
    except psycopg2.Error as e:
        print("refused %s attempt %d: %s" % (key, attempt, e.pgcode), flush=True)
        if function == "complete_action" and e.pgcode and e.pgcode not in REFUSED:
            report("fail_action", key, str(e), attempt, token)      # too large, for instance: nobody can give this result


def wait():
    """Until somebody says that there is work, or two seconds."""
    with lock:
        connection.poll()
    if not connection.notifies:
        select.select([connection], [], [], 2)
    connection.notifies.clear()


def main(perform=perform):
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    threading.Thread(target=heartbeat, daemon=True).start()
    while not stopping.is_set():
        try:
            rows = call("SELECT action_execution_id::text, action, input, attempt, token "
                        "FROM mistral.claim_actions(%s, %s, %s, make_interval(secs => %s))", TARGET, WORKER, BATCH, LEASE)
            held.update(row[0] for row in rows)
            if not rows:
                wait()
        except psycopg2.Error as e:         # poll() has one of its own for a server that is gone
            print("cannot claim: %s" % str(e).strip(), flush=True)
            stopping.wait(1)
            continue
        for key, action, action_input, attempt, token in rows:
            if key not in held:
                continue                    # lost while we did the others
            try:
                function, value = "complete_action", perform(action, action_input, key)
            except Exception as e:
                function, value = "fail_action", str(e)
            report(function, key, value, attempt, token)
            held.discard(key)


if __name__ == "__main__":
    main()
