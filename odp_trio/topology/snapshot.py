"""What the routing of a proxy stands on, as one JSON file: clusters, tenants, tables, the settings of routing.

No secret is in it, and no row of a user's table; bounds of partitions are.
``restore`` makes of it what a live proxy has, so that the same rules can be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from odp_trio.config.options import ClusterSettings, Settings, options
from odp_trio.config.settings import read_option
from odp_trio.config.values import write_capacity
from odp_trio.errors import BadAddress, ConfigError
from odp_trio.model import Address, TenantKey
from odp_trio.topology.cluster import ClusterResource, Server, ServerState, Zone
from odp_trio.topology.congestion import NO_REFUSALS, Listed, Refusals
from odp_trio.topology.location import FULL, Location, Replica, TableEntry, TableKey
from odp_trio.topology.location_table import Locations
from odp_trio.topology.partitioning_record import PartitioningRecord, restore_partitioning, write_partitioning
from odp_trio.topology.tenant import EntryState, TenantRoute

FORMAT: Final = 1
OPTIONS: Final = (
    "proxy_idc_name",
    "proxy_route_policy",
    "proxy_primary_zone_name",
    "target_db_server",
    "server_routing_mode",
    "enable_primary_zone",
    "enable_cached_server",
    "enable_partition_table_route",
    "enable_read_write_split",
    "enable_transaction_split",
    "enable_transaction_internal_routing",
    "enable_async_pull_location_cache",
    "obproxy_read_consistency",
    "request_buffer_length",
)
"""Options that decide about routes."""


class ServerRecord(msgspec.Struct, frozen=True):
    """One OBServer."""

    address: str
    zone: str
    state: ServerState


class RefusalRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A server on a list.  ``replay_age`` is seconds since its state became REPLAY."""

    server: str
    listed: Listed
    reason: str
    replay_age: float | None = None


class ClusterRecord(msgspec.Struct, frozen=True):
    """One cluster.  ``primary_zones`` by tenant."""

    name: str
    version: str
    servers: tuple[ServerRecord, ...]
    zones: tuple[Zone, ...]
    primary_zones: dict[str, str]
    idcs: dict[str, str] = {}
    refusals: tuple[RefusalRecord, ...] = ()
    """Region by IDC, as the config server has it."""


class TenantRecord(msgspec.Struct, frozen=True):
    """Where a tenant is.  The sys tenant is on every server and not listed."""

    cluster: str
    tenant: str
    servers: tuple[str, ...]


class ReplicaRecord(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One replica.  ``kind`` is OceanBase's number."""

    server: str
    leader: bool = False
    kind: int = FULL
    duplicate: bool = False


class LocationRecord(msgspec.Struct, frozen=True, gc=False):
    """Where one partition is; ``age`` is seconds since it was fetched."""

    tablet_id: int
    replicas: tuple[ReplicaRecord, ...]
    age: float
    dirty: bool
    routed: int
    missed: int


class TableRecord(msgspec.Struct, frozen=True, gc=False):
    """What is known of one table; ``tallies`` are statements routed and missed, by policy."""

    cluster: str
    tenant: str
    database: str
    table: str
    table_id: int
    schema_version: int
    part_num: int
    missing: bool
    decoded: bool
    dirty: bool
    age: float
    not_computable: int
    tallies: dict[str, tuple[int, int]]
    partitioning: PartitioningRecord | None
    location: LocationRecord | None
    tablets: tuple[LocationRecord, ...]


class ScopeRecord(msgspec.Struct, frozen=True):
    """Options for a cluster, a tenant of it, or a user; empty texts stand for all."""

    cluster: str
    tenant: str
    user: str
    options: dict[str, Any]


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything at one moment."""

    format: int = FORMAT
    made_by: str
    taken_at: str
    """ISO 8601."""
    default_cluster: str
    options: dict[str, Any]
    scopes: tuple[ScopeRecord, ...]
    clusters: tuple[ClusterRecord, ...]
    tenants: tuple[TenantRecord, ...]
    tables: tuple[TableRecord, ...] = ()


class Restored(msgspec.Struct, frozen=True):
    """What a snapshot is of."""

    settings: Settings
    clusters: Mapping[str, ClusterResource]
    tenants: Mapping[TenantKey, tuple[Address, ...]]
    locations: Locations
    refusals: Mapping[str, Refusals] = {}
    """By cluster."""


# ---- taking ---------------------------------------------------------------------------


def take_snapshot(
    settings: Settings,
    clusters: Iterable[ClusterResource],
    tenants: Iterable[TenantRoute],
    entries: Iterable[TableEntry],
    now: float,
    refusals: Callable[[str], Refusals] = lambda cluster: NO_REFUSALS,
    *,
    made_by: str,
    taken_at: str,
) -> Snapshot:
    """Return the record of live objects; ``now`` is on the clock that entries were fetched by."""
    return Snapshot(
        made_by=made_by,
        taken_at=taken_at,
        default_cluster=settings.default_cluster or "",
        options=_write_options({name: getattr(settings, name) for name in OPTIONS}),
        scopes=tuple(
            ScopeRecord(cluster, tenant, user, _write_options(values))
            for cluster, configured in settings.clusters.items()
            for (tenant, user), values in configured.scopes.items()
        ),
        clusters=tuple(_write_cluster(cluster, refusals(cluster.name), now) for cluster in clusters),
        tenants=tuple(
            TenantRecord(route.key.cluster, route.key.tenant, tuple(map(str, route.servers))) for route in tenants
        ),
        tables=tuple(write_table(entry, now) for entry in entries),
    )


def _write_options(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of routing among some, sizes with their unit, as files of settings have them."""
    known = options()
    return {
        name: write_capacity(value) if known[name].option.kind == "capacity" else value
        for name, value in values.items()
        if name in OPTIONS
    }


def _write_cluster(cluster: ClusterResource, refusals: Refusals, now: float) -> ClusterRecord:
    return ClusterRecord(
        cluster.name,
        cluster.version,
        tuple(ServerRecord(str(server.address), server.zone, server.state) for server in cluster.servers.values()),
        tuple(cluster.zones.values()),
        dict(cluster.primary_zones),
        dict(cluster.idcs),
        tuple(
            RefusalRecord(
                str(address),
                listed,
                refusals.why(address),
                now - refusals.replaying[address] if address in refusals.replaying else None,
            )
            for address, listed in refusals.lists.items()
        ),
    )


def write_table(entry: TableEntry, now: float) -> TableRecord:
    """Return the record of one table."""
    key = entry.key
    return TableRecord(
        cluster=key.cluster,
        tenant=key.tenant,
        database=key.database,
        table=key.table,
        table_id=entry.table_id,
        schema_version=entry.schema_version,
        part_num=entry.part_num,
        missing=entry.missing,
        decoded=entry.decoded,
        dirty=entry.state is EntryState.DIRTY,
        age=now - entry.fetched_at,
        not_computable=entry.not_computable,
        tallies={policy: (tally[0], tally[1]) for policy, tally in entry.tallies.items()},
        partitioning=None if entry.partitioning is None else write_partitioning(entry.partitioning),
        location=None if entry.location is None else _write_location(entry.location, now),
        tablets=tuple(_write_location(location, now) for location in entry.tablets.values()),
    )


def _write_location(location: Location, now: float) -> LocationRecord:
    replicas = tuple(
        ReplicaRecord(str(replica.address), replica.leader, replica.kind, replica.duplicate)
        for replica in location.replicas
    )
    return LocationRecord(
        location.tablet_id,
        replicas,
        now - location.fetched_at,
        location.state is EntryState.DIRTY,
        location.routed,
        location.missed,
    )


# ---- reading --------------------------------------------------------------------------


class _Head(msgspec.Struct):
    format: int


def read_snapshot(data: bytes, source: str) -> Snapshot:
    """Read a snapshot's JSON; raise ConfigError naming ``source``, what is wrong and where."""
    try:
        head = msgspec.json.decode(data, type=_Head)
        if head.format == FORMAT:
            return msgspec.json.decode(data, type=Snapshot)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise ConfigError(f"{source}: not a snapshot: {str(exc) or 'nested too deeply'}") from exc
    raise ConfigError(f"{source}: format {head.format} of snapshots is not known; this version reads {FORMAT}")


def restore(snapshot: Snapshot, source: str = "snapshot", *, now: float = 0.0) -> Restored:
    """Return objects like those that the snapshot was taken of; raise ConfigError naming what cannot be."""
    place = _Place(source)
    clusters, refusals = {}, {}
    for record in snapshot.clusters:
        place.at = f"clusters: {record.name}"
        clusters[record.name] = place.run(_restore_cluster, record)
        refusals[record.name] = place.run(_restore_refusals, record, now)
    tenants = {}
    for tenant in snapshot.tenants:
        place.at = f"tenants: {tenant.tenant}#{tenant.cluster}"
        tenants[TenantKey(tenant.cluster, tenant.tenant)] = place.run(_addresses, tenant.servers)
    locations = Locations(sum(1 + len(table.tablets) for table in snapshot.tables) + 1)
    for table in snapshot.tables:
        place.at = f"tables: {table.database}.{table.table} of {table.tenant}#{table.cluster}"
        locations.store(place.run(_restore_table, table, now))
    return Restored(_restore_settings(snapshot, clusters, place), clusters, tenants, locations, refusals)


class _Place:
    """Says where a mistake is."""

    def __init__(self, source: str) -> None:
        self._source = source
        self.at = ""

    def run(self, function: Any, *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except (BadAddress, ConfigError, ValueError) as exc:
            raise ConfigError(f"{self._source}: {self.at}: {exc}") from exc


def _addresses(texts: Iterable[str]) -> tuple[Address, ...]:
    return tuple(Address.parse(text) for text in texts)


def _restore_cluster(record: ClusterRecord) -> ClusterResource:
    cluster = ClusterResource(
        record.name, (), version=record.version, primary_zones=record.primary_zones, idcs=record.idcs
    )
    servers = [Server(Address.parse(server.address), server.zone, server.state) for server in record.servers]
    cluster.merge(servers, record.zones, 0.0)
    return cluster


def _restore_refusals(record: ClusterRecord, now: float) -> Refusals:
    found = {Address.parse(refusal.server): refusal for refusal in record.refusals}
    reasons = {address: refusal.reason for address, refusal in found.items()}
    return Refusals(
        {address: refusal.listed for address, refusal in found.items()},
        lambda address: reasons.get(address, ""),
        replaying={
            address: now - refusal.replay_age for address, refusal in found.items() if refusal.replay_age is not None
        },
    )


def _restore_table(record: TableRecord, now: float) -> TableEntry:
    entry = TableEntry(
        TableKey(record.cluster, record.tenant, record.database, record.table),
        now - record.age,
        table_id=record.table_id,
        schema_version=record.schema_version,
        part_num=record.part_num,
        missing=record.missing,
        decoded=record.decoded,
        partitioning=None if record.partitioning is None else restore_partitioning(record.partitioning),
        state=EntryState.DIRTY if record.dirty else EntryState.AVAILABLE,
        not_computable=record.not_computable,
        counts={policy: [*tally] for policy, tally in record.tallies.items()},
    )
    if record.location is not None:
        entry.location = _restore_location(entry, record.location, now)
    entry.tablets = {found.tablet_id: _restore_location(entry, found, now) for found in record.tablets}
    return entry


def _restore_location(entry: TableEntry, record: LocationRecord, now: float) -> Location:
    replicas = tuple(
        Replica(Address.parse(replica.server), replica.leader, replica.kind, replica.duplicate)
        for replica in record.replicas
    )
    return Location(
        entry,
        record.tablet_id,
        replicas,
        now - record.age,
        state=EntryState.DIRTY if record.dirty else EntryState.AVAILABLE,
        routed=record.routed,
        counted=record.routed,
        missed=record.missed,
    )


def _restore_settings(snapshot: Snapshot, clusters: Mapping[str, ClusterResource], place: _Place) -> Settings:
    scopes: dict[str, dict[tuple[str, str], dict[str, Any]]] = {name: {} for name in clusters}
    place.at = "options"
    values = place.run(_read_options, snapshot.options)
    for scope in snapshot.scopes:
        place.at = f"scopes: cluster {scope.cluster!r}, tenant {scope.tenant!r}, user {scope.user!r}"
        scopes.setdefault(scope.cluster, {})[scope.tenant, scope.user] = place.run(_read_options, scope.options)
    configured = {name: ClusterSettings(rslist=(), scopes=inner) for name, inner in scopes.items()}
    return Settings(clusters=configured, rootservice_cluster_name=snapshot.default_cluster, **values)


def _read_options(values: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(values.keys() - set(OPTIONS))
    if unknown:
        raise ConfigError(f"{unknown[0]!r} is no option of routing")
    return {name: read_option(options()[name], value) for name, value in values.items()}
