# SPDX-License-Identifier: MIT
"""Programs that serve: rates as ratios to a bare epoll server, taken in turns.

The server runs on one processor, the load on another. All servers of a row are up during the whole
row, and idle when it is not their turn.
"""
import contextlib
import json
import subprocess
import tempfile

from harness import nginx, steady, suites
from harness.process import (Server, ServerError, free_port, on_processor, output_of,
                             two_processors)
from harness.results import Row

WARM_UP = 0.15


class Load:
    """The load of a row, on one processor."""

    def __init__(self, program, served, processor):
        self._command = [str(program), served.kind or served.problem, "--path", served.path,
                         "--connections", str(served.connections), "--depth", str(served.depth),
                         "--bytes", str(served.bytes), "--upload", str(served.upload),
                         "--warm-up", str(WARM_UP)]
        self._processor = processor

    def sampler_of(self, server):
        def sample(seconds):
            before = server.cpu_ns()
            command = [*self._command, "--port", str(server.port), "--seconds", str(seconds)]
            line = json.loads(output_of(command, seconds + 60,
                                        prepare=on_processor(self._processor)))
            line["cpu_ns"] = (server.cpu_ns() - before) / max(line["answers"], 1)
            return line
        return sample


def programs(served):
    return [served.load, served.reference,
            *(suites.program_of(served.problem, peer)[0] for peer in served.peers)]


def make_certificate(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-keyout", f"{folder}/key.pem", "-out", f"{folder}/certificate.pem"],
                   capture_output=True, check=True)


def options_of(served, folder):
    """What a server needs for this row, beside its port."""
    words = []
    if served.tls:
        words += ["--certificate", f"{folder}/certificate.pem", "--key", f"{folder}/key.pem"]
    if served.problem == "http":
        words += ["--files", f"{folder}/files"]
    return words


def command_for(peer, served, port, folder, build):
    """How a peer is started, or None if it is not there."""
    name, _, variant = peer.partition(":")
    if name == "nginx":
        return build.nginx and nginx.command_for(build.nginx, port, folder, served.tls)
    command = build.command(served, peer)
    if command is None:
        return None
    command += ["--port", str(port), "--threads", "1"]
    if name == "heddle":
        command += ["--reactor", variant or "epoll"]
    if name == "heddle" or build.is_foreign(peer):
        command += options_of(served, folder)
    return command


@contextlib.contextmanager
def running(served, build, row):
    """The reference and the servers of the peers, which are up meanwhile; those that are not there
    are noted in the row."""
    processor, _ = two_processors()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="heddle-bench-"))
        nginx.write_files(folder)
        if served.tls:
            make_certificate(folder)
        port = free_port()
        command = [str(build.needed_program(served.reference)), served.problem, "--port", str(port),
                   "--answer", str(served.answer)]
        if served.tls:
            command += options_of(served, folder)
        reference = stack.enter_context(Server(command, port, processor))
        servers = {}
        for peer in served.peers:
            port = free_port()
            command = command_for(peer, served, port, folder, build)
            if command is None:
                row.skipped[peer] = build.why_missing(served, peer)
                continue
            server = None
            try:
                server = Server(command, port, processor)
                servers[peer] = stack.enter_context(server)
            except ServerError as e:
                # A kernel or container may forbid io_uring; that is weather, not a failure of the
                # bench.
                weather = peer == "heddle:uring" or (server and server.offers_nothing)
                (row.skipped if weather else row.failed)[peer] = str(e)
        yield reference, servers


def measure_one(served, effort, build, progress):
    row = Row(served.name, served.title, "ratio", higher_is_better=True, aim=served.aim)
    _, processor = two_processors()
    with running(served, build, row) as (reference, servers):
        load = Load(build.needed_program(served.load), served, processor)
        samplers = {peer: load.sampler_of(server) for peer, server in servers.items()}
        return steady.measure(row, load.sampler_of(reference), samplers, effort, build, progress)


def measure(all_served, effort, build, progress):
    return [measure_one(served, effort, build, progress) for served in all_served]
