"""Clients that read and write all the time, and know what they were told.

Each client has a connection, connects again when it is lost, thinks a little
between statements, and mixes reads and writes, autocommit and transactions,
text and binary protocol, strong and weak reads, the partitions of a table and
no table.  Writes go through a ledger; reads ask for a write that was
acknowledged and check the answer.  Everything is written down with its time,
for ``measures``.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Final, TypeVar, final

import msgspec
import trio

from odp_trio.errors import OdpError
from odp_trio.model import Address
from odp_trio.testing.client import Client, ConnectionLost, Row, StatementFailed
from odp_trio.testing.ledger import Fate, Ledger, Number

T = TypeVar("T")

REMEMBERED: Final = 100
"""Acknowledged writes of a client to a table among which a read chooses."""
_INSERT: Final = "insert into writes values(?, ?, ?)"
_PAUSE: Final = 0.05
"""Seconds before a client that lost its connection, or could not log in, connects again."""
_TIMED_OUT: Final = frozenset({4012, 6210, 6211})
"""Errors behind which a write, or a COMMIT, may have come to pass: time-outs of the statement or the transaction."""


class Mix(msgspec.Struct, frozen=True):
    """How often a client does what, in shares."""

    read: int = 3
    read_prepared: int = 3
    read_weak: int = 1
    ask: int = 1
    """A statement without a table."""
    write: int = 3
    write_prepared: int = 3
    transaction: int = 2
    abroad: float = 0.2
    """Share of the statements that go to any partition instead of the client's own."""


class Plan(msgspec.Struct, frozen=True):
    """A load.  Client number n has partition ``n % partitions`` as its own."""

    user: str
    password: str
    database: str = "ledger"
    partitions: int = 3
    clients: int = 16
    think: float = 0.02
    """Mean pause between two statements of a client, in seconds."""
    patience: float = 10.0
    """How long a client waits for an answer before it closes the connection, in seconds."""
    statement_timeout: float = 0.0
    """``ob_query_timeout`` of the sessions, in seconds; 0 leaves the server's value."""
    mix: Mix = Mix()
    seed: int = 1


class Answered(msgspec.Struct, frozen=True):
    """A statement that succeeded: when its answer was whole, and how long that took."""

    at: float
    client: int
    partition: int
    """-1 when the statement names no table."""
    seconds: float


class Failed(msgspec.Struct, frozen=True):
    """A login or statement that failed.  ``errno`` 0 is a lost connection."""

    at: float
    client: int
    what: str
    errno: int
    message: str


def table_statements(plan: Plan) -> tuple[str, ...]:
    """Return what makes the load's database and its empty table anew."""
    return (
        f"drop database if exists {plan.database}",
        f"create database {plan.database}",
        f"create table {plan.database}.writes(home int, client int, seq int, key(client, seq)) "
        f"partition by hash(home) partitions {plan.partitions}",
    )


def rows_statement(plan: Plan) -> str:
    """Return the query whose rows (client, seq) ``Ledger.audit`` wants."""
    return f"select client, seq from {plan.database}.writes"


def is_uncertain(error: OdpError) -> bool:
    """Whether a write that got this may nevertheless have come to pass."""
    if isinstance(error, ConnectionLost):
        return error.sent
    if isinstance(error, StatementFailed):
        return error.errno in _TIMED_OUT or "outcome is unknown" in error.message
    return False


@final
class Load:
    """A load that runs; made by ``open_load``."""

    def __init__(self, plan: Plan, address: Callable[[], Address]) -> None:
        self.plan = plan
        self.ledger = Ledger()
        self.answers: list[Answered] = []
        self.failures: list[Failed] = []
        self.wrong: list[str] = []
        """Reads whose answer was not what it must be."""
        self.logins = 0
        self.stopping = False
        self._address = address
        self._stopped = trio.Event()

    async def wait_flowing(self, since: float, limit: float) -> bool:
        """Wait until every client has an answer to a statement sent after ``since``; False after ``limit`` seconds."""
        with trio.move_on_after(limit):
            while len(self._answered_since(since)) < self.plan.clients:  # noqa: ASYNC110  # asked for now and then
                await trio.sleep(0.01)
            return True
        return False

    def _answered_since(self, since: float) -> set[int]:
        found: set[int] = set()
        for answer in reversed(self.answers):
            if answer.at < since:
                break
            if answer.at - answer.seconds >= since:
                found.add(answer.client)
        return found

    def stop(self) -> None:
        """Let every client finish its statement or transaction and leave."""
        self.stopping = True
        self._stopped.set()

    async def run(self, number: int) -> None:
        """Be one client until ``stop``."""
        plan = self.plan
        rng = Random(plan.seed * 1000 + number)
        seat = _Seat(self, number, rng)
        while not self.stopping:
            try:
                connection = await Client.connect(
                    self._address(), plan.user, plan.password, database=plan.database, patience=plan.patience
                )
            except OdpError as exc:
                self.note_failure(number, "login", exc)
                await self.think(_PAUSE)
                continue
            self.logins += 1
            try:
                await seat.work(connection)
                await connection.quit()
            except ConnectionLost:
                await self.think(_PAUSE)
            finally:
                connection.close()

    async def think(self, seconds: float) -> None:
        """Pause, or leave at once when the load stops."""
        with trio.move_on_after(seconds):
            await self._stopped.wait()

    def note_failure(self, client: int, what: str, error: OdpError) -> None:
        """Write down what failed."""
        errno = error.errno if isinstance(error, StatementFailed) else 0
        message = error.message if isinstance(error, StatementFailed) else str(error)
        self.failures.append(Failed(trio.current_time(), client, what, errno, message))


@final
class _Seat:
    """What one client knows, over all its connections."""

    def __init__(self, load: Load, number: int, rng: Random) -> None:
        plan, mix = load.plan, load.plan.mix
        self._load, self._number, self._rng, self._mix = load, number, rng, mix
        self._own = number % plan.partitions
        self._known: dict[int, deque[int]] = defaultdict(lambda: deque(maxlen=REMEMBERED))
        self._connection: Client
        self._prepared: dict[str, int] = {}
        self._told = False
        """Whether the last thing that happened was an error."""
        self._steps: list[Callable[[int], Awaitable[None]]] = []
        for share, step in (
            (mix.read, self._read),
            (mix.read_prepared, self._read_prepared),
            (mix.read_weak, self._read_weak),
            (mix.ask, self._ask),
            (mix.write, self._write),
            (mix.write_prepared, self._write_prepared),
            (mix.transaction, self._transaction),
        ):
            self._steps += [step] * share

    async def work(self, connection: Client) -> None:
        """Use a connection until the load stops; raise ConnectionLost when it is lost."""
        self._connection, self._prepared = connection, {}
        load, plan = self._load, self._load.plan
        if not await self._begin(plan.statement_timeout):
            return
        while not load.stopping:
            await load.think(self._rng.uniform(0, 2 * plan.think))
            abroad = self._rng.random() < self._mix.abroad
            home = self._rng.randrange(plan.partitions) if abroad else self._own
            try:
                await self._rng.choice(self._steps)(home)
            except StatementFailed:
                continue

    async def _begin(self, timeout: float) -> bool:
        """Set the session's time-out; answer whether it could be set."""
        try:
            if timeout:
                await self._tried("set", -1, self._connection.query(f"set ob_query_timeout = {round(timeout * 1e6)}"))
        except StatementFailed:
            return False
        return True

    async def _tried(self, what: str, home: int, answer: Awaitable[T]) -> T:
        """Wait for the answer to one statement, and write down how it went."""
        load, begun = self._load, trio.current_time()
        try:
            found = await answer
        except OdpError as exc:
            # A connection that was closed at rest, behind an error that was told, is no second error.
            if not isinstance(exc, ConnectionLost) or exc.sent or not self._told:
                load.note_failure(self._number, what, exc)
            self._told = True
            raise
        self._told = False
        now = trio.current_time()
        load.answers.append(Answered(now, self._number, home, now - begun))
        return found

    # ---- reads ----------------------------------------------------------------------

    async def _read(self, home: int, hint: str = "") -> None:
        if (sequence := self._some(home)) is not None:
            await self._look(home, sequence, hint)

    async def _look(self, home: int, sequence: int, hint: str = "") -> None:
        sql = (
            f"select {hint}client, seq from writes where home = {home} and client = {self._number} and seq = {sequence}"
        )
        rows = await self._tried("read", home, self._connection.query(sql))
        self._check(home, sequence, [tuple(int(value or -1) for value in row) for row in rows])

    async def _read_weak(self, home: int) -> None:
        await self._read(home, "/*+ read_consistency(weak) */ ")

    async def _read_prepared(self, home: int) -> None:
        if (sequence := self._some(home)) is None:
            return
        statement = await self._statement("select client, seq from writes where home = ? and client = ? and seq = ?")
        rows = await self._tried("read", home, self._connection.execute(statement, (home, self._number, sequence)))
        self._check(home, sequence, rows)

    async def _ask(self, home: int) -> None:
        number = self._rng.randrange(1 << 30)
        rows = await self._tried("ask", -1, self._connection.query(f"select {number}"))
        if rows != [(str(number),)]:
            self._load.wrong.append(f"client {self._number}: select {number}: {rows}")

    def _some(self, home: int) -> int | None:
        known = self._known[home]
        return self._rng.choice(known) if known else None

    def _check(self, home: int, sequence: int, rows: Sequence[Row]) -> None:
        if list(rows) != [(self._number, sequence)]:
            self._load.wrong.append(f"client {self._number}: {sequence} of partition {home}: {rows}")

    async def _statement(self, sql: str) -> int:
        if sql not in self._prepared:
            self._prepared[sql] = await self._tried("prepare", -1, self._connection.prepare(sql))
        return self._prepared[sql]

    # ---- writes ---------------------------------------------------------------------

    async def _write(self, home: int) -> None:
        number = self._load.ledger.begin(self._number)
        await self._settled(home, [number], self._insert(home, number))

    async def _write_prepared(self, home: int) -> None:
        statement = await self._statement(_INSERT)
        number = self._load.ledger.begin(self._number)
        await self._settled(home, [number], self._insert_prepared(home, statement, number))

    async def _insert(self, home: int, number: Number) -> None:
        sql = f"insert into writes values({home}, {number[0]}, {number[1]})"
        await self._tried("write", home, self._connection.query(sql))

    async def _insert_prepared(self, home: int, statement: int, number: Number) -> None:
        await self._tried("write", home, self._connection.execute(statement, (home, *number)))

    async def _settled(self, home: int, numbers: Sequence[Number], deciding: Awaitable[None]) -> None:
        """Wait for the statement that decides about writes, and note what it says."""
        try:
            await deciding
        except OdpError as exc:
            if not is_uncertain(exc):
                self._load.ledger.settle(numbers, Fate.FAILED)
            raise
        self._load.ledger.settle(numbers, Fate.ACKNOWLEDGED)
        self._known[home].extend(sequence for _, sequence in numbers)

    async def _transaction(self, home: int) -> None:
        """Two writes, text and binary, a read of the first, and COMMIT, or now and then ROLLBACK."""
        ledger, connection = self._load.ledger, self._connection
        statement = await self._statement(_INSERT)
        numbers = [ledger.begin(self._number), ledger.begin(self._number)]
        try:
            await self._tried("begin", -1, connection.query("start transaction"))
            await self._insert(home, numbers[0])
            await self._insert_prepared(home, statement, numbers[1])
            await self._look(home, numbers[0][1])
            if self._rng.random() < 0.2:
                await self._tried("rollback", -1, connection.query("rollback"))
                ledger.settle(numbers, Fate.FAILED)
                return
        except ConnectionLost:
            ledger.settle(numbers, Fate.FAILED)  # before its COMMIT was sent
            raise
        except StatementFailed:
            ledger.settle(numbers, Fate.FAILED)
            await self._tried("rollback", -1, connection.query("rollback"))
            raise
        await self._settled(home, numbers, self._commit())

    async def _commit(self) -> None:
        await self._tried("commit", -1, self._connection.query("commit"))


@asynccontextmanager
async def open_load(plan: Plan, address: Address | Callable[[], Address]) -> AsyncIterator[Load]:
    """Run a load for the length of the block.  Left without ``stop``, its clients finish what they are at first."""
    load = Load(plan, (lambda: address) if isinstance(address, Address) else address)
    async with trio.open_nursery() as nursery:
        for number in range(plan.clients):
            nursery.start_soon(load.run, number)
        yield load
        load.stop()
