"""The local file of rslists on disk: etc_dir/obproxy_rslist_info.json, read at start, replaced at every change.

Who reads it sees a whole file at any moment, whatever happens to who writes it: it is
written under another name, synchronised and renamed.  One process writes, the
one that holds the lock beside it; others read.  File work is done in a thread.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, final

import msgspec
import trio

import odp_trio
from odp_trio.catalog.files import (
    Lock,
    move_aside,
    read_whole,
    remove_temporaries,
    replace_whole,
    temporary_name,
)
from odp_trio.errors import BadCacheFile
from odp_trio.topology.rslist_file import MOST_BYTES, CachedRslist, Contents, read_rslist_file, write_rslist_file

NAME: Final = "obproxy_rslist_info.json"
BAD_FILES_KEPT: Final = 5
_LEFT_OUT_SHOWN: Final = 3

log = logging.getLogger("odp_trio.catalog")


class _Found(msgspec.Struct, frozen=True):
    """What was on the disk.  ``refused`` is why the file is not used, ``aside`` where it is now."""

    contents: Contents | None = None
    refused: str = ""
    aside: str = ""


class _Written(msgspec.Struct, frozen=True):
    """What became of a write.  ``inherited`` is what another process had written until now."""

    done: bool
    left_out: tuple[str, ...] = ()
    inherited: _Found | None = None


async def _nobody_else(_: Sequence[CachedRslist]) -> bool:
    return False


@final
class RslistFile:
    """The file of one directory.  ``clock`` gives seconds since 1970.

    Nothing here raises for what is wrong with the file, the directory or the disk: it is
    logged once, and ``problem`` says it until a write succeeds.
    """

    def __init__(self, directory: Path, clock: Callable[[], float]) -> None:
        self.path = directory / NAME
        self.problem = ""
        """What an operator should see to; empty when all is well."""
        self.refused = ""
        """Why the file that was found was not used, and where it is now; empty if it was used or not there."""
        self.written_at: float | None = None
        """When the file was written last, by whomever; None when there is none."""
        self.writes = 0
        self.failures = 0
        """Writes that failed."""
        self.pending = False
        """The last entries given to ``save`` are not on the disk: give them again later."""
        self.elsewhere: Callable[[Sequence[CachedRslist]], Awaitable[bool]] = _nobody_else
        """Where this process may not write: has somebody else write the entries, and says whether that was done."""
        self._clock = clock
        self._lock = Lock(directory / f"{NAME}.lock")
        self._temporary = temporary_name(self.path)
        self._inherited: Mapping[str, CachedRslist] = {}
        self._turn = trio.Lock()
        self._newest: Sequence[CachedRslist] = ()
        self._given = 0
        self._taken = 0
        self._read_only = False

    @property
    def writer(self) -> bool:
        """Whether this process is the one that writes the file."""
        return self._lock.held

    def close(self) -> None:
        """Let another process write."""
        self._lock.release()

    async def load(self) -> tuple[CachedRslist, ...]:
        """Return the entries; none when there is no file, or one that cannot be used, which is moved aside."""
        async with self._turn:
            found = await trio.to_thread.run_sync(self._load)
        self._note_found(found)
        if found.contents is None:
            return ()
        contents = found.contents
        self._newest = self._newest or contents.entries
        self.written_at = contents.written_at
        age = max(0.0, self._clock() - contents.written_at)
        log.info("%s: %d clusters, written %.0f s ago", self.path, len(contents.entries), age)
        return contents.entries

    async def save(self, entries: Iterable[CachedRslist]) -> None:
        """Replace the file; return when these entries, or later ones, are written or could not be.

        What is given while a write is under way is written once it is done, the last of it only.
        """
        self._newest = tuple(entries)
        self._given += 1
        mine = self._given
        async with self._turn:
            if self._taken >= mine:
                return
            taken, newest, now = self._given, self._newest, self._clock()
            try:
                written = await trio.to_thread.run_sync(self._write, newest, now)
            except (OSError, BadCacheFile) as exc:
                self._note_failure(exc)
            else:
                self._note_written(written, now)
            self._taken = taken
        if self.pending and not self.writer and await self.elsewhere(newest):
            self.pending = False

    async def take(self, entries: Iterable[CachedRslist]) -> bool:
        """Write what another process may not write beside our own; whether that was done."""
        if not self.writer:
            return False
        self._inherited = {**self._inherited, **{entry.rslist.cluster: entry for entry in entries}}
        await self.save(self._newest)
        return not self.pending

    # ---- what came of it ----------------------------------------------------------------

    def _note_found(self, found: _Found) -> None:
        if found.contents is not None and found.contents.ahead:
            self._note(
                f"{self.path} has times {found.contents.ahead:.0f} s ahead of the clock: "
                "one of the two is wrong, and ages count from now"
            )
        if found.refused:
            where = f"; it is now {found.aside}" if found.aside else ""
            self.refused = f"{self.path} is not used: {found.refused}{where}"
            self._note(self.refused)

    def _note_failure(self, exc: OSError | BadCacheFile) -> None:
        self.failures += 1
        self.pending = True
        self._note(f"{self.path} cannot be written: {_why(exc)}")

    def _note_written(self, written: _Written, now: float) -> None:
        if not written.done:
            if not self._read_only:
                log.info("%s: another proxy writes it, this one reads it", self.path)
            self.pending = self._read_only = True
            return
        if written.inherited is not None:
            self._note_found(written.inherited)
        if self._read_only:
            log.info("%s: the other proxy is gone, this one writes it", self.path)
        self.pending = self._read_only = False
        self.writes += 1
        self.written_at = now
        self._note("; ".join(written.left_out[:_LEFT_OUT_SHOWN]))

    def _note(self, problem: str) -> None:
        if problem and problem != self.problem:
            log.warning("%s", problem)
        elif self.problem and not problem:
            log.info("%s: written, and all is well with it", self.path)
        self.problem = problem

    # ---- in a thread ----------------------------------------------------------------------

    def _load(self) -> _Found:
        with suppress(OSError):  # who may not write can read all the same
            self._lock.acquire()
        return self._find()

    def _find(self) -> _Found:
        """Read the file; its writer clears away what a killed one left, and a file that nobody can use."""
        if self._lock.held:
            remove_temporaries(self.path)
        try:
            return _Found(read_rslist_file(read_whole(self.path, MOST_BYTES), self._clock()))
        except (FileNotFoundError, NotADirectoryError):
            return _Found()
        except OSError as exc:
            return _Found(refused=f"it cannot be read: {_why(exc)}")
        except BadCacheFile as exc:
            aside = move_aside(self.path, self._clock(), BAD_FILES_KEPT) if self._lock.held else None
            return _Found(refused=str(exc), aside=str(aside or ""))

    def _write(self, entries: Sequence[CachedRslist], now: float) -> _Written:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        inherited = None
        if self._lock.acquire():
            inherited = self._find()
            if inherited.contents is not None:
                self._inherited = {entry.rslist.cluster: entry for entry in inherited.contents.entries}
        elif not self._lock.held:
            return _Written(done=False)
        mine = {entry.rslist.cluster for entry in entries}
        others = [entry for name, entry in self._inherited.items() if name not in mine]
        made_by = f"odp-trio {odp_trio.__version__}"
        encoded = write_rslist_file((*entries, *others), made_by=made_by, written_at=now)
        replace_whole(self.path, encoded.data, self._temporary)
        return _Written(done=True, left_out=encoded.left_out, inherited=inherited)


def _why(exc: Exception) -> str:
    return exc.strerror or str(exc) if isinstance(exc, OSError) else str(exc)
