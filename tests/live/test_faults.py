"""Bad input and faults: a clear error or a clean close, one log line, nothing left behind, no harm to others."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pymysql
import pytest
import trio

from odp_trio.app import Proxy, open_proxy
from odp_trio.catalog.metadata import MetadataClient
from odp_trio.errors import ServerProtocolError
from odp_trio.testing.bed import Testbed
from odp_trio.testing.demo import settings_for
from odp_trio.wire.fields import Capability
from odp_trio.wire.handshake import LoginPacket, parse_greeting
from odp_trio.wire.packets import PacketReader, packet
from odp_trio.wire.resultset import parse_err
from tests.live.clients import through, until

LOGIN = LoginPacket(
    capabilities=int(Capability.PROTOCOL_41 | Capability.SECURE_CONNECTION | Capability.PLUGIN_AUTH),
    max_packet=1 << 24,
    charset=45,
    user=b"root@sys#demo",
    auth=b"",
    plugin=b"mysql_native_password",
)


class RawClient:
    """A client made of bytes."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._reader = PacketReader(ServerProtocolError)

    async def receive(self) -> tuple[int, bytes] | None:
        """Return the next packet, None at the end of the stream."""
        with trio.fail_after(15):
            while (found := self._reader.next_packet()) is None:
                try:
                    data = await self.stream.receive_some()
                except trio.BrokenResourceError:
                    return None
                if not data:
                    return None
                self._reader.feed(data)
        return found

    async def error(self) -> tuple[int, int]:
        """Return sequence number and errno of the ERR that must come, and see the connection closed after it."""
        found = await self.receive()
        assert found is not None
        assert await self.receive() is None
        return found[0], parse_err(found[1]).errno

    async def log_in(self) -> None:
        """Log in as root."""
        greeting = await self.receive()
        assert greeting is not None
        parse_greeting(greeting[1])
        await self.stream.send_all(packet(1, LOGIN.to_bytes()))
        answer = await self.receive()
        assert answer is not None
        assert answer[1][:1] == b"\0"


@asynccontextmanager
async def raw_client(proxy: Proxy) -> AsyncIterator[RawClient]:
    async with await trio.open_tcp_stream(*proxy.addresses[0]) as stream:
        yield RawClient(stream)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def kept(proxy: Proxy) -> int:
    """Descriptors, and tasks at most, of idle metadata connections, which are kept: three each with their relay's."""
    clients = [keeper.metadata for keeper in proxy.clusters._keepers.values()]
    return 3 * sum(client.idle for client in clients if isinstance(client, MetadataClient))


@asynccontextmanager
async def nothing_left(proxy: Proxy, caplog: pytest.LogCaptureFixture, *, lines: int = 1) -> AsyncIterator[None]:
    """Afterwards: no session, no descriptor, no traceback, so many log lines, and the proxy serves."""
    assert await through(proxy, "select 1") == ((1,),)
    await until(lambda: not proxy.sessions.table, "the probe has ended")
    before = descriptors() - kept(proxy), trio.lowlevel.current_statistics().tasks_living - kept(proxy)
    caplog.clear()
    yield
    await until(lambda: not proxy.sessions.table, "the session has ended")
    await until(lambda: descriptors() - kept(proxy) <= before[0], "descriptors are given back")
    await until(lambda: trio.lowlevel.current_statistics().tasks_living - kept(proxy) <= before[1], "tasks have ended")
    assert proxy.reactor.sockets == 0
    said = [
        record for record in caplog.records if record.levelno >= logging.WARNING and "odp_trio.session" in record.name
    ]
    assert len(said) == lines, [record.getMessage() for record in said]
    assert not any(record.exc_info for record in caplog.records)
    assert await through(proxy, "select 1") == ((1,),)


@pytest.mark.parametrize(
    ("garbage", "errno"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 1043),
        (packet(1, b"\xff" * 100), 1043),
        (packet(1, b"\x00" * 40), 1043),
        (packet(1, LOGIN.to_bytes()[:30]), 1043),
        (packet(7, LOGIN.to_bytes()), 1156),
        (packet(1, b"\x85\xa6\x0f\x20" + b"\0" * 28), 1043),
        (b"\xff\xff\xff\x01", 1043),
    ],
    ids=["http", "ones", "zeros", "half-packet", "wrong-sequence", "tls-not-offered", "huge-length"],
)
async def test_garbage_instead_of_a_login(
    proxy: Proxy, caplog: pytest.LogCaptureFixture, garbage: bytes, errno: int
) -> None:
    async with nothing_left(proxy, caplog), raw_client(proxy) as client:
        await client.receive()
        await client.stream.send_all(garbage)

        assert (await client.error())[1] == errno


@pytest.mark.parametrize("half", [b"", packet(1, LOGIN.to_bytes())[:20]])
async def test_half_a_login_and_silence(bed: Testbed, caplog: pytest.LogCaptureFixture, half: bytes) -> None:
    async with open_proxy(settings_for(bed, enable_http=False, login_timeout=0.5)) as proxy:
        async with nothing_left(proxy, caplog), raw_client(proxy) as client:
            await client.receive()
            if half:
                await client.stream.send_all(half)

            assert await client.receive() is None
        assert "no login within 0.5 s" in caplog.text
        assert proxy.counts.ends["login_timeout"] == 1


async def test_a_health_probe_makes_no_log_line(proxy: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    async with nothing_left(proxy, caplog, lines=0):
        for _ in range(10):
            async with raw_client(proxy):
                pass


@pytest.mark.parametrize(
    ("bad", "errno"),
    [(packet(3, b"\x03select 1"), 1156), (b"\0\0\0\0", 1043)],
    ids=["wrong-sequence", "no-command"],
)
async def test_a_broken_command(proxy: Proxy, caplog: pytest.LogCaptureFixture, bad: bytes, errno: int) -> None:
    async with nothing_left(proxy, caplog), raw_client(proxy) as client:
        await client.log_in()
        await client.stream.send_all(bad)

        assert await client.error() == (1, errno)


@pytest.mark.parametrize("command", [0x00, 0x0B, 0x12, 0x15, 0x1E, 0x20, 0x99, 0xA1, 0xFF])
async def test_an_unknown_command_is_refused_and_the_session_goes_on(
    proxy: Proxy, caplog: pytest.LogCaptureFixture, command: int
) -> None:
    async with nothing_left(proxy, caplog, lines=0), raw_client(proxy) as client:
        await client.log_in()
        await client.stream.send_all(packet(0, bytes((command,))))
        refusal = await client.receive()
        await client.stream.send_all(packet(0, b"\x0e"))

        assert refusal is not None
        assert parse_err(refusal[1]).errno == 1235
        assert (await client.receive() or (0, b""))[1][:1] == b"\0"
        await client.stream.send_all(packet(0, b"\x01"))
        assert await client.receive() is None


async def test_a_client_that_leaves_in_the_middle_of_a_result(
    bed: Testbed, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    await bed.query("drop database if exists big", "create database big", "create table big.t(a varchar(1000))")
    await bed.query("insert into big.t values" + ",".join(["(repeat('x', 1000))"] * 200))
    async with nothing_left(proxy, caplog, lines=0), raw_client(proxy) as client:
        await client.log_in()
        await client.stream.send_all(packet(0, b"\x03select a.a from big.t a, big.t b, big.t c limit 200000"))
        await client.receive()
    assert proxy.counts.ends["client_gone"] == 1


async def test_a_server_that_goes_while_a_statement_runs(
    bed: Testbed, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    async with nothing_left(proxy, caplog), raw_client(proxy) as client:
        await client.log_in()
        (session,) = proxy.sessions.table.values()
        number = [observer.address for observer in bed.observers].index(str(session.server))
        await client.stream.send_all(packet(0, b"\x03do sleep(20)"))
        await until(lambda: bool(bed.statements("sleep")), "the statement has reached the server")
        await bed.kill(number)

        assert await client.error() == (1, 2013)
    assert "server_gone" in caplog.text
    assert "its outcome is unknown" in caplog.text
    assert len(bed.statements("sleep")) == 1  # never twice


async def test_a_server_that_goes_in_the_middle_of_an_answer(
    bed: Testbed, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    async with nothing_left(proxy, caplog), raw_client(proxy) as client:
        await client.log_in()
        (session,) = proxy.sessions.table.values()
        bed.cut([observer.address for observer in bed.observers].index(str(session.server)), after_bytes=30)
        await client.stream.send_all(packet(0, b"\x03select 'a rather long answer', 'in several columns'"))

        assert (await client.receive() or (0, b""))[1] == b"\x02"
        while await client.receive() is not None:
            pass
    assert "in the middle of an answer" in caplog.text


async def test_a_server_that_goes_at_rest_is_replaced(
    bed: Testbed, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    async with nothing_left(proxy, caplog, lines=0), raw_client(proxy) as client:
        await client.log_in()
        for number in range(3):
            await bed.kill(number, noticed=False)
            await bed.revive(number)
        (session,) = proxy.sessions.table.values()
        await until(lambda: session.server is None, "the loss was seen")

        await client.stream.send_all(packet(0, b"\x0e"))

        assert (await client.receive() or (0, b""))[1][:1] == b"\0"
        assert session.server is not None


async def test_a_server_that_freezes_and_thaws_only_takes_longer(bed: Testbed, proxy: Proxy) -> None:
    async with raw_client(proxy) as client:
        await client.log_in()
        for number in range(3):
            bed.freeze(number)
        await client.stream.send_all(packet(0, b"\x0e"))
        with trio.move_on_after(0.3) as scope:
            await client.receive()
        assert scope.cancelled_caught
        for number in range(3):
            await bed.thaw(number)
        assert (await client.receive() or (0, b""))[1][:1] == b"\0"


async def test_an_injected_error_reaches_the_client_as_it_is(bed: Testbed, proxy: Proxy) -> None:
    bed.answer("from nowhere", errno=4038, message="Not master")
    with pytest.raises(pymysql.err.MySQLError) as caught:
        await through(proxy, "select 1 from nowhere")

    assert caught.value.args == (4038, "Not master")


async def change_user(client: RawClient, user: bytes) -> bytes:
    """Change to a user without a password; return the last answer."""
    await client.stream.send_all(packet(0, b"\x11" + user + b"\0\0\0\x2d\0mysql_native_password\0"))
    while (answer := await client.receive()) is not None and answer[1][:1] == b"\xfe":
        await client.stream.send_all(packet(answer[0] + 1, b""))
    assert answer is not None
    return answer[1]


async def test_change_user_keeps_the_session_and_refuses_another_tenant(proxy: Proxy) -> None:
    async with raw_client(proxy) as client:
        await client.log_in()
        await client.stream.send_all(packet(0, b"\x03set @a=1"))
        await client.receive()

        assert parse_err(await change_user(client, b"root@mytenant#demo")).errno == 1235
        assert parse_err(await change_user(client, b"root@sys#other")).errno == 1235
        assert (await change_user(client, b"root@sys#demo"))[:1] == b"\0"
        await client.stream.send_all(packet(0, b"\x03select @a, user()"))
        rows = [(await client.receive() or (0, b""))[1] for _ in range(6)]
        assert rows[4] == b"\xfb\x0eroot@127.0.0.1"  # user variables are gone, as on a server
