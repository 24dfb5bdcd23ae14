"""The last slow statements as records that may be shown: secrets in their texts are masked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final

import msgspec

from odp_trio.config import Settings
from odp_trio.logs.statement import statement_text
from odp_trio.observe import StatementRecord

_NANOS: Final = 1e9


class SlowStatement(msgspec.Struct, frozen=True):
    """A statement that took long.  ``at`` is when it ended, in seconds since the epoch; times in seconds."""

    at: float
    seconds: float
    server_seconds: float
    proxy_seconds: float
    session: int
    cluster: str
    tenant: str
    user: str
    database: str
    server: str
    """Empty: the proxy answered."""
    rule: str
    errno: int
    sql: str
    """Its text, masked, at most digest_sql_length characters."""


def slow_statement(record: StatementRecord, settings: Settings) -> SlowStatement:
    """Return what may be shown of a statement; ``settings`` are those of its user."""
    return SlowStatement(
        at=record.wall_us / 1e6,
        seconds=record.total_ns / _NANOS,
        server_seconds=record.server_ns / _NANOS,
        proxy_seconds=record.proxy_ns / _NANOS,
        session=record.session,
        cluster=record.cluster,
        tenant=record.tenant,
        user=record.user,
        database=record.database,
        server=record.server,
        rule=record.rule,
        errno=record.errno,
        sql=statement_text(record, settings),
    )


class SlowStatements:
    """The newest slow statements; each is made once, however often they are looked at."""

    def __init__(self, settings: Callable[[], Settings], most: int) -> None:
        self._settings = settings
        self._most = most
        self._last: StatementRecord | None = None
        self._made: tuple[SlowStatement, ...] = ()

    def look(self, newest_first: Iterable[StatementRecord]) -> tuple[SlowStatement, ...]:
        """Return them, the newest first."""
        settings, fresh, first = self._settings(), [], None
        for record in islice(newest_first, self._most):
            if record is self._last:
                break
            first = first or record
            scoped = settings.scoped(record.cluster, record.tenant, record.user)
            fresh.append(slow_statement(record, scoped))
        self._last = first or self._last
        self._made = (*fresh, *self._made)[: self._most]
        return self._made
