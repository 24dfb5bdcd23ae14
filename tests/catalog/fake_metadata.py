"""The metadata port without a thread: answers ODP's queries from a topology that a test changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import trio

from odp_trio.catalog import queries
from odp_trio.catalog.metadata import Row
from odp_trio.errors import MetadataRefused, MetadataUnavailable
from odp_trio.model import Address


@dataclass
class FakeMetadata:
    """Rows as the kernel gives them (seen on seekdb 1.3.0).  ``delay`` is how long an answer takes.

    ``only`` are the servers that answer; None: all.
    """

    servers: dict[str, str] = field(default_factory=lambda: {f"10.0.0.{n}": "ACTIVE" for n in (1, 2, 3)})
    zones: dict[str, str] = field(default_factory=dict)
    """Status by zone, where it is not ACTIVE; empty: the zone is not listed."""
    cluster: str = "demo"
    version: str = "4.3.5.3"
    role: str = "PRIMARY"
    tenants: dict[str, list[str]] = field(default_factory=dict)
    listed: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Locality and primary zone, by tenant."""
    tenants_refused: bool = False
    down: str = ""
    only: set[str] | None = None
    delay: float = 0.0
    asked: list[str] = field(default_factory=list)
    asked_servers: list[Sequence[Address]] = field(default_factory=list)
    rows: list[Row] | None = None
    closed: bool = False

    async def query(self, sql: str, servers: Sequence[Address]) -> Sequence[Row]:
        self.asked.append(sql)
        self.asked_servers.append(tuple(servers))
        await trio.lowlevel.checkpoint()
        if self.delay:
            await trio.sleep(self.delay)
        if self.down:
            raise MetadataUnavailable(self.down)
        if self.only is not None and not self.only & {address.ip for address in servers}:
            raise MetadataUnavailable("proxyro@sys got no answer from " + "; ".join(sorted(map(str, servers))))
        if self.rows is not None:
            return self.rows
        return self._answer(sql)

    def _answer(self, sql: str) -> Sequence[Row]:
        statements = queries.statements_for(self.version)
        if sql == queries.VERSION:
            return [{"cluster_version": self.version}]
        if sql == statements.zones:
            return [self._zone(zone) for zone in self._zones() if self.zones.get(zone, "ACTIVE")]
        if sql in (statements.servers, statements.first_servers):
            return [self._server(ip, status) for ip, status in self.servers.items()]
        if sql == statements.tenants:
            if self.tenants_refused:
                raise MetadataRefused("(1142) SELECT command denied", 1142)
            return [
                {"tenant_name": name, "locality": locality, "primary_zone": primary_zone}
                for name, (locality, primary_zone) in self.listed.items()
            ]
        if sql in (queries.ROLE, queries.FIRST_ROLE):
            return [{"cluster_role": self.role, "cluster_status": "VALID", "primary_cluster_id": 1}]
        if "A.tenant_name = '" not in sql:
            raise MetadataUnavailable(f"{self.version} does not know: {sql}")
        tenant = sql.split("A.tenant_name = '")[1].split("'")[0]
        return [{"svr_ip": ip, "sql_port": 2881} for ip in self.tenants.get(tenant, [])]

    def _zones(self) -> list[str]:
        return list(dict.fromkeys(f"zone{ip[-1]}" for ip in self.servers))

    def _server(self, ip: str, status: str) -> Row:
        zone = f"zone{ip[-1]}"
        return {
            "cluster": self.cluster,
            "svr_ip": ip,
            "svr_port": 2881,
            "rpc_port": 2882,
            "zone": zone if self.zones.get(zone, "ACTIVE") else None,
            "zone_status": self.zones.get(zone, "ACTIVE") or None,
            "status": status,
            "server_status": status,
            "region": "r",
            "spare4": "IDC1",
            "spare5": "ReadWrite",
            "start_service_time": 1,
            "stop_time": 0,
        }

    def _zone(self, zone: str) -> Row:
        return {
            "zone": zone,
            "status": self.zones.get(zone, "ACTIVE"),
            "is_merging": 0,
            "region": "r",
            "spare4": "IDC1",
            "spare5": "ReadWrite",
        }

    def close(self) -> None:
        self.closed = True
