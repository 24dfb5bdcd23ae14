"""The pictures of a full run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Final

from benchmarks.comparisons import CPU, REQUESTS
from benchmarks.contenders import DIRECT, HAPROXY, ODP_TRIO, ODP_TRIO_2, TRIO_RELAY
from benchmarks.figures import Figure
from benchmarks.svg import Panel, Point, Series, draw
from benchmarks.sysbench import WORKLOADS

ORDER: Final = (DIRECT, HAPROXY, TRIO_RELAY, ODP_TRIO, ODP_TRIO_2)
SYSBENCH: Final = re.compile(r"sysbench (\w+), (text|prepared), (\d+) threads?")
OPEN_LOOP: Final = re.compile(r"open loop, (\d+) % of what odp_trio can do")
PERCENTILES: Final = ("latency p50", "latency p95", "latency p99", "latency p99.9")
CANNED: Final = {
    "canned point select, 1 connection": "text, 1",
    "canned point select, 16 connections": "text, 16",
    "canned point select, prepared, 1 connection": "prep., 1",
    "canned point select, prepared, 16 connections": "prep., 16",
}


def plots(figures: Sequence[Figure]) -> dict[str, str]:
    """Return the pictures that the figures are enough for, by name."""
    drawn = {
        "canned-cpu": _canned(figures),
        "sysbench-cpu": _sysbench(figures, CPU, "CPU time of the proxy", "µs a statement"),
        "sysbench-requests": _sysbench(figures, REQUESTS, "Throughput", "statements a second"),
        "latency": _latency(figures),
    }
    return {name: picture for name, picture in drawn.items() if picture}


def _canned(figures: Sequence[Figure]) -> str:
    found = {figure.scenario: figure.scenario for figure in figures if figure.scenario in CANNED}
    scenarios = [scenario for scenario in CANNED if scenario in found]
    if not scenarios:
        return ""
    panels = []
    for kind in ("text", "prep."):
        of_kind = {scenario: at for at, scenario in enumerate(one for one in scenarios if CANNED[one].startswith(kind))}
        labels = tuple(CANNED[scenario].rpartition(" ")[2] for scenario in of_kind)
        series = _series(figures, of_kind, CPU)
        if series:
            title = "text protocol" if kind == "text" else "prepared statements"
            panels.append(Panel(title, labels, "connections", series, bars=True))
    return draw("CPU time of the proxy: point select, canned server", "µs a statement", panels, 2)


def _sysbench(figures: Sequence[Figure], metric: str, title: str, unit: str) -> str:
    parsed = {figure.scenario: match for figure in figures if (match := SYSBENCH.fullmatch(figure.scenario))}
    threads = sorted({int(match[3]) for match in parsed.values()})
    panels = []
    for protocol, workload in product(("text", "prepared"), WORKLOADS):
        places = {
            scenario: threads.index(int(match[3]))
            for scenario, match in parsed.items()
            if (match[1], match[2]) == (workload, protocol)
        }
        if series := _series(figures, places, metric):
            panels.append(Panel(f"{workload}, {protocol}", tuple(map(str, threads)), "threads", series))
    columns = len({panel.title.partition(",")[0] for panel in panels})
    return draw(f"{title}: sysbench on an OceanBase kernel", unit, panels, columns) if panels else ""


def _latency(figures: Sequence[Figure]) -> str:
    parsed = {figure.scenario: int(match[1]) for figure in figures if (match := OPEN_LOOP.fullmatch(figure.scenario))}
    shares = sorted(set(parsed.values()))
    places = {scenario: shares.index(share) for scenario, share in parsed.items()}
    labels = tuple(f"{share} %" for share in shares)
    panels = [
        Panel(metric, labels, "offered load: share of what odp_trio can do", series, logarithmic=True)
        for metric in PERCENTILES
        if (series := _series(figures, places, metric))
    ]
    return (
        draw("Latency against offered load: open loop, canned server", "µs, logarithmic", panels, 4) if panels else ""
    )


def _series(figures: Iterable[Figure], places: Mapping[str, int], metric: str) -> tuple[Series, ...]:
    points: dict[str, list[Point]] = {}
    for figure in figures:
        if figure.metric == metric and figure.scenario in places:
            point = Point(places[figure.scenario], figure.median, figure.low, figure.high)
            points.setdefault(figure.contender, []).append(point)
    return tuple(
        Series(name, colour, tuple(sorted(points[name], key=lambda point: point.at)))
        for colour, name in enumerate(ORDER)
        if name in points
    )
