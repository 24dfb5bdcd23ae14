"""``odp-trio top``: what the console shows, in a terminal.  Imports wait until the verb runs."""

from __future__ import annotations

import argparse
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from trio_websocket import WebSocketConnection

    from odp_trio.admin.live import LiveFrame

TOKEN_VARIABLE: Final = "ODP_HTTP_TOKEN"
DEFAULT_URL: Final = "http://127.0.0.1:2884"
_PATIENCE: Final = 10.0
_PAUSE: Final = 1.0
_LONGEST: Final = 64 << 20


def add_verb(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to a command line."""
    top = verbs.add_parser(
        "top",
        help="watch a running proxy",
        description="Show servers, statements, misroutes, slow statements and tasks of a running proxy.",
        epilog=f"From another machine the proxy's http_token is needed: in {TOKEN_VARIABLE}. Ctrl-C ends it.",
    )
    top.set_defaults(verb=top_verb)
    top.add_argument("--url", default=DEFAULT_URL, help=f"where the proxy serves HTTP (default {DEFAULT_URL})")
    top.add_argument("--once", action="store_true", help="print it once, and end")


def top_verb(options: argparse.Namespace) -> int:
    """Run ``odp-trio top`` and return the exit status; raise AccessDenied, ConfigError or OSError."""
    import trio

    token = os.environ.get(TOKEN_VARIABLE, "")
    try:
        trio.run(_once if options.once else _watch, options.url, token)
    except* KeyboardInterrupt:
        if options.once:
            raise
    return 0


@asynccontextmanager
async def connected(url: str, token: str) -> AsyncIterator[WebSocketConnection]:
    """Connect to a proxy's /api/live; raise AccessDenied if it refuses, ConfigError for a wrong URL, OSError."""
    import trio
    from trio_websocket import ConnectionRejected, wrap_client_stream

    from odp_trio.errors import AccessDenied, ConfigError

    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 2884)
    except ValueError as exc:
        raise ConfigError(f"{url!r} is no URL: {exc}") from exc
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError(f"{url!r} is no URL: http://host:port or https://host:port")
    if parts.scheme == "https":
        stream: trio.SSLStream[trio.SocketStream] | trio.SocketStream = await trio.open_ssl_over_tcp_stream(host, port)
    else:
        stream = await trio.open_tcp_stream(host, port)
    headers = [(b"Authorization", f"Bearer {token}".encode())] if token else []
    name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    path = f"{parts.path.rstrip('/')}/api/live"
    try:
        async with stream, trio.open_nursery() as nursery:
            with trio.move_on_after(_PATIENCE) as patience:
                connection = await wrap_client_stream(
                    nursery, stream, name, path, extra_headers=headers, max_message_size=_LONGEST
                )
            if patience.cancelled_caught:
                nursery.cancel_scope.cancel()
                raise TimeoutError(f"{name} does not answer within {_PATIENCE:g} s")
            if not token:
                await connection.send_message('{"token": ""}')  # so that who needs one is told at once
            yield connection
            nursery.cancel_scope.cancel()
    except* ConnectionRejected as group:
        status = group.exceptions[0]
        assert isinstance(status, ConnectionRejected)
        raise AccessDenied(f"the proxy refuses (status {status.status_code}): is {TOKEN_VARIABLE} its token?") from None


async def _once(url: str, token: str) -> None:
    """Print what two records say: rates need two."""
    from rich.console import Console

    from odp_trio.admin.top import screen

    async with connected(url, token) as connection:
        before = await _next(connection)
        now = await _next(connection)
    Console(highlight=False).print(screen(before, now))


async def _watch(url: str, token: str) -> None:
    """Show records until Ctrl-C; connect again when the proxy has gone, once it was there."""
    import trio
    from rich.console import Console
    from rich.live import Live

    from odp_trio.admin.top import screen
    from odp_trio.errors import AccessDenied

    before: LiveFrame | None = None
    with Live(console=Console(highlight=False), screen=True, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            try:
                async with connected(url, token) as connection:
                    while True:
                        now = await _next(connection)
                        live.update(screen(before, now), refresh=True)
                        before = now
            except* (OSError, AccessDenied) as group:
                if before is None:
                    raise
                trouble = str(group.exceptions[0])
                live.update(screen(None, before, f"not connected: {trouble}; trying again"), refresh=True)
            await trio.sleep(_PAUSE)


async def _next(connection: WebSocketConnection) -> LiveFrame:
    """Return the next record; raise AccessDenied when the proxy wants a token, ConnectionResetError when it is gone."""
    import msgspec
    from trio_websocket import ConnectionClosed

    from odp_trio.admin.live import LiveFrame
    from odp_trio.admin.live_socket import FULL, UNAUTHORIZED
    from odp_trio.errors import AccessDenied

    try:
        return msgspec.json.decode(await connection.get_message(), type=LiveFrame)
    except ConnectionClosed as exc:
        if exc.reason is not None and exc.reason.code in (UNAUTHORIZED, FULL):
            raise AccessDenied(f"the proxy refuses: {exc.reason.reason}") from exc
        raise ConnectionResetError("the proxy has ended the connection") from exc
