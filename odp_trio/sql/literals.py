"""The text of a literal, to its value; and the annotations in a statement's first comment.

Source: MySQL: Literal Values.  Annotations are ODP's.
"""

from __future__ import annotations

import re
from decimal import Decimal
from math import isinf
from typing import Final

import msgspec

Constant = int | Decimal | float | str | bytes

_ESCAPES: Final = {"0": "\0", "n": "\n", "t": "\t", "r": "\r", "b": "\b", "Z": "\x1a", "%": "\\%", "_": "\\_"}
"""A backslash before any other character stands for that character."""
_INTRODUCERS: Final = {
    "_UTF8": "utf-8", "_UTF8MB3": "utf-8", "_UTF8MB4": "utf-8", "_LATIN1": "cp1252", "_ASCII": "ascii",
    "_GBK": "gbk", "_GB18030": "gb18030", "_BIG5": "big5", "_UTF16": "utf-16-be",
}  # fmt: skip
_NUMBER: Final = re.compile(rb"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_INTEGER: Final = re.compile(rb"\d{1,4000}")


def read_literal(
    raw: bytes, prefix: str = "", *, encoding: str = "utf-8", backslashes: bool = True
) -> int | Decimal | float | str | bytes:
    """Return the value of a literal: exact integers and decimals, text as ``str``, bits and hexadecimal as bytes.

    ``prefix`` is the word before it: a charset introducer such as ``_LATIN1`` decides
    how it is decoded.  Raises ValueError, with a reason for people,
    when there is no such value.
    """
    first = raw[:1]
    if first.isdigit() or first == b".":
        return _number(raw)
    if first in (b"'", b'"'):
        return _string(raw, prefix, encoding, backslashes=backslashes)
    letter, quote = raw[:1].lower(), raw[1:2]
    if quote == b"'" and len(raw) > 2 and raw.endswith(quote):
        if letter == b"x":
            return _hexadecimal(raw[2:-1])
        if letter == b"b":
            return _bits(raw[2:-1])
        if letter == b"n":
            return _string(raw[1:], "_UTF8MB4", encoding, backslashes=backslashes)
    raise ValueError(f"{raw[:40]!r} is no literal")


def _number(raw: bytes) -> int | Decimal | float | bytes:
    if raw[:2] in (b"0x", b"0X"):
        return _hexadecimal(raw[2:].rjust(len(raw[2:]) + len(raw) % 2, b"0"))
    if raw[:2] in (b"0b", b"0B"):
        return _bits(raw[2:])
    if _INTEGER.fullmatch(raw):
        return int(raw)
    if not _NUMBER.fullmatch(raw):
        raise ValueError(f"{raw[:40]!r} is no number")
    text = raw.decode("ascii")
    if "e" not in text.lower():
        return Decimal(text)
    value = float(text)
    if isinf(value):
        raise ValueError(f"{raw[:40]!r} is beyond what a double holds")
    return value


def _hexadecimal(digits: bytes) -> bytes:
    try:
        return bytes.fromhex(digits.decode("ascii"))
    except (ValueError, UnicodeDecodeError) as exc:
        raise ValueError(f"{digits[:40]!r} is no hexadecimal number") from exc


def _bits(digits: bytes) -> bytes:
    if not digits or digits.strip(b"01") or len(digits) > 512:
        raise ValueError(f"{digits[:40]!r} is no bit value")
    return int(digits, 2).to_bytes((len(digits) + 7) // 8, "big")


def _string(raw: bytes, prefix: str, encoding: str, *, backslashes: bool) -> str | bytes:
    """Return what stands between the quotes; it is decoded first, as half of a character may look like a backslash."""
    quote = chr(raw[0])
    if len(raw) < 2 or raw[-1:] != raw[:1]:
        raise ValueError("a string that does not end")
    introduced = prefix.upper()
    if introduced == "_BINARY":
        return _between(raw.decode("latin-1"), quote, backslashes=backslashes).encode("latin-1")
    if introduced.startswith("_") and introduced not in _INTRODUCERS:
        raise ValueError(f"the character set of {prefix} is not known here")
    inner = _INTRODUCERS.get(introduced, encoding)
    if inner == "utf-16-be":
        return _decoded(_between(raw.decode("latin-1"), quote, backslashes=backslashes).encode("latin-1"), inner)
    return _between(_decoded(raw, inner), quote, backslashes=backslashes)


def _decoded(raw: bytes, encoding: str) -> str:
    try:
        return raw.decode(encoding)
    except (UnicodeDecodeError, LookupError) as exc:
        raise ValueError(f"a string that is not {encoding}") from exc


def _between(text: str, quote: str, *, backslashes: bool) -> str:
    """Undo doubled quotes and escapes."""
    body = text[1:-1]
    if not backslashes:
        return body.replace(quote * 2, quote)
    if "\\" not in body:
        return body.replace(quote * 2, quote) if quote in body else body
    if body.endswith("\\") and (len(body) - len(body.rstrip("\\"))) % 2:
        raise ValueError("a string that does not end")
    escape = re.compile(rf"\\(.)|{quote}{quote}", re.DOTALL)
    return escape.sub(lambda found: _ESCAPES.get(found[1], found[1]) if found[1] is not None else quote, body)


# ---- annotations ----------------------------------------------------------


class Annotation(msgspec.Struct, frozen=True):
    """What a comment at the very start of a statement says.  ``problems`` are for people."""

    table: str | None = None
    key: str | None = None
    """``/* table t part_key v */``."""
    target_servers: tuple[tuple[str, ...], ...] = ()
    """``target_db_server``: addresses, groups by priority."""
    trace_id: str = ""
    rpc_id: str = ""
    problems: tuple[str, ...] = ()


NOTHING: Final = Annotation()
_TABLE_KEY: Final = re.compile(r"\btable\s+(\S+)\s+part_key\s+(\S+)", re.IGNORECASE)
_PAIR: Final = re.compile(r"([A-Za-z_][\w.]*)\s*=\s*(?:'([^']*)'|([^\s,'*]*))")


def read_annotation(comment: bytes) -> Annotation:
    """Read the comment, delimiters included; what is no annotation gives an empty one, nothing is ever raised."""
    if not comment.startswith(b"/*") or (b"=" not in comment and b"part_key" not in comment.lower()):
        return NOTHING
    text = comment[2:].removesuffix(b"*/").decode("utf-8", "replace")
    if text.lstrip().startswith("ODP:") and not text.startswith("ODP:"):
        return NOTHING  # an ordinary comment: the mark stands directly behind the slash and the star
    text = text.removeprefix("ODP:")
    if (found := _TABLE_KEY.search(text)) is not None:
        return Annotation(table=found[1], key=found[2].strip("'"))
    values = {match[1].lower(): match[2] if match[2] is not None else match[3] for match in _PAIR.finditer(text)}
    groups, problems = _targets(values.get("target_db_server", ""))
    return Annotation(
        target_servers=groups,
        trace_id=values.get("trace_id", "")[:128],
        rpc_id=values.get("rpc_id", "")[:128],
        problems=problems,
    )


def _targets(text: str) -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
    """Split ``ip:port,ip:port;ip:port``; an address that is none spoils the whole list."""
    groups: list[tuple[str, ...]] = []
    for group in text.split(";"):
        addresses = tuple(part.strip() for part in group.split(",") if part.strip())
        wrong = [address for address in addresses if not re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[\d.]+):\d{1,5}", address)]
        if wrong:
            return (), (f"target_db_server: {wrong[0]!r} is not of the form ip:port",)
        if addresses:
            groups.append(addresses)
    return tuple(groups), ()
