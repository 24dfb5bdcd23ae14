"""How statements fared, by tenant and by table.  Tables may be many: they are walked in slices, others run between."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappush, heappushpop, nlargest
from typing import Final

import msgspec
import trio

from odp_trio.config.like import is_like
from odp_trio.model import TenantKey
from odp_trio.topology.location import TableEntry, TableKey
from odp_trio.topology.location_table import Locations, Tallies
from odp_trio.topology.snapshot import TableRecord, write_table

BUSIEST: Final = 50
"""Tables that have metrics of their own."""
_RECORDS: Final = 100
"""Tables that are written at a time."""


class Tally(msgspec.Struct, frozen=True, gc=False):
    """Statements that were routed by one policy, and those that missed."""

    routed: int
    missed: int


class TableRoutes(msgspec.Struct, frozen=True, gc=False):
    """One table."""

    cluster: str
    tenant: str
    database: str
    table: str
    routed: int
    missed: int
    not_computable: int
    policies: dict[str, Tally]
    partitions: int
    """Locations that are known."""
    state: str


class TenantRoutesTotal(msgspec.Struct, frozen=True):
    """All tables of a tenant, those that are forgotten included."""

    policies: dict[str, Tally]
    not_computable: int


class RouteTotals(msgspec.Struct, frozen=True):
    """All tenants, and the busiest tables."""

    tenants: dict[TenantKey, TenantRoutesTotal]
    busiest: tuple[TableRoutes, ...]


async def count_routes(locations: Locations) -> RouteTotals:
    """Add up every table."""
    sums: dict[TenantKey, Tallies] = {}
    for key, gone in locations.forgotten.items():
        copied = {policy: [*tally] for policy, tally in gone.by_policy.items()}
        sums[key] = Tallies(copied, gone.not_computable)
    busiest: list[tuple[int, int, TableEntry]] = []
    for entries in locations.slices():
        for entry in entries:
            if not (entry.counts or entry.sent or entry.not_computable):
                continue
            key = TenantKey(entry.key.cluster, entry.key.tenant)
            sums.setdefault(key, Tallies()).add(entry)
            item = (entry.sent, -entry.slot, entry)
            heappush(busiest, item) if len(busiest) < BUSIEST else heappushpop(busiest, item)
        await trio.lowlevel.checkpoint()
    return RouteTotals(
        {key: TenantRoutesTotal(_tallies(total.by_policy), total.not_computable) for key, total in sums.items()},
        tuple(table_routes(entry) for routed, _, entry in sorted(busiest, reverse=True) if routed),
    )


async def list_routes(
    locations: Locations, *, like: str | None, cluster: str, tenant: str, limit: int
) -> tuple[tuple[TableRoutes, ...], int]:
    """Return the tables that ``like`` (of ``database.table``) admits, busiest first, and how many there are in all."""

    def wanted(key: TableKey) -> bool:
        if (cluster and key.cluster != cluster) or (tenant and key.tenant != tenant):
            return False
        return is_like(f"{key.database}.{key.table}", like)

    count = 0
    busiest: list[tuple[int, int, TableEntry]] = []
    for entries in locations.slices():
        found = [(entry.sent, -entry.slot, entry) for entry in entries if wanted(entry.key)]
        count += len(found)
        busiest = nlargest(limit, busiest + found)
        await trio.lowlevel.checkpoint()
    return tuple(table_routes(entry) for _, _, entry in busiest), count


async def table_records(locations: Locations, now: Callable[[], float]) -> tuple[TableRecord, ...]:
    """Return the records of every table for a snapshot."""
    records: list[TableRecord] = []
    for entries in locations.slices(_RECORDS):
        records += [write_table(entry, now()) for entry in entries]
        await trio.lowlevel.checkpoint()
    return tuple(records)


def table_routes(entry: TableEntry) -> TableRoutes:
    """Return the counts of one table."""
    key, tallies = entry.key, entry.tallies
    return TableRoutes(
        key.cluster,
        key.tenant,
        key.database,
        key.table,
        entry.sent,
        sum(missed for _, missed in tallies.values()),
        entry.not_computable,
        _tallies(tallies),
        sum(1 for _ in entry.locations()),
        "missing" if entry.missing else entry.state.value,
    )


def _tallies(by_policy: dict[str, list[int]]) -> dict[str, Tally]:
    return {policy: Tally(routed, missed) for policy, (routed, missed) in by_policy.items()}
