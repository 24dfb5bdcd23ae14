"""Whole packets on a stream, for what may wait: login, change user, internal commands."""

from __future__ import annotations

import socket
from typing import final

import trio

from odp_trio.errors import ProtocolError
from odp_trio.net.stream import Stream
from odp_trio.wire.packets import PacketReader, packet

_READ_BYTES = 16384


class PeerGone(ProtocolError):
    """The peer closed the connection; not raised while whole packets are still buffered."""


@final
class PacketChannel:
    """Reads and writes packets of one peer.

    ``receive()`` raises PeerGone at the end of the stream, the protocol error
    class given at construction for bad framing; ``send()`` raises PeerGone.
    Only one task may use it at a time.
    """

    __slots__ = ("_error", "_reader", "heard", "stream")

    def __init__(self, stream: Stream, error: type[ProtocolError], limit_bytes: int = 1 << 20) -> None:
        self.stream = stream
        """May be replaced between two packets: where TLS or compression begins."""
        self.heard = False
        """Whether the peer has sent anything."""
        self._error = error
        self._reader = PacketReader(error, limit_bytes)

    def unread(self, data: bytes) -> None:
        """Put bytes that were read elsewhere before what comes next."""
        self._reader.feed(data)

    def leftover(self) -> bytes:
        """Take away what was received and not yet given out."""
        data = bytes(self._reader.buffer)
        self._reader.buffer.clear()
        return data

    async def receive(self) -> tuple[int, bytes]:
        """Wait for the next packet: its sequence number and payload."""
        while (found := self._reader.next_packet()) is None:
            try:
                data = self.stream.recv(_READ_BYTES)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self.stream)
                continue
            except OSError as exc:
                raise PeerGone(f"connection lost: {exc.strerror}") from exc
            if not data:
                raise PeerGone("connection closed by the peer")
            self.heard = True
            self._reader.feed(data)
        return found

    async def more(self) -> bytes:
        """Wait for bytes, and return all that have come and were not given out; they stay."""
        try:
            await trio.lowlevel.wait_readable(self.stream)
            data = self.stream.recv(_READ_BYTES)
        except BlockingIOError:
            data = b""
        except OSError as exc:
            raise PeerGone(f"connection lost: {exc.strerror}") from exc
        else:
            if not data:
                raise PeerGone("connection closed by the peer")
        self._reader.feed(data)
        return bytes(self._reader.buffer)

    def skip(self, count: int) -> None:
        """Drop bytes that have come and were not given out."""
        del self._reader.buffer[:count]

    async def send(self, data: bytes) -> None:
        """Send already framed bytes, waiting for a slow peer."""
        view = memoryview(data)
        while view:
            try:
                view = view[self.stream.send(view) :]
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self.stream)
            except OSError as exc:
                raise PeerGone(f"connection lost: {exc.strerror}") from exc

    async def send_packet(self, seq: int, payload: bytes) -> None:
        """Frame and send one payload."""
        await self.send(packet(seq, payload))

    async def finish(self, timeout: float = 1.0) -> None:
        """Say that no more will be sent and read what the peer still sends, for at most ``timeout`` seconds.

        Closing with unread input would reset the connection and may take the last packet with it.
        """
        try:
            self.stream.shutdown(socket.SHUT_WR)
            with trio.move_on_after(timeout):
                while await self._discard():
                    pass
        except OSError:
            return

    async def _discard(self) -> bool:
        await trio.lowlevel.wait_readable(self.stream)
        return bool(self.stream.recv(_READ_BYTES))
