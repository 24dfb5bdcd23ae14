"""Where a cluster's rslist is from: the settings, or the config server."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, final

import msgspec

from odp_trio.catalog.directory import Directory
from odp_trio.config import Settings
from odp_trio.errors import UnknownCluster
from odp_trio.events import Announcements
from odp_trio.model import Address
from odp_trio.topology.cluster import ClusterResource
from odp_trio.topology.rslist import Rslist, SubCluster


class Origin(Protocol):
    """Where a cluster's rslist is from."""

    @property
    def follows_roles(self) -> bool:
        """Whether it matters if the cluster is a primary or a standby."""
        ...

    async def rslist(self) -> tuple[Address, ...]:
        """Return the rslist, asked for anew; raise CatalogError or UnknownCluster."""
        ...

    async def idcs(self) -> Mapping[str, str]:
        """Return the region of every IDC; raise CatalogError."""
        ...

    def learn(self, servers: Sequence[Address]) -> None:
        """Take note of the whole server list."""
        ...


@final
class Configured:
    """The rslist of the settings: it never changes."""

    follows_roles = False

    def __init__(self, rslist: Sequence[Address]) -> None:
        self._rslist = tuple(rslist)

    async def rslist(self) -> tuple[Address, ...]:
        """Return the rslist."""
        return self._rslist

    async def idcs(self) -> Mapping[str, str]:
        """Return nothing: zones say where they are."""
        return {}

    def learn(self, servers: Sequence[Address]) -> None:
        """Do nothing."""


class Surroundings(msgspec.Struct):
    """What every keeper is lent.

    ``moved`` is told the tenants whose servers must be asked for anew; None: all.
    ``refreshed`` is told every fresh server list, changed or not.
    """

    settings: Callable[[], Settings]
    rng: random.Random
    changed: Callable[[], None] = lambda: None
    moved: Callable[[str, Sequence[str] | None], None] = lambda cluster, tenants: None
    refreshed: Callable[[ClusterResource], None] = lambda cluster: None
    events: Announcements = msgspec.field(default_factory=Announcements)


@final
class FromConfigServer:
    """The rslist that the config server has of one cluster id of a name; id 0 is not told."""

    def __init__(self, directory: Directory, name: str, cluster_id: int, around: Surroundings) -> None:
        self.name = name
        self.cluster_id = cluster_id
        self._directory = directory
        self._around = around

    @property
    def follows_roles(self) -> bool:
        """Whether primaries and standbys are told apart."""
        return self._around.settings().enable_standby

    @property
    def named(self) -> bool:
        """Whether the config server still has it."""
        if not self._directory.knows(self.name):
            return False
        entry = self._directory.entries.get(self.name)
        return entry is None or bool(self._of(entry.rslist))

    async def rslist(self) -> tuple[Address, ...]:
        """Return the rslist, asked for anew."""
        subs = self._of(await self._directory.fetch(self.name))
        if not subs:
            raise UnknownCluster(f"cluster {self.name!r} has no cluster of id {self.cluster_id} any more")
        return addresses_of(subs[0])

    async def idcs(self) -> Mapping[str, str]:
        """Return the region of every IDC."""
        idcs = await self._directory.server.idcs(self.name, self.cluster_id)
        self._directory.learn_idcs(self.name, self.cluster_id, idcs)
        return idcs

    def learn(self, servers: Sequence[Address]) -> None:
        """The whole server list is the rslist from now on."""
        self._directory.learn(self.name, self.cluster_id, servers)

    def _of(self, rslist: Rslist) -> tuple[SubCluster, ...]:
        return rslist.choose(self.cluster_id, 0) if self.cluster_id else rslist.clusters[:1]


def addresses_of(sub: SubCluster) -> tuple[Address, ...]:
    """Return the servers of a cluster that may be asked, those that are read-only last."""
    return tuple(dict.fromkeys((*sub.servers, *sub.readonly)))
