"""The JSON that a config server wraps its answers in, and values read out of it with their places named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, Never, final

import msgspec

from odp_trio.errors import MalformedConfigAnswer
from odp_trio.topology.config_questions import without_queries

_BLANKS: Final = bytes.maketrans(b"\t\n\v\f\r", b"     ")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SHOWN: Final = 60
_BEGINNING: Final = 24
_KINDS: Final = {
    dict: "an object",
    list: "an array",
    str: "text",
    int: "a whole number",
    float: "a fraction",
    bool: "a truth value",
    type(None): "null",
}


def read_data(body: bytes) -> Field:
    """Return ``Data`` of an answer; raise MalformedConfigAnswer for what is no JSON or says that it failed."""
    root = Field("", _parse(body))
    if not isinstance(root.value, dict):
        raise MalformedConfigAnswer(f"the answer is {_KINDS[type(root.value)]}; an object is expected")
    success, message, code = root["Success"], root["Message"], root["Code"]
    if success.value is False:
        said = "".join(f", {field.path} is {show(field.value)}" for field in (code, message) if field.given)
        raise MalformedConfigAnswer(f"the config server reports a failure: Success is false{said}")
    if success.value is not True:
        success.refuse("true or false")
    if message.text() != "successful":
        message.refuse("'successful'")
    if code.number() // 100 != 2:
        code.refuse("200 to 299")
    return root["Data"].existing()


@final
class Field:
    """A value of an answer and where it stands.  What it should not be is refused with MalformedConfigAnswer."""

    __slots__ = ("path", "value")

    def __init__(self, path: str, value: Any) -> None:
        self.path = path
        self.value = value

    @property
    def given(self) -> bool:
        """Whether it is there."""
        return self.value is not _ABSENT

    def __getitem__(self, key: str) -> Field:
        return Field(f"{self.path}.{key}" if self.path else key, self.fields().get(key, _ABSENT))

    def first(self, *keys: str) -> Field:
        """Return the first of several keys that is there; the last one if none is."""
        found = [field for field in map(self.__getitem__, keys) if field.given]
        return found[0] if found else Field(" or ".join(self[key].path for key in keys), _ABSENT)

    def existing(self) -> Field:
        """Return itself if it is there."""
        if self.value is _ABSENT:
            raise MalformedConfigAnswer(f"{self.path} is missing")
        return self

    def fields(self) -> dict[str, Any]:
        """Return an object's values by key."""
        if isinstance(self.value, dict):
            return self.value
        return self._mistyped("an object")

    def items(self) -> Iterator[Field]:
        """Return an array's values."""
        if not isinstance(self.value, list):
            self._mistyped("an array")
        return (Field(f"{self.path}[{index}]", value) for index, value in enumerate(self.value))

    def text(self, limit: int = 512) -> str:
        """Return text of at most so many bytes, on one line."""
        value = self.value
        if not isinstance(value, str):
            return self._mistyped("text")
        if len(value.encode()) > limit:
            raise MalformedConfigAnswer(f"{self.path} has {len(value.encode())} bytes; at most {limit} are allowed")
        if _CONTROL.search(value):
            raise MalformedConfigAnswer(f"{self.path} holds a control character: {show(value)}")
        return value

    def name(self, limit: int = 512) -> str:
        """Return text that is not empty."""
        if not self.text(limit):
            raise MalformedConfigAnswer(f"{self.path} is empty text")
        return str(self.value)

    def number(self) -> int:
        """Return a whole number, none below 0."""
        if type(self.value) is not int:
            return self._mistyped("a whole number")
        if not 0 <= self.value < 1 << 63:
            self.refuse("a number from 0 to 2^63-1")
        return self.value

    def refuse(self, expected: str) -> Never:
        """Raise for a value that cannot be."""
        self.existing()
        raise MalformedConfigAnswer(f"{self.path} is {show(self.value)}; {expected} is expected")

    def _mistyped(self, expected: str) -> Never:
        self.existing()
        raise MalformedConfigAnswer(f"{self.path} is {_KINDS[type(self.value)]}; {expected} is expected")


_ABSENT: Final = object()


def show(value: object) -> str:
    """Return a value of an answer as it may be logged: short, on one line, without queries of URLs."""
    if isinstance(value, dict | list):
        return _KINDS[type(value)]
    if value is None:
        return "null"
    text = without_queries(value) if isinstance(value, str) else str(value)
    short = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return repr(short) if isinstance(value, str) else short


def _parse(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body.translate(_BLANKS))
    except RecursionError as exc:
        raise MalformedConfigAnswer("the JSON is nested too deeply") from exc
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise MalformedConfigAnswer(_likeness(body, str(exc))) from exc


def _likeness(body: bytes, error: str) -> str:
    """Say what a body looks like that is no JSON."""
    text = body.strip()
    if not text:
        return f"the answer has no content ({len(body)} bytes)"
    start = text[:1024].lower()
    if start.startswith(b"<"):
        kind = "HTML" if b"<html" in start or b"<!doctype html" in start else "XML"
        return f"the answer is {kind}, not JSON"
    if not start.startswith((b"{", b"[")):
        beginning = text[:_BEGINNING].decode("ascii", "replace")
        if beginning.isprintable() and "\ufffd" not in beginning:
            return f"the answer is not JSON; it begins with {show(beginning)}"
        return f"the answer is not JSON but {len(body)} bytes that are no text"
    if "truncated" in error:
        return f"the JSON is cut off after {len(body)} bytes"
    return f"the JSON is broken: {without_queries(error)}"
