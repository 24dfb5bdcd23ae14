"""Where a statement's rows are: partitions, or why they cannot be told."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import msgspec

from odp_trio.routing.values import Values
from odp_trio.topology.partitioning import Partition


class Located(msgspec.Struct, frozen=True):
    """Leaf partitions that the statement can touch, in order; at least one, and one if it is certain."""

    partitions: tuple[Partition, ...]


class NotComputable(msgspec.Struct, frozen=True):
    """The partition cannot be worked out; the reason is one line for people."""

    reason: str


Locate = Callable[[Values], Located | NotComputable]


@final
class Plan:
    """What is left to do at each execution: call ``locate`` with its values."""

    __slots__ = ("locate",)

    def __init__(self, locate: Locate) -> None:
        self.locate = locate
