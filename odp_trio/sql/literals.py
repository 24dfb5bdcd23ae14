"""The text of a literal, to its value; and the annotations in a statement's first comment.

Source: MySQL: Literal Values.  Annotations are ODP's.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

import msgspec

Constant = int | Decimal | float | str | bytes

_ESCAPES: Final = {b"0": b"\0", b"n": b"\n", b"t": b"\t", b"r": b"\r", b"b": b"\b", b"Z": b"\x1a"}
_ESCAPE: Final = re.compile(rb"\\(.)|''|\"\"", re.DOTALL)
_NUMBER: Final = re.compile(rb"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_INTEGER: Final = re.compile(rb"\d{1,4000}")


def read_literal(
    raw: bytes, prefix: str = "", *, encoding: str = "utf-8", backslashes: bool = True
) -> int | Decimal | float | str | bytes:
    """Return the value of a literal: exact integers and decimals, text as ``str``, bits and hexadecimal as bytes.

    ``prefix`` is the word before it (a charset introducer such as ``_BINARY``
    decides how it is decoded).  Raises ValueError, with a reason for people,
    when there is no such value.
    """
    first = raw[:1]
    if first.isdigit() or first == b".":
        return _number(raw)
    if first in (b"'", b'"'):
        return _decode(_unquote(raw, backslashes=backslashes), prefix, encoding)
    letter, quote = raw[:1].lower(), raw[1:2]
    if quote in (b"'", b'"') and raw[-1:] == quote and len(raw) > 2 - (raw[2:] == quote):
        body = raw[2:-1]
        if letter == b"x":
            return _hexadecimal(body)
        if letter == b"b":
            return _bits(body)
        if letter == b"n":
            return _decode(_unquote(raw[1:], backslashes=backslashes), "", "utf-8")
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
    return float(text) if "e" in text.lower() else Decimal(text)


def _hexadecimal(digits: bytes) -> bytes:
    try:
        return bytes.fromhex(digits.decode("ascii"))
    except (ValueError, UnicodeDecodeError) as exc:
        raise ValueError(f"{digits[:40]!r} is no hexadecimal number") from exc


def _bits(digits: bytes) -> bytes:
    if not digits or digits.strip(b"01") or len(digits) > 512:
        raise ValueError(f"{digits[:40]!r} is no bit value")
    return int(digits, 2).to_bytes((len(digits) + 7) // 8, "big")


def _unquote(raw: bytes, *, backslashes: bool) -> bytes:
    quote = raw[:1]
    if len(raw) < 2 or raw[-1:] != quote:
        raise ValueError("a string that does not end")
    body = raw[1:-1]
    if quote not in body and not (backslashes and b"\\" in body):
        return body

    def one(match: re.Match[bytes]) -> bytes:
        found = match[1]
        if found is None:
            return quote if match[0] == quote * 2 else match[0]
        if not backslashes:
            return match[0]
        return match[0] if found in b"%_" else _ESCAPES.get(found, found)

    return _ESCAPE.sub(one, body)


def _decode(text: bytes, prefix: str, encoding: str) -> str | bytes:
    if prefix == "_BINARY":
        return text
    try:
        return text.decode(encoding)
    except (UnicodeDecodeError, LookupError) as exc:
        raise ValueError(f"a string that is not {encoding}") from exc


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
    text = comment[2:].removesuffix(b"*/").decode("utf-8", "replace").removeprefix("ODP:")
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
