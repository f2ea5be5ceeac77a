# SPDX-License-Identifier: MIT
"""What the end-to-end tests share: heddle-serve as a child process, curl, a bare socket, and main().

A test file is run as `FILE --server PATH --reactor epoll|uring [--out DIR] [--client PATH] [NAME...]`.
"""
import argparse
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

# Nothing here takes so long. Without it, a server that hangs would hold the test up to ctest's own time-out.
PATIENCE = 30

libc = ctypes.CDLL(None, use_errno=True)


class settings:
    server = ""
    reactor = ""
    out = ""
    client = ""


def die_with_parent():
    """In the child: no server outlives a test that was killed."""
    PR_SET_PDEATHSIG = 1
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def environment(**changes):
    env = dict(os.environ)
    env.pop("HEDDLE_REACTOR", None)
    env["HEDDLE_STALL_LIMIT"] = "0"  # on a busy machine a step may take long, and tests read all of stderr
    symbolizer = "external_symbolizer_path=/usr/lib/llvm-19/bin/llvm-symbolizer"
    env.setdefault("ASAN_OPTIONS", "detect_stack_use_after_return=1:" + symbolizer)
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:" + symbolizer)
    suppressions = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tsan_suppressions")
    env.setdefault("TSAN_OPTIONS", "halt_on_error=1:second_deadlock_stack=1:print_suppressions=0:"
                   f"suppressions={suppressions}:{symbolizer}")
    env.update(changes)
    return env


class Server:
    """A running heddle-serve. `lines` are what it printed up to and with the reactor it uses."""

    def __init__(self, *options, reactor=None, loops=2, env=None, before_exec=None):
        def in_child():
            die_with_parent()
            if before_exec:
                before_exec()

        self.errors = tempfile.TemporaryFile()
        command = [settings.server, "--port", "0", "--loops", str(loops),
                   "--reactor", reactor or settings.reactor, *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.errors,
                                        env=environment(**(env or {})), preexec_fn=in_child)
        self.watchdog = threading.Timer(PATIENCE, self.process.kill)
        self.watchdog.start()
        self.lines = []
        self.scheme, self.port = "", 0
        while not any(re.match(r"\d+ loops?, reactor ", line) for line in self.lines):
            line = self.process.stdout.readline().decode()
            if not line:
                break
            self.lines.append(line.rstrip("\n"))
            if found := re.match(r"listening on (https?)://127\.0\.0\.1:(\d+)/$", line):
                self.scheme, self.port = found[1], int(found[2])
        self.watchdog.cancel()
        if not self.port:
            status, _, errors = self.end()
            raise AssertionError(f"the server did not start: status {status}, said {self.lines}\n{errors}")

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def read_line(self):
        return self.process.stdout.readline().decode().rstrip("\n")

    def end(self):
        """Waits for its end: the exit status, the rest of its output, and its errors."""
        watchdog = threading.Timer(PATIENCE, self.process.kill)
        watchdog.start()
        rest = self.process.stdout.read().decode()
        status = self.process.wait()
        watchdog.cancel()
        self.process.stdout.close()
        self.errors.seek(0)
        errors = self.errors.read().decode(errors="replace")
        self.errors.close()
        return status, rest, errors

    def kill(self):
        """For the case that a test failed half-way."""
        if self.process.returncode is None:
            self.process.kill()
            self.process.wait()


class ServedTest(unittest.TestCase):
    """Tests on one server, which stops as it should in the end and has nothing to complain of."""
    options = ()
    loops = 2

    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="heddle-e2e-")
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)
        cls.prepare()
        cls.server = Server(*cls.options, loops=cls.loops)
        cls.addClassCleanup(cls.server.kill)

    @classmethod
    def prepare(cls):
        pass

    @classmethod
    def may_say(cls, errors):
        """True: the tests have caused all of what the server complained of."""
        return not errors

    @classmethod
    def tearDownClass(cls):
        cls.server.signal()
        status, _, errors = cls.server.end()
        if status != 0 or not cls.may_say(errors):
            raise AssertionError(f"the server ended with status {status} and said:\n{errors}")

    def curl(self, path, *options):
        return curl(self.server.url + path, *options)

    def wire(self):
        wire = Wire(self.server.port)
        self.addCleanup(wire.close)
        return wire


class Answer:
    def __init__(self, head, body):
        first, *fields = head.decode("latin-1").split("\r\n")
        self.line = first
        self.version, status, *_ = first.split(" ", 2)
        self.status = int(status)
        self.fields = [(name.lower(), value.strip())
                       for name, _, value in (field.partition(":") for field in fields)]
        self.body = body

    def __getitem__(self, name):
        values = [value for key, value in self.fields if key == name.lower()]
        return ", ".join(values) if values else None

    @property
    def text(self):
        return self.body.decode()


def curl(url, *options):
    """The last answer that curl got."""
    with tempfile.TemporaryDirectory() as d:
        # -q: nobody's .curlrc; --path-as-is: dots go out as they are written.
        command = ["curl", "-q", "-sS", "--noproxy", "*", "--max-time", str(PATIENCE), "--path-as-is",
                   "-D", d + "/head", "-o", d + "/body", *options, url]
        done = subprocess.run(command, stderr=subprocess.PIPE)
        if done.returncode != 0:
            raise AssertionError(f"curl ended with status {done.returncode}: {done.stderr.decode()}")
        with open(d + "/head", "rb") as f:
            heads = f.read().split(b"\r\n\r\n")
        body = b""
        if "-I" not in options and os.path.exists(d + "/body"):  # with -I curl writes the head there
            with open(d + "/body", "rb") as f:
                body = f.read()
        return Answer(heads[-2], body)


class Wire:
    """A connection on which bytes go out as they are given."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def get(self, path, fields=""):
        self.send(f"GET {path} HTTP/1.1\r\nHost: here\r\n{fields}\r\n")
        return self.answer()

    def _more(self):
        piece = self.socket.recv(65536)
        self.buffer += piece
        return bool(piece)

    def _until(self, mark):
        while mark not in self.buffer:
            if not self._more():
                raise AssertionError(f"the connection ended, after {self.buffer!r}")
        text, _, self.buffer = self.buffer.partition(mark)
        return text

    def _exactly(self, n):
        while len(self.buffer) < n:
            if not self._more():
                raise AssertionError(f"the connection ended, {n} bytes wanted, after {self.buffer!r}")
        text, self.buffer = self.buffer[:n], self.buffer[n:]
        return text

    def answer(self, to_head=False):
        """The next answer, 1xx included."""
        answer = Answer(self._until(b"\r\n\r\n"), b"")
        if to_head or answer.status < 200 or answer.status in (204, 304):
            return answer
        if answer["transfer-encoding"] == "chunked":
            while size := int(self._until(b"\r\n"), 16):
                answer.body += self._exactly(size)
                self._exactly(2)
            self._until(b"\r\n")
        elif answer["content-length"] is not None:
            answer.body = self._exactly(int(answer["content-length"]))
        else:
            answer.body = self.rest()
        return answer

    def rest(self):
        """All that comes until the server ends the connection."""
        while self._more():
            pass
        text, self.buffer = self.buffer, b""
        return text


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", required=True)
    parser.add_argument("--reactor", required=True, choices=["epoll", "uring"])
    parser.add_argument("--out", default="", help="a directory for what people may want to look at")
    parser.add_argument("--client", default="", help="a program that gets a URL: tools/examples/https_get.cpp")
    arguments, names = parser.parse_known_args()
    settings.server, settings.reactor = arguments.server, arguments.reactor
    settings.out, settings.client = arguments.out, arguments.client
    unittest.main(module="__main__", argv=[sys.argv[0], *names], verbosity=2)
