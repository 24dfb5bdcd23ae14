"""Probes in virtual time, and against real sockets; what sessions and views are told."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from functools import partial
from random import Random

import msgspec
import pytest
import trio
import trio.testing

from odp_trio.catalog.congestion import Congestion
from odp_trio.catalog.prober import Probed, Prober, greets
from odp_trio.config import Settings
from odp_trio.model import Address
from odp_trio.supervise.supervisor import ChildSpec, open_supervisor
from odp_trio.topology.cluster import ClusterResource, Server, ServerState, Zone
from odp_trio.topology.congestion import Failure, Listed
from odp_trio.wire.handshake import Greeting
from odp_trio.wire.packets import packet

SERVERS = tuple(Address(f"10.0.0.{number}", 2881) for number in range(1, 6))
A, B, C = SERVERS[:3]


class Told:
    """The sessions: what they are told."""

    def __init__(self) -> None:
        self.dead: list[Address] = []
        self.left: list[Address] = []
        self.busy: dict[str, set[Address]] = {"demo": set()}
        self.finished: set[tuple[str, Address]] = set()
        self.watched: list[set[Address]] = []

    def server_dead(self, cluster: str, address: Address, why: str) -> None:
        self.dead.append(address)

    def leave_server(self, cluster: str, address: Address) -> None:
        self.left.append(address)

    def working(self) -> dict[str, set[Address]]:
        return self.busy

    def answered(self, watched: Mapping[str, Collection[Address]]) -> set[tuple[str, Address]]:
        self.watched.append(set(watched.get("demo", ())))
        return self.finished


class Bed:
    """Servers that greet or not, one cluster of them, and the prober."""

    def __init__(self, **options: object) -> None:
        self.settings = msgspec.structs.replace(Settings(), **options)
        self.generation = 0
        self.congestion = Congestion(lambda: self.settings, self.changed)
        self.told = Told()
        self.congestion.listeners = self.told
        self.faults: dict[Address, str] = {}
        self.seconds: dict[Address, float] = {}
        self.probes: list[tuple[float, Address]] = []
        self.at_once = self.most_at_once = 0
        self.cluster = ClusterResource("demo", SERVERS)
        self.refresh()

    def changed(self) -> None:
        self.generation += 1

    def refresh(self, **states: str) -> None:
        servers = [Server(one, "z", ServerState[states.get(f"s{at}", "ACTIVE")]) for at, one in enumerate(SERVERS, 1)]
        self.cluster.merge(servers, [Zone("z", "ACTIVE", "r", "i", "ReadWrite")], trio.current_time())
        self.congestion.refreshed(self.cluster)

    async def probe(self, address: Address, timeout: float) -> Probed:
        self.probes.append((trio.current_time(), address))
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            await trio.sleep(min(self.seconds.get(address, 0.001), timeout))
        finally:
            self.at_once -= 1
        error = self.faults.get(address, "")
        return Probed(error, spoke=error.startswith("error"))

    def fail(self, address: Address, times: int = 1) -> None:
        for _ in range(times):
            self.congestion.failed("demo", address, Failure.CONNECT)

    @property
    def refused(self) -> dict[Address, Listed]:
        return dict(self.congestion.refusals("demo").lists)


@asynccontextmanager
async def running(bed: Bed) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        await nursery.start(
            lambda *, task_status: Prober(bed.congestion, lambda: bed.settings, bed.probe).run(task_status=task_status)
        )
        await trio.sleep(0.01)
        yield
        nursery.cancel_scope.cancel()


async def test_a_server_that_works_for_a_session_is_probed_and_taken_off_when_it_does_not_greet(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bed = Bed()
    bed.told.busy["demo"] = {B}
    async with running(bed):
        await trio.sleep(10)
        assert {address for _, address in bed.probes} == {B}
        bed.faults[B] = "no greeting"
        generation = bed.generation
        await trio.sleep(3.1)
        assert bed.refused == {B: Listed.DETECT}
        assert bed.generation == generation + 1
        assert bed.told.dead[0] == B
        bed.told.busy["demo"] = set()
        await trio.sleep(5)
        del bed.faults[B]
        await trio.sleep(1.1)
        assert bed.refused == {}


async def test_who_waits_for_a_server_that_is_full_is_left_in_peace(autojump_clock: trio.testing.MockClock) -> None:
    bed = Bed()
    bed.told.busy["demo"] = {B}
    bed.faults[B] = "error 1040 in place of a greeting: Too many connections"
    async with running(bed):
        await trio.sleep(5)
        assert bed.refused == {B: Listed.DETECT}
        assert (bed.told.dead, bed.told.left) == ([], [B])
        bed.faults[B] = "no greeting"
        await trio.sleep(2)
        assert B in bed.told.dead


async def test_who_comes_to_wait_for_a_server_that_does_not_answer_is_told_in_the_next_round(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bed = Bed()
    bed.faults[A] = "no greeting"
    bed.told.busy["demo"] = {A}
    async with running(bed):
        await trio.sleep(3)
        assert bed.refused == {A: Listed.DETECT}
        bed.told.dead.clear()
        await trio.sleep(1)
        assert bed.told.dead == [A]


@pytest.mark.parametrize(
    ("mode", "probed"), [(0, set()), (1, {A, B, C}), (2, set(SERVERS))], ids=["none", "suspects", "all"]
)
async def test_server_detect_mode(mode: int, probed: set[Address], autojump_clock: trio.testing.MockClock) -> None:
    bed = Bed(server_detect_mode=mode)
    bed.told.busy["demo"] = {A}
    bed.fail(B)
    bed.refresh(s3="INACTIVE")
    bed.fail(B)
    bed.congestion.answered("demo", C)
    async with running(bed):
        await trio.sleep(2)
    assert {address for _, address in bed.probes} == probed


async def test_a_server_that_hangs_is_found_out_in_the_time_of_one_probe_and_keeps_nobody_waiting(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bed = Bed(server_detect_mode=2, server_detect_refresh_interval=0.5)
    bed.seconds[A] = 100.0
    bed.faults[A] = "no greeting within 5 s"
    async with running(bed):
        await trio.sleep(5.9)
        assert bed.refused == {}
        await trio.sleep(0.2)
        assert bed.refused == {A: Listed.DETECT}
        await trio.sleep(13.8)
    assert bed.most_at_once <= 3 + len(SERVERS) - 1
    assert 10 <= sum(address == A for _, address in bed.probes) <= 12, "three at a time, five seconds each"
    assert sum(address == B for _, address in bed.probes) >= 38


async def test_probes_have_a_bound(autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("odp_trio.catalog.prober.AT_ONCE", 2)
    bed = Bed(server_detect_mode=2)
    bed.seconds = dict.fromkeys(SERVERS, 0.3)
    async with running(bed):
        await trio.sleep(30)
    assert bed.most_at_once == 2
    assert {address for _, address in bed.probes} == set(SERVERS)


async def test_changes_that_wait_for_the_budget_are_made_in_time(autojump_clock: trio.testing.MockClock) -> None:
    bed = Bed(congestion_changes_per_second=1, server_detect_mode=0, server_detect_refresh_interval=3600.0)
    async with running(bed):
        for address in (A, B, C):
            bed.fail(address, 5)
        sizes = []
        await trio.sleep(0.5)
        for _ in range(4):
            sizes.append(len(bed.refused))
            await trio.sleep(1)
    assert sizes == [1, 2, 3, 3]


async def test_without_a_prober_one_request_tries_and_nobody_follows_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bed = Bed(server_detect_mode=0)
    async with running(bed):
        bed.fail(A, 5)
        assert bed.refused == {A: Listed.ALIVE}
        await trio.sleep(20.1)
        assert bed.refused == {}
        assert bed.told.left == [A], "who still has a connection must not try unseen"
        bed.congestion.connecting("demo", A)
        assert bed.refused == {A: Listed.ALIVE}
        bed.congestion.answered("demo", A)
        assert bed.refused == {}


async def test_a_server_that_goes_on_answering_sessions_is_not_listed_for_single_failures(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bed = Bed(server_detect_mode=0)
    async with running(bed):
        bed.told.finished = {("demo", A)}
        for _ in range(10):
            bed.fail(A)
            await trio.sleep(3)
        assert bed.refused == {}
        assert {A} in bed.told.watched
        for _ in range(10):
            bed.fail(A)
            await trio.sleep(0.9)  # it fails between any two looks
        assert bed.refused == {A: Listed.ALIVE}


async def test_the_lists_word_closes_idle_connections_and_the_probers_all(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bed = Bed()
    bed.refresh(s1="INACTIVE")
    assert (bed.told.left, bed.told.dead) == ([A], [])
    bed.settings = msgspec.structs.replace(bed.settings, server_detect_mode=0)
    bed.refresh(s2="INACTIVE")
    assert bed.told.dead == [B]


async def test_a_server_that_leaves_the_server_list_is_left(autojump_clock: trio.testing.MockClock) -> None:
    bed = Bed()
    bed.fail(A, 5)
    servers = [Server(B, "z", ServerState.ACTIVE)]
    bed.cluster.merge(servers, list(bed.cluster.zones.values()), trio.current_time())
    bed.congestion.refreshed(bed.cluster)
    assert A in bed.told.left
    assert bed.refused == {}


async def test_a_lost_network_is_said_once_and_over_at_the_first_answer(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    bed = Bed(server_detect_fail_threshold=2)
    with caplog.at_level(logging.INFO, "odp_trio.catalog"):
        async with running(bed):
            for address in SERVERS:
                bed.faults[address] = "Network is unreachable"
                bed.fail(address, 5)
            assert bed.refused == {}
            await trio.sleep(60)
            assert bed.refused == {}
            assert bed.congestion.tables["demo"].lost is not None
            bed.faults.clear()
            await trio.sleep(1.1)
            assert bed.congestion.tables["demo"].lost is None
            assert bed.refused == {}
    said = [record.getMessage() for record in caplog.records if "network" in record.getMessage()]
    assert [record.levelno for record in caplog.records if "seems to be lost" in record.getMessage()] == [logging.ERROR]
    assert said[-1] == "cluster demo: a server has answered: the network is back"


async def test_every_change_is_logged_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    bed = Bed()
    with caplog.at_level(logging.INFO, "odp_trio.catalog"):
        bed.fail(A, 5)
        bed.congestion.answered("demo", A)
    assert [record.getMessage() for record in caplog.records] == [
        "cluster demo: 10.0.0.1:2881 is put on the greylist (alive): 5 connect failures in 120 s",
        "cluster demo: 10.0.0.1:2881 is off the greylist (alive): it has answered",
    ]


async def test_the_generation_changes_with_the_set_of_refused_servers_only() -> None:
    bed = Bed()
    before = bed.generation
    bed.fail(A, 4)
    assert bed.generation == before
    bed.fail(A)
    assert bed.generation == before + 1
    bed.fail(A, 10)
    bed.refresh()
    assert bed.generation == before + 1
    bed.congestion.forget("demo")
    assert bed.congestion.refusals("demo").lists == {}


async def test_a_prober_that_crashes_is_born_again_and_the_lists_are_as_they_were(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bed = Bed()
    bed.faults[A] = "refused"
    bed.fail(A)
    async with open_supervisor("catalog", rng=Random(1)) as supervisor:
        prober = Prober(bed.congestion, lambda: bed.settings, bed.probe)
        await supervisor.start(ChildSpec("prober", prober.run, intensity=None))
        await trio.sleep(3)
        assert bed.refused == {A: Listed.DETECT}
        supervisor.crash("prober", RuntimeError("a bug"))
        await trio.sleep(3)
        assert bed.refused == {A: Listed.DETECT}
        bed.faults.clear()
        await trio.sleep(3)
        assert bed.refused == {}


# ---- a day ----------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_day_of_faults(autojump_clock: trio.testing.MockClock) -> None:
    """Servers die, hang, come back, are stopped; the network goes: in the end everybody is on no list."""
    began, rng = time.thread_time(), Random(7)
    bed = Bed(server_detect_refresh_interval=10.0, server_detect_fail_threshold=2)
    day = 24 * 3600.0
    most_refused = 0

    async def faults() -> None:
        while True:
            await trio.sleep(rng.expovariate(1 / 600))
            what, victim = rng.random(), rng.choice(SERVERS)
            if what < 0.4:
                bed.faults[victim] = "Connection refused"
                bed.fail(victim, rng.randrange(1, 8))
                await trio.sleep(rng.expovariate(1 / 120))
                bed.faults.pop(victim, None)
            elif what < 0.6:
                bed.fail(victim, rng.randrange(1, 8))
            elif what < 0.8:
                at = SERVERS.index(victim) + 1
                bed.refresh(**{f"s{at}": rng.choice(["INACTIVE", "REPLAY", "UPGRADE"])})
                await trio.sleep(rng.choice([5, 60]))
                bed.refresh()
            else:
                bed.faults = dict.fromkeys(SERVERS, "Network is unreachable")
                for address in SERVERS:
                    bed.fail(address, 6)
                assert bed.congestion.tables["demo"].lost is not None or set(bed.refused) == set(SERVERS)
                await trio.sleep(rng.expovariate(1 / 300))
                bed.faults = {}

    async def refreshes() -> None:
        while True:
            await trio.sleep(15 * rng.uniform(0.9, 1.1))
            bed.told.busy["demo"] = set(rng.sample(SERVERS, 2))
            if len(bed.faults) < len(SERVERS) and all(server.takes_logins for server in bed.cluster.servers.values()):
                bed.refresh()

    async with running(bed), trio.open_nursery() as nursery:
        nursery.start_soon(faults)
        nursery.start_soon(refreshes)
        end = trio.current_time() + day
        while trio.current_time() < end:
            await trio.sleep(60)
            most_refused = max(most_refused, len(bed.refused))
        nursery.cancel_scope.cancel()
        bed.faults = {}
        bed.refresh()
        await trio.sleep(60)
        bed.refresh()
        assert bed.refused == {}
    table = bed.congestion.tables["demo"]
    assert most_refused >= 1
    assert table.losses >= 5
    assert all(table.changes[listed, True] for listed in Listed)
    assert len(bed.probes) > 10_000
    assert time.thread_time() - began < 30


# ---- real sockets -----------------------------------------------------------------------------


Script = Callable[[trio.SocketStream], Awaitable[None]]


@asynccontextmanager
async def server(script: Script) -> AsyncIterator[Address]:
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, script, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        yield Address("127.0.0.1", port)
        nursery.cancel_scope.cancel()


async def test_a_greeting_is_a_good_probe_and_nothing_is_sent() -> None:
    received, over = [], trio.Event()

    async def greet(stream: trio.SocketStream) -> None:
        await stream.send_all(packet(0, Greeting(b"5.7.25", 1, b"a" * 20).to_bytes()))
        received.append(await stream.receive_some())
        over.set()

    async with server(greet) as address:
        assert await greets(address, 5) == Probed()
        with trio.fail_after(5):
            await over.wait()
    assert received == [b""]


async def test_an_error_in_place_of_the_greeting_is_a_failed_probe() -> None:
    async def refuse(stream: trio.SocketStream) -> None:
        await stream.send_all(packet(0, b"\xff\x10\x04Too many connections"))

    async with server(refuse) as address:
        found = await greets(address, 5)
    assert found == Probed("error 1040 in place of a greeting: Too many connections", spoke=True)


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", packet(0, b"\x0a")])
async def test_what_is_no_greeting_is_a_failed_probe(data: bytes) -> None:
    async def talk(stream: trio.SocketStream) -> None:
        await stream.send_all(data)
        await stream.aclose()

    async with server(talk) as address:
        found = await greets(address, 5)
        assert "no greeting" in found.error
        assert not found.spoke


async def test_a_server_that_says_nothing_is_a_failed_probe_in_time(autojump_clock: trio.testing.MockClock) -> None:
    async def hang(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with server(hang) as address:
        assert await greets(address, 1.5) == Probed("no greeting within 1.5 s")


async def test_a_refused_connection_is_a_failed_probe() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        address = Address("127.0.0.1", sock.getsockname()[1])
    assert await greets(address, 5) == Probed("Connection refused")
