"""Rslists as they are kept in memory and in the local file, and the ports that they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import msgspec

from odp_trio.topology.rslist import ConfigDocument, Rslist


class ConfigServerPort(Protocol):
    """The port: raises ConfigServerError for all that can go wrong, UnknownCluster for a name that is not told."""

    @property
    def shown_url(self) -> str:
        """Where it is, without what may be secret."""
        ...

    async def clusters(self, *, force: bool = False) -> ConfigDocument:
        """Return the main document."""
        ...

    async def rslist(self, cluster: str, cluster_id: int | None = None) -> Rslist:
        """Return the rslist of a cluster that the main document names."""
        ...

    async def idcs(self, cluster: str, cluster_id: int | None = None) -> Mapping[str, str]:
        """Return the region of every IDC."""
        ...

    async def aclose(self) -> None:
        """Give connections back."""
        ...


class Stored(msgspec.Struct, frozen=True):
    """An rslist with the time it was confirmed last, seconds since 1970."""

    rslist: Rslist
    fetched_at: float


class RslistStore(Protocol):
    """The port: a file of rslists; ``problem`` says what is wrong with it, it never raises."""

    problem: str

    async def load(self) -> Sequence[Stored]:
        """Return what it has."""
        ...

    async def save(self, entries: Sequence[Stored]) -> None:
        """Replace what it has."""
        ...


class Source(Enum):
    """Where an rslist is from."""

    CONFIG_SERVER = "config server"
    LOCAL_FILE = "local file"


@dataclass(slots=True)
class Entry:
    """The rslist of a cluster name that was visited.  ``had_at`` is seconds since 1970."""

    rslist: Rslist
    source: Source
    had_at: float
    saved_at: float = 0.0
    said_at: float = float("-inf")
    """When the config server said it last, Trio's time."""
