"""What of a corpus is kept: the smallest inputs that take every step from line to line that all of it takes."""

from __future__ import annotations

import os
import sys
from hashlib import sha1
from pathlib import Path
from types import FrameType
from typing import Any, Final

import odp_trio
from fuzz.figures import CORPUS
from fuzz.harnesses import harness
from fuzz.runs import prepare

MOST_BYTES: Final = 2048
"""A longer input is not kept in the tree."""
_OWN: Final = os.path.dirname(odp_trio.__file__)
Step = tuple[str, int, int]


def keep(name: str, work: Path) -> int:
    """Write the corpus of a harness into the tree; return how many inputs it has."""
    one_input = harness(name).one_input
    inputs = sorted((path.read_bytes() for path in prepare(name, work).iterdir()), key=lambda data: (len(data), data))
    one_input(b"")  # what is imported or made with the first input is nobody's step
    chosen, reached = [], set[Step]()
    for data in inputs:
        if len(data) > MOST_BYTES:
            continue
        steps = _steps(one_input, data)
        if not steps <= reached:
            reached |= steps
            chosen.append(data)
    place = CORPUS / name
    place.mkdir(parents=True, exist_ok=True)
    for path in place.iterdir():
        path.unlink()
    for data in chosen:
        (place / sha1(data, usedforsecurity=False).hexdigest()[:16]).write_bytes(data)
    return len(chosen)


def _steps(one_input: Any, data: bytes) -> set[Step]:
    found: set[Step] = set()

    def calls(frame: FrameType, event: str, _: object) -> Any:
        name = frame.f_code.co_filename
        if not name.startswith(_OWN):
            return None
        last = 0

        def lines(frame: FrameType, event: str, _: object) -> Any:
            nonlocal last
            if event == "line":
                found.add((name, last, frame.f_lineno))
                last = frame.f_lineno
            return lines

        return lines

    sys.settrace(calls)
    try:
        one_input(data)
    finally:
        sys.settrace(None)
    return found
