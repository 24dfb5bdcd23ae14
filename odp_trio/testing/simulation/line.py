"""The line between a proxy and an OBServer: what the OBServer sends comes in pieces, or is cut."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Final, final

import trio

from odp_trio.net.memory_stream import MemoryStream

_MOMENT: Final = 0.001
_IN_PIECES: Final = 0.05


@final
class Line(trio.abc.Stream):
    """An OBServer's end of a connection.  ``cuts`` are those that are still to come, by the OBServer's number."""

    def __init__(self, stream: MemoryStream, number: int, cuts: Counter[int], rng: Random) -> None:
        self._stream, self._number, self._cuts, self._rng = stream, number, cuts, rng

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all, in pieces now and then; or some of it, or nothing, and end the connection."""
        rng = self._rng
        if self._cuts[self._number] > 0:
            self._cuts[self._number] -= 1
            kept = rng.randrange(len(data)) if rng.random() < 0.6 else 0
            await self._stream.send_all(data[:kept])
            if kept and rng.random() < 0.5:
                await trio.sleep(_MOMENT)
            self._end()
            raise trio.BrokenResourceError("cut")
        if len(data) > 1 and rng.random() < _IN_PIECES:
            at = rng.randrange(1, len(data))
            await self._stream.send_all(data[:at])
            await trio.sleep(_MOMENT)
            data = data[at:]
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait for room."""
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return what has come; nothing where it was lost on its way, and the connection with it."""
        data = await self._stream.receive_some(max_bytes)
        if data and self._cuts[self._number] > 0 and self._rng.random() < 0.2:
            self._cuts[self._number] -= 1
            self._end()
            return b""
        return data

    def _end(self) -> None:
        if self._rng.random() < 0.7:
            self._stream.reset()
        else:
            self._stream.socket.close()

    def reset(self) -> None:
        """Reset the connection."""
        self._stream.reset()

    async def aclose(self) -> None:
        """Close it."""
        await self._stream.aclose()
