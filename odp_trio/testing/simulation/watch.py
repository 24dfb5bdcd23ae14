"""What is looked at all along: why sessions end, what crashes, how large tables are."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Final, final

import trio

from odp_trio.app import Proxy
from odp_trio.session.reasons import End
from odp_trio.testing.fakes.cluster import FakeCluster
from odp_trio.testing.simulation.faults import Crash, Faults
from odp_trio.testing.simulation.network import MemoryNetwork
from odp_trio.testing.simulation.rules import Rule, Rules
from odp_trio.testing.simulation.servers import CLUSTER

LOOK_SECONDS: Final = 60.0
SOCKETS_A_CLIENT: Final = 12
_BAD: Final = frozenset(
    {
        End.CLIENT_PROTOCOL, End.CLIENT_TOO_SLOW, End.LOGIN_TIMEOUT, End.LOGIN_REFUSED, End.ACCESS_DENIED,
        End.UNKNOWN_CLUSTER, End.NO_SERVER, End.MEMORY_LIMIT, End.SERVER_GONE, End.SERVER_TIMEOUT, End.SERVER_PROTOCOL,
        End.NOT_BEGUN, End.INIT_SQL_FAILED, End.DRAINED, End.SHUTDOWN,
    }
)  # fmt: skip
"""Ends that are no client's wish."""


@final
class Watch(logging.Handler):
    """Looks at the proxy now and then, and listens to its log."""

    def __init__(
        self,
        rules: Rules,
        cluster: FakeCluster,
        network: MemoryNetwork,
        faults: Faults,
        proxy: Callable[[], Proxy | None],
        clients: int,
    ) -> None:
        super().__init__(logging.ERROR)
        self._rules, self._cluster, self._network, self._faults = rules, cluster, network, faults
        self._proxy, self._clients = proxy, clients
        self._seen: Counter[str] = Counter()
        self._of: Proxy | None = None
        self.most: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        """A traceback in the log is a bug, unless somebody was made to die."""
        if record.exc_info and not isinstance(record.exc_info[1], Crash):
            error = record.exc_info[1]
            self._rules.check(False, Rule.CRASHED, f"{record.getMessage()}: {error!r}")

    async def run(self) -> None:
        """Look for ever."""
        was_calm = False
        while True:
            await trio.sleep(LOOK_SECONDS)
            calm = self._rules.calm
            if (proxy := self._proxy()) is not None:
                self.look(proxy, calm=calm and was_calm)
            was_calm = calm

    def look(self, proxy: Proxy, *, calm: bool) -> None:
        """Look once; ``calm``: nothing was wrong since the last look."""
        check, ends = self._rules.check, proxy.counts.ends
        if proxy is not self._of:
            self._of, self._seen = proxy, Counter()
        for why in _BAD if calm else ():
            new = ends[why.value] - self._seen[why.value]
            check(not new, Rule.RECOVERED, f"{new} sessions ended with {why.value} while nothing was wrong")
        self._seen = Counter(ends)
        crashed = ends[End.CRASHED.value]
        check(crashed <= self._faults.crashed_sessions, Rule.REASON, f"{crashed} sessions crashed")
        self.account(proxy)
        known = len(self._cluster.servers)
        bounds = {
            "sessions": (len(proxy.sessions.table), 2 * self._clients),
            "sockets": (self._network.open_sockets, SOCKETS_A_CLIENT * self._clients + 100),
            "statements": (len(proxy.statements), proxy.settings().statement_cache_size),
            "tenants": (len(list(proxy.tenants.entries())), 8),
            "locations": (len(proxy.locations), 16),
            "reactor's sockets": (proxy.reactor.sockets, SOCKETS_A_CLIENT * self._clients + 100),
            "servers": (_listed(proxy), known),
        }
        for what, (count, most) in bounds.items():
            self.most[what] = max(self.most[what], count)
            check(count <= most, Rule.BOUNDED, f"{count} {what}, more than {most}")

    def account(self, proxy: Proxy) -> None:
        """Check that each session that began is there or has ended for a reason; all of them when the proxy has."""
        accepted, there, ended = proxy.counts.accepted, len(proxy.sessions.table), proxy.counts.ends.total()
        detail = f"{accepted} sessions began, {there} are there, {ended} ended with a reason"
        self._rules.check(accepted == there + ended, Rule.REASON, detail)


def _listed(proxy: Proxy) -> int:
    cluster = proxy.clusters.find(CLUSTER)
    return 0 if cluster is None else len(cluster.servers)
