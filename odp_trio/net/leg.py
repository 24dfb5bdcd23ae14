"""One connection of a session as the lane sees it: what is owed to it, and what it is watched for."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import final

from odp_trio.net.reactor import READ, WRITE, Callback, OnError, Reactor
from odp_trio.net.stream import CodedStream, Stream


def _nobody(_: object) -> None:
    """Who is called back about a leg that was dropped."""


@final
class Leg:
    """A stream with at most a read buffer's worth of bytes that it would not take yet.

    ``owed`` is those bytes; while it is not empty the socket is watched for room.
    ``reading`` says whether it is watched for input.  A socket that is watched
    for neither is unregistered: a reset would be reported over and over.
    ``receive`` fills a buffer from the stream; what a coded stream still holds then is called back about.
    ``OSError`` of the stream propagates from every method that writes.
    """

    __slots__ = (
        "_callback",
        "_coded",
        "_on_error",
        "_reactor",
        "_watched",
        "fd",
        "owed",
        "reading",
        "receive",
        "stream",
    )

    def __init__(self, reactor: Reactor, stream: Stream, callback: Callback, on_error: OnError) -> None:
        self.fd = stream.fileno()
        self.use(stream)
        self.owed: bytes = b""
        self.reading = False
        self._reactor = reactor
        self._callback = callback
        self._on_error = on_error
        self._watched = 0

    def use(self, stream: Stream | CodedStream) -> None:
        """Read and write another stream around the same descriptor from now on."""
        self.stream = stream
        self._coded: CodedStream | None = None
        self.receive: Callable[[bytearray | memoryview], int] = stream.recv_into
        if not isinstance(stream, socket.socket):
            self._coded = stream  # type: ignore[assignment]  # what is no socket has been coded
            self.receive = self._receive_coded

    def _receive_coded(self, buffer: bytearray | memoryview) -> int:
        assert self._coded is not None
        count = self._coded.recv_into(buffer)
        if self._coded.pending:
            self._reactor.call_again(self.fd)
        return count

    def open(self) -> None:
        """Watch for input."""
        self.reading = True
        self._watch()
        self._ask_again()

    def adopt(self) -> None:
        """Take over a socket that somebody has registered for input."""
        self._watched = READ
        self._reactor.redirect(self.fd, self._callback, self._on_error)

    def close(self) -> None:
        """Watch for nothing; to be called before the socket is closed."""
        self.reading = False
        self.owed = b""
        self._watch()

    def drop(self) -> None:
        """Watch for nothing any more, and keep nobody who was called back."""
        self.close()
        self._callback, self._on_error = _nobody, _nobody

    def redirect(self, callback: Callback, on_error: OnError) -> None:
        """Let another callback be called from now on."""
        self._callback, self._on_error = callback, on_error
        if self._watched:
            self._reactor.redirect(self.fd, callback, on_error)

    def read_on(self, wanted: bool) -> None:
        """Begin or cease to watch for input."""
        if wanted != self.reading:
            self.reading = wanted
            self._watch()
            self._ask_again()

    def _ask_again(self) -> None:
        """What has been decoded already makes no descriptor readable."""
        if self._coded is not None and self.reading and self._coded.pending:
            self._reactor.call_again(self.fd)

    def write(self, data: bytes | bytearray | memoryview) -> bool:
        """Send what the socket takes, keep the rest; answer whether nothing is owed."""
        if self.owed:
            self.owed += bytes(data)
            return False
        try:
            sent = self.stream.send(data)
        except BlockingIOError:
            sent = 0
        if sent == len(data):
            return True
        self.owe(memoryview(data)[sent:])
        return False

    def owe(self, rest: memoryview) -> None:
        """Keep what the socket did not take and watch for room."""
        self.owed = bytes(rest)
        self._watch()

    def flush(self) -> bool:
        """There is room: send what is owed; answer whether nothing is owed any more."""
        if not self.owed:
            return True
        try:
            self.owed = self.owed[self.stream.send(self.owed) :]
        except BlockingIOError:
            return False
        if self.owed:
            return False
        self._watch()
        return True

    def _watch(self) -> None:
        wanted = (READ if self.reading else 0) | (WRITE if self.owed else 0)
        if wanted == self._watched:
            return
        if not wanted:
            self._reactor.unregister(self.fd)
        elif self._watched:
            self._reactor.modify(self.fd, wanted)
        else:
            self._reactor.register(self.fd, self._callback, self._on_error, wanted)
        self._watched = wanted
