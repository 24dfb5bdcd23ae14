"""Whole packets on a stream, for what may wait: login, change user, internal commands."""

from __future__ import annotations

import math
import socket
from typing import Final, final

import trio

from odp_trio.errors import ProtocolError
from odp_trio.net.stream import Stream
from odp_trio.net.waiting import wait_readable, wait_writable
from odp_trio.wire.command import RequestTracker
from odp_trio.wire.packets import PacketReader, packet

_READ_BYTES = 32768  # the answer to a login has 26 KB
STEP_BYTES: Final = 4096
"""What a peer must send in the time that it has for a read, if that is not the end of its packet."""


class PeerGone(ProtocolError):
    """The peer closed the connection; not raised while whole packets are still buffered."""


class PeerTooSlow(PeerGone):
    """The peer sent nothing, or took nothing, for as long as it may; the connection is to be given up."""


@final
class PacketChannel:
    """Reads and writes packets of one peer.

    ``receive()`` raises PeerGone at the end of the stream, the protocol error
    class given at construction for bad framing; ``send()`` raises PeerGone.
    Both raise PeerTooSlow: ``send()`` when the peer takes nothing for ``write_limit`` seconds, ``receive()``
    when it sends less than 4 KiB in ``read_limit`` seconds and a packet is not whole then.  Both are for ever,
    unless they are set.
    Only one task may use it at a time.
    """

    __slots__ = (
        "_error",
        "_reader",
        "_received_bytes",
        "_receives_until",
        "heard",
        "read_limit",
        "stream",
        "write_limit",
    )

    def __init__(self, stream: Stream, error: type[ProtocolError], limit_bytes: int = 1 << 20) -> None:
        self.stream = stream
        """May be replaced between two packets: where TLS or compression begins."""
        self.heard = False
        """Whether the peer has sent anything."""
        self.read_limit = self.write_limit = math.inf
        self._received_bytes = 0
        self._receives_until = math.inf
        self._error = error
        self._reader = PacketReader(error, limit_bytes)

    @property
    def limit_bytes(self) -> int:
        """The longest payload that is taken."""
        return self._reader.limit_bytes

    @limit_bytes.setter
    def limit_bytes(self, limit: int) -> None:
        self._reader.limit_bytes = limit

    def unread(self, data: bytes) -> None:
        """Put bytes that were read elsewhere before what comes next."""
        self.heard = True
        self._reader.feed(data)

    def peek(self, count: int) -> bytes:
        """Return the first bytes that have come and were not given out; they stay."""
        return bytes(self._reader.buffer[:count])

    def taken(self) -> tuple[int, bytes] | None:
        """Return the next packet as ``receive`` does, if it has come."""
        return self._reader.next_packet()

    def leftover(self) -> bytes:
        """Take away what was received and not yet given out."""
        data = bytes(self._reader.buffer)
        self._reader.buffer.clear()
        return data

    async def receive(self, *, later: bool = False) -> tuple[int, bytes]:
        """Wait for the next packet: its sequence number and payload.  ``later``: it will hardly have come yet."""
        self._begin_step()
        if later and not self._reader.buffer:
            await self._readable()
        while (found := self._reader.next_packet()) is None:
            self._reader.feed(await self._received())
        return found

    async def discard_command(self) -> None:
        """Wait for the end of the next command, however long it is, and keep nothing of it.

        Raises OutOfOrder for a wrong sequence number, ClientProtocolError for an empty command.
        """
        command = RequestTracker()
        command.begin()
        self._begin_step()
        while True:
            data = self.leftover()
            stop = command.feed(data, 0, len(data))
            if command.complete:
                self.unread(data[stop:])
                return
            self.unread(await self._received())

    def _begin_step(self) -> None:
        self._received_bytes = 0
        if self.read_limit != math.inf:
            self._receives_until = trio.current_time() + self.read_limit

    async def _received(self) -> bytes:
        while True:
            try:
                data = self.stream.recv(_READ_BYTES)
            except BlockingIOError:
                await self._readable()
                continue
            except OSError as exc:
                raise PeerGone(f"connection lost: {exc.strerror}") from exc
            if not data:
                raise PeerGone("connection closed by the peer")
            self.heard = True
            self._received_bytes += len(data)
            if self._received_bytes >= STEP_BYTES:
                self._begin_step()
            return data

    async def _readable(self) -> None:
        if self.read_limit == math.inf:  # whoever calls has a limit of his own
            await wait_readable(self.stream)
            return
        with trio.move_on_at(self._receives_until) as scope:
            await wait_readable(self.stream)
        if scope.cancelled_caught:
            raise PeerTooSlow(f"{self._received_bytes} bytes in {self.read_limit:g} s")

    async def more(self) -> bytes:
        """Wait for bytes, and return all that have come and were not given out; they stay."""
        self._begin_step()
        self._reader.feed(await self._received())
        return bytes(self._reader.buffer)

    async def at_least(self, wanted: int) -> bytes:
        """Wait until so many bytes have come that were not given out, and take away all that have."""
        self._begin_step()
        while len(self._reader.buffer) < wanted:
            self._reader.feed(await self._received())
        return self.leftover()

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
                with trio.move_on_after(self.write_limit) as scope:
                    await wait_writable(self.stream)
                if scope.cancelled_caught:
                    raise PeerTooSlow(f"nothing was taken for {self.write_limit:g} s") from None
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
        await wait_readable(self.stream)
        try:
            return bool(self.stream.recv(_READ_BYTES))
        except BlockingIOError:  # half a record
            return True
