"""Random events in virtual time: what must hold of the lists whatever happens."""

from __future__ import annotations

from collections import defaultdict

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from odp_trio.model import Address
from odp_trio.topology.cluster import Server, ServerState, Zone
from odp_trio.topology.congestion import Change, Failure, Limits, Listed
from odp_trio.topology.congestion_table import CongestionTable

SERVERS = tuple(Address(f"10.0.0.{number}", 2881) for number in range(1, 7))
BUDGET = 2
LIMITS = Limits(threshold=2, window=30.0, retry=5.0, min_keep=7.0, probe_threshold=2, changes_per_second=BUDGET)
BY_FAILURES = (Listed.ALIVE, Listed.DETECT)

address = st.sampled_from(SERVERS)
state = st.sampled_from((ServerState.ACTIVE,) * 6 + tuple(ServerState))


class Lists(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.limits = LIMITS
        self.table = CongestionTable(lambda: self.limits)
        self.now = 0.0
        self.servers: dict[Address, Server] = {}
        self.zones: dict[str, Zone] = {}
        self.budgeted: list[tuple[float, Address]] = []
        self.trials: dict[Address, float] = {}
        self.put_while_lost: list[Change] = []
        self.refresh_all()

    def take_news(self, *, from_list: bool = False) -> None:
        changes = self.table.take_news()
        if not from_list:
            made = {(change.at, change.address) for change in changes if change.reason != "the network is lost"}
            self.budgeted += sorted(made)
        self.put_while_lost += [
            change for change in changes if change.put and self.table.lost is not None and change.listed in BY_FAILURES
        ]

    def refresh_all(self) -> None:
        self.servers = {one: Server(one, one.ip, ServerState.ACTIVE) for one in SERVERS}
        self.zones = {one.ip: Zone(one.ip, "ACTIVE", "r", "i", "ReadWrite") for one in SERVERS}
        self.table.refreshed(self.servers, self.zones, self.now)
        self.take_news(from_list=True)

    # ---- events -------------------------------------------------------------------------

    @rule(address=address, kind=st.sampled_from(Failure), times=st.integers(1, 3))
    def failed(self, address: Address, kind: Failure, times: int) -> None:
        for _ in range(times):
            self.table.failed(address, kind, self.now)
            self.take_news()

    @rule(address=address)
    def answered(self, address: Address) -> None:
        lost = self.table.lost is not None
        self.table.answered(address, self.now)
        self.trials.pop(address, None)
        self.take_news()
        if address in self.servers and self.limits.enabled:
            assert self.table.lost is None
            if lost:
                assert all(
                    entry.due_since is not None or not entry.history.count(self.now, 30)
                    for entry in self.table.entries.values()
                )

    @rule(address=address, error=st.sampled_from(("", "refused", "no greeting")))
    def probed(self, address: Address, error: str) -> None:
        if self.limits.mode:
            self.table.probed(address, error, self.now)
            self.take_news()

    @rule()
    def all_fail(self) -> None:
        for one in (*SERVERS, *SERVERS):
            self.table.failed(one, Failure.CONNECT, self.now)
            self.take_news()
        serving = [entry for entry in self.table.entries.values() if entry.serves]
        if (
            self.limits.enabled
            and len(serving) == len(SERVERS)
            and all((entry.due_since or self.now) == self.now for entry in serving)
        ):
            assert self.table.lost is not None

    @rule(states=st.lists(state, min_size=6, max_size=6), left=st.sets(address, max_size=2), inactive=st.booleans())
    def refreshed(self, states: list[ServerState], left: set[Address], inactive: bool) -> None:
        before = self.table.entries
        stayed = {
            one: self.now - (entry.dead if entry.dead is not None else entry.alive or 0.0)
            for one, entry in before.items()
            if entry.listed in (Listed.DEAD, Listed.ALIVE)
        }
        self.servers = {
            one: Server(one, one.ip, state) for one, state in zip(SERVERS, states, strict=True) if one not in left
        }
        down = SERVERS[0].ip if inactive else ""
        self.zones = {
            one.ip: Zone(one.ip, "INACTIVE" if one.ip == down else "ACTIVE", "r", "i", "ReadWrite") for one in SERVERS
        }
        self.table.refreshed(self.servers, self.zones, self.now)
        self.take_news(from_list=True)
        for one, seconds in stayed.items():
            server = self.servers.get(one)
            if (
                self.limits.enabled
                and server is not None
                and server.state is ServerState.ACTIVE
                and seconds < self.limits.min_keep
            ):
                assert self.table.entries[one].listed is not None, "it left before its least stay was over"

    @rule(seconds=st.sampled_from((0.01, 0.3, 1.0, 2.0, 5.0, 20.0)))
    def wait(self, seconds: float) -> None:
        """Time passes as the prober's task lets it: nothing that is due is late."""
        end = self.now + seconds
        while (due := self.table.wake_at(self.now)) <= end:
            assert due >= self.now or self.limits.mode == 0
            self.now = max(due, self.now)
            before = self.table.revision, self.table.waiting
            self.table.advance(self.now)
            assert (self.table.revision, self.table.waiting) != before, "it woke for nothing"
            self.take_news()
        self.now = end
        self.table.advance(self.now)
        self.take_news()

    @rule(address=address)
    @precondition(lambda self: self.limits.mode == 0)
    def connects(self, address: Address) -> None:
        if self.table.take_trial(address, self.now):
            since = self.now - self.trials.get(address, float("-inf"))
            assert since >= self.limits.retry, "two trials within the retry interval"
            self.trials[address] = self.now
            assert self.table.refused().get(address) is not None, "others may follow a trial"
        self.take_news()

    @rule(mode=st.sampled_from((0, 1, 1, 2)), enabled=st.sampled_from((True, True, True, False)))
    def set_options(self, mode: int, enabled: bool) -> None:
        self.limits = msgspec.structs.replace(LIMITS, mode=mode, enabled=enabled)
        self.table.advance(self.now)
        self.take_news()

    # ---- what must hold --------------------------------------------------------------------

    @invariant()
    def the_table_has_the_servers_of_the_list_and_no_other(self) -> None:
        assert self.table.entries.keys() == self.servers.keys()
        assert self.table.watched <= self.servers.keys()
        assert set(self.table.waiting) <= self.servers.keys()
        assert len(self.table.recent) <= 100

    @invariant()
    def no_more_changes_in_a_second_than_the_budget(self) -> None:
        self.budgeted = [(at, one) for at, one in self.budgeted if at > self.now - 3]
        by_start: dict[float, int] = defaultdict(int)
        for start, _ in self.budgeted:
            by_start[start] = sum(start <= at < start + 1.0 for at, _ in self.budgeted)
        assert max(by_start.values(), default=0) <= BUDGET

    @invariant()
    def while_the_network_is_lost_nobody_is_put_on_a_list(self) -> None:
        assert self.put_while_lost == []

    @invariant()
    def who_is_refused_has_a_reason_and_who_has_a_reason_is_on_a_list(self) -> None:
        refused = self.table.refused()
        if not self.limits.enabled:
            assert refused == {}
            return
        for one, entry in self.table.entries.items():
            assert bool(self.table.why(one, self.now)) == (entry.listed is not None)
            assert refused.get(one) == (None if entry.trial and entry.listed is Listed.ALIVE else entry.listed)

    @invariant()
    def who_is_on_a_list_or_failed_is_watched(self) -> None:
        for one, entry in self.table.entries.items():
            if entry.due_since is not None or entry.failed_probes:
                assert one in self.table.watched

    def teardown(self) -> None:
        """Whatever happened: who answers probes, and is called ACTIVE, is free after a while."""
        self.limits = LIMITS
        self.refresh_all()
        for _ in range(int(LIMITS.retry + len(SERVERS) / BUDGET) + 2):
            for one in self.table.candidates((), self.now):
                self.table.probed(one, "", self.now)
            self.now += 1.0
            self.table.advance(self.now)
        assert self.table.refused() == {}
        assert self.table.lost is None


Lists.TestCase.settings = settings(max_examples=300, stateful_step_count=40, deadline=None, report_multiple_bugs=False)
TestLists = Lists.TestCase
