"""The line between a proxy and an OBServer of the simulation: whole, in pieces, or cut."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from random import Random

import pytest
import trio
import trio.testing

from odp_trio.net.memory_stream import MemoryStream, open_duplex
from odp_trio.testing.simulation.line import Line

ANSWER = bytes(range(200))


def line_of(cuts: Counter[int], seed: int) -> tuple[MemoryStream, Line]:
    sock, stream = open_duplex()
    return MemoryStream(sock), Line(stream, 3, cuts, Random(seed))


async def received(peer: MemoryStream) -> tuple[bytes, str]:
    """Return what came until the end, and how that was."""
    got = b""
    try:
        while data := await peer.receive_some():
            got += data
    except trio.BrokenResourceError:
        return got, "reset"
    return got, "closed"


@asynccontextmanager
async def at_the_same_time(work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run something beside the block; raise what it raises."""
    failures: list[Exception] = []

    async def run() -> None:
        try:
            await work()
        except Exception as exc:
            failures.append(exc)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        yield
    for failure in failures:
        raise failure


async def test_without_cuts_all_comes(autojump_clock: trio.testing.MockClock) -> None:
    for seed in range(60):
        peer, line = line_of(Counter({2: 9}), seed)
        await line.send_all(ANSWER)
        await peer.send_all(b"request")
        assert await line.receive_some() == b"request"
        await line.aclose()
        assert await received(peer) == (ANSWER, "closed")


async def test_so_many_answers_are_cut_as_was_said(autojump_clock: trio.testing.MockClock) -> None:
    cuts = Counter({3: 100})
    found = Counter[str]()
    for seed in range(100):
        peer, line = line_of(cuts, seed)
        with pytest.raises(trio.BrokenResourceError):
            async with at_the_same_time(partial(line.send_all, ANSWER)):
                got, end = await received(peer)
        assert got == ANSWER[: len(got)]
        assert len(got) < len(ANSWER)
        found[f"{end}, {'some' if got else 'nothing'}"] += 1
    assert cuts[3] == 0
    assert min(found[f"{end}, {much}"] for end in ("closed", "reset") for much in ("nothing", "some")) > 5, found


async def test_a_request_may_be_lost_on_its_way(autojump_clock: trio.testing.MockClock) -> None:
    lost = 0
    for seed in range(100):
        cuts = Counter({3: 1})
        peer, line = line_of(cuts, seed)
        await peer.send_all(b"request")
        data = await line.receive_some()
        assert (data == b"") is (cuts[3] == 0)
        lost += data == b""
    assert 5 < lost < 50
