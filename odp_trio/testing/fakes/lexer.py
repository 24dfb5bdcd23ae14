"""Statements cut into tokens.  Without its literals a statement is its shape, which many have in common."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

import msgspec

from odp_trio.testing.fakes.answers import SQLError, Value

_TOKEN: Final = re.compile(
    r"""\s+
    |(?P<comment>/\*.*?(?:\*/|\Z)|--(?=\s|\Z)[^\n]*|\#[^\n]*)
    |(?P<hex>x'[0-9a-f]*'|0x[0-9a-f]+)
    |(?P<number>(?:\d+\.\d*|\.\d+|\d+)(?:e[+-]?\d+)?(?![\w$]))
    |(?P<string>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")
    |(?P<variable>@@?(?:`[^`]*`|'[^']*'|"[^"]*"|[\w$.]+))
    |(?P<quoted>`(?:[^`]|``)*`)
    |(?P<word>[^\W]\w*(?:\$\w*)*|[$]\w+)
    |(?P<operator>:=|<=>|<=|>=|<>|!=|<<|>>|&&|\|\||[-+*/%(),.;=<>!?&|^~{}:])
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "Z": "\x1a", "%": "\\%", "_": "\\_"}
_ESCAPE: Final = re.compile(r"\\(.)|''|\"\"", re.DOTALL)
_EXECUTED: Final = re.compile(r"/\*!\d*(.*?)\*/", re.DOTALL)
LITERALS: Final = {"int", "decimal", "double", "string", "hex", "?"}


class Token(msgspec.Struct, frozen=True):
    """One token.  ``kind`` is a literal's type, ``word``, ``name`` (quoted), ``variable`` or the operator itself."""

    kind: str
    text: str
    start: int
    end: int


class Tokens(msgspec.Struct, frozen=True):
    """A statement cut up.  ``values`` are those of its literals, in order; a ``?`` has None."""

    sql: str
    tokens: list[Token]
    values: list[Value]

    def shape(self) -> tuple[str, ...]:
        """Return what statements have in common that differ in their literals only."""
        return tuple(token.kind if token.kind in LITERALS else token.text for token in self.tokens)


def tokenize(sql: str) -> Tokens:
    """Cut a statement; raise SQLError 1064 where nothing that is known begins."""
    if "/*!" in sql:
        sql = _EXECUTED.sub(r" \1 ", sql)
    tokens: list[Token] = []
    values: list[Value] = []
    at, end = 0, len(sql)
    while at < end:
        found = _TOKEN.match(sql, at)
        if found is None:
            raise syntax_error(sql, at)
        kind, text, start, at = found.lastgroup, found[0], at, found.end()
        match kind:
            case None | "comment":
                continue
            case "number":
                kind = "int" if text.isdigit() else "double" if "e" in text.lower() else "decimal"
                values.append(int(text) if kind == "int" else float(text) if kind == "double" else Decimal(text))
            case "string":
                values.append(unquote(text))
            case "hex":
                digits = text[2:].rstrip("'")
                values.append(bytes.fromhex(digits if len(digits) % 2 == 0 else "0" + digits))
            case "quoted":
                kind, text = "name", text[1:-1].replace("``", "`")
            case "operator":
                kind = text
                if text == "?":
                    values.append(None)
            case _:
                pass
        tokens.append(Token(kind, text, start, at))
    return Tokens(sql, tokens, values)


def unquote(text: str) -> str:
    """Return what a quoted string stands for."""
    inner = text[1:-1]
    if "\\" not in inner and text[0] not in inner:
        return inner
    double = text[0] * 2
    return _ESCAPE.sub(
        lambda found: (
            _ESCAPES.get(found[1], found[1]) if found[1] is not None else text[0] if found[0] == double else found[0]
        ),
        inner,
    )


def syntax_error(sql: str, at: int) -> SQLError:
    """Return the error for a text that cannot be read from there on."""
    near, line = sql[at : at + 80], sql.count("\n", 0, at) + 1
    return SQLError(
        1064,
        "42000",
        "You have an error in your SQL syntax; check the manual that corresponds to your OceanBase version for the "
        f"right syntax to use near '{near}' at line {line}",
    )
