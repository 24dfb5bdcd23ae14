"""One text of several statements, and tokens that have no text."""

from __future__ import annotations

from odp_trio.testing.fakes.answers import Value
from odp_trio.testing.fakes.lexer import LITERALS, Token, Tokens
from odp_trio.testing.fakes.nodes import Select


def split_statements(tokens: Tokens) -> list[Tokens]:
    """Return the statements between semicolons."""
    if not any(token.kind == ";" for token in tokens.tokens):
        return [tokens] if tokens.tokens else []
    found: list[Tokens] = []
    current: list[Token] = []
    values: list[Value] = []
    at = 0
    for token in tokens.tokens:
        if token.kind == ";":
            if current:
                found.append(Tokens(tokens.sql[: token.end], current, values))
            current, values = [], []
            continue
        current.append(token)
        if token.kind in LITERALS:
            values.append(tokens.values[at])
            at += 1
    return [*found, Tokens(tokens.sql, current, values)] if current else found


def unnamed(select: Select, tokens: Tokens) -> Tokens:
    """Return tokens for items whose names nobody sees."""
    most = max((item.end for item in select.items), default=0)
    return Tokens(tokens.sql, [Token("word", "", 0, 0)] * most, tokens.values)
