"""Where a statement ran: from the test bed's record, or from the server's own audit view."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, final

import trio

from odp_trio.testing.bed import Testbed
from odp_trio.testing.client import Row
from odp_trio.testing.fakes.cluster import FakeCluster

_PATIENCE: Final = 5.0
"""Seconds until a statement that has been answered shows in the audit view."""
_PAUSE: Final = 0.1


class Record(Protocol):
    """Knows which server got a statement."""

    async def servers(self, mark: str) -> list[int]:
        """Return the numbers of the servers that got the statement with this mark in its text, oldest first."""


@final
class BedRecord:
    """What the OBServers of a test bed wrote down."""

    def __init__(self, bed: Testbed | FakeCluster) -> None:
        self._bed = bed

    async def servers(self, mark: str) -> list[int]:
        """Return who got it."""
        return [statement.observer for statement in self._bed.statements(re.escape(mark))]


@final
class AuditRecord:
    """GV$OB_SQL_AUDIT of a tenant.  ``ask`` runs a query as a user of that tenant, best round the proxy.

    ``hosts`` are the servers as the view calls them, ``ip:port``, by their numbers; others are added as they come.
    """

    def __init__(self, ask: Callable[[str], Awaitable[list[Row]]], hosts: list[str]) -> None:
        self._ask = ask
        self._hosts = hosts

    async def servers(self, mark: str) -> list[int]:
        """Return who ran it; statements of users only."""
        return [self._number(host) for host in await self.hosts(mark)]

    async def hosts(self, mark: str) -> list[str]:
        """Return who ran it, as the view calls them."""
        query = (
            "select concat(svr_ip, ':', svr_port) from oceanbase.GV$OB_SQL_AUDIT where query_sql like "
            f"concat('%', '{mark[: len(mark) // 2]}', '{mark[len(mark) // 2 :]}', '%') "
            "and is_inner_sql = 0 order by request_time"
        )
        with trio.move_on_after(_PATIENCE):
            while True:
                rows = await self._ask(query)
                if rows:
                    return [str(row[0]) for row in rows]
                await trio.sleep(_PAUSE)
        return []

    def _number(self, host: str) -> int:
        if host not in self._hosts:
            self._hosts.append(host)
        return self._hosts.index(host)
