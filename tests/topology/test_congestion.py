"""The lists of one cluster, rule by rule, and the time-line of a server that dies."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.model import Address
from odp_trio.topology.cluster import Server, ServerState, Zone
from odp_trio.topology.congestion import Failure, FailureHistory, Limits, Listed
from odp_trio.topology.congestion_table import CongestionTable

A, B, C = (Address(f"10.0.0.{number}", 2881) for number in (1, 2, 3))
ACTIVE = {A: "ACTIVE", B: "ACTIVE", C: "ACTIVE"}


def zone(name: str, status: str = "ACTIVE") -> Zone:
    return Zone(name, status, "HZ", "hz1", "ReadWrite")


class Bed:
    """A table over three servers in zones of their own, and a clock."""

    def __init__(self, **limits: object) -> None:
        self.limits = msgspec.structs.replace(Limits(changes_per_second=0), **limits)
        self.table = CongestionTable(lambda: self.limits)
        self.now = 1000.0
        self.refresh()

    def refresh(self, states: Mapping[Address, str] = ACTIVE, inactive_zone: Address | None = None) -> None:
        servers = {
            address: Server(address, str(address), ServerState[states[address]])
            for address in (A, B, C)
            if address in states
        }
        zones = {
            str(address): zone(str(address), "INACTIVE" if address == inactive_zone else "ACTIVE")
            for address in servers
        }
        self.table.refreshed(servers, zones, self.now)

    def fail(self, address: Address, times: int = 1, failure: Failure = Failure.CONNECT) -> None:
        for _ in range(times):
            self.table.failed(address, failure, self.now)

    def probe(self, address: Address, error: str = "") -> None:
        self.table.probed(address, error, self.now)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.table.advance(self.now)

    @property
    def refused(self) -> dict[Address, Listed]:
        return self.table.refused()

    def why(self, address: Address) -> str:
        return self.table.why(address, self.now)


# ---- the greylist -----------------------------------------------------------------------


def test_the_threshold_of_failures_within_the_window_puts_a_server_on_the_greylist() -> None:
    bed = Bed()
    bed.fail(A, 4)
    assert bed.refused == {}

    bed.fail(A)

    assert bed.refused == {A: Listed.ALIVE}
    assert bed.why(A) == "5 connect failures in 120 s; next trial in 20 s"
    bed.now += 8
    assert bed.why(A) == "5 connect failures in 120 s; next trial in 12 s"
    assert bed.why(B) == ""


def test_failures_of_several_kinds_are_named() -> None:
    bed = Bed(threshold=2)
    bed.fail(A)
    bed.fail(A, failure=Failure.LOST)
    assert bed.why(A).startswith("2 failures in 120 s (connect, lost)")


def test_failures_that_are_older_than_the_window_do_not_count() -> None:
    bed = Bed()
    bed.fail(A, 4)
    bed.wait(128)
    bed.fail(A, 4)
    assert bed.refused == {}
    bed.fail(A)
    assert bed.refused == {A: Listed.ALIVE}


@given(
    times=st.lists(st.floats(0, 400, allow_nan=False), max_size=30).map(sorted),
    window=st.sampled_from((1.0, 17.0, 120.0)),
    later=st.floats(0, 200),
)
def test_a_failure_counts_for_the_window_at_least_and_a_sixteenth_longer_at_most(
    times: list[float], window: float, later: float
) -> None:
    history = FailureHistory()
    for time in times:
        history.add(time, window)
    now = (times[-1] if times else 0.0) + later

    count = history.count(now, window)

    assert count >= sum(now - time < window * 0.999999 for time in times)
    assert count <= sum(now - time < window * 17 / 16 * 1.000001 for time in times)


def test_a_good_answer_takes_a_server_off_the_greylist_and_forgets_its_failures() -> None:
    bed = Bed()
    bed.fail(A, 5)
    bed.table.answered(A, bed.now)
    assert bed.refused == {}
    bed.fail(A, 4)
    assert bed.refused == {}


def test_a_server_that_greets_all_the_time_stays_on_the_greylist_for_the_retry_interval() -> None:
    bed = Bed()
    bed.fail(A, 5, Failure.ERROR)
    bed.wait(19)
    bed.probe(A)
    assert bed.refused == {A: Listed.ALIVE}
    bed.wait(1)
    assert bed.why(A).endswith("the next good probe takes it off")
    bed.probe(A)
    assert bed.refused == {}


def test_a_further_failure_begins_the_retry_interval_anew() -> None:
    bed = Bed()
    bed.fail(A, 5)
    bed.wait(15)
    bed.fail(A)
    bed.wait(15)
    bed.probe(A)
    assert bed.refused == {A: Listed.ALIVE}


def test_the_server_list_takes_a_server_off_the_greylist_after_the_least_stay() -> None:
    bed = Bed()
    bed.fail(A, 5)
    bed.wait(19.9)
    bed.refresh()
    assert bed.refused == {A: Listed.ALIVE}
    bed.wait(0.1)
    bed.refresh()
    assert bed.refused == {}


@pytest.mark.parametrize("limits", [{"enabled": False}, {"threshold": 0}])
def test_nothing_is_in_force_when_it_is_switched_off(limits: dict[str, object]) -> None:
    bed = Bed(**limits)
    bed.fail(A, 10)
    bed.refresh({A: "INACTIVE", B: "UPGRADE", C: "ACTIVE"})
    assert bed.refused == {}
    assert bed.table.candidates((A,), bed.now) == []
    assert bed.why(A) == ""


# ---- trials with requests (server_detect_mode 0) -------------------------------------------


def test_without_a_prober_one_request_may_try_after_the_retry_interval() -> None:
    bed = Bed(mode=0)
    bed.fail(A, 5)
    assert bed.table.wake_at(bed.now) == bed.now + 20
    assert not bed.table.take_trial(A, bed.now)
    bed.wait(20)
    assert bed.refused == {}
    assert bed.why(A).endswith("one request may try it now")

    assert bed.table.take_trial(A, bed.now)

    assert bed.refused == {A: Listed.ALIVE}
    assert not bed.table.take_trial(A, bed.now)
    bed.wait(19.9)
    assert bed.refused == {A: Listed.ALIVE}
    bed.wait(0.1)
    assert bed.refused == {}


def test_a_trial_that_succeeds_ends_the_refusal() -> None:
    bed = Bed(mode=0)
    bed.fail(A, 5)
    bed.wait(20)
    bed.table.take_trial(A, bed.now)
    bed.table.answered(A, bed.now)
    assert bed.refused == {}
    assert bed.table.wake_at(bed.now) == float("inf")


# ---- the server list ----------------------------------------------------------------------


@pytest.mark.parametrize("state", ["INACTIVE", "REPLAY"])
def test_the_server_list_makes_a_server_dead(state: str) -> None:
    bed = Bed()
    bed.refresh({**ACTIVE, A: state})
    bed.wait(3)
    assert bed.refused == {A: Listed.DEAD}
    assert bed.why(A) == f"its state is {state} for 3 s"


def test_a_dead_server_that_is_back_after_the_least_stay_is_free() -> None:
    bed = Bed()
    bed.refresh({**ACTIVE, A: "INACTIVE"})
    bed.wait(20)
    bed.refresh()
    assert bed.refused == {}


def test_a_dead_server_that_is_back_too_early_goes_to_the_greylist() -> None:
    bed = Bed()
    bed.refresh({**ACTIVE, A: "INACTIVE"})
    bed.wait(10)
    bed.refresh()
    assert bed.refused == {A: Listed.ALIVE}
    assert bed.why(A) == "it was dead for 10.0 s only; next trial in 20 s"
    bed.wait(20)
    bed.refresh()
    assert bed.refused == {}


def test_a_server_or_zone_that_is_stopped_is_refused_as_long_as_that_lasts() -> None:
    bed = Bed()
    bed.refresh({**ACTIVE, A: "UPGRADE"}, inactive_zone=B)
    assert bed.refused == {A: Listed.FORCED, B: Listed.FORCED}
    assert bed.why(A) == "it is stopped (UPGRADE)"
    assert bed.why(B) == f"zone {B} is INACTIVE"
    bed.refresh()
    assert bed.refused == {}


def test_a_server_that_is_being_deleted_still_serves_and_one_that_is_gone_is_forgotten() -> None:
    bed = Bed()
    bed.fail(B, 5)
    bed.refresh({**ACTIVE, A: "DELETING"})
    assert A not in bed.refused
    bed.refresh({A: "ACTIVE"})
    assert bed.refused == {}
    assert set(bed.table.entries) == {A}
    assert bed.table.watched == set()
    bed.fail(B, 10)
    assert bed.refused == {}


# ---- probes -------------------------------------------------------------------------------


def test_failed_probes_in_a_row_take_a_server_off_and_a_good_one_brings_it_back() -> None:
    bed = Bed()
    bed.fail(A, 5)
    for _ in range(2):
        bed.probe(A, "no greeting within 5 s")
    bed.probe(A)
    for _ in range(3):
        assert A not in bed.refused
        bed.probe(A, "no greeting within 5 s")
    assert bed.refused == {A: Listed.DETECT}
    assert bed.why(A) == "3 probes in a row failed: no greeting within 5 s; it is probed on"

    bed.probe(A)

    assert bed.refused == {}


def test_which_servers_are_probed() -> None:
    bed = Bed()
    assert bed.table.candidates((), bed.now) == []
    assert bed.table.candidates((B,), bed.now) == [B]
    bed.fail(A)
    assert bed.table.candidates((), bed.now) == [A]
    bed.fail(A, 4)
    assert bed.table.candidates((), bed.now) == [A, B, C], "is it them, or is it us?"
    bed.probe(B)
    assert bed.table.candidates((), bed.now) == [A]
    bed.limits = msgspec.structs.replace(bed.limits, mode=2)
    assert bed.table.candidates((), bed.now) == [A, B, C]
    bed.limits = msgspec.structs.replace(bed.limits, mode=0)
    assert bed.table.candidates((A,), bed.now) == []


def test_a_server_whose_failures_are_long_ago_is_not_probed_any_more() -> None:
    bed = Bed()
    bed.fail(A)
    assert bed.table.watched == {A}
    bed.wait(130)
    assert bed.table.watched == set()


def test_when_the_prober_is_switched_off_its_list_is_emptied() -> None:
    bed = Bed()
    for _ in range(3):
        bed.probe(A, "refused")
    assert bed.refused == {A: Listed.DETECT}
    bed.limits = msgspec.structs.replace(bed.limits, mode=0)
    bed.wait(1)
    assert bed.refused == {}


# ---- the budget -----------------------------------------------------------------------------


def test_no_more_changes_in_a_second_than_the_budget() -> None:
    bed = Bed(changes_per_second=1)
    bed.table.answered(C, bed.now)
    bed.fail(A, 5)
    bed.probe(C)
    bed.fail(B, 5)
    assert bed.refused == {A: Listed.ALIVE}
    assert bed.table.waiting == (B,)
    assert bed.table.wake_at(bed.now) == bed.now + 1

    bed.wait(1)

    assert bed.refused == {A: Listed.ALIVE, B: Listed.ALIVE}
    assert bed.table.waiting == ()


@given(
    budget=st.integers(1, 4),
    pauses=st.lists(st.floats(0, 0.4), min_size=1, max_size=60),
)
def test_the_budget_holds_for_any_second(budget: int, pauses: list[float]) -> None:
    bed = Bed(changes_per_second=budget, threshold=1, retry=0.0)
    for turn, pause in enumerate(pauses):
        bed.probe(C)
        address = (A, B)[turn % 2]
        if address in bed.refused:
            bed.table.answered(address, bed.now)
        else:
            bed.fail(address)
        bed.wait(pause)
    times = [change.at for change in bed.table.recent]
    assert all(sum(start <= time < start + 1.0 for time in times) <= budget for start in times)


def test_a_change_that_is_taken_back_while_it_waits_is_none() -> None:
    bed = Bed(changes_per_second=1)
    bed.fail(A, 5)
    bed.probe(C)
    bed.fail(B, 5)
    bed.table.answered(B, bed.now)
    bed.wait(1)
    assert bed.refused == {A: Listed.ALIVE}
    assert [change.address for change in bed.table.recent] == [A]


def test_what_the_server_list_says_is_not_bound_by_the_budget() -> None:
    bed = Bed(changes_per_second=1)
    bed.refresh({A: "INACTIVE", B: "REPLAY", C: "UPGRADE"})
    assert len(bed.refused) == 3


# ---- our network ------------------------------------------------------------------------------


def test_when_all_servers_fail_at_once_nobody_is_listed_until_one_answers() -> None:
    bed = Bed()
    for _ in range(5):
        for address in (A, B, C):
            bed.fail(address)
    assert bed.refused == {}
    assert bed.table.lost is not None
    assert bed.table.lost.since == bed.now
    assert bed.table.lost.reason == "3 of 3 servers have failed, and none has answered since"
    bed.wait(100)
    bed.fail(A, 100)
    for _ in range(100):
        bed.probe(B, "refused")
    assert bed.refused == {}
    assert bed.table.watched == {A, B, C}
    assert bed.table.candidates((), bed.now) == [A, B, C]

    bed.probe(C)

    assert bed.table.lost is None
    assert bed.refused == {}
    bed.fail(A, 4)
    bed.probe(B, "refused")
    assert bed.refused == {}, "what failed meanwhile is forgotten"
    bed.fail(A)
    assert bed.refused == {A: Listed.ALIVE}


def test_who_was_listed_just_before_the_others_failed_too_comes_off() -> None:
    bed = Bed()
    bed.fail(A, 5)
    assert bed.refused == {A: Listed.ALIVE}
    bed.wait(3)
    bed.fail(B)
    assert bed.refused == {A: Listed.ALIVE}
    bed.fail(C)
    assert bed.refused == {}
    assert bed.table.lost is not None


def test_who_was_down_long_before_stays_where_it_is() -> None:
    bed = Bed()
    for _ in range(3):
        bed.probe(A, "refused")
    bed.probe(B)
    bed.wait(100)
    bed.fail(B, 5)
    assert bed.refused == {A: Listed.DETECT, B: Listed.ALIVE}
    bed.fail(C)
    assert bed.table.lost is not None
    assert bed.refused == {A: Listed.DETECT}


def test_one_server_alone_is_no_network() -> None:
    bed = Bed()
    bed.refresh({A: "ACTIVE"})
    bed.fail(A, 5)
    assert bed.refused == {A: Listed.ALIVE}
    assert bed.table.lost is None


def test_it_is_no_network_loss_when_another_one_answers() -> None:
    bed = Bed()
    bed.fail(B)
    bed.fail(C)
    bed.probe(C)
    bed.fail(A, 5)
    assert bed.refused == {A: Listed.ALIVE}
    assert bed.table.lost is None


def test_a_fresh_server_list_is_an_answer() -> None:
    bed = Bed()
    for address in (A, B, C):
        bed.fail(address, 4)
    bed.fail(A)
    assert bed.table.lost is not None
    bed.refresh()
    assert bed.table.lost is None


# ---- the time-line of docs/congestion.md --------------------------------------------------------


def test_the_time_line_of_a_leader_that_dies() -> None:
    bed = Bed(changes_per_second=20)
    death = bed.now
    bed.fail(B, 3, Failure.LOST)  # what ran there
    bed.probe(B, "refused")
    bed.wait(1)
    bed.fail(B, 2)
    assert bed.refused == {B: Listed.ALIVE}
    bed.probe(B, "refused")
    bed.probe(A)
    bed.wait(1)
    bed.probe(B, "refused")
    assert bed.refused == {B: Listed.DETECT}
    while bed.now < death + 15:
        bed.wait(1)
        bed.probe(B, "refused")
    bed.refresh({**ACTIVE, B: "INACTIVE"})
    assert bed.table.entries[B].dead is not None
    bed.wait(30)
    bed.refresh({**ACTIVE, B: "REPLAY"})
    bed.probe(B)
    assert bed.refused == {B: Listed.DEAD}, "it greets, but does not serve yet"
    bed.wait(5)
    bed.refresh()
    assert bed.refused == {}, "dead for 35 s: free at once"


def test_the_time_line_of_the_only_server() -> None:
    bed = Bed()
    bed.refresh({B: "ACTIVE"})
    bed.fail(B, 5)
    assert bed.refused == {B: Listed.ALIVE}, "every statement goes there all the same: forced use"
    bed.table.answered(B, bed.now)
    assert bed.refused == {}
