"""The rule of the lost network, held against one that looks at the whole history."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odp_trio.model import Address
from odp_trio.topology.cluster import Server, ServerState, Zone
from odp_trio.topology.congestion import Failure, Limits
from odp_trio.topology.congestion_table import CongestionTable

LIMITS = Limits(threshold=2, probe_threshold=2, changes_per_second=0, probe_timeout=5.0, retry=5.0, min_keep=6.0)
WINDOW = LIMITS.network_window


@dataclass
class History:
    """Everything that has happened, and the rule as the documentation has it."""

    troubles: list[tuple[int, float, Address]] = field(default_factory=list)
    last_sign: int = -1
    steps: int = 0
    lost: bool = False

    def sign(self) -> None:
        self.steps += 1
        self.last_sign = self.steps
        self.lost = False

    def trouble(self, address: Address, now: float) -> None:
        self.steps += 1
        self.troubles.append((self.steps, now, address))

    def judge(self, now: float, serving: set[Address], belongs_since: dict[Address, float]) -> bool:
        since = now - WINDOW
        healthy = {one for one in serving if belongs_since.get(one, now) >= since}
        failed = {one for step, at, one in self.troubles if step > self.last_sign and at >= since} & healthy
        return (
            len(healthy) >= 2 and 10 * len(failed) >= 9 * len(healthy) and any(one in belongs_since for one in healthy)
        )


def table_of(count: int) -> tuple[CongestionTable, list[Address], dict[Address, Server], dict[str, Zone]]:
    addresses = [Address(f"10.0.0.{number}", 2881) for number in range(1, count + 1)]
    servers = {one: Server(one, "z", ServerState.ACTIVE) for one in addresses}
    zones = {"z": Zone("z", "ACTIVE", "r", "i", "ReadWrite")}
    table = CongestionTable(lambda: LIMITS)
    table.refreshed(servers, zones, 0.0)
    return table, addresses, servers, zones


events = st.lists(
    st.tuples(
        st.sampled_from(("fail", "fail", "fail", "probe", "bad probe", "bad probe", "answer", "state")),
        st.integers(0, 3),
        st.sampled_from((0.0, 0.0, 0.1, 1.0, 6.0, 16.0)),
    ),
    max_size=40,
)


@pytest.mark.slow
@given(count=st.integers(1, 4), happenings=events)
@settings(max_examples=1500, deadline=None)
def test_the_network_is_lost_exactly_when_the_rule_says_so(
    count: int, happenings: list[tuple[str, int, float]]
) -> None:
    table, addresses, servers, zones = table_of(count)
    history, now = History(), 0.0
    for what, number, pause in happenings:
        now += pause
        address = addresses[number % count]
        belongs = {one: entry.due_since for one, entry in table.entries.items() if entry.due_since is not None}
        entry = table.entries[address]
        failures, probes = entry.history.count(now, LIMITS.window), entry.failed_probes
        match what:
            case "fail" | "bad probe":
                if what == "fail":
                    table.failed(address, Failure.CONNECT, now)
                    reached = failures + 1 >= LIMITS.threshold
                else:
                    table.probed(address, "refused", now)
                    reached = probes + 1 >= LIMITS.probe_threshold
                history.trouble(address, now)
                if not history.lost:
                    if reached:
                        belongs.setdefault(address, now)
                    serving = {one for one, found in table.entries.items() if found.serves}
                    history.lost = history.judge(now, serving, belongs)
            case "probe":
                table.probed(address, "", now)
                history.sign()
            case "answer":
                table.answered(address, now)
                history.sign()
            case _:
                was = servers[address].state
                state = ServerState.INACTIVE if was is ServerState.ACTIVE else ServerState.ACTIVE
                servers[address] = msgspec.structs.replace(servers[address], state=state)
                table.refreshed(servers, zones, now)
                history.sign()
        assert (table.lost is not None) == history.lost


def fail_all(table: CongestionTable, addresses: list[Address], now: float) -> None:
    for address in addresses:
        for _ in range(2):
            table.failed(address, Failure.CONNECT, now)


@pytest.mark.parametrize(("count", "failing", "lost"), [(10, 9, True), (10, 8, False), (19, 18, True), (20, 18, True), (20, 17, False), (9, 8, False), (2, 2, True), (1, 1, False)])  # fmt: skip
def test_nine_in_ten_are_nearly_all(count: int, failing: int, lost: bool) -> None:
    table, addresses, *_ = table_of(count)
    fail_all(table, addresses[:failing], 100.0)
    assert (table.lost is not None) is lost
    assert bool(table.refused()) is not lost


def test_failures_that_are_too_far_apart_are_not_one_loss() -> None:
    table, (one, two), *_ = table_of(2)
    fail_all(table, [one], 0.0)
    fail_all(table, [two], WINDOW + 0.1)
    assert table.lost is None
    assert set(table.refused()) == {one, two}
