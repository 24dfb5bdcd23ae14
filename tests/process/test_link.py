"""What a process and its parent tell each other."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import msgspec
import pytest
import trio
import trio.testing

from odp_trio.process.link import (
    Beat,
    HandOver,
    Link,
    Listen,
    Message,
    Prepared,
    Serve,
    Serving,
    Upgrade,
    Warm,
    link_pair,
)

MESSAGES = [
    Serve(version=3, when_ready=True, outlive=True),
    HandOver(),
    Warm(),
    Serving(),
    Beat(False, ("draining",)),
    Upgrade(),
    Serve(2, when_ready=True, worker=1, workers=3, proxy_id=77, together=True),
    Prepared(),
    Listen(),
]


@pytest.fixture
def pair() -> Iterator[tuple[Link, Link]]:
    mine, its = link_pair()
    other = Link(its)
    yield mine, other
    mine.close()
    other.close()


async def test_every_message_arrives_as_it_was_sent(pair: tuple[Link, Link]) -> None:
    mine, other = pair

    for message in MESSAGES:
        mine.send(message)

    got: list[Message | None] = [await other.receive() for _ in MESSAGES]
    assert got == MESSAGES
    with pytest.raises(BlockingIOError):
        other.receive_nowait()


async def test_descriptors_come_with_a_message(pair: tuple[Link, Link]) -> None:
    mine, other = pair
    with socket.create_server(("127.0.0.1", 0)) as listener:
        mine.send(Serve(descriptors=("mysql",)), [listener.fileno()])
        address = listener.getsockname()
    mine.send(Listen())

    assert await other.receive() == Serve(descriptors=("mysql",))
    (descriptor,) = other.received
    assert not os.get_inheritable(descriptor)
    with socket.socket(fileno=descriptor) as received:
        assert received.getsockname() == address
    assert await other.receive() == Listen()
    assert other.received == ()


async def test_the_end_of_one_is_seen_by_the_other(pair: tuple[Link, Link]) -> None:
    mine, other = pair
    mine.send(Warm())
    mine.close()

    assert await other.receive() == Warm()
    assert await other.receive() is None
    other.send(Warm())  # is dropped


async def test_who_does_not_read_blocks_nobody(pair: tuple[Link, Link]) -> None:
    mine, _ = pair

    for _ in range(10_000):
        mine.send(Beat(True))


async def test_a_message_wakes_who_waits(pair: tuple[Link, Link]) -> None:
    mine, other = pair
    got: list[Message | None] = []

    async def wait() -> None:
        got.append(await other.receive())

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            mine.send(Serving())

    assert got == [Serving()]


async def test_what_is_no_message_is_an_error_of_its_own() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    link = Link(ours)
    theirs.send(b'{"type": "nonsense"}')

    with pytest.raises(msgspec.DecodeError):
        await link.receive()

    link.close()
    theirs.close()
