# SPDX-License-Identifier: MIT
"""The micro benchmarks over a library that notes places, ages and makers, and over one that does
not, in pairs."""
import argparse
import json
import pathlib
import re
import statistics
import sys

from harness.build import ROOT, Build, BuildError
from harness.process import output_of
from harness.progress import Progress

DESCRIPTION = """Runs heddle's micro benchmarks in turns over a library as it is and over one built with
HEDDLE_SEEING=OFF, and prints the median ratio of their times for each row: what it costs to note
where tasks wait and who made them, with all defaults. One pair varies by tens of percent on a
shared machine, so many short pairs are run. Have nothing else run meanwhile. Instructions, which
do not vary, are counted by the cases IN-COST of tests/conformance.
"""

PROGRAMS = ("micro_tasks", "micro_sync", "micro_loops")
TIME_LIMIT = 300  # seconds for one program of one pair


def times_of(program, rows, seconds):
    """Nanoseconds by row, of one run."""
    command = [str(program), "--benchmark_format=json", f"--benchmark_filter={rows}",
               f"--benchmark_min_time={seconds}"]
    try:
        printed = output_of(command, TIME_LIMIT)
    except RuntimeError as e:
        raise RuntimeError(f"{program}: {e}") from None
    # Of a filter that no row fits Google Benchmark says so, and writes no JSON.
    lines = json.loads(printed)["benchmarks"] if printed.strip().startswith("{") else []
    return {b["name"].removesuffix("/real_time"): b["real_time"]
            for b in lines if "error_message" not in b}


def measure(seen, unseen, options, progress):
    """Pairs (time with, time without) by row."""
    found = {}
    for name in PROGRAMS:
        for number in range(options.pairs):
            progress.now(f"{name}: pair {number + 1} of {options.pairs}")
            builds = (seen, unseen) if number % 2 == 0 else (unseen, seen)
            times = {b: times_of(b.needed_program(name), options.rows, options.seconds)
                     for b in builds}
            for row, time in times[seen].items():
                if row in times[unseen]:
                    found.setdefault(row, []).append((time, times[unseen][row]))
    progress.clear()
    if not found:
        raise RuntimeError(f"no row of {', '.join(PROGRAMS)} fits {options.rows!r}")
    return found


def table(found):
    lines = ["| row | without, ns | with, ns | ratio | least | largest |",
             "| --- | ---: | ---: | ---: | ---: | ---: |"]
    medians = []
    for row, pairs in found.items():
        ratios = [a / b for a, b in pairs]
        medians.append(statistics.median(ratios))
        lines.append(f"| {row} | {statistics.median(b for _, b in pairs):.1f} "
                     f"| {statistics.median(a for a, _ in pairs):.1f} | {medians[-1]:.3f} "
                     f"| {min(ratios):.2f} | {max(ratios):.2f} |")
    lines.append(f"| all rows, geometric mean | | | {statistics.geometric_mean(medians):.3f} | | |")
    return "\n".join(lines)


def parse(words):
    p = argparse.ArgumentParser(prog="bench/seeing", description=DESCRIPTION,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("rows", nargs="?", default=".", metavar="EXPRESSION",
                   help="only rows that this regular expression fits; default: all")
    p.add_argument("--pairs", type=int, default=61, help="default: %(default)s")
    p.add_argument("--seconds", type=float, default=0.05,
                   help="of each row in each run; default: %(default)s")
    p.add_argument("--as-built", action="store_true", help="build nothing; take what is there")
    p.add_argument("--build-dir", type=pathlib.Path, default=ROOT / "build", metavar="DIR",
                   help="the two builds are its folders seen and unseen")
    p.add_argument("--jobs", type=int, default=2, help="compilers at once; default: %(default)s")
    options = p.parse_args(words)
    if options.pairs < 1 or options.seconds <= 0 or options.jobs < 1:
        p.error("--pairs, --seconds and --jobs must be more than 0")
    try:
        re.compile(options.rows)
    except re.error as e:
        p.error(f"{options.rows!r} is no regular expression: {e}")
    return options


def prepared(options, name, settings, progress):
    build = Build(options.build_dir / name, options.jobs, progress)
    if options.as_built:
        build.take_as_built()
    else:
        build.configure(("HEDDLE_TOGETHER=ON", *settings))
        build.build(PROGRAMS)
    return build


def main(words=None):
    options = parse(words)
    progress = Progress()
    try:
        seen = prepared(options, "seen", (), progress)
        unseen = prepared(options, "unseen", ("HEDDLE_SEEING=OFF",), progress)
        print(table(measure(seen, unseen, options, progress)))
    except (BuildError, RuntimeError) as e:
        sys.stderr.write(f"bench/seeing: {e}\n")
        return 1
    return 0
