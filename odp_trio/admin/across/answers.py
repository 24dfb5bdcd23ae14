"""How the answers of workers to one operation of /api become one; they come by the number of the worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from heapq import nlargest
from typing import Any, Final, TypeVar

import msgspec

from odp_trio.admin.across import frames, records, trees
from odp_trio.admin.across.folding import added, every, first
from odp_trio.admin.across.rows import Asks
from odp_trio.admin.api_types import (
    CongestionAnswer,
    EndsAnswer,
    LogAnswer,
    LogQuery,
    RoutesAnswer,
    RoutesQuery,
    SessionsAnswer,
    SessionsQuery,
    SlowAnswer,
    SlowQuery,
)
from odp_trio.admin.live import LiveFrame
from odp_trio.admin.status import ProxyStatus
from odp_trio.admin.tree import TreeNode
from odp_trio.session.ledger import EndRecord
from odp_trio.topology.snapshot import Snapshot

A = TypeVar("A")
Answers = Mapping[int, A]
Fold = Callable[[Answers[Any], Any, Sequence[str]], Any]
"""Takes the answers, what was asked, and why others are missing."""


class Together(msgspec.Struct, frozen=True):
    """What becomes of an operation where there are several workers."""

    asks: Asks
    fold: Fold | None = None


HERE: Final = Together(Asks.ONE)
IN_EACH: Final = Together(Asks.EACH)


def by_all(fold: Fold) -> Together:
    """Return that every worker is asked, and how their answers become one."""
    return Together(Asks.ALL, fold)


def plainly(fold: Callable[[Sequence[Any]], Any]) -> Together:
    """Return the same for what can be folded without knowing what was asked."""
    return by_all(lambda answers, _, __: fold(list(answers.values())))


def status(answers: Answers[ProxyStatus], _: object, missing: Sequence[str]) -> ProxyStatus:
    """Fold the status; it says who is missing."""
    found: ProxyStatus = records.status(list(answers.values()))
    return msgspec.structs.replace(found, missing_workers=tuple(missing))


def tree(answers: Answers[TreeNode], _: object, __: Sequence[str]) -> TreeNode:
    """Hang the trees below one root."""
    return trees.tree(list(answers.values()), list(answers))


def frame(answers: Answers[LiveFrame], _: object, missing: Sequence[str]) -> LiveFrame:
    """Fold what the console shows; who is missing is why the proxy is degraded."""
    found = frames.frame(list(answers.values()), list(answers))
    return msgspec.structs.replace(found, why_degraded=(*missing, *found.why_degraded))


def sessions(answers: Answers[SessionsAnswer], asked: SessionsQuery, _: Sequence[str]) -> SessionsAnswer:
    """Return the busiest of all."""
    found = every([one.sessions for one in answers.values()])
    busiest = nlargest(asked.limit, found, key=lambda session: (session.statements, session.id))
    return SessionsAnswer(added([one.total for one in answers.values()]), tuple(busiest))


def _ended(end: EndRecord) -> float:
    return end.began + end.seconds


def ends(answers: Sequence[EndsAnswer]) -> EndsAnswer:
    """Return the ends of all, the newest first."""
    return EndsAnswer(
        sorted(every([one.clients for one in answers]), key=_ended, reverse=True),
        sorted(every([one.servers for one in answers]), key=_ended, reverse=True),
    )


def congestion(answers: Sequence[CongestionAnswer]) -> CongestionAnswer:
    """Fold the lists of servers."""
    return CongestionAnswer(
        records.congestion([one.clusters for one in answers]),
        records.newest_changes()([one.recent for one in answers]),
    )


def routes(answers: Answers[RoutesAnswer], asked: RoutesQuery, _: Sequence[str]) -> RoutesAnswer:
    """Return the busiest of all; ``total`` is of the worker that knows most tables, if that is more."""
    found = records.busiest(asked.limit)([one.routes for one in answers.values()])
    return RoutesAnswer(max(len(found), *(one.total for one in answers.values())), found)


def slow(answers: Answers[SlowAnswer], asked: SlowQuery, _: Sequence[str]) -> SlowAnswer:
    """Return the newest of all."""
    found = every([one.statements for one in answers.values()])
    return SlowAnswer(sorted(found, key=lambda one: -one.at)[: asked.limit])


def log(answers: Answers[LogAnswer], asked: LogQuery, _: Sequence[str]) -> LogAnswer:
    """Return the last lines of all."""
    found = every([one.lines for one in answers.values()])
    return LogAnswer(sorted(found, key=lambda line: line.time)[-asked.limit :])


def snapshot(answers: Sequence[Snapshot]) -> Snapshot:
    """Return what any worker knows, of each table what is youngest."""
    tables: dict[tuple[str, str, str, str], Any] = {}
    for table in every([one.tables for one in answers]):
        key = (table.cluster, table.tenant, table.database, table.table)
        known = tables.get(key)
        if known is None or table.age < known.age:
            tables[key] = table
    clusters = {cluster.name: cluster for cluster in reversed(every([one.clusters for one in answers]))}
    tenants = {(tenant.cluster, tenant.tenant): tenant for tenant in every([one.tenants for one in answers])}
    return msgspec.structs.replace(
        first(answers),
        tables=tuple(tables.values()),
        clusters=tuple(sorted(clusters.values(), key=lambda cluster: cluster.name)),
        tenants=tuple(tenants.values()),
    )
