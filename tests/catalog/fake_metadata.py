"""The metadata port without a thread: answers ODP's queries from a topology that a test changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import trio

from odp_trio.catalog import queries
from odp_trio.catalog.metadata import Row
from odp_trio.errors import MetadataUnavailable
from odp_trio.model import Address


@dataclass
class FakeMetadata:
    """Rows as the kernel gives them (seen on seekdb 1.3.0).  ``delay`` is how long an answer takes."""

    servers: dict[str, str] = field(default_factory=lambda: {f"10.0.0.{n}": "ACTIVE" for n in (1, 2, 3)})
    cluster: str = "demo"
    tenants: dict[str, list[str]] = field(default_factory=dict)
    down: str = ""
    delay: float = 0.0
    asked: list[str] = field(default_factory=list)
    asked_servers: list[Sequence[Address]] = field(default_factory=list)
    rows: list[Row] | None = None
    closed: bool = False

    async def query(self, sql: str, servers: Sequence[Address]) -> Sequence[Row]:
        self.asked.append(sql)
        self.asked_servers.append(servers)
        await trio.sleep(self.delay)
        if self.down:
            raise MetadataUnavailable(self.down)
        if self.rows is not None:
            return self.rows
        if sql == queries.VERSION:
            return [{"cluster_version": "4.3.5.3"}]
        if sql == queries.ZONES:
            return [self._zone(n) for n in (1, 2, 3)]
        if sql in (queries.SERVERS, queries.FIRST_SERVERS):
            return [self._server(ip, status) for ip, status in self.servers.items()]
        if sql == queries.TENANTS:
            return []
        tenant = sql.split("A.tenant_name = '")[1].split("'")[0]
        return [{"svr_ip": ip, "sql_port": 2881} for ip in self.tenants.get(tenant, [])]

    def _server(self, ip: str, status: str) -> Row:
        return {
            "cluster": self.cluster,
            "svr_ip": ip,
            "svr_port": 2881,
            "rpc_port": 2882,
            "zone": f"zone{ip[-1]}",
            "zone_status": "ACTIVE",
            "status": status,
            "server_status": status,
            "region": "r",
            "spare4": "IDC1",
            "spare5": "ReadWrite",
            "start_service_time": 1,
            "stop_time": 0,
        }

    def _zone(self, number: int) -> Row:
        return {
            "zone": f"zone{number}",
            "status": "ACTIVE",
            "is_merging": 0,
            "region": "r",
            "spare4": "IDC1",
            "spare5": "ReadWrite",
        }

    def close(self) -> None:
        self.closed = True
