"""Tokens into SELECT and DML."""

from __future__ import annotations

from typing import Final

from odp_trio.testing.fakes.expression_parser import ExpressionParser
from odp_trio.testing.fakes.naming import variable_name
from odp_trio.testing.fakes.nodes import Delete, Insert, Item, Name, Node, Select, Source, Update

_AFTER_SOURCE: Final = frozenset(
    [
        "where",
        "group",
        "having",
        "order",
        "limit",
        "union",
        "on",
        "join",
        "left",
        "right",
        "inner",
        "cross",
        "for",
        "lock",
        "set",
        "values",
        "value",
        "using",
        "into",
    ]
)


class QueryParser(ExpressionParser):
    """Reads SELECT, INSERT, REPLACE, UPDATE, DELETE and TRUNCATE."""

    # ---- SELECT ----------------------------------------------------------------------

    def select(self) -> Select:
        """Take a SELECT with its unions."""
        if self.accept("("):
            found = self.select()
            self.expect(")")
            return found
        first = self._one_select()
        union: list[tuple[Select, bool]] = []
        while self.accept("union"):
            everything = self.accept("all")
            self.accept("distinct")
            bracketed = self.accept("(")
            union.append((self._one_select(), everything))
            if bracketed:
                self.expect(")")
        if not union:
            return first
        last, _ = union[-1]
        return Select(first.items, first.sources, first.where, first.group, first.having, last.order, last.limit,
                      last.offset, union=tuple(union))  # fmt: skip

    def _one_select(self) -> Select:
        self.expect("select")
        distinct = self.accept("distinct")
        self.accept("all")
        every = self.accept("sql_calc_found_rows")
        items = [self._item()]
        while self.accept(","):
            items.append(self._item())
        into = self._into()
        sources: list[Source] = []
        if self.accept("from") and not self.accept("dual"):
            sources = self._sources()
        where = self.expression() if self.accept("where") else None
        group: tuple[Node, ...] = self.listed(self.expression) if self.accept("group", "by") else ()
        having = self.expression() if self.accept("having") else None
        order = self.order_by()
        limit, offset = self._limit()
        into = into or self._into()
        lock = self.accept("for", "update") or self.accept("lock", "in", "share", "mode")
        nowait = lock and self.accept("nowait")
        if lock and self.accept("wait"):
            self.literal()
        return Select(
            tuple(items), tuple(sources), where, group, having, order, limit, offset, lock, nowait, distinct, into,
            every,
        )  # fmt: skip

    def _into(self) -> tuple[str, ...]:
        names: list[str] = []
        while self.accept("into" if not names else ","):
            if self.token.kind != "variable":
                raise self.fail()
            names.append(variable_name(self.token.text))
            self.at += 1
        return tuple(names)

    def _item(self) -> Item:
        start = self.at
        node = self.expression()
        end = self.at
        alias = ""
        if (
            self.accept("as")
            or self.token.kind in ("name", "string")
            or (self.token.kind == "word" and self.token.text.lower() not in _AFTER_SOURCE | {"from", "limit"})
        ):
            alias = self._alias()
        return Item(node, start, end, alias)

    def _alias(self) -> str:
        if self.token.kind == "string":
            self.at += 1
            return self.tokens[self.at - 1].text[1:-1]
        return self.identifier()

    def _sources(self) -> list[Source]:
        sources = [self.source_table()]
        while True:
            left = self.accept("left")
            self.accept("outer")
            if self.accept(",") or self.accept("cross", "join") or self.accept("inner", "join") or self.accept("join"):
                source = self.source_table()
                on = self.expression() if self.accept("on") else None
                sources.append(Source(source.database, source.table, source.alias, on, left, source.select))
            elif left:
                raise self.fail()
            else:
                return sources

    def source_table(self) -> Source:
        """Take a table with its alias, or a SELECT in brackets with its own."""
        if self.peek("(", "select"):
            self.at += 1
            select = self.select()
            self.expect(")")
            self.accept("as")
            name = self.identifier().lower()
            return Source("", name, name, select=select)
        database, table = self.table_name()
        if self.accept("partition", "("):
            self.listed(lambda: Name(self.identifier()))
            self.expect(")")
        alias = ""
        if (
            self.accept("as")
            or self.token.kind == "name"
            or (self.token.kind == "word" and self.token.text.lower() not in _AFTER_SOURCE | {"as", "force", "use"})
        ):
            alias = self.identifier()
        return Source(database, table, alias or table)

    def table_name(self) -> tuple[str, str]:
        """Take ``database.table`` or ``table``; names of tables are in lower case."""
        name = self.identifier()
        if self.accept("."):
            token = self.token
            if token.kind not in ("word", "name"):
                raise self.fail()
            self.at += 1
            return name.lower(), token.text.lower()
        return "", name.lower()

    def order_by(self) -> tuple[tuple[Node, bool], ...]:
        """Take ORDER BY, if it is there."""
        if not self.accept("order", "by"):
            return ()
        found: list[tuple[Node, bool]] = []
        while True:
            node = self.expression()
            descending = self.accept("desc")
            if not descending:
                self.accept("asc")
            found.append((node, descending))
            if not self.accept(","):
                return tuple(found)

    def _limit(self) -> tuple[Node | None, Node | None]:
        if not self.accept("limit"):
            return None, None
        first = self._limit_value()
        if self.accept(","):
            return self._limit_value(), first
        if self.accept("offset"):
            return first, self._limit_value()
        return first, None

    def _limit_value(self) -> Node:
        return self.literal()

    # ---- DML -------------------------------------------------------------------------

    def _read_insert(self) -> Insert:
        return self._insert(replace=False)

    def _read_replace(self) -> Insert:
        return self._insert(replace=True)

    def _insert(self, *, replace: bool) -> Insert:
        ignore = self.accept("ignore")
        self.accept("into")
        database, name = self.table_name()
        table = Source(database, name, name)
        columns: tuple[str, ...] = ()
        if self.peek("(") and not self.peek("(", "select"):
            columns = self._columns()
        rows: list[tuple[Node, ...]] = []
        select = None
        if self.peek("select") or self.peek("("):
            select = self.select()
        elif self.accept("set"):
            changes = self._changes()
            columns, rows = tuple(name for name, _ in changes), [tuple(node for _, node in changes)]
        else:
            if not self.accept("values"):
                self.expect("value")
            while True:
                self.expect("(")
                rows.append(() if self.peek(")") else self.listed(self.expression))
                self.expect(")")
                if not self.accept(","):
                    break
        update = self._changes() if self.accept("on", "duplicate", "key", "update") else ()
        return Insert(table, columns, tuple(rows), replace, ignore, update, select)

    def _columns(self) -> tuple[str, ...]:
        self.expect("(")
        names: list[str] = []
        while not self.accept(")"):
            names.append(self.identifier().lower())
            if self.accept("("):
                self.integer()
                self.expect(")")
            self.accept("asc")
            self.accept(",")
        return tuple(names)

    def _changes(self) -> tuple[tuple[str, Node], ...]:
        found: list[tuple[str, Node]] = []
        while True:
            name = self.identifier()
            if self.accept("."):
                name = self.identifier()
            self.expect("=")
            found.append((name.lower(), self.expression()))
            if not self.accept(","):
                return tuple(found)

    def _read_update(self) -> Update:
        table = self.source_table()
        self.expect("set")
        changes = self._changes()
        where = self.expression() if self.accept("where") else None
        order = self.order_by()
        return Update(table, changes, where, order, self._limit()[0])

    def _read_delete(self) -> Delete:
        self.expect("from")
        table = self.source_table()
        where = self.expression() if self.accept("where") else None
        order = self.order_by()
        return Delete(table, where, order, self._limit()[0])

    def _read_truncate(self) -> Delete:
        self.accept("table")
        database, name = self.table_name()
        return Delete(Source(database, name, name), truncate=True)
