"""Shapes by their text: the grammar runs once for a shape, not once for a statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from odp_trio.sql.facts import Shape
from odp_trio.sql.lexer import EASY, MYSQL, PLAIN, SEPARATOR, key_of, split, split_easily
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

    __slots__ = ("_fresh", "_half", "_old", "_young", "evictions", "hits", "misses", "text_limit")

    def __init__(self, limit: int = DEFAULT_LIMIT, *, text_limit: int = DEFAULT_TEXT_LIMIT) -> None:
        self._half = max(limit // 2, 1)
        self._fresh = 0  # shapes in the young generation, all dialects together
        self._young: list[dict[bytes, Shape]] = [{} for _ in range(16)]
        self._old: list[dict[bytes, Shape]] = [{} for _ in range(16)]
        self.text_limit = text_limit
        self.hits = 0
        self.misses = 0
        self.evictions = 0

    def shape(self, sql: bytes, dialect: int = MYSQL) -> tuple[Shape, Sequence[bytes]]:
        """Return the shape of a statement and its literals by slot."""
        if len(sql) > self.text_limit:
            return self._cut(sql, dialect)
        # Nearly every text is plain: its two calls are made from here.
        pieces = EASY[dialect](sql) if PLAIN[dialect](sql) is not None else split_easily(sql, dialect)
        if pieces is not None:
            key = SEPARATOR.join(pieces[::2])
        else:
            pieces = split(sql, dialect)
            key = key_of(pieces)
        shape = self._young[dialect].get(key)
        if shape is None:
            return self._find(key, pieces, dialect, cut=False), pieces[1::2]
        self.hits += 1
        return shape, pieces[1::2]

    def _cut(self, sql: bytes, dialect: int) -> tuple[Shape, Sequence[bytes]]:
        """Look at the beginning of a long statement; a literal in which it is cut is left out."""
        pieces = split(sql[: self.text_limit], dialect)
        if not pieces[-1]:
            pieces = pieces[:-2] if len(pieces) > 2 else pieces
        key = b"\x00cut" + key_of(pieces)
        shape = self._young[dialect].get(key)
        if shape is None:
            return self._find(key, pieces, dialect, cut=True), pieces[1::2]
        self.hits += 1
        return shape, pieces[1::2]

    def _find(self, key: bytes, pieces: Sequence[bytes], dialect: int, *, cut: bool) -> Shape:
        shape = self._old[dialect].pop(key, None)
        if shape is None:
            self.misses += 1
            shape = Shape(facts_of(pieces, dialect, cut=cut))
        else:
            self.hits += 1
        self._young[dialect][key] = shape
        self._fresh += 1
        if self._fresh >= self._half:
            self.evictions += sum(map(len, self._old))
            self._old, self._young = self._young, [{} for _ in range(16)]
            self._fresh = 0
        return shape

    def __len__(self) -> int:
        return sum(map(len, self._young)) + sum(map(len, self._old))
