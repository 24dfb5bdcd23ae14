"""docs/admin.md: the table of commands as text."""

from __future__ import annotations

from odp_trio.admin.commands.command import Command, Who
from odp_trio.admin.commands.table import FAMILIES

_MAY = {
    Who.ADMINISTRATORS: "administrators",
    Who.EVERYBODY: "everybody",
    Who.PROBES: "everybody, the inspector too",
}


def render_commands() -> str:
    """Return the commands of every family: what each shows or does, who may give it, and its columns."""
    lines: list[str] = []
    for family, commands in FAMILIES.items():
        lines += ["", f"### {family}", "", "| command | ODP | who | what it shows or does | several workers |"]
        lines.append("|---|---|---|---|---|")
        lines += [_line(command) for command in commands if not command.nothing]
        shown: dict[str, list[str]] = {}
        for command in commands:
            if command.columns:
                columns = ", ".join(f"`{one.name}`" + (" L" if one.number else " V") for one in command.columns)
                shown.setdefault(columns, []).append(" ".join(command.syntax.words))
        lines += ["", "Columns (L: BIGINT, V: VARCHAR):", ""]
        lines += [
            f"- {', '.join(f'`{head}`' for head in dict.fromkeys(heads))}: {text}" for text, heads in shown.items()
        ]
    return "\n".join(lines).strip()


def _line(command: Command) -> str:
    odp = "no" if command.own else "yes"
    meaning = command.meaning.replace("|", "or")
    return f"| `{command.syntax.notation}` | {odp} | {_MAY[command.who]} | {meaning} | {command.across.meaning} |"


def render_nothing() -> str:
    """Return the commands of ODP that mean nothing here, and why."""
    lines = ["| command of ODP | why it means nothing here |", "|---|---|"]
    lines += [
        f"| `{' '.join(command.syntax.words)}` | {command.nothing} |"
        for commands in FAMILIES.values()
        for command in commands
        if command.nothing
    ]
    return "\n".join(lines)
