"""``odp_sql.lark`` and the statements that the proxy answers itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import Enum
from functools import cache
from importlib import resources
from pathlib import Path
from typing import final

import lark
import msgspec

from odp_trio.errors import SyntaxRefused


class InternalKind(Enum):
    """What an internal statement asks for."""

    SHOW = "show"
    PROCESS_LIST = "process list"
    KILL = "kill"
    """``number`` is whom, ``query`` whether only its statement."""
    PING = "ping"
    SETTING = "setting"
    """SET, USE, BEGIN and the like, which mean nothing here and are answered with OK."""


class InternalStatement(msgspec.Struct, frozen=True):
    """A statement for the proxy.  ``subject`` is upper-case, such as ``PROXYCLUSTER``; ``like`` an SQL pattern."""

    kind: InternalKind
    subject: str = ""
    like: str | None = None
    number: int = 0
    query: bool = False

    def matches(self, name: str) -> bool:
        """Whether the LIKE pattern, if there is one, admits a name."""
        if self.like is None:
            return True
        pattern = "".join({"%": ".*", "_": "."}.get(char, re.escape(char)) for char in self.like)
        return re.fullmatch(pattern, name, re.IGNORECASE | re.DOTALL) is not None


def grammar_text() -> str:
    """Return the grammar: the file in the wheel, or the one of the checkout."""
    shipped = resources.files("odp_trio.sql") / "odp_sql.lark"
    if shipped.is_file():
        return shipped.read_text(encoding="utf-8")
    return (Path(__file__).parents[2] / "grammar" / "odp_sql.lark").read_text(encoding="utf-8")


@final
class Given(lark.lexer.Lexer):
    """A lexer that is given tokens."""

    def __init__(self, configuration: object) -> None:
        pass

    def lex(self, tokens: Iterable[lark.Token]) -> Iterator[lark.Token]:  # type: ignore[override]  # not text
        """Return the tokens as they are."""
        yield from tokens


@cache
def _parser() -> lark.Lark:
    return lark.Lark(grammar_text(), parser="lalr", start="internal", maybe_placeholders=False)


def parse_internal(sql: str) -> InternalStatement:
    """Read a statement for the proxy itself; raise SyntaxRefused, which shows where it is wrong."""
    try:
        tree = _parser().parse(sql)
    except lark.UnexpectedInput as exc:
        near = sql[max(exc.pos_in_stream or 0, 0) :][:40] if (exc.pos_in_stream or 0) < len(sql) else ""
        raise SyntaxRefused(f"You have an error in your SQL syntax near {near!r}; try SHOW PROXYHELP") from exc
    return _Internal().transform(tree)


@lark.v_args(inline=True)
class _Internal(lark.Transformer[lark.Token, InternalStatement]):
    """Turns the tree into a statement, bottom up."""

    def internal(self, statement: InternalStatement) -> InternalStatement:
        return statement

    internal_statement = internal

    def show(self, subject: str, like: str | None = None) -> InternalStatement:
        return InternalStatement(InternalKind.SHOW, subject.upper(), like)

    def like(self, token: str) -> str:
        return _string(token)

    def process_list(self) -> InternalStatement:
        return InternalStatement(InternalKind.PROCESS_LIST)

    def kill(self, *words: lark.Token) -> InternalStatement:
        return InternalStatement(InternalKind.KILL, number=int(words[-1]), query=words[0].upper() == "QUERY")

    def ping(self) -> InternalStatement:
        return InternalStatement(InternalKind.PING)

    def setting(self, *_: object) -> InternalStatement:
        return InternalStatement(InternalKind.SETTING)


def _string(token: str) -> str:
    token = str(token)
    quote, body = token[0], token[1:-1]
    return re.sub(r"\\(.)", r"\1", body.replace(quote * 2, quote), flags=re.DOTALL)
