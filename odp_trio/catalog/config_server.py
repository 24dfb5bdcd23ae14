"""The config server (OCP): asked for its clusters, their rslists and their IDCs.

Every failure is one of two errors with a reason of its own.  URLs are shown without their queries, which may be secret.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, TypeVar, final

from odp_trio.catalog.http_get import HttpGet, Unreachable
from odp_trio.errors import ConfigServerError, UnknownCluster
from odp_trio.topology.config_answers import read_document, read_idcs, read_rslist, read_version
from odp_trio.topology.config_questions import idc_url, rslist_url, shown_url, version_url
from odp_trio.topology.rslist import ConfigDocument, Rslist

log = logging.getLogger("odp_trio.catalog")

T = TypeVar("T")

TOTAL_SECONDS: Final = 5.0
IDC_SECONDS: Final = 1.0
DOCUMENT_BYTES: Final = 512 << 10
LIST_BYTES: Final = 16 << 10
_SHOWN_SKIPS: Final = 3
_KEPT_SKIPS: Final = 1024


@final
class ConfigServer:
    """Asks one config server.  It keeps the main document, and does not ask again by itself what has failed.

    Several questions may be under way at once.
    """

    def __init__(self, url: str, http: HttpGet | None = None) -> None:
        self._url = url
        self._http = HttpGet() if http is None else http
        self._document: ConfigDocument | None = None
        self._skips: dict[str, tuple[str, ...]] = {}

    @property
    def shown_url(self) -> str:
        """Where it is: without the query, which may be secret."""
        return shown_url(self._url)

    @property
    def document(self) -> ConfigDocument | None:
        """The main document as it was read last; None before the first one."""
        return self._document

    async def clusters(self, *, force: bool = False) -> ConfigDocument:
        """Return the main document: the kept one if its version is still the server's, unless ``force``.

        Raises ConfigServerError; the kept document stays.
        """
        if not force:
            version, kept = await self._version(), self._document
            if kept is not None and version == kept.version:
                return kept
        fresh = await self._ask("main document", self._url, DOCUMENT_BYTES, TOTAL_SECONDS, read_document)
        self._document = fresh
        return fresh

    async def rslist(self, cluster: str, cluster_id: int | None = None) -> Rslist:
        """Return the rslist of a cluster, never an empty one; of one cluster id only if it is given and not 0.

        Raises ConfigServerError, and UnknownCluster when the main document does not name it.
        """
        number = cluster_id or 0
        url = rslist_url(await self._rslist_url(cluster), number)
        what = f"rslist of cluster {_named(cluster, number)}"
        left_out: list[str] = []
        read = partial(read_rslist, cluster=cluster, cluster_id=number, skipped=left_out.append)
        rslist = await self._ask(what, url, LIST_BYTES, TOTAL_SECONDS, read)
        self._note(what, left_out)
        return rslist

    async def idcs(self, cluster: str, cluster_id: int | None = None) -> Mapping[str, str]:
        """Return the region of each of a cluster's IDCs, by name in small letters; raise as ``rslist`` does."""
        number = cluster_id or 0
        url = idc_url(await self._rslist_url(cluster), number)
        what = f"IDCs of cluster {_named(cluster, number)}"
        left_out: list[str] = []
        read = partial(read_idcs, cluster=cluster, cluster_id=number, skipped=left_out.append)
        idcs = await self._ask(what, url, LIST_BYTES, IDC_SECONDS, read)
        self._note(what, left_out)
        return idcs

    async def aclose(self) -> None:
        """Close its connections; questions under way fail."""
        await self._http.aclose()

    # ---- how --------------------------------------------------------------------

    async def _version(self) -> str | None:
        """Return the server's version of the main document; None when there is an answer, but no version in it."""
        try:
            return await self._ask("version", version_url(self._url), DOCUMENT_BYTES, TOTAL_SECONDS, read_version)
        except Unreachable:
            raise  # the document is where the version is
        except ConfigServerError as exc:
            log.debug("%s; asking for the main document", exc)
            return None

    async def _rslist_url(self, cluster: str) -> str:
        document = self._document or await self.clusters()
        url = document.url(cluster)
        if url is None:
            raise UnknownCluster(f"cluster {cluster!r} does not exist: config server {self.shown_url} does not name it")
        return url

    async def _ask(self, what: str, url: str, limit: int, seconds: float, read: Callable[[bytes], T]) -> T:
        """Ask for something, and read the answer; errors say what was asked and where."""
        try:
            return read(await self._http.get(url, limit=limit, seconds=seconds))
        except ConfigServerError as exc:
            raise type(exc)(f"config server {shown_url(url)}, {what}: {exc}") from exc

    def _note(self, what: str, left_out: list[str]) -> None:
        """Log what an answer held that cannot be used, once as long as it stays the same."""
        skips = tuple(left_out)
        if skips == self._skips.get(what, ()):
            return
        if len(self._skips) >= _KEPT_SKIPS:
            self._skips.clear()
        self._skips[what] = skips
        if skips:
            more = f", and {len(skips) - _SHOWN_SKIPS} more" if len(skips) > _SHOWN_SKIPS else ""
            log.warning("config server, %s: left out %s%s", what, "; ".join(skips[:_SHOWN_SKIPS]), more)


def _named(cluster: str, cluster_id: int) -> str:
    return f"{cluster!r}, id {cluster_id}" if cluster_id else repr(cluster)
