"""Rslists as they are kept in memory and in the local file, and the ports that they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Protocol, Self

import msgspec

from odp_trio.topology.rslist import ConfigDocument, Rslist
from odp_trio.topology.rslist_file import CachedRslist


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


class RslistStore(Protocol):
    """The port: a file of rslists; it never raises.  The fields are those of RslistFile."""

    path: Path
    problem: str
    refused: str
    written_at: float | None
    writes: int
    failures: int
    pending: bool

    @property
    def writer(self) -> bool:
        """Whether this process is the one that writes."""
        ...

    async def load(self) -> Sequence[CachedRslist]:
        """Return what it has."""
        ...

    async def save(self, entries: Sequence[CachedRslist]) -> None:
        """Replace what it has."""
        ...

    def close(self) -> None:
        """Let another process write."""
        ...


class Source(Enum):
    """Where an rslist is from."""

    CONFIG_SERVER = "config server"
    LOCAL_FILE = "local file"


class Entry(msgspec.Struct):
    """The rslist of a cluster name that was visited.  ``had_at`` and ``used_at`` are seconds since 1970."""

    rslist: Rslist
    source: Source
    had_at: float
    saved_at: float = 0.0
    told: Rslist | None = None
    """As the config server said it last; ``rslist`` is brought up to date by its own servers."""
    said_at: float = float("-inf")
    """When the config server said it last, Trio's time."""
    used_at: float = 0.0
    idcs: dict[int, Mapping[str, str]] = msgspec.field(default_factory=dict)
    """Region by IDC, by cluster id."""

    @classmethod
    def restored(cls, cached: CachedRslist) -> Self:
        """Return an entry as the local file has it."""
        return cls(cached.rslist, Source.LOCAL_FILE, cached.fetched_at, used_at=cached.used_at, idcs=dict(cached.idcs))

    def cached(self) -> CachedRslist:
        """Return it as the local file is to have it."""
        return CachedRslist(self.rslist, self.had_at, self.used_at, dict(self.idcs))
