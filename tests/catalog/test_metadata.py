"""Metadata queries over real sockets: servers that are silent, refuse, or talk nonsense."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import trio

from odp_trio.catalog.metadata import Credentials, MetadataClient
from odp_trio.errors import MetadataUnavailable
from odp_trio.model import Address


@pytest.fixture
def silent() -> Iterator[Address]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield Address("127.0.0.1", listener.getsockname()[1])


@pytest.fixture
def babbling() -> Iterator[Address]:
    """A server that greets with bytes that are no greeting."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with sock:
                sock.sendall(b"\x03\x00\x00\x00\x0aab")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield Address("127.0.0.1", listener.getsockname()[1])
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def refusing() -> Address:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return Address("127.0.0.1", listener.getsockname()[1])


def client(timeout: float = 0.5) -> MetadataClient:
    return MetadataClient(Credentials("proxyro", ("",)), timeout=lambda: timeout, connect_timeout=lambda: timeout)


async def test_every_server_is_named_with_its_reason_in_one_order(silent: Address, babbling: Address) -> None:
    metadata, refused = client(), refusing()
    texts = set()
    for servers in ([silent, refused, babbling], [babbling, silent, refused]):
        with pytest.raises(MetadataUnavailable) as caught:
            await metadata.query("select 1", servers)
        texts.add(str(caught.value))
    metadata.close()

    (text,) = texts
    assert f"{silent}: no answer within 0.5 s" in text
    assert "refused" in text
    assert f"{babbling}: " in text


async def test_all_servers_together_have_the_time_of_one(silent: Address) -> None:
    metadata = client()
    begun = time.monotonic()
    with pytest.raises(MetadataUnavailable):
        await metadata.query("select 1", [silent, Address("127.0.0.2", silent.port), silent])
    metadata.close()

    assert time.monotonic() - begun < 1.5


async def test_a_silent_server_is_asked_last_for_a_while(silent: Address) -> None:
    metadata, other = client(), refusing()
    with pytest.raises(MetadataUnavailable):
        await metadata.query("select 1", [silent])

    assert metadata._order([silent, other]) == [other, silent]
    metadata.close()


async def test_many_questions_that_hang_on_one_server_do_not_hinder_another(silent: Address) -> None:
    metadata, refused = client(timeout=2.0), refusing()
    async with trio.open_nursery() as nursery:

        async def ask(servers: list[Address]) -> None:
            with pytest.raises(MetadataUnavailable):
                await metadata.query("select 1", servers)

        for _ in range(20):
            nursery.start_soon(ask, [silent])
        await trio.sleep(0.1)
        begun = time.monotonic()
        await ask([refused])
        assert time.monotonic() - begun < 1.0
        nursery.cancel_scope.cancel()
    metadata.close()
