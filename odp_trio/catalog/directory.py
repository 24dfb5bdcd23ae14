"""What the config server says, kept: which clusters there are, and the rslists of those that were visited.

The config server is asked by the poller and by logins, never twice at a time for
the same thing, and what it refused is not asked again for ``REFUSED_SECONDS``: a
flood of logins makes no flood of requests.  While it fails, what it said last
stays in force.  Rslists are written to a local file at every change; with
``ignore_local_config = false`` that file stands in for a config server that fails.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, NoReturn, final

import msgspec
import trio

from odp_trio.catalog.flights import REFUSED_SECONDS, Flights
from odp_trio.catalog.rslists import ConfigServerPort, Entry, RslistStore, Source
from odp_trio.catalog.trouble import Trouble
from odp_trio.config import Settings
from odp_trio.errors import ConfigServerError, ConfigServerUnavailable, UnknownCluster
from odp_trio.events import Announcements, ConfigServerBack, ConfigServerLost
from odp_trio.model import Address
from odp_trio.supervise.periodic import Bell
from odp_trio.topology.rslist import ConfigDocument, Rslist
from odp_trio.topology.rslist_file import CachedRslist

log = logging.getLogger("odp_trio.catalog")

SAVE_SECONDS: Final = 3600.0
"""An rslist that stays the same is written again after this time, so that its age in the file says something."""
SAVE_AGAIN_SECONDS: Final = 30.0
"""When a write that failed, or was another process's to do, is tried again."""
_AT_ONCE: Final = 8
"""Rslists that a poll asks for at a time."""
_NAMES_SHOWN: Final = 8


@final
class Directory:
    """The clusters of a config server."""

    def __init__(
        self,
        server: ConfigServerPort,
        store: RslistStore,
        settings: Callable[[], Settings],
        wall_clock: Callable[[], float],
    ) -> None:
        self.document: ConfigDocument | None = None
        self.said_at: float | None = None
        """When it was last said, Trio's time."""
        self.polls = 0
        self.trouble = Trouble()
        """With the main document."""
        self.troubles: dict[str, Trouble] = {}
        """With rslists, by cluster."""
        self.entries: dict[str, Entry] = {}
        self.events = Announcements()
        self.store = store
        self.server = server
        self._settings = settings
        self._wall_clock = wall_clock
        self._stored: dict[str, CachedRslist] = {}
        self.flights = Flights(self._fetch)
        self._asking = trio.Lock()
        self._asked_at = -REFUSED_SECONDS
        self._changed = Bell()
        self._changes = self._saved = 0

    async def open(self, nursery: trio.Nursery) -> None:
        """Read the file; questions of logins run in ``nursery`` from here on: a client that leaves ends none."""
        self.flights.open(nursery)
        self._stored = {stored.rslist.cluster: stored for stored in await self.store.load()}

    async def aclose(self) -> None:
        """Close the connections to the config server; write what is not written, and let another process write."""
        with trio.move_on_after(1.0, shield=True):
            if self._changes != self._saved or self.store.pending:
                await self._save()
            await self.server.aclose()
        self.store.close()

    def is_asking(self, name: str) -> bool:
        """Whether a login to this cluster waits for the config server; empty: to the default one."""
        return self._asking.locked() or self.flights.is_under_way(name)

    def knows(self, name: str) -> bool:
        """Whether the config server names a cluster, as far as we know."""
        return self.document is None or self.document.url(name) is not None

    @property
    def usable(self) -> bool:
        """Whether a login can succeed: the config server has spoken, or the file may speak for it."""
        return self.document is not None or bool(self.entries) or bool(self._fallbacks)

    def age(self, entry: Entry) -> float:
        """Return for how many seconds nobody has confirmed an rslist."""
        return self.since(entry.had_at)

    def since(self, moment: float) -> float:
        """Return how many seconds ago a moment of the wall clock was."""
        return max(0.0, self._wall_clock() - moment)

    # ---- for logins -------------------------------------------------------------------

    async def default(self) -> str:
        """Return the cluster of logins that name none: the document's first, if it has only that.

        While there is no document, the file's, if it has only one.  Raises UnknownCluster
        when there are several, ConfigServerError when there is no document and nothing in its place.
        """
        if self.document is None:
            try:
                await self._ask_document()
            except ConfigServerError:
                if len(self._fallbacks) == 1:
                    return next(iter(self._fallbacks))
                raise
        assert self.document is not None
        names = tuple(self.document.rslist_urls)
        if len(names) > 1:
            raise UnknownCluster(
                f"the login names no cluster, and the config server names {len(names)}: "
                f"log in as user@tenant#cluster with one of {_shown(names)}"
            )
        return names[0]

    async def rslist(self, name: str) -> Rslist:
        """Return the rslist of a cluster, the one in memory if there is one.

        Raises UnknownCluster, or ConfigServerError when it cannot be had.
        """
        entry = self.entries.get(name)
        if entry is not None and not self._settings().enable_get_rslist_remote:
            self.check_named(name)
            return entry.rslist
        return await self.fetch(name)

    async def fetch(self, name: str) -> Rslist:
        """Ask the config server; while it fails, return what is known, from memory or else from the file.

        Raises as ``rslist`` does.
        """
        known = self._known(name)
        if known is not None and known.told is not None and trio.current_time() - known.said_at < REFUSED_SECONDS:
            return known.told
        if known is None:
            return await self._ask_rslist(name)
        reason = self.trouble.reason
        if not self.trouble.failures:
            seconds = self._settings().short_async_task_timeout / 2
            reason = f"the config server has not answered within {seconds:g} s"
            with trio.move_on_after(seconds):  # one that hangs must not take all the time that a login has
                try:
                    return await self._ask_rslist(name)
                except ConfigServerError as exc:
                    reason = str(exc)
        return self._fall_back(name, known, reason).rslist

    def learn(self, name: str, cluster_id: int | None, servers: Sequence[Address]) -> None:
        """A cluster's own server list becomes its rslist: what the config server said last, brought up to date."""
        entry = self.entries.get(name)
        if entry is None or not servers:
            return
        now = self._wall_clock()
        subs = tuple(
            msgspec.structs.replace(sub, servers=tuple(servers))
            if (sub.cluster_id or None) == (cluster_id or None) and set(sub.servers) != set(servers)
            else sub
            for sub in entry.rslist.clusters
        )
        entry.had_at = now
        if subs != entry.rslist.clusters:
            entry.rslist = msgspec.structs.replace(entry.rslist, clusters=subs)
            self._note_change()
        elif now - entry.saved_at >= SAVE_SECONDS:
            self._note_change()

    def note_use(self, name: str) -> None:
        """Somebody has logged in to a cluster."""
        entry = self.entries.get(name)
        if entry is not None:
            first, entry.used_at = not entry.used_at, self._wall_clock()
            if first or entry.used_at - entry.saved_at >= SAVE_SECONDS:
                self._note_change()

    def idcs(self, name: str, cluster_id: int) -> Mapping[str, str]:
        """Return the region of every IDC as it was told last, to this proxy or to the one before it."""
        entry = self.entries.get(name)
        return {} if entry is None else entry.idcs.get(cluster_id, {})

    def learn_idcs(self, name: str, cluster_id: int, idcs: Mapping[str, str]) -> None:
        """The config server has told the region of every IDC."""
        entry = self.entries.get(name)
        if entry is not None and entry.idcs.get(cluster_id, {}) != idcs:
            entry.idcs[cluster_id] = idcs
            self._note_change()

    def forget(self, name: str) -> None:
        """Drop a cluster's rslist from memory; from the file too if the config server no longer names it."""
        entry = self.entries.pop(name, None)
        if entry is not None and self.knows(name):
            self._stored[name] = entry.cached()
        elif not self.knows(name):
            self._stored.pop(name, None)
        self._note_change()

    def check_named(self, name: str) -> None:
        """Raise UnknownCluster for a cluster that the config server does not name."""
        if not self.knows(name):
            assert self.document is not None
            names = tuple(self.document.rslist_urls)
            raise UnknownCluster(f"cluster {name!r} does not exist: the config server names {_shown(names)}")

    @property
    def _fallbacks(self) -> Mapping[str, CachedRslist]:
        return {} if self._settings().ignore_local_config else self._stored

    def _known(self, name: str) -> Entry | None:
        entry = self.entries.get(name)
        if entry is None and (stored := self._fallbacks.get(name)) is not None:
            entry = Entry.restored(stored)
        return entry

    def _fall_back(self, name: str, known: Entry, reason: str) -> Entry:
        self.check_named(name)
        entry = self.entries.setdefault(name, known)  # the config server may have answered after all
        if entry is known and known.source is Source.LOCAL_FILE:
            age = self.age(known)
            log.warning("cluster %s: its rslist is from the local file, %.0f s old: %s", name, age, reason)
        return entry

    # ---- asking -----------------------------------------------------------------------

    async def _ask_rslist(self, name: str) -> Rslist:
        """One question however many wait; not again for a while after a failure."""
        await self.flights.wait(name)
        entry = self.entries.get(name)
        if entry is None or entry.told is None:  # it was dropped just now
            raise ConfigServerUnavailable(f"the rslist of cluster {name!r} is gone again")
        return entry.told

    async def _fetch(self, name: str) -> None:
        if self.document is None or self.document.url(name) is None:
            try:
                await self._ask_document()
            except ConfigServerError:
                if self.document is None:
                    raise
        self.check_named(name)
        try:
            rslist = await self.server.rslist(name)
        except ConfigServerError as exc:
            trouble = self.troubles.setdefault(name, Trouble())
            level = logging.WARNING if trouble.note(str(exc), trio.current_time()) else logging.DEBUG
            log.log(level, "cluster %s: failure %d in a row to have its rslist: %s", name, trouble.failures, exc)
            raise
        self.troubles.pop(name, None)
        now, known = self._wall_clock(), self.entries.get(name)
        entry = known or Entry(rslist, Source.CONFIG_SERVER, now)
        entry.source, entry.had_at, entry.said_at = Source.CONFIG_SERVER, now, trio.current_time()
        self.entries[name] = entry
        if entry.told != rslist:  # else what its servers have said since is newer
            entry.told = entry.rslist = rslist
            servers = ", ".join(str(address) for sub in rslist.clusters for address in sub.servers[:_NAMES_SHOWN])
            log.info("cluster %s: rslist from the config server: %s", name, servers)
            self._note_change()

    async def _ask_document(self, *, at_once: bool = False) -> None:
        """Have the main document, not older than ``REFUSED_SECONDS``; raise ConfigServerError."""
        async with self._asking:
            if not at_once and trio.current_time() - self._asked_at < REFUSED_SECONDS:
                if self.trouble.failures:
                    raise ConfigServerUnavailable(self.trouble.reason)
                return
            self.polls += 1
            try:
                document = await self.server.clusters()
            except ConfigServerError as exc:
                self._asked_at = trio.current_time()
                self._note_failure(exc)
                raise
            self._asked_at = trio.current_time()
            self._take(document)

    def _note_failure(self, exc: ConfigServerError) -> None:
        now = trio.current_time()
        if not self.trouble.failures and self.events.wanted:
            self.events.tell(ConfigServerLost(now, str(exc)))
        level = logging.WARNING if self.trouble.note(str(exc), now) else logging.DEBUG
        kept = "no clusters are known yet" if self.said_at is None else f"{now - self.said_at:.0f} s old clusters stay"
        log.log(level, "config server: failure %d in a row: %s; %s", self.trouble.failures, exc, kept)

    def _take(self, document: ConfigDocument) -> None:
        before, self.document, self.said_at = self.document, document, trio.current_time()
        if failures := self.trouble.clear():
            log.info("config server: it answers again after %d failures", failures)
            if self.events.wanted:
                self.events.tell(ConfigServerBack(self.said_at, failures))
        old = {} if before is None else before.rslist_urls
        if before is None or set(old) != set(document.rslist_urls):
            added = [name for name in document.rslist_urls if name not in old]
            gone = [name for name in old if name not in document.rslist_urls]
            parts = [f"{len(document.rslist_urls)} clusters"]
            parts += [f"{word} {_shown(names)}" for word, names in (("new:", added), ("gone:", gone)) if names]
            log.info("config server: %s", "; ".join(parts))
            self.flights.forget_failures()
            for name in gone:
                self.troubles.pop(name, None)

    # ---- services -----------------------------------------------------------------------

    async def poll(self) -> None:
        """Ask for the main document, and for the rslists that may not be as the config server has them.

        Those are what came from the file, and those of several clusters, whose roles may have changed.
        Raises ConfigServerError when the main document cannot be had.
        """
        await self._ask_document(at_once=True)
        several = self._settings().enable_standby
        limiter = trio.CapacityLimiter(_AT_ONCE)

        async def ask(name: str) -> None:
            async with limiter:
                with suppress(ConfigServerError, UnknownCluster):  # it is noted
                    await self._ask_rslist(name)

        async with trio.open_nursery() as nursery:
            for name, entry in self.entries.items():
                if entry.source is Source.LOCAL_FILE or (several and len(entry.rslist.clusters) > 1):
                    nursery.start_soon(ask, name)

    async def keep_saved(self) -> NoReturn:
        """Write the file whenever something in it has changed, and again after a while if it could not be written."""
        while True:
            with trio.move_on_after(SAVE_AGAIN_SECONDS if self.store.pending else math.inf):
                await self._changed.wait()
            await self._save()

    async def _save(self) -> None:
        changes, now = self._changes, self._wall_clock()
        for entry in self.entries.values():
            entry.saved_at = now
        kept = {name: old for name, old in self._stored.items() if self.knows(name)}
        known = {name: entry.cached() for name, entry in self.entries.items()}
        await self.store.save(tuple((kept | known).values()))
        self._saved = changes

    def _note_change(self) -> None:
        self._changes += 1
        self._changed.ring()


def _shown(names: Sequence[str]) -> str:
    """Return the first few of many names."""
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(map(repr, names[:_NAMES_SHOWN])) + more
