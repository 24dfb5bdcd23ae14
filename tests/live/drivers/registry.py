"""The drivers: what each needs, how its script is started, which checks it or the kernel cannot do, and why."""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
import json
import shutil
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
NODE_MODULES: Final = HERE / "node" / "node_modules"

NO_TEMPORARY_TABLES: Final = {"a temporary table": "the kernel has none: 1235"}


@dataclass(frozen=True)
class Entry:
    """One driver.  ``lacks`` are checks that fail on the kernel itself, with the reason: they must fail alike."""

    name: str
    what: str
    module: str
    needs: str
    """A module of Python, or a program."""
    package: str
    arguments: tuple[str, ...] = ()
    checks: int = 0
    """How many its script has, those that it lacks included."""
    lacks: Mapping[str, str] = field(default_factory=dict)

    @property
    def missing(self) -> str:
        """Why it cannot be run here; empty if it can."""
        if self.needs == "node":
            if shutil.which("node") is None:
                return "Node.js is not installed"
            return "" if (NODE_MODULES / "mysql2").exists() else f"npm ci --prefix {HERE / 'node'} was not run"
        if self.needs == "libmariadb":
            return "" if ctypes.util.find_library("mariadb") else "libmariadb3 is not installed"
        try:
            found = importlib.util.find_spec(self.needs) is not None
        except ModuleNotFoundError:  # the package that it would be in
            found = False
        return "" if found else f"{self.package} is not installed"

    @property
    def command(self) -> list[str]:
        """What starts the script; the target's five arguments come between it and ``arguments``."""
        if self.needs == "node":
            return ["node", str(HERE / "node" / f"{self.module}.mjs")]
        return [sys.executable, "-m", f"tests.live.drivers.{self.module}"]

    @property
    def requirement(self) -> str:
        """What is asked for when it is installed."""
        if self.needs == "node":
            return f"{self.package} {json.loads((HERE / 'node' / 'package.json').read_text())['dependencies'][self.package]}"
        project = tomllib.loads((HERE.parents[2] / "pyproject.toml").read_text())["project"]
        extras = project["optional-dependencies"]
        known = [*project["dependencies"], *extras["drivers"], *extras["drivers-native"]]
        return next((found for found in known if found.startswith(self.package)), f"{self.package} (Debian)")

    def version(self) -> str:
        """Return the installed version."""
        if self.needs == "node":
            return str(json.loads((NODE_MODULES / self.package / "package.json").read_text())["version"])
        if self.needs == "libmariadb":
            found = ctypes.CDLL("libmariadb.so.3").mysql_get_client_info
            found.restype = ctypes.c_char_p
            return found().decode()
        return metadata.version(self.package)


NO_EMPTY_STATEMENT: Final = {"an empty statement": "the driver sends nothing"}
PREPARED_DECIMAL: Final = dict.fromkeys(
    ("prepared: decimal", "prepared: negative decimal", "prepared: insert, update, delete"),
    "the driver sends a type that the kernel does not take: 4001",
)

DRIVERS: Final = (
    Entry("PyMySQL", "pure Python", "with_pymysql", "pymysql", "PyMySQL", checks=144, lacks=NO_TEMPORARY_TABLES),
    Entry(
        "mysqlclient",
        "the MariaDB C client below the DB-API",
        "with_mysqlclient",
        "MySQLdb",
        "mysqlclient",
        checks=148,
        lacks=NO_TEMPORARY_TABLES,
    ),
    Entry(
        "mysql-connector-python",
        "Oracle's, in pure Python",
        "with_connector",
        "mysql.connector",
        "mysql-connector-python",
        checks=187,
        lacks=NO_TEMPORARY_TABLES
        | NO_EMPTY_STATEMENT
        | PREPARED_DECIMAL
        | {"prepared: a call": "the driver does not read the end of a procedure's results and loses the connection"},
    ),
    Entry(
        "mysql-connector-python, C",
        "Oracle's C client below it",
        "with_connector",
        "_mysql_connector",
        "mysql-connector-python",
        ("c",),
        checks=187,
        lacks=NO_TEMPORARY_TABLES
        | NO_EMPTY_STATEMENT
        | PREPARED_DECIMAL
        | {
            "prepared: unsigned bigint over 2^63": "the driver takes no such integer",
            "prepared: time": "the driver fills the wrong structure: 1292",
            "prepared: long and negative time": "the driver fills the wrong structure: 1292",
            "prepared: a call": "the driver does not read the end of a procedure's results",
        },
    ),
    Entry(
        "aiomysql",
        "asyncio",
        "with_aiomysql",
        "aiomysql",
        "aiomysql",
        checks=138,
        lacks=NO_TEMPORARY_TABLES
        | dict.fromkeys(
            ("values: all bytes", "values: blob of 300,000 bytes"),
            "bytes are quoted by a function that PyMySQL has no more",
        ),
    ),
    Entry(
        "MariaDB C client",
        "Connector/C by its C interface",
        "with_c_client",
        "libmariadb",
        "libmariadb3",
        checks=190,
        lacks=NO_TEMPORARY_TABLES,
    ),
    Entry("mysql2", "Node.js", "mysql2", "node", "mysql2", checks=190, lacks=NO_TEMPORARY_TABLES),
    Entry(
        "SQLAlchemy",
        "ORM, with Alembic, over PyMySQL",
        "with_sqlalchemy",
        "sqlalchemy",
        "SQLAlchemy",
        checks=61,
        lacks={"two-phase transactions": "the kernel has no XA: 1235"},
    ),
)

DIFFERS: Final[Mapping[tuple[str, str], str]] = {
    ("*", "locks with names"): "the kernel refuses GET_LOCK on connections of proxies that do not speak OB 2.0: 1235",
}
"""Checks that differ through the proxy, by driver (or every one) and check, and why.  One that agrees again is an error."""

DIFFERS_ROTATED: Final[Mapping[tuple[str, str], str]] = {}
"""Checks that may differ besides when the route is rotated, and why."""
