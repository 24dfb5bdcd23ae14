"""The suite finds faults that are planted in our proxy on purpose.

``ODP_TRIO_CONFORMANCE=1`` plants those that take longer, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

import pytest

from odp_trio.conformance.registry import chosen
from odp_trio.conformance.results import Outcome, Result
from odp_trio.conformance.runner import run_checks
from odp_trio.conformance.targets import faked
from tests.conformance.breakages import BREAKAGES, Breakage

WANTED: Final = [each for each in BREAKAGES if each.cheap or os.environ.get("ODP_TRIO_CONFORMANCE")]


async def results(ids: Iterable[str]) -> dict[str, Result]:
    async with faked() as target:
        run = await run_checks(target, chosen(ids=ids))
    return {result.id: result for result in run.results}


@pytest.mark.parametrize("breakage", WANTED, ids=lambda each: each.what)
async def test_a_planted_fault_is_found(breakage: Breakage, monkeypatch: pytest.MonkeyPatch) -> None:
    breakage.plant(monkeypatch)
    found = await results(breakage.found_by)
    assert {result.id: result.reason for result in found.values() if result.outcome is not Outcome.FAILED} == {}


async def test_without_a_fault_the_same_checks_pass() -> None:
    found = await results({name for each in WANTED for name in each.found_by})
    assert {result.id: result.reason for result in found.values() if result.outcome is not Outcome.PASSED} == {}
