"""The status record as Prometheus exposition.

Label values come from closed or configured sets, or are bounded: tenants by
what is known of them, tables by their busiest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from odp_trio.admin.clients import ClientsStatus
from odp_trio.admin.congestion_metrics import congestion_metrics
from odp_trio.admin.routes import RouteTotals, Tally
from odp_trio.admin.status import ConfigServerStatus, ProxyStatus
from odp_trio.admin.tls import TlsStatus

COUNTERS = {
    "odp_sessions_accepted": ("accepted", "Client connections accepted."),
    "odp_logins": ("logins", "Logins that succeeded."),
    "odp_statements": ("statements", "Commands answered by a server."),
    "odp_statement_errors": ("statement_errors", "Commands answered with an error."),
    "odp_client_bytes": ("client_bytes", "Bytes received from clients."),
    "odp_server_bytes": ("server_bytes", "Bytes received from OBServers."),
    "odp_server_connects": ("server_connects", "Logins to OBServers tried on behalf of clients."),
    "odp_server_connect_failures": ("server_connect_failures", "Logins to OBServers that failed."),
    "odp_tenant_fetches": ("tenant_fetches", "Tenant routes fetched."),
    "odp_tenant_invalidations": ("tenant_invalidations", "Tenant routes that a server said are stale."),
    "odp_loop_turns": ("loop_turns", "Turns of the reactor."),
    "odp_location_fetches": ("location_fetches", "Questions about locations that were begun."),
    "odp_location_renewals": ("location_renewals", "Those of them that renew a dirty location."),
    "odp_location_dirtied": ("location_dirtied", "Locations that an answer of a server proved wrong."),
    "odp_location_evictions": ("location_evictions", "Tables forgotten because of the bound of the cache."),
    "odp_route_waits": ("route_waits", "Statements that waited for a location."),
    "odp_replays": ("replays", "Commands that brought a server session to its client's state."),
    "odp_reprepares": ("reprepares", "Prepared statements sent to a further server."),
    "odp_statement_cache_misses": ("shape_misses", "Statements that had to be parsed: their shape was new."),
    "odp_statement_cache_evictions": ("shape_evictions", "Statement shapes forgotten."),
}
GAUGES = {
    "odp_uptime_seconds": ("uptime", "Seconds since the proxy started."),
    "odp_draining": ("draining", "1 while the proxy is shutting down."),
    "odp_sessions": ("sessions", "Client sessions now."),
    "odp_sessions_busy": ("busy_sessions", "Client sessions with a statement running."),
    "odp_tenants": ("tenants", "Tenant routes known."),
    "odp_locations": ("locations", "Tables and partitions whose locations are known."),
    "odp_statement_cache_size": ("shapes", "Statement shapes known."),
}


MOST_TENANTS = 1000
"""Tenants that are label values."""

PREPARED_COUNTERS = {
    "odp_prepared_text_hits": ("hits", "COM_STMT_PREPARE with a text that some session has prepared before."),
    "odp_prepared_text_misses": ("misses", "Those with another text."),
    "odp_prepared_text_evictions": ("evictions", "Prepared texts forgotten because of the bounds of their cache."),
}
PREPARED_GAUGES = {
    "odp_prepared_texts": ("entries", "Prepared texts whose facts are shared by all sessions."),
    "odp_prepared_text_bytes": ("size", "Bytes that they take, about."),
}


class StatusCollector(Collector):
    """Reads the status when scraped."""

    def __init__(self, status: Callable[[], ProxyStatus]) -> None:
        self._status = status
        self.routes = RouteTotals({}, ())
        """Counted before each scrape."""

    def collect(self) -> Iterator[Metric]:
        """Yield every family."""
        status = self._status()
        for name, (field, text) in COUNTERS.items():
            yield CounterMetricFamily(name, text, value=getattr(status, field))
        for name, (field, text) in GAUGES.items():
            yield GaugeMetricFamily(name, text, value=float(getattr(status, field)))
        for name, (field, text) in PREPARED_COUNTERS.items():
            yield CounterMetricFamily(name, text, value=getattr(status.prepared_texts, field))
        for name, (field, text) in PREPARED_GAUGES.items():
            yield GaugeMetricFamily(name, text, value=float(getattr(status.prepared_texts, field)))
        yield _by("odp_logins_refused", "Logins refused, by errno.", "errno", status.refused_logins)
        yield _by("odp_server_failures", "What OBServers did wrong to sessions.", "kind", status.server_failures)
        yield _by("odp_failed_statements", "Statements that failed on a server.", "action", status.failed_statements)
        yield _by("odp_session_ends", "Sessions ended, by reason.", "reason", status.ends)
        yield _by("odp_server_session_ends", "Server sessions ended, by reason.", "reason", status.server_ends)
        yield _by(
            "odp_task_restarts", "Restarts of supervised tasks.", "task", {t.path: t.restarts for t in status.tasks}
        )
        yield from _clients(status.clients)
        yield from _tls(status.tls)
        yield from _clusters(status)
        if status.config_server is not None:
            yield from _config_server(status.config_server)
        yield from congestion_metrics(status.congestion, status.probes)
        yield from _own_rules(status)
        yield from _routes(self.routes)


def _by(name: str, text: str, label: str, values: dict[str, int] | dict[int, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([str(key)], value)
    return family


def _clients(clients: ClientsStatus) -> Iterator[Metric]:
    """Tenants that the proxy knows: not what is made up by who tries to log in."""
    yield GaugeMetricFamily("odp_clients", "Clients logged in or logging in.", value=float(clients.clients))
    yield GaugeMetricFamily("odp_clients_limit", "How many there may be; 0: any number.", value=float(clients.limit))
    yield _by("odp_clients_refused", "Clients refused, by the limit that was reached.", "limit", clients.refused)
    yield CounterMetricFamily("odp_clients_displaced", "Idle clients sent away for others.", value=clients.displaced)
    of_tenants = GaugeMetricFamily("odp_tenant_clients", "Clients of a tenant.", labels=["cluster", "tenant"])
    for tenant in [tenant for tenant in clients.tenants if tenant.known][:MOST_TENANTS]:
        of_tenants.add_metric([tenant.cluster, tenant.tenant], float(tenant.clients))
    yield of_tenants


def _tls(tls: TlsStatus) -> Iterator[Metric]:
    """How connections are protected, on both legs."""
    family = GaugeMetricFamily("odp_tls_connections", "Connections, by version of TLS.", labels=["leg", "version"])
    for leg, versions in (("client", tls.clients), ("server", tls.server_sessions)):
        for version, count in sorted(versions.items()):
            family.add_metric([leg, version], float(count))
    yield family


def _own_rules(status: ProxyStatus) -> Iterator[Metric]:
    outcomes = CounterMetricFamily(
        "odp_own_rule", "Rules of one's own, by outcome.", labels=["rule", "mode", "outcome"]
    )
    enabled = GaugeMetricFamily("odp_own_rule_enabled", "0 when a rule was disabled.", labels=["rule", "mode"])
    for rule in status.own_rules:
        for outcome, count in rule.outcomes.items():
            outcomes.add_metric([rule.name, rule.mode, outcome], count)
        enabled.add_metric([rule.name, rule.mode], float(rule.state == "enabled"))
    yield from (outcomes, enabled)


def _clusters(status: ProxyStatus) -> Iterator[Metric]:
    servers = GaugeMetricFamily("odp_cluster_servers", "Known OBServers, by state.", labels=["cluster", "state"])
    failures = GaugeMetricFamily("odp_cluster_refresh_failures", "Failed refreshes in a row.", labels=["cluster"])
    age = GaugeMetricFamily("odp_cluster_age_seconds", "Age of the server list.", labels=["cluster"])
    refreshes = CounterMetricFamily("odp_cluster_refreshes", "Good refreshes.", labels=["cluster"])
    for cluster in status.clusters:
        states = list(cluster.servers.values())
        for state in sorted(set(states)):
            servers.add_metric([cluster.name, state], states.count(state))
        failures.add_metric([cluster.name], cluster.failures)
        refreshes.add_metric([cluster.name], cluster.refreshes)
        if cluster.age is not None:
            age.add_metric([cluster.name], cluster.age)
    yield from (servers, failures, age, refreshes)
    rslists = GaugeMetricFamily(
        "odp_cluster_rslist_age_seconds",
        "Age of the rslist of a cluster of the config server, by where it is from.",
        labels=["cluster", "source"],
    )
    for cluster in status.clusters:
        if cluster.rslist_age is not None:
            rslists.add_metric([cluster.name, cluster.rslist_source], cluster.rslist_age)
    yield rslists


def _config_server(server: ConfigServerStatus) -> Iterator[Metric]:
    yield GaugeMetricFamily("odp_config_server_clusters", "Clusters that it names.", value=float(server.clusters))
    yield GaugeMetricFamily("odp_config_server_failures", "Failures in a row.", value=float(server.failures))
    yield CounterMetricFamily("odp_config_server_polls", "Questions for its clusters.", value=server.polls)
    if server.age is not None:
        yield GaugeMetricFamily(
            "odp_config_server_age_seconds", "Seconds since it named its clusters.", value=server.age
        )
    file = server.file
    yield CounterMetricFamily("odp_rslist_file_writes", "Writes of the local file of rslists.", value=file.writes)
    yield CounterMetricFamily("odp_rslist_file_write_failures", "Writes of it that failed.", value=file.failures)
    yield GaugeMetricFamily(
        "odp_rslist_file_problem", "1: something is wrong with it.", value=float(bool(file.problem))
    )
    if file.age is not None:
        yield GaugeMetricFamily("odp_rslist_file_age_seconds", "Seconds since it was written.", value=file.age)


def _routes(routes: RouteTotals) -> Iterator[Metric]:
    where = ["cluster", "tenant"]
    statements = CounterMetricFamily(
        "odp_route_statements",
        "Statements routed by location, and those of them whose server said that it was the wrong one.",
        labels=[*where, "policy", "outcome"],
    )
    lost = CounterMetricFamily(
        "odp_route_not_computable", "Statements whose partition could not be computed.", labels=where
    )
    for key, total in sorted(routes.tenants.items(), key=lambda item: (item[0].cluster, item[0].tenant)):
        _add_tallies(statements, [key.cluster, key.tenant], total.policies)
        lost.add_metric([key.cluster, key.tenant], total.not_computable)
    tables = CounterMetricFamily(
        "odp_table_statements",
        "The same for the busiest tables.",
        labels=[*where, "database", "table", "policy", "outcome"],
    )
    for table in routes.busiest:
        _add_tallies(tables, [table.cluster, table.tenant, table.database, table.table], table.policies)
    yield from (statements, lost, tables)


def _add_tallies(family: CounterMetricFamily, labels: list[str], policies: dict[str, Tally]) -> None:
    """What missed was routed before, so both only grow: the share of misses is missed / routed."""
    for policy, tally in sorted(policies.items()):
        family.add_metric([*labels, policy, "routed"], tally.routed)
        family.add_metric([*labels, policy, "missed"], tally.missed)


def exposition(status: Callable[[], ProxyStatus]) -> Callable[[RouteTotals], bytes]:
    """Return a function that writes the text format."""
    registry = CollectorRegistry()
    collector = StatusCollector(status)
    registry.register(collector)

    def write(routes: RouteTotals) -> bytes:
        collector.routes = routes
        return generate_latest(registry)

    return write
