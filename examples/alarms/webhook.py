#!/usr/bin/env python3
"""Publishes what is sent to it by HTTP as events.  README.md says how to run it; needs psycopg2.

POST /aodh.alarm with a JSON body is mistral.publish_event('aodh.alarm', body).  The request's id, where the sender gives
one, makes one event of its repetitions.  Not every sender repeats what has failed: while the database is away the request
waits.  Any status but 200 means that nothing was published.
The connection is libpq's environment (PGHOST, PGDATABASE ...).  Whoever reaches the port can publish: keep it on a network of its own.
"""
import http.server
import json
import re
import sys
import time
import uuid

import psycopg2

LARGEST = 1 << 20           # bytes of a body
PATIENCE = 10               # seconds for whoever sends, and for one try of the database
AWAY = 60                   # seconds that a request waits for the database


class Handler(http.server.BaseHTTPRequestHandler):
    timeout = PATIENCE

    def do_POST(self):
        event = self.path[1:]
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,200}", event):
            return self.answer(404, "no such event")
        if not re.fullmatch(r"[0-9]{1,9}", length) or int(length) > LARGEST:
            return self.answer(413, "a body of at most %d bytes is wanted" % LARGEST)
        try:
            body = json.dumps(json.loads(self.rfile.read(int(length))))
        except (ValueError, RecursionError):
            return self.answer(400, "the body is no JSON")
        key = self.headers.get("x-openstack-request-id")
        try:
            started = keep_publishing(event, body, "%s/%s" % (event, key[:200] if key else uuid.uuid4()))
        except psycopg2.DataError as e:
            return self.answer(400, str(e))
        except psycopg2.Error as e:
            return self.answer(503, str(e))
        self.answer(200, "%d workflows started" % started)

    def answer(self, status, text):
        body = (text.strip() + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def keep_publishing(event, body, key):
    """Whether a try that failed was committed nobody knows: the key makes the next one harmless."""
    until = time.monotonic() + AWAY
    while True:
        try:
            return publish(event, body, key)
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as e:
            if time.monotonic() > until:
                raise
            print("the database is away: %s" % str(e).strip(), flush=True)
        time.sleep(1)


def publish(event, body, key):
    connection = psycopg2.connect(connect_timeout=PATIENCE, options="-c statement_timeout=%ds" % PATIENCE)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT mistral.publish_event(%s, %s::jsonb, dedup_key => %s)", (event, body, key))
            return cursor.fetchone()[0]
    finally:
        connection.close()


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8778), Handler)
    print("http://127.0.0.1:%d/" % server.server_address[1], flush=True)
    server.serve_forever()
