"""What a fake cluster consists of, as records: servers, zones, tenants, and what statements they got."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import msgspec

from odp_trio.model import Address


class Statement(msgspec.Struct, frozen=True):
    """One command that an OBServer got, as in ``odp_trio.testing.relay``; ``at`` is in the caller's time."""

    observer: int
    connection: int
    user: str
    tenant: str
    by_proxy: bool
    command: str
    sql: str
    at: float


@dataclass(slots=True)
class Armed:
    """A fault that is used up: ``times`` < 0 is for ever."""

    errno: int
    sqlstate: str
    message: str
    times: int
    match: re.Pattern[str] | None = None
    reroute: Address | None = None


@dataclass(slots=True)
class FakeServer:
    """One OBServer."""

    number: int
    address: Address
    zone: str
    status: str = "ACTIVE"
    started: bool = True
    stopped: bool = False
    listed: bool = True
    listening: bool = True
    frozen: bool = False
    slow: float = 0.0
    lag: float = 0.0
    """Seconds that its followers are behind."""
    cut_after: int | None = None
    answers: list[Armed] = field(default_factory=list)
    misses: list[Armed] = field(default_factory=list)
    logins: list[Armed] = field(default_factory=list)
    connections: int = 0

    def end_faults(self) -> None:
        """Forget every fault but a freeze."""
        self.slow, self.cut_after = 0.0, None
        for armed in (self.answers, self.misses, self.logins):
            armed.clear()


@dataclass(slots=True)
class FakeZone:
    """One zone."""

    name: str
    idc: str
    region: str = "region1"
    kind: str = "ReadWrite"
    status: str = "ACTIVE"


@dataclass(slots=True)
class FakeTenant:
    """One tenant, and the numbers of the servers that host it."""

    name: str
    number: int
    servers: list[int]
    primary_zone: str = "RANDOM"
    locality: str = "FULL{1}@zone1"


def take(armed: list[Armed], sql: str = "") -> Armed | None:
    """Return the first armed fault that matches, and count it off."""
    for fault in armed:
        if fault.times and (fault.match is None or fault.match.search(sql)):
            fault.times -= 1
            return fault
    return None
