"""Contenders against each other, round by round: what ran in the same minutes is compared, then the median taken."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from benchmarks.contenders import DIRECT, HAPROXY, ODP_TRIO, ODP_TRIO_2, TRIO_RELAY
from benchmarks.figures import Comparison, Figure

CPU: Final = "proxy CPU"
REQUESTS: Final = "requests"
_RATIOS: Final = (
    (CPU, ODP_TRIO, HAPROXY),
    (CPU, ODP_TRIO_2, HAPROXY),
    (CPU, TRIO_RELAY, HAPROXY),
    (CPU, ODP_TRIO_2, ODP_TRIO),
    (REQUESTS, ODP_TRIO, HAPROXY),
    (REQUESTS, ODP_TRIO_2, ODP_TRIO),
    ("per core", ODP_TRIO, HAPROXY),
)


def comparisons(figures: Sequence[Figure]) -> tuple[Comparison, ...]:
    """Return ratios of cost and throughput, and how much latency each proxy adds to none.

    There is no ratio to nothing, which is what a very short load may have cost.
    """
    known = {(figure.scenario, figure.metric, figure.contender): figure for figure in figures}
    found = []
    for figure in figures:
        for metric, contender, against in _RATIOS:
            other = known.get((figure.scenario, metric, against))
            if (figure.metric, figure.contender) == (metric, contender) and other is not None and all(other.values):
                found.append(_compare(figure, other, "ratio", lambda mine, other: mine / other))
        other = known.get((figure.scenario, figure.metric, DIRECT))
        if figure.metric.startswith("latency p") and figure.contender != DIRECT and other is not None:
            found.append(_compare(figure, other, figure.unit, lambda mine, other: mine - other))
    return tuple(found)


def _compare(mine: Figure, other: Figure, unit: str, how: Callable[[float, float], float]) -> Comparison:
    one, two = mine.values, other.values
    if len(one) != len(two):  # one of them was not there in every round: which is whose partner is not known
        one, two = (mine.median,), (other.median,)
    values = tuple(float(f"{how(*pair):.4g}") for pair in zip(one, two, strict=True))
    described = mine.scenario, mine.metric, unit, mine.contender, other.contender
    return Comparison(*described, statistics.median(values), min(values), max(values), values)


def find(found: Iterable[Comparison], scenario: str, metric: str, contender: str, against: str) -> Comparison | None:
    """Return one comparison; None if it was not made."""
    wanted = scenario, metric, contender, against
    for one in found:
        if (one.scenario, one.metric, one.contender, one.against) == wanted:
            return one
    return None
