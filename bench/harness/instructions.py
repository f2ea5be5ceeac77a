# SPDX-License-Identifier: MIT
"""Instructions a request, counted by callgrind: the same on a busy machine as on an idle one.

A program runs twice, with few requests and with many. What the second run has more, divided by the
requests that it has more, is what one costs: starting and ending fall out. Only instructions of
the program count, none of the kernel.
"""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

from harness import build as build_module
from harness import wire
from harness.progress import Progress
from harness.nginx import write_files
from harness.process import free_port

FEW, MANY = 320, 1600  # requests; multiples of the connections
CONNECTIONS = 64
# Callgrind counts each byte that "rep movsb" copies as an instruction. Without it, a copy counts as
# the vector instructions that it takes.
COPIES = {"GLIBC_TUNABLES": "glibc.cpu.x86_rep_movsb_threshold=4294967295:"
                            "glibc.cpu.x86_rep_stosb_threshold=4294967295"}
PATIENCE = 120  # seconds for one program, which callgrind makes some 50 times slower

DESCRIPTION = """Counts by callgrind what instructions a request costs, step by step, in programs of
the bench on one loop over epoll. Each program runs twice, with few requests and with many; the
difference counts. The kernel's instructions are not in it. Repeatable to about 1 % whatever else
the machine does, so it can run on a busy one. Builds without -march=native, since valgrind does not
know every instruction of new processors.
"""


@dataclass(frozen=True)
class Step:
    """`kind` says which side is counted, and what it is asked for `argument`: the request of a
    server, the size of a client's answers."""

    group: str
    title: str
    kind: str  # http, websocket or client
    program: str
    argument: object
    options: tuple = ()

    @property
    def name(self):
        return f"{self.group}/{self.title}"


def _get(path):
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


UPLOAD = (b"POST /upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n"
          b"Content-Length: 1024\r\n\r\n" + b"x" * 1024)
HTTP = (("plaintext", _get("/plaintext")), ("JSON", _get("/json")), ("1 KiB upload", UPLOAD),
        ("one of 100 routes", _get("/api/v1/r57/users/42/posts/7")),
        ("64 KiB file", _get("/files/65536")))
SIZES = ((16, "16 B"), (1024, "1 KiB"), (16384, "16 KiB"))

STEPS = (
    *(Step("http", title, "http", "http_heddle", request) for title, request in HTTP),
    Step("http", "plaintext, bare loop", "http", "reference_server", _get("/plaintext"), ("http",)),
    *(Step("websocket", f"echo {title}", "websocket", "websocket_heddle", size)
      for size, title in SIZES),
    *(Step("websocket", f"echo {title}, bare loop", "websocket", "websocket_reference", size)
      for size, title in SIZES),
    *(Step("client", f"GET {title}, {n} in flight", "client", "client_heddle", size, (n,))
      for n in (1, 64) for size, title in ((64, "64 B"), (1024, "1 KiB"), (65536, "64 KiB"))),
)


class Counted:
    """A program under callgrind. After the context, `total` is what it has executed."""

    def __init__(self, command, out, end_by=signal.SIGTERM):
        self._out = out
        self._end_by = end_by
        # A file: valgrind's complaints of system calls that it does not know would fill a pipe.
        self._errors = tempfile.TemporaryFile(mode="w+")
        self.process = subprocess.Popen(
            ["valgrind", "--tool=callgrind", "--quiet", "--fair-sched=try",
             f"--callgrind-out-file={out}", *command],
            stdout=subprocess.DEVNULL, stderr=self._errors,
            # Under callgrind a step takes so long that its stack would be told, and be counted.
            env={**os.environ, **COPIES, "HEDDLE_STALL_LIMIT": "0"})

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        with contextlib.suppress(ProcessLookupError):
            if self._end_by is not None:
                self.process.send_signal(self._end_by)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise RuntimeError("the program does not end") from None
        if kind is None:
            self.total = self._read_total()

    def _read_total(self):
        if self._out.exists():
            for line in self._out.read_text().splitlines():
                if line.startswith(("summary:", "totals:")):
                    return int(line.split()[1])
        self._errors.seek(0)
        said = [line for line in self._errors.read().splitlines() if not line.startswith("--")]
        raise RuntimeError((said or ["callgrind has counted nothing"])[-1])


def _await_port(port, process):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError):
            wire.connect(port).close()
            return
        time.sleep(0.1)
    raise RuntimeError("the server does not listen")


def _total_of_server(step, programs, folder, requests):
    port = free_port()
    command = [programs(step.program), *step.options, "--port", str(port), "--threads", "1",
               "--reactor", "epoll", "--files", f"{folder}/files"]
    with Counted(command, folder / "callgrind.out") as counted:
        _await_port(port, counted.process)
        if step.kind == "http":
            wire.exchange_http(port, step.argument, CONNECTIONS, requests)
        else:
            wire.exchange_websocket(port, step.argument, CONNECTIONS, requests)
    return counted.total


def _total_of_client(step, programs, folder, requests):
    """Against the reference server, which is not counted."""
    port = free_port()
    server = subprocess.Popen([programs("reference_server"), "http", "--port", str(port),
                               "--answer", str(step.argument)])
    try:
        _await_port(port, server)
        command = [programs(step.program), "http", "--port", str(port), "--reactor", "epoll",
                   "--connections", str(step.options[0]), "--bytes", str(step.argument),
                   "--answers", str(requests)]
        with Counted(command, folder / "callgrind.out", end_by=None) as counted:
            pass
        if counted.process.returncode != 0:
            raise RuntimeError(f"the client ended with status {counted.process.returncode}")
    finally:
        server.terminate()
        server.wait()
    return counted.total


def count(step, programs, folder, keep=None):
    """Instructions of one request."""
    total_of = _total_of_client if step.kind == "client" else _total_of_server
    few = total_of(step, programs, folder, FEW)
    many = total_of(step, programs, folder, MANY)
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        name = "".join(c if c.isalnum() else "-" for c in step.name)
        shutil.copy(folder / "callgrind.out", keep / f"{name}.callgrind")
    return (many - few) / (MANY - FEW)


def show(step, found, first, beside):
    """One line: the figure, how it stands to the first of its group, and to the bare loop."""
    cells = [f"{step.name:40}", f"{found:10.0f}"]
    if step.group == "http" and "bare" not in step.title and first is not None:
        cells.append(f"{first / found:6.2f} of plaintext's efficiency")
    if beside is not None:
        cells.append(f"{found / beside:6.2f} times the bare loop's")
    print("  ".join(cells), flush=True)


def parse(words):
    p = argparse.ArgumentParser(prog="bench/instructions", description=DESCRIPTION,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("only", nargs="*", metavar="GROUP",
                   help="http, websocket, client, or a part of a step's name; default: all")
    p.add_argument("--build-dir", metavar="DIR", type=pathlib.Path,
                   default=build_module.ROOT / "build" / "instructions")
    p.add_argument("--as-built", action="store_true",
                   help="configure and build nothing; take the programs as they are")
    p.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="compilers at once")
    p.add_argument("--keep", metavar="DIR", type=pathlib.Path,
                   help="keep the profiles there, for callgrind_annotate")
    p.add_argument("--json", metavar="FILE", type=pathlib.Path)
    return p.parse_args(words)


def _chosen(only):
    return [s for s in STEPS if not only or any(word in s.name for word in only)]


def _prepared_build(a, steps):
    build = build_module.Build(a.build_dir, a.jobs, Progress())
    if not a.as_built:
        build.configure(["HEDDLE_NATIVE=OFF", "CMAKE_EXE_LINKER_FLAGS=-Wl,--strip-debug"])
        build.build([s.program for s in steps] + ["reference_server"])

    def path_of(name):
        path = build.program(name)
        if path is None:
            raise build_module.BuildError(f"there is no program {name}")
        return str(path)
    return path_of


def main(words=None):
    a = parse(words)
    steps = _chosen(a.only)
    if not steps:
        sys.stderr.write("bench/instructions: no step has such a name\n")
        return 2
    if shutil.which("valgrind") is None:
        sys.stderr.write("bench/instructions: there is no valgrind (Debian package valgrind)\n")
        return 1
    found = {}
    failed = False
    try:
        programs = _prepared_build(a, steps)
    except build_module.BuildError as e:
        sys.stderr.write(f"bench/instructions: {e}\n")
        return 1
    with tempfile.TemporaryDirectory(prefix="heddle-instructions-") as name:
        folder = pathlib.Path(name)
        write_files(folder)
        # The bare loops first, since the others are shown beside them.
        for step in sorted(steps, key=lambda s: "bare" not in s.title):
            try:
                found[step.name] = count(step, programs, folder, a.keep)
            except (RuntimeError, OSError) as e:
                failed = True
                sys.stderr.write(f"bench/instructions: {step.name}: {e}\n")
                continue
            show(step, found[step.name], found.get("http/plaintext"),
                 found.get(f"{step.name}, bare loop"))
    if a.json:
        a.json.write_text(json.dumps(found, indent=1) + "\n")
    return 1 if failed else 0
