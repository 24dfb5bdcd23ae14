"""The HTTP service over a made-up proxy, on a real port."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from odp_trio.admin.http import make_app, serve_app
from tests.admin.source import FakeSource


@asynccontextmanager
async def served(source: FakeSource) -> AsyncIterator[int]:
    """Serve for the length of the block; yield the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_app, os.dup(listener.fileno()), make_app(source, source), ended.wait)
        try:
            yield listener.getsockname()[1]
        finally:
            ended.set()
            listener.close()
