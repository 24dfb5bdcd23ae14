"""``odp_sql.lark``, and what is parsed by it: tokens of our own lexer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path
from typing import final

import lark


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
