"""The page on architecture names what is there, every layer, and is read in ten minutes."""

from __future__ import annotations

import re
import tomllib

from tests.paths import ROOT

TEXT = (ROOT / "docs" / "architecture.md").read_text()
PROSE = re.sub(r"^```.*?^```", "", TEXT, flags=re.MULTILINE | re.DOTALL)
PLACES = (ROOT / "odp_trio", ROOT)


def is_there(name: str) -> bool:
    return any((place / end).exists() for place in PLACES for end in (name, f"{name}.py"))


def test_every_path_that_it_names_is_there() -> None:
    named = {
        name
        for name in re.findall(r"(?<![\w./])([a-z_]+(?:/[a-z_0-9.]+)+)", TEXT)
        if not name.startswith(("http", "api/", "docs/options"))
    }
    missing = sorted(name for name in named if not is_there(name.rstrip(".")))

    assert len(named) > 50
    assert missing == []


def test_every_layer_is_in_its_table() -> None:
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    layers = {name.strip() for layer in contract["layers"] for name in re.split(r"[|:]", layer)} - {"__main__"}
    table = PROSE.partition("## Layers")[2].partition("\n## ")[0]

    assert layers - set(re.findall(r"`(\w+)`", table)) == set()


def test_it_is_read_in_ten_minutes() -> None:
    assert 1800 <= len(PROSE.split()) <= 2600
