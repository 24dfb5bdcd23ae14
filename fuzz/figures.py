"""What the runs have found: one JSON file, and a part of docs/fuzzing.md that is made from it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from fuzz.harnesses import NAMES, harness

ROOT: Final = Path(__file__).parents[1]
RUNS: Final = ROOT / "fuzz" / "runs.json"
CORPUS: Final = ROOT / "fuzz" / "corpus"
PAGE: Final = ROOT / "docs" / "fuzzing.md"
MARKS: Final = ("<!-- runs -->", "<!-- end of runs -->")


class Finding(msgspec.Struct, frozen=True):
    """What a harness raised, and the test that keeps it from coming back; empty: it is not mended."""

    what: str
    test: str = ""


class Runs(msgspec.Struct):
    """All runs of one harness.  ``clean_seconds`` begin anew with each finding."""

    executions: int = 0
    seconds: int = 0
    clean_executions: int = 0
    clean_seconds: int = 0
    edges: int = 0
    features: int = 0
    peak_mb: int = 0
    slowest_seconds: int = 0
    findings: list[Finding] = []


def read_runs() -> dict[str, Runs]:
    """Read the file; harnesses that never ran have nothing but zeros."""
    found = msgspec.json.decode(RUNS.read_bytes(), type=dict[str, Runs]) if RUNS.exists() else {}
    return {name: found.get(name, Runs()) for name in NAMES}


def write_runs(runs: dict[str, Runs]) -> None:
    """Write the file."""
    RUNS.write_bytes(msgspec.json.format(msgspec.json.encode(runs), indent=2) + b"\n")


def render(runs: dict[str, Runs]) -> str:
    """Return the tables of the page."""
    lines = [
        "| harness | what it reads | runs, minutes | clean since, minutes | executions | a second | edges | kept inputs"
        " | memory, MB | findings |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, one in runs.items():
        kept = list((CORPUS / name).glob("*"))
        size = sum(path.stat().st_size for path in kept)
        purpose = harness(name).purpose.rstrip(".")
        speed = one.executions // one.seconds if one.seconds else 0
        cells = (
            f"`{name}`",
            purpose,
            f"{one.seconds / 60:.1f}",
            f"{one.clean_seconds / 60:.1f}",
            f"{one.executions:,}",
            f"{speed:,}",
            f"{one.edges:,}",
            f"{len(kept)} ({size:,} bytes)",
            f"{one.peak_mb}",
            f"{len(one.findings)}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    total = sum(one.executions for one in runs.values())
    minutes = sum(one.seconds for one in runs.values()) / 60
    count = sum(len(one.findings) for one in runs.values())
    lines += ["", f"Together {total:,} executions in {minutes:.0f} minutes; {count} findings.", ""]
    if count:
        lines += ["| harness | what was found | the test that keeps it away |", "|---|---|---|"]
        lines += [
            f"| `{name}` | {found.what.replace('|', '&#124;')} | {f'`{found.test}`' if found.test else 'open'} |"
            for name, one in runs.items()
            for found in one.findings
        ]
        lines.append("")
    return "\n".join(lines)


def page() -> str:
    """Return docs/fuzzing.md with the tables of today."""
    before, _, rest = PAGE.read_text().partition(MARKS[0])
    _, _, behind = rest.partition(MARKS[1])
    return f"{before}{MARKS[0]}\n{render(read_runs())}{MARKS[1]}{behind}"
