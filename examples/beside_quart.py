"""The same with Quart-Trio (``pip install quart-trio``): the proxy lives as long as the application serves.

``python examples/beside_quart.py 'ip:port;ip:port' CLUSTER PASSWORD_OF_PROXYRO USER PASSWORD [PORT]``
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import hypercorn.trio
import trio
from embed import settings_of
from hypercorn.config import Config
from quart_trio import QuartTrio

import odp_trio


def make_app(proxy: odp_trio.Proxy, user: str, password: str) -> QuartTrio:
    """Return the application."""
    app = QuartTrio(__name__)

    @app.get("/")
    async def answer() -> list[dict[str, Any]]:
        async with await proxy.connect(user, password) as connection:
            result = await connection.query("select 6 * 7 as answer")
        return [dict(zip(result.columns, row, strict=True)) for row in result.rows]

    return app


async def main(rslist: str, cluster: str, password: str, user: str, user_password: str, port: str = "0") -> None:
    """Serve until cancelled."""
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    async with (
        odp_trio.open_proxy(settings_of(rslist, cluster, password), listen=False) as proxy,
        trio.open_nursery() as nursery,
    ):
        serve = partial(hypercorn.trio.serve, make_app(proxy, user, user_password), config)
        print("listening on", *await nursery.start(serve), flush=True)


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
