"""What is believed about one tenant at one moment, as the rules read it.

A view is made anew when the server list, the tenant's servers or the settings
change, not for every statement; ``epoch`` tells two of them apart, so that what
was worked out with an old one (the order of a location's replicas) is not used
with a new one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, final

import msgspec

from odp_trio.model import Address, TenantKey
from odp_trio.routing.ldc import Nearness, measure
from odp_trio.routing.policy import POLICIES, Candidate, Tier, Unlocated, best, in_order_beside, unlocated
from odp_trio.topology.cluster import Server, ServerState, Zone
from odp_trio.topology.congestion import BADNESS, NO_REFUSALS, Listed, Refusals
from odp_trio.topology.location import Location, Replica
from odp_trio.topology.location_table import Locations

ORDERS_KEPT: Final = 16
_RANDOM: Final = "RANDOM"


class RouteSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The options of routing, as they are in force for one login."""

    idc: str = ""
    policy: str = ""
    """One of the follower policies, or empty."""
    primary_zone_name: str = ""
    enable_primary_zone: bool = True
    enable_cached_server: bool = True
    enable_partition_table_route: bool = True
    target_servers: tuple[tuple[Address, ...], ...] = ()
    random: bool = False
    """``server_routing_mode = random``: always the tenant's servers, shuffled."""
    read_write_split: bool = False
    transaction_split: bool = False
    internal_routing: bool = True
    """DML of a transaction may go to participants, where servers allow it."""
    reroute: bool = False
    """Servers may say that a strong read or a write belongs elsewhere (OB 2.0)."""
    weak_reroute: bool = True
    """The same of weak reads."""
    wait_for_renewal: bool = False
    """``enable_async_pull_location_cache`` is off: a statement waits for the renewal of its dirty entry."""


@final
class ClusterView:
    """What the views of all tenants of a cluster have in common, worked out once."""

    __slots__ = ("_idcs", "_near", "_servers", "_zones", "down", "has_readonly_zone")

    def __init__(
        self, servers: Mapping[Address, Server], zones: Mapping[str, Zone], idcs: Mapping[str, str] | None = None
    ) -> None:
        self._servers, self._zones, self._idcs = servers, zones, idcs
        self.down = frozenset(address for address, server in servers.items() if not server.takes_logins)
        self.has_readonly_zone = any(zone.kind.lower() == "readonly" for zone in zones.values())
        self._near: dict[str, Nearness] = {}

    def near(self, idc: str) -> Nearness:
        """Return the distances seen from an IDC."""
        found = self._near.get(idc)
        if found is None:
            if len(self._near) >= ORDERS_KEPT:
                self._near.clear()
            found = self._near[idc] = measure(idc, self._servers, self._zones, self._idcs)
        return found


@final
class View:
    """One tenant of one cluster."""

    __slots__ = (
        "_cluster",
        "_homes",
        "_unlocated",
        "epoch",
        "has_readonly_zone",
        "idcs",
        "key",
        "locations",
        "out",
        "primary_zone",
        "refusals",
        "servers",
        "settings",
        "tables",
        "tenant_servers",
        "watched",
        "zones",
    )

    def __init__(
        self,
        key: TenantKey,
        epoch: int,
        servers: Mapping[Address, Server],
        zones: Mapping[str, Zone],
        tenant_servers: tuple[Address, ...],
        locations: Locations,
        settings: RouteSettings,
        primary_zone: str = "",
        excluded: Collection[Address] = (),
        *,
        idcs: Mapping[str, str] | None = None,
        refusals: Refusals = NO_REFUSALS,
        cluster: ClusterView | None = None,
    ) -> None:
        self.key = key
        self.epoch = epoch
        self.servers = servers
        self.zones = zones
        self.tenant_servers = tenant_servers
        self.locations = locations
        self.tables = locations.of(key)
        self.settings = settings
        self.idcs = idcs or {}
        """Region by IDC, for an IDC that no zone has."""
        self.primary_zone = "" if primary_zone.upper() == _RANDOM else primary_zone
        self._cluster = cluster or ClusterView(servers, zones, idcs)
        self.has_readonly_zone = self._cluster.has_readonly_zone
        self.refusals = refusals
        gone = [address for address in tenant_servers if address not in servers] if servers else ()
        self.out = self._cluster.down.union(excluded, gone, refusals.lists)
        self.watched = refusals.watched
        """Servers that failed or are on a list: whoever they answer well is to say so."""
        self._unlocated: dict[tuple[str, str], Unlocated] = {}
        self._homes = frozenset(tenant_servers)

    def near(self, idc: str) -> Nearness:
        """Return the distances seen from the session's IDC, or the configured one."""
        return self._cluster.near(idc or self.settings.idc)

    def usable(self, address: Address, refused: Collection[Address]) -> bool:
        """Whether a server may be chosen: in service, and not refused by this statement before."""
        return address not in self.out and address not in refused

    def badness(self, address: Address) -> int:
        """Return how bad it is to use a server all the same; 0 when nothing speaks against it."""
        if address not in self.out:
            return 0
        listed = self.refusals.lists.get(address)
        if listed is None:
            server = self.servers.get(address)
            if server is None or server.takes_logins:
                listed = Listed.ALIVE
            else:
                listed = Listed.FORCED if server.state is ServerState.UPGRADE else Listed.DEAD
        return 1 + BADNESS[listed]

    def least_bad(self, addresses: Collection[Address], refused: Collection[Address]) -> list[Address]:
        """Return those of the addresses to use when nothing better is left; never one that the cluster has lost."""
        left = [address for address in addresses if address not in refused and not self.lost(address)]
        least = min(map(self.badness, left), default=0)
        return [address for address in left if self.badness(address) == least]

    def lost(self, address: Address) -> bool:
        """Whether the server list does not have a server any more."""
        return bool(self.servers) and address not in self.servers

    def why_out(self, address: Address) -> str:
        """Say why a server is kept out; empty when it is not."""
        if address not in self.out:
            return ""
        server = self.servers.get(address)
        down = server is not None and not server.takes_logins
        stated = f"its state is {server.state.value}" if server is not None and down else "excluded"
        if self.lost(address):
            stated = "the cluster does not have it any more"
        return self.refusals.why(address) or stated

    def leader_is_dead(self, location: Location) -> bool:
        """Whether the leader that a location names is known to be dead or gone, so that there is another by now."""
        leader = location.leader
        if leader is None:
            return False
        return self.lost(leader) or self.refusals.lists.get(leader) in (Listed.DEAD, Listed.DETECT)

    def trusts_leader(self, location: Location) -> bool:
        """Whether a leader that is REPLAY is used: the location is newer than that state."""
        leader = location.leader
        if leader is None or self.refusals.lists.get(leader) is not Listed.DEAD:
            return False
        return location.fetched_at > self.refusals.replaying.get(leader, location.fetched_at)

    def zone_of(self, address: Address) -> Zone | None:
        """Return the zone of a server."""
        server = self.servers.get(address)
        return None if server is None else self.zones.get(server.zone)

    # ---- candidates -----------------------------------------------------------------

    def candidates(self, location: Location | None, idc: str) -> tuple[Candidate, ...]:
        """Return the replicas of a location and the tenant's other servers, with their letters.

        A replica that holds no readable data is no candidate at all; one on a server
        that neither the cluster nor the tenant has is dropped.
        """
        near = self.near(idc)
        found: dict[Address, Candidate] = {}
        for replica in location.replicas if location is not None else ():
            if self._may_hold(replica.address):
                found[replica.address] = Candidate(replica.address, self._letters(replica.address, near, replica))
        unreadable = {
            replica.address
            for replica in (location.replicas if location is not None else ())
            if not replica.readable and not replica.leader
        }
        for address in self.tenant_servers:
            if address not in found:
                found[address] = Candidate(address, self._letters(address, near, None))
        return tuple(candidate for address, candidate in found.items() if address not in unreadable)

    def _may_hold(self, address: Address) -> bool:
        return not self.lost(address) or address in self._homes

    def _letters(self, address: Address, near: Nearness, replica: Replica | None) -> str:
        zone = self.zone_of(address)
        letters = near.of(address)
        letters += "M" if zone is not None and zone.merging else "N"
        letters += "R" if zone is not None and zone.kind.lower() == "readonly" else "W"
        if replica is None:
            return letters + "T"
        letters += "PL" if replica.leader else "PF"
        return letters + "D" if replica.leader or replica.duplicate else letters

    def tiers(self, policy: str, location: Location | None, idc: str) -> tuple[Tier, ...]:
        """Return the tiers of a policy over a location; worked out once for a location and a view."""
        if location is None:
            return self._without_location(policy, idc).tiers
        key = (self.epoch, policy, idc or self.settings.idc)
        found: tuple[Tier, ...] | None = location.orders.get(key)  # type: ignore[assignment]
        if found is None:
            if len(location.orders) >= ORDERS_KEPT:
                location.orders.clear()
            found = location.orders[key] = self._with_location(policy, location, idc)
        return found

    def _with_location(self, policy: str, location: Location, idc: str) -> tuple[Tier, ...]:
        near = self.near(idc)
        held = {
            replica.address: Candidate(replica.address, self._letters(replica.address, near, replica))
            for replica in location.replicas
            if (replica.readable or replica.leader) and self._may_hold(replica.address)
        }
        absent = {replica.address for replica in location.replicas}
        return in_order_beside(policy, held.values(), self._without_location(policy, idc), absent)

    def _without_location(self, policy: str, idc: str) -> Unlocated:
        found = self._unlocated.get((policy, idc))
        if found is None:
            if len(self._unlocated) >= ORDERS_KEPT:
                self._unlocated.clear()
            found = self._unlocated[policy, idc] = unlocated(policy, self.candidates(None, idc))
        return found

    def pick(
        self,
        policy: str,
        location: Location | None,
        idc: str,
        refused: Collection[Address],
        turn: int,
        *,
        weak: bool = True,
    ) -> tuple[str, str, Address] | None:
        """Choose by a policy: the policy that was used in the end, the tier, the server.

        When no near replica is in service, remote replicas come before near servers
        that hold none (the ``_OPTIMIZED`` form), but not for a strong statement
        whose leader is in service.  What the statement has tried in vain does not count.
        """
        unusable = self.out.union(refused) if refused else self.out
        tiers = self.tiers(policy, location, idc)
        found = best(tiers, unusable, turn)
        optimized = f"{policy}_OPTIMIZED"
        if found is not None and "T" in found[0] and optimized in POLICIES and location is not None:
            near = any("P" in tier.letters and "C" not in tier.letters and self._served(tier) for tier in tiers)
            led = not weak and location.leader is not None and location.leader not in self.out
            if not near and not led:
                better = best(self.tiers(optimized, location, idc), unusable, turn)
                return None if better is None else (optimized if "P" in better[0] else policy, *better)
        return None if found is None else (policy, *found)

    def _served(self, tier: Tier) -> bool:
        return any(server not in self.out for server in tier.servers)

    def in_zones(self, text: str, addresses: Collection[Address]) -> tuple[tuple[Address, ...], ...]:
        """Group addresses by a zone list ``z1,z2;z3``: ``;`` parts priorities, ``,`` equals; others are left out."""
        groups = []
        for group in text.split(";"):
            names = {name.strip().casefold() for name in group.split(",") if name.strip()}
            members = tuple(
                address
                for address in addresses
                if (server := self.servers.get(address)) is not None and server.zone.casefold() in names
            )
            if members:
                groups.append(members)
        return tuple(groups)
