"""What a config server answers: main document, rslist, list of IDCs.  Bytes in, records out, or a reason.

Every reader raises MalformedConfigAnswer, which names the key and the value, and nothing else.  What is only left out
(a server without a usable address, say) is told to ``skipped``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import quote

from odp_trio.errors import BadAddress, MalformedConfigAnswer
from odp_trio.model import Address
from odp_trio.topology.config_envelope import Field, read_data, show
from odp_trio.topology.rslist import METADB, ClusterRole, ConfigDocument, Rslist, SubCluster

Skipped = Callable[[str], object]

_VERSION_LENGTH: Final = 32
_CLUSTER_LENGTH: Final = 128
_NAME_LENGTH: Final = 260
_PASSWORD_LENGTH: Final = 64
_PLACEHOLDERS: Final = ("${ObRegion}", "${ObCluster}")


def read_version(body: bytes) -> str | None:
    """Return the version of the main document; None when the answer does not tell it."""
    version = read_data(body)["Version"]
    return version.text(_VERSION_LENGTH) if version.given else None


# ---- main document ------------------------------------------------------------


def read_document(body: bytes) -> ConfigDocument:
    """Read the main document."""
    data = read_data(body)
    version = data["Version"].name(_VERSION_LENGTH)
    data["ObProxyBinUrl"].text()
    urls = _rslist_urls(data)
    return ConfigDocument(version, urls, _metadb_url(data["ObProxyDatabaseInfo"]))


def _rslist_urls(data: Field) -> dict[str, str]:
    listed, template = data["ObRootServiceInfoUrlList"], data["ObRootServiceInfoUrlTemplate"]
    if listed.given and not (template.given and listed.value in ([], None)):
        pairs, source = _listed(listed), listed
    elif template.given:
        source = data.first("ObRegion", "ObClusterList").existing()
        pairs = _from_template(template, source)
    else:
        raise MalformedConfigAnswer(f"{listed.path} and {template.path} are missing: no cluster is named")
    urls: dict[str, str] = {}
    for field, name, url in pairs:
        if name in urls:
            raise MalformedConfigAnswer(f"{field.path} names cluster {show(name)} for the second time")
        urls[name] = url
    if not urls:
        raise MalformedConfigAnswer(f"{source.path} is empty: no cluster is named")
    return urls


def _listed(listed: Field) -> Iterator[tuple[Field, str, str]]:
    for entry in listed.items():
        name = entry.first("ObRegion", "ObCluster")
        yield name, name.name(_CLUSTER_LENGTH), entry["ObRootServiceInfoUrl"].name()


def _from_template(template: Field, names: Field) -> Iterator[tuple[Field, str, str]]:
    text = template.name()
    head, placeholder, _ = next((parts for mark in _PLACEHOLDERS if (parts := text.partition(mark))[1]), ("", "", ""))
    if not placeholder:
        raise MalformedConfigAnswer(f"{template.path} has neither {' nor '.join(_PLACEHOLDERS)} in it")
    for field in names.items():
        name = field.name(_CLUSTER_LENGTH)
        yield field, name, head + quote(name, safe="")


def _metadb_url(metadb: Field) -> str:
    metadb["DataBase"].text(_NAME_LENGTH)
    metadb["Password"].text(_PASSWORD_LENGTH)
    cluster = metadb["User"].text(_NAME_LENGTH).partition("#")[1:]
    if cluster[0] and cluster[1] != METADB:
        raise MalformedConfigAnswer(f"{metadb['User'].path} ends in {show('#' + cluster[1])}; '#{METADB}' is expected")
    return metadb["MetaDataBase"].text()


# ---- rslist -------------------------------------------------------------------


def read_rslist(body: bytes, cluster: str, cluster_id: int = 0, skipped: Skipped = lambda _: None) -> Rslist:
    """Read the rslist of a cluster, of one cluster id unless that is 0; an empty one is malformed."""
    real_name = cluster
    found: dict[int, SubCluster] = {}
    left_out: list[str] = []
    for field in _about(body, cluster, cluster_id):
        name, number = _real_name(field, cluster), _cluster_id(field)
        if found and name != real_name:
            raise MalformedConfigAnswer(f"{field.path} is about {show(name)}, but others about {show(real_name)}")
        if number in found:
            raise MalformedConfigAnswer(f"{field.path} is about cluster id {number}, as another one is")
        real_name = name
        found[number] = _sub_cluster(field, number, left_out.append)
    usable = tuple(one for one in found.values() if one.servers)
    if not usable and left_out:
        raise MalformedConfigAnswer(f"no server of the rslist of cluster {show(cluster)} can be used: {left_out[0]}")
    if not usable:
        raise MalformedConfigAnswer(f"the rslist of cluster {show(cluster)} is empty")
    left_out += [f"cluster id {one.cluster_id} has no servers" for one in found.values() if not one.servers]
    for reason in left_out:
        skipped(reason)
    return Rslist(cluster, real_name, usable)


def _sub_cluster(field: Field, cluster_id: int, skipped: Skipped) -> SubCluster:
    role = field["Type"]
    named = role.text().upper() if role.given and role.value not in ("", None) else ClusterRole.PRIMARY.value
    if named not in ClusterRole.__members__:
        role.refuse("PRIMARY or STANDBY")
    servers = _servers(field["RsList"].existing(), skipped)
    readonly = field["ReadonlyRsList"]
    kept = _servers(readonly, skipped) if readonly.given and readonly.value is not None else ()
    return SubCluster(cluster_id, ClusterRole[named], servers, kept)


def _servers(array: Field, skipped: Skipped) -> tuple[Address, ...]:
    leaders: list[Address] = []
    followers: list[Address] = []
    for item in array.items():
        role = item["role"]
        named = role.text().upper() if role.given else "FOLLOWER"
        if named not in ("LEADER", "FOLLOWER"):
            role.refuse("LEADER or FOLLOWER")
        address = _address(item, skipped)
        if address is not None:
            (leaders if named == "LEADER" else followers).append(address)
    return tuple(dict.fromkeys(leaders + followers))


def _address(item: Field, skipped: Skipped) -> Address | None:
    """Return the IP of ``address`` (its port is for others) with ``sql_port``; None if there is no such thing."""
    try:
        told, port = Address.parse(item["address"].text()), item["sql_port"]
        if not 0 < port.number() < 65536:
            port.refuse("a port from 1 to 65535")
    except BadAddress as exc:
        skipped(f"{item.path}: {exc}")
    except MalformedConfigAnswer as exc:
        skipped(str(exc))
    else:
        return Address(told.ip, port.number())
    return None


# ---- IDCs ---------------------------------------------------------------------


def read_idcs(body: bytes, cluster: str, cluster_id: int = 0, skipped: Skipped = lambda _: None) -> dict[str, str]:
    """Read a cluster's list of IDCs: region by IDC, the IDC in small letters.  It may be empty."""
    idcs: dict[str, str] = {}
    for field in _about(body, cluster, cluster_id):
        _real_name(field, cluster)
        for item in field["IDCList"].items():
            try:
                idcs.setdefault(item["idc"].name(_NAME_LENGTH).lower(), item["region"].name(_NAME_LENGTH))
            except MalformedConfigAnswer as exc:
                skipped(str(exc))
    return idcs


# ---- both ---------------------------------------------------------------------


def _about(body: bytes, cluster: str, cluster_id: int) -> list[Field]:
    """Return the objects of ``Data`` that are about a cluster id; raise if none is."""
    data = read_data(body)
    objects = list(data.items()) if isinstance(data.value, list) else [data]
    if not objects:
        raise MalformedConfigAnswer(f"Data is an empty array: nothing about cluster {show(cluster)}")
    for field in objects:
        _real_name(field, cluster)
    chosen = [field for field in objects if cluster_id in (0, _cluster_id(field))]
    if not chosen:
        told = ", ".join(str(_cluster_id(field)) for field in objects[:10])
        raise MalformedConfigAnswer(f"the answer is about cluster id {told}, not about {cluster_id}")
    return chosen


def _cluster_id(field: Field) -> int:
    number = field.first("ObRegionId", "ObClusterId")
    return number.number() if number.given else 0


def _real_name(field: Field, cluster: str) -> str:
    """Return how a cluster's servers name it; raise if the object is about another cluster."""
    given = [name for name in (field["ObRegion"], field["ObCluster"]) if name.given]
    if not given:
        field.first("ObRegion", "ObCluster").existing()
    names = [name.name(_CLUSTER_LENGTH) for name in given]
    if cluster in names:
        return cluster
    alias = field["ObClusterAlias"]
    if cluster != METADB and (not alias.given or alias.value != cluster):
        raise MalformedConfigAnswer(f"the answer is about cluster {show(names[0])}, not about {show(cluster)}")
    return names[0]
