"""How many clients there may be, and how much of each is kept: who is refused, who gets in all the same, who goes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack, closing, contextmanager
from functools import partial
from typing import Any

import msgspec
import pymysql
import pytest
import trio

from odp_trio.app import Proxy, open_proxy
from odp_trio.config import Secret, Settings
from odp_trio.model import Address
from odp_trio.testing.bed import Testbed
from odp_trio.testing.demo import settings_for
from odp_trio.wire.resultset import parse_err
from tests.live.clients import Connection, ask, connect, in_thread, login_error, through, until
from tests.live.test_faults import change_user, raw_client
from tests.raw_client import RawClient


def settings(bed: Testbed, **more: Any) -> Settings:
    return settings_for(bed, enable_http=False, hot_upgrade_exit_timeout=0.2, **more)


async def connected(proxy: Proxy, user: str = "app@sys#demo") -> Connection:
    return await in_thread(partial(connect, proxy.addresses[0], user))


@contextmanager
def closed_at_the_end() -> Iterator[list[Connection]]:
    connections: list[Connection] = []
    try:
        yield connections
    finally:
        for connection in connections:
            connection.close()


async def test_a_full_proxy_refuses_clients_as_odp_does_and_lets_its_administrator_in(bed: Testbed) -> None:
    async with open_proxy(settings(bed, client_max_connections=2, obproxy_sys_password=Secret("admin"))) as proxy:
        with closed_at_the_end() as connections:
            connections += [await connected(proxy) for _ in range(2)]

            assert await login_error(proxy, "app@sys#demo") == (1203, "Too many sessions")
            assert await login_error(proxy, "app@mytenant#demo") == (1203, "Too many sessions")
            rows = await in_thread(ask, proxy.addresses[0], "show proxyendreasons", "root@proxysys", "admin")
            ends = {reason: count for reason, side, count in rows if side == "client"}
            assert int(ends["too_many_clients"]) == 2
            status = proxy.statistics().clients
            assert (status.clients, status.limit, status.refused["proxy"]) == (2, 2, 2)
            assert [(row.tenant, row.clients, row.known) for row in status.tenants] == [("sys", 2, True)]
            assert [(row.user, row.clients) for row in status.users] == [("app", 2)]
        await until(lambda: proxy.admission.clients == 0, "both have left")
        assert await through(proxy, "select 1") == ((1,),)
        # Logins that fail half-way leave no place taken: unknown tenant, wrong password, unknown cluster.
        for user, password in (("app@nobody", "app_pw"), ("app@sys", "wrong"), ("app@sys#nowhere", "app_pw")) * 2:
            await login_error(proxy, user, password)
        await until(lambda: not proxy.sessions.table, "every session has ended")
        assert (proxy.admission.clients, proxy.admission.tenants, proxy.admission.users) == (0, {}, {})


async def test_limits_of_one_tenant_and_of_one_user(bed: Testbed) -> None:
    given = settings(bed)
    cluster = msgspec.structs.replace(
        given.clusters["demo"],
        scopes={("mytenant", ""): {"tenant_max_connections": 2}, ("sys", "app"): {"user_max_connections": 1}},
    )
    async with open_proxy(msgspec.structs.replace(given, clusters={"demo": cluster})) as proxy:
        with closed_at_the_end() as connections:
            connections += [await connected(proxy, "app@mytenant#demo") for _ in range(2)]
            assert await login_error(proxy, "app@mytenant#demo") == (1040, "Too many connections")
            connections.append(await connected(proxy))
            errno, message = await login_error(proxy, "app@sys#demo")
            assert (errno, message) == (
                1203,
                "User app already has more than 'user_max_connections' active connections",
            )
            assert await through(proxy, "select 1", "root@sys#demo", "") == ((1,),)
            connections.pop().close()
            await until(lambda: proxy.admission.clients == 2, "it has left")
            assert await through(proxy, "select 1") == ((1,),)
        assert proxy.admission.refused == {"proxy": 0, "tenant": 1, "user": 1}


async def test_a_session_that_changes_its_user_takes_a_place_of_that_one(bed: Testbed) -> None:
    given = settings(bed)
    cluster = msgspec.structs.replace(given.clusters["demo"], scopes={("sys", "app"): {"user_max_connections": 1}})
    async with open_proxy(msgspec.structs.replace(given, clusters={"demo": cluster})) as proxy:
        async with raw_client(proxy) as client:
            await client.log_in()
            with closing(await connected(proxy)):
                assert parse_err(await change_user(client, b"app@sys#demo")).errno == 1203
            await until(lambda: proxy.admission.clients == 1, "app has left")
            assert (await change_user(client, b"root@sys#demo"))[:1] == b"\0"
            assert [(row.user, row.clients) for row in proxy.statistics().clients.users] == [("root", 1)]
        await until(lambda: not proxy.admission.users, "it has left")


async def test_who_has_been_idle_for_longest_goes_for_another_and_who_is_in_a_transaction_stays(bed: Testbed) -> None:
    given = settings(bed, client_max_connections=2, enable_client_connection_lru_disconnect=True)
    async with open_proxy(given) as proxy:
        with closed_at_the_end() as connections:
            working = await connected(proxy)
            connections.append(working)
            await in_thread(working.begin)
            await in_thread(working.query, "select 1 from dual for update")
            idle = await connected(proxy)
            connections.append(idle)
            await until(lambda: all(s.seen is not None for s in proxy.sessions.table.values()), "both were looked at")

            connections.append(await connected(proxy))
            await in_thread(working.query, "select 2")
            with pytest.raises(pymysql.err.OperationalError):
                await in_thread(idle.query, "select 2")
            assert proxy.counts.ends["displaced"] == 1
            await in_thread(working.commit)
            assert proxy.admission.clients == 2
    assert proxy.admission.clients == 0


async def test_a_storm_of_clients_that_never_log_in_neither_counts_nor_grows(bed: Testbed) -> None:
    given = settings(bed, client_max_connections=4, login_timeout=3.0)
    async with open_proxy(given) as proxy:
        async with AsyncExitStack() as stack:
            for _ in range(90):
                await stack.enter_async_context(await trio.open_tcp_stream(*proxy.addresses[0]))
            await until(lambda: len(proxy.sessions.table) == 68, "as many as may be are greeted")
            assert proxy.admission.clients == 0
            with closing(await connected(proxy)) as connection:  # it waits until some are given up
                await in_thread(connection.query, "select 1")


def until_refused(address: tuple[str, int], kind: str) -> tuple[int, int]:
    """Keep more and more in one session; return how often that went well, and the errno in the end; blocks."""
    with RawClient(Address(*address), "app@sys#demo", "app_pw") as client:
        for number in range(300):
            match kind:
                case "variables":
                    answer = client.query(f"set @v{number} = repeat('x', 1000)")
                case "a longer variable":
                    answer = client.query(f"set @v = repeat('x', {1000 * number})")
                case "names":
                    answer = client.query(f"prepare s{number} from 'select ''{'x' * 3000}'''")
                case _:
                    answer = client.prepare(f"select {number}, '{'x' * 3000}'").answer
            if answer.errno:
                assert client.quit() == b""
                return number, answer.errno
    return 300, 0


@pytest.mark.parametrize("kind", ["variables", "a longer variable", "names", "statements"])
async def test_who_keeps_more_than_it_may_is_told_and_ended_and_others_go_on(bed: Testbed, kind: str) -> None:
    async with open_proxy(settings(bed, client_max_memory_size=128 << 10)) as proxy:
        with closing(await connected(proxy)) as other:
            times, errno = await in_thread(until_refused, proxy.addresses[0], kind)
            assert errno == 4080
            assert 8 < times < 140
            await until(lambda: proxy.counts.ends["memory_limit"] == 1, "it has ended")
            await in_thread(other.query, "set @a = 1")
            await in_thread(other.query, "select 1")
