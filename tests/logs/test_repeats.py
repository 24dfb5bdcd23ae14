"""The same message over and over."""

from hypothesis import given
from hypothesis import strategies as st

from odp_trio.logs.repeats import WINDOW, Repeats

A = ("x", 30, "a")


def test_some_are_written_and_the_rest_is_counted() -> None:
    repeats = Repeats()

    assert [repeats.admit(A, "text", 2, now=0.0) for _ in range(5)] == [True, True, False, False, False]
    assert repeats.admit(("x", 30, "b"), "other", 2, now=0.0)
    assert list(repeats.over(2, WINDOW - 0.1)) == []
    assert list(repeats.over(2, WINDOW)) == [(A, "text", 3)]
    assert (repeats.left_out, len(repeats)) == (3, 0)
    assert repeats.admit(A, "text", 2, now=WINDOW)


def test_no_limit() -> None:
    repeats = Repeats()

    assert all(repeats.admit(A, "text", 0, 0.0) for _ in range(100))
    assert list(repeats.over(0, 1e9)) == []


def test_it_does_not_grow_without_a_bound() -> None:
    repeats = Repeats()

    for number in range(10_000):
        repeats.admit(("x", 30, str(number)), "text", 1, 0.0)

    assert len(repeats) == 4096


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 30)), max_size=60), st.integers(1, 4))
def test_written_and_left_out_are_all(steps: list[tuple[int, float]], limit: int) -> None:
    repeats, now, written, told = Repeats(), 0.0, 0, 0
    for kind, pause in steps:
        now += pause
        told += sum(count for _, _, count in repeats.over(limit, now))
        written += repeats.admit(("x", kind, ""), "text", limit, now)
    told += sum(count for _, _, count in repeats.over(limit, now + WINDOW))

    assert written + told == len(steps)
    assert told == repeats.left_out
