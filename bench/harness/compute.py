# SPDX-License-Identifier: MIT
"""Programs that end: alternating runs, medians.

Machines change speed within a minute, so peers take turns (A B A B), and what is compared are runs
that stood next to each other. Each process runs its problem twice and the second run counts: the
first one starts threads and fills caches.
"""
import json
import statistics

from harness import suites
from harness.process import NotOffered, output_of
from harness.results import Result, Row

TIME_LIMIT = 600  # seconds for one process


def programs(problem):
    return [suites.program_of(problem.problem, peer)[0] for peer in problem.peers]


def one_run(command):
    """The line of a process's last run. Raises RuntimeError with what went wrong."""
    printed = output_of(command, TIME_LIMIT)
    lines = printed.splitlines()
    if not lines:
        raise RuntimeError("printed nothing")
    line = json.loads(lines[-1])
    if "ns" not in line and "bytes_per_task" not in line:
        raise RuntimeError(f"the line has no ns: {lines[-1]}")
    return line


def commands_of(problem, effort, build, row):
    """By peer; those that are not there are noted as skipped."""
    found = {}
    for peer in problem.peers:
        command = build.command(problem, peer)
        if command is None:
            row.skipped[peer] = build.why_missing(problem, peer)
            continue
        size = effort.of(problem.peer_sizes.get(peer, problem.sizes))
        found[peer] = [*command, "--threads", str(problem.threads), "--size", str(size),
                       "--repeat", str(problem.repeat), *problem.options]
    return found


def in_turns(commands, rounds, row, progress):
    """lines[peer] of all runs; a peer that fails once takes part no more."""
    lines = {peer: [] for peer in commands}
    for turn in range(rounds):
        for peer, command in commands.items():
            if peer in row.failed or peer in row.skipped:
                continue
            progress.now(f"{row.title}: {suites.title_of(peer)}, round {turn + 1} of {rounds}")
            try:
                lines[peer].append(one_run(command))
            except NotOffered as e:
                row.skipped[peer] = str(e)
            except (RuntimeError, ValueError, LookupError) as e:
                row.failed[peer] = str(e)
    return lines


def result_of(peer, lines, problem, size, build):
    """In ns, or for `memory` in bytes a task. What was measured at another size is scaled to the
    row's by the number of tasks."""
    extra = dict(peak_rss_kb=max(line.get("rss_kb", 0) for line in lines))
    if "frame_bytes_per_task" in lines[-1]:
        extra["frame_bytes_per_task"] = lines[-1]["frame_bytes_per_task"]
    if "bytes_per_task" in lines[-1]:
        values = [line["bytes_per_task"] for line in lines]
    else:
        values = [line["ns"] for line in lines]
        tasks_of = suites.TASKS[problem.problem]
        own_size = lines[-1].get("size", size)
        scale = tasks_of(size) / tasks_of(own_size)
        if own_size != size:
            values = [v * scale for v in values]
            extra["measured_at"] = own_size
        extra["ns_per_task"] = statistics.median(values) / tasks_of(size)
    return Result(peer, build.version_of(peer), values, extra=extra)


def measure_one(problem, effort, build, progress):
    """One row."""
    size = effort.of(problem.sizes)
    unit = "bytes" if problem.problem == "memory" else "ns"
    row = Row(problem.name, problem.title.format(size=size), unit, aim=problem.aim,
              facts=dict(problem=problem.problem, size=size, threads=problem.threads))
    commands = commands_of(problem, effort, build, row)
    lines = in_turns(commands, min(effort.rounds, problem.most_rounds), row, progress)
    row.results = [result_of(peer, got, problem, size, build) for peer, got in lines.items() if got]
    row.compare("heddle")
    return row


def measure(problems, effort, build, progress):
    return [measure_one(p, effort, build, progress) for p in problems]
