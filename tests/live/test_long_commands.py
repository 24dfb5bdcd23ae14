"""Commands that are longer than anybody keeps: what the server says of them, and that nothing grows."""

from __future__ import annotations

import resource
import socket

from odp_trio.app import Proxy
from odp_trio.model import Address
from odp_trio.testing.bed import Testbed
from odp_trio.wire.fields import MAX_PAYLOAD
from odp_trio.wire.resultset import parse_err
from tests.live.clients import in_thread, through, until
from tests.raw_client import RawClient

MIB = 1 << 20
MEBIBYTES = 32


def peak_bytes() -> int:
    """The most memory that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def send_a_chain(where: Address, user: str, mebibytes: int) -> tuple[int, bool]:
    """Send one statement in packets of 16 MiB; return the errno, and whether the connection was closed then; blocks."""
    with RawClient(where, user, "app_pw") as client:
        sock, piece = client.socket, b"x" * MIB
        first = b"\x03select length('"
        try:
            for number in range(mebibytes // 16):
                sock.sendall(MAX_PAYLOAD.to_bytes(3, "little") + bytes((number & 0xFF,)))
                left = MAX_PAYLOAD
                if not number:
                    sock.sendall(first)
                    left -= len(first)
                while left:
                    left -= sock.send(piece[:left])
            sock.sendall(b"\2\0\0" + bytes((mebibytes // 16 & 0xFF,)) + b"')")
        except OSError:
            pass  # closed while we were sending
        return _error_and_end(sock)


def _error_and_end(sock: socket.socket) -> tuple[int, bool]:
    data = b""
    sock.settimeout(2)
    try:
        while piece := sock.recv(65536):
            data += piece
    except TimeoutError:
        return parse_err(data[4:]).errno, False
    except OSError:
        pass
    return (parse_err(data[4:]).errno if data[4:5] == b"\xff" else 0), True


async def test_a_packet_beyond_max_allowed_packet_is_the_servers_affair_and_grows_nothing(
    bed: Testbed, proxy: Proxy, kernel_address: Address
) -> None:
    """The kernel says 1153 and goes on; whether the connection is closed then is its affair too."""
    await bed.query(f"set global max_allowed_packet = {16 * MIB}")  # others need more, and leave it at that
    direct = await in_thread(send_a_chain, kernel_address, "app@sys", MEBIBYTES)
    before = peak_bytes()
    proxied = await in_thread(send_a_chain, Address(*proxy.addresses[0]), "app@sys#demo", MEBIBYTES)
    assert peak_bytes() - before < 16 * MIB
    assert direct[0] == 1153
    assert proxied == direct
    await until(lambda: not proxy.sessions.table, "its session has ended")
    assert proxy.counts.ends["client_gone"] == 1
    assert await through(proxy, "select 1") == ((1,),)
