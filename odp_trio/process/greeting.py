"""Does the port answer with a MySQL greeting?  A connection alone says nothing of the process behind it."""

from __future__ import annotations

import ipaddress
import socket
from typing import Final

import trio

_PROTOCOL_VERSION: Final = 10
_HEADER: Final = 4
_ERR: Final = 0xFF


async def greets(address: tuple[str, int], timeout: float) -> bool:
    """Connect, and answer whether a server speaks MySQL within ``timeout`` seconds.

    An error packet (too many connections) is an answer too.  Never raises for what the network does.
    """
    with trio.move_on_after(timeout):
        try:
            family = trio.socket.AF_INET6 if ":" in address[0] else trio.socket.AF_INET
            with trio.socket.socket(family, trio.socket.SOCK_STREAM) as sock:
                await sock.connect(address)
                data = b""
                while len(data) <= _HEADER:
                    more = await sock.recv(256)
                    if not more:
                        return False
                    data += more
                return data[_HEADER] in (_PROTOCOL_VERSION, _ERR)
        except OSError:
            return False
    return False


def reachable(listener: socket.socket) -> tuple[str, int]:
    """Return an address of this machine under which a listening socket can be connected to."""
    ip, port = listener.getsockname()[:2]
    if ipaddress.ip_address(ip.partition("%")[0]).is_unspecified:
        ip = "::1" if ":" in ip else "127.0.0.1"
    return ip, port
