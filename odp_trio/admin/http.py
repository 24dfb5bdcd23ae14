"""/health, /ready, /metrics and /api/…, by Starlette on hypercorn's Trio worker.

Imported only once the MySQL port is open: these packages take longer to
import than everything else takes to start.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any, Final, Protocol

import hypercorn.trio
import msgspec
from hypercorn.config import Config
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from odp_trio.admin.congestion import RecentChange
from odp_trio.admin.explain import Explained, ExplainRequest, explanation_object
from odp_trio.admin.explain_command import read_parameter
from odp_trio.admin.metrics import exposition
from odp_trio.admin.routes import count_routes, list_routes
from odp_trio.admin.status import ProxyStatus
from odp_trio.admin.tree import TreeNode
from odp_trio.errors import AccessDenied, ConfigError, OdpError, UnknownCluster
from odp_trio.session.ledger import Ends
from odp_trio.topology.location import Locations
from odp_trio.topology.snapshot import Snapshot

log = logging.getLogger("odp_trio.admin")

_LONGEST_BODY: Final = 16 << 20
_MOST_ROUTES: Final = 1000
_REPEATED: Final = {"what_if": "what_if", "param": "parameters"}
"""Query parameters that may come several times, and the fields that they fill."""


class Source(Protocol):
    """What is read: a proxy."""

    locations: Locations
    ends: Ends

    def statistics(self) -> ProxyStatus:
        """Return the state of everything at this moment."""
        ...

    def tree(self) -> TreeNode:
        """Return the tree of supervised tasks."""
        ...

    async def explain(self, request: ExplainRequest) -> Explained:
        """Explain where a statement would go."""
        ...

    async def snapshot(self) -> Snapshot:
        """Return what routing stands on."""
        ...

    def recent_changes(self) -> list[RecentChange]:
        """Return the last changes of the lists of servers."""
        ...


def make_app(source: Source) -> Starlette:
    """Build the ASGI application that reads ``source``."""
    metrics_text = exposition(source.statistics)

    async def health(_: Request) -> Response:
        """200 while the process serves its event loop; what is degraded is said, not punished."""
        now = source.statistics()
        return _json({"status": "degraded" if now.why_degraded else "ok", "reasons": now.why_degraded})

    async def ready(_: Request) -> Response:
        """200 when clients may be sent here, else 503 with the reasons."""
        reasons = source.statistics().why_not_ready
        return _json({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)

    async def metrics(_: Request) -> Response:
        text = metrics_text(await count_routes(source.locations))
        return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})

    async def everything(_: Request) -> Response:
        return _json(msgspec.to_builtins(source.statistics()))

    async def tree(_: Request) -> Response:
        return _json(source.tree())

    async def explain(request: Request) -> Response:
        """Answer 400 for what cannot be asked, 503 for what cannot be answered now."""
        try:
            return _json(explanation_object(await source.explain(await _explain_request(request))))
        except (ConfigError, AccessDenied, UnknownCluster) as exc:
            return _json({"error": str(exc)}, 400)
        except OdpError as exc:
            return _json({"error": str(exc)}, 503)

    async def snapshot(_: Request) -> Response:
        return _json(await source.snapshot())

    async def routes(request: Request) -> Response:
        try:
            words = _only(request.query_params, ("like", "cluster", "tenant", "limit"))
            limit = _limit(words.get("limit", "100"))
        except ConfigError as exc:
            return _json({"error": str(exc)}, 400)
        found, total = await list_routes(
            source.locations,
            like=words.get("like"),
            cluster=words.get("cluster", ""),
            tenant=words.get("tenant", ""),
            limit=limit,
        )
        return _json({"total": total, "routes": found})

    return Starlette(
        routes=[
            Route("/health", health),
            Route("/ready", ready),
            Route("/metrics", metrics),
            Route("/api/status", everything),
            Route("/api/tree", tree),
            Route("/api/explain", explain, methods=["GET", "POST"]),
            Route("/api/snapshot", snapshot),
            Route("/api/routes", routes),
            Route("/api/congestion", _congestion(source)),
            Route("/api/ends", _ends(source)),
        ]
    )


def _congestion(source: Source) -> Callable[[Request], Awaitable[Response]]:
    async def congestion(_: Request) -> Response:
        """The lists of servers, and the last changes of them."""
        return _json({"clusters": source.statistics().congestion, "recent": source.recent_changes()})

    return congestion


def _ends(source: Source) -> Callable[[Request], Awaitable[Response]]:
    async def ends(_: Request) -> Response:
        """The last ends of clients and of server sessions, the newest first."""
        kept = source.ends
        return _json({"clients": list(kept.newest()), "servers": list(kept.newest(servers=True))})

    return ends


async def _explain_request(request: Request) -> ExplainRequest:
    """Read the query parameters of a GET, or the JSON of a POST; raise ConfigError."""
    try:
        if request.method == "POST":
            return msgspec.json.decode(await _body(request), type=ExplainRequest)
        query = request.query_params
        names = ExplainRequest.__struct_fields__
        words: dict[str, Any] = {**_only(query, tuple(name for name in names if name not in _REPEATED.values()))}
        for word, field in _REPEATED.items():
            words[field] = query.getlist(word)
        words["parameters"] = [read_parameter(text) for text in words["parameters"]]
        return msgspec.convert(words, ExplainRequest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise ConfigError(f"the request cannot be understood: {str(exc) or 'nested too deeply'}") from exc


async def _body(request: Request) -> bytes:
    too_long = ConfigError(f"the request is longer than {_LONGEST_BODY} bytes")
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced[:20]) > _LONGEST_BODY:
        raise too_long
    body = bytearray()
    try:
        async with aclosing(request.stream()) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > _LONGEST_BODY:
                    raise too_long
    except ClientDisconnect as exc:
        raise ConfigError("the request was broken off") from exc
    return bytes(body)


def _only(query: QueryParams, known: tuple[str, ...]) -> dict[str, str]:
    """Return the query parameters that come once; raise ConfigError for one that is not known."""
    unknown = sorted({*query} - {*known, *_REPEATED})
    if unknown:
        raise ConfigError(f"{unknown[0]!r} is no parameter; known: {', '.join(known)}")
    return {name: query[name] for name in known if name in query}


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:9]) <= _MOST_ROUTES:
        raise ConfigError(f"limit = {text!r} is out of range: 1 to {_MOST_ROUTES}")
    return int(text[:9])


def _json(value: object, code: int = 200) -> Response:
    return Response(msgspec.json.encode(value), code, media_type="application/json")


async def serve_http(fd: int, source: Source, stopping: Callable[[], Awaitable[None]]) -> None:
    """Serve HTTP on a listening socket, which it owns from here on, until ``stopping()`` returns."""
    config = Config()
    config.bind = [f"fd://{fd}"]
    config.accesslog = None
    config.errorlog = logging.getLogger("odp_trio.http")
    config.graceful_timeout = 1.0
    await hypercorn.trio.serve(make_app(source), config, shutdown_trigger=stopping, mode="asgi")  # type: ignore[arg-type]
