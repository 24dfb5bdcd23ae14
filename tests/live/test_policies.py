"""Every route policy walked on the test bed: the nearest server is taken away until none is left."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import Any

import pymysql
import pytest

from odp_trio.app import Proxy
from odp_trio.model import Address
from odp_trio.routing.policy import POLICIES, Candidate, in_order
from odp_trio.testing.bed import Testbed
from odp_trio.testing.client import Client
from tests.live.clients import connect, in_thread, until
from tests.live.test_routing import make_table, proxied, run

WEAK = "select /*+read_consistency(weak)*/ v from walked where id = 1"
LEADER = 1
# Number of the server: IDC and region.  The proxy is in idc1; the leader is next door.
PLACES = {0: ("idc1", "north"), 1: ("idc2", "north"), 2: ("idc3", "south")}
NO_ZONE_IS_READ_ONLY = ("", "FOLLOWER_FIRST", "UNMERGE_FOLLOWER_FIRST", "FOLLOWER_ONLY")
BESIDE_A_READ_ONLY_ZONE = ("MERGE_IDC_ORDER", "READONLY_ZONE_FIRST", "ONLY_READONLY_ZONE", "UNMERGE_ZONE_FIRST")


async def spread_over_idcs(bed: Testbed, *, readonly: Sequence[int] = ()) -> None:
    """Give every server an IDC of its own, and the table a leader in the second."""
    for number, (idc, region) in PLACES.items():
        kind = "ReadOnly" if number in readonly else "ReadWrite"
        await bed.set_zone(f"zone{number + 1}", idc=idc, region=region, kind=kind)
    tablets = await make_table(bed, "walked", "id int primary key, v int", "partition by hash(id) partitions 2")
    for tablet in tablets:
        await bed.move_tablet(tablet, LEADER)
    await bed.query("insert into routes.walked values(1, 11)")


def expected(policy: str, readonly: Sequence[int] = (), out: Sequence[int] = ()) -> list[int]:
    """Return the order of servers by the policy's own letters: those without the leader's replica do not exist."""
    letters = {0: "A", 1: "B", 2: "C"}
    candidates = [
        Candidate(number, f"{letters[number]}N{'R' if number in readonly else 'W'}P{'L' if number == LEADER else 'F'}")  # type: ignore[arg-type]
        for number in PLACES
        if number not in out
    ]
    return [server for tier in in_order(policy, candidates) for server in tier.servers]  # type: ignore[misc]


def read_once(proxy: Proxy, *before: str, sql: str = WEAK) -> Any:
    """Run a weak read on a session of its own."""
    with closing(connect(proxy.addresses[0], database="routes")) as connection:
        for statement in before:
            run(connection, statement)
        return run(connection, sql)


async def walk(bed: Testbed, proxy: Proxy, *before: str) -> list[int]:
    """Take the server away that answers, again and again; return them in order."""
    order: list[int] = []
    while len(order) < len(PLACES):
        bed.forget_statements()
        try:
            await in_thread(partial(read_once, proxy, *before))
        except pymysql.err.MySQLError:
            break
        (seen,) = bed.statements("from walked where id = 1", by_proxy=True)
        order.append(seen.observer)
        await bed.kill(seen.observer)
        if len(order) < len(PLACES):
            await until(partial(is_out, proxy, seen.observer), "the server list says so")
    for number in order:
        await bed.revive(number)
    return order


def is_out(proxy: Proxy, number: int) -> bool:
    """Whether the proxy knows that a server is down."""
    cluster = proxy.clusters.find("demo")
    assert cluster is not None
    return any(
        address.ip == f"127.0.0.{number + 1}" and not server.takes_logins for address, server in cluster.servers.items()
    )


@pytest.mark.parametrize("policy", NO_ZONE_IS_READ_ONLY)
async def test_a_policy_is_walked_to_its_end(bed: Testbed, policy: str) -> None:
    await spread_over_idcs(bed)
    options = {"proxy_idc_name": "idc1", "proxy_route_policy": policy, "server_state_refresh_interval": 0.1}
    async with proxied(bed, **options) as proxy:
        order = await walk(bed, proxy)

    assert order == expected(policy or "MERGE_IDC_ORDER")


@pytest.mark.parametrize("number", range(4))
async def test_a_policy_beside_a_read_only_zone_is_walked_to_its_end(bed: Testbed, number: int) -> None:
    await spread_over_idcs(bed, readonly=[2])
    async with proxied(bed, proxy_idc_name="idc1", server_state_refresh_interval=0.1) as proxy:
        order = await walk(bed, proxy, f"set ob_route_policy = {number}")

    policy = BESIDE_A_READ_ONLY_ZONE[number]
    assert order[: len(expected(policy, [2]))] == expected(policy, [2])
    assert "RP" not in "".join(POLICIES["ONLY_READWRITE_ZONE"])


@pytest.mark.parametrize("how", ["hint", "variable", "tenant option", "split"])
async def test_weak_reads_go_to_the_nearest_server(bed: Testbed, how: str) -> None:
    await spread_over_idcs(bed)
    plain = WEAK.replace("/*+read_consistency(weak)*/ ", "")
    options: dict[str, Any] = {"tenant option": {"obproxy_read_consistency": 1}, "split": {"enable_read_write_split": True}}.get(how, {})  # fmt: skip
    async with proxied(bed, proxy_idc_name="idc3", **options) as proxy:
        before = ("set ob_read_consistency = 'weak'",) if how == "variable" else ()
        bed.forget_statements()
        await in_thread(partial(read_once, proxy, *before, sql=WEAK if how == "hint" else plain))

    assert [item.observer for item in bed.statements("from walked where id = 1")] == [2]


async def test_a_strong_hint_a_lock_and_a_write_go_to_the_leader_in_a_weak_session(bed: Testbed) -> None:
    await spread_over_idcs(bed)
    statements = (
        "select /*+read_consistency(strong)*/ v from walked where id = 1",
        "select v from walked where id = 1 for update",
        "update walked set v = v + 1 where id = 1",
    )
    async with proxied(bed, proxy_idc_name="idc1") as proxy:

        def work() -> None:
            with closing(connect(proxy.addresses[0], database="routes")) as connection:
                run(connection, "set ob_read_consistency = 'weak'")
                for sql in statements:
                    run(connection, sql)

        await in_thread(work)

    assert [item.observer for item in bed.statements("walked (where|set)")] == [LEADER] * 3


async def test_weak_reads_are_spread_over_equals(bed: Testbed) -> None:
    await spread_over_idcs(bed)
    async with proxied(bed) as proxy:  # no IDC: all are equally near

        def work() -> None:
            with closing(connect(proxy.addresses[0], database="routes")) as connection:
                for _ in range(90):
                    run(connection, WEAK)

        await in_thread(work)

    seen = [item.observer for item in bed.statements("from walked where id = 1")]
    assert len(seen) == 90
    assert all(seen.count(number) >= 15 for number in PLACES)


async def test_the_leader_is_replaced_by_the_nearest_when_it_is_down(bed: Testbed) -> None:
    await spread_over_idcs(bed)
    async with proxied(bed, proxy_idc_name="idc3") as proxy:
        await bed.kill(LEADER, noticed=False)
        bed.forget_statements()
        await in_thread(partial(read_once, proxy, sql="update walked set v = v + 1 where id = 1"))

    assert [item.observer for item in bed.statements("update walked")] == [2]


async def test_a_target_server_is_used_and_no_other(bed: Testbed) -> None:
    await spread_over_idcs(bed)
    target = bed.observers[2].address
    async with proxied(bed) as proxy:
        commented = f"/* target_db_server='{target}' */ update walked set v = v + 1 where id = 1"
        await in_thread(partial(read_once, proxy, sql=commented))
        with pytest.raises(pymysql.err.MySQLError, match="target db server"):
            await in_thread(
                partial(read_once, proxy, sql="/* target_db_server='127.0.0.9:2881' */ select v from walked")
            )

    assert [item.observer for item in bed.statements("update walked")] == [2]


async def test_a_target_server_is_that_of_what_is_prepared_too(bed: Testbed) -> None:
    await spread_over_idcs(bed)
    commented = f"/* target_db_server='{bed.observers[2].address}' */ update walked set v = v + 1 where id = ?"
    async with proxied(bed) as proxy:
        client = await Client.connect(Address(*proxy.addresses[0]), "root@sys", "", database="routes", patience=30)
        for _ in range(2):
            await client.execute(await client.prepare(commented), [1])
        await client.query(f'prepare s from "{commented.replace("?", "1")}"')
        await client.query("execute s")
        await client.quit()

    seen = [item.observer for item in bed.statements("update walked") if "prepare" not in item.sql.lower()]
    assert seen
    assert set(seen) == {2}
