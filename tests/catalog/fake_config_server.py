"""The config server's port without HTTP: answers what a test tells it to, and counts the questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import trio

from odp_trio.errors import ConfigServerUnavailable, UnknownCluster
from odp_trio.model import Address, parse_rslist
from odp_trio.topology.rslist import ClusterRole, ConfigDocument, Rslist, SubCluster
from odp_trio.topology.rslist_file import CachedRslist


def one(rslist: str, cluster_id: int = 0, role: ClusterRole = ClusterRole.PRIMARY) -> SubCluster:
    return SubCluster(cluster_id, role, parse_rslist(rslist))


@dataclass
class FakeConfigServer:
    """``down`` and ``down_rslist`` are reasons; ``delay`` is how long an answer takes."""

    clusters_told: dict[str, tuple[SubCluster, ...]] = field(default_factory=dict)
    real_names: dict[str, str] = field(default_factory=dict)
    idcs_told: dict[str, str] = field(default_factory=dict)
    down: str = ""
    down_rslist: str = ""
    delay: float = 0.0
    asked: Counter[str] = field(default_factory=Counter)
    closed: bool = False
    shown_url: str = "http://ocp/services"

    async def clusters(self, *, force: bool = False) -> ConfigDocument:
        await self._answer("document")
        return ConfigDocument(
            str(sorted(self.clusters_told)), {name: f"http://ocp/{name}" for name in self.clusters_told}
        )

    async def rslist(self, cluster: str, cluster_id: int | None = None) -> Rslist:
        await self._answer(f"rslist {cluster}")
        if self.down_rslist:
            raise ConfigServerUnavailable(self.down_rslist)
        if cluster not in self.clusters_told:
            raise UnknownCluster(cluster)
        return Rslist(cluster, self.real_names.get(cluster, cluster), self.clusters_told[cluster])

    async def idcs(self, cluster: str, cluster_id: int | None = None) -> Mapping[str, str]:
        await self._answer(f"idcs {cluster}")
        return dict(self.idcs_told)

    async def aclose(self) -> None:
        self.closed = True

    async def _answer(self, what: str) -> None:
        self.asked[what] += 1
        await trio.lowlevel.checkpoint()
        if self.delay:
            await trio.sleep(self.delay)
        if self.down:
            raise ConfigServerUnavailable(self.down)


@dataclass
class FakeStore:
    """A file of rslists in memory."""

    entries: Sequence[CachedRslist] = ()
    problem: str = ""
    full: bool = False
    pending: bool = False
    saves: int = 0

    async def load(self) -> Sequence[CachedRslist]:
        return self.entries

    async def save(self, entries: Sequence[CachedRslist]) -> None:
        self.saves += 1
        self.pending = self.full
        if not self.full:
            self.entries = tuple(entries)

    def close(self) -> None:
        pass

    def servers(self, cluster: str) -> list[str]:
        """Return the addresses that it has of a cluster."""
        return [
            str(address)
            for stored in self.entries
            if stored.rslist.cluster == cluster
            for sub in stored.rslist.clusters
            for address in sub.servers
        ]


def stored(cluster: str, rslist: str, fetched_at: float = 0.0) -> CachedRslist:
    return CachedRslist(Rslist(cluster, cluster, (one(rslist),)), fetched_at)


def addresses(text: str) -> tuple[Address, ...]:
    return parse_rslist(text)
