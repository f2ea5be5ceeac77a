# SPDX-License-Identifier: MIT
"""Programs that end: alternating runs, medians.

Machines change speed within a minute, so peers take turns (A B A B), and what is compared are runs
that stood next to each other. Each process runs its problem twice and the second run counts: the
first one starts threads and fills caches.
"""
import json
import subprocess

from harness import suites
from harness.results import Result, Row

TIME_LIMIT = 600  # seconds for one process


def one_run(program, threads, size):
    """The line of a process's last run. Raises RuntimeError with what went wrong."""
    command = [str(program), "--threads", str(threads), "--size", str(size), "--repeat", "2"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT,
                              check=False)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"not done after {TIME_LIMIT} s") from None
    if done.returncode != 0:
        told = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"ended with status {done.returncode}: {told}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(problem, effort, build, progress):
    """One row: time in ns, or for `memory` bytes a task."""
    size = problem.sizes[suites.EFFORTS.index(effort.name)]
    in_bytes = problem.problem == "memory"
    row = Row(problem.name, problem.title.format(size=size), "bytes" if in_bytes else "ns",
              aim=problem.aim)
    programs = {}
    for peer in problem.peers:
        name = f"{problem.problem}_{peer}"
        program = build.program(name)
        if program is None:
            row.skipped[peer] = build.why_missing(peer, name)
        else:
            programs[peer] = program
    lines = {peer: [] for peer in programs}
    for turn in range(effort.rounds):
        for peer, program in programs.items():
            if peer in row.failed:
                continue
            progress.now(f"{row.title}: {suites.title_of(peer)}, "
                         f"round {turn + 1} of {effort.rounds}")
            try:
                lines[peer].append(one_run(program, problem.threads, size))
            except RuntimeError as e:
                row.failed[peer] = str(e)
    for peer, all_lines in lines.items():
        if not all_lines:
            continue
        values = [line["bytes_per_task" if in_bytes else "ns"] for line in all_lines]
        extra = dict(peak_rss_kb=max(line["rss_kb"] for line in all_lines))
        if "frame_bytes_per_task" in all_lines[-1]:
            extra["frame_bytes_per_task"] = all_lines[-1]["frame_bytes_per_task"]
        row.results.append(Result(peer, build.version_of(peer), values, extra=extra))
    row.compare("heddle")
    return row
