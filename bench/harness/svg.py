# SPDX-License-Identifier: MIT
"""What all pictures share: the frame, the look, colours by peer and the legend."""
import math
from xml.sax.saxutils import escape

from harness.suites import title_of

WIDTH = 820
TOP = 58  # below the title

STYLE = """
  .ground { fill: #ffffff } .title { fill: #1f2328; font: 600 17px system-ui, sans-serif }
  .group { fill: #1f2328; font: 600 13px system-ui, sans-serif }
  .name, .figure, .note { fill: #59636e; font: 12px system-ui, sans-serif }
  .name, .left { text-anchor: end } .middle { text-anchor: middle }
  .heddle { fill: #0b7a75 } .peer { fill: #c3ccd5 }
  .whisker { stroke: #1f2328; stroke-width: 1.2; opacity: .65 } .axis { stroke: #d1d9e0 }
  .line { fill: none; stroke-width: 2 } .aim { stroke: #1f2328; stroke-width: 2 }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117 } .title, .group { fill: #e6edf3 }
    .name, .figure, .note { fill: #9198a1 } .heddle { fill: #2fb5a8 } .peer { fill: #4b5561 }
    .whisker, .aim { stroke: #e6edf3 } .axis { stroke: #3d444d }
  }
"""

# Told apart by the colour-blind, too, and on both grounds.
COLOURS = {
    "heddle": "#12958d",
    "onetbb": "#3b82c4",
    "go": "#e69f00",
    "tokio": "#d55e00",
    "asyncio": "#b07aa1",
    "uvloop": "#7f6bb3",
    "asio": "#8c8c8c",
}


def dot(peer, x, y, radius):
    """Hollow for a variant of another peer."""
    fill = "none" if ":" in peer else colour_of(peer)
    return (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{fill}" '
            f'stroke="{colour_of(peer)}" stroke-width="2"/>')


def colour_of(peer):
    return COLOURS.get(peer.partition(":")[0], "#8c8c8c")


def picture(title, parts, bottom, note):
    """The whole SVG: `parts` begin at TOP and end at `bottom`."""
    height = bottom + 16
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" role="img">',
        f'<title>{escape(title)}</title>',
        f'<style>{STYLE}</style>',
        f'<rect class="ground" width="{WIDTH}" height="{height}" rx="8"/>',
        f'<text class="title" x="16" y="34">{escape(title)}</text>',
    ]
    foot = f'<text class="note" x="16" y="{bottom}">{escape(note)}</text>'
    return "\n".join([*head, *parts, foot, "</svg>", ""])


def legend(peers, y):
    """A dot and a name for each."""
    parts, x = [], 22
    for peer in peers:
        parts += [dot(peer, x, y, 4),
                  f'<text class="note" x="{x + 10}" y="{y + 4}">{escape(title_of(peer))}</text>']
        x += 34 + 7 * len(title_of(peer))
    return parts


def nice_steps(low, high):
    """1, 2, 5, 10, 20 ... from the last at or below `low` to the first at or above `high`."""
    steps = [m * 10 ** e for e in range(math.floor(math.log10(low)) - 1,
                                        math.ceil(math.log10(high)) + 1) for m in (1, 2, 5)]
    first = max(s for s in steps if s <= low)
    last = min((s for s in steps if s >= high), default=steps[-1])
    return [s for s in steps if first <= s <= last]
