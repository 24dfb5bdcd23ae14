"""Hung, or only busy?  Started again, or given up?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.process.health import Probation, Signs, Verdict, judge
from odp_trio.process.lives import Lives


@pytest.mark.parametrize(
    ("greeted", "silence", "accepting", "verdict"),
    [
        (True, 0.1, True, Verdict.WELL),
        (True, 9.0, False, Verdict.WELL),  # who answers is not hung, whatever its link says
        (False, 0.1, False, Verdict.EXCUSED),  # at its connection limit, draining, its listener restarting
        (False, 0.1, True, Verdict.SICK),  # it says that it accepts, and does not
        (False, 9.0, False, Verdict.SICK),  # it said so once, and says nothing now
        (False, 9.0, True, Verdict.SICK),
    ],
)
def test_a_port_without_a_greeting_is_excused_only_by_a_child_that_still_speaks(
    greeted: bool, silence: float, accepting: bool, verdict: Verdict
) -> None:
    assert judge(Signs(greeted, silence, accepting), silence_limit=2.0) is verdict


def test_one_bad_probe_is_not_enough_and_a_good_one_forgives() -> None:
    probation = Probation(2)

    seen = [probation.hung(verdict) for verdict in (Verdict.SICK, Verdict.WELL, Verdict.SICK, Verdict.SICK)]

    assert seen == [False, False, False, True]


def test_a_long_life_is_followed_at_once_and_short_ones_slower_and_slower() -> None:
    lives = Lives(settle=10.0, give_up_after=3)

    assert [lives.ended(lived) for lived in (60.0, 1.0, 1.0, 60.0, 1.0, 1.0, 1.0, 1.0)] == [
        *(0.0, 0.1, 0.2),
        *(0.0, 0.1, 0.2, 0.4, None),
    ]


@given(st.lists(st.floats(0, 1e6)), st.integers(1, 2000))
def test_pauses_are_bounded(lengths: list[float], give_up_after: int) -> None:
    lives = Lives(10.0, give_up_after)

    for lived in lengths:
        pause = lives.ended(lived)
        assert pause is None or 0 <= pause <= 10
        assert (pause is None) == (lives.short > give_up_after)
