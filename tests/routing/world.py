"""A small world for the rules: servers in IDCs, one table, one session."""

from __future__ import annotations

from collections.abc import Mapping

from odp_trio.model import Address, TenantKey
from odp_trio.routing.request import RouteRequest
from odp_trio.routing.values import Values
from odp_trio.routing.view import RouteSettings, View
from odp_trio.sql.cache import Statements
from odp_trio.state.client import ClientState
from odp_trio.topology.cluster import Server, ServerState, Zone
from odp_trio.topology.location import Location, Replica, TableEntry, TableKey
from odp_trio.topology.location_table import Locations

KEY = TenantKey("demo", "t1")
STATEMENTS = Statements()


def address(number: int) -> Address:
    return Address(f"10.0.0.{number}", 2881)


class World:
    """Servers 1, 2, 3 … in zones z1, z2, z3 …; table ``test.t`` with a replica on those of ``replicas``."""

    def __init__(
        self,
        places: Mapping[int, tuple[str, str]],
        *,
        leader: int | None = 2,
        replicas: tuple[int, ...] | None = None,
        readonly: tuple[int, ...] = (),
        merging: tuple[int, ...] = (),
        down: tuple[int, ...] = (),
        duplicate: bool = False,
        primary_zone: str = "",
        settings: RouteSettings | None = None,
    ) -> None:
        self.locations = Locations()
        servers = {
            address(n): Server(address(n), f"z{n}", ServerState.INACTIVE if n in down else ServerState.ACTIVE)
            for n in places
        }
        zones = {
            f"z{n}": Zone(f"z{n}", "ACTIVE", region, idc, "ReadOnly" if n in readonly else "ReadWrite", n in merging)
            for n, (region, idc) in places.items()
        }
        self.view = View(
            KEY, 1, servers, zones, tuple(servers), self.locations, settings or RouteSettings(), primary_zone
        )
        entry = TableEntry(TableKey("demo", "t1", "test", "t"), 0.0, table_id=1, part_num=1)
        kinds = {n: 16 if n in readonly else 0 for n in places}
        held = tuple(places) if replicas is None else replicas
        entry.location = Location(
            entry, 0, tuple(Replica(address(n), n == leader, kinds[n], duplicate) for n in held), 0.0
        )
        self.entry = entry
        self.locations.store(entry)
        self.state = ClientState()
        self.state.database = b"test"

    def request(self, sql: str) -> RouteRequest:
        """A statement of the session."""
        request = RouteRequest(self.state, Values())
        shape, literals = STATEMENTS.shape(sql.encode())
        request.begin(shape)
        request.values.literals = literals
        return request


THREE_IDCS = {1: ("HZ", "hz1"), 2: ("HZ", "hz2"), 3: ("SH", "sh1")}
