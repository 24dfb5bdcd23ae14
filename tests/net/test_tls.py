"""TLS around sockets that take and give as little as they like."""

from __future__ import annotations

import contextlib
import select
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from odp_trio.net.tls import TlsFailed, TlsStream
from tests.certificates import Authority

MOST = 1 << 20


class Narrow:
    """A socket that takes and gives at most so many bytes a call; ``counts`` says how many, in turn."""

    def __init__(self, sock: socket.socket, counts: list[int]) -> None:
        sock.setblocking(False)
        self.sock, self._counts, self._at = sock, counts, 0
        self.fileno, self.shutdown, self.close = sock.fileno, sock.shutdown, sock.close

    def _most(self) -> int:
        self._at += 1
        return self._counts[self._at % len(self._counts)]

    def recv(self, size: int) -> bytes:
        return self.sock.recv(min(size, self._most()))

    def recv_into(self, buffer: bytearray | memoryview) -> int:
        return self.sock.recv_into(memoryview(buffer)[: self._most()])

    def send(self, data: bytes) -> int:
        return self.sock.send(data[: self._most()])


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    authority = Authority(tmp_path_factory.mktemp("tls"))
    authority.sign("proxy")
    return authority


@pytest.fixture(scope="module")
def contexts(authority: Authority) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return authority.client_context(), authority.server_context(authority.sign("proxy"))


Contexts = tuple[ssl.SSLContext, ssl.SSLContext]
Pair = tuple[TlsStream, TlsStream]


@contextmanager
def open_pair(contexts: Contexts, near: list[int], far: list[int]) -> Iterator[Pair]:
    """Yield a client's and a server's stream after their handshake."""
    one, other = socket.socketpair()
    for sock in (one, other):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    client = TlsStream(Narrow(one, near), contexts[0], server_hostname="proxy")  # type: ignore[arg-type]
    server = TlsStream(Narrow(other, far), contexts[1], server_side=True)  # type: ignore[arg-type]

    async def shake() -> None:
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.handshake)
                nursery.start_soon(server.handshake)

    with closing(one), closing(other):
        trio.run(shake)
        yield client, server


def is_readable(stream: TlsStream) -> bool:
    return bool(select.select([stream], [], [], 0)[0])


def receive(stream: TlsStream, size: int) -> bytes:
    """Receive once, however many calls the engine needs for that."""
    while stream.pending or is_readable(stream):
        try:
            return stream.recv(size)
        except BlockingIOError:
            continue
    raise AssertionError("nothing to read")


class End:
    """One end of a conversation, as a leg is: owes what was not taken, reads when told that there is something."""

    def __init__(self, stream: TlsStream, data: bytes, sizes: list[int]) -> None:
        self.stream, self.owed, self.got = stream, data, b""
        self._sizes, self._at, self._wrote = sizes, 0, 0

    def write(self) -> None:
        """Offer the beginning of what is owed; an offer that was not taken whole is made again in the same words."""
        self._wrote = self._wrote or self._size()
        offer = self.owed[: self._wrote]
        try:
            count = self.stream.send(offer)
        except BlockingIOError:
            return
        self.owed = self.owed[count:]
        self._wrote -= count

    def read(self) -> None:
        if not self.stream.pending and not is_readable(self.stream):
            return
        buffer = bytearray(self._size())
        try:
            count = self.stream.recv_into(buffer)
        except BlockingIOError:
            return
        assert count, "the end, unasked"
        self.got += buffer[:count]

    def _size(self) -> int:
        self._at += 1
        return self._sizes[self._at % len(self._sizes)]


def converse(pair: Pair, there: bytes, back: bytes, sizes: list[int]) -> None:
    client, server = End(pair[0], there, sizes), End(pair[1], back, sizes)
    for _ in range(200_000):
        for end in (client, server):
            if end.owed:
                end.write()
            end.read()
        if server.got == there and client.got == back:
            return
    raise AssertionError(f"stuck after {len(server.got)} of {len(there)}, {len(client.got)} of {len(back)} bytes")


@pytest.mark.parametrize("width", [1, 7, 1000, MOST])
def test_what_goes_in_comes_out_in_both_directions(contexts: Contexts, width: int) -> None:
    data = bytes(range(256)) * (4 if width < 1000 else 1000)

    with open_pair(contexts, [width], [width]) as pair:
        converse(pair, data, data[::-1], [65536])


widths = st.lists(st.sampled_from([1, 2, 5, 21, 22, 100, 4096, 16401, MOST]), min_size=1, max_size=5)
sizes = st.lists(st.sampled_from([1, 4, 1000, 16384, 65536, 70000]), min_size=1, max_size=4)


@settings(max_examples=25, deadline=None)
@given(near=widths, far=widths, sizes=sizes, there=st.integers(0, 3000), back=st.integers(0, 200_000))
def test_however_it_is_cut(
    contexts: Contexts, near: list[int], far: list[int], sizes: list[int], there: int, back: int
) -> None:
    if min(near) < 22 or min(far) < 22 or min(sizes) < 1000:
        back, there = back % 600, there % 100
    pattern = bytes(number % 251 for number in range(max(there, back)))

    with open_pair(contexts, near, far) as pair:
        converse(pair, pattern[:there], pattern[:back], sizes)


def test_tickets_and_half_records_are_no_end(contexts: Contexts) -> None:
    with open_pair(contexts, [MOST], [MOST]) as (client, server):
        assert client.version == server.version == "TLSv1.3"
        assert is_readable(client), "the server's tickets"
        with pytest.raises(BlockingIOError):
            client.recv(100)
        assert not client.pending

    with open_pair(contexts, [MOST], [10]) as (client, server):
        client.send(b"abc")
        for _ in range(2):
            with pytest.raises(BlockingIOError):
                server.recv(100)
        assert server.recv(100) == b"abc"


def test_what_does_not_fit_is_pending_until_it_has_been_read(contexts: Contexts) -> None:
    with open_pair(contexts, [MOST], [MOST]) as (client, server):
        client.send(b"abcdefgh")
        client.send(b"ij")
        assert receive(server, 5) == b"abcde"
        assert server.pending
        assert server.recv(2) == b"fg"
        assert server.pending
        assert server.recv(5) == b"h"
        assert not server.pending
        assert receive(server, 70000) == b"ij"
        assert not is_readable(server)

        for _ in range(10):
            client.send(b"0123456789")
        assert receive(server, 400) == b"0123456789" * 10, "many records at once"


def test_a_chunk_counts_when_the_last_byte_of_it_has_gone(contexts: Contexts) -> None:
    with open_pair(contexts, [MOST], [MOST]) as (client, server):
        data = bytes(200) * 1000
        taken = 0
        with pytest.raises(BlockingIOError):
            while True:
                taken += client.send(data[taken:])
        assert taken == 0, "8 KiB of the first chunk of 64 KiB are on their way"

        got = b""
        while not taken:
            with contextlib.suppress(BlockingIOError):
                got += server.recv(65536)
            try:
                taken = client.send(data)
            except BlockingIOError:
                continue
        assert taken % 65536 == 0
        while is_readable(server) or server.pending:
            try:
                got += server.recv(65536)
            except BlockingIOError:
                continue
        assert got == data[: len(got)]
        assert len(got) >= taken


def test_a_record_that_was_tampered_with_is_an_error_after_what_came_before_it(contexts: Contexts) -> None:
    with open_pair(contexts, [MOST], [MOST]) as (client, server):
        client.send(b"good")
        raw = client._socket.sock  # type: ignore[attr-defined]
        raw.send(b"\x17\x03\x03\x00\x20" + bytes(32))

        assert receive(server, 100) == b"good"
        assert server.pending
        for _ in range(2):
            with pytest.raises(ssl.SSLError):
                server.recv(100)
        with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
            while True:
                try:
                    client.recv(100)
                except BlockingIOError:
                    continue


def test_a_connection_that_ends_in_the_middle_of_a_record_has_ended(contexts: Contexts) -> None:
    with open_pair(contexts, [MOST], [MOST]) as (client, server):
        client.send(b"good")
        raw = client._socket.sock  # type: ignore[attr-defined]
        raw.send(b"\x17\x03\x03\x00\x20abc")
        raw.shutdown(socket.SHUT_WR)

        assert receive(server, 100) == b"good"
        assert receive(server, 100) == b""
        assert server.recv(100) == b""


def test_close_says_so_and_shutdown_waits_for_nobody(contexts: Contexts) -> None:
    with open_pair(contexts, [MOST], [MOST]) as (client, server):
        server.send(b"last words")
        server.shutdown(socket.SHUT_WR)
        client.send(b"not read any more")
        assert receive(client, 100) == b"last words"
        assert receive(client, 100) == b""
        client.close()
        assert receive(server, 100) == b"", "not a byte of it"


# ---- handshakes that fail ---------------------------------------------------------


async def fail_to_shake(*streams: TlsStream) -> list[str]:
    """Shake hands; return what each stream says is wrong."""
    reasons = [""] * len(streams)

    async def one(number: int, stream: TlsStream) -> None:
        try:
            await stream.handshake()
            while stream.version == "TLSv1.3":  # what is wrong with a client is told afterwards
                with contextlib.suppress(BlockingIOError):
                    if not stream.recv(100):
                        break
                await trio.lowlevel.wait_readable(stream)
        except TlsFailed as exc:
            reasons[number] = str(exc)
        except ssl.SSLError as exc:
            reasons[number] = str(exc.reason)

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            for number, stream in enumerate(streams):
                nursery.start_soon(one, number, stream)
    return reasons


@pytest.fixture
def socks() -> Iterator[tuple[socket.socket, socket.socket]]:
    pair = socket.socketpair()
    for sock in pair:
        sock.setblocking(False)
    with closing(pair[0]), closing(pair[1]):
        yield pair


async def test_each_side_says_why_it_does_not_believe_the_other(
    contexts: Contexts, authority: Authority, tmp_path: Path, socks: tuple[socket.socket, socket.socket]
) -> None:
    stranger = Authority(tmp_path, "stranger").client_context()
    client = TlsStream(socks[0], stranger, server_hostname="proxy")
    server = TlsStream(socks[1], contexts[1], server_side=True)

    reasons = await fail_to_shake(client, server)

    assert "self-signed" in reasons[0] or "unable to get local issuer" in reasons[0]
    assert "unknown ca" in reasons[1]


async def test_a_client_without_a_certificate_is_refused_where_one_is_required(
    authority: Authority, socks: tuple[socket.socket, socket.socket]
) -> None:
    client = TlsStream(socks[0], authority.client_context(), server_hostname="proxy")
    server = TlsStream(socks[1], authority.server_context(authority.sign("proxy"), asks=True), server_side=True)

    reasons = await fail_to_shake(client, server)

    assert "did not return a certificate" in reasons[1]
    assert "CERTIFICATE_REQUIRED" in reasons[0]


async def test_plaintext_in_front_of_a_handshake_is_refused_and_nothing_of_it_is_used(
    contexts: Contexts, socks: tuple[socket.socket, socket.socket]
) -> None:
    with pytest.raises(TlsFailed, match="plaintext"):
        TlsStream(socks[1], contexts[1], server_side=True, early=b"\x01\0\0\x02\x0e")

    # Injected by somebody on the way, in the shape of a record, before the client's own bytes:
    client = TlsStream(socks[0], contexts[0], server_hostname="proxy")
    server = TlsStream(socks[1], contexts[1], server_side=True, early=b"\x16\x03\x01\0\x05\x03drop")
    assert (await fail_to_shake(server))[0]
    del client


async def test_a_client_hello_that_was_read_already_is_used(
    contexts: Contexts, socks: tuple[socket.socket, socket.socket]
) -> None:
    client = TlsStream(socks[0], contexts[0], server_hostname="proxy")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.handshake)
        await trio.lowlevel.wait_readable(socks[1])
        server = TlsStream(socks[1], contexts[1], server_side=True, early=socks[1].recv(100))
        with trio.fail_after(10):
            await server.handshake()

    client.send(b"hello")
    assert receive(server, 10) == b"hello"


async def test_a_peer_that_leaves_or_speaks_no_tls(
    contexts: Contexts, socks: tuple[socket.socket, socket.socket]
) -> None:
    server = TlsStream(socks[1], contexts[1], server_side=True)
    socks[0].send(b"\x0a\0\0\x01\x03select 1")
    assert (await fail_to_shake(server))[0] == "wrong version number"

    server = TlsStream(socks[1], contexts[1], server_side=True)
    socks[0].close()
    assert "closed the connection during the TLS handshake" in (await fail_to_shake(server))[0]


# ---- what only OpenSSL's own client can do ------------------------------------------


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl binary")
async def test_key_updates_are_answered_and_bounded(contexts: Contexts) -> None:
    """``K`` in s_client's terminal asks for new keys of both directions."""
    listener = trio.socket.socket()
    await listener.bind(("127.0.0.1", 0))
    listener.listen()
    port = listener.getsockname()[1]
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_3"]
    async with trio.open_nursery() as nursery:
        process = await nursery.start(
            partial(
                trio.run_process,
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )
        )
        accepted, _ = await listener.accept()
        sock = socket.socket(fileno=accepted.detach())
        sock.setblocking(False)
        server = TlsStream(sock, contexts[1], server_side=True)
        with trio.fail_after(20):
            await server.handshake()
            got = b""
            for line in (b"one\n", b"K\n", b"two\n", b"K\n", b"k\n", b"three\n"):
                await process.stdin.send_all(line)
                if len(line) == 2:
                    await trio.sleep(0.05)  # it reads its terminal in blocks; a command is a block of its own
                    continue
                while not got.endswith(line):
                    await trio.lowlevel.wait_readable(sock)
                    try:
                        got += server.recv(100)
                    except BlockingIOError:
                        continue
        assert got == b"one\ntwo\nthree\n"
        server.send(b"behind the new keys")
        server.close()
        nursery.cancel_scope.cancel()
    listener.close()
