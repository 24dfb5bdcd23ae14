"""What a part of a run is: something that is opened once and then measures round after round."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from benchmarks.figures import Sample, Skipped
from benchmarks.scenarios import Plan

Item = TypeVar("Item")
Measured = tuple[list[Sample], list[Skipped]]
Round = Callable[[int], Awaitable[Measured]]
"""Measures one round, of the given number from 0 on."""


class Run(msgspec.Struct, frozen=True):
    """What a part is opened with."""

    plan: Plan
    logs: Path
    tell: Callable[[str], None]
    """Say what is being measured now."""


class Part(msgspec.Struct, frozen=True):
    """One part: a line on what it measures, and how to open it.

    Opening may raise KernelUnavailable: the part is skipped then.
    """

    what: str
    open: Callable[[Run], AbstractAsyncContextManager[Round]]


def each_round(measure: Callable[[Plan, Path], Awaitable[list[Sample] | Measured]]) -> Part:
    """Make a part of a function that starts what it needs, measures one round and ends it."""

    @asynccontextmanager
    async def opened(run: Run) -> AsyncIterator[Round]:
        async def one_round(_number: int) -> Measured:
            found = await measure(msgspec.structs.replace(run.plan, rounds=1), run.logs)
            return found if isinstance(found, tuple) else (found, [])

        yield one_round

    return Part(_about(measure), opened)


def pure(measure: Callable[[float], Iterable[Sample]], share: float) -> Part:
    """Make a part of pure functions; ``share`` is what part of ``plan.seconds`` each function is called for."""

    @asynccontextmanager
    async def opened(run: Run) -> AsyncIterator[Round]:
        async def one_round(_number: int) -> Measured:
            return list(measure(run.plan.seconds * share)), []

        yield one_round

    return Part(_about(measure), opened)


def _about(function: object) -> str:
    """Return the first line that a function's module says about itself."""
    return (sys.modules[function.__module__].__doc__ or "").partition("\n")[0]


def rotated(items: Sequence[Item], number: int) -> list[Item]:
    """Return the items, another one first each round: nobody always comes behind the same neighbour."""
    at = number % len(items) if items else 0
    return [*items[at:], *items[:at]]
