"""/health, /ready, /metrics and /api/status, by Starlette on hypercorn's Trio worker.

Imported only once the MySQL port is open: these packages take longer to
import than everything else takes to start.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import hypercorn.trio
import msgspec
from hypercorn.config import Config
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from odp_trio.admin.metrics import exposition
from odp_trio.admin.status import ProxyStatus

log = logging.getLogger("odp_trio.admin")


def make_app(status: Callable[[], ProxyStatus]) -> Starlette:
    """Build the ASGI application that reads ``status``."""
    metrics_text = exposition(status)

    async def health(_: Request) -> Response:
        """200 while the process serves its event loop; what is degraded is said, not punished."""
        now = status()
        return _json({"status": "degraded" if now.why_degraded else "ok", "reasons": now.why_degraded})

    async def ready(_: Request) -> Response:
        """200 when clients may be sent here, else 503 with the reasons."""
        reasons = status().why_not_ready
        return _json({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)

    async def metrics(_: Request) -> Response:
        return Response(metrics_text(), headers={"content-type": CONTENT_TYPE_LATEST})

    async def everything(_: Request) -> Response:
        return _json(msgspec.to_builtins(status()))

    return Starlette(
        routes=[
            Route("/health", health),
            Route("/ready", ready),
            Route("/metrics", metrics),
            Route("/api/status", everything),
        ]
    )


def _json(value: object, code: int = 200) -> Response:
    return Response(msgspec.json.encode(value), code, media_type="application/json")


async def serve_http(fd: int, status: Callable[[], ProxyStatus], stopping: Callable[[], Awaitable[None]]) -> None:
    """Serve HTTP on a listening socket, which it owns from here on, until ``stopping()`` returns."""
    config = Config()
    config.bind = [f"fd://{fd}"]
    config.accesslog = None
    config.errorlog = logging.getLogger("odp_trio.http")
    config.graceful_timeout = 1.0
    await hypercorn.trio.serve(make_app(status), config, shutdown_trigger=stopping, mode="asgi")  # type: ignore[arg-type]
