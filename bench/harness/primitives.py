# SPDX-License-Identifier: MIT
"""Tasks and primitives beside those of peers: one operation a row, alternating samples, medians.

heddle's are benchmarks of its micro programs, peers' are rows of programs/primitives_<peer> with
the same name. A sample is a process of its own, so that samples that are compared stand next to
each other in time.
"""
import json

from harness import suites
from harness.process import NotOffered, output_of
from harness.results import Result, Row

TIME_LIMIT = 120  # seconds for one sample


def programs(primitive):
    return [_program_of(primitive, peer)[0] for peer in primitive.peers]


def _program_of(primitive, peer):
    if peer == "heddle":
        return f"micro_{primitive.micro}", ()
    return suites.program_of("primitives", peer)


def _arguments(primitive, peer, effort):
    if peer == "heddle":
        return [f"--benchmark_filter=^{primitive.benchmark}/real_time$", "--benchmark_format=json",
                f"--benchmark_min_time={effort.primitive_seconds}"]
    _, colon, variant = peer.partition(":")
    size = effort.of(primitive.peer_sizes.get(peer, primitive.sizes))
    return ["--row", primitive.row + colon + variant, "--threads", str(primitive.threads),
            "--seconds", str(effort.primitive_seconds), "--size", str(size)]


def _sample(peer, command):
    """ns of one operation. Raises RuntimeError with what went wrong."""
    printed = output_of(command, TIME_LIMIT)
    if peer != "heddle":
        return json.loads(printed.splitlines()[-1])["ns"]
    found = json.loads(printed)["benchmarks"][-1]
    if "error_message" in found:
        raise RuntimeError(found["error_message"])
    return found["real_time"]


def measure_one(primitive, effort, build, progress):
    row = Row(primitive.name, primitive.title, "ns", aim=primitive.aim,
              facts=dict(threads=primitive.threads, aim_ns=primitive.aim_ns))
    commands = {}
    for peer in primitive.peers:
        if peer == "heddle":
            command = build.command_named("googlebenchmark", f"micro_{primitive.micro}")
        else:
            command = build.command(primitive, peer)
        if command is not None:
            commands[peer] = [*command, *_arguments(primitive, peer, effort)]
        elif peer == "heddle":
            row.skipped[peer] = build.why_not_named("googlebenchmark", f"micro_{primitive.micro}")
        else:
            row.skipped[peer] = build.why_missing(primitive, peer)
    values = {peer: [] for peer in commands}
    for turn in range(effort.primitive_rounds):
        for peer, command in commands.items():
            if peer in row.failed or peer in row.skipped:
                continue
            progress.now(f"{row.title}: {suites.title_of(peer)}, round {turn + 1}")
            try:
                values[peer].append(_sample(peer, command))
            except NotOffered as e:
                row.skipped[peer] = str(e)
            except (RuntimeError, ValueError, LookupError) as e:
                row.failed[peer] = str(e)
    row.results = [Result(peer, build.version_of(peer), got) for peer, got in values.items() if got]
    row.compare("heddle")
    return row


def measure(primitives, effort, build, progress):
    return [measure_one(p, effort, build, progress) for p in primitives]
