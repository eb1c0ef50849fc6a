#!/usr/bin/env python3
"""What goes wrong below HTTP: silence, TLS, HTTP/2 frames, name servers, and a trap for what must not be reached.

    hostile_net.py [--certificates DIRECTORY] [--names]

Prints the ports as a line of JSON, then serves until its standard input ends.  A line of JSON with the counts comes
for each line that is read there, and from the port "control" (what connects gives a line, too); "release" closes
the connections of those that are silent, "reset" resets those of HTTP/2, after a
    ping that nobody has read yet.

    silence     takes connections on every address, reads, and says nothing
    trap        answers on every address, and counts connections by the address that was asked for
    tls_silence takes connections, and never answers the handshake
    tls_stalled TLS, and then silence
    tls_NAME    TLS with NAME.pem of the directory: "good" answers, also to HTTP/2, where the path names a case
    tls_old     TLS 1.0 and nothing newer

--names serves names on 127.0.0.53, port 53: see answer_name().
"""

import argparse
import asyncio
import collections
import json
import os
import socket
import ssl
import struct
import sys
import threading

counts = collections.Counter()
silent = set()
speaking = set()                    # HTTP/2
asked = collections.Counter()       # how often each name was asked for
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nok"
PUBLIC = "203.0.113.5"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

# HTTP/2: types of frames
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9


def local(writer):
    return writer.get_extra_info("sockname")[0].replace("::ffff:", "")


async def silence(reader, writer):
    counts["silence"] += 1
    silent.add(writer)
    try:
        counts["requests"] += bool(await reader.read(65536))
        while await reader.read(65536):
            pass
    finally:
        silent.discard(writer)
        writer.close()


async def no_handshake(reader, writer):
    while await reader.read(65536):
        pass
    writer.close()


async def trap(reader, writer):
    counts["trap " + local(writer)] += 1
    await plain(reader, writer)


async def plain(reader, writer):
    """An ordinary answer to one request."""
    counts["requests"] += bool((await reader.read(65536)).strip())
    writer.write(OK)
    await writer.drain()
    writer.close()


async def good(reader, writer):
    if writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2":
        speaking.add(writer)
        try:
            await http2(reader, writer)
        finally:
            speaking.discard(writer)
    else:
        await plain(reader, writer)


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


async def http2(reader, writer):
    """HTTP/2 as far as a client with one stream needs it; the path is a letter that says what goes wrong."""
    if await reader.readexactly(len(PREFACE)) != PREFACE:
        return
    writer.write(frame(SETTINGS, 0, 0))
    answered = False
    while True:
        head = await reader.readexactly(9)
        kind, flags, stream = head[3], head[4], struct.unpack(">I", head[5:])[0]
        payload = await reader.readexactly(int.from_bytes(head[:3], "big"))
        if kind == SETTINGS and not flags & 1:
            writer.write(frame(SETTINGS, 1, 0))
        elif kind == HEADERS:
            counts["requests"] += 1
            # S: a connection that answers it once, and then no more
            stuck = b"\x02/S" in payload
            if not (answered and stuck):
                await answer_http2(writer, stream, payload)
            answered |= stuck


async def for_ever(writer, data):
    """Until the client leaves, which is noticed in the pauses."""
    while not writer.is_closing():
        writer.write(data)
        await writer.drain()
        await asyncio.sleep(0.001)


async def answer_http2(writer, stream, head):
    # So short a path is not compressed: its length and its text are there as they are.
    case = next((letter for letter in "RCDPG" if b"\x02/" + letter.encode() in head), None)
    status = b"\x88"            # :status 200 in HPACK's static table
    if case is None:
        writer.write(frame(HEADERS, 4, stream, status) + frame(DATA, 1, stream, b"ok"))
    elif case == "R":       # streams that are reset
        writer.write(frame(RST_STREAM, 0, stream, struct.pack(">I", 11)) * 10000)
    elif case == "C":       # a head that has no end
        writer.write(frame(HEADERS, 0, stream, status))
        await for_ever(writer, frame(CONTINUATION, 0, stream, b"\x00\x01a\x01b") * 100)
    elif case == "D":       # empty pieces of a body that has no end
        writer.write(frame(HEADERS, 4, stream, status))
        await for_ever(writer, frame(DATA, 0, stream) * 100)
    elif case == "P":       # questions that want answers
        await for_ever(writer, frame(PING, 0, 0, b"12345678") * 100)
    else:                       # goodbye
        writer.write(frame(GOAWAY, 0, 0, struct.pack(">II", 0, 11)))
    await writer.drain()


def encode_name(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"


def answer_name(name, kind):
    """What a name stands for: a list of (type, data), None for no answer at all, or a code of failure."""
    label = name.split(".")[0].lower()
    asked[label, kind] += 1
    if label == "silent":
        return None
    if label in ("nowhere", "broken"):
        return 3 if label == "nowhere" else 2
    addresses = {
        "public": [PUBLIC], "metadata": ["169.254.169.254"], "loopback": ["127.0.0.1"],
        "both": ["127.0.0.1", PUBLIC], "thousand": ["10.%d.%d.1" % (i // 250, i % 250) for i in range(1000)],
        # The first look is innocent, those that follow lead to where nobody may go.
        "rebind": [PUBLIC if asked[label, kind] == 1 else "127.0.0.1"],
    }.get(label, [])
    if label == "alias":
        return [(5, encode_name("loopback.test"))] + ([(1, socket.inet_aton("127.0.0.1"))] if kind == 1 else [])
    if kind == 28:
        return [(28, socket.inet_pton(socket.AF_INET6, "::ffff:127.0.0.1"))] if label == "mapped" else []
    return [(1, socket.inet_aton(address)) for address in addresses] if kind == 1 else []


def reply(query, limit):
    """The answer to a packet, or None."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1"))
        at += 1 + query[at]
    question = query[12:at + 5]
    found = answer_name(".".join(labels), struct.unpack(">H", query[at + 1:at + 3])[0])
    if found is None:
        return None
    code, found = (found, []) if isinstance(found, int) else (0, found)
    body, owner = b"", b"\xc0\x0c"        # the name that was asked for
    for kind, data in found:
        body += owner + struct.pack(">HHIH", kind, 1, 0, len(data)) + data
        owner = data if kind == 5 else owner
    cut = 12 + len(question) + len(body) > limit
    return query[:2] + struct.pack(">HHHHH", 0x8580 | (0x200 if cut else 0) | code, 1, 0 if cut else len(found), 0, 0) \
        + question + (b"" if cut else body)


class Names(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, source):
        answer = reply(data, 512)
        if answer:
            self.transport.sendto(answer, source)


async def names_by_tcp(reader, writer):
    while True:
        length = struct.unpack(">H", await reader.readexactly(2))[0]
        answer = reply(await reader.readexactly(length), 65535)
        if answer:
            writer.write(struct.pack(">H", len(answer)) + answer)


def command(line):
    if line.strip() == "release":
        for writer in list(silent):
            writer.transport.abort()
    elif line.strip() == "reset":
        for writer in list(speaking):
            writer.write(frame(PING, 0, 0, b"12345678"))
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
    return json.dumps(dict(counts, silent=len(silent), asked=sum(asked.values()))) + "\n"


async def control(reader, writer):
    while line := await reader.readline():
        writer.write(command(line.decode()).encode())
    writer.close()


def quiet(serve):
    """A client that leaves in the middle is what this server is for."""
    async def served(reader, writer):
        try:
            await serve(reader, writer)
        except (OSError, EOFError):
            writer.transport.abort()
    return served


def tls(directory, name, newest=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if newest:
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = newest
    context.load_cert_chain(os.path.join(directory, name + ".pem"))
    if name == "good":
        context.set_alpn_protocols(["h2", "http/1.1"])
    return context


async def listen(serve, context=None, host="0.0.0.0", port=0):
    server = await asyncio.start_server(quiet(serve), host, port, backlog=4096, ssl=context,
                                        ssl_handshake_timeout=600 if context else None)
    return server.sockets[0].getsockname()[1]


async def main(options):
    loop = asyncio.get_running_loop()
    ports = {"silence": await listen(silence), "trap": await listen(trap), "control": await listen(control),
             "tls_silence": await listen(no_handshake)}
    try:
        await listen(trap, host="::1", port=ports["trap"])
    except OSError:
        pass                    # no IPv6 here
    if options.certificates:
        for name in ("good", "expired", "other", "self", "chain"):
            ports["tls_" + name] = await listen(good if name == "good" else plain, tls(options.certificates, name))
        ports["tls_stalled"] = await listen(silence, tls(options.certificates, "good"))
        ports["tls_old"] = await listen(plain, tls(options.certificates, "good", ssl.TLSVersion.TLSv1))
    if options.names:
        await loop.create_datagram_endpoint(Names, local_addr=("127.0.0.53", 53))
        await listen(names_by_tcp, host="127.0.0.53", port=53)
    print(json.dumps(ports), flush=True)

    def follow():
        for line in sys.stdin:
            loop.call_soon_threadsafe(lambda line=line: print(command(line), end="", flush=True))
        os._exit(0)

    threading.Thread(target=follow, daemon=True).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--certificates")
    parser.add_argument("--names", action="store_true")
    asyncio.run(main(parser.parse_args()))
