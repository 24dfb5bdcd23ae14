"""Does the port answer with a MySQL greeting?"""

from __future__ import annotations

import pytest
import trio
import trio.lowlevel

from odp_trio.net.listener import bind
from odp_trio.process.greeting import greets, reachable
from odp_trio.wire.handshake import Greeting
from odp_trio.wire.packets import packet

GREETING = packet(0, Greeting(b"5.7.25", 1, b"x" * 20).to_bytes())
TOO_MANY = packet(0, b"\xff\x10\x04Too many connections")


async def asked(answer: list[bytes], timeout: float = 5.0) -> bool:
    """Ask a server that sends these pieces, and then nothing, or closes when there is none."""
    with bind("127.0.0.1", 0, 8) as listener:

        async def serve() -> None:
            await trio.lowlevel.wait_readable(listener)
            sock, _ = listener.accept()
            with sock:
                for piece in answer:
                    sock.sendall(piece)
                    await trio.lowlevel.checkpoint()
                if answer:
                    await trio.sleep_forever()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            result = await greets(reachable(listener), timeout)
            nursery.cancel_scope.cancel()
        return result


@pytest.mark.parametrize(
    ("answer", "good"),
    [
        ([GREETING], True),
        ([GREETING[:3], GREETING[3:9], GREETING[9:]], True),
        ([TOO_MANY], True),
        ([], False),
        ([b"HTTP/1.1 400 Bad Request\r\n"], False),
    ],
)
async def test_only_mysql_is_a_greeting(answer: list[bytes], good: bool) -> None:
    assert await asked(answer) is good


async def test_silence_is_none() -> None:
    assert not await asked([b"\0"], timeout=0.05)


async def test_a_port_where_nobody_listens_is_none() -> None:
    with bind("127.0.0.1", 0, 8) as listener:
        address = reachable(listener)

    assert not await greets(address, 5.0)


@pytest.mark.parametrize(("bound", "asked_at"), [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("127.0.0.1", "127.0.0.1")])
def test_a_port_is_asked_where_it_can_be_reached(bound: str, asked_at: str) -> None:
    try:
        listener = bind(bound, 0, 8)
    except OSError:
        pytest.skip("no IPv6 here")
    with listener:
        assert reachable(listener) == (asked_at, listener.getsockname()[1])
