"""A fault as data: how it begins and ends before a proxy under load, and what clients may notice of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from odp_trio.app import Proxy
from odp_trio.testing.bed import Testbed
from odp_trio.testing.load import Load, Plan

TENANT: Final = "mytenant"
VICTIM: Final = 1
"""The OBServer that faults of one server befall; it leads the partition of the same number."""
ELECTION: Final = 0.2
"""Seconds until the partitions of a dead leader have another one."""


@dataclass
class World:
    """What a fault may act upon."""

    bed: Testbed
    proxy: Proxy
    load: Load
    tablets: Sequence[int]
    notes: dict[str, str] = field(default_factory=dict)
    """What a fault has seen for itself; shown beside its row."""

    async def lead(self, partition: int, number: int) -> None:
        """Make a server the leader of a partition of the load's table."""
        await self.bed.move_tablet(self.tablets[partition], number)


Verb = Callable[[World], Awaitable[None]]


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What clients may notice at most; None is no bound.

    Writes that are lost, or run twice, and wrong answers to reads are never allowed.
    """

    errors: int | None = 0
    """Of all clients together."""
    gap: float = 1.0
    """Longest time that any client is without an answer, in seconds, beyond ``gap_during`` times the fault's length."""
    gap_during: float = 0.0
    recovery: float = 2.0
    """Seconds from the end of the fault until every client is served again."""
    leaves: float | None = None
    """Seconds from the fault's begin after which the victim gets no statement any more."""
    returns: float | None = None
    """Seconds from the fault's end within which it gets statements again."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the matrix."""

    name: str
    sees: str
    """What a client sees of it."""
    begin: Verb
    end: Verb
    bounds: Bounds
    settings: Mapping[str, Any] = {}
    plan: Mapping[str, Any] = {}
    """What differs from the usual settings and the usual load."""


async def nothing(world: World) -> None:
    """Do nothing."""


async def spread(bed: Testbed, plan: Plan) -> list[int]:
    """Give every partition of the load's table a leader of its own; return their tablets."""
    rows = await bed.query(
        "select tablet_id from oceanbase.__all_virtual_proxy_partition where tenant_name='sys' and table_id="
        "(select table_id from oceanbase.lab_proxy_schema where tenant_name='sys' "
        f"and database_name='{plan.database}' and table_name='writes' and tablet_id=0)"
    )
    tablets = [int(row["tablet_id"]) for row in rows]
    for number, tablet in enumerate(tablets):
        await bed.move_tablet(tablet, number)
    return tablets
