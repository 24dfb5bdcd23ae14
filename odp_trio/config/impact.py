"""The impact report: which foot-guns a change sets off, and for whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from odp_trio.config.changes import GLOBAL, Change, Impact, Scope, own_value, shown_value
from odp_trio.config.foot_gun import FootGun
from odp_trio.config.foot_guns import FOOT_GUNS
from odp_trio.config.options import Settings, options
from odp_trio.config.settings import Built, did_you_mean

_NAMED: Final = 5
"""Clusters that one line names."""
OF_LAYERS: Final[Mapping[str, str]] = {
    "stronger_at_start": "A stronger layer (environment, -o, a flag) has another value, which the next start takes.",
    "shadowed": "Clusters, tenants or users have values of their own, which stay in force for them.",
    "unknown_idc": "No zone of the cluster is in the IDC that proxy_idc_name names: all replicas are equally near.",
    "unknown_zone": "The cluster has no zone of a name in proxy_primary_zone_name.",
    "clients_beyond_the_limit": "More clients are there than client_max_connections lets in: they stay.",
}
"""What is told besides the foot-guns: what depends on layers, or on what the proxy has seen."""


class Seen(msgspec.Struct, frozen=True):
    """What a running proxy knows of its surroundings."""

    clients: int = 0
    idcs: Mapping[str, frozenset[str]] = {}
    """By cluster."""
    zones: Mapping[str, frozenset[str]] = {}
    """By cluster."""


def impacts(old: Settings | None, new: Settings, seen: Seen | None = None) -> tuple[Impact, ...]:
    """Return what to expect of new settings; with ``old``, only what the difference brings."""
    old = msgspec.structs.replace(Settings(), clusters=_bare(new)) if old is None else old
    found: list[Impact] = []
    for gun in FOOT_GUNS:
        found += _of_gun(gun, old, new)
    return (*found, *_of_surroundings(old, new, seen or Seen()))


def _bare(settings: Settings) -> dict[str, object]:
    return {name: msgspec.structs.replace(cluster, scopes={}) for name, cluster in settings.clusters.items()}


def _of_gun(gun: FootGun, old: Settings, new: Settings) -> list[Impact]:
    if not any(options()[name].option.scoped for name in gun.options):
        text = gun.told(old, new)
        return [Impact(gun.name, text)] if text else []
    texts: dict[str, list[str]] = {}
    has_others = bool(new.obproxy_config_server_url)
    if (has_others or not new.clusters) and (text := gun.told(old, new)):
        texts[text] = ["every cluster of the config server"] if has_others else []
    clusters: dict[str, str] = {}
    for cluster in new.clusters:
        if text := gun.told(old.scoped(cluster, "", ""), new.scoped(cluster, "", "")):
            clusters[cluster] = text
    for text in dict.fromkeys(clusters.values()):
        texts.setdefault(text, []).append(_clusters([name for name in clusters if clusters[name] == text]))
    told = [Impact(gun.name, f"{' and '.join(whom)}: {text}" if whom else text) for text, whom in texts.items()]
    for scope in _inner_scopes(old, new):
        if not _says(gun, old, new, scope):
            continue
        names = (scope.cluster, scope.tenant, scope.user)
        text = gun.told(old.scoped(*names), new.scoped(*names))
        if text and clusters.get(scope.cluster) != text:
            told.append(Impact(gun.name, f"{scope}: {text}"))
    return told


def _says(gun: FootGun, old: Settings, new: Settings, scope: Scope) -> bool:
    """Whether what a scope itself says of a foot-gun's options has changed."""
    return any(own_value(old, scope, name) != own_value(new, scope, name) for name in gun.options)


def _inner_scopes(old: Settings, new: Settings) -> list[Scope]:
    return sorted(
        {
            Scope(cluster, tenant, user)
            for settings in (old, new)
            for cluster, known in settings.clusters.items()
            for tenant, user in known.scopes
            if tenant
        }
    )


def _clusters(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"cluster {names[0]}"
    more = ", …" if len(names) > _NAMED else ""
    return f"{len(names)} clusters ({', '.join(names[:_NAMED])}{more})"


def _of_surroundings(old: Settings, new: Settings, seen: Seen) -> Iterable[Impact]:
    limit = new.client_max_connections
    if 0 < limit < seen.clients and limit != old.client_max_connections:
        yield Impact("clients_beyond_the_limit", f"{seen.clients} clients are there, {limit} may be: they stay")
    for cluster in sorted({*seen.idcs, *seen.zones}):
        before, after = (settings.scoped(cluster, "", "") for settings in (old, new))
        idc, idcs = after.proxy_idc_name, seen.idcs.get(cluster, frozenset())
        if idc and idcs and idc != before.proxy_idc_name and idc.lower() not in map(str.lower, idcs):
            near = did_you_mean(idc, sorted(idcs))
            text = f"cluster {cluster}: no zone is in IDC {idc!r}, so all replicas are equally near{near}"
            yield Impact("unknown_idc", text)
        wanted, zones = after.proxy_primary_zone_name, seen.zones.get(cluster, frozenset())
        if wanted and zones and wanted != before.proxy_primary_zone_name:
            for name in wanted.replace(";", ",").split(","):
                if name.strip() and name.strip() not in zones:
                    near = did_you_mean(name.strip(), sorted(zones))
                    yield Impact("unknown_zone", f"cluster {cluster}: there is no zone {name.strip()!r}{near}")


def of_layers(configured: Built, next_start: Built, changes: Sequence[Change]) -> tuple[Impact, ...]:
    """Return what the layers make of changes: values that the next start will not have, and values that win here."""
    found = []
    for name, scope in dict.fromkeys((change.name, change.scope) for change in changes):
        described = options()[name]
        now, then = (own_value(built.settings, scope, name) for built in (configured, next_start))
        if now != then:
            source = next_start.sources.get(name, "default")
            text = f"the next start takes {name} = {shown_value(described, then)!r} of {source}: change it there too"
            found.append(Impact("stronger_at_start", text))
        narrower = _narrower(configured.settings, name, scope)
        if narrower:
            text = f"{name} stays as it is for {', '.join(map(str, narrower[:_NAMED]))}"
            found.append(
                Impact("shadowed", text + (f" and {len(narrower) - _NAMED} more" if narrower[_NAMED:] else ""))
            )
    return tuple(found)


def _narrower(settings: Settings, name: str, scope: Scope) -> list[Scope]:
    """Return the scopes within one that have a value of their own."""
    found = []
    for cluster, known in settings.clusters.items():
        for (tenant, user), values in known.scopes.items():
            inner = Scope(cluster, tenant, user)
            within = scope == GLOBAL or (scope.cluster == cluster and scope.tenant in ("", tenant) and not scope.user)
            if name in values and inner != scope and within:
                found.append(inner)
    return sorted(found)
