"""What routing needs to know about a statement, and nothing else.

Facts belong to a *shape*: a statement's text with its literals taken out.
Where a literal matters the facts name its slot, counted from 0 in the order of
the text; each execution brings its own literals.

All these records are trees of what does not change: the garbage collector need not look for cycles in them, which
would be six more objects for it to visit a shape.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, final

import msgspec


class Kind(Enum):
    """Kind of a statement.  ``EXPLAIN <dml>`` has the kind of the DML and ``StatementFacts.explain``."""

    __hash__ = object.__hash__  # there is one of each; Enum's own is a function in Python

    SELECT = "select"
    INSERT = "insert"
    REPLACE = "replace"
    UPDATE = "update"
    DELETE = "delete"
    MERGE = "merge"
    LOAD_DATA = "load data"
    SET = "set"
    USE = "use"
    SHOW = "show"
    DESCRIBE = "describe"
    HELP = "help"
    BEGIN = "begin"
    COMMIT = "commit"
    ROLLBACK = "rollback"
    SAVEPOINT = "savepoint"
    """SAVEPOINT, ROLLBACK TO, RELEASE SAVEPOINT: they mean something inside a transaction only."""
    XA = "xa"
    PREPARE = "prepare"
    EXECUTE = "execute"
    DEALLOCATE = "deallocate"
    CALL = "call"
    BLOCK = "block"
    """An anonymous PL block."""
    DDL = "ddl"
    """CREATE, ALTER, DROP, TRUNCATE, RENAME, GRANT, REVOKE, ANALYZE and their like."""
    LOCK = "lock"
    UNLOCK = "unlock"
    KILL = "kill"
    MULTI = "multi"
    """Several statements of which the first is not DML with a table; ``statements`` is above 1."""
    OTHER = "other"
    """Known and of no interest to routing: DO, HANDLER, OPTIMIZE, CHECKSUM …"""
    UNKNOWN = "unknown"
    """Not understood: routed like a statement without a table."""


DML: Final = frozenset({Kind.SELECT, Kind.INSERT, Kind.REPLACE, Kind.UPDATE, Kind.DELETE, Kind.MERGE, Kind.LOAD_DATA})


class TransactionEffect(Enum):
    """What a statement does to the transaction."""

    NONE = "none"
    BEGIN = "begin"
    END = "end"
    """COMMIT or ROLLBACK."""
    INSIDE = "inside"
    """Savepoints, XA END and XA PREPARE."""
    IMPLICIT_COMMIT = "implicit commit"
    """DDL, LOCK TABLES and others that commit what is open."""


class Consistency(Enum):
    """Consistency that a hint asks for."""

    WEAK = "weak"
    STRONG = "strong"
    FROZEN = "frozen"


class TableRef(msgspec.Struct, frozen=True, gc=False):
    """A table as the text names it; quotes are taken away, ``quoted`` says that there were any."""

    name: str
    database: str | None = None
    alias: str | None = None
    partition: str | None = None
    """The one name of ``PARTITION (p)`` or ``SUBPARTITION (p)``, upper-case; None when there are several."""
    dblink: str | None = None
    quoted: bool = False


class Literal(msgspec.Struct, frozen=True, gc=False):
    """The literal in a slot, negated if ``negative``.  ``prefix``: ``DATE``, ``TIMESTAMP``, ``_UTF8MB4``, …"""

    slot: int
    negative: bool = False
    prefix: str = ""


class Null(msgspec.Struct, frozen=True, gc=False):
    """The keyword NULL."""


class Boolean(msgspec.Struct, frozen=True, gc=False):
    """The keyword TRUE or FALSE."""

    value: bool


class Parameter(msgspec.Struct, frozen=True, gc=False):
    """The placeholder ``?`` number ``index``, counted over the whole statement from 0."""

    index: int
    negative: bool = False


class UserVariable(msgspec.Struct, frozen=True, gc=False):
    """``@name``, lower-case, without quotes."""

    name: str


class Default(msgspec.Struct, frozen=True, gc=False):
    """The keyword DEFAULT, in the values of an INSERT."""


class Kill(msgspec.Struct, frozen=True, gc=False):
    """``KILL [CONNECTION | QUERY] id``: only where the id is one literal or one placeholder."""

    target: Literal | Parameter
    query: bool = False


class Call(msgspec.Struct, frozen=True, gc=False):
    """A function or an operator (``+ - * / % DIV MOD``, ``NEG``) over constants; the name is upper-case."""

    name: str
    arguments: tuple[Operand, ...]


class Opaque(msgspec.Struct, frozen=True, gc=False):
    """A value that cannot be had from the text: another column, a sub-query, …  ``why`` is for people."""

    why: str


Operand = Literal | Null | Boolean | Parameter | UserVariable | Default | Call | Opaque


class Operator(Enum):
    """How a condition compares.  A reversed ``5 < a`` is stored as ``a > 5``, BETWEEN as GE and LE."""

    EQ = "="
    NULL_SAFE_EQ = "<=>"
    """Also ``IS NULL``."""
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    IN = "in"


class Condition(msgspec.Struct, frozen=True, gc=False):
    """``column operator operand`` on the first table; several operands only for IN.

    ``column`` is lower-case; for INSERT without a column list it is the position from 0.
    """

    column: str | int
    operator: Operator
    operands: tuple[Operand, ...]


class Hint(msgspec.Struct, frozen=True, gc=False):
    """One hint as written; ``ignored`` says why it has no effect on routing, empty when it has."""

    text: str
    ignored: str = ""


Alternatives = tuple[tuple[Condition, ...], ...]
"""Conditions in disjunctive form: rows of the first table satisfy at least one alternative.

An empty alternative admits every row; so ``((),)`` is "nothing is known".
"""

EVERYTHING: Final[Alternatives] = ((),)


class StatementFacts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Facts of one shape."""

    kind: Kind = Kind.UNKNOWN
    tables: tuple[TableRef, ...] = ()
    """Every table named, in the order of the text; the first decides the route."""
    alternatives: Alternatives = EVERYTHING
    insert_columns: tuple[str, ...] | None = None
    """INSERT's column list, lower-case; None when there is none.  A key column that is absent takes its default."""
    rows_cut: bool = False
    """INSERT was longer than what is looked at: ``alternatives`` covers its first row only."""
    consistency: Consistency | None = None
    query_timeout_us: int | None = None
    hints: tuple[Hint, ...] = ()
    locking: bool = False
    """A locking clause: FOR UPDATE, FOR SHARE, LOCK IN SHARE MODE, in every variant."""
    explain: bool = False
    explain_route: bool = False
    """``EXPLAIN ROUTE …``: for the proxy; the rest of the facts are those of the inner statement."""
    kill: Kill | None = None
    process_list: bool = False
    """``SHOW PROCESSLIST``, without FULL."""
    internal: bool = False
    """It begins like a command for the proxy itself: ``SHOW PROXYSESSION``, ``ALTER PROXYCONFIG``, ``PING PROXY`` …"""
    for_task: bool = False
    """The session's task looks at it before a server is chosen: one of the four above."""
    transaction: TransactionEffect = TransactionEffect.NONE
    deferrable: bool = False
    """It begins a transaction, no server can refuse it, and nobody can tell when it is executed."""
    statements: int = 1
    """How many statements the text has."""
    parameters: int = 0
    """How many ``?`` the text has."""
    binds_last: tuple[str, ...] = ()
    """What binds it to the last server: found_rows, row_count, connection_id, sys_context, show warnings, …"""
    uses_last_insert_id: bool = False
    table_locks: bool = False
    """GET_LOCK and its like."""
    makes_temporary: bool = False
    """CREATE TEMPORARY TABLE: the session is bound to its server."""
    sets: tuple[str, ...] = ()
    """Names that SET assigns, lower-case: ``autocommit``, ``global.x``, ``@variable``, ``transaction``, ``names``."""
    prepared: str | None = None
    """Upper-case name in PREPARE, EXECUTE, DEALLOCATE."""
    prepared_text: Literal | UserVariable | None = None
    using: tuple[str, ...] = ()
    """User variables of EXECUTE … USING, lower-case."""
    database: str | None = None
    """USE names it."""
    repeatable: bool = False
    """It may run twice, on two servers, and nobody would notice: see ``effects``."""
    leading_comment: int | None = None
    """Slot of the comment at the very start of the text, in which annotations may stand."""
    by: str = "lexer"
    """``grammar``, or ``lexer`` when the grammar does not have this statement; then ``why`` says where it stopped."""
    why: str = ""

    @property
    def is_read(self) -> bool:
        """Whether it is a SELECT that takes no lock."""
        return self.kind is Kind.SELECT and not self.locking


def _is_common(facts: StatementFacts) -> bool:
    special = facts.for_task or facts.explain_route or facts.leading_comment is not None or facts.statements != 1
    bound = facts.table_locks or facts.transaction is not TransactionEffect.NONE or facts.deferrable
    return facts.kind in DML and not (special or bound)


SAME, STAYS, WRITES, READS = 8, 1, 2, 4
"""What a plain statement may be sent like, see ``Shape.plain``: another one of its transaction; another write, or
another read, that went to the leader of its table.  Any statement may be sent like the same one."""


def _plainness(facts: StatementFacts) -> int:
    if facts.binds_last or facts.table_locks or facts.for_task or facts.explain_route or facts.statements != 1:
        return 0
    if facts.leading_comment is not None:
        return 0
    if facts.kind is Kind.COMMIT or facts.kind is Kind.ROLLBACK:
        return STAYS if facts.transaction is TransactionEffect.END else 0
    if not _is_common(facts) or facts.kind in (Kind.MERGE, Kind.LOAD_DATA):
        return 0
    if facts.kind is not Kind.SELECT or facts.locking:
        return STAYS | WRITES
    return STAYS | READS if facts.consistency is None else STAYS


@final
class Shape(msgspec.Struct, eq=False, gc=False):
    """A cached shape: its facts, and whatever routing has worked out for them."""

    facts: StatementFacts
    kind: Kind = Kind.UNKNOWN
    """That of the facts, which are so many that they are elsewhere in memory."""
    common: bool = False
    """It is read or written like most: nothing in it needs more than to be routed, nothing is learnt by its end."""
    plain: int = 0
    """Like which statements before it it may be sent: routing has nothing to ask but where its table is."""
    scope: int = 0
    home: object = None
    """What its table was the last time, in the scope of that number: see ``topology.scope``."""
    plan: object = None
    """Owned by ``routing``: see there."""

    def __post_init__(self) -> None:
        self.kind, self.common, self.plain = self.facts.kind, _is_common(self.facts), _plainness(self.facts)
