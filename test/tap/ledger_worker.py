#!/usr/bin/env python3
"""A pull worker of the crash tests, which keeps a ledger of what it was told.

    ledger_worker.py FILE LEASE [late]

Claims from target "ledger" for LEASE seconds, and completes with a text that nobody else gives.  Some of its actions, with
"late" the first one too, it completes long after the lease is over, when somebody else should have it.  Each line of FILE is written
when the server's answer is known: claimed, done or refused; the action execution; the attempt; the text; the error's code.
"""
import os
import random
import sys
import time

import psycopg2

LEDGER = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
LEASE = float(sys.argv[2])
REFUSED = ("MS021", "MS024")

connection = None
late = sys.argv[3:] == ["late"]


def note(*words):
    os.write(LEDGER, (" ".join(map(str, words)) + "\n").encode())


def call(statement, *values):
    """The rows of a statement; one whose answer was lost is said again, as a client would."""
    global connection
    while True:
        try:
            if connection is None or connection.closed:
                connection = psycopg2.connect("dbname=postgres")
                connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, values)
                return cursor.fetchall()
        except psycopg2.Error as e:
            # The server's own errors have a code, and leave the connection open, but for those that it dies with.
            if e.pgcode and connection is not None and not connection.closed:
                raise
            if connection is not None:
                connection.close()
        time.sleep(0.05)


while True:
    claimed = call("SELECT action_execution_id, attempt FROM mistral.claim_actions('ledger', %s, 3, %s * interval '1 s')",
                   str(os.getpid()), LEASE)
    if not claimed:
        time.sleep(0.1)
    for action, attempt in claimed:
        text = "%s/%d/%d" % (action, attempt, os.getpid())
        note("claimed", action, attempt, text)
        time.sleep(LEASE * 4 if late or random.random() < 0.02 else random.random() * 0.05)
        late = False
        try:
            call("SELECT mistral.complete_action(%s, to_jsonb(%s::text), %s)", action, text, attempt)
            note("done", action, attempt, text)
        except psycopg2.Error as e:
            if e.pgcode not in REFUSED:
                note("failed", action, attempt, text, e.pgcode)
                raise
            note("refused", action, attempt, text, e.pgcode)
