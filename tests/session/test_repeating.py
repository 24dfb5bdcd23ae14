"""What is sent like the statement before it goes where the rules would have sent it, and counts as if they had."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.packets import execute
from odp_trio.model import Address
from odp_trio.routing.request import Route
from odp_trio.session.server_set import Upstream
from odp_trio.state.prepared import Copy, Prepared
from odp_trio.topology.location import Location, Replica, TableEntry, TableKey, mark_dirty
from odp_trio.wire.fields import Status
from tests.routing.world import address
from tests.session.test_router import Bed

TABLES: Final = ("t", "u", "v")
DATABASES: Final = ("test", "other")
TEXTS: Final = (
    *(f"select v from {table} where id = 1" for table in TABLES),
    *(f"select v, w from {table} where id = 1" for table in TABLES),
    "update u set v = 1 where id = 1",
    "insert into v values (1)",
    "select v from u where id = 1 for update",
    "select /*+ read_consistency(weak) */ v from t where id = 1",
    "select /*+ read_consistency(strong) */ v from v where id = 1",
    "select found_rows()",
    "select get_lock('a', 1) from t",
    "select last_insert_id() from t",
    "select v from other.u where id = 1",
    "explain select v from v",
    "/* a comment */ select v from u",
    "select 1",
    "begin",
    "commit",
    "set @a = 1",
)
PREPARED: Final = {1: TEXTS[0], 2: TEXTS[4], 3: TEXTS[6], 4: TEXTS[9]}


class Sided(Bed):
    """A router over three tables in each of two databases, whose leaders are on different servers."""

    def __init__(self, *, asks_always: bool) -> None:
        super().__init__()
        self.asks_always = asks_always
        for database in DATABASES:
            for number, table in enumerate(TABLES, len(database)):
                self.make(database, table, number % 3 + 1)
        for number, text in PREPARED.items():
            shape, literals = self.shapes.shape(text.encode())
            prepared = Prepared(number, text.encode(), shape, tuple(literals))
            self.router.statements.prepared.statements[number] = prepared
            for upstream in self.servers.by_address.values():
                upstream.copies[number] = Copy(number + 10)

    def make(self, database: str, table: str, leader: int) -> None:
        entry = TableEntry(TableKey("demo", "t1", database, table), 0.0)
        entry.location = Location(entry, 0, tuple(Replica(address(n), n == leader) for n in (1, 2, 3)), 0.0)
        self.world.locations.store(entry)

    def find(self, database: str, table: str) -> TableEntry | None:
        return self.world.locations.find(TableKey("demo", "t1", database, table))

    def ask(self, sql: str) -> Address | None:
        self.forget()
        return super().ask(sql)

    def run(self, number: int) -> Address | None:
        self.forget()
        data = bytearray(execute(number, ()))
        chosen: Upstream | None = self.router.choose(data, len(data))
        return None if chosen is None else chosen.address

    def forget(self) -> None:
        self.router.request.turn = 0  # chooses among equals
        if self.asks_always:
            self.router._like, self.router._again, self.router._frame = 0, None, None
            self.router._again_running = None

    def seen(self) -> object:
        """What the next statement, the answer and the metrics depend on."""
        router, state, decision = self.router, self.world.state, self.router.decision
        active, location, running = self.servers.active, router.request.location, router.statements.running
        counts = [
            (entry.key, entry.tallies, [(location.routed, location.missed) for location in entry.locations()])
            for entry in self.world.locations.entries()
        ]
        return (
            None if active is None else active.address,
            (decision.server, decision.rule, decision.to_leader) if isinstance(decision, Route) else decision,
            (state.last, state.rows_server, state.lock_server),
            (router.what, router.text, list(router.values.literals), router.watching, router.reply),
            None if location is None else location.table.key,
            None if running is None else running.id,
            (router.request.shape.facts, router.request.owner, router.request.annotation, router.begun),
            state.in_transaction,
            sorted(counts, key=str),
        )


def begin_transaction(bed: Sided) -> None:
    bed.tracker.status |= Status.IN_TRANS


def end_transaction(bed: Sided) -> None:
    bed.tracker.status &= ~Status.IN_TRANS


def move_leader(bed: Sided) -> None:
    entry = bed.find("test", "u")
    if entry is not None and entry.location is not None:
        entry.location.renew((Replica(address(1)), Replica(address(3), leader=True)), 1.0)


def dirty(bed: Sided) -> None:
    entry = bed.find("test", "t")
    if entry is not None and entry.location is not None:
        mark_dirty(entry.location)


def replace(bed: Sided) -> None:
    bed.make("test", "v", 2)


def drop(bed: Sided) -> None:
    bed.world.locations.drop(TableKey("demo", "t1", "test", "u"))


def use(database: str) -> Callable[[Sided], None]:
    def change(bed: Sided) -> None:
        state = bed.world.state
        state.database, state.revision = database.encode(), state.revision + 1
        for upstream in bed.servers.by_address.values():
            upstream.state.database = state.database

    return change


def another_version(bed: Sided) -> None:
    bed.world.state.version += 1


def same_version(bed: Sided) -> None:
    for upstream in bed.servers.by_address.values():
        upstream.state.version = bed.world.state.version


def weak(bed: Sided) -> None:
    bed.world.state.impose(b"ob_read_consistency", b"2")
    same_version(bed)


def lose(bed: Sided) -> None:
    upstream = bed.servers.by_address.get(address(2))
    if upstream is not None:
        bed.router.lost(upstream)


CHANGES: Final = (
    begin_transaction, end_transaction, move_leader, dirty, replace, drop, use("other"), use("test"),
    another_version, same_version, weak, lose,
)  # fmt: skip


@given(
    st.lists(
        st.one_of(
            st.sampled_from(TEXTS),
            st.sampled_from(TEXTS[:9]),
            st.sampled_from(sorted(PREPARED)),
            st.sampled_from(CHANGES),
        ),
        max_size=40,
    )
)
def test_it_is_as_if_the_rules_were_asked_each_time(steps: list[str | int | Callable[[Sided], None]]) -> None:
    quick, slow = Sided(asks_always=False), Sided(asks_always=True)
    for step in steps:
        if callable(step):
            step(quick)
            step(slow)
            continue
        bound = quick.run(step) if isinstance(step, int) else quick.ask(step)
        assert bound == (slow.run(step) if isinstance(step, int) else slow.ask(step)), step
        if bound is not None:
            assert quick.seen() == slow.seen(), step


def test_what_is_behind_the_first_statement_of_a_transaction_goes_where_that_went() -> None:
    quick, slow = Sided(asks_always=False), Sided(asks_always=True)
    for bed in (quick, slow):
        assert [bed.ask(text) for text in ("begin", TEXTS[0])] == [None, None]
        assert bed.router.begins is bed.servers.active
        assert bed.router.begun == b"begin"

    for text in (TEXTS[1], TEXTS[6], "commit"):
        assert quick.router._like
        assert quick.ask(text) == slow.ask(text) == address(2)
        assert quick.seen() == slow.seen()
        assert quick.router.begun == b""  # else it would be begun once more when this one fails


def test_statements_on_other_tables_are_not_asked_about() -> None:
    bed = Sided(asks_always=False)
    asked: list[str] = []
    decide = bed.router._decide

    def watched(*args: object) -> object:
        asked.append(str(bed.router.text))
        return decide(*args)  # type: ignore[arg-type]

    bed.router._decide = watched  # type: ignore[assignment]
    for _ in range(2):
        for text in TEXTS[:9]:
            assert bed.ask(text) is not None
        for number in (1, 2, 3):
            assert bed.run(number) is not None
        bed.tracker.status |= Status.IN_TRANS
        for text in (*TEXTS[:9], "commit"):
            assert bed.ask(text) is not None
        bed.tracker.status &= ~Status.IN_TRANS

    each_text, in_a_transaction, after_it = 9, 2, 1
    assert len(asked) == each_text + in_a_transaction + after_it
