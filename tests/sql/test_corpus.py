"""Every statement of the corpus has the facts that were thought out for it."""

from __future__ import annotations

import sys
from collections import Counter

import pytest

from odp_trio.sql.cache import Statements
from tests.sql.corpus import Case, parted, read_corpus, told

CASES = list(read_corpus())


@pytest.mark.parametrize("case", [pytest.param(case, id=f"{case.line}-{case.text[:50]}") for case in CASES])
def test_a_statement_has_the_facts_of_the_corpus(case: Case) -> None:
    shape, literals = Statements().shape(case.sql, case.dialect)
    assert parted(told(shape.facts, literals)) == parted(case.expected), shape.facts.why


def test_the_corpus_is_large_and_says_nothing_twice(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        sys.stdout.write(f" [{len(CASES)} statements] ")
    assert len(CASES) >= 520
    twice = [text for (text, _), count in Counter((case.sql, case.dialect) for case in CASES).items() if count > 1]
    assert not twice
