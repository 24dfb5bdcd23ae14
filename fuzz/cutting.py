"""The same bytes whole and in pieces, and choices made by the input's first bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """Takes decisions from the beginning of an input; what is left of it is ``rest``."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def byte(self) -> int:
        """Take one byte; 0 at the end."""
        at = self._at
        self._at += 1
        return self._data[at] if at < len(self._data) else 0

    def number(self, size: int = 2) -> int:
        """Take a number of ``size`` bytes."""
        found = int.from_bytes(self._data[self._at : self._at + size], "little")
        self._at += size
        return found

    def flag(self) -> bool:
        """Take a byte as yes or no."""
        return bool(self.byte() & 1)

    def piece(self, most: int = 255) -> bytes:
        """Take a length and as many bytes."""
        length = min(self.byte(), most)
        found = self._data[self._at : self._at + length]
        self._at += length
        return found

    @property
    def rest(self) -> bytes:
        """What has not been taken."""
        return self._data[self._at :]

    @property
    def left(self) -> int:
        """How many bytes have not been taken."""
        return max(len(self._data) - self._at, 0)


def pieces(data: bytes, size: int) -> list[bytes]:
    """Cut bytes every ``size`` bytes; 0: not at all."""
    return [data[at : at + size] for at in range(0, len(data), size)] if size else [data]


def outcome(run: Callable[[], T], *expected: type[Exception]) -> T | type[Exception]:
    """Return what a parser gives, or the class of the error that it is allowed to raise."""
    try:
        return run()
    except expected as error:
        if not str(error):
            raise AssertionError("an error that says nothing") from error
        return type(error)
