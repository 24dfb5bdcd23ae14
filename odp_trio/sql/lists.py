"""Lists of constants become one token: a long IN list or many rows cost the grammar next to nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import msgspec

from odp_trio.sql.facts import Call, Default, Literal, Null, Operand, Parameter
from odp_trio.sql.lexer import Word

_WORDS: dict[str, Operand] = {"NULL": Null(), "DEFAULT": Default()}


@final
class Constants(msgspec.Struct, frozen=True):
    """What stands between two parentheses."""

    operands: tuple[Operand, ...]

    def __str__(self) -> str:
        return "(...)"


def constants(words: Sequence[Word], start: int, end: int) -> Constants | None:
    """Return the list between two places, if there are only literals, placeholders, NULL and DEFAULT in it."""
    found: list[Operand] = []
    at = start
    while at < end:
        negative = words[at].text == "-" and at + 1 < end
        word = words[at + negative]
        item = _constant(word, negative=negative)
        at += 1 + negative
        if word.kind == "NAME" and item is None and _is_empty_call(words, at, end):
            item = Call(word.upper, ())
            at += 2
        if item is None or (at < end and words[at].text != ","):
            return None
        found.append(item)
        at += 1
    return Constants(tuple(found)) if found and at == end + 1 else None


def _is_empty_call(words: Sequence[Word], at: int, end: int) -> bool:
    return at + 1 < end and words[at].text == "(" and words[at + 1].text == ")"


def _constant(word: Word, *, negative: bool) -> Operand | None:
    if word.kind == "SLOT":
        return Literal(word.slot, negative)
    if word.text == "?":
        return Parameter(word.slot, negative)
    return _WORDS.get(word.upper) if not negative else None
