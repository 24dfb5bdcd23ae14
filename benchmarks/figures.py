"""Samples and what becomes of them; the machine they were taken on."""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
from collections.abc import Iterable, Mapping
from importlib.metadata import version
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
        values.setdefault(key, []).append(sample.value)
    return tuple(
        Figure(*key, statistics.median(found), min(found), max(found), tuple(found)) for key, found in values.items()
    )


def machine() -> dict[str, str]:
    """Describe where and with what the run was made."""
    return {
        "cpu": _cpu_model(),
        "cores": str(os.cpu_count()),
        "load": " ".join(f"{average:.2f}" for average in os.getloadavg()),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "trio": version("trio"),
        "haproxy": _first_line("haproxy", "-v"),
        "sysbench": _first_line("sysbench", "--version"),
        "commit": _first_line("git", "describe", "--always", "--dirty"),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _first_line(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return "none"
    here = Path(__file__).resolve().parent
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10, cwd=here)
    return done.stdout.partition("\n")[0].strip() or "unknown"
