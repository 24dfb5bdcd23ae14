"""Where settings come from, weakest first: a file, what was kept of changes at run time, the environment, -o, flags.

Changes of this process are above all of these; the next start finds them where
they are kept, below environment, ``-o`` and flags, as ODP has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from odp_trio.config.changes import GLOBAL, Overlay, Scope
from odp_trio.config.options import Settings, options
from odp_trio.config.render import toml_key, toml_value
from odp_trio.config.settings import Built, Layer, build
from odp_trio.errors import ConfigError

KEPT_NAME: Final = "proxyconfig.toml"
ALTERED: Final = "ALTER PROXYCONFIG"
_HEAD: Final = """\
# What ALTER PROXYCONFIG has set: above odp.toml, below environment, -o and flags.
# Written whole at each change; what is edited here is read at the next start.
"""


class Sources(msgspec.Struct, frozen=True):
    """All layers of one process."""

    weaker: tuple[Layer, ...] = ()
    """Below what is kept: a file."""
    kept: Overlay = Overlay()
    kept_in: str = ""
    """The file for it; empty: nothing is kept."""
    stronger: tuple[Layer, ...] = ()
    altered: Overlay = Overlay()
    """Changes of this process."""
    base: Settings | None = None

    def build(self) -> Built:
        """Return the settings; raise ConfigError naming every mistake."""
        kept = self.kept.layer(self.kept_in)
        return build(*self.weaker, kept, *self.stronger, self.altered.layer(ALTERED), base=self.base)

    def next_start(self) -> Built:
        """Return the settings that the next start would have, as far as this process knows."""
        return build(*self.weaker, self.kept.layer(self.kept_in), *self.stronger, base=self.base)


def render_kept(kept: Overlay) -> str:
    """Write the file of what is kept."""
    lines = [_HEAD]
    lines += [f"{name} = {toml_value(value)}" for name, value in kept.values.get(GLOBAL, {}).items()]
    for scope in sorted(kept.values):
        if scope == GLOBAL:
            continue
        path = ["clusters", scope.cluster]
        for key, name in (("tenants", scope.tenant), ("users", scope.user)):
            path += [key, name] if name else []
        lines += ["", f"[{'.'.join(map(toml_key, path))}]"]
        lines += [f"{name} = {toml_value(value)}" for name, value in kept.values[scope].items()]
    return "\n".join(lines) + "\n"


def overlay_of(layer: Layer) -> Overlay:
    """Take the layer of a file that ``render_kept`` wrote apart; raise ConfigError for what it never writes."""
    values: dict[Scope, dict[str, Any]] = {}

    def take(scope: Scope, table: Mapping[str, Any], below: str) -> None:
        for name, value in table.items():
            if name != below:
                if name not in options():
                    build(layer)  # says what is wrong, and where
                    raise ConfigError(f"{layer.source}: {name!r} is not kept there")
                values.setdefault(scope, {})[name] = value

    def inner(table: Mapping[str, Any], key: str) -> list[tuple[str, Mapping[str, Any]]]:
        found = table.get(key, {})
        if not isinstance(found, dict) or not all(isinstance(value, dict) for value in found.values()):
            raise ConfigError(f"{layer.source}: {key} must hold tables")
        return list(found.items())

    take(GLOBAL, layer.values, "clusters")
    for cluster, of_cluster in inner(layer.values, "clusters"):
        take(Scope(cluster), of_cluster, "tenants")
        for tenant, of_tenant in inner(of_cluster, "tenants"):
            take(Scope(cluster, tenant), of_tenant, "users")
            for user, of_user in inner(of_tenant, "users"):
                take(Scope(cluster, tenant, user), of_user, "")
    return Overlay(values)
