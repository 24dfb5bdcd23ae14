"""ODP's statements about tables and partitions, letter for letter, and their rows read into replicas.

Statements: seen on the wire behind ODP 4.3.1 before kernels of version 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from odp_trio.catalog.metadata import Row
from odp_trio.catalog.queries import escape
from odp_trio.errors import BadAddress
from odp_trio.model import Address
from odp_trio.topology.location import FULL, Replica, TableKey

_LIMIT: Final = "LIMIT 9223372036854775807"
_LEADER, _FOLLOWER = 1, 2
_LAST_REPLICA_TYPE: Final = 261


def location(key: TableKey, tablets: Iterable[int] = (0,), *, flush: bool = False) -> str:
    """The statement for the replicas of tablets of a table; tablet 0 stands for the table itself.

    ``flush`` makes the server renew its own location cache first.
    """
    hint = "/*+READ_CONSISTENCY(WEAK), FORCE_REFRESH_LOCATION_CACHE*/" if flush else "/*+READ_CONSISTENCY(WEAK)*/"
    wanted = tuple(tablets)
    if len(wanted) == 1:
        which, order = f"A.tablet_id = {wanted[0]}", "A.role ASC"
    else:
        which, order = f"A.tablet_id IN ({', '.join(map(str, wanted))})", "A.tablet_id ASC, A.role ASC"
    return (
        f"SELECT {hint} A.*, B.svr_port as svr_port FROM oceanbase.__all_virtual_proxy_schema A "
        "inner join oceanbase.DBA_OB_SERVERS B ON A.svr_ip = B.svr_ip and A.sql_port = B.sql_port "
        f"WHERE A.tenant_name = '{escape(key.tenant)}' AND A.database_name = '{escape(key.database)}' "
        f"AND A.table_name = '{escape(key.table)}' AND {which} ORDER BY {order} {_LIMIT}"
    )


def partition_info(tenant: str, table_id: int) -> str:
    """The statement for how a table is partitioned: one row a key column."""
    return (
        "SELECT /*+READ_CONSISTENCY(WEAK)*/ * FROM oceanbase.__all_virtual_proxy_partition_info "
        f"WHERE table_id = {table_id} and tenant_name = '{escape(tenant)}' order by part_key_idx LIMIT 128;"
    )


def partitions(tenant: str, table_id: int) -> str:
    """The statement for the first level."""
    return (
        f"SELECT /*+READ_CONSISTENCY(WEAK)*/  A.tablet_id as tablet_id, {_log_stream(tenant, table_id)}, "
        "A.part_id as part_id, A.part_name as part_name, A.high_bound_val_bin as high_bound_val_bin, "
        "A.sub_part_num AS sub_part_num FROM oceanbase.__all_virtual_proxy_partition A "
        f"WHERE A.table_id = {table_id} AND A.tenant_name = '{escape(tenant)}'{_LIMIT};"
    )


def subpartitions(tenant: str, table_id: int) -> str:
    """The statement for the second level."""
    return (
        f"SELECT /*+READ_CONSISTENCY(WEAK)*/  A.tablet_id as tablet_id, {_log_stream(tenant, table_id)}, "
        "A.part_id as part_id, A.sub_part_id as sub_part_id, A.part_name as part_name, "
        "A.high_bound_val_bin as high_bound_val_bin FROM oceanbase.__all_virtual_proxy_sub_partition A "
        f"WHERE A.table_id = {table_id} AND A.tenant_name = '{escape(tenant)}'{_LIMIT};"
    )


def _log_stream(tenant: str, table_id: int) -> str:
    return (
        "IFNULL((SELECT B.ls_id FROM oceanbase.__all_virtual_tablet_to_ls B WHERE A.tablet_id = B.tablet_id "
        f"AND B.table_id = {table_id} AND B.tenant_id = (SELECT tenant_id FROM oceanbase.DBA_OB_TENANTS "
        f"WHERE tenant_name = '{escape(tenant)}' LIMIT 1) LIMIT 1), -1) as ls_id"
    )


def read_replicas(rows: Sequence[Row]) -> dict[int, tuple[Replica, ...]]:
    """Read replicas by tablet, leaders first.  A row that cannot be used is skipped; the others still count.

    A table without a place of its own has one row of the address 0.0.0.0:0, hence no replicas.
    """
    found: dict[int, dict[Address, Replica]] = {}
    for row in rows:
        try:
            tablet = int(row.get("tablet_id") or 0)
        except (OverflowError, TypeError, ValueError):
            continue
        replicas = found.setdefault(tablet, {})
        replica = _replica(row)
        if replica is not None and (replica.leader or replica.address not in replicas):
            replicas[replica.address] = replica
    return {
        tablet: tuple(sorted(replicas.values(), key=lambda replica: not replica.leader))
        for tablet, replicas in found.items()
    }


def _replica(row: Row) -> Replica | None:
    try:
        role, kind = int(row["role"]), _number(row.get("replica_type"), FULL)
        duplicate = _number(row.get("dup_replica_type"), 0) > 0
        address = Address.parse(f"[{row['svr_ip']}]:{row['sql_port']}")
    except (BadAddress, KeyError, OverflowError, TypeError, ValueError):
        return None
    if role not in (_LEADER, _FOLLOWER) or not 0 <= kind <= _LAST_REPLICA_TYPE:
        return None
    return Replica(address, role == _LEADER, kind, duplicate)


def _number(value: Any, default: int) -> int:
    return default if value is None else int(value)
