"""The pytest plugin: ``pytest --pyargs odp_trio.conformance.suite --odp-rslist ...`` makes each check a test.

Other people's pytest loads this module, so it imports nothing of the house before there are checks to run.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

import pytest

from odp_trio.conformance.options import SWITCHES, VALUES

if TYPE_CHECKING:
    import trio

    from odp_trio.conformance.registry import Check
    from odp_trio.conformance.results import Result
    from odp_trio.conformance.target import Target

_SUITE: Final = Path(__file__).with_name("suite.py")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the command, with ``--odp-`` before them."""
    group = parser.getgroup("odp-trio conformance")
    for name, (value, text) in VALUES.items():
        group.addoption(f"--odp-{name}", metavar=value, help=text)
    for name, text in SWITCHES.items():
        group.addoption(f"--odp-{name}", action="store_true", help=text)
    group.addoption("--odp-group", action="append", default=[], metavar="NAME", help="only this group")
    group.addoption("--odp-check", action="append", default=[], metavar="ID", help="only this check, * for any letters")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect the checks where the suite is named."""
    if file_path != _SUITE:
        return None
    collector: pytest.Collector = Checks.from_parent(parent, path=file_path)
    return collector


@final
class Checks(pytest.File):
    """All the checks that are asked for; they share one target, opened by the first that runs."""

    host: Host | None = None

    def collect(self) -> Iterator[pytest.Item]:
        """Make each check an item."""
        from odp_trio.conformance.registry import chosen
        from odp_trio.errors import ConfigError

        try:
            checks = chosen(self.config.getoption("odp_group"), self.config.getoption("odp_check"))
        except ConfigError as exc:
            raise pytest.UsageError(str(exc)) from exc
        for check in checks:
            yield CheckItem.from_parent(self, name=check.id, check=check)

    def setup(self) -> None:
        """Open the target in a thread of its own, with an event loop of its own."""
        self.host = Host(lambda name: self.config.getoption(f"odp_{name}"))
        self.addfinalizer(self.host.stop)
        self.host.start()


@final
class CheckItem(pytest.Item):
    """One check."""

    def __init__(self, *, check: Check, **options: Any) -> None:
        super().__init__(**options)
        self.check = check

    def runtest(self) -> None:
        """Run it; skip or fail as it did."""
        from odp_trio.conformance.reports import line
        from odp_trio.conformance.results import Outcome
        from odp_trio.conformance.runner import run_check

        assert isinstance(self.parent, Checks)
        host = self.parent.host
        assert host is not None

        async def run(target: Target) -> Result:
            return await run_check(target, self.check)

        result = host.call(run)
        self.user_properties += [("sentence", result.sentence), ("proves", " ".join(result.proves))]
        if result.outcome is Outcome.SKIPPED:
            pytest.skip(result.reason)
        if result.outcome is not Outcome.PASSED:
            notes = "\n".join(f"  {line(note)}" for note in result.notes)
            raise CheckFailed(f"{result.sentence}\n{result.reason}\n{notes}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str:
        """Show what must hold and what was seen, not the suite's own frames."""
        if isinstance(excinfo.value, CheckFailed):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo, style))

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Name the check."""
        return self.path, None, self.name


class CheckFailed(AssertionError):
    """What must hold does not."""


@final
class Host:
    """A thread that keeps the target open while items run."""

    def __init__(self, options: Callable[[str], Any]) -> None:
        self._options = options
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="odp-trio conformance")
        self._error: BaseException | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._target: Target | None = None
        self._stop: trio.Event | None = None

    def start(self) -> None:
        """Return when the target is there; raise what kept it from being."""
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            raise self._error

    def call(self, function: Callable[[Target], Awaitable[Result]]) -> Result:
        """Run something on the target and return its result."""
        import trio

        assert self._target is not None
        result: Result = trio.from_thread.run(function, self._target, trio_token=self._token)
        return result

    def stop(self) -> None:
        """Close the target."""
        if self._thread.is_alive() and self._stop is not None and self._token is not None:
            self._token.run_sync_soon(self._stop.set)
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        import trio

        try:
            trio.run(self._main)
        except BaseException as exc:
            self._error = exc
        finally:
            self._ready.set()

    async def _main(self) -> None:
        import trio

        from odp_trio.conformance.options import target_of

        self._token, self._stop = trio.lowlevel.current_trio_token(), trio.Event()
        async with target_of(self._options) as target:
            await target.start()
            self._target = target
            self._ready.set()
            try:
                await self._stop.wait()
            finally:
                await target.stop()
