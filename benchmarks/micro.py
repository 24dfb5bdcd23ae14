"""Pure functions alone: how long the response tracker looks at an answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from benchmarks.canned_answers import POINT_VALUE
from benchmarks.figures import Sample
from benchmarks.packets import column, eof, lenenc, ok, packets, result, text, text_row
from odp_trio.wire.response import ResponseTracker

_QUERY: Final = 0x03
_CHUNK: Final = 65536
"""What one read of a server socket brings at most."""


def measure(seconds: float) -> Iterator[Sample]:
    """Time each function for about so long."""
    point = result([column("c")], [text_row([POINT_VALUE])], proxy=True)
    each, _ = _track(point, seconds)
    yield Sample("response tracker", "point select", "ns", "odp_trio", each)
    for size in (100, 1024):
        answer = rows(size, 1 << 20)
        each, _ = _track(answer, seconds)
        yield Sample("response tracker", f"rows of {size} bytes", "MB/s", "odp_trio", len(answer) / each * 1e3)
        count = len(answer) // size
        yield Sample("response tracker", f"rows of {size} bytes", "ns/row", "odp_trio", each / count)


def rows(size: int, total: int) -> bytes:
    """Return a result of about ``total`` bytes whose row packets have ``size`` bytes each."""
    header = 4 + (1 if size < 256 else 3)
    row = text(b"x" * (size - header))
    return packets([lenenc(1), column("c"), eof(), *[row] * (total // size), eof(), ok(proxy=True)])


def _track(answer: bytes, seconds: float) -> tuple[float, int]:
    """Return the median time of tracking ``answer`` in ns, and how often it was taken."""
    tracker = ResponseTracker()
    buffer = bytearray(answer)
    times: list[int] = []
    stop = time.perf_counter() + seconds
    while time.perf_counter() < stop or not times:
        begun = time.perf_counter_ns()
        forwarded = track_once(tracker, buffer)
        times.append(time.perf_counter_ns() - begun)
        if len(answer) - forwarded != 4 + len(ok(proxy=True)):
            raise ValueError(f"the tracker passes {forwarded} of {len(answer)} bytes on")
    return sorted(times)[len(times) // 2], len(times)


def track_once(tracker: ResponseTracker, buffer: bytearray) -> int:
    """Feed a whole answer in chunks of one read; return how many bytes a client is sent."""
    tracker.begin(_QUERY)
    forwarded, begin, size = 0, 0, len(buffer)
    while not tracker.ended:
        end = min(begin + _CHUNK, size)
        forwarded += tracker.feed(buffer, begin, end) - begin + len(tracker.tail)
        if begin == tracker.pos:
            raise ValueError(f"the tracker stands still at byte {begin} of {size}")
        begin = tracker.pos
    return forwarded
