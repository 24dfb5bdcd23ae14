"""One regular expression takes the literals out of a statement; what is left is its shape.

A *slot* is a literal or a comment: strings, numbers, hexadecimal and bit values
with their prefix, ``/* … */``, ``-- …`` and ``# …``.  Hints stay in the text.
Texts and slots taken in turn are the statement again, byte for byte.

Nothing here raises or backtracks: possessive quantifiers make every pattern
linear, a string or comment that never ends is a slot up to the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

MYSQL, ANSI_QUOTES, NO_BACKSLASHES, MULTIBYTE, ORACLE = 0, 1, 2, 4, 8
"""Flags of a dialect: double quotes hold identifiers; backslashes are ordinary; the
second byte of a character may be a quote or a backslash (gbk and its kin); Oracle mode."""

SEPARATOR: Final = b"\x00\x01"
"""Stands for a slot in the text of a shape."""

_HIGH: Final = rb"\x80-\xff"
_PAIR: Final = rb"[\x81-\xfe][\x40-\xfe]"


def _string(quote: bytes, flags: int) -> bytes:
    """Return the pattern of a string from its opening quote on."""
    stop = quote + (b"" if flags & NO_BACKSLASHES else rb"\\") + (rb"\x81-\xfe" if flags & MULTIBYTE else b"")
    inside = [b"[^" + stop + b"]++", quote + quote]
    if not flags & NO_BACKSLASHES:
        inside.append(rb"\\.")
    if flags & MULTIBYTE:
        inside += [_PAIR, rb"[\x81-\xfe]"]
    return quote + b"(?:" + b"|".join(inside) + b")*+(?:" + quote + rb"|\\?\Z)"


def _literal(flags: int) -> bytes:
    """Return the pattern of a literal."""
    single = _string(b"'", flags)
    # Each alternative begins with a character, not with a look at what is before it: so most places fail at once.
    before = rb"(?<![\w$@" + _HIGH + rb"].)"
    after = rb"(?![\w$" + _HIGH + rb"])"
    exponent = rb"(?:[eE][+-]?\d++)?+"
    alternatives = [
        single,
        rb"\d(?<![\w$@." + _HIGH + rb"].)(?:(?<=0)(?:[xX][0-9a-fA-F]++|b[01]++)|\d*+(?:\.\d*+)?+"
        + exponent + b")" + after,
        rb"\.(?<![\w$@.`\"" + _HIGH + rb"].)\d++" + exponent + after,
        b"[xXbBnN]" + before + single,
    ]  # fmt: skip
    if not flags & (ANSI_QUOTES | ORACLE):
        alternatives.append(_string(b'"', flags))
    return b"|".join(alternatives)


_COMMENT: Final = rb"/\*(?!\+)(?:[^*]++|\*(?!/))*+(?:\*/|\Z)|--(?=\s|\Z)[^\n]*+|\#[^\n]*+"
_HINT: Final = rb"/\*\+(?:[^*]++|\*(?!/))*+(?:\*/|\Z)"
_BACKQUOTED: Final = rb"`(?:[^`]++|``)*+(?:`|\Z)"
_DOUBLE_QUOTED: Final = rb'"(?:[^"]++|"")*+(?:"|\Z)'


def _kept(flags: int) -> bytes:
    """Return the pattern of what stays in the text and may hold what looks like a literal."""
    quoted = _DOUBLE_QUOTED if flags & (ANSI_QUOTES | ORACLE) else _BACKQUOTED
    return quoted + b"|" + _HINT + (b"|" + _BACKQUOTED if flags & ANSI_QUOTES else b"")


_EASY: Final = [re.compile(b"(" + _literal(flags) + b")", re.DOTALL).split for flags in range(16)]
_HARD: Final = [
    re.compile(b"(" + _kept(flags) + b")|(" + _literal(flags) + b"|" + _COMMENT + b")", re.DOTALL).finditer
    for flags in range(16)
]


def split(sql: bytes, dialect: int = MYSQL) -> list[bytes]:
    """Return texts and slots in turn: an odd number of pieces, beginning and ending with a text."""
    if b"`" in sql or b"/*" in sql or b"--" in sql or b"#" in sql or (dialect & 9 and b'"' in sql):
        return _split_hard(sql, dialect)
    return _EASY[dialect](sql)


def _split_hard(sql: bytes, dialect: int) -> list[bytes]:
    """Split a text with comments, hints or quoted identifiers."""
    pieces: list[bytes] = []
    start = 0
    for match in _HARD[dialect](sql):
        if match[2] is not None:
            pieces.append(sql[start : match.start()])
            pieces.append(match[2])
            start = match.end()
    pieces.append(sql[start:])
    return pieces


def is_comment(slot: bytes) -> bool:
    """Whether a slot is a comment."""
    return slot.startswith((b"/*", b"--", b"#"))


# ---- tokens for the grammar -------------------------------------------------


class Word(msgspec.Struct, frozen=True, gc=False):
    """One token of a shape.

    ``kind``: ``NAME`` (also keywords; ``upper`` has them in capitals), ``QUOTED``, ``SLOT``, ``HINT``,
    ``VARIABLE`` (``@a``, ``@@b``), ``MARK`` (punctuation).  ``slot`` also numbers the placeholders.
    """

    kind: str
    text: str
    upper: str = ""
    slot: int = -1


_TOKEN: Final = re.compile(
    rb"""(?P<NAME>[A-Za-z_$\x80-\xff][\w$\x80-\xff]*+|\d++[\w$\x80-\xff]*+)
    |(?P<HINT>/\*\+(?:[^*]++|\*(?!/))*+(?:\*/|\Z))
    |(?P<QUOTED>`(?:[^`]++|``)*+(?:`|\Z)|"(?:[^"]++|"")*+(?:"|\Z))
    |(?P<VARIABLE>@@?(?:[\w$.\x80-\xff]++|`[^`]*+`|'[^']*+'|"[^"]*+")?+)
    |(?P<MARK><=>|->>|->|:=|<=|>=|<>|!=|\|\||&&|<<|>>|[^\s\w])
    """,
    re.VERBOSE | re.DOTALL,
)


def words(pieces: Sequence[bytes], limit: int = 4000) -> Iterator[Word]:
    """Return the tokens of a split statement, comments left out; at most ``limit`` of them."""
    count = parameters = 0
    for at, piece in enumerate(pieces):
        if at % 2:
            if not is_comment(piece):
                count += 1
                yield Word("SLOT", "?", slot=at // 2)
            continue
        for match in _TOKEN.finditer(piece):
            count += 1
            if count > limit:
                return
            kind = match.lastgroup or "MARK"
            text = match[0].decode("utf-8", "replace")
            if text == "?":
                yield Word("MARK", "?", slot=parameters)
                parameters += 1
            else:
                yield Word(kind, text, text.upper() if kind == "NAME" else "")
