"""Log files: written to the end, renamed when they are full, removed when they are old or too many.

Several processes may write to one directory (the watch and its proxies, two versions
in a hot upgrade): a file that another one has renamed is left and opened anew, and only
one of them renames it.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final, final

import msgspec

PREFIX: Final = "obproxy"
_ARCHIVE: Final = re.compile(rf"{PREFIX}\w*\.log(?:\.wf)?\.(\d{{14}})(?:\.\d+)?")
"""``NAME.YYYYmmddHHMMSS``, as ODP has it; a number behind it where one second saw several."""


@final
class LogFile:
    """One file of lines.  Errors of the file system are the caller's."""

    def __init__(self, path: Path, moment: Callable[[], datetime] = datetime.now) -> None:
        self.path = path
        self._moment = moment
        self._descriptor = -1

    def write(self, data: bytes, size_limit: int) -> None:
        """Append whole lines with one call, so that those of other processes stay whole; rename a full file first."""
        self._reopen()
        size = os.fstat(self._descriptor).st_size
        if size and size + len(data) > size_limit:
            self._rename()
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def close(self) -> None:
        """Close it; ``write`` opens it again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _reopen(self) -> None:
        """Open the file of this name, whoever has renamed the one before."""
        if self._descriptor >= 0 and not self._is_current():
            self.close()
        if self._descriptor < 0:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._descriptor = os.open(self.path, flags, 0o640)

    def _is_current(self) -> bool:
        try:
            named = os.stat(self.path)
        except FileNotFoundError:
            return False
        ours = os.fstat(self._descriptor)
        return (named.st_dev, named.st_ino) == (ours.st_dev, ours.st_ino)

    def _rename(self) -> None:
        """Rename the full file, unless another process was faster, and open a new one."""
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)  # of this very file: who waits finds that it has been renamed
        try:
            if self._is_current():
                self.path.rename(self._free_name())
        finally:
            self.close()
        self._reopen()

    def _free_name(self) -> Path:
        stamp = self._moment().strftime("%Y%m%d%H%M%S")
        archive, number = self.path.with_name(f"{self.path.name}.{stamp}"), 0
        while archive.exists():
            number += 1
            archive = self.path.with_name(f"{self.path.name}.{stamp}.{number}")
        return archive


class Keep(msgspec.Struct, frozen=True):
    """What is kept of renamed files.  0: no such limit."""

    count: int
    seconds: float
    bytes: int
    """Of all log files together, those that are being written to as well."""
    percentage: int
    """Of their file system."""


class _Archive(msgspec.Struct, frozen=True):
    path: Path
    stamp: str
    size: int
    written: float


def clean(directory: Path, keep: Keep, now: float, capacity: Callable[[Path], int] | None = None) -> list[Path]:
    """Remove renamed log files that are not to be kept, the oldest first; return them.

    ``now`` is the wall clock; ``capacity`` says the size of a directory's file system.
    Other files are left alone.
    """
    archives, used = _survey(directory)
    allowed = keep.bytes or float("inf")
    if keep.percentage:
        allowed = min(allowed, (capacity or _capacity)(directory) * keep.percentage / 100)
    removed = []
    for left, archive in zip(range(len(archives), 0, -1), archives, strict=True):
        old = keep.seconds and now - archive.written > keep.seconds
        if not (old or used > allowed or 0 < keep.count < left):
            continue
        try:
            archive.path.unlink()
        except FileNotFoundError:
            pass  # another process has removed it
        else:
            removed.append(archive.path)
        used -= archive.size
    return removed


def _survey(directory: Path) -> tuple[list[_Archive], int]:
    """Return the renamed files, the oldest first, and the size of all log files."""
    archives, used = [], 0
    with os.scandir(directory) as found:
        for entry in found:
            if (
                not entry.name.startswith(PREFIX)
                or ".log" not in entry.name
                or not entry.is_file(follow_symlinks=False)
            ):
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            used += status.st_size
            if (match := _ARCHIVE.fullmatch(entry.name)) is not None:
                archives.append(_Archive(Path(entry.path), match[1], status.st_size, status.st_mtime))
    archives.sort(key=lambda archive: (archive.stamp, archive.written, archive.path.name))
    return archives, used


def _capacity(directory: Path) -> int:
    return shutil.disk_usage(directory).total
