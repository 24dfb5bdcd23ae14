"""The phases of a response, as tables: which packet leads from which phase to which.

``docs/wire.md`` is made from them.  Sources: MySQL: Text Resultset,
COM_STMT_PREPARE response; the extra OK: seen on seekdb 1.3.0.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Final

from odp_trio.wire.command import Com, command_name


class Phase(IntEnum):
    """How far a response has come; the value is the next packet that is expected."""

    RESULT = 0
    """First packet of a result: OK, ERR, a file request or a column count."""
    DEFINITIONS = 1
    ROWS = 2
    EXTRA_OK = 3
    ACKNOWLEDGE = 4
    """OK or ERR, nothing else."""
    STRING = 5
    """COM_STATISTICS."""
    PREPARE = 6
    PARAMETERS = 7
    COLUMNS = 8
    FIELDS = 9
    """COM_FIELD_LIST."""
    FETCHED = 10
    EOF_ONLY = 11
    """COM_DEBUG."""
    CHANGE_USER = 12
    UPLOAD = 13
    """The server waits for the content of a local file."""
    OUT_ROWS = 14
    """The OUT parameters of a CALL: an OK follows, whatever the flags say."""
    END = 15


class Kind(Enum):
    """What a packet is, where it matters."""

    OK = "OK"
    ERR = "ERR"
    EOF = "EOF"
    FILE = "local file request"
    SWITCH = "auth switch request"
    DATA = "data"


# The phase after a packet; a kind that is missing is a protocol error.
# OK, EOF and the end of a prepare reply depend on flags and counts as well: see the methods in brackets.
PHASES: Final[dict[Phase, dict[Kind, Phase]]] = {
    Phase.RESULT: {
        Kind.OK: Phase.END,  # [_ok] RESULT when more results follow
        Kind.ERR: Phase.EXTRA_OK,
        Kind.FILE: Phase.UPLOAD,
        Kind.DATA: Phase.DEFINITIONS,
    },
    Phase.DEFINITIONS: {
        Kind.DATA: Phase.DEFINITIONS,
        Kind.EOF: Phase.ROWS,
        Kind.ERR: Phase.EXTRA_OK,
    },  # [_eof]
    Phase.ROWS: {Kind.DATA: Phase.ROWS, Kind.EOF: Phase.EXTRA_OK, Kind.ERR: Phase.EXTRA_OK},  # [_eof]
    Phase.EXTRA_OK: {Kind.OK: Phase.END},
    Phase.ACKNOWLEDGE: {Kind.OK: Phase.END, Kind.ERR: Phase.EXTRA_OK, Kind.EOF: Phase.END},
    Phase.STRING: {Kind.DATA: Phase.END, Kind.ERR: Phase.EXTRA_OK},
    Phase.PREPARE: {Kind.OK: Phase.EXTRA_OK, Kind.ERR: Phase.EXTRA_OK},  # [_prepared]
    Phase.PARAMETERS: {
        Kind.DATA: Phase.PARAMETERS,
        Kind.EOF: Phase.EXTRA_OK,
        Kind.ERR: Phase.EXTRA_OK,
    },  # [_eof]
    Phase.COLUMNS: {Kind.DATA: Phase.COLUMNS, Kind.EOF: Phase.EXTRA_OK, Kind.ERR: Phase.EXTRA_OK},
    Phase.FIELDS: {Kind.DATA: Phase.FIELDS, Kind.EOF: Phase.EXTRA_OK, Kind.ERR: Phase.EXTRA_OK},
    Phase.FETCHED: {Kind.DATA: Phase.FETCHED, Kind.EOF: Phase.EXTRA_OK, Kind.ERR: Phase.EXTRA_OK},
    Phase.EOF_ONLY: {Kind.EOF: Phase.END, Kind.ERR: Phase.EXTRA_OK},
    Phase.CHANGE_USER: {Kind.OK: Phase.END, Kind.ERR: Phase.EXTRA_OK, Kind.SWITCH: Phase.END},
    Phase.UPLOAD: {Kind.ERR: Phase.EXTRA_OK},
    Phase.OUT_ROWS: {Kind.DATA: Phase.OUT_ROWS, Kind.EOF: Phase.RESULT, Kind.ERR: Phase.EXTRA_OK},
    Phase.END: {},
}

FIRST_PHASE: Final[dict[int, Phase]] = {
    Com.QUERY: Phase.RESULT,
    Com.STMT_EXECUTE: Phase.RESULT,
    Com.PROCESS_INFO: Phase.RESULT,
    Com.STMT_PREPARE: Phase.PREPARE,
    Com.STMT_FETCH: Phase.FETCHED,
    Com.FIELD_LIST: Phase.FIELDS,
    Com.STATISTICS: Phase.STRING,
    Com.DEBUG: Phase.EOF_ONLY,
    Com.CHANGE_USER: Phase.CHANGE_USER,
    **dict.fromkeys(
        (
            Com.INIT_DB,
            Com.CREATE_DB,
            Com.DROP_DB,
            Com.REFRESH,
            Com.PROCESS_KILL,
            Com.PING,
            Com.STMT_RESET,
            Com.SET_OPTION,
            Com.RESET_CONNECTION,
        ),
        Phase.ACKNOWLEDGE,
    ),
}


# ---- the same for a loop over packets ----------------------------------------------
# Plain integers: an enum member costs a look-up and a slower comparison, and its class a slow way to every name.

FIRST: Final = [None if (first := FIRST_PHASE.get(command)) is None else int(first) for command in range(256)]
"""By command: the phase in which its answer begins."""
DATA_NEXT: Final = [None if (after := PHASES[phase].get(Kind.DATA)) is None else int(after) for phase in Phase]
"""By phase: the one behind a packet of data."""
# A row may begin with 0x00 (an empty column, a binary row) and, when it is 9 bytes or longer, with 0xFE.
KINDS: Final[list[dict[int, Kind]]] = [{0xFF: Kind.ERR, 0xFE: Kind.EOF} for _ in Phase]
"""By phase: what a packet is by its first byte, where that is not data."""
for _phase in (Phase.RESULT, Phase.EXTRA_OK, Phase.ACKNOWLEDGE, Phase.PREPARE, Phase.CHANGE_USER):
    KINDS[_phase][0x00] = Kind.OK
KINDS[Phase.RESULT][0xFB] = Kind.FILE
KINDS[Phase.CHANGE_USER][0xFE] = Kind.SWITCH


def render_phases() -> str:
    """Return the tables as Markdown, for docs/wire.md."""
    lines = ["| command | begins in |", "|---|---|"]
    lines += [f"| {command_name(command)} | {phase.name} |" for command, phase in sorted(FIRST_PHASE.items())]
    lines += ["", "| phase | packet | next phase |", "|---|---|---|"]
    for phase, following in PHASES.items():
        lines += [f"| {phase.name} | {kind.value} | {after.name} |" for kind, after in following.items()]
    return "\n".join(lines) + "\n"
