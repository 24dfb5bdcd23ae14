"""One session of a fake OBServer: its variables, its transaction, and the statements it runs."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Final, final

import msgspec

from odp_trio.testing.fakes.answers import Column, SQLError, Value, Writer
from odp_trio.testing.fakes.compile import compile_node
from odp_trio.testing.fakes.lexer import Tokens, tokenize
from odp_trio.testing.fakes.metadata import answer
from odp_trio.testing.fakes.nodes import Delete, Insert, Name, Select, Show, Simple, Tree, Update
from odp_trio.testing.fakes.parser import Parser
from odp_trio.testing.fakes.query import Past, Reader, SelectPlan
from odp_trio.testing.fakes.scope import Context, Scope
from odp_trio.testing.fakes.shows import rows_of
from odp_trio.testing.fakes.splitting import split_statements, unnamed
from odp_trio.testing.fakes.statements import RUNNERS
from odp_trio.testing.fakes.store import Key, Row, Table, Transaction
from odp_trio.testing.fakes.values import sql_literal
from odp_trio.testing.fakes.variables import ALIASES, NUMBERS, SWITCHES
from odp_trio.wire.fields import Status
from odp_trio.wire.state import SessionState

if TYPE_CHECKING:
    from odp_trio.testing.fakes.connection import FakeConnection

EPOCH: Final = 1_767_225_600.0
"""The wall time when the caller's clock says 0: the first of January 2026, UTC."""
PLANS: Final = 2000
_SYSTEM: Final = ("information_schema", "mysql", "oceanbase")


class Pause(msgspec.Struct, frozen=True):
    """A statement waits: to be woken, until a time, or for the client's next packet, when ``send`` was sent."""

    until: float | None = None
    send: bytes = b""


Steps = Generator[Pause, None, None]


@final
class Session:
    """What a server knows of one client.  ``now`` is the caller's time."""

    def __init__(self, connection: FakeConnection) -> None:
        self.connection = connection
        self.cluster = connection.cluster
        self.store = connection.cluster.store
        self.variables: dict[str, str] = dict(self.cluster.global_variables)
        self.user_variables: dict[str, Value] = {}
        self.database = ""
        self.transaction: Transaction | None = None
        self.insert_id = 0
        self.row_count = -1
        self.found_rows = 0
        self.warnings: list[tuple[str, int, str]] = []
        self.prepared: dict[str, str] = {}
        self.pending = SessionState()
        self.next_level = self.next_read_only = ""
        """What SET TRANSACTION has said of the transaction that is next."""
        self.characteristics_set = False
        """Whether SET TRANSACTION was executed for the transaction that is next."""
        self.interrupted: SQLError | None = None
        self._paused = 0.0
        self._statements = 0

    # ---- what expressions ask ----------------------------------------------------------

    @property
    def now(self) -> float:
        """The caller's time."""
        return self.connection.now

    def wall_time(self) -> float:
        """Seconds since 1970."""
        return EPOCH + self.now

    def offset_seconds(self) -> int:
        """Seconds that the session's time zone is before UTC."""
        zone = self.variables["time_zone"]
        if zone[:1] not in "+-" or ":" not in zone:
            return 0
        hours, minutes = zone[1:].split(":")
        return (int(hours) * 3600 + int(minutes) * 60) * (-1 if zone[0] == "-" else 1)

    def system_variable(self, name: str, scope: str) -> Value:
        """Return a variable's value; raise SQLError 1193."""
        values = self.cluster.global_variables if scope == "global" else self.variables
        if name == "last_insert_id" or name == "identity":
            return self.insert_id
        if name == "warning_count":
            return len(self.warnings)
        value = values.get(name)
        if value is None:
            raise unknown_variable(name)
        if name in SWITCHES:
            return int(value == "ON")
        return int(value) if name in NUMBERS else value

    def set_user_variable(self, name: str, value: Value) -> None:
        """Remember a user variable, and that a proxy is to be told."""
        self.user_variables[name] = value
        self.pending.user[name.encode()] = sql_literal(value)

    def account(self, kind: str) -> str:
        """Return ``user()`` or ``current_user()``."""
        connection = self.connection
        return f"{connection.user}@{'%' if kind == 'current_user' else connection.client_ip}"

    def connection_number(self) -> int:
        """Return ``connection_id()``."""
        return self.connection.shown_id

    def subquery(self, select: Select, values: list[Value]) -> list[Row]:
        """Return a subquery's rows."""
        tokens = Tokens("", [], values)
        scope = Scope(session=self, values=values)
        plan = SelectPlan(select, scope, self.table, unnamed(select, tokens))
        return plan.run(Context(self, values), self.reader())

    def pause(self, seconds: float) -> None:
        """Let the statement take so much longer."""
        self._paused += seconds

    # ---- variables ---------------------------------------------------------------------

    def set_system(self, name: str, value: str) -> None:
        """Change a session variable under all its names, and tell."""
        if name == "autocommit" and self.variables[name] == value:
            return
        for each in ALIASES.get(name, (name,)):
            self.variables[each] = value
            self.tell(each, value)

    def tell(self, name: str, value: str) -> None:
        """Have a variable told with the next OK."""
        self.pending.system[name.encode()] = value.encode()

    def use(self, database: str) -> None:
        """Change the database; raise SQLError 1049."""
        lowered = database.lower()
        if lowered not in self.store.databases:
            raise SQLError(1049, "42000", f"Unknown database '{database}'")
        self.database = lowered
        for name in ("_current_default_catalog", "character_set_database", "collation_database"):
            self.tell(name, self.variables[name])
        self.pending.schema = lowered.encode()

    # ---- transactions ------------------------------------------------------------------

    @property
    def autocommit(self) -> bool:
        """Whether each statement is a transaction of its own."""
        return self.variables["autocommit"] == "ON"

    def status(self) -> int:
        """Return the status flags."""
        status = Status.AUTOCOMMIT if self.autocommit else 0
        return status | (Status.IN_TRANS if self.transaction is not None else 0)

    def begin(self) -> Transaction:
        """Begin a transaction; an open one is committed."""
        self.commit()
        transaction = self.transaction = Transaction(self.connection.wake_up)
        level = self.next_level or self.variables["tx_isolation"]
        transaction.read_only = (self.next_read_only or self.variables["tx_read_only"]) == "ON"
        transaction.snapshot = self.now if level in ("REPEATABLE-READ", "SERIALIZABLE") else None
        transaction.commits = self.store.commits
        transaction.began = self.now
        self.next_level = self.next_read_only = ""
        return transaction

    def commit(self) -> None:
        """Commit the open transaction, if there is one."""
        if self.transaction is not None:
            transaction, self.transaction = self.transaction, None
            self.store.commit(transaction, self.now)
            self.use_characteristics()

    def use_characteristics(self) -> None:
        """A transaction is over, also one of a statement: what SET TRANSACTION said held for it."""
        if self.characteristics_set:
            self.characteristics_set = False
            self.next_level = self.next_read_only = ""
            self.tell("ob_proxy_set_trx_executed", "OFF")

    def rollback(self) -> None:
        """Roll the open transaction back, if there is one."""
        if self.transaction is not None:
            transaction, self.transaction = self.transaction, None
            self.store.rollback(transaction)
            self.use_characteristics()

    def reader(self) -> Reader:
        """Return how rows are seen: weak reads on a server that is behind see the past."""
        server = self.connection.server
        if self.weak and server.lag and self.transaction is None:
            return Past(self.now - server.lag)
        return self.transaction or _NOBODY

    @property
    def read_only(self) -> bool:
        """Whether the transaction that a statement would be in may not write."""
        if self.transaction is not None:
            return self.transaction.read_only
        return (self.next_read_only or self.variables["tx_read_only"]) == "ON"

    def warn(self, number: int, message: str) -> None:
        """Have SHOW WARNINGS tell of something."""
        self.warnings.append(("Warning", number, message))

    @property
    def weak(self) -> bool:
        """Whether the statement may read what is not the newest."""
        return self.connection.weak_hint or self.variables["ob_read_consistency"].upper() == "WEAK"

    def note_keys(self, table: Table, keys: Iterable[Key]) -> None:
        """Tell a proxy whether this server leads none of the partitions that these rows are in."""
        connection = self.connection
        if not connection.by_proxy or self.weak or not table.database or table.database in _SYSTEM:
            return
        tablets = {0} if table.partitions is None else {table.tablet(key) for key in keys}
        if self.cluster.missed(connection.tenant, connection.server.number, tablets):
            self.tell("ob_proxy_partition_hit", "OFF")

    def table(self, database: str, name: str) -> Table:
        """Return a table; raise SQLError 1046 or 1146."""
        database = database or self.database
        if not database:
            raise SQLError(1046, "3D000", "No database selected")
        return self.store.table(database, name)

    # ---- running -----------------------------------------------------------------------

    def run(self, text: str, writer: Writer) -> Steps:
        """Run one text of one or more statements; raise SQLError."""
        pieces = split_statements(tokenize(text))
        if not pieces:
            raise SQLError(1065, "42000", "Query was empty")
        for at, piece in enumerate(pieces):
            more = Status.MORE_RESULTS if at + 1 < len(pieces) else 0
            yield from self.run_one(piece, writer, more)

    def run_one(self, tokens: Tokens, writer: Writer, more: int = 0) -> Steps:
        """Run one statement."""
        tree = self.parse(tokens)
        self._paused = 0.0
        self._check_transaction(tree)
        if self.characteristics_set:
            self.tell("ob_proxy_set_trx_executed", "ON")
        if not _keeps_warnings(tree):
            self.warnings = []
        yield from RUNNERS[type(tree)](self, tree, tokens, writer, more)

    def _check_transaction(self, tree: Tree) -> None:
        """Refuse what comes in a transaction that is too old; raise SQLError 4012, or 6002 for its COMMIT."""
        transaction = self.transaction
        if transaction is None or self.now - transaction.began <= int(self.variables["ob_trx_timeout"]) / 1e6:
            return
        if isinstance(tree, Simple) and tree.verb == "commit":
            self.rollback()
            raise SQLError(6002, "40000", "transaction needs rollback")
        if not (isinstance(tree, Simple) and tree.verb == "rollback"):
            self.store.rollback(transaction)
            raise SQLError(4012, "25000", "Transaction is timeout")

    def parse(self, tokens: Tokens) -> Tree:
        """Return a statement's tree; those that serve a whole shape are kept."""
        shape = tokens.shape()
        trees = self.cluster.trees
        tree = trees.get(shape)
        if tree is None:
            parser = Parser(tokens)
            tree = parser.statement()
            if not parser.fixed and isinstance(tree, _KEPT):
                if len(trees) >= PLANS:
                    trees.clear()
                trees[shape] = tree
        return tree

    def wait(self) -> Steps:
        """Wait as long as the statement's SLEEP says, up to the time-out; raise SQLError 4012 or 1317."""
        if self._paused <= 0:
            return
        limit = self.query_timeout / 1e6
        end = self.now + min(self._paused, limit)
        while self.now < end:
            yield Pause(end)
            self.check_interrupt()
        if self._paused > limit:
            raise SQLError(4012, "HY000", "Timeout, query has reached the maximum query timeout")

    @property
    def query_timeout(self) -> int:
        """Microseconds that a statement may take."""
        return self.connection.timeout_hint or int(self.variables["ob_query_timeout"])

    def lock_deadline(self) -> float:
        """Return until when a statement may wait for a lock."""
        limits = [self.query_timeout]
        if int(self.variables["ob_trx_lock_timeout"]) >= 0:
            limits.append(int(self.variables["ob_trx_lock_timeout"]))
        return self.connection.since + min(limits) / 1e6

    def describe(self, tree: Select | Show, tokens: Tokens) -> list[Column]:
        """Return the columns of a statement's rows, before it is run."""
        if isinstance(tree, Show):
            return rows_of(self, tree, tokens)[0]
        if tree.sources and (found := answer(self.cluster, tokens.sql)) is not None:
            return found[0]
        return SelectPlan(tree, Scope(session=self, values=tokens.values), self.table, tokens).columns

    def columns_of(self, table: Table) -> list[Column]:
        """Return the definitions of a table's columns."""
        scope = Scope([(table.name, table, 0)])
        found = [compile_node(Name(column.name), scope).column for column in table.columns]
        return [column for column in found if column is not None]

    def note_error(self, error: SQLError) -> None:
        """Remember an error for SHOW WARNINGS, and that proxies are told a trace id."""
        self.warnings = [("Error", error.errno, error.message)]
        self.row_count = -1
        if not self.connection.by_proxy:
            return
        self._statements += 1
        trace = f"YB427F000001-{self.connection.number:08X}{self._statements:08X}-0-0"
        self.tell("ob_statement_trace_id", trace)

    def restart(self, database: str) -> None:
        """Begin anew for another user; raise SQLError 1049."""
        self.reset()
        self.database = ""
        if database:
            self.use(database)
        self.pending = SessionState()

    def reset(self) -> None:
        """Begin anew, as COM_RESET_CONNECTION has it; user and database stay."""
        self.rollback()
        self.variables = dict(self.cluster.global_variables)
        self.variables["ob_capability_flag"] = str(self.connection.granted)
        self.user_variables.clear()
        self.prepared.clear()
        self.warnings = []
        self.insert_id, self.row_count = 0, -1

    def check_interrupt(self) -> None:
        """Raise what KILL has said."""
        if self.interrupted is not None:
            error, self.interrupted = self.interrupted, None
            raise error

    def end(self) -> None:
        """Roll back, as when the connection is gone."""
        self.rollback()


_NOBODY: Final = Transaction(lambda: None)
"""Sees what is committed."""


def _keeps_warnings(tree: Tree) -> bool:
    return getattr(tree, "what", "") in ("warnings", "errors", "count warnings", "count errors")


def unknown_variable(name: str) -> SQLError:
    """Return error 1193."""
    return SQLError(1193, "HY000", f"Unknown system variable '{name}'")


_KEPT: Final = (Select, Insert, Update, Delete)
