"""Route entries: bounded, renewed, not asked about too often."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.model import Address, TenantKey
from odp_trio.routing.request import Route
from odp_trio.topology.location import Location, Replica, TableEntry, TableKey, mark_dirty
from odp_trio.topology.location_table import Locations
from odp_trio.topology.renewal_limiter import RenewalLimiter
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


def test_an_entry_that_was_used_has_a_second_chance_and_no_third() -> None:
    table = Locations(limit=2)
    old, fresh = entry("old"), entry("fresh")
    for each in (old, fresh):
        table.store(each)
    fresh.used = False

    table.store(entry("x"))
    table.store(entry("y"))

    assert [each.gone for each in (old, fresh)] == [True, True]
    assert sorted(each.key.table for each in table.entries()) == ["x", "y"]


def test_one_table_may_be_larger_than_the_limit() -> None:
    table, large = Locations(limit=3), entry("large")
    table.store(entry("small"))
    table.store(large)

    for tablet in range(10):
        table.add_tablet(Location(large, tablet, (), 0.0))

    assert [each.key.table for each in table.entries()] == ["large"]
    assert len(table) == large.size == 11


def test_a_partition_that_is_renewed_counts_once_and_one_of_a_dropped_table_not_at_all() -> None:
    table, kept, dropped = Locations(), entry("kept"), entry("dropped")
    table.store(kept)
    table.store(dropped)
    table.drop(dropped.key)

    for each in (kept, kept, dropped):
        table.add_tablet(Location(each, 7, (), 0.0))

    assert len(table) == 2


def test_a_tenant_is_dropped_with_all_its_tables_and_no_others() -> None:
    table = Locations()
    table.store(entry("a"))
    table.store(TableEntry(TableKey("demo", "t2", "test", "a"), 0.0))
    table.store(TableEntry(TableKey("other", "t1", "test", "a"), 0.0))

    table.drop_tenant("demo", "t1")

    assert [(each.key.cluster, each.key.tenant) for each in table.entries()] == [("demo", "t2"), ("other", "t1")]


@given(
    st.lists(st.sampled_from("abcdefghij"), unique=True, max_size=10),
    st.lists(st.tuples(st.sampled_from("abcdefghijkl"), st.sampled_from(["stored", "dropped"])), max_size=30),
    st.integers(1, 5),
)
def test_slices_have_once_what_is_there_all_the_while(
    before: list[str], changes: list[tuple[str, str]], size: int
) -> None:
    table, steps = Locations(), iter(changes)
    for name in before:
        table.store(entry(name))
    changed: set[str] = set()
    seen: Counter[str] = Counter()
    for some in table.slices(size):
        seen.update(each.key.table for each in some)
        assert len(some) <= size
        name, what = next(steps, ("", ""))
        if what == "dropped":
            table.drop(TableKey("demo", "t1", "test", name))
        elif what:
            table.store(entry(name))
        changed.add(name)

    assert {name: count for name, count in seen.items() if name not in changed} == dict.fromkeys(
        set(before) - changed, 1
    )
    assert [each.gone for each in table.entries()] == [False] * len(table)


def test_room_is_made_little_by_little() -> None:
    table = Locations()
    for number in range(5000):
        table.store(entry(str(number)))

    table.resize(10)
    after_one_step = len(table)
    for _ in range(10):
        table.expire(0.0)

    assert 10 < after_one_step < 5000
    assert len(table) == len(table.entries()) == 10


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["routed", "replaced", "dropped"])), max_size=30))
def test_what_was_counted_is_never_lost(steps: list[tuple[str, str]]) -> None:
    table, routed = Locations(), 0
    for name, what in steps:
        key = TableKey("demo", "t1", "test", name)
        found = table.find(key)
        if what == "dropped":
            table.drop(key)
        elif what == "replaced" or found is None:
            table.store(entry(name))
        else:
            found.tally("leader")[0] += 1
            routed += 1

    gone = table.forgotten.get(TenantKey("demo", "t1"))
    counted = sum(each.tally("leader")[0] for each in table.entries())
    assert counted + (gone.by_policy.get("leader", [0])[0] if gone else 0) == routed


def test_a_table_is_duplicate_when_one_of_its_replicas_is() -> None:
    plain, duplicate, split = entry("plain"), entry("duplicate"), entry("split")
    plain.location = Location(plain, 0, (Replica(HERE, leader=True),), 0.0)
    duplicate.location = Location(duplicate, 0, (Replica(HERE, leader=True), Replica(THERE, duplicate=True)), 0.0)

    assert [each.duplicate for each in (plain, duplicate, split)] == [False, True, False]


@pytest.mark.parametrize(("kind", "readable"), [(0, True), (16, True), (5, False), (1, False)])
def test_full_and_read_only_replicas_can_be_read(kind: int, readable: bool) -> None:
    assert Replica(HERE, kind=kind).readable is readable


def test_an_entry_becomes_dirty_once() -> None:
    found = entry("a")

    assert [mark_dirty(found), mark_dirty(found)] == [True, False]
    assert found.state is EntryState.DIRTY


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


def test_news_end_the_longer_pauses() -> None:
    here, there = (Replica(HERE, leader=True),), (Replica(THERE, leader=True),)
    location = Location(entry("a"), 1, here, 0.0)
    for _ in range(8):
        location.renew(here, 100.0, 5.0)

    location.renew(there, 200.0, 5.0)
    location.renew(there, 300.0, 5.0)

    assert location.pause_until - 300.0 < 0.2


def test_an_answer_without_a_leader_is_no_news() -> None:
    location = Location(entry("a"), 1, (Replica(HERE, leader=True),), 0.0)

    assert not location.renew((Replica(THERE),), 1.0)
    assert location.leader == HERE


def test_the_limiter_admits_so_many_a_second() -> None:
    limiter = RenewalLimiter(normal=3, limited=1)

    assert [limiter.admit(10.0) for _ in range(5)] == [True, True, True, False, False]
    assert limiter.admit(11.0)
    assert limiter.refused == 2


@given(
    st.lists(st.tuples(st.floats(0.0, 3.0), st.booleans()), max_size=200),
    st.integers(1, 6),
    st.integers(1, 3),
    st.floats(0.0, 1.0),
)
def test_the_limiter_never_admits_more_in_a_second(
    events: list[tuple[float, bool]], normal: int, limited: int, chance: float
) -> None:
    limiter = RenewalLimiter(normal, limited)
    admitted: Counter[int] = Counter()
    now = 50.0
    for pause, dirty in events:
        now += pause / 10
        if dirty:
            limiter.note_dirty(now, chance)
        before = limiter.is_limited(now)
        if limiter.admit(now):
            admitted[int(now)] += 1
            assert not before or admitted[int(now)] <= limited

    assert all(count <= max(normal, limited) for count in admitted.values())


def test_a_storm_lowers_the_limit_for_ten_to_twenty_seconds() -> None:
    limiter = RenewalLimiter(normal=3, limited=1)
    for _ in range(4):
        limiter.note_dirty(10.0, chance=0.5)

    assert limiter.is_limited(24.9)
    assert [limiter.admit(20.0) for _ in range(2)] == [True, False]
    assert not limiter.is_limited(25.0)


@pytest.mark.parametrize("end", ["dirty", "table dirty", "renewed", "dropped", "replaced", "evicted"])
@pytest.mark.parametrize("tablet", [0, 7])
def test_the_route_of_a_location_ends_with_what_it_was_made_of(end: str, tablet: int) -> None:
    table, found = Locations(limit=2), entry("a")
    location = Location(found, tablet, (Replica(HERE, leader=True), Replica(THERE)), 0.0)
    if not tablet:
        found.location = location
    table.store(found)
    if tablet:
        table.add_tablet(location)
    location.route, location.epoch = object(), 3

    match end:
        case "dirty":
            mark_dirty(location)
        case "table dirty":
            mark_dirty(found)
        case "renewed":
            location.renew((Replica(HERE), Replica(THERE, leader=True)), 1.0)
        case "dropped":
            table.drop(found.key)
        case "replaced":
            table.store(entry("a"))
        case "evicted":
            found.used = False
            table.store(entry("b"))
            table.store(entry("c"))

    assert (location.route, location.epoch) == (None, -1)


class Canary:
    """Dies with the location that holds it."""


def replaced(table: Locations) -> None:
    table.store(entry("a"))


def dropped(table: Locations) -> None:
    table.drop(TableKey("demo", "t1", "test", "a"))


def evicted(table: Locations) -> None:
    table.resize(1)
    for name in "bcd":
        table.store(entry(name))


@pytest.mark.parametrize("leaves", [replaced, dropped, evicted])
def test_what_is_gone_ends_without_the_garbage_collector(leaves: Callable[[Locations], None]) -> None:
    table, found, canaries = Locations(), entry("a"), []
    found.location = Location(found, 0, (Replica(HERE, leader=True),), 0.0)
    table.store(found)
    table.add_tablet(Location(found, 7, (Replica(HERE, leader=True),), 0.0))
    gc.disable()
    try:
        for location in found.locations():
            canary = Canary()
            location.orders["canary"] = canary
            location.route = Route(HERE, "leader", location=location)
            canaries.append(weakref.ref(canary))
        del canary, location, found

        leaves(table)

        assert [canary() for canary in canaries] == [None, None]
    finally:
        gc.enable()
