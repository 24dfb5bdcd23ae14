"""The man page: every verb, flag and option; and troff has nothing to say against it, where it is installed."""

from __future__ import annotations

import shutil
import subprocess
import tomllib

import pytest

from docs.man_page import man_page, roff
from odp_trio.config.options import options
from tests.paths import ROOT

PAGE = ROOT / "etc" / "man" / "odp-trio.1"


def test_it_has_every_verb_and_option() -> None:
    text = man_page()

    assert [name for name in options() if rf"\fB{roff(name)}\fR [" not in text] == []
    for verb in ("run", "watch", "check-config", "explain", "top", "demo", "testbed"):
        assert f".SS {roff(verb)}\n" in text


def test_no_line_is_taken_for_a_request_by_chance() -> None:
    known = (".TH", ".SH", ".SS", ".TP", ".PP", ".B ", ".I ", '.\\"')

    assert [line for line in man_page().splitlines() if line[:1] in (".", "'") and not line.startswith(known)] == []


def test_the_wheel_ships_it() -> None:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]

    assert table["shared-data"] == {"etc/man/odp-trio.1": "share/man/man1/odp-trio.1"}
    assert PAGE.read_text() == man_page()


@pytest.mark.parametrize("command", [["groff", "-man", "-Tutf8", "-ww", "-z"], ["mandoc", "-T", "lint", "-W", "error"]])
def test_troff_has_nothing_to_say(command: list[str]) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run([*command, str(PAGE)], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
