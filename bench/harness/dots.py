# SPDX-License-Identifier: MIT
"""One line a row and one dot a peer on a common logarithmic scale, with a stroke at the aim."""
import math
from xml.sax.saxutils import escape

from harness import svg
from harness.report import format_ns

LEFT = 290
RIGHT = 40
LINE = 28
RADIUS = 5


def draw(suite, note):
    """The SVG, or None when there is nothing to show."""
    rows = [row for row in suite.rows if row.results]
    if not rows:
        return None
    medians = [max(r.median, 0.1) for row in rows for r in row.results]
    low = math.floor(math.log10(min(medians)))
    high = math.ceil(math.log10(max(medians)))
    scale = (svg.WIDTH - LEFT - RIGHT) / max(high - low, 1)

    def across(ns):
        return LEFT + (math.log10(max(ns, 0.1)) - low) * scale

    peers = list(dict.fromkeys(r.peer for row in rows for r in row.results))
    top = svg.TOP + 40
    bottom = top + len(rows) * LINE
    parts = svg.legend(peers, svg.TOP)
    parts.append(f'<path class="aim" d="M{svg.WIDTH - 258} {svg.TOP - 8}v16"/>'
                 f'<text class="note left" x="{svg.WIDTH - 24}" y="{svg.TOP + 4}">'
                 'the aim; logarithmic; less is better</text>')
    for decade in range(low, high + 1):
        x = across(10 ** decade)
        parts += [f'<path class="axis" d="M{x:.1f} {top - 12}V{bottom - 8}"/>',
                  f'<text class="note middle" x="{x:.1f}" y="{bottom + 8}">'
                  f'{format_ns(10 ** decade)}</text>']
    for i, row in enumerate(rows):
        y = top + i * LINE
        parts += [f'<path class="axis" d="M{LEFT} {y}H{svg.WIDTH - RIGHT}"/>',
                  f'<text class="name" x="{LEFT - 12}" y="{y + 4}">{escape(row.title)}</text>']
        if "aim_ns" in row.facts:
            parts.append(f'<path class="aim" d="M{across(row.facts["aim_ns"]):.1f} {y - 9}v18"/>')
        parts += [svg.dot(r.peer, across(r.median), y, RADIUS) for r in reversed(row.results)]
    return svg.picture(suite.title, parts, bottom + 36, note)
