"""ODP's LIKE of its own commands: ``%`` and ``_``, case counts, nothing escapes them; an empty pattern admits all."""

from __future__ import annotations


def is_like(text: str, pattern: str | None) -> bool:
    """Whether a pattern, if there is one, admits a text; takes at most the product of their lengths."""
    if not pattern:
        return True
    at = place = 0
    star, kept = -1, 0
    while at < len(text):
        if place < len(pattern) and pattern[place] == "%":
            star, kept = place, at
            place += 1
        elif place < len(pattern) and pattern[place] in ("_", text[at]):
            at, place = at + 1, place + 1
        elif star >= 0:
            kept += 1
            at, place = kept, star + 1
        else:
            return False
    return not pattern[place:].strip("%")
