"""The picture of a comparison, as SVG: a panel of bars for each figure, the median as the bar, the rounds as a line.

Invariant: pure; the same results give the same bytes. Bars of figures that differ by orders of magnitude are
logarithmic, and their panel says so.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from html import escape

_PANELS = (
    ("pace-1000", "us_per_delivery", "CPU per delivery, µs (1000 clients × 50/s)", False),
    ("pace-20", "p99", "p99 from COMMIT, ms (1000 clients × 20/s)", False),
    ("saturation", "deliveries_per_second", "deliveries/s on one core (logarithmic)", True),
    ("idle", "kb_per_stream", "memory per idle stream, kB (10 000 streams)", False),
)
_WIDTH, _LABEL, _BAR, _ROW, _HEAD = 760, 150, 480, 24, 40
_STYLE = (
    "text{font:13px sans-serif;fill:#334}.title{font-weight:600}.ours{fill:#0a7d5a}.peer{fill:#9aa7b8}"
    "line{stroke:#334;stroke-width:1.5}"
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


def _short(value: float) -> str:
    if value >= 1e6:
        return f"{value / 1e6:.2f} M"
    if value >= 1e4:
        return f"{value / 1e3:.0f} k"
    return f"{value:.3g}"
