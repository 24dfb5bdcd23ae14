"""The tree: what runs, in which order it starts and stops.  This is the API for embedding.

    observe    outermost, last to go: HTTP, so that the drain can be watched
      catalog  one child a cluster: server lists
        sessions  temporary children, drained
          front   innermost, first to go: the listener

Tables (cluster resources, tenant routes, sessions, counters) are made here,
above the tasks that fill them: a crash of a task loses no data.
"""

from __future__ import annotations

import logging
import random
import socket
import time
from functools import partial
from typing import final

import trio

import odp_trio
from odp_trio.admin.proxysys import serve_admin
from odp_trio.admin.status import ClusterStatus, ProxyStatus, flatten
from odp_trio.catalog.clusters import Clusters
from odp_trio.catalog.metadata import Credentials, MetadataClient, MetadataConnection
from odp_trio.catalog.tenants import TenantRoutes
from odp_trio.config import Settings
from odp_trio.net.listener import bind
from odp_trio.net.reactor import Reactor
from odp_trio.observe import Counts
from odp_trio.session.conversation import Services
from odp_trio.session.sessions import Sessions
from odp_trio.supervise.supervisor import Supervisor
from odp_trio.topology.tenant import TenantTable

log = logging.getLogger("odp_trio")

SCRAMBLE_ALPHABET = bytes(range(0x21, 0x7F))


@final
class Proxy:
    """A running proxy.  Made by ``open_proxy``."""

    def __init__(self, settings: Settings, reactor: Reactor, root: Supervisor, rng: random.Random) -> None:
        self.counts = Counts()
        self.tenants = TenantTable()
        self.reactor = reactor
        self.root = root
        self.listener = bind(settings.local_bound_ip, settings.listen_port, settings.listen_backlog)
        self.http_listener: socket.socket | None = None
        self._settings = settings
        self._rng = rng
        self._started_at = trio.current_time()
        self.clusters = Clusters(
            {name: cluster.rslist for name, cluster in settings.clusters.items()},
            self._open_metadata,
            interval=lambda: self._settings.server_state_refresh_interval,
            jitter=lambda: self._settings.server_state_refresh_jitter,
            timeout=lambda: self._settings.short_async_task_timeout,
            check_name=lambda: self._settings.enable_cluster_checkout,
            rng=rng,
        )
        self.sessions: Sessions
        self.routes: TenantRoutes
        self.drain_requested = trio.Event()

    def settings(self) -> Settings:
        """Return the settings in force."""
        return self._settings

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Where clients connect."""
        ip, port = self.listener.getsockname()[:2]
        return ((ip, port),)

    @property
    def http_address(self) -> tuple[str, int] | None:
        """Where /metrics is; None when HTTP is off."""
        if self.http_listener is None:
            return None
        ip, port = self.http_listener.getsockname()[:2]
        return (ip, port)

    def statistics(self) -> ProxyStatus:
        """Return the state of everything at this moment."""
        now, counts, traffic = trio.current_time(), self.counts, self.counts.traffic
        sessions = tuple(self.sessions.table.values())
        return ProxyStatus(
            version=odp_trio.__version__,
            addresses=tuple(f"{ip}:{port}" for ip, port in self.addresses),
            uptime=now - self._started_at,
            draining=self.sessions.draining,
            reactor="inside" if self.reactor.attached else "nested",
            sessions=len(sessions),
            busy_sessions=sum(session.lane is not None and session.lane.busy for session in sessions),
            accepted=counts.accepted,
            logins=counts.logins,
            statements=traffic.statements,
            statement_errors=traffic.errors,
            client_bytes=traffic.client_bytes_in,
            server_bytes=traffic.server_bytes_in,
            refused_logins=dict(counts.refused),
            ends=dict(counts.ends),
            server_connects=counts.server_connects,
            server_connect_failures=counts.server_connect_failures,
            tenant_fetches=counts.tenant_fetches,
            tenant_invalidations=counts.tenant_invalidations,
            tenants=len(self.tenants),
            loop_turns=self.reactor.turns,
            clusters=tuple(
                ClusterStatus(
                    cluster.name,
                    cluster.version,
                    {str(address): server.state.value for address, server in cluster.servers.items()},
                    cluster.refreshes,
                    cluster.failures,
                    cluster.last_failure,
                    None if cluster.refreshed_at is None else now - cluster.refreshed_at,
                )
                for cluster in self.clusters.resources()
            ),
            tasks=flatten(self.root.statistics().children),
        )

    def crash_session(self, connection_id: int, error: Exception) -> None:
        """Make one session die as of a bug; raise KeyError if there is none of that id."""
        self.sessions.table[connection_id].crash(error)

    def _open_metadata(self, name: str) -> MetadataConnection:
        settings = self._settings
        cluster = settings.clusters[name]
        passwords = [
            str(secret.value)
            for secret in (
                cluster.observer_sys_password or settings.observer_sys_password,
                cluster.observer_sys_password1 or settings.observer_sys_password1,
            )
            if secret
        ]
        return MetadataClient(
            Credentials(cluster.observer_sys_user or settings.observer_sys_user, tuple(dict.fromkeys(passwords))),
            timeout=settings.short_async_task_timeout,
            connect_timeout=min(settings.connect_timeout, settings.short_async_task_timeout),
        )

    def _services(self) -> Services:
        return Services(
            settings=self.settings,
            reactor=self.reactor,
            routes=self.routes,
            admin=partial(serve_admin, self.statistics, self.settings),
            counts=self.counts,
            scramble=lambda: bytes(self._rng.choice(SCRAMBLE_ALPHABET) for _ in range(20)),
            wall_clock_us=lambda: time.time_ns() // 1000,
        )
