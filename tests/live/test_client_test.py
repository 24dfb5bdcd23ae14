"""``mysql_client_test`` on sessions that move between any two statements: what passes directly passes rotated.

The default run has some thirty cases; ``ODP_TRIO_CLIENT_TEST=all`` runs all of them directly, through a proxy and
rotated, and prints what differs.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

from odp_trio.model import Address
from odp_trio.testing.live import KernelProcess
from tests.live.client_test import CHOSEN, ELSEWISE, MISSING, every_case, is_installed, run_cases
from tests.live.rotation import rotating_process

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.skipif(not is_installed(), reason=MISSING)]
ALL = os.environ.get("ODP_TRIO_CLIENT_TEST") == "all"


def test_chosen_cases_pass_on_sessions_that_move(kernel: KernelProcess) -> None:
    kernel.run("create database if not exists test")
    with rotating_process(kernel, 11) as rotated:
        outcome = run_cases(rotated, "root@sys", *CHOSEN, seconds=300)

    assert outcome.how == "passed", outcome.said
    assert f"All '{len(CHOSEN)}' tests were successful" in outcome.said
    print(f"mysql_client_test: {len(CHOSEN)} cases rotated, 0 differences")  # noqa: T201


@pytest.mark.skipif(not ALL, reason="ODP_TRIO_CLIENT_TEST=all asks for it")
def test_every_case_ends_as_it_does_directly(
    kernel: KernelProcess, kernel_address: Address, proxy_address: Address
) -> None:
    kernel.run("create database if not exists test")
    outcomes: Counter[tuple[str, str, str]] = Counter()
    found = []
    with rotating_process(kernel, 11) as rotated:
        for case in every_case():
            direct = run_cases(kernel_address, "root", case)
            proxied = run_cases(proxy_address, "root@sys", case)
            moved = run_cases(rotated, "root@sys", case)
            ends = (direct.how, proxied.how, moved.how)
            outcomes[ends] += 1
            if len(set(ends)) > 1:
                print(f"{case}: {ends}: {ELSEWISE.get(case, 'not explained')}")  # noqa: T201
                if case not in ELSEWISE:
                    found.append(f"{case}: {ends}\n{direct.said}\n--\n{proxied.said}\n--\n{moved.said}")

    print(f"directly, through the proxy, rotated: {outcomes}")  # noqa: T201
    assert not found, "\n".join(found)
