"""What one proxy has logged: it asks for the records that the settings want, and passes them on."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, final

import odp_trio
from odp_trio.config import Settings
from odp_trio.logs import diagnosis
from odp_trio.logs.diagnosis import Diagnosis
from odp_trio.logs.masking import masked
from odp_trio.logs.output import LogOutput, check_usable, installed
from odp_trio.logs.ring import WarnRing
from odp_trio.logs.statement import Finished, is_slow, least_threshold
from odp_trio.model import TenantKey
from odp_trio.observe import StatementRecord, StatementWatch
from odp_trio.routing.request import Route
from odp_trio.session.ledger import EndRecord
from odp_trio.session.reasons import End
from odp_trio.session.services import Services

_SLOW_KEPT: Final = 200


_whose: Final[ContextVar[ProxyLogs | None]] = ContextVar("odp_trio proxy", default=None)
"""Whose the running task is, where several proxies are in one process."""


@final
class ProxyLogs:
    """The logs of one proxy.

    Where ``start_logging`` was called they are those of the process.  Else, in a program that logs in a way of its
    own, only the files of ``log_dir`` but for obproxy.log are written, and warnings are kept for SHOW WARNLOG.
    """

    def __init__(self, settings: Settings) -> None:
        """Raise OSError when the directory of the logs cannot be used, ConfigError when spans cannot be sent."""
        check_usable(settings)
        output = installed()
        self._is_ours = output is None
        self.output = output or LogOutput(settings, lines=False)
        if self._is_ours:
            self.output.addFilter(self._is_own)
        self.slow: deque[StatementRecord] = deque(maxlen=_SLOW_KEPT)
        """The last slow statements, the newest last.  Their texts may hold secrets: see ``masked``."""
        self._settings = settings
        self._watch = StatementWatch()
        self._digests = self._spans = 0.0
        """Shares of those that are sampled, and what has come together of them."""
        self._digest_credit = self._span_credit = 0.0
        self._second = self._written = 0
        self.apply(settings, settings)

    @property
    def ring(self) -> WarnRing:
        """The last lines of level WARN and above."""
        return self.output.ring

    def attach(self, services: Services) -> None:
        """Ask sessions for records, and keep warnings."""
        if self._is_ours:
            logging.getLogger("odp_trio").addHandler(self.output)
        self._watch = services.watch
        services.diagnosis = services.views.diagnosis = self
        self._want()

    @contextmanager
    def as_own(self) -> Iterator[None]:
        """Have what is logged in the block, and by the tasks that are started in it, be this proxy's and no other's."""
        token = _whose.set(self)
        try:
            yield
        finally:
            _whose.reset(token)

    def _is_own(self, _: logging.LogRecord) -> bool:
        """Whether a line is not another proxy's: what callbacks of sockets log is of no task, and so everybody's."""
        whose = _whose.get()
        return whose is None or whose is self

    def serving(self) -> None:
        """The port is open."""
        if self._is_ours and (self._settings.log_dir or self._settings.otel_traces_endpoint):
            self.output.start()
        self.output.go()
        self._diagnose(Diagnosis("REBOOT", time.time(), _reboot()))

    def apply(self, _: Settings, settings: Settings) -> None:
        """Go on with other settings."""
        self._settings = settings
        self.output.apply(settings)
        self._want()

    def close(self) -> None:
        """Write what is left, unless the process goes on to log."""
        self._watch.want(None)
        if self._is_ours:
            logging.getLogger("odp_trio").removeHandler(self.output)
            self.output.close()

    # ---- what sessions say, on the loop -----------------------------------------------------

    def statement(self, record: StatementRecord) -> None:
        """Take the record of a finished statement."""
        settings = self._settings
        if is_slow(record, settings.scoped(record.cluster, record.tenant, record.user)):
            self.slow.append(record)
        digest = span = False
        if record.sampled:
            self._digest_credit += self._digests
            self._span_credit += self._spans
            if digest := self._digest_credit >= 1:
                self._digest_credit -= 1
            if span := self._span_credit >= 1:
                self._span_credit -= 1
        if settings.log_dir or settings.otel_traces_endpoint:
            self._put(Finished(record, digest, span))

    @property
    def wants_connections(self) -> bool:
        """Whether lines about connections are written."""
        return bool(self._settings.log_dir and self._settings.connection_diagnosis_option)

    def logged_in(self, end: EndRecord) -> None:
        """A client has logged in; ``end`` says who it is, as when it ends."""
        self._diagnose(diagnosis.of_login(end))

    def ended(self, end: EndRecord, why: End) -> None:
        """A client's connection has ended."""
        if (line := diagnosis.of_end(end, why)) is not None:
            self._diagnose(line)

    def misrouted(self, key: TenantKey, route: Route, sql: bytes) -> None:
        """A statement went to a server without its data."""
        if self._settings.route_diagnosis_level and self._settings.log_dir:
            text = masked(sql)[: self._settings.digest_sql_length]
            self.output.put(diagnosis.of_misroute(key, route, text, time.time()))

    def _put(self, finished: Finished) -> None:
        """Have lines written, if there were not too many in this second."""
        second = finished.record.wall_us // 1_000_000
        if second != self._second:
            self._second, self._written = second, 0
        self._written += 1
        if 0 < self._settings.statement_lines_per_second < self._written:
            self.output.refused += 1
        else:
            self.output.put(finished)

    def _diagnose(self, line: Diagnosis) -> None:
        if self.wants_connections:
            self.output.put(line)

    def _want(self) -> None:
        """Say which statements are to be recorded."""
        settings = self._settings
        digest = settings.query_digest_sample_rate if settings.log_dir else 0.0
        span = settings.otel_sample_rate if settings.otel_traces_endpoint else 0.0
        share = max(digest, span)
        failed = bool(settings.log_dir or settings.otel_traces_endpoint)
        slow = least_threshold(settings)
        wanted = self.statement if slow or share or failed else None
        self._watch.want(wanted, slow=slow, share=share, failed=failed)
        every = self._watch.every if share else 0  # a whole number: some more may come than are to have lines
        self._digests, self._spans = min(digest * every, 1.0), min(span * every, 1.0)


def _reboot() -> dict[str, object]:
    system = os.uname()
    return {
        "version": odp_trio.__version__,
        "sysname": system.sysname,
        "release": system.release,
        "machine": system.machine,
        "pid": os.getpid(),
        "ppid": os.getppid(),
        "result": "success",
    }
