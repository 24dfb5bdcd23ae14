"""Routing alone: facts of a statement, the decision, the router, and how the number of tables matters."""

from __future__ import annotations

import random
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from typing import Any, Final

from benchmarks.figures import Sample
from benchmarks.packets import execute
from odp_trio.model import Address, TenantKey
from odp_trio.routing.decide import decide
from odp_trio.routing.own_rules import rule_set
from odp_trio.routing.request import Route, RouteRequest
from odp_trio.routing.rules import leader
from odp_trio.routing.values import Values
from odp_trio.routing.view import RouteSettings, View
from odp_trio.session.router import Router
from odp_trio.session.server_set import ServerSet
from odp_trio.sql.cache import Statements
from odp_trio.state.client import ClientState, ServerState
from odp_trio.state.prepared import Copy, Prepared
from odp_trio.topology.cluster import Server, Zone
from odp_trio.topology.cluster import ServerState as Health
from odp_trio.topology.congestion import Failure
from odp_trio.topology.location import Location, Replica, TableEntry, TableKey
from odp_trio.topology.location_table import Locations
from odp_trio.topology.partitioning import read_partitioning
from odp_trio.wire.packets import packet
from odp_trio.wire.response import ResponseTracker

SIZES: Final = (10, 1_000, 100_000)
PARTS: Final = 8
_KEY: Final = TenantKey("demo", "sys")
_SERVERS: Final = tuple(Address(f"10.0.0.{number}", 2881) for number in (1, 2, 3))
_WEIGHED: Final = 10_000
"""So many tables are made to find out what one weighs."""
_PREPARED: Final = "SELECT c FROM t0 WHERE id=?"
_STATEMENTS: Final = {
    "point select": "SELECT c FROM t0 WHERE id=%d",
    "point select, to be prepared": _PREPARED,
    "hint and comment": "/* trace_id=a%d */ SELECT /*+read_consistency(weak)*/ c FROM t0 WHERE id=7",
    "insert of 10 rows": "INSERT INTO t0 (id, c) VALUES " + ", ".join(["(%d, 'some text')"] * 10),
}
_PARTITIONED: Final = (("ph", 0, 4, 63), ("pi", 1, 4, 63), ("pk", 1, 22, 45), ("pr", 3, 4, 63))
"""Name, method, type of the key column (int or varchar), its collation."""
_DECISIONS: Final = {
    "one partition": "SELECT c FROM t0 WHERE id=%d",
    "hash partition": "SELECT c FROM ph WHERE id=%d",
    "key partition, integer": "SELECT c FROM pi WHERE id=%d",
    "key partition, varchar": "SELECT c FROM pk WHERE id='key %d'",
    "range partition": "SELECT c FROM pr WHERE id=%d",
    "weak read, FOLLOWER_FIRST": "SELECT /*+read_consistency(weak)*/ c FROM t0 WHERE id=%d",
    "no table": "SELECT %d",
}


class World:
    """Three servers in three IDCs, so many tables, one session."""

    def __init__(self, tables: int) -> None:
        self.locations = Locations()
        for number in range(tables):
            self._add(f"t{number}", number)
        for name, kind, column_type, collation in _PARTITIONED:
            self._add_partitioned(name, kind, column_type, collation)
        zones = {f"z{at}": Zone(f"z{at}", "ACTIVE", "r", f"idc{at}", "ReadWrite") for at in range(3)}
        servers = {address: Server(address, f"z{at}", Health.ACTIVE) for at, address in enumerate(_SERVERS)}
        settings = RouteSettings(idc="idc0", policy="FOLLOWER_FIRST")
        self.view = View(_KEY, 1, servers, zones, _SERVERS, self.locations, settings)
        self.state = client_state()
        self.statements = Statements(200_000)

    def _entry(self, name: str, number: int, part_num: int) -> TableEntry:
        entry = TableEntry(TableKey("demo", "sys", "test", name), 0.0, table_id=number, part_num=part_num)
        self.locations.store(entry)
        return entry

    def _add(self, name: str, number: int) -> None:
        entry = self._entry(name, number, 1)
        entry.location = self._location(entry, 0)

    def _location(self, entry: TableEntry, tablet: int) -> Location:
        leader = (entry.table_id + tablet) % 3
        return Location(entry, tablet, tuple(Replica(a, at == leader) for at, a in enumerate(_SERVERS)), 0.0)

    def _add_partitioned(self, name: str, kind: int, column_type: int, collation: int) -> None:
        info = {
            "part_level": 1, "part_num": PARTS, "part_type": kind, "part_expr": "id", "sub_part_num": 0,
            "sub_part_type": 0, "sub_part_expr": "", "part_key_num": 1, "part_key_name": "id",
            "part_key_type": column_type, "part_key_idx": 0, "part_key_level": 1, "part_key_extra": "",
            "part_key_collation_type": collation, "part_key_rowkey_idx": 0, "part_key_expr": "",
            "part_key_length": 64, "part_key_precision": 11, "part_key_scale": 0, "part_key_default_value": None,
        }  # fmt: skip
        rows: list[dict[str, Any]] = [
            {"tablet_id": 1000 + at, "part_id": at, "part_name": f"p{at}", "high_bound_val_bin": _bound(at)}
            for at in range(PARTS)
        ]
        entry = self._entry(name, 1, PARTS)
        entry.partitioning = read_partitioning(1, [info], rows, [])
        for row in rows:
            self.locations.add_tablet(self._location(entry, row["tablet_id"]))

    def request(self, sql: str) -> RouteRequest:
        """A statement of the session."""
        request = RouteRequest(self.state, Values())
        shape, request.values.literals = self.statements.shape(sql.encode())
        request.begin(shape)
        return request


def client_state() -> ClientState:
    """Return the state of a session that has asked before."""
    state = ClientState()
    state.database, state.last = b"test", _SERVERS[0]
    return state


def _bound(at: int) -> bytes:
    """``VALUES LESS THAN (at * 100 + 100)``, as the kernel writes it: count, meta of a bigint, a varint."""
    value, digits = at * 100 + 100, bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return b"\x01\x05\x05\x3f\x00" + bytes(digits) + bytes((value,))


def measure(seconds: float) -> Iterator[Sample]:
    """Time each part for about so long."""
    world = World(SIZES[0])
    yield from _facts(world, seconds)
    yield from _decisions(world, seconds)
    yield _sample("router", "point select like the one before", _time(_chooser(world, 1), seconds))
    yield _sample("router", "point select, prepared", _time(_executor(world), seconds))
    yield _sample("router", "point selects over 10 tables", _time(_chooser(world, 10), seconds))
    for size in SIZES:
        many = World(size)
        scenario = f"{size:,} tables in the cache"
        yield _sample(scenario, "decide, one of the same 10 tables", _time(_decider(many, 10), seconds))
        yield _sample(scenario, "decide, random table", _time(_decider(many, size), seconds))
        yield _sample(scenario, "router, random table", _time(_chooser(many, size), seconds))
    yield from _weight()


def _facts(world: World, seconds: float) -> Iterator[Sample]:
    shape = world.statements.shape
    for name, text in _STATEMENTS.items():
        texts = cycle([(text % ((number,) * text.count("%d"))).encode() for number in range(100)])
        yield _sample("facts of a known shape", name, _time(lambda: shape(next(texts)), seconds))  # noqa: B023
    numbers = iter(range(1 << 60))
    fresh = Statements()
    cold = _time(lambda: fresh.shape(b"SELECT c%d FROM t0 WHERE id=1" % next(numbers)), seconds)
    yield _sample("facts of a new shape", "point select", cold)


def _decisions(world: World, seconds: float) -> Iterator[Sample]:
    """Each execution has other values than the one before."""
    for name, text in _DECISIONS.items():
        request = world.request(text % 5)
        literals = cycle([world.statements.shape((text % number).encode())[1] for number in range(100)])
        yield _sample("decide", name, _time(_asker(world, request, literals), seconds))
    request = world.request("SELECT c FROM ph WHERE id=?")
    parameters = cycle([(number,) for number in range(100)])

    def execute_again() -> object:
        request.values.parameters = next(parameters)
        return decide(request, world.view)

    yield _sample("decide", "hash partition, prepared", _time(execute_again, seconds))
    world.state.in_transaction = True
    request = world.request(_DECISIONS["one partition"] % 5)
    yield _sample("decide", "in a transaction", _time(lambda: decide(request, world.view), seconds))
    world.state.in_transaction = False


def _asker(world: World, request: RouteRequest, literals: Iterator[Sequence[bytes]]) -> Callable[[], object]:
    view, values = world.view, request.values

    def ask() -> object:
        values.literals = next(literals)
        return decide(request, view)

    return ask


def _decider(world: World, tables: int) -> Callable[[], object]:
    """Return what decides about a statement on one of so many tables, at random; its facts are known."""
    chance = random.Random(0)
    names = [b"SELECT c FROM t%d WHERE id=1" % chance.randrange(tables) for _ in range(min(20_000, tables * 10))]
    turn = cycle([world.statements.shape(name)[0] for name in names])
    request = world.request(_DECISIONS["one partition"] % 1)
    view = world.view

    def ask() -> object:
        request.begin(next(turn))
        return decide(request, view)

    for _ in names:
        ask()
    return ask


def _weight() -> Iterator[Sample]:
    """Weigh the entry of a table: as it is fetched, and when statements have been routed by it."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        world = World(_WEIGHED)
        fetched = tracemalloc.get_traced_memory()[0]
        for entry in world.locations.entries():
            request = RouteRequest(world.state, Values())
            request.entry = entry
            request.location = entry.location
            leader(request, world.view)
        del request
        routed = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    for metric, bytes_each in (("as fetched", fetched - before), ("with its route", routed - before)):
        yield Sample("memory of a location", metric, "bytes/table", "odp_trio", bytes_each / _WEIGHED)


def open_router(world: World, view: View | None = None) -> Router:
    """Return the router of a session that has a session on every server; of another tenant if its view is given."""
    servers = ServerSet()
    for address in _SERVERS:
        servers.add(_Upstream(address))  # type: ignore[arg-type]  # a server session without a socket
    return Router(
        _KEY if view is None else view.key, "app", world.state, servers, ResponseTracker(), world.statements,
        _Views(view or world.view), _Views(view or world.view),
        rule_set(), 1, 4096,
    )  # fmt: skip


def _chooser(world: World, tables: int) -> Callable[[], object]:
    """Return what routes a command on one of so many tables, at random."""
    router = open_router(world)
    chance = random.Random(0)
    commands = [
        bytearray(packet(0, b"\x03SELECT c FROM t%d WHERE id=%d" % (chance.randrange(tables), number)))
        for number in range(min(20_000, tables * 10))
    ]
    return _choose(router, commands)


def _executor(world: World) -> Callable[[], object]:
    """Return what routes the execution of a prepared statement that every server has."""
    router = open_router(world)
    copied(world, router)
    return _choose(router, [bytearray(execute(1, (number,))) for number in range(100)])


def copied(world: World, router: Router) -> None:
    """Let a session have a prepared statement, number 1, that every server has."""
    shape, literals = world.statements.shape(_PREPARED.encode())
    types = execute(1, (1,), first=True)[-10:-8]
    router.statements.prepared.statements[1] = Prepared(1, _PREPARED.encode(), shape, tuple(literals), 1, types)
    for upstream in router.servers.by_address.values():
        upstream.copies[1] = Copy(1)


def _choose(router: Router, commands: list[bytearray]) -> Callable[[], object]:
    for command in commands:
        if router.choose(command, len(command)) is None:
            raise ValueError(f"{bytes(command)!r} is not routed at once")
    turn = cycle(commands)

    def choose() -> object:
        command = next(turn)
        return router.choose(command, len(command))

    return choose


class _Upstream:
    closed = False
    framed = None

    def __init__(self, address: Address) -> None:
        self.address = address
        self.state = ServerState(0, b"test")
        self.copies: dict[int, object] = {}


class _Views:
    generation = 1

    def __init__(self, view: View) -> None:
        self._view = view

    def view(self, key: TenantKey, user: str) -> View:
        return self._view

    def note_dirty(self, location: Location) -> None:
        raise AssertionError(location)

    def renew(self, location: Location) -> bool:
        raise AssertionError(location)

    def tables_changed(self, key: TenantKey, database: str, sql: bytes) -> None:
        raise AssertionError(sql)

    def tenant_moved(self, key: TenantKey) -> None:
        raise AssertionError(key)

    def server_failed(self, key: TenantKey, address: Address, failure: Failure) -> None:
        raise AssertionError(failure)

    def server_answered(self, key: TenantKey, address: Address) -> None:
        raise AssertionError(address)

    def misrouted(self, key: TenantKey, route: Route, sql: bytes) -> None:
        raise AssertionError(route)


def _time(work: Callable[[], object], seconds: float) -> float:
    """Return the median over batches of the time of one call, in µs."""
    times: list[float] = []
    stop = time.perf_counter() + seconds
    while time.perf_counter() < stop or not times:
        begun = time.perf_counter_ns()
        for _ in range(200):
            work()
        times.append((time.perf_counter_ns() - begun) / 200)
    return sorted(times)[len(times) // 2] / 1e3


def _sample(scenario: str, metric: str, micros: float) -> Sample:
    return Sample(scenario, metric, "µs", "odp_trio", micros)
