"""What if a zone were down?  Changed copies of what routing reads; the live objects are never touched.

zone=z1 down | up | merging | readonly | readwrite
server=10.0.0.1:2881 down | up | congested
leader=10.0.0.2:2881      the leader of the statement's partition is there
idc=hz1                   the proxy is in that IDC
policy=FOLLOWER_FIRST     proxy_route_policy
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from odp_trio.errors import ConfigError
from odp_trio.model import Address
from odp_trio.routing.ldc import measure
from odp_trio.routing.policy import FOLLOWER_POLICIES
from odp_trio.routing.request import RouteRequest
from odp_trio.routing.view import View
from odp_trio.topology.cluster import Server, ServerState, Zone
from odp_trio.topology.congestion import Listed
from odp_trio.topology.location import Location, Replica, TableEntry
from odp_trio.topology.location_table import Locations

CONDITIONS: Final = {
    "zone": ("down", "up", "merging", "readonly", "readwrite"),
    "server": ("down", "up", "congested"),
    "leader": (),
    "idc": (),
    "policy": (),
}
_epochs = itertools.count(-2, -1)  # no two views that were made up share what was worked out with one


class WhatIf(msgspec.Struct, frozen=True):
    """One change."""

    what: str
    name: str
    condition: str = ""

    def __str__(self) -> str:
        return f"{self.what}={self.name} {self.condition}".rstrip()


def parse_what_if(text: str) -> WhatIf:
    """Read ``what=name condition``; raise ConfigError that says what is allowed."""
    what, equals, rest = text.strip().partition("=")
    what = what.strip().lower()
    known = CONDITIONS.get(what)
    if not equals or known is None:
        near = did_you_mean(what, CONDITIONS)
        raise ConfigError(f"what if {text!r}: write zone=, server=, leader=, idc= or policy={near}")
    words = rest.split()
    if what == "idc" and not words:
        return WhatIf(what, "")
    if len(words) != (2 if known else 1):
        example = f"{what}=NAME {'|'.join(known)}" if known else f"{what}=NAME"
        raise ConfigError(f"what if {text!r}: write {example}")
    if known and words[1].lower() not in known:
        allowed = ", ".join(known)
        raise ConfigError(f"what if {text!r}: {words[1]!r} is none of {allowed}{did_you_mean(words[1], known)}")
    if what in ("server", "leader"):
        Address.parse(words[0])
    return WhatIf(what, words[0], words[1].lower() if known else "")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of an error message: the name that is nearest, if any is near; else nothing."""
    by_small = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), by_small, n=1)
    return f"; did you mean {by_small[near[0]]!r}?" if near else ""


def imagine(view: View, request: RouteRequest, changes: Sequence[WhatIf]) -> View:
    """Return a view in which the changes are true; raise ConfigError for what the view does not have.

    ``request`` has been explained before: its location is the one that ``leader=`` is about.
    Only ``idc=`` changes the request, whose session's own IDC would win otherwise.
    """
    world = _World(view, request)
    for change in changes:
        world.change(change)
    return world.view()


class _World:
    """Copies that changes are made in."""

    def __init__(self, view: View, request: RouteRequest) -> None:
        self._view, self._request = view, request
        self._servers = dict(view.servers)
        self._zones = dict(view.zones)
        self._settings = view.settings
        known_out = {address for address, server in view.servers.items() if not server.takes_logins}
        self._excluded = set(view.out - known_out - view.refusals.lists.keys())
        self._lists = dict(view.refusals.lists)
        self._imagined: set[Address] = set()
        self._locations, self._location = _copied(request.entry, request.location)

    def view(self) -> View:
        """Return the view of this world."""
        view = self._view
        return View(
            view.key,
            next(_epochs),
            self._servers,
            self._zones,
            view.tenant_servers,
            self._locations,
            self._settings,
            view.primary_zone,
            self._excluded,
            idcs=view.idcs,
            refusals=msgspec.structs.replace(view.refusals, lists=self._lists, why=self._why),
        )

    def _why(self, address: Address) -> str:
        return "congested, as imagined" if address in self._imagined else self._view.refusals.why(address)

    def change(self, change: WhatIf) -> None:
        """Make one change."""
        match change.what:
            case "zone":
                self._change_zone(self._zone(change), change.condition)
            case "server":
                self._change_server(self._server(change), change.condition)
            case "leader":
                self._move_leader(self._server(change))
            case "idc":
                self._go_to(change.name)
            case _:
                self._use_policy(change.name)

    def _zone(self, change: WhatIf) -> Zone:
        found = self._zones.get(change.name) or next(
            (zone for zone in self._zones.values() if zone.name.casefold() == change.name.casefold()), None
        )
        if found is None:
            raise _unknown(change, "zone", self._zones)
        return found

    def _server(self, change: WhatIf) -> Address:
        address = Address.parse(change.name)
        known = {*self._servers, *self._view.tenant_servers}
        if address not in known:
            raise _unknown(change, "server", sorted(map(str, known)))
        return address

    def _change_zone(self, zone: Zone, condition: str) -> None:
        match condition:
            case "merging":
                self._zones[zone.name] = msgspec.structs.replace(zone, merging=True)
            case "readonly" | "readwrite":
                kind = "ReadOnly" if condition == "readonly" else "ReadWrite"
                self._zones[zone.name] = msgspec.structs.replace(zone, kind=kind)
            case _:
                for server in tuple(self._servers.values()):
                    if server.zone == zone.name:
                        self._change_server(server.address, condition)

    def _change_server(self, address: Address, condition: str) -> None:
        server: Server | None = self._servers.get(address)
        if condition == "congested":
            self._lists.setdefault(address, Listed.ALIVE)
            self._imagined.add(address)
        elif condition == "up":
            self._excluded.discard(address)
            self._lists.pop(address, None)
            self._imagined.discard(address)
            if server is not None:
                self._servers[address] = msgspec.structs.replace(server, state=ServerState.ACTIVE)
        elif server is None:
            self._excluded.add(address)
        else:
            self._servers[address] = msgspec.structs.replace(server, state=ServerState.INACTIVE)

    def _move_leader(self, address: Address) -> None:
        location = self._location
        if location is None:
            why = f" ({self._request.reason})" if self._request.reason else ""
            raise ConfigError(f"what if leader={address}: the statement has no location{why}")
        replicas = [
            msgspec.structs.replace(replica, leader=replica.address == address) for replica in location.replicas
        ]
        if all(replica.address != address for replica in replicas):
            replicas.append(Replica(address, leader=True))
        location.replicas = tuple(sorted(replicas, key=lambda replica: not replica.leader))
        location.leader = address

    def _go_to(self, idc: str) -> None:
        if idc and not measure(idc, self._servers, self._zones).matched:
            raise _unknown(WhatIf("idc", idc), "IDC", {zone.idc for zone in self._zones.values() if zone.idc})
        self._settings = msgspec.structs.replace(self._settings, idc=idc)
        self._request.state.idc = idc

    def _use_policy(self, name: str) -> None:
        if name.upper() not in FOLLOWER_POLICIES:
            raise _unknown(WhatIf("policy", name), "proxy_route_policy", FOLLOWER_POLICIES)
        self._settings = msgspec.structs.replace(self._settings, policy=name.upper())


def _unknown(change: WhatIf, kind: str, known: Iterable[str]) -> ConfigError:
    names = sorted(known)
    shown = ", ".join(names[:8]) + (" …" if len(names) > 8 else "")
    known_ones = f"; known: {shown}" if names else ""
    near = did_you_mean(change.name, names)
    return ConfigError(f"what if {change}: there is no {kind} {change.name!r}{near or known_ones}")


def _copied(entry: TableEntry | None, location: Location | None) -> tuple[Locations, Location | None]:
    """Return a table of one entry, with a location of its own."""
    locations = Locations()
    if entry is None:
        return locations, None
    copy = msgspec.structs.replace(entry, location=None, tablets={}, counts=entry.tallies, gone=False)
    found = None
    if location is not None:
        found = msgspec.structs.replace(location, table=copy, orders={}, counted=location.routed, route=None, epoch=-1)
        if location is entry.location:
            copy.location = found
        else:
            copy.tablets[location.tablet_id] = found
    copy.expires_at = float("inf")
    locations.store(copy)
    return locations, found
