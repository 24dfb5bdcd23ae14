"""The rows of ``SHOW PROXYCONFIG``: one record an option, and one a value of a narrower scope."""

from __future__ import annotations

import msgspec

from odp_trio.config.changes import GLOBAL, Scope, own_value, shown_value
from odp_trio.config.like import is_like
from odp_trio.config.options import Settings, options
from odp_trio.config.settings import Built, allowed, scoped_source
from odp_trio.config.visibility import visible_level


class ConfigRow(msgspec.Struct, frozen=True):
    """One value.  ``value`` is what is configured; ``running`` what is in force, where that takes a restart."""

    name: str
    value: str
    default: str
    info: str
    need_reboot: bool
    visible_level: str
    """``USER``, or ``SYS`` for what ODP thinks of as its operator's."""
    range: str
    config_level: str
    """Of a value: its own; of an option: the narrowest that it allows."""
    source: str
    running: str
    scope: Scope = GLOBAL


def config_rows(
    configured: Built, running: Settings, like: str = "%", *, diff: bool = False, all_scopes: bool = False
) -> list[ConfigRow]:
    """Return the options whose names are like a pattern; with ``diff`` those that are not at their defaults.

    ``all_scopes`` gives a row for each value of a cluster, a tenant or a user, too.
    """
    rows = []
    settings = configured.settings
    scopes: dict[str, list[Scope]] = {}
    for cluster, of_cluster in settings.clusters.items() if all_scopes else ():
        for (tenant, user), values in sorted(of_cluster.scopes.items()):
            for name in values:
                scopes.setdefault(name, []).append(Scope(cluster, tenant, user))
    for name, described in options().items():
        if not is_like(name, like):
            continue
        option = described.option
        for scope in (GLOBAL, *scopes.get(name, ())):
            value = own_value(settings, scope, name)
            if diff and value == described.default:
                continue
            narrowest = "LEVEL_USER" if option.scoped else "LEVEL_GLOBAL"
            key = name if scope == GLOBAL else scoped_source(scope.cluster, scope.tenant, scope.user, name)
            in_force = own_value(running, scope, name)
            rows.append(
                ConfigRow(
                    name=name,
                    value=shown_value(described, value),
                    default=shown_value(described, described.default),
                    info=option.text,
                    need_reboot=option.restart,
                    visible_level=visible_level(name),
                    range=allowed(described),
                    config_level=scope.level if all_scopes else narrowest,
                    source=configured.sources.get(key, "default"),
                    running="***" if option.kind == "secret" and in_force else shown_value(described, in_force),
                    scope=scope,
                )
            )
    return rows
