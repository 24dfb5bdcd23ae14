"""How the records of workers are folded: one table a record, one line a field.

What counts, adds up.  Of what each worker knows by itself (clusters, lists of servers) the worst is shown: what is
degraded in one worker is degraded.  What each worker has got of its own (locations, shapes of statements) adds up too:
it is what memory holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from odp_trio.admin.across.folding import (
    Fold,
    Folds,
    by,
    counted,
    digits,
    distinct,
    every,
    first,
    joined,
    known,
    largest,
    least,
    of_worst,
    record,
    said,
)
from odp_trio.admin.congestion import RecentChange
from odp_trio.admin.routes import BUSIEST, RouteTotals, TableRoutes
from odp_trio.admin.status import ClusterStatus

# ---- lists of servers ---------------------------------------------------------------------

_SERVER_LISTS: Final = {
    "cluster_name": first,
    "zone_name": first,
    "region_name": first,
    "zone_state": first,
    "server_ip": first,
    "server_state": first,
    "listed": said,
    "reason": said,
    "alive_congested": any,
    "last_alive_congested": least,
    "dead_congested": any,
    "last_dead_congested": least,
    "forced_congested": any,
    "detect_congested": any,
    "last_detect_congested": least,
    "stat_alive_failures": sum,
    "stat_conn_failures": sum,
    "alive_failure_events": sum,
    "alive_last_fail_time": least,
    "failed_probes": largest,
    "trial": any,
    "waits": any,
}
congestion: Final = by(
    record(
        {
            "cluster": first,
            "servers": by(record(_SERVER_LISTS), "server_ip"),
            "network_lost": any,
            "network_lost_for": largest,
            "network_lost_reason": said,
            "network_losses": sum,
            "waiting": sum,
            "changes": counted,
        }
    ),
    "cluster",
)


def newest_changes(most: int | None = None) -> Fold:
    """Return how lists of changes are folded: the newest first, at most so many."""

    def fold(values: Sequence[Iterable[RecentChange]]) -> list[RecentChange]:
        return sorted(every(values), key=lambda change: change.ago)[:most]

    return fold


# ---- the status ---------------------------------------------------------------------------


def _staleness(cluster: ClusterStatus) -> tuple[bool, float]:
    """Return how bad it is what a worker knows of a cluster."""
    return cluster.age is None, cluster.age or 0.0


_clusters = by(
    of_worst(
        _staleness,
        {
            "servers": lambda values: (
                {server: state for servers in reversed(values) for server, state in servers.items()}
                if all(values)
                else {}
            ),
            "refreshes": sum,
            "failures": largest,
            "last_failure": said,
            "rslist_age": largest,
            "rslist_failure": said,
            "rebuilding": said,
        },
    ),
    "name",
)
_BAD: Final = ("running", "starting", "stopped", "backing_off")


def worst_state(values: Sequence[str]) -> str:
    """Return the state of a task that is in several states at once."""
    return max(values, key=lambda state: _BAD.index(state) if state in _BAD else len(_BAD))


_tasks = by(record({"path": first, "state": worst_state, "restarts": sum, "last_error": said}), "path")
_own_rules = by(
    record(
        {
            "name": first,
            "mode": first,
            "state": lambda values: next((state for state in values if state != "enabled"), "enabled"),
            "disabled": said,
            "last_error": said,
            "outcomes": counted,
        }
    ),
    "name",
    "mode",
)
_file = record(
    {
        "path": first,
        "writer": any,
        "age": least,
        "writes": sum,
        "failures": sum,
        "problem": said,
        "refused": said,
    }
)
_config_server = known(
    record(
        {
            "url": first,
            "clusters": largest,
            "version": said,
            "polls": sum,
            "failures": largest,
            "last_failure": said,
            "age": largest,
            "usable": all,
            "file": _file,
        }
    )
)
_tls = record(
    {
        "offered": all,
        "forced": any,
        "server": first,
        "loads": sum,
        "problem": said,
        "clients": counted,
        "server_sessions": counted,
    }
)
_tenants = by(
    record({"cluster": first, "tenant": first, "clients": sum, "limit": largest, "known": any}), "cluster", "tenant"
)
_users = by(
    record({"cluster": first, "tenant": first, "user": first, "clients": sum, "limit": largest}),
    "cluster",
    "tenant",
    "user",
)
_clients = record(
    {
        "clients": sum,
        "limit": sum,
        "policy": first,
        "refused": counted,
        "displaced": sum,
        "tenants": _tenants,
        "users": _users,
    }
)
_prepared_texts = record(dict.fromkeys(("entries", "size", "hits", "misses", "evictions"), sum))
_COUNTED: Final = (
    "sessions", "busy_sessions", "accepted", "logins", "statements", "statement_errors", "client_bytes",
    "server_bytes", "server_connects", "server_connect_failures", "tenant_fetches", "tenant_invalidations", "tenants",
    "loop_turns", "location_fetches", "location_renewals", "location_dirtied", "locations", "location_evictions",
    "route_waits", "replays", "reprepares", "shapes", "shape_misses", "shape_evictions",
)  # fmt: skip
_BY_LABEL: Final = ("refused_logins", "ends", "server_ends", "server_failures", "failed_statements", "probes")

STATUS: Final[Folds] = {
    **dict.fromkeys(_COUNTED, sum),
    **dict.fromkeys(_BY_LABEL, counted),
    "version": joined,
    "addresses": distinct,
    "uptime": largest,
    "draining": any,
    "reactor": joined,
    "clusters": _clusters,
    "tasks": _tasks,
    "own_rules": _own_rules,
    "congestion": congestion,
    "config_server": _config_server,
    "tls": _tls,
    "clients": _clients,
    "prepared_texts": _prepared_texts,
    "workers": sum,
    "missing_workers": distinct,
}
status: Final = record(STATUS)


# ---- what was measured --------------------------------------------------------------------

times: Final = record({"counts": digits, "seconds": sum})
_statements = by(
    record(
        {
            **dict.fromkeys(("cluster", "tenant", "kind", "route"), first),
            **dict.fromkeys(
                ("statements", "errors", "missed", "total_seconds", "server_seconds", "proxy_seconds"), sum
            ),
        }
    ),
    "cluster",
    "tenant",
    "kind",
    "route",
)
_tenant_times = by(
    record({"cluster": first, "tenant": first, "total": times, "server": times, "proxy": times}), "cluster", "tenant"
)
_traffic = by(
    record({"cluster": first, "tenant": first, "from_clients": sum, "from_servers": sum}), "cluster", "tenant"
)
_server_sessions = by(record({"cluster": first, "server": first, "sessions": sum}), "cluster", "server")
MEASUREMENTS: Final[Folds] = {
    "statements": _statements,
    "times": _tenant_times,
    "traffic": _traffic,
    "server_sessions": _server_sessions,
    "records": counted,
    "loop_lag": times,
    "loop_events": sum,
    "loop_errors": sum,
    "refresh_interval": largest,
    "workers": every,
    "log_warnings": counted,
    "log_lines_lost": counted,
}
measurements: Final = record(MEASUREMENTS)


def process(values: Sequence[dict[str, float]]) -> dict[str, float]:
    """Fold what the system says of processes; the eldest says when they were started."""
    sums = counted(values)
    if starts := [one[_START] for one in values if _START in one]:
        sums[_START] = min(starts)
    return sums


_START: Final = "process_start_time_seconds"


# ---- routes -------------------------------------------------------------------------------

_tally = record({"routed": sum, "missed": sum})


def _policies(values: Sequence[dict[str, object]]) -> dict[str, object]:
    names = dict.fromkeys(name for policies in values for name in policies)
    return {name: _tally([policies[name] for policies in values if name in policies]) for name in names}


_table = record(
    {
        **dict.fromkeys(("cluster", "tenant", "database", "table"), first),
        **dict.fromkeys(("routed", "missed", "not_computable"), sum),
        "policies": _policies,
        "partitions": largest,
        "state": first,
    }
)
_tables = by(_table, "cluster", "tenant", "database", "table")
_tenant_routes = record({"policies": _policies, "not_computable": sum})


def busiest(most: int) -> Fold:
    """Return how lists of tables are folded: the busiest first, at most so many."""

    def fold(values: Sequence[Iterable[TableRoutes]]) -> tuple[TableRoutes, ...]:
        return tuple(sorted(_tables(values), key=lambda table: -table.routed)[:most])

    return fold


def most_missed(most: int) -> Fold:
    """Return the same, those with the most misroutes first."""

    def fold(values: Sequence[Iterable[TableRoutes]]) -> tuple[TableRoutes, ...]:
        return tuple(sorted(_tables(values), key=lambda table: -table.missed)[:most])

    return fold


def routes(values: Sequence[RouteTotals]) -> RouteTotals:
    """Fold how statements fared."""
    keys = dict.fromkeys(key for totals in values for key in totals.tenants)
    tenants = {key: _tenant_routes([one.tenants[key] for one in values if key in one.tenants]) for key in keys}
    return RouteTotals(tenants, busiest(BUSIEST)([totals.busiest for totals in values]))
