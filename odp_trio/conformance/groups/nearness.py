"""Weak reads and nearness: zones, IDCs, regions, zones for reading, policies."""

from __future__ import annotations

from collections.abc import Sequence

from odp_trio.app import Proxy
from odp_trio.conformance.groups.routing import SEEN
from odp_trio.conformance.needs import Needs
from odp_trio.conformance.registry import check
from odp_trio.conformance.target import Table, Target

_WEAK = "/*+read_consistency(weak)*/"
_OWN = SEEN | Needs.MOVES | Needs.TOPOLOGY | Needs.OWN_PROXY
_LEADER = 1
_PLACES = (("idc1", "north"), ("idc2", "north"), ("idc3", "south"))
"""IDC and region of each server.  A proxy in idc1 has server 1 next door, and server 2 far away."""


async def _placed(target: Target, *, readonly: Sequence[int] = ()) -> Table:
    """Put every server into an IDC of its own; return a table that the second leads."""
    for number, (idc, region) in enumerate(_PLACES):
        kind = "ReadOnly" if number in readonly else "ReadWrite"
        await target.bed.set_zone(f"zone{number + 1}", idc=idc, region=region, kind=kind)
        target.notes.add("suite", f"server {number}", f"{idc}, {region}, {kind}{', leader' * (number == _LEADER)}")
    table = await target.table(rows="(1, 1)")
    await target.lead(table, [_LEADER])
    return table


async def _walk(target: Target, proxy: Proxy, sql: str, *before: str) -> list[int]:
    """Take away the server that answers, again and again; return the servers in this order."""
    order: list[int] = []
    while len(order) < len(_PLACES):
        session = await target.connect(at=proxy)
        for statement in before:
            await session.query(statement)
        number = await session.where(sql)
        order.append(number)
        await target.bed.kill(number)
        if len(order) < len(_PLACES):
            await target.until(lambda number=number: _is_out(target, proxy, number), "the server list says so")  # type: ignore[misc]
    return order


def _is_out(target: Target, proxy: Proxy, number: int) -> bool:
    servers = proxy.clusters.resources()[0].servers
    return not servers[target.servers[number]].takes_logins


@check("nearness.weak.replicas", "nearness", proves=("RT-32", "RT-37"), needs=SEEN)
async def weak_reads_are_spread(target: Target) -> None:
    """Weak reads of one row are spread over all its replicas, as long as none is nearer."""
    table = await target.table(rows="(1, 1)")
    session = await target.connect()
    servers = [await session.where(f"select {_WEAK} v from {table} where id = 1") for _ in range(45)]
    counts = [servers.count(number) for number in range(len(target.servers))]
    assert min(counts) >= 5, f"45 weak reads: {counts} on the servers"


@check("nearness.weak.variable", "nearness", proves=("RT-32", "RT-33"), needs=SEEN)
async def weak_by_a_variable(target: Target) -> None:
    """A session that sets ob_read_consistency reads from replicas, and writes, locks and strong hints go to the leader."""
    table = await target.table(rows="(1, 1)")
    session = await target.connect()
    leader = await session.where(f"update {table} set v = 2 where id = 1")
    await session.query("set ob_read_consistency = 'weak'")
    servers = {await session.where(f"select v from {table} where id = 1") for _ in range(30)}
    assert len(servers) > 1, f"weak reads all went to server {servers}"
    for sql in (
        f"select /*+read_consistency(strong)*/ v from {table} where id = 1",
        f"select v from {table} where id = 1 for update",
        f"update {table} set v = 3 where id = 1",
    ):
        assert await session.where(sql) == leader


@check("nearness.strong.not-spread", "nearness", proves=("RT-37",), needs=SEEN)
async def strong_reads_are_not_spread(target: Target) -> None:
    """Strong reads of one row run on one server, its leader, however many there are."""
    table = await target.table(rows="(1, 1)")
    session = await target.connect()
    assert len({await session.where(f"select v from {table} where id = 1") for _ in range(12)}) == 1


@check("nearness.same-idc", "nearness", proves=("RT-38",), needs=_OWN)
async def the_same_idc(target: Target) -> None:
    """Weak reads go to the server in the proxy's own IDC, wherever that is."""
    table = await _placed(target)
    for number, (idc, _) in enumerate(_PLACES):
        async with target.proxy(proxy_idc_name=idc) as proxy:
            session = await target.connect(at=proxy)
            servers = {await session.where(f"select {_WEAK} v from {table} where id = 1") for _ in range(6)}
            assert servers == {number}, f"a proxy in {idc} read on servers {servers}"


@check("nearness.order", "nearness", proves=("RT-38", "RT-47"), needs=_OWN | Needs.FAULTS)
async def idc_then_region_then_the_rest(target: Target) -> None:
    """Weak reads go to the same IDC, when that is gone to the same region, and only then to another one."""
    table = await _placed(target)
    async with target.proxy(proxy_idc_name="idc2", server_state_refresh_interval=0.1) as proxy:
        assert await _walk(target, proxy, f"select {_WEAK} v from {table} where id = 1") == [1, 0, 2]


@check("nearness.order.no-table", "nearness", proves=("RT-37", "RT-38"), needs=_OWN)
async def without_a_table(target: Target) -> None:
    """Statements that name no table go to the nearest server, too."""
    await _placed(target)
    async with target.proxy(proxy_idc_name="idc3") as proxy:
        for _ in range(4):
            session = await target.connect(at=proxy)
            assert await session.where("select 'near'") == 2


@check("nearness.leader.far", "nearness", proves=("RT-37", "RT-38"), needs=_OWN)
async def the_leader_is_far(target: Target) -> None:
    """Strong reads and writes go to the leader however far it is."""
    table = await _placed(target)
    async with target.proxy(proxy_idc_name="idc3") as proxy:
        session = await target.connect(at=proxy)
        assert await session.where(f"select v from {table} where id = 1") == _LEADER
        assert await session.where(f"update {table} set v = 2 where id = 1") == _LEADER


@check("nearness.leader.replaced", "nearness", proves=("RT-33", "RT-47"), needs=_OWN | Needs.FAULTS)
async def the_leader_is_down(target: Target) -> None:
    """When the leader cannot be reached the nearest other server gets the statement."""
    table = await _placed(target)
    async with target.proxy(proxy_idc_name="idc3", server_state_refresh_interval=0.1) as proxy:
        session = await target.connect(at=proxy)
        await target.bed.kill(_LEADER)
        await target.until(lambda: _is_out(target, proxy, _LEADER), "the server list says so")
        assert await session.where(f"update {table} set v = 2 where id = 1") == 2


@check("nearness.read-zone.first", "nearness", proves=("RT-39", "RT-40"), needs=_OWN | Needs.FAULTS)
async def reading_zones_first(target: Target) -> None:
    """With READONLY_ZONE_FIRST weak reads go to the read-only zones first, the nearest of them, and then to the others."""
    table = await _placed(target, readonly=[0, 2])
    async with target.proxy(proxy_idc_name="idc2", server_state_refresh_interval=0.1) as proxy:
        order = await _walk(
            target, proxy, f"select {_WEAK} v from {table} where id = 1", "set ob_route_policy = 'READONLY_ZONE_FIRST'"
        )
    assert order == [0, 1, 2], f"taken away one by one: {order}"


@check("nearness.read-zone.only", "nearness", proves=("RT-39",), needs=_OWN | Needs.FAULTS)
async def reading_zones_only(target: Target) -> None:
    """With ONLY_READONLY_ZONE weak reads go to read-only zones, nearer or not."""
    table = await _placed(target, readonly=[2])
    async with target.proxy(proxy_idc_name="idc1") as proxy:
        session = await target.connect(at=proxy)
        await session.query("set ob_route_policy = 'ONLY_READONLY_ZONE'")
        assert {await session.where(f"select {_WEAK} v from {table} where id = 1") for _ in range(6)} == {2}


@check("nearness.read-zone.unmerged-first", "nearness", proves=("RT-39",), needs=_OWN)
async def unmerged_zones_first(target: Target) -> None:
    """With UNMERGE_ZONE_FIRST weak reads prefer zones that do not merge, the nearest and those for reading first."""
    table = await _placed(target, readonly=[2])
    async with target.proxy(proxy_idc_name="idc1") as proxy:
        session = await target.connect(at=proxy)
        await session.query("set ob_route_policy = 'UNMERGE_ZONE_FIRST'")
        assert await session.where(f"select {_WEAK} v from {table} where id = 1") == 0


@check("nearness.read-zone.writes", "nearness", proves=("RT-37", "RT-39", "RT-40"), needs=_OWN)
async def writes_beside_a_reading_zone(target: Target) -> None:
    """Writes and strong reads go to the leader whatever policy for reading zones is set, in one and the same session."""
    table = await _placed(target, readonly=[2])
    async with target.proxy(proxy_idc_name="idc1") as proxy:
        session = await target.connect(at=proxy)
        for policy in ("READONLY_ZONE_FIRST", "ONLY_READONLY_ZONE", "UNMERGE_ZONE_FIRST"):
            await session.query(f"set ob_route_policy = '{policy}'")
            assert await session.where(f"update {table} set v = 2 where id = 1") == _LEADER
            assert await session.where(f"select v from {table} where id = 1") == _LEADER


@check("nearness.policy.followers", "nearness", proves=("RT-33", "RT-39", "RT-40"), needs=_OWN)
async def followers_first(target: Target) -> None:
    """With FOLLOWER_FIRST weak reads go to the nearest follower, even where the leader is nearer."""
    table = await _placed(target)
    async with target.proxy(proxy_idc_name="idc2", proxy_route_policy="FOLLOWER_FIRST") as proxy:
        session = await target.connect(at=proxy)
        assert {await session.where(f"select {_WEAK} v from {table} where id = 1") for _ in range(6)} == {0}


@check("nearness.combined", "nearness", proves=("RT-40",), needs=_OWN | Needs.SQL)
async def one_definite_rule(target: Target) -> None:
    """Asked again and again, the combined rules of consistency, nearness and reading zones give the same server."""
    table = await _placed(target, readonly=[0])
    async with target.proxy(proxy_idc_name="idc2") as proxy:
        for policy, server in (("1", 0), ("0", 1)):  # READONLY_ZONE_FIRST, MERGE_IDC_ORDER
            for _ in range(3):
                session = await target.connect(at=proxy)
                await session.query(f"set ob_route_policy = {policy}")
                assert await session.where(f"select {_WEAK} v from {table} where id = 1") == server
