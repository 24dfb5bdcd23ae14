"""A proxy for HTTP to read: it knows what the made-up cluster's snapshot knows."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from odp_trio.admin.clients import ClientsStatus
from odp_trio.admin.configuration import configuration_of
from odp_trio.admin.congestion import RecentChange
from odp_trio.admin.explain import Explained, ExplainRequest, explain_offline
from odp_trio.admin.measurements import Measurements
from odp_trio.admin.status import ClusterStatus, PreparedTextsStatus, ProxyStatus
from odp_trio.admin.tls import TlsStatus
from odp_trio.admin.tree import TreeNode
from odp_trio.config import Secret, Settings
from odp_trio.errors import OdpError, UnknownTask, UnknownThread
from odp_trio.logs.ring import WarnRing
from odp_trio.observe import StatementRecord
from odp_trio.session.ledger import Ends
from odp_trio.session.services import Session
from odp_trio.topology.cluster import ClusterResource
from odp_trio.topology.snapshot import Restored, Snapshot, restore
from odp_trio.workers.asking import Alone, Workers
from tests.admin.world import snapshot

KNOWN_SESSION: Final = 7


class NoSessions:
    def __init__(self) -> None:
        self.table: dict[int, Session] = {}


class MadeUpLogs:
    def __init__(self) -> None:
        self.slow: deque[StatementRecord] = deque(maxlen=10)
        self.ring = WarnRing()
        self.ring.add(1, 1e9, "WARN", "odp_trio.session", "something is odd")


class MadeUpClusters:
    def __init__(self, restored: Restored) -> None:
        self._restored = restored

    def resources(self) -> Iterable[ClusterResource]:
        return tuple(self._restored.clusters.values())


class FakeSource:
    """Reads and operations; what was done is kept."""

    def __init__(self) -> None:
        self.taken = snapshot()
        self.restored = restore(self.taken)
        self.locations = self.restored.locations
        self.ends = Ends(2)
        self.error: OdpError | None = None
        self.configuration = configuration_of(Settings())
        self.with_cluster = False
        self.sessions = NoSessions()
        self.logs = MadeUpLogs()
        self.clusters = MadeUpClusters(self.restored)
        self.measured = Measurements()
        self.done: list[tuple[object, ...]] = []
        self.workers: Workers = Alone()

    def settings(self) -> Settings:
        return self.configuration.settings()

    def with_token(self, token: str) -> FakeSource:
        self.configuration = configuration_of(Settings(http_token=Secret(token)))
        return self

    def tree(self) -> TreeNode:
        leaf = TreeNode("cluster:demo", "catalog/cluster:demo", "running", 1.0, 2, "OSError: gone", None, ())
        return TreeNode("proxy", "", "running", 1.0, 0, "", None, (leaf,))

    async def kill(self, number: int, *, query: bool, by: str) -> None:
        if number != KNOWN_SESSION:
            raise UnknownThread(f"Unknown thread id: {number}")
        self.done.append(("kill", number, query))

    def restart_task(self, path: str, *, by: str) -> None:
        if path != "http":
            raise UnknownTask(f"there is no task {path!r} that runs")
        self.done.append(("restart", path))

    def drain(self, *, by: str) -> None:
        self.done.append(("drain",))

    async def status(self) -> ProxyStatus:
        return self.statistics()

    def statistics(self) -> ProxyStatus:
        values: dict[str, Any] = dict.fromkeys(ProxyStatus.__struct_fields__, 0)
        empty: dict[str, Any] = {
            "refused_logins": {},
            "server_failures": {},
            "failed_statements": {},
            "ends": {},
            "server_ends": {},
            "clusters": (self.cluster_status(),) if self.with_cluster else (),
            "tasks": (),
            "own_rules": (),
            "version": "0",
            "addresses": (),
            "reactor": "inside",
            "draining": False,
            "congestion": (),
            "probes": {},
            "config_server": None,
            "clients": ClientsStatus(),
            "prepared_texts": PreparedTextsStatus(),
            "tls": TlsStatus(),
            "workers": 1,
            "missing_workers": (),
        }
        return ProxyStatus(**values | empty | {"route_waits": 7})

    async def measurements(self) -> Measurements:
        return self.measured

    async def explain(self, request: ExplainRequest) -> Explained:
        if self.error is not None:
            raise self.error
        return explain_offline(self.restored, request)

    async def snapshot(self) -> Snapshot:
        return self.taken

    def recent_changes(self) -> list[RecentChange]:
        return []

    def cluster_status(self) -> ClusterStatus:
        return ClusterStatus("demo", "4.3.5.3", {}, 1, 0, "", 0.5)
