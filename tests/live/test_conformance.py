"""The conformance suite before the live kernel: proxied, direct, and behind a relay that is no proxy.

``ODP_TRIO_CONFORMANCE=1`` runs every check; else those that are quick.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import trio

from odp_trio.app import open_proxy
from odp_trio.config import Secret
from odp_trio.conformance.anywhere import Place, anywhere
from odp_trio.conformance.registry import Check, chosen
from odp_trio.conformance.results import Outcome, Run
from odp_trio.conformance.runner import run_checks
from odp_trio.conformance.target import Account, Target, address_of
from odp_trio.conformance.targets import embedded
from odp_trio.conformance.views import NO_AUDIT
from odp_trio.model import Address, parse_rslist
from odp_trio.testing.bed import open_testbed
from odp_trio.testing.demo import settings_for
from odp_trio.testing.live import KernelProcess
from odp_trio.testing.topology import PROXYRO_PASSWORD

WHOLE = bool(os.environ.get("ODP_TRIO_CONFORMANCE"))
QUICK = [
    "clusters.name.*",
    "clusters.rslist.*",
    "clusters.tenant.*",
    "routing.*",
    "partitions.hit.hash",
    "partitions.location.kept",
    "partitions.feedback.*",
    "nearness.order",
    "nearness.read-zone.*",
    "nearness.combined",
    "config-server.file.used",
    "failover.killed",
    "process.health.ok",
]
PLACED = ["login.form.*", "wire.select", "session.moves", "session.database.use", "admin.login", "admin.others.version"]
"""What is asked of somebody's OceanBase."""


def checks() -> list[Check]:
    return chosen() if WHOLE else chosen(["login", "transactions"], QUICK)


async def outcomes(target: Target, wanted: Sequence[Check]) -> Run:
    run = await run_checks(target, wanted)
    bad = [f"{one.id}: {one.reason}" for one in run.results if one.outcome in (Outcome.FAILED, Outcome.BROKEN)]
    assert bad == []
    return run


async def test_our_proxy_conforms_before_the_kernel(kernel: KernelProcess) -> None:
    async with embedded(kernel) as target:
        run = await outcomes(target, checks())
    assert run.counts()["skipped"] <= len(run.results) // 20


async def test_what_must_hold_without_a_proxy_does(kernel: KernelProcess) -> None:
    async with embedded(kernel, proxied=False) as target:
        run = await outcomes(target, chosen() if WHOLE else chosen(["clusters", "routing", "login"]))
    reasons = {one.reason for one in run.results if one.outcome is Outcome.SKIPPED}
    assert any("no proxy stands before the servers" in reason for reason in reasons)


@pytest.mark.parametrize("form", ["proxy", "ours", "direct"])
async def test_somebodys_oceanbase_is_asked_by_address_and_login_alone(kernel: KernelProcess, form: str) -> None:
    """Behind a proxy that runs, behind one that is started, and without one."""
    wanted = chosen() if WHOLE else chosen(ids=PLACED)
    password = {"proxy": "", "ours": PROXYRO_PASSWORD, "direct": ""}[form]
    async with (
        open_testbed(kernel=kernel) as bed,
        open_proxy(settings_for(bed, enable_http=False, hot_upgrade_exit_timeout=0.2)) as proxy,
    ):
        place = Place(
            cluster=bed.cluster,
            account=Account(bed.app_user, "mytenant", Secret(bed.app_password)),
            sys_account=Account(bed.app_user, "sys", Secret(bed.app_password)),
            rslist=parse_rslist(bed.rslist),
            proxy=address_of(proxy) if form == "proxy" else None,
            direct=form == "direct",
            admin=Account("root", "proxysys", proxy.settings().obproxy_sys_password),
            proxyro_password=Secret(password),
        )
        async with anywhere(place) as target:
            run = await outcomes(target, wanted)
    reasons = {one.reason for one in run.results if one.outcome is Outcome.SKIPPED}
    assert any(NO_AUDIT in reason for reason in reasons) or form == "direct", reasons
    assert run.counts()["passed"] > (2 if form == "direct" else 8)


@asynccontextmanager
async def relay(server: Address) -> AsyncIterator[Address]:
    """A port that passes every byte on to one server."""

    async def pump(source: trio.SocketStream, sink: trio.SocketStream, scope: trio.CancelScope) -> None:
        try:
            async for data in source:
                await sink.send_all(data)
        except (OSError, trio.BrokenResourceError):
            pass
        scope.cancel()

    async def serve(client: trio.SocketStream) -> None:
        async with client, await trio.open_tcp_stream(server.ip, server.port) as upstream, trio.open_nursery() as both:
            both.start_soon(pump, client, upstream, both.cancel_scope)
            both.start_soon(pump, upstream, client, both.cancel_scope)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield Address(*listeners[0].socket.getsockname()[:2])
        nursery.cancel_scope.cancel()


async def test_a_relay_is_told_from_a_proxy(kernel: KernelProcess) -> None:
    """It reaches a server, and none of what a proxy does: routing checks fail, and what needs no routing holds."""
    ids = ["routing.strong.leader", "routing.session.many-servers", "routing.no-table.spread", "nearness.weak.*"]
    ids += ["routing.parse.servers-judge", "partitions.hit.hash"]
    async with open_testbed(kernel=kernel) as bed, relay(parse_rslist(bed.rslist)[0]) as front:
        async with embedded(kernel, front=front, cluster="", bed=bed) as target:
            run = await run_checks(target, chosen(ids=ids))
    found = {one.id: one.outcome for one in run.results}
    assert found.pop("routing.parse.servers-judge") is Outcome.PASSED
    assert set(found.values()) == {Outcome.FAILED}, found
