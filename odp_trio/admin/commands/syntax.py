"""How a command is written, as notation and as parser: one and the same text.

``SHOW PROXYSESSION ATTRIBUTE [id] [LIKE 'pattern']``: words in capitals stand for themselves, in any case; words in
small letters are arguments; brackets hold what may be left out; ``[, ...]`` repeats what stands behind the last word
in capitals.  An argument in quotes is a string or a bare word, ``statement`` is the rest of the text, ``value`` may be
empty, and those of ``NUMBERS`` are digits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, final

import msgspec

NUMBERS: Final = frozenset({"id", "ss_id", "log_id", "thread_id", "count", "offset"})
_NOTATION: Final = re.compile(r"\[, \.\.\.\]|'\w+'|\w+|[\[\](),|=]")
_TOKENS: Final = re.compile(
    r"(?P<skip>\s+|/\*.*?\*/|(?:--(?=\s|$)|\#)[^\n]*)"
    r"|(?P<string>'(?:[^'\\]|''|\\.)*'|\"(?:[^\"\\]|\"\"|\\.)*\"|`[^`]*`)"
    r"|(?P<word>[^\s'\"`=,;()\#]+)"
    r"|(?P<mark>.)",
    re.DOTALL,
)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "%": "\\%", "_": "\\_"}
_LONGEST: Final = 40
MOST_TOKENS: Final = 240
"""Of a command; behind them may only stand what ``statement`` takes."""

Found = tuple[tuple[str, str], ...]
"""Arguments by name, in the order of the text."""


class Token(msgspec.Struct, frozen=True):
    """A word, a string or a mark.  ``value`` is a string without its quotes; ``start`` is where it begins."""

    kind: str
    text: str
    value: str
    start: int

    @property
    def key(self) -> str:
        """What it is as a key word; empty for what cannot be one."""
        return self.text.upper() if self.kind == "word" else ""


class Text(msgspec.Struct, frozen=True):
    """A statement taken apart."""

    sql: str
    tokens: tuple[Token, ...]
    cut: bool = False
    """There is more than ``MOST_TOKENS``."""

    def near(self, at: int) -> str:
        """Return what stands at a token, for people; empty at the end."""
        return self.sql[self.tokens[at].start :][:40] if at < len(self.tokens) else ""

    def words(self, count: int) -> str:
        """Return the first words, in capitals; of long ones the beginning."""
        return " ".join(token.text[:_LONGEST].upper() for token in self.tokens[:count])


def take_apart(sql: str) -> Text:
    """Read tokens; comments and a semicolon at the end are left out."""
    tokens: list[Token] = []
    for match in _TOKENS.finditer(sql):
        kind = match.lastgroup or ""
        if kind == "skip":
            continue
        text = match[0]
        tokens.append(Token(kind, text, _unquoted(text) if kind == "string" else text, match.start()))
        if len(tokens) == MOST_TOKENS:
            return Text(sql, tuple(tokens), cut=True)
    while tokens and tokens[-1].text == ";":
        sql = sql[: tokens.pop().start]
    return Text(sql.rstrip(), tuple(tokens))


def _unquoted(text: str) -> str:
    quote, body = text[0], text[1:-1]
    if quote == "`":
        return body
    return _ESCAPED.sub(lambda found: _ESCAPES.get(found[1], found[1]), body.replace(quote * 2, quote))


# ---- the parts of a notation --------------------------------------------------------------


class _Key(msgspec.Struct, frozen=True):
    """Stands for itself."""

    word: str

    def match(self, text: Text, at: int) -> Iterator[tuple[int, Found]]:
        if at < len(text.tokens) and text.tokens[at].kind != "string" and text.tokens[at].text.upper() == self.word:
            yield at + 1, ()


class _Argument(msgspec.Struct, frozen=True):
    """One token, or the rest of the text."""

    name: str
    quoted: bool

    def match(self, text: Text, at: int) -> Iterator[tuple[int, Found]]:
        tokens, name = text.tokens, self.name
        if name == "statement":
            if at < len(tokens):
                yield len(tokens), ((name, text.sql[tokens[at].start :]),)
            return
        token = tokens[at] if at < len(tokens) else None
        if token is not None and token.kind != "mark" and self._takes(token):
            yield at + 1, ((name, token.value),)
        if name == "value":
            yield at, ((name, ""),)

    def _takes(self, token: Token) -> bool:
        if self.name in NUMBERS:
            return token.kind == "word" and token.text.isascii() and token.text.isdigit() and len(token.text) < 20
        return self.quoted or self.name == "value" or token.kind == "word" or token.text.startswith("`")


class _Optional(msgspec.Struct, frozen=True):
    """May be left out."""

    parts: _Sequence

    def match(self, text: Text, at: int) -> Iterator[tuple[int, Found]]:
        yield from self.parts.match(text, at)
        yield at, ()


class _Repeated(msgspec.Struct, frozen=True):
    """Comes once or several times, parted by commas."""

    parts: _Sequence

    def match(self, text: Text, at: int) -> Iterator[tuple[int, Found]]:
        for end, found in self.parts.match(text, at):
            if end < len(text.tokens) and text.tokens[end].text == ",":
                for last, more in self.match(text, end + 1):
                    yield last, (*found, *more)
            yield end, found


class _Sequence(msgspec.Struct, frozen=True):
    """One after the other."""

    parts: tuple[_Key | _Argument | _Optional | _Repeated, ...]

    def match(self, text: Text, at: int) -> Iterator[tuple[int, Found]]:
        yield from _match(self.parts, text, at)


def _match(
    parts: Sequence[_Key | _Argument | _Optional | _Repeated], text: Text, at: int
) -> Iterator[tuple[int, Found]]:
    if not parts:
        yield at, ()
        return
    for middle, found in parts[0].match(text, at):
        for end, more in _match(parts[1:], text, middle):
            yield end, (*found, *more)


@final
class Syntax:
    """A notation that reads.  ``head`` is the words in capitals that it begins with."""

    def __init__(self, notation: str) -> None:
        self.notation = notation
        self._whole = _compile(iter(_NOTATION.findall(notation)))
        self.takes_rest = "statement" in notation
        head: list[str] = []
        for part in self._whole.parts:
            if not isinstance(part, _Key):
                break
            head.append(part.word)
        self.head = tuple(head)
        self.words = tuple(part.word for part in self._whole.parts if isinstance(part, _Key) and part.word[0].isalpha())
        """Those in capitals that must be there."""

    def read(self, text: Text) -> Found | None:
        """Return the arguments of a statement that is written like this; None for another one."""
        if not self.begins(text) or (text.cut and not self.takes_rest):
            return None
        return next((found for end, found in self._whole.match(text, 0) if end == len(text.tokens)), None)

    def begins(self, text: Text) -> bool:
        """Whether a statement begins with the words of the head."""
        tokens = text.tokens
        return len(tokens) >= len(self.head) and all(
            token.key == word for token, word in zip(tokens, self.head, strict=False)
        )

    def reaches(self, text: Text) -> int:
        """Return how many tokens of a statement are as they should be."""
        count = 0
        for token, word in zip(text.tokens, self.head, strict=False):
            if token.key != word:
                return count
            count += 1
        return max((end for end, _ in self._furthest(text)), default=count)

    def _furthest(self, text: Text) -> Iterator[tuple[int, Found]]:
        parts = self._whole.parts
        for stop in range(len(self.head), len(parts) + 1):
            yield from _match(parts[:stop], text, 0)


def _compile(words: Iterator[str]) -> _Sequence:
    """Read a notation up to the end of the bracket that it is in."""
    parts: list[_Key | _Argument | _Optional | _Repeated] = []
    for word in words:
        if word == "]":
            break
        if word == "[":
            parts.append(_Optional(_compile(words)))
        elif word == "[, ...]":
            start = max(at for at, part in enumerate(parts) if isinstance(part, _Key) and part.word.isalpha()) + 1
            parts[start:] = [_Repeated(_Sequence(tuple(parts[start:])))]
        elif word[0].islower() or word[0] == "'":
            parts.append(_Argument(word.strip("'"), word.startswith("'")))
        else:
            parts.append(_Key(word))
    return _Sequence(tuple(parts))
