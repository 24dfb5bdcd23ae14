"""TLS towards an OBServer that offers it, does not, or breaks it; played by the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from odp_trio.errors import InsecureServer, ServerProtocolError, UpstreamLost
from odp_trio.model import Address
from odp_trio.net.certificates import ServerTls
from odp_trio.net.channel import PacketChannel
from odp_trio.net.connect import SocketOptions
from odp_trio.net.tls import TlsStream
from odp_trio.session.retry import after_failed_login, failure_of
from odp_trio.session.upstream import Identity, ServerSession, open_server_session
from odp_trio.state.login_answers import LoginAnswers
from odp_trio.wire.fields import Capability
from odp_trio.wire.handshake import OFFERED, Greeting, LoginPacket, parse_login
from odp_trio.wire.resultset import ok_payload
from tests.certificates import Authority

Play = Callable[[PacketChannel], Awaitable[None]]
SCRAMBLE = b"abcdefghijklmnopqrst"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@asynccontextmanager
async def open_server(play: Play, ip: str = "127.0.0.1") -> AsyncIterator[Address]:
    """Be an OBServer for one connection."""
    family = trio.socket.AF_INET6 if ":" in ip else trio.socket.AF_INET
    with trio.socket.socket(family) as listener:
        await listener.bind((ip, 0))
        listener.listen()

        async def serve() -> None:
            accepted, _ = await listener.accept()
            with accepted:
                sock = accepted._sock
                sock.setblocking(False)
                await play(PacketChannel(sock, ServerProtocolError))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            yield Address(ip, listener.getsockname()[1])
            nursery.cancel_scope.cancel()


async def log_in(address: Address, tls: ServerTls | None) -> ServerSession:
    login = LoginPacket(int(OFFERED | Capability.SSL), 1 << 24, 45, b"", bytes(20))
    identity = Identity(login, b"root@sys", SCRAMBLE, 1, 1, "::1", 5, 1, "demo")

    async def nobody(seq: int, payload: bytes) -> tuple[int, bytes]:
        raise AssertionError

    with trio.fail_after(20):
        return await open_server_session(
            address, identity, timeout=5, options=SocketOptions(), ask_client=nobody, answers=LoginAnswers(), tls=tls
        )


def playing(authority: Authority, seen: list[LoginPacket], *, offers: bool = True) -> Play:
    """Offer TLS, and let everybody in."""

    async def play(channel: PacketChannel) -> None:
        offered = OFFERED | Capability.SSL if offers else OFFERED
        await channel.send_packet(0, Greeting(b"5.7.25", 9, SCRAMBLE, offered).to_bytes())
        seq, payload = await channel.receive()
        expected = 1
        if len(payload) == 32:
            context = authority.server_context(authority.sign("observer"))
            early = channel.leftover()
            channel.stream = stream = TlsStream(channel.stream, context, server_side=True, early=early)
            await stream.handshake()
            seq, payload = await channel.receive()
            expected = 2
        assert seq == expected
        seen.append(parse_login(payload, 0xFFFFFFFF))
        await channel.send_packet(seq + 1, ok_payload(0x22))
        await trio.sleep_forever()

    return play


def believing(authority: Authority, *, required: bool = False) -> ServerTls:
    return ServerTls(authority.client_context(), required)


@pytest.mark.parametrize("ip", ["127.0.0.1", "::1"])
async def test_a_login_by_tls(authority: Authority, ip: str) -> None:
    seen: list[LoginPacket] = []
    async with open_server(playing(authority, seen), ip) as address:
        session = await log_in(address, believing(authority, required=True))
        assert session.tls == "TLSv1.3"
        assert seen[0].capabilities & Capability.SSL
        assert seen[0].user == b"root@sys"
        assert seen[0].attributes[b"__client_ip"] == b"::1"
        session.stream.close()


async def test_without_tls_nothing_says_so(authority: Authority) -> None:
    seen: list[LoginPacket] = []
    async with open_server(playing(authority, seen)) as address:
        session = await log_in(address, None)
        assert session.tls == ""
        assert not seen[0].capabilities & Capability.SSL
        session.stream.close()


async def test_a_server_that_does_not_offer_it(authority: Authority) -> None:
    seen: list[LoginPacket] = []
    async with open_server(playing(authority, seen, offers=False)) as address:
        session = await log_in(address, believing(authority))
        assert (session.tls, len(seen)) == ("", 1)
        session.stream.close()
    async with open_server(playing(authority, seen, offers=False)) as address:
        with pytest.raises(InsecureServer, match="does not offer TLS"):
            await log_in(address, believing(authority, required=True))
    assert len(seen) == 1, "nothing of the login was sent"


async def test_files_that_cannot_be_used_are_why_nobody_gets_in(authority: Authority) -> None:
    async with open_server(playing(authority, [])) as address:
        with pytest.raises(InsecureServer, match="no such file"):
            await log_in(address, ServerTls(None, True, "ca.pem: no such file"))


async def test_a_certificate_that_is_not_believed_is_no_illness(authority: Authority, tmp_path: Path) -> None:
    seen: list[LoginPacket] = []
    stranger = Authority(tmp_path, "stranger")

    async def play(channel: PacketChannel) -> None:
        with pytest.raises(OSError, match="unknown ca"):
            await playing(authority, seen)(channel)
            await channel.receive()

    async with open_server(play) as address:
        with pytest.raises(InsecureServer, match="certificate verify failed") as failed:
            await log_in(address, ServerTls(stranger.client_context(), True))
    assert not seen
    assert after_failed_login(failed.value).try_next
    assert failure_of(failed.value) is None


async def test_a_name_that_is_not_the_servers(authority: Authority) -> None:
    async def play(channel: PacketChannel) -> None:
        await channel.send_packet(0, Greeting(b"5.7.25", 9, SCRAMBLE, OFFERED | Capability.SSL).to_bytes())
        await channel.receive()
        context = authority.server_context(authority.sign("other", ips=("10.0.0.1",)))
        with pytest.raises(OSError, match="bad certificate"):
            await TlsStream(channel.stream, context, server_side=True, early=channel.leftover()).handshake()

    async with open_server(play) as address:
        with pytest.raises(InsecureServer, match="not valid for '127.0.0.1'"):
            await log_in(address, believing(authority))


@pytest.mark.parametrize("how", ["reset", "plaintext", "injected"])
async def test_a_server_that_breaks_the_handshake(authority: Authority, how: str) -> None:
    """A kernel with ssl_client_authentication and without its files offers TLS and resets the handshake."""

    async def play(channel: PacketChannel) -> None:
        greeting = Greeting(b"5.7.25", 9, SCRAMBLE, OFFERED | Capability.SSL).to_bytes()
        if how == "injected":
            framed = len(greeting).to_bytes(3, "little") + b"\0" + greeting
            await channel.send(framed + b"\x07\0\0\x02" + ok_payload(2))
        else:
            await channel.send_packet(0, greeting)
        await channel.receive()
        if how == "plaintext":
            await channel.send_packet(2, ok_payload(2))
            await trio.sleep_forever()

    async with open_server(play) as address:
        with pytest.raises(UpstreamLost) as failed:
            await log_in(address, believing(authority))
    assert ("bytes behind a greeting" if how == "injected" else "its handshake failed") in str(failed.value)
    assert after_failed_login(failed.value).try_next
    assert failure_of(failed.value) is not None
