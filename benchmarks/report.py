"""A run as a table for people and as JSON for machines."""

from __future__ import annotations

from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.comparisons import comparisons
from benchmarks.figures import Figure, Report

_EXACT_BELOW = 100
_WIDEST = 400
_ON_TOP = "proxy CPU"
"""The figure to compare by; "direct" has none, and so it would not come first by itself."""


def write_json(report: Report, path: Path) -> None:
    """Write the report, every single value included; the file is whole at any time."""
    new = path.with_name(path.name + ".new")
    whole = msgspec.structs.replace(report, comparisons=comparisons(report.figures))
    members = msgspec.to_builtins(whole)
    lines = [f"{_json(name)}: {_lines(value)}" for name, value in members.items()]
    new.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    new.replace(path)


def _lines(value: object) -> str:
    """Write a list with one item a line, anything else in one line."""
    if isinstance(value, list | tuple) and value:
        return "[\n" + ",\n".join(map(_json, value)) + "\n]"
    return _json(value)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def read_json(path: Path) -> Report:
    """Read a report; raise OSError or msgspec.ValidationError if there is none."""
    return msgspec.json.decode(path.read_bytes(), type=Report)


def print_report(report: Report, console: Console) -> None:
    """Print the machine, one table, and what was skipped."""
    console.print(" · ".join(f"{name} {value}" for name, value in report.machine.items()), style="dim", highlight=False)
    if report.figures:
        shown = table(report)
        limitless = console.options.update(max_width=_WIDEST)
        console.width = max(console.width, console.measure(shown, options=limitless).maximum)
        console.print(shown)
    for skipped in report.skipped:
        console.print(f"skipped {skipped.what}: {skipped.reason}", style="yellow", highlight=False)


def table(report: Report) -> Table:
    """Return one row a metric, one column a contender."""
    contenders = list(dict.fromkeys(figure.contender for figure in report.figures))
    shown = Table(title=f"suite {report.suite}, {rounds(report)}: median (lowest … highest)")
    for heading in ("scenario", "metric", "unit"):
        shown.add_column(heading, no_wrap=True)
    for contender in contenders:
        shown.add_column(contender, justify="right", no_wrap=True)
    rows: dict[tuple[str, str, str], dict[str, Figure]] = {}
    scenarios = list(dict.fromkeys(figure.scenario for figure in report.figures))
    for figure in sorted(
        report.figures, key=lambda figure: (scenarios.index(figure.scenario), figure.metric != _ON_TOP)
    ):
        rows.setdefault((figure.scenario, figure.metric, figure.unit), {})[figure.contender] = figure
    last = ""
    for (scenario, metric, unit), cells in rows.items():
        if scenario != last and last:
            shown.add_section()
        title = scenario if scenario != last else ""
        last = scenario
        shown.add_row(title, metric, unit, *(cell(cells.get(contender)) for contender in contenders))
    return shown


def rounds(report: Report) -> str:
    """Write how many rounds each part had."""
    counts = ", ".join(f"{part} {count}" for part, count in report.rounds.items())
    return f"{counts} {'round' if set(report.rounds.values()) == {1} else 'rounds'}"


def cell(figure: Figure | None) -> str:
    """Return ``median (low … high)``; only the value when there is but one."""
    if figure is None:
        return "-"
    if len(figure.values) == 1:
        return number(figure.median)
    return f"{number(figure.median)} ({number(figure.low)} … {number(figure.high)})"


def number(value: float) -> str:
    """Write a value with as many digits as mean something."""
    return f"{value:.1f}" if abs(value) < _EXACT_BELOW else f"{value:,.0f}"
