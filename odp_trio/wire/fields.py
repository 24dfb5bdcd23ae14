"""Protocol constants, length-encoded values, and a cursor over a payload.

Sources: MySQL: Basic Data Types, Capabilities Flags, SERVER_STATUS_flags_enum.
"""

from __future__ import annotations

from typing import Final, final

from odp_trio.errors import ClientProtocolError, ProtocolError, ServerProtocolError

ErrorClass = type[ProtocolError]


@final
class Capability:
    """Capability bits of greeting and login packet: plain integers, as those of the other classes here."""

    LONG_PASSWORD: Final = 1 << 0
    FOUND_ROWS: Final = 1 << 1
    LONG_FLAG: Final = 1 << 2
    CONNECT_WITH_DB: Final = 1 << 3
    NO_SCHEMA: Final = 1 << 4
    COMPRESS: Final = 1 << 5
    ODBC: Final = 1 << 6
    LOCAL_FILES: Final = 1 << 7
    IGNORE_SPACE: Final = 1 << 8
    PROTOCOL_41: Final = 1 << 9
    INTERACTIVE: Final = 1 << 10
    SSL: Final = 1 << 11
    IGNORE_SIGPIPE: Final = 1 << 12
    TRANSACTIONS: Final = 1 << 13
    RESERVED: Final = 1 << 14
    SECURE_CONNECTION: Final = 1 << 15
    MULTI_STATEMENTS: Final = 1 << 16
    MULTI_RESULTS: Final = 1 << 17
    PS_MULTI_RESULTS: Final = 1 << 18
    PLUGIN_AUTH: Final = 1 << 19
    CONNECT_ATTRS: Final = 1 << 20
    PLUGIN_AUTH_LENENC: Final = 1 << 21
    EXPIRED_PASSWORDS: Final = 1 << 22
    SESSION_TRACK: Final = 1 << 23
    DEPRECATE_EOF: Final = 1 << 24


@final
class Status:
    """Status bits of OK and EOF packets."""

    IN_TRANS: Final = 0x0001
    AUTOCOMMIT: Final = 0x0002
    MORE_RESULTS: Final = 0x0008
    NO_INDEX_USED: Final = 0x0020
    CURSOR_EXISTS: Final = 0x0040
    LAST_ROW_SENT: Final = 0x0080
    NO_BACKSLASH_ESCAPES: Final = 0x0200
    PS_OUT_PARAMS: Final = 0x1000
    SESSION_STATE_CHANGED: Final = 0x4000


@final
class OBCapability:
    """Bits of ``__proxy_capability_flag`` and ``ob_capability_flag``."""

    PARTITION_TABLE: Final = 1 << 0
    CHANGE_USER: Final = 1 << 1
    READ_WEAK: Final = 1 << 2
    CHECKSUM: Final = 1 << 3
    SAFE_WEAK_READ: Final = 1 << 4
    PRIORITY_HIT: Final = 1 << 5
    CHECKSUM_SWITCH: Final = 1 << 6
    OCJ_EXTRA_OK: Final = 1 << 7
    OB_PROTOCOL_V2: Final = 1 << 8
    EXTRA_OK_FOR_STATISTICS: Final = 1 << 9
    ABUNDANT_FEEDBACK: Final = 1 << 10
    PL_ROUTE: Final = 1 << 11
    PROXY_REROUTE: Final = 1 << 12
    SESSION_SYNC: Final = 1 << 13
    FULL_LINK_TRACING: Final = 1 << 14
    NEW_EXTRA_INFO: Final = 1 << 15
    SESSION_VAR_SYNC: Final = 1 << 16
    READ_STALE_FEEDBACK: Final = 1 << 17
    FULL_LINK_TRACING_EXT: Final = 1 << 18
    DUP_SESS_INFO_SYNC: Final = 1 << 19
    LOCAL_FILES: Final = 1 << 20
    CLIENT_SESSION_ID: Final = 1 << 21
    V2_COMPRESS: Final = 1 << 22
    FEEDBACK_PROXY: Final = 1 << 23


MAX_PAYLOAD: Final = 0xFFFFFF
"""A packet of exactly this many bytes continues in the next one."""


_SHORT: Final = tuple(bytes((number,)) for number in range(0xFB))


def lenenc_int(number: int) -> bytes:
    """Encode a length-encoded integer (MySQL: Protocol::LengthEncodedInteger)."""
    if number < 0xFB:
        return _SHORT[number]
    if number < 1 << 16:
        return b"\xfc" + number.to_bytes(2, "little")
    if number < 1 << 24:
        return b"\xfd" + number.to_bytes(3, "little")
    return b"\xfe" + number.to_bytes(8, "little")


def length_of(text: bytes) -> bytes:
    """Encode what stands before a length-encoded string."""
    length = len(text)
    return _SHORT[length] if length < 0xFB else lenenc_int(length)


def lenenc_str(text: bytes) -> bytes:
    """Encode a length-encoded string."""
    length = len(text)
    return (_SHORT[length] if length < 0xFB else lenenc_int(length)) + text


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
