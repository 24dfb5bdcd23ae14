"""What a statement took, and records of those that somebody wants; see ``observe`` for what is kept.

The lane reads the clock four times a statement: when it has read it, when it has sent it, when the first bytes of
the answer have come, and (here) when the last ones were given to the client.  The rest is adding to plain lists.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Final, final

from odp_trio.observe import PROXY, StatementCell, StatementRecord, StatementWatch, TenantStatements
from odp_trio.routing.request import Route
from odp_trio.session.ports import UNMEASURED, Measures
from odp_trio.session.router import Router
from odp_trio.wire.command import Com, command_name, first_packet_end

if TYPE_CHECKING:
    from odp_trio.session.services import Services, Session

log = logging.getLogger("odp_trio.session")

_QUERY, _EXECUTE = int(Com.QUERY), int(Com.STMT_EXECUTE)
_TEXTS: Final = frozenset({_QUERY, _EXECUTE})
_TEXTED: Final = _TEXTS | {int(Com.STMT_PREPARE), int(Com.INIT_DB), int(Com.FIELD_LIST)}
"""Commands whose bytes are a text."""
_ERR: Final = 0xFF


def kind_of(command: int, kind: str) -> str:
    """Return what a command counts as: the kind of its text, or what the command is named."""
    return kind if command in _TEXTS else command_name(command).removeprefix("COM_").lower()


@final
class Meter:
    """Measures the statements of one session."""

    __slots__ = ("_router", "_session", "_tenant", "_wall_clock_us", "_watch")

    def __init__(
        self,
        session: Session,
        router: Router,
        tenant: TenantStatements,
        watch: StatementWatch,
        wall_clock_us: Callable[[], int],
    ) -> None:
        self._session, self._router = session, router
        self._tenant, self._watch = tenant, watch
        self._wall_clock_us = wall_clock_us

    def finish(self, arrived: int, sent: int, first: int, came: int, errno: int = 0) -> None:
        """The answer of a server has been given to the client; its last bytes ``came`` then."""
        ended = clock()
        cell = self._router.cell or self._cell()
        total, server = ended - arrived, first - sent
        proxy = total - (server if first is came else came - sent)
        cell.total[(total // 1000).bit_length()] += 1
        cell.server[(server // 1000).bit_length()] += 1
        cell.proxy[(proxy // 1000).bit_length()] += 1
        cell.total_ns += total
        cell.server_ns += server
        cell.proxy_ns += proxy
        if errno:
            cell.errors += 1
        watch = self._watch
        watch.left -= 1
        if total >= watch.slow_ns or not watch.left or (errno and watch.failed):
            self._report(cell, (arrived, sent, first, ended), proxy, errno, self._router.tracker.error_text)

    def answered_here(self, arrived: int, answer: bytes) -> None:
        """A statement that no server was asked about, or that none has answered, has got ``answer``, whole packets."""
        ended = clock()
        router, total = self._router, ended - arrived
        command, facts = router.what, router.request.shape.facts
        cell = self._tenant.cell(command, facts.kind.value, PROXY, kind_of)
        cell.total[(total // 1000).bit_length()] += 1
        cell.proxy[(total // 1000).bit_length()] += 1
        cell.total_ns += total
        cell.proxy_ns += total
        failed = len(answer) > 6 and answer[4] == _ERR
        errno = answer[5] | answer[6] << 8 if failed else 0
        cell.errors += failed
        watch = self._watch
        watch.left -= 1
        if total >= watch.slow_ns or not watch.left or (failed and watch.failed):
            message = answer[4 : first_packet_end(answer)] if failed else b""
            self._report(cell, (arrived, 0, 0, ended), total, errno, message)

    def _cell(self) -> StatementCell:
        """Look up where the running statement counts; the router keeps it while statements of one shape come."""
        router = self._router
        decision, command, kind = router.decision, router.what, router.request.shape.facts.kind._value_
        rule = decision.rule if isinstance(decision, Route) else PROXY
        cell = self._tenant.found.get((command, kind, rule))
        if cell is None:
            cell = self._tenant.cell(command, kind, rule, kind_of)
        router.cell = cell
        return cell

    def _report(
        self, cell: StatementCell, times: tuple[int, int, int, int], proxy: int, errno: int, err: bytes
    ) -> None:
        """Make the record that somebody wants, and give it to him.  ``err`` is the payload of the ERR packet."""
        watch = self._watch
        wanted = "failed" if errno and watch.failed else "slow" if times[3] - times[0] >= watch.slow_ns else "sampled"
        sampled = watch.left <= 0
        if sampled:
            watch.left = watch.every
        if watch.log is None:
            return
        watch.records[wanted] += 1
        try:
            watch.log(self._record(wanted, sampled, cell, times, proxy, errno, err if errno else b""))
        except Exception:  # it must not end the sessions of others
            log.exception("the log of statements fails, and gets no more of them")
            watch.want(None)

    def _record(
        self,
        wanted: str,
        sampled: bool,
        cell: StatementCell,
        times: tuple[int, int, int, int],
        proxy: int,
        errno: int,
        err: bytes,
    ) -> StatementRecord:
        session, router = self._session, self._router
        arrived, sent, first, ended = times
        lane, destination, running = session.lane, session.destination, router.statements.running
        facts, decision, told = router.request.shape.facts, router.decision, router.tracker.state
        system = {} if told is None else told.system
        upstream = lane.upstream if lane is not None and sent else None
        tracer = None if upstream is None or upstream.beside is None else upstream.beside.tracer
        return StatementRecord(
            wanted=wanted,
            sampled=sampled,
            command=router.what,
            kind=cell.kind,
            cluster=router.key.cluster,
            tenant=router.key.tenant,
            database=router.state.database.decode("utf-8", "replace"),
            user="" if destination is None else destination.user,
            session=session.id,
            client=session.client,
            server="" if upstream is None else str(upstream.address),
            server_session=0 if upstream is None else upstream.connection_id,
            sql=running.text if running is not None else router.text if router.what in _TEXTED else b"",
            tables=tuple(table.name for table in facts.tables),
            errno=errno,
            message=_message(err),
            rule=decision.rule if upstream is not None and isinstance(decision, Route) else PROXY,
            route=cell.route,
            missed=system.get(b"ob_proxy_partition_hit", b"ON").upper() in (b"OFF", b"0"),
            arrived=arrived,
            sent=sent,
            first=first,
            ended=ended,
            proxy_ns=proxy,
            request_bytes=0 if lane is None else lane.request_bytes,
            response_bytes=0 if lane is None or upstream is None else lane.response_bytes,
            wall_us=self._wall_clock_us(),
            trace_id="" if tracer is None else tracer.trace_id.hex(),
            server_trace_id=system.get(b"ob_statement_trace_id", b"").decode("ascii", "replace"),
        )


def _message(err: bytes) -> str:
    """Return the words of an ERR packet; empty if there is none."""
    if len(err) < 3:
        return ""
    return err[9 if err[3:4] == b"#" else 3 :].decode("utf-8", "replace")


def meter_of(session: Session, router: Router, services: Services) -> Measures:
    """Return what measures a session that has logged in: nothing when neither numbers nor records are wanted."""
    table, counted = services.measured, services.settings().enable_monitor_stat
    if not counted and not services.watch.wants_any:
        return UNMEASURED
    tenant = table.tenant(router.key.cluster, router.key.tenant) if counted else table.unseen
    return Meter(session, router, tenant, services.watch, services.wall_clock_us)
