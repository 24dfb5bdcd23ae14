"""What somebody may not expect of a setting: one table of foot-guns, asked at every change and by check-config."""

from __future__ import annotations

from odp_trio.config.changes import Impact
from odp_trio.config.options import Settings


def impacts(old: Settings | None, new: Settings) -> tuple[Impact, ...]:
    """Return what to expect of new settings; with ``old``, only what the difference brings."""
    return ()
