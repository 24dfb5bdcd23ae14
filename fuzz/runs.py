"""One run: a process of atheris, given a time, and what libFuzzer said at its end."""

from __future__ import annotations

import re
import subprocess
import sys
from hashlib import sha1
from pathlib import Path
from typing import Final

import msgspec

from fuzz.figures import CORPUS, ROOT, Finding, Runs
from fuzz.harnesses import harness

_SECONDS_AN_INPUT: Final = 10
_MEMORY_MB: Final = 600
"""Of the whole process: what one input may make it take is far below that."""
_LONGEST: Final = 4096
_DONE: Final = re.compile(r"cov: (\d+) ft: (\d+)")
_STATISTIC: Final = re.compile(r"stat::(\w+):\s+(\d+)")
_RUN: Final = re.compile(r"Done (\d+) runs in (\d+) second")


class Outcome(msgspec.Struct, frozen=True):
    """What one process did, and the end of what it wrote if it found something."""

    executions: int
    seconds: int
    edges: int
    features: int
    peak_mb: int
    slowest_seconds: int
    raised: str


def prepare(name: str, work: Path) -> Path:
    """Make the working corpus of a harness: what it has, what is kept in the tree, its seeds."""
    place = work / name
    place.mkdir(parents=True, exist_ok=True)
    kept = [path.read_bytes() for path in (CORPUS / name).glob("*")]
    for data in (*kept, *harness(name).seeds()):
        (place / sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)
    return place


def run(name: str, seconds: int, work: Path) -> Outcome:
    """Run one harness for a time; the inputs that it finds go into the working corpus."""
    place, artifacts = prepare(name, work), work / "findings"
    artifacts.mkdir(exist_ok=True)
    command = [
        sys.executable, "-m", "fuzz.child", name, f"-max_total_time={seconds}", f"-timeout={_SECONDS_AN_INPUT}",
        f"-rss_limit_mb={_MEMORY_MB}", f"-max_len={_LONGEST}", "-print_final_stats=1", "-verbosity=1",
        f"-artifact_prefix={artifacts}/{name}-", str(place),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)
    return read_output(done.stdout + done.stderr, failed=done.returncode != 0)


def read_output(text: str, *, failed: bool) -> Outcome:
    """Read what libFuzzer wrote."""
    numbers = {name: int(value) for name, value in _STATISTIC.findall(text)}
    covered = _DONE.findall(text)
    edges, features = map(int, covered[-1]) if covered else (0, 0)
    executions = numbers.get("number_of_executed_units", 0)
    ended = _RUN.findall(text)
    per_second = numbers.get("average_exec_per_sec", 0)
    seconds = int(ended[-1][1]) if ended else executions // per_second if per_second else 0
    raised = ""
    if failed:
        start = text.find("=== Uncaught Python exception")
        raised = text[start:].partition("\nINFO:")[0][:4000] if start >= 0 else text[-2000:]
    return Outcome(
        executions,
        seconds,
        edges,
        features,
        numbers.get("peak_rss_mb", 0),
        numbers.get("slowest_unit_time_sec", 0),
        raised,
    )


def add(runs: Runs, outcome: Outcome) -> None:
    """Add a run to those before."""
    runs.executions += outcome.executions
    runs.seconds += outcome.seconds
    runs.clean_executions += outcome.executions
    runs.clean_seconds += outcome.seconds
    runs.edges = max(runs.edges, outcome.edges)
    runs.features = max(runs.features, outcome.features)
    runs.peak_mb = max(runs.peak_mb, outcome.peak_mb)
    runs.slowest_seconds = max(runs.slowest_seconds, outcome.slowest_seconds)
    if outcome.raised:
        runs.clean_executions = runs.clean_seconds = 0
        lines = [line for line in outcome.raised.splitlines() if line.strip()]
        told = next((line for line in lines[1:] if not line.startswith(" ")), lines[0] if lines else "ended")
        runs.findings.append(Finding(told[:200]))
