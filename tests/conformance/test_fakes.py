"""The suite over fake OBServers: behind our proxy, and without a proxy."""

from __future__ import annotations

import os
from typing import Final

import pytest

from odp_trio.conformance.registry import all_checks
from odp_trio.conformance.results import Outcome
from odp_trio.conformance.runner import run_checks
from odp_trio.conformance.targets import faked

EVERYTHING: Final = bool(os.environ.get("ODP_TRIO_CONFORMANCE") or os.environ.get("ODP_TRIO_CONFORMANCE_FAKES"))
_GROUPS: Final = ("transactions", "routing", "partitions", "nearness")
_IDS: Final = ("admin.others.version",)
"""Run by default; with ODP_TRIO_CONFORMANCE=1, or with ODP_TRIO_CONFORMANCE_FAKES=1, the others are, too: a minute."""


@pytest.mark.slow
@pytest.mark.parametrize("proxied", [True, False], ids=["proxied", "direct"])
async def test_fakes_pass_the_suite(proxied: bool) -> None:
    wanted = [check for check in all_checks() if EVERYTHING or check.group in _GROUPS or check.id in _IDS]
    async with faked(proxied=proxied) as target:
        run = await run_checks(target, wanted)

    wrong = {result.id: result.reason for result in run.results if result.outcome in (Outcome.FAILED, Outcome.BROKEN)}
    assert not wrong
    assert sum(result.outcome is Outcome.PASSED for result in run.results) > 10
