"""Passwords have no place in a log: statements are masked before they are written.  Pure.

A query or DML that speaks of passwords, keys or tokens loses all of its literals and
comments.  Where it is not certain what is a literal (backslashes, Oracle's
q-quotes, multi-byte text: each depends on the session) it is cut at the first quote.
Any other statement that does so is cut behind the first such word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, final

from odp_trio.sql.lexer import is_comment, split

MASK: Final = "***"
_MASK: Final = MASK.encode()
_LEAST: Final = 5
"""Shorter secrets are not looked for in other text: that would hide every other word of it."""

_SUSPECT: Final = re.compile(
    rb"""passw|pwd|passphrase|identified|secret|credential|token|private_?key
    |(?:access|api|auth|secret|security|encryption)_?(?:key|id)|encrypt|decrypt|authentication|_dest\b|s3://|oss://|cos://""",
    re.IGNORECASE | re.VERBOSE,
)
"""What a statement that may hold a secret has in it, as a rule."""

_UNCERTAIN: Final = re.compile(rb"\\|[qQ]'|[\x80-\xff]")
_QUOTE: Final = re.compile(rb"['\"]")
_DML: Final = re.compile(rb"[\s(]*+(?:select|insert|update|delete|replace|with|merge|explain|values)\b", re.IGNORECASE)
_BEHIND: Final = re.compile(rb"\w*+(?:\s++(?:by|for|password)\b)*+", re.IGNORECASE)
_VALUE: Final = re.compile(rb"(?<!\w)(\w++)(\s*+:?=\s*+)(?!\*\*\*)[^\s,;()]++")
"""A word and what is assigned to it; each word is looked at once, however long it is."""
_NAMES: Final = re.compile(rb"pass|pwd", re.IGNORECASE)
_QUOTED_TEXT: Final = re.compile(r"'.*", re.DOTALL)


def is_suspect(sql: bytes) -> bool:
    """Whether a statement may hold a secret."""
    return _SUSPECT.search(sql) is not None


def masked(sql: bytes) -> str:
    """Return a statement as it may be written; one that may hold a secret has ``***`` in the place of it."""
    word = _SUSPECT.search(sql)
    if word is None:
        return sql.decode("utf-8", "replace")
    shown = sql
    if not _DML.match(sql):
        found = _BEHIND.match(sql, word.end())
        shown = sql[: word.end() if found is None else found.end()]
    if _UNCERTAIN.search(shown):
        first = _QUOTE.search(shown)
        shown = shown if first is None else shown[: first.start()] + _MASK
    else:
        pieces = split(shown)
        pieces[1::2] = [b"" if is_comment(slot) else _MASK for slot in pieces[1::2]]
        shown = b"".join(pieces)
    if shown is not sql and not _DML.match(sql) and not shown.endswith(_MASK):
        shown += b" " + _MASK
    return _VALUE.sub(_assigned, shown).decode("utf-8", "replace")


def _assigned(found: re.Match[bytes]) -> bytes:
    return b"".join((found[1], found[2], _MASK)) if _NAMES.search(found[1]) else found[0]


def masked_message(message: str, sql: bytes) -> str:
    """Return what a server says of a statement: it quotes a part of it, which goes where that may hold a secret."""
    return _QUOTED_TEXT.sub(MASK, message) if is_suspect(sql) else message


@final
class Redactor:
    """Takes secrets that are known, those of the configuration, out of any text."""

    def __init__(self, secrets: Iterable[str]) -> None:
        found = sorted({secret for secret in secrets if len(secret) >= _LEAST}, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, found))) if found else None

    def __call__(self, text: str) -> str:
        """Return the text with ``***`` for each secret."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)
