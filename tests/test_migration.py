"""The migration guide against ODP's own options and flags: each is here, or is named with what there is instead."""

from __future__ import annotations

import re
from typing import Any

import pytest

from odp_trio.cli import main
from odp_trio.config.foreign import FOREIGN
from odp_trio.config.options import Settings, options
from odp_trio.config.values import READERS
from odp_trio.errors import ConfigError
from tests.paths import DATA, ROOT

GUIDE = (ROOT / "docs" / "migration.md").read_text()
_SHORT_ONES = ("-p", "-l", "-n", "-c", "-r", "-o")


def rows(name: str) -> list[list[str]]:
    lines = (DATA / "odp" / name).read_text().splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")]


ODP = {name: default for name, _, default in rows("options.tsv")}
FLAGS = rows("flags.tsv")


def section(title: str) -> str:
    return GUIDE.partition(f"## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("name", ODP)
def test_an_option_of_odp_is_here_or_there_is_something_else_instead(name: str) -> None:
    if name in options():
        assert not options()[name].option.own
        assert f"`{name}`" in section("ODP's options that are here under the same name")
        assert name not in FOREIGN
    else:
        assert FOREIGN[name].strip()
        assert f"`{name}`" in section("ODP's options that are not")


def test_what_is_said_to_be_odps_is_odps() -> None:
    ours = {name for name, described in options().items() if not described.option.own}

    assert ours - ODP.keys() == set()
    assert FOREIGN.keys() - ODP.keys() == set()


def differing() -> set[str]:
    """Return the options whose default is another one; passwords have none that is told."""
    settings, found = Settings(), set()
    for name, default in ODP.items():
        if name in options():
            described = options()[name]
            own: Any = getattr(settings, name)
            try:
                theirs = READERS[described.option.kind](default) if default else type(own)()
            except ConfigError:
                theirs = default
            if described.option.kind == "secret" or theirs != own:
                found.add(name)
    return found


def test_every_default_that_is_another_one_is_named_and_no_other() -> None:
    told = {
        name
        for row in re.findall(r"^\| (`.*?) \|", section("Defaults that are other ones"), re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    passwords = {name for name in told if "password" in name}

    assert told - passwords == {name for name in differing() if "password" not in name} - {"http_token"}
    assert passwords == {name for name in ODP if name in options() and options()[name].option.kind == "secret"}


@pytest.mark.parametrize(("short", "long"), FLAGS, ids=[long for _, long in FLAGS])
def test_a_flag_of_odp_is_taken_or_is_named(short: str, long: str, capsys: pytest.CaptureFixture[str]) -> None:
    if short in ("-h", "-V"):
        with pytest.raises(SystemExit) as ended:
            main([short])
        assert ended.value.code == 0
        return
    with pytest.raises(SystemExit):
        main(["run", "-h"])
    offered = capsys.readouterr().out
    taken = re.search(rf"(?<![\w-]){short}\b", offered) is not None

    assert f"`{short}`" in section("Flags and environment")
    assert taken == (short in (*_SHORT_ONES, "-N"))
    assert not taken or long in offered
