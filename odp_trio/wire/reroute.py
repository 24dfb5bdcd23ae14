"""Where an OBServer says that a statement belongs: the user variable that comes with error 5727."""

from __future__ import annotations

import ipaddress
from typing import Final

from odp_trio.errors import ServerProtocolError
from odp_trio.model import Address
from odp_trio.wire.fields import Cursor, lenenc_int, server_cursor

VARIABLE: Final = b"ob_client_reroute_info"


def parse_reroute(value: bytes) -> Address:
    """Return the address in a value of ``ob_client_reroute_info``; raise ServerProtocolError if there is none.

    What follows the port (role, replica type, table, schema version) differs between servers and is not read.
    """
    cursor = server_cursor(value)
    inner = server_cursor(cursor.take(min(cursor.lenenc(), cursor.left)))
    version = inner.lenenc()
    if version not in (4, 6):
        raise ServerProtocolError(f"a server is to be reached by IP version {version}")
    ip = str(ipaddress.IPv4Address(_below(inner, 32)) if version == 4 else ipaddress.IPv6Address(_halves(inner)))
    port = inner.lenenc()
    if not 0 < port < 65536:
        raise ServerProtocolError(f"a server is to be reached at port {port}")
    return Address(ip, port)


def write_reroute(address: Address) -> bytes:
    """Write the value for an address, as far as the port."""
    number = ipaddress.ip_address(address.ip)
    parts = (int(number),) if number.version == 4 else (int(number) >> 64, int(number) & (1 << 64) - 1)
    body = b"".join(map(lenenc_int, (number.version, *parts, address.port)))
    return lenenc_int(len(body)) + body


def _halves(cursor: Cursor) -> int:
    high = _below(cursor, 64)
    return high << 64 | _below(cursor, 64)


def _below(cursor: Cursor, bits: int) -> int:
    number = cursor.lenenc()
    if number >> bits:
        raise ServerProtocolError(f"{number} does not fit into {bits} bits")
    return number
