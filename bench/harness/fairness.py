# SPDX-License-Identifier: MIT
"""How late a timer fires and how long a socket waits while a storm keeps every loop busy.

One run of a program gives all its storms at one number of threads. What counts is the 99th
percentile of a run, in the median of all runs: one stall of the machine must not decide.
"""
import json
import statistics

from harness import suites
from harness.process import output_of
from harness.results import Result, Row

TIME_LIMIT = 300  # seconds for one process


def _one_run(program, threads, milliseconds):
    """Lines by storm. Raises RuntimeError with what went wrong."""
    command = [str(program), "--threads", str(threads), "--size", str(milliseconds)]
    printed = output_of(command, TIME_LIMIT, "too few samples")
    lines = [json.loads(line) for line in printed.splitlines()]
    return {line["storm"]: line for line in lines}


def _row(storm, what):
    return Row(f"{storm.name}/{storm.storm}/{what}", f"{what}: {storm.title}", "ns",
               aim=suites.FAIRNESS_AIMS[what] if storm.peer == "heddle" else "")


def programs(storm):
    return [f"fairness_{storm.peer}"]


def measure(storms, effort, build, progress):
    """Two rows a storm."""
    milliseconds = effort.of(suites.FAIRNESS_MS)
    runs = {}  # (peer, threads) -> lines by storm, a dict a round
    failed = {}
    for turn in range(effort.rounds):
        for peer, threads in dict.fromkeys((s.peer, s.threads) for s in storms):
            program = build.program(f"fairness_{peer}")
            if program is None or (peer, threads) in failed:
                continue
            progress.now(f"fairness: {suites.title_of(peer)}, {threads} threads, "
                         f"round {turn + 1} of {effort.rounds}")
            try:
                found = _one_run(program, threads, milliseconds)
                runs.setdefault((peer, threads), []).append(found)
            except RuntimeError as e:
                failed[peer, threads] = str(e)
    rows = []
    for what in suites.FAIRNESS_AIMS:
        for s in storms:
            row = _row(s, what)
            key = (s.peer, s.threads)
            seen = [found[s.storm][what] for found in runs.get(key, ())]
            if key in failed:
                row.failed[s.peer] = failed[key]
            elif not seen:
                row.skipped[s.peer] = build.why_not_named(s.peer, f"fairness_{s.peer}")
            else:
                extra = dict(p50_ns=statistics.median(x["p50"] for x in seen),
                             max_ns=max(x["max"] for x in seen),
                             samples=sum(x["samples"] for x in seen))
                row.results.append(Result(s.peer, "", [x["p99"] for x in seen], extra=extra))
            rows.append(row)
    return rows
