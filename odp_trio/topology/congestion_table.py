"""The lists of one cluster: which of its servers statements are kept away from.

An entry a server; time is passed in.  Failures and probes put servers on lists
and take them off within a budget of changes; what the server list says holds at
once.  When all fail at once nobody is listed: then it is our network.
"""

# Invariants (tests/topology/test_congestion_machine.py):
# - a server that answers probes, and that the server list calls ACTIVE, is not refused for ever;
# - between two trials of a server with real requests lies the retry interval;
# - failures and probes change no more lists in any second than the budget allows;
# - while the network is lost, failures and probes put nobody on a list;
# - the table knows exactly the servers of the server list.

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping
from typing import Final, final

from odp_trio.model import Address
from odp_trio.topology.cluster import Server, ServerState, Zone
from odp_trio.topology.congestion import Change, Entry, Failure, Limits, Listed, NetworkLost
from odp_trio.topology.network_loss import healthy_before, network_is_lost

RECENT: Final = 100
"""Changes that are kept for people to look at."""
_DEAD_STATES: Final = frozenset({ServerState.INACTIVE, ServerState.REPLAY})


@final
class CongestionTable:
    """One cluster's servers.  ``revision`` grows when the set of refused servers, or of open trials, changes.

    ``watched`` (changed in place) are the servers whose good answers matter.
    Unknown addresses are ignored throughout: they left the server list.
    """

    def __init__(self, limits: Callable[[], Limits]) -> None:
        self.entries: dict[Address, Entry] = {}
        self.watched: set[Address] = set()
        self.revision = 0
        self.lost: NetworkLost | None = None
        self.losses = 0
        self.changes: Counter[tuple[Listed, bool]] = Counter()
        self.recent: deque[Change] = deque(maxlen=RECENT)
        self._limits = limits
        self._news: list[Change] = []
        self._waiting: dict[Address, None] = {}
        self._spent: deque[float] = deque()
        self._failing: set[Address] = set()
        self._due_at = float("-inf")
        self._known: tuple[int, tuple[dict[Address, Listed], int]] = (0, ({}, 0))

    # ---- what happens -----------------------------------------------------------------

    def refreshed(self, servers: Mapping[Address, Server], zones: Mapping[str, Zone], now: float) -> None:
        """A fresh server list: somebody has answered.  It is the only word about dead and forced."""
        self._sign_of_life()
        for gone in self.entries.keys() - servers.keys():
            self._forget(gone)
        limits = self._limits()
        for address, server in servers.items():
            entry = self.entries.get(address)
            if entry is None:
                entry = self.entries[address] = Entry(address, server.zone, server.state, now)
            if entry.state is not server.state:
                entry.state, entry.state_since = server.state, now
            entry.zone = server.zone
            if limits.in_force:
                self._follow_state(entry, zones.get(server.zone), limits, now)
        self.advance(now)

    def failed(self, address: Address, failure: Failure, now: float) -> None:
        """A server failed a session."""
        entry, limits = self.entries.get(address), self._limits()
        if entry is None or not limits.in_force:
            return
        entry.failures += 1
        entry.connect_failures += failure in (Failure.CONNECT, Failure.GIVEN_UP)
        entry.failed_at = entry.trouble_at = now
        self._close_trial(entry)
        self._register(entry, failure, now, limits)
        self._trouble(entry, now, limits)
        self._settle(now)

    def answered(self, address: Address, now: float) -> None:
        """A statement was answered well: the greylist and the failures are forgotten.  Probes have their own word."""
        entry = self.entries.get(address)
        if entry is None or not self._limits().in_force:
            return
        entry.answered_at = now
        self._sign_of_life()
        self._clear_alive(entry)
        if entry.detect is None:
            entry.failed_probes = 0
        self._settle(now)

    def probed(self, address: Address, error: str, now: float, *, spoke: bool = False) -> None:
        """A probe is over; ``error`` says what was wrong, empty when the server greeted; ``spoke``: in its own words.

        A server that was down and greets again is free at once; one that greets all
        the time but fails statements is tried again after the retry interval.
        """
        entry, limits = self.entries.get(address), self._limits()
        if entry is None or not limits.in_force:
            return
        if error:
            entry.trouble_at, entry.probe_error, entry.spoke = now, error, spoke
            entry.failed_probes += 1
            if self.lost is None and entry.detect is None and entry.failed_probes >= limits.probe_threshold:
                entry.detect = now
            if entry.detect is not None:
                entry.detect_why = f"{entry.failed_probes} probes in a row failed: {error}"
            self._trouble(entry, now, limits)
        else:
            was_down = entry.failed_probes > 0 or entry.detect is not None
            entry.answered_at, entry.failed_probes, entry.detect = now, 0, None
            self._sign_of_life()
            if was_down or (entry.alive is not None and now - entry.tried_at >= limits.retry):
                self._clear_alive(entry)
            self._note_waiting(entry)
        self._settle(now)

    def take_trial(self, address: Address, now: float) -> bool:
        """A request is about to connect: take the open trial of the server, if there is one, so that no other may."""
        entry, limits = self.entries.get(address), self._limits()
        if entry is None or not entry.trial:
            return False
        self._close_trial(entry)
        entry.failed_at = now
        entry.history.add(now, limits.window)
        return True

    def advance(self, now: float) -> None:
        """Do what has become due: waiting changes, trials, forgotten failures."""
        limits = self._limits()
        if not limits.in_force:
            self._switch_off()
            return
        for entry in self.entries.values() if not limits.mode else ():
            self._without_prober(entry, limits, now)
        for address in tuple(self.watched):
            self._watch(self.entries[address], now, limits)
        self._settle(now)

    # ---- what is asked ----------------------------------------------------------------

    def refused(self) -> dict[Address, Listed]:
        """Return the servers that statements are kept away from, without those that one may try."""
        return self._listed()[0] if self._limits().in_force else {}

    def _listed(self) -> tuple[dict[Address, Listed], int]:
        """Return the refused servers, and the number of those on a list; worked out once for a revision."""
        if self._known[0] != self.revision:
            on = [(entry, listed) for entry in self.entries.values() if (listed := entry.listed) is not None]
            refused = {entry.address: listed for entry, listed in on if not (entry.trial and listed is Listed.ALIVE)}
            self._known = (self.revision, (refused, len(on)))
        return self._known[1]

    def why(self, address: Address, now: float) -> str:
        """Say in words why a server is refused; empty when it is not."""
        entry, limits = self.entries.get(address), self._limits()
        return entry.why(now, limits) if entry is not None and limits.in_force else ""

    def candidates(self, working: Collection[Address], now: float) -> list[Address]:
        """Return the servers to probe now; ``working`` are those that run a statement.

        All of them too while somebody is newly failing and nobody has answered since: is it them, or is it us?
        """
        limits = self._limits()
        if not limits.in_force or not limits.mode:
            return []
        suspicious = self.lost is not None or (bool(self._failing) and now - self._due_at <= limits.network_window)
        if limits.mode > 1 or suspicious:
            return list(self.entries)
        return [
            address
            for address, entry in self.entries.items()
            if address in working or address in self.watched or entry.listed is not None
        ]

    def wake_at(self, now: float) -> float:
        """Return when ``advance`` has something to do again, if nothing else happens."""
        limits = self._limits()
        times = [float("inf")]
        if self._waiting:
            times.append(self._spent[0] + 1.0 if self._spent else now)
        if not limits.mode:
            times += [
                entry.tried_at + limits.retry for entry in self.entries.values() if entry.alive_on and not entry.trial
            ]
        return min(times)

    @property
    def waiting(self) -> tuple[Address, ...]:
        """Servers whose change of lists waits for its turn, in order."""
        return tuple(self._waiting)

    def take_news(self) -> list[Change]:
        """Return the changes since the last call."""
        news, self._news = self._news, []
        return news

    # ---- the server list --------------------------------------------------------------

    def _follow_state(self, entry: Entry, zone: Zone | None, limits: Limits, now: float) -> None:
        forced = ""
        if entry.state is ServerState.UPGRADE:
            forced = "it is stopped (UPGRADE)"
        elif zone is not None and zone.status.upper() == "INACTIVE":
            forced = f"zone {zone.name} is INACTIVE"
        if bool(forced) != bool(entry.forced):
            self._note(entry, Listed.FORCED, bool(forced), forced or "it is in service again", now)
        entry.forced = forced
        if entry.state in _DEAD_STATES:
            if entry.dead is None:
                entry.dead = now
                self._note(entry, Listed.DEAD, True, f"its state is {entry.state.value}", now)
        elif entry.state is ServerState.ACTIVE:
            self._called_active(entry, limits, now)

    def _called_active(self, entry: Entry, limits: Limits, now: float) -> None:
        """Leave a list that it has been on for long enough; who was dead for a moment only is on the greylist next."""
        if entry.dead is not None:
            stayed = now - entry.dead
            entry.dead = None
            self._note(entry, Listed.DEAD, False, "its state is ACTIVE", now)
            if stayed < limits.min_keep:
                entry.alive, entry.alive_why = now, f"it was dead for {stayed:.1f} s only"
                self._due_at = now
                self.watched.add(entry.address)
            else:
                self._clear_alive(entry)
            self._enforce(entry, "its state is ACTIVE", now, only_alive=True)
        elif entry.alive is not None and now - entry.alive >= limits.min_keep:
            stayed = now - entry.alive
            self._clear_alive(entry)
            self._enforce(entry, f"it was there for {stayed:.0f} s, and its state is ACTIVE", now, only_alive=True)

    def _forget(self, address: Address) -> None:
        entry = self.entries.pop(address)
        self.watched.discard(address)
        self._waiting.pop(address, None)
        self._failing.discard(address)
        if entry.listed is not None:
            self.revision += 1

    # ---- failures and signs of life -----------------------------------------------------

    def _register(self, entry: Entry, failure: Failure, now: float, limits: Limits) -> None:
        if not entry.history.count(now, limits.window):
            entry.kinds.clear()
        entry.history.add(now, limits.window)
        entry.kinds[failure] += 1
        count = entry.history.count(now, limits.window)
        if count >= limits.threshold and self.lost is None:
            if entry.alive is None:
                entry.alive = now
            entry.alive_why = entry.describe_failures(count, limits)

    def _trouble(self, entry: Entry, now: float, limits: Limits) -> None:
        """Something is wrong with a server: with it alone, or is it our network?"""
        self.watched.add(entry.address)
        self._failing.add(entry.address)
        if entry.waits:
            self._due_at = now
        if not self._is_network(now, limits):
            self._note_waiting(entry)

    def _is_network(self, now: float, limits: Limits) -> bool:
        if self.lost is not None:
            return True
        if len(self._failing) < 2 or now - self._due_at > limits.network_window:
            return False
        least = len(self.entries) - self._listed()[1] - len(self._waiting)  # healthy ones, at least
        if len(self._failing) < least - least // 10:
            return False
        since = now - limits.network_window
        healthy = healthy_before(self.entries.values(), since)
        reason = network_is_lost(healthy, self._failing, since)
        if reason:
            self._lose_network(reason, since, now)
        return bool(reason)

    def _lose_network(self, reason: str, since: float, now: float) -> None:
        """Who failed since then leaves its lists, and nobody is put on one until somebody answers."""
        self.lost = NetworkLost(now, reason)
        self.losses += 1
        for entry in self.entries.values():
            if entry.due_since is not None and entry.due_since < since and not entry.waits:
                continue  # it was down before
            entry.detect = None
            self._clear_alive(entry)
            self._enforce(entry, "the network is lost", now)
        self.watched.update(self.entries)

    def _sign_of_life(self) -> None:
        """Somebody has answered; what was counted while the network was lost was no fault of the servers."""
        self._failing.clear()
        if self.lost is None:
            return
        self.lost = None
        self._due_at = float("-inf")
        for entry in self.entries.values():
            if entry.due_since is None:
                entry.failed_probes = 0
                entry.forget_failures()

    def _clear_alive(self, entry: Entry) -> None:
        entry.alive = None
        entry.forget_failures()
        self._close_trial(entry)
        self._note_waiting(entry)

    def _close_trial(self, entry: Entry) -> None:
        if entry.trial:
            entry.trial = False
            self.revision += 1

    # ---- time ---------------------------------------------------------------------------

    def _switch_off(self) -> None:
        """Nothing is in force: start from nothing when it is again."""
        if not (self.watched or self._waiting or self._failing or self.lost is not None or self._listed()[1]):
            return
        self._sign_of_life()
        for held in (self.watched, self._waiting):
            held.clear()
        for address, entry in self.entries.items():
            self.entries[address] = Entry(address, entry.zone, entry.state, entry.state_since)
        self.revision += 1

    def _without_prober(self, entry: Entry, limits: Limits, now: float) -> None:
        """Nobody is on the list of probes, and requests make the trials."""
        if entry.detect is not None:
            entry.detect, entry.failed_probes = None, 0
            self._note_waiting(entry)
        if entry.alive_on and entry.alive is not None and not entry.trial and now >= entry.tried_at + limits.retry:
            entry.trial = True
            self.revision += 1

    def _watch(self, entry: Entry, now: float, limits: Limits) -> None:
        """Look away from a server whose failures are too old to count."""
        if self.lost is not None or entry.due_since is not None or entry.waits or entry.failed_probes:
            return
        if not entry.history.count(now, limits.window):
            self.watched.discard(entry.address)

    # ---- the budget ---------------------------------------------------------------------

    def _note_waiting(self, entry: Entry) -> None:
        if entry.waits:
            self._waiting.setdefault(entry.address)
        else:
            self._waiting.pop(entry.address, None)

    def _settle(self, now: float) -> None:
        """Make waiting changes, in order, no more within any second than the budget allows."""
        if not self._waiting:
            return
        spent, budget = self._spent, self._limits().changes_per_second
        while spent and now >= spent[0] + 1.0:
            spent.popleft()
        while self._waiting and not (budget and len(spent) >= budget):
            entry = self.entries[next(iter(self._waiting))]
            del self._waiting[entry.address]
            if budget:
                spent.append(now)
            self._enforce(entry, "it has answered", now)

    def _enforce(self, entry: Entry, why_not: str, now: float, *, only_alive: bool = False) -> None:
        """Make the lists what they should be for one server; ``why_not`` is told when it leaves one."""
        alive, detect = entry.alive is not None, entry.detect is not None
        if detect != entry.detect_on and not only_alive:
            entry.detect_on = detect
            self._note(entry, Listed.DETECT, detect, entry.detect_why if detect else why_not, now)
        if alive != entry.alive_on:
            entry.alive_on = alive
            self._note(entry, Listed.ALIVE, alive, entry.alive_why if alive else why_not, now)
        self._note_waiting(entry)

    def _note(self, entry: Entry, listed: Listed, put: bool, reason: str, now: float) -> None:
        change = Change(entry.address, listed, put, reason, now)
        if put:
            entry.last_listed[listed] = now
        self.revision += 1
        self.changes[listed, put] += 1
        self.recent.append(change)
        self._news.append(change)
