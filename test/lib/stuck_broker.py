#!/usr/bin/env python3
"""A broker as far as a reader of a queue needs one.  Who connects first is sent half a message, and then heartbeats for
as long as he stays; whoever comes after him is sent a whole one, again and again.

Prints its port; ends when its standard input does.
"""
import socket
import struct
import sys
import threading

from amqp_frames import BODY, HEADER, HEARTBEAT, METHOD, frame, long, method, short

connections = 0


# What is answered to a method, by its class and number.
ANSWERS = {
    (10, 11): method(0, (10, 30), struct.pack(">HIH", 100, 131072, 30)),
    (10, 40): method(0, (10, 41), short(b"")),
    (20, 10): method(1, (20, 11), long(b"")),
    (60, 10): method(1, (60, 11)),
    (60, 20): method(1, (60, 21), short(b"reader")),
}


def serve(sock, first):
    file = sock.makefile("rb")
    file.read(8)
    sock.sendall(method(0, (10, 10), b"\x00\x09" + long(b"") + long(b"PLAIN") + long(b"en_US")))
    number = None
    while number != (60, 20):
        kind, _, size = struct.unpack(">BHI", file.read(7))
        payload = file.read(size + 1)
        number = struct.unpack(">HH", payload[:4]) if kind == METHOD else None
        sock.sendall(ANSWERS.get(number, b""))
    body = b'{"n": 1}'
    sock.sendall(method(1, (60, 60), short(b"reader") + struct.pack(">QB", 1, 0) + short(b"") + short(b"key"))
                 + frame(HEADER, 1, struct.pack(">HHQH", 60, 0, len(body), 0))
                 + frame(BODY, 1, body[:4] if first else body))
    while True:
        sock.sendall(frame(HEARTBEAT, 0, b""))
        try:
            sock.settimeout(1)
            if not sock.recv(65536):
                return
        except socket.timeout:
            pass


def quietly(sock, first):
    try:
        serve(sock, first)
    except (OSError, struct.error):
        pass                    # he has left
    sock.close()


def accept(listener):
    global connections
    while True:
        sock = listener.accept()[0]
        connections += 1
        threading.Thread(target=quietly, args=(sock, connections == 1), daemon=True).start()


listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
threading.Thread(target=accept, args=(listener,), daemon=True).start()
sys.stdin.read()
