"""When a child is started again: the ledger against its laws."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from odp_trio.supervise.restart import Backoff, Escalate, Finish, Intensity, Restart, RestartIn, RestartLedger

BUG = RuntimeError("bug")


def ledger(restart: Restart = Restart.PERMANENT, intensity: Intensity | None = None, **backoff: float) -> RestartLedger:
    return RestartLedger(restart, Backoff(**backoff), intensity, Random(0))


def test_a_permanent_child_is_started_again_even_if_it_only_returned() -> None:
    assert isinstance(ledger().exited(0.0, 1.0, None), RestartIn)


def test_a_transient_child_may_return() -> None:
    assert ledger(Restart.TRANSIENT).exited(0.0, 1.0, None) == Finish()
    assert isinstance(ledger(Restart.TRANSIENT).exited(0.0, 1.0, BUG), RestartIn)


def test_a_temporary_child_is_never_started_again() -> None:
    assert ledger(Restart.TEMPORARY).exited(0.0, 1.0, BUG) == Finish()


def test_a_long_life_forgives() -> None:
    book = ledger(jitter=0.0, limit=30.0)
    delays = [book.exited(0.0, 0.0, BUG) for _ in range(4)]

    assert [decision.delay for decision in delays if isinstance(decision, RestartIn)] == [0.1, 0.2, 0.4, 0.8]
    assert book.exited(100.0, 30.0, BUG) == RestartIn(0.1)


@given(st.lists(st.floats(0, 20), max_size=60), st.integers(1, 6), st.floats(1, 60))
def test_never_more_restarts_than_the_intensity_allows(gaps: list[float], restarts: int, period: float) -> None:
    book = ledger(intensity=Intensity(restarts, period))
    now, granted = 0.0, []
    for gap in gaps:
        now += gap
        if isinstance(book.exited(now, 0.0, BUG), Escalate):
            break
        granted.append(now)

    for start in granted:
        assert len([time for time in granted if start <= time < start + period]) <= restarts


@given(st.integers(1, 2000))
def test_delays_grow_to_their_limit(attempt: int) -> None:
    backoff = Backoff(jitter=0.0)
    rng = Random(0)

    assert backoff.delay(attempt, rng) <= backoff.delay(attempt + 1, rng) <= backoff.limit


@given(st.integers(1, 100), st.integers())
def test_jitter_only_lengthens(attempt: int, seed: int) -> None:
    plain, spread = Backoff(jitter=0.0), Backoff(jitter=0.5)

    assert (
        plain.delay(attempt, Random(0)) <= spread.delay(attempt, Random(seed)) <= plain.delay(attempt, Random(0)) * 1.5
    )
