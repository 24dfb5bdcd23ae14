"""Cancelled at every checkpoint, nothing is left: no descriptor, no task, no thread, no socket, and nothing else raised.

``ODP_TRIO_CHECKPOINTS=7`` visits every seventh.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator

import pytest

from odp_trio.sql.dml import prepare
from tests.app.checkpoints import Scenario, everything, one_client, one_drain, run_once

STRIDE = int(os.environ.get("ODP_TRIO_CHECKPOINTS", "1"))
SCENARIOS: tuple[Scenario, ...] = (everything, one_client, one_drain)
PATIENCE = 3
"""Runs in a row that end before their checkpoint: a scenario may have a few more or less the first time."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What a cancelled proxy logs is no matter here; the grammar is made once for all runs."""
    prepare()
    logging.disable(logging.ERROR)
    gc.collect()
    gc.freeze()  # each run collects its own garbage, not pytest's
    yield
    gc.unfreeze()
    logging.disable(logging.NOTSET)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_nothing_is_left_wherever_it_is_cancelled(
    scenario: Scenario, record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]
) -> None:
    run_once(scenario, 0)
    whole, left = run_once(scenario, 0)
    assert not left, left
    visited, wrong, at, beyond = 0, [], 1, 0

    while beyond < PATIENCE:
        trap, left = run_once(scenario, at)
        if trap.count < at:
            beyond += 1
        else:
            visited, beyond = visited + 1, 0
            if left:
                wrong.append((at, left))
        at += STRIDE if at < whole.count else 1

    record_property("checkpoints", whole.count)
    record_property("visited", visited)
    with capsys.disabled():
        sys.stdout.write(f"\n{scenario.__name__}: {visited} of {whole.count} checkpoints\n")
    assert not wrong, f"{len(wrong)} of {visited}: {wrong[:5]}"
    assert visited >= whole.count // STRIDE


@pytest.mark.slow
def test_with_threads_and_the_clock_of_the_machine() -> None:
    whole, _ = run_once(everything, 0, threads=True)

    for at in range(1, whole.count, 60 * STRIDE):
        _, left = run_once(everything, at, threads=True)
        assert not left, (at, left)
