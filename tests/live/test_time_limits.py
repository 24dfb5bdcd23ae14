"""Time-outs of sessions: servers that do not answer, clients that do not ask, read or go on writing."""

from __future__ import annotations

from contextlib import closing
from functools import partial

import pymysql
import pytest
import trio

from odp_trio.app import Proxy, open_proxy
from odp_trio.testing.bed import Testbed
from odp_trio.testing.demo import settings_for
from odp_trio.wire.packets import packet
from tests.live.clients import Connection, connect, in_thread, until


def run(connection: Connection, sql: str) -> object:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


async def connected(proxy: Proxy) -> Connection:
    return await in_thread(partial(connect, proxy.addresses[0]))


async def test_a_read_whose_server_hangs_goes_elsewhere_and_a_write_is_given_up(bed: Testbed) -> None:
    settings = settings_for(
        bed, enable_http=False, observer_query_timeout_delta=1.0, server_detect_mode=0, connect_timeout=1.0
    )
    async with open_proxy(settings) as proxy:
        with closing(await connected(proxy)) as connection:
            await in_thread(run, connection, "set ob_query_timeout = 500000")
            for sql, expected in (("select 'hangs'", (("hangs",),)), ("select 5 into @x", 2013)):
                bed.forget_statements()
                (session,) = proxy.sessions.table.values()
                number = [observer.address for observer in bed.observers].index(str(session.server))
                bed.freeze(number)
                begun = trio.current_time()
                if isinstance(expected, int):
                    with pytest.raises(pymysql.err.OperationalError) as info:
                        await in_thread(run, connection, sql)
                    assert info.value.args[0] == expected
                else:
                    assert await in_thread(run, connection, sql) == expected
                assert 1.4 < trio.current_time() - begun < 6
                await bed.thaw(number)
        assert proxy.counts.server_failures["timed_out"] >= 2


async def test_a_client_that_asks_nothing_is_sent_away_and_one_that_pings_is_not(bed: Testbed, proxy: Proxy) -> None:
    idle, busy = await connected(proxy), await connected(proxy)
    with closing(idle), closing(busy):
        for connection in (idle, busy):
            await in_thread(run, connection, "set wait_timeout = 2")
        for _ in range(10):
            await in_thread(busy.ping, False)
            await trio.sleep(0.4)
        await until(lambda: proxy.counts.ends["idle"] == 1, "the idle one is gone")
        await in_thread(busy.ping, False)
        with pytest.raises(pymysql.err.OperationalError):
            await in_thread(idle.ping, False)


async def test_a_command_that_does_not_go_on_is_given_up(bed: Testbed, proxy: Proxy) -> None:
    connection = await connected(proxy)
    with closing(connection):
        await in_thread(run, connection, "set net_read_timeout = 1")
        sock = connection._sock  # type: ignore[attr-defined]
        sock.sendall(packet(0, b"\x03select 1")[:7])
        assert await in_thread(sock.recv, 1) == b""
    assert proxy.counts.ends["client_too_slow"] == 1
    assert proxy.sessions.table == {}


async def test_a_client_that_does_not_take_its_answer_is_given_up(bed: Testbed, proxy: Proxy) -> None:
    connection = await connected(proxy)
    with closing(connection):
        await in_thread(run, connection, "set net_write_timeout = 1")
        columns = ", ".join(["repeat('x', 4000000)"] * 10)
        connection._sock.sendall(packet(0, b"\x03select " + columns.encode()))  # type: ignore[attr-defined]
        await until(lambda: proxy.counts.ends["client_too_slow"] == 1, "it is gone")


def drained(connection: Connection) -> int:
    """Read until the connection is closed; return how many bytes came."""
    sock, count = connection._sock, 0  # type: ignore[attr-defined]
    while data := sock.recv(1 << 20):
        count += len(data)
    return count


async def test_a_server_that_freezes_in_the_middle_of_an_answer_is_given_up(bed: Testbed) -> None:
    settings = settings_for(bed, enable_http=False, observer_query_timeout_delta=1.0, server_detect_mode=0)
    async with open_proxy(settings) as proxy:
        with closing(await connected(proxy)) as connection:
            await in_thread(run, connection, "set ob_query_timeout = 1000000")
            columns = ", ".join(["repeat('x', 4000000)"] * 10)
            connection._sock.sendall(packet(0, b"\x03select " + columns.encode()))  # type: ignore[attr-defined]
            await until(lambda: _has_begun(proxy), "it has begun")
            (session,) = proxy.sessions.table.values()
            number = [observer.address for observer in bed.observers].index(str(session.server))
            bed.freeze(number)
            begun = trio.current_time()
            count = await in_thread(drained, connection)
            assert 1.0 < trio.current_time() - begun < 8
            assert 0 < count < 40_000_000
            await bed.thaw(number)
        await until(lambda: proxy.counts.ends["server_timeout"] == 1, "it has ended, and why is known")


def _has_begun(proxy: Proxy) -> bool:
    return any(session.traffic.server_bytes_in > 100_000 for session in proxy.sessions.table.values())
