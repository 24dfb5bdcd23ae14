"""OB 2.0 frames of the canned server.

Written by hand like ``packets``.  Source: ODP's ob_2_0_protocol.
"""

from __future__ import annotations

import struct

from fastcrc import crc16, crc32

HEAD_BYTES = 31
TAIL_BYTES = 4
CAPABILITY = 1 << 8
_EXTRA_INFO, _LAST = 1, 2
_HEAD = struct.Struct("<IHBHHIIIIH")
_FLAGS_AT, _REQUEST_AT = 23, 15


def asks_for_ob20(login: bytes) -> bool:
    """Whether a proxy's login packet asks for OB 2.0."""
    name = b"__proxy_capability_flag"
    at = login.find(name)
    if at < 0:
        return False
    start = at + len(name)
    return bool(int(login[start + 1 : start + 1 + login[start]]) & CAPABILITY)


def take_request(data: bytes) -> tuple[bytes, int, bytes] | None:
    """Return a request's MySQL packet, its id and what follows its frame; None if the frame is not whole.

    The proxy sends each of its small requests in one frame.
    """
    if len(data) < HEAD_BYTES or len(data) < (end := 7 + int.from_bytes(data[:3], "little")):
        return None
    payload = data[HEAD_BYTES : end - TAIL_BYTES]
    if data[_FLAGS_AT] & _EXTRA_INFO:
        payload = payload[4 + int.from_bytes(payload[:4], "little") :]
    return payload, int.from_bytes(data[_REQUEST_AT : _REQUEST_AT + 3], "little"), data[end:]


class Payload:
    """MySQL bytes with their checksum, which is computed once."""

    def __init__(self, mysql: bytes) -> None:
        self.mysql = mysql
        self.tail = (crc32.iscsi(mysql, 0xFFFFFFFF) ^ 0xFFFFFFFF).to_bytes(TAIL_BYTES, "little")

    def head(self, connection_id: int, request_id: int, seq: int = 1, *, last: bool = True) -> bytes:
        """Write the header of a frame around it."""
        size, seq = len(self.mysql), seq & 0xFF
        head = _HEAD.pack(
            size + 28 | seq << 24, 0, 0, 0x20AB, 20, connection_id, request_id | seq << 24, size, _LAST * last, 0
        )
        return head + crc16.arc(head).to_bytes(2, "little")

    def frame(self, connection_id: int, request_id: int) -> bytes:
        """Write the one frame of an answer."""
        return b"".join((self.head(connection_id, request_id), self.mysql, self.tail))
