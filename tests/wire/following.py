"""Driving a ResponseTracker as the lane does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from odp_trio.wire.response import ResponseTracker
from odp_trio.wire.state import SessionState

Cut = Callable[[bytes], Iterable[bytes]]


@dataclass
class Seen:
    """What a client got, and what the tracker says at the end."""

    client: bytes
    surplus: bytes
    ended: bool
    status: int
    errno: int
    uploads: int
    state: SessionState | None


def whole(data: bytes) -> list[bytes]:
    return [data]


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def follow(tracker: ResponseTracker, command: int, parts: Sequence[bytes], cut: Cut = whole) -> Seen:
    """Feed an answer, each part cut into chunks; between two parts a local file is sent."""
    tracker.begin(command)
    assert not tracker.ended
    client, held, uploads = bytearray(), bytearray(), 0
    for number, part in enumerate(parts):
        if number and tracker.wants_upload:
            uploads += 1
            tracker.uploaded()
        for chunk in filter(None, cut(part)):
            if tracker.ended:
                held += chunk  # nobody asked for these
                continue
            held = _feed(tracker, held + chunk, client)
            assert tracker.held == bool(held) or tracker.ended
    return Seen(bytes(client), bytes(held), tracker.ended, tracker.status, tracker.errno, uploads, tracker.state)


def _feed(tracker: ResponseTracker, buffer: bytearray, client: bytearray) -> bytearray:
    """Feed one buffer to its end; return what is to be fed again with what comes next."""
    at = 0
    before = bytes(buffer)
    while True:
        stop = tracker.feed(buffer, at, len(buffer))
        assert at <= stop <= tracker.pos <= len(buffer)
        assert tracker.held or tracker.pos > at, "the tracker stands still"
        client += buffer[at:stop] + tracker.tail
        at = tracker.pos
        if tracker.ended or tracker.held or at == len(buffer):
            assert buffer == before
            return buffer[at:]
