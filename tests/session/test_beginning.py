"""A BEGIN that was held back goes out from the lane, and the statement that chose its server behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from odp_trio.session.events import Failed
from odp_trio.wire.packets import packet
from tests.session.lane_bed import PROXY_OK, Bed, extra_ok, open_bed, query, result

BEGIN = b"start transaction read only"
ERR = b"\xff\x28\x04#42000no"
STATEMENT = query(b"select v from t where id = 1")


@asynccontextmanager
async def open_held(mode: str = "inside") -> AsyncIterator[Bed]:
    async with open_bed(mode) as bed:
        bed.lane._routing.begun = BEGIN
        yield bed


async def failed(bed: Bed) -> Failed:
    with trio.fail_after(10):
        event = await bed.lane.events.wait()
    assert isinstance(event, Failed)
    return event


@pytest.mark.parametrize("pieces", [1, 3, len(packet(1, PROXY_OK))])
@pytest.mark.parametrize("mode", ["inside", "nested"])
async def test_the_statement_follows_when_the_transaction_has_begun(mode: str, pieces: int) -> None:
    ok = packet(1, PROXY_OK)
    step = -(-len(ok) // pieces)
    async with open_held(mode) as bed:
        await bed.client.send_all(STATEMENT)
        assert await bed.at_server(len(query(BEGIN))) == query(BEGIN)
        assert bed.lane.busy
        assert bed.lane.unanswered
        for at in range(0, len(ok), step):
            await bed.server.send_all(ok[at : at + step])
            await trio.testing.wait_all_tasks_blocked()
        assert await bed.at_server(len(STATEMENT)) == STATEMENT
        await bed.answer(result(b"\x01a") + extra_ok(6), seen=result(b"\x01a"))

        assert not bed.lane.busy
        await bed.ask(STATEMENT)
        await bed.answer(result(b"\x01b") + extra_ok(6), seen=result(b"\x01b"))
        assert bed.lane.traffic.statements == 2


async def test_what_the_client_sends_meanwhile_waits() -> None:
    other = query(b"select 2")
    async with open_held() as bed:
        await bed.client.send_all(STATEMENT + other[:7])
        await bed.at_server(len(query(BEGIN)))
        await bed.client.send_all(other[7:])
        await bed.server.send_all(packet(1, PROXY_OK))
        assert await bed.at_server(len(STATEMENT)) == STATEMENT
        await bed.answer(result(b"\x01a") + extra_ok(6), seen=result(b"\x01a"))

        assert await bed.at_server(len(other)) == other


@pytest.mark.parametrize(
    "answer", [b"", packet(1, PROXY_OK)[:7], packet(1, ERR), packet(1, PROXY_OK) * 2, result(b"\x01a")]
)
async def test_a_statement_behind_a_begin_that_fails_has_not_been_sent(answer: bytes) -> None:
    async with open_held() as bed:
        await bed.client.send_all(STATEMENT + query(b"select 2"))
        await bed.at_server(len(query(BEGIN)))
        await bed.server.send_all(answer)
        if len(answer) < len(packet(1, PROXY_OK)):
            await bed.server.aclose()

        event = await failed(bed)

        assert (event.whole, event.unanswered, event.received) == (False, True, True)
        assert event.waiting == query(b"select 2")


async def test_so_it_is_when_the_server_is_found_dead() -> None:
    async with open_held() as bed:
        await bed.client.send_all(STATEMENT)
        await bed.at_server(len(query(BEGIN)))
        bed.lane.server_dead(OSError("dead"))

        assert not (await failed(bed)).whole
