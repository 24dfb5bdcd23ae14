"""Opening a proxy: everything is started bottom up, and ended top down."""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import trio

from odp_trio.admin.configuration import Configuration, configuration_of
from odp_trio.app.preparing import prepare_statements
from odp_trio.app.proxy import Proxy
from odp_trio.catalog.prober import Prober, greets
from odp_trio.config import Settings
from odp_trio.net.loop_lag import watch_loop
from odp_trio.net.network import KERNEL, Network
from odp_trio.net.reactor import open_reactor
from odp_trio.process.inherited import NOTHING_INHERITED, Inherited
from odp_trio.routing.own_rules import Function, OwnRule
from odp_trio.supervise.supervisor import ChildSpec, Supervisor, open_supervisor
from odp_trio.workers.asking import Workers

log = logging.getLogger("odp_trio")

HANDED_OVER_SPREAD: Final = 0.5
"""Share of the drain in which idle sessions are sent away after a hot upgrade: not all shall log in again at once."""


async def no_wait(_: Proxy) -> None:
    """Listen at once."""


@asynccontextmanager
async def open_proxy(
    settings: Settings | Path | Configuration,
    *,
    listen: bool = True,
    rules: Sequence[OwnRule | Function] = (),
    rng: random.Random | None = None,
    inherited: Inherited = NOTHING_INHERITED,
    version: int = 0,
    before_listening: Callable[[Proxy], Awaitable[None]] = no_wait,
    workers: Workers | None = None,
    network: Network = KERNEL,
) -> AsyncIterator[Proxy]:
    """Run a proxy for the length of the block; when it is entered, the port is open and served.

    ``settings``: options, or a TOML file of them.  ``listen=False``: no port is opened, for HTTP neither; clients come
    by ``Proxy.connect``, ``open_stream`` and ``dial``.  ``rules`` are own rules, asked in this order.

    Leaving the block drains: the listener closes, statements and transactions
    go on for at most ``hot_upgrade_exit_timeout`` seconds.  Cancelling does not drain.
    Raises OSError when a port cannot be had, ChildGaveUp when a part keeps crashing.
    ``rng`` is the source of scrambles and jitter: the operating system's, unless a test says otherwise.
    ``inherited`` are listening sockets of a parent, ``version`` counts the processes that served them, and no
    client is taken before ``before_listening`` returns.  ``workers``: those of which this is one.
    ``network`` is what is asked for connections: the kernel, unless a simulation says otherwise.
    """
    chance = rng or random.SystemRandom()
    configuration = settings if isinstance(settings, Configuration) else configuration_of(settings)
    reactor = open_reactor(configuration.settings().reactor)
    try:
        async with open_supervisor("proxy", rng=chance, restarted=lambda *told: proxy.task_restarted(*told)) as root:
            proxy = Proxy(configuration, reactor, root, chance, inherited, workers, network, listen=listen, rules=rules)
            try:
                async with _running(proxy, root, chance, version, before_listening):
                    yield proxy
            finally:
                proxy.close()
    finally:
        reactor.close()


@asynccontextmanager
async def _running(
    proxy: Proxy,
    root: Supervisor,
    rng: random.Random,
    version: int,
    before_listening: Callable[[Proxy], Awaitable[None]],
) -> AsyncIterator[None]:
    """Start everything, bottom up; end it, top down."""
    if not proxy.reactor.attached:
        await root.start(ChildSpec("reactor", proxy.nested_reactor))
    async with open_supervisor("catalog", rng=rng, parent=root) as catalog, trio.open_nursery() as nursery:
        with proxy.logs.as_own():
            proxy.start_sessions(nursery, version)
        try:
            with proxy.logs.as_own():
                await _start_catalog(proxy, root, catalog, nursery)
            await before_listening(proxy)
            async with open_supervisor("front", rng=rng, parent=root) as front:
                with proxy.logs.as_own():
                    await _start_front(proxy, root, front)
                yield
            with proxy.logs.as_own():
                await _drain(proxy, root)
        finally:  # whoever is let in from now on would find nobody
            proxy.doors.shut()
        nursery.cancel_scope.cancel()
    if proxy.clusters.directory is not None:
        await proxy.clusters.directory.aclose()


async def _start_catalog(proxy: Proxy, root: Supervisor, catalog: Supervisor, nursery: trio.Nursery) -> None:
    if proxy.certificates.wanted:  # before anything is asked of a server: the first question may need them
        await proxy.certificates.load()
        await catalog.start(ChildSpec("certificates", proxy.certificates.watch, intensity=None))
    if proxy.clusters.directory is not None:
        await proxy.clusters.directory.open(nursery)
    proxy.clusters.start(catalog)
    await catalog.start(ChildSpec("locations", proxy.views.locations.clean, intensity=None))
    prober = Prober(proxy.views.congestion, proxy.settings, partial(greets, network=proxy.network))
    await root.start(ChildSpec("loop_lag", partial(watch_loop, proxy.loop_lag), intensity=None))
    await catalog.start(ChildSpec("prober", prober.run, intensity=None))
    nursery.start_soon(prepare_statements, proxy.clusters)


async def _start_front(proxy: Proxy, root: Supervisor, front: Supervisor) -> None:
    proxy.front = front
    await front.start(ChildSpec("time_limits", proxy.time_limits.watch))
    for name in proxy.bound.clients():
        await front.start(ChildSpec(name, partial(proxy.ports.listen, name, proxy.sessions)))
    if proxy.ports.http is not None:
        root.start_soon(ChildSpec("http", partial(proxy.ports.serve_http, proxy), intensity=None))
    where = ", ".join((*map(str, proxy.addresses), *filter(None, (proxy.ports.unix_path,))))
    log.info("listening on %s; clusters: %s", where or "no port", proxy.clusters)
    proxy.logs.serving()


async def _drain(proxy: Proxy, root: Supervisor) -> None:
    proxy.stop_listening()
    if proxy.handed_over and proxy.ports.http is not None:
        await root.stop("http")
        proxy.ports.close_http()
    grace = proxy.settings().hot_upgrade_exit_timeout
    drained = await proxy.sessions.drain(grace, spread=grace * HANDED_OVER_SPREAD if proxy.handed_over else 0.0)
    log.log(logging.WARNING if drained.cut else logging.INFO, "%s", drained)
