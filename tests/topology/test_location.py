"""Route entries: bounded, renewed, not asked about too often."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from odp_trio.model import Address
from odp_trio.topology.location import Location, Locations, RenewalLimiter, Replica, TableEntry, TableKey, mark_dirty
from odp_trio.topology.tenant import EntryState

HERE, THERE = Address("10.0.0.1", 2881), Address("10.0.0.2", 2881)


def entry(name: str, expires_at: float = float("inf")) -> TableEntry:
    return TableEntry(TableKey("demo", "t1", "test", name), 0.0, expires_at=expires_at)


def test_what_was_not_used_goes_first() -> None:
    table = Locations(limit=3)
    for name in "abc":
        table.store(entry(name))
    for name in "abc":
        found = table.find(TableKey("demo", "t1", "test", name))
        assert found is not None
        found.used = name != "b"

    table.store(entry("d"))

    assert sorted(each.key.table for each in table.entries()) == ["a", "c", "d"]
    assert table.evictions == 1


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 5)), max_size=60), st.integers(1, 12))
def test_the_table_never_grows_beyond_its_limit(steps: list[tuple[str, int]], limit: int) -> None:
    table = Locations(limit)
    for name, tablets in steps:
        fresh = entry(name)
        table.store(fresh)
        for tablet in range(tablets):
            table.add_tablet(Location(fresh, tablet, (), 0.0))

        assert len(table) == sum(each.size for each in table.entries())
        assert len(table) <= limit or len(table.entries()) == 1


def test_a_replaced_entry_is_gone_for_those_who_hold_it() -> None:
    table = Locations()
    old, new = entry("a"), entry("a")
    table.store(old)
    table.store(new)

    assert old.gone
    assert not new.gone


def test_an_entry_expires_at_its_time_and_not_before() -> None:
    table = Locations()
    table.store(entry("a", expires_at=5.0))
    table.store(entry("b"))

    assert table.expire(4.9) == 0
    assert table.expire(5.0) == 1
    assert [each.key.table for each in table.entries()] == ["b"]


def test_a_renewal_takes_over_what_is_new_and_forgets_the_orders() -> None:
    location = Location(entry("a"), 1, (Replica(HERE, leader=True), Replica(THERE)), 0.0)
    location.orders["x"] = "y"
    mark_dirty(location)

    assert location.renew((Replica(HERE), Replica(THERE, leader=True)), 9.0, 5.0)

    assert (location.leader, location.state, location.orders) == (THERE, EntryState.AVAILABLE, {})
    assert location.pause_until == 0.0


def test_renewals_without_news_pause_longer_and_longer() -> None:
    same = (Replica(HERE, leader=True),)
    location = Location(entry("a"), 1, same, 0.0)

    pauses = []
    for _ in range(8):
        assert not location.renew(same, 100.0, 5.0)
        pauses.append(location.pause_until - 100.0)

    assert pauses == sorted(pauses)
    assert pauses[0] < 0.2
    assert pauses[-1] == 5.0


def test_an_answer_without_a_leader_is_no_news() -> None:
    location = Location(entry("a"), 1, (Replica(HERE, leader=True),), 0.0)

    assert not location.renew((Replica(THERE),), 1.0)
    assert location.leader == HERE


def test_the_limiter_admits_so_many_a_second() -> None:
    limiter = RenewalLimiter(normal=3, limited=1)

    assert [limiter.admit(10.0) for _ in range(5)] == [True, True, True, False, False]
    assert limiter.admit(11.0)
    assert limiter.refused == 2


def test_a_storm_lowers_the_limit_for_ten_to_twenty_seconds() -> None:
    limiter = RenewalLimiter(normal=3, limited=1)
    for _ in range(4):
        limiter.note_dirty(10.0, chance=0.5)

    assert limiter.is_limited(24.9)
    assert [limiter.admit(20.0) for _ in range(2)] == [True, False]
    assert not limiter.is_limited(25.0)
