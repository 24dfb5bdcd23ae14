"""Functions: what they compute, and the types of what they give.

Types: seen on seekdb 1.3.0, where they are simple; else near enough.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import math
import zlib
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from odp_trio.testing.fakes.answers import BINARY, NOT_NULL, UNSIGNED, Kind, SQLError, Value
from odp_trio.testing.fakes.scope import Context
from odp_trio.testing.fakes.types import DOUBLE, INTEGER, Type, text_type, time_text
from odp_trio.testing.fakes.values import compare, number, raw, written
from odp_trio.testing.fakes.variables import OB_VERSION, VERSION

Typed = Callable[[Sequence[Type]], Type]
MOST_TEXT: Final = 16 << 20


def _text(length: int) -> Typed:
    return lambda types: text_type(length)


def _first(types: Sequence[Type]) -> Type:
    return text_type(types[0].length if types and types[0].is_text else 80)


def _sum(types: Sequence[Type]) -> Type:
    return text_type(sum(each.length if each.is_text else 80 for each in types))


def _same(types: Sequence[Type]) -> Type:
    return types[0] if types else INTEGER


def _integer(types: Sequence[Type]) -> Type:
    return Type(Kind.LONGLONG, 20, BINARY | (NOT_NULL if types and types[0].flags & NOT_NULL else 0))


def _whole(types: Sequence[Type]) -> Type:
    if types and types[0].kind == Kind.DECIMAL:
        return Type(Kind.DECIMAL, max(1, types[0].length - types[0].decimals), types[0].flags | BINARY)
    return _integer(types)


def _double(types: Sequence[Type]) -> Type:
    return DOUBLE


def _magnitude(value: Value) -> Value:
    found = number(value)
    return -found if found < 0 else found


def _length(value: Value) -> int:
    return len(raw(value))


def _concat(*values: Value) -> Value:
    return "".join(map(written, values))


def _concat_ws(separator: Value, *values: Value) -> Value:
    return written(separator).join(written(value) for value in values if value is not None)


def _repeat(value: Value, times: Value) -> Value:
    text = written(value)
    count = int(number(times))
    if len(text) * count > MOST_TEXT:
        return None
    return text * count


def _substring(value: Value, start: Value, length: Value = None) -> Value:
    text, first = written(value), int(number(start))
    if not first:
        return ""
    begin = first - 1 if first > 0 else len(text) + first
    if begin < 0:
        return ""
    return text[begin:] if length is None else text[begin : begin + max(0, int(number(length)))]


def _hex(value: Value) -> Value:
    if isinstance(value, int):
        return f"{value:X}"
    return raw(value).hex().upper()


def _round(value: Value, digits: Value = 0) -> Value:
    found, places = number(value), int(number(digits))
    if isinstance(found, float):
        return float(Decimal(repr(found)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP))
    rounded = Decimal(found).quantize(Decimal(1).scaleb(-max(places, 0)), ROUND_HALF_UP)
    return int(rounded) if isinstance(found, int) else rounded


def _greatest(*values: Value) -> Value:
    found = values[0]
    for value in values[1:]:
        found = value if compare(value, found) > 0 else found
    return found


def _least(*values: Value) -> Value:
    found = values[0]
    for value in values[1:]:
        found = value if compare(value, found) < 0 else found
    return found


def _locate(part: Value, value: Value) -> Value:
    return written(value).lower().find(written(part).lower()) + 1


def _pad(value: Value, length: Value, pad: Value) -> tuple[str, int, str]:
    return written(value), int(number(length)), written(pad)


def _lpad(value: Value, length: Value, pad: Value) -> Value:
    text, wanted, filler = _pad(value, length, pad)
    missing = max(0, wanted - len(text))
    return ((filler * missing)[:missing] + text)[:wanted]


def _rpad(value: Value, length: Value, pad: Value) -> Value:
    text, wanted, filler = _pad(value, length, pad)
    return (text + filler * max(0, wanted - len(text)))[:wanted]


def _mod(left: Value, right: Value) -> Value:
    divisor = number(right)
    return None if not divisor else int(math.fmod(number(left), divisor))


SIMPLE: Final[dict[str, tuple[Callable[..., Value], Typed]]] = {
    "concat": (_concat, _sum),
    "concat_ws": (_concat_ws, _sum),
    "upper": (lambda value: written(value).upper(), _first),
    "ucase": (lambda value: written(value).upper(), _first),
    "lower": (lambda value: written(value).lower(), _first),
    "lcase": (lambda value: written(value).lower(), _first),
    "length": (_length, _integer),
    "octet_length": (_length, _integer),
    "char_length": (lambda value: len(written(value)), lambda types: INTEGER),
    "character_length": (lambda value: len(written(value)), lambda types: INTEGER),
    "repeat": (_repeat, _text(2048)),
    "reverse": (lambda value: written(value)[::-1], _first),
    "space": (lambda count: " " * int(number(count)), _text(2048)),
    "substring": (_substring, _first),
    "substr": (_substring, _first),
    "mid": (_substring, _first),
    "left": (lambda value, count: written(value)[: max(0, int(number(count)))], _first),
    "right": (lambda value, count: written(value)[-int(number(count)) :] if number(count) else "", _first),
    "trim": (lambda value: written(value).strip(" "), _first),
    "ltrim": (lambda value: written(value).lstrip(" "), _first),
    "rtrim": (lambda value: written(value).rstrip(" "), _first),
    "replace": (lambda value, old, new: written(value).replace(written(old), written(new)), _first),
    "locate": (_locate, lambda types: INTEGER),
    "instr": (lambda value, part: _locate(part, value), lambda types: INTEGER),
    "lpad": (_lpad, _text(2048)),
    "rpad": (_rpad, _text(2048)),
    "hex": (_hex, lambda types: text_type(12 if types[0].length <= 4 else types[0].length * 2)),
    "unhex": (lambda value: bytes.fromhex(written(value)), _text(256)),
    "md5": (lambda value: hashlib.md5(raw(value)).hexdigest(), _text(128)),
    "sha1": (lambda value: hashlib.sha1(raw(value)).hexdigest(), _text(160)),
    "sha": (lambda value: hashlib.sha1(raw(value)).hexdigest(), _text(160)),
    "crc32": (lambda value: zlib.crc32(raw(value)), lambda types: Type(Kind.LONGLONG, 10, BINARY | UNSIGNED)),
    "ascii": (lambda value: (raw(value) or b"\0")[0], _integer),
    "abs": (_magnitude, _integer),
    "sign": (lambda value: (number(value) > 0) - (number(value) < 0), _integer),
    "floor": (lambda value: math.floor(number(value)), _whole),
    "ceil": (lambda value: math.ceil(number(value)), _whole),
    "ceiling": (lambda value: math.ceil(number(value)), _whole),
    "round": (_round, _whole),
    "mod": (_mod, _integer),
    "sqrt": (lambda value: math.sqrt(number(value)) if number(value) >= 0 else None, _double),
    "pow": (lambda base, power: float(number(base)) ** float(number(power)), _double),
    "greatest": (_greatest, _same),
    "least": (_least, _same),
    "binary": (lambda value: raw(value), _first),
    "charset": (lambda value: "binary" if isinstance(value, bytes) else "utf8mb4", _text(256)),
}
"""Of values only; NULL gives NULL."""


def moment(context: Context, decimals: int = 0) -> str:
    """Return the present time of the session's time zone."""
    session = context.session
    zone = dt.timezone(dt.timedelta(seconds=session.offset_seconds()))
    return time_text(dt.datetime.fromtimestamp(session.wall_time(), zone), decimals)


def _now(context: Context, *arguments: Value) -> Value:
    return moment(context, int(number(arguments[0])) if arguments else 0)


def _sleep(context: Context, seconds: Value) -> Value:
    context.session.pause(float(number(seconds)))
    return 0


def _unix(context: Context, *arguments: Value) -> Value:
    if not arguments:
        return int(context.session.wall_time())
    found = dt.datetime.fromisoformat(written(arguments[0])).replace(tzinfo=dt.UTC)
    return int(found.timestamp()) - context.session.offset_seconds()


def _last_insert_id(context: Context, *arguments: Value) -> Value:
    if arguments:
        context.session.insert_id = int(number(arguments[0]))
    return context.session.insert_id


def _moment_type(decimals: int = 0) -> Type:
    return Type(Kind.DATETIME, 19 + (decimals + 1 if decimals else 0), BINARY, decimals)


_NOW: Final[tuple[Callable[..., Value], Typed]] = (_now, lambda types: _moment_type())
SESSION: Final[dict[str, tuple[Callable[..., Value], Typed]]] = {
    "now": _NOW,
    "sysdate": _NOW,
    "current_timestamp": _NOW,
    "localtime": _NOW,
    "curdate": (lambda context: moment(context)[:10], lambda types: Type(Kind.DATE, 10, BINARY)),
    "current_date": (lambda context: moment(context)[:10], lambda types: Type(Kind.DATE, 10, BINARY)),
    "curtime": (lambda context: moment(context)[11:], lambda types: Type(Kind.TIME, 10, BINARY)),
    "current_time": (lambda context: moment(context)[11:], lambda types: Type(Kind.TIME, 10, BINARY)),
    "unix_timestamp": (_unix, lambda types: INTEGER),
    "sleep": (_sleep, lambda types: INTEGER),
    "version": (lambda context: VERSION, _text(16384)),
    "ob_version": (lambda context: OB_VERSION, lambda types: text_type(4 * len(OB_VERSION))),
    "database": (lambda context: context.session.database or None, _text(512)),
    "schema": (lambda context: context.session.database or None, _text(512)),
    "user": (lambda context: context.session.account("user"), _text(772)),
    "session_user": (lambda context: context.session.account("user"), _text(772)),
    "system_user": (lambda context: context.session.account("user"), _text(772)),
    "current_user": (lambda context: context.session.account("current_user"), _text(772)),
    "connection_id": (
        lambda context: context.session.connection_number(),
        lambda types: Type(Kind.LONG, 10, BINARY | UNSIGNED),
    ),
    "last_insert_id": (_last_insert_id, lambda types: Type(Kind.LONGLONG, 20, BINARY | UNSIGNED | NOT_NULL)),
    "row_count": (lambda context: context.session.row_count, lambda types: INTEGER),
    "found_rows": (lambda context: context.session.found_rows, lambda types: INTEGER),
    "effective_tenant_id": (lambda context: 1, lambda types: INTEGER),
}
"""Of a session; their first argument is the context."""
DECIMALS: Final = frozenset({"now", "sysdate", "current_timestamp", "localtime"})
AGGREGATES: Final = frozenset({"count", "sum", "min", "max", "avg", "group_concat"})


def unknown(name: str) -> SQLError:
    """Return the error for a function that there is not."""
    return SQLError(1305, "42000", f"FUNCTION {name.upper()} does not exist")
