"""What travels beside the packets of an OB 2.0 request or answer: entries of key, length and value.

    u16 key, u32 length, value        again and again

The value of SESS_INFO is such a list itself, by type; so are those of FEEDBACK_PROXY_INFO and FULL_TRC.
Source: ODP's ob_2_0_protocol; keys and layout seen on seekdb 1.3.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum
from struct import Struct
from typing import Final

from odp_trio.errors import ServerProtocolError
from odp_trio.wire.fields import ErrorClass

LIMIT_BYTES: Final = 4 << 20
"""Longer extra info of one frame is refused: it would have to be held."""
_HEAD: Final = Struct("<HI")


class Key(IntEnum):
    """Keys of extra info.  To 1000 they are drivers', to 2000 proxies', above everybody's; unknown ones are skipped."""

    FEEDBACK_PROXY_INFO = 1001
    TRACE_INFO = 2001
    SESS_INFO = 2002
    FULL_TRC = 2003
    SESS_INFO_VERI = 2004


class Feedback(IntEnum):
    """Types in FEEDBACK_PROXY_INFO."""

    IS_LOCK_SESSION = 0
    """``1`` or ``0``: the session holds locks."""


SYSTEM_VARIABLES: Final = 4
"""Type in SESS_INFO: the session's system variables."""


def entries(data: bytes, error: ErrorClass = ServerProtocolError) -> Iterator[tuple[int, bytes]]:
    """Yield key and value of each entry; raise ``error`` when the last one is cut."""
    at = 0
    while at < len(data):
        if len(data) - at < _HEAD.size:
            raise error("extra info ends inside an entry")
        key, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        if len(data) - at < length:
            raise error(f"extra info {key} of {length} bytes, {len(data) - at} are there")
        yield key, data[at : at + length]
        at += length


def entry(key: int, value: bytes) -> bytes:
    """Write one entry."""
    return _HEAD.pack(key, len(value)) + value


def write_entries(items: Iterable[tuple[int, bytes]]) -> bytes:
    """Write a list of entries."""
    return b"".join(entry(key, value) for key, value in items)


def is_lock_session(feedback: bytes) -> bool | None:
    """Say whether a FEEDBACK_PROXY_INFO tells that the session holds locks; None if it tells nothing of it."""
    for kind, value in entries(feedback):
        if kind == Feedback.IS_LOCK_SESSION:
            return value[:1] in (b"1", b"\x01")
    return None
