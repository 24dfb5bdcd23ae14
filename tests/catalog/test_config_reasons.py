"""docs/config-server.md has a row for every reason that the config server can fail for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.catalog.test_config_server import FAULTS
from tests.topology.test_config_answers import DOCUMENTS, ENVELOPES, RSLISTS

PAGE = Path(__file__).parents[2] / "docs" / "config-server.md"
REASONS = sorted({said for *_, said in FAULTS} | {said for _, said in ENVELOPES + DOCUMENTS + RSLISTS})
# What stands for something else on the page: a key, a number, the name of a cluster, anything.
WILD = {r"KEY": r"[A-Za-z.\[\]0-9 ]+", r"\b[NM]\b|[0-9]+": "[0-9]+", r"'[a-c]1?'": "'.+'", "…": ".*"}


def rows() -> list[re.Pattern[str]]:
    table = PAGE.read_text().partition("| reason |")[2].partition("\n\n")[0]
    reasons = [line.split("|")[1].strip() for line in table.splitlines()[2:]]
    return [pattern(part) for reason in reasons for part in reason.split("<br>")]


def pattern(text: str) -> re.Pattern[str]:
    parts = re.split(f"({'|'.join(WILD)})", text)
    return re.compile("".join(wild(part) or re.escape(part) for part in parts))


def wild(part: str) -> str:
    return next((meant for word, meant in WILD.items() if re.fullmatch(word, part)), "")


@pytest.mark.parametrize("said", REASONS)
def test_the_page_has_a_row_for_it(said: str) -> None:
    assert any(row.fullmatch(said) for row in rows()), said


def test_no_row_is_for_everything() -> None:
    assert not [row.pattern for row in rows() if row.fullmatch("something that is never said")]
