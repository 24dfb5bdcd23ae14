"""The PROXY protocol, versions 1 and 2: a load balancer says who the client is before the client's first byte.

Source: HAProxy's proxy-protocol.txt.  Neither form can be the beginning of a
login packet: their fourth bytes would be a sequence number that no login has.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import Final

import msgspec

from odp_trio.errors import ClientProtocolError

SIGNATURE_1: Final = b"PROXY "
SIGNATURE_2: Final = b"\r\n\r\n\0\r\nQUIT\n"
_LONGEST_1: Final = 107
LONGEST_2: Final = 16 + 4096
"""Longer headers are refused; addresses and the usual TLVs need less than a tenth."""
_HEAD_2: Final = struct.Struct(">12sBBH")
_ADDRESSES: Final = {0x11: struct.Struct(">4s4sHH"), 0x21: struct.Struct(">16s16sHH")}
_LOCAL, _PROXIED = 0x20, 0x21
_UNSPECIFIED: Final = 0x00
_UNIX: Final = frozenset({0x31, 0x32})


class ProxyHeader(msgspec.Struct, frozen=True):
    """Who the client is: address and port, and those that it connected to; None for the load balancer's own probes."""

    source: tuple[str, int] | None
    destination: tuple[str, int] | None
    size: int
    """Bytes of the header."""


def begins_header(data: bytes | bytearray) -> bool:
    """Whether bytes, as far as they have come, may be the beginning of a header."""
    return bool(data) and (
        SIGNATURE_1.startswith(bytes(data[:6])) or SIGNATURE_2.startswith(bytes(data[: len(SIGNATURE_2)]))
    )


def parse_proxy_header(data: bytes | bytearray) -> ProxyHeader | None:
    """Read a header at the start of ``data``, which begins one; None while it is not whole.

    Raises ClientProtocolError for what is none.
    """
    if SIGNATURE_1.startswith(bytes(data[:6])):
        return _version_1(bytes(data[:_LONGEST_1]))
    return _version_2(bytes(data[:LONGEST_2]))


def _version_1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n")
    if end < 0:
        if len(data) >= _LONGEST_1:
            raise ClientProtocolError(f"a PROXY header without an end in {_LONGEST_1} bytes")
        return None
    words = data[:end].decode("latin-1").split(" ")
    size = end + 2
    if words[1] == "UNKNOWN":
        return ProxyHeader(None, None, size)
    if len(words) != 6 or words[1] not in ("TCP4", "TCP6"):
        raise ClientProtocolError(f"a PROXY header of another form than TCP4 or TCP6: {words[1][:20]!r}")
    kind = ipaddress.IPv4Address if words[1] == "TCP4" else ipaddress.IPv6Address
    try:
        source, destination = str(kind(words[2])), str(kind(words[3]))
    except ValueError as exc:
        raise ClientProtocolError(f"a PROXY header with a bad address: {exc}") from exc
    return ProxyHeader((source, _port(words[4])), (destination, _port(words[5])), size)


def _port(word: str) -> int:
    if not (word.isascii() and word.isdigit() and len(word) <= 5 and int(word) < 65536 and str(int(word)) == word):
        raise ClientProtocolError(f"a PROXY header with a bad port: {word[:20]!r}")
    return int(word)


def _version_2(data: bytes) -> ProxyHeader | None:
    if len(data) < _HEAD_2.size:
        return None
    signature, command, family, length = _HEAD_2.unpack_from(data)
    if signature != SIGNATURE_2 or command not in (_LOCAL, _PROXIED):
        raise ClientProtocolError(f"a PROXY header of an unknown version or command: 0x{command:02x}")
    size = _HEAD_2.size + length
    if size > LONGEST_2:
        raise ClientProtocolError(f"a PROXY header of {size} bytes; at most {LONGEST_2} are read")
    addresses = _ADDRESSES.get(family)
    if addresses is not None and command == _PROXIED and length < addresses.size:
        raise ClientProtocolError("a PROXY header that is too short for its addresses")
    if len(data) < size:
        return None
    if command == _LOCAL or family == _UNSPECIFIED or family in _UNIX:
        return ProxyHeader(None, None, size)
    if addresses is None:
        raise ClientProtocolError(f"a PROXY header of an unknown family: 0x{family:02x}")
    source, destination, source_port, destination_port = addresses.unpack_from(data, _HEAD_2.size)
    return ProxyHeader(
        (str(ipaddress.ip_address(source)), source_port),
        (str(ipaddress.ip_address(destination)), destination_port),
        size,
    )
