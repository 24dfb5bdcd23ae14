"""One line of the main log, and how it is rendered."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final

import msgspec

_KNOWN: Final = frozenset((*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"))
_LEVELS: Final = {"WARNING": "WARN", "CRITICAL": "ERROR"}
"""ODP's words where it has others."""
_ESCAPES: Final = {code: repr(chr(code))[1:-1] for code in (*range(32), *range(127, 160), 0x2028, 0x2029)}
_CLIENT: Final = re.compile(r"\bfrom (\d+(?:\.\d+){3}|\[[0-9a-f:.]+\]):\d+")
_NUMBER: Final = re.compile(
    r"(\d+(?:\.\d+){3}(?::\d+)?|\[[0-9a-fA-F:.]+\](?::\d+)?)|(?<![\w#])\d+(?:\.\d+)?(?:e[-+]\d+)?"
)

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
Renderer = Callable[["Line"], str]


class Line(msgspec.Struct, frozen=True):
    """One line, with its text made: what it spoke of may change until it is written."""

    created: float
    level: str
    logger: str
    text: str
    file: str
    number: int
    function: str
    thread: int
    error: ExcInfo | None = None
    extra: Mapping[str, Any] = {}


def line_of(record: logging.LogRecord, text: str) -> Line:
    """Return the line of a record whose message is ``text``."""
    error = record.exc_info
    values = record.__dict__
    return Line(
        created=record.created,
        level=record.levelname,
        logger=record.name,
        text=text,
        file=record.filename,
        number=record.lineno,
        function=record.funcName or "",
        thread=record.thread or 0,
        error=error if error and error[0] is not None else None,
        extra={} if values.keys() <= _KNOWN else _extra(values),
    )


def _extra(values: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: values[name] for name in values if name not in _KNOWN}
    return {name: one_line(value) if isinstance(value, str) else value for name, value in found.items()}


def one_line(text: str) -> str:
    """Return a text without control characters: what a client sends cannot look like a line of ours."""
    return text if text.isprintable() else text.translate(_ESCAPES)


def sameness(text: str) -> str:
    """Return what two messages have in common that say the same of the same source: no numbers but addresses.

    Of a client the address counts, not the port, which is another one for each connection.
    """
    return _NUMBER.sub(lambda found: found[1] or "#", _CLIENT.sub(r"from \1", text))


def odp(line: Line) -> str:
    """Render as ODP does: ``[time] LEVEL MODULE file:line [thread][trace id] message``."""
    moment = datetime.fromtimestamp(line.created).strftime("%Y-%m-%d %H:%M:%S.%f")
    level = _LEVELS.get(line.level, line.level)
    module = line.logger.removeprefix("odp_trio").lstrip(".").upper() or "PROXY"
    place = f"{line.file}:{line.number}"
    if level in ("WARN", "ERROR"):
        place = f"{line.function} ({place})"
    more = "".join(f", {name}={value!r}" for name, value in line.extra.items())
    text = f"[{moment}] {level} {module} {place} [{line.thread}][Y0-0000000000000000] {line.text}{more}"
    if line.error is not None:
        text += "\n" + "".join(traceback.format_exception(*line.error)).rstrip()
    return text


def renderer(form: str, *, colors: bool = False) -> Renderer:
    """Return what renders lines in a form: console, json or odp.  The first two import structlog, which takes 0.2 s."""
    if form == "odp":
        return odp
    import structlog

    if form == "json":
        as_json = structlog.processors.JSONRenderer(serializer=_encode)
        return lambda line: str(as_json(None, "", _event(line)))
    console = structlog.dev.ConsoleRenderer(
        0,
        colors=colors,
        pad_level=False,
        timestamp_key="time",
        exception_formatter=structlog.dev.plain_traceback,
    )
    return lambda line: str(console(None, "", _event(line, local=True)))


def _event(line: Line, *, local: bool = False) -> dict[str, Any]:
    if local:
        moment = datetime.fromtimestamp(line.created).strftime("%Y-%m-%d %H:%M:%S.%f")
    else:
        moment = datetime.fromtimestamp(line.created, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    event: dict[str, Any] = {"time": moment, "level": line.level.lower(), "logger": line.logger, "event": line.text}
    for name, value in line.extra.items():
        event[name if name not in event else f"{name}_"] = value
    if line.error is not None:
        if local:
            event["exc_info"] = line.error
        else:
            event["exception"] = "".join(traceback.format_exception(*line.error))
    return event


def _encode(event: dict[str, Any], **_: Any) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()
