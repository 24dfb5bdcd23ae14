"""Shapes by their text: the grammar runs once for a shape, not once for a statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from odp_trio.sql.facts import Shape
from odp_trio.sql.lexer import MYSQL, SEPARATOR, key_of, split, split_easily
from odp_trio.sql.statement import facts_of

DEFAULT_LIMIT: Final = 10_000
DEFAULT_TEXT_LIMIT: Final = 4096


@final
class Statements:
    """A bounded cache of shapes.

    Two generations: what is used moves to the young one; when that is half of
    the limit it becomes the old one, and what was old and unused is gone.
    Only the first ``text_limit`` bytes of a statement are looked at.
    """

    __slots__ = ("_half", "_old", "_young", "evictions", "misses", "text_limit")

    def __init__(self, limit: int = DEFAULT_LIMIT, *, text_limit: int = DEFAULT_TEXT_LIMIT) -> None:
        self._half = max(limit // 2, 1)
        self._young: list[dict[bytes, Shape]] = [{} for _ in range(16)]
        self._old: list[dict[bytes, Shape]] = [{} for _ in range(16)]
        self.text_limit = text_limit
        self.misses = 0
        self.evictions = 0

    def shape(self, sql: bytes, dialect: int = MYSQL) -> tuple[Shape, Sequence[bytes]]:
        """Return the shape of a statement and its literals by slot."""
        if len(sql) > self.text_limit:
            return self._cut(sql, dialect)
        pieces = split_easily(sql, dialect)
        if pieces is None:
            pieces = split(sql, dialect)
            key = key_of(pieces)
        else:
            key = SEPARATOR.join(pieces[0::2])
        shape = self._young[dialect].get(key)
        if shape is None:
            shape = self._find(key, pieces, dialect, cut=False)
        return shape, pieces[1::2]

    def _cut(self, sql: bytes, dialect: int) -> tuple[Shape, Sequence[bytes]]:
        """Look at the beginning of a long statement; a literal in which it is cut is left out."""
        pieces = split(sql[: self.text_limit], dialect)
        if not pieces[-1]:
            pieces = pieces[:-2] if len(pieces) > 2 else pieces
        key = b"\x00cut" + key_of(pieces)
        shape = self._young[dialect].get(key)
        return shape or self._find(key, pieces, dialect, cut=True), pieces[1::2]

    def _find(self, key: bytes, pieces: Sequence[bytes], dialect: int, *, cut: bool) -> Shape:
        shape = self._old[dialect].pop(key, None)
        if shape is None:
            self.misses += 1
            shape = Shape(facts_of(pieces, dialect, cut=cut))
        young = self._young[dialect]
        young[key] = shape
        if len(young) >= self._half:
            self.evictions += len(self._old[dialect])
            self._old[dialect] = young
            self._young[dialect] = {}
        return shape

    def __len__(self) -> int:
        return sum(map(len, self._young)) + sum(map(len, self._old))
