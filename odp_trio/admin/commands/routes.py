"""Commands about locations, and about where a statement would go."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Final

from odp_trio.admin.across.rows import ONE, merged, rows_of_all
from odp_trio.admin.commands.command import LIKE, Asked, Command, Rows, Who, nothing, show
from odp_trio.admin.commands.moments import Clock, clock
from odp_trio.admin.explain import ExplainRequest
from odp_trio.errors import ConfigError
from odp_trio.model import LoginName
from odp_trio.session.explaining import explanation_rows
from odp_trio.topology.location import READONLY, Location, TableEntry
from odp_trio.wire.login_name import parse_login_name

_TIMES: Final = (
    "create_time V, last_valid_time V, last_access_time V, last_update_time V, expire_time V, relative_expire_time V"
)
_TABLES: Final = (
    "cluster_name V, tenant_name V, database_name V, table_name V, state V, partition_num L, replica_num L, "
    f"table_id L, cluster_version L, schema_version L, from_rslist V, {_TIMES}, server addr V"
)
_PARTITIONS: Final = (
    f"table_id L, partition_id L, state V, cluster_version L, schema_version L, {_TIMES}, server addr V"
)


def _entries(asked: Asked) -> Iterator[TableEntry | None]:
    """Yield the tables that LIKE admits, of the cluster that the one who asks may see; None for each other one."""
    seen, cluster = asked.killer.everything, asked.killer.cluster
    for entry in chain.from_iterable(asked.proxy.locations.slices()):
        yield entry if (seen or entry.key.cluster == cluster) and asked.like(entry.key.table) else None


def _versions(asked: Asked) -> dict[str, int]:
    return {cluster.name: cluster.refreshes for cluster in asked.proxy.clusters.resources()}


def _tables(asked: Asked) -> Rows:
    times, versions = clock(asked.proxy.services), _versions(asked)
    return (
        None if entry is None else _table_row(entry, times, versions.get(entry.key.cluster, 0))
        for entry in _entries(asked)
    )


def _table_row(entry: TableEntry, times: Clock, version: int) -> tuple[object, ...]:
    key, location = entry.key, entry.location
    replicas = () if location is None else location.replicas
    return (
        *(key.cluster, key.tenant, key.database, key.table),
        "MISSING" if entry.missing else entry.state.value.upper(),
        *(entry.part_num, len(replicas), entry.table_id, version, entry.schema_version, "N"),
        *_times(entry, location, times),
        "" if location is None else _servers(location),
    )


def _times(entry: TableEntry, location: Location | None, times: Clock) -> tuple[str | None, ...]:
    """Return the six times; when an entry was used last is not kept, only whether it was."""
    endless = entry.expires_at == float("inf")
    updated = entry.fetched_at if location is None else location.fetched_at
    return (
        times.at(entry.fetched_at),
        times.at(updated),
        None,
        times.at(updated),
        None if endless else times.at(entry.expires_at),
        None if endless else f"{max(0.0, entry.expires_at - times.now):.1f}",
    )


def _servers(location: Location) -> str:
    return "; ".join(
        f"{replica.address},{'LEADER' if replica.leader else 'FOLLOWER'},"
        f"{'FULL' if not replica.kind else 'READONLY' if replica.kind == READONLY else replica.kind}"
        for replica in location.replicas
    )


def _partitions(asked: Asked) -> Rows:
    times, versions = clock(asked.proxy.services), _versions(asked)
    for entry in _entries(asked):
        if entry is None or not entry.tablets:
            yield None
            continue
        for location in tuple(entry.tablets.values()):
            yield (
                *(entry.table_id, location.tablet_id, location.state.value.upper()),
                *(versions.get(entry.key.cluster, 0), entry.schema_version),
                *_times(entry, location, times),
                _servers(location),
            )


# ---- EXPLAIN ROUTE ------------------------------------------------------------------------


async def _explain(asked: Asked) -> Rows:
    """Explain for the login that is named; without one for the default cluster and tenant."""
    proxy = asked.proxy
    typed = asked.text("login")
    name = LoginName("", None, None)
    if typed is not None:
        name = parse_login_name(typed, proxy.settings().username_separator)
    request = ExplainRequest(
        sql=asked.arguments["statement"],
        user=name.user,
        tenant=name.tenant or "",
        cluster=name.cluster or "",
        database=asked.text("database") or "",
    )
    if not asked.killer.everything and (request.cluster or asked.killer.cluster) != asked.killer.cluster:
        raise ConfigError(f"cluster {request.cluster!r} is not the one that this session is logged in to")
    explained = await proxy.explain(request)
    head = [("tenant", f"{explained.key.tenant}#{explained.key.cluster}"), ("user", request.user)]
    return [*head, *explanation_rows(explained.explanation)]


_ENTRIES: Final = rows_of_all(
    merged("cluster_name, tenant_name, database_name, table_name", newest="last_update_time"),
    "each table once, as the worker has it that asked last",
)
_TABLETS: Final = rows_of_all(
    merged("table_id, partition_id, server addr", newest="last_update_time"), "each partition once"
)

COMMANDS: Final[tuple[Command, ...]] = (
    show(
        f"SHOW PROXYROUTE {LIKE}",
        _TABLES,
        _tables,
        "the tables whose place is known; LIKE is about their names",
        across=_ENTRIES,
    ),
    show(
        "SHOW PROXYROUTE PARTITION",
        _PARTITIONS,
        _partitions,
        "the partitions whose place is known, by tablet",
        across=_TABLETS,
    ),
    nothing(f"SHOW PROXYROUTE ROUTINE {LIKE}", "routines are routed like statements without a table"),
    nothing("SHOW PROXYROUTE GLOBALINDEX", "statements are routed by their table, not by its global indexes"),
    show(
        "EXPLAIN ROUTE FOR 'login' [DATABASE 'database'] statement",
        "item V, value V",
        _explain,
        "where a statement would go and why, for a login such as `'app@shop#demo'`",
        across=ONE,
        own=True,
    ),
    show(
        "EXPLAIN ROUTE statement",
        "item V, value V",
        _explain,
        "the same; in a session of a cluster for that session, in one of `root@proxysys` for the default login",
        across=ONE,
        who=Who.EVERYBODY,
        own=True,
    ),
)
