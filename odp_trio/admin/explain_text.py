"""An explanation for people, by rich."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


def show(answer: Mapping[str, Any], console: Console | None = None) -> None:
    """Print an explanation as ``explanation_object`` makes it."""
    console = console or Console(highlight=False)
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for name, text in _facts(answer):
        grid.add_row(name, text if isinstance(text, Text) else Text(text))
    console.print(grid)
    if answer["candidates"]:
        console.print()
        console.print(_candidates(answer))
    for opinion in answer.get("shadows", ()):
        verdict = "agrees" if opinion["agrees"] else "disagrees"
        console.print(Text(f"shadow {opinion['rule']}: {opinion['server'] or 'no answer'}, {verdict}"))


def _facts(answer: Mapping[str, Any]) -> list[tuple[str, str | Text]]:
    rows: list[tuple[str, str | Text]] = []
    if answer["server"]:
        rows.append(("server", Text(answer["server"], style="bold green")))
    else:
        rows.append(("server", Text(f"none: {answer['error']}", style="bold red")))
    decided = next((step for step in answer["steps"] if step["answered"]), None)
    rows.append(("rule", f"{answer['rule']}: {decided['says']}" if decided else answer["rule"]))
    rows.append(("policy", answer["policy"] + (f", tier {answer['tier']}" if answer["tier"] else "")))
    rows += [("what if", change) for change in answer["what_if"]]
    rows.append(("tenant", f"{answer['tenant']}#{answer['cluster']}"))
    tables = ", ".join(answer["tables"])
    rows.append(("statement", answer["kind"] + (f" on {tables}" if tables else "")))
    rows.append(("consistency", f"{answer['consistency']}: {answer['consistency_reason']}"))
    rows.append(("partition", _partition(answer)))
    if answer["key"]:
        rows.append(("key", ", ".join(answer["key"])))
    if answer["leader"]:
        rows.append(("leader", answer["leader"] + (" (dirty: to be looked up again)" if answer["dirty"] else "")))
    rows += [
        ("hint", hint["text"] + (f" ignored: {hint['ignored']}" if hint["ignored"] else "")) for hint in answer["hints"]
    ]
    if answer["why_not_parsed"]:
        rows.append(("parsed by", f"{answer['parsed_by']}: {answer['why_not_parsed']}"))
    counts = answer["counts"]
    if any(counts.values()):
        rows.append(("so far", ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items())))
    return rows


def _partition(answer: Mapping[str, Any]) -> str:
    partition, reason = answer["partition"], answer["reason"]
    if partition is None:
        return f"none: {reason}"
    return f"{partition['name']}, tablet {partition['tablet_id']}" + (f": {reason}" if reason else "")


def _candidates(answer: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("", "candidate", "letters", "refused"):
        table.add_column(name, no_wrap=name != "refused")
    for found in answer["candidates"]:
        chosen = found["server"] == answer["server"]
        style = "bold green" if chosen else "dim" if found["refused"] else ""
        table.add_row("→" if chosen else "", found["server"], found["letters"], Text(found["refused"]), style=style)
    return table
