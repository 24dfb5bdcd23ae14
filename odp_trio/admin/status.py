"""The state of the proxy as frozen records: HTTP, metrics and admin SQL read the same ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec
import trio

import odp_trio
from odp_trio.admin.census import Census, count_sessions, walk_sessions
from odp_trio.admin.clients import ClientsStatus, clients_status
from odp_trio.admin.congestion import ClusterCongestion, congestion_status
from odp_trio.admin.tls import TlsStatus, tls_status
from odp_trio.catalog.clusters import Clusters
from odp_trio.catalog.directory import Directory
from odp_trio.routing.own_rules import OwnRule
from odp_trio.state.prepared_texts import PreparedTexts
from odp_trio.supervise.statistics import ChildStatistics
from odp_trio.topology.cluster import ClusterResource

if TYPE_CHECKING:
    from odp_trio.app import Proxy


class ClusterStatus(msgspec.Struct, frozen=True):
    """One cluster.  ``age`` is seconds since the last good refresh; None before the first.

    ``rslist_source`` is ``settings``, ``config server`` or ``local file``;
    ``rslist_age`` is seconds since the config server, or its own servers, confirmed it.
    """

    name: str
    version: str
    servers: dict[str, str]
    """State by address."""
    refreshes: int
    failures: int
    last_failure: str
    age: float | None
    cluster_id: int | None = None
    role: str = ""
    rslist_source: str = "settings"
    rslist_age: float | None = None
    rslist_failure: str = ""
    """Why the config server could not be asked for its rslist the last time; empty if it could."""
    rebuilding: str = ""
    """Why it is being built anew; empty if it is not."""

    @property
    def configured(self) -> bool:
        """Whether it is of the settings: others come and go with logins."""
        return self.rslist_source == "settings"


class PreparedTextsStatus(msgspec.Struct, frozen=True):
    """The texts that sessions have prepared, shared by all of them."""

    entries: int = 0
    size: int = 0
    """Bytes, about."""
    hits: int = 0
    misses: int = 0
    evictions: int = 0


def _prepared_texts(texts: PreparedTexts) -> PreparedTextsStatus:
    return PreparedTextsStatus(len(texts), texts.size, texts.hits, texts.misses, texts.evictions)


class RslistFileStatus(msgspec.Struct, frozen=True):
    """The local file of rslists.  ``writer``: this proxy writes it, not another one with the same directory."""

    path: str
    writer: bool
    age: float | None
    """Seconds since it was written; None when there is none."""
    writes: int
    failures: int
    problem: str
    """What is wrong with it; empty when all is well."""
    refused: str
    """Why the one that was there at start was not used."""


class ConfigServerStatus(msgspec.Struct, frozen=True):
    """The config server.  ``age`` is seconds since it named its clusters; None before the first time."""

    url: str
    clusters: int
    version: str
    polls: int
    failures: int
    last_failure: str
    age: float | None
    usable: bool
    """Whether clusters can be found: it has spoken, or the local file may speak for it."""
    file: RslistFileStatus


class TaskStatus(msgspec.Struct, frozen=True):
    """One supervised task.  ``path`` names it from the root."""

    path: str
    state: str
    restarts: int
    last_error: str


class OwnRuleStatus(msgspec.Struct, frozen=True):
    """One routing rule of the user's own.  ``disabled`` says why it is not asked any more."""

    name: str
    mode: str
    state: str
    disabled: str
    last_error: str
    outcomes: dict[str, int]
    """How often it answered, declined, failed, overran its budget; a shadow: agreed, disagreed."""


class ProxyStatus(msgspec.Struct, frozen=True):
    """Everything at one moment."""

    version: str
    addresses: tuple[str, ...]
    uptime: float
    draining: bool
    reactor: str
    sessions: int
    busy_sessions: int
    accepted: int
    logins: int
    statements: int
    statement_errors: int
    client_bytes: int
    server_bytes: int
    refused_logins: dict[int, int]
    ends: dict[str, int]
    server_ends: dict[str, int]
    server_connects: int
    server_connect_failures: int
    server_failures: dict[str, int]
    failed_statements: dict[str, int]
    tenant_fetches: int
    tenant_invalidations: int
    tenants: int
    loop_turns: int
    location_fetches: int
    location_renewals: int
    location_dirtied: int
    locations: int
    location_evictions: int
    route_waits: int
    replays: int
    reprepares: int
    shapes: int
    shape_misses: int
    shape_evictions: int
    clusters: tuple[ClusterStatus, ...]
    tasks: tuple[TaskStatus, ...]
    own_rules: tuple[OwnRuleStatus, ...] = ()
    congestion: tuple[ClusterCongestion, ...] = ()
    probes: dict[str, int] = {}
    """Probes of servers, by result."""
    config_server: ConfigServerStatus | None = None
    tls: TlsStatus = TlsStatus()
    clients: ClientsStatus = ClientsStatus()
    prepared_texts: PreparedTextsStatus = PreparedTextsStatus()
    workers: int = 1
    """Those that this is the status of."""
    missing_workers: tuple[str, ...] = ()
    """Why it is not of the others."""

    @property
    def why_not_ready(self) -> tuple[str, ...]:
        """Reasons not to be sent clients; empty when ready."""
        reasons = ["draining"] if self.draining else []
        reasons += [
            f"cluster {cluster.name} has no server list: {cluster.last_failure or 'not fetched yet'}"
            for cluster in self.clusters
            if not cluster.servers and cluster.configured
        ]
        server = self.config_server
        if server is not None and not server.usable:
            reasons.append(f"no cluster is known: {server.last_failure or 'the config server has not answered yet'}")
        reasons += [
            f"{task.path} is {task.state}" for task in self.tasks if "listen" in task.path and task.state != "running"
        ]
        return tuple(reasons)

    @property
    def why_degraded(self) -> tuple[str, ...]:
        """What an operator should look at although service goes on."""
        reasons = list(self.missing_workers)
        reasons += [
            f"{task.path} is {task.state}: {task.last_error}" for task in self.tasks if task.state == "backing_off"
        ]
        reasons += [
            f"cluster {cluster.name}: {cluster.failures} refreshes in a row failed: {cluster.last_failure}"
            for cluster in self.clusters
            if cluster.failures
        ]
        reasons += [text for cluster in self.clusters for text in _rslist_troubles(cluster)]
        if self.config_server is not None:
            reasons += _config_server_troubles(self.config_server)
        reasons += [reason for cluster in self.congestion for reason in cluster.why_degraded]
        reasons += self.tls.why_degraded
        reasons += [f"own rule {rule.name} is disabled: {rule.disabled}" for rule in self.own_rules if rule.disabled]
        return tuple(reasons)


def _rslist_troubles(cluster: ClusterStatus) -> Iterator[str]:
    if cluster.rslist_source == "local file":
        yield f"cluster {cluster.name}: its rslist is from the local file, {cluster.rslist_age or 0:.0f} s old"
    if cluster.rslist_failure:
        yield f"cluster {cluster.name}: no new rslist: {cluster.rslist_failure}"
    if cluster.rebuilding:
        yield f"cluster {cluster.name} is being built anew: {cluster.rebuilding}"


def _config_server_troubles(server: ConfigServerStatus) -> Iterator[str]:
    if server.failures:
        kept = "no clusters are known" if server.age is None else f"its clusters are {server.age:.0f} s old"
        yield f"config server: {server.failures} failures in a row; {kept}: {server.last_failure}"
    if server.file.problem:
        yield f"local file of rslists: {server.file.problem}"


def flatten(children: Sequence[ChildStatistics], prefix: str = "") -> tuple[TaskStatus, ...]:
    """List a tree of supervised children, parents first."""
    tasks: list[TaskStatus] = []
    for child in children:
        path = f"{prefix}{child.name}"
        tasks.append(TaskStatus(path, child.state.value, child.restarts, child.last_error))
        tasks += flatten(child.children, f"{path}/")
    return tuple(tasks)


def own_rule_status(rule: OwnRule) -> OwnRuleStatus:
    """Return what a routing rule of the user's own has done so far."""
    outcomes = {
        "answered": rule.answered,
        "declined": rule.declined,
        "failed": rule.errors,
        "overran": rule.overruns,
        "agreed": rule.agreed,
        "disagreed": rule.disagreed,
    }
    return OwnRuleStatus(rule.name, rule.mode.value, rule.state, rule.disabled, rule.last_error, outcomes)


def cluster_status(cluster: ClusterResource, clusters: Clusters, now: float) -> ClusterStatus:
    """Return the state of one cluster."""
    entry, failure = clusters.entry_of(cluster.name)
    return ClusterStatus(
        cluster.name,
        cluster.version,
        {str(address): server.state.value for address, server in cluster.servers.items()},
        cluster.refreshes,
        cluster.failures,
        cluster.last_failure,
        None if cluster.refreshed_at is None else now - cluster.refreshed_at,
        cluster_id=cluster.cluster_id,
        role=cluster.role,
        rslist_source="settings" if clusters.is_configured(cluster.name) else entry.source.value if entry else "",
        rslist_age=None if entry is None or clusters.directory is None else clusters.directory.age(entry),
        rslist_failure=failure,
        rebuilding=clusters.rebuilding(cluster.name),
    )


def config_server_status(directory: Directory | None, now: float) -> ConfigServerStatus | None:
    """Return the state of what the config server says; None without one."""
    if directory is None:
        return None
    document, store = directory.document, directory.store
    return ConfigServerStatus(
        url=directory.server.shown_url,
        clusters=0 if document is None else len(document.rslist_urls),
        version="" if document is None else document.version,
        polls=directory.polls,
        failures=directory.trouble.failures,
        last_failure=directory.trouble.reason,
        age=None if directory.said_at is None else now - directory.said_at,
        usable=directory.usable,
        file=RslistFileStatus(
            path=str(store.path),
            writer=store.writer,
            age=None if store.written_at is None else directory.since(store.written_at),
            writes=store.writes,
            failures=store.failures,
            problem=store.problem,
            refused=store.refused,
        ),
    )


def proxy_status(proxy: Proxy) -> ProxyStatus:
    """Return the state of everything at this moment; ``take_status`` where sessions may be many."""
    return _status(proxy, count_sessions(proxy.sessions.table.values(), proxy.counts.traffic))


async def take_status(proxy: Proxy) -> ProxyStatus:
    """Return the state of everything; others run while sessions are counted."""
    return _status(proxy, await walk_sessions(proxy.sessions.table.values(), proxy.counts.traffic))


def _status(proxy: Proxy, census: Census) -> ProxyStatus:
    now, counts, traffic = trio.current_time(), proxy.counts, census.traffic
    return ProxyStatus(
        version=odp_trio.__version__,
        addresses=tuple(f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}" for ip, port in proxy.addresses),
        uptime=now - proxy.started_at,
        draining=proxy.draining,
        reactor="inside" if proxy.reactor.attached else "nested",
        sessions=census.sessions,
        busy_sessions=census.busy,
        accepted=counts.accepted,
        logins=counts.logins,
        statements=traffic.statements,
        statement_errors=traffic.errors,
        client_bytes=traffic.client_bytes_in,
        server_bytes=traffic.server_bytes_in,
        refused_logins=dict(counts.refused),
        ends=dict(counts.ends),
        server_ends=dict(counts.server_ends),
        server_connects=counts.server_connects,
        server_connect_failures=counts.server_connect_failures,
        server_failures=dict(counts.server_failures),
        failed_statements=dict(counts.failed_statements),
        tenant_fetches=counts.tenant_fetches,
        tenant_invalidations=counts.tenant_invalidations,
        tenants=len(proxy.tenants),
        loop_turns=proxy.reactor.turns,
        location_fetches=counts.location_fetches,
        location_renewals=counts.location_renewals,
        location_dirtied=counts.location_dirtied,
        locations=len(proxy.locations),
        location_evictions=proxy.locations.evictions,
        route_waits=counts.route_waits,
        replays=counts.replays,
        reprepares=counts.reprepares,
        shapes=len(proxy.statements),
        shape_misses=proxy.statements.misses,
        shape_evictions=proxy.statements.evictions,
        prepared_texts=_prepared_texts(proxy.prepared_texts),
        clusters=tuple(cluster_status(cluster, proxy.clusters, now) for cluster in proxy.clusters.resources()),
        config_server=config_server_status(proxy.clusters.directory, now),
        tasks=flatten(proxy.root.statistics().children),
        own_rules=tuple(map(own_rule_status, proxy.rules.own)),
        congestion=congestion_status(proxy.views.congestion, proxy.clusters.resources(), now),
        probes=dict(proxy.views.congestion.probes),
        tls=tls_status(proxy.certificates, census),
        clients=clients_status(proxy.admission, proxy.settings(), {route.key for route in proxy.tenants.entries()}),
    )
