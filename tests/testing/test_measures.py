"""Gaps, rates, recoveries: by hand-made stories."""

from __future__ import annotations

import pytest

from odp_trio.testing.load import Answered, Failed
from odp_trio.testing.measures import gaps, kinds, longest_gap, percentile, rate, recovery


def answers(client: int, *times: float, seconds: float = 0.01) -> list[Answered]:
    return [Answered(at, client, 0, seconds) for at in times]


def failed(at: float, client: int = 0, errno: int = 4124, message: str = "10.0.0.1:2881: lost") -> Failed:
    return Failed(at, client, "read", errno, message)


@pytest.mark.parametrize(
    ("times", "gap"),
    [
        ([0.5, 1.5, 2.5], 1.0),
        ([0.9, 3.1], 2.1),  # it began before the stretch
        ([1.2], 1.8),  # it lasts to its end
        ([], 2.0),
        ([1.1, 2.0, 2.9, 9.0], 0.9),  # what comes later does not count
    ],
)
def test_a_gap_reaches_over_the_edges(times: list[float], gap: float) -> None:
    assert longest_gap(times, 1.0, 3.0) == pytest.approx(gap)


def test_the_gap_of_a_client_is_longer_than_that_of_all() -> None:
    story = sorted(answers(0, 1.0, 2.0, 3.0) + answers(1, 1.5, 2.5), key=lambda answer: answer.at)

    assert gaps(story, 2, 1.0, 3.0) == (pytest.approx(1.0), pytest.approx(0.5))
    assert gaps(story, 3, 1.0, 3.0)[0] == 2.0  # a client that never got any


def test_rate_and_percentile() -> None:
    assert rate(answers(0, 1.0, 1.5, 2.0), 1.0, 2.0) == 2.0
    assert rate([], 1.0, 1.0) == 0.0
    assert percentile(range(1, 101), 0.99) == 100
    assert percentile([], 0.99) == 0.0


def test_errors_of_a_kind_differ_in_numbers_only() -> None:
    found = kinds([failed(1.0), failed(2.0, message="10.0.0.2:2881: lost"), failed(3.0, errno=0, message="closed")])

    assert found == {"4124 …: lost": {"read": 2}, "closed": {"read": 1}}


def test_a_list_of_servers_is_told_once() -> None:
    each = "; ".join(f"10.0.0.{number}:2881: refused" for number in range(3))

    assert list(kinds([failed(1.0, message=f"none: {each}")])) == ["4124 none: …: refused"]


def test_service_is_whole_when_the_last_error_is_over_and_everybody_was_served_since() -> None:
    story = answers(0, 10.5, 12.0) + answers(1, 10.2, 12.5)

    assert recovery(story, [], 2, 10.0) == pytest.approx(0.5)
    assert recovery(story, [failed(11.0)], 2, 10.0) == pytest.approx(2.5)
    assert recovery(story, [failed(9.0)], 2, 10.0) == pytest.approx(0.5)  # that was before
    assert recovery(story, [failed(12.2)], 2, 10.0) is None
    assert recovery(answers(0, 10.5, seconds=0.6), [], 1, 10.0) is None  # sent before the end of the fault
