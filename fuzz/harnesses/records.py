"""Rows of metadata as servers tell them, snapshots, and messages between the proxy's own processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from fuzz.cutting import Choices, outcome
from odp_trio.catalog.location_queries import read_replicas
from odp_trio.catalog.queries import (
    read_cluster_name,
    read_role,
    read_servers,
    read_tenant_servers,
    read_tenants,
    read_version,
    read_zones,
)
from odp_trio.config.lineage import decode_lineage
from odp_trio.errors import BadAddress, ConfigError, MalformedMetadata
from odp_trio.model import Address, parse_rslist
from odp_trio.process.link import Beat, Serve, read_message
from odp_trio.topology.snapshot import read_snapshot, restore
from odp_trio.workers.asking import Question
from odp_trio.workers.frames import Ask, DrainAll, Frame, encode, read_frame
from tests.admin.world import snapshot

_COLUMNS = (
    "cluster_version", "cluster", "cluster_role", "cluster_status", "status", "server_status", "start_service_time",
    "stop_time", "svr_ip", "svr_port", "sql_port", "zone", "zone_status", "region", "spare4", "spare5", "is_merging",
    "tenant_name", "locality", "primary_zone", "tablet_id", "role", "replica_type", "dup_replica_type",
)  # fmt: skip
_READERS: tuple[Any, ...] = (
    read_version, read_cluster_name, read_role, read_servers, read_zones, read_tenant_servers, read_tenants,
    read_replicas,
)  # fmt: skip


def one_input(data: bytes) -> None:
    """Read bytes as rows, as a snapshot, as messages."""
    choices = Choices(data)
    mode = choices.byte() % 4
    if mode == 0:
        _rows(choices)
    elif mode == 1:
        rest = choices.rest
        taken = outcome(lambda: read_snapshot(rest, "a snapshot"), ConfigError)
        if not isinstance(taken, type):
            outcome(lambda: restore(taken), ConfigError)
    elif mode == 2:
        _messages(choices.rest)
    else:
        text = choices.rest.decode("utf-8", "replace")
        address = outcome(lambda: Address.parse(text), BadAddress)
        if not isinstance(address, type):
            assert Address.parse(str(address)) == address
        outcome(lambda: parse_rslist(text), BadAddress)


def _rows(choices: Choices) -> None:
    rows: list[dict[str, Any]] = []
    while choices.left and len(rows) < 8:
        row: dict[str, Any] = {}
        for _ in range(choices.byte() % 12):
            name, kind = _COLUMNS[choices.byte() % len(_COLUMNS)], choices.byte() % 4
            if kind == 0:
                row[name] = None
            elif kind == 1:
                row[name] = choices.number(8)
            else:
                row[name] = choices.piece(60).decode("utf-8", "replace")
        rows.append(row)
    for read in _READERS:
        outcome(lambda read=read: read(rows), MalformedMetadata)  # type: ignore[misc]


def _messages(data: bytes) -> None:
    frame: Frame | type[Exception] = outcome(lambda: read_frame(data), msgspec.DecodeError)
    if not isinstance(frame, type):
        assert read_frame(encode(frame)[4:]) == frame or "nan" in repr(frame)
    outcome(lambda: read_message(data), msgspec.DecodeError)
    outcome(lambda: decode_lineage(data), msgspec.DecodeError)


def _text(name: str, value: str) -> bytes:
    return bytes((_COLUMNS.index(name), 2, len(value))) + value.encode()


def seeds() -> Iterator[bytes]:
    """Give rows of each answer, a snapshot, messages of each side."""
    server = b"".join(
        _text(name, value)
        for name, value in (
            ("svr_ip", "10.0.0.1"), ("svr_port", "2881"), ("sql_port", "2881"), ("zone", "z1"), ("status", "active"),
            ("start_service_time", "17"), ("stop_time", "0"), ("role", "1"), ("tablet_id", "200001"),
        )
    )  # fmt: skip
    yield b"\0\x09" + server
    yield b"\0\x09" + server + b"\x09" + server.replace(b"10.0.0.1", b"10.0.0.2")
    yield b"\0\x03" + _text("zone", "z1") + _text("status", "ACTIVE") + _text("is_merging", "0")
    yield b"\0\x02" + _text("cluster_role", "PRIMARY") + _text("cluster_status", "VALID")
    yield b"\0\x02" + _text("cluster_version", "4.3.5.3") + _text("tenant_name", "t1")
    yield b"\1" + msgspec.json.encode(snapshot())
    yield b"\2" + encode(Ask(7, Question("command", b"abc"), 2.5))[4:]
    yield b"\2" + encode(DrainAll("root"))[4:]
    yield b"\2" + msgspec.json.encode(Serve(3, descriptors=("mysql",)))
    yield b"\2" + msgspec.json.encode(Beat(True, ("why",)))
    yield b"\0030.0.0.0:2881;[::1]:2882"
    yield b"\3[fe80::1%eth0]:1"
