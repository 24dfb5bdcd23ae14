"""How this process is scheduled; each test asks in a thread of its own, which is all that the policy is of."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable

import pytest

from odp_trio.process.scheduling import schedule_as
from tests.proxy_process import proxy_process


def in_a_thread(steps: Callable[[], None]) -> int:
    """Return the policy of a new thread when it has done something."""
    found: list[int] = []

    def run() -> None:
        steps()
        found.append(os.sched_getscheduler(0))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


def test_batch_and_back() -> None:
    assert in_a_thread(lambda: schedule_as("batch")) == os.SCHED_BATCH
    assert in_a_thread(lambda: (schedule_as("batch"), schedule_as("other"))[1]) == os.SCHED_OTHER


def test_what_somebody_has_chosen_stays() -> None:
    def steps() -> None:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        schedule_as("batch")

    assert in_a_thread(steps) == os.SCHED_IDLE


def test_where_it_is_forbidden_everything_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", forbidden)
    with caplog.at_level(logging.INFO, "odp_trio"):
        assert in_a_thread(lambda: schedule_as("batch")) == os.SCHED_OTHER
    assert "cpu_scheduling_policy: batch is not allowed here: Operation not permitted" in caplog.text


@pytest.mark.parametrize(("options", "policy"), [("", os.SCHED_BATCH), ("cpu_scheduling_policy=other", os.SCHED_OTHER)])
def test_the_program_does_as_it_is_configured(options: str, policy: int) -> None:
    with proxy_process("127.0.0.1:1", "nowhere", "", options=options) as proxy:
        assert os.sched_getscheduler(proxy.process.pid) == policy
