# SPDX-License-Identifier: MIT
"""Charts as SVG, without a library.

For problems a group of bars each, one bar a peer, a whisker from the least sample to the largest;
they differ in unit and size, so each group has a scale of its own, and all begin at 0. Micro
benchmarks stand below each other on one logarithmic scale. Curves and dots have modules of their
own.
"""
import math
from xml.sax.saxutils import escape

from harness import curves, dots, model
from harness.report import format_value
from harness.suites import title_of
from harness.svg import TOP, WIDTH, picture

LEFT = 150  # of the bars; peers' names end here
RIGHT = 150  # room for the figures
BAR = 18
GAP = 6
GROUP = 34  # above a group: its title


def _bar(row, result, y, scale):
    kind = "heddle" if result.peer.startswith("heddle") else "peer"
    length = result.median * scale
    low, high = (LEFT + v * scale for v in (min(result.values), max(result.values)))
    middle = y + BAR / 2
    figure = format_value(result.median, row.unit)
    if result.advantage is not None and result.peer != "heddle":
        figure += f"  ({result.advantage:.2f}x)"
    end = f'<path class="whisker" d="M{{:.1f}} {middle - 4:.1f}v8"/>'
    return [
        f'<text class="name" x="{LEFT - 8}" y="{middle + 4:.1f}">'
        f'{escape(title_of(result.peer))}</text>',
        f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{max(length, 1):.1f}" height="{BAR}" '
        f'rx="2"/>',
        end.format(low), end.format(high),
        f'<path class="whisker" d="M{low:.1f} {middle:.1f}H{high:.1f}"/>',
        f'<text class="figure" x="{max(high, LEFT + length) + 8:.1f}" y="{middle + 4:.1f}">'
        f'{escape(figure)}</text>',
    ]


def ladder(suite, note):
    """Rows of one result each, from a nanosecond up on a common logarithmic scale."""
    rows = [r for r in suite.rows if r.results]
    if not rows:
        return None
    left = 290
    decades = math.ceil(math.log10(max(10, *(max(r.results[0].values) for r in rows))))
    scale = (WIDTH - left - 90) / decades
    bottom = TOP + len(rows) * (BAR + GAP)
    parts = []
    for decade in range(decades + 1):
        x = left + decade * scale
        parts.append(f'<path class="axis" d="M{x:.1f} {TOP - 6}V{bottom}"/>')
        parts.append(f'<text class="note" x="{x:.1f}" y="{bottom + 14}" text-anchor="middle">'
                     f'{format_value(10 ** decade, "ns")}</text>')
    y = TOP
    for row in rows:
        ns = row.results[0].median
        length = max(math.log10(max(ns, 1)) * scale, 1)
        middle = y + BAR / 2 + 4
        kind = "heddle" if row.results[0].peer.startswith("heddle") else "peer"
        parts += [
            f'<text class="name" x="{left - 8}" y="{middle:.1f}">{escape(row.title)}</text>',
            f'<rect class="{kind}" x="{left}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2"/>',
            f'<text class="figure" x="{left + length + 8:.1f}" y="{middle:.1f}">'
            f'{format_value(ns, "ns")}</text>',
        ]
        y += BAR + GAP
    return picture(suite.title, parts, bottom + 40, f"logarithmic; {note}")


def bars(suite, note):
    """Groups of bars, or None when there is nothing to show."""
    rows = [r for r in suite.rows if r.results]
    if not rows:
        return None
    parts, y = [], TOP
    for row in rows:
        top = max(max(r.values) for r in row.results)
        if row.unit == "ratio" or top == 0:
            top = max(top, 1)  # ratios to one reference: bars of different rows can be compared
        scale = (WIDTH - LEFT - RIGHT) / top
        better = "more is better" if row.higher_is_better else "less is better"
        parts.append(f'<text class="group" x="{LEFT}" y="{y + 18}">{escape(row.title)}'
                     f'<tspan class="note" dx="8">{better}</tspan></text>')
        y += GROUP
        start = y
        for r in row.results:
            parts += _bar(row, r, y - 6, scale)
            y += BAR + GAP
        parts.append(f'<path class="axis" d="M{LEFT}.5 {start - 9}V{y - 9}"/>')
        y += 8
    return picture(suite.title, parts, y + 16, note)


DRAWN_BY = {"scaling": curves.draw, "primitives": dots.draw, "micro": ladder, "fairness": ladder,
            "model": model.draw, "counts": lambda suite, note: None}


def picture_of(suite, note):
    """The SVG of a suite, or None when it has nothing to show."""
    return DRAWN_BY.get(suite.name, bars)(suite, note)
