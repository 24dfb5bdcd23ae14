"""Full-link tracing: the spans of statements, for servers that say what is to be traced.

A server's control info says how much is traced: nothing at level 0, else a share
of the statements, and all while a client has ``ob_enable_show_trace`` on.  A
statement that is traced goes with a span of ours: the parent of the server's
own.  Layout: ODP's full-link trace info; the kernel records what SHOW TRACE shows for such
statements and for no others (seen on seekdb 1.3.0).
"""

from __future__ import annotations

import random
from struct import Struct
from typing import Final, final

from odp_trio.wire.command import Com
from odp_trio.wire.extra_info import Key, entries, entry, write_entries

_CONTROL_INFO, _SPAN_INFO = 2003, 2004
_LEVEL, _SAMPLE, _SHOW = 2020, 2021, 2025
_ENABLE, _FORCE_PRINT, _TRACE_ID, _REFERENCE, _SPAN_ID = 2030, 2031, 2032, 2033, 2034
_DOUBLE: Final = Struct("<d")
_TRACED: Final = frozenset({Com.QUERY, Com.STMT_PREPARE, Com.STMT_EXECUTE})
_ID_BITS: Final = 128


@final
class Tracer:
    """What is traced of one client session."""

    __slots__ = ("_random", "_sample", "_seed", "_shows", "trace_id")

    def __init__(self, seed: int | None = None) -> None:
        self._seed = seed
        self._random: random.Random | None = None
        self._sample = 0.0
        self._shows = False
        self.trace_id = b""
        """Of the statement that was sent last; empty if it is not traced."""

    def control(self, value: bytes) -> None:
        """Take what a server says in FULL_TRC; what is not known is skipped."""
        for kind, inner in entries(value):
            if kind != _CONTROL_INFO:
                continue
            told = dict(entries(inner))
            on = any(told.get(_LEVEL, b""))
            sample = told.get(_SAMPLE, b"")
            self._sample = _DOUBLE.unpack(sample)[0] if on and len(sample) == _DOUBLE.size else 0.0
            self._shows = on and any(told.get(_SHOW, b""))

    @property
    def _chance(self) -> random.Random:
        """Made when it is needed: it takes 2.5 KB."""
        if self._random is None:
            self._random = random.Random(self._seed)
        return self._random

    def span(self, command: int) -> bytes:
        """Return the entry for a command that begins; empty if it is not traced."""
        if command not in _TRACED or not (self._shows or (self._sample and self._chance.random() < self._sample)):
            self.trace_id = b""
            return b""
        self.trace_id, span_id = (self._chance.getrandbits(_ID_BITS).to_bytes(16, "little") for _ in range(2))
        parts = (
            (_ENABLE, b"\1"),
            (_FORCE_PRINT, b"\0"),
            (_TRACE_ID, self.trace_id),
            (_REFERENCE, b"\0"),
            (_SPAN_ID, span_id),
        )
        return entry(Key.FULL_TRC, entry(_SPAN_INFO, write_entries(parts)))
