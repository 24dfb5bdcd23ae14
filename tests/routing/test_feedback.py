"""What an answer says about a location: the whole table."""

from __future__ import annotations

import pytest

from odp_trio.routing.feedback import Verdict, judge
from odp_trio.routing.request import Route
from odp_trio.topology.location import Location, Replica, TableEntry, TableKey
from tests.routing.world import address

TABLE = TableEntry(TableKey("demo", "t1", "test", "t"), 0.0)


def location(leader: int | None = 1) -> Location:
    return Location(TABLE, 0, (Replica(address(1), leader == 1), Replica(address(2), leader == 2)), 0.0)


@pytest.mark.parametrize(
    ("weak", "server", "leader", "hit", "verdict"),
    [
        (False, 1, 1, True, Verdict.VALID),
        (False, 1, 1, False, Verdict.DIRTY),
        (False, 2, 1, True, Verdict.DIRTY),
        (False, 2, 1, False, Verdict.NOTHING),
        (False, 2, None, True, Verdict.DIRTY),
        (False, 2, None, False, Verdict.DIRTY),
        (True, 2, 1, True, Verdict.VALID),
        (True, 2, 1, False, Verdict.DIRTY),
        (True, 3, 1, True, Verdict.DIRTY),
        (True, 3, 1, False, Verdict.NOTHING),
    ],
)
def test_partition_hits(weak: bool, server: int, leader: int | None, hit: bool, verdict: Verdict) -> None:
    found = location(leader)
    route = Route(address(server), "r", location=found, weak=weak, to_leader=server == leader)

    assert judge(route, found, hit=hit) is verdict


@pytest.mark.parametrize(
    ("errno", "verdict"),
    [
        (5150, Verdict.DIRTY_AT_ONCE),
        (4124, Verdict.DIRTY_AT_ONCE),
        (4666, Verdict.DIRTY_AT_ONCE),
        (4038, Verdict.DIRTY),
        (5727, Verdict.DIRTY),
        (5081, Verdict.NOTHING),
        (8001, Verdict.NOTHING),
        (6279, Verdict.NOTHING),
        (1062, Verdict.NOTHING),
        (1146, Verdict.NOTHING),
    ],
)
def test_error_codes_of_the_leader(errno: int, verdict: Verdict) -> None:
    found = location()

    assert judge(Route(address(1), "r", location=found, to_leader=True), found, hit=True, errno=errno) is verdict


def test_feedback_about_a_location_that_was_renewed_meanwhile_says_nothing() -> None:
    found = location(leader=1)
    sent = Route(address(1), "leader", location=found, to_leader=True)

    found.renew((Replica(address(1)), Replica(address(2), leader=True)), 1.0)

    assert judge(sent, found, hit=False) is Verdict.NOTHING


@pytest.mark.parametrize(
    ("weak", "server", "leader", "verdict"),
    [
        (False, 1, 1, Verdict.DIRTY),
        (False, 2, 1, Verdict.NOTHING),
        (False, 2, None, Verdict.DIRTY),
        (True, 1, 1, Verdict.NOTHING),
        (True, 2, 1, Verdict.NOTHING),
        (True, 2, None, Verdict.NOTHING),
    ],
)
def test_a_reroute_blames_the_location_only_for_a_leader_that_is_none(
    weak: bool, server: int, leader: int | None, verdict: Verdict
) -> None:
    found = location(leader)
    route = Route(address(server), "r", location=found, weak=weak, to_leader=server == leader)

    assert judge(route, found, hit=False, errno=5727) is verdict


def test_a_hit_on_the_server_that_a_renewal_has_made_leader_confirms_it() -> None:
    found = location(leader=1)
    sent = Route(address(2), "replica", location=found)

    found.renew((Replica(address(1)), Replica(address(2), leader=True)), 1.0)

    assert judge(sent, found, hit=True) is Verdict.VALID
    assert judge(sent, found, hit=False) is Verdict.NOTHING


@pytest.mark.parametrize(
    ("server", "hit", "verdict"),
    [
        (1, True, Verdict.VALID),
        (2, True, Verdict.VALID),
        (2, False, Verdict.DIRTY),
        (3, True, Verdict.DIRTY),
        (3, False, Verdict.NOTHING),
    ],
)
def test_a_duplicate_tables_strong_read_is_judged_by_who_holds_a_replica(
    server: int, hit: bool, verdict: Verdict
) -> None:
    found = location(leader=1)
    route = Route(address(server), "replica", "DUP_REPLICA_FIRST", location=found, to_leader=server == 1)

    assert judge(route, found, hit=hit) is verdict
