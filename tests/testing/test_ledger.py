"""The ledger finds what it is there to find."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.testing.ledger import Fate, Ledger, Number


def ledger(*fates: Fate) -> tuple[Ledger, list[Number]]:
    made = Ledger()
    numbers = [made.begin(client % 3) for client in range(len(fates))]
    for number, fate in zip(numbers, fates, strict=True):
        if fate is not Fate.UNKNOWN:
            made.settle([number], fate)
    return made, numbers


def test_numbers_are_never_given_twice() -> None:
    made = Ledger()

    numbers = [made.begin(client) for client in (1, 2, 1, 1, 2)]

    assert numbers == [(1, 1), (2, 1), (1, 2), (1, 3), (2, 2)]
    assert len(made) == 5


def test_what_was_acknowledged_and_is_there_once_is_clean() -> None:
    made, numbers = ledger(Fate.ACKNOWLEDGED, Fate.FAILED, Fate.UNKNOWN, Fate.UNKNOWN)

    audit = made.audit([numbers[0], numbers[2]])

    assert audit.clean
    assert (audit.acknowledged, audit.failed, audit.unknown, audit.unknown_there) == (1, 1, 2, 1)
    assert str(audit) == "1 acknowledged, 1 failed, 2 unknown; clean"


def test_a_lost_write_is_found() -> None:
    made, numbers = ledger(Fate.ACKNOWLEDGED, Fate.ACKNOWLEDGED)

    audit = made.audit(numbers[:1])

    assert audit.lost == (numbers[1],)
    assert not audit.clean
    assert "1 acknowledged and lost: 1/1" in str(audit)


@pytest.mark.parametrize("fate", Fate)
def test_a_write_that_ran_twice_is_found_whatever_the_client_knows(fate: Fate) -> None:
    made, numbers = ledger(fate)

    audit = made.audit(numbers * 2)

    assert audit.doubled == (numbers[0],)
    assert not audit.clean
    assert "1 there twice" in str(audit)


def test_a_write_that_is_there_although_it_failed_is_found() -> None:
    made, numbers = ledger(Fate.FAILED, Fate.ACKNOWLEDGED)

    audit = made.audit(numbers)

    assert audit.undead == (numbers[0],)
    assert not audit.clean


def test_a_row_that_nobody_wrote_is_found() -> None:
    made, numbers = ledger(Fate.ACKNOWLEDGED)

    audit = made.audit([*numbers, (0, 99)])

    assert audit.strange == ((0, 99),)
    assert not audit.clean


def test_a_write_is_settled_once() -> None:
    made, numbers = ledger(Fate.ACKNOWLEDGED)

    with pytest.raises(ValueError, match="settled already"):
        made.settle(numbers, Fate.FAILED)
    with pytest.raises(KeyError):
        made.settle([(7, 7)], Fate.FAILED)
    assert made.fate(numbers[0]) is Fate.ACKNOWLEDGED


@given(st.lists(st.tuples(st.sampled_from(Fate), st.integers(0, 2))))
def test_it_is_clean_exactly_when_every_write_may_be_there_as_often_as_it_is(writes: list[tuple[Fate, int]]) -> None:
    may = {Fate.ACKNOWLEDGED: {1}, Fate.FAILED: {0}, Fate.UNKNOWN: {0, 1}}
    made, numbers = ledger(*(fate for fate, _ in writes))
    rows = [number for number, (_, count) in zip(numbers, writes, strict=True) for _ in range(count)]

    audit = made.audit(rows)

    assert audit.clean == all(count in may[fate] for fate, count in writes)
    assert audit.acknowledged + audit.failed + audit.unknown == len(writes)
    assert set(audit.doubled) == {number for number, count in Counter(rows).items() if count == 2}
