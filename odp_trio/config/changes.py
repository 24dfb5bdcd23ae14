"""A change at run time: what is asked for, applied to the layers, and what came of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from odp_trio.config.foreign import FOREIGN
from odp_trio.config.options import Described, Settings, options
from odp_trio.config.render import value_text, written
from odp_trio.config.settings import Built, Layer, did_you_mean, is_scoped, read_option
from odp_trio.config.values import Secret, hidden
from odp_trio.errors import ConfigError, FixedOption, ForeignOption, UnknownOption

FIXED: Mapping[str, str] = {
    "etc_dir": "what is kept is read from there",
    "app_name": "it names this process from its start on: give it to the start (-n)",
    "rootservice_cluster_name": "it names a cluster of the start: give it to the start (-c)",
    "rootservice_list": "it names a cluster of the start: give it to the start (-r)",
}
"""Options that only a start can set, and why."""
PASSWORDS = ("observer_sys_password", "observer_sys_password1", "obproxy_sys_password", "inspector_password")
"""Passwords of MySQL accounts: their SHA1 is enough to use them."""


class Scope(msgspec.Struct, frozen=True, order=True):
    """For whom a value holds: for all, or for a cluster, one tenant of it, one user of that."""

    cluster: str = ""
    tenant: str = ""
    user: str = ""

    def __str__(self) -> str:
        words = (("cluster", self.cluster), ("tenant", self.tenant), ("user", self.user))
        return " ".join(f"{word} {name}" for word, name in words if name)

    @property
    def level(self) -> str:
        """ODP's word for it."""
        if not self.cluster:
            return "LEVEL_GLOBAL"
        return "LEVEL_USER" if self.user else "LEVEL_TENANT" if self.tenant else "LEVEL_CLUSTER"


GLOBAL = Scope()


class Change(msgspec.Struct, frozen=True):
    """An option that is to have another value; None: what was set at run time is forgotten.

    A value is text as an operator writes it, or what a TOML file may hold.
    """

    name: str
    value: Any
    scope: Scope = GLOBAL


class Changed(msgspec.Struct, frozen=True):
    """What a change did to one option, in words; secrets are ``***``."""

    name: str
    old: str
    new: str
    scope: Scope = GLOBAL
    restart: bool = False
    """It is kept, and takes effect at the next start."""
    in_force: str = "at once"
    """``at once``, ``at the next start``, or ``for`` those who come from now on."""

    def __str__(self) -> str:
        whom = f" for {self.scope}" if self.scope != GLOBAL else ""
        later = "" if self.in_force == "at once" else f", in force {self.in_force}"
        return f"{self.name}{whom}: {self.old!r} -> {self.new!r}{later}"


class Impact(msgspec.Struct, frozen=True):
    """What somebody may not expect of a setting."""

    name: str
    """Of the foot-gun, as docs/configuration.md lists it."""
    text: str


class AlterReport(msgspec.Struct, frozen=True):
    """What ``ALTER PROXYCONFIG`` did, or with ``dry_run`` would do."""

    changed: tuple[Changed, ...] = ()
    impacts: tuple[Impact, ...] = ()
    dry_run: bool = False
    kept_in: str = ""
    """The file that the next start reads; empty: nothing is kept."""


class Overlay(msgspec.Struct, frozen=True):
    """Values by scope and option, as they were asked for: what was set at run time."""

    values: Mapping[Scope, Mapping[str, Any]] = {}

    def having(self, changes: Sequence[Change]) -> Overlay:
        """Return a copy with changes."""
        values = {scope: dict(named) for scope, named in self.values.items()}
        for change in changes:
            named = values.setdefault(change.scope, {})
            named.pop(change.name, None)
            if change.value is not None:
                named[change.name] = change.value
        return Overlay({scope: named for scope, named in values.items() if named})

    def layer(self, source: str) -> Layer:
        """Return it in the form of a file."""
        layer = dict(self.values.get(GLOBAL, {}))
        for scope, named in sorted(self.values.items(), key=lambda item: item[0]):
            if scope == GLOBAL:
                continue
            table = layer.setdefault("clusters", {}).setdefault(scope.cluster, {})
            for key, name in (("tenants", scope.tenant), ("users", scope.user)):
                table = table.setdefault(key, {}).setdefault(name, {}) if name else table
            table |= named
        return Layer(source, layer)


def canonical(changes: Sequence[Change]) -> tuple[Change, ...]:
    """Return changes with values as a file has them; raise ConfigError naming every one that cannot be read."""
    mistakes: list[ConfigError] = []
    found = []
    for change in changes:
        try:
            described = _described(change.name)
            value = change.value
            if value is not None:
                value = written(described, _hashed(change.name, read_option(described, value, as_odp=True)))
            found.append(msgspec.structs.replace(change, value=value))
        except ConfigError as exc:
            mistakes.append(exc)
    _raise(mistakes)
    return tuple(found)


def check_scopes(changes: Sequence[Change], settings: Settings) -> None:
    """Raise ConfigError naming every change for what is no scope of its option."""
    mistakes: list[ConfigError] = []
    for change in changes:
        try:
            _check_scope(change, settings)
        except ConfigError as exc:
            mistakes.append(exc)
    _raise(mistakes)


def _raise(mistakes: Sequence[ConfigError]) -> None:
    """Raise all mistakes as one, of the kind of the first."""
    if mistakes:
        raise type(mistakes[0])("; ".join(map(str, mistakes))) from None


def _described(name: str) -> Described:
    described = options().get(name)
    if described is None:
        if name in FOREIGN:
            raise ForeignOption(f"{name} is an option of ODP that means nothing here: {FOREIGN[name]}")
        raise UnknownOption(f"{name!r} is unknown{did_you_mean(name, tuple(options()))}")
    if name in FIXED:
        raise FixedOption(f"{name} cannot be set at run time: {FIXED[name]}")
    return described


def _hashed(name: str, value: Any) -> Any:
    """Return what is kept of a password of MySQL's: its SHA1, as ODP has it."""
    if name in PASSWORDS and value and not re.fullmatch("[0-9a-fA-F]{40}", value.value):
        return Secret(hashlib.sha1(value.value.encode()).hexdigest())
    return value


def _check_scope(change: Change, settings: Settings) -> None:
    name, scope = change.name, change.scope
    if scope == GLOBAL:
        return
    if not is_scoped(name):
        raise ConfigError(f"{name} can only be set for the whole proxy, not for {scope}")
    if not scope.cluster or (scope.user and not scope.tenant):
        raise ConfigError(f"{name} for {scope}: a tenant is one of a cluster, a user one of a tenant; name these too")
    if scope.cluster not in settings.clusters and not settings.obproxy_config_server_url:
        near = did_you_mean(scope.cluster, tuple(settings.clusters))
        raise ConfigError(f"{name} for {scope}: cluster {scope.cluster!r} is not configured{near}")


def own_value(settings: Settings, scope: Scope, name: str) -> Any:
    """Return what a scope itself says of an option; None if nothing."""
    if scope == GLOBAL:
        return getattr(settings, name)
    cluster = settings.clusters.get(scope.cluster)
    return None if cluster is None else cluster.scopes.get((scope.tenant, scope.user), {}).get(name)


def shown_value(described: Described, value: Any) -> str:
    """Write a value as ``SHOW PROXYCONFIG`` has it: as TOML without quotes, secrets masked."""
    if value is None:
        return ""
    if isinstance(value, str | Secret):
        return hidden(described.option.kind, value)
    return value_text(described, value).strip('"')


def differences(old: Built, new: Built, changes: Sequence[Change]) -> tuple[Changed, ...]:
    """Return what became of the options that changes name."""
    found = []
    for scope, name in dict.fromkeys((change.scope, change.name) for change in changes):
        described = options()[name]
        before, after = (own_value(built.settings, scope, name) for built in (old, new))
        texts = [shown_value(described, value) for value in (before, after)]
        option = described.option
        found.append(Changed(name, texts[0], texts[1], scope, option.restart, option.in_force))
    return tuple(found)


def differing(old: Settings, new: Settings) -> list[Change]:
    """Return the options that are different, by scope, as changes of no value."""
    found = [Change(name, None) for name in options() if getattr(old, name) != getattr(new, name)]
    for cluster in dict.fromkeys((*old.clusters, *new.clusters)):
        scopes = [settings.clusters[cluster].scopes if cluster in settings.clusters else {} for settings in (old, new)]
        for tenant, user in dict.fromkeys((*scopes[0], *scopes[1])):
            before, after = (scope.get((tenant, user), {}) for scope in scopes)
            names = [name for name in dict.fromkeys((*before, *after)) if before.get(name) != after.get(name)]
            found += [Change(name, None, Scope(cluster, tenant, user)) for name in names]
    return found


def running(configured: Settings, started: Settings) -> Settings:
    """Return what is in force: options that take effect at a restart are as they were at the start."""
    kept = {name: getattr(started, name) for name, described in options().items() if described.option.restart}
    return msgspec.structs.replace(configured, **kept)
