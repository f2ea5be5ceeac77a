# SPDX-License-Identifier: MIT
"""Cost of a task over loops: a panel each problem, a line each peer, on a logarithmic scale."""
import math
from xml.sax.saxutils import escape

from harness import svg
from harness.report import by_problem, format_ns

LEFT = 62  # of a panel's lines: room for the scale
PANEL = svg.WIDTH // 2
HEIGHT = 190  # of a panel's lines
GAP = 62


def _peers_of(rows):
    return list(dict.fromkeys(r.peer for row in rows for r in row.results))


def _panel(title, rows, x, y, threads):
    costs = [r.extra["ns_per_task"] for row in rows for r in row.results]
    steps = svg.nice_steps(min(costs), max(costs))
    low, high = math.log(steps[0]), math.log(steps[-1])
    left, right = x + LEFT, x + PANEL - 24

    def across(n):
        return left + (right - left) * (n - threads[0]) / max(threads[-1] - threads[0], 1)

    def down(ns):
        return y + HEIGHT - HEIGHT * (math.log(ns) - low) / max(high - low, 1e-9)

    parts = [f'<text class="group" x="{left}" y="{y - 14}">{escape(title)}</text>']
    for step in steps:
        parts += [f'<path class="axis" d="M{left} {down(step):.1f}H{right}"/>',
                  f'<text class="note left" x="{left - 6}" y="{down(step) + 4:.1f}">'
                  f'{format_ns(step)}</text>']
    for n in threads:
        parts.append(f'<text class="note middle" x="{across(n):.1f}" y="{y + HEIGHT + 18}">{n}'
                     '</text>')
    for peer in reversed(_peers_of(rows)):
        points = [(across(row.facts["threads"]), down(r.extra["ns_per_task"]))
                  for row in rows if (r := row.result_of(peer)) is not None]
        colour = svg.colour_of(peer)
        path = "L".join(f"{a:.1f} {b:.1f}" for a, b in points)
        parts.append(f'<path class="line" stroke="{colour}" d="M{path}"/>')
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.5" fill="{colour}"/>' for a, b in points]
    return parts


def draw(suite, note):
    """The SVG, or None when there is nothing to show."""
    problems = by_problem([row for row in suite.rows if row.results])
    if not problems:
        return None
    rows = [row for one in problems.values() for row in one]
    threads = sorted({row.facts["threads"] for row in rows})
    parts = svg.legend(_peers_of(rows), svg.TOP)
    parts.append(f'<text class="note left" x="{svg.WIDTH - 24}" y="{svg.TOP + 4}">'
                 'a task over loops (threads); logarithmic; less is better</text>')
    y = svg.TOP + 48
    for i, (title, one) in enumerate(problems.items()):
        parts += _panel(title, one, i % 2 * PANEL, y + i // 2 * (HEIGHT + GAP), threads)
    bottom = y + (len(problems) + 1) // 2 * (HEIGHT + GAP)
    return svg.picture(suite.title, parts, bottom, note)
