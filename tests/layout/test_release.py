"""What a release needs: its version in the changelog, and everything that tests read in the sdist."""

from __future__ import annotations

import re
import tomllib

import odp_trio
from tests.paths import ROOT

CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_version_stands_in_the_changelog() -> None:
    versions = re.findall(r"^## (\d+\.\d+\.\d+) - (\d{4}-\d\d-\d\d)$", CHANGELOG, re.MULTILINE)

    assert versions[0][0] == odp_trio.__version__
    assert [day for _, day in versions] == sorted((day for _, day in versions), reverse=True)


def test_the_changelog_has_the_headings_that_one_has() -> None:
    assert CHANGELOG.index("## Unreleased") < CHANGELOG.index(f"## {odp_trio.__version__}")
    assert set(re.findall(r"^### (.*)$", CHANGELOG, re.MULTILINE)) <= KINDS


def test_the_sdist_has_what_the_tests_read() -> None:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["sdist"]
    read = {
        name
        for path in (ROOT / "tests").rglob("*.py")
        for name in re.findall(r'ROOT / "([\w.]+)"', path.read_text())
        if (ROOT / name).exists()
    }

    assert read - {*table["include"], "pyproject.toml", "README.md", "LICENSE"} == set()
