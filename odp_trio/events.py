"""What happens in a proxy that somebody outside may want to know: a closed set of records.

Each has ``at``, the time of Trio's clock (``trio.current_time()``).  No secrets: what names a person or a server
is what the log says too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import msgspec

from odp_trio.model import Address


class Happening(msgspec.Struct, frozen=True, tag=True):
    """What every event has."""

    at: float
    """Trio's clock."""


@final
class ServerListChanged(Happening, frozen=True):
    """A cluster's server list is another one; the first one adds all."""

    cluster: str
    added: tuple[Address, ...] = ()
    removed: tuple[Address, ...] = ()
    changed: tuple[Address, ...] = ()
    """Servers whose state is another one."""


@final
class ServerOff(Happening, frozen=True):
    """An OBServer gets nothing new: it was put on one of the lists of servers that failed or are stopped."""

    cluster: str
    server: Address
    on: str
    """The list: ``alive``, ``dead``, ``detect`` or ``forced``."""
    reason: str


@final
class ServerOn(Happening, frozen=True):
    """An OBServer is off one of the lists; it may still be on another."""

    cluster: str
    server: Address
    off: str
    """The list."""
    reason: str


@final
class SessionBegan(Happening, frozen=True):
    """A client has logged in."""

    id: int
    """Its connection id."""
    client: str
    user: str
    tenant: str
    cluster: str
    server: str
    """The OBServer that let it in; empty for a login to the proxy itself."""


@final
class SessionEnded(Happening, frozen=True):
    """A client's connection has ended, whether it had logged in or not."""

    id: int
    client: str
    user: str
    """Empty: it never said who it is."""
    tenant: str
    cluster: str
    reason: str
    """A word, one of those of ``SHOW PROXYENDS``, such as ``client_quit`` or ``killed``."""
    detail: str
    seconds: float
    statements: int


@final
class TaskRestarted(Happening, frozen=True):
    """A task of the proxy crashed, and is started again."""

    path: str
    """Such as ``catalog/cluster:demo``."""
    error: str
    restarts: int
    """How often so far."""
    pause: float
    """Seconds until it runs again."""


@final
class ConfigurationChanged(Happening, frozen=True):
    """Settings are in force that were not."""

    options: tuple[str, ...]
    """The names of those that differ; ``clusters`` stands for everything below a cluster."""


@final
class LeaderMoved(Happening, frozen=True):
    """The leader of a partition that statements use is on another server."""

    cluster: str
    tenant: str
    database: str
    table: str
    tablet: int
    """0: the table has only one."""
    before: Address | None
    after: Address | None


@final
class ConfigServerLost(Happening, frozen=True):
    """The config server has begun to fail; what it said last stays in force."""

    reason: str


@final
class ConfigServerBack(Happening, frozen=True):
    """The config server answers again."""

    failures: int
    """How many there were in a row."""


@final
class EventsLost(Happening, frozen=True):
    """Who reads these was too slow: that many events, which stood here, were dropped."""

    count: int


Event = (
    ServerListChanged
    | ServerOff
    | ServerOn
    | SessionBegan
    | SessionEnded
    | TaskRestarted
    | ConfigurationChanged
    | LeaderMoved
    | ConfigServerLost
    | ConfigServerBack
    | EventsLost
)
"""All of them."""

Hear = Callable[[Event], None]
"""Takes an event; it must not raise, nor wait."""


@final
class Announcements:
    """Passes what happens to whoever listens at this moment."""

    __slots__ = ("_hear", "wanted")

    def __init__(self) -> None:
        self.wanted = False
        """Whether anybody listens: else no event need be made."""
        self._hear: tuple[Hear, ...] = ()

    def tell(self, event: Event) -> None:
        """Say what has happened."""
        for hear in self._hear:
            hear(event)

    def listen(self, hear: Hear) -> None:
        """Have a function called with every event from now on."""
        self._hear = (*self._hear, hear)
        self.wanted = True

    def leave(self, hear: Hear) -> None:
        """Call it no more; doing so twice does nothing."""
        self._hear = tuple(known for known in self._hear if known != hear)
        self.wanted = bool(self._hear)
