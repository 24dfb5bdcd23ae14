"""What routing costs when there is more of everything: tables, tenants, OBServers.  Pure functions, processor time."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from typing import Final

from benchmarks.figures import Sample
from benchmarks.packets import query
from benchmarks.routing import World, client_state, open_router
from odp_trio.model import Address, TenantKey
from odp_trio.routing.decide import decide
from odp_trio.routing.view import ClusterView, RouteSettings, View
from odp_trio.session.first_server import login_order
from odp_trio.topology.cluster import Server, Zone
from odp_trio.topology.cluster import ServerState as Health
from odp_trio.topology.location import Location, Replica, TableEntry, TableKey
from odp_trio.topology.location_table import Locations

TABLES: Final = (10, 1_000, 10_000, 100_000)
SERVERS: Final = (3, 30, 300)
TENANTS: Final = (1, 30, 1_000)
_SESSIONS: Final = 1_000
_LENGTH: Final = 20_000
"""Commands in a row; the same ones in each round."""
_SETTINGS: Final = RouteSettings(idc="idc0", policy="FOLLOWER_FIRST")
_WEAK: Final = "SELECT /*+read_consistency(weak)*/ c FROM t%05d WHERE id=1"
_NAME_AT: Final = len(query("SELECT c FROM t"))


def measure(seconds: float) -> Iterator[Sample]:
    """Time each part for about so long, those that are compared in turn."""
    runs = {f"{size:,} tables": _whole_commands(ManyTables(size), size) for size in TABLES}
    runs["10 of 100,000 tables"] = _whole_commands(ManyTables(TABLES[-1]), 10)
    yield from _in_turn("router, whole commands on random tables", runs, seconds)
    yield from _in_turn(
        "router, whole commands on ten tables of each",
        {f"{size:,} tenants": _of_tenants(size) for size in TENANTS},
        seconds,
    )
    places = {size: ManyServers(size) for size in SERVERS}
    for what, make in (
        ("a view of a tenant", _view),
        ("a login's first server", _login),
        ("the first weak read of a table", _first_weak),
        ("a weak read", _weak),
        ("a statement without a table", _no_table),
    ):
        yield from _in_turn(what, {f"{size} OBServers": make(place) for size, place in places.items()}, seconds)
    for size, place in places.items():
        yield Sample(f"{size} OBServers", "tiers of a table", "servers kept", "odp_trio", place.kept())


class ManyTables(World):
    """Three servers, so many tables whose names are equally long."""

    def __init__(self, tables: int) -> None:
        super().__init__(0)
        for number in range(tables):
            self._add(f"t{number:05d}", number)


class ManyServers:
    """So many servers in three zones, all of them the tenant's, 1,000 tables on three servers each."""

    def __init__(self, servers: int) -> None:
        self.key = TenantKey("demo", "shop")
        self.addresses = tuple(Address(f"10.0.{at // 250}.{at % 250}", 2881) for at in range(servers))
        self.zones = {f"z{at}": Zone(f"z{at}", "ACTIVE", "r", f"idc{at}", "ReadWrite") for at in range(3)}
        self.servers = {
            address: Server(address, f"z{at % 3}", Health.ACTIVE) for at, address in enumerate(self.addresses)
        }
        self.locations = Locations()
        for number in range(1_000):
            entry = TableEntry(TableKey("demo", "shop", "test", f"t{number:05d}"), 0.0, table_id=number)
            three = (self.addresses[(3 * number + at) % servers] for at in range(3))
            replicas = tuple(Replica(address, at == 0) for at, address in enumerate(three))
            entry.location = Location(entry, 0, replicas, 0.0)
            self.locations.store(entry)
        self.shared = ClusterView(self.servers, self.zones)
        self.world = World(0)
        self.world.view = self.view()

    def view(self) -> View:
        """Return what is made for each tenant and user when anything of the cluster has changed."""
        return View(
            self.key, 1, self.servers, self.zones, self.addresses, self.locations, _SETTINGS, cluster=self.shared
        )

    def kept(self) -> float:
        """Return how many servers the tiers of a location keep for themselves."""
        view, entries = self.view(), self.locations.entries()
        for entry in entries:
            assert entry.location is not None
            entry.location.orders.clear()
        tiers = [view.tiers(_SETTINGS.policy, entry.location, "") for entry in entries]
        shared = {id(one.listed) for one in view.tiers(_SETTINGS.policy, None, "")}
        own = sum(len(tier.listed) for found in tiers for tier in found if id(tier.listed) not in shared)
        return own / len(entries)


def _whole_commands(world: World, tables: int) -> Callable[[], int]:
    """Return what routes 20,000 commands, each on a random one of so many tables."""
    chance, router = random.Random(0), open_router(world)
    names = [b"%05d" % chance.randrange(tables) for _ in range(_LENGTH)]
    command = bytearray(query("SELECT c FROM t00000 WHERE id=7"))
    end = len(command)

    def run() -> int:
        choose = router.choose
        for name in names:
            command[_NAME_AT : _NAME_AT + 5] = name
            if choose(command, end) is None:
                raise ValueError(f"{bytes(command)!r} is not routed at once")
        return _LENGTH

    run()
    return run


def _of_tenants(tenants: int) -> Callable[[], int]:
    """Return what routes as many commands, each of a random one of 1,000 sessions of so many tenants.

    Each tenant has ten tables.  There are always as many sessions: what they cost is not the tenants' doing.
    """
    world = World(0)
    keys = [TenantKey("demo", f"shop{number}") for number in range(tenants)]
    for key in keys:
        for number in range(10):
            entry = TableEntry(TableKey("demo", key.tenant, "test", f"t{number:05d}"), 0.0, table_id=number)
            replicas = tuple(Replica(a, at == number % 3) for at, a in enumerate(world.view.tenant_servers))
            entry.location = Location(entry, 0, replicas, 0.0)
            world.locations.store(entry)
    own, routers = world.view, []
    views = [View(key, 1, own.servers, own.zones, own.tenant_servers, world.locations, _SETTINGS) for key in keys]
    for number in range(_SESSIONS):
        world.state = client_state()
        routers.append(open_router(world, views[number % tenants]))
    chance = random.Random(0)
    work = [(chance.choice(routers), b"%05d" % chance.randrange(10)) for _ in range(_LENGTH)]
    command = bytearray(query("SELECT c FROM t00000 WHERE id=7"))
    end = len(command)

    def run() -> int:
        for router, name in work:
            command[_NAME_AT : _NAME_AT + 5] = name
            if router.choose(command, end) is None:
                raise ValueError(f"{bytes(command)!r} is not routed at once")
        return _LENGTH

    run()
    return run


def _view(place: ManyServers) -> Callable[[], int]:
    def run() -> int:
        for _ in range(50):
            place.view()
        return 50

    return run


def _login(place: ManyServers) -> Callable[[], int]:
    view = place.view()

    def run() -> int:
        for turn in range(50):
            next(iter(islice(login_order(view, turn), 1)))
        return 50

    return run


def _reads(place: ManyServers, view: View) -> Callable[[], int]:
    requests = [place.world.request(_WEAK % number) for number in range(1_000)]

    def run() -> int:
        for request in requests:
            decide(request, view)
        return len(requests)

    return run


def _first_weak(place: ManyServers) -> Callable[[], int]:
    view = place.view()
    read = _reads(place, view)

    def run() -> int:
        for entry in place.locations.entries():
            assert entry.location is not None
            entry.location.orders.clear()
        return read()

    return run


def _weak(place: ManyServers) -> Callable[[], int]:
    read = _reads(place, place.view())
    read()
    return read


def _no_table(place: ManyServers) -> Callable[[], int]:
    view, request = place.view(), place.world.request("SELECT 1")
    place.world.state.last = None

    def run() -> int:
        for turn in range(1_000):
            request.turn = turn
            decide(request, view)
        return 1_000

    return run


def _in_turn(what: str, runs: dict[str, Callable[[], int]], seconds: float) -> Iterator[Sample]:
    """Time each run in turn until the time is over; the median for each, in µs."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    stop = time.perf_counter() + seconds * len(runs)
    for name, run in cycle(runs.items()):
        if time.perf_counter() > stop and all(times.values()):
            break
        began = time.thread_time_ns()
        count = run()
        times[name].append((time.thread_time_ns() - began) / count / 1e3)
    for name, found in times.items():
        yield Sample(name, what, "µs", "odp_trio", sorted(found)[len(found) // 2])
