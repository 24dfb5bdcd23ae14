"""The table of commands: parser, SHOW PROXYHELP and docs/admin.md are made of it.

A statement is the line that it fits; of several, the one that begins with more key words.
"""

from __future__ import annotations

from typing import Final

from odp_trio.admin.across.rows import ONE
from odp_trio.admin.commands import clusters, numbers, routes, sessions, settings, tasks
from odp_trio.admin.commands.command import LIKE, Asked, Command, Rows, show


def _help(asked: Asked) -> Rows:
    for command in COMMANDS:
        if asked.like(command.syntax.notation):
            yield command.syntax.notation, command.meaning.replace("`", ""), command.who.value


FAMILIES: Final[dict[str, tuple[Command, ...]]] = {
    "Configuration": settings.COMMANDS,
    "Sessions": sessions.COMMANDS,
    "Clusters and servers": clusters.COMMANDS,
    "Routes": routes.COMMANDS,
    "Numbers": numbers.COMMANDS,
    "The proxy itself": (
        *tasks.COMMANDS,
        show(
            f"SHOW PROXYHELP {LIKE}",
            "command V, meaning V, who V",
            _help,
            "these commands; LIKE is about how they are written",
            across=ONE,
            own=True,
        ),
    ),
}
COMMANDS: Final[tuple[Command, ...]] = tuple(command for family in FAMILIES.values() for command in family)
