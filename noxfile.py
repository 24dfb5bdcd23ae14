"""What the project checks, by name: ``nox -s tests``.  Sessions use the environment that nox itself runs in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import nox

# Also when nox is run as .venv/bin/python -m nox: its neighbours are the tools.
os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))

nox.options.default_venv_backend = "none"
nox.options.sessions = ["ci"]

ANY = range(256)  # what cannot be had is skipped by its tests
CODE = ("odp_trio", "tests", "benchmarks", "examples", "docs", "fuzz", "noxfile.py", "hatch_build.py")

COMPILED_TESTS = tuple(f"tests/{name}" for name in ("wire", "sql", "state", "routing", "net", "session", "testing"))
"""Where the modules that can be compiled are used; ``nox -s compiled -- tests`` runs all."""

SIDE_BY_SIDE = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")
"""Two processes, each with a kernel of its own (1 GiB), a file at a time."""

LONGEST = ("--durations=40", "--durations-min=4")
"""What takes long is told at the end."""


@nox.session
def lint(session: nox.Session) -> None:
    session.run("ruff", "check", *CODE)
    session.run("ruff", "format", "--check", *CODE)


@nox.session
def format(session: nox.Session) -> None:  # noqa: A001
    session.run("ruff", "check", "--fix", *CODE)
    session.run("ruff", "format", *CODE)


@nox.session
def types(session: nox.Session) -> None:
    session.run("mypy")


@nox.session
def layers(session: nox.Session) -> None:
    session.run("lint-imports")
    session.run("pytest", "-q", "tests/layout", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """What needs no kernel."""
    session.run("pytest", "-q", "-m", "not live", *session.posargs)


@nox.session
def live(session: nox.Session) -> None:
    """What runs on the embedded OceanBase kernel."""
    session.run("pytest", "-q", "-m", "live", *session.posargs)


@nox.session
def drivers(session: nox.Session) -> None:
    """Install the drivers that need more than pip, where that is; tests of the others say why they are skipped."""
    found = shutil.which("pkg-config") and subprocess.run(["pkg-config", "--exists", "libmariadb"], check=False)
    if found and found.returncode == 0 and shutil.which("gcc"):
        extras = tomllib.loads(Path("pyproject.toml").read_text())["project"]["optional-dependencies"]
        session.run("python", "-m", "pip", "install", "-q", *extras["drivers-native"], success_codes=ANY)
    if shutil.which("node") and shutil.which("npm"):
        session.run("npm", "ci", "--silent", "--prefix", "tests/live/drivers/node", external=True, success_codes=ANY)


@nox.session
def bench(session: nox.Session) -> None:
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Measure the fault matrix and write its tables into docs/availability.md."""
    session.run("python", "-m", "odp_trio.testing.matrix", "--page", "docs/availability.md", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Fuzz every parser: ``nox -s fuzz -- --minutes 10 --only login``; needs the extra ``fuzz``."""
    session.run("python", "-m", "fuzz", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Make the files that are made from code again."""
    session.run("python", "docs/generate.py")


@nox.session
def site(session: nox.Session) -> None:
    """Build the documentation as a site, into build/site; a warning is an error.  Needs the extra ``site``."""
    session.run("python", "-m", "mkdocs", "build", "--strict", "--site-dir", "build/site", *session.posargs)


@nox.session
def compiled(session: nox.Session) -> None:
    """Compile the hot path in a copy of the project, and test that."""
    with tempfile.TemporaryDirectory(prefix="odp-trio-compiled-") as directory:
        copy = shutil.copytree(".", Path(directory) / "odp-trio", ignore=shutil.ignore_patterns(".*", "*.so"))
        session.run("python", "hatch_build.py", str(copy))
        with session.chdir(copy):
            session.run("pytest", "-q", "-m", "not live", *(session.posargs or COMPILED_TESTS), env={"PYTHONPATH": "."})


@nox.session
def release(session: nox.Session) -> None:
    """Build wheel and sdist; try the wheel in a new environment: the program, the demo, the tests of the sdist.

    What is given behind ``--`` goes to pytest; nothing: all tests.
    """
    with tempfile.TemporaryDirectory(prefix="odp-trio-release-") as directory:
        place = Path(directory)
        session.run("python", "-m", "build", "--outdir", str(place / "dist"), ".")
        wheel, archive = next((place / "dist").glob("*.whl")), next((place / "dist").glob("*.tar.gz"))
        session.run("python", "-m", "venv", str(place / "venv"))
        shutil.unpack_archive(archive, place, filter="data")
        tree = place / archive.name.removesuffix(".tar.gz")
        programs = place / "venv" / "bin"
        python, program = str(programs / "python"), str(programs / "odp-trio")
        session.run(python, "-m", "pip", "install", "-q", f"{wheel}[demo]", external=True)
        # Neither the checkout nor the current directory may be imported from; the sdist comes behind what is installed.
        env = {"PYTHONPATH": None, "PYTHONSAFEPATH": "1", "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
        found = session.run(
            python, "-c", "import odp_trio; print(odp_trio.__file__)", silent=True, external=True, env=env
        )
        if not isinstance(found, str) or not found.startswith(str(place / "venv")):
            session.error(f"odp_trio is imported from {found}")
        with session.chdir(place):
            session.run(program, "--version", external=True, env=env)
            session.run(program, "check-config", str(tree / "etc" / "odp.toml"), external=True, env=env)
            query = ("--", "sh", "-c", "echo asked $ODP_HOST:$ODP_PORT")
            session.run(program, "demo", "--port", "0", "--http-port", "0", *query, external=True, env=env)
        session.run(python, "-m", "pip", "install", "-q", f"{wheel}[dev]", external=True)
        next((place / "venv").glob("lib/python*/site-packages")).joinpath("tree.pth").write_text(f"{tree}\n")
        with session.chdir(tree):
            session.run(
                str(programs / "pytest"), "-q", "--import-mode=append", *session.posargs, external=True, env=env
            )
        kept = Path("dist")
        kept.mkdir(exist_ok=True)
        for path in (wheel, archive):
            shutil.copy2(path, kept)


@nox.session
def ci(session: nox.Session) -> None:
    """Everything that must hold before a change lands."""
    lint(session)
    types(session)
    session.run("lint-imports")
    drivers(session)
    # Hundreds of processes are started: none shall compile all modules for itself, whatever the environment says.
    session.run("python", "-m", "compileall", "-q", "-j", "2", *(name for name in CODE if "." not in name))
    session.run("pytest", "-q", *SIDE_BY_SIDE, *LONGEST, *session.posargs)
