#!/usr/bin/env python3
"""An SMTP server that keeps what it is given, and one that a client must survive.

    smtp_server.py --output FILE [--certificate FILE [--implicit]] [--password WORD] [--hostile KIND]

Prints its port on a line of its own, then serves until its standard input ends (so that it never outlives the test that
started it).  For each message it appends a line of JSON to the file: the envelope, what Python's email package reads in the
message, the message as it came, and whether it came over TLS, from whom.

Recipients that begin with "nobody" are refused.  With a certificate (and its key in the same file) it offers STARTTLS, or
with --implicit speaks TLS from the start.  With a password it wants everybody to log in.  KIND: `flood` says 220- for ever,
`silence` says nothing, `garbage` says what is no SMTP, and goes.
"""
import argparse
import asyncio
import base64
import email
import email.policy
import json
import ssl
import sys
import threading

from aiosmtpd.smtp import SMTP, AuthResult


class Keeper:
    def __init__(self, path):
        self.path = path

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody"):
            return "550 5.1.1 nobody by that name here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        parts = {p.get_content_subtype(): p.get_content() for p in message.walk() if not p.is_multipart()}
        kept = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "headers": {name.lower(): str(value) for name, value in message.items()},
            "names": len(message.items()),
            "type": message.get_content_type(),
            "parts": parts,
            "raw": envelope.content.decode("ascii"),
            "tls": session.ssl is not None or server.transport.get_extra_info("sslcontext") is not None,
            "user": session.auth_data.decode() if session.auth_data else None,
        }
        with open(self.path, "a") as f:
            f.write(json.dumps(kept) + "\n")
        return "250 OK"


def authenticator(password):
    def check(server, session, envelope, mechanism, data):
        ok = data.password == password.encode()
        # As servers do that tell everybody what they were sent.
        sent = " ".join(base64.b64encode(text).decode() for text in (data.password, b"\0%s\0%s" % (data.login, data.password)))
        return AuthResult(success=ok, handled=False, auth_data=data.login if ok else None, message=None if ok else "535 5.7.8 not " + sent)
    return check


async def hostile(kind, reader, writer):
    try:
        if kind == "flood":
            while True:
                writer.write(b"220-" + b"x" * 900 + b"\r\n")
                await writer.drain()
        if kind == "garbage":
            writer.write(bytes(range(256)) * 4)
            await writer.drain()
            return
        await reader.read()
    except OSError:
        pass
    finally:
        writer.close()


async def serve(options):
    context = None
    if options.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate)
    implicit = context if options.implicit else None
    if options.hostile:
        server = await asyncio.start_server(lambda r, w: hostile(options.hostile, r, w), "127.0.0.1", 0)
    else:
        auth = {"authenticator": authenticator(options.password), "auth_required": True,
                "auth_require_tls": not options.implicit} if options.password else {}
        server = await asyncio.get_running_loop().create_server(
            lambda: SMTP(Keeper(options.output), hostname="mail.test", tls_context=None if implicit else context,
                         decode_data=False, **auth), "127.0.0.1", 0, ssl=implicit)
    print(server.sockets[0].getsockname()[1], flush=True)
    gone = asyncio.Event()
    loop = asyncio.get_running_loop()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(gone.set)), daemon=True).start()
    await gone.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--output")
    parser.add_argument("--certificate")
    parser.add_argument("--implicit", action="store_true")
    parser.add_argument("--password")
    parser.add_argument("--hostile")
    asyncio.run(serve(parser.parse_args()))


main()
