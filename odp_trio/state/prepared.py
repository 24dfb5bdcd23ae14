"""Prepared statements of one client session: the client's ids and each server's.

The client is told the server's id, unless another statement of the session has
it already: two servers may give the same number to different statements.  A
server that is to run a statement it does not have is sent the text again
first; one that has not seen the parameter types gets them inserted; long data
is kept until the execution says where it goes.

Statements made by PREPARE ... FROM have names, and are made anew likewise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, final

from odp_trio.model import Address
from odp_trio.sql.facts import Shape
from odp_trio.sql.lexer import NO_BACKSLASHES

FIRST_SPARE: Final = 1 << 30
LAST_ID: Final = (1 << 31) - 1
_REMEMBERED: Final = 1000
PIECE_BYTES: Final = 64
"""What a piece of long data takes besides its bytes."""


@final
@dataclass(slots=True, eq=False)
class LongData:
    """What COM_STMT_SEND_LONG_DATA brought since the last execution."""

    pieces: list[bytes] = field(default_factory=list)
    """Number of the parameter (two bytes) and data, as they came."""
    parameters: set[int] = field(default_factory=set)
    size: int = 0
    on: Address | None = None
    """More came than is kept: all of it is on this server, and pieces are not kept any more."""
    lost: bool = False
    """Some of it could not be taken."""

    def add(self, piece: bytes) -> None:
        """Keep a piece."""
        self.pieces.append(piece)
        self.parameters.add(int.from_bytes(piece[:2], "little"))
        self.size += len(piece) + PIECE_BYTES

    def values(self) -> Mapping[int, bytes]:
        """Return what has come for each parameter, as far as it is kept."""
        parts: dict[int, list[bytes]] = {number: [] for number in self.parameters}
        for piece in self.pieces:
            parts[int.from_bytes(piece[:2], "little")].append(piece[2:])
        return {number: b"".join(pieces) for number, pieces in parts.items()}


@final
@dataclass(slots=True, eq=False)
class Prepared:
    """One statement as the client has it.  ``text`` is the payload's rest behind COM_STMT_PREPARE."""

    id: int
    text: bytes
    shape: Shape
    literals: Sequence[bytes]
    parameters: int = 0
    types: bytes = b""
    """Two bytes a parameter, as last sent by the client."""
    types_version: int = 0
    long_data: LongData | None = None
    cursor_on: Address | None = None
    whole: bool = True
    """Whether the text is all there; else the statement cannot be made on another server."""
    watched: bool = False
    """Whether the success of an execution means something for the session."""


@final
@dataclass(slots=True, eq=False)
class Copy:
    """A statement on one server: its id there, and what that server knows of parameters."""

    server_id: int
    types_version: int = 0
    long_data: LongData | None = None
    """Of which it was sent ``pieces`` pieces."""
    pieces: int = 0


@final
@dataclass(slots=True, eq=False)
class TextPrepared:
    """A statement made by PREPARE ... FROM.  One that is made anew under its name is another one."""

    name: str
    source: bytes
    """The text to be prepared; or, if ``on`` is set, nothing."""
    shape: Shape
    literals: Sequence[bytes]
    watched: bool = False
    on: Address | None = None
    """The only server that has it: its text is not known here."""

    def sql(self, dialect: int) -> bytes:
        """Write the statement that makes it on another server."""
        text = self.source.replace(b"'", b"''")
        if not dialect & NO_BACKSLASHES:
            text = text.replace(b"\\", b"\\\\")
        return b"PREPARE %b FROM '%b'" % (quoted(self.name), text)


def quoted(name: str) -> bytes:
    """Write the name of a statement."""
    return b"`" + name.replace("`", "``").encode() + b"`"


@final
class PreparedStatements:
    """The statements of one client session by the client's id."""

    __slots__ = ("_last", "forgotten", "long_data_size", "statements", "text_size")

    def __init__(self) -> None:
        self.statements: dict[int, Prepared] = {}
        self.forgotten: frozenset[int] = frozenset()
        """Ids that resets made unknown; the server that was reset may never have heard of them."""
        self.text_size = self.long_data_size = 0
        """Bytes of their texts, and of long data that is kept."""
        self._last = FIRST_SPARE

    def spare_id(self) -> int:
        """Return an id, far above the servers', for a statement whose own is taken."""
        while True:
            self._last = FIRST_SPARE + (self._last + 1 - FIRST_SPARE) % (LAST_ID - FIRST_SPARE)
            if self._last not in self.statements:
                return self._last

    def add(self, statement: Prepared) -> None:
        """Take a statement that a server has prepared."""
        self.statements[statement.id] = statement
        self.text_size += len(statement.text)

    def remove(self, statement: Prepared) -> None:
        """COM_STMT_CLOSE."""
        self.drop_long_data(statement)
        self.text_size -= len(statement.text)
        del self.statements[statement.id]

    def note_types(self, statement: Prepared, types: bytes | None) -> None:
        """An execution brings types, or none."""
        if types is not None and types != statement.types:
            statement.types = types
            statement.types_version += 1

    def keep_long_data(self, statement: Prepared, piece: bytes) -> None:
        """Keep a piece of long data until the statement is executed."""
        if statement.long_data is None:
            statement.long_data = LongData()
        self.long_data_size -= statement.long_data.size
        statement.long_data.add(piece)
        self.long_data_size += statement.long_data.size

    def drop_long_data(self, statement: Prepared) -> None:
        """The statement was executed, reset or closed."""
        if statement.long_data is not None:
            self.long_data_size -= statement.long_data.size
            statement.long_data = None

    def forget(self) -> None:
        """COM_RESET_CONNECTION and COM_CHANGE_USER drop every statement."""
        gone = frozenset(self.statements)
        self.forgotten = gone | self.forgotten if len(self.forgotten) < _REMEMBERED else gone
        self.statements.clear()
        self.text_size = self.long_data_size = 0
