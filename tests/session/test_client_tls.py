"""TLS on the client leg, up to the login: what is offered, asked for, and smuggled in."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import pytest
import trio

from odp_trio.errors import ClientProtocolError, OutOfOrder
from odp_trio.net.channel import PacketChannel
from odp_trio.net.tls import TlsFailed, TlsStream
from odp_trio.session.login import Credentials, LoginTimeout, receive_login
from odp_trio.wire.fields import Capability
from odp_trio.wire.handshake import OFFERED, Greeting, LoginPacket, parse_greeting, ssl_request
from odp_trio.wire.packets import packet
from odp_trio.wire.proxy_protocol import ProxyHeader
from tests.certificates import Authority

SCRAMBLE = b"abcdefghijklmnopqrst"
LOGIN = LoginPacket(int(OFFERED | Capability.SSL), 1 << 24, 45, b"app@sys", bytes(20))
EVIL = LoginPacket(int(OFFERED), 1 << 24, 45, b"evil@sys", bytes(20))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def context(authority: Authority) -> ssl.SSLContext:
    return authority.server_context(authority.sign("proxy"))


@pytest.fixture
def socks() -> Iterator[tuple[socket.socket, socket.socket]]:
    pair = socket.socketpair()
    for sock in pair:
        sock.setblocking(False)
    yield pair
    for sock in pair:
        sock.close()


async def served(
    sock: socket.socket, context: ssl.SSLContext | None, headers: list[ProxyHeader] | None = None
) -> Credentials:
    """Be the proxy, up to the login."""
    offered = OFFERED | (Capability.SSL if context else 0)
    greeting = Greeting(b"5.7.25", 7, SCRAMBLE, int(offered))
    seen = [] if headers is None else headers
    return await receive_login(PacketChannel(sock, ClientProtocolError), greeting, 10, seen.append, context)


def greeted(sock: socket.socket) -> Greeting:
    return parse_greeting(sock.recv(1000)[4:])


async def log_in(
    sock: socket.socket, authority: Authority, *, before: bytes = b"", behind: bytes = b"", seq: int = 2
) -> Greeting:
    """Be the client; ``behind`` is put behind the SSLRequest, in the same segment."""
    await trio.lowlevel.wait_readable(sock)
    greeting = greeted(sock)
    sock.send(before + packet(1, ssl_request(LOGIN)) + behind)
    stream = TlsStream(sock, authority.client_context(), server_hostname="proxy")
    await stream.handshake()
    stream.send(packet(seq, LOGIN.to_bytes()))
    return greeting


async def test_a_login_by_tls(
    authority: Authority, context: ssl.SSLContext, socks: tuple[socket.socket, socket.socket]
) -> None:
    headers: list[ProxyHeader] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: log_in(socks[0], authority, before=b"PROXY TCP6 2001:db8::7 ::1 5555 3306\r\n"))
        found = await served(socks[1], context, headers)

    assert (found.tls, found.seq, found.typed_name) == ("TLSv1.3", 2, "app@sys")
    assert headers[0].source == ("2001:db8::7", 5555)


async def test_the_greeting_says_whether_there_is_tls(
    context: ssl.SSLContext, socks: tuple[socket.socket, socket.socket]
) -> None:
    for offered in (context, None):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(served, socks[1], offered)
            await trio.lowlevel.wait_readable(socks[0])
            assert bool(greeted(socks[0]).capabilities & Capability.SSL) == bool(offered)
            nursery.cancel_scope.cancel()


async def test_the_hello_may_come_with_the_request(
    authority: Authority, context: ssl.SSLContext, socks: tuple[socket.socket, socket.socket]
) -> None:
    """No client waits for an answer to its SSLRequest: there is none."""

    async def client() -> None:
        await trio.lowlevel.wait_readable(socks[0])
        greeted(socks[0])
        here, there = ssl.MemoryBIO(), ssl.MemoryBIO()
        engine = authority.client_context().wrap_bio(here, there, server_hostname="proxy")
        with pytest.raises(ssl.SSLWantReadError):
            engine.do_handshake()
        socks[0].send(packet(1, ssl_request(LOGIN)) + there.read())
        await trio.lowlevel.wait_readable(socks[0])
        here.write(socks[0].recv(65536))
        engine.do_handshake()
        engine.write(packet(2, LOGIN.to_bytes()))
        socks[0].send(there.read())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(client)
        with trio.fail_after(10):
            assert (await served(socks[1], context)).typed_name == "app@sys"


@pytest.mark.parametrize(
    "smuggled",
    [
        packet(2, EVIL.to_bytes()),
        packet(2, EVIL.to_bytes()) + packet(0, b"\x03drop table t"),
        b"\x16",
        b"\x16\x03\x01\x00\x10" + bytes(16),
        packet(0x16, b"\x03drop table t")[3:],
        packet(1, ssl_request(LOGIN)),
    ],
)
async def test_plaintext_behind_the_request_is_refused_and_nothing_of_it_is_used(
    authority: Authority, context: ssl.SSLContext, socks: tuple[socket.socket, socket.socket], smuggled: bytes
) -> None:
    """Whoever is on the way puts packets of his own before the client's first TLS record."""

    async def client() -> None:
        with pytest.raises(TlsFailed):
            await log_in(socks[0], authority, behind=smuggled)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(client)
        with trio.fail_after(10), pytest.raises(TlsFailed):
            await served(socks[1], context)
        socks[1].close()


@pytest.mark.parametrize("data", [b"", packet(1, ssl_request(LOGIN)), packet(1, ssl_request(LOGIN)) + b"\x16\x03\x01"])
async def test_who_does_not_go_on_is_given_up_in_time(
    context: ssl.SSLContext,
    socks: tuple[socket.socket, socket.socket],
    data: bytes,
    autojump_clock: trio.testing.MockClock,
) -> None:
    if data:
        socks[0].send(data)
    begun = trio.current_time()
    with pytest.raises(LoginTimeout):
        await served(socks[1], context)
    assert trio.current_time() - begun == 10


async def test_the_bit_alone_is_no_tls(context: ssl.SSLContext, socks: tuple[socket.socket, socket.socket]) -> None:
    socks[0].send(packet(1, LOGIN.to_bytes()))
    with pytest.raises(ClientProtocolError, match="came by TLS, and did not"):
        await served(socks[1], context)

    socks[0].recv(1000)
    socks[0].send(packet(1, ssl_request(LOGIN)))
    with pytest.raises(ClientProtocolError, match="not offered"):
        await served(socks[1], None)


async def test_the_numbers_of_packets_go_on_inside(
    authority: Authority, context: ssl.SSLContext, socks: tuple[socket.socket, socket.socket]
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: log_in(socks[0], authority, seq=1))
        with pytest.raises(OutOfOrder, match="packet 2 expected"):
            await served(socks[1], context)
