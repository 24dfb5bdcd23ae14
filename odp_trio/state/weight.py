"""How much memory what is kept of a session takes: an estimate that follows the size, not the layout.

The constants were measured on CPython 3.11: objects, tuples and places in tables that one entry has.
"""

from __future__ import annotations

from typing import Final

from odp_trio.state.client import ClientState
from odp_trio.state.prepared import PreparedStatements

VARIABLE_BYTES: Final = 250
"""What a variable takes besides its name and value."""
STATEMENT_BYTES: Final = 400
"""What a prepared statement takes besides its text, which is there about twice: as text and as its literals."""
COPY_BYTES: Final = 150
"""What is noted of a prepared statement for each server."""


def weight(state: ClientState, prepared: PreparedStatements, servers: int) -> int:
    """Return how many bytes the variables and statements of a session with so many server sessions take, about."""
    variables = sum(
        len(name) + len(value) + VARIABLE_BYTES
        for kept in (state.system, state.user)
        for name, (value, _) in kept.items()
    )
    texts = 2 * prepared.text_size + prepared.long_data_size
    named = sum(2 * len(each.source) for each in state.text_prepared.values())
    statements = len(prepared.statements) + len(state.text_prepared)
    variables += state.shared.size + sum(map(len, state.expressions.values()))
    return variables + texts + named + statements * (STATEMENT_BYTES + servers * COPY_BYTES)
