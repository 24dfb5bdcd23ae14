"""A step again and again, in virtual time."""

from __future__ import annotations

from random import Random

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from odp_trio.errors import CatalogError, MetadataUnavailable
from odp_trio.supervise.periodic import Bell, every
from odp_trio.supervise.restart import Backoff


class Step:
    """Notes when it ran; fails as its plan says."""

    def __init__(self, *plan: Exception | None, takes: float = 0.0) -> None:
        self.plan = list(plan)
        self.takes = takes
        self.times: list[float] = []

    async def __call__(self) -> None:
        self.times.append(trio.current_time())
        if self.takes:
            await trio.sleep(self.takes)
        error = self.plan.pop(0) if self.plan else None
        if error is not None:
            raise error

    @property
    def gaps(self) -> list[float]:
        return [later - earlier for earlier, later in zip(self.times, self.times[1:], strict=False)]


async def test_it_runs_at_once_and_then_a_period_after_each_end(autojump_clock: MockClock) -> None:
    step = Step(takes=2.0)
    begun = trio.current_time()
    with trio.move_on_after(50):
        await every(lambda: 10.0, step, rng=Random(0))

    assert [time - begun for time in step.times] == pytest.approx([0, 12, 24, 36, 48])


async def test_a_period_that_changes_is_noticed(autojump_clock: MockClock) -> None:
    periods = iter([1.0, 5.0, 100.0])
    step = Step()
    with trio.move_on_after(50):
        await every(lambda: next(periods), step, rng=Random(0))

    assert step.gaps == pytest.approx([1, 5])


async def test_failures_that_are_expected_back_off_and_a_success_forgives(autojump_clock: MockClock) -> None:
    step = Step(OSError(), CatalogError(), MetadataUnavailable(), None, OSError())
    backoff = Backoff(first=1.0, limit=3.0, jitter=0.0)
    with trio.move_on_after(30):
        await every(lambda: 10.0, step, rng=Random(0), backoff=backoff)

    assert step.gaps == pytest.approx([1, 2, 3, 10, 1, 10])


async def test_without_a_backoff_a_failure_waits_the_period(autojump_clock: MockClock) -> None:
    step = Step(OSError(), OSError())
    with trio.move_on_after(25):
        await every(lambda: 10.0, step, rng=Random(0))

    assert step.gaps == pytest.approx([10, 10])


async def test_who_keeps_the_data_is_told(autojump_clock: MockClock) -> None:
    told: list[str] = []
    step = Step(OSError("down"), OSError("still"), None)
    with trio.move_on_after(25):
        await every(
            lambda: 10.0,
            step,
            rng=Random(0),
            on_success=lambda: told.append("fresh"),
            on_failure=lambda exc: told.append(str(exc)),
        )

    assert told == ["down", "still", "fresh"]


@pytest.mark.parametrize("bug", [ValueError("bug"), ExceptionGroup("", [OSError(), ValueError("bug")])])
async def test_a_bug_comes_out(autojump_clock: MockClock, bug: Exception) -> None:
    with pytest.raises(type(bug)):
        await every(lambda: 10.0, Step(bug), rng=Random(0))


async def test_a_group_of_expected_failures_is_expected(autojump_clock: MockClock) -> None:
    step = Step(ExceptionGroup("", [OSError(), ExceptionGroup("", [CatalogError()])]))
    with trio.move_on_after(15):
        await every(lambda: 10.0, step, rng=Random(0))

    assert len(step.times) == 2


async def test_a_bell_wakes_it_and_a_ring_during_the_step_is_kept(autojump_clock: MockClock) -> None:
    bell, step = Bell(), Step(takes=1.0)
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            await every(lambda: 100.0, step, rng=Random(0), wake=bell)

        begun = trio.current_time()
        nursery.start_soon(run)
        for pause in (0.5, 2.5):  # while the step runs; while it rests
            await trio.sleep(pause)
            bell.ring()
            bell.ring()
        await trio.sleep(50)
        nursery.cancel_scope.cancel()

    assert [time - begun for time in step.times] == pytest.approx([0, 1, 3])


async def test_a_period_of_nothing_lets_others_run() -> None:
    step = Step()
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            await every(lambda: 0.0, step, rng=Random(0))

        nursery.start_soon(run)
        while len(step.times) < 3:
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()


@given(st.integers(), st.floats(0, 0.5))
def test_jitter_keeps_within_its_share(seed: int, share: float) -> None:
    step = Step()

    async def main() -> None:
        with trio.move_on_after(100):
            await every(lambda: 10.0, step, rng=Random(seed), jitter=lambda: share)

    trio.run(main, clock=MockClock(autojump_threshold=0))

    assert all(10 * (1 - share) - 1e-6 <= gap <= 10 * (1 + share) + 1e-6 for gap in step.gaps)
    assert len(step.gaps) >= 6
