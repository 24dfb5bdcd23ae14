"""One GET at a time limit and a size limit: httpx on Trio, with a reason for everything that can go wrong.

httpx is imported at the first question, in a thread: it takes longer than a proxy may take to start.  Its transport is
used without its client, which logs whole URLs and obeys the environment's proxies.
"""

from __future__ import annotations

import base64
import errno
import logging
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

import trio

from odp_trio.errors import ConfigServerUnavailable, MalformedConfigAnswer
from odp_trio.topology.config_questions import shown_url, without_queries

if TYPE_CHECKING:
    import httpx

REDIRECTS: Final = 3
_CONNECTIONS: Final = 16
_CONNECT_SECONDS: Final = 10.0
_CONNECT_MARGIN: Final = 0.1
"""So long before the whole question a handshake ends: httpcore closes one that times out, not one that is cancelled."""
_REDIRECT_CODES: Final = (301, 302, 303, 307, 308)
_SHOWN: Final = 120
_PHASES: Final[Mapping[str, str]] = {
    "connection.connect_tcp.started": "no connection",
    "connection.start_tls.started": "no end of the TLS handshake",
    "http11.receive_response_headers.started": "connected, but no answer",
    "http11.receive_response_body.started": "only a part of the answer",
}


class Unreachable(ConfigServerUnavailable):
    """There was no answer at all: to ask the same server for something else is of no use."""


@dataclass(slots=True)
class _Progress:
    """How far a question has come that may take so long."""

    seconds: float
    phase: str = "no free connection"
    oversized: bool = False

    def timed_out(self) -> Unreachable:
        """Return the error that says for what the time was too short."""
        return Unreachable(f"{self.phase} within {self.seconds:g} s")

    async def trace(self, event: str, _: Mapping[str, object]) -> None:
        """Take note of what httpcore does."""
        self.phase = _PHASES.get(event, self.phase)


@final
class HttpGet:
    """Asks by GET.  No connection is kept: a kept one that has died is an error that nobody needs once a minute.

    ``make_transport`` runs in a thread; by default it makes httpx's own.
    """

    def __init__(self, make_transport: Callable[[], httpx.AsyncBaseTransport] | None = None) -> None:
        self._make_transport = make_transport or _make_transport
        self._transport: httpx.AsyncBaseTransport | None = None
        self._opening = trio.Lock()

    async def get(self, url: str, *, limit: int, seconds: float) -> bytes:
        """Return the body of an answer with status 2xx.

        Raises Unreachable, ConfigServerUnavailable, and MalformedConfigAnswer for a body of more than ``limit`` bytes.
        """
        transport = await self._open()
        progress = _Progress(seconds)
        oversized = MalformedConfigAnswer(f"the answer has more than {limit} bytes")
        with trio.move_on_after(seconds) as scope:
            response = await self._follow(transport, url, progress)
            try:
                _check(response)
                if _announced(response) > limit:
                    raise oversized
                # An iteration that is left early warns; one that is cancelled ends as it should.
                body = bytearray()
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > limit:
                        progress.oversized = True
                        scope.cancel()
                if not progress.oversized:
                    return bytes(body)
            except _errors() as exc:
                raise _failure(exc, url, progress, begun=True) from exc
            finally:
                await response.aclose()
        if progress.oversized:
            raise oversized
        raise progress.timed_out()

    async def aclose(self) -> None:
        """Close the connections; what is under way fails."""
        if self._transport is not None:
            await self._transport.aclose()

    async def _open(self) -> httpx.AsyncBaseTransport:
        async with self._opening:
            if self._transport is None:
                self._transport = await trio.to_thread.run_sync(self._make_transport)
        return self._transport

    async def _follow(self, transport: httpx.AsyncBaseTransport, url: str, progress: _Progress) -> httpx.Response:
        """Ask, and go where redirects lead; return what is no redirect."""
        asked = [url]
        while True:
            try:
                response = await transport.handle_async_request(_request(asked[-1], progress))
            except _errors() as exc:
                raise _failure(exc, asked[-1], progress, begun=False) from exc
            try:
                target = _target(asked[-1], response)
            except _errors() as exc:
                await response.aclose()
                raise ConfigServerUnavailable("redirects to something that is no URL") from exc
            if not target:
                return response
            await response.aclose()
            if target in asked:
                raise ConfigServerUnavailable(f"redirects in a circle, back to {shown_url(target)}")
            if len(asked) > REDIRECTS:
                raise ConfigServerUnavailable(f"more than {REDIRECTS} redirects, the last to {shown_url(target)}")
            asked.append(target)


def _make_transport() -> httpx.AsyncHTTPTransport:
    """Make the transport.  Runs in a thread: imports httpx, reads the system's certificates."""
    import httpx

    # Its debug lines hold whole headers: where a redirect leads to may be secret.
    http_log = logging.getLogger("httpcore")
    http_log.setLevel(max(http_log.level, logging.INFO))
    limits = httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=0)
    # Not httpx's own choice of certificates: SSL_CERT_FILE and the system's store count.
    return httpx.AsyncHTTPTransport(verify=ssl.create_default_context(), trust_env=False, limits=limits)


def _errors() -> tuple[type[Exception], ...]:
    """Return what httpx raises, and what names that are no host names raise beneath it."""
    import httpx

    return (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeError)


def _request(url: str, progress: _Progress) -> httpx.Request:
    import httpx

    parsed = httpx.URL(url)
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigServerUnavailable(f"cannot ask {shown_url(url)}: it is no http or https URL")
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", "Connection": "close"}
    if parsed.userinfo:
        credentials = base64.b64encode(f"{parsed.username}:{parsed.password}".encode()).decode()
        headers["Authorization"] = f"Basic {credentials}"
    connect_seconds = min(_CONNECT_SECONDS, progress.seconds - _CONNECT_MARGIN)
    extensions = {"timeout": {"connect": connect_seconds}, "trace": progress.trace}
    return httpx.Request("GET", parsed, headers=headers, extensions=extensions)


def _target(url: str, response: httpx.Response) -> str:
    """Return where a redirect leads to; nothing for another answer."""
    import httpx

    if response.status_code not in _REDIRECT_CODES or "location" not in response.headers:
        return ""
    return str(httpx.URL(url).join(response.headers["location"]))


def _check(response: httpx.Response) -> None:
    if not response.is_success:
        raise ConfigServerUnavailable(f"the status of the answer is {response.status_code}, not 200")
    encoding = response.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise MalformedConfigAnswer(f"the answer is compressed ({_short(encoding)}), which was not asked for")


def _announced(response: httpx.Response) -> int:
    text = response.headers.get("content-length", "0")
    return int(text[:20]) if text.isdecimal() else 0


# ---- reasons ------------------------------------------------------------------


def _failure(exc: Exception, url: str, progress: _Progress, *, begun: bool) -> ConfigServerUnavailable:
    """Say what an error means; ``begun``: the answer had begun."""
    import httpx

    match exc:
        case httpx.InvalidURL() | httpx.UnsupportedProtocol() | UnicodeError():
            return ConfigServerUnavailable(f"cannot ask {shown_url(url)}: {_short(exc)}")
        case httpx.ConnectTimeout():
            return progress.timed_out()
        case httpx.ConnectError():
            return Unreachable(_why_unconnected(exc, httpx.URL(url).host))
        case httpx.RemoteProtocolError() if not begun and "disconnected" not in str(exc):
            return ConfigServerUnavailable(f"it does not speak HTTP: {_short(exc)}")
        case httpx.TransportError() | httpx.StreamError() if begun:
            return ConfigServerUnavailable("the connection ended in the middle of the answer")
        case _:
            return Unreachable("the connection ended before the answer")


def _why_unconnected(exc: BaseException, host: str) -> str:
    errors = [cause for cause in _causes(exc) if isinstance(cause, OSError)]
    for cause in errors:
        if isinstance(cause, socket.gaierror):
            return f"the host name {host!r} cannot be resolved: {cause.strerror}"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"the TLS handshake failed: {cause.reason or _short(cause)}"
    codes = {cause.errno for cause in errors}
    if errno.ECONNREFUSED in codes:
        return "the connection is refused"
    if codes & {errno.ENETUNREACH, errno.EHOSTUNREACH}:
        return "there is no route to the host"
    told = next((cause.strerror for cause in errors if cause.strerror), _short(exc))
    return f"the connection cannot be made: {told}"


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    """Return an error, what caused it, and so on; those of a group too."""
    seen: set[int] = set()
    waiting = [exc]
    while waiting:
        cause = waiting.pop()
        if cause is None or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        waiting += [cause.__context__, cause.__cause__]
        if isinstance(cause, BaseExceptionGroup):
            waiting += cause.exceptions


def _short(what: object) -> str:
    text = without_queries(str(what))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
