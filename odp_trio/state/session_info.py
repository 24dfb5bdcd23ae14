"""Parts of a session's state that servers hand each other through us, unread: SESS_INFO of OB 2.0.

Application info, system variables, what a transaction needs on a second
server: each is bytes with a type number, made by one server and understood by the others
of its cluster.  The numbers mean different things in different releases, so
nothing is read into them but one.  What a server says replaces what was known of
that type and gets a new version; a request to another server carries every
type of which that one has an older version.  One client session belongs to one
cluster: nothing of it ever reaches another.
"""

from __future__ import annotations

from typing import Final, final

from odp_trio.errors import ServerProtocolError
from odp_trio.wire.extra_info import entries, write_entries

LIMIT_BYTES: Final = 8 << 20
"""Of all types of one client session together."""


@final
class SharedInfo:
    """What the servers of one client session have said.  ``version`` grows with every change."""

    __slots__ = ("_known", "_size", "version")

    def __init__(self) -> None:
        self.version = 0
        self._known: dict[int, tuple[int, bytes]] = {}
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes of all that is known."""
        return self._size

    def forget(self) -> None:
        """The session was reset: what it had before must not come back."""
        self._known.clear()
        self._size = 0
        self.version += 1

    def _learn(self, kind: int, value: bytes) -> int:
        _, before = self._known.get(kind, (0, b""))
        self._size += len(value) - len(before)
        if self._size > LIMIT_BYTES:
            raise ServerProtocolError(f"session info of more than {LIMIT_BYTES} bytes")
        self.version += 1
        self._known[kind] = (self.version, value)
        return self.version


@final
class ServerInfo:
    """How much of it one server session has.

    ``version`` is that of the shared info to which everything has been looked
    through: while they are the same there is nothing to send.
    """

    __slots__ = ("_had", "_sent", "_shared", "version")

    def __init__(self, shared: SharedInfo) -> None:
        self.version = 0
        self._shared = shared
        self._had: dict[int, int] = {}
        self._sent: dict[int, int] = {}  # with the running request: before that, this was had

    def outgoing(self) -> bytes:
        """Return the value of SESS_INFO for a request that begins now; empty when the server has everything.

        It counts as had unless ``refused`` is called before the next one.
        """
        shared, had = self._shared, self._had
        if self._sent:
            self._sent.clear()
        if self.version == shared.version:
            return b""
        stale = [(kind, version, value) for kind, (version, value) in shared._known.items() if had.get(kind) != version]
        for kind, version, _ in stale:
            self._sent[kind] = had.get(kind, 0)
            had[kind] = version
        self.version = shared.version
        return write_entries((kind, value) for kind, _, value in stale)

    def arrived(self, info: bytes) -> None:
        """Take over the value of a SESS_INFO that this server sent."""
        current = self.version == self._shared.version
        for kind, value in entries(info):
            self._had[kind] = self._shared._learn(kind, value)
            self._sent.pop(kind, None)
        if current:
            self.version = self._shared.version

    def refused(self) -> None:
        """The request was answered with an error: of what went with it, only what the server has sent itself counts."""
        if self._sent:
            self._had |= self._sent
            self._sent.clear()
            self.version = -1
