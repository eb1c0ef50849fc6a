#!/usr/bin/env python3
"""Runs what README.md and the pages written as one session tell a reader to type, as TAP.

Each file's sql blocks go to one psql session in a database of its own, in order; the address of the reader's own
system leads to a small one here.  Between two blocks the reader is given the time that the workers need.
Needs a server with the extension preloaded (libpq's environment), as a superuser.
"""
import http.server
import json
import os
import re
import subprocess
import sys
import threading

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
FILES = ("README.md", "docs/quickstart.md", "docs/cron.md", "docs/events.md", "docs/approvals.md", "docs/history.md",
         "docs/hooks.md")
DB = "mistral_docs"
ADDRESS = "127.0.0.1:8080"
QUIET = """
DO $$ BEGIN
  IF to_regclass('mistral.message') IS NULL THEN RETURN; END IF;
  FOR i IN 1..2000 LOOP
    EXIT WHEN NOT EXISTS (SELECT FROM mistral.message) AND NOT EXISTS (SELECT FROM mistral.dispatch)
          AND NOT EXISTS (SELECT FROM mistral.attempt);
    PERFORM pg_sleep(0.01);
    COMMIT;
  END LOOP;
END $$;
"""


class Stock(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        body = json.dumps({"left": 3}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def psql(db, text):
    return subprocess.run(["psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-d", db], input=text, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)


def clean():
    psql("postgres", "SET client_min_messages = warning; DROP DATABASE IF EXISTS %s WITH (FORCE);\n"
                     "DROP ROLE IF EXISTS clerk, accountant, chief;" % DB)


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stock)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("1..%d" % (2 * len(FILES)), flush=True)
    bad = 0
    for i, name in enumerate(FILES):
        blocks = re.findall(r"^```sql\n(.*?)^```", open(os.path.join(TOP, name), encoding="utf-8").read(), re.M | re.S)
        clean()
        psql("postgres", "CREATE DATABASE %s" % DB)
        ran = psql(DB, QUIET.join(blocks + [""]).replace(ADDRESS, "127.0.0.1:%d" % server.server_address[1]))
        ended = psql(DB, "SELECT DISTINCT state FROM mistral.executions").stdout.strip()
        for n, (ok, what, said) in enumerate((
                (blocks and ran.returncode == 0, "the SQL of %s runs" % name, ran.stdout[-2000:]),
                (ended == "SUCCESS", "and what it starts ends in SUCCESS", ended))):
            bad += not ok
            print("%s %d - %s" % ("ok" if ok else "not ok", 2 * i + n + 1, what))
            if not ok:
                print("".join("#   %s\n" % line for line in said.split("\n")), end="", flush=True)
        clean()
    return bad


sys.exit(main())
