# SPDX-License-Identifier: MIT
"""What an idle connection costs a server: growth of its resident set by many of them, each of which
has been used once."""
import contextlib
import json
import subprocess
import time

from harness import servers, suites
from harness.process import on_processor, two_processors
from harness.results import Result, Row

PATIENCE = 300  # seconds for all connections


def programs(idle):
    return servers.programs(idle)


@contextlib.contextmanager
def held(build, idle, server, count, processor):
    """So many connections are open meanwhile, and idle."""
    command = [str(build.needed_program(idle.load)), idle.kind, "--port", str(server.port), "--path",
               idle.path, "--connections", str(count), "--bytes", str(idle.bytes)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True,
                          preexec_fn=on_processor(processor)) as load:
        line = load.stdout.readline()
        if not line or json.loads(line)["idle"] != count:
            raise RuntimeError((load.stderr.read().strip().splitlines() or ["no message"])[-1])
        try:
            yield
        finally:
            load.stdin.close()
            load.wait(PATIENCE)


def bytes_of_each(build, idle, server, count, processor):
    with held(build, idle, server, 1, processor):
        before = server.rss_kb()
    with held(build, idle, server, count, processor):
        time.sleep(0.3)  # for what is given back a moment later
        return (server.rss_kb() - before) * 1024 / count


def measure_one(idle, effort, build, progress):
    row = Row(idle.name, idle.title.format(size=effort.of(idle.sizes)), "bytes", aim=idle.aim)
    _, processor = two_processors()
    with servers.running(idle, build, row) as (reference, found):
        for peer, server in {"bare": reference, **found}.items():
            progress.now(f"{row.title}: {suites.title_of(peer)}")
            count = effort.of(idle.peer_sizes.get(peer, idle.sizes))
            try:
                value = bytes_of_each(build, idle, server, count, processor)
            except RuntimeError as e:
                row.failed[peer] = str(e)
                continue
            extra = {} if count == effort.of(idle.sizes) else dict(measured_at=count)
            row.results.append(Result(peer, build.version_of(peer), [value], extra=extra))
    row.compare("heddle")
    return row


def measure(all_idle, effort, build, progress):
    return [measure_one(idle, effort, build, progress) for idle in all_idle]
