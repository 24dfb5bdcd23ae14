"""The table of foot-guns.

Each is told when an option of it changes and what it says then holds; settings
that are looked at alone are compared with the defaults.  docs/configuration.md
is made from the table.
"""

from __future__ import annotations

from typing import Final

from odp_trio.config.foot_guns_of_operation import OF_OPERATION
from odp_trio.config.foot_guns_of_routing import OF_ROUTING

FOOT_GUNS: Final = (*OF_ROUTING, *OF_OPERATION)


def render_foot_guns() -> str:
    """Return the table of docs/configuration.md."""
    lines = ["| name | options | what to expect |", "|---|---|---|"]
    for gun in FOOT_GUNS:
        text = gun.text.replace("{new.", "{").replace("!r}", "}").replace("{", "`").replace("}", "`")
        lines.append(f"| `{gun.name}` | {', '.join(f'`{name}`' for name in gun.options)} | {text} |")
    return "\n".join(lines)
