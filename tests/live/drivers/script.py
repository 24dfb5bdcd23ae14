"""What every driver's script in Python shares: it runs the list of checks and the driver's own, and prints a line each.

    python -m tests.live.drivers.with_pymysql HOST PORT USER PASSWORD DATABASE

A line is a JSON object: ``name``, ``ok`` and ``seen``, what was observed in canonical form; ``why`` if it is not ok.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.live.drivers import canonical
from tests.live.drivers.checks import MOVING_TABLES, PREPARE_TABLES, PROCEDURES, Check, Step, checks_for

OwnCheck = Callable[["Target"], Any]
SECOND_USER: Final = "second"
SECOND_PASSWORD: Final = "second_pw"


@dataclass(frozen=True)
class Target:
    """Where a script connects to."""

    host: str
    port: int
    user: str
    password: str
    database: str

    @property
    def names(self) -> dict[str, str]:
        """What stands in the list of checks in braces; users get what follows our own name's "@"."""
        rest = self.user.partition("@")[2]
        return {"db": self.database, "user2": f"{SECOND_USER}@{rest}", "nobody": f"nobody@{rest}"}


class Wrong(Exception):
    """A step did not give what the check says."""


class Connection:
    """What a check may ask of a driver's connection; each driver has its own, and says in ``verbs`` what it has."""

    def query(self, sql: str, *params: Any) -> list[dict[str, Any]]:
        """Run one statement, parameters quoted by the driver; return its results."""
        raise NotImplementedError

    def close(self) -> Any:
        """Take leave of the server."""
        raise NotImplementedError


class Driver:
    """One driver: how it connects and what its errors are."""

    name: str
    verbs: frozenset[str]

    def connect(self, target: Target, **options: Any) -> Connection:
        """Open a connection; ``user``, ``password`` and ``database`` may differ from the target's."""
        raise NotImplementedError

    def error(self, exc: BaseException) -> list[Any]:
        """Return errno, SQLSTATE if the driver tells it, and message."""
        args = exc.args
        return [args[0], str(args[1])] if len(args) > 1 and isinstance(args[0], int) else [-1, repr(exc)]


class Player:
    """Plays checks on connections of one driver."""

    def __init__(self, driver: Driver, target: Target) -> None:
        self.driver = driver
        self.target = target
        self.connections: dict[str, Any] = {"main": driver.connect(target)}

    def play(self, check: Check) -> dict[str, Any]:
        """Run a check's steps; return its line."""
        start = time.monotonic()
        seen: list[Any] = []
        line: dict[str, Any] = {"name": check.name, "ok": True, "seen": seen}
        try:
            for step in check.steps:
                self._step(step, seen)
        except Wrong as exc:
            line |= {"ok": False, "why": str(exc)}
        for label in [label for label in self.connections if label != "main" or not line["ok"]]:
            with suppress(Exception):
                self.connections.pop(label).close()
        if "main" not in self.connections:  # the check has failed: what comes next begins anew
            self.connections["main"] = self.driver.connect(self.target)
        return {**line, "ms": since(start)}

    def _step(self, step: Step, seen: list[Any]) -> None:
        try:
            found = self._do(step)
            errno, error = 0, None
        except Exception as exc:  # drivers raise many kinds
            found, error = None, self.driver.error(exc)
            errno = error[0]
        if step.bare:
            seen.append("works" if not errno else error)
        else:
            seen.append(found if error is None else {"error": error})
        if errno != step.errno:
            raise Wrong(f"{step.verb} {step.sql[:200]!r}: errno {errno} instead of {step.errno}: {error}")
        if step.rows is not None and canonical.texts(found[0]["rows"]) != [list(row) for row in step.rows]:
            raise Wrong(f"{step.sql[:200]!r}: {found[0]['rows']} instead of {step.rows}")
        if step.affected is not None and found[0]["affected"] != step.affected:
            raise Wrong(f"{step.sql[:200]!r}: {found[0]['affected']} rows affected instead of {step.affected}")

    def _do(self, step: Step) -> Any:
        if step.verb == "open":
            options = dict([step.params]) if step.params else {}
            self.connections[step.on] = self.driver.connect(self.target, **options)
            return "opened"
        if step.verb == "parallel":
            return self.parallel(*step.params)
        if step.verb == "close":
            self.connections.pop(step.on).close()
            return "closed"
        connection = self.connections[step.on]
        if step.verb == "load":
            with tempfile.TemporaryDirectory() as place:
                path = Path(place) / "rows.csv"
                path.write_text(step.params[0])
                return connection.query(step.sql.replace("rows.csv", str(path)))
        arguments = (step.sql, *step.params) if step.sql or step.verb in ("query", "execute") else step.params
        return getattr(connection, step.verb)(*arguments)

    def parallel(self, sql: str, count: int) -> Any:
        """Run a statement on so many connections at once; return what each saw."""

        def one(number: int) -> Any:
            connection = self.driver.connect(self.target)
            try:
                return [connection.query(sql, number + turn, 1000)[0]["rows"] for turn in range(5)]
            finally:
                connection.close()

        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(one, range(count)))


@contextmanager
def scratch() -> Iterator[Path]:
    """Yield a directory that goes away."""
    place = Path(tempfile.mkdtemp())
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def since(start: float) -> int:
    """Return milliseconds."""
    return round((time.monotonic() - start) * 1000)


def say(line: dict[str, Any]) -> None:
    """Print one line."""
    print(json.dumps(line, ensure_ascii=False, default=str), flush=True)


def play_own(driver: Driver, target: Target, name: str, function: OwnCheck) -> dict[str, Any]:
    """Run one of the driver's own checks; return its line."""
    start = time.monotonic()
    try:
        return {"name": name, "ok": True, "seen": function(target), "ms": since(start)}
    except Exception as exc:
        return {"name": name, "ok": False, "seen": {"error": driver.error(exc)}, "why": f"{type(exc).__name__}: {exc}"}


def own_checks(module: dict[str, Any]) -> dict[str, OwnCheck]:
    """Return a module's functions whose name begins with ``check_``, by the first line of what they say."""
    return {
        function.__doc__.splitlines()[0].rstrip("."): function
        for name, function in module.items()
        if name.startswith("check_")
    }


def main(driver: Driver, own: dict[str, OwnCheck]) -> None:
    """Run everything; the lines are on standard output."""
    host, port, user, password, database = sys.argv[1:6]
    target = Target(host, int(port), user, password, database)
    player = Player(driver, target)
    for statement in (*PREPARE_TABLES, *PROCEDURES):
        player.connections["main"].query(statement)
    say({"tables": [f"{database}.{name}" for name in MOVING_TABLES]})
    for check in checks_for(driver.verbs, target.names):
        say(player.play(check))
    player.connections["main"].close()
    for name, function in own.items():
        say(play_own(driver, target, name, function))
    say({"end": True})
