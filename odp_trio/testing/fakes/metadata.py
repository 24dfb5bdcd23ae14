"""Answers to ODP's metadata queries, found by the tables they name.

The statements: odp_trio.catalog.queries, location_queries; columns as seen on seekdb 1.3.0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from odp_trio.testing.fakes.answers import BINARY, NO_CHARSET, Column, Kind, SQLError, Value
from odp_trio.testing.fakes.partitions import INFO, PARTITION
from odp_trio.testing.fakes.variables import DEFAULTS, NUMBERS, OB_VERSION

if TYPE_CHECKING:
    from odp_trio.testing.fakes.cluster import FakeCluster

Rows = tuple[list[Column], list[list[Value]]]
RPC_PORT: Final = 2882
_NAMES: Final = re.compile(
    r"\b(__all_virtual_proxy_\w+|DBA_OB_\w+|CDB_OB_LS_LOCATIONS|__all_virtual_\w*stat|v\$ob_cluster|__all_tenant"
    r"|ob_version)\b",
    re.IGNORECASE,
)
_EQUALS: Final = re.compile(r"\b(?:A\.)?(\w+)\s*(?:=\s*('(?:[^']|'')*'|\d+)|IN\s*\(([^()]*)\))", re.IGNORECASE)
_SCHEMA: Final = [
    "tenant_name",
    "database_name",
    "table_name",
    "tablet_id",
    "svr_ip",
    "sql_port",
    "table_id",
    "role",
    "part_num",
    "replica_num",
    "table_type",
    "schema_version",
    "replica_type",
    "dup_replica_type",
    "memstore_percent",
    "spare1",
    "spare2",
    "spare3",
    "spare4",
    "spare5",
    "spare6",
    "complex_table_type",
    "level1_decoded_db_name",
    "level1_decoded_table_name",
    "level2_decoded_db_name",
    "level2_decoded_table_name",
    "svr_port",
]


def column(name: str, kind: int = Kind.VAR_STRING) -> Column:
    """Return a column of a view: a number or a text."""
    if kind == Kind.LONGLONG:
        return Column(name, kind, 20, BINARY, 0, NO_CHARSET)
    return Column(name, kind, 1024)


def table(names: Sequence[str], rows: Sequence[Sequence[Value]]) -> Rows:
    """Return a result whose columns are numbers where every value is one."""
    kinds = [
        Kind.LONGLONG
        if rows and all(row[at] is None or isinstance(row[at], int) for row in rows) and rows[0][at] is not None
        else Kind.VAR_STRING
        for at in range(len(names))
    ]
    return [column(name, kind) for name, kind in zip(names, kinds, strict=True)], [list(row) for row in rows]


def answer(cluster: FakeCluster, sql: str) -> Rows | None:
    """Return the answer to a metadata query; None if it is none of ODP's."""
    names = {found.lower() for found in _NAMES.findall(sql)}
    if not names:
        return None
    if "__all_virtual_proxy_schema" in names:
        return _schema(cluster, _wanted(sql))
    for name, read in _BY_NAME.items():
        if name in names:
            return read(cluster, sql)
    return None


def _wanted(sql: str) -> dict[str, list[str]]:
    """Return the values of each column that a WHERE clause names."""
    where = re.split(r"\bwhere\b", sql, maxsplit=1, flags=re.IGNORECASE)
    found: dict[str, list[str]] = {}
    for name, value, values in _EQUALS.findall(where[-1]):
        listed = values.split(",") if values else [value]
        found[name.lower()] = [each.strip().strip("'").replace("''", "'").replace("\\\\", "\\") for each in listed]
    return found


def _schema(cluster: FakeCluster, wanted: dict[str, list[str]]) -> Rows:
    if not {"tenant_name", "database_name", "table_name"} <= wanted.keys():
        raise SQLError(
            1210, "HY000", "Incorrect arguments to tenant_name, database_name and table_name must all be specified"
        )
    rows: list[list[Value]] = []
    tenant, database, name = (wanted[key][0] for key in ("tenant_name", "database_name", "table_name"))
    tablets = [int(tablet) for tablet in wanted.get("tablet_id", ["0"])]
    if (found := cluster.find_table(tenant, database, name)) is not None:
        for tablet in tablets:
            rows += (_replica(tenant, database, name, tablet, found, place) for place in cluster.places(tenant, tablet))
    return table(_SCHEMA, rows)


def _replica(
    tenant: str, database: str, name: str, tablet: int, found: tuple[int, int, int], place: tuple[str, int, bool, int]
) -> list[Value]:
    (table_id, parts, version), (ip, port, leads, replicas) = found, place
    role, kind = (1 if leads else 2), (0 if name == "__all_dummy" else 3)
    head: list[Value] = [tenant, database, name, tablet, ip, port, table_id, role, parts, replicas, kind, version]
    return [*head, 0, 0, 100, RPC_PORT, 0, 0, None, None, None, 0, None, None, None, None, RPC_PORT]


def _servers(cluster: FakeCluster, sql: str) -> Rows:
    if "ob_version" in sql.lower():
        return table(["cluster_version"], [[OB_VERSION]])
    listed = sorted((server for server in cluster.servers.values() if server.listed), key=lambda each: each.zone)
    if "parameters" not in sql:
        names = ["svr_ip", "rpc_port", "svr_port", "zone", "status", "start_service_time", "stop_time"]
        return table(
            names,
            [
                [
                    each.address.ip,
                    RPC_PORT,
                    each.address.port,
                    each.zone,
                    each.status,
                    int(each.started),
                    int(each.stopped),
                ]
                for each in listed
            ],
        )
    names = [
        "cluster",
        "zone",
        "zone_status",
        "server_status",
        "region",
        "spare4",
        "spare5",
        "svr_ip",
        "svr_port",
        "rpc_port",
        "start_service_time",
        "stop_time",
    ]
    rows: list[list[Value]] = []
    for each in listed:
        zone = cluster.zones[each.zone]
        head: list[Value] = [cluster.name, zone.name, zone.status, each.status, zone.region, zone.idc, zone.kind]
        rows.append([*head, each.address.ip, each.address.port, RPC_PORT, int(each.started), int(each.stopped)])
    return table(names, rows)


def _zones(cluster: FakeCluster, sql: str) -> Rows:
    del sql
    zones = cluster.zones.values()
    return table(
        ["zone", "status", "is_merging", "region", "spare4", "spare5"],
        [[zone.name, zone.status, 0, zone.region, zone.idc, zone.kind] for zone in zones],
    )


def _tenants(cluster: FakeCluster, sql: str) -> Rows:
    del sql
    return table(
        ["tenant_name", "tenant_id", "locality", "previous_locality", "primary_zone", "status"],
        [
            [each.name, each.number, each.locality, None, each.primary_zone, "NORMAL"]
            for each in cluster.tenants.values()
            if each.name != "sys"
        ],
    )


def _version(cluster: FakeCluster, sql: str) -> Rows:
    del cluster, sql
    return table(["cluster_version"], [[OB_VERSION]])


def _variables(cluster: FakeCluster, sql: str) -> Rows:
    del sql
    rows: list[list[Value]] = [[name, 5 if name in NUMBERS else 22, value, 0, 0] for name, value in DEFAULTS.items()]
    del cluster
    return table(["name", "data_type", "value", "modified_time", "flags"], rows)


def _log_streams(cluster: FakeCluster, sql: str) -> Rows:
    names = ["tenant_id", "tenant_name", "primary_zone", "svr_ip", "svr_port", "sql_port", "ls_id", "zone", "role"]
    rows: list[list[Value]] = []
    del sql
    for tenant in cluster.tenants.values():
        for at, leader in enumerate(tenant.servers):
            for number in tenant.servers:
                server = cluster.servers[number]
                role = "LEADER" if number == leader else "FOLLOWER"
                head: list[Value] = [tenant.number, tenant.name, tenant.primary_zone, server.address.ip, RPC_PORT]
                rows.append([*head, server.address.port, 1001 + at, server.zone, role])
    return table(names, rows)


def _partition_info(cluster: FakeCluster, sql: str) -> Rows:
    wanted = _wanted(sql)
    tenant, found = wanted.get("tenant_name", [""])[0], cluster.store.by_number(int(wanted.get("table_id", ["0"])[0]))
    if found is None or found.partitions is None or tenant not in cluster.tenants:
        return table(INFO, [])
    return table(INFO, [found.partitions.info_row(tenant, found.number)])


def _partition(cluster: FakeCluster, sql: str) -> Rows:
    found = cluster.store.by_number(int(_wanted(sql).get("table_id", ["0"])[0]))
    return table(PARTITION, [] if found is None or found.partitions is None else found.partitions.rows(found.number))


def _none(cluster: FakeCluster, sql: str) -> Rows:
    del cluster, sql
    return table(["table_id"], [])


def _role(cluster: FakeCluster, sql: str) -> Rows:
    del cluster, sql
    return table(["cluster_role", "cluster_status", "primary_cluster_id"], [["PRIMARY", "VALID", 1]])


def _missing(cluster: FakeCluster, sql: str) -> Rows:
    del cluster
    name = _NAMES.findall(sql)[0].lower()
    raise SQLError(1146, "42S02", f"Table 'oceanbase.{name}' doesn't exist")


_BY_NAME: Final[dict[str, Callable[[FakeCluster, str], Rows]]] = {
    "__all_virtual_proxy_partition_info": _partition_info,
    "__all_virtual_proxy_partition": _partition,
    "__all_virtual_proxy_sub_partition": _none,
    "__all_virtual_proxy_routine": _none,
    "__all_virtual_proxy_sys_variable": _variables,
    "cdb_ob_ls_locations": _log_streams,
    "dba_ob_servers": _servers,
    "dba_ob_zones": _zones,
    "dba_ob_tenants": _tenants,
    "v$ob_cluster": _role,
    "__all_virtual_proxy_server_stat": _missing,
    "__all_virtual_zone_stat": _missing,
    "__all_virtual_server_stat": _missing,
    "__all_tenant": _missing,
    "ob_version": _version,
}
