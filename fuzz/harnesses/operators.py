"""What operators send: commands in SQL, questions and JSON of the HTTP API, filters of lists."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from starlette.datastructures import QueryParams

from fuzz.cutting import Choices, outcome
from odp_trio.admin.api import API
from odp_trio.admin.commands.answer import find, refusal
from odp_trio.admin.commands.syntax import MOST_TOKENS, take_apart
from odp_trio.admin.commands.table import COMMANDS
from odp_trio.admin.explain_command import read_parameter
from odp_trio.admin.http import read_body, read_words
from odp_trio.admin.live_socket import read_token
from odp_trio.config.like import is_like
from odp_trio.errors import ConfigError


def one_input(data: bytes) -> None:
    """Read bytes as a command, a query string, a body, a first message of a WebSocket, a pattern."""
    choices = Choices(data)
    mode, which = choices.byte() % 4, choices.byte()
    rest = choices.rest
    text = rest.decode("utf-8", "replace")
    if mode == 0:
        _command(text)
    elif mode == 1:
        operation = API[which % len(API)]
        outcome(lambda: read_words(QueryParams(rest), operation.asks), ConfigError)
    elif mode == 2:
        operation = API[which % len(API)]
        outcome(lambda: read_body(rest, operation.asks), ConfigError)
        assert isinstance(read_token(text), str)
        read_parameter(text)
    else:
        pattern, _, subject = text.partition("\n")
        found = is_like(subject, pattern)
        assert found == _is_like(subject, pattern) or not pattern


def _is_like(text: str, pattern: str) -> bool:
    """The same in the plainest way: by the positions that are reached."""
    if len(text) * len(pattern) > 4000:
        return is_like(text, pattern)
    reached = {0}
    for mark in pattern:
        if mark == "%":
            reached = set(range(min(reached), len(text) + 1)) if reached else reached
        else:
            reached = {at + 1 for at in reached if at < len(text) and mark in ("_", text[at])}
    return len(text) in reached


def _command(sql: str) -> None:
    text = take_apart(sql)
    assert len(text.tokens) <= MOST_TOKENS
    assert all(sql[token.start :].startswith(token.text) for token in text.tokens)
    found = find(text)
    if found is None:
        assert str(refusal(text))
    else:
        command, arguments = found
        assert command.syntax.begins(text)
        assert all(isinstance(name, str) and isinstance(value, str) for name, value in arguments)


def seeds() -> Iterator[bytes]:
    """Give every command as it is written, and questions to each operation."""
    for command in COMMANDS:
        notation = command.syntax.notation.replace("[", " ").replace("]", " ").replace("...", " ")
        yield b"\0\0" + notation.encode()
    yield b"\0\0alter proxyconfig set a='x', b = \"y\", c=5;  -- done"
    yield b"\0\0/* x */ show proxysession like 'a\\'b%'"
    for at, operation in enumerate(API):
        fields = [field.name for field in msgspec.structs.fields(operation.asks)]
        if operation.method == "GET":
            yield bytes((1, at)) + "&".join(f"{name}=1" for name in fields).encode()
        else:
            yield bytes((2, at)) + msgspec.json.encode(dict.fromkeys(fields, "x"))
    yield b"\2\0" + b'{"token": "secret"}'
    yield b"\2\0" + b'{"a": ' + b"[" * 1200
    yield b"\3\0a%b_c\na-long-b-c"
