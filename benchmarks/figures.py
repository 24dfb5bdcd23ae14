"""Samples and what becomes of them; the machine they were taken on."""

from __future__ import annotations

import os
import platform
import re
import shutil
import statistics
import subprocess
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec


class Sample(msgspec.Struct, frozen=True):
    """One measured value."""

    scenario: str
    metric: str
    unit: str
    contender: str
    value: float


class Skipped(msgspec.Struct, frozen=True):
    """What was not measured, and why."""

    what: str
    reason: str


class Figure(msgspec.Struct, frozen=True):
    """The samples of one metric of one contender, over all rounds."""

    scenario: str
    metric: str
    unit: str
    contender: str
    median: float
    low: float
    high: float
    values: tuple[float, ...]


class Comparison(msgspec.Struct, frozen=True):
    """One contender against another in one metric, over all rounds."""

    scenario: str
    metric: str
    unit: str
    """``ratio``, or that of the metric for a difference."""
    contender: str
    against: str
    median: float
    low: float
    high: float
    values: tuple[float, ...]
    """Of each round; one of the medians if the two did not have the same rounds."""


class Report(msgspec.Struct, frozen=True):
    """A run, as far as it has come."""

    suite: str
    machine: Mapping[str, str]
    rounds: Mapping[str, int]
    """Of each part."""
    seconds: Mapping[str, float]
    """That each part has taken."""
    figures: tuple[Figure, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    comparisons: tuple[Comparison, ...] = ()

    def and_round(self, part: str, samples: Iterable[Sample], skipped: Iterable[Skipped], seconds: float) -> Report:
        """Return the report with one more round of a part."""
        known = [
            Sample(figure.scenario, figure.metric, figure.unit, figure.contender, value)
            for figure in self.figures
            for value in figure.values
        ]
        return msgspec.structs.replace(
            self,
            rounds={**self.rounds, part: self.rounds.get(part, 0) + 1},
            seconds={**self.seconds, part: self.seconds.get(part, 0.0) + seconds},
            figures=figures((*known, *samples)),
            skipped=tuple(dict.fromkeys((*self.skipped, *skipped))),
        )


def figures(samples: Iterable[Sample]) -> tuple[Figure, ...]:
    """Gather the samples of all rounds, in the order in which each metric came first."""
    values: dict[tuple[str, str, str, str], list[float]] = {}
    for sample in samples:
        key = (sample.scenario, sample.metric, sample.unit, sample.contender)
        values.setdefault(key, []).append(float(f"{sample.value:.5g}"))
    return tuple(
        Figure(*key, statistics.median(found), min(found), max(found), tuple(found)) for key, found in values.items()
    )


def machine() -> dict[str, str]:
    """Describe where and with what the run was made."""
    return {
        "cpu": _cpu_model(),
        "cores": str(os.cpu_count()),
        "load": " ".join(f"{average:.2f}" for average in os.getloadavg()),
        "linux": platform.release(),
        "python": platform.python_version(),
        "trio": version("trio"),
        "haproxy": _version("haproxy", "-v"),
        "sysbench": _version("sysbench", "--version"),
        "seekdb": _seekdb(),
        "commit": _first_line("git", "describe", "--always", "--dirty"),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(*command: str) -> str:
    line = _first_line(*command)
    found = re.search(r"\d[\w.+-]*", line)
    return found[0] if found else line


def _seekdb() -> str:
    try:
        return version("pylibseekdb")
    except PackageNotFoundError:
        return "none"


def _first_line(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return "none"
    here = Path(__file__).resolve().parent
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10, cwd=here)
    return done.stdout.partition("\n")[0].strip() or "unknown"
