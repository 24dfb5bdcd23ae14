"""A web service and its proxy in one process: plain ASGI on hypercorn's Trio worker, no port for MySQL.

``python examples/beside_hypercorn.py 'ip:port;ip:port' CLUSTER PASSWORD_OF_PROXYRO USER PASSWORD [PORT]``
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import hypercorn.trio
import trio
from embed import settings_of
from hypercorn.config import Config

import odp_trio

Message = dict[str, Any]


class Shop:
    """The service: ``GET /`` asks the database, ``GET /health`` the proxy."""

    def __init__(self, proxy: odp_trio.Proxy, user: str, password: str) -> None:
        self._proxy, self._user, self._password = proxy, user, password

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send)
            return
        body, status = await self._answer(scope["path"])
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})

    async def _answer(self, path: str) -> tuple[object, int]:
        if path == "/health":
            reasons = (await self._proxy.status()).why_not_ready
            return {"reasons": reasons}, 503 if reasons else 200
        async with await self._proxy.connect(self._user, self._password) as connection:
            result = await connection.query("select 6 * 7 as answer")
        return [dict(zip(result.columns, row, strict=True)) for row in result.rows], 200


async def answer_lifespan(
    receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Say that the service has begun, and that it has ended."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def main(rslist: str, cluster: str, password: str, user: str, user_password: str, port: str = "0") -> None:
    """Serve until cancelled: the web service ends first, then the proxy."""
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    async with (
        odp_trio.open_proxy(settings_of(rslist, cluster, password), listen=False) as proxy,
        trio.open_nursery() as nursery,
    ):
        serve = partial(hypercorn.trio.serve, Shop(proxy, user, user_password), config, mode="asgi")
        print("listening on", *await nursery.start(serve), flush=True)


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
