"""What a server session must be told before the client's next statement may run there.

``sync_plan`` compares versions and returns the steps in ODP's order: database,
then variables in one SET.  After the steps the server session has the client's
version and another plan is empty.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from odp_trio.state.client import ClientState, ServerState
from odp_trio.state.user_variables import quoted_name

_NULLABLE: Final = frozenset({b"character_set_results"})
"""Variables that are NULL when they are reported as empty."""
_MEANING: Final = frozenset(
    {b"character_set_client", b"character_set_connection", b"collation_connection", b"sql_mode"}
)
"""Variables that say what a string literal means: they are set before the literals come."""
_NUMBER: Final = re.compile(rb"-?(?:0|[1-9]\d{0,19})(?:\.\d+)?")


class UseDatabase(msgspec.Struct, frozen=True):
    """COM_INIT_DB."""

    database: bytes


class SetVariables(msgspec.Struct, frozen=True):
    """COM_QUERY with one SET.  ``items`` are its assignments."""

    items: tuple[bytes, ...]

    @property
    def sql(self) -> bytes:
        """The statement."""
        return b"SET " + b", ".join(self.items)


Step = UseDatabase | SetVariables


def sync_plan(client: ClientState, server: ServerState) -> tuple[Step, ...]:
    """Return what is to be sent, in order; empty when the server session is up to date."""
    steps: list[Step] = []
    if server.database != client.database and client.database:
        steps.append(UseDatabase(client.database))
    if server.version != client.version or server.behind:
        system = [
            (name, value)
            for name, (value, version) in client.system.items()
            if version > server.version and (not server.carries_variables or client.is_imposed(name))
        ]
        if server.behind:
            system[:0] = [(name, value) for name, value in server.behind.items() if name not in client.system]
        items = [
            b"@@%b = %b" % (name, literal(value) if value or name not in _NULLABLE else b"NULL")
            for name, value in system
        ]
        user = [
            b"@%b = %b" % (quoted_name(name), client.expressions.get(name, value))
            for name, (value, version) in client.user.items()
            if version > server.version
        ]
        if items and user and not _MEANING.isdisjoint(name for name, _ in system):
            steps.append(SetVariables(tuple(items)))
            items = []
        if items or user:
            steps.append(SetVariables((*items, *user)))
    return tuple(steps)


def synced(client: ClientState, server: ServerState, *, database: bool = True) -> None:
    """Note that the steps of the plan were done; ``database`` is false if that one was left out."""
    server.version = client.version
    server.behind = {}
    if client.database and database:
        server.database = client.database


def literal(value: bytes) -> bytes:
    """Write a system variable's reported value as SQL: numbers bare, all else quoted."""
    if _NUMBER.fullmatch(value):
        return value
    return b"'" + value.replace(b"\\", b"\\\\").replace(b"'", b"''") + b"'"
