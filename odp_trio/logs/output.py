"""The handler of the standard library's logging behind which everything of this package is.

``log.warning(...)`` anywhere makes the message, looks whether it has been said too often,
keeps it for SHOW WARNLOG if it is a warning, and leaves the rest to the thread of the writer.
"""

from __future__ import annotations

import atexit
import errno
import logging
import os
import sys
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, TextIO, final

import msgspec

from odp_trio.config import Secret, Settings
from odp_trio.errors import ConfigError
from odp_trio.logs.diagnosis import Diagnosis
from odp_trio.logs.line import Line, line_of, one_line, sameness
from odp_trio.logs.masking import Redactor
from odp_trio.logs.repeats import Repeats
from odp_trio.logs.ring import WarnRing
from odp_trio.logs.writer import Writer

if TYPE_CHECKING:
    from odp_trio.logs.sinks import Item, Sinks
    from odp_trio.logs.statement import Finished

_LEVELS: Final = {"WARN": "WARNING"}


class LogCounts(msgspec.Struct, frozen=True):
    """What became of lines that are nowhere."""

    dropped: int
    """No room in the queue."""
    over_budget: int
    """Beyond syslog_io_bandwidth_limit or statement_lines_per_second."""
    failed: int
    """They could not be written."""
    repeated: int
    """Left out because the same was said too often."""


@final
class LogOutput(logging.Handler):
    """Everything that this process logs."""

    def __init__(self, settings: Settings, stream: TextIO | None = None, *, lines: bool = True) -> None:
        """Without ``lines`` no line is written, warnings are only kept.

        Raise OSError when the directory of the logs cannot be used, ConfigError when spans cannot be sent.
        """
        super().__init__(logging.NOTSET if lines else logging.WARNING)
        self._lines = lines
        check_usable(settings)
        self.ring = WarnRing()
        self._settings = settings
        self._redact = Redactor(secrets_of(settings))
        self._repeats = Repeats()
        self._stream = stream or sys.stderr
        self._sinks: Sinks | None = None
        """Made when there is something to write."""
        self._writer: Writer[Item] = Writer(self._write, self._tend)
        self._told_dropped = 0
        self.refused = 0
        """Statements beyond statement_lines_per_second."""

    def install(self) -> LogOutput:
        """Take all lines of this process, and write what is left when it ends."""
        root = logging.getLogger()
        for other in root.handlers:
            if isinstance(other, LogOutput):
                root.removeHandler(other)
        root.addHandler(self)
        root.setLevel(_LEVELS.get(self._settings.syslog_level, self._settings.syslog_level))
        self.start()
        atexit.register(self.close)
        return self

    def start(self) -> None:
        """Start the thread."""
        self._writer.start()

    def apply(self, settings: Settings) -> None:
        """Go on with other settings."""
        if logging.getLogger().handlers.count(self) and settings.syslog_level != self._settings.syslog_level:
            logging.getLogger().setLevel(_LEVELS.get(settings.syslog_level, settings.syslog_level))
        self._settings = settings
        self._redact = Redactor(secrets_of(settings))

    def go(self) -> None:
        """The port is open: what rendering needs may be imported."""
        self._writer.go()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line.  It never raises and never waits."""
        try:
            text = self._redact(one_line(record.getMessage()))
            now = time.monotonic()
            limit = self._settings.log_repeats_per_minute
            self._tell_left_out(now)
            kind = (record.name, record.levelno, sameness(text) if limit else "")
            if not self._repeats.admit(kind, text, limit, now):
                return
            self._take(line_of(record, text), record.levelno)
        except Exception:
            self.handleError(record)

    def put(self, item: Finished | Diagnosis) -> None:
        """Take a record for one of the other logs."""
        self._writer.put(item)

    def counts(self) -> LogCounts:
        """Return what became of lines that are nowhere."""
        sinks = self._sinks
        over_budget, failed = (0, 0) if sinks is None else (sinks.over_budget, sinks.failed)
        over_budget += self.refused
        return LogCounts(self._writer.dropped, over_budget, failed, self._repeats.left_out)

    def close(self, limit: float = 10.0) -> None:
        """Write what is left, for at most ``limit`` seconds.  Lines that come later are lost."""
        atexit.unregister(self.close)
        self._writer.close(limit)
        if self._sinks is not None:
            self._sinks.close()
        logging.getLogger().removeHandler(self)
        super().close()

    def _take(self, line: Line, level: int) -> None:
        if level >= logging.WARNING:
            self.ring.add(line.thread, line.created, line.level, line.logger, line.text)
        if self._lines:
            self._writer.put(line)

    def _tell_left_out(self, now: float) -> None:
        """Say how often was left out what is said no more, or again only now.  Under the handler's lock."""
        for (name, level, _), text, count in self._repeats.over(self._settings.log_repeats_per_minute, now):
            self._take(_own_line(f"{count} more like this were left out: {text}", level, name), level)

    # ---- in the thread of the writer --------------------------------------------------------

    def _write(self, batch: list[Item]) -> None:
        if self._sinks is None:
            from odp_trio.logs.sinks import Sinks  # not before the port is open

            self._sinks = Sinks(lambda: self._settings, self._stream, lambda: self._redact)
        self._sinks.write(batch)

    def _tend(self) -> None:
        if self._sinks is not None:
            self._sinks.tend()
        self.acquire()
        try:
            self._tell_left_out(time.monotonic())
            counts = self.counts()
            dropped = counts.dropped + counts.over_budget
            if dropped > self._told_dropped:
                text = f"{dropped - self._told_dropped} lines of the logs were dropped: they came too fast"
                self._told_dropped = dropped
                self._take(_own_line(text, logging.WARNING, "odp_trio.logs"), logging.WARNING)
        finally:
            self.release()


def _own_line(text: str, level: int, name: str) -> Line:
    record = logging.LogRecord(name, level, __file__, 0, text, None, None, "left_out")
    return line_of(record, text)


def secrets_of(settings: Settings) -> list[str]:
    """Return every password of the configuration."""
    found = [getattr(settings, name) for name in settings.__struct_fields__]
    for cluster in settings.clusters.values():
        found += [getattr(cluster, name) for name in cluster.__struct_fields__]
    return [value.value for value in found if isinstance(value, Secret) and value]


def check_usable(settings: Settings) -> None:
    """Make the directory of the logs; raise OSError if it cannot be used, ConfigError for spans without the extra."""
    if settings.otel_traces_endpoint:
        try:
            found = find_spec("opentelemetry.exporter.otlp.proto.http") and find_spec("opentelemetry.sdk")
        except ModuleNotFoundError:
            found = None
        if not found:
            raise ConfigError("otel_traces_endpoint needs the extra otel: pip install odp-trio[otel]")
    if settings.log_dir:
        os.makedirs(settings.log_dir, exist_ok=True)
        if not os.access(settings.log_dir, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), settings.log_dir)


def installed() -> LogOutput | None:
    """Return the one that takes the lines of this process; None when somebody else does."""
    return next((handler for handler in logging.getLogger().handlers if isinstance(handler, LogOutput)), None)


def start_logging(settings: Settings) -> LogOutput:
    """Log as the settings say: the first thing that a process does."""
    return LogOutput(settings).install()
