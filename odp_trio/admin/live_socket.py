"""/api/live: a WebSocket that tells what the console shows, twice a second or when it can be made.

A browser cannot give a token with a WebSocket's handshake: who needs one sends ``{"token": …}`` as the first
message.  Records are sent one after the other: who does not read gets fewer of them, and nothing is kept for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
import trio
from starlette.websockets import WebSocket, WebSocketDisconnect

from odp_trio.admin.access import Visitor, is_token
from odp_trio.admin.across.operations import AllFrames
from odp_trio.admin.live import Feed

MOST_WATCHERS: Final = 32
LONGEST_MESSAGE: Final = 4096
_PATIENCE: Final = 10.0
"""Seconds for a token to come, and for a record to be taken."""
FULL: Final = 1013
UNAUTHORIZED: Final = 4401


class Greeting(msgspec.Struct, frozen=True):
    """The first message of who needs a token."""

    token: str


async def serve_watcher(websocket: WebSocket, feed: Feed | AllFrames, who: Visitor, token: Callable[[], str]) -> None:
    """Send records until the other side leaves, or does not read."""
    await websocket.accept()
    if feed.watchers >= MOST_WATCHERS:
        await websocket.close(FULL, f"{MOST_WATCHERS} are looking already")
        return
    feed.watchers += 1
    try:
        if who is Visitor.STRANGER and not await _has_token(websocket, token()):
            await websocket.close(UNAUTHORIZED, "the first message must be a token that is right")
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_until_left, websocket, nursery.cancel_scope)
            with trio.CancelScope() as patience:
                while True:
                    patience.deadline = float("inf")
                    data = (await feed.encoded()).decode()
                    patience.deadline = trio.current_time() + _PATIENCE
                    await websocket.send_text(data)
                    patience.deadline = float("inf")
                    await feed.wait_next()
            nursery.cancel_scope.cancel()
    except* WebSocketDisconnect:
        pass
    finally:
        feed.watchers -= 1


async def _has_token(websocket: WebSocket, token: str) -> bool:
    with trio.move_on_after(_PATIENCE):
        try:
            return is_token(read_token(await websocket.receive_text()), token)
        except KeyError:  # bytes instead of text
            return False
    return False


def read_token(message: str) -> str:
    """Return the token in a first message; empty for what is none."""
    try:
        return msgspec.json.decode(message, type=Greeting).token
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return ""


async def _until_left(websocket: WebSocket, scope: trio.CancelScope) -> None:
    """Read what comes, which says nothing, until the other side leaves."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass
    scope.cancel()
