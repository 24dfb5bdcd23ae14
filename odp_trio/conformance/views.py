"""What the servers' own views tell of where statements run and who leads a partition; believed only if they can."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import count
from typing import Final

import msgspec
import trio

from odp_trio.conformance.needs import Needs
from odp_trio.conformance.record import AuditRecord, Record
from odp_trio.conformance.target import Leaders
from odp_trio.errors import OdpError
from odp_trio.testing.client import Row

Ask = Callable[[str], Awaitable[list[Row]]]
"""Runs a query as the user."""
AUDIT: Final = "select svr_ip, svr_port from oceanbase.GV$OB_SQL_AUDIT limit 1"
HOSTS: Final = "select distinct concat(svr_ip, ':', svr_port) as host from oceanbase.DBA_OB_LS_LOCATIONS order by host"
LEADERS: Final = "select concat(svr_ip, ':', svr_port) from oceanbase.DBA_OB_TABLE_LOCATIONS where role = 'LEADER'"
NO_AUDIT: Final = (
    "nothing says where a statement ran: oceanbase.GV$OB_SQL_AUDIT names no servers, is off, or may not be read"
)
ONE_HOST: Final = (
    "nothing says where a statement ran: oceanbase.GV$OB_SQL_AUDIT does not tell the servers of --rslist apart"
)
NO_LEADERS: Final = (
    "nothing says which server leads which partition: oceanbase.DBA_OB_TABLE_LOCATIONS is not there, or may not be read"
)
_PATIENCE: Final = 15.0
_MARKS: Final = count(1)


class Views(msgspec.Struct):
    """What the views make possible."""

    has: Needs = Needs.NOTHING
    record: Record | None = None
    leaders: Leaders | None = None
    lacks: dict[Needs, str] = {}
    """Why something is not possible."""


async def what_views_tell(ask: Ask, servers: Sequence[Ask]) -> Views:
    """See which views the user may read, and whether the audit view knows every server by a name of its own.

    ``servers`` ask each server of the rslist, in its order, round any proxy.
    """
    found = Views()
    hosts = [str(row[0]) for row in await _rows(ask, HOSTS) or ()]
    if max(len(hosts), len(servers)) > 1:
        found.has |= Needs.SEVERAL
    if not await _rows(ask, AUDIT):
        found.lacks[Needs.WHERE] = NO_AUDIT
    elif servers:
        told = [await _name(server, ask) for server in servers]
        if not all(told):
            found.lacks[Needs.WHERE] = NO_AUDIT
        elif len(set(told)) < len(told):
            found.lacks[Needs.WHERE] = ONE_HOST
        hosts = [*told, *(host for host in hosts if host not in told)]
    if Needs.WHERE not in found.lacks:
        found.has |= Needs.WHERE
        found.record = AuditRecord(ask, hosts)
    if await _rows(ask, f"{LEADERS} limit 1") is None:
        found.lacks[Needs.LEADERS] = NO_LEADERS
    else:
        found.has |= Needs.LEADERS
        found.leaders = partial(_leaders, ask, hosts)
    return found


async def _rows(ask: Ask, sql: str) -> list[Row] | None:
    """Return the rows of a query; None if it fails."""
    with trio.move_on_after(_PATIENCE):
        try:
            return await ask(sql)
        except OdpError:
            return None
    return None


async def _name(server: Ask, ask: Ask) -> str:
    """Return what the audit view calls a server; "" if it does not tell of what ran there."""
    mark = f"odp-conformance server {next(_MARKS)} {secrets.token_hex(4)}."
    await server(f"select 1 /* {mark} */")
    return next(iter(await AuditRecord(ask, []).hosts(mark)), "")


async def _leaders(ask: Ask, hosts: list[str], database: str, table: str) -> list[int]:
    rows = await ask(f"{LEADERS} and database_name = '{database}' and table_name = '{table}' order by tablet_id")
    found = [str(row[0]) for row in rows]
    hosts += [host for host in dict.fromkeys(found) if host not in hosts]
    return [hosts.index(host) for host in found]
