"""CREATE and SHOW."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from odp_trio.testing.fakes.answers import SQLError
from odp_trio.testing.fakes.nodes import ColumnDefinition, CreateTable, Node, Show, Simple, Source, Tree

if TYPE_CHECKING:
    from odp_trio.testing.fakes.parser import Parser

_WHAT: Final = {
    "variables", "warnings", "errors", "processlist", "tables", "databases", "schemas", "status", "columns", "fields",
    "engines", "collation", "index", "trace",
}  # fmt: skip


def create(parser: Parser) -> Tree:
    """Read what follows CREATE."""
    if parser.accept("database") or parser.accept("schema"):
        exists_ok = parser.accept("if", "not", "exists")
        found = Simple("create database", (parser.identifier().lower(),), exists_ok)
        parser.at = len(parser.tokens)
        return found
    if parser.accept("user"):
        parser.at = len(parser.tokens)
        return Simple("nothing")
    if parser.accept("temporary"):
        raise SQLError(1235, "0A000", "Not supported feature or function")
    unique = parser.accept("unique")
    if parser.accept("index") or (unique and parser.accept("key")):
        parser.at = len(parser.tokens)
        return Simple("nothing")
    parser.expect("table")
    exists_ok = parser.accept("if", "not", "exists")
    database, name = parser.table_name()
    if parser.accept("like"):
        return CreateTable(database, name, (), (), (), exists_ok, like=parser.source_table())
    return _Table(parser, database, name, exists_ok).read()


class _Table:
    """CREATE TABLE, as it is read."""

    def __init__(self, parser: Parser, database: str, name: str, exists_ok: bool) -> None:
        self._parser = parser
        self._database, self._name, self._exists_ok = database, name, exists_ok
        self._columns: list[ColumnDefinition] = []
        self._primary: tuple[str, ...] = ()
        self._uniques: list[tuple[str, tuple[str, ...]]] = []
        self._indexes: list[tuple[str, ...]] = []

    def read(self) -> CreateTable:
        parser = self._parser
        parser.expect("(")
        while True:
            self._part()
            if parser.accept(")"):
                break
            parser.expect(",")
        found: tuple[str, str, int, tuple[int | None, ...]] = ("", "", 1, ())
        while parser.at < len(parser.tokens):
            if parser.accept("partition", "by"):
                found = self._partition()
            else:
                parser.at += 1  # table options
        return CreateTable(
            self._database,
            self._name,
            tuple(self._columns),
            self._primary,
            tuple(self._uniques),
            self._exists_ok,
            None,
            *found,
            indexes=tuple(self._indexes),
        )

    def _partition(self) -> tuple[str, str, int, tuple[int | None, ...]]:
        """Take how the table is partitioned; a kind that is not known here is passed over."""
        parser = self._parser
        method = parser.word()
        if parser.accept("columns"):
            method += " columns"
        columns = _listed(parser)
        if parser.accept("partitions"):
            return method, columns[0], parser.integer(), ()
        bounds: list[int | None] = []
        if method == "range" and parser.accept("("):
            while not parser.accept(")"):
                bounds.append(self._bound())
                parser.accept(",")
        return method, columns[0], max(1, len(bounds)), tuple(bounds)

    def _bound(self) -> int | None:
        parser = self._parser
        parser.expect("partition")
        parser.identifier()
        parser.expect("values")
        parser.expect("less", "than")
        if parser.accept("maxvalue"):
            return None
        parser.expect("(")
        bound = None if parser.accept("maxvalue") else parser.integer()
        parser.expect(")")
        return bound

    def _part(self) -> None:
        parser = self._parser
        if parser.accept("primary", "key"):
            self._primary = tuple(_listed(parser))
            return
        if parser.accept("constraint") and not parser.peek("unique"):
            parser.identifier()
        unique = parser.accept("unique")
        if unique:
            if not parser.accept("key"):
                parser.accept("index")
            name = "" if parser.peek("(") else parser.identifier()
            columns = tuple(_listed(parser))
            self._uniques.append((name or columns[0], columns))
        elif parser.accept("key") or parser.accept("index"):
            if not parser.peek("("):
                parser.identifier()
            self._indexes.append(tuple(_listed(parser)))
        else:
            self._column()

    def _column(self) -> None:
        parser = self._parser
        name, kind = parser.identifier(), parser.word()
        if kind == "double":
            parser.accept("precision")
        length = scale = 0
        if parser.accept("("):
            length = parser.integer()
            if parser.accept(","):
                scale = parser.integer()
            parser.expect(")")
        unsigned = not_null = auto = False
        default: Node | None = None
        while not parser.peek(",") and not parser.peek(")"):
            if parser.accept("unsigned"):
                unsigned = True
            elif parser.accept("not", "null"):
                not_null = True
            elif parser.accept("auto_increment"):
                auto = True
            elif parser.accept("default"):
                default = parser.expression()
            else:
                self._attribute(name)
        column = ColumnDefinition(name, kind, length, scale, unsigned, not_null or auto, auto, default)
        self._columns.append(column)

    def _attribute(self, name: str) -> None:
        """Take a key that is one column, or what has no effect here."""
        parser = self._parser
        if parser.accept("primary", "key") or parser.accept("primary"):
            self._primary = (name.lower(),)
        elif parser.accept("unique"):
            parser.accept("key")
            self._uniques.append((name, (name.lower(),)))
        elif parser.accept("on", "update") or parser.accept("comment") or parser.accept("collate"):
            parser.expression()
        elif parser.accept("character", "set"):
            parser.word()
        elif not (parser.accept("null") or parser.accept("key")):
            raise parser.fail()


def _listed(parser: Parser) -> list[str]:
    """Take names in brackets, with lengths and directions that are ignored."""
    parser.expect("(")
    names: list[str] = []
    while not parser.accept(")"):
        names.append(parser.identifier().lower())
        if parser.accept("("):
            parser.integer()
            parser.expect(")")
        if not parser.accept("asc"):
            parser.accept("desc")
        parser.accept(",")
    return names


def show(parser: Parser) -> Show:
    """Read what follows SHOW."""
    full = parser.accept("full")
    scope = "global" if parser.accept("global") else "session" if parser.accept("session") else ""
    if parser.accept("create", "table"):
        database, name = parser.table_name()
        return Show("create table", scope, -1, database, name)
    if parser.accept("count"):
        parser.expect("(")
        parser.expect("*")
        parser.expect(")")
        return Show("count " + parser.word(), scope)
    what = parser.word()
    if what not in _WHAT:
        parser.at -= 1
        raise parser.fail()
    database = name = ""
    if what in ("columns", "fields", "index"):
        parser.expect("from")
        source: Source = parser.source_table()
        database, name = source.database, source.table
    elif parser.accept("from") or parser.accept("in"):
        database = parser.identifier().lower()
    like, where = -1, None
    if parser.accept("like"):
        like = parser.literal().place
    elif parser.accept("where"):
        where = parser.expression()
    elif parser.accept("limit"):
        parser.literal()
    return Show(what, scope, like, database, name, where, full)
