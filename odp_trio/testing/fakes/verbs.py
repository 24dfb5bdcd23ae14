"""Statements that are a verb and names: transactions, USE, KILL, PREPARE, CREATE, DROP."""

from __future__ import annotations

from collections.abc import Callable, Generator
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from odp_trio.testing.fakes.answers import PART_KEY, PRIMARY, SQLError, Value, Writer
from odp_trio.testing.fakes.compile import evaluator
from odp_trio.testing.fakes.lexer import Tokens, tokenize
from odp_trio.testing.fakes.metadata import table as view
from odp_trio.testing.fakes.nodes import ColumnDefinition, Constant, CreateTable, Simple
from odp_trio.testing.fakes.partitions import HASH, RANGE, Partitions
from odp_trio.testing.fakes.scope import Context, Scope
from odp_trio.testing.fakes.setting import names
from odp_trio.testing.fakes.store import Index, Table, Unique
from odp_trio.testing.fakes.types import UNIQUE, ColumnType, column_type, stored
from odp_trio.testing.fakes.values import number, written

if TYPE_CHECKING:
    from odp_trio.testing.fakes.session import Pause, Session

Steps = Generator["Pause", None, None]


def run(session: Session, tree: Simple, tokens: Tokens, writer: Writer, more: int) -> Steps:
    """Run one and answer."""
    session.row_count = 0
    match tree.verb:
        case "execute":
            yield from _execute(session, tree, writer, more)
            return
        case "explain":
            columns, rows = view(["Query Plan"], [["a fake OBServer has no plans"]])
            writer.result(columns, rows, session.status(), more)
            return
        case "do":
            _value(session, tree, tokens)
            yield from session.wait()
        case "kill":
            _kill(session, int(number(_value(session, tree, tokens))), query=tree.flag)
        case "prepare":
            session.prepared[tree.names[0]] = _prepared_text(session, written(_value(session, tree, tokens)))
        case _:
            _run(session, tree)
    writer.ok(session.status() | more, affected=_affected(session, tree.verb))


def _affected(session: Session, verb: str) -> int:
    """Return what an OK counts: odd, but so it is."""
    return session.row_count if verb == "drop database" else int(verb in ("do", "create database"))


def _value(session: Session, tree: Simple, tokens: Tokens) -> Value:
    assert tree.value is not None
    scope = Scope(session=session, values=tokens.values)
    return evaluator(tree.value, scope)(Context(session, tokens.values))


def _run(session: Session, tree: Simple) -> None:
    runner = _RUNNERS.get(tree.verb)
    if runner is not None:
        runner(session, tree)


def _begin(session: Session, tree: Simple) -> None:
    transaction = session.begin()
    if "read" in tree.names:
        transaction.read_only = "only" in tree.names


def _savepoint(session: Session, tree: Simple) -> None:
    (session.transaction or session.begin()).savepoint(tree.names[0])


def _to_savepoint(session: Session, tree: Simple) -> None:
    if session.transaction is None:
        raise SQLError(1305, "42000", "savepoint does not exist")
    if tree.verb == "release":
        session.transaction.release(tree.names[0])
    else:
        session.transaction.back_to(tree.names[0])


def _deallocate(session: Session, tree: Simple) -> None:
    if session.prepared.pop(tree.names[0], None) is None:
        raise unknown_handle()


def _characteristics(session: Session, scope: str, level: str, read_only: str) -> None:
    if scope == "next" and session.transaction is not None:
        message = "Transaction characteristics can't be changed while a transaction is in progress"
        raise SQLError(1568, "25001", message)
    changes = {"tx_isolation": level} if level else {}
    if read_only:
        changes["tx_read_only"] = "ON" if read_only == "only" else "OFF"
    for name, value in changes.items():
        if scope == "global":
            session.cluster.global_variables[name] = value
        elif scope == "session":
            session.set_system(name, value)
    if scope == "next":
        session.characteristics_set = True
        session.next_level = level or session.next_level
        session.next_read_only = changes.get("tx_read_only", session.next_read_only)
        session.tell("ob_proxy_set_trx_executed", "ON")


def _prepared_text(session: Session, text: str) -> str:
    session.parse(tokenize(text.rstrip("; \n")))
    return text


def _execute(session: Session, tree: Simple, writer: Writer, more: int) -> Steps:
    name, *using = tree.names
    text = session.prepared.get(name)
    if text is None:
        raise unknown_handle()
    values = [session.user_variables.get(each) for each in using]
    yield from session.run_one(bound(tokenize(text.rstrip("; \n")), values), writer, more)


def bound(tokens: Tokens, values: list[Value]) -> Tokens:
    """Return a statement with values in the places of its ``?``; raise SQLError 1210 for too few or too many."""
    literals = [token for token in tokens.tokens if token.kind == "?" or _is_literal(token.kind)]
    places = [at for at, token in enumerate(literals) if token.kind == "?"]
    if len(places) != len(values):
        raise SQLError(1210, "HY000", "Incorrect arguments to EXECUTE")
    filled = list(tokens.values)
    for place, value in zip(places, values, strict=True):
        filled[place] = value
    return Tokens(tokens.sql, tokens.tokens, filled)


def _is_literal(kind: str) -> bool:
    return kind in ("int", "decimal", "double", "string", "hex")


def unknown_handle() -> SQLError:
    """Return error 1243."""
    return SQLError(1243, "HY000", "Unknown prepared statement handle")


def _kill(session: Session, wanted: int, *, query: bool) -> None:
    targets = [each for each in session.cluster.connections.values() if wanted in (each.shown_id, each.id)]
    for target in targets:  # one client's sessions on several servers
        target.kill(query=query)
    if not targets and (not query or session.connection.by_proxy):
        raise SQLError(1094, "HY000", f"Unknown thread id: {wanted}")


# ---- DDL -----------------------------------------------------------------------------


def _changed_schema(session: Session) -> None:
    session.tell("ob_last_schema_version", str(session.store.new_version()))


def _create_database(session: Session, tree: Simple) -> None:
    session.commit()
    name = tree.names[0]
    if name in session.store.databases:
        if not tree.flag:
            raise SQLError(1007, "HY000", f"Can't create database '{name}'; database exists")
        return
    session.store.databases[name] = {}
    session.row_count = 1
    _changed_schema(session)


def _drop_database(session: Session, tree: Simple) -> None:
    session.commit()
    name = tree.names[0]
    dropped = session.store.databases.pop(name, None)
    session.row_count = len(dropped or ())
    if dropped is None and not tree.flag:
        raise SQLError(1008, "HY000", f"Can't drop database '{name}'; database doesn't exist")
    if session.database == name:
        session.database = ""
        session.pending.schema = b""
        for variable in ("character_set_database", "collation_database"):
            session.tell(variable, session.variables[variable])
    _changed_schema(session)


def _drop_tables(session: Session, tree: Simple) -> None:
    session.commit()
    pairs = zip(tree.names[::2], tree.names[1::2], strict=True)
    missing: list[str] = []
    for given, name in pairs:
        database = given or session.database
        if session.store.databases.get(database, {}).pop(name, None) is None:
            missing.append(f"{database}.{name}")
    _changed_schema(session)
    if missing and not tree.flag:
        raise SQLError(1051, "42S02", f"Unknown table '{','.join(missing)}'")
    session.warnings = [("Note", 1051, f"Unknown table '{name}'") for name in missing]


def create(session: Session, tree: CreateTable, tokens: Tokens) -> None:
    """Carry CREATE TABLE out."""
    session.commit()
    session.row_count = 0
    database = tree.database or session.database
    if not database:
        raise SQLError(1046, "3D000", "No database selected")
    if session.store.find(database, tree.table) is not None and tree.exists_ok:
        session.warnings = [("Note", 1050, f"Table '{tree.table}' already exists")]
        return
    if tree.like is not None:
        other = session.table(tree.like.database, tree.like.table)
        columns, primary = other.columns, other.primary
        uniques = [Unique(each.name, each.places) for each in other.uniques]
        indexes = [Index(each.places) for each in other.indexes]
    else:
        columns, primary, uniques, indexes = _columns(session, tree, tokens)
    store = session.store
    table = Table(store.new_number(), database, tree.table, columns, primary, uniques, store.version)
    table.indexes = indexes
    if tree.like is None:
        table.partitions = _partitions(session, tree, table)
    store.create(table)
    _changed_schema(session)


def _partitions(session: Session, tree: CreateTable, table: Table) -> Partitions | None:
    place = table.places.get(tree.partition_column, -1)
    if tree.partition not in (HASH, RANGE) or place < 0:
        return None
    tablets = session.store.new_tablets(tree.partitions)
    return Partitions(tree.partition, tree.partition_column, place, tablets, tree.bounds)


def _columns(
    session: Session, tree: CreateTable, tokens: Tokens
) -> tuple[list[ColumnType], tuple[int, ...], list[Unique], list[Index]]:
    places: dict[str, int] = {}
    for at, column in enumerate(tree.columns):
        if places.setdefault(column.name.lower(), at) != at:
            raise SQLError(1060, "42S21", f"Duplicate column name '{column.name}'")
    keys = (tree.primary, *(listed for _, listed in tree.uniques), *tree.indexes)
    for name in chain.from_iterable(keys):
        if name not in places:
            raise SQLError(1072, "42000", f"Key column '{name}' doesn't exist in table")
    single = {listed[0] for _, listed in tree.uniques if len(listed) == 1}
    columns = [_column(session, column, tree, single, tokens) for column in tree.columns]
    primary = tuple(places[name] for name in tree.primary)
    uniques = [Unique(name, tuple(places[each] for each in listed)) for name, listed in tree.uniques]
    return columns, primary, uniques, [Index(tuple(places[each] for each in listed)) for listed in tree.indexes]


def _column(
    session: Session, column: ColumnDefinition, tree: CreateTable, single: set[str], tokens: Tokens
) -> ColumnType:
    lowered = column.name.lower()
    in_primary = lowered in tree.primary
    flags = (PRIMARY | PART_KEY if in_primary else 0) | (UNIQUE if lowered in single else 0)
    made = column_type(
        column.name, column.type, column.length, column.scale, unsigned=column.unsigned,
        not_null=column.not_null or in_primary, auto=column.auto, keys=flags,
    )  # fmt: skip
    if column.default is None:
        return made
    changes: dict[str, Any] = {"has_default": True}
    if _is_now(column):
        changes["now"] = True
    else:
        scope = Scope(session=session, values=tokens.values)
        value = evaluator(column.default, scope)(Context(session, tokens.values))
        changes["default"] = None if value is None else stored(made, value, 1)
    fields = {name: getattr(made, name) for name in made.__struct_fields__}
    return ColumnType(**(fields | changes))


def _is_now(column: ColumnDefinition) -> bool:
    if isinstance(column.default, Constant):
        return column.default.word == "current_timestamp"
    return column.type in ("datetime", "timestamp")


_RUNNERS: Final[dict[str, Callable[[Session, Simple], object]]] = {
    "alter": lambda session, tree: _changed_schema(session),
    "begin": _begin,
    "commit": lambda session, tree: session.commit(),
    "rollback": lambda session, tree: session.rollback(),
    "savepoint": _savepoint,
    "rollback to": _to_savepoint,
    "release": _to_savepoint,
    "use": lambda session, tree: session.use(tree.names[0]),
    "names": lambda session, tree: names(session, *tree.names),
    "characteristics": lambda session, tree: _characteristics(session, *tree.names),
    "deallocate": _deallocate,
    "create database": _create_database,
    "drop database": _drop_database,
    "drop table": _drop_tables,
}
