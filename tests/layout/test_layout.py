"""The shape of the house: what import-linter and ruff cannot say."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "odp_trio"
PURE = (
    "model",
    "errors",
    "config",
    "observe",
    "events",
    "wire",
    "sql",
    "topology",
    "state",
    "routing",
    "supervise.restart",
    "session.retry",
)


@pytest.mark.parametrize("module", [f"odp_trio.{name}" for name in PURE])
def test_a_pure_package_does_not_even_import_trio(module: str) -> None:
    code = f"import sys, importlib; importlib.import_module({module!r}); assert 'trio' not in sys.modules"
    if module in ("odp_trio.supervise.restart", "odp_trio.session.retry"):
        code = f"import sys, {module}; assert 'trio' not in sys.modules, 'trio'"

    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_the_command_line_starts_without_heavy_imports() -> None:
    heavy = {"trio", "pymysql", "httpx", "starlette", "hypercorn", "rich", "lark", "msgspec"}
    code = f"import sys, odp_trio.cli; print({heavy!r} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True)

    assert done.stdout.strip() == "set()"


def test_no_file_is_longer_than_a_person_reads_at_once() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in PACKAGE.rglob("*.py")
        if (count := len(path.read_text().splitlines())) > 400
    }

    assert long == {}


def test_every_module_says_what_it_is_in_its_first_line() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in PACKAGE.rglob("*.py")
        if not ast.get_docstring(ast.parse(path.read_text()))
    ]

    assert silent == []


def test_every_package_lists_its_modules() -> None:
    """The map of a package is its docstring; a module that is missing there is not on the map."""
    missing = []
    for init in PACKAGE.rglob("__init__.py"):
        text = init.read_text()
        for path in init.parent.iterdir():
            name = path.stem if path.suffix == ".py" else path.name if (path / "__init__.py").exists() else ""
            if name and not name.startswith("_") and name not in text:
                missing.append(str(path.relative_to(ROOT)))

    assert missing == []


def test_made_pages_are_current() -> None:
    """``nox -s docs`` makes them."""
    from docs.generate import pages

    stale = [str(path.relative_to(ROOT)) for path, text in pages().items() if path.read_text() != text]

    assert stale == []


def test_what_takes_long_to_import_is_not_imported_before_the_port_is_open() -> None:
    """``odp-trio run`` imports these, and nothing else, before it serves."""
    imports = "odp_trio.cli, odp_trio.admin.start, odp_trio.app, odp_trio.service, odp_trio.process.inherited"
    code = f"import sys, {imports}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    late = {
        "prometheus_client",
        "starlette",
        "hypercorn",
        "httpx",
        "hypothesis",
        "structlog",
        "opentelemetry",
        "rich",
        "lark",
        "pymysql",
        "cryptography",
        "importlib.metadata",
        "importlib.resources",
        "odp_trio.net.memory",
        "odp_trio.net.memory_stream",
        "odp_trio.routing.partition",
        "odp_trio.routing.compiled",
        "odp_trio.routing.operands",
        "odp_trio.admin.status",
        "odp_trio.admin.explain",
        "odp_trio.config.impact",
        "odp_trio.config.listing",
        "odp_trio.catalog.rslist_file",
        "odp_trio.process.child",
    }
    assert not late & set(loaded)
    assert sum(name.startswith("odp_trio.") for name in loaded) <= 225
