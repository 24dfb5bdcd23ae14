"""The checks: ids, sentences, choosing."""

from __future__ import annotations

import pytest

from odp_trio.conformance.needs import ABSENT, Needs
from odp_trio.conformance.registry import GROUPS, all_checks, check, chosen
from odp_trio.conformance.target import Target
from odp_trio.errors import ConfigError


async def body(target: Target) -> None:
    """Something holds."""


@pytest.mark.parametrize(
    ("name", "group", "what"),
    [
        ("routing.strong.leader", "routing", "two checks are called"),
        ("Routing", "routing", "words in small letters"),
        ("routing.of-nothing", "nothing", "no group 'nothing'"),
    ],
)
def test_a_check_that_is_misspelt_or_there_already_is_refused(name: str, group: str, what: str) -> None:
    all_checks()
    with pytest.raises(ValueError, match=what):
        check(name, group)(body)


def test_a_check_says_in_a_sentence_what_must_hold() -> None:
    async def silent(target: Target) -> None: ...

    with pytest.raises(ValueError, match="sentence"):
        check("routing.silent", "routing")(silent)


def test_checks_come_group_by_group() -> None:
    groups = [one.group for one in all_checks()]
    assert list(dict.fromkeys(groups)) == [group for group in GROUPS if group in groups]


def test_groups_and_ids_choose_and_a_name_that_is_none_is_a_mistake() -> None:
    (one,) = chosen(ids=["routing.strong.leader"])
    assert one.sentence.startswith("Writes and strong reads")
    assert one in chosen(groups=["routing"])
    assert one in chosen(ids=["routing.strong.*"])
    for names in ({"groups": ["nothing"]}, {"ids": ["routing.nothing"]}):
        with pytest.raises(ConfigError, match="nothing"):
            chosen(**names)


def test_every_need_has_a_reason_for_its_absence() -> None:
    assert set(ABSENT) == set(Needs)
