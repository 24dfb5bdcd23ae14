"""Answers of a config server as tests need them: a right one, and one that differs in a place."""

from __future__ import annotations

from typing import Any

import msgspec

LEADER = {"address": "10.0.0.1:2882", "role": "LEADER", "sql_port": 2881}
FOLLOWER = {"address": "10.0.0.2:2882", "role": "FOLLOWER", "sql_port": 2881}
METADB = {
    "DataBase": "odp",
    "User": "admin@sys#MetaDataBase",
    "Password": "hunter2",
    "MetaDataBase": "http://ocp/m?a=b",
}
URLS = [
    {"ObRegion": "c1", "ObRootServiceInfoUrl": "http://ocp/rs?Action=ObRootServiceInfo&ObRegion=c1"},
    {"ObRegion": "c2", "ObRootServiceInfoUrl": "http://ocp/rs?Action=ObRootServiceInfo&ObRegion=c2"},
]
DOCUMENT = {
    "Version": "07ca2f2e7f7c8a1a7dc1d0e5f3a3f7a1",
    "ObProxyBinUrl": "http://ocp/bin",
    "ObProxyDatabaseInfo": METADB,
    "ObRootServiceInfoUrlList": URLS,
}
RSLIST = {"ObRegion": "c1", "ObRegionId": 1, "Type": "PRIMARY", "RsList": [LEADER, FOLLOWER], "ReadonlyRsList": []}
IDCS = {"ObRegion": "c1", "ObRegionId": 1, "IDCList": [{"idc": "HZ1", "region": "hangzhou"}]}


def wrapped(data: Any, **changes: Any) -> bytes:
    """Return an answer; a change to None leaves the key out."""
    answer = {"Message": "successful", "Success": True, "Code": 200, "Cost": 3, "Data": data} | changes
    return msgspec.json.encode({key: value for key, value in answer.items() if value is not None})


def without(record: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != key}
