"""SQL that makes one kernel answer ODP's metadata queries as a cluster would.

The kernel's own table behind those queries is renamed and replaced by a view
that joins it with ours: who the servers are, where tenants live, who leads
which tablet.  A change of the topology is then one statement on a ``lab_``
table.  The trick was seen to work, and to survive kill -9, on seekdb 1.3.0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

PROXYRO_PASSWORD: Final = "proxyro_pw"
APP_USER: Final = "app"
APP_PASSWORD: Final = "app_pw"
FIRST_TENANT_ID: Final = 1002
"""Of the first ordinary tenant; they have even numbers, as in a cluster."""

_SCHEMA_COLUMNS: Final = (
    "s.database_name,s.table_name,s.tablet_id,n.svr_ip,n.sql_port,s.table_id,"
    "case when n.ord=l.ord or l.ord is null and p.place=mod(s.tablet_id,p.places) then 1 else 2 end as role,"
    "s.part_num,p.places as replica_num,s.table_type,s.schema_version,s.replica_type,"
    "s.dup_replica_type,s.memstore_percent,s.spare1,s.spare2,s.spare3,s.spare4,s.spare5,s.spare6,s.complex_table_type,"
    "s.level1_decoded_db_name,s.level1_decoded_table_name,s.level2_decoded_db_name,s.level2_decoded_table_name"
)


def _schema_select(tenant: str, name: str) -> str:
    """Return the proxy schema of one tenant: the kernel's rows, once for each of the tenant's servers.

    A tablet that has no row in lab_leader is led by the tenant's server whose place is the tablet's number modulo
    their number, so that there always is a leader.  ``name`` is the expression for tenant_name.
    """
    return (
        f"select {name} as tenant_name,{_SCHEMA_COLUMNS} from oceanbase.lab_proxy_schema s "
        "join oceanbase.lab_node n "
        f"join oceanbase.lab_tenant_server p on p.ord=n.ord and p.tenant_name={_text(tenant)} "
        "left join oceanbase.lab_leader l on l.tablet_id=s.tablet_id"
    )


def _text(value: str) -> str:
    """Write an SQL literal."""
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


class Node(msgspec.Struct, frozen=True):
    """One row of the server list.  ``number`` counts from 0 and decides who leads a tablet by default."""

    number: int
    ip: str
    zone: str
    status: str = "ACTIVE"
    started: bool = True
    stopped: bool = False


def initial_statements() -> tuple[str, ...]:
    """Return what is run once, as root, on a fresh kernel: users, tables, views.  No servers yet."""
    return (
        "alter system set enable_sys_table_ddl=true",
        "alter system set _lcl_op_interval='30ms'",  # else a deadlock is only found when the query times out
        "set global ob_query_timeout=30000000",
        "create table oceanbase.lab_node(svr_ip varchar(46), svr_port bigint, sql_port bigint, zone varchar(64), "
        "ord bigint primary key, status varchar(16), started bigint, stopped bigint)",
        "create table oceanbase.lab_zone(zone varchar(64) primary key, status varchar(16), idc varchar(64), "
        "region varchar(64), type varchar(16))",
        "create table oceanbase.lab_tenant(tenant_id bigint primary key, tenant_name varchar(64), "
        "primary_zone varchar(64), locality varchar(64))",
        "create table oceanbase.lab_tenant_server(tenant_name varchar(64), ord bigint, place bigint, places bigint, "
        "primary key(tenant_name, ord))",
        "create table oceanbase.lab_leader(tablet_id bigint primary key, ord bigint)",
        "rename table oceanbase.__all_virtual_proxy_schema to oceanbase.lab_proxy_schema",
        # The tenant's name is the kernel's own, so that "tenant_name = ", which it demands, gets through to it.
        f"create view oceanbase.__all_virtual_proxy_schema as {_schema_select('sys', 's.tenant_name')}",
        "create view oceanbase.DBA_OB_SERVERS as select svr_ip SVR_IP,svr_port SVR_PORT,ord+1 ID,zone ZONE,"
        "sql_port SQL_PORT,if(ord=0,'YES','NO') WITH_ROOTSERVER,status STATUS,"
        "if(started,cast('2026-01-01' as datetime(6)),null) START_SERVICE_TIME,"
        "if(stopped,cast('2026-01-02' as datetime(6)),null) STOP_TIME,cast(null as datetime(6)) BLOCK_MIGRATE_IN_TIME,"
        "cast('2026-01-01' as datetime(6)) CREATE_TIME,cast('2026-01-01' as datetime(6)) MODIFY_TIME,"
        "'1.3.0.0' BUILD_VERSION from oceanbase.lab_node",
        "create view oceanbase.DBA_OB_ZONES as select zone ZONE,status STATUS,idc IDC,region REGION,type TYPE "
        "from oceanbase.lab_zone",
        "create view oceanbase.DBA_OB_TENANTS as select tenant_id TENANT_ID,tenant_name TENANT_NAME,"
        "if(tenant_id=1,'SYS','USER') TENANT_TYPE,'MYSQL' COMPATIBILITY_MODE,'NORMAL' STATUS,locality LOCALITY,"
        "cast(null as char(64)) PREVIOUS_LOCALITY,primary_zone PRIMARY_ZONE from oceanbase.lab_tenant",
        # As many log streams as a tenant has servers, one led by each: its tablets are spread the same way.
        "create view oceanbase.CDB_OB_LS_LOCATIONS as select t.tenant_id TENANT_ID,1001+q.place LS_ID,n.svr_ip SVR_IP,"
        "n.svr_port SVR_PORT,n.sql_port SQL_PORT,n.zone ZONE,if(p.place=q.place,'LEADER','FOLLOWER') ROLE "
        "from oceanbase.lab_tenant t join oceanbase.lab_tenant_server p on p.tenant_name=t.tenant_name "
        "join oceanbase.lab_tenant_server q on q.tenant_name=t.tenant_name join oceanbase.lab_node n on n.ord=p.ord",
        "rename table oceanbase.__all_virtual_tablet_to_ls to oceanbase.lab_tablet_to_ls",
        "create view oceanbase.__all_virtual_tablet_to_ls as select s.tenant_id,s.tablet_id,"
        "1001+mod(s.tablet_id,p.places) as ls_id,s.table_id,s.transfer_seq from oceanbase.lab_tablet_to_ls s "
        "join oceanbase.lab_tenant_server p on p.tenant_name='sys' and p.place=0",
        f"create user proxyro identified by '{PROXYRO_PASSWORD}'",
        "grant select on oceanbase.* to proxyro",
        f"create user {APP_USER} identified by '{APP_PASSWORD}'",
        f"grant all on *.* to {APP_USER}",
    )


def template_key() -> str:
    """Return a name for what ``initial_statements`` make, so that a change of them makes a new template."""
    return hashlib.sha256("\n".join(initial_statements()).encode()).hexdigest()[:12]


def schema_view(tenant: str) -> str:
    """Return the view that stands for ``__all_virtual_proxy_schema`` where an ordinary tenant is asked about."""
    name = tenant.replace("`", "``")
    return f"`lab_schema_{name}`"


def tenant_statements(tenant_id: int, tenant: str) -> tuple[str, ...]:
    """Return what adds a tenant.  Its tables are the sys tenant's: the kernel has no other."""
    return (
        f"insert into oceanbase.lab_tenant values({tenant_id},{_text(tenant)},'RANDOM','FULL{{1}}@zone1')",
        f"create or replace view oceanbase.{schema_view(tenant)} as {_schema_select(tenant, _text(tenant))} "
        "where s.tenant_name='sys'",
    )


def drop_tenant_statements(tenant: str) -> tuple[str, ...]:
    """Return what takes a tenant away."""
    return (
        f"delete from oceanbase.lab_tenant where tenant_name={_text(tenant)}",
        *placement_statements(tenant, ()),
        f"drop view if exists oceanbase.{schema_view(tenant)}",
    )


def placement_statements(tenant: str, numbers: Iterable[int]) -> tuple[str, ...]:
    """Return what puts a tenant on the servers of these numbers and no others."""
    servers = sorted(set(numbers))
    rows = ",".join(f"({_text(tenant)},{number},{place},{len(servers)})" for place, number in enumerate(servers))
    clear = f"delete from oceanbase.lab_tenant_server where tenant_name={_text(tenant)}"
    return (clear, f"insert into oceanbase.lab_tenant_server values{rows}") if rows else (clear,)


def node_statement(node: Node, sql_port: int) -> str:
    """Return what adds or changes a server."""
    return (
        f"replace into oceanbase.lab_node values('{node.ip}',2882,{sql_port},'{node.zone}',{node.number},"
        f"'{node.status}',{int(node.started)},{int(node.stopped)})"
    )


def reset_statements(nodes: Sequence[Node], sql_port: int, tenants: Sequence[str]) -> tuple[str, ...]:
    """Return what brings the whole topology to a known state: these servers, a zone each, these tenants everywhere."""
    statements = [
        f"delete from oceanbase.lab_{table}" for table in ("node", "zone", "tenant", "tenant_server", "leader")
    ]
    statements += [node_statement(node, sql_port) for node in nodes]
    statements += [
        f"replace into oceanbase.lab_zone values('{zone}','ACTIVE','idc{at + 1}','region1','ReadWrite')"
        for at, zone in enumerate(dict.fromkeys(node.zone for node in nodes))
    ]
    statements.append("insert into oceanbase.lab_tenant values(1,'sys','RANDOM','FULL{1}@zone1')")
    for at, tenant in enumerate(name for name in tenants if name != "sys"):
        statements += tenant_statements(FIRST_TENANT_ID + 2 * at, tenant)
    for tenant in dict.fromkeys(("sys", *tenants)):
        statements += placement_statements(tenant, [node.number for node in nodes])
    return tuple(statements)
