# SPDX-License-Identifier: MIT
"""What each operation costs that does not depend on the machine's speed.

The problems of bench/model run on real threads over atomics that count.
"""
import json

from harness import report
from harness.process import output_of
from harness.results import Result, Row

TIME_LIMIT = 300  # seconds for one process
LOOPS = (1, 2, 4, 8)

LOCKED = ("read_modify_write", "exchanged", "failed", "fenced")
# What is shown of the counts: title, names summed up, per how many operations.
COLUMNS = (
    ("locked operations", LOCKED, 1),
    ("failed compare-exchanges", ("failed",), 1),
    ("spin locks", ("locked",), 1),
    ("inbox pushes", ("sent",), 1),
    ("wake-ups", ("woke",), 1000),
    ("steals", ("stole",), 1000),
    ("failed steals", ("found_nothing",), 1000),
)


def lines_of(program, *options):
    """What a program prints. Raises RuntimeError with what went wrong."""
    printed = output_of([str(program), *options], TIME_LIMIT)
    return [json.loads(line) for line in printed.splitlines()]


def _per_operation(line, names, of=1):
    return of * sum(line[n] for n in names) / line["operations"]


def _figure(value):
    return "0" if value == 0 else "< 0.001" if value < 0.001 else f"{value:.3g}"


def programs(_):
    return ["counts"]


def measure(items, effort, build, progress):
    """A row a problem, a result a number of loops."""
    rows = []
    for item in items:
        progress.now(f"counts: {item.name}")
        row = Row(item.name, item.program, "operations")
        rows.append(row)
        try:
            found = lines_of(build.needed_program("counts"), "--problem", item.program, "--effort",
                             effort.name, "--loops", ",".join(map(str, LOOPS)))
        except RuntimeError as e:
            row.failed["heddle"] = str(e)
            continue
        for line in found:
            row.title = line["title"]
            shown = {t: _per_operation(line, names, of) for t, names, of in COLUMNS}
            row.results.append(Result(str(line["loops"]), "", [shown["locked operations"]],
                                      extra={**shown, "counted": line}))
    return rows


def _grown(row):
    by_loops = {r.peer: r.extra for r in row.results}
    if "2" not in by_loops or "8" not in by_loops:
        return ""
    two, eight = by_loops["2"], by_loops["8"]
    return ", ".join(title for title, _, of in COLUMNS
                     if eight[title] > 1.25 * two[title] + 0.02 * of)


def table(suite):
    header = ["an operation of", "loops",
              *(t if of == 1 else f"{t} per {of}" for t, _, of in COLUMNS),
              "more with 8 loops than with 2"]
    lines = []
    for row in suite.rows:
        title = row.title
        for r in row.results:
            grows = _grown(row) if r is row.results[-1] else ""
            lines.append([title, r.peer, *(_figure(r.extra[t]) for t, _, _ in COLUMNS), grows])
            title = ""
        lines += [[title, "", f"failed: {why}", *[""] * len(COLUMNS)] for why in row.failed.values()]
    return header, lines


report.TABLES["counts"] = table
