"""The pictures of a comparison, as SVG: bars, the median as the bar, the rounds as a line; and curves of growth.

Invariant: pure; the same results give the same bytes. Bars of figures that differ by orders of magnitude are
logarithmic, and their panel says so; curves are logarithmic both ways.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

_PANELS = (
    ("pace-1000", "us_per_delivery", "CPU per delivery, µs (1000 clients × 50/s)", False),
    ("pace-20", "p99", "p99 from COMMIT, ms (1000 clients × 20/s)", False),
    ("saturation", "deliveries_per_second", "deliveries/s on one core (logarithmic)", True),
    ("idle", "kb_per_stream", "memory per idle stream, kB (10 000 streams)", False),
)
_WIDTH, _LABEL, _BAR, _ROW, _HEAD = 760, 150, 480, 24, 40
_CURVES = 320
_STYLE = (
    "text{font:13px sans-serif;fill:#334}.title{font-weight:600}.ours{fill:#0a7d5a}.peer{fill:#9aa7b8}"
    "line{stroke:#334;stroke-width:1.5}.grid{stroke:#dde3ea;stroke-width:1}.small{font-size:11px}"
    "polyline{stroke-width:2}polyline.ours{fill:none;stroke:#0a7d5a}"
    "polyline.peer{fill:none;stroke:#9aa7b8;stroke-dasharray:5 3}"
)
Results = Mapping[str, Mapping[str, Sequence[Mapping[str, float]]]]


def draw(results: Results) -> str:
    """The picture of the panels for which there are results."""
    parts, top = [], 10
    for scenario, figure, title, is_logarithmic in _PANELS:
        values = {
            server: [one[figure] for one in rounds if one.get(figure)]
            for server, rounds in results.get(scenario, {}).items()
        }
        values = {server: seen for server, seen in values.items() if seen}
        if values:
            parts.append(_panel(title, values, is_logarithmic, top))
            top += _HEAD + _ROW * len(values)
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{top}" viewBox="0 0 {_WIDTH} {top}">\n'
        f'<style>{_STYLE}</style>\n<rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n'
    )


def _panel(title: str, values: Mapping[str, Sequence[float]], is_logarithmic: bool, top: int) -> str:
    least, most = min(map(min, values.values())), max(map(max, values.values()))

    def place(value: float) -> float:
        if is_logarithmic:
            low = math.floor(math.log10(least))
            return _BAR * (math.log10(value) - low) / max(0.3, math.log10(most) - low)
        return _BAR * value / most

    rows = [f'<text class="title" x="10" y="{top + 18}">{escape(title)}</text>']
    for index, (server, seen) in enumerate(values.items()):
        y = top + 28 + index * _ROW
        median = statistics.median(seen)
        kind = "ours" if server == "ours" else "peer"
        rows.append(f'<text x="10" y="{y + 13}">{escape(server)}</text>')
        rows.append(f'<rect class="{kind}" x="{_LABEL}" y="{y}" width="{place(median):.1f}" height="16"/>')
        rows.append(
            f'<line x1="{_LABEL + place(min(seen)):.1f}" x2="{_LABEL + place(max(seen)):.1f}" '
            f'y1="{y + 8}" y2="{y + 8}"/>'
        )
        rows.append(f'<text x="{_LABEL + place(max(seen)) + 8:.1f}" y="{y + 13}">{_short(median)}</text>')
    return "\n".join(rows)


class Curve(NamedTuple):
    """One line of a panel: what it is, whose it is ("ours" or "peer"), and its points, all above zero."""

    label: str
    kind: str
    points: Sequence[tuple[float, float]]


def curves(panels: Sequence[tuple[str, str, Sequence[Curve]]]) -> str:
    """A picture of panels one below the other: a title, what the x axis counts, and the lines."""
    shown = [panel for panel in panels if any(curve.points for curve in panel[2])]
    body = "\n".join(_curve_panel(*panel, top=10 + index * _CURVES) for index, panel in enumerate(shown))
    height = 20 + _CURVES * len(shown)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}">\n'
        f'<style>{_STYLE}</style>\n<rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n'
    )


def _curve_panel(title: str, axis: str, lines: Sequence[Curve], top: int) -> str:
    left, right, above, below = 60, _WIDTH - 120, top + 30, top + _CURVES - 50
    xs = [math.log10(x) for line in lines for x, _ in line.points]
    ys = [math.log10(y) for line in lines for _, y in line.points]
    x_low, x_high = math.floor(min(xs)), math.ceil(max(xs))
    y_low, y_high = math.floor(min(ys)), math.ceil(max(ys))

    def place(x: float, y: float) -> tuple[float, float]:
        across = (math.log10(x) - x_low) / max(1, x_high - x_low)
        up = (math.log10(y) - y_low) / max(1, y_high - y_low)
        return left + across * (right - left), below - up * (below - above)

    parts = [f'<text class="title" x="10" y="{top + 16}">{escape(title)}</text>']
    for power in range(x_low, x_high + 1):
        x, _ = place(10**power, 10**y_low)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{above}" y2="{below}"/>')
        parts.append(f'<text class="small" x="{x:.1f}" y="{below + 16}" text-anchor="middle">{10**power:,}</text>')
    for power in range(y_low, y_high + 1):
        _, y = place(10**x_low, 10**power)
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="small" x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{10**power:g}</text>')
    ends: list[float] = []
    for line in sorted(lines, key=lambda one: -one.points[-1][1] if one.points else 0):
        if not line.points:
            continue
        at = [place(x, y) for x, y in line.points]
        parts.append(f'<polyline class="{line.kind}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in at)}"/>')
        ends.append(max(at[-1][1] + 4, ends[-1] + 12 if ends else 0))  # labels keep a line's distance
        parts.append(f'<text class="small" x="{at[-1][0] + 6:.1f}" y="{ends[-1]:.1f}">{escape(line.label)}</text>')
    middle = (left + right) / 2
    parts.append(f'<text class="small" x="{middle:.0f}" y="{below + 32}" text-anchor="middle">{escape(axis)}</text>')
    return "\n".join(parts)


def _short(value: float) -> str:
    if value >= 1e6:
        return f"{value / 1e6:.2f} M"
    if value >= 1e4:
        return f"{value / 1e3:.0f} k"
    return f"{value:.3g}"
