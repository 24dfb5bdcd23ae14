"""What a config server for tests tells: its requests, its clusters, the JSON it makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final

import msgspec

from odp_trio.model import Address, parse_rslist

METADB_REGION: Final = "obdv1"
HTML: Final = b"<!DOCTYPE html>\n<html><head><title>OCP</title></head><body>Please log in.</body></html>\n"


class Question(Enum):
    """What a request asks for."""

    VERSION = "version"
    DOCUMENT = "document"
    RSLIST = "rslist"
    IDCS = "idcs"
    OTHER = "other"


class Request(msgspec.Struct, frozen=True):
    """A request as it came: the path and, without the ``?``, the query."""

    question: Question
    path: str
    query: str
    headers: Mapping[str, str] = {}
    """By name in small letters."""

    @property
    def target(self) -> str:
        """Path and query."""
        return f"{self.path}?{self.query}" if self.query else self.path


class ServedCluster(msgspec.Struct, frozen=True):
    """One cluster id of a cluster name, as the server tells it."""

    rslist: str
    """``ip:port;ip:port`` of SQL ports; the first is the leader."""
    cluster_id: int = 1
    role: str = "PRIMARY"
    readonly: str = ""
    real_name: str = ""
    """How its servers name it, where that is another name; the one that clients use is its alias."""
    idcs: Mapping[str, str] = {}
    """Region by IDC."""


class Reply(msgspec.Struct):
    """What is sent: a fault changes it before."""

    body: bytes
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    delay: float = 0.0
    never: bool = False
    cut_after: int | None = None
    stalls: bool = False
    """Do not close what was cut."""
    raw: bytes | None = None
    """Instead of everything else."""


def told_document(base: str, secret: str, names: tuple[str, ...], *, template: bool) -> dict[str, Any]:
    """Return Data of the main document, without its version."""
    root = f"{base}?Action=ObRootServiceInfo&User_ID=odp&UID={secret}"
    named: dict[str, Any] = {
        "ObRootServiceInfoUrlList": [
            {"ObRegion": name, "ObRootServiceInfoUrl": f"{root}&ObRegion={name}"} for name in names
        ]
    }
    if template:
        named = {"ObRootServiceInfoUrlTemplate": f"{root}&ObRegion=${{ObRegion}}", "ObRegion": list(names)}
    database = {"DataBase": "odp", "User": "admin@sys#MetaDataBase", "Password": "kept-to-ourselves"}
    return {
        "ObProxyBinUrl": f"{base}?Action=GetObProxy",
        "ObProxyDatabaseInfo": {**database, "MetaDataBase": f"{root}&ObRegion={METADB_REGION}"},
        **named,
    }


def wrapped(data: object) -> Reply:
    """Return an answer with this Data."""
    envelope = {"Message": "successful", "Success": True, "Code": 200, "Cost": 3, "Trace": "t", "Data": data}
    return Reply(msgspec.json.encode(envelope))


def told_rslist(name: str, served: ServedCluster) -> dict[str, Any]:
    """Return what is told about one cluster id: its rslist."""
    return {
        **_told_name(name, served),
        "Type": served.role,
        "RsList": _told_servers(parse_rslist(served.rslist)),
        "ReadonlyRsList": _told_servers(parse_rslist(served.readonly) if served.readonly else ()),
    }


def _told_servers(servers: tuple[Address, ...]) -> list[dict[str, Any]]:
    """Tell servers; the port in ``address`` is not that for SQL, as with a real cluster."""
    return [
        {
            "address": str(msgspec.structs.replace(server, port=server.port % 65535 + 1)),
            "role": "FOLLOWER" if index else "LEADER",
            "sql_port": server.port,
        }
        for index, server in enumerate(servers)
    ]


def told_idcs(name: str, served: ServedCluster) -> dict[str, Any]:
    """Return what is told about one cluster id: its IDCs."""
    idcs = [{"idc": idc, "region": region} for idc, region in served.idcs.items()]
    return {**_told_name(name, served), "IDCList": idcs}


def _told_name(name: str, served: ServedCluster) -> dict[str, Any]:
    told = served.real_name or name
    alias = {"ObClusterAlias": name} if served.real_name else {}
    number = served.cluster_id
    return {"ObRegion": told, "ObCluster": told, "ObRegionId": number, "ObClusterId": number, **alias}


def with_each(answer: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return an answer in which every object of Data has other values."""
    data = answer["Data"]
    changed = [one | changes for one in data] if isinstance(data, list) else data | changes
    return answer | {"Data": changed}


def with_lists(answer: dict[str, Any], change: Callable[[list[Any]], list[Any]]) -> dict[str, Any]:
    """Return an answer in which every array of Data is another one."""
    data = {name: change(value) if isinstance(value, list) else value for name, value in answer["Data"].items()}
    return answer | {"Data": data}
