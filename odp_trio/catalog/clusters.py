"""The clusters that may be logged in to: those of the settings, and the config server's, made at their first login.

One supervised task a cluster keeps it fresh.  The resources are owned here,
above the tasks, so that a restarted task finds them as they were.  A cluster of
the config server is dropped, with all that is known of it, when nobody has used
it for ``cluster_expire_time``, when there are more than
``cluster_count_high_water_mark``, and when the config server no longer names
it: never while it has sessions.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, NoReturn, Protocol, final

import trio

from odp_trio.catalog.directory import Directory
from odp_trio.catalog.keeper import Keeper
from odp_trio.catalog.metadata import MetadataConnection, Row
from odp_trio.catalog.origin import Configured, FromConfigServer, Surroundings, addresses_of
from odp_trio.catalog.rslists import Entry
from odp_trio.config import Settings
from odp_trio.errors import CatalogError, ConfigServerError, ConfigServerUnavailable, UnknownCluster
from odp_trio.model import Address
from odp_trio.supervise.periodic import Bell, every
from odp_trio.supervise.supervisor import ChildSpec, Supervisor
from odp_trio.topology.cluster import ClusterResource
from odp_trio.topology.rslist import Rslist, SubCluster

log = logging.getLogger("odp_trio.catalog")

SWEEP_SECONDS: Final = 20.0
"""How often it is looked for clusters to drop."""
STANDBY: Final = "STANDBY"
_SOON_SECONDS: Final = 5.0
"""How often the config server is asked while it has never answered, if that is sooner."""


class Started(Protocol):
    """Trio's task_status, or a supervisor's."""

    def started(self, value: object = None) -> None:
        """Report that the service runs."""
        ...


@final
class Clusters:
    """The clusters that we know, by name; with its id, ``name:2``, if there are several of the name.

    ``dropped`` is told the name of a cluster that is gone; ``in_use`` returns the names that have sessions.
    """

    def __init__(
        self,
        configured: Mapping[str, Sequence[Address]],
        open_metadata: Callable[[str], MetadataConnection],
        around: Surroundings,
        *,
        directory: Directory | None = None,
        dropped: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.directory = directory
        self.in_use: Callable[[], Collection[str]] = tuple
        self._around = around
        self._settings = around.settings
        self._open_metadata = open_metadata
        self._dropped = dropped
        self._keepers: dict[str, Keeper] = {}
        self._by_id: dict[tuple[str, int], str] = {}
        """Names of clusters of the config server, by the name that clients use and the id."""
        self._leaving: dict[str, trio.Event] = {}
        self._sweep_wanted = Bell()
        self._poll_wanted = Bell()
        self._supervisor: Supervisor | None = None
        for name, rslist in configured.items():
            resource = ClusterResource(name, tuple(rslist))
            self._keepers[name] = Keeper(resource, open_metadata(name), Configured(rslist), around)

    @property
    def names(self) -> tuple[str, ...]:
        """Every cluster that we hold."""
        return tuple(self._keepers)

    def resources(self) -> tuple[ClusterResource, ...]:
        """Every cluster resource, available or not."""
        return tuple(keeper.resource for keeper in self._keepers.values())

    def __str__(self) -> str:
        """Say which clusters may be logged in to."""
        held = ", ".join(self._keepers)
        server = "" if self.directory is None else "those of the config server"
        return " and ".join(part for part in (held, server) if part) or "none"

    def find(self, name: str) -> ClusterResource | None:
        """Return a cluster resource, available or not; None for one that we do not hold."""
        keeper = self._keepers.get(name)
        return None if keeper is None else keeper.resource

    def is_configured(self, name: str) -> bool:
        """Whether a cluster is of the settings, not of the config server."""
        keeper = self._keepers.get(name)
        return keeper is not None and isinstance(keeper.origin, Configured)

    def entry_of(self, name: str) -> tuple[Entry | None, str]:
        """Return what the config server said of a cluster, and why it could not say it anew, if it could not."""
        keeper = self._keepers.get(name)
        if self.directory is None or keeper is None or not isinstance(keeper.origin, FromConfigServer):
            return None, ""
        trouble = self.directory.troubles.get(keeper.origin.name)
        return self.directory.entries.get(keeper.origin.name), "" if trouble is None else trouble.reason

    def used_at(self, name: str) -> float | None:
        """Return when a login or a session last used a cluster, Trio's time."""
        keeper = self._keepers.get(name)
        return None if keeper is None else keeper.used_at

    def rebuilding(self, name: str) -> str:
        """Return why a cluster is being built anew; empty if it is not."""
        keeper = self._keepers.get(name)
        return "" if keeper is None else keeper.rebuild

    def close(self) -> None:
        """Close the metadata connections."""
        for keeper in self._keepers.values():
            keeper.metadata.close()

    async def ask(self, name: str, sql: str) -> Sequence[Row]:
        """Run a metadata query on one of the servers of a cluster."""
        keeper = self._keepers.get(name)
        if keeper is None:
            raise CatalogError(f"cluster {name!r} is gone")
        return await keeper.ask(sql)

    async def wait_available(self, name: str) -> ClusterResource:
        """Return a cluster that has a server list, waiting for one attempt to get it.

        Raises UnknownCluster, or what that attempt failed of (CatalogError).
        """
        return await self._keeper(name).wait_available()

    def note_mismatch(self, name: str) -> None:
        """A server refused a login because it is of another cluster (4666)."""
        keeper = self._keepers.get(name)
        if keeper is not None:
            keeper.note_mismatch()

    def _keeper(self, name: str) -> Keeper:
        keeper = self._keepers.get(name)
        if keeper is None:
            raise UnknownCluster(f"cluster {name!r} does not exist")
        return keeper

    # ---- logins ---------------------------------------------------------------------------

    async def enter(self, name: str, cluster_id: int | None = None) -> ClusterResource:
        """Return the cluster that a login goes to, made if need be; an empty name is the config server's default.

        Raises UnknownCluster; ConfigServerError and other CatalogErrors when it cannot be had
        within ``short_async_task_timeout``.
        """
        if name in self._keepers and self.is_configured(name):
            return await self.wait_available(name)
        if self.directory is None:
            raise UnknownCluster(f"cluster {name!r} does not exist")
        seconds = self._settings().short_async_task_timeout
        try:
            with trio.move_on_after(seconds):
                return await self._enter(self.directory, name, cluster_id)
            if self.directory.is_asking(name):
                raise ConfigServerUnavailable(
                    f"config server {self.directory.server.shown_url} has not answered within {seconds:g} s"
                )
        except ConfigServerError as exc:
            what = f"cluster {name!r}" if name else "the default cluster"
            raise type(exc)(f"{what} is not available: {exc}") from exc
        raise CatalogError(f"cluster {name!r} is not available: no server has answered within {seconds:g} s")

    async def _enter(self, directory: Directory, name: str, cluster_id: int | None) -> ClusterResource:
        name = name or await directory.default()
        if name in directory.entries:
            directory.check_named(name)
        entry = directory.entries.get(name)
        known = entry is not None and self._held(name, entry.rslist, cluster_id)
        rslist = entry.rslist if entry is not None and known else await directory.rslist(name)
        subs = self._choose(rslist, cluster_id)
        if not subs:
            subs = self._choose(await directory.fetch(name), cluster_id)
        if not subs:
            ids = ", ".join(str(sub.cluster_id) for sub in rslist.clusters)
            raise UnknownCluster(f"cluster {name!r} has no cluster of id {cluster_id}: its ids are {ids}")
        failure: CatalogError | None = None
        for sub in subs:
            try:
                resource = await (await self._obtain(directory, name, rslist, sub)).wait_available()
            except CatalogError as exc:
                failure = exc
                continue
            if resource.role == STANDBY and cluster_id is None and self._settings().enable_standby:
                failure = CatalogError(f"cluster {resource.name!r}: its servers say that it is a standby")
                continue
            directory.note_use(name)
            return resource
        assert failure is not None
        raise failure

    def _choose(self, rslist: Rslist, cluster_id: int | None) -> tuple[SubCluster, ...]:
        turn = self._around.rng.randrange(1 << 16)
        return rslist.choose(cluster_id, turn, roles=self._settings().enable_standby)

    def _held(self, name: str, rslist: Rslist, cluster_id: int | None) -> bool:
        """Whether a login needs no creation: the config server need not be asked for the rslist."""
        subs = self._choose(rslist, cluster_id)
        return bool(subs) and all(self._find(name, sub.cluster_id) is not None for sub in subs)

    def _find(self, name: str, cluster_id: int) -> Keeper | None:
        return self._keepers.get(self._by_id.get((name, cluster_id), ""))

    async def _obtain(self, directory: Directory, name: str, rslist: Rslist, sub: SubCluster) -> Keeper:
        """Return the keeper of a cluster of the config server; make it and its task if there is none."""
        while True:
            keeper = self._find(name, sub.cluster_id)
            if keeper is not None:
                keeper.resource.real_name = rslist.real_name or name
                return keeper
            key = f"{name}:{sub.cluster_id}" if len(rslist.clusters) > 1 or name in self._keepers else name
            leaving = self._leaving.get(key)
            if leaving is None:
                return self._make(directory, key, name, rslist, sub)
            await leaving.wait()

    def _make(self, directory: Directory, key: str, name: str, rslist: Rslist, sub: SubCluster) -> Keeper:
        resource = ClusterResource(
            key,
            addresses_of(sub),
            cluster_id=sub.cluster_id or None,
            real_name=rslist.real_name or name,
            idcs=directory.idcs(name, sub.cluster_id),
        )
        origin = FromConfigServer(directory, name, sub.cluster_id, self._around)
        keeper = self._keepers[key] = Keeper(resource, self._open_metadata(name), origin, self._around)
        self._by_id[name, sub.cluster_id] = key
        self._start(key)
        if self._of_config_server() > self._settings().cluster_count_high_water_mark:
            self._sweep_wanted.ring()
        return keeper

    def _of_config_server(self) -> int:
        return sum(isinstance(keeper.origin, FromConfigServer) for keeper in self._keepers.values())

    # ---- services -------------------------------------------------------------------------

    def start(self, supervisor: Supervisor) -> None:
        """Start a task for every cluster, and those that clusters of a config server need."""
        self._supervisor = supervisor
        for name in self._keepers:
            self._start(name)
        if self.directory is not None:
            for child, run in (
                ("config_server", self._poll),
                ("rslist_file", self._save),
                ("cluster_expiry", self._expire),
            ):
                supervisor.start_soon(ChildSpec(child, run, intensity=None))

    def _start(self, name: str) -> None:
        if self._supervisor is not None:
            self._supervisor.start_soon(ChildSpec(f"cluster:{name}", self.maintain, intensity=None), name)

    async def maintain(self, name: str, *, task_status: Started) -> NoReturn:
        """Refresh one cluster for ever: at once, then every interval, and when somebody wants it."""
        keeper = self._keeper(name)
        task_status.started()
        # Jitter, so that many proxies do not ask in step.
        await every(
            lambda: self._settings().server_state_refresh_interval,
            keeper.attempt,
            rng=self._around.rng,
            jitter=lambda: self._settings().server_state_refresh_jitter,
            wake=keeper.wanted,
        )

    async def _poll(self, *, task_status: Started) -> NoReturn:
        """Ask the config server for ever, after half to all of the interval; often while it has never answered."""
        directory = self.directory
        assert directory is not None

        async def poll() -> None:
            await directory.poll()
            self._sweep_wanted.ring()

        def pause() -> float:
            interval = self._settings().config_server_refresh_interval * 0.75
            return interval if directory.document is not None else min(interval, _SOON_SECONDS)

        task_status.started()
        await every(pause, poll, rng=self._around.rng, jitter=lambda: 1 / 3, wake=self._poll_wanted)

    def settings_changed(self, old: Settings, new: Settings) -> None:
        """Do now what shorter intervals make due: who sleeps for a longer one would not know of them."""
        if new.server_state_refresh_interval < old.server_state_refresh_interval:
            for keeper in self._keepers.values():
                keeper.wanted.ring()
        if new.config_server_refresh_interval < old.config_server_refresh_interval:
            self._poll_wanted.ring()
        self._sweep_wanted.ring()

    async def _save(self, *, task_status: Started) -> NoReturn:
        assert self.directory is not None
        task_status.started()
        await self.directory.keep_saved()

    async def _expire(self, *, task_status: Started) -> NoReturn:
        task_status.started()
        await every(lambda: SWEEP_SECONDS, self.sweep, rng=self._around.rng, wake=self._sweep_wanted)

    async def sweep(self) -> None:
        """Drop the clusters of the config server whose time has come."""
        now, settings = trio.current_time(), self._settings()
        in_use = self.in_use()
        for name in in_use:
            if (used := self._keepers.get(name)) is not None:
                used.used_at = now
        idle = sorted(
            (
                (keeper.used_at, name, keeper.origin)
                for name, keeper in self._keepers.items()
                if isinstance(keeper.origin, FromConfigServer) and name not in in_use and not keeper.waiting
            ),
            key=lambda item: item[0],
        )
        over = self._of_config_server() - settings.cluster_count_high_water_mark
        for used_at, name, origin in idle:
            why = ""
            if not origin.named:
                why = "the config server no longer names it"
            elif settings.cluster_expire_time and now - used_at >= settings.cluster_expire_time:
                why = f"nobody has used it for {now - used_at:.0f} s"
            elif over > 0:
                why = f"there are more than {settings.cluster_count_high_water_mark} clusters"
            if why and self._is_idle(name, used_at):
                over -= 1
                await self._drop(name, why)

    def _is_idle(self, name: str, used_at: float) -> bool:
        """Whether nobody has come since the clusters were looked at: dropping one takes its time."""
        keeper = self._keepers.get(name)
        return keeper is not None and keeper.used_at == used_at and not keeper.waiting and name not in self.in_use()

    async def delete(self, name: str, why: str) -> None:
        """Drop a cluster of the config server although it may be in use; one that is gone already is no mistake."""
        keeper = self._keepers.get(name)
        if keeper is not None and isinstance(keeper.origin, FromConfigServer):
            await self._drop(name, why)

    async def _drop(self, name: str, why: str) -> None:
        keeper = self._keepers.pop(name)
        assert isinstance(keeper.origin, FromConfigServer)
        del self._by_id[keeper.origin.name, keeper.origin.cluster_id]
        leaving = self._leaving[name] = trio.Event()
        log.info("cluster %s is dropped: %s", name, why)
        try:
            if self._supervisor is not None:
                await self._supervisor.stop(f"cluster:{name}")
        finally:
            del self._leaving[name]
            leaving.set()
            keeper.metadata.close()
            assert self.directory is not None
            if all(used != keeper.origin.name for used, _ in self._by_id):
                self.directory.forget(keeper.origin.name)
            self._dropped(name)
