"""Counters: plain integers on plain objects, read when somebody asks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Traffic:
    """What went through the lane of one session, or of many."""

    statements: int = 0
    errors: int = 0
    client_bytes_in: int = 0
    server_bytes_in: int = 0

    def add(self, other: Traffic) -> None:
        """Count in what went through another lane."""
        self.statements += other.statements
        self.errors += other.errors
        self.client_bytes_in += other.client_bytes_in
        self.server_bytes_in += other.server_bytes_in


@dataclass(slots=True)
class Counts:
    """What happened to the sessions of one proxy; keys of the counters come from closed lists."""

    accepted: int = 0
    logins: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    """Logins refused, by errno."""
    ends: Counter[str] = field(default_factory=Counter)
    """Sessions ended, by reason."""
    server_ends: Counter[str] = field(default_factory=Counter)
    """Server sessions ended, by reason."""
    server_connects: int = 0
    server_connect_failures: int = 0
    server_failures: Counter[str] = field(default_factory=Counter)
    """Failures of OBServers that sessions saw, by kind."""
    failed_statements: Counter[str] = field(default_factory=Counter)
    """Statements that failed on a server, by what became of them."""
    tenant_fetches: int = 0
    tenant_invalidations: int = 0
    route_waits: int = 0
    """Statements that waited for a location."""
    replays: int = 0
    """Commands that brought a server session to the client's state."""
    reprepares: int = 0
    location_fetches: int = 0
    location_renewals: int = 0
    location_dirtied: int = 0
    traffic: Traffic = field(default_factory=Traffic)
    """Of sessions that have ended; those that run have their own."""
