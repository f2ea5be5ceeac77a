# SPDX-License-Identifier: MIT
"""HTTP clients on one processor, against nginx on another: rates as ratios to wrk's, in turns.

A client takes the options of a load and prints its line. CPU an answer is the client's.
"""
import contextlib
import json
import math
import re
import resource
import shutil
import tempfile

from harness import nginx, steady, suites
from harness.process import Server, free_port, on_processor, output_of, two_processors
from harness.results import Row

WARM_UP = 0.15
UNITS = {"us": 1, "ms": 1e3, "s": 1e6, "m": 60e6}


def programs(asked):
    return [suites.program_of(asked.problem, peer)[0] for peer in asked.peers]


def line_of_wrk(printed, cpu_seconds, seconds):
    """wrk's figures as those of a load. Its latencies begin when it may send."""
    def us(percent):
        found = re.search(rf"^\s*{percent}%\s+([0-9.]+)(us|ms|s|m)$", printed, re.M)
        return float(found[1]) * UNITS[found[2]] if found else 0.0
    rate = float(re.search(r"^Requests/sec:\s+([0-9.]+)", printed, re.M)[1])
    if "Non-2xx" in printed or re.search(r"Socket errors: .*[1-9]", printed):
        raise RuntimeError("wrk has seen errors")
    answers = int(re.search(r"^\s*(\d+) requests in", printed, re.M)[1])
    return dict(rate=rate, p50_us=us(50), p99_us=us(99), client_cpu=cpu_seconds / seconds,
                answers=answers, cpu_ns=cpu_seconds * 1e9 / max(answers, 1))


def wrk_sampler(program, asked, port, processor):
    def sample(seconds):
        whole = max(1, math.ceil(seconds))  # wrk takes no parts of a second
        command = [program, "-t1", f"-c{asked.in_flight}", f"-d{whole}", "--latency",
                   f"http://127.0.0.1:{port}{asked.path}"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        printed = output_of(command, whole + 60, prepare=on_processor(processor))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return line_of_wrk(printed, cpu, whole)
    return sample


def client_sampler(command, asked, port, processor, options):
    words = [*command, "http", "--port", str(port), "--path", asked.path, "--connections",
             str(asked.in_flight), "--bytes", str(asked.bytes), "--warm-up", str(WARM_UP), *options]

    def sample(seconds):
        printed = output_of([*words, "--seconds", str(seconds)], seconds + 60,
                            prepare=on_processor(processor))
        line = json.loads(printed.splitlines()[-1])
        line["cpu_ns"] = line["client_cpu"] * 1e9 / max(line["rate"], 1)
        return line
    return sample


def samplers_of(asked, port, processor, build, row):
    samplers = {}
    for peer in asked.peers:
        command = build.command(asked, peer)
        if command is None:
            row.skipped[peer] = build.why_missing(asked, peer)
            continue
        name, _, variant = peer.partition(":")
        options = ["--reactor", variant or "epoll"] if name == "heddle" else []
        samplers[peer] = client_sampler(command, asked, port, processor, options)
    return samplers


def measure_one(asked, effort, build, progress):
    row = Row(asked.name, asked.title, "ratio", higher_is_better=True, aim=asked.aim)
    server_cpu, client_cpu = two_processors()
    wrk = shutil.which("wrk")
    missing = [what for what, found in (("nginx-light", build.nginx), ("wrk", wrk)) if not found]
    if missing:
        for peer in asked.peers:
            row.skipped[peer] = f"not installed (Debian package {missing[0]})"
        return row
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="heddle-bench-"))
        nginx.write_files(folder)
        port = free_port()
        command = nginx.command_for(build.nginx, port, folder)
        stack.enter_context(Server(command, port, server_cpu))
        samplers = samplers_of(asked, port, client_cpu, build, row)
        reference = wrk_sampler(wrk, asked, port, client_cpu)
        return steady.measure(row, reference, samplers, effort, build, progress)


def measure(all_asked, effort, build, progress):
    return [measure_one(asked, effort, build, progress) for asked in all_asked]
