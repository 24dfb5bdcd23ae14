"""ODP's own statements, letter for letter, and their rows read into topology values.

Asking exactly as ODP does means that whatever answers ODP answers us
(statements: seen on the wire behind ODP 4.3.1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from odp_trio.catalog.metadata import Row
from odp_trio.errors import BadAddress, MalformedMetadata
from odp_trio.model import Address
from odp_trio.topology.cluster import Server, Tenant, Zone, server_state

T = TypeVar("T")
_LIMIT: Final = "LIMIT 9223372036854775807"

VERSION: Final = "SELECT ob_version() AS cluster_version"

FIRST_SERVERS: Final = (
    "SELECT /*READ_CONSISTENCY(WEAK)*/ parameters.value as cluster, zs.zone AS zone, zs.status AS zone_status, "
    "ss.status AS server_status, zs.region AS region, zs.idc AS spare4, zs.type AS spare5, ss.svr_ip AS svr_ip, "
    "ss.sql_port AS svr_port, ss.svr_port AS rpc_port, ss.start_service_time is not null AS start_service_time, "
    "ss.stop_time is not null as stop_time FROM oceanbase.DBA_OB_SERVERS ss left join oceanbase.DBA_OB_ZONES zs "
    "ON zs.zone = ss.zone join V$OB_PARAMETERS parameters WHERE ss.svr_port > 0 and parameters.name = 'cluster' "
    f"ORDER BY ss.zone {_LIMIT};"
)

ZONES: Final = (
    "SELECT /*+READ_CONSISTENCY(WEAK)*/ zone, status, 0 AS is_merging, region, idc AS spare4, type AS spare5 "
    f"FROM oceanbase.DBA_OB_ZONES {_LIMIT}"
)

SERVERS: Final = (
    "SELECT /*+READ_CONSISTENCY(WEAK)*/ svr_ip, svr_port AS rpc_port, sql_port AS svr_port, zone, status,"
    "start_service_time is not null AS start_service_time, stop_time is not null as stop_time "
    f"FROM oceanbase.DBA_OB_SERVERS WHERE svr_port > 0 ORDER BY zone {_LIMIT}"
)


TENANTS: Final = (
    "SELECT /*+READ_CONSISTENCY(WEAK)*/ tenant_name, tenant_id, locality, previous_locality, primary_zone, status "
    "FROM oceanbase.DBA_OB_TENANTS where previous_locality is null and tenant_id != 1"
)

FIRST_ROLE: Final = (
    "SELECT /*+READ_CONSISTENCY(WEAK)*/ cluster_role, cluster_status FROM oceanbase.v$ob_cluster LIMIT 1"
)

ROLE: Final = (
    "SELECT /*+READ_CONSISTENCY(WEAK)*/ cluster_role, cluster_status, primary_cluster_id "
    "FROM oceanbase.v$ob_cluster LIMIT 1"
)


class Statements(msgspec.Struct, frozen=True):
    """What is asked of kernels of one kind.  ``has_role``: whether they say if they are primary or standby."""

    first_servers: str
    zones: str
    servers: str
    tenants: str
    has_role: bool = False


KERNEL_4: Final = Statements(FIRST_SERVERS, ZONES, SERVERS, TENANTS)

BEFORE_4: Final = Statements(
    first_servers=(
        "SELECT /*+READ_CONSISTENCY(WEAK)*/ ss.*, zs.*, zs.status AS zone_status, ss.status AS server_status, "
        "aas.svr_port AS rpc_port FROM oceanbase.__all_virtual_proxy_server_stat ss left join "
        "oceanbase.__all_virtual_zone_stat zs ON zs.zone = ss.zone left join oceanbase.__all_virtual_server_stat aas "
        f"ON ss.svr_ip = aas.svr_ip AND ss.svr_port = aas.inner_port WHERE ss.svr_port > 0 ORDER BY ss.zone {_LIMIT};"
    ),
    zones=f"SELECT /*+READ_CONSISTENCY(WEAK)*/ * FROM oceanbase.__all_virtual_zone_stat {_LIMIT}",
    servers=(
        "SELECT /*+READ_CONSISTENCY(WEAK)*/ ss.svr_ip AS svr_ip, ss.svr_port AS svr_port, ss.zone AS zone, "
        "ss.status AS status, ss.start_service_time AS start_service_time, ss.stop_time AS stop_time, "
        "ass.svr_port AS rpc_port FROM oceanbase.__all_virtual_proxy_server_stat ss left join "
        "oceanbase.__all_virtual_server_stat ass on ss.svr_ip = ass.svr_ip and ss.svr_port = ass.inner_port "
        f"WHERE ss.svr_port > 0 ORDER BY zone {_LIMIT}"
    ),
    tenants=(
        "SELECT /*+READ_CONSISTENCY(WEAK)*/ tenant_name, tenant_id, locality, previous_locality, primary_zone "
        "FROM oceanbase.__all_tenant where previous_locality = '' and tenant_id != 1"
    ),
    has_role=True,
)


def is_before_4(version: str) -> bool:
    """Whether a version's first number is below 4; a version that has none is taken for a new one."""
    first = version.partition(".")[0]
    return first.isascii() and first.isdigit() and int(first[:9]) < 4


def statements_for(version: str) -> Statements:
    """Return what a kernel of that version is asked."""
    return BEFORE_4 if is_before_4(version) else KERNEL_4


def tenant_servers(tenant: str, version: str = "") -> str:
    """The statement for a tenant's servers: its ``__all_dummy`` row of the proxy schema table."""
    old = is_before_4(version)
    servers = "__all_virtual_server_stat" if old else "DBA_OB_SERVERS"
    port, part = ("inner_port", "partition_id") if old else ("sql_port", "tablet_id")
    return (
        "SELECT /*+READ_CONSISTENCY(WEAK)*/ A.*, B.svr_port as svr_port FROM oceanbase.__all_virtual_proxy_schema A "
        f"inner join oceanbase.{servers} B ON A.svr_ip = B.svr_ip and A.sql_port = B.{port} "
        f"WHERE A.tenant_name = '{escape(tenant)}' AND A.database_name = 'oceanbase' "
        "AND A.table_name = '__all_dummy' AND A.sql_port > 0 "
        f"ORDER BY A.{part} ASC, role ASC {_LIMIT}"
    )


def escape(name: str) -> str:
    """Double quotes and backslashes, as ODP does in names."""
    return name.replace("\\", "\\\\").replace("'", "''")


def read_version(rows: Sequence[Row]) -> str:
    """Return the cluster's version, such as ``4.3.5.3``."""
    return _read(rows, lambda row: str(row["cluster_version"]))[0]


def read_cluster_name(rows: Sequence[Row]) -> str:
    """Return the name that the servers go by, from an answer to FIRST_SERVERS; empty if it does not say."""
    return _read(rows, lambda row: str(row.get("cluster") or ""))[0]


def read_role(rows: Sequence[Row]) -> str:
    """Read an answer to ROLE: PRIMARY, or STANDBY for everything that is not a valid primary."""
    role, status = _read(rows, lambda row: (str(row["cluster_role"]).upper(), str(row["cluster_status"]).upper()))[0]
    return "PRIMARY" if (role, status) == ("PRIMARY", "VALID") else "STANDBY"


def read_servers(rows: Sequence[Row]) -> tuple[Server, ...]:
    """Read an answer to SERVERS or FIRST_SERVERS.

    One bad row spoils the whole answer (MalformedMetadata), and so does an
    answer without rows: "no servers" is never believed.
    """
    return _read(rows, _server)


def read_zones(rows: Sequence[Row]) -> tuple[Zone, ...]:
    """Read an answer to ZONES or FIRST_SERVERS; None in a column gives ODP's default, without a name it is no zone."""
    return tuple({zone.name: zone for zone in _read(rows, _zone) if zone.name}.values())


def read_tenant_servers(rows: Sequence[Row]) -> tuple[Address, ...]:
    """Read an answer to ``tenant_servers()``; no rows mean that the tenant does not exist."""
    return tuple(dict.fromkeys(_read(rows, lambda row: _address(row["svr_ip"], row["sql_port"])))) if rows else ()


def read_tenants(rows: Sequence[Row]) -> dict[str, Tenant]:
    """Read an answer to TENANTS; no rows mean no tenants beside sys."""
    return {
        str(row["tenant_name"]): Tenant(str(row.get("locality") or ""), str(row.get("primary_zone") or ""))
        for row in rows
        if "tenant_name" in row
    }


def _read(rows: Sequence[Row], read: Callable[[Row], T]) -> tuple[T, ...]:
    if not rows:
        raise MalformedMetadata("the answer has no rows")
    try:
        return tuple(read(row) for row in rows)
    except (KeyError, ValueError, TypeError, BadAddress) as exc:
        raise MalformedMetadata(f"the answer has a row that cannot be used: {exc!r}") from exc


def _server(row: Row) -> Server:
    status = row["status"] if "status" in row else row["server_status"]
    started, stopped = int(row["start_service_time"] or 0) > 0, int(row["stop_time"] or 0) > 0
    state = server_state(str(status), started=started, stopped=stopped)
    return Server(_address(row["svr_ip"], row["svr_port"]), str(row["zone"] or ""), state)


def _zone(row: Row) -> Zone:
    return Zone(
        name=str(row["zone"] or ""),
        status=_zone_status(row),
        region=str(row.get("region") or "default_region"),
        idc=str(row.get("spare4") or "default_idc").lower(),
        kind=str(row.get("spare5") or "ReadWrite"),
        merging=bool(int(row.get("is_merging") or 0)),
    )


def _zone_status(row: Row) -> str:
    """FIRST_SERVERS has a server's status too, under the plain name."""
    status = str((row["zone_status"] if "zone_status" in row else row.get("status")) or "ACTIVE").upper()
    if status not in ("ACTIVE", "INACTIVE"):
        raise ValueError(f"zone status {status}")
    return status


def _address(ip: Any, port: Any) -> Address:
    return Address.parse(f"[{ip}]:{port}" if ":" in str(ip) else f"{ip}:{port}")
