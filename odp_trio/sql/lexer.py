"""One regular expression takes the literals out of a statement; what is left is its shape.

A *slot* is a literal or a comment: strings, numbers, hexadecimal and bit values
with their prefix, ``/* … */``, ``-- …`` and ``# …``.  Hints stay in the text.
Texts and slots taken in turn are the statement again, byte for byte.

Nothing here raises or backtracks: possessive quantifiers make every pattern
linear, a string or comment that never ends is a slot up to the end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

import msgspec

MYSQL, ANSI_QUOTES, NO_BACKSLASHES, MULTIBYTE, ORACLE = 0, 1, 2, 4, 8
"""Flags of a dialect: double quotes hold identifiers; backslashes are ordinary; the
second byte of a character may be a quote or a backslash (gbk and its kin); Oracle mode."""

SEPARATOR: Final = b"\x00\x01"
"""Stands for a literal in the text of a shape."""

_COMMENT_SEPARATOR: Final = b"\x00\x02"

_HIGH: Final = rb"\x80-\xff"
_PAIR: Final = rb"[\x81-\xfe][\x40-\xfe]"
_IDENTIFIERS: Final = ANSI_QUOTES | ORACLE
"""With one of these, double quotes hold identifiers."""


def _quoted(quote: bytes, flags: int, *, string: bool = True) -> bytes:
    """Return the pattern of what follows an opening quote: a string's, or an identifier's, which has no escapes."""
    backslashes = string and not flags & NO_BACKSLASHES
    stop = quote + (rb"\\" if backslashes else b"") + (rb"\x81-\xfe" if flags & MULTIBYTE else b"")
    inside = [b"[^" + stop + b"]++", quote + quote]
    if backslashes:
        inside.append(rb"\\.")
    if flags & MULTIBYTE:
        inside += [_PAIR, rb"[\x81-\xfe]"]
    return b"(?:" + b"|".join(inside) + b")*+(?:" + quote + (rb"|\\?\Z)" if backslashes else rb"|\Z)")


def _literal(flags: int) -> bytes:
    """Return the pattern of a literal.

    One class of characters comes first, so that a search skips in C what cannot
    begin a literal; only then is looked at what it found, and what is before it.
    """
    name = rb"\w$" + _HIGH + (rb"\#" if flags & ORACLE else b"")
    before = b"(?<![@" + name + b"].)"
    after = b"(?![" + name + b"])"
    exponent = rb"(?:[eE][+-]?\d++)?+"
    string = _quoted(b"'", flags)
    first = rb"\d'.xXbBnN"
    alternatives = [
        b"(?<=')" + string,
        b"(?<=\\d)(?<![@." + name + rb"].)(?:(?<=0)(?:[xX][0-9a-fA-F]++|b[01]++)|\d*+(?:\.\d*+)?+"
        + exponent + b")" + after,
        rb"(?<=\.)(?<![@.`\"" + name + rb"].)\d++" + exponent + after,
        b"(?<=[xXbBnN])(?=')" + before + b"'" + string,
    ]  # fmt: skip
    if not flags & _IDENTIFIERS:
        first += b'"'
        alternatives.append(b'(?<=")' + _quoted(b'"', flags))
    return b"[" + first + b"](?:" + b"|".join(alternatives) + b")"


_HINT: Final = rb"/\*\+(?:[^*]++|\*(?!/))*+(?:\*/|\Z)"


def _kept(flags: int) -> bytes:
    """Return the pattern of what stays in the text and may hold what looks like a literal."""
    kept = [_HINT, rb"/\*!\d*+", rb"\*/(?!\*)"]
    if not flags & ORACLE:
        kept.append(b"`" + _quoted(b"`", flags, string=False))
    if flags & _IDENTIFIERS:
        kept.append(b'"' + _quoted(b'"', flags, string=False))
    if flags & MULTIBYTE:
        kept.append(_PAIR)
    return b"|".join(kept)


def _comment(flags: int) -> bytes:
    """Return the pattern of a comment; Oracle has names with ``#`` in them."""
    return rb"/\*(?![+!])(?:[^*]++|\*(?!/))*+(?:\*/|\Z)|--(?=\s|\Z)[^\n]*+" + (
        b"" if flags & ORACLE else rb"|\#[^\n]*+"
    )


# There are sixteen dialects, a pattern takes a millisecond to compile, and a proxy meets one or two of them: the
# first text of a dialect puts the pattern into its place.


def _compile_easy(flags: int, sql: bytes) -> list[bytes]:
    EASY[flags] = re.compile(b"(" + _literal(flags) + b")", re.DOTALL).split
    return EASY[flags](sql)


def _compile_plain(flags: int, sql: bytes) -> re.Match[bytes] | None:
    PLAIN[flags] = re.compile(rb'[^`#/\-\x00"]*+' if flags & _IDENTIFIERS else rb"[^`#/\-\x00]*+").fullmatch
    return PLAIN[flags](sql)


def _compile_hard(flags: int, sql: bytes) -> Iterator[re.Match[bytes]]:
    pattern = b"(" + _kept(flags) + b")|(" + _literal(flags) + b"|" + _comment(flags) + b")"
    _HARD[flags] = re.compile(pattern, re.DOTALL).finditer
    return _HARD[flags](sql)


EASY: Final[list[Callable[[bytes], list[bytes]]]] = [partial(_compile_easy, flags) for flags in range(16)]
"""By dialect, what splits a text without comments, quoted identifiers and NUL."""
PLAIN: Final[list[Callable[[bytes], re.Match[bytes] | None]]] = [partial(_compile_plain, flags) for flags in range(16)]
"""By dialect, what matches texts that are easy for certain: they have no character that could begin a comment …"""
_HARD: Final[list[Callable[[bytes], Iterator[re.Match[bytes]]]]] = [
    partial(_compile_hard, flags) for flags in range(16)
]


def split_easily(sql: bytes, dialect: int = MYSQL) -> list[bytes] | None:
    """Return what ``split`` returns, or None for a text with comments, quoted identifiers or NUL."""
    if PLAIN[dialect](sql) is None and (
        b"`" in sql
        or b"/*" in sql
        or b"--" in sql
        or b"#" in sql
        or b"\x00" in sql
        or (dialect & _IDENTIFIERS and b'"' in sql)
    ):
        return None
    return EASY[dialect](sql)


def split(sql: bytes, dialect: int = MYSQL) -> list[bytes]:
    """Return texts and slots in turn: an odd number of pieces, beginning and ending with a text."""
    pieces = split_easily(sql, dialect)
    return _split_hard(sql, dialect) if pieces is None else pieces


def key_of(pieces: Sequence[bytes]) -> bytes:
    """Return the text of a shape; for texts with comments, which are no literals, and with NUL, which is no slot."""
    found = [pieces[0].replace(b"\x00", b"\x00\x00")]
    for at in range(1, len(pieces), 2):
        found.append(_COMMENT_SEPARATOR if is_comment(pieces[at]) else SEPARATOR)
        found.append(pieces[at + 1].replace(b"\x00", b"\x00\x00"))
    return b"".join(found)


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


def number_frame(sql: bytes, dialect: int = MYSQL) -> tuple[bytes, ...]:
    """Return what is before and behind the only slot of a text, if that is a number of digits; else nothing.

    Digits between the same two are the only slot of that text too: what is looked at around
    a number, the character before it and the one behind it, stays as it is.
    """
    pieces = split(sql, dialect)
    return (pieces[0], pieces[2]) if len(pieces) == 3 and pieces[1].isdigit() else ()


# ---- tokens for the grammar -------------------------------------------------


WORDS_LOOKED_AT: Final = 4000


class Word(msgspec.Struct, frozen=True, gc=False):
    """One token of a shape.

    ``kind``: ``NAME`` (also keywords; ``upper`` has them in capitals), ``QUOTED``, ``SLOT``, ``HINT``,
    ``VARIABLE`` (``@a``, ``@@b``), ``MARK`` (punctuation),
    ``EXECUTABLE`` (``/*!40101`` and its end).  ``slot`` also numbers the placeholders.
    """

    kind: str
    text: str
    upper: str = ""
    slot: int = -1


def unquoted(word: Word) -> str:
    """Return a name without its quotes."""
    if word.kind != "QUOTED":
        return word.text
    quote = word.text[0]
    return word.text[1:].removesuffix(quote).replace(quote * 2, quote)


_TOKEN: Final = re.compile(
    rb"""(?P<EXECUTABLE>/\*!\d*+|\*/(?!\*))
    |(?P<NAME>[A-Za-z_$\x80-\xff][\w$\#\x80-\xff]*+|\d++[\w$\x80-\xff]*+)
    |(?P<HINT>/\*\+(?:[^*]++|\*(?!/))*+(?:\*/|\Z))
    |(?P<QUOTED>`(?:[^`]++|``)*+(?:`|\Z)|"(?:[^"]++|"")*+(?:"|\Z))
    |(?P<VARIABLE>@@?(?:[\w$.\x80-\xff]++|`[^`]*+`|'[^']*+'|"[^"]*+")?+)
    |(?P<MARK><=>|->>|->|:=|<=|>=|<>|!=|\|\||&&|<<|>>|[^\s\w])
    """,
    re.VERBOSE | re.DOTALL,
)


_WIDE: Final = re.compile('`[^`]*+`?+|"[^"]*+"?+|[\u3000\uff0c\uff08\uff09]')
_NARROW: Final = {"\u3000": " ", "\uff0c": ",", "\uff08": "(", "\uff09": ")"}


def _narrowed(piece: bytes, dialect: int) -> bytes:
    """Return a text in UTF-8, its full-width spaces, commas and parentheses as their ASCII counterparts."""
    text = piece.decode("gb18030" if dialect & MULTIBYTE else "utf-8", "replace")
    return _WIDE.sub(lambda found: _NARROW.get(found[0], found[0]), text).encode()


def words(pieces: Sequence[bytes], limit: int = WORDS_LOOKED_AT, *, dialect: int = MYSQL) -> Iterator[Word]:
    """Return the tokens of a split statement, comments left out; at most ``limit`` of them."""
    count = parameters = 0
    for at, piece in enumerate(pieces):
        if at % 2:
            if not is_comment(piece):
                count += 1
                yield Word("SLOT", "?", slot=at // 2)
            continue
        for match in _TOKEN.finditer(piece if piece.isascii() else _narrowed(piece, dialect)):
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
