"""What may be compiled: see ``hatch_build.py``."""

from __future__ import annotations

import ast
import tomllib

import pytest

from tests.paths import ROOT

HOOK = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["hooks"]["custom"]


@pytest.mark.parametrize("name", HOOK["modules"])
def test_what_is_compiled_has_nothing_that_the_compiler_forgets(name: str) -> None:
    """The options of a ``msgspec.Struct``, frozen above all, are lost without a word."""
    tree = ast.parse((ROOT / name).read_text())

    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]

    assert not [one.name for one in classes if one.keywords]


@pytest.mark.parametrize("name", HOOK["modules"])
def test_what_is_compiled_has_no_docstring_that_the_program_shows(name: str) -> None:
    assert "__doc__" not in (ROOT / name).read_text()


def test_every_module_stands_once() -> None:
    assert HOOK["modules"] == sorted(set(HOOK["modules"]))


def test_what_a_compiled_class_is_made_of_is_compiled() -> None:
    """A class that is compiled, on one that is not, on one that is: such a module cannot be imported."""
    compiled = {name.removesuffix(".py").replace("/", ".") for name in HOOK["modules"]}
    wrong = []
    for name in HOOK["modules"]:
        tree = ast.parse((ROOT / name).read_text())
        imported = {
            alias.name: node.module
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        }
        for one in [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]:
            for base in [base.id for base in one.bases if isinstance(base, ast.Name)]:
                module = imported.get(base, "")
                if module.startswith("odp_trio.") and module not in compiled and module != "odp_trio.errors":
                    wrong.append(f"{name}: {one.name} is a {module}.{base}")

    assert wrong == []
