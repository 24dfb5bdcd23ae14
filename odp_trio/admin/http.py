"""/health, /ready, /metrics, /api/… and the console, by Starlette on hypercorn's Trio worker.

Imported only once the MySQL port is open: these packages take longer to
import than everything else takes to start.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any, Final

import hypercorn.trio
import msgspec
import trio
from hypercorn.config import Config
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute

from odp_trio.admin.access import NO_TOKEN, Refusal, Visitor, check, visitor
from odp_trio.admin.across.operations import STATUS, AllMetrics, feed_of, run
from odp_trio.admin.api import API, Caller, Operation
from odp_trio.admin.api_types import Nothing, Operations, Source
from odp_trio.admin.console_pages import PAGES, page
from odp_trio.admin.live import Feed
from odp_trio.admin.live_socket import LONGEST_MESSAGE, serve_watcher
from odp_trio.admin.metrics import write_records
from odp_trio.admin.openapi import document
from odp_trio.admin.operate import Operator
from odp_trio.admin.status import ProxyStatus
from odp_trio.errors import (
    AccessDenied,
    ConfigError,
    NotSupported,
    OdpError,
    UnknownCluster,
    UnknownTask,
    UnknownThread,
)

log = logging.getLogger("odp_trio.admin")

_LONGEST_BODY: Final = 16 << 20
_BODY_SECONDS: Final = 30.0
"""For all of a request's body: who sends a byte now and then does not stay."""
_PROBE_SECONDS: Final = 0.5
_ASKED_WRONGLY: Final = (ConfigError, AccessDenied, UnknownCluster, NotSupported)
_NOT_THERE: Final = (UnknownTask, UnknownThread)
_API_HEADERS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def make_app(source: Source, operations: Operations) -> Starlette:
    """Build the ASGI application that reads ``source`` and does ``operations``."""
    feed = feed_of(source, operations)

    async def openapi(request: Request) -> Response:
        refusal = check(_visitor(request, source), _token(source), writes=False)
        if refusal is not None:
            return _refuse(request, refusal)
        return Response(document(), media_type="application/json", headers=_API_HEADERS)

    def endpoint(operation: Operation) -> Callable[[Request], Awaitable[Response]]:
        async def serve(request: Request) -> Response:
            refusal = check(_visitor(request, source), _token(source), writes=operation.writes)
            if refusal is not None:
                return _refuse(request, refusal)
            caller = Caller(source, operations, _who(request), feed.frame)
            try:
                return _json(await run(caller, operation, await _asked(request, operation.asks)))
            except _ASKED_WRONGLY as exc:
                return _json({"error": str(exc)}, 400)
            except _NOT_THERE as exc:
                return _json({"error": str(exc)}, 404)
            except OdpError as exc:
                return _json({"error": str(exc)}, 503)

        return serve

    async def live(websocket: Any) -> None:
        who = _visitor(websocket, source)
        if isinstance(who, Refusal):
            await websocket.close()  # before it is accepted: status 403
            return
        await serve_watcher(websocket, feed, who, lambda: _token(source))

    return Starlette(
        routes=[
            *_probes(source, operations),
            Route("/api/openapi.json", openapi),
            *(Route(operation.path, endpoint(operation), methods=[operation.method]) for operation in API),
            WebSocketRoute("/api/live", live),
            *(Route(path, page) for path in PAGES),
        ],
        exception_handlers={HTTPException: _not_served},
    )


def _probes(source: Source, operations: Operations) -> list[Route]:
    """Return what anybody may read: orchestrators and Prometheus ask it."""
    caller = Caller(source, operations, "HTTP", Feed(source).frame)
    counted = AllMetrics(source, operations)

    async def status() -> ProxyStatus:
        """Return the status of all workers, soon: who probes is not patient."""
        found: ProxyStatus = await run(caller, STATUS, Nothing(), seconds=_PROBE_SECONDS)
        return found

    async def health(_: Request) -> Response:
        """200 while the process serves its event loop; what is degraded is said, not punished."""
        now = await status()
        return _json({"status": "degraded" if now.why_degraded else "ok", "reasons": now.why_degraded})

    async def ready(_: Request) -> Response:
        """200 when clients may be sent here, else 503 with the reasons."""
        reasons = (await status()).why_not_ready
        return _json({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)

    async def metrics(_: Request) -> Response:
        return Response(await write_records(await counted.records()), headers={"content-type": CONTENT_TYPE_LATEST})

    return [Route("/health", health), Route("/ready", ready), Route("/metrics", metrics)]


def _token(source: Source) -> str:
    return source.settings().http_token.value


def _visitor(request: HTTPConnection, source: Source) -> Visitor | Refusal:
    peer = request.client.host if request.client is not None else ""
    return visitor(request.headers, peer, _token(source))


def _who(request: Request) -> str:
    return f"HTTP from {request.client.host}:{request.client.port}" if request.client is not None else "HTTP"


async def _asked(request: Request, kind: type[msgspec.Struct]) -> Any:
    """Read the query parameters of a GET, or the JSON of a POST; raise ConfigError."""
    if request.method == "POST":
        return read_body(await _body(request), kind)
    return read_words(request.query_params, kind)


def read_body(body: bytes, kind: type[msgspec.Struct]) -> Any:
    """Read the JSON of a POST; raise ConfigError."""
    return _understood(lambda: msgspec.json.decode(body or b"{}", type=kind))


def read_words(query: QueryParams, kind: type[msgspec.Struct]) -> Any:
    """Read the query parameters of a GET; raise ConfigError."""
    return _understood(lambda: msgspec.convert(_words(query, kind), kind, strict=False))


def _understood(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise ConfigError(f"the request cannot be understood: {str(exc) or 'nested too deeply'}") from exc


async def _body(request: Request) -> bytes:
    too_long = ConfigError(f"the request is longer than {_LONGEST_BODY} bytes")
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced[:20]) > _LONGEST_BODY:
        raise too_long
    body = bytearray()
    with trio.move_on_after(_BODY_SECONDS) as patience:
        try:
            async with aclosing(request.stream()) as chunks:
                async for chunk in chunks:
                    body += chunk
                    if len(body) > _LONGEST_BODY:
                        raise too_long
        except ClientDisconnect as exc:
            raise ConfigError("the request was broken off") from exc
    if patience.cancelled_caught:
        raise ConfigError(f"the request was not whole after {_BODY_SECONDS:g} s")
    return bytes(body)


def _words(query: QueryParams, kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the query parameters by name; lists for those that may come several times; raise ConfigError."""
    fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
    unknown = sorted({*query} - {*fields})
    if unknown:
        raise ConfigError(f"{unknown[0]!r} is no parameter; known: {', '.join(fields) or 'none'}")
    return {
        name: query.getlist(name) if getattr(fields[name], "__origin__", None) is tuple else query[name]
        for name in query
    }


def _json(value: object, code: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(
        msgspec.json.encode(value), code, media_type="application/json", headers={**_API_HEADERS, **(headers or {})}
    )


def _refuse(request: Request, refusal: Refusal) -> Response:
    """Log who tries what it may not; not who has just not given its token yet."""
    level = logging.DEBUG if refusal is NO_TOKEN else logging.WARNING
    log.log(level, "%s may not %s %s: %s", _who(request), request.method, request.url.path, refusal.error)
    headers = {"www-authenticate": "Bearer"} if refusal.code == NO_TOKEN.code else None
    return _json({"error": refusal.error}, refusal.code, headers)


async def _not_served(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _json({"error": error.detail}, error.status_code, dict(error.headers or {}))


async def serve_http(fd: int, proxy: Any, stopping: Callable[[], Awaitable[None]]) -> None:
    """Serve HTTP on a listening socket, which it owns from here on, until ``stopping()`` returns."""
    await serve_app(fd, make_app(proxy, Operator(proxy)), stopping)


async def serve_app(fd: int, app: Starlette, stopping: Callable[[], Awaitable[None]]) -> None:
    """Serve an application on a listening socket, which it owns from here on, until ``stopping()`` returns."""
    config = Config()
    config.bind = [f"fd://{fd}"]
    config.accesslog = None
    config.errorlog = logging.getLogger("odp_trio.http")
    config.graceful_timeout = 1.0
    config.include_server_header = False
    config.websocket_max_message_size = LONGEST_MESSAGE
    await hypercorn.trio.serve(app, config, shutdown_trigger=stopping, mode="asgi")  # type: ignore[arg-type]
