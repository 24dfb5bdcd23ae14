"""Ways to cut bytes into pieces."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise


def every_split(data: bytes, step: int = 1) -> Iterator[list[bytes]]:
    """Give ``data`` whole, byte by byte, and in two pieces at every point (every ``step``-th of a long one)."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    for at in range(1, len(data), step):
        yield [data[:at], data[at:]]


def cut(data: bytes, points: list[int]) -> list[bytes]:
    """Cut ``data`` at these points."""
    places = [0, *sorted({point % (len(data) + 1) for point in points}), len(data)]
    return [data[start:end] for start, end in pairwise(places) if start != end]
