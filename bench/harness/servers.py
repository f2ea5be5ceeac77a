# SPDX-License-Identifier: MIT
"""Programs that serve: rates as ratios to a bare epoll server, taken in turns.

The server runs on one processor, the load on another. Before and after each sample of a server
stands one of the reference (load/reference_server.cpp); a sample between two references that differ
by more than 12 % is thrown away, since then the machine, not the server, has changed. All servers
of a row are up during the whole row, and idle when it is not their turn.
"""
import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time

from harness import suites
from harness.results import Result, Row

TOLERANCE = 0.12
WARM_UP = 0.15

NGINX_CONFIG = """
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 3600;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    {listen}
    location = /plaintext {{ default_type text/plain; return 200 "Hello, World!"; }}
  }}
}}
"""

NGINX_TLS = """listen 127.0.0.1:{port} ssl;
    ssl_certificate {folder}/certificate.pem;
    ssl_certificate_key {folder}/key.pem;
    ssl_session_tickets on;"""


class ServerError(Exception):
    pass


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def two_processors():
    """Where the server and the load run."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise ServerError("servers need two processors: one for the server, one for the load")
    return usable[0], usable[1]


class Server:
    """A process that listens, on one processor, ended on leaving the context."""

    def __init__(self, command, port, processor):
        self.port = port
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=self._errors,
                                         stdin=subprocess.DEVNULL,
                                         preexec_fn=lambda: os.sched_setaffinity(0, {processor}))

    def __enter__(self):
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.2).close()
                return self
            except OSError:
                if self._process.poll() is not None:
                    break
                time.sleep(0.02)
        self.__exit__()
        raise ServerError(f"does not listen: {self._last_words()}")

    def __exit__(self, *_):
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def cpu_ns(self):
        """Time all its threads have run."""
        total = 0
        for task in pathlib.Path(f"/proc/{self._process.pid}/task").iterdir():
            with contextlib.suppress(OSError):
                total += int((task / "schedstat").read_text().split()[0])
        return total

    def _last_words(self):
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"status {self._process.returncode}, no message"


class Load:
    def __init__(self, program, served, processor):
        self._command = [str(program), served.kind or served.problem,
                         "--connections", str(served.connections), "--depth", str(served.depth),
                         "--bytes", str(served.bytes), "--warm-up", str(WARM_UP)]
        self._processor = processor

    def sample(self, server, seconds):
        before = server.cpu_ns()
        command = [*self._command, "--port", str(server.port), "--seconds", str(seconds)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60,
                              check=False,
                              preexec_fn=lambda: os.sched_setaffinity(0, {self._processor}))
        if done.returncode != 0:
            told = done.stderr.strip()
            raise ServerError(told or f"the load ended with status {done.returncode}")
        line = json.loads(done.stdout)
        line["cpu_ns"] = (server.cpu_ns() - before) / max(line["answers"], 1)
        return line


def programs(served):
    return [served.load, served.reference,
            *(suites.program_of(served.problem, peer)[0] for peer in served.peers)]


def make_certificate(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-keyout", f"{folder}/key.pem", "-out", f"{folder}/certificate.pem"],
                   capture_output=True, check=True)


def identity(served, folder):
    """Options that name the certificate of a server over TLS."""
    if not served.tls:
        return []
    return ["--certificate", f"{folder}/certificate.pem", "--key", f"{folder}/key.pem"]


def command_for(peer, served, port, folder, build):
    """How a peer is started, or None if it is not there."""
    name, _, variant = peer.partition(":")
    if name == "nginx":
        if build.nginx is None:
            return None
        config = pathlib.Path(folder) / "nginx.conf"
        listen = NGINX_TLS if served.tls else "listen 127.0.0.1:{port};"
        config.write_text(NGINX_CONFIG.format(
            folder=folder, listen=listen.format(folder=folder, port=port)))
        return [build.nginx, "-p", str(folder), "-c", str(config), "-e", "stderr"]
    program = build.program(f"{served.problem}_{name}")
    if program is None:
        return None
    command = [str(program), "--port", str(port), "--threads", "1", *identity(served, folder)]
    if name == "heddle":
        command += ["--reactor", variant or "epoll"]
    return command


def steady_samples(reference, servers, load, effort, row, progress):
    """samples[peer]: (server's line, mean of the two references around it), in turns."""
    samples = {peer: [] for peer in servers}
    first = load.sample(reference, effort.reference_seconds)
    for turn in range(effort.samples):
        for peer, server in servers.items():
            if peer in row.failed:
                continue
            for attempt in range(effort.tries):
                again = f", try {attempt + 1}" if attempt else ""
                progress.now(f"{row.title}: {suites.title_of(peer)}, "
                             f"sample {turn + 1} of {effort.samples}{again}")
                try:
                    line = load.sample(server, effort.seconds)
                except ServerError as e:
                    row.failed[peer] = str(e)
                    break
                last = load.sample(reference, effort.reference_seconds)
                apart = abs(first["rate"] - last["rate"])
                around = {k: (first[k] + last[k]) / 2 for k in ("rate", "cpu_ns")}
                steady = apart <= TOLERANCE * max(first["rate"], last["rate"])
                first = last
                if steady:
                    samples[peer].append((line, around))
                    break
    return samples


def measure_one(served, effort, build, progress):
    row = Row(served.name, served.title, "ratio", higher_is_better=True, aim=served.aim)
    server_cpu, load_cpu = two_processors()
    with contextlib.ExitStack() as running:
        folder = running.enter_context(tempfile.TemporaryDirectory(prefix="heddle-bench-"))
        if served.tls:
            make_certificate(folder)
        port = free_port()
        command = [str(build.program(served.reference)), served.problem, "--port", str(port),
                   *identity(served, folder)]
        reference = running.enter_context(Server(command, port, server_cpu))
        servers = {}
        for peer in served.peers:
            port = free_port()
            command = command_for(peer, served, port, folder, build)
            if command is None:
                name = peer.partition(":")[0]
                row.skipped[peer] = build.why_missing(name, f"{served.problem}_{name}")
                continue
            try:
                servers[peer] = running.enter_context(Server(command, port, server_cpu))
            except ServerError as e:
                # A kernel or container may forbid io_uring; that is weather, not a failure of the
                # bench.
                (row.skipped if peer == "heddle:uring" else row.failed)[peer] = str(e)
        load = Load(build.program(served.load), served, load_cpu)
        samples = steady_samples(reference, servers, load, effort, row, progress)
    for peer, kept in samples.items():
        if kept:
            row.results.append(summary(peer, kept, build))
        elif peer not in row.failed:
            row.skipped[peer] = "no steady sample: the machine is too noisy now"
    row.compare("heddle")
    return row


def measure(all_served, effort, build, progress):
    return [measure_one(served, effort, build, progress) for served in all_served]


def summary(peer, kept, build):
    def middle(of):
        ordered = sorted(of(line, around) for line, around in kept)
        return ordered[len(ordered) // 2]

    def cpu_ratio(line, around):
        return line["cpu_ns"] / around["cpu_ns"] if around["cpu_ns"] else 0.0

    extra = {name: middle(lambda line, _, name=name: line[name])
             for name in ("rate", "p50_us", "p99_us", "client_cpu")}
    extra["cpu_per_answer"] = middle(cpu_ratio)
    ratios = [line["rate"] / around["rate"] for line, around in kept]
    return Result(peer, build.version_of(peer), ratios, extra=extra)
