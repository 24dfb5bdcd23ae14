"""Tokens into statements."""

from __future__ import annotations

from typing import Final

from odp_trio.testing.fakes.naming import variable_name
from odp_trio.testing.fakes.nodes import (
    Assignment,
    Constant,
    Set,
    Show,
    Simple,
    Tree,
)
from odp_trio.testing.fakes.query_parser import QueryParser

_SCOPES: Final = {"session": "session", "local": "session", "global": "global"}


class Parser(QueryParser):
    """Reads one statement."""

    def statement(self) -> Tree:
        """Take a whole statement, up to the end."""
        tree = self._statement()
        if self.at < len(self.tokens):
            raise self.fail()
        return tree

    def _statement(self) -> Tree:
        if self.token.text == "(" or self.peek("select"):
            return self.select()
        first = self.token
        if first.kind != "word":
            raise self.fail()
        reader = getattr(self, f"_read_{first.text.lower()}", None)
        if reader is None:
            raise self.fail()
        self.at += 1
        tree: Tree = reader()
        return tree

    # ---- the session -----------------------------------------------------------------

    def _read_set(self) -> Tree:
        scope = ""
        following = self.tokens[self.at + 1].text.lower() if self.at + 1 < len(self.tokens) else ""
        if self.token.text.lower() in _SCOPES and following == "transaction":
            scope = _SCOPES[self.word()]
        if self.accept("transaction"):
            return self._transaction(scope or "next")
        if self.accept("names"):
            return Simple("names", (self._charset(), self._charset() if self.accept("collate") else ""))
        if self.accept("character", "set") or self.accept("charset"):
            return Simple("names", (self._charset(), ""))
        found: list[Assignment] = []
        while True:
            found.append(self._assignment())
            if not self.accept(","):
                return Set(tuple(found))

    def _charset(self) -> str:
        token = self.token
        if token.kind == "string":
            self.at += 1
            return token.text[1:-1].lower()
        return self.word()

    def _transaction(self, scope: str) -> Simple:
        level, read_only = "", ""
        while True:
            if self.accept("isolation", "level"):
                level = self.word()
                if level in ("read", "repeatable"):
                    level += "-" + self.word()
            elif self.accept("read"):
                read_only = self.word()
            else:
                raise self.fail()
            if not self.accept(","):
                return Simple("characteristics", (scope, level.upper(), read_only))

    def _assignment(self) -> Assignment:
        token = self.token
        if token.kind == "variable":
            self.at += 1
            if token.text.startswith("@@"):
                scope, _, name = token.text[2:].lower().rpartition(".")
                scope = _SCOPES.get(scope, scope)
            else:
                scope, name = "user", variable_name(token.text)
        else:
            scope = ""
            if token.text.lower() in _SCOPES:
                scope = _SCOPES[self.word()]
            if self.token.kind == "variable":
                name = self.token.text[2:].lower()
                self.at += 1
            else:
                name = self.identifier().lower()
        if not self.accept("="):
            self.expect(":=")
        if self.accept("default"):
            return Assignment(scope, name, None)
        if scope != "user" and self.token.kind == "word" and self._is_bare():
            return Assignment(scope, name, Constant("text " + self.identifier_or_on()))
        return Assignment(scope, name, self.expression())

    def _is_bare(self) -> bool:
        """Whether the next word is a value itself: SET x = on."""
        after = self.tokens[self.at + 1].text if self.at + 1 < len(self.tokens) else ""
        return after in ("", ",") and self.token.text.lower() not in ("null", "true", "false")

    def identifier_or_on(self) -> str:
        """Take any word as it is written."""
        self.at += 1
        return self.tokens[self.at - 1].text

    def _read_use(self) -> Simple:
        return Simple("use", (self.identifier(),))

    def _read_begin(self) -> Simple:
        self.accept("work")
        return Simple("begin")

    def _read_start(self) -> Simple:
        self.expect("transaction")
        names: list[str] = []
        while self.token.kind == "word":
            names.append(self.word())
            self.accept(",")
        return Simple("begin", tuple(names))

    def _read_commit(self) -> Simple:
        self.accept("work")
        return Simple("commit")

    def _read_rollback(self) -> Simple:
        self.accept("work")
        if self.accept("to"):
            self.accept("savepoint")
            return Simple("rollback to", (self.identifier().lower(),))
        return Simple("rollback")

    def _read_savepoint(self) -> Simple:
        return Simple("savepoint", (self.identifier().lower(),))

    def _read_release(self) -> Simple:
        self.expect("savepoint")
        return Simple("release", (self.identifier().lower(),))

    def _read_kill(self) -> Simple:
        query = self.accept("query")
        if not query:
            self.accept("connection")
        return Simple("kill", flag=query, value=self.expression())

    def _read_prepare(self) -> Simple:
        name = self.identifier().lower()
        self.expect("from")
        return Simple("prepare", (name,), value=self.expression())

    def _read_execute(self) -> Simple:
        name = self.identifier().lower()
        using: list[str] = []
        while self.accept("using" if not using else ","):
            using.append(variable_name(self.token.text))
            self.at += 1
        return Simple("execute", (name, *using))

    def _read_deallocate(self) -> Simple:
        self.expect("prepare")
        return Simple("deallocate", (self.identifier().lower(),))

    def _read_drop(self) -> Tree:
        if self.accept("prepare"):
            return Simple("deallocate", (self.identifier().lower(),))
        kind = "table" if self.accept("table") else "database"
        if kind == "database" and not self.accept("database"):
            self.expect("schema")
        exists = self.accept("if", "exists")
        names: list[str] = []
        while True:
            names += self.table_name() if kind == "table" else (self.identifier().lower(),)
            if not self.accept(","):
                return Simple(f"drop {kind}", tuple(names), exists)

    def _read_create(self) -> Tree:
        from odp_trio.testing.fakes.ddl_parser import create

        return create(self)

    def _read_show(self) -> Show:
        from odp_trio.testing.fakes.ddl_parser import show

        return show(self)

    def _read_explain(self) -> Simple:
        self.at = len(self.tokens)
        return Simple("explain")

    def _read_do(self) -> Simple:
        return Simple("do", value=self.expression())

    def _read_alter(self) -> Simple:
        if not (self.accept("table") or self.accept("system") or self.accept("database") or self.accept("user")):
            raise self.fail()
        self._read_lock()
        return Simple("alter")

    def _read_lock(self) -> Simple:
        self.at = len(self.tokens)
        return Simple("nothing")

    _read_unlock = _read_grant = _read_analyze = _read_flush = _read_lock
