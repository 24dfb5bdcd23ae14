"""Commands of our own on an idle server session: sent, and the answer swallowed."""

from __future__ import annotations

import msgspec
import trio

from odp_trio.errors import UpstreamError
from odp_trio.net.reactor import BUFFER_BYTES
from odp_trio.net.waiting import wait_readable, wait_writable
from odp_trio.session.server_set import Upstream
from odp_trio.wire.command import Com
from odp_trio.wire.packets import packet
from odp_trio.wire.response import ResponseTracker
from odp_trio.wire.resultset import parse_row
from odp_trio.wire.state import SessionState

_ERR = 0xFF


class Reply(msgspec.Struct, frozen=True):
    """What a server said to a command of ours."""

    errno: int = 0
    refusal: bytes = b""
    """Payload of its ERR packet."""
    state: SessionState | None = None
    prepared_id: int = 0
    parameters: int = 0


async def ask(upstream: Upstream, payload: bytes, timeout: float) -> Reply:
    """Send a command to an idle server session and swallow the answer; return what it said.

    Raises UpstreamError when the connection fails or takes too long.
    """
    tracker = ResponseTracker()
    tracker.begin(payload[0])
    try:
        with trio.fail_after(timeout):
            await _send(upstream, payload)
            refusal = await _swallow(upstream, tracker)
    except trio.TooSlowError as exc:
        raise UpstreamError(f"no answer within {timeout:g} s") from exc
    except OSError as exc:
        raise UpstreamError(exc.strerror or str(exc)) from exc
    if tracker.errno and upstream.beside is not None:
        upstream.beside.refused()
    return Reply(tracker.errno, refusal, tracker.state, tracker.prepared_id, tracker.parameters)


async def ask_row(upstream: Upstream, sql: bytes, timeout: float) -> tuple[list[tuple[int, int]], list[bytes | None]]:
    """Run a query of one row; return type and flags of each column, and the values.

    Raises UpstreamError when the connection fails, takes too long, or the server refuses.
    """
    tracker, answer = ResponseTracker(), bytearray()
    tracker.begin(Com.QUERY)
    try:
        with trio.fail_after(timeout):
            await _send(upstream, bytes((Com.QUERY,)) + sql)
            await _swallow(upstream, tracker, answer)
    except trio.TooSlowError as exc:
        raise UpstreamError(f"no answer within {timeout:g} s") from exc
    except OSError as exc:
        raise UpstreamError(exc.strerror or str(exc)) from exc
    if tracker.errno:
        raise UpstreamError(f"error {tracker.errno} to {sql[:40].decode('utf-8', 'replace')!r}")
    return parse_row(bytes(answer))


async def tell(upstream: Upstream, payload: bytes, timeout: float) -> None:
    """Send a command that has no answer; raises UpstreamError when the connection fails or takes too long."""
    try:
        with trio.fail_after(timeout):
            await _send(upstream, payload)
    except trio.TooSlowError as exc:
        raise UpstreamError(f"nothing could be sent within {timeout:g} s") from exc
    except OSError as exc:
        raise UpstreamError(exc.strerror or str(exc)) from exc


async def _send(upstream: Upstream, payload: bytes) -> None:
    stream = upstream.stream
    view = memoryview(packet(0, payload))
    while view:
        try:
            view = view[stream.send(view) :]
        except BlockingIOError:
            await wait_writable(stream)


async def _swallow(upstream: Upstream, tracker: ResponseTracker, kept: bytearray | None = None) -> bytes:
    """Read an answer to its end; return the payload of its ERR packet if it is one.  ``kept`` gets all of it."""
    held = bytearray()
    refusal = b""
    while not tracker.ended:
        try:
            data = upstream.stream.recv(BUFFER_BYTES)
        except BlockingIOError:
            await wait_readable(upstream.stream)
            continue
        if not data:
            raise UpstreamError("closed by the server")
        held += data
        if kept is not None:
            kept += data
        at = 0
        while not tracker.ended and at < len(held):
            tracker.feed(held, at, len(held))
            if tracker.held or tracker.pos == at:
                break
            if tracker.errno and not refusal and held[at + 4] == _ERR:
                refusal = bytes(held[at + 4 : at + 4 + int.from_bytes(held[at : at + 3], "little")])
            at = tracker.pos
        del held[: max(tracker.pos, 0)]
    if held:
        raise UpstreamError("more than one answer")
    return refusal
