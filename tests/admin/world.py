"""A cluster of three zones that is made up: one table partitioned by hash, one that is not."""

from __future__ import annotations

from odp_trio.config import Settings
from odp_trio.config.options import ClusterSettings
from odp_trio.model import Address, TenantKey
from odp_trio.topology.cluster import ClusterResource, Server, ServerState, Zone
from odp_trio.topology.location import Location, Replica, TableEntry, TableKey
from odp_trio.topology.location_table import Locations
from odp_trio.topology.partitioning import KeyColumn, Level, Method, Partition, Partitioning
from odp_trio.topology.snapshot import Restored, Snapshot, restore, take_snapshot
from odp_trio.topology.tenant import TenantRoute

SERVERS = tuple(Address(f"10.0.0.{number}", 2881) for number in (1, 2, 3))
SHOP = TenantKey("demo", "shop")


def cluster() -> ClusterResource:
    found = ClusterResource("demo", SERVERS[:1], version="4.3.5.3", primary_zones={"shop": "z1;z2,z3"})
    found.merge(
        [Server(address, f"z{at}", ServerState.ACTIVE) for at, address in enumerate(SERVERS, 1)],
        [
            Zone(f"z{at}", "ACTIVE", region, f"{region}{at}", "ReadWrite")
            for at, region in ((1, "hz"), (2, "hz"), (3, "sh"))
        ],
        0.0,
    )
    return found


def replicas(leader: int) -> tuple[Replica, ...]:
    """Replicas on every server; the leader comes first."""
    order = [leader, *(at for at in range(3) if at != leader)]
    return tuple(Replica(SERVERS[at], leader=at == leader) for at in order)


def partitioning(count: int = 3) -> Partitioning:
    return Partitioning(
        500001,
        (Level(Method.HASH, "id", False),),
        (KeyColumn("id", 5, 63, 0, 1),),
        tuple(Partition(number, f"p{number}", 200001 + number) for number in range(count)),
    )


def locations() -> Locations:
    found = Locations()
    spread = TableEntry(TableKey("demo", "shop", "sales", "orders"), 0.0, table_id=500001, part_num=3)
    spread.partitioning = partitioning()
    spread.tablets = {200001 + at: Location(spread, 200001 + at, replicas(at), 0.0) for at in range(3)}
    plain = TableEntry(TableKey("demo", "shop", "sales", "items"), 0.0, table_id=500002, part_num=1)
    plain.location = Location(plain, 0, replicas(1), 0.0)
    found.store(spread)
    found.store(plain)
    found.store(TableEntry(TableKey("demo", "shop", "sales", "nothing"), 0.0, missing=True))
    return found


def settings(**options: object) -> Settings:
    scopes = {("shop", "reports"): {"proxy_route_policy": "FOLLOWER_FIRST"}}
    return Settings(clusters={"demo": ClusterSettings(rslist=SERVERS[:1], scopes=scopes)}, **options)  # type: ignore[arg-type]


def snapshot(found: Locations | None = None, **options: object) -> Snapshot:
    return take_snapshot(
        settings(**options),
        [cluster()],
        [TenantRoute(SHOP, SERVERS, 0.0)],
        (found or locations()).entries(),
        10.0,
        made_by="odp-trio test",
        taken_at="2025-11-21T09:00:00+00:00",
    )


def restored(**options: object) -> Restored:
    return restore(snapshot(None, **options))
