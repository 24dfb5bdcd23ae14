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
