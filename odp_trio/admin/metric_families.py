"""Families of the table of metrics as prometheus_client has them.  Imported with HTTP only: it takes long to import."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from odp_trio.admin.measurements import Times
from odp_trio.admin.metric_table import FAMILIES

FIRST_BOUND, LAST_BOUND = 4, 25
"""Histograms have bounds at 2**n µs from 16 µs to 33.6 s."""
BOUNDS: Final = {digits: repr((1 << digits) / 1e6) for digits in range(FIRST_BOUND, LAST_BOUND + 1)}


def counter(name: str, value: float | None = None) -> CounterMetricFamily:
    """Return a family of the table by its name with ``_total``; without labels it has its value."""
    family = FAMILIES[name]
    return CounterMetricFamily(name, family.text, value=value, labels=None if value is not None else family.labels)


def gauge(name: str, value: float | None = None) -> GaugeMetricFamily:
    """Do the same for a gauge."""
    family = FAMILIES[name]
    return GaugeMetricFamily(name, family.text, value=value, labels=None if value is not None else family.labels)


def histogram(name: str) -> HistogramMetricFamily:
    """Return a family of the table without values."""
    return HistogramMetricFamily(name, FAMILIES[name].text, labels=FAMILIES[name].labels)


def add_times(family: HistogramMetricFamily, labels: list[str], times: Times) -> None:
    """Add one histogram."""
    below, at, buckets = 0, 0, []
    for digits, bound in BOUNDS.items():
        below += sum(times.counts[at : digits + 1])
        at = digits + 1
        buckets.append((bound, float(below)))
    buckets.append(("+Inf", float(times.count)))
    family.add_metric(labels, buckets, times.seconds)


def by_label(name: str, values: Mapping[str, int] | Mapping[int, int]) -> CounterMetricFamily:
    """Return a family with one label."""
    family = counter(name)
    for key, value in sorted(values.items()):
        family.add_metric([str(key)], value)
    return family
