"""Routing alone: facts of a statement, the decision, the router, and how the number of tables matters."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any, Final

from benchmarks.figures import Sample
from odp_trio.model import Address, TenantKey
from odp_trio.routing.decide import decide
from odp_trio.routing.own_rules import rule_set
from odp_trio.routing.request import RouteRequest
from odp_trio.routing.values import Values
from odp_trio.routing.view import RouteSettings, View
from odp_trio.session.router import Router
from odp_trio.session.server_set import ServerSet
from odp_trio.sql.cache import Statements
from odp_trio.state.client import ClientState, ServerState
from odp_trio.topology.cluster import Server, Zone
from odp_trio.topology.cluster import ServerState as Health
from odp_trio.topology.location import Location, Locations, Replica, TableEntry, TableKey
from odp_trio.topology.partitioning import read_partitioning
from odp_trio.wire.packets import packet
from odp_trio.wire.response import ResponseTracker

SIZES: Final = (10, 1_000, 100_000)
PARTS: Final = 8
_KEY: Final = TenantKey("demo", "sys")
_SERVERS: Final = tuple(Address(f"10.0.0.{number}", 2881) for number in (1, 2, 3))
_STATEMENTS: Final = {
    "point select": "SELECT c FROM t0 WHERE id=%d",
    "hint and comment": "/* trace_id=a%d */ SELECT /*+read_consistency(weak)*/ c FROM t0 WHERE id=7",
    "insert of 10 rows": "INSERT INTO t0 (id, c) VALUES " + ", ".join(["(%d, 'some text')"] * 10),
}
_DECISIONS: Final = {
    "one partition": "SELECT c FROM t0 WHERE id=%d",
    "hash partition": "SELECT c FROM ph WHERE id=%d",
    "key partition, varchar": "SELECT c FROM pk WHERE id='key %d'",
    "range partition": "SELECT c FROM pr WHERE id=%d",
    "weak read": "SELECT /*+read_consistency(weak)*/ c FROM t0 WHERE id=%d",
    "no table": "SELECT %d",
}


class World:
    """Three servers in three IDCs, so many tables, one session."""

    def __init__(self, tables: int) -> None:
        self.locations = Locations()
        for number in range(tables):
            self._add(f"t{number}", number)
        for name, kind, column_type, collation in (("ph", 0, 4, 63), ("pk", 1, 22, 45), ("pr", 3, 4, 63)):
            self._add_partitioned(name, kind, column_type, collation)
        zones = {f"z{at}": Zone(f"z{at}", "ACTIVE", "r", f"idc{at}", "ReadWrite") for at in range(3)}
        servers = {address: Server(address, f"z{at}", Health.ACTIVE) for at, address in enumerate(_SERVERS)}
        settings = RouteSettings(idc="idc0", policy="FOLLOWER_FIRST")
        self.view = View(_KEY, 1, servers, zones, _SERVERS, self.locations, settings)
        self.state = ClientState()
        self.state.database, self.state.last = b"test", _SERVERS[0]
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
    for name, text in _STATEMENTS.items():
        texts = cycle([(text % tuple([number] * text.count("%d"))).encode() for number in range(100)])
        shape = world.statements.shape
        yield _sample("facts of a known shape", name, _time(lambda: shape(next(texts)), seconds))  # noqa: B023
    numbers = iter(range(1 << 60))
    fresh = Statements()
    cold = _time(lambda: fresh.shape(b"SELECT c%d FROM t0 WHERE id=1" % next(numbers)), seconds)
    yield _sample("facts of a new shape", "point select", cold)
    for name, text in _DECISIONS.items():
        request = world.request(text % 5)
        yield _sample("decide", name, _time(lambda: decide(request, world.view), seconds))  # noqa: B023
    yield _sample("router", "point select like the one before", _time(_chooser(world, 1), seconds))
    yield _sample("router", "point selects over 10 tables", _time(_chooser(world, 10), seconds))
    for size in SIZES:
        many = World(size)
        yield _sample(f"router, {size} tables in the cache", "random table", _time(_chooser(many, size), seconds))


def _chooser(world: World, tables: int) -> Callable[[], object]:
    """Return what routes a command on one of so many tables, at random."""
    servers = ServerSet()
    for address in _SERVERS:
        servers.add(_Upstream(address))  # type: ignore[arg-type]  # a server session without a socket
    router = Router(
        _KEY, "app", world.state, servers, ResponseTracker(), world.statements, _Views(world), _Views(world),
        rule_set(), 1, 4096,
    )  # fmt: skip
    chance = random.Random(0)
    commands = [
        bytearray(packet(0, b"\x03SELECT c FROM t%d WHERE id=%d" % (chance.randrange(tables), number)))
        for number in range(min(20_000, tables * 10))
    ]
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

    def __init__(self, address: Address) -> None:
        self.address = address
        self.state = ServerState(0, b"test")
        self.copies: dict[int, object] = {}


class _Views:
    generation = 1

    def __init__(self, world: World) -> None:
        self._world = world

    def view(self, key: TenantKey, user: str) -> View:
        return self._world.view

    def note_dirty(self, location: Location) -> None:
        raise AssertionError(location)

    def renew(self, location: Location) -> bool:
        raise AssertionError(location)

    def tables_changed(self, key: TenantKey, database: str, sql: bytes) -> None:
        raise AssertionError(sql)

    def tenant_moved(self, key: TenantKey) -> None:
        raise AssertionError(key)


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
