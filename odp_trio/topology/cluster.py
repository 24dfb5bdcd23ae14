"""What we hold about one cluster: its rslist, its servers and zones, and how fresh that is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from itertools import zip_longest
from typing import Final

import msgspec

from odp_trio.model import Address

MOST_TENANTS: Final = 16_384
"""Tenants whose locality is remembered although a list of tenants does not have them."""


class ServerState(Enum):
    """State of an OBServer, as ODP derives it from a row of DBA_OB_SERVERS."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    DELETING = "DELETING"
    REPLAY = "REPLAY"
    """ACTIVE, but not serving yet."""
    UPGRADE = "UPGRADE"
    """Stopped on purpose."""


class ZoneState(Enum):
    """State of a zone, as ODP derives it from a row of DBA_OB_ZONES."""

    ACTIVE = "ACTIVE"
    MERGE = "MERGE"
    """A major compaction runs there: it is chosen later where the policy says so."""
    UPGRADE = "UPGRADE"
    """INACTIVE: stopped on purpose, and so is every server in it."""


class Server(msgspec.Struct, frozen=True):
    """One OBServer."""

    address: Address
    zone: str
    state: ServerState

    @property
    def takes_logins(self) -> bool:
        """Whether new sessions should go there.  DELETING servers still serve."""
        return self.state in (ServerState.ACTIVE, ServerState.DELETING)


class Zone(msgspec.Struct, frozen=True):
    """One zone."""

    name: str
    status: str
    region: str
    idc: str
    kind: str
    merging: bool = False
    """A major compaction runs there; kernels from version 4 on never say so."""

    @property
    def state(self) -> ZoneState:
        """What its status means for routing."""
        if self.status.upper() != "ACTIVE":
            return ZoneState.UPGRADE
        return ZoneState.MERGE if self.merging else ZoneState.ACTIVE


class Changes(msgspec.Struct, frozen=True):
    """What a fresh server list changed."""

    added: tuple[Address, ...] = ()
    removed: tuple[Address, ...] = ()
    moved: tuple[Address, ...] = ()
    """Same address, other state or zone."""

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.moved)


def server_state(status: str, *, started: bool, stopped: bool) -> ServerState:
    """Map a row of DBA_OB_SERVERS to a state; raise KeyError for an unknown status."""
    known = ServerState[status.upper()]
    if stopped:
        return ServerState.UPGRADE
    if not started:
        return ServerState.REPLAY if known is ServerState.ACTIVE else ServerState.INACTIVE
    return known


def place(servers: Iterable[Server], zones: Iterable[Zone]) -> tuple[Server, ...]:
    """Put servers into their zones: one whose zone is not listed is left out, one whose zone is stopped is stopped."""
    states = {zone.name: zone.state for zone in zones}
    return tuple(
        msgspec.structs.replace(server, state=ServerState.UPGRADE)
        if states[server.zone] is ZoneState.UPGRADE and server.takes_logins
        else server
        for server in servers
        if server.zone in states
    )


class Tenant(msgspec.Struct, frozen=True):
    """What a cluster's list of tenants says of one."""

    locality: str
    primary_zone: str
    """Its zones in order, ``z1,z2;z3``, or RANDOM."""


class ClusterResource(msgspec.Struct):
    """One cluster.  ``available`` once a server list has been had.

    ``failures`` counts failed refreshes in a row and ``last_failure`` names the
    last one; old lists stay in force meanwhile, ``refreshed_at`` says how old they are.
    """

    name: str
    """As clients name it; with its id, ``name:2``, if there are several clusters of the name."""
    rslist: tuple[Address, ...]
    """As it was configured, or as the config server said last."""
    cluster_id: int | None = None
    real_name: str = ""
    """As its servers name it, if they name it differently."""
    role: str = ""
    """PRIMARY or STANDBY, as its servers say; only kernels before version 4 do."""
    version: str = ""
    servers: Mapping[Address, Server] = msgspec.field(default_factory=dict)
    zones: Mapping[str, Zone] = msgspec.field(default_factory=dict)
    primary_zones: Mapping[str, str] = msgspec.field(default_factory=dict)
    """By tenant: its zones in order, ``z1,z2;z3``, or RANDOM."""
    localities: Mapping[str, str] = msgspec.field(default_factory=dict)
    """By tenant, those whose locality is just being changed included."""
    idcs: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Region by IDC, as the config server has it; zones say it themselves, this is for IDCs without a zone."""
    refreshed_at: float | None = None
    refreshes: int = 0
    failures: int = 0
    last_failure: str = ""

    @property
    def available(self) -> bool:
        """Whether clients can be routed."""
        return bool(self.servers)

    def merge(self, servers: Iterable[Server], zones: Iterable[Zone], now: float) -> Changes:
        """Take over a fresh list and say what it changed.  An empty one is no news: the caller refuses it."""
        fresh = {server.address: server for server in servers}
        fresh_zones = {zone.name: zone for zone in zones}
        changes = Changes(
            added=tuple(address for address in fresh if address not in self.servers),
            removed=tuple(address for address in self.servers if address not in fresh),
            moved=tuple(address for address, server in fresh.items() if self.servers.get(address, server) != server),
        )
        if changes:
            self.servers = fresh
        if fresh_zones != self.zones:
            self.zones = fresh_zones
        self.refreshed_at = now
        self.refreshes += 1
        self.failures = 0
        self.last_failure = ""
        return changes

    def take_tenants(self, tenants: Mapping[str, Tenant]) -> tuple[tuple[str, ...], bool]:
        """Take over a list of tenants; return those that moved, and whether any primary zone is another.

        A tenant whose locality is being changed is not in the list meanwhile: it has moved when it is back.
        """
        moved = tuple(
            name
            for name, tenant in tenants.items()
            if (name in self.localities and self.localities[name] != tenant.locality)
            or (name in self.primary_zones and self.primary_zones[name] != tenant.primary_zone)
        )
        primary_zones = {name: tenant.primary_zone for name, tenant in tenants.items()}
        localities = {name: tenant.locality for name, tenant in tenants.items()}
        absent = {name: locality for name, locality in self.localities.items() if name not in localities}
        if len(absent) + len(localities) > MOST_TENANTS:
            absent = {}
        self.localities = localities | absent
        changed = primary_zones != self.primary_zones
        if changed:
            self.primary_zones = primary_zones
        return moved, changed

    def note_failure(self, reason: str) -> None:
        """A refresh failed; what is known stays."""
        self.failures += 1
        self.last_failure = reason

    def sys_route(self) -> tuple[Address, ...]:
        """Return where the sys tenant is: every server that takes logins, interleaved over zones.

        The rslist while no server list is known, every server when none takes logins.
        """
        if not self.servers:
            return self.rslist
        usable = [server for server in self.servers.values() if server.takes_logins]
        return interleave(usable or self.servers.values())

    def usable(self, route: Iterable[Address]) -> tuple[Address, ...]:
        """Drop from a tenant's route the servers that the server list says are down; keep all if none is left."""
        addresses = tuple(route)
        kept = tuple(
            address
            for address in addresses
            if (server := self.servers.get(address)) is not None and server.takes_logins
        )
        return kept or addresses


def interleave(servers: Iterable[Server]) -> tuple[Address, ...]:
    """Order servers A1 B1 C1 A2 B2 … over their zones."""
    zones: dict[str, list[Address]] = {}
    for server in servers:
        zones.setdefault(server.zone, []).append(server.address)
    rounds = zip_longest(*zones.values())
    return tuple(address for around in rounds for address in around if address is not None)
