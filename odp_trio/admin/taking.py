"""Takes a snapshot of a running proxy: what routing stands on, for ``explain_offline``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

import msgspec
import trio

import odp_trio
from odp_trio.admin.routes import table_records
from odp_trio.catalog.clusters import Clusters
from odp_trio.config import Settings
from odp_trio.session.views import Views
from odp_trio.topology.location_table import Locations
from odp_trio.topology.snapshot import Snapshot, take_snapshot
from odp_trio.topology.tenant import TenantTable


class Source(Protocol):
    """A proxy, as far as a snapshot is of it."""

    clusters: Clusters
    tenants: TenantTable
    locations: Locations
    views: Views

    def settings(self) -> Settings:
        """Return the settings in force."""
        ...


async def snapshot_of(proxy: Source) -> Snapshot:
    """Return the snapshot; reading the tables gives way to the loop in between."""
    head = take_snapshot(
        proxy.settings(),
        proxy.clusters.resources(),
        proxy.tenants.entries(),
        (),
        trio.current_time(),
        proxy.views.congestion.refusals,
        made_by=f"odp-trio {odp_trio.__version__}",
        taken_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return msgspec.structs.replace(head, tables=await table_records(proxy.locations, trio.current_time))
