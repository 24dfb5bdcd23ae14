"""What is kept for a session has a bound: it is reckoned honestly, and who goes beyond is told and ended."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator

import pytest
import trio

from odp_trio.config.options import options
from odp_trio.errors import SessionMemoryExceeded
from odp_trio.net.reactor import BUFFER_BYTES
from odp_trio.session.account import Account
from odp_trio.session.events import Ended
from odp_trio.session.limit_table import AMOUNTS, TIMES
from odp_trio.session.reasons import End
from odp_trio.sql.cache import Statements
from odp_trio.state.client import ClientState, ServerState
from odp_trio.state.prepared import Prepared, PreparedStatements
from odp_trio.state.weight import weight
from odp_trio.wire.fields import MAX_PAYLOAD, lenenc_str
from odp_trio.wire.packets import packet
from odp_trio.wire.state import SessionState, plain_ok
from tests.session.lane_bed import PLAIN_OK, Bed, open_bed, query, result

Fill = Callable[[ClientState, PreparedStatements], None]


def variables(count: int, size: int) -> Fill:
    def fill(state: ClientState, prepared: PreparedStatements) -> None:
        server = ServerState()
        for number in range(count):
            state.learn(SessionState(user={b"v%d" % number: b"'" + b"x" * size + b"'"}), server)

    return fill


def statements(count: int, size: int) -> Fill:
    def fill(state: ClientState, prepared: PreparedStatements) -> None:
        shapes = Statements(100)
        for number in range(count):
            text = b"select '%d', '%b'" % (number, b"x" * size)
            shape, literals = shapes.shape(text, 0)
            prepared.add(Prepared(number, text, shape, tuple(literals)))

    return fill


@pytest.mark.parametrize(
    "fill", [variables(1000, 10), variables(20, 100_000), statements(500, 20), statements(20, 50_000)]
)
def test_the_estimate_is_within_a_factor_of_two_of_what_is_taken(fill: Fill) -> None:
    fill(ClientState(), PreparedStatements())  # the parser and its like are there once
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    state, prepared = ClientState(), PreparedStatements()
    fill(state, prepared)
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert 0.5 < weight(state, prepared, 1) / taken < 2


def test_the_table_of_limits_names_options_that_there_are() -> None:
    named = {name for limit in (*TIMES, *AMOUNTS) for name in limit.options}
    assert named <= set(options())
    assert {"client_max_memory_size", "default_inactivity_timeout"} <= named


def test_it_is_weighed_only_when_the_limit_may_have_been_reached() -> None:
    account, weighed = Account(16_000), []

    def weigh() -> int:
        weighed.append(True)
        return 15_900 if len(weighed) < 3 else 16_001

    for _ in range(160):
        account.grow(100, weigh)
    assert not weighed  # what comes may take the place of something else, but no more than this has come
    for _ in range(30):
        account.grow(100, weigh)
    assert len(weighed) == 3  # close to the limit: every sixteenth of it
    assert account.over
    assert account.weight == 16_001


async def sentenced(bed: Bed, answer: bytes, seen: bytes) -> None:
    """Let a session go beyond its limit by the answer to a statement, which arrives all the same."""
    account = bed.lane._routing.account
    await bed.ask(query(b"set @a = 1"))
    account.settle(account.limit + 1)
    await bed.answer(answer, seen=seen)


async def ended(bed: Bed) -> Ended:
    with trio.fail_after(10):
        event = await bed.lane.events.wait()
    assert isinstance(event, Ended)
    return event


BLOCK = b"\x00\x0f\x0aautocommit\x03OFF\x02\x02\x011"
TOLD = b"\0\0\0\x22\x40\0\0\x01 " + lenenc_str(BLOCK)


async def test_the_next_command_is_answered_with_4080() -> None:
    async with open_bed() as bed:
        await sentenced(bed, packet(1, TOLD), packet(1, plain_ok(TOLD)))
        await bed.client.send_all(query(b"select 1"))
        event = await ended(bed)
        assert (event.why, event.tell_seq) == (End.MEMORY_LIMIT, 1)
        assert isinstance(event.error, SessionMemoryExceeded)
        assert (event.error.errno, event.error.sqlstate) == (4080, "HY013")


async def test_who_asks_nothing_more_is_ended_all_the_same_but_not_within_an_answer() -> None:
    async with open_bed() as bed:
        await bed.ask(query(b"select 1"))
        bed.lane.sentence(End.MEMORY_LIMIT, SessionMemoryExceeded("exceed memory limit"))
        assert bed.lane.carry_out()
        assert bed.lane.is_open
        await bed.answer(result(b"\x01a") + packet(6, PLAIN_OK + b"\0"), seen=result(b"\x01a"))
        assert bed.lane.is_open
        bed.lane.carry_out()
        event = await ended(bed)
        assert (event.why, event.tell_seq) == (End.MEMORY_LIMIT, 0)


async def test_an_answer_to_be_kept_that_is_too_long_is_not_collected() -> None:
    async with open_bed() as bed:
        bed.lane._routing.account.allow(100_000)
        await bed.ask(query(b"set @a = repeat('x', 200000)"))
        await bed.server.send_all(packet(1, b"\0" * 200_000)[:70_000])
        event = await ended(bed)
        assert (event.why, event.tell_seq) == (End.MEMORY_LIMIT, 1)
        assert bed.lane.kept_bytes <= 70_000


async def test_an_answer_to_be_kept_comes_in_any_pieces() -> None:
    value = b"'" + b"y" * 300_000 + b"'"
    block = lenenc_str(lenenc_str(b"__NULL") * 2 + lenenc_str(b"a") + lenenc_str(value))
    payload = b"\0\0\0\x22\x40\0\0\x01 " + lenenc_str(b"\0" + block)
    async with open_bed() as bed:
        await bed.ask(query(b"set @a = repeat('y', 300000)"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bed.server.send_all, packet(1, payload))
            seen = packet(1, plain_ok(payload))
            assert await bed.at_client(len(seen)) == seen
        assert bed.lane.tracker.state is not None
        assert bed.lane.tracker.state.user == {b"a": value}


def chain(mebibytes: int) -> Iterator[bytes]:
    """Write one statement in packets of 16 MiB, piece by piece."""
    piece = b"x" * (1 << 16)
    for number in range(mebibytes // 16):
        yield b"\xff\xff\xff" + bytes((number & 0xFF,)) + (b"" if number else b"\x03")
        left = MAX_PAYLOAD - (not number)
        while left:
            yield piece[:left]
            left -= min(left, len(piece))
    yield b"\0\0\0" + bytes((mebibytes // 16 & 0xFF,))


async def test_a_chain_of_packets_of_16_mib_passes_and_never_more_than_a_buffer_of_it_is_kept() -> None:
    kept, seen = 0, 0
    async with open_bed() as bed, trio.open_nursery() as nursery:

        async def send() -> None:
            nonlocal kept
            for piece in chain(64):
                await bed.client.send_all(piece)
                kept = max(kept, bed.lane.kept_bytes)

        nursery.start_soon(send)
        total = 64 * (1 << 20) + 5 * 4 - 4
        with trio.fail_after(60):
            while seen < total:
                seen += len(await bed.server.receive_some(1 << 20))
        assert seen == total
        assert kept <= 2 * BUFFER_BYTES


async def test_a_server_that_takes_nothing_of_a_chain_stops_the_client() -> None:
    async with open_bed() as bed, trio.open_nursery() as nursery:
        sent = 0

        async def send() -> None:
            nonlocal sent
            for piece in chain(64):
                await bed.client.send_all(piece)
                sent += len(piece)

        nursery.start_soon(send)
        for _ in range(1000):
            await trio.lowlevel.checkpoint()
        before = sent
        for _ in range(100):
            await trio.lowlevel.checkpoint()
        assert sent == before < 4 << 20
        assert 0 < bed.lane.kept_bytes <= 2 * BUFFER_BYTES
        nursery.cancel_scope.cancel()
