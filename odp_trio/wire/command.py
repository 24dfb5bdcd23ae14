"""COM_* numbers, and where a request ends.

Sources: MySQL: Command Phase; what OceanBase makes of each: seen on seekdb 1.3.0.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Final

from odp_trio.errors import ClientProtocolError, OutOfOrder
from odp_trio.wire.fields import MAX_PAYLOAD


class Com(IntEnum):
    """Command bytes of MySQL's command phase."""

    SLEEP = 0x00
    QUIT = 0x01
    INIT_DB = 0x02
    QUERY = 0x03
    FIELD_LIST = 0x04
    CREATE_DB = 0x05
    DROP_DB = 0x06
    REFRESH = 0x07
    SHUTDOWN = 0x08
    STATISTICS = 0x09
    PROCESS_INFO = 0x0A
    CONNECT = 0x0B
    PROCESS_KILL = 0x0C
    DEBUG = 0x0D
    PING = 0x0E
    TIME = 0x0F
    DELAYED_INSERT = 0x10
    CHANGE_USER = 0x11
    BINLOG_DUMP = 0x12
    TABLE_DUMP = 0x13
    CONNECT_OUT = 0x14
    REGISTER_SLAVE = 0x15
    STMT_PREPARE = 0x16
    STMT_EXECUTE = 0x17
    STMT_SEND_LONG_DATA = 0x18
    STMT_CLOSE = 0x19
    STMT_RESET = 0x1A
    SET_OPTION = 0x1B
    STMT_FETCH = 0x1C
    DAEMON = 0x1D
    BINLOG_DUMP_GTID = 0x1E
    RESET_CONNECTION = 0x1F


class Handling(Enum):
    """What the lane does with a command."""

    FORWARD = "forward"
    """Send it on and track the response."""
    SILENT = "silent"
    """Send it on; no response comes."""
    PARK = "park"
    """Leave it to the session's task."""
    REFUSE = "refuse"
    """Answer 1235: OceanBase does not have it, or it is not for clients of a proxy."""


# Forwarding a command byte that the server does not expect is not safe: a bare
# 0xA1 ends the process of seekdb 1.3.0.  So only what is listed goes through.
_HANDLING: Final[dict[Com, Handling]] = {
    Com.QUIT: Handling.PARK,
    Com.CHANGE_USER: Handling.PARK,
    Com.STMT_CLOSE: Handling.SILENT,
    Com.STMT_SEND_LONG_DATA: Handling.SILENT,
    **dict.fromkeys(
        (
            Com.INIT_DB,
            Com.QUERY,
            Com.FIELD_LIST,
            Com.CREATE_DB,
            Com.DROP_DB,
            Com.REFRESH,
            Com.STATISTICS,
            Com.PROCESS_INFO,
            Com.PROCESS_KILL,
            Com.DEBUG,
            Com.PING,
            Com.STMT_PREPARE,
            Com.STMT_EXECUTE,
            Com.STMT_RESET,
            Com.SET_OPTION,
            Com.STMT_FETCH,
            Com.RESET_CONNECTION,
        ),
        Handling.FORWARD,
    ),
}

_BY_BYTE: Final = {int(command): handling for command, handling in _HANDLING.items()}
HANDLING: Final[tuple[Handling, ...]] = tuple([_BY_BYTE.get(byte, Handling.REFUSE) for byte in range(256)])
"""By command byte."""


_NAMES: Final = {int(command): f"COM_{command.name}" for command in Com}


def command_name(byte: int) -> str:
    """Return ``COM_QUERY`` for 3, and the number in hexadecimal for what has no name."""
    return _NAMES.get(byte) or f"command 0x{byte:02x}"


_HEAD_BYTES: Final = 32


def first_packet_end(data: bytes) -> int:
    """Return where the first packet of ``data`` ends; the end of ``data`` if it is cut or goes on in another packet."""
    length = data[0] | data[1] << 8 | data[2] << 16
    return min(4 + length, len(data)) if length < MAX_PAYLOAD else len(data)


def is_too_short(data: bytes, wanted: int) -> bool:
    """Whether more of a command must come before it can be looked at: its head and ``wanted`` bytes, if it is so long.

    Raises ClientProtocolError for a command packet without a command.
    """
    if len(data) < 4:
        return True
    length = int.from_bytes(data[:3], "little")
    if not length:
        raise ClientProtocolError("a command packet without a command")
    return len(data) < min(4 + length, _HEAD_BYTES + wanted if wanted else 5)


class RequestTracker:
    """Follows one request over any number of reads: where it ends.

    ``begin()`` at a packet boundary; then ``feed(buffer, start, end)`` answers
    how far the request reaches (at most ``end``), and ``complete`` says whether
    that is its end.  A payload of exactly 16 MiB - 1 continues in the next packet.
    Between ``begin_upload()`` and the empty packet that closes it, the content
    of LOAD DATA LOCAL counts as one request.
    """

    __slots__ = ("_continued", "_ends", "_header", "_remaining", "_seq", "_uploading", "complete")

    def __init__(self) -> None:
        self._start(seq=0, uploading=False)
        self.complete = True

    def begin(self) -> None:
        """Expect a command: sequence number 0, payload not empty."""
        self._start(seq=0, uploading=False)

    def begin_upload(self, seq: int) -> None:
        """Expect packets from ``seq`` on, up to an empty one."""
        self._start(seq=seq, uploading=True)

    def _start(self, *, seq: int, uploading: bool) -> None:
        self.complete = False
        self._header = b""
        self._remaining = 0
        self._continued = False
        self._ends = False
        self._uploading = uploading
        self._seq = seq

    def feed(self, buffer: bytes | bytearray | memoryview, start: int, end: int) -> int:
        """Answer how far of ``buffer[start:end]`` belongs to the request.

        Raises OutOfOrder for a wrong sequence number and ClientProtocolError
        for an empty command.
        """
        pos = start
        while pos < end and not self.complete:
            if self._remaining:
                step = min(self._remaining, end - pos)
                self._remaining -= step
                pos += step
                self._packet_done()
                continue
            step = min(4 - len(self._header), end - pos)
            self._header += bytes(buffer[pos : pos + step])
            pos += step
            if len(self._header) == 4:
                self._read_header()
        return pos

    def _read_header(self) -> None:
        length, seq = int.from_bytes(self._header[:3], "little"), self._header[3]
        self._header = b""
        if seq != self._seq:
            raise OutOfOrder(f"packet {self._seq} expected, got {seq}")
        self._seq = (seq + 1) & 0xFF
        if not length and not self._continued and not self._uploading:
            raise ClientProtocolError("a command packet without a command")
        self._remaining = length
        # An empty packet that closes a split is not the one that closes an upload.
        self._ends = length == 0 and not self._continued if self._uploading else length < MAX_PAYLOAD
        self._continued = length == MAX_PAYLOAD
        if not length:
            self._packet_done()

    def _packet_done(self) -> None:
        if not self._remaining and self._ends:
            self.complete = True
