#!/usr/bin/env python3
"""The systems around the salary example: real HTTP, on loopback, ports chosen by the kernel.

    systems.py DIRECTORY

Starts three of them and writes their addresses to DIRECTORY/addresses (shell syntax, complete once
the file exists):

    BASE_SYSTEM    system 1: GET /employees/NAME gives {"employee", "amount"}
    BONUS_SYSTEM   system 2: the same; answers 500 while the file DIRECTORY/system2-is-broken exists
    POST_OFFICE    POST /pay-slips gives {"number"}; POST /administrator takes a letter, POST /hooks a webhook

Every request is a line in DIRECTORY/requests.log.  Ends on SIGTERM, or when the process that started it has ended.
"""
import http.server
import json
import os
import signal
import sys
import threading
import time

DIRECTORY = sys.argv[1]
BROKEN = os.path.join(DIRECTORY, "system2-is-broken")
LOG = open(os.path.join(DIRECTORY, "requests.log"), "a", buffering=1, encoding="utf-8")
LOCK = threading.Lock()
BASE = {"alice": 4200, "bob": 3900, "carl": 3100, "dora": 3600}
BONUS = {"alice": 350, "bob": 0, "carl": 120, "dora": 500}
slips = {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    name = ""

    def log_message(self, *args):
        pass

    def answer(self, status, value, note=""):
        body = json.dumps(value).encode()
        with LOCK:
            LOG.write("%-13s %s %s -> %d %s\n" % (self.name, self.command, self.path, status, note or body.decode()))
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Amounts(Handler):
    amounts = {}

    def do_GET(self):
        time.sleep(0.2)         # a system that has to think, so that the two are seen to work in parallel
        employee = self.path.rpartition("/")[2]
        if self.amounts is BONUS and os.path.exists(BROKEN):
            self.answer(500, {"error": "out of order"})
        elif employee in self.amounts:
            self.answer(200, {"employee": employee, "amount": self.amounts[employee]})
        else:
            self.answer(404, {"error": "no such employee"})


class PostOffice(Handler):
    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        letter = self.rfile.read(min(length, 100000)).decode("utf-8", "replace")
        if self.path == "/pay-slips":
            # A repeated request carries the same key, and gets the slip it already has.
            key = self.headers.get("Idempotency-Key") or "request %d" % (len(slips) + 1)
            with LOCK:
                number = slips.setdefault(key, len(slips) + 1)
            self.answer(201, {"number": number}, "%s => pay slip %d" % (letter, number))
        elif self.path == "/hooks":
            self.answer(202, {"received": True}, "%(workflow_name)s: %(event)s" % json.loads(letter))
        elif self.path == "/administrator":
            self.answer(202, {"received": True}, letter)
        else:
            self.answer(404, {"error": "no such box"})


def serve(name, handler, **more):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type(name, (handler,), dict(more, name=name)))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return "http://127.0.0.1:%d" % server.server_address[1]


def main():
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    where = {
        "BASE_SYSTEM": serve("system 1", Amounts, amounts=BASE),
        "BONUS_SYSTEM": serve("system 2", Amounts, amounts=BONUS),
        "POST_OFFICE": serve("post office", PostOffice),
    }
    path = os.path.join(DIRECTORY, "addresses")
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.writelines("%s=%s\n" % i for i in where.items())
    os.rename(path + ".new", path)
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.5)


main()
