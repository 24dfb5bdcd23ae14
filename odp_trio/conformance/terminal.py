"""The report in a terminal, with progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self, final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from odp_trio.conformance.registry import GROUPS, Check
from odp_trio.conformance.reports import line
from odp_trio.conformance.results import Outcome, Result, Run

_STYLES: Final = {
    Outcome.PASSED: "green",
    Outcome.FAILED: "bold red",
    Outcome.BROKEN: "bold magenta",
    Outcome.SKIPPED: "yellow",
}
_NOTES: Final = 8
"""Lines of a failed check that are shown: the last ones."""


@final
class Terminal:
    """Shows a run while it goes on.  Lines of single checks are left out with ``quiet``, except for failures."""

    def __init__(self, console: Console, checks: Sequence[Check], *, quiet: bool = False) -> None:
        self._console = console
        self._quiet = quiet
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._progress.add_task("checks", total=len(checks))
        self._group = ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._progress.stop()

    def starts(self, check: Check) -> None:
        """A check begins."""
        if check.group != self._group and not self._quiet:
            self._console.print(f"\n[bold]{GROUPS[check.group]}[/]")
        self._group = check.group
        self._progress.update(self._task, description=check.id)

    def ends(self, result: Result) -> None:
        """A check has ended."""
        self._progress.advance(self._task)
        bad = result.outcome in (Outcome.FAILED, Outcome.BROKEN)
        if self._quiet and not bad:
            return
        word = f"[{_STYLES[result.outcome]}]{result.outcome.value:8}[/]"
        reason = f" [dim]{escape(result.reason)}[/]" if result.reason and not bad else ""
        time = "" if result.outcome is Outcome.SKIPPED else f" [dim]{result.seconds:.2f} s[/]"
        self._console.print(f"  {word} {result.id}{time}{reason}", soft_wrap=True)
        if bad:
            self._console.print(f"    {escape(result.sentence)}\n    [red]{escape(result.reason)}[/]", soft_wrap=True)
            for note in result.notes[-_NOTES:]:
                self._console.print(f"    [dim]{escape(line(note))}[/]", soft_wrap=True)


def show_summary(console: Console, run: Run) -> None:
    """Show a table of the groups, and a line that says how it went."""
    table = Table(title=f"{run.target}, {run.seconds:.0f} s", title_justify="left")
    table.add_column("group")
    for outcome in Outcome:
        table.add_column(outcome.value, justify="right")
    for group, title in GROUPS.items():
        mine = [result.outcome for result in run.results if result.group == group]
        if mine:
            table.add_row(title, *(_number(mine.count(outcome), outcome) for outcome in Outcome))
    counts = run.counts()
    table.add_section()
    table.add_row("[bold]all[/]", *(_number(counts[outcome.value], outcome) for outcome in Outcome))
    console.print()
    console.print(table)


def _number(count: int, outcome: Outcome) -> str:
    return f"[{_STYLES[outcome]}]{count}[/]" if count else "[dim]0[/]"


def list_checks(checks: Sequence[Check], write: Callable[[str], None]) -> None:
    """Write each check: its id, what it proves, what must hold."""
    for check in checks:
        proves = f" ({', '.join(check.proves)})" if check.proves else ""
        write(f"{check.id}{proves}\n    {check.sentence}")
