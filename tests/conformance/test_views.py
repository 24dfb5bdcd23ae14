"""Where statements ran, by the servers' own views: believed only if the views tell the servers apart."""

from __future__ import annotations

import re
from functools import partial
from typing import Final

import pytest

from odp_trio.conformance.needs import Needs
from odp_trio.conformance.views import HOSTS, NO_AUDIT, NO_LEADERS, ONE_HOST, what_views_tell
from odp_trio.testing.client import Row, StatementFailed

NAMES: Final = ("10.0.0.1:2882", "10.0.0.2:2882", "10.0.0.3:2882")
_PIECES: Final = re.compile("'([^']*)'")


class Cluster:
    """Answers as the views of a cluster do whose audit calls its servers ``names``; views of ``denied`` it refuses."""

    def __init__(self, names: tuple[str, ...] = NAMES, denied: str = "none of them") -> None:
        self.names, self.denied = names, denied
        self.ran: list[tuple[str, str]] = []

    async def ask(self, at: int, sql: str) -> list[Row]:
        if self.denied in sql:
            raise StatementFailed(1142, "SELECT command denied")
        if sql == HOSTS:
            return [(name,) for name in sorted(set(self.names))]
        if "TABLE_LOCATIONS" in sql:
            return [] if "limit 1" in sql else [(self.names[2],), (self.names[0],), ("10.0.0.9:2882",)]
        if "query_sql like" in sql:
            mark = "".join(_PIECES.findall(sql.split("concat('%'")[1])[0:2])
            return [(name,) for name, text in self.ran if mark in text]
        if "GV$OB_SQL_AUDIT" in sql:
            return [("10.0.0.1", "2882")]
        self.ran.append((self.names[at], sql))
        return [("1",)]


async def told(cluster: Cluster, servers: int = 3) -> tuple[Needs, dict[Needs, str]]:
    found = await what_views_tell(partial(cluster.ask, 0), [partial(cluster.ask, at) for at in range(servers)])
    return found.has, found.lacks


async def test_servers_have_the_numbers_of_the_rslist_and_others_come_behind() -> None:
    cluster = Cluster()
    found = await what_views_tell(partial(cluster.ask, 0), [partial(cluster.ask, at) for at in (2, 0)])
    assert found.has == Needs.SEVERAL | Needs.WHERE | Needs.LEADERS
    assert found.record is not None
    assert found.leaders is not None
    for at in (0, 1, 2):
        await cluster.ask(at, f"select {at} /* word{at}. */")
    assert [await found.record.servers(f"word{at}.") for at in (0, 1, 2)] == [[1], [2], [0]]
    assert await found.leaders("d", "t") == [0, 1, 3]


async def test_an_audit_that_calls_all_servers_alike_is_not_believed() -> None:
    has, lacks = await told(Cluster(("10.0.0.1:2882",) * 3))
    assert not has & Needs.WHERE
    assert lacks[Needs.WHERE] == ONE_HOST


@pytest.mark.parametrize(
    ("view", "need", "reason"),
    [
        ("GV$OB_SQL_AUDIT", Needs.WHERE, NO_AUDIT),
        ("DBA_OB_TABLE_LOCATIONS", Needs.LEADERS, NO_LEADERS),
        ("DBA_OB_LS_LOCATIONS", Needs.TLS, None),
    ],
)
async def test_a_view_that_may_not_be_read_is_a_reason(view: str, need: Needs, reason: str | None) -> None:
    has, lacks = await told(Cluster(denied=view))
    assert has & Needs.SEVERAL
    assert lacks.get(need) == reason
    assert not has & need


async def test_one_server_is_not_several() -> None:
    has, _ = await told(Cluster(NAMES[:1]), servers=1)
    assert has == Needs.WHERE | Needs.LEADERS
