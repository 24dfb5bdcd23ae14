"""Draw panels of lines or bars as SVG that can be read on a light and on a dark page.

Only what the figures need: axes, medians, whiskers from the lowest to the highest value, a legend.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

import msgspec

_WIDTH, _HEIGHT = 300, 190
"""Of the inside of a panel."""
_LEFT, _TOP, _RIGHT, _BOTTOM = 52, 30, 14, 40
_HEAD: Final = 62
_COLOURS: Final = (  # on light, on dark
    ("#57606a", "#9aa4af"), ("#0969da", "#58a6ff"), ("#bc4c00", "#f0883e"), ("#1a7f37", "#3fb950"),
    ("#8250df", "#bc8cff"), ("#bf3989", "#f778ba"),
)  # fmt: skip
_MARKS: Final = ("M-4 0H4", "M-3.5-3.5H3.5V3.5H-3.5Z", "M0-4.5L4.2 3.2H-4.2Z", "M0-4A4 4 0 1 1 0 4A4 4 0 1 1 0-4Z",
                 "M0-5L4.5 0L0 5L-4.5 0Z", "M-4-4L4 4M4-4L-4 4")  # fmt: skip
_TICKS: Final = 5
_LETTER: Final = 7.8
"""Width of a letter of the title, about."""


class Point(msgspec.Struct, frozen=True):
    """A median with its spread, at a place of the x axis."""

    at: int
    median: float
    low: float
    high: float


class Series(msgspec.Struct, frozen=True):
    """The points of one name; ``colour`` is a number, the same for a name in all panels."""

    name: str
    colour: int
    points: tuple[Point, ...]


class Panel(msgspec.Struct, frozen=True):
    """One pair of axes.  The places of the x axis are labelled and equally far from each other."""

    title: str
    labels: tuple[str, ...]
    below: str
    """What the x axis shows."""
    series: tuple[Series, ...]
    logarithmic: bool = False
    bars: bool = False


def draw(title: str, unit: str, panels: Sequence[Panel], columns: int) -> str:
    """Return an SVG document of panels in rows."""
    columns = min(columns, len(panels))
    rows = math.ceil(len(panels) / columns)
    across, down = _LEFT + _WIDTH + _RIGHT, _TOP + _HEIGHT + _BOTTOM
    names = {one.name: one.colour for panel in panels for one in panel.series}
    heading = f"{title}; {unit}"
    wide = max(_LETTER * len(heading), sum(map(_legend_width, names)))
    width, height = max(columns * across, round(wide) + 28), _HEAD + rows * down
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        f' role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
        f"<style>{_style()}</style>",
        f'<rect class="page" width="{width}" height="{height}"/>',
        f'<text class="title" x="14" y="24">{escape(heading)}</text>',
        *_legend(names),
    ]
    for number, panel in enumerate(panels):
        row, column = divmod(number, columns)
        lines.append(f'<g transform="translate({column * across + _LEFT},{_HEAD + row * down + _TOP})">')
        lines += _panel(panel)
        lines.append("</g>")
    return "\n".join([*lines, "</svg>\n"])


def _style() -> str:
    plain = "text{font:12px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600;font-size:14px}"
    plain += (
        ".page{fill:#fff}.grid{stroke:#d1d9e0}.axis{stroke:#59636e}path,line{stroke-width:1.5}.whisker{opacity:.55}"
    )
    dark = "text{fill:#e6edf3}.page{fill:#0d1117}.grid{stroke:#2a313a}.axis{stroke:#8b949e}"
    for number, (light, other) in enumerate(_COLOURS):
        plain += f".s{number}{{stroke:{light};fill:{light}}}"
        dark += f".s{number}{{stroke:{other};fill:{other}}}"
    return f"{plain}.line{{fill:none;stroke-width:2}}@media(prefers-color-scheme:dark){{{dark}.line{{fill:none}}}}"


def _legend(names: dict[str, int]) -> Iterator[str]:
    x = 18.0
    for name, colour in names.items():
        yield f'<path class="s{colour}" d="{_MARKS[colour]}" transform="translate({x:g},44)"/>'
        yield f'<text x="{x + 10:g}" y="48">{escape(name)}</text>'
        x += _legend_width(name)


def _legend_width(name: str) -> float:
    return 30 + 6.6 * len(name)


def _panel(panel: Panel) -> Iterator[str]:
    scale = Scale(panel)
    yield f'<text x="0" y="-10">{escape(panel.title)}</text>'
    for value in scale.ticks:
        y = scale.y(value)
        yield f'<line class="grid" x1="0" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="-6" y="{y + 4:.1f}" text-anchor="end">{label(value)}</text>'
    yield f'<line class="axis" x1="0" x2="{_WIDTH}" y1="{_HEIGHT}" y2="{_HEIGHT}"/>'
    for at, text in enumerate(panel.labels):
        yield f'<text x="{scale.x(at):.1f}" y="{_HEIGHT + 17}" text-anchor="middle">{escape(text)}</text>'
    yield f'<text x="{_WIDTH / 2}" y="{_HEIGHT + 34}" text-anchor="middle">{escape(panel.below)}</text>'
    for order, series in enumerate(panel.series):
        yield from _bars(panel, scale, series, order) if panel.bars else _line(scale, series)


def _line(scale: Scale, series: Series) -> Iterator[str]:
    path = "L".join(f"{scale.x(point.at):.1f} {scale.y(point.median):.1f}" for point in series.points)
    yield f'<path class="s{series.colour} line" d="M{path}"/>'
    for point in series.points:
        x = scale.x(point.at)
        yield _whisker(scale, f"s{series.colour}", point, x)
        mark = _MARKS[series.colour]
        yield f'<path class="s{series.colour}" d="{mark}" transform="translate({x:.1f},{scale.y(point.median):.1f})"/>'


def _bars(panel: Panel, scale: Scale, series: Series, order: int) -> Iterator[str]:
    wide = 0.8 * _WIDTH / len(panel.labels) / len(panel.series)
    for point in series.points:
        x = scale.x(point.at) + (order - len(panel.series) / 2) * wide
        y = scale.y(point.median)
        yield (
            f'<rect class="s{series.colour}" x="{x + 1:.1f}" y="{y:.1f}" width="{wide - 2:.1f}"'
            f' height="{_HEIGHT - y:.1f}"/>'
        )
        yield _whisker(scale, "axis", point, x + wide / 2)  # in the bar's own colour it could not be seen
        top = scale.y(point.high) - 4
        yield f'<text x="{x + wide / 2:.1f}" y="{top:.1f}" text-anchor="middle">{label(point.median)}</text>'


def _whisker(scale: Scale, colour: str, point: Point, x: float) -> str:
    low, high = scale.y(point.low), scale.y(point.high)
    return f'<line class="{colour} whisker" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'


class Scale:
    """Where values lie in a panel."""

    def __init__(self, panel: Panel) -> None:
        values = [value for one in panel.series for point in one.points for value in (point.low, point.high)]
        self._places = len(panel.labels)
        self._logarithmic = panel.logarithmic
        top = max(values, default=1.0)
        if panel.logarithmic:
            lowest = max(min(values, default=1.0), 1e-9)
            self._from = 10.0 ** math.floor(math.log10(lowest))
            self._to = 10.0 ** max(math.ceil(math.log10(top)), math.floor(math.log10(lowest)) + 1)
            self.ticks = [self._from * 10**power for power in range(round(math.log10(self._to / self._from)) + 1)]
        else:
            step = nice(top * (1.1 if panel.bars else 1.0) / _TICKS)
            self._from, self._to = 0.0, step * max(1, math.ceil(top * (1.1 if panel.bars else 1.0) / step))
            self.ticks = [step * number for number in range(round(self._to / step) + 1)]

    def x(self, at: float) -> float:
        """Return the middle of a place."""
        return (at + 0.5) * _WIDTH / self._places

    def y(self, value: float) -> float:
        """Return how far down a value is."""
        if self._logarithmic:
            share = math.log(max(value, self._from) / self._from) / math.log(self._to / self._from)
        else:
            share = value / self._to
        return _HEIGHT * (1 - share)


def nice(step: float) -> float:
    """Return the next of 1, 2, 2.5 or 5 times a power of ten: a step between ticks."""
    if step <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= step * 0.999)


def label(value: float) -> str:
    """Write a value at an axis or a bar: with ``k`` for thousands, ``M`` for millions."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size * 0.9995:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"
