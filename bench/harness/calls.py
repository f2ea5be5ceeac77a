# SPDX-License-Identifier: MIT
"""Calls of a cluster: a submitter and two workers, which are the same program, on one server: of
NATS, or of Redis for the peers that need that.

Each sample has a server of its own, whose data go with it. Nothing is bound to a processor: four
processes share them, for each peer alike.
"""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile

from harness import suites
from harness.process import NotOffered, Server, ServerError, free_port, output_of
from harness.results import Result, Row

WORKERS = 2
SLOTS = 128  # of each: together as many as the most calls in flight


def programs(called):
    return [suites.program_of(called.problem, peer)[0] for peer in called.peers]


ON_REDIS = ("celery", "bullmq")  # the latter is not packaged, and comes by --also


def name_of_server(peer):
    return "redis-server" if peer in ON_REDIS else "nats-server"


def path_of_server(name):
    """None: it is not installed. /usr/sbin is not on every user's PATH."""
    named = os.environ.get("HEDDLE_NATS_SERVER") if name == "nats-server" else None
    return named or shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin")


def server_command(peer, folder, port):
    """Both write what they store at once, and let the disk have it later: NATS within two minutes,
    Redis within a second, which is the shortest that it has beside each time."""
    name = name_of_server(peer)
    path = path_of_server(name)
    if name == "nats-server":
        return [path, "-js", "-sd", folder, "-a", "127.0.0.1", "-p", str(port)]
    return [path, "--bind", "127.0.0.1", "--port", str(port), "--dir", folder, "--save", "",
            "--appendonly", "yes", "--appendfsync", "everysec"]


def anywhere():
    return sorted(os.sched_getaffinity(0))


class AnyServer(Server):
    """A server that may run on all processors."""

    def __init__(self, command, port):
        super().__init__(command, port, anywhere()[0])
        os.sched_setaffinity(self._process.pid, anywhere())


@contextlib.contextmanager
def worker(command, port):
    process = subprocess.Popen([*command, "--serve", "--port", str(port), "--slots", str(SLOTS)],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.send_signal(signal.SIGKILL)  # the sample is over; nobody waits for a drain
        process.wait()


def sample(command, called, peer, seconds):
    """The line of one run. Raises RuntimeError with what went wrong."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="heddle-bench-"))
        port = free_port()
        stack.enter_context(AnyServer(server_command(peer, folder, port), port))
        for _ in range(WORKERS):
            stack.enter_context(worker(command, port))
        printed = output_of([*command, "--port", str(port), "--in-flight", str(called.in_flight),
                             "--warm-up", str(min(0.3, seconds)), "--seconds", str(seconds)],
                            seconds + 60)
        return json.loads(printed.splitlines()[-1])


def value_of(called, line):
    """ns: of a round trip if one is in flight, else of a call at that rate."""
    return line["p50_us"] * 1e3 if called.in_flight == 1 else 1e9 / max(line["rate"], 1e-3)


def result_of(peer, called, lines, build):
    middle = sorted(lines, key=lambda line: value_of(called, line))[len(lines) // 2]
    return Result(peer, build.version_of(peer), [value_of(called, line) for line in lines],
                  extra={name: middle[name] for name in ("rate", "p50_us", "p99_us")})


def measure_one(called, effort, build, progress):
    row = Row(called.name, called.title, "ns", aim=called.aim)
    commands = {}
    for peer in called.peers:
        command = build.command(called, peer)
        if command is None:
            row.skipped[peer] = build.why_missing(called, peer)
        elif path_of_server(name_of_server(peer)) is None:
            row.skipped[peer] = f"not installed (Debian package {name_of_server(peer)})"
        else:
            commands[peer] = command
    lines = {peer: [] for peer in commands}
    for turn in range(effort.samples):
        for peer, command in commands.items():
            if peer in row.failed or peer in row.skipped:
                continue
            progress.now(f"{row.title}: {suites.title_of(peer)}, sample {turn + 1} of "
                         f"{effort.samples}")
            try:
                lines[peer].append(sample(command, called, peer, effort.seconds))
            except NotOffered as e:
                row.skipped[peer] = str(e)
            except (RuntimeError, ServerError, ValueError, LookupError) as e:
                row.failed[peer] = str(e)
    row.results = [result_of(peer, called, got, build) for peer, got in lines.items() if got]
    row.compare("heddle")
    return row


def measure(all_called, effort, build, progress):
    return [measure_one(called, effort, build, progress) for called in all_called]
