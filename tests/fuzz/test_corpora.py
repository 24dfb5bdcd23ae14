"""Every input that fuzzing kept, and every seed, goes through its harness again: without atheris, in seconds."""

from __future__ import annotations

import pytest

from fuzz.figures import CORPUS, MARKS, PAGE, page, read_runs
from fuzz.harnesses import NAMES, harness
from fuzz.runs import add, read_output

MOST_BYTES = 60_000
"""Of one corpus in the tree."""


@pytest.mark.parametrize("name", NAMES)
def test_what_was_kept_is_read_as_it_should_be(name: str) -> None:
    inputs = [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]

    assert inputs
    for data in inputs:
        harness(name).one_input(data)


@pytest.mark.parametrize("name", NAMES)
def test_a_corpus_is_small(name: str) -> None:
    assert sum(path.stat().st_size for path in (CORPUS / name).iterdir()) <= MOST_BYTES


def test_the_page_is_made_from_the_figures() -> None:
    assert MARKS[0] in PAGE.read_text()
    assert PAGE.read_text() == page()


def test_every_finding_is_mended_and_names_a_test_that_is_there() -> None:
    from tests.paths import ROOT

    for name, runs in read_runs().items():
        for found in runs.findings:
            path, _, test = found.test.partition("::")
            assert path, f"{name}: {found.what} is open"
            assert f"def {test}(" in (ROOT / path).read_text(), found.test


FOUND = """
 === Uncaught Python exception: ===
ValueError: invalid literal for int() with base 10: '\xb2'
Traceback (most recent call last):
  File "x.py", line 1, in one_input

INFO: Running with entropic power schedule (0xFF, 100).
#90\tNEW    cov: 122 ft: 215 corp: 33/903b lim: 123 exec/s: 0 rss: 44Mb
stat::number_of_executed_units: 4100
stat::average_exec_per_sec:     2050
stat::peak_rss_mb:              46
"""


def test_a_finding_is_told_by_its_error_and_ends_the_clean_time() -> None:
    runs = read_runs()[NAMES[0]]
    runs.clean_seconds = 500

    add(runs, read_output(FOUND, failed=True))

    assert runs.findings[-1].what == "ValueError: invalid literal for int() with base 10: '\xb2'"
    assert (runs.clean_seconds, runs.clean_executions) == (0, 0)
    assert runs.edges >= 122


def test_a_run_that_ends_well_is_added() -> None:
    outcome = read_output("#9\tDONE   cov: 7 ft: 8 corp: 1/1b\nDone 44953 runs in 21 second(s)\n", failed=False)

    assert (outcome.seconds, outcome.edges, outcome.features, outcome.raised) == (21, 7, 8, "")
