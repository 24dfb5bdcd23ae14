"""What a load says about a stretch of time: gaps, rates, percentiles, errors by kind.  Pure.

Answers and failures are given in the order of time.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from odp_trio.testing.load import Answered, Failed

_NUMBERS = re.compile(r"\d+(?:[.:]\d+)+|\d+")
_REPEATED = re.compile(r"(…[^…]{0,40})(?:; \1)+")
_SHOWN = 120


def rate(answers: Iterable[Answered], begin: float, end: float) -> float:
    """Return successful statements per second."""
    return sum(begin <= answer.at < end for answer in answers) / (end - begin) if end > begin else 0.0


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value below which ``share`` of them are; 0.0 of none."""
    found = sorted(values)
    return found[min(len(found) - 1, int(len(found) * share))] if found else 0.0


def longest_gap(times: Iterable[float], begin: float, end: float) -> float:
    """Return the longest stretch between two of ``times`` that reaches into [begin, end], or to its edges."""
    before = [at for at in times if at <= end]
    points = [*(at for at in before if at < begin)][-1:] or [begin]
    points += [at for at in before if at >= begin]
    points.append(end)
    return max(later - earlier for earlier, later in pairwise(points))


def gaps(answers: Iterable[Answered], clients: int, begin: float, end: float) -> tuple[float, float]:
    """Return the longest time that any one client was without an answer, and that all of them were."""
    times: defaultdict[int, list[float]] = defaultdict(list)
    every: list[float] = []
    for answer in answers:
        times[answer.client].append(answer.at)
        every.append(answer.at)
    each = [longest_gap(times[client], begin, end) for client in range(clients)]
    return max(each), longest_gap(every, begin, end)


def kinds(failures: Iterable[Failed]) -> Mapping[str, Mapping[str, int]]:
    """Count failures by what clients were told, without its numbers and names, and by what they had asked."""
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for failed in failures:
        found[told(failed)][failed.what] += 1
    return found


def told(failed: Failed) -> str:
    """Return what a client was told, such that it is the same for failures of a kind."""
    text = _REPEATED.sub(r"\1", _NUMBERS.sub("…", failed.message))
    shown = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
    return f"{failed.errno} {shown}" if failed.errno else shown


def recovery(answers: Sequence[Answered], failures: Sequence[Failed], clients: int, since: float) -> float | None:
    """Return after how many seconds from ``since`` service was whole; None if it never was.

    It is whole when the last failure is over and every client has got an answer
    to a statement that it sent since then.
    """
    steady = max((failed.at for failed in failures if failed.at >= since), default=since)
    first: dict[int, float] = {}
    for answer in answers:
        if answer.at - answer.seconds >= steady:
            first.setdefault(answer.client, answer.at)
    return max(first.values()) - since if len(first) == clients else None
