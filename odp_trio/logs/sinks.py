"""Where lines go: files or standard error.  Everything here runs in the thread of the writer."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TextIO, final

import msgspec

from odp_trio.config import Settings
from odp_trio.logs import diagnosis, statement
from odp_trio.logs.diagnosis import Diagnosis
from odp_trio.logs.files import Keep, LogFile, clean
from odp_trio.logs.line import Line, Renderer, odp, renderer
from odp_trio.logs.masking import Redactor
from odp_trio.logs.spans import Spans
from odp_trio.logs.statement import Finished, Log

Item = Line | Finished | Diagnosis

MAIN: Final = "obproxy.log"
WARNINGS: Final = "obproxy.log.wf"
_WARN: Final = frozenset({"WARNING", "ERROR", "CRITICAL"})
_COMPLAIN_SECONDS: Final = 60.0
_PLAIN: Final = re.compile(r"[^\s\"'=\\]+").fullmatch


def file_of(log: Log) -> str:
    """Return the name of a log's file."""
    return f"obproxy_{log.value}.log"


@final
class Sinks:
    """Renders what it gets, and writes it."""

    def __init__(self, settings: Callable[[], Settings], stream: TextIO, redact: Callable[[], Redactor]) -> None:
        self._settings = settings
        self._stream = stream
        self._redact = redact
        self._files: dict[Path, LogFile] = {}
        self._form = ""
        self._renderer: Renderer = odp
        self._second = 0
        self._spent = 0
        self._cleaned = time.monotonic()
        self._complained = -_COMPLAIN_SECONDS
        self._spans: Spans | None = None
        self.over_budget = 0
        """Lines that were dropped because of syslog_io_bandwidth_limit."""
        self.failed = 0
        """Lines that could not be written where they belong."""

    def write(self, batch: list[Item]) -> None:
        """Write a batch, each file with one call."""
        settings, texts = self._settings(), defaultdict[str, list[str]](list)
        for item in batch:
            try:
                self._render(item, settings, texts)
            except Exception as exc:  # of one line: the others shall be written
                self.failed += 1
                texts[MAIN].append(f"a line of the log cannot be rendered: {exc!r}")
        redact = self._redact()
        for name, lines in texts.items():
            self._put(name, redact("\n".join(lines) + "\n"), len(lines), settings)

    def tend(self) -> None:
        """Remove old files, when it is time."""
        settings, now = self._settings(), time.monotonic()
        if not settings.log_dir or now - self._cleaned < settings.log_cleanup_interval:
            return
        self._cleaned = now
        keep = Keep(
            settings.max_syslog_file_count,
            settings.max_syslog_file_time,
            settings.log_dir_size_threshold,
            settings.log_file_percentage,
        )
        try:
            clean(Path(settings.log_dir), keep, time.time())
        except OSError as exc:
            self._complain(exc)

    def close(self) -> None:
        """Close the files, and send the spans that are left."""
        for file in self._files.values():
            file.close()
        if self._spans is not None:
            self._spans.close()

    def _render(self, item: Item, settings: Settings, texts: dict[str, list[str]]) -> None:
        match item:
            case Line():
                text = self._line(item, settings.log_format)
                texts[MAIN].append(text)
                if settings.enable_syslog_wf and settings.log_dir and item.level in _WARN:
                    texts[WARNINGS].append(text)
            case Finished():
                self._statement(item, settings, texts)
            case Diagnosis():
                found = diagnosis.fields(item)
                text = diagnosis.odp_line(item) if settings.log_format == "odp" else _text(found, settings.log_format)
                texts[file_of(Log.DIAGNOSIS)].append(text)

    def _line(self, line: Line, form: str) -> str:
        if form != self._form:
            self._renderer = renderer(form, colors=not self._settings().log_dir and self._stream.isatty())
            self._form = form
        return self._renderer(line)

    def _statement(self, finished: Finished, settings: Settings, texts: dict[str, list[str]]) -> None:
        record = finished.record
        settings = settings.scoped(record.cluster, record.tenant, record.user)
        logs = tuple(statement.logs_of(finished, settings)) if settings.log_dir else ()
        for log in logs:
            found = statement.fields(log, record, settings)
            text = statement.odp_line(found) if settings.log_format == "odp" else _text(found, settings.log_format)
            texts[file_of(log)].append(text)
        if settings.otel_traces_endpoint and (finished.span or record.errno or statement.is_slow(record, settings)):
            if self._spans is None:
                self._spans = Spans.to(settings.otel_traces_endpoint)
            self._spans.add(record, settings)

    def _put(self, name: str, text: str, lines: int, settings: Settings) -> None:
        data = text.encode("utf-8", "replace")
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._spent = second, 0
        if 0 < settings.syslog_io_bandwidth_limit < self._spent + len(data):
            self.over_budget += lines
            return
        self._spent += len(data)
        if not settings.log_dir:
            self._say(text)
            return
        path = Path(settings.log_dir) / name
        file = self._files.get(path)
        if file is None:
            file = self._files[path] = LogFile(path)
        try:
            file.write(data, settings.max_log_file_size)
        except OSError as exc:
            self.failed += lines
            self._complain(exc)
            if name == MAIN:
                self._say(text)

    def _say(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # nobody reads it any more
            self.failed += 1

    def _complain(self, error: OSError) -> None:
        now = time.monotonic()
        if now - self._complained >= _COMPLAIN_SECONDS:
            self._complained = now
            self._say(f"the logs cannot be written: {error}\n")


def _text(found: dict[str, Any], form: str) -> str:
    """Render a record of fields: as JSON, or for people as ``key=value`` without what is empty."""
    if form == "json":
        return msgspec.json.encode(found).decode()
    shown = (f"{key}={_word(value)}" for key, value in found.items() if value not in ("", None) and key != "time")
    return f"{found['time']} {' '.join(shown)}"


def _word(value: object) -> str:
    text = str(value)
    return text if _PLAIN(text) else msgspec.json.encode(text).decode()
