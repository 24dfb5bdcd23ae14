"""The records as Prometheus exposition: the families of ``metric_table``; prometheus_client adds the process.

Label values come from closed or configured sets, or are bounded: tenants by
what is known of them, tables by their busiest.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from itertools import chain
from typing import Final, Protocol, cast

import msgspec
import trio
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric

from odp_trio.admin.clients import ClientsStatus
from odp_trio.admin.congestion_metrics import congestion_metrics
from odp_trio.admin.measured_metrics import measured_metrics
from odp_trio.admin.measurements import Measurements
from odp_trio.admin.metric_families import by_label, counter, gauge
from odp_trio.admin.metric_table import FAMILIES
from odp_trio.admin.routes import RouteTotals, Tally, count_routes
from odp_trio.admin.status import ConfigServerStatus, ProxyStatus
from odp_trio.admin.tls import TlsStatus
from odp_trio.topology.location_table import Locations

SLICE: Final = 100
"""Samples that are written at a time: about 2 ms."""

COUNTERS = {
    "odp_sessions_accepted_total": "accepted",
    "odp_logins_total": "logins",
    "odp_statements_total": "statements",
    "odp_statement_errors_total": "statement_errors",
    "odp_client_bytes_total": "client_bytes",
    "odp_server_bytes_total": "server_bytes",
    "odp_server_connects_total": "server_connects",
    "odp_server_connect_failures_total": "server_connect_failures",
    "odp_tenant_fetches_total": "tenant_fetches",
    "odp_tenant_invalidations_total": "tenant_invalidations",
    "odp_loop_turns_total": "loop_turns",
    "odp_location_fetches_total": "location_fetches",
    "odp_location_renewals_total": "location_renewals",
    "odp_location_dirtied_total": "location_dirtied",
    "odp_location_evictions_total": "location_evictions",
    "odp_route_waits_total": "route_waits",
    "odp_replays_total": "replays",
    "odp_reprepares_total": "reprepares",
    "odp_statement_cache_misses_total": "shape_misses",
    "odp_statement_cache_evictions_total": "shape_evictions",
}
GAUGES = {
    "odp_uptime_seconds": "uptime",
    "odp_draining": "draining",
    "odp_sessions": "sessions",
    "odp_sessions_busy": "busy_sessions",
    "odp_tenants": "tenants",
    "odp_locations": "locations",
    "odp_statement_cache_size": "shapes",
}


MOST_TENANTS = 1000
"""Tenants that are label values."""

PREPARED_COUNTERS = {
    "odp_prepared_text_hits_total": "hits",
    "odp_prepared_text_misses_total": "misses",
    "odp_prepared_text_evictions_total": "evictions",
}
PREPARED_GAUGES = {
    "odp_prepared_texts": "entries",
    "odp_prepared_text_bytes": "size",
}


class Source(Protocol):
    """What is read: a proxy."""

    locations: Locations

    async def status(self) -> ProxyStatus:
        """Return the state of everything."""
        ...

    async def measurements(self) -> Measurements:
        """Return what was measured."""
        ...


def collect(status: ProxyStatus, measured: Measurements, routes: RouteTotals) -> Iterator[Metric]:
    """Yield every family of ours; long ones in pieces, each a family of the same name."""
    for name, field in COUNTERS.items():
        yield counter(name, getattr(status, field))
    workers = gauge("odp_workers")
    workers.add_metric(["answering"], float(status.workers))
    workers.add_metric(["missing"], float(len(status.missing_workers)))
    yield workers
    for name, field in GAUGES.items():
        yield gauge(name, float(getattr(status, field)))
    for name, field in PREPARED_COUNTERS.items():
        yield counter(name, getattr(status.prepared_texts, field))
    for name, field in PREPARED_GAUGES.items():
        yield gauge(name, float(getattr(status.prepared_texts, field)))
    yield by_label("odp_logins_refused_total", status.refused_logins)
    yield by_label("odp_server_failures_total", status.server_failures)
    yield by_label("odp_failed_statements_total", status.failed_statements)
    yield by_label("odp_session_ends_total", status.ends)
    yield by_label("odp_server_session_ends_total", status.server_ends)
    yield by_label("odp_task_restarts_total", {t.path: t.restarts for t in status.tasks})
    yield from _clients(status.clients)
    yield from _tls(status.tls)
    yield from _clusters(status)
    if status.config_server is not None:
        yield from _config_server(status.config_server)
    yield from congestion_metrics(status.congestion, status.probes)
    yield from _own_rules(status)
    yield from _routes(routes)
    yield from measured_metrics(measured, status.version)


def _clients(clients: ClientsStatus) -> Iterator[Metric]:
    """Tenants that the proxy knows: not what is made up by who tries to log in."""
    yield gauge("odp_clients", float(clients.clients))
    yield gauge("odp_clients_limit", float(clients.limit))
    yield by_label("odp_clients_refused_total", clients.refused)
    yield counter("odp_clients_displaced_total", clients.displaced)
    of_tenants = gauge("odp_tenant_clients")
    for tenant in [tenant for tenant in clients.tenants if tenant.known][:MOST_TENANTS]:
        of_tenants.add_metric([tenant.cluster, tenant.tenant], float(tenant.clients))
    yield of_tenants


def _tls(tls: TlsStatus) -> Iterator[Metric]:
    """How connections are protected, on both legs."""
    family = gauge("odp_tls_connections")
    for leg, versions in (("client", tls.clients), ("server", tls.server_sessions)):
        for version, count in sorted(versions.items()):
            family.add_metric([leg, version], float(count))
    yield family


def _own_rules(status: ProxyStatus) -> Iterator[Metric]:
    outcomes = counter("odp_own_rule_total")
    enabled = gauge("odp_own_rule_enabled")
    for rule in status.own_rules:
        for outcome, count in rule.outcomes.items():
            outcomes.add_metric([rule.name, rule.mode, outcome], count)
        enabled.add_metric([rule.name, rule.mode], float(rule.state == "enabled"))
    yield from (outcomes, enabled)


def _clusters(status: ProxyStatus) -> Iterator[Metric]:
    servers = gauge("odp_cluster_servers")
    failures = gauge("odp_cluster_refresh_failures")
    age = gauge("odp_cluster_age_seconds")
    refreshes = counter("odp_cluster_refreshes_total")
    for cluster in status.clusters:
        states = list(cluster.servers.values())
        for state in sorted(set(states)):
            servers.add_metric([cluster.name, state], states.count(state))
        failures.add_metric([cluster.name], cluster.failures)
        refreshes.add_metric([cluster.name], cluster.refreshes)
        if cluster.age is not None:
            age.add_metric([cluster.name], cluster.age)
    yield from (servers, failures, age, refreshes)
    rslists = gauge("odp_cluster_rslist_age_seconds")
    for cluster in status.clusters:
        if cluster.rslist_age is not None:
            rslists.add_metric([cluster.name, cluster.rslist_source], cluster.rslist_age)
    yield rslists


def _config_server(server: ConfigServerStatus) -> Iterator[Metric]:
    yield gauge("odp_config_server_clusters", float(server.clusters))
    yield gauge("odp_config_server_failures", float(server.failures))
    yield counter("odp_config_server_polls_total", server.polls)
    if server.age is not None:
        yield gauge("odp_config_server_age_seconds", server.age)
    file = server.file
    yield counter("odp_rslist_file_writes_total", file.writes)
    yield counter("odp_rslist_file_write_failures_total", file.failures)
    yield gauge("odp_rslist_file_problem", float(bool(file.problem)))
    if file.age is not None:
        yield gauge("odp_rslist_file_age_seconds", file.age)


def _routes(routes: RouteTotals) -> Iterator[Metric]:
    statements = counter("odp_route_statements_total")
    lost = counter("odp_route_not_computable_total")
    for key, total in sorted(routes.tenants.items(), key=lambda item: (item[0].cluster, item[0].tenant)):
        _add_tallies(statements, [key.cluster, key.tenant], total.policies)
        lost.add_metric([key.cluster, key.tenant], total.not_computable)
    tables = counter("odp_table_statements_total")
    for table in routes.busiest:
        _add_tallies(tables, [table.cluster, table.tenant, table.database, table.table], table.policies)
    yield from (statements, lost, tables)


def _add_tallies(family: CounterMetricFamily, labels: list[str], policies: dict[str, Tally]) -> None:
    """What missed was routed before, so both only grow: the share of misses is missed / routed."""
    for policy, tally in sorted(policies.items()):
        family.add_metric([*labels, policy, "routed"], tally.routed)
        family.add_metric([*labels, policy, "missed"], tally.missed)


class _One:
    """A part of a family, as a registry."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterator[Metric]:
        yield self._metric


def write_slices(metric: Metric, *, goes_on: bool = False) -> Iterator[bytes]:
    """Write a family in slices that take a moment each: HELP and TYPE stand before the first one, unless it goes on."""
    samples = metric.samples
    for start in range(0, len(samples) or 1, SLICE):
        part = copy(metric)
        part.samples = samples[start : start + SLICE]
        text = generate_latest(cast("CollectorRegistry", _One(part)))
        yield text.split(b"\n", 2)[2] if start or goes_on else text


class MetricRecords(msgspec.Struct, frozen=True):
    """What metrics are made of."""

    status: ProxyStatus
    measured: Measurements
    routes: RouteTotals
    process: dict[str, float]
    """What the system says of the process, by the names of ``metric_table``."""


async def metric_records(source: Source) -> MetricRecords:
    """Read everything; others run meanwhile."""
    routes, measured = await count_routes(source.locations), await source.measurements()
    process = {metric.name: metric.samples[0].value for metric in ProcessCollector(registry=None).collect()}
    return MetricRecords(await source.status(), measured, routes, process)


def _process(values: dict[str, float]) -> Iterator[Metric]:
    for name, value in values.items():
        yield gauge(name, value) if name in FAMILIES else counter(f"{name}_total", value)


async def write_metrics(source: Source) -> bytes:
    """Return all metrics of a proxy of one process in Prometheus's text format."""
    return await write_records(await metric_records(source))


async def write_records(records: MetricRecords) -> bytes:
    """Return metrics in Prometheus's text format; others run while they are written."""
    pieces: list[bytes] = []
    before = ""
    families = collect(records.status, records.measured, records.routes)
    for metric in chain(families, _process(records.process)):
        for piece in write_slices(metric, goes_on=metric.name == before):
            pieces.append(piece)
            await trio.lowlevel.checkpoint()
        before = metric.name
    return b"".join(pieces)
