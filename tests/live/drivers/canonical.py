"""One form for what drivers return: a value is ``[type, text]``, so that a number and its text are told apart."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

LONG = 400
"""Characters or bytes; of longer values the length and a digest are kept."""
MANY = 40
"""Rows; of more rows their number and a digest are kept."""


def value(item: Any) -> Any:
    """Return the canonical form of one value; NULL is None."""
    match item:
        case None:
            return None
        case bool():
            return ["bool", str(int(item))]
        case int():
            return ["int", str(item)]
        case float():
            return ["float", repr(item)]
        case Decimal():
            return ["decimal", str(item)]
        case str():
            return ["str", item if len(item) <= LONG else digest(item.encode())]
        case bytes() | bytearray() | memoryview():
            data = bytes(item)
            return ["bytes", data.hex() if len(data) <= LONG else digest(data)]
        case dt.datetime():
            return ["datetime", str(item)]
        case dt.date():
            return ["date", str(item)]
        case dt.timedelta():
            return ["time", str(item // dt.timedelta(microseconds=1))]
        case set() | frozenset():
            return ["set", ",".join(sorted(item))]
        case list() | tuple() | dict():
            return [type(item).__name__, repr(item)]
    return [type(item).__name__, str(item)]


def digest(data: bytes) -> str:
    """Return the length and the digest of something long."""
    return f"{len(data)}:{hashlib.sha256(data).hexdigest()[:16]}"


def rows(items: Iterable[Iterable[Any]]) -> Any:
    """Return the canonical form of rows: a list, or a digest of many."""
    found = [[value(item) for item in row] for row in items]
    return found if len(found) <= MANY else {"rows": len(found), "sha256": digest(repr(found).encode())}


def texts(found: Any) -> Any:
    """Return only the texts of canonical rows: what is the same for every driver."""
    return [[None if item is None else item[1] for item in row] for row in found]


def tagged(item: Any) -> Any:
    """Write a parameter as JSON that a script in another language can read."""
    match item:
        case tuple() | list():
            return [tagged(one) for one in item]
        case bytes():
            return {"bytes": item.hex()}
        case Decimal():
            return {"decimal": str(item)}
        case dt.datetime():
            return {"datetime": item.isoformat(" ", "microseconds" if item.microsecond else "seconds")}
        case dt.date():
            return {"date": str(item)}
        case dt.timedelta():
            total = abs(item) // dt.timedelta(microseconds=1)
            seconds, micro = divmod(total, 10**6)
            sign = "-" if item < dt.timedelta() else ""
            return {"time": f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{micro:06}"}
        case int() if abs(item) > 2**53:
            return {"bigint": str(item)}
    return item
