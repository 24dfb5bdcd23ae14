"""The layers of a process as they are sent to another one of the same proxy: at its start, and by now."""

from __future__ import annotations

from typing import Any

import msgspec

from odp_trio.config.changes import Overlay, Scope
from odp_trio.config.settings import Layer
from odp_trio.config.sources import Sources

_Rows = list[tuple[Scope, dict[str, Any]]]


class _Sent(msgspec.Struct, frozen=True):
    weaker: tuple[Layer, ...]
    stronger: tuple[Layer, ...]
    kept_in: str
    kept_at_start: _Rows
    kept: _Rows
    altered: _Rows


def encode_lineage(at_start: Sources, now: Sources) -> bytes:
    """Return the layers of a process, without those that somebody made by hand."""
    rows = [[*overlay.values.items()] for overlay in (at_start.kept, now.kept, now.altered)]
    sent = _Sent(now.weaker, now.stronger, now.kept_in, *([(s, dict(v)) for s, v in each] for each in rows))
    return msgspec.msgpack.encode(sent)


def decode_lineage(data: bytes) -> tuple[Sources, Sources]:
    """Return what was encoded; raise msgspec.DecodeError."""
    sent = msgspec.msgpack.decode(data, type=_Sent)
    at_start, kept, altered = (Overlay(dict(rows)) for rows in (sent.kept_at_start, sent.kept, sent.altered))
    started = Sources(weaker=sent.weaker, kept=at_start, kept_in=sent.kept_in, stronger=sent.stronger)
    return started, msgspec.structs.replace(started, kept=kept, altered=altered)
