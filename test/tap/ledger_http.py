#!/usr/bin/env python3
"""The outside world of the crash tests: counts what reaches it.

    ledger_http.py FILE

Prints its port on a line, then serves until standard input ends.  Each request
is a line in FILE, written before the answer is sent: the path, the
Idempotency-Key, the attempt.
"""
import http.server
import os
import sys
import threading
import time

LEDGER = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        line = "%s %s %s\n" % (self.path, self.headers.get("Idempotency-Key"), self.headers.get("Mistral-Attempt"))
        os.write(LEDGER, line.encode())
        time.sleep(0.05)        # long enough to be killed in the middle
        body = b'{"seen": true}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, *args):
        pass


server = Server(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
