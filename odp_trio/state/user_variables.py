"""User variables on their way to another server: an expression that has the value *and* the type.

A server tells a variable's value as a literal.  Its type may be another one: a
DOUBLE of 6 is told as ``6``, a string of whatever collation between quotes.
``question`` asks the server that has the variable, ``expression`` writes what
has both on another server.  What cannot be written: INT and its like become
BIGINT, ENUM and SET strings, LONGTEXT a VARCHAR, BLOB a VARBINARY; a collation that
is not its character set's default is an explicit one (all seen on seekdb 1.3.0).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

LONGEST: Final = 65536
"""Bytes of a literal beyond which nothing is asked: it goes as it was told."""

_TINY, _LONG, _FLOAT, _DOUBLE, _LONGLONG, _JSON, _DECIMAL = 1, 3, 4, 5, 8, 0xF5, 0xF6
_UNSIGNED: Final = 0x20
_DEFAULTS: Final = {
    b"utf8mb4": b"utf8mb4_general_ci",
    b"latin1": b"latin1_swedish_ci",
    b"gbk": b"gbk_chinese_ci",
    b"gb18030": b"gb18030_chinese_ci",
    b"utf16": b"utf16_general_ci",
}
"""Collations that a string has whose character set is named and whose collation is not."""
_EXPLICIT, _IMPLICIT, _LITERAL = b"0", b"2", b"4"
_NAME: Final = re.compile(rb"[A-Za-z0-9_]+")
_PLAIN: Final = re.compile(rb"[A-Za-z0-9_$.]+")
_TELLS_TYPE: Final = re.compile(rb"NULL|-?[\d.]+e[+-]?\d+")


class Described(msgspec.Struct, frozen=True):
    """What a server says of one variable: type and flags of the column, and three values."""

    kind: int
    flags: int
    hexadecimal: bytes | None
    collation: bytes | None
    coercibility: bytes | None


def is_clear(literal: bytes) -> bool:
    """Whether the literal has the variable's type, so that nobody need be asked."""
    return len(literal) > LONGEST or _TELLS_TYPE.fullmatch(literal) is not None


def quoted_name(name: bytes) -> bytes:
    """Write a variable's name as it stands behind the ``@``."""
    return name if _PLAIN.fullmatch(name) else b"`" + name.replace(b"`", b"``") + b"`"


def question(names: Sequence[bytes]) -> bytes:
    """Return the query that describes variables: four columns each."""
    columns = (b"@%b, HEX(@%b), COLLATION(@%b), COERCIBILITY(@%b)" % ((quoted_name(name),) * 4) for name in names)
    return b"SELECT " + b", ".join(columns)


def expression(literal: bytes, described: Described, connection_collation: bytes, *, escapes: bool = True) -> bytes:
    """Return what to assign; the literal itself where nothing better is known.

    ``escapes`` says that a backslash in a literal escapes, and is no part of another character.
    """
    kind = described.kind
    if literal.startswith(b"'"):
        if kind == _JSON:
            return b"CAST(" + literal + b" AS JSON)"
        usual = described.collation == connection_collation and described.coercibility == _LITERAL
        if usual and (escapes or _is_simple(literal)):
            return literal
        return _string(literal, described)
    if literal.startswith(b"X"):  # by itself it is a number where one is wanted
        return b"CAST(" + literal + b" AS BINARY)" if described.coercibility == _IMPLICIT else literal
    if kind == _DOUBLE:
        return literal + b"e0"
    if kind == _FLOAT:
        return b"CAST(" + literal + b" AS FLOAT)"
    if kind == _DECIMAL and b"." not in literal:
        return b"CAST(" + literal + b" AS DECIMAL(65, 0))"
    if kind == _TINY and literal in (b"0", b"1"):
        return b"TRUE" if literal == b"1" else b"FALSE"
    if kind == _LONG and literal in (b"0", b"1") and not described.flags & _UNSIGNED:
        return b"(1 = " + literal + b")"
    if kind in (_LONG, _LONGLONG) and described.flags & _UNSIGNED:
        return b"CAST(" + literal + b" AS UNSIGNED)"
    return literal


def _string(literal: bytes, described: Described) -> bytes:
    """Write a string with its character set and its collation, whatever the connection's are."""
    collation, digits = described.collation, described.hexadecimal
    if collation is None or digits is None or not _NAME.fullmatch(collation):
        return literal
    strength = described.coercibility
    charset = collation.partition(b"_")[0]
    bare = b"_%b X'%b'" % (charset, digits)
    if _DEFAULTS.get(charset) == collation and strength != _EXPLICIT:
        return b"CONVERT(%b USING %b)" % (bare, charset) if strength == _IMPLICIT else bare
    return b"%b COLLATE %b" % (bare, collation)


def _is_simple(literal: bytes) -> bool:
    """Whether a literal means the same under every sql_mode and character set."""
    return literal.isascii() and b"\\" not in literal and b"'" not in literal[1:-1]
