"""Protocol constants, length-encoded values, and a cursor over a payload.

Sources: MySQL: Basic Data Types, Capabilities Flags, SERVER_STATUS_flags_enum.
"""

from __future__ import annotations

from enum import IntFlag
from typing import Final

from odp_trio.errors import ClientProtocolError, ProtocolError, ServerProtocolError

ErrorClass = type[ProtocolError]


class Capability(IntFlag):
    """Capability bits of greeting and login packet."""

    LONG_PASSWORD = 1 << 0
    FOUND_ROWS = 1 << 1
    LONG_FLAG = 1 << 2
    CONNECT_WITH_DB = 1 << 3
    NO_SCHEMA = 1 << 4
    COMPRESS = 1 << 5
    ODBC = 1 << 6
    LOCAL_FILES = 1 << 7
    IGNORE_SPACE = 1 << 8
    PROTOCOL_41 = 1 << 9
    INTERACTIVE = 1 << 10
    SSL = 1 << 11
    IGNORE_SIGPIPE = 1 << 12
    TRANSACTIONS = 1 << 13
    RESERVED = 1 << 14
    SECURE_CONNECTION = 1 << 15
    MULTI_STATEMENTS = 1 << 16
    MULTI_RESULTS = 1 << 17
    PS_MULTI_RESULTS = 1 << 18
    PLUGIN_AUTH = 1 << 19
    CONNECT_ATTRS = 1 << 20
    PLUGIN_AUTH_LENENC = 1 << 21
    EXPIRED_PASSWORDS = 1 << 22
    SESSION_TRACK = 1 << 23
    DEPRECATE_EOF = 1 << 24


class Status(IntFlag):
    """Status bits of OK and EOF packets."""

    IN_TRANS = 0x0001
    AUTOCOMMIT = 0x0002
    MORE_RESULTS = 0x0008
    NO_INDEX_USED = 0x0020
    CURSOR_EXISTS = 0x0040
    LAST_ROW_SENT = 0x0080
    NO_BACKSLASH_ESCAPES = 0x0200
    PS_OUT_PARAMS = 0x1000
    SESSION_STATE_CHANGED = 0x4000


class OBCapability(IntFlag):
    """Bits of ``__proxy_capability_flag`` and ``ob_capability_flag``."""

    PARTITION_TABLE = 1 << 0
    CHANGE_USER = 1 << 1
    READ_WEAK = 1 << 2
    CHECKSUM = 1 << 3
    SAFE_WEAK_READ = 1 << 4
    PRIORITY_HIT = 1 << 5
    CHECKSUM_SWITCH = 1 << 6
    OCJ_EXTRA_OK = 1 << 7
    OB_PROTOCOL_V2 = 1 << 8
    EXTRA_OK_FOR_STATISTICS = 1 << 9
    ABUNDANT_FEEDBACK = 1 << 10
    PL_ROUTE = 1 << 11
    PROXY_REROUTE = 1 << 12
    SESSION_SYNC = 1 << 13
    FULL_LINK_TRACING = 1 << 14
    NEW_EXTRA_INFO = 1 << 15
    SESSION_VAR_SYNC = 1 << 16
    READ_STALE_FEEDBACK = 1 << 17
    FULL_LINK_TRACING_EXT = 1 << 18
    DUP_SESS_INFO_SYNC = 1 << 19
    LOCAL_FILES = 1 << 20
    CLIENT_SESSION_ID = 1 << 21
    V2_COMPRESS = 1 << 22
    FEEDBACK_PROXY = 1 << 23


MAX_PAYLOAD: Final = 0xFFFFFF
"""A packet of exactly this many bytes continues in the next one."""


def lenenc_int(number: int) -> bytes:
    """Encode a length-encoded integer (MySQL: Protocol::LengthEncodedInteger)."""
    if number < 0xFB:
        return number.to_bytes(1, "little")
    if number < 1 << 16:
        return b"\xfc" + number.to_bytes(2, "little")
    if number < 1 << 24:
        return b"\xfd" + number.to_bytes(3, "little")
    return b"\xfe" + number.to_bytes(8, "little")


def lenenc_str(text: bytes) -> bytes:
    """Encode a length-encoded string."""
    return lenenc_int(len(text)) + text


class Cursor:
    """Reads fields of one payload in order.

    Every method raises the error class given at construction when the payload
    is too short or a field cannot be what it should be; nothing else.
    """

    __slots__ = ("_error", "data", "pos")

    def __init__(self, data: bytes, error: ErrorClass, pos: int = 0) -> None:
        self.data = data
        self.pos = pos
        self._error = error

    def fail(self, what: str) -> ProtocolError:
        """Return the error to raise for ``what`` at the present position."""
        return self._error(f"{what} at byte {self.pos} of a {len(self.data)}-byte payload")

    @property
    def left(self) -> int:
        """How many bytes have not been read."""
        return len(self.data) - self.pos

    def take(self, count: int) -> bytes:
        """Read exactly ``count`` bytes."""
        end = self.pos + count
        if end > len(self.data):
            raise self.fail(f"{count} bytes expected")
        piece = self.data[self.pos : end]
        self.pos = end
        return piece

    def uint(self, size: int) -> int:
        """Read a fixed-size little-endian integer."""
        return int.from_bytes(self.take(size), "little")

    def nul(self) -> bytes:
        """Read a NUL-terminated string, without its NUL."""
        end = self.data.find(b"\0", self.pos)
        if end < 0:
            raise self.fail("no NUL found for a string")
        piece = self.data[self.pos : end]
        self.pos = end + 1
        return piece

    def lenenc(self) -> int:
        """Read a length-encoded integer; NULL (0xFB) and 0xFF are errors."""
        first = self.uint(1)
        if first < 0xFB:
            return first
        size = _LENENC_SIZES.get(first)
        if size is None:
            raise self.fail(f"0x{first:02x} does not begin a length-encoded integer")
        return self.uint(size)

    def lestr(self) -> bytes:
        """Read a length-encoded string."""
        return self.take(self.lenenc())

    def rest(self) -> bytes:
        """Read whatever is left."""
        return self.take(self.left)


_LENENC_SIZES: Final = {0xFC: 2, 0xFD: 3, 0xFE: 8}


def client_cursor(payload: bytes) -> Cursor:
    """Return a cursor over what a client sent."""
    return Cursor(payload, ClientProtocolError)


def server_cursor(payload: bytes) -> Cursor:
    """Return a cursor over what an OBServer sent."""
    return Cursor(payload, ServerProtocolError)
