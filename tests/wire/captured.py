"""Conversations captured from a live kernel: tests/data/packets/*.hex.

A line that begins with ``#`` is a comment, ``>`` begins a client's packet, ``<``
one of the server's, and a blank continues the packet above.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Final

PACKETS: Final = Path(__file__).parents[1] / "data" / "packets"


@dataclass(frozen=True)
class Captured:
    """One packet, header included."""

    from_client: bool
    data: bytes

    @property
    def payload(self) -> bytes:
        return self.data[4:]


@dataclass(frozen=True)
class Exchange:
    """A command and its answer."""

    request: bytes
    answer: tuple[bytes, ...]


@cache
def conversation(name: str) -> tuple[Captured, ...]:
    """Read one file."""
    packets: list[tuple[str, str]] = []
    for line in (PACKETS / f"{name}.hex").read_text().splitlines():
        mark, digits = line[:1], line[1:]
        if mark in ("<", ">"):
            packets.append((mark, digits))
        elif mark == " ":
            packets[-1] = (packets[-1][0], packets[-1][1] + digits)
    return tuple(Captured(mark == ">", bytes.fromhex(digits)) for mark, digits in packets)


def payload(name: str, at: int) -> bytes:
    """Return one payload of a file."""
    return conversation(name)[at].payload


@cache
def exchanges(name: str) -> tuple[Exchange, ...]:
    """Read a file of commands and answers."""
    runs = [list(run) for _, run in groupby(conversation(name), key=lambda each: each.from_client)]
    pairs = zip(runs[::2], runs[1::2], strict=True)
    return tuple(Exchange(sent[0].data, tuple(each.data for each in answer)) for sent, answer in pairs)
