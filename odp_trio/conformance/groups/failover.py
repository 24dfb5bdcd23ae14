"""Failover of servers: killed, frozen, refusing, answering errors, and back."""

from __future__ import annotations

from typing import Any, Final

import trio

from odp_trio.app import Proxy
from odp_trio.conformance.needs import Needs
from odp_trio.conformance.registry import check
from odp_trio.conformance.session import Session
from odp_trio.conformance.target import Target
from odp_trio.errors import OdpError
from odp_trio.testing.client import ConnectionLost, Row, StatementFailed

_BROKEN = Needs.PROXY | Needs.OWN_PROXY | Needs.FAULTS | Needs.WHERE | Needs.SEVERAL
_SOON: Final[dict[str, Any]] = {
    "server_state_refresh_interval": 0.2,
    "server_detect_refresh_interval": 0.2,
    "detect_server_timeout": 0.5,
    "server_detect_fail_threshold": 2,
    "congestion_retry_interval": 0.3,
    "min_keep_congestion_interval": 0.2,
    "connect_timeout": 1.0,
}


async def _where(target: Target, proxy: Proxy, times: int) -> set[int]:
    """Ask on so many sessions; return where that ran."""
    reached = set()
    for _ in range(times):
        session = await target.connect(at=proxy)
        reached.add(await session.where("select 'where'"))
        await session.quit()
    return reached


def _listed(target: Target, proxy: Proxy, number: int) -> bool:
    """Whether a server is on the black or the grey list."""
    return target.servers[number] in proxy.views.congestion.refusals(target.cluster).lists


def _used(target: Target, proxy: Proxy) -> int:
    """Return how many servers of the list take logins."""
    return len(proxy.clusters.resources()[0].sys_route())


@check("failover.killed", "failover", proves=("HA-1", "HA-5", "RT-33"), needs=_BROKEN)
async def a_server_is_killed(target: Target) -> None:
    """When a server is killed, logins and statements go to the others, and it is used again when it is back."""
    async with target.proxy(**_SOON) as proxy:
        sessions = [await target.connect(at=proxy) for _ in range(6)]
        for session in sessions:
            await session.query("select 1")
        await target.bed.kill(1)
        for session in sessions:
            await session.query("select 'at rest while it was killed'")
        assert 1 not in await _where(target, proxy, 9)
        await target.bed.revive(1)
        await target.until(lambda: _used(target, proxy) == 3 and not _listed(target, proxy, 1), "it is in use again")
        reached: set[int] = set()
        for _ in range(10):
            reached |= await _where(target, proxy, 3)
            if 1 in reached:
                break
        assert 1 in reached


@check("failover.refuses", "failover", proves=("RT-33", "RT-47"), needs=_BROKEN)
async def a_server_refuses(target: Target) -> None:
    """A server that refuses connections is put on a list and left out, though the server list still praises it."""
    async with target.proxy(**_SOON) as proxy:
        await target.bed.kill(2, noticed=False)
        assert 2 not in await _where(target, proxy, 9)
        await target.until(lambda: _listed(target, proxy, 2), "it is on a list")
        await target.bed.revive(2)
        await target.until(lambda: not _listed(target, proxy, 2), "it is off the list")


@check("failover.frozen", "failover", proves=("RT-33", "RT-47", "HA-5"), needs=_BROKEN)
async def a_server_freezes(target: Target) -> None:
    """A server that accepts and never answers is found out by probes, and gets nothing until it answers again."""
    async with target.proxy(**_SOON, server_detect_mode=2) as proxy:
        assert await _where(target, proxy, 6)
        target.bed.freeze(0)
        await target.until(lambda: _listed(target, proxy, 0), "it is on a list")
        began = trio.current_time()
        assert 0 not in await _where(target, proxy, 9)
        assert trio.current_time() - began < 3
        await target.bed.thaw(0)
        await target.until(lambda: not _listed(target, proxy, 0), "it is off the list")


@check("failover.black-list", "failover", proves=("RT-33", "RT-47"), needs=_BROKEN | Needs.TOPOLOGY)
async def the_black_list(target: Target) -> None:
    """A server that the server list calls INACTIVE or stopped gets no statement, though it would answer."""
    async with target.proxy(**_SOON) as proxy:
        for change in ({"status": "INACTIVE", "started": False}, {"stopped": True}):
            await target.bed.set_server(1, **change)
            await target.until(lambda: _used(target, proxy) == 2, f"the proxy knows of {change}")
            assert 1 not in await _where(target, proxy, 6)
            await target.bed.set_server(1, status="ACTIVE", started=True, stopped=False)
            await target.until(lambda: _used(target, proxy) == 3, "the proxy knows that it is back")


@check("failover.grey-list", "failover", proves=("RT-33", "RT-47"), needs=_BROKEN)
async def the_grey_list(target: Target) -> None:
    """A server that answers statements with errors of its own is put on the grey list, and tried again later."""
    options = {**_SOON, "server_detect_mode": 0, "congestion_failure_threshold": 3}
    async with target.proxy(**options) as proxy:
        target.bed.answer("select 'grey'", errno=4013, times=-1, number=1)
        for _ in range(30):
            session = await target.connect(at=proxy)
            try:
                await session.query("select 'grey'")
            except StatementFailed as exc:
                assert exc.errno == 4013
            await session.quit()
            if _listed(target, proxy, 1):
                break
        assert _listed(target, proxy, 1)
        target.bed.end_faults()
        for _ in range(50):
            await _where(target, proxy, 1)
            if not _listed(target, proxy, 1):
                break
            await target.sleep(0.1)
        assert not _listed(target, proxy, 1)


async def _while_killed(
    target: Target, session: Session, sql: str, mark: str
) -> tuple[list[Row] | OdpError, list[int]]:
    """Run a statement and kill the server that runs it; return its answer or error, and the servers that got it."""
    answers: list[list[Row] | OdpError] = []

    async def run() -> None:
        try:
            answers.append(await session.query(sql))
        except OdpError as exc:
            answers.append(exc)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await target.until(lambda: bool(target.bed.statements(mark)), "the statement has reached a server")
        await target.bed.kill(target.bed.statements(mark)[0].observer, noticed=False)
    return answers[0], [one.observer for one in target.bed.statements(mark)]


@check("failover.read.elsewhere", "failover", proves=("HA-1", "HA-5"), needs=_BROKEN | Needs.SQL)
async def a_read_runs_elsewhere(target: Target) -> None:
    """A read whose server dies in the middle is run on another replica, and the client gets its rows."""
    table = await target.table(rows="(1, 10)")
    async with target.proxy(**_SOON) as proxy:
        session = await target.connect(at=proxy)
        await session.query("set @a = 7")
        sql = f"select v, @a, sleep(0.3) from {table} where id = 1"
        answer, servers = await _while_killed(target, session, sql, f"sleep.0.3. from {table}")
        assert answer == [("10", "7", "0")], answer
        assert len(servers) == 2
        assert servers[0] != servers[1]


@check("failover.write.never-twice", "failover", proves=("HA-1",), needs=_BROKEN | Needs.SQL)
async def a_write_is_never_sent_twice(target: Target) -> None:
    """A write whose server dies in the middle is not sent again: the client is told, and nothing is written twice."""
    table = await target.table("id int, v int")
    async with target.proxy(**_SOON) as proxy:
        session = await target.connect(at=proxy)
        answer, servers = await _while_killed(
            target, session, f"insert into {table} select 1, sleep(0.3)", f"insert into {table} select"
        )
        assert isinstance(answer, OdpError), f"the client was told {answer}"
        assert len(servers) == 1
        await target.bed.revive(servers[0])
        check_up = await target.connect(at=proxy)
        assert int(str(await check_up.value(f"select count(*) from {table}"))) <= 1


@check("failover.all-down", "failover", proves=("HA-28", "HA-5"), needs=_BROKEN)
async def all_are_down(target: Target) -> None:
    """While every server is down clients get an error in time, and are served as soon as one is back."""
    async with target.proxy(**_SOON) as proxy:
        for number in range(len(target.servers)):
            await target.bed.kill(number, noticed=False)
        began = trio.current_time()
        try:
            await target.connect(at=proxy)
            raise AssertionError("a login came in")
        except (StatementFailed, ConnectionLost):
            assert trio.current_time() - began < 8
        await target.bed.revive(2)
        with trio.fail_after(10):
            while True:
                try:
                    assert await (await target.connect(at=proxy)).value("select 1") == "1"
                    break
                except (StatementFailed, ConnectionLost):
                    await target.sleep(0.1)


@check("failover.starting", "failover", proves=("RT-33", "HA-5"), needs=_BROKEN)
async def a_server_is_starting(target: Target) -> None:
    """A login to a server that says it is starting goes to another one, and the client notices nothing."""
    async with target.proxy(**_SOON) as proxy:
        target.bed.answer_login(errno=8001, message="server is initializing", number=0, times=-1)
        assert 0 not in await _where(target, proxy, 6)


@check("failover.root-server.gone", "failover", proves=("HA-5", "RT-16"), needs=_BROKEN | Needs.METADATA)
async def the_root_server_goes(target: Target) -> None:
    """When the server goes that the server list was asked of, another is asked, and the list goes on being fetched."""
    async with target.proxy(**_SOON) as proxy:
        cluster = proxy.clusters.resources()[0]
        asked = target.metadata("DBA_OB_SERVERS")[-1].observer
        await target.bed.kill(asked)
        await target.until(lambda: _used(target, proxy) == 2, "the list says that it is gone")
        refreshes = cluster.refreshes
        await target.until(lambda: cluster.refreshes > refreshes + 2, "the list is fetched again and again")
