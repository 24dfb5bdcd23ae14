"""KILL QUERY is as fast through a proxy as straight at the kernel: a second session, Ctrl-C, COM_PROCESS_KILL.

The kernel looks every 100 ms whether SLEEP was killed, so both sides are killed at the same phases of that, in turn.
"""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import subprocess
import threading
import time
from collections.abc import Callable

import pytest

from odp_trio.app import Proxy
from odp_trio.model import Address
from odp_trio.testing.bed import Testbed
from odp_trio.testing.live import KernelProcess
from odp_trio.wire.command import Com
from odp_trio.wire.resultset import parse_err
from tests.live.clients import in_thread
from tests.live.test_kill import address
from tests.live.test_kill import proxy as proxy  # a fixture
from tests.raw_client import RawClient

pytestmark = [pytest.mark.live, pytest.mark.slow]

KILLS = int(os.environ.get("ODP_TRIO_KILLS", "3"))
ALLOWED = 0.05
"""Seconds by which the proxy may be slower; where more runs than there are processors, so many times more."""
ROUNDS = 4
"""A machine with other work disturbs single figures: the best round counts."""
Way = Callable[[KernelProcess, Address, str, float], float]


def second_session(kernel: KernelProcess, at: Address, user: str, wait: float, *, query: bool = True) -> float:
    """Kill from another session, after ``wait`` seconds; return how long it took the victim to know."""
    with RawClient(at, user, "pw") as victim, RawClient(at, user, "pw") as killer:
        ended: list[tuple[float, int]] = []

        def run() -> None:
            try:
                answer = victim.query("select sleep(30)")
                ended.append((time.monotonic(), parse_err(answer.payloads[0]).errno))
            except OSError:
                ended.append((time.monotonic(), 0))

        thread = threading.Thread(target=run)
        thread.start()
        threading.Event().wait(wait)
        began = time.monotonic()
        number = victim.greeting.connection_id
        if query:
            killer.query(f"kill query {number}")
        else:
            killer.command(bytes((Com.PROCESS_KILL,)) + number.to_bytes(4, "little"))
        thread.join(20)
        assert ended, "it was not stopped"
        assert ended[0][1] in ((1317,) if query else (0, 5066))  # closed, or said so first
        return ended[0][0] - began


def process_kill(kernel: KernelProcess, at: Address, user: str, wait: float) -> float:
    return second_session(kernel, at, user, wait, query=False)


def control_c(kernel: KernelProcess, at: Address, user: str, wait: float) -> float:
    """Interrupt a real client, which kills its statement by the id of its greeting."""
    command = ["mariadb", "-h", at.ip, "-P", str(at.port), "-u", user, "-ppw", "--skip-ssl", "-e", "select sleep(30)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        deadline = time.monotonic() + 20
        while not any("sleep(30)" in str(row["Info"]) for row in kernel.run("show full processlist")):
            assert time.monotonic() < deadline, "the statement does not run"
            threading.Event().wait(0.01)
        threading.Event().wait(wait)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=20)[0]
    assert "1317" in said, said
    return time.monotonic() - began


@pytest.mark.parametrize("way", [second_session, process_kill, control_c], ids=lambda way: way.__name__)
async def test_as_fast_as_direct(bed: Testbed, kernel: KernelProcess, proxy: Proxy, way: Way) -> None:
    if way is control_c and shutil.which("mariadb") is None:
        pytest.skip("no mariadb client here: apt-get install mariadb-client")
    sides = ((Address("127.0.0.1", kernel.port), "one@sys"), (address(proxy), "one@mytenant#demo"))

    def compare() -> tuple[float, float]:
        taken: tuple[list[float], list[float]] = ([], [])
        for number in range(KILLS):
            for side, found in zip(sides, taken, strict=True):
                found.append(way(kernel, *side, 0.35 + 0.1 * number / KILLS))
        return statistics.median(taken[0]), statistics.median(taken[1])

    differences = []
    for _ in range(ROUNDS):
        direct, proxied = await in_thread(compare)
        differences.append(proxied - direct)
        print(f"{way.__name__}: direct {direct * 1e3:.0f} ms, proxied {proxied * 1e3:.0f} ms, {KILLS} kills each")  # noqa: T201
        crowd = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
        if differences[-1] <= ALLOWED * crowd:
            return
    raise AssertionError(f"differences of the medians, in seconds: {differences}")
