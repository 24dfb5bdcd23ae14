"""Prepared statements of one client session: the client's ids and each server's.

The client is told the server's id, unless another statement of the session has
it already: two servers may give the same number to different statements.  A
server that is to run a statement it does not have is sent the text again
first; one that has not seen the parameter types gets them inserted.

Statements made by PREPARE ... FROM have names, and are made anew likewise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, final

from odp_trio.model import Address
from odp_trio.sql.facts import Shape

FIRST_SPARE: Final = 1 << 30
LAST_ID: Final = (1 << 31) - 1
_REMEMBERED: Final = 1000


@final
@dataclass(slots=True, eq=False)
class Prepared:
    """One statement as the client has it.  ``text`` is the payload's rest behind COM_STMT_PREPARE."""

    id: int
    text: bytes
    shape: Shape
    literals: tuple[bytes, ...]
    parameters: int = 0
    types: bytes = b""
    """Two bytes a parameter, as last sent by the client."""
    types_version: int = 0
    long_data: set[int] = field(default_factory=set)
    """Parameters of which long data was sent since the last execution."""
    long_data_on: Address | None = None
    cursor_on: Address | None = None


@final
@dataclass(slots=True, eq=False)
class Copy:
    """A statement on one server: its id there, and which types that server knows."""

    server_id: int
    types_version: int = 0


@final
@dataclass(slots=True, eq=False)
class TextPrepared:
    """A statement made by PREPARE ... FROM.  One that is made anew under its name is another one."""

    name: str
    sql: bytes
    """Makes it on another server: the PREPARE, its text a literal."""


@final
class PreparedStatements:
    """The statements of one client session by the client's id."""

    __slots__ = ("_last", "forgotten", "statements")

    def __init__(self) -> None:
        self.statements: dict[int, Prepared] = {}
        self.forgotten: frozenset[int] = frozenset()
        """Ids that resets made unknown; the server that was reset may never have heard of them."""
        self._last = FIRST_SPARE

    def spare_id(self) -> int:
        """Return an id, far above the servers', for a statement whose own is taken."""
        while True:
            self._last = FIRST_SPARE + (self._last + 1 - FIRST_SPARE) % (LAST_ID - FIRST_SPARE)
            if self._last not in self.statements:
                return self._last

    def note_types(self, statement: Prepared, types: bytes | None) -> None:
        """An execution brings types, or none."""
        if types is not None and types != statement.types:
            statement.types = types
            statement.types_version += 1

    def forget(self) -> None:
        """COM_RESET_CONNECTION and COM_CHANGE_USER drop every statement."""
        gone = frozenset(self.statements)
        self.forgotten = gone | self.forgotten if len(self.forgotten) < _REMEMBERED else gone
        self.statements.clear()
