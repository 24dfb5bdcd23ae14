"""Where tables are: asked once however many wait, renewed behind the statements that use them.

A miss waits for the answer.  An entry that an OBServer's answer proves wrong is
dirty: it stays in use and is renewed in the background at once, if its last
renewal brought news or is long enough ago, and the process-wide limiter
agrees.  Fetches run in the catalog's nursery: a client that leaves takes
nothing from the others.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from typing import Final, NoReturn, final

import msgspec
import trio

from odp_trio.catalog import location_queries as queries
from odp_trio.catalog.clusters import Clusters, Started
from odp_trio.catalog.metadata import Row
from odp_trio.config import Settings
from odp_trio.errors import CatalogError, MalformedMetadata
from odp_trio.events import Announcements, LeaderMoved
from odp_trio.observe import Counts
from odp_trio.supervise.periodic import every
from odp_trio.topology.location import Location, Replica, TableEntry, TableKey, mark_dirty
from odp_trio.topology.location_table import Locations
from odp_trio.topology.partitioning import Partitioning, read_partitioning
from odp_trio.topology.renewal_limiter import RenewalLimiter
from odp_trio.topology.tenant import EntryState

log = logging.getLogger("odp_trio.catalog")

_MISSING_LIFE: Final = 5.0
"""Seconds for which "there is no such table" is believed."""
_ALL_TABLETS_UP_TO: Final = 64
"""A table of at most so many partitions has all its locations fetched with the first one."""

_CLEANING_SECONDS: Final = 1.0

Key = tuple[TableKey, int]
"""A table and a tablet of it; tablet 0 is the table itself."""


class _Fetch(msgspec.Struct):
    done: trio.Event = msgspec.field(default_factory=trio.Event)
    failure: CatalogError | None = None


@final
class TableLocations:
    """The process-wide cache of locations, and what keeps it fresh."""

    def __init__(
        self,
        clusters: Clusters,
        table: Locations,
        nursery: trio.Nursery,
        counts: Counts,
        settings: Callable[[], Settings],
        rng: random.Random,
    ) -> None:
        self.table = table
        self.limiter = RenewalLimiter()
        self._clusters = clusters
        self._nursery = nursery
        self._counts = counts
        self._settings = settings
        self._rng = rng
        self.events = Announcements()
        self._fetches: dict[Key, _Fetch] = {}

    async def fetch(self, key: TableKey, tablet_id: int = 0) -> None:
        """Make a missing entry; when it returns, the table has it.  One question, however many wait.

        Raises CatalogError when it cannot be had.
        """
        fetch = self._fetches.get((key, tablet_id))
        if fetch is None:
            fetch = self._start(key, tablet_id)
        await fetch.done.wait()
        if fetch.failure is not None:
            raise type(fetch.failure)(str(fetch.failure)) from fetch.failure

    async def wait_renewed(self, location: Location) -> None:
        """Wait for a renewal that is under way; failures are no matter, the old entry stays."""
        for key in ((location.table.key, location.tablet_id), (location.table.key, 0)):
            if (fetch := self._fetches.get(key)) is not None:
                await fetch.done.wait()

    def note_dirty(self, location: Location) -> None:
        """An answer of a server says that a location is wrong: it is renewed in the background, if it may be."""
        if mark_dirty(location):
            self._counts.location_dirtied += 1
            self.limiter.note_dirty(trio.current_time(), self._rng.random())
        self.renew(location)

    def renew(self, location: Location) -> bool:
        """Begin to renew a dirty location; answer whether it is being renewed.

        Not while it pauses (delay_update_entry_interval after a renewal that
        brought no news), nor when the limiter refuses: then it stays dirty and in use.
        """
        table = location.table
        tablet_id = location.tablet_id if table.state is not EntryState.DIRTY else 0
        if (table.key, tablet_id) in self._fetches:
            return True
        now = trio.current_time()
        if now < location.pause_until or table.gone:
            return False
        settings, limiter = self._settings(), self.limiter
        limiter.normal, limiter.limited = settings.normal_pl_update_threshold, settings.limited_pl_update_threshold
        if not limiter.admit(now):
            return False
        self._counts.location_renewals += 1
        self._start(table.key, tablet_id)
        return True

    def table_changed(self, keys: Sequence[TableKey]) -> None:
        """DDL was seen in passing: these tables are looked up anew at their next use."""
        for key in keys:
            self.table.drop(key)

    async def clean(self, *, task_status: Started) -> NoReturn:
        """Drop the locations whose time has come."""

        async def expire() -> None:
            self.table.expire(trio.current_time())

        task_status.started()
        await every(lambda: _CLEANING_SECONDS, expire, rng=self._rng)

    def _start(self, key: TableKey, tablet_id: int) -> _Fetch:
        fetch = self._fetches[key, tablet_id] = _Fetch()
        self._nursery.start_soon(self._run, key, tablet_id, fetch)
        return fetch

    async def _run(self, key: TableKey, tablet_id: int, fetch: _Fetch) -> None:
        self._counts.location_fetches += 1
        done = False
        try:
            entry = self.table.find(key)
            if tablet_id and entry is not None and entry.partitioning is not None:
                await self._fetch_tablets(entry, (tablet_id,))
            else:
                await self._fetch_table(key)
            done = True
        except CatalogError as exc:
            fetch.failure = CatalogError(f"location of {key}: {exc}")
            log.warning("%s", fetch.failure)
            self._pause(key, tablet_id)
        except Exception as exc:  # a bug: those who wait must not wait for ever
            log.exception("fetching the location of %s", key)
            fetch.failure = CatalogError(f"location of {key}: {type(exc).__name__}")
        finally:
            if not done and fetch.failure is None:
                fetch.failure = CatalogError("the proxy is shutting down")
            self._fetches.pop((key, tablet_id), None)
            fetch.done.set()

    def _pause(self, key: TableKey, tablet_id: int) -> None:
        """A renewal failed: what is there stays, dirty, and is not asked about for a while."""
        entry = self.table.find(key)
        if entry is not None:
            until = trio.current_time() + self._settings().delay_update_entry_interval
            for location in entry.locations():
                if location.tablet_id == tablet_id or not tablet_id:
                    location.pause_until = until

    async def _ask(self, key: TableKey, sql: str) -> Sequence[Row]:
        return await self._clusters.ask(key.cluster, sql)

    async def _ask_both(self, key: TableKey, one: str, other: str) -> tuple[Sequence[Row], Sequence[Row]]:
        """Ask two questions at a time."""
        answers: dict[str, Sequence[Row]] = {}
        failures: list[CatalogError] = []

        async def ask(sql: str) -> None:
            try:
                answers[sql] = await self._ask(key, sql)
            except CatalogError as exc:
                failures.append(exc)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, one)
            nursery.start_soon(ask, other)
        if failures:
            raise failures[0]
        return answers[one], answers[other]

    # ---- tables -----------------------------------------------------------------------

    async def _fetch_table(self, key: TableKey) -> None:
        rows = await self._ask(key, queries.location(key))
        known = self.table.find(key)
        now = trio.current_time()
        if not rows:
            self.table.store(TableEntry(key, now, missing=True, expires_at=now + _MISSING_LIFE))
            return
        entry = _read_entry(key, rows, now)
        entry.expires_at = self._expiry(now)
        if known is not None and _same_table(known, entry):
            await self._renew_table(known, entry, now)
            return
        if entry.part_num > 1 and self._settings().enable_partition_table_route:
            entry.location = None
            entry.partitioning = await self._fetch_partitioning(entry)
        self.table.store(entry)
        if entry.partitioning is not None:
            tablets = [partition.tablet_id for partition in entry.partitioning.tablets()]
            if len(tablets) <= _ALL_TABLETS_UP_TO:
                await self._fetch_tablets(entry, tablets)

    async def _renew_table(self, known: TableEntry, fresh: TableEntry, now: float) -> None:
        """The table is the one that we know: take over its replicas, and those of its dirty partitions."""
        known.state = EntryState.AVAILABLE
        if known.location is not None and fresh.location is not None:
            self._take(known.location, fresh.location.replicas, now)
        fresh.leave()
        dirty = [tablet for tablet, location in known.tablets.items() if location.state is EntryState.DIRTY]
        for at in range(0, len(dirty), _ALL_TABLETS_UP_TO):
            await self._fetch_tablets(known, dirty[at : at + _ALL_TABLETS_UP_TO])

    def _expiry(self, now: float) -> float:
        period = self._settings().location_expire_period_time
        return now + period * (0.5 + self._rng.random() / 2) if period else float("inf")

    async def _fetch_partitioning(self, entry: TableEntry) -> Partitioning:
        key = entry.key
        info, first = await self._ask_both(
            key, queries.partition_info(key.tenant, entry.table_id), queries.partitions(key.tenant, entry.table_id)
        )
        levels = max((int(row.get("part_level") or 1) for row in info), default=1)
        second: Sequence[Row] = ()
        if levels > 1:
            second = await self._ask(key, queries.subpartitions(key.tenant, entry.table_id))
        return read_partitioning(entry.table_id, info, first, second)

    # ---- partitions -----------------------------------------------------------------------

    async def _fetch_tablets(self, entry: TableEntry, tablets: Sequence[int]) -> None:
        rows = await self._ask(entry.key, queries.location(entry.key, tablets))
        found = queries.read_replicas(rows)
        now = trio.current_time()
        if _contradicts(entry, rows):
            mark_dirty(entry)
        for tablet_id in tablets:
            replicas = found.get(tablet_id, ())
            known = entry.tablets.get(tablet_id)
            if known is None:
                self.table.add_tablet(Location(entry, tablet_id, replicas, now))
            elif replicas:
                self._take(known, replicas, now)

    def _take(self, known: Location, replicas: tuple[Replica, ...], now: float) -> None:
        """Renew a location, and say if its leader has moved."""
        before = known.leader
        known.renew(replicas, now, self._settings().delay_update_entry_interval)
        if known.leader != before and self.events.wanted:
            key = known.table.key
            self.events.tell(
                LeaderMoved(
                    now, key.cluster, key.tenant, key.database, key.table, known.tablet_id, before, known.leader
                )
            )


def _read_entry(key: TableKey, rows: Sequence[Row], now: float) -> TableEntry:
    row = rows[0]
    try:
        entry = TableEntry(
            key,
            now,
            table_id=int(row["table_id"]),
            schema_version=int(row.get("schema_version") or 0),
            part_num=int(row.get("part_num") or 1),
            decoded=bool(int(row.get("complex_table_type") or 0)),
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise MalformedMetadata(f"a row of the proxy schema cannot be used: {exc!r}") from exc
    replicas = queries.read_replicas(rows).get(0, ())
    if replicas:
        entry.location = Location(entry, 0, replicas, now)
    return entry


def _same_table(known: TableEntry, fresh: TableEntry) -> bool:
    return (
        not known.gone
        and (known.table_id, known.schema_version, known.part_num)
        == (fresh.table_id, fresh.schema_version, fresh.part_num)
        and (known.location is None) == (fresh.location is None or known.partitioning is not None)
    )


def _contradicts(entry: TableEntry, rows: Sequence[Row]) -> bool:
    """Whether the answer for a partition says that the table is no longer the one that we know."""
    return any(
        (int(row.get("table_id") or 0), int(row.get("part_num") or 0), int(row.get("schema_version") or 0))
        != (entry.table_id, entry.part_num, entry.schema_version)
        for row in rows
    )
