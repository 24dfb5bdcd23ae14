"""What was measured as Prometheus metrics.  Families that may be long come in pieces, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from odp_trio.admin.measurements import Measurements, StatementCounts, TenantTimes
from odp_trio.admin.metric_families import add_times, by_label, counter, gauge, histogram

F = TypeVar("F", CounterMetricFamily, HistogramMetricFamily)
R = TypeVar("R", StatementCounts, TenantTimes)
PIECE: Final = 100
"""Records that are made into samples at a time: less than 2 ms."""
FEW: Final = 5
"""The same of histograms."""


def measured_metrics(measured: Measurements, version: str) -> Iterator[Metric]:
    """Yield the families of statements, of the event loop and of the worker."""
    yield from _statements(measured.statements)
    yield from _times(measured.times)
    received = counter("odp_tenant_bytes_total")
    for tenant in measured.traffic:
        received.add_metric([tenant.cluster, tenant.tenant, "clients"], tenant.from_clients)
        received.add_metric([tenant.cluster, tenant.tenant, "servers"], tenant.from_servers)
    yield received
    connections = gauge("odp_server_sessions")
    for server in measured.server_sessions:
        connections.add_metric([server.cluster, server.server], server.sessions)
    yield connections
    yield by_label("odp_statement_records_total", measured.records)
    yield by_label("odp_log_warnings_total", measured.log_warnings)
    yield by_label("odp_log_lines_lost_total", measured.log_lines_lost)
    lag = histogram("odp_loop_lag_seconds")
    add_times(lag, [], measured.loop_lag)
    yield lag
    yield counter("odp_loop_events_total", measured.loop_events)
    yield counter("odp_loop_errors_total", measured.loop_errors)
    yield gauge("odp_cluster_refresh_interval_seconds", measured.refresh_interval)
    info = gauge("odp_worker_info")
    for worker in measured.workers:
        info.add_metric([version, str(worker.worker), str(worker.pid), str(worker.generation), worker.reactor], 1.0)
    yield info


def _pieces(
    make: Callable[[], F], records: Sequence[R], add: Callable[[F, R], None], size: int = PIECE
) -> Iterator[Metric]:
    """Yield a family in pieces of so many records: at least one piece."""
    for start in range(0, len(records) or 1, size):
        family = make()
        for record in records[start : start + size]:
            add(family, record)
        yield family


def _statements(cells: Sequence[StatementCounts]) -> Iterator[Metric]:
    def answered(family: CounterMetricFamily, cell: StatementCounts) -> None:
        family.add_metric([cell.cluster, cell.tenant, cell.kind, cell.route], cell.statements)

    def errors(family: CounterMetricFamily, cell: StatementCounts) -> None:
        family.add_metric([cell.cluster, cell.tenant, cell.kind, cell.route], cell.errors)

    def missed(family: CounterMetricFamily, cell: StatementCounts) -> None:
        family.add_metric([cell.cluster, cell.tenant, cell.kind, cell.route], cell.missed)

    def took(family: CounterMetricFamily, cell: StatementCounts) -> None:
        labels = [cell.cluster, cell.tenant, cell.kind, cell.route]
        family.add_metric([*labels, "total"], cell.total_seconds)
        family.add_metric([*labels, "server"], cell.server_seconds)
        family.add_metric([*labels, "proxy"], cell.proxy_seconds)

    yield from _pieces(lambda: counter("odp_tenant_statements_total"), cells, answered)
    yield from _pieces(lambda: counter("odp_tenant_statement_errors_total"), cells, errors)
    yield from _pieces(lambda: counter("odp_tenant_misrouted_statements_total"), cells, missed)
    yield from _pieces(lambda: counter("odp_tenant_statement_time_seconds_total"), cells, took)


def _times(tenants: Sequence[TenantTimes]) -> Iterator[Metric]:
    def total(family: HistogramMetricFamily, tenant: TenantTimes) -> None:
        add_times(family, [tenant.cluster, tenant.tenant], tenant.total)

    def server(family: HistogramMetricFamily, tenant: TenantTimes) -> None:
        add_times(family, [tenant.cluster, tenant.tenant], tenant.server)

    def proxy(family: HistogramMetricFamily, tenant: TenantTimes) -> None:
        add_times(family, [tenant.cluster, tenant.tenant], tenant.proxy)

    yield from _pieces(lambda: histogram("odp_statement_seconds"), tenants, total, FEW)
    yield from _pieces(lambda: histogram("odp_statement_server_seconds"), tenants, server, FEW)
    yield from _pieces(lambda: histogram("odp_statement_proxy_seconds"), tenants, proxy, FEW)
