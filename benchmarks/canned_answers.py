"""What the canned OBServer says: every answer built once, before the first connection.

Layouts as seen on seekdb 1.3.0: a greeting of 74 bytes, a login OK that lists
838 variables to a proxy, and one more OK behind each result there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks.ob20_frames import CAPABILITY
from benchmarks.packets import (
    LONGLONG,
    STATE_CHANGED,
    column,
    eof,
    lenenc,
    ok,
    packet,
    packets,
    result,
    text,
    text_row,
)

POINT_VALUE: Final = "-".join(f"{number * 7919 % 100_000_000_000:011d}" for number in range(100_003, 100_013))
"""119 characters, as in a row of sysbench's table."""

BIG_ROW_BYTES: Final = 1024
"""One row of a big result with its header: 1,024 of them are a MiB."""

PARTS: Final = 8
"""Partitions of a table that has some."""

_BLOCK_ROWS: Final = 256
_BIG: Final = re.compile(rb"\d+ big")
_SCRAMBLE: Final = b"Nd.XOc&/^[DvKR8cha1j"
_VARIABLES: Final = 838

Row = Mapping[str, str | int]


def greeting(connection_id: int) -> bytes:
    """Return the first packet of a connection."""
    return packet(
        0,
        b"\x0a5.7.25\0"
        + connection_id.to_bytes(4, "little")
        + _SCRAMBLE[:8]
        + b"\0\xdf\xf7\x2e\0\0\x9c\x30\x15"
        + bytes(10)
        + _SCRAMBLE[8:]
        + b"\0mysql_native_password\0",
    )


def login_ok(*, proxy: bool, capabilities: int = 16645863) -> bytes:
    """Return the OK of a login; a proxy is told all session variables in one entry."""
    if not proxy:
        return packet(2, ok(proxy=False))
    pairs = [(b"autocommit", b"ON"), (b"ob_capability_flag", b"%d" % capabilities), (b"ob_proxy_partition_hit", b"ON")]
    pairs += [(b"session_variable_%03d" % number, b"value_%d" % number) for number in range(len(pairs), _VARIABLES)]
    pairs += [(b"__NULL", b"__NULL"), (b"_min_cluster_version", b"'1.3.0.0'")]
    variables = b"".join(text(name) + text(value) for name, value in pairs)
    state = b"\0" + text(variables) + b"\x01" + text(text(b"test")) + b"\x02" + text(text(b"1"))
    return packet(2, b"\0\0\0" + (0x22 | STATE_CHANGED).to_bytes(2, "little") + b"\0\0\0" + text(state))


class BigResult:
    """A result of ``mebibytes`` MiB of rows: a head, one block sent again and again, a tail.

    Sequence numbers wrap after 256 packets and so do the rows of the block.
    """

    def __init__(self, *, proxy: bool) -> None:
        self.head = packets([lenenc(1), column("big"), eof()])
        value = bytes(range(0x20, 0x7F)) * 11
        payload = text(value[: BIG_ROW_BYTES - 4 - 3])
        rows = (packet(4 + number, payload) for number in range(_BLOCK_ROWS))
        self.block = b"".join(rows)
        self.tail = packets([eof(), *([ok(proxy=True)] if proxy else [])], first_seq=4)

    def blocks(self, mebibytes: int) -> int:
        """Return how often the block is sent."""
        return mebibytes * (1 << 20) // len(self.block)


class Answers:
    """The answers on one kind of connection: a client's, or a proxy's."""

    def __init__(self, cluster: str, ip: str, port: int, *, proxy: bool) -> None:
        self.login_ok = login_ok(proxy=proxy)
        self.login_ok_ob20 = login_ok(proxy=proxy, capabilities=16645863 | CAPABILITY)
        self.ok = packet(1, ok(proxy=proxy))
        self.point = result([column("c")], [text_row([POINT_VALUE])], proxy=proxy)
        self.executed = result([column("c")], [b"\0\0" + text(POINT_VALUE.encode())], proxy=proxy)
        self.big = BigResult(proxy=proxy)
        self._extra = [ok(proxy=True)] if proxy else []
        # The first marker that occurs in a statement decides.
        self._queries = tuple((marker, _rows(rows, proxy=proxy)) for marker, rows in _metadata(cluster, ip, port))

    def to_query(self, sql: bytes) -> bytes:
        """Return the answer to a statement that is not a big one."""
        lowered = sql.lower()
        for marker, answer in self._queries:
            if marker in lowered:
                return answer
        return self.point if lowered.startswith(b"select") else self.ok

    def to_prepare(self, sql: bytes) -> bytes:
        """Return the reply to COM_STMT_PREPARE: statement 1, one column, as many parameters as question marks."""
        parameters = sql.count(b"?")
        head = b"\0\x01\0\0\0\x01\0" + parameters.to_bytes(2, "little") + b"\0\0\0"
        described = [column("?")] * parameters + [eof()] * bool(parameters)
        return packets([head, *described, column("c"), eof(), *self._extra])


def big_size(sql: bytes) -> int:
    """Return how many MiB ``select N big`` asks for; 0 for any other statement."""
    match = _BIG.search(sql)
    return int(match[0].split()[0]) if match else 0


def _rows(rows: Sequence[Row], *, proxy: bool) -> bytes:
    kinds = [column(name, LONGLONG) if isinstance(value, int) else column(name) for name, value in rows[0].items()]
    return result(kinds, [text_row(str(value) for value in row.values()) for row in rows], proxy=proxy)


def _metadata(cluster: str, ip: str, port: int) -> Sequence[tuple[bytes, Sequence[Row]]]:
    """Return what a proxy asks an OBServer about, with this server as the only one."""
    where: Row = {"svr_ip": ip, "svr_port": port, "rpc_port": 2882, "zone": "zone1"}
    zone: Row = {"zone": "zone1", "region": "region1", "spare4": "idc1", "spare5": "ReadWrite"}
    times: Row = {"start_service_time": 1, "stop_time": 0}
    first: Row = {"cluster": cluster, "zone_status": "ACTIVE", "server_status": "ACTIVE", **zone, **where, **times}
    dummy: Row = {
        "tenant_name": "sys", "table_name": "__all_dummy", "tablet_id": 0, "table_id": 135, "role": 1,
        "part_num": 1, "replica_num": 1, "table_type": 0, "schema_version": 1, "replica_type": 0,
        "dup_replica_type": 0, "svr_ip": ip, "sql_port": port, "svr_port": 2882,
    }  # fmt: skip
    # Tables whose names begin with "parted" have partitions by HASH.
    parted: Row = {**dummy, "table_id": 136, "part_num": PARTS, "database_name": "test"}
    info: Row = {
        "part_level": 1, "part_num": PARTS, "part_type": 0, "part_expr": "id", "part_key_num": 1,
        "part_key_name": "id", "part_key_type": 4, "part_key_idx": 0, "part_key_level": 1, "part_key_extra": "",
        "part_key_collation_type": 63, "part_key_rowkey_idx": 0, "part_key_expr": "", "part_key_length": 0,
        "part_key_precision": 11, "part_key_scale": 0,
    }  # fmt: skip
    partitions: Sequence[Row] = [
        {"tablet_id": 1000 + at, "ls_id": 1, "part_id": at, "part_name": f"p{at}", "sub_part_num": 0}
        for at in range(PARTS)
    ]
    return (
        (b"a.tablet_id in (", [{**parted, "tablet_id": 1000 + at} for at in range(PARTS)]),
        (b"a.table_name = 'parted", (parted,)),
        (b"__all_virtual_proxy_partition_info", (info,)),
        (b"__all_virtual_proxy_partition a", partitions),
        (b"ob_version()", ({"cluster_version": "4.3.5.3"},)),
        (b"v$ob_parameters", (first,)),
        (b"dba_ob_zones", ({"status": "ACTIVE", "is_merging": 0, **zone},)),
        (b"__all_virtual_proxy_schema", (dummy,)),
        (b"dba_ob_servers", ({"status": "ACTIVE", **where, **times},)),
        (b"dba_ob_tenants", ({"tenant_name": "sys", "tenant_id": 1, "primary_zone": "zone1"},)),
        (b"select 1", ({"1": 1},)),
    )
