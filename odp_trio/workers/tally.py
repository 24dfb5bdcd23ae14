"""What all workers count together, in memory that they share: clients, those of a tenant, those of a user.

Every process has a row of its own and writes to no other; who wants to know adds up a column.  The clients of the proxy
have a cell for themselves.  Names have two cells of many each, and the smaller sum counts: names that share both are
rare, and then each is thought to have the other's clients too.
"""

from __future__ import annotations

import mmap
import os
import zlib
from collections.abc import Hashable
from typing import Final, final

EVERYBODY: Final = ""
"""The name of what has a cell for itself."""
_CELLS: Final = 1 << 16
_ROW_BYTES: Final = 4 * _CELLS
ROWS_PER_WORKER: Final = 4
"""Processes that may be there at once for each worker: one serves, others are made ready or drain."""


@final
class Tally:
    """One process' row, and what all rows say.  ``row`` is None for who writes none: the parent."""

    def __init__(self, descriptor: int, rows: int, row: int | None = None) -> None:
        """Raise OSError or ValueError for a descriptor that is no such memory; it may be closed afterwards."""
        self._memory = mmap.mmap(descriptor, rows * _ROW_BYTES)
        self._cells = memoryview(self._memory).cast("i")
        self._rows = range(0, rows * _CELLS, _CELLS)
        self._mine = 0 if row is None else row * _CELLS

    def add(self, name: Hashable, by: int) -> int:
        """Count ``by`` more of a name, or fewer; return how many of it there are in all processes."""
        cells, mine = self._cells, self._mine
        where = _where(name)
        for cell in where:
            cells[mine + cell] += by
        return min(sum(cells[row + cell] for row in self._rows) for cell in where)

    def clear(self, row: int) -> None:
        """Forget what a process has counted that is gone."""
        self._memory[row * _ROW_BYTES : (row + 1) * _ROW_BYTES] = bytes(_ROW_BYTES)

    def close(self) -> None:
        """Give the memory back."""
        self._cells.release()
        self._memory.close()


def _where(name: Hashable) -> tuple[int, ...]:
    if name == EVERYBODY:
        return (0,)
    data = repr(name).encode()
    return tuple({1 + zlib.crc32(data) % (_CELLS - 1), 1 + zlib.adler32(data[::-1] * 3) * 2654435761 % (_CELLS - 1)})


def open_tally(workers: int) -> tuple[int, int]:
    """Return a descriptor of memory for so many workers, which is gone with those who have it, and its rows."""
    rows = workers * ROWS_PER_WORKER
    descriptor = os.memfd_create("odp-trio clients", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, rows * _ROW_BYTES)
    return descriptor, rows
