"""What was measured as Prometheus metrics."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from odp_trio.admin.measurements import Measurements
from odp_trio.admin.metric_families import add_times, by_label, counter, gauge, histogram


def measured_metrics(measured: Measurements, version: str) -> Iterator[Metric]:
    """Yield the families of statements, of the event loop and of the worker."""
    yield from _statements(measured)
    yield from _times(measured)
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
    worker, info = measured.worker, gauge("odp_worker_info")
    info.add_metric([version, str(worker.worker), str(worker.pid), str(worker.generation), worker.reactor], 1.0)
    yield info


def _statements(measured: Measurements) -> Iterator[Metric]:
    answered, errors, missed, took = (
        counter(f"odp_tenant_{name}_total")
        for name in ("statements", "statement_errors", "misrouted_statements", "statement_time_seconds")
    )
    for cell in measured.statements:
        labels = [cell.cluster, cell.tenant, cell.kind, cell.route]
        answered.add_metric(labels, cell.statements)
        errors.add_metric(labels, cell.errors)
        missed.add_metric(labels, cell.missed)
        took.add_metric([*labels, "total"], cell.total_seconds)
        took.add_metric([*labels, "server"], cell.server_seconds)
        took.add_metric([*labels, "proxy"], cell.proxy_seconds)
    yield from (answered, errors, missed, took)


def _times(measured: Measurements) -> Iterator[Metric]:
    total, server, proxy = (histogram(f"odp_statement_{name}seconds") for name in ("", "server_", "proxy_"))
    for tenant in measured.times:
        labels = [tenant.cluster, tenant.tenant]
        add_times(total, labels, tenant.total)
        add_times(server, labels, tenant.server)
        add_times(proxy, labels, tenant.proxy)
    yield from (total, server, proxy)
