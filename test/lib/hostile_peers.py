#!/usr/bin/env python3
"""Brokers and SSH hosts that mean no good: each way has a port of its own.

Prints the ports as a line of JSON, by name; ends when its standard input does.
"""
import json
import socket
import struct
import sys
import threading
import time

from amqp_frames import BODY, HEADER, METHOD, frame, long, method, short

FRAME = 65000
RETURN, ACK, PUBLISH = (60, 50), (60, 80), (60, 40)


def nested(depth):
    """A table that holds a table, that holds a table ..."""
    return b"".join(struct.pack(">I", 6 * left) + (b"\x00F" if left else b"") for left in range(depth, -1, -1))


def start(properties):
    return method(0, (10, 10), b"\x00\x09" + properties + long(b"PLAIN") + long(b"en_US"))


def returned(kind=60, size=0, rest=b"\x00\x00"):
    return method(1, RETURN, struct.pack(">H", 312) + short(b"NO_ROUTE") + short(b"") + short(b"key")) + \
        frame(HEADER, 1, struct.pack(">HHQ", kind, 0, size) + rest)


def ack(tag, multiple=0):
    return method(1, ACK, struct.pack(">QB", tag, multiple))


# What is answered to a method, by its class and number.
ANSWERS = {
    (10, 11): method(0, (10, 30), struct.pack(">HIH", 100, 65536, 30)),
    (10, 40): method(0, (10, 41), short(b"")),
    (20, 10): method(1, (20, 11), long(b"")),
    (85, 10): method(1, (85, 11)),
}


def until_published(sock, file):
    file.read(8)
    sock.sendall(start(long(b"")))
    number = None
    while number != PUBLISH:
        kind, _, size = struct.unpack(">BHI", file.read(7))
        payload = file.read(size + 1)
        number = struct.unpack(">HH", payload[:4]) if kind == METHOD else None
        sock.sendall(ANSWERS.get(number, b""))


def amqp_hello(sock, file):
    """Its first words hold tables in tables."""
    file.read(8)
    sock.sendall(start(nested(10000)))
    sock.recv(1)


def amqp_headers(sock, file):
    """So do the headers of a message that it gives back."""
    until_published(sock, file)
    sock.sendall(returned(rest=b"\x20\x00" + nested(10000)) + ack(1))
    sock.recv(1)


def amqp_class(sock, file):
    """The properties of that message are another class's."""
    until_published(sock, file)
    sock.sendall(returned(kind=10))
    time.sleep(20)


def amqp_body(sock, file):
    """That message is larger than the program's memory."""
    until_published(sock, file)
    pieces = 10000
    sock.sendall(returned(size=pieces * FRAME))
    for _ in range(pieces):
        sock.sendall(frame(BODY, 1, b"x" * FRAME))
    sock.sendall(ack(1))
    sock.recv(1)


def amqp_channels(sock, file):
    """It speaks on channels that nobody has opened."""
    until_published(sock, file)
    for channel in range(64, 65536):
        sock.sendall(method(channel, (20, 20), b"\x01"))
    sock.recv(1)


def amqp_acks(sock, file):
    """It confirms, and confirms, and confirms."""
    until_published(sock, file)
    while True:
        sock.sendall(ack(2, 1) * 1000)


def amqp_slow(sock, file):
    """It confirms, begins a message and takes its time for it."""
    until_published(sock, file)
    sock.sendall(ack(1) + returned(size=1000))
    while True:
        time.sleep(5)
        sock.sendall(frame(BODY, 1, b"x"))


def amqp_silent(sock, file):
    until_published(sock, file)
    sock.recv(1)
    time.sleep(600)


def amqp_fine(sock, file):
    until_published(sock, file)
    sock.sendall(ack(1))
    sock.recv(1)


def packet(payload):
    padding = 8 - (len(payload) + 5) % 8
    padding += 8 if padding < 4 else 0
    return struct.pack(">IB", len(payload) + padding + 1, padding) + payload + b"\0" * padding


def ssh_packets(sock, file):
    """Instead of its keys it sends packets that nobody has asked for."""
    sock.sendall(b"SSH-2.0-none\r\n")
    file.readline()
    while True:
        sock.sendall(packet(b"\xc0" + b"x" * 32700) * 8)


def ssh_lines(sock, file):
    """It never comes to the line with its version."""
    while True:
        sock.sendall(b"hello\r\n" * 10000)


def serve(way, sock):
    try:
        way(sock, sock.makefile("rb"))
    except (OSError, struct.error):
        pass                    # he has left
    sock.close()


def accept(way, listener):
    while True:
        threading.Thread(target=serve, args=(way, listener.accept()[0]), daemon=True).start()


ports = {}
for name, way in list(globals().items()):
    if name.startswith(("amqp_", "ssh_")):
        listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        ports[name] = listener.getsockname()[1]
        threading.Thread(target=accept, args=(way, listener), daemon=True).start()
print(json.dumps(ports), flush=True)
sys.stdin.read()
