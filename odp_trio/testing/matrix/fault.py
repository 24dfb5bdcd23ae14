"""A fault as data: how it begins and ends before a proxy under load, and what clients may notice of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from odp_trio.app import Proxy
from odp_trio.config import Settings
from odp_trio.model import Address
from odp_trio.testing.bed import Testbed
from odp_trio.testing.load import Load, Plan
from odp_trio.testing.matrix.watched import Watched
from odp_trio.testing.ocp import ConfigServerBed

TENANT: Final = "mytenant"
VICTIM: Final = 1
"""The OBServer that faults of one server befall; it leads the partition of the same number."""
ELECTION: Final = 0.2
"""Seconds until the partitions of a dead leader have another one."""


@dataclass
class World:
    """What a fault may act upon."""

    bed: Testbed
    plan: Plan
    tablets: Sequence[int]
    settings: Settings
    config_server: ConfigServerBed
    """It names two clusters, ``demo`` and ``second``, which are the same one."""
    notes: dict[str, str] = field(default_factory=dict)
    """What a fault has seen for itself; shown beside its row."""
    timings: dict[str, float] = field(default_factory=dict)
    """What it has measured, in seconds."""
    address: Address = field(default=Address("", 0))
    """Where clients connect."""
    started: Proxy | None = None
    watched: Watched | None = None
    """The proxy is a process of its own, under ``odp-trio watch``."""
    running: Load | None = None
    stall: float = 0.0

    @property
    def proxy(self) -> Proxy:
        """The proxy, once it runs."""
        assert self.started is not None
        return self.started

    @property
    def load(self) -> Load:
        """The load, once it runs."""
        assert self.running is not None
        return self.running

    async def lead(self, partition: int, number: int) -> None:
        """Make a server the leader of a partition of the load's table."""
        await self.bed.move_tablet(self.tablets[partition], number)


Verb = Callable[[World], Awaitable[None]]


async def nothing(world: World) -> None:
    """Do nothing."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What clients may notice at most; None is no bound.

    Writes that are lost, or run twice, and wrong answers to reads are never allowed.
    """

    errors: int | None = 0
    """Of all clients together."""
    gap: float = 1.5
    """Longest time that any client is without an answer, in seconds, beyond ``gap_during`` times the fault's length."""
    gap_during: float = 0.0
    recovery: float = 2.0
    """Seconds from the end of the fault until every client is served again."""
    slower: float | None = None
    """How many times as long the 99th percentile of statements for other servers may become."""
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
    at_least: float = 0.0
    """Seconds that the fault lasts, however short the phases are."""
    one_server: bool = False
    """Whether it befalls one server, the victim: then its place on the routes is shown."""
    notes: Mapping[str, str] = {}
    """What the fault's own notes must look like: regular expressions."""
    limits: Mapping[str, float] = {}
    """What its timings may be at most."""
    prepare: Verb = nothing
    """Done before the proxy starts."""
    flows: bool = True
    """Whether clients are served before the fault begins."""
    under_watch: bool = False
    """Whether the proxy is a process of its own, under ``odp-trio watch``."""
    by_config_server: bool = False
    """Whether the proxy learns of the cluster from a config server, instead of its configuration."""


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
