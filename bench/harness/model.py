# SPDX-License-Identifier: MIT
"""Predicted speed-up at 1 to 128 loops.

The problems of bench/model run on virtual loops of one thread, whose clocks are charged for cache
lines, locked operations and wake-ups: a prediction, calibrated by what an operation takes on one
loop of this machine, and compared with what it takes on two.
"""
import math
from xml.sax.saxutils import escape

from harness import report, svg
from harness.counts import lines_of
from harness.results import Result, Row

LOOPS = (1, 2, 4, 8, 16, 32, 64, 128)


def programs(_):
    return ["model", "model_real"]


def _measured(program, name, effort):
    """ns an operation on one loop, and how much faster two are, of the real machine."""
    options = ("--problem", name, "--effort", "smoke" if effort.name == "smoke" else "quick")
    repeat = "1" if effort.name == "smoke" else "9"
    found = lines_of(program, *options, "--loops", "1,2", "--repeat", repeat)
    one, two = (line["ns"] / line["operations"] for line in found)
    return one, one / two


def measure(items, effort, build, progress):
    """A row a problem, a result a number of loops."""
    rows = []
    for item in items:
        row = Row(item.name, item.program, "x", higher_is_better=True)
        rows.append(row)
        try:
            progress.now(f"model: {item.program} on this machine")
            one_loop, measured = _measured(build.needed_program("model_real"), item.program, effort)
            progress.now(f"model: {item.program} on virtual loops")
            found = lines_of(build.needed_program("model"), "--problem", item.program, "--effort",
                             effort.name, "--loops", ",".join(map(str, LOOPS)),
                             "--operation-ns", str(one_loop))
        except RuntimeError as e:
            row.failed["heddle"] = str(e)
            continue
        first = found[0]["ns"] / found[0]["operations"]
        for line in found:
            row.title = line["title"]
            each = line["ns"] / line["operations"]
            spent = line["ns"] * line["loops"]
            lines = [{**x, "share": x["ns"] / spent} for x in line.pop("lines")]
            extra = dict(loops=line["loops"], ns_per_operation=each, cache_lines=lines,
                         counted=line)
            if line["loops"] == 1:
                extra["measured_speedup"] = measured
            row.results.append(Result(f"{line['loops']} loops", "", [first / each], extra=extra))
    return rows


def _cells(row):
    at = {r.extra["loops"]: r for r in row.results}
    measured = at[1].extra["measured_speedup"]
    return [row.title, report.format_ns(at[1].extra["ns_per_operation"]), f"{measured:.2f}x",
            *(f"{at[n].median:.3g}x" for n in LOOPS[1:]),
            ", ".join(f"{line['name']} {line['share']:.0%}"
                      for line in at[64].extra["cache_lines"][:3] if line["share"] >= 0.005)]


def table(suite):
    header = ["an operation of", "1 loop, measured", "2, measured", *(f"{n}" for n in LOOPS[1:]),
              "costs most at 64, of the loops' time"]
    return header, [_cells(row) if row.results else
                    [row.title, *(f"failed: {w}" for w in row.failed.values()),
                     *[""] * (len(header) - 2)] for row in suite.rows]


report.TABLES["model"] = table

# ------------------------------------------------------------------ plot

LEFT, RIGHT, HEIGHT = 62, 290, 400
COLOURS = ("#0b7a75", "#c2410c", "#6d5bd0", "#b08900", "#be3a7a", "#4b6b8a")


def draw(suite, note):
    """The SVG, or None when there is nothing to show."""
    rows = [r for r in suite.rows if r.results]
    if not rows:
        return None
    top, right, bottom = svg.TOP, svg.WIDTH - RIGHT, svg.TOP + HEIGHT

    def across(loops):
        return LEFT + math.log2(loops) / math.log2(LOOPS[-1]) * (right - LEFT)

    def down(speedup):
        return bottom - max(math.log2(speedup), 0) / math.log2(LOOPS[-1]) * HEIGHT

    parts = []
    for n in LOOPS:
        x, y = across(n), down(n)
        parts += [f'<path class="axis" d="M{x:.1f} {top}V{bottom}M{LEFT} {y:.1f}H{right}"/>',
                  f'<text class="note middle" x="{x:.1f}" y="{bottom + 18}">{n}</text>',
                  f'<text class="note left" x="{LEFT - 6}" y="{y + 4:.1f}">{n}x</text>']
    parts.append(f'<path class="whisker" stroke-dasharray="4 4" d="M{LEFT} {bottom}L{right} {top}"/>')
    label = top - 10
    for row in sorted(rows, key=lambda r: -r.results[-1].median):
        colour = COLOURS[rows.index(row) % len(COLOURS)]
        points = "L".join(f"{across(r.extra['loops']):.1f} {down(r.median):.1f}"
                          for r in row.results)
        label = max(label + 18, down(row.results[-1].median))  # beside its line, or below the last
        parts += [f'<path class="line" stroke="{colour}" d="M{points}"/>',
                  f'<circle cx="{right + 14}" cy="{label:.1f}" r="5" fill="{colour}"/>',
                  f'<text class="note" x="{right + 24}" y="{label + 4:.1f}">{escape(row.title)}'
                  '</text>']
    parts.append(f'<text class="note" x="16" y="{bottom + 42}">A model, no measurement. Times as fast '
                 "as one loop, over loops; both logarithmic. Dashed: as many times as loops.</text>")
    return svg.picture(suite.title, parts, bottom + 62, note)
