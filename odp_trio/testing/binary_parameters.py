"""Values as COM_STMT_EXECUTE carries them: the NULL bitmap, types, and what follows."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from odp_trio.wire.fields import lenenc_int, lenenc_str

Parameter = int | float | str | bytes | None
_NULL: Final = 6
_DOUBLE: Final = 5
_LONGLONG: Final = 8
_BLOB: Final = 0xFC
_VAR_STRING: Final = 0xFD


def binary_parameters(values: Sequence[Parameter], send_types: bool, long_data: Sequence[int]) -> bytes:
    """Write NULL bitmap, types and values; those of ``long_data`` were sent before and have none."""
    if not values:
        return b""
    nulls = sum(1 << at for at, value in enumerate(values) if value is None and at not in long_data)
    kinds = b"".join(bytes((_kind(value), 0)) for value in values)
    body = b"".join(_encode(value) for at, value in enumerate(values) if value is not None and at not in long_data)
    bitmap = nulls.to_bytes((len(values) + 7) // 8, "little")
    return bitmap + (b"\1" + kinds if send_types else b"\0") + body


def _kind(value: Parameter) -> int:
    match value:
        case None:
            return _NULL
        case int():
            return _LONGLONG
        case float():
            return _DOUBLE
        case str():
            return _VAR_STRING
        case _:
            return _BLOB


def _encode(value: Parameter) -> bytes:
    match value:
        case int():
            return value.to_bytes(8, "little", signed=True)
        case float():
            return struct.pack("<d", value)
        case str():
            return lenenc_str(value.encode())
        case bytes():
            return lenenc_int(len(value)) + value
        case _:
            return b""
