"""What the lane tells of each statement, what a meter makes of it, and which records it writes."""

from __future__ import annotations

import logging
import socket
from time import perf_counter_ns as clock
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from odp_trio.config import Settings
from odp_trio.model import Address
from odp_trio.net.reactor import Reactor
from odp_trio.observe import ROUTES, StatementRecord, StatementTable, StatementWatch, Traffic
from odp_trio.routing.rules import RULES
from odp_trio.session.lane import Lane
from odp_trio.session.login import Destination
from odp_trio.session.measuring import Meter, meter_of
from odp_trio.session.ports import UNMEASURED
from odp_trio.session.services import Session
from odp_trio.wire.command import Com
from odp_trio.wire.packets import packet
from odp_trio.wire.response import ResponseTracker
from tests.session.lane_bed import PROXY_OK, extra_ok, open_bed, query, result
from tests.session.test_router import Bed, NoSocket, upstream_to

ERR = b"\xff\x7a\x04#42S02Table 'x' doesn't exist"


class Told:
    """Keeps what a lane tells."""

    def __init__(self) -> None:
        self.finished: list[tuple[int, int, int, int, int]] = []
        self.here: list[bytes] = []

    def finish(self, arrived: int, sent: int, first: int, came: int, errno: int = 0) -> None:
        self.finished.append((arrived, sent, first, came, errno))

    def answered_here(self, arrived: int, answer: bytes) -> None:
        self.here.append(answer)


# ---- the lane ---------------------------------------------------------------------------------


async def test_times_are_in_order_and_of_the_statement_that_they_are_told_for() -> None:
    told, before = Told(), clock()
    async with open_bed(meter=told) as bed:
        for _ in range(3):
            await bed.ask(query(b"select 1"))
            assert len(told.finished) < 3
            await bed.answer(result(b"\x01a") + extra_ok(6), seen=result(b"\x01a"))

    times = [before, *(time for each in told.finished for time in each[:4]), clock()]
    assert times == sorted(times)
    assert [each[4] for each in told.finished] == [0, 0, 0]


async def test_the_first_and_the_last_bytes_of_an_answer_have_times_of_their_own() -> None:
    told = Told()
    async with open_bed(meter=told) as bed:
        await bed.ask(query(b"select 1"))
        whole = result(b"\x01a", b"\x01b")
        await bed.answer(whole[:20])
        between = clock()
        await bed.server.send_all(whole[20:] + extra_ok(7))
        await bed.at_client(len(whole) - 20)

        [(_, sent, first, came, _)] = told.finished
        assert sent <= first < between < came
        assert bed.lane.request_bytes == len(query(b"select 1"))
        assert bed.lane.response_bytes == len(whole) + len(extra_ok(7))


async def test_a_request_that_comes_in_pieces_counts_whole() -> None:
    told, sql = Told(), query(b"select '" + b"x" * 300_000 + b"'")
    async with open_bed(meter=told) as bed:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bed.client.send_all, sql)
            assert await bed.at_server(len(sql)) == sql
        whole_sent = clock()
        await bed.answer(packet(1, ERR) + extra_ok(2), seen=packet(1, ERR))

        [(arrived, sent, first, _, errno)] = told.finished
        assert arrived < sent < first
        assert sent < whole_sent + 10**9
        assert errno == 1146
        assert bed.lane.request_bytes == len(sql)


async def test_commands_behind_one_another_are_told_one_by_one() -> None:
    told, sql = Told(), query(b"select 1")
    async with open_bed(meter=told) as bed:
        await bed.client.send_all(sql * 3)
        for number in range(3):
            await bed.at_server(len(sql))
            await bed.answer(result(b"\x01a") + extra_ok(6), seen=result(b"\x01a"))
            assert len(told.finished) == number + 1

    assert [each[0] for each in told.finished] == sorted(each[0] for each in told.finished)


async def test_an_answer_that_is_withheld_is_not_told() -> None:
    told = Told()
    async with open_bed(meter=told) as bed:
        bed.withheld.add(1146)
        await bed.ask(query(b"select 1"))
        await bed.server.send_all(packet(1, ERR) + extra_ok(2))
        with trio.fail_after(10):
            await bed.lane.events.wait()

    assert told.finished == []


# ---- the meter --------------------------------------------------------------------------------


class Metered:
    """A meter with a router, a session and what they count in."""

    def __init__(self, limit: int = 100) -> None:
        self.bed = Bed()
        self.table = StatementTable(lambda: limit)
        self.watch = StatementWatch()
        self.records: list[StatementRecord] = []
        self.session = Session(7, socket.socket(), ("10.1.1.1", 4000), 0.0)
        self.session.sock.close()
        self.session.destination = Destination("app", "t1", "demo", "app@t1", "demo")
        reactor, traffic = Reactor(), Traffic(server_bytes_in=70)
        upstream = upstream_to(Address("10.0.0.2", 2881), reactor, 99)
        stream: Any = NoSocket()
        lane = Lane(reactor, stream, upstream, self.bed.tracker, traffic, self.bed.router)
        lane._asked = 30
        self.session.lane = lane
        key = self.bed.router.key
        self.tenant = self.table.tenant(key.cluster, key.tenant)
        self.meter = Meter(self.session, self.bed.router, self.tenant, self.watch, lambda: 5_000_000)

    def run(self, sql: str, microseconds: int = 100, errno: int = 0) -> None:
        """Route a statement that takes so long on its server."""
        self.bed.ask(sql)
        end = clock()
        self.meter.finish(end - microseconds * 1000 - 9000, end - microseconds * 1000, end, end, errno)

    def counts(self) -> dict[tuple[str, str], int]:
        return {key: cell.count for key, cell in self.tenant.cells.items()}


def test_statements_count_by_kind_and_route() -> None:
    metered = Metered()

    for number in range(5):
        metered.run(f"select v from t where id = {number}", 1000)
    metered.run("update t set v = 1 where id = 1", 10_000)
    metered.run("select 1")
    metered.run("select v from t where id = 9", errno=1146)

    assert metered.counts() == {("select", "leader"): 6, ("update", "leader"): 1, ("select", "unlocated"): 1}
    cell = metered.tenant.cells["select", "leader"]
    assert cell.server[10] == 5
    assert cell.server[7] == 1
    assert 5_100_000 <= cell.server_ns < cell.total_ns
    assert sum(cell.proxy) == 6
    assert cell.errors == 1
    assert cell.proxy_ns + cell.server_ns == cell.total_ns


def test_a_prepared_statement_counts_as_its_text_and_other_commands_by_their_names() -> None:
    metered = Metered()
    router = metered.bed.router
    metered.run("select v from t where id = 1")
    ping = bytearray(packet(0, bytes((Com.PING,))))
    router.choose(ping, len(ping))
    metered.meter.finish(1000, 2000, 3000, 3000)

    assert set(metered.counts()) == {("select", "leader"), ("ping", "bound")}


def test_every_rule_has_a_route() -> None:
    names = {rule.__name__ for rule in RULES} - {"location", "nowhere"}  # which choose no server

    assert names <= set(ROUTES)


def test_what_is_new_counts_without_a_name_when_the_table_is_full() -> None:
    metered = Metered(limit=1)
    metered.run("select v from t where id = 1")
    metered.run("update t set v = 1 where id = 1")
    metered.run("update t set v = 1 where id = 2")

    assert metered.counts() == {("select", "leader"): 1}
    assert {key: cell.count for key, cell in metered.table.rest.cells.items()} == {("update", "leader"): 2}
    assert metered.table.tenant("demo", "another") is metered.table.rest


def test_no_record_is_made_unless_somebody_wants_it() -> None:
    metered = Metered()
    metered.watch.want(None, slow=0.001, share=1.0)
    metered.run("select 1", 10**7, errno=1146)
    metered.watch.want(metered.records.append, slow=1.0, failed=False)
    metered.run("select 1", errno=1146)

    assert metered.records == []


def test_slow_failed_and_sampled_statements_have_records() -> None:
    metered = Metered()
    metered.watch.want(metered.records.append, slow=0.5, share=0.25)
    metered.bed.tracker.error_text = ERR
    for number in range(8):
        metered.run(f"select v from t where id = {number}", 600_000 if number == 1 else 10, 1146 if number == 2 else 0)

    assert [(record.wanted, record.sql[-1:]) for record in metered.records] == [
        ("slow", b"1"), ("failed", b"2"), ("sampled", b"3"), ("sampled", b"7"),
    ]  # fmt: skip
    slow, failed = metered.records[:2]
    assert (slow.errno, slow.message) == (0, "")
    assert (failed.errno, failed.message) == (1146, "Table 'x' doesn't exist")
    assert (slow.cluster, slow.tenant, slow.user, slow.client) == ("demo", "t1", "app", "10.1.1.1:4000")
    assert (slow.command, slow.kind, slow.route, slow.rule, slow.tables) == (3, "select", "leader", "leader", ("t",))
    assert (slow.server, slow.server_session, slow.session) == ("10.0.0.2:2881", 99, 7)
    assert (slow.request_bytes, slow.response_bytes, slow.wall_us) == (30, 70, 5_000_000)
    assert slow.server_ns == 600_000_000
    assert slow.total_ns == slow.server_ns + slow.proxy_ns


def test_a_statement_whose_turn_has_come_is_of_the_share_also_when_it_is_slow() -> None:
    metered = Metered()
    metered.watch.want(metered.records.append, slow=0.5, share=0.25)
    for number in range(8):
        metered.run(f"select v from t where id = {number}", 600_000 if number in {1, 3} else 10)

    assert [(record.wanted, record.sampled) for record in metered.records] == [
        ("slow", False), ("slow", True), ("sampled", True),
    ]  # fmt: skip


def test_what_the_proxy_answers_counts_as_its_own() -> None:
    metered = Metered()
    metered.watch.want(metered.records.append)
    metered.bed.ask("select v from t where id = 1")
    metered.meter.answered_here(clock() - 50_000, packet(1, ERR))
    metered.meter.answered_here(clock() - 50_000, packet(1, PROXY_OK))

    assert metered.counts() == {("select", "proxy"): 2}
    cell = metered.tenant.cells["select", "proxy"]
    assert cell.errors == 1
    assert not any(cell.server)
    assert cell.proxy_ns == cell.total_ns
    [record] = metered.records
    assert (record.server, record.sent, record.server_ns, record.rule) == ("", 0, 0, "proxy")
    assert record.message == "Table 'x' doesn't exist"


@pytest.mark.parametrize(("counted", "slow", "measured"), [(True, 0.0, True), (False, 0.5, True), (False, 0.0, False)])
def test_a_session_is_measured_if_anybody_wants_it(counted: bool, slow: float, measured: bool) -> None:
    metered = Metered()
    metered.watch.want(metered.records.append, slow=slow, failed=False)
    services: Any = SimpleNamespace(
        settings=lambda: Settings(enable_monitor_stat=counted),
        measured=metered.table,
        watch=metered.watch,
        wall_clock_us=lambda: 0,
    )

    meter = meter_of(metered.session, metered.bed.router, services)
    metered.bed.ask("select v from t where id = 1")
    meter.finish(1, 2, 10**9, 10**9)

    assert (meter is not UNMEASURED) is measured
    assert len(metered.table.all()) == counted
    assert len(metered.records) == (slow > 0)


def test_a_log_that_fails_gets_no_more_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    metered = Metered()
    caplog.set_level(logging.CRITICAL, "odp_trio.session")

    def fails(_: StatementRecord) -> None:
        raise RuntimeError("the disk is full")

    metered.watch.want(fails, share=1.0)
    metered.run("select 1")
    metered.run("select 1")

    assert metered.watch.log is None
    assert metered.counts() == {("select", "unlocated"): 2}


def test_an_error_packet_is_kept_for_its_words() -> None:
    tracker = ResponseTracker()
    tracker.begin(Com.QUERY)
    data = packet(1, ERR)
    tracker.feed(bytearray(data), 0, len(data))

    assert tracker.error_text == ERR
