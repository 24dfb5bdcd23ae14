"""What a config server says about clusters: which there are, their rslists, their IDCs."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

import msgspec

from odp_trio.model import Address

METADB: Final = "MetaDataBase"
"""The cluster that keeps ODP's own database; a main document always tells its URL."""


class ClusterRole(Enum):
    """What one of several clusters of a name is."""

    PRIMARY = "PRIMARY"
    STANDBY = "STANDBY"


class SubCluster(msgspec.Struct, frozen=True):
    """One cluster id of a cluster name.  ``cluster_id`` 0 when it is not told.  Addresses are those of SQL ports."""

    cluster_id: int
    role: ClusterRole
    servers: tuple[Address, ...]
    """Leaders first."""
    readonly: tuple[Address, ...] = ()


class Rslist(msgspec.Struct, frozen=True):
    """The rslist of a cluster name: one cluster or several, of which at most one is the primary."""

    cluster: str
    """As clients name it."""
    real_name: str
    """As its servers name it; another one behind an alias."""
    clusters: tuple[SubCluster, ...]

    @property
    def primary(self) -> SubCluster | None:
        """The one cluster that takes writes; None when none or several say that they are it."""
        primaries = [cluster for cluster in self.clusters if cluster.role is ClusterRole.PRIMARY]
        return primaries[0] if len(primaries) == 1 else None

    def choose(self, cluster_id: int | None, turn: int, *, roles: bool = True) -> tuple[SubCluster, ...]:
        """Return the clusters that a login may go to, best first; none when there is no cluster of that id.

        Without an id it is the primary; if none or several say that they are it, all of them, begun at
        ``turn``.  Without ``roles`` it is the first one.
        """
        if cluster_id is not None:
            untold = [cluster for cluster in self.clusters if not cluster.cluster_id]
            named = [cluster for cluster in self.clusters if cluster.cluster_id == cluster_id]
            return tuple(named or (untold if len(self.clusters) == 1 else ()))
        if not roles:
            return self.clusters[:1]
        if self.primary is not None:
            return (self.primary,)
        at = turn % len(self.clusters) if self.clusters else 0
        return self.clusters[at:] + self.clusters[:at]


class ConfigDocument(msgspec.Struct, frozen=True):
    """The config server's main document: URLs of rslists by cluster, in its order; the first is the default cluster.

    Its ``repr`` leaves the URLs out: their queries may be secret.
    """

    version: str
    rslist_urls: Mapping[str, str]
    metadb_url: str = ""

    def url(self, cluster: str) -> str | None:
        """Return the URL of a cluster's rslist, of METADB's too; None for a cluster that is not named."""
        found = self.rslist_urls.get(cluster)
        return (self.metadb_url or None) if found is None and cluster == METADB else found

    def __repr__(self) -> str:
        return f"ConfigDocument(version={self.version!r}, clusters={list(self.rslist_urls)!r})"
