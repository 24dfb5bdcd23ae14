"""ODP's LIKE of its own commands: ``%`` and ``_``, case counts, nothing escapes them; an empty pattern admits all."""

from __future__ import annotations

import re
from functools import lru_cache


@lru_cache(maxsize=16)
def _read(pattern: str) -> tuple[str, int]:
    """Return the pattern with one ``%`` for several, and the length of the shortest text that it admits."""
    short = re.sub("%+", "%", pattern)
    return short, len(short) - short.count("%")


def is_like(text: str, pattern: str | None) -> bool:
    """Whether a pattern, if there is one, admits a text; takes at most about the square of the text's length."""
    if not pattern:
        return True
    short, least = _read(pattern)
    if least > len(text):
        return False
    at = place = 0
    star, kept = -1, 0
    while at < len(text):
        if place < len(short) and short[place] == "%":
            star, kept = place, at
            place += 1
        elif place < len(short) and short[place] in ("_", text[at]):
            at, place = at + 1, place + 1
        elif star >= 0:
            kept += 1
            at, place = kept, star + 1
        else:
            return False
    return short[place:] in ("", "%")
