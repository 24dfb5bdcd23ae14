"""OBServers that hang, refuse, fail and come back, under load: off the routes in time, and back again."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from typing import Any

import pymysql
import trio

from odp_trio.app import Proxy, open_proxy
from odp_trio.model import Address
from odp_trio.testing.bed import Testbed
from odp_trio.testing.demo import settings_for
from odp_trio.topology.congestion import Listed
from tests.live.clients import connect, in_thread, through, until

FAST: dict[str, Any] = {
    "enable_http": False,
    "hot_upgrade_exit_timeout": 0.2,
    "server_detect_refresh_interval": 0.2,
    "detect_server_timeout": 1.0,
    "server_detect_fail_threshold": 2,
    "congestion_retry_interval": 1.0,
    "connect_timeout": 2.0,
}
DETECTED = 4.0
"""Seconds within which a server that hangs is off the routes: two probes of a second, and a busy machine."""


@dataclass
class Load:
    """Clients that read again and again; when each answer came, how long it took."""

    answers: list[tuple[float, float]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def client(self, address: tuple[str, int]) -> None:
        while not self.stop.is_set():
            try:
                with closing(connect(address)) as connection, connection.cursor() as cursor:
                    while not self.stop.is_set():
                        begun = time.monotonic()
                        cursor.execute("select 1")
                        cursor.fetchall()
                        self.answers.append((begun, time.monotonic() - begun))
            except (pymysql.err.MySQLError, OSError) as exc:
                self.lost.append(str(exc))
                self.stop.wait(0.05)

    def slowest_since(self, moment: float) -> float:
        return max((took for begun, took in self.answers if begun >= moment), default=0.0)


@asynccontextmanager
async def under_load(bed: Testbed, **options: Any) -> AsyncIterator[tuple[Proxy, Load]]:
    load = Load()
    async with open_proxy(settings_for(bed, **{**FAST, **options})) as proxy, trio.open_nursery() as nursery:
        for _ in range(9):
            nursery.start_soon(in_thread, load.client, proxy.addresses[0])
        try:
            await until(lambda: len(load.answers) > 200, "the load runs")
            yield proxy, load
        finally:
            load.stop.set()
            for observer in bed.observers:
                observer.listen()
            for number in range(len(bed.observers)):
                await bed.thaw(number)


def refused(proxy: Proxy, bed: Testbed) -> dict[Address, Listed]:
    return dict(proxy.views.congestion.refusals(bed.cluster).lists)


def address(bed: Testbed, number: int) -> Address:
    return Address.parse(bed.observers[number].address)


async def test_a_frozen_server_is_off_the_routes_in_time_and_back_when_it_thaws(bed: Testbed) -> None:
    async with under_load(bed) as (proxy, load):
        frozen = address(bed, 1)
        begun = time.monotonic()
        bed.freeze(1)
        await until(lambda: refused(proxy, bed).get(frozen) is Listed.DETECT, "the frozen server is detected")
        took = time.monotonic() - begun
        assert took < DETECTED
        moment = time.monotonic() + 0.2
        before = len(load.answers)
        await until(lambda: len(load.answers) > before + 300, "the others go on")
        assert load.slowest_since(moment) < 1.0
        assert all(session.server != frozen for session in proxy.sessions.table.values())
        assert await through(proxy, "select 'a login goes elsewhere'") == (("a login goes elsewhere",),)
        rows = dict(await through(proxy, "explain route select 1"))
        assert rows["server"] != str(frozen)

        await bed.thaw(1)

        await until(lambda: not refused(proxy, bed), "the server is back", 5)
        assert load.lost == []


async def test_what_explain_says_of_a_server_on_a_list_is_the_same_in_a_snapshot(bed: Testbed) -> None:
    from odp_trio.admin.explain import ExplainRequest, explain_offline
    from odp_trio.topology.snapshot import restore

    async with under_load(bed) as (proxy, _):
        bed.freeze(2)
        frozen = address(bed, 2)
        await until(lambda: frozen in refused(proxy, bed), "the frozen server is detected")
        request = ExplainRequest(sql="select 1", cluster=bed.cluster, tenant="sys", user="app")
        live = await proxy.explain(request)
        offline = explain_offline(restore(await proxy.snapshot()), request)
        reasons = [
            {found.server: found.refused.partition(";")[0][:20] for found in explained.explanation.candidates}
            for explained in (live, offline)
        ]
        assert reasons[0] == reasons[1]
        assert "probes in a row" in reasons[0][str(frozen)]
        assert live.explanation.server == offline.explanation.server or live.explanation.server != str(frozen)


async def test_a_server_that_refuses_is_listed_and_back_when_it_listens_again(bed: Testbed) -> None:
    async with under_load(bed) as (proxy, load):
        gone = address(bed, 0)
        await bed.kill(0, noticed=False)
        await until(lambda: gone in refused(proxy, bed), "the server that refuses is listed", DETECTED)
        before = len(load.answers)
        await until(lambda: len(load.answers) > before + 300, "the others go on")

        bed.observers[0].listen()

        await until(lambda: not refused(proxy, bed), "the server is back", 5)


async def test_when_all_refuse_nobody_is_listed_and_all_are_back_at_once(bed: Testbed) -> None:
    async with under_load(bed, server_state_refresh_interval=60.0) as (proxy, load):
        for number in range(3):
            await bed.kill(number, noticed=False)
        table = proxy.views.congestion.tables[bed.cluster]
        await until(lambda: table.lost is not None, "the network is lost", DETECTED)
        assert refused(proxy, bed) == {}
        assert any("network" in reason for reason in proxy.statistics().why_degraded)
        await trio.sleep(1.5)
        assert refused(proxy, bed) == {}
        assert table.lost is not None

        before, begun = len(load.answers), time.monotonic()
        for observer in bed.observers:
            observer.listen()

        await until(lambda: len(load.answers) > before + 100, "all are back", 3)
        await until(lambda: table.lost is None, "the network is back", 3)
        assert time.monotonic() - begun < 3
        assert refused(proxy, bed) == {}


async def test_errors_that_a_server_answers_put_it_on_the_greylist_and_a_trial_takes_it_off(bed: Testbed) -> None:
    async with open_proxy(
        settings_for(bed, **{**FAST, "server_detect_mode": 0, "congestion_failure_threshold": 3})
    ) as proxy:
        await through(proxy, "select 1")
        bad = address(bed, 1)
        bed.answer("select 'grey'", errno=4013, times=-1, number=1)
        for _ in range(30):
            try:
                await through(proxy, "select 'grey'")
            except pymysql.err.MySQLError as exc:
                assert exc.args[0] == 4013
            if refused(proxy, bed):
                break
        assert refused(proxy, bed) == {bad: Listed.ALIVE}
        assert "error failures in 120 s" in proxy.views.congestion.refusals(bed.cluster).why(bad)
        bed.forget_statements()
        for _ in range(6):
            await through(proxy, "select 'elsewhere'")
        bed.end_faults()

        await until(lambda: not refused(proxy, bed), "one request may try", 5)
        for _ in range(6):
            await through(proxy, "select 'trial'")

        assert refused(proxy, bed) == {}
        assert not proxy.views.congestion.tables[bed.cluster].entries[bad].trial
