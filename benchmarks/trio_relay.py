"""The textbook relay: ``python -m benchmarks.trio_relay PORT HOST SERVER_PORT``.

Two tasks a session, a ``SocketStream`` on either side, bytes passed on unread: what anybody would write first, and the
floor that a proxy in Python has to beat.
"""

from __future__ import annotations

import argparse

import trio

_READ_BYTES = 65536
_BACKLOG = 4096


async def pump(source: trio.SocketStream, sink: trio.SocketStream, session: trio.CancelScope) -> None:
    """Pass bytes on until one side has gone; the session ends with either direction."""
    try:
        while data := await source.receive_some(_READ_BYTES):
            await sink.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    session.cancel()


async def relay(client: trio.SocketStream, host: str, port: int) -> None:
    """Serve one client until it leaves or its server does."""
    try:
        server = await trio.open_tcp_stream(host, port)
    except OSError:
        return
    async with server, trio.open_nursery() as nursery:
        nursery.start_soon(pump, client, server, nursery.cancel_scope)
        nursery.start_soon(pump, server, client, nursery.cancel_scope)


async def serve(port: int, host: str, server_port: int) -> None:
    """Relay for ever."""

    async def handler(client: trio.SocketStream) -> None:
        await relay(client, host, server_port)

    await trio.serve_tcp(handler, port, host="127.0.0.1", backlog=_BACKLOG)


def main() -> None:
    """Serve as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trio_relay", description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("host")
    parser.add_argument("server_port", type=int)
    arguments = parser.parse_args()
    trio.run(serve, arguments.port, arguments.host, arguments.server_port)


if __name__ == "__main__":
    main()
