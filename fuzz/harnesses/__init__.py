"""The harnesses: each is a group of parsers that take bytes from the same hands.

    packets     framing, and MySQL's compressed protocol, of clients and servers
    ob20        frames of OB 2.0, extra info, state that servers hand each other
    login       what a client sends before it is let in, and COM_CHANGE_USER
    greeting    what a server says until a login is over
    answers     answers to commands: OK, ERR, EOF, result sets, session state
    requests    commands, parameters of prepared statements, long data
    statements  SQL: lexer, skim, grammar, hints, annotations
    partitions  partition expressions, bounds and values
    settings    TOML, flags, ODP's option strings, own names of options
    ocp         answers of config servers, the file of rslists
    operators   commands of administrators, questions to the HTTP API
    records     rows of metadata, snapshots, messages between our own processes

Each has ``one_input(data: bytes) -> None``, which raises for what must not be, and ``seeds()``, the inputs that a
corpus begins with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Final, NamedTuple

NAMES: Final = (
    "login",
    "greeting",
    "packets",
    "ob20",
    "answers",
    "requests",
    "statements",
    "partitions",
    "ocp",
    "operators",
    "records",
    "settings",
)
"""In the order of their runs: what strangers can reach comes first."""


class Harness(NamedTuple):
    """One harness: what is done with an input, and the inputs to begin with."""

    name: str
    one_input: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    purpose: str


def harness(name: str) -> Harness:
    """Import one harness; raise KeyError for a name that is none."""
    if name not in NAMES:
        raise KeyError(f"{name!r} is no harness; there are {', '.join(NAMES)}")
    module = import_module(f"fuzz.harnesses.{name}")
    return Harness(name, module.one_input, module.seeds, (module.__doc__ or "").partition("\n")[0])
