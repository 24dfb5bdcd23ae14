"""SHOW."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from odp_trio.testing.fakes.answers import NO_CHARSET, NOT_NULL, UNSIGNED, Column, Kind, SQLError, Value
from odp_trio.testing.fakes.lexer import Tokens
from odp_trio.testing.fakes.nodes import Show
from odp_trio.testing.fakes.values import like_pattern, written

if TYPE_CHECKING:
    from odp_trio.testing.fakes.session import Session

Rows = tuple[list[Column], list[list[Value]]]
_ALIAS: Final = "subquery_alias"


def _text(name: str, length: int, flags: int = 0, origin: str = "") -> Column:
    return Column(name, Kind.VAR_STRING, length, flags, table=_ALIAS, origin_table=_ALIAS, origin=origin or name)


def _number(name: str, length: int = 20, flags: int = NOT_NULL) -> Column:
    return Column(name, Kind.LONGLONG, length, flags, 0, NO_CHARSET, "", _ALIAS, _ALIAS, name)


_PROCESSES: Final = [
    _number("Id", 20, NOT_NULL | UNSIGNED), _text("User", 128, NOT_NULL), _text("Host", 512, NOT_NULL),
    _text("db", 512), _text("Command", 16384, NOT_NULL), _number("Time", 21), _text("State", 512),
    _text("Info", 1048572),
]  # fmt: skip
_FULL: Final = [
    _PROCESSES[0], _PROCESSES[1], _text("Tenant", 512), *_PROCESSES[2:], _number("Port", 20, 0),
    _number("Proxy_sessid", 20, 0),
]  # fmt: skip
_WARNINGS: Final = [_text("Level", 128, NOT_NULL), _number("Code"), _text("Message", 2048, NOT_NULL)]


def rows_of(session: Session, tree: Show, tokens: Tokens) -> Rows:
    """Return the columns and rows of one SHOW; raise SQLError."""
    pattern = "" if tree.like < 0 else written(tokens.values[tree.like])
    match tree.what:
        case "variables":
            known = session.cluster.global_variables if tree.scope == "global" else session.variables
            rows: list[list[Value]] = [[name, value] for name, value in sorted(known.items())]
            return [_text("Variable_name", 512, NOT_NULL), _text("Value", 262144)], _like(rows, pattern)
        case "status":
            return [_text("Variable_name", 512, NOT_NULL), _text("Value", 262144)], []
        case "warnings" | "errors":
            return list(_WARNINGS), [list(each) for each in session.warnings]
        case "count warnings" | "count errors":
            name = "@@session.warning_count" if tree.what == "count warnings" else "@@session.error_count"
            return [_number(name)], [[len(session.warnings)]]
        case "processlist":
            return _processes(session, full=tree.full)
        case "tables":
            return _tables(session, tree, pattern)
        case "databases" | "schemas":
            return [_text("Database", 512, NOT_NULL)], _like(
                [[name] for name in sorted(session.store.databases)], pattern
            )
        case "columns" | "fields":
            return _columns(session, tree)
        case "create table":
            return _create_table(session, tree)
        case _:
            return [_text("Name", 512)], []


def _like(rows: list[list[Value]], pattern: str) -> list[list[Value]]:
    if not pattern:
        return rows
    matches = like_pattern(pattern).fullmatch
    return [row for row in rows if matches(written(row[0]))]


def _processes(session: Session, *, full: bool) -> Rows:
    rows: list[list[Value]] = []
    for each in session.cluster.connections.values():
        if each.session is None:
            continue
        busy = each.running is not None or each is session.connection
        command, state = ("Query", "ACTIVE") if busy else ("Sleep", "SLEEP")
        info = each.text if busy else None
        host = f"{each.client_ip}:{each.id & 0xFFFF}"
        row: list[Value] = [each.shown_id, each.user]
        row += [each.tenant] if full else []
        row += [host, each.session.database or "NULL", command, int(session.now - each.since), state, info]
        rows.append([*row, each.server.address.port, each.proxy_session] if full else row)
    return list(_FULL if full else _PROCESSES), rows


def _tables(session: Session, tree: Show, pattern: str) -> Rows:
    database = tree.database or session.database
    if not database:
        raise SQLError(1046, "3D000", "No database selected")
    tables = session.store.databases.get(database)
    if tables is None:
        raise SQLError(1049, "42000", f"Unknown database '{database}'")
    columns = [_text(f"Tables_in_{database}", 1024, 0x4003, "table_name")]
    rows = _like([[name] for name in sorted(tables)], pattern)
    if tree.full:
        return [*columns, _text("Table_type", 256)], [[*row, "BASE TABLE"] for row in rows]
    return columns, rows


def _columns(session: Session, tree: Show) -> Rows:
    table = session.table(tree.database, tree.name)
    names: Sequence[str] = ("Field", "Type", "Null", "Key", "Default", "Extra")
    rows: list[list[Value]] = [
        [
            column.name,
            column.sql,
            "NO" if column.not_null else "YES",
            "PRI" if at in table.primary else "UNI" if any(at == each.places[0] for each in table.uniques) else "",
            None if column.default is None else written(column.default),
            "auto_increment" if column.auto else "",
        ]
        for at, column in enumerate(table.columns)
    ]
    return [_text(name, 1024) for name in names], rows


def _create_table(session: Session, tree: Show) -> Rows:
    table = session.table(tree.database, tree.name)
    lines = [f"  `{column.name}` {column.sql}" for column in table.columns]
    body = ",\n".join(lines)
    text = f"CREATE TABLE `{table.name}` (\n{body}\n) DEFAULT CHARSET = utf8mb4"
    return [_text("Table", 256), _text("Create Table", 65536)], [[table.name, text]]
