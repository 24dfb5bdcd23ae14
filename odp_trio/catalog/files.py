"""Files that are read whole, replaced whole, and written by one process at a time.

Every call may take as long as the disk does: they are for threads.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import secrets
import stat
import time
import weakref
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import final

from odp_trio.errors import BadCacheFile


@final
class Lock:
    """An advisory lock that lasts as long as the process that has it; the file stays, for it to be found."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._close: weakref.finalize[[int], Lock] | None = None
        self._inode = (0, 0)

    @property
    def held(self) -> bool:
        """Whether this process has it."""
        return self._close is not None

    def acquire(self) -> bool:
        """Whether it is held since now; False as well if it was held before.  Raises OSError."""
        if self.held and self._inode == _inode(self._path):
            return False
        self.release()  # somebody removed the file: a lock of it keeps nobody away
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(descriptor)
            if isinstance(exc, BlockingIOError):
                return False
            raise
        found = os.fstat(descriptor)
        self._inode = (found.st_dev, found.st_ino)
        self._close = weakref.finalize(self, os.close, descriptor)
        return True

    def release(self) -> None:
        """Let it go; nothing if it is not held."""
        if self._close is not None:
            self._close()
            self._close = None


def _inode(path: Path) -> tuple[int, int]:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return (0, 0)
    return (found.st_dev, found.st_ino)


def read_whole(path: Path, most: int) -> bytes:
    """Return a file's bytes; raise OSError, or BadCacheFile for more than ``most`` bytes and for what is no file.

    Never waits, not even for a pipe that nobody writes to.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise BadCacheFile("it is not a regular file")
        if found.st_size > most:
            raise BadCacheFile(f"it has {found.st_size} bytes; at most {most} are allowed")
        data = bytearray()
        while len(data) <= most and (piece := os.read(descriptor, 1 << 20)):
            data += piece
        return bytes(data)
    finally:
        os.close(descriptor)


def temporary_name(path: Path) -> Path:
    """Return a name beside a file that nobody else has: process ids are the same in many containers."""
    return path.with_name(f"{path.name}.tmp-{secrets.token_hex(8)}")


def replace_whole(path: Path, data: bytes, temporary: Path) -> None:
    """Make a file hold ``data``: at any moment it holds all of that or what it held before.  Raises OSError."""
    with suppress(FileNotFoundError):
        temporary.unlink()  # a link that somebody put there is removed, not followed
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(temporary, path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
    _sync_directory(path.parent)


def remove_temporaries(path: Path, older_than: float = 0.0) -> None:
    """Remove what processes that were killed in ``replace_whole`` have left, if it is so many seconds old."""
    for left in path.parent.glob(f"{path.name}.tmp-*"):
        with suppress(OSError):
            if not older_than or time.time() - left.lstat().st_mtime > older_than:
                left.unlink()


def move_aside(path: Path, now: float, keep: int) -> Path | None:
    """Rename a bad file to ``NAME.bad-TIME`` and keep the last few such; None if it cannot be renamed."""
    stem = f"{path.name}.bad-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}"
    try:
        aside = next(other for other in _names(path, stem) if not os.path.lexists(other))
        os.rename(path, aside)
        _sync_directory(path.parent)
    except OSError:
        return None
    older = sorted(other for other in path.parent.glob(f"{path.name}.bad-*") if other != aside)
    for other in older[: max(0, len(older) - keep + 1)]:
        with suppress(OSError):
            other.unlink()
    return aside


def _names(path: Path, stem: str) -> Iterator[Path]:
    yield path.with_name(stem)
    for number in itertools.count(2):
        yield path.with_name(f"{stem}-{number:03d}")


def _sync_directory(directory: Path) -> None:
    """Make names last too, where the file system can."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
