# SPDX-License-Identifier: MIT
"""Google Benchmark programs: one row a benchmark, time of one operation."""
import json
import subprocess

from harness import suites
from harness.results import Result, Row

TIME_LIMIT = 900  # seconds for one program


def title_of(label):
    return label.replace("_", " ").replace("co await", "co_await").replace("/", ", ")


def programs(item):
    return [f"micro_{item.program}"]


def measure(items, effort, build, progress):
    return [row for item in items for row in measure_one(item, effort, build, progress)]


def measure_one(item, effort, build, progress):
    """All rows of one program."""
    name = item.program
    program = build.program(f"micro_{name}")
    if program is None:
        why = build.why_not_named("googlebenchmark", f"micro_{name}")
        progress.say(f"skipped: micro/{name}: {why}")
        return []
    progress.now(f"micro benchmarks: {name}")
    with_peers = "|".join(p.benchmark for p in suites.PRIMITIVES)
    command = [str(program), "--benchmark_format=json",
               f"--benchmark_filter=-^({with_peers})/real_time$",
               f"--benchmark_min_time={effort.micro_seconds}",
               f"--benchmark_repetitions={effort.micro_repetitions}",
               "--benchmark_enable_random_interleaving=true"]
    row = Row(name, f"micro/{name}", "ns")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT,
                              check=False)
    except subprocess.TimeoutExpired:
        row.failed["heddle"] = f"not done after {TIME_LIMIT} s"
        return [row]
    if done.returncode != 0:
        row.failed["heddle"] = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return [row]
    rows = {}
    lines = [b for b in json.loads(done.stdout)["benchmarks"] if b["run_type"] == "iteration"]
    # They ran in random order; shown is the order of the source.
    lines.sort(key=lambda b: (b["family_index"], b["per_family_instance_index"]))
    for b in lines:
        # Google Benchmark adds what a name need not tell: that real time is meant.
        label = b["run_name"].removesuffix("/real_time")
        if label not in rows:
            rows[label] = Row(f"{name}/{label}", title_of(label), "ns",
                              results=[Result("heddle", "", [])])
        if "error_message" in b:
            rows[label].failed["heddle"] = b["error_message"]
            continue
        rows[label].results[0].values.append(b["real_time"])
    for r in rows.values():
        r.results = [x for x in r.results if x.values]
    return list(rows.values())
