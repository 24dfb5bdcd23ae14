"""Ways into a proxy from within its own process: no listener, no port."""

from __future__ import annotations

import contextvars
from socket import socket, socketpair
from typing import TYPE_CHECKING, Final, final

import trio

from odp_trio.errors import Draining
from odp_trio.net.listener import Peer
from odp_trio.session.sessions import Sessions

if TYPE_CHECKING:
    from odp_trio.net.memory_stream import MemoryStream

_PEER: Final[Peer] = ("127.0.0.1", 0)
"""What a client of this process is to servers, which know clients by addresses."""
_ORIGIN: Final = "this process"


@final
class Doors:
    """Where clients of this process come in; each is a session like any other."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._context = contextvars.copy_context()
        """That of the proxy: sessions are its, whoever asks for one."""
        self._open = True

    def shut(self) -> None:
        """Let nobody in any more."""
        self._open = False

    async def stream(self) -> MemoryStream:
        """Return the client's end of a new session, in memory; see ``Proxy.open_stream``."""
        from odp_trio.net.memory_stream import open_duplex  # a proxy with a port only does without

        await self._admitted()
        theirs, ours = open_duplex()
        self._serve(theirs)
        return ours

    async def dial(self) -> socket:
        """Return the client's end of a new session, a socket of the kernel's; see ``Proxy.dial``."""
        await self._admitted()
        theirs, ours = socketpair()
        self._serve(theirs)
        return ours

    async def _admitted(self) -> None:
        """Wait as a client does in the listen queue; raise Draining when the proxy takes no clients any more."""
        await trio.lowlevel.checkpoint()
        while self._open:
            if self._sessions.has_slot:
                return
            await self._sessions.wait_slot()
        raise Draining("the proxy is ending and takes no clients any more")

    def _serve(self, sock: socket) -> None:
        self._context.run(self._sessions.serve, sock, _PEER, _ORIGIN)
