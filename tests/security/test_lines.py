"""SECURITY.md and the tests of this folder say the same."""

from __future__ import annotations

import re

from tests.paths import ROOT

TEXT = (ROOT / "SECURITY.md").read_text()
LINES = {
    found[1]: found[2]
    for found in re.finditer(r"^- \*\*([A-Z]+-\d+)\*\* (.*?)(?=^- \*\*|^#|\Z)", TEXT, re.MULTILINE | re.DOTALL)
}
TESTS = {
    found[1]
    for path in (ROOT / "tests" / "security").glob("test_*.py")
    for found in re.finditer(r"^(?:async )?def test_([a-z]+_\d+)_", path.read_text(), re.MULTILINE)
}


def name(line: str) -> str:
    return line.lower().replace("-", "_")


def test_every_line_has_a_test_or_is_a_statement() -> None:
    open_lines = [
        line
        for line, says in LINES.items()
        if not says.startswith("(statement)") and name(line) not in TESTS and "`tests/" not in says
    ]

    assert len(LINES) > 30
    assert open_lines == []


def test_what_is_a_statement_has_no_test() -> None:
    assert [line for line, says in LINES.items() if says.startswith("(statement)") and name(line) in TESTS] == []


def test_every_test_has_its_line() -> None:
    assert TESTS - {name(line) for line in LINES} == set()


def test_every_file_of_tests_that_a_line_names_is_there() -> None:
    named = re.findall(r"`(tests/[\w./]+)`", TEXT)

    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_lines_are_numbered_without_gaps() -> None:
    groups: dict[str, list[int]] = {}
    for line in LINES:
        group, _, number = line.partition("-")
        groups.setdefault(group, []).append(int(number))

    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in groups.values())


def test_options_that_it_names_are_there() -> None:
    from odp_trio.config.options import options

    named = {
        word for word in re.findall(r"`([a-z_]+)`", TEXT) if "_" in word and word not in ("local_infile", "sys_fetch")
    }

    assert named - set(options()) == {"own_rules"} - set(options())
