#SPDX - License - Identifier : MIT
"""What the tests with other programs of HTTP share: http_peer as a server or a client, a local authority, other daemons, and
aiohttp's server with the routes of http_peer.cpp."""
import pathlib
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import zlib

from aiohttp import web

import support

PATTERN = bytes(i % 251 for i in range(251 * 400))


def pattern(n):
    return (PATTERN * (n // len(PATTERN) + 1))[:n]


def sum_of(data):
    return f"{len(data)} {zlib.adler32(data)}"


def prose():
    return "".join(f"line {i} of many\n" for i in range(4000))


def openssl(*words):
    subprocess.run(["openssl", *words], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


class Authority:
    """A certificate for localhost, signed by a local authority."""

    def __init__(self, directory):
        self.ca, self.certificate, self.key = (directory + "/" + name for name in ("ca.pem", "chain.pem", "key.pem"))
        request, ca_key = directory + "/request.pem", directory + "/ca-key.pem"
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        openssl("req", "-x509", *curve, "-days", "2", "-subj", "/CN=heddle test authority", "-addext",
                "keyUsage=critical,keyCertSign", "-keyout", ca_key, "-out", self.ca)
        openssl("req", *curve, "-subj", "/CN=localhost", "-keyout", self.key, "-out", request)
        names = pathlib.Path(directory) / "names"
        names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "2",
                "-extfile", str(names), "-out", self.certificate)


def free_ports(n):
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Relay:
    """Passes bytes on to a port of this machine, and counts the connections."""

    def __init__(self, to):
        self.to, self.count = to, 0
        self.sockets, self.threads = [], []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.accepting = threading.Thread(target=self.accept)
        self.accepting.start()

    def close(self):
        """When those that use it have ended."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.accepting.join()
        for thread in self.threads:
            thread.join()
        for one in self.listener, *self.sockets:
            one.close()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            self.count += 1
            far = socket.create_connection(("127.0.0.1", self.to))
            self.sockets += near, far
            for source, sink in (near, far), (far, near):
                self.threads.append(threading.Thread(target=self.copy, args=(source, sink)))
                self.threads[-1].start()

    @staticmethod
    def copy(source, sink):
        try:
            while piece := source.recv(65536):
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class PeerTest(unittest.TestCase):
    """Each class has one http_peer that serves, plain and by TLS. It must end as it should, and complain of nothing."""
    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory(prefix="heddle-e2e-")
        cls.addClassCleanup(directory.cleanup)
        cls.dir = directory.name
        cls.authority = Authority(cls.dir)
        cls.errors = tempfile.TemporaryFile()
        cls.addClassCleanup(cls.errors.close)
        cls.process = subprocess.Popen(
            [support.settings.client, "serve", support.settings.reactor, cls.authority.certificate, cls.authority.key],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=cls.errors, env=support.environment(),
            preexec_fn=support.die_with_parent)
        cls.addClassCleanup(cls.process.stdout.close)
        cls.addClassCleanup(cls.end)
        cls.watchdog = threading.Timer(4 * support.PATIENCE, cls.process.kill)
        cls.watchdog.start()
        cls.port, cls.tls_port, cls.proxied_port = map(int, cls.process.stdout.readline().split())
        cls.plain = f"http://127.0.0.1:{cls.port}"
        cls.secure = f"https://localhost:{cls.tls_port}"

    @classmethod
    def may_say(cls, line):
        """True: a test has caused this complaint."""
        return False

    @classmethod
    def end(cls):
        cls.process.stdin.close()
        status = cls.process.wait()
        cls.watchdog.cancel()
        cls.errors.seek(0)
        said = [line for line in cls.errors.read().decode(errors="replace").split("\n") if line and not cls.may_say(line)]
        if status != 0 or said:
            raise AssertionError(f"http_peer ended with status {status} and said:\n" + "\n".join(said))

    def call(self, base, proxy="-"):
        """A client asks a server with these routes, directly or through a proxy."""
        done = subprocess.run([support.settings.client, "call", support.settings.reactor, base, self.authority.ca, proxy],
                              capture_output=True, timeout=2 * support.PATIENCE, env=support.environment())
        self.assertEqual((done.stdout.decode(), done.stderr.decode()), ("fine\n", ""), (base, proxy))

    def daemon(self, command, port):
        """Runs another server until the test has ended. Returns when it listens."""
        log = tempfile.TemporaryFile()
        self.addCleanup(log.close)
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   preexec_fn=support.die_with_parent)

        def stop():
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.addCleanup(stop)
        end = time.monotonic() + support.PATIENCE
        while time.monotonic() < end and process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        log.seek(0)
        raise AssertionError(f"{command[0]} does not listen on {port}: {log.read().decode(errors='replace')}")

#-- - aiohttp's server, with the routes of http_peer.cpp ---

async def json_route(request):
    got = await request.json()
    got["seen"] = True
    return web.json_response(got)


async def count(request):
    n, total = 0, 1
    async for piece in request.content.iter_chunked(65536):
        n, total = n + len(piece), zlib.adler32(piece, total)
    return web.Response(text=f"{n} {total}")


async def big(request):
    n = int(request.query["n"])
    answer = web.StreamResponse()
    if "length" in request.query:
        answer.content_length = n
    else:
        answer.enable_chunked_encoding()
    await answer.prepare(request)
    data = pattern(n)
    for at in range(0, n, 50_000):
        await answer.write(data[at:at + 50_000])
    await answer.write_eof()
    return answer


async def text(request):
    answer = web.Response(text=prose())
    answer.enable_compression()
    return answer


async def form(request):
    found = {}
    async for part in await request.multipart():
        data = await part.read()
        found[part.name] = {
  "file" : part.filename, "sum" : sum_of(bytes(data))} if part.filename else data.decode()
    return web.json_response(found)


async def who(request):
    return web.json_response({"method": request.method})


async def cookies(request):
    answer = web.json_response(dict(request.cookies))
    answer.set_cookie("taste", "sweet", path="/")
    return answer


async def moved(request):
    return web.Response(status=int(request.match_info["status"]), headers={"Location": "/who"})


def said(status, text):
    async def answer(request):
        return web.Response(status=status, text=text)
    return answer


def application():
    app = web.Application(client_max_size=64 << 20)
    app.add_routes([web.get("/hello", said(200, "hello")), web.get("/teapot", said(418, "no coffee")),
                    web.post("/json", json_route), web.post("/count", count), web.get("/big", big), web.get("/text", text),
                    web.post("/form", form), web.route("*", "/who", who), web.get("/cookies", cookies),
                    web.route("*", "/moved/{status}", moved)])
    return app
