"""Every reason of the two closed lists, brought about for real; what cannot be had here names the test that has it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import pytest
import trio

from odp_trio.app import Proxy, open_proxy
from odp_trio.model import Address
from odp_trio.session.reasons import End, ServerEnd
from odp_trio.session.services import Session
from odp_trio.testing.bed import Testbed
from odp_trio.testing.client import Client, ConnectionLost, StatementFailed
from odp_trio.testing.demo import settings_for
from odp_trio.wire.command import Com
from odp_trio.wire.packets import packet
from tests.live.clients import until

pytestmark = [pytest.mark.live, pytest.mark.slow]

ELSEWHERE: Final = {
    End.TLS_FAILED: "tests/live/test_tls.py",
    End.TLS_REQUIRED: "tests/live/test_tls.py",
    End.TOO_MANY_CLIENTS: "tests/live/test_limits.py",
    End.DISPLACED: "tests/live/test_limits.py",
    End.MEMORY_LIMIT: "tests/session/test_memory_limit.py",
    End.SERVER_PROTOCOL: "tests/session/test_lane.py: no OBServer of the bed breaks the protocol",
    End.NOT_BEGUN: "tests/live/test_transactions.py",
    End.INIT_SQL_FAILED: "tests/live/test_transactions.py",
    ServerEnd.PROTOCOL: "tests/session/test_lane.py: no OBServer of the bed breaks the protocol",
    ServerEnd.TRANSACTION_MOVED: "tests/live/test_transactions.py",
}


class Scene:
    """A proxy before the bed, and what may happen to its clients."""

    def __init__(self, bed: Testbed, proxy: Proxy) -> None:
        self.bed, self.proxy = bed, proxy
        self.clients: list[Client] = []

    @property
    def address(self) -> Address:
        return Address(*self.proxy.addresses[0])

    async def login(self, user: str = "app@mytenant#demo", password: str = "app_pw", database: str = "") -> Client:
        client = await Client.connect(self.address, user, password, database=database, patience=30)
        self.clients.append(client)
        return client

    def session(self, client: Client) -> Session:
        return self.proxy.sessions.table[client.connection_id]

    def server(self, client: Client) -> int:
        """The number of the OBServer that a client's last statement ran on."""
        at = str(self.session(client).server)
        return [observer.address for observer in self.bed.observers].index(at)

    def ends(self, why: End | ServerEnd) -> int:
        counts = self.proxy.counts
        return (counts.ends if isinstance(why, End) else counts.server_ends)[why.value]

    async def fails(self, client: Client, sql: str) -> None:
        with pytest.raises((StatementFailed, ConnectionLost)):
            await client.query(sql)

    async def refused(self, user: str, password: str = "app_pw") -> None:
        with pytest.raises((StatementFailed, ConnectionLost)):
            await self.login(user, password)

    async def elsewhere(self, client: Client, sql: str = "select 1") -> int:
        """Run something on another server than the last one; return its number."""
        number = (self.server(client) + 1) % 3
        await client.query(f"/* target_db_server='{self.bed.observers[number].address}' */ {sql}")
        return number


# ---- clients ---------------------------------------------------------------------------


async def client_quit(scene: Scene) -> None:
    await (await scene.login()).quit()


async def client_gone(scene: Scene) -> None:
    (await scene.login()).close()


async def left_before_login(scene: Scene) -> None:
    stream = await trio.open_tcp_stream(scene.address.ip, scene.address.port)
    await stream.aclose()


async def client_protocol_error(scene: Scene) -> None:
    (await scene.login())._sock.send(packet(5, b"\x03select 1"))


async def idle(scene: Scene) -> None:
    await (await scene.login()).query("set wait_timeout = 1")


async def client_too_slow(scene: Scene) -> None:
    client = await scene.login()
    await client.query("set net_read_timeout = 1")
    client._sock.send(packet(0, b"\x03select 1")[:7])


async def login_timeout(scene: Scene) -> None:
    stream = await trio.open_tcp_stream(scene.address.ip, scene.address.port)
    async with stream:
        with trio.fail_after(20):
            while await stream.receive_some():
                pass


async def login_refused(scene: Scene) -> None:
    await scene.refused("app@mytenant#demo", "wrong")


async def access_denied(scene: Scene) -> None:
    await scene.refused("app@nobody#demo")


async def unknown_cluster(scene: Scene) -> None:
    await scene.refused("app@mytenant#nowhere")


async def no_server(scene: Scene) -> None:
    for number in range(3):
        scene.bed.refuse(number)
    try:
        await scene.refused("app@mytenant#demo")
    finally:
        for observer in scene.bed.observers:
            observer.listen()


async def server_gone(scene: Scene) -> None:
    client = await scene.login()
    await client.query("select 1")
    scene.bed.cut(scene.server(client), after_bytes=5)
    await scene.fails(client, "select 'cut'")


async def server_timeout(scene: Scene) -> None:
    client = await scene.login()
    await client.query("set ob_query_timeout = 500000")
    number = scene.server(client)
    scene.bed.freeze(number)
    try:
        await scene.fails(client, "select 5 into @x")
    finally:
        await scene.bed.thaw(number)


async def killed(scene: Scene) -> None:
    client = await scene.login()
    await (await scene.login()).query(f"kill {client.connection_id}")


async def killed_by_server(scene: Scene) -> None:
    client = await scene.login()
    scene.bed.answer("killed there", errno=4401)
    await scene.fails(client, "select 'killed there'")


async def drained(scene: Scene) -> None:
    client = await scene.login()
    scene.session(client).drain()


async def crashed(scene: Scene) -> None:
    client = await scene.login()
    scene.proxy.crash_session(client.connection_id, RuntimeError("a bug"))


# ---- server sessions -------------------------------------------------------------------


async def closed_idle(scene: Scene) -> None:
    client = await scene.login()
    await client.query("select 1")
    await scene.bed.observers[scene.server(client)].drop_connections()


async def found_dead(scene: Scene) -> None:
    client = await scene.login()
    await client.query("select 1")
    server = scene.session(client).server
    assert server is not None
    scene.proxy.sessions.server_dead("demo", server, "probes of it fail")


async def excluded(scene: Scene) -> None:
    client = await scene.login()
    await client.query("select 1")
    server = scene.session(client).server
    assert server is not None
    scene.proxy.sessions.leave_server("demo", server)


async def replay_failed(scene: Scene) -> None:
    client = await scene.login(database="oceanbase")
    await client.query("select 1")
    number = (scene.server(client) + 1) % 3
    scene.bed.answer("^(oceanbase|use .*|SET @@autocommit.*)$", errno=1044, number=number, times=1)
    with suppress(StatementFailed):  # another server may do
        await client.query(f"/* target_db_server='{scene.bed.observers[number].address}' */ select 1")


async def broken_off(scene: Scene) -> None:
    client, killer = await scene.login(), await scene.login()
    await client.query("set @a = 1")
    number = (scene.server(client) + 1) % 3
    scene.bed.slow(number, 1.5)
    try:
        async with trio.open_nursery() as nursery:
            sql = f"/* target_db_server='{scene.bed.observers[number].address}' */ select 1"
            nursery.start_soon(scene.fails, client, sql)
            await until(lambda: len([*scene.session(client).server_ids()]) == 2, "it is being made ready")
            await killer.query(f"kill query {client.connection_id}")
    finally:
        scene.bed.slow(number, 0)


async def reset(scene: Scene) -> None:
    client = await scene.login()
    await client.query("select 1")
    await scene.elsewhere(client)
    await client._ask(bytes((Com.RESET_CONNECTION,)))


async def database_dropped(scene: Scene) -> None:
    await scene.bed.query("create database if not exists dropped")
    client = await scene.login(database="dropped")
    await client.query("select 1")
    await scene.elsewhere(client)
    await client.query("drop database dropped")


async def errand(scene: Scene) -> None:
    client, killer = await scene.login(), await scene.login()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.fails, client, "select sleep(20)")
        await until(lambda: scene.session(client).running() is not None, "it runs")
        await killer.query(f"kill query {client.connection_id}")


BROUGHT_ABOUT: Final[dict[End | ServerEnd, Callable[[Scene], Awaitable[None]]]] = {
    End.CLIENT_QUIT: client_quit,
    End.CLIENT_GONE: client_gone,
    End.LEFT_BEFORE_LOGIN: left_before_login,
    End.CLIENT_PROTOCOL: client_protocol_error,
    End.IDLE: idle,
    End.CLIENT_TOO_SLOW: client_too_slow,
    End.LOGIN_TIMEOUT: login_timeout,
    End.LOGIN_REFUSED: login_refused,
    End.ACCESS_DENIED: access_denied,
    End.UNKNOWN_CLUSTER: unknown_cluster,
    End.NO_SERVER: no_server,
    End.SERVER_GONE: server_gone,
    End.SERVER_TIMEOUT: server_timeout,
    End.KILLED: killed,
    End.KILLED_BY_SERVER: killed_by_server,
    End.DRAINED: drained,
    End.CRASHED: crashed,
    ServerEnd.CLIENT_ENDED: client_quit,
    ServerEnd.CLOSED_IDLE: closed_idle,
    ServerEnd.LOST: server_gone,
    ServerEnd.TIMED_OUT: server_timeout,
    ServerEnd.FOUND_DEAD: found_dead,
    ServerEnd.EXCLUDED: excluded,
    ServerEnd.REPLAY_FAILED: replay_failed,
    ServerEnd.BROKEN_OFF: broken_off,
    ServerEnd.ERRAND: errand,
    ServerEnd.RESET: reset,
    ServerEnd.DATABASE_DROPPED: database_dropped,
    ServerEnd.KILLED: killed,
    ServerEnd.KILLED_BY_SERVER: killed_by_server,
    ServerEnd.DRAINED: drained,
    ServerEnd.CRASHED: crashed,
}
SLOW: Final = (End.IDLE, End.CLIENT_TOO_SLOW, End.LOGIN_TIMEOUT)
"""Those that have to wait for something; nothing of the others is in their way."""
AT_THE_END: Final = (End.SHUTDOWN, ServerEnd.SHUTDOWN)


def test_every_reason_is_brought_about_or_says_why_not() -> None:
    assert {*BROUGHT_ABOUT, *ELSEWHERE, *AT_THE_END} == {*End, *ServerEnd}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_every_reason(bed: Testbed) -> None:
    settings = settings_for(
        bed, enable_http=False, hot_upgrade_exit_timeout=0.2, login_timeout=3.0, server_detect_mode=0,
        observer_query_timeout_delta=1.0, enable_congestion=False,
    )  # fmt: skip
    missed: list[End | ServerEnd] = []
    async with open_proxy(settings) as proxy:
        with trio.fail_after(20):
            await proxy.clusters.wait_available(bed.cluster)
        scene = Scene(bed, proxy)

        async def bring_about(why: End | ServerEnd) -> None:
            before = scene.ends(why)
            await BROUGHT_ABOUT[why](scene)
            with trio.move_on_after(15):
                await until(lambda: scene.ends(why) > before, f"{why}", 20)
                return
            missed.append(why)

        async with trio.open_nursery() as nursery:
            for why in SLOW:
                nursery.start_soon(bring_about, why)
            for why in BROUGHT_ABOUT:
                if why not in SLOW:
                    await bring_about(why)
        kept = {record.reason for side in (False, True) for record in proxy.ends.newest(servers=side)}
        assert missed == []
        assert kept >= {why.value for why in BROUGHT_ABOUT}
        client = await scene.login()
        client._sock.send(packet(0, b"\x03select sleep(20)"))
        await until(lambda: scene.session(client).running() is not None, "it runs")
    assert (scene.ends(End.SHUTDOWN), scene.ends(ServerEnd.SHUTDOWN)) == (1, 1)
    for client in scene.clients:
        client.close()
