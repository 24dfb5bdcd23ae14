"""A running proxy: its tables, and what may be asked of it."""

from __future__ import annotations

import itertools
import logging
import random
import socket
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, final

import trio

from odp_trio.admin.across.answering import answer_others
from odp_trio.admin.configuration import Configuration, sources_of
from odp_trio.admin.follow import follow_changes, location_limit
from odp_trio.admin.proxysys import answer_client, serve_admin
from odp_trio.app.doors import Doors
from odp_trio.app.ports import Ports
from odp_trio.catalog.clusters import Clusters, Started
from odp_trio.catalog.config_wiring import open_directory
from odp_trio.catalog.locations import TableLocations
from odp_trio.catalog.metadata import open_metadata
from odp_trio.catalog.origin import Surroundings
from odp_trio.catalog.tenants import TenantRoutes
from odp_trio.config import Settings
from odp_trio.config.changes import AlterReport
from odp_trio.events import Announcements, ConfigurationChanged, TaskRestarted
from odp_trio.logs.proxy_logs import ProxyLogs
from odp_trio.net.certificates import Certificates
from odp_trio.net.network import KERNEL, Network
from odp_trio.net.reactor import Reactor
from odp_trio.observe import Counts, Histogram, StatementTable
from odp_trio.process.inherited import Inherited
from odp_trio.routing.own_rules import Function, OwnRule, rule_set
from odp_trio.session.admission import Admission
from odp_trio.session.ids import ConnectionIds, ids_for
from odp_trio.session.ledger import Ends
from odp_trio.session.services import Services
from odp_trio.session.sessions import Drained, Sessions
from odp_trio.session.time_limits import TimeLimits
from odp_trio.session.views import Views
from odp_trio.sql.cache import Statements
from odp_trio.state.prepared_texts import PreparedTexts
from odp_trio.supervise.supervisor import Supervisor
from odp_trio.topology.location_table import Locations
from odp_trio.topology.tenant import TenantTable
from odp_trio.wire.auth import SCRAMBLE_BYTES, printable
from odp_trio.workers.asking import Alone, Workers

if TYPE_CHECKING:  # what is asked of a running proxy is imported then: nobody who starts one need wait for it
    from odp_trio.admin.congestion import RecentChange
    from odp_trio.admin.explain import Explained, ExplainRequest
    from odp_trio.admin.measurements import Measurements
    from odp_trio.admin.status import ProxyStatus
    from odp_trio.admin.tree import TreeNode
    from odp_trio.app.connection import Connection
    from odp_trio.app.subscription import Subscription
    from odp_trio.topology.snapshot import Snapshot

log = logging.getLogger("odp_trio")

MOVED_SECONDS = (30.0, 60.0)
"""When the locations of a tenant whose locality or primary zone changed are looked up anew, as ODP does it."""


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
        network: Network = KERNEL,
        *,
        listen: bool = True,
        rules: Sequence[OwnRule | Function] = (),
    ) -> None:
        self.configuration = configuration
        self.network = network
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
        self.announcements = Announcements()
        self.rules = rule_set(_own_rules(settings.own_rules.split(), rules))
        self.certificates = Certificates(settings)
        self.locations = Locations(location_limit(settings))
        self.prepared_texts = PreparedTexts(settings.global_ps_cache_size, settings.global_ps_cache_mem_limited)
        self.statements = Statements(settings.statement_cache_size, text_limit=settings.request_buffer_length)
        self.reactor = reactor
        self.root = root
        self.ports = Ports(settings, inherited, network, listen=listen)
        self.addresses = self.ports.addresses
        """Where clients connect; still known when nobody listens any more.  None where there is no port."""
        self.http_address = self.ports.http_address
        """Where /metrics is; None when HTTP is off."""
        self._rng = rng
        self.started_at = trio.current_time()
        self.clusters = Clusters(
            {name: cluster.rslist for name, cluster in settings.clusters.items() if cluster.rslist},
            lambda name: open_metadata(self.settings, name, lambda: self.certificates.server, network),
            Surroundings(
                self.settings,
                rng,
                lambda: self.views.changed(),
                self._tenants_moved,
                lambda cluster: self.views.congestion.refreshed(cluster),
                self.announcements,
            ),
            directory=open_directory(self.settings, self.workers, network),
            dropped=self._cluster_dropped,
        )
        self.views = Views(self.clusters, self.settings, self.counts)
        self.views.congestion.events = self.announcements
        if self.clusters.directory is not None:
            self.clusters.directory.events = self.announcements
        configuration.subscribe(self._configuration_changed)
        self._subscriptions: weakref.WeakSet[Subscription] = weakref.WeakSet()
        self.generation = 0
        self.doors: Doors
        self.front: Supervisor
        """Those who let clients in."""
        self.services: Services
        self.sessions: Sessions
        self.time_limits: TimeLimits
        self.handed_over = False
        self._shutdown = trio.Event()

    def settings(self) -> Settings:
        """Return the settings in force."""
        return self.configuration.settings()

    # ---- clients of this process ----------------------------------------------------------

    async def connect(self, user: str, password: str = "", database: str = "") -> Connection:
        """Log in without a port; ``user`` is whatever a client may type, such as ``app@tenant#cluster``.

        Raises StatementFailed with the errno of a refusal, ConnectionLost when the session is ended meanwhile, and
        Draining when the proxy takes no clients any more.  At ``client_max_connections`` it waits, as a client does.
        """
        from odp_trio.app.connection import Connection

        return await Connection.log_in(await self.doors.stream(), user, password, database)

    async def open_stream(self) -> trio.abc.HalfCloseableStream:
        """Return a new connection in memory that has not logged in, for a driver that runs on Trio's streams."""
        return await self.doors.stream()

    async def dial(self) -> socket.socket:
        """Return a new connection that has not logged in, as a blocking socket: for a driver that needs one.

        A thread gets it by ``trio.from_thread.run(proxy.dial)``.  Who has it closes it.
        """
        return await self.doors.dial()

    def events(self, limit: int = 1000) -> Subscription:
        """Return what happens from now on: ``async for event in proxy.events()``; at most ``limit`` wait."""
        from odp_trio.app.subscription import Subscription

        subscription = Subscription(self.announcements, limit, self.reactor.wake)
        self._subscriptions.add(subscription)
        return subscription

    # ---- what is asked, and told ----------------------------------------------------------

    async def reload(self, settings: Settings | Path) -> AlterReport:
        """Go on with other settings, or what a file says now; what was changed at run time stays above them.

        Options that need a restart stay as they are; the report says which of those differ.  All or nothing: raises
        ConfigError naming every mistake, and for other clusters or rslists than those of the start.
        """
        return await self.configuration.reload(await trio.to_thread.run_sync(sources_of, settings))

    async def drain(self, grace: float | None = None) -> Drained:
        """Take no clients any more and let those that are there end between transactions, for ``grace`` seconds.

        None: ``hot_upgrade_exit_timeout``.  The rest are cut.  It is for good, and leaving the block does it too.
        """
        self.shut_down()
        for name in self.ports.bound.clients():
            with suppress(KeyError):  # somebody else drains already
                await self.front.stop(name)
        self.stop_listening()
        return await self.sessions.drain(self.settings().hot_upgrade_exit_timeout if grace is None else grace)

    def statistics(self) -> ProxyStatus:
        """Return the state of everything at this moment."""
        from odp_trio.admin.status import proxy_status

        return proxy_status(self)

    async def status(self) -> ProxyStatus:
        """Return the same; others run while sessions are counted."""
        from odp_trio.admin.status import take_status

        return await take_status(self)

    async def measurements(self) -> Measurements:
        """Return what was measured, of statements above all."""
        from odp_trio.admin.measurements import measure

        return await measure(self)

    def tree(self) -> TreeNode:
        """Return the tree of supervised tasks."""
        from odp_trio.admin.tree import task_tree

        return task_tree(self.root.statistics(), trio.current_time())

    async def explain(self, request: ExplainRequest) -> Explained:
        """Say where a statement would go, and why; raise ConfigError for a request that cannot be used."""
        from odp_trio.admin.explain import explain_live

        return await explain_live(self.views, self.statements, request, self.settings(), self.rules)

    async def snapshot(self) -> Snapshot:
        """Return what routing stands on; ``explain_offline`` asks it without a proxy."""
        from odp_trio.admin.taking import snapshot_of

        return await snapshot_of(self)

    def recent_changes(self) -> list[RecentChange]:
        """Return the last changes of the lists of servers, the newest first."""
        from odp_trio.admin.congestion import recent_changes

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

    def _configuration_changed(self, old: Settings, new: Settings) -> None:
        if self.announcements.wanted:
            names = tuple(name for name in new.__struct_fields__ if getattr(old, name) != getattr(new, name))
            self.announcements.tell(ConfigurationChanged(trio.current_time(), names))

    def task_restarted(self, path: str, error: str, restarts: int, pause: float) -> None:
        """Announce that a task is started again."""
        if self.announcements.wanted:
            self.announcements.tell(TaskRestarted(trio.current_time(), path, error, restarts, pause))

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
    def bound(self) -> Inherited:
        """The listening sockets."""
        return self.ports.bound

    @property
    def listens(self) -> bool:
        """Whether the tasks of all listeners are alive."""
        return self.ports.listens

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
        self.views.locations.events = self.announcements
        ids = ids_for(self.settings(), self._rng, version, self.workers)
        self.clusters.in_use = lambda: self.sessions.clusters()
        self.time_limits = TimeLimits(lambda: self.sessions.watched, self.settings, self.views.server_failed)
        self.services = self._services(ids)
        self.logs.attach(self.services)
        self.sessions = Sessions(self.services, ids, nursery)
        self.doors = Doors(self.sessions)
        self.views.congestion.listeners = self.sessions
        follow_changes(self, self._rng)
        answer_others(self)

    def close(self) -> None:
        """Give sockets and metadata connections back; whoever reads events has heard the last one."""
        for subscription in self._subscriptions:
            subscription.end()
        self.ports.close(handed_over=self.handed_over)
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
            events=self.announcements,
            measured=self.measured,
            network=self.network,
            wall_clock_us=lambda: time.time_ns() // 1000,
        )

    # ---- services -----------------------------------------------------------------

    def stop_listening(self) -> None:
        """Let no client in any more: close the sockets; other processes that have them keep them."""
        self.doors.shut()
        self.ports.stop_listening(handed_over=self.handed_over)

    async def nested_reactor(self, *, task_status: Started) -> NoReturn:
        """Serve sockets from a task, where the reactor is not inside Trio's own wait."""
        task_status.started()
        await self.reactor.run_nested()


def _own_rules(names: Sequence[str], given: Sequence[OwnRule | Function]) -> list[OwnRule]:
    if not names and not given:  # as in most proxies, which need not wait for what finds and checks them
        return []
    from odp_trio.catalog.own_rules import all_own_rules

    return all_own_rules(names, given)
