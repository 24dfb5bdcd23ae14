"""The configuration of a running proxy: its layers, what is in force, and how it is changed.

A change is checked as a whole with everything else that is configured, kept in
``etc_dir``, and only then in force.  Who must do something when settings change
subscribes; most just ask ``settings()`` each time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

import msgspec
import trio

from odp_trio.catalog.files import remove_temporaries, replace_whole, temporary_name
from odp_trio.config.changes import (
    AlterReport,
    Change,
    Changed,
    Impact,
    canonical,
    check_scopes,
    differences,
    differing,
    running,
)
from odp_trio.config.options import Settings
from odp_trio.config.settings import Built
from odp_trio.config.sources import Sources, render_kept
from odp_trio.errors import ConfigError
from odp_trio.model import Address
from odp_trio.workers.asking import Question, Workers

if TYPE_CHECKING:
    from odp_trio.config.impact import Seen
    from odp_trio.config.listing import ConfigRow

log = logging.getLogger("odp_trio.admin")

ALTER: Final = "alter"
"""What workers agree on."""
_OLD_SECONDS: Final = 60.0
"""What a killed process left is removed; what another one writes at this moment is not."""

Subscriber = Callable[[Settings, Settings], None]
"""Called with the settings before and after; it must not raise, nor wait."""


@final
class Configuration:
    """Layers and the settings that are in force."""

    def __init__(self, sources: Sources) -> None:
        """Raise ConfigError for layers that make no settings."""
        self._sources = self._first = sources
        self._configured = sources.build()
        self._started = self._settings = self._configured.settings
        self._subscribers: list[Subscriber] = []
        self._lock = trio.Lock()
        self._workers: Workers | None = None
        self._prepared: _Planned | None = None
        self.handed_over = False
        """Another process serves by now: what this one would keep would undo that one's changes."""
        self._reread: Callable[[], Sources] | None = None
        self.look: Callable[[], Seen] = _nothing_seen
        """Says what the proxy knows of its surroundings, for impact reports."""

    @classmethod
    def read(cls, reread: Callable[[], Sources]) -> Configuration:
        """Return a configuration of what a function reads, now and at each ``read_again``."""
        made = cls(reread())
        made._reread = reread
        return made

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is configured and passed over."""
        return self._configured.warnings

    def read_again(self) -> None:
        """Read everything anew, for a process that has waited for its turn; before anything runs.

        What cannot be read any more is logged, and stays as it was.
        """
        if self._reread is None:
            return
        try:
            fresh = Configuration(self._reread())
        except (ConfigError, OSError) as exc:
            log.error("the settings are as they were when this process started: %s", exc)
            return
        self._sources, self._configured = fresh._sources, fresh._configured
        self._first, self._started = fresh._sources, fresh._settings
        self._settings = fresh._settings

    def lineage(self) -> bytes:
        """Return all layers, for a process that is started to be one with this."""
        from odp_trio.config.lineage import encode_lineage

        return encode_lineage(self._first, self._sources)

    def adopt(self, lineage: bytes) -> None:
        """Be as another process is, before anything runs; raise ConfigError or DecodeError with nothing changed."""
        from odp_trio.config.lineage import decode_lineage

        first, sources = decode_lineage(lineage)
        started, configured = first.build().settings, sources.build()
        self._first, self._sources, self._configured = first, sources, configured
        self._started, self._settings = started, running(configured.settings, started)

    def join(self, workers: Workers) -> None:
        """Change nothing from now on but in all workers of a proxy, or in none."""
        self._workers = workers

    def settings(self) -> Settings:
        """Return the settings in force: options that need a restart are as they were at the start."""
        return self._settings

    def subscribe(self, callback: Subscriber) -> None:
        """Have a function called at each change, when it is in force; never at a dry run."""
        self._subscribers.append(callback)

    def rows(self, like: str = "%", *, diff: bool = False, all_scopes: bool = False) -> list[ConfigRow]:
        """Return the rows of ``SHOW PROXYCONFIG [DIFF | ALL] LIKE``."""
        from odp_trio.config.listing import config_rows

        return config_rows(self._configured, self._settings, like, diff=diff, all_scopes=all_scopes)

    async def alter(self, changes: Sequence[Change], *, dry_run: bool = False) -> AlterReport:
        """Make changes, all or none; with ``dry_run`` say only what they would do.

        Raises ConfigError naming every mistake, with nothing changed: UnknownOption (5099), ForeignOption and
        FixedOption (1235) where the first mistake is such a one, and for a file that cannot be written; WorkerMissing
        when there are several workers, and one of them does not answer.
        """
        if self._workers is not None and self._workers.count > 1 and not dry_run:
            return await self._agree(self._workers, changes)
        async with self._lock:
            if self.handed_over and not dry_run:
                raise ConfigError("nothing is changed: another process serves by now; connect anew, and tell that one")
            planned = await trio.to_thread.run_sync(_plan, self._sources, self._configured, changes, self.look())
            report = AlterReport(planned.changed, planned.impacts, dry_run, planned.sources.kept_in)
            if dry_run:
                return report
            with trio.CancelScope(shield=True):  # what is kept and what is in force are the same
                if report.kept_in:
                    await trio.to_thread.run_sync(keep, Path(report.kept_in), render_kept(planned.sources.kept))
                self._put_in_force(planned)
        log.info("altered: %s", "; ".join(map(str, report.changed)))
        return report

    async def reload(self, sources: Sources) -> AlterReport:
        """Put other settings in the place of those that this process began with.

        What was changed at run time stays above them, and what a start alone can set stays as it is.  All or nothing:
        raises ConfigError naming every mistake, and for other clusters than there are.
        """
        async with self._lock:
            if self.handed_over or (self._workers is not None and self._workers.count > 1):
                raise ConfigError("nothing is changed: only a proxy of one process can be told other settings")
            planned = await trio.to_thread.run_sync(_replan, self._sources, self._configured, sources, self.look())
            self._put_in_force(planned)
        log.info("reloaded: %s", "; ".join(map(str, planned.changed)) or "nothing is different")
        return AlterReport(planned.changed, planned.impacts, False, "")

    # ---- several workers ------------------------------------------------------------------

    async def _agree(self, workers: Workers, changes: Sequence[Change]) -> AlterReport:
        reports: list[AlterReport] = []

        async def seal() -> None:
            """All can: keep it.  Who is started from now on reads it."""
            planned = self._prepared
            if planned is None:
                raise ConfigError("nothing is changed: this worker took no part in it")
            report = AlterReport(planned.changed, planned.impacts, False, planned.sources.kept_in)
            if report.kept_in:
                await trio.to_thread.run_sync(keep, Path(report.kept_in), render_kept(planned.sources.kept))
            reports.append(report)

        with trio.CancelScope(shield=True):
            agreement = await workers.agree(Question(ALTER, msgspec.msgpack.encode(changes)), seal=seal)
        agreement.check()
        log.info("altered in all workers: %s", "; ".join(map(str, reports[0].changed)))
        return reports[0]

    async def prepare(self, body: bytes) -> bytes:
        """Plan what another worker, or this one, was asked to change; raise ConfigError if it cannot be."""
        if self.handed_over:
            raise ConfigError("nothing is changed: another process serves by now; connect anew, and tell that one")
        changes = msgspec.msgpack.decode(body, type=list[Change])
        self._prepared = await trio.to_thread.run_sync(_plan, self._sources, self._configured, changes, self.look())
        return b""

    def commit(self) -> None:
        """Put what was planned in force."""
        planned, self._prepared = self._prepared, None
        assert planned is not None
        self._put_in_force(planned)

    def abandon(self) -> None:
        """Forget what was planned."""
        self._prepared = None

    def _put_in_force(self, planned: _Planned) -> None:
        self._sources, self._configured = planned.sources, planned.configured
        old, self._settings = self._settings, running(self._configured.settings, self._started)
        settings = self._settings
        for callback in self._subscribers:
            try:
                callback(old, settings)
            except Exception:  # the others are to know all the same
                log.exception("a change of settings")


class _Planned(msgspec.Struct, frozen=True):
    """What changes would make."""

    sources: Sources
    configured: Built
    changed: tuple[Changed, ...]
    impacts: tuple[Impact, ...]


def _nothing_seen() -> Seen:
    from odp_trio.config.impact import Seen  # for changes, which come after the start

    return Seen()


def _plan(sources: Sources, configured: Built, changes: Sequence[Change], seen: Seen) -> _Planned:
    """Make the settings, and say what is to be expected; in a thread, since there may be thousands of tenants."""
    from odp_trio.config.impact import impacts, of_layers

    changes = canonical(changes)
    check_scopes(changes, configured.settings)
    new = msgspec.structs.replace(sources, kept=sources.kept.having(changes), altered=sources.altered.having(changes))
    built = new.build()
    of_changes = impacts(configured.settings, built.settings, seen)
    found = (*of_layers(built, new.next_start(), changes), *of_changes)
    return _Planned(new, built, differences(configured, built, changes), found)


def _replan(sources: Sources, configured: Built, other: Sources, seen: Seen) -> _Planned:
    """As ``_plan``, of other settings below the changes that were made."""
    from odp_trio.config.impact import impacts

    new = msgspec.structs.replace(
        other, kept=sources.kept, kept_in=sources.kept_in, stronger=sources.stronger, altered=sources.altered
    )
    built = new.build()
    if _rslists(built.settings) != _rslists(configured.settings):
        raise ConfigError("nothing is changed: clusters and their rslists are those of the start")
    changes = differing(configured.settings, built.settings)
    return _Planned(
        new, built, differences(configured, built, changes), tuple(impacts(configured.settings, built.settings, seen))
    )


def _rslists(settings: Settings) -> dict[str, tuple[Address, ...]]:
    return {name: cluster.rslist for name, cluster in settings.clusters.items()}


def keep(path: Path, text: str) -> None:
    """Write the file of what is kept, in one step; raise ConfigError if that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_temporaries(path, older_than=_OLD_SECONDS)
        replace_whole(path, text.encode(), temporary_name(path))
    except OSError as exc:
        raise ConfigError(f"nothing is changed: {path} cannot be written: {exc.strerror or exc}") from exc


def sources_of(settings: Settings | Path) -> Sources:
    """Return the sources of settings that somebody made, or of a file; raise ConfigError if it cannot be used."""
    if isinstance(settings, Settings):
        return Sources(base=settings)
    from odp_trio.admin.start import read_file  # a process of its own has read its file already

    return Sources(weaker=(read_file(settings),))


def configuration_of(settings: Settings | Path) -> Configuration:
    """Return a configuration over settings, or a file of them: changes are in force, and kept nowhere."""
    return Configuration(sources_of(settings))
