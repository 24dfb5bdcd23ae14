"""What a process and the one that started it tell each other, over a pair of sockets.

The parent is a watch, or the older version in a hot upgrade.  One message is
one datagram: JSON with the kind under ``type``.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Sequence
from typing import Final, final

import msgspec
import trio

_LONGEST: Final = 65536
_MOST_DESCRIPTORS: Final = 8


class Serve(msgspec.Struct, frozen=True, tag="serve"):
    """Parent: open the ports and serve.  A child does nothing before it."""

    version: int = 0
    """Counts the processes that served these sockets; its last bit is in every connection id."""
    when_ready: bool = False
    """Take no client before logins can succeed: somebody else serves meanwhile."""
    outlive: bool = False
    """Go on when the parent is gone; otherwise its end is the order to drain."""
    worker: int = 0
    workers: int = 1
    """Which of how many this one is."""
    proxy_id: int = 0
    """What all of them have in their connection ids, where the settings say nothing."""
    together: bool = False
    """When it could take clients, say ``Prepared`` and wait for ``Listen``: all do it, or none."""
    descriptors: tuple[str, ...] = ()
    """What comes with the message: ``mysql``, ``mysql_ipv6``, ``channel``, ``tally``."""
    rows: int = 0
    row: int = 0
    """Of the tally: how many it has, and which one is this process'."""


class Listen(msgspec.Struct, frozen=True, tag="listen"):
    """Parent: all are prepared; take clients."""


class Prepared(msgspec.Struct, frozen=True, tag="prepared"):
    """Child: it could take clients, and waits for ``Listen``."""


class HandOver(msgspec.Struct, frozen=True, tag="hand_over"):
    """Parent: another process serves these sockets now; leave them to it and drain."""


class Warm(msgspec.Struct, frozen=True, tag="warm"):
    """Child: everything is imported; it waits for ``Serve``."""


class Serving(msgspec.Struct, frozen=True, tag="serving"):
    """Child: clients are served."""


class Beat(msgspec.Struct, frozen=True, tag="beat"):
    """Child: its event loop turns."""

    accepting: bool
    """False at the connection limit, while draining, and while its listener is down: then the port need not answer."""
    not_ready: tuple[str, ...] = ()
    drain: float = 0.0
    """Seconds that a drain may take, as the settings are by now; 0: not said."""


class Upgrade(msgspec.Struct, frozen=True, tag="upgrade"):
    """Child: it was asked for a hot upgrade, which is the parent's to do."""


Message = Serve | Listen | HandOver | Warm | Prepared | Serving | Beat | Upgrade


def read_message(data: bytes) -> Message:
    """Return what a datagram says; raise msgspec.DecodeError for what is no message."""
    try:
        message: Message = msgspec.json.decode(data, type=Message)
    except (UnicodeDecodeError, RecursionError) as exc:
        raise msgspec.DecodeError(f"no message: {exc}") from exc
    return message


@final
class Link:
    """One end.  Only one task may receive at a time."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self.received: tuple[int, ...] = ()
        """Descriptors that came with the last message, which has an owner for each."""

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Send without waiting; what a peer that is gone, or does not read, would have been told is dropped."""
        with contextlib.suppress(OSError):
            socket.send_fds(self._sock, [msgspec.json.encode(message)], descriptors)

    def receive_nowait(self) -> Message | None:
        """Return the next message; None at the end; raise BlockingIOError when there is none yet."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._sock, _LONGEST, _MOST_DESCRIPTORS)
        except BlockingIOError:
            raise
        except OSError:
            return None
        if not data:
            return None
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        self.received = tuple(descriptors)
        return read_message(data)

    async def receive(self) -> Message | None:
        """Wait for the next message; None when the peer is gone.

        Raises msgspec.DecodeError for what is no message: peers are of the same
        making, though perhaps not of the same version.
        """
        while True:
            try:
                return self.receive_nowait()
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._sock)

    def close(self) -> None:
        """Give the socket back; the peer sees the end."""
        self._sock.close()


def link_pair() -> tuple[Link, socket.socket]:
    """Return the parent's end, and the socket that becomes the child's."""
    mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Link(mine), its
