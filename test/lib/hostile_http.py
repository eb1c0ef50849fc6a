#!/usr/bin/env python3
"""An HTTP server that answers in every way that a client must survive.

    hostile_http.py [--address 127.0.0.1] [--port 0] [--certificate FILE] [--keep FILE]

Prints its port on a line of its own, then serves until it is killed or its
standard input ends (so that it never outlives the test that started it).

The first part of the path names the case, what follows are its arguments:
/status/503, /delay/1.5, /huge/50.  CASES lists them.  With a certificate (and
its key in the same file) it speaks TLS.  It takes a proxy's requests for its own.  /echo gives back the
request as JSON, /hits says how many requests came (without those for /hits).
--keep adds each request to a file, a line of JSON each.
"""

import argparse
import ctypes
import functools
import gzip
import hashlib
import json
import os
import socket
import socketserver
import ssl
import struct
import sys
import threading
import time
import urllib.parse
import urllib.request
import zlib

CASES = {}
hits_lock = threading.Lock()
state = threading.local()       # of the connection that a thread serves
released = threading.Event()    # those that are stuck give up



def case(function):
    """Registers a case under its function's name, with dashes."""
    CASES[function.__name__.strip("_").replace("_", "-")] = function
    return function


class Request:
    """A request that was read from its socket."""

    def __init__(self, line, headers, body):
        self.method, self.target = (line.split(" ") + ["", ""])[:2]
        self.headers = headers
        self.body = body
        path, _, self.query = self.target.partition("?")
        if "://" in path:           # what a client asks of a proxy
            path = "/" + path.split("://", 1)[1].partition("/")[2]
        self.parts = path.strip("/").split("/")
        self.parameters = dict(urllib.parse.parse_qsl(self.query))

    def argument(self, default):
        """The path's second part, as a value of the default's type."""
        return type(default)(self.parts[1]) if len(self.parts) > 1 else default

    def header(self, name):
        for key, value in self.headers:
            if key.lower() == name.lower():
                return value
        return None


def head(status=200, reason="OK", headers=(), length=None):
    lines = ["HTTP/1.1 %d %s" % (status, reason)]
    lines += ["%s: %s" % pair for pair in headers]
    if length is not None:
        lines.append("Content-Length: %d" % length)
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def answer(sock, body=b"", status=200, reason="OK", content_type=None, headers=(), request=None):
    headers = list(headers)
    if content_type:
        headers.insert(0, ("Content-Type", content_type))
    data = head(status, reason, headers, len(body))
    if request is None or request.method != "HEAD":
        data += body
    sock.sendall(data)
    state.keep = True           # a complete answer: the connection may serve another request


def described(request):
    return {
        "method": request.method,
        "target": request.target,
        "headers": {key.lower(): value for key, value in request.headers},
        "body": request.body.decode("utf-8", "replace"),
    }


@case
def echo(sock, request):
    answer(sock, json.dumps(described(request)).encode(), content_type="application/json", request=request)


@case
def forbid(sock, request):
    answer(sock, json.dumps(described(request)).encode(), 403, "Forbidden", "application/json")


@case
def digest(sock, request):
    """Digest authentication (RFC 7616, MD5, qop=auth) of ann with the password "secret"."""
    fields = dict(urllib.request.parse_keqv_list(urllib.request.parse_http_list(
        (request.header("Authorization") or "").partition("Digest ")[2])))

    def md5(text):
        return hashlib.md5(text.encode()).hexdigest()

    made = md5(":".join((md5("ann:here:secret"), fields.get("nonce", ""), fields.get("nc", ""), fields.get("cnonce", ""),
                         fields.get("qop", ""), md5("%s:%s" % (request.method, request.target)))))
    if fields.get("nonce") == "once" and fields.get("response") == made:
        echo(sock, request)
    else:
        answer(sock, b"who?", 401, "Unauthorized", "text/plain",
               headers=(("WWW-Authenticate", 'Digest realm="here", nonce="once", qop="auth"'),))


@case
def hits(sock, request):
    answer(sock, str(served()).encode(), content_type="application/json")


@case
def status(sock, request):
    answer(sock, b'{"status": "given"}', request.argument(200), "Some Reason", "application/json")


@case
def delay(sock, request):
    time.sleep(request.argument(1.0))
    answer(sock, b'"late"', content_type="application/json")


@case
def silence(sock, request):
    time.sleep(600)


@case
def close(sock, request):
    pass


@case
def slow_headers(sock, request):
    for byte in head(200, "OK", [("X-Slow", "x" * 600)], 0):
        sock.sendall(bytes([byte]))
        time.sleep(0.5)


@case
def slow_body(sock, request):
    sock.sendall(head(length=600))
    for _ in range(600):
        sock.sendall(b"x")
        time.sleep(0.5)


@case
def reset(sock, request):
    sock.sendall(head(length=1000) + b"x" * 100)
    time.sleep(0.1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@case
def truncated(sock, request):
    sock.sendall(head(length=100) + b"only this")


@case
def huge(sock, request):
    megabytes = request.argument(100)
    sock.sendall(head(headers=[("Content-Type", "text/plain")]))
    for _ in range(megabytes * 16):
        sock.sendall(b"x" * 65536)


@case
def huge_length(sock, request):
    sock.sendall(head(length=10 ** 12) + b"x" * 100)
    time.sleep(600)


@case
def stuck(sock, request):
    sock.sendall(head(length=10 ** 12) + b"x" * request.argument(900000))
    released.wait(600)


@case
def release(sock, request):
    released.set()
    answer(sock, b'"released"', content_type="application/json")


@case
def sized(sock, request):
    answer(sock, b"x" * request.argument(1000), content_type="text/plain")


def bomb(megabytes):
    """Zeros compressed by gzip: a thousandth of their size."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    for _ in range(megabytes):
        yield packer.compress(bytes(1024 * 1024))
    yield packer.flush()


@case
def gzip_bomb(sock, request):
    sock.sendall(head(headers=[("Content-Encoding", "gzip"), ("Content-Type", "text/plain")]))
    for piece in bomb(request.argument(1000)):
        sock.sendall(piece)


@functools.lru_cache(maxsize=None)
def deflated(megabytes):
    return zlib.compress(bytes(1024 * 1024 * megabytes), 9)


@case
def deflate_bomb(sock, request):
    answer(sock, deflated(request.argument(1000)), headers=[("Content-Encoding", "deflate"), ("Content-Type", "text/plain")])


@functools.lru_cache(maxsize=None)
def brotli_packed(megabytes):
    """By brotli's library, which libcurl may have been built with; None where it is not there."""
    plain = bytes(1024 * 1024 * megabytes)
    packed = ctypes.create_string_buffer(1024 * 1024)
    length = ctypes.c_size_t(len(packed))
    try:
        compress = ctypes.CDLL("libbrotlienc.so.1").BrotliEncoderCompress
    except OSError:
        return None
    compress(5, 24, 0, ctypes.c_size_t(len(plain)), plain, ctypes.byref(length), packed)
    return packed.raw[:length.value]


@case
def br_bomb(sock, request):
    packed = brotli_packed(request.argument(100))
    if packed is None:
        answer(sock, b"no brotli", 404, "Not Found", "text/plain")
    else:
        answer(sock, packed, headers=[("Content-Encoding", "br"), ("Content-Type", "text/plain")])


@functools.lru_cache(maxsize=None)
def gzipped_twice(megabytes):
    return gzip.compress(b"".join(bomb(megabytes)))


@case
def gzip_twice(sock, request):
    answer(sock, gzipped_twice(request.argument(200)), headers=[("Content-Encoding", "gzip, gzip")])


@case
def gzip_good(sock, request):
    answer(sock, gzip.compress(b'{"packed": true}'), content_type="application/json", headers=[("Content-Encoding", "gzip")])


@case
def gzip_broken(sock, request):
    answer(sock, b"\x1f\x8b\x08\x00 this is not gzip", headers=[("Content-Encoding", "gzip")])


@case
def chunked(sock, request):
    sock.sendall(head(headers=[("Transfer-Encoding", "chunked"), ("Content-Type", "text/plain")]))
    sock.sendall(b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")


@case
def chunked_endless(sock, request):
    sock.sendall(head(headers=[("Transfer-Encoding", "chunked")]))
    while True:
        sock.sendall(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")


@case
def chunked_garbage(sock, request):
    sock.sendall(head(headers=[("Transfer-Encoding", "chunked")]) + b"zzz\r\nhello\r\n")


@case
def garbage(sock, request):
    sock.sendall(b"\x00\x01\x02 this is no HTTP at all\r\n\r\n")


@case
def redirect(sock, request):
    answer(sock, b"", request.argument(302), "Moved", headers=[("Location", request.parameters["to"])])


@case
def redirect_loop(sock, request):
    answer(sock, b"", 302, "Found", headers=[("Location", "/redirect-loop")])


@case
def redirect_chain(sock, request):
    left = request.argument(3)
    if left == 0:
        answer(sock, b'"arrived"', content_type="application/json")
    else:
        answer(sock, b"", 302, "Found", headers=[("Location", "/redirect-chain/%d" % (left - 1))])


@case
def redirect_nowhere(sock, request):
    answer(sock, b"no location", 302, "Found", content_type="text/plain")


@case
def invalid_utf8(sock, request):
    answer(sock, b"caf\xe9 \xff\xfe", content_type="text/plain; charset=utf-8")


@case
def binary(sock, request):
    answer(sock, bytes(range(256)), content_type="application/octet-stream")


@case
def nul(sock, request):
    answer(sock, b"before\x00after", content_type="text/plain; charset=utf-8")


@case
def latin1(sock, request):
    answer(sock, "caf\u00e9".encode("latin-1"), content_type="text/plain; charset=ISO-8859-1")


@case
def latin1_undeclared(sock, request):
    answer(sock, "caf\u00e9".encode("latin-1"), content_type="text/plain")


@case
def utf8_undeclared(sock, request):
    answer(sock, "caf\u00e9".encode("utf-8"), content_type="text/plain")


@case
def windows1252(sock, request):
    answer(sock, b"\x80 \x81", content_type="text/plain; charset=windows-1252")


@case
def charset_unknown(sock, request):
    answer(sock, b"plain", content_type="text/plain; charset=no-such-charset")


@case
def utf16(sock, request):
    answer(sock, '{"a": 1}'.encode("utf-16"), content_type="application/json; charset=utf-16")


@case
def bom(sock, request):
    answer(sock, b'\xef\xbb\xbf{"a": 1}', content_type="application/json")


@case
def json_plain(sock, request):
    answer(sock, b'  {"a": [1, 2.50, null, true, "x"]}\n', content_type="text/plain")


@case
def json_number(sock, request):
    answer(sock, b"5", content_type="text/plain")


@case
def json_nul(sock, request):
    answer(sock, b'{"a": "x\\u0000y"}', content_type="application/json")


@case
def json_surrogate(sock, request):
    answer(sock, b'{"a": "\\ud800"}', content_type="application/json")


@case
def json_broken(sock, request):
    answer(sock, b'{"a": 1', content_type="application/json")


@case
def json_deep(sock, request):
    depth = request.argument(100000)
    answer(sock, b"[" * depth + b"]" * depth, content_type="application/json")


@case
def json_exponent(sock, request):
    answer(sock, b'[1e131000, 1e-16000, 1e99999999999]', content_type="application/json")


@case
def json_digits(sock, request):
    digits = request.argument(200000)
    sock.sendall(head(headers=[("Content-Type", "application/json")], length=digits))
    for begin in range(0, digits, 65536):
        sock.sendall(b"9" * min(65536, digits - begin))


@case
def json_nul_deep(sock, request):
    answer(sock, b'{"a": [{"b\\u0000": "\\ud83d"}]}', content_type="application/json")


@case
def json_many(sock, request):
    answer(sock, b"[" + b"1," * request.argument(1000) + b"1]", content_type="application/json")


@case
def json_duplicates(sock, request):
    answer(sock, b'{"a": 1, "a": 2}', content_type="application/json")


@case
def header_big(sock, request):
    answer(sock, b"", headers=[("X-Big", "x" * 1024 * request.argument(1000))])


@case
def header_many(sock, request):
    answer(sock, b"", headers=[("X-%d" % i, "v") for i in range(request.argument(10000))])


@case
def header_odd(sock, request):
    sock.sendall(b"HTTP/1.1 200 caf\xe9\r\nX-Two: 1\r\nx-two: 2\r\nX-Fold: a\r\n  b\r\nX-Latin: \xe9\r\n"
                 b"X-Empty:\r\nContent-Length: 0\r\n\r\n")


@case
def header_no_colon(sock, request):
    sock.sendall(b"HTTP/1.1 200 OK\r\nno colon here\r\nContent-Length: 0\r\n\r\n")


@case
def header_injection(sock, request):
    sock.sendall(b"HTTP/1.1 200 OK\r\nX-One: a\nX-Two: b\rX-Three: c\r\nContent-Length: 0\r\n\r\n")


@case
def header_nul(sock, request):
    sock.sendall(b"HTTP/1.1 200 OK\r\nX-Nul: a\x00b\r\nContent-Length: 0\r\n\r\n")


@case
def informational(sock, request):
    sock.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
    answer(sock, b'"after"', content_type="application/json")


@case
def informational_flood(sock, request):
    while True:
        sock.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 100)


@case
def cookies(sock, request):
    answer(sock, json.dumps(request.header("Cookie")).encode(), content_type="application/json",
           headers=[("Set-Cookie", "first=1; Path=/"), ("Set-Cookie", "second=two; Path=/; HttpOnly"),
                    ("Set-Cookie", "foreign=x; Domain=example.com"), ("Set-Cookie", "old=x; Max-Age=0")])


@case
def cookies_redirect(sock, request):
    answer(sock, b"", 302, "Found", headers=[("Set-Cookie", "hop=1; Path=/"), ("Location", "/echo")])


@case
def no_content(sock, request):
    sock.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")


@case
def no_content_with_body(sock, request):
    sock.sendall(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello")


@case
def basic(sock, request):
    given = request.header("Authorization")
    answer(sock, json.dumps(given).encode(), 200 if given else 401, "Asked", "application/json",
           headers=[("WWW-Authenticate", 'Basic realm="x"')])


def served():
    with hits_lock:
        return served.count


served.count = 0
served.keep = None


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            state.keep = True
            while state.keep:
                request = self.read_request()
                if request is None:
                    return
                self.serve(request)
        except OSError:
            pass

    def serve(self, request):
        state.keep = False
        if request.parts[0] != "hits":
            with hits_lock:
                served.count += 1
                if served.keep:
                    served.keep.write(json.dumps(described(request)) + "\n")
                    served.keep.flush()
        function = CASES.get(request.parts[0])
        if function:
            function(self.request, request)
        else:
            answer(self.request, b"no such case", 404, "Not Found", "text/plain")

    def read_request(self):
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self.request.recv(65536)
            if not piece:
                return None
            data += piece
        text, _, body = data.partition(b"\r\n\r\n")
        lines = text.decode("utf-8", "replace").split("\r\n")
        headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:] if ":" in line]
        request = Request(lines[0], headers, b"")
        length = int(request.header("Content-Length") or 0)
        while len(body) < length:
            piece = self.request.recv(65536)
            if not piece:
                return None
            body += piece
        request.body = body
        return request


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 1024

    def handle_error(self, request, client_address):
        """A client that leaves in the middle is what this server is for."""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--certificate")
    parser.add_argument("--keep")
    options = parser.parse_args()
    if options.keep:
        served.keep = open(options.keep, "a")
    server = Server((options.address, options.port), Handler)
    if options.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    while sys.stdin.buffer.read(1):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
