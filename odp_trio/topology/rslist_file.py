"""The file of rslists, obproxy_rslist_info.json: entries to bytes and back.

Plain JSON with ODP's keys, behind a head with a checksum.  The checksum finds
what was cut off or edited by hand; it is no signature, and says nothing of who wrote the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Final

import msgspec

from odp_trio.errors import BadAddress, BadCacheFile
from odp_trio.model import Address
from odp_trio.topology.rslist import ClusterRole, Rslist, SubCluster

FORMAT: Final = 1
MOST_BYTES: Final = 16 << 20
MOST_CLUSTERS: Final = 10_000
"""Cluster ids, of all names together."""
LONGEST_NAME: Final = 512
CLOCK_SLACK: Final = 60.0
"""Times may lie so many seconds ahead of the clock without a word: clocks are set."""


class CachedRslist(msgspec.Struct, frozen=True):
    """The rslist of a cluster name that was visited.  Times are seconds since 1970; the file keeps whole ones."""

    rslist: Rslist
    fetched_at: float
    """When the config server said so."""
    used_at: float = 0.0
    """When somebody last logged in to it; 0 when that is not known."""
    idcs: Mapping[int, Mapping[str, str]] = {}
    """Region by IDC, by cluster id."""


class Encoded(msgspec.Struct, frozen=True):
    """A file's bytes.  ``left_out`` says of each entry that could not be read back why it is not in it."""

    data: bytes
    left_out: tuple[str, ...]


class Contents(msgspec.Struct, frozen=True):
    """What a file holds.  ``ahead`` is by how many seconds its times were ahead of the clock; they are ``now`` here."""

    made_by: str
    written_at: float
    entries: tuple[CachedRslist, ...]
    ahead: float = 0.0


# ---- the records of the file ----------------------------------------------------------

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_NAME)]
_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class _Role(Enum):
    LEADER = "LEADER"
    FOLLOWER = "FOLLOWER"


class _Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    address: _Name
    role: _Role
    sql_port: int


class _Idc(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    idc: _Name
    region: _Name


class _Cluster(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    rename={
        "name": "ObRegion",
        "cluster_id": "ObRegionId",
        "role": "Type",
        "real_name": "ObRealClusterName",
        "servers": "RsList",
        "readonly": "ReadonlyRsList",
        "idcs": "IDCList",
    },
):
    name: _Name
    cluster_id: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    role: ClusterRole
    real_name: _Name
    servers: tuple[_Server, ...]
    fetched_at: _Moment
    used_at: _Moment | None = None
    readonly: tuple[_Server, ...] = ()
    idcs: tuple[_Idc, ...] = ()


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    made_by: _Name
    written_at: _Moment
    sha256: str
    clusters: tuple[_Cluster, ...]


class _Head(msgspec.Struct):
    format: int


def _checksum(record: _File) -> str:
    """Return the checksum of everything but itself; blanks and line ends do not count."""
    return hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(record, sha256=""))).hexdigest()


# ---- writing --------------------------------------------------------------------------


def write_rslist_file(entries: Iterable[CachedRslist], *, made_by: str, written_at: float) -> Encoded:
    """Return a file that ``read_rslist_file`` reads; raise BadCacheFile if it would be too large.

    Of more than MOST_CLUSTERS clusters those used last are kept.
    """
    left_out: list[str] = []
    kept: dict[str, list[_Cluster]] = {}
    count = 0
    for entry in sorted(entries, key=lambda entry: max(entry.used_at, entry.fetched_at), reverse=True):
        name = entry.rslist.cluster
        try:
            if name in kept:
                raise BadCacheFile("it is there twice")
            parts = _write_entry(entry)
            count += len(parts)
            _check_count(count)
            kept[name] = parts
        except (ValueError, OverflowError, msgspec.ValidationError, BadCacheFile) as exc:
            left_out.append(f"cluster {name[:LONGEST_NAME]!r} is not kept: {exc}")
    clusters = tuple(cluster for _, parts in sorted(kept.items()) for cluster in parts)
    record = _File(FORMAT, made_by, _moment(written_at), "", clusters)
    record = msgspec.structs.replace(record, sha256=_checksum(record))
    data = msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"
    _check_size(len(data))
    return Encoded(data, tuple(left_out))


def _write_entry(entry: CachedRslist) -> list[_Cluster]:
    """Return a record for each cluster that has servers; raise what reading raises for what could not be read back."""
    rslist = entry.rslist
    parts = [
        _Cluster(
            rslist.cluster,
            cluster.cluster_id,
            cluster.role,
            rslist.real_name,
            _write_servers(cluster.servers),
            _moment(entry.fetched_at),
            _moment(entry.used_at) if entry.used_at else None,
            _write_servers(cluster.readonly),
            tuple(_Idc(idc, region) for idc, region in entry.idcs.get(cluster.cluster_id, {}).items()),
        )
        for cluster in rslist.clusters
        if cluster.servers or cluster.readonly
    ]
    if not parts:
        raise BadCacheFile("it has no servers")
    _read_entry(msgspec.json.decode(msgspec.json.encode(parts), type=list[_Cluster]), 0.0)
    return parts


def _write_servers(servers: Sequence[Address]) -> tuple[_Server, ...]:
    """The first is the one to ask first: that is what LEADER means here."""
    roles = (_Role.LEADER, _Role.FOLLOWER)
    return tuple(_Server(str(server), roles[at > 0], server.port) for at, server in enumerate(servers))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds // 1, UTC)


# ---- reading --------------------------------------------------------------------------


def read_rslist_file(data: bytes, now: float) -> Contents:
    """Read a file; raise BadCacheFile with the reason why nothing of it can be used, and nothing else.

    Times ahead of the clock are taken for ``now``: whether clock or file is wrong
    is unknown, and an rslist whose age is unknown is better than none.
    """
    _check_size(len(data))
    record = _decode(data)
    _check_count(len(record.clusters))
    _check_name("", record.made_by)
    if record.sha256 != _checksum(record):
        raise BadCacheFile("its checksum is wrong: it was edited or damaged")
    parts: dict[str, list[_Cluster]] = {}
    for cluster in record.clusters:
        parts.setdefault(cluster.name, []).append(cluster)
    entries = tuple(_read_entry(same, now) for same in parts.values())
    moments = [record.written_at, *(moment for cluster in record.clusters for moment in _moments(cluster))]
    ahead = max(moments).timestamp() - now
    written_at = min(record.written_at.timestamp(), now)
    return Contents(record.made_by, written_at, entries, ahead if ahead > CLOCK_SLACK else 0.0)


def _decode(data: bytes) -> _File:
    if not data:
        raise BadCacheFile("it is empty")
    if (at := data.find(0)) >= 0:
        raise BadCacheFile(f"it is damaged: byte {at} is NUL")
    try:
        head = msgspec.json.decode(data, type=_Head)
        if head.format == FORMAT:
            return msgspec.json.decode(data, type=_File)
    except msgspec.ValidationError as exc:
        raise BadCacheFile(f"it is no file of rslists: {_shown(exc)}") from exc
    except msgspec.DecodeError as exc:
        if "truncated" in str(exc):
            raise BadCacheFile(f"it is truncated: it ends at byte {len(data)}") from exc
        raise BadCacheFile(f"it is not JSON: {_shown(exc)}") from exc
    except RecursionError as exc:
        raise BadCacheFile("it is nested too deeply") from exc
    except ValueError as exc:  # not UTF-8, or a number with more digits than any has
        raise BadCacheFile(f"it is not JSON: {_shown(exc)}") from exc
    raise BadCacheFile(f"its format is {head.format}; this version reads {FORMAT}")


def _shown(error: Exception) -> str:
    """Return what the decoder says of a file whose keys may be anything."""
    return "".join(char if char.isprintable() else "?" for char in str(error)[:300])


def _check_size(size: int) -> None:
    if size > MOST_BYTES:
        raise BadCacheFile(f"it has {size} bytes; at most {MOST_BYTES} are allowed")


def _check_count(count: int) -> None:
    if count > MOST_CLUSTERS:
        raise BadCacheFile(f"there are {count} clusters; at most {MOST_CLUSTERS} are allowed")


def _read_entry(parts: Sequence[_Cluster], now: float) -> CachedRslist:
    """Make an entry of all the cluster ids of a name."""
    first = parts[0]
    _check_name(first.name, first.name)
    for part in parts:
        if part.real_name != first.real_name:
            raise _bad(part, f"ObRealClusterName is {first.real_name!r} and {part.real_name!r}")
    _check_name(first.name, first.real_name)
    clusters = {part.cluster_id: _read_cluster(part) for part in parts}
    if len(clusters) < len(parts):
        raise _bad(first, "the same ObRegionId is there twice")
    return CachedRslist(
        Rslist(first.name, first.real_name, tuple(clusters.values())),
        min(now, *(part.fetched_at.timestamp() for part in parts)),
        min(now, max(part.used_at.timestamp() if part.used_at else 0.0 for part in parts)),
        {part.cluster_id: _read_idcs(part) for part in parts if part.idcs},
    )


def _read_cluster(part: _Cluster) -> SubCluster:
    if not part.servers and not part.readonly:
        raise _bad(part, "it has no servers")
    leaders_first = sorted(part.servers, key=lambda server: server.role is not _Role.LEADER)
    return SubCluster(
        part.cluster_id,
        part.role,
        tuple(_read_server(part, server) for server in leaders_first),
        tuple(_read_server(part, server) for server in part.readonly),
    )


def _read_server(part: _Cluster, server: _Server) -> Address:
    try:
        address = Address.parse(server.address)
    except BadAddress as exc:
        raise _bad(part, str(exc)) from exc
    if str(address) != server.address:
        raise _bad(part, f"address {server.address!r} is written {str(address)!r}")
    if address.port != server.sql_port:
        raise _bad(part, f"address {server.address!r} is not of sql_port {server.sql_port}")
    return address


def _read_idcs(part: _Cluster) -> Mapping[str, str]:
    idcs = {idc.idc: idc.region for idc in part.idcs}
    if len(idcs) < len(part.idcs):
        raise _bad(part, "the same idc is there twice")
    for text in (*idcs, *idcs.values()):
        _check_name(part.name, text)
    return idcs


def _check_name(cluster: str, name: str) -> None:
    if not name.isprintable():
        raise BadCacheFile(f"cluster {cluster!r}: {name!r} has characters that no name has")


def _bad(part: _Cluster, why: str) -> BadCacheFile:
    return BadCacheFile(f"cluster {part.name!r} id {part.cluster_id}: {why}")


def _moments(part: _Cluster) -> Iterator[datetime]:
    yield part.fetched_at
    if part.used_at is not None:
        yield part.used_at
