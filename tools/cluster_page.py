# SPDX-License-Identifier: MIT
"""`tools/cluster top --page`: what ps shows, as a page that looks again each second."""
import http.server
import json
import re
import signal
import sys
import threading
import time
from pathlib import Path

from cluster_nats import Failed

FRESH = 0.5  # seconds for which all pages are shown one look
POLICY = ("default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:; "
          "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")


class Looker:
    """One connection for all pages, made again when it is lost."""

    def __init__(self, connect, look):
        self.connect, self.look = connect, look
        self.nats, self.seen, self.time = None, None, 0.0
        self.lock = threading.Lock()

    def state(self):
        """(status, what is shown)"""
        with self.lock:
            if self.seen is None or time.monotonic() - self.time > FRESH:
                try:
                    self.nats = self.nats or self.connect()
                    self.seen = 200, self.look(self.nats)
                except (Failed, OSError) as e:
                    self.nats, self.seen = None, (503, {"error": str(e)})
                self.time = time.monotonic()
            return self.seen


def handler_of(looker):
    page = Path(__file__).with_name("cluster_page.html").read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/":
                self.answer(200, "text/html; charset=utf-8", page)
            elif self.path == "/state":
                status, shown = looker.state()
                self.answer(status, "application/json", json.dumps(shown).encode())
            else:
                self.answer(404, "text/plain", b"there are / and /state\n")

        def answer(self, status, kind, body):
            self.send_response(status)
            for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), ("Cache-Control", "no-store"),
                                ("Content-Security-Policy", POLICY), ("X-Content-Type-Options", "nosniff")):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler


def serve(where, connect, look):
    """Serves until SIGINT or SIGTERM. `connect()` yields a connection, `look(connection)` what is shown."""
    m = re.fullmatch(r"(.*):(\d{1,5})", where)
    if not m or int(m[2]) > 65535:
        raise Failed(f"--page takes HOST:PORT, not \"{where}\"")
    try:
        server = http.server.ThreadingHTTPServer((m[1].strip("[]"), int(m[2])), handler_of(Looker(connect, look)))
    except OSError as e:
        raise Failed(f"--page {where}: {e.strerror or e}") from None
    server.daemon_threads = True
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"http://{server.server_address[0]}:{server.server_address[1]}/ shows the cluster", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    server.server_close()
    sys.stdout.flush()
