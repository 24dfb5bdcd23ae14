"""The tree: what runs, in which order it starts and stops.  This is the API for embedding.

    observe    outermost, last to go: HTTP, so that the drain can be watched
      catalog  one child a cluster: server lists
        sessions  temporary children, drained
          front   innermost, first to go: the listener

Tables (cluster resources, tenant routes, sessions, counters) are made here,
above the tasks that fill them: a crash of a task loses no data.
"""

from __future__ import annotations

import itertools
import logging
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from importlib import import_module
from typing import NoReturn, final

import trio

from odp_trio.admin.across.answering import answer_others
from odp_trio.admin.configuration import Configuration, configuration_of
from odp_trio.admin.congestion import RecentChange, recent_changes
from odp_trio.admin.explain import Explained, ExplainRequest, explain_live
from odp_trio.admin.follow import follow_changes, location_limit
from odp_trio.admin.measurements import Measurements, measure
from odp_trio.admin.proxysys import answer_client, serve_admin
from odp_trio.admin.status import ProxyStatus, proxy_status, take_status
from odp_trio.admin.taking import snapshot_of
from odp_trio.admin.tree import TreeNode, task_tree
from odp_trio.catalog.clusters import Clusters, Started
from odp_trio.catalog.config_wiring import open_directory
from odp_trio.catalog.locations import TableLocations
from odp_trio.catalog.metadata import open_metadata
from odp_trio.catalog.origin import Surroundings
from odp_trio.catalog.own_rules import load_own_rules
from odp_trio.catalog.prober import Prober
from odp_trio.catalog.tenants import TenantRoutes
from odp_trio.config import Settings
from odp_trio.logs.proxy_logs import ProxyLogs
from odp_trio.net.certificates import Certificates
from odp_trio.net.listener import accept_clients, socket_address
from odp_trio.net.loop_lag import watch_loop
from odp_trio.net.reactor import Reactor, open_reactor
from odp_trio.observe import Counts, Histogram, StatementTable
from odp_trio.process.inherited import NOTHING_INHERITED, Inherited, bind_all
from odp_trio.routing.own_rules import rule_set
from odp_trio.session.admission import Admission
from odp_trio.session.ids import ConnectionIds, ids_for
from odp_trio.session.ledger import Ends
from odp_trio.session.services import Services
from odp_trio.session.sessions import Sessions
from odp_trio.session.time_limits import TimeLimits
from odp_trio.session.views import Views
from odp_trio.sql.cache import Statements
from odp_trio.sql.dml import prepare as prepare_grammar
from odp_trio.state.prepared_texts import PreparedTexts
from odp_trio.supervise.supervisor import ChildSpec, Supervisor, open_supervisor
from odp_trio.topology.location_table import Locations
from odp_trio.topology.snapshot import Snapshot
from odp_trio.topology.tenant import TenantTable
from odp_trio.wire.auth import SCRAMBLE_BYTES, printable
from odp_trio.workers.asking import Alone, Workers

log = logging.getLogger("odp_trio")

HANDED_OVER_SPREAD = 0.5
"""Share of the drain in which idle sessions are sent away after a hot upgrade: not all shall log in again at once."""
MOVED_SECONDS = (30.0, 60.0)
"""When the locations of a tenant whose locality or primary zone changed are looked up anew, as ODP does it."""


async def no_wait(_: Proxy) -> None:
    """Listen at once."""


@final
class Proxy:
    """A running proxy.  Made by ``open_proxy``."""

    def __init__(
        self,
        configuration: Configuration,
        reactor: Reactor,
        root: Supervisor,
        rng: random.Random,
        inherited: Inherited,
        workers: Workers | None = None,
    ) -> None:
        self.configuration = configuration
        self.workers = workers or Alone(self.shut_down)
        settings = configuration.settings()
        self.logs = ProxyLogs(settings)
        configuration.subscribe(self.logs.apply)
        self.counts = Counts()
        self.admission = Admission(self.settings, self.workers.tally)
        self.ends = Ends(settings.session_ends_kept)
        self.measured = StatementTable(lambda: self.settings().monitor_item_limit)
        self.loop_lag = Histogram()
        self.tenants = TenantTable()
        self.rules = rule_set(load_own_rules(settings.own_rules.split()))
        self.certificates = Certificates(settings)
        self.locations = Locations(location_limit(settings))
        self.prepared_texts = PreparedTexts(settings.global_ps_cache_size, settings.global_ps_cache_mem_limited)
        self.statements = Statements(settings.statement_cache_size, text_limit=settings.request_buffer_length)
        self.reactor = reactor
        self.root = root
        bound = bind_all(settings, inherited)
        assert bound.mysql is not None
        self.bound, self.http_listener = bound, bound.http
        self.addresses = tuple(socket_address(sock) for sock in (bound.mysql, bound.mysql_ipv6) if sock is not None)
        """Where clients connect; still known when nobody listens any more."""
        self.http_address = None if self.http_listener is None else socket_address(self.http_listener)
        """Where /metrics is; None when HTTP is off."""
        self._rng = rng
        self.started_at = trio.current_time()
        self.clusters = Clusters(
            {name: cluster.rslist for name, cluster in settings.clusters.items() if cluster.rslist},
            lambda name: open_metadata(self.settings, name, lambda: self.certificates.server),
            Surroundings(
                self.settings,
                rng,
                lambda: self.views.changed(),
                self._tenants_moved,
                lambda cluster: self.views.congestion.refreshed(cluster),
            ),
            directory=open_directory(self.settings, self.workers),
            dropped=self._cluster_dropped,
        )
        self.views = Views(self.clusters, self.settings, self.counts)
        self.generation = 0
        self.services: Services
        self.sessions: Sessions
        self.time_limits: TimeLimits
        self.handed_over = False
        self.listens = False
        """Whether the tasks of all listeners are alive."""
        self._listening: set[str] = set()
        self._shutdown = trio.Event()
        self._stopped_http = trio.Event()

    def settings(self) -> Settings:
        """Return the settings in force."""
        return self.configuration.settings()

    def statistics(self) -> ProxyStatus:
        """Return the state of everything at this moment."""
        return proxy_status(self)

    async def status(self) -> ProxyStatus:
        """Return the same; others run while sessions are counted."""
        return await take_status(self)

    async def measurements(self) -> Measurements:
        """Return what was measured, of statements above all."""
        return await measure(self)

    def tree(self) -> TreeNode:
        """Return the tree of supervised tasks."""
        return task_tree(self.root.statistics(), trio.current_time())

    async def explain(self, request: ExplainRequest) -> Explained:
        """Say where a statement would go, and why; raise ConfigError for a request that cannot be used."""
        return await explain_live(self.views, self.statements, request, self.settings(), self.rules)

    async def snapshot(self) -> Snapshot:
        """Return what routing stands on; ``explain_offline`` asks it without a proxy."""
        return await snapshot_of(self)

    def recent_changes(self) -> list[RecentChange]:
        """Return the last changes of the lists of servers, the newest first."""
        return recent_changes(self.views.congestion, trio.current_time())

    def shut_down(self, *, handed_over: bool = False) -> None:
        """Begin an orderly end: stop listening, drain, stop the rest.  ``wait_shutdown`` returns.

        ``handed_over``: another process serves the same ports.  HTTP is left to it
        at once, and idle sessions are sent away one after the other.
        """
        self.handed_over = self.configuration.handed_over = handed_over
        self._shutdown.set()

    @property
    def draining(self) -> bool:
        """Whether the end has been asked for."""
        return self._shutdown.is_set()

    async def wait_shutdown(self) -> None:
        """Sleep until somebody asks for the end."""
        await self._shutdown.wait()

    def _tenants_moved(self, cluster: str, tenants: Sequence[str] | None) -> None:
        """Fetch the routes of some tenants of a cluster anew, or of all; soon the locations of those that are named."""
        self.views.tenants.renew(cluster, tenants)
        now = trio.current_time()
        for tenant in tenants or ():
            self.locations.expire_tenant(cluster, tenant, lambda: now + self._rng.uniform(*MOVED_SECONDS))

    def _cluster_dropped(self, cluster: str) -> None:
        """Forget what is known of a cluster that is gone."""
        self.views.tenants.forget(cluster)
        self.locations.drop_cluster(cluster)
        self.views.congestion.forget(cluster)
        self.views.changed()

    @property
    def accepting(self) -> bool:
        """Whether a client that connects now is served now."""
        return not self.draining and self.sessions.has_slot and self.listens

    def crash_task(self, path: str, error: Exception) -> None:
        """Make a supervised task die as of a bug, such as ``catalog/cluster:demo``; raise KeyError for no such task."""
        supervisor, name = self.root.find(path)
        supervisor.crash(name, error)

    def crash_session(self, connection_id: int, error: Exception) -> None:
        """Make one session die as of a bug; raise KeyError if there is none of that id."""
        self.sessions.table[connection_id].crash(error)

    def start_sessions(self, nursery: trio.Nursery, version: int = 0) -> None:
        """Make the session table; sessions and fetches of routes run in ``nursery``."""
        self.generation = version
        self.views.tenants = TenantRoutes(
            self.clusters, self.tenants, nursery, self.counts, self.views.changed, self.views.tenant_fetched
        )
        self.views.locations = TableLocations(
            self.clusters, self.locations, nursery, self.counts, self.settings, self._rng
        )
        ids = ids_for(self.settings(), self._rng, version, self.workers)
        self.clusters.in_use = lambda: self.sessions.clusters()
        self.time_limits = TimeLimits(lambda: self.sessions.table.values(), self.settings, self.views.server_failed)
        self.services = self._services(ids)
        self.logs.attach(self.services)
        self.sessions = Sessions(self.services, ids, nursery)
        self.views.congestion.listeners = self.sessions
        follow_changes(self, self._rng)
        answer_others(self)

    def close(self) -> None:
        """Give sockets and metadata connections back."""
        self.stop_listening()
        if self.http_listener is not None:
            self.http_listener.close()
        self.clusters.close()
        self.logs.close()

    def _services(self, ids: ConnectionIds) -> Services:
        return Services(
            settings=self.configuration.settings,
            reactor=self.reactor,
            views=self.views,
            statements=self.statements,
            prepared_texts=self.prepared_texts,
            admin=partial(serve_admin, lambda: self),
            internal=partial(answer_client, lambda: self),
            counts=self.counts,
            scramble=lambda: printable(self._rng.randbytes(SCRAMBLE_BYTES)),
            seed=lambda: self._rng.getrandbits(63),
            turns=itertools.count(self._rng.randrange(1 << 16)),
            rules=self.rules,
            certificates=self.certificates,
            admission=self.admission,
            ends=self.ends,
            ids=ids,
            workers=self.workers,
            measured=self.measured,
            wall_clock_us=lambda: time.time_ns() // 1000,
        )

    async def _prepare_grammar(self) -> None:
        """Build the grammar's tables in a thread, once: the first statement must not wait for them."""
        try:
            await trio.to_thread.run_sync(prepare_grammar, abandon_on_cancel=True)
        except Exception:  # then the first statement fails of it, visibly, and is routed without facts
            log.exception("building the grammar")

    # ---- services -----------------------------------------------------------------

    def stop_listening(self) -> None:
        """Close the sockets for clients; other processes that have them keep them."""
        if not self.handed_over:
            self.bound.remove_path()
        for listener in self.bound.clients().values():
            listener.close()

    async def _listen(self, name: str, *, task_status: Started) -> NoReturn:
        task_status.started()
        listeners = self.bound.clients()
        self.sessions.listen_on(listeners[name])
        self._listening.add(name)
        self.listens = self._listening >= set(listeners)
        try:
            await accept_clients(listeners[name], wait_slot=self.sessions.wait_slot, serve=self.sessions.serve)
        finally:
            self._listening.discard(name)
            self.listens = False

    async def _nested_reactor(self, *, task_status: Started) -> NoReturn:
        task_status.started()
        await self.reactor.run_nested()

    async def _http(self, *, task_status: Started) -> None:
        """Import late, in a thread: the MySQL port is open already and must not wait for it."""
        http = await trio.to_thread.run_sync(import_module, "odp_trio.admin.http", abandon_on_cancel=True)
        assert self.http_listener is not None
        task_status.started()
        await http.serve_http(os.dup(self.http_listener.fileno()), self, self._stopped_http.wait)


@asynccontextmanager
async def open_proxy(
    settings: Settings | Configuration,
    *,
    rng: random.Random | None = None,
    inherited: Inherited = NOTHING_INHERITED,
    version: int = 0,
    before_listening: Callable[[Proxy], Awaitable[None]] = no_wait,
    workers: Workers | None = None,
) -> AsyncIterator[Proxy]:
    """Run a proxy for the length of the block; when it is entered, the port is open and served.

    Leaving the block drains: the listener closes, statements and transactions
    go on for at most ``hot_upgrade_exit_timeout`` seconds.  Cancelling does not drain.
    Raises OSError when a port cannot be had, ChildGaveUp when a part keeps crashing.
    ``rng`` is the source of scrambles and jitter: the operating system's, unless a test says otherwise.
    ``inherited`` are listening sockets of a parent, ``version`` counts the processes that served them, and no
    client is taken before ``before_listening`` returns.  ``workers``: those of which this is one.
    """
    chance = rng or random.SystemRandom()
    configuration = configuration_of(settings) if isinstance(settings, Settings) else settings
    reactor = open_reactor(configuration.settings().reactor)
    try:
        async with open_supervisor("proxy", rng=chance) as root:
            proxy = Proxy(configuration, reactor, root, chance, inherited, workers)
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
    settings = proxy.settings()
    if not proxy.reactor.attached:
        await root.start(ChildSpec("reactor", proxy._nested_reactor))
    async with open_supervisor("catalog", rng=rng, parent=root) as catalog, trio.open_nursery() as nursery:
        proxy.start_sessions(nursery, version)
        if proxy.clusters.directory is not None:
            await proxy.clusters.directory.open(nursery)
        proxy.clusters.start(catalog)
        await catalog.start(ChildSpec("locations", proxy.views.locations.clean, intensity=None))
        prober = Prober(proxy.views.congestion, proxy.settings)
        await root.start(ChildSpec("loop_lag", partial(watch_loop, proxy.loop_lag), intensity=None))
        await catalog.start(ChildSpec("prober", prober.run, intensity=None))
        nursery.start_soon(proxy._prepare_grammar)
        if proxy.certificates.wanted:
            await proxy.certificates.load()
            await catalog.start(ChildSpec("certificates", proxy.certificates.watch, intensity=None))
        await before_listening(proxy)
        async with open_supervisor("front", rng=rng, parent=root) as front:
            await front.start(ChildSpec("time_limits", proxy.time_limits.watch))
            for name in proxy.bound.clients():
                await front.start(ChildSpec(name, partial(proxy._listen, name)))
            if proxy.http_listener is not None:
                root.start_soon(ChildSpec("http", proxy._http, intensity=None))
            where = ", ".join((*map(str, proxy.addresses), *filter(None, (settings.unix_socket,))))
            log.info("listening on %s; clusters: %s", where, proxy.clusters)
            proxy.logs.serving()
            yield
        proxy.stop_listening()
        if proxy.handed_over and proxy.http_listener is not None:
            await root.stop("http")
            proxy.http_listener.close()
        grace = proxy.settings().hot_upgrade_exit_timeout
        drained = await proxy.sessions.drain(grace, spread=grace * HANDED_OVER_SPREAD if proxy.handed_over else 0.0)
        log.log(logging.WARNING if drained.cut else logging.INFO, "%s", drained)
        nursery.cancel_scope.cancel()
    if proxy.clusters.directory is not None:
        await proxy.clusters.directory.aclose()
