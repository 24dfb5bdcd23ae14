"""Runs checks on a target, one after the other."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import trio

import odp_trio
from odp_trio.conformance.registry import Check
from odp_trio.conformance.results import Outcome, Result, Run
from odp_trio.conformance.target import Target
from odp_trio.errors import OdpError

_GRAVITY: Final = (Outcome.SKIPPED, Outcome.FAILED, Outcome.BROKEN)


class Skip(OdpError):
    """Raised by a check that finds out while it runs that the target cannot show it."""


async def run_check(target: Target, check: Check) -> Result:
    """Run one check; whatever it raises is in the result."""
    lacking = target.lacks(check.needs)
    if lacking:
        return _result(check, Outcome.SKIPPED, "; ".join(lacking))
    began = time.monotonic()
    outcome, reason = Outcome.PASSED, ""
    try:
        with trio.fail_after(check.limit):
            async with target.during(check.needs):
                await check.body(target)
    except trio.TooSlowError:
        outcome, reason = Outcome.FAILED, f"not done within {check.limit:g} s"
    except Exception as exc:
        outcome, reason = _judged(exc)
    return _result(check, outcome, reason, time.monotonic() - began, target)


async def run_checks(
    target: Target,
    checks: Sequence[Check],
    *,
    starts: Callable[[Check], None] = lambda _: None,
    ends: Callable[[Result], None] = lambda _: None,
) -> Run:
    """Run checks in a database of their own; ``starts`` and ``ends`` are told of each."""
    began, moment = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    results = []
    await target.start()
    try:
        for check in checks:
            starts(check)
            result = await run_check(target, check)
            ends(result)
            results.append(result)
    finally:
        await target.stop()
    return Run(target.name, odp_trio.__version__, moment, time.monotonic() - began, results)


def _judged(error: BaseException) -> tuple[Outcome, str]:
    """Say what an exception means; of several, from tasks at once, the gravest counts."""
    if isinstance(error, BaseExceptionGroup):
        judged = [_judged(one) for one in error.exceptions]
        return max(judged, key=lambda one: _GRAVITY.index(one[0]))
    match error:
        case Skip():
            return Outcome.SKIPPED, str(error)
        case AssertionError():
            frame = traceback.extract_tb(error.__traceback__)[-1]
            return Outcome.FAILED, str(error) or f"not so: {frame.line}"
        case OdpError():
            return Outcome.FAILED, f"{type(error).__name__}: {error}"
        case _:
            last = traceback.extract_tb(error.__traceback__)[-1]
            return Outcome.BROKEN, f"{type(error).__name__}: {error} ({last.name}, line {last.lineno})"


def _result(check: Check, outcome: Outcome, reason: str, seconds: float = 0.0, target: Target | None = None) -> Result:
    notes = target.notes.lines() if target is not None else ()
    return Result(check.id, check.group, check.sentence, check.proves, outcome, reason, round(seconds, 3), notes)
