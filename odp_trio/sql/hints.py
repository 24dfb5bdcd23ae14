"""Hints: what ``/*+ … */`` behind the verb asks of routing, and what of it is ignored."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from odp_trio.sql.facts import Consistency, Hint
from odp_trio.sql.lexer import Word

_ONE: Final = re.compile(r"([A-Za-z_]\w*)\s*(?:\(([^()]*(?:\([^()]*\)[^()]*)*)\))?|\d+|\S")
_LONGEST: Final = (1 << 63) - 1
_DIGITS: Final = re.compile("[0-9]{1,19}")
"""Not ``isdigit``, which takes characters such as the square sign for digits too."""
_HINTS_SHOWN: Final = 32
_VERBS: Final = frozenset({"SELECT", "INSERT", "REPLACE", "UPDATE", "DELETE"})


def read_hints(body: Sequence[Word], pieces: Sequence[bytes]) -> dict[str, Any]:
    """Return the facts of the hints directly behind the verb; of one kind the first valid one wins."""
    at = _verb_at(body) + 1
    texts = []
    while at < len(body) and body[at].kind == "HINT":
        texts.append(body[at].text[3:].removesuffix("*/"))
        at += 1
    found: dict[str, Any] = {}
    hints: list[Hint] = []
    for text in texts:
        for match in _ONE.finditer(text):
            if len(hints) >= _HINTS_SHOWN:
                break
            if match[1] is None or match[1].lower() == "hint":
                continue
            ignored = _read(match[1].upper(), match[2], found)
            hints.append(Hint(match[0].strip(), ignored))
    return found | ({"hints": tuple(hints)} if hints else {})


def _verb_at(body: Sequence[Word]) -> int:
    """Return where the verb is: behind parentheses, and WITH has it behind its last CTE."""
    if body and body[0].upper == "LOAD":
        return 1
    with_depth = depth = 0
    seen_with = False
    for at, word in enumerate(body):
        if word.kind == "MARK":
            depth += (word.text == "(") - (word.text == ")")
        elif word.upper == "WITH" and not seen_with:
            seen_with, with_depth = True, depth
        elif not seen_with or (depth == with_depth and word.upper in _VERBS):
            return at
    return len(body)


def _read(name: str, argument: str | None, found: dict[str, Any]) -> str:
    """Take over one hint; return why it is ignored, or nothing."""
    if name == "READ_CONSISTENCY":
        value = (argument or "").strip().upper()
        if value not in Consistency.__members__:
            return f"{argument!r} is none of WEAK, STRONG, FROZEN"
        if "consistency" in found:
            return "an earlier READ_CONSISTENCY counts"
        found["consistency"] = Consistency[value]
        return ""
    if name == "QUERY_TIMEOUT":
        text = (argument or "").strip()
        if not _DIGITS.fullmatch(text) or not 0 < int(text) <= _LONGEST:
            return f"{argument!r} is no time in microseconds"
        if "query_timeout_us" in found:
            return "an earlier QUERY_TIMEOUT counts"
        found["query_timeout_us"] = int(text)
        return ""
    return "it says nothing about routing"
