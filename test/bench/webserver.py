"""A private nginx on a loopback port, and libcurl's own cost of asking it."""
import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time

from rows import NotRun

CONF = """
daemon off; worker_processes 1; pid {d}/pid; error_log {d}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s;
  client_body_temp_path {d}/1; proxy_temp_path {d}/2; fastcgi_temp_path {d}/3; uwsgi_temp_path {d}/4; scgi_temp_path {d}/5;
  server {{ listen 127.0.0.1:{port}; location / {{ default_type application/json; return 200 '{{"ok": true, "n": 1, "text": "a small answer"}}'; }} }}
}}
"""


def _free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def nginx():
    """Its URL, while it runs."""
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if program is None:
        raise NotRun("nginx is not installed")
    port = _free_port()
    with tempfile.TemporaryDirectory() as d:
        os.chmod(d, 0o755)
        with open(d + "/conf", "w") as f:
            f.write(CONF.format(d=d, port=port))
        p = subprocess.Popen([program, "-e", d + "/error.log", "-p", d, "-c", d + "/conf"], stderr=subprocess.DEVNULL)
        try:
            end = time.monotonic() + 20
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    if time.monotonic() > end or p.poll() is not None:
                        raise NotRun("nginx did not start")
                    time.sleep(0.05)
            yield "http://127.0.0.1:%d/" % port
        finally:
            p.terminate()
            p.wait()


def curl_floor(url, flight, n):
    """Microseconds of CPU per request of a program that does nothing but ask, with libcurl's multi interface."""
    program = os.environ.get("BENCH_CURL_FLOOR")
    if not program:
        raise NotRun("the program that asks with libcurl alone is not built")
    out = subprocess.run([program, url, str(flight), str(n)], capture_output=True, text=True, timeout=120)
    if out.returncode != 0:
        raise RuntimeError("curl_floor: " + out.stderr.strip())
    return float(out.stdout)
