"""What we hold about one cluster: its rslist, its servers and zones, and how fresh that is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from itertools import zip_longest

import msgspec

from odp_trio.model import Address


class ServerState(Enum):
    """State of an OBServer, as ODP derives it from a row of DBA_OB_SERVERS."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    DELETING = "DELETING"
    REPLAY = "REPLAY"
    """ACTIVE, but not serving yet."""
    UPGRADE = "UPGRADE"
    """Stopped on purpose."""


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


@dataclass(slots=True)
class ClusterResource:
    """One cluster.  ``available`` once a server list has been had.

    ``failures`` counts failed refreshes in a row and ``last_failure`` names the
    last one; old lists stay in force meanwhile, ``refreshed_at`` says how old they are.
    """

    name: str
    rslist: tuple[Address, ...]
    cluster_id: int | None = None
    version: str = ""
    servers: Mapping[Address, Server] = field(default_factory=dict)
    zones: Mapping[str, Zone] = field(default_factory=dict)
    primary_zones: Mapping[str, str] = field(default_factory=dict)
    """By tenant: its zones in order, ``z1,z2;z3``, or RANDOM."""
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
        changes = Changes(
            added=tuple(address for address in fresh if address not in self.servers),
            removed=tuple(address for address in self.servers if address not in fresh),
            moved=tuple(address for address, server in fresh.items() if self.servers.get(address, server) != server),
        )
        self.servers = fresh
        self.zones = {zone.name: zone for zone in zones}
        self.refreshed_at = now
        self.refreshes += 1
        self.failures = 0
        self.last_failure = ""
        return changes

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
