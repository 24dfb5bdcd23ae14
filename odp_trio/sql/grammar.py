"""Reading tokens by the tables of ``grammar/odp_sql.lark``: LALR(1), bottom up, nothing recurses.

The tables are made from the grammar by ``nox -s docs`` and shipped as ``odp_sql.json``: to make them takes
a tenth of a second, to read them two milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from pathlib import Path
from typing import Any, Final, final

import msgspec

TABLES: Final = Path(__file__).with_name("odp_sql.json")


@final
class Token(msgspec.Struct, frozen=True):
    """What the grammar is made of; ``type`` is the name of a terminal there."""

    type: str
    value: Any
    """A Word, or Constants."""


class NotInGrammar(Exception):
    """No statement of the grammar goes on with this token; None: none ends here."""

    def __init__(self, token: Token | None) -> None:
        super().__init__(token)
        self.token = token


class Rule(msgspec.Struct, frozen=True, array_like=True):
    """What is made of the last ``size`` tokens and values: the value ``origin``."""

    origin: str
    size: int
    callback: str
    """Name of the method that makes the value; empty: the children themselves, to be part of another's."""
    single: bool
    """One child alone is the value."""
    inlined: tuple[int, ...]
    """Which children are lists of children."""


class Tables(msgspec.Struct, frozen=True):
    """By state and symbol: the next state, or ``~`` of the rule whose end is reached.  State 0 is the first."""

    rules: list[Rule]
    states: list[dict[str, int]]


_END: Final = Token("$END", None)


@final
class Parser:
    """Reads one list of tokens after the other; ``callbacks`` has a method for each rule of the grammar."""

    def __init__(self, tables: Tables, callbacks: object) -> None:
        self._states = tables.states
        self._rules = [
            (
                rule.origin,
                rule.size,
                _callback(callbacks, rule),
                rule.single,
                frozenset(rule.inlined),
            )
            for rule in tables.rules
        ]

    def parse(self, tokens: Iterable[Token]) -> Any:
        """Return what the callbacks make of all tokens; raise NotInGrammar."""
        rows, rules = self._states, self._rules
        states: list[int] = [0]
        values: list[Any] = []
        for token in (*tokens, _END):
            kind = token.type
            while True:
                action = rows[states[-1]].get(kind)
                if action is None:
                    raise NotInGrammar(None if token is _END else token)
                if action >= 0:
                    break
                origin, size, make, single, inlined = rules[~action]
                start = len(values) - size
                children = values[start:]
                del values[start:], states[start + 1 :]
                if inlined:
                    children = _flat(children, inlined)
                values.append(children[0] if single and len(children) == 1 else make(children))
                states.append(rows[states[-1]][origin])
            states.append(action)
            values.append(token)
        return values[0]


def read_tables() -> Tables:
    """Return the tables that are shipped."""
    return msgspec.json.decode(TABLES.read_bytes(), type=Tables)


def _callback(callbacks: object, rule: Rule) -> Callable[[list[Any]], Any]:
    found: Callable[[list[Any]], Any] = getattr(callbacks, rule.callback) if rule.callback else _as_they_are
    return found


def _as_they_are(children: list[Any]) -> list[Any]:
    return children


def _flat(children: list[Any], inlined: Container[int]) -> list[Any]:
    found: list[Any] = []
    for at, child in enumerate(children):
        if at not in inlined:
            found.append(child)
        elif found:
            found += child
        else:  # a list that grows at its end is not copied
            found = child
    return found
