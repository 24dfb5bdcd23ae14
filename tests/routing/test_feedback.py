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
        (1062, Verdict.NOTHING),
        (1146, Verdict.NOTHING),
    ],
)
def test_error_codes(errno: int, verdict: Verdict) -> None:
    found = location()

    assert judge(Route(address(1), "r", location=found, to_leader=True), found, hit=True, errno=errno) is verdict


def test_feedback_about_a_location_that_was_renewed_meanwhile_says_nothing() -> None:
    found = location(leader=1)
    sent = Route(address(1), "leader", location=found, to_leader=True)

    found.renew((Replica(address(1)), Replica(address(2), leader=True)), 1.0)

    assert judge(sent, found, hit=False) is Verdict.NOTHING
