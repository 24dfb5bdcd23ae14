"""The router without a socket: what it chooses at once, what it leaves to the session's task, what it repeats."""

from __future__ import annotations

from typing import Any

import pytest

from odp_trio.model import Address, TenantKey
from odp_trio.net.reactor import Reactor
from odp_trio.routing.own_rules import rule_set
from odp_trio.routing.request import Route
from odp_trio.routing.view import View
from odp_trio.session.router import Router
from odp_trio.session.server_set import ServerSet, Upstream
from odp_trio.session.upstream import ServerSession
from odp_trio.sql.cache import Statements
from odp_trio.state.client import ServerState
from odp_trio.state.prepared import Copy, Prepared, TextPrepared
from odp_trio.topology.congestion import Failure
from odp_trio.topology.location import Location, Replica
from odp_trio.wire.fields import Status
from odp_trio.wire.packets import packet
from odp_trio.wire.response import ResponseTracker
from odp_trio.wire.state import SessionState
from tests.routing.world import THREE_IDCS, World, address


class NoSocket:
    """The stream of a server session that nothing is sent to."""

    def fileno(self) -> int:
        return -1

    def recv(self, size: int, /) -> bytes:
        raise BlockingIOError

    def recv_into(self, buffer: bytearray | memoryview, /) -> int:
        raise BlockingIOError

    def send(self, data: bytes | bytearray | memoryview, /) -> int:
        raise BlockingIOError

    def shutdown(self, how: int, /) -> None:
        return None

    def close(self) -> None:
        return None


def upstream_to(where: Address, reactor: Reactor, connection_id: int = 1) -> Upstream:
    """Make a server session without a socket."""
    stream: Any = NoSocket()
    made = Upstream(ServerSession(where, stream, stream, connection_id, b""), reactor, lambda _: None)
    made.state = ServerState(0, b"test")
    return made


class Lent:
    """Views and feedback."""

    def __init__(self, world: World) -> None:
        self.generation = world.view.epoch
        self.world = world
        self.dirty: list[Location] = []
        self.moved: list[TenantKey] = []
        self.answered: list[Address] = []
        self.astray: list[tuple[Address, bytes]] = []

    def view(self, key: TenantKey, user: str) -> View | None:
        return self.world.view

    def note_dirty(self, location: Location) -> None:
        self.dirty.append(location)

    def renew(self, location: Location) -> bool:
        return False

    def tables_changed(self, key: TenantKey, database: str, sql: bytes) -> None:
        return None

    def tenant_moved(self, key: TenantKey) -> None:
        self.moved.append(key)

    def server_failed(self, key: TenantKey, address: Address, failure: Failure) -> None:
        return None

    def misrouted(self, key: TenantKey, route: Route, sql: bytes) -> None:
        self.astray.append((route.server, sql))

    def server_answered(self, key: TenantKey, address: Address) -> None:
        self.answered.append(address)


class Bed:
    """A router over three servers, to each of which there is a server session."""

    def __init__(self) -> None:
        self.world = World(THREE_IDCS)
        self.lent = Lent(self.world)
        self.servers = ServerSet()
        reactor = Reactor()
        for number in (1, 2, 3):
            self.servers.add(upstream_to(address(number), reactor))
        self.tracker = ResponseTracker()
        self.shapes = Statements()
        self.router = Router(
            self.world.view.key, "app", self.world.state, self.servers, self.tracker, self.shapes, self.lent,
            self.lent, rule_set(), 5, 4096,
        )  # fmt: skip

    def ask(self, sql: str) -> Address | None:
        data = bytearray(packet(0, b"\x03" + sql.encode()))
        chosen: Upstream | None = self.router.choose(data, len(data))
        return None if chosen is None else chosen.address


def test_like_statements_are_repeated_with_their_own_literals_and_counted() -> None:
    bed = Bed()

    assert {bed.ask(f"select v from t where id = {number}") for number in range(5)} == {address(2)}

    assert bed.router.values.literals == [b"4"]
    location = bed.world.entry.location
    assert location is not None
    assert location.routed == 5
    assert bed.world.entry.tallies["leader"] == [5, 0]


def leader_moves(bed: Bed) -> None:
    location = bed.world.entry.location
    assert location is not None
    location.renew((Replica(address(3), leader=True), Replica(address(2))), 1.0)


def transaction_begins(bed: Bed) -> None:
    bed.world.state.last = address(2)
    bed.tracker.status = int(Status.IN_TRANS)


def consistency_is_set(bed: Bed) -> None:
    bed.world.state.learn(SessionState({b"ob_read_consistency": b"WEAK"}), ServerState(0, b"test"))


def table_is_replaced(bed: Bed) -> None:
    bed.world.locations.drop(bed.world.entry.key)


def server_goes(bed: Bed) -> None:
    assert bed.servers.active is not None
    assert bed.router.lost(bed.servers.active)


def database_changes(bed: Bed) -> None:
    bed.world.state.learn(SessionState(schema=b"other"), ServerState(0, b"test"))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (leader_moves, address(3)),
        (transaction_begins, address(2)),
        (consistency_is_set, None),
        (table_is_replaced, None),
        (server_goes, None),
        (database_changes, None),
    ],
)
def test_nothing_is_repeated_that_a_change_might_concern(change: Any, expected: Address | None) -> None:
    bed = Bed()
    assert bed.ask("select v from t where id = 1") == address(2)
    assert bed.ask("select v from t where id = 2") == address(2)

    change(bed)

    assert bed.ask("select v from t where id = 3") == expected
    if change is transaction_begins:
        assert bed.router.decision is not None
        assert bed.router.decision.rule == "open_transaction"  # type: ignore[union-attr]


def in_a_transaction() -> Bed:
    """A session whose transaction is open on server 1, which has asked twice there."""
    bed = Bed()
    bed.world.state.last, bed.tracker.status = address(1), int(Status.IN_TRANS)
    assert {bed.ask(f"select v from t where id = {number}") for number in range(4)} == {address(1)}
    return bed


def transaction_ends(bed: Bed) -> None:
    bed.tracker.status = 0


def transaction_is_elsewhere(bed: Bed) -> None:
    bed.world.state.last = address(3)


def variable_is_set(bed: Bed) -> None:
    bed.world.state.learn(SessionState({b"sql_mode": b""}), ServerState(0, b"test"))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (transaction_ends, address(2)),
        (transaction_is_elsewhere, address(3)),
        (variable_is_set, None),
        (server_goes, address(2)),
        (database_changes, None),
    ],
)
def test_within_a_transaction_like_statements_stay_until_something_changes(
    change: Any, expected: Address | None
) -> None:
    bed = in_a_transaction()
    assert bed.router.values.literals == [b"3"]

    change(bed)

    assert bed.ask("select v from t where id = 9") == expected


def test_a_number_in_place_of_a_number_is_the_same_statement_and_nothing_else_is() -> None:
    bed = Bed()
    texts = ["select v from t where id = 7", "select v from t where id = 17", "select v from t where id = 017"]
    for text in (*texts, *texts):
        bed.ask(text)
    hits, misses = bed.shapes.hits, bed.shapes.misses

    for text in ("select v from t where id = 7.5", "select v from t where id = a", "select v from t where id = "):
        bed.ask(text)

    assert (misses, hits) == (1, 5)
    assert bed.shapes.misses == 3
    assert bed.router.values.literals == []


def test_what_is_not_known_yet_is_left_to_the_task() -> None:
    bed = Bed()

    assert bed.ask("select * from another where id = 1") is None
    assert bed.ask("explain route select v from t") is None


def test_a_missed_partition_makes_the_location_dirty_and_counts() -> None:
    bed = Bed()
    bed.ask("update t set v = 1 where id = 1")
    bed.tracker.state = SessionState({b"ob_proxy_partition_hit": b"OFF"})
    bed.tracker.errno = 0

    bed.router.answered()

    assert bed.lent.dirty == [bed.world.entry.location]
    assert [sql for _, sql in bed.lent.astray] == [bed.router.text]
    assert bed.world.entry.tallies["leader"] == [1, 1]


def test_a_tenant_that_is_not_there_is_looked_up_anew() -> None:
    bed = Bed()
    bed.ask("update t set v = 1 where id = 1")
    bed.tracker.errno = 5150

    bed.router.answered()

    assert bed.lent.moved == [bed.world.view.key]


def test_a_session_that_is_bound_does_not_outlive_its_server() -> None:
    bed = Bed()
    bed.ask("select v from t where id = 1")
    bed.world.state.note_temporary_table()
    assert bed.servers.active is not None

    assert not bed.router.lost(bed.servers.active)


# ---- a transaction begins ----------------------------------------------------------------------------


def answer(bed: Bed) -> bytes:
    """Take the router's own answer."""
    reply, bed.router.reply = bed.router.reply, b""
    return reply


def test_a_begin_is_answered_and_the_next_statement_is_not_sent_without_it() -> None:
    bed = Bed()
    assert bed.ask("select v from t where id = 1") == address(2)

    assert bed.ask("begin") is None
    assert answer(bed) == packet(1, b"\0\0\0\x23\0\0\0")
    assert bed.router.holds_transaction
    assert bed.ask("select v from t where id = 1") is None
    assert answer(bed) == b""
    assert bed.router.decision is not None
    assert bed.router.decision.server == address(2)  # type: ignore[union-attr]


def test_the_answer_has_the_flags_of_the_session() -> None:
    bed = Bed()
    here = ServerState(0, b"test")
    bed.world.state.learn(SessionState({b"autocommit": b"OFF", b"sql_mode": b"NO_BACKSLASH_ESCAPES"}), here)
    bed.router.dialect = bed.world.state.dialect()

    bed.ask("start transaction read only")

    assert answer(bed) == packet(1, b"\0\0\0\x21\x02\0\0")


@pytest.mark.parametrize("end", ["commit", "ROLLBACK", " rollback work ;", "Commit\nWork"])
def test_a_transaction_that_no_server_knows_of_ends_without_one(end: str) -> None:
    bed = Bed()
    bed.ask("begin")
    answer(bed)

    assert bed.ask(end) is None

    assert answer(bed) == packet(1, b"\0\0\0\x22\0\0\0")
    assert not bed.router.holds_transaction


@pytest.mark.parametrize("end", ["commit and chain", "rollback to a", "commit release", "commit; select 1"])
def test_what_does_more_than_end_it_is_sent(end: str) -> None:
    bed = Bed()
    bed.ask("begin")
    answer(bed)

    assert bed.ask(end) is None

    assert answer(bed) == b""
    assert bed.router.begins is not None
    assert (bed.router.begun, bed.router.holds_transaction) == (b"begin", False)


@pytest.mark.parametrize("held_by", ["transaction", "bound", "route"])
def test_where_the_server_is_certain_a_begin_is_sent(held_by: str) -> None:
    bed = Bed()
    bed.ask("select v from t where id = 1")
    if held_by == "transaction":
        bed.tracker.status = int(Status.IN_TRANS)
    elif held_by == "bound":
        bed.world.state.note_temporary_table()

    comment = f"/* target_db_server='{address(2)}' */ " if held_by == "route" else ""
    assert bed.ask(f"{comment}begin") == address(2)
    assert not bed.router.holds_transaction


def test_the_transaction_begins_anew_when_its_first_statement_goes_elsewhere() -> None:
    bed = Bed()
    bed.ask("begin")
    bed.world.state.hold_begin(b"")
    bed.router.begun = b"begin"
    left = bed.servers.by_address[address(2)]

    bed.router.begin_again(left, gone=False)

    assert left.closed
    assert bed.world.state.held_begin == b"begin"


# ---- executions of prepared statements ------------------------------------------------------------

BIGINT = b"\x08\x00"


def prepared(bed: Bed, number: int = 1, sql: bytes = b"select v from t where id = ?") -> Prepared:
    """A statement that every server has, under a number of its own."""
    shape, literals = bed.shapes.shape(sql)
    statement = Prepared(number, sql, shape, tuple(literals), sql.count(b"?"))
    bed.router.statements.prepared.statements[number] = statement
    for upstream in bed.servers.by_address.values():
        upstream.copies[number] = Copy(100 * number + upstream.address.port % 10)
    return statement


def execution(number: int, value: int, *, types: bytes = b"", cursor: int = 0) -> bytearray:
    head = b"\x17" + number.to_bytes(4, "little") + bytes((cursor,)) + b"\x01\0\0\0" + b"\0"
    return bytearray(packet(0, head + bytes((bool(types),)) + types + value.to_bytes(8, "little")))


def run(bed: Bed, data: bytearray) -> Address | None:
    chosen = bed.router.choose(data, len(data))
    return None if chosen is None else chosen.address


def running(bed: Bed) -> Prepared:
    """A statement that was executed twice: with types, by way of the session's task, and without."""
    statement = prepared(bed)
    statement.types, statement.types_version = BIGINT, 1
    for upstream in bed.servers.by_address.values():
        upstream.copies[1].types_version = 1
    assert run(bed, execution(1, 5)) == address(2)
    assert bed.router._again_running is statement
    return statement


def repeatable(bed: Bed) -> tuple[bool, Prepared | None]:
    """Whether a text like the last one would be repeated, and the statement whose execution would be."""
    return bed.router._again is not None, bed.router._again_running


def test_executions_of_the_same_statement_are_repeated_with_the_servers_number_and_counted() -> None:
    bed = Bed()
    running(bed)
    data = execution(1, 6)

    assert run(bed, data) == address(2)

    assert bed.servers.active is not None
    assert int.from_bytes(data[5:9], "little") == bed.servers.active.copies[1].server_id
    assert bed.world.entry.tallies["leader"] == [2, 0]
    assert bed.router.values.parameters is None  # not looked at, and not those of the execution before


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (leader_moves, address(3)),
        (transaction_begins, address(2)),
        (consistency_is_set, None),
        (table_is_replaced, None),
        (server_goes, None),
        (database_changes, None),
    ],
)
def test_no_execution_is_repeated_that_a_change_might_concern(change: Any, expected: Address | None) -> None:
    bed = Bed()
    running(bed)

    change(bed)

    assert run(bed, execution(1, 6)) == expected


def test_a_comment_names_the_server_of_what_is_prepared_too() -> None:
    bed = Bed()
    sql = f"/* target_db_server='{address(3)}' */ select v from t where id = ?".encode()
    assert bed.ask("select v from t where id = 1") == address(2)  # its leader

    assert run(bed, bytearray(packet(0, b"\x16" + sql))) == address(3)
    prepared(bed, sql=sql)
    for value in (5, 6, 7):
        assert run(bed, execution(1, value, types=BIGINT)) == address(3)
    prepared(bed, number=2)
    assert run(bed, execution(2, 5, types=BIGINT)) == address(2)


def test_a_comment_is_not_looked_for_in_what_may_not_be_prepared() -> None:
    bed = Bed()
    bed.router.statements._most = 1
    prepared(bed)
    assert bed.ask(f"/* target_db_server='{address(3)}' */ select v from t where id = 1") == address(3)

    assert run(bed, bytearray(packet(0, b"\x16select v from t where id = ?"))) is None

    assert bed.router.statements.refusal is not None


def test_a_comment_before_execute_comes_before_that_of_its_text() -> None:
    bed = Bed()
    sql = f"/* target_db_server='{address(3)}' */ select v from t where id = 1".encode()
    meant = TextPrepared("S", sql, *bed.shapes.shape(sql))
    bed.world.state.text_prepared["S"] = meant
    for upstream in bed.servers.by_address.values():
        upstream.texts["S"] = meant

    assert bed.ask("execute s") == address(3)
    assert bed.ask(f"/* target_db_server='{address(1)}' */ execute s") == address(1)


def test_an_execution_with_other_types_or_a_cursor_is_read() -> None:
    bed = Bed()
    statement = running(bed)

    run(bed, execution(1, 6, types=b"\x03\x00"))
    assert statement.types == b"\x03\x00"

    running(bed)
    run(bed, execution(1, 6, cursor=1))
    assert bed.router.watching
    assert bed.router.statements.prepared.statements[1].cursor_on == address(2)


def test_another_statement_in_between_ends_the_repetition() -> None:
    bed = Bed()
    running(bed)
    second = prepared(bed, 2, b"select v from t")

    assert bed.ask("select v from t where id = 7") == address(2)
    assert repeatable(bed) == (True, None)
    assert run(bed, bytearray(packet(0, b"\x17\2\0\0\0\0\1\0\0\0"))) == address(2)
    assert repeatable(bed) == (False, second)  # the same text as a query is read anew
    assert bed.ask("select v from t") == address(2)
    assert bed.router.statements.running is None


def test_an_execution_cut_before_its_types_is_read() -> None:
    bed = Bed()
    running(bed)
    data = execution(1, 6)

    assert bed.router._executed_again(data, 15) is None
    assert bed.router._executed_again(data, 16) is not None
