"""Time-outs of sessions: whose turn it is, which limit holds, and what becomes of who overruns it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

import pytest
import trio

from odp_trio.config import Settings
from odp_trio.model import Address, TenantKey
from odp_trio.session.events import Ended, Failed
from odp_trio.session.reasons import End
from odp_trio.session.resting import Watched as Resting
from odp_trio.session.router import Router
from odp_trio.session.services import Session
from odp_trio.session.time_limits import TimeLimits
from odp_trio.topology.congestion import Failure
from odp_trio.wire.fields import Status
from odp_trio.wire.packets import packet
from tests.session.lane_bed import Bed, extra_ok, open_bed, query, receive_exactly, result
from tests.session.test_router import Bed as RouterBed

QUERY_LIMIT = 2.0 + 1.0  # ob_query_timeout and observer_query_timeout_delta, below
INACTIVITY = 500.0
FILLING = b"x" * (4 << 20)  # more than two sockets take
ROW = packet(1, b"\xfc\xff\xff" + b"y" * 0xFFFF)


@dataclass
class Watched:
    """A session whose time is what the test says."""

    bed: Bed
    router: Router
    session: Session
    limits: TimeLimits
    watched: Resting
    failed: list[tuple[TenantKey, Address, Failure]]
    looked_at: int = 0
    seconds: Iterator[int] = field(default_factory=count)

    def set(self, name: bytes, value: bytes) -> None:
        self.router.state.system[name] = (value, 1)

    async def ask(self, sql: bytes, *, all_of_it: bool = True) -> None:
        """Let the client send a statement and the server read it."""
        self.router.read(bytearray(query(sql)), len(query(sql)))
        if all_of_it:
            await self.bed.ask(query(sql))

    async def looks(self, seconds: float, *, each: bytes = b"") -> object:
        """Look every second, the client sending so much before each look; return the event that comes, else None."""
        lane = self.bed.lane
        for _ in range(int(seconds)):
            if each:
                await self.bed.client.send_all(each)
            await settle()
            now = float(next(self.seconds))
            self.watched.advance(now)
            for session in tuple(self.watched.awake):
                self.looked_at += 1
                self.limits.glance(session, now)
            if not lane.is_open:
                with trio.fail_after(5):
                    return await lane.events.wait()
        return None


async def settle() -> None:
    for _ in range(10):
        await trio.lowlevel.checkpoint()


@asynccontextmanager
async def watched() -> AsyncIterator[Watched]:
    settings = Settings(observer_query_timeout_delta=1.0, default_inactivity_timeout=INACTIVITY)
    router = RouterBed().router
    failed: list[tuple[TenantKey, Address, Failure]] = []
    async with open_bed() as bed:
        session = Session(1, bed.lane._client.stream, ("127.0.0.1", 1), 0.0)  # type: ignore[arg-type]
        session.lane, session.router = bed.lane, router
        resting = Resting()
        resting.enter(session)
        limits = TimeLimits(lambda: resting, lambda: settings, lambda *what: failed.append(what))
        one = Watched(bed, router, session, limits, resting, failed)
        one.set(b"ob_query_timeout", b"2000000")
        for name, seconds in ((b"wait_timeout", 90), (b"net_read_timeout", 7), (b"net_write_timeout", 11)):
            one.set(name, b"%d" % seconds)
        yield one


async def test_a_server_that_does_not_answer_is_given_up_after_the_statements_own_time_out_and_a_delta() -> None:
    async with watched() as one:
        await one.ask(b"select 1")
        assert await one.looks(QUERY_LIMIT) is None
        event = await one.looks(1)
        assert isinstance(event, Failed)
        assert event.unanswered
        assert "has not answered for 3 s" in str(event.error)
        assert [failure for _, _, failure in one.failed] == [Failure.TIMED_OUT]


async def test_a_hint_says_how_long_a_statement_may_take() -> None:
    async with watched() as one:
        await one.ask(b"select /*+ query_timeout(9000000) */ 1")
        assert await one.looks(10) is None
        assert isinstance(await one.looks(1), Failed)


async def test_a_server_that_freezes_in_the_middle_of_an_answer_is_given_up_too() -> None:
    async with watched() as one:
        await one.ask(b"select * from t")
        whole = result(b"\x01a") + extra_ok(6)
        await one.bed.server.send_all(whole[:40])
        await receive_exactly(one.bed.client, 32)  # the EOF behind it has not come whole
        assert await one.looks(QUERY_LIMIT) is None
        event = await one.looks(1)
        assert isinstance(event, Failed)
        assert not event.unanswered
        assert "has not gone on with its answer for 3 s" in str(event.error)


@pytest.mark.parametrize("sql", [b"create table t (a int)", b"call p()", b"select 1; alter table t add b int", b"???"])
async def test_what_may_rightly_take_longer_has_the_limit_of_everything_else(sql: bytes) -> None:
    async with watched() as one:
        await one.ask(sql)
        assert await one.looks(INACTIVITY) is None
        assert isinstance(await one.looks(1), Failed)


async def test_a_server_that_does_not_take_a_statement_is_given_up() -> None:
    async with watched() as one:
        sql = b"insert into t values ('" + FILLING + b"')"
        await one.ask(sql, all_of_it=False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.bed.client.send_all, query(sql))
            await settle()
            event = await one.looks(QUERY_LIMIT + 2)
            assert isinstance(event, Failed)
            assert not event.whole
            assert "has not taken what was sent for 3 s" in str(event.error)
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("is_over", [False, True])
async def test_a_client_that_does_not_take_its_answer_is_given_up(is_over: bool) -> None:
    async with watched() as one:
        await one.ask(b"select * from t")
        rows = b"".join(ROW[:3] + bytes((seq & 0xFF,)) + ROW[4:] for seq in range(3, 70))
        head = result()[: -len(extra_ok(9)) + 3]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                one.bed.server.send_all, head + rows + (packet(70, b"\xfe\0\0\x22\0") if is_over else b"")
            )
            await settle()
            assert one.bed.lane.owed
            assert await one.looks(11) is None
            event = await one.looks(1)
            assert isinstance(event, Ended)
            assert event.why is End.CLIENT_TOO_SLOW
            assert not one.failed
            nursery.cancel_scope.cancel()


async def test_a_client_that_stops_in_a_command_has_net_read_timeout() -> None:
    async with watched() as one:
        await one.looks(3)
        await one.bed.client.send_all(query(b"select 1")[:7])
        assert await one.looks(7) is None
        event = await one.looks(1)
        assert isinstance(event, Ended)
        assert event.why is End.CLIENT_TOO_SLOW


async def test_a_byte_a_second_does_not_keep_a_command_alive_and_4_kib_do() -> None:
    async with watched() as one:
        sql = b"insert into t values ('" + b"x" * 60000 + b"')"
        await one.ask(sql, all_of_it=False)
        await one.bed.client.send_all(query(sql)[:100])
        assert await one.looks(50, each=b"x" * 600) is None
        event = await one.looks(8, each=b"x")
        assert isinstance(event, Ended)
        assert event.why is End.CLIENT_TOO_SLOW


async def test_a_local_file_that_does_not_go_on_is_given_up() -> None:
    async with watched() as one:
        await one.ask(b"load data local infile 'f' into table t")
        await one.bed.server.send_all(packet(1, b"\xfbf"))
        await receive_exactly(one.bed.client, 6)
        assert await one.looks(7) is None
        event = await one.looks(1)
        assert isinstance(event, Ended)
        assert event.why is End.CLIENT_TOO_SLOW


@pytest.mark.parametrize("flags", [0, int(Status.IN_TRANS)])
async def test_a_client_that_asks_nothing_has_wait_timeout_in_a_transaction_too(flags: int) -> None:
    async with watched() as one:
        one.bed.lane.tracker.status = flags
        assert await one.looks(90) is None
        event = await one.looks(1)
        assert isinstance(event, Ended)
        assert event.why is End.IDLE


async def test_a_command_long_ago_says_nothing_of_the_next() -> None:
    async with watched() as one:
        await one.bed.client.send_all(query(b"select 1")[:7])
        assert await one.looks(3) is None
        await one.bed.client.send_all(query(b"select 1")[7:])
        await receive_exactly(one.bed.server, len(query(b"select 1")))
        await one.bed.server.send_all(result(b"\x01a") + extra_ok(6))
        await settle()
        assert await one.looks(50) is None
        await one.bed.client.send_all(query(b"select 1")[:7])
        assert await one.looks(7) is None
        assert isinstance(await one.looks(1), Ended)


async def test_a_session_that_rests_is_not_looked_at_until_it_is_due() -> None:
    async with watched() as one:
        assert await one.looks(88) is None
        assert one.watched.resting == 1
        assert one.looked_at < 5
        event = await one.looks(3)
        assert isinstance(event, Ended)
        assert event.why is End.IDLE


async def test_a_client_that_speaks_is_looked_at_again_and_then_rests_again() -> None:
    async with watched() as one:
        for _ in range(3):
            assert await one.looks(5) is None
            assert (one.watched.resting, len(one.watched.awake)) == (1, 0)
            await one.ask(b"select 1")
            assert (one.watched.resting, tuple(one.watched.awake)) == (0, (one.session,))
            await one.bed.server.send_all(result(b"\x01a") + extra_ok(6))
            await receive_exactly(one.bed.client, len(result(b"\x01a")))
        assert await one.looks(85) is None
        assert one.looked_at < 15


async def test_a_statement_of_a_session_that_rested_has_its_limit() -> None:
    async with watched() as one:
        assert await one.looks(20) is None
        await one.ask(b"select 1")
        assert await one.looks(QUERY_LIMIT) is None
        assert isinstance(await one.looks(1), Failed)


async def test_a_session_that_ends_while_it_rests_is_forgotten() -> None:
    async with watched() as one:
        assert await one.looks(5) is None
        one.watched.leave(one.session)
        assert (one.watched.resting, len(one.watched.awake)) == (0, 0)
        assert await one.looks(200) is None


async def test_all_are_looked_at_when_what_they_were_laid_to_rest_by_has_changed() -> None:
    async with watched() as one:
        assert await one.looks(5) is None
        one.session.due = 0.0
        one.watched.wake_all()
        assert tuple(one.watched.awake) == (one.session,)
        assert await one.looks(80) is None
        assert one.watched.resting == 1
        assert isinstance(await one.looks(10), Ended)
