"""The table of metrics: every family with its type, its labels and a sentence.  docs/metrics.md is made from it.

Labels have bounded sets of values: closed lists, what is configured, servers and tenants that are known, or the busiest.
"""

from __future__ import annotations

from typing import Final

import msgspec

from odp_trio.observe import PROXY, ROUTES


class Family(msgspec.Struct, frozen=True):
    """One family.  ``name`` is what Prometheus knows it by, without the suffixes of its samples but for ``_total``."""

    name: str
    kind: str
    """counter, gauge, histogram."""
    text: str
    labels: tuple[str, ...] = ()
    odp: str = ""
    """What it is in ODP."""


_WHERE: Final = ("cluster", "tenant")
_STATEMENT: Final = (*_WHERE, "kind", "route")


def _counter(name: str, text: str, *labels: str, odp: str = "") -> Family:
    return Family(f"{name}_total", "counter", text, labels, odp)


def _gauge(name: str, text: str, *labels: str, odp: str = "") -> Family:
    return Family(name, "gauge", text, labels, odp)


def _histogram(name: str, text: str, *labels: str, odp: str = "") -> Family:
    return Family(name, "histogram", text, labels, odp)


SECTIONS: Final[dict[str, tuple[Family, ...]]] = {
    "Statements": (
        _counter("odp_tenant_statements", "Statements answered, by tenant, kind and route.", *_STATEMENT, odp="odp_sql_request_total"),
        _counter("odp_tenant_statement_errors", "Those of them that were answered with an error.", *_STATEMENT, odp='odp_sql_request_total{sqlResult="fail"}'),
        _counter("odp_tenant_misrouted_statements", "Those of them whose server said that it was the wrong one.", *_STATEMENT, odp='odp_sql_request_total{partitionHit="false"}'),
        _counter("odp_tenant_statement_time_seconds", "What they took together: in all, on servers up to the first byte of the answer, in the proxy.", *_STATEMENT, "part", odp="odp_sql_cost_total"),
        _histogram("odp_statement_seconds", "What a statement took, from its arrival to the last byte of its answer.", *_WHERE),
        _histogram("odp_statement_server_seconds", "What its server took, from when it was sent to the first byte of the answer.", *_WHERE),
        _histogram("odp_statement_proxy_seconds", "What the proxy took: before it was sent (a look-up and a new connection included), and for the last bytes of the answer.", *_WHERE),
        _counter("odp_tenant_bytes", "Bytes received for a tenant: from its clients, from its servers.", *_WHERE, "source", odp="odp_request_byte"),
        _counter("odp_statements", "Commands answered by a server."),
        _counter("odp_statement_errors", "Commands answered with an error."),
        _counter("odp_failed_statements", "Statements that failed on a server, by what became of them.", "action"),
        _counter("odp_statement_records", "Records of statements that were given to the logs, by why.", "wanted"),
        _counter("odp_client_bytes", "Bytes received from clients."),
        _counter("odp_server_bytes", "Bytes received from OBServers."),
    ),
    "Sessions": (
        _gauge("odp_sessions", "Client sessions now.", odp='odp_current_session{sessionType="client"}'),
        _gauge("odp_sessions_busy", "Client sessions with a statement running."),
        _gauge("odp_server_sessions", "Connections to an OBServer for clients.", "cluster", "server", odp='odp_current_session{sessionType="server"}'),
        _gauge("odp_clients", "Clients logged in or logging in."),
        _gauge("odp_clients_limit", "How many there may be; 0: any number."),
        _gauge("odp_tenant_clients", "Clients of a tenant.", *_WHERE),
        _counter("odp_sessions_accepted", "Client connections accepted."),
        _counter("odp_logins", "Logins that succeeded.", odp='odp_new_client_connections{connectionResult="success"}'),
        _counter("odp_logins_refused", "Logins refused, by errno.", "errno", odp='odp_new_client_connections{connectionResult="fail"}'),
        _counter("odp_clients_refused", "Clients refused, by the limit that was reached.", "limit"),
        _counter("odp_clients_displaced", "Idle clients sent away for others."),
        _counter("odp_session_ends", "Sessions ended, by reason.", "reason"),
        _counter("odp_server_session_ends", "Server sessions ended, by reason.", "reason"),
        _gauge("odp_tls_connections", "Connections, by version of TLS.", "leg", "version"),
    ),
    "Servers": (
        _counter("odp_server_connects", "Logins to OBServers tried on behalf of clients."),
        _counter("odp_server_connect_failures", "Logins to OBServers that failed."),
        _counter("odp_server_failures", "What OBServers did wrong to sessions.", "kind"),
        _gauge("odp_congested_servers", "Servers on a list.", "cluster", "list"),
        _counter("odp_congestion_changes", "Servers put on a list, and taken off it.", "cluster", "list", "change"),
        _gauge("odp_congestion_waiting", "Changes of lists that wait for their turn.", "cluster"),
        _gauge("odp_network_lost", "1 while all servers of a cluster fail: it is our network.", "cluster"),
        _counter("odp_network_losses", "How often that was so.", "cluster"),
        _counter("odp_probes", "Probes of servers, by result.", "result"),
    ),
    "Routing": (
        _counter("odp_route_statements", "Statements routed by location, and those of them whose server said that it was the wrong one.", *_WHERE, "policy", "outcome"),
        _counter("odp_route_not_computable", "Statements whose partition could not be computed.", *_WHERE),
        _counter("odp_table_statements", "The same for the busiest tables.", *_WHERE, "database", "table", "policy", "outcome"),
        _gauge("odp_locations", "Tables and partitions whose locations are known.", odp="odp_entry_total"),
        _counter("odp_location_fetches", "Questions about locations that were begun."),
        _counter("odp_location_renewals", "Those of them that renew a dirty location."),
        _counter("odp_location_dirtied", "Locations that an answer of a server proved wrong."),
        _counter("odp_location_evictions", "Tables forgotten because of the bound of the cache."),
        _counter("odp_route_waits", "Statements that waited for a location."),
        _counter("odp_own_rule", "Rules of one's own, by outcome.", "rule", "mode", "outcome"),
        _gauge("odp_own_rule_enabled", "0 when a rule was disabled.", "rule", "mode"),
    ),
    "Session state": (
        _counter("odp_replays", "Commands that brought a server session to its client's state."),
        _counter("odp_reprepares", "Prepared statements sent to a further server."),
        _gauge("odp_statement_cache_size", "Statement shapes known."),
        _counter("odp_statement_cache_misses", "Statements that had to be parsed: their shape was new."),
        _counter("odp_statement_cache_evictions", "Statement shapes forgotten."),
        _gauge("odp_prepared_texts", "Prepared texts whose facts are shared by all sessions."),
        _gauge("odp_prepared_text_bytes", "Bytes that they take, about."),
        _counter("odp_prepared_text_hits", "COM_STMT_PREPARE with a text that some session has prepared before."),
        _counter("odp_prepared_text_misses", "Those with another text."),
        _counter("odp_prepared_text_evictions", "Prepared texts forgotten because of the bounds of their cache."),
    ),
    "Clusters, and how old is what is known of them": (
        _gauge("odp_cluster_servers", "Known OBServers, by state.", "cluster", "state"),
        _gauge("odp_cluster_age_seconds", "Age of the server list.", "cluster"),
        _gauge("odp_cluster_refresh_interval_seconds", "How often it is fetched: server_state_refresh_interval."),
        _counter("odp_cluster_refreshes", "Good refreshes.", "cluster"),
        _gauge("odp_cluster_refresh_failures", "Failed refreshes in a row.", "cluster"),
        _gauge("odp_cluster_rslist_age_seconds", "Age of the rslist of a cluster of the config server, by where it is from.", "cluster", "source"),
        _gauge("odp_tenants", "Tenant routes known."),
        _counter("odp_tenant_fetches", "Tenant routes fetched."),
        _counter("odp_tenant_invalidations", "Tenant routes that a server said are stale."),
        _gauge("odp_config_server_clusters", "Clusters that the config server names."),
        _gauge("odp_config_server_failures", "Failures in a row to ask it."),
        _counter("odp_config_server_polls", "Questions for its clusters."),
        _gauge("odp_config_server_age_seconds", "Seconds since it named its clusters."),
        _counter("odp_rslist_file_writes", "Writes of the local file of rslists."),
        _counter("odp_rslist_file_write_failures", "Writes of it that failed."),
        _gauge("odp_rslist_file_problem", "1: something is wrong with it."),
        _gauge("odp_rslist_file_age_seconds", "Seconds since it was written."),
    ),
    "The process": (
        _gauge("odp_worker_info", "Always 1: version of the proxy, number of the worker, its process, how many have served before it, how sockets are served.", "version", "worker", "pid", "generation", "reactor"),
        _gauge("odp_workers", "Workers of this proxy: those that these numbers are of, and those that did not answer.", "state"),
        _gauge("odp_uptime_seconds", "Seconds since the proxy started."),
        _gauge("odp_draining", "1 while the proxy is shutting down."),
        _counter("odp_task_restarts", "Restarts of supervised tasks.", "task"),
        _histogram("odp_loop_lag_seconds", "How much later than wanted the event loop served a timer, looked at four times a second."),
        _counter("odp_log_warnings", "Lines of the log of level WARN and above.", "level"),
        _counter("odp_log_lines_lost", "Lines and records of the logs that were not written, by why.", "why"),
        _counter("odp_loop_turns", "Turns of the reactor."),
        _counter("odp_loop_events", "Events of sockets that it served."),
        _counter("odp_loop_errors", "Errors in that: bugs, each of which ended a session."),
        _counter("process_cpu_seconds", "Total user and system CPU time spent in seconds."),
        _gauge("process_resident_memory_bytes", "Resident memory size in bytes."),
        _gauge("process_virtual_memory_bytes", "Virtual memory size in bytes."),
        _gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds."),
        _gauge("process_open_fds", "Number of open file descriptors."),
        _gauge("process_max_fds", "Maximum number of open file descriptors."),
    ),
}  # fmt: skip
FAMILIES: Final = {family.name: family for families in SECTIONS.values() for family in families}
LABELS: Final = {
    "action": "`retry elsewhere`, `close` …: [failover](failover.md)",
    "change": "`put`, `taken`: of a server, on the list and off it",
    "cluster": "name of a cluster that is configured or that somebody has logged in to; empty: those that had no room",
    "database": "of a table, one of the 50 busiest",
    "errno": "MySQL error number",
    "generation": "0 for the first process, one more at each hot upgrade",
    "kind": "of a statement: `select`, `insert` …, for a command without text its name: `ping`, `stmt_prepare` …; of a failure: `connect`, `lost` …",
    "level": "of a line of the log: `WARNING`, `ERROR`, `CRITICAL`",
    "leg": "`client`, `server`",
    "limit": "`proxy`, `tenant`, `user`",
    "list": "a list of [congestion](congestion.md)",
    "mode": "`active`, `shadow`",
    "outcome": "`routed` and, of these, `missed`; of a rule of one's own: [own rules](own-rules.md)",
    "part": "`total`, `server`, `proxy`",
    "pid": "number of the process",
    "policy": "a route policy, or `leader`",
    "reactor": "`inside`, `nested`",
    "reason": "why a connection ended: [ends](ends.md)",
    "result": "of a probe",
    "route": "how a server was chosen: see below",
    "rule": "name of a rule of one's own",
    "server": "`ip:port` of an OBServer",
    "source": "where bytes came from: `clients`, `servers`; where an rslist is from",
    "state": "of an OBServer in its cluster's list; of a worker: `answering`, `missing`",
    "table": "one of the 50 busiest",
    "task": "path of a supervised task; those of clusters are named after them",
    "tenant": "name of a tenant that somebody has logged in to; empty: those that had no room",
    "version": "of the proxy, or of TLS",
    "why": "`dropped`: the queue was full, `over_budget`: beyond syslog_io_bandwidth_limit or statement_lines_per_second, `failed`: the file could not be written, `repeated`: it had been said too often",
    "wanted": "`slow`, `failed`, `sampled`",
    "worker": "number of the worker, from 0",
}
"""What the values of labels are."""


def render_metrics() -> str:
    """Return the tables of docs/metrics.md."""
    lines: list[str] = []
    for section, families in SECTIONS.items():
        lines += [f"### {section}", "", "| metric | type | labels | | in ODP |", "|---|---|---|---|---|"]
        for family in families:
            labels = ", ".join(f"`{label}`" for label in family.labels)
            odp = f"`{family.odp}`" if family.odp else ""
            lines.append(f"| `{family.name}` | {family.kind} | {labels} | {family.text} | {odp} |")
        lines.append("")
    return "\n".join(lines).rstrip()


def render_labels() -> str:
    """Return the table of labels."""
    rows = [f"| `{label}` | {text} |" for label, text in LABELS.items()]
    return "\n".join(["| label | values |", "|---|---|", *rows])


MEANINGS: Final = {
    "leader": "by location, to the leader",
    "replica": "by location, to a replica: weak reads, or the leader cannot be used",
    "bound": "where the session must go: its transaction, its cursor, its locks, what the statement before made",
    "named": "to a server that somebody has named: a comment, a setting, another server",
    "own_rule": "by a rule of one's own",
    "unlocated": "without a location: to the server used last, or one of the tenant's",
    "forced": "every server was refused, and the least bad one was taken",
    "proxy": "to none: the proxy has answered",
}
"""Of the values of ``route``."""


def render_routes() -> str:
    """Return the table of routes: what they mean, and the rules that come to them."""
    lines = ["| route | | rules |", "|---|---|---|"]
    for route, meaning in MEANINGS.items():
        rules = ", ".join(f"`{rule}`" for rule, to in ROUTES.items() if to == route and rule != PROXY)
        lines.append(f"| `{route}` | {meaning} | {rules} |")
    return "\n".join(lines)
