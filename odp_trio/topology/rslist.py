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
