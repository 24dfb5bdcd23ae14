"""Commands about clusters: their rslists, resources, IDCs, lists of servers that are refused."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Final

from odp_trio.admin.across.rows import EACH, merged, rows_of_all
from odp_trio.admin.commands.command import LIKE, Asked, Command, Rows, nothing, order, show
from odp_trio.admin.commands.moments import clock
from odp_trio.admin.congestion import ClusterCongestion, congestion_status
from odp_trio.errors import NoSuchEntry, NotAllowed
from odp_trio.routing.ldc import measure
from odp_trio.session.reasons import End
from odp_trio.topology.cluster import ClusterResource
from odp_trio.topology.rslist import METADB

_CONGESTION: Final = (
    "cluster_name V, zone_name V, region_name V, zone_state V, server_ip V, cr_version L, server_state V, "
    "alive_congested L, last_alive_congested V, dead_congested L, last_dead_congested V, stat_alive_failures L, "
    "stat_conn_failures L, conn_last_fail_time V, conn_failure_events L, alive_last_fail_time V, "
    "alive_failure_events L, ref_count L, detect_congested L, last_detect_congested V"
)
_RESOURCE: Final = (
    "cluster_name V, cluster_id L, state V, version L, ref_count L, last_access_time_ns L, last_access_time V, "
    "deleting_completed_thread_num L, fetch_rs_list_task_count L, last_fetch_rs_list_time_ns L, "
    "last_fetch_rs_list_time V, fetch_idc_list_task_count L, last_fetch_idc_list_time_ns L, last_fetch_idc_list_time V"
)


def _resources(asked: Asked) -> list[ClusterResource]:
    """Return the clusters that LIKE admits and the one who asks may see."""
    return [
        cluster
        for cluster in asked.proxy.clusters.resources()
        if asked.like(cluster.name) and (asked.killer.everything or asked.killer.cluster == cluster.name)
    ]


def _rslists(asked: Asked) -> Rows:
    return chain.from_iterable(_rslist(asked, cluster) for cluster in _resources(asked))


def _rslist(asked: Asked, cluster: ClusterResource) -> Iterator[tuple[object, ...]]:
    """Yield one row a server of the rslist; who leads is known of those that the config server named."""
    url = config_server_url(asked)
    entry, _ = asked.proxy.clusters.entry_of(cluster.name)
    head = (cluster.name, cluster.cluster_id, url)
    subs = () if entry is None else entry.rslist.clusters
    sub = next((one for one in subs if one.cluster_id == (cluster.cluster_id or 0) or len(subs) == 1), None)
    if sub is None:
        yield from ((*head, str(address), "", "FULL") for address in cluster.rslist)
        return
    leader = sub.servers[0] if sub.servers else None
    yield from ((*head, str(address), "LEADER" if address == leader else "FOLLOWER", "FULL") for address in sub.servers)
    yield from ((*head, str(address), "FOLLOWER", "READONLY") for address in sub.readonly)


def config_server_url(asked: Asked) -> str:
    """Return the config server's URL without what may be secret in it; empty without one."""
    directory = asked.proxy.clusters.directory
    return "" if directory is None else directory.server.shown_url


def _idcs(asked: Asked) -> Rows:
    url = config_server_url(asked)
    for cluster in _resources(asked):
        known = {zone.idc: zone.region for zone in cluster.zones.values() if zone.idc} | dict(cluster.idcs)
        for idc, region in sorted(known.items()):
            yield cluster.name, cluster.cluster_id, url, idc, region


def _servers(asked: Asked) -> Rows:
    now = clock(asked.proxy.services).now
    for cluster in _resources(asked):
        age = None if cluster.refreshed_at is None else f"{now - cluster.refreshed_at:.1f}"
        for server in tuple(cluster.servers.values()):
            zone = cluster.zones.get(server.zone)
            place = (server.zone, zone.region, zone.idc) if zone is not None else (server.zone, "", "")
            yield cluster.name, cluster.version, str(server.address), *place, server.state.value, age
        if not cluster.servers:
            yield cluster.name, cluster.version, None, None, None, None, cluster.last_failure, age


def _resource_rows(asked: Asked) -> Rows:
    clusters = asked.proxy.clusters
    times = clock(asked.proxy.services)
    users: dict[str, int] = {}
    for session in tuple(asked.proxy.sessions.table.values()):
        if session.destination is not None:
            users[session.destination.key] = users.get(session.destination.key, 0) + 1
    for cluster in _resources(asked):
        used = clusters.used_at(cluster.name)
        entry, _ = clusters.entry_of(cluster.name)
        state = "CR_REBUILDING" if clusters.rebuilding(cluster.name) else "CR_AVAIL" if cluster.available else "CR_INIT"
        fetched = None if entry is None else times.now - (times.wall - entry.had_at)
        yield (
            *(cluster.name, cluster.cluster_id, state, cluster.refreshes, users.get(cluster.name, 0)),
            *(times.nanoseconds(used), times.at(used), 0),
            *(0, times.nanoseconds(fetched), times.at(fetched)),
            *(0, None, None),
        )


async def _delete(asked: Asked) -> None:
    name = asked.arguments["cluster"]
    clusters = asked.proxy.clusters
    cluster = clusters.find(name)
    if name == METADB or cluster is None or not (asked.killer.everything or asked.killer.cluster == name):
        raise NoSuchEntry(f"there is no cluster resource {name!r}")
    if clusters.is_configured(name):
        raise NotAllowed(f"cluster {name!r} is one of the settings: it stays as long as they name it")
    for session in tuple(asked.proxy.sessions.table.values()):
        if session.destination is not None and session.destination.key == name and session is not asked.session:
            session.end(End.KILLED, f"with its cluster resource, by {asked.by}")
    await clusters.delete(name, f"deleted by {asked.by}")


def _nearness(asked: Asked) -> Rows:
    idc = asked.proxy.settings().proxy_idc_name
    for cluster in _resources(asked):
        scoped = asked.proxy.settings().scoped(cluster.name, "", "").proxy_idc_name
        near = measure(scoped, cluster.servers, cluster.zones, cluster.idcs)
        by_letter: dict[str, dict[str, None]] = {"A": {}, "B": {}, "C": {}}
        regions: dict[str, None] = {}
        for address, server in cluster.servers.items():
            zone = cluster.zones.get(server.zone)
            if zone is None:
                continue
            letter = near.of(address)
            by_letter[letter][zone.idc or zone.name] = None
            if letter != "C" and near.matched:
                regions[zone.region] = None
        words = [", ".join(by_letter[letter]) for letter in "ABC"]
        yield scoped or idc, cluster.name, near.matched or "NOT_MATCHED", ", ".join(regions), *words


# ---- lists of servers -------------------------------------------------------------------


def _congestion(asked: Asked) -> Rows:
    return _congestion_rows(asked, everything=False)


def _all_congestion(asked: Asked) -> Rows:
    return _congestion_rows(asked, everything=True)


def _congestion_rows(asked: Asked, *, everything: bool) -> Rows:
    named = asked.text("cluster")
    times = clock(asked.proxy.services)
    clusters = [cluster for cluster in _resources(asked) if named is None or cluster.name == named]
    versions = {cluster.name: cluster.refreshes for cluster in clusters}
    for found in congestion_status(asked.proxy.views.congestion, clusters, times.now):
        yield from congestion_rows(found, versions[found.cluster], times.ago, everything=everything)


def congestion_rows(
    found: ClusterCongestion, version: int, ago: object, *, everything: bool
) -> Iterator[tuple[object, ...]]:
    """Yield a cluster's servers as ODP shows them, those that are on a list or all."""
    assert callable(ago)
    for server in found.servers:
        if not (everything or server.listed):
            continue
        connecting = server.stat_conn_failures > 0
        yield (
            *(server.cluster_name, server.zone_name, server.region_name, server.zone_state, server.server_ip),
            *(version, server.server_state),
            *(server.alive_congested, ago(server.last_alive_congested)),
            *(server.dead_congested, ago(server.last_dead_congested)),
            *(server.stat_alive_failures, server.stat_conn_failures),
            *(ago(server.alive_last_fail_time) if connecting else None, server.stat_conn_failures),
            *(ago(server.alive_last_fail_time), server.alive_failure_events, 0),
            *(server.detect_congested, ago(server.last_detect_congested)),
        )


# ---- several workers ----------------------------------------------------------------------

_CLUSTERS: Final = rows_of_all(merged("cluster_name, cluster_id, root_addr"), "each row once")
_IDCS: Final = rows_of_all(merged("cluster_name, cluster_id, idc"), "each row once")
_SERVERS: Final = rows_of_all(merged("cluster_name, server_addr"), "each server once")
_RESOURCES: Final = rows_of_all(
    merged(
        "cluster_name, cluster_id",
        newest="last_access_time_ns",
        added="ref_count",
        largest="version, last_fetch_rs_list_time_ns, last_fetch_rs_list_time",
    ),
    "each resource once; clients add up",
)
_NEAR: Final = rows_of_all(merged("cluster_name"), "each cluster once")
_LISTS: Final = rows_of_all(
    merged(
        "cluster_name, server_ip",
        largest="alive_congested, last_alive_congested, dead_congested, last_dead_congested, conn_last_fail_time, "
        "alive_last_fail_time, detect_congested, last_detect_congested, cr_version",
        added="stat_alive_failures, stat_conn_failures, conn_failure_events, alive_failure_events",
    ),
    "each server once: it is on a list if it is in one worker; failures add up",
)

COMMANDS: Final[tuple[Command, ...]] = (
    show(
        f"SHOW PROXYCLUSTER {LIKE}",
        "cluster_name V, cluster_id L, rs_url V, root_addr V, role V, replica_type V",
        _rslists,
        "the clusters that are held, one row a server of the rslist",
        across=_CLUSTERS,
    ),
    show(
        f"SHOW PROXYCLUSTER IDC {LIKE}",
        "cluster_name V, cluster_id L, idc_url V, idc V, region V",
        _idcs,
        "the IDCs of clusters, and their regions",
        across=_IDCS,
    ),
    show(
        f"SHOW PROXYSERVER {LIKE}",
        "cluster_name V, cluster_version V, server_addr V, zone_name V, region_name V, idc V, server_state V, age V",
        _servers,
        "the OBServers of clusters; `age` is seconds since the list was confirmed",
        across=_SERVERS,
        own=True,
    ),
    show(
        f"SHOW PROXYRESOURCE {LIKE}",
        _RESOURCE,
        _resource_rows,
        "cluster resources: `version` counts their refreshes, `ref_count` their clients",
        across=_RESOURCES,
    ),
    order(
        "ALTER PROXYRESOURCE DELETE 'cluster'",
        _delete,
        "drop a cluster that the config server named, end its clients; the next login makes it anew",
        across=EACH,
    ),
    show(
        "SHOW PROXYINFO IDC",
        "global_idc_name V, cluster_name V, match_type V, regions_name V, same_idc V, same_region V, other_region V",
        _nearness,
        "which IDCs are near the proxy, for every cluster",
        across=_NEAR,
    ),
    show(
        "SHOW PROXYCONGESTION ['cluster']",
        _CONGESTION,
        _congestion,
        "servers that are refused at the moment",
        across=_LISTS,
    ),
    show(
        "SHOW PROXYCONGESTION ALL ['cluster']", _CONGESTION, _all_congestion, "the same of all servers", across=_LISTS
    ),
    nothing("SHOW PROXYVIP ['name']", "clients are told apart by cluster and tenant of their login, not by address"),
)
