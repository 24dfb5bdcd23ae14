"""From layers to Settings: merged weakest first, then checked as a whole.

Every mistake is reported, not only the first, each with the option, the value,
what is allowed and where it was written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from odp_trio.config.foreign import FOREIGN
from odp_trio.config.options import ClusterSettings, Described, Settings, options
from odp_trio.config.values import READERS, is_bare, masked_url, write_capacity, write_duration
from odp_trio.errors import ConfigError
from odp_trio.model import parse_rslist

_CLUSTER_KINDS: Final = {
    "rslist": "rslist",
    "cluster_id": "int",
    "observer_sys_user": "text",
    "observer_sys_password": "secret",
    "observer_sys_password1": "secret",
}
_SHOWN: Final = 60
"""Characters of a wrong value that an error repeats."""


class Layer(msgspec.Struct, frozen=True):
    """Values from one source.  ``lenient`` layers (ODP's -o) may name ODP options that mean nothing here."""

    source: str
    values: Mapping[str, Any]
    lenient: bool = False
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Layer({self.source!r}, {', '.join(self.values)})"  # not the values: passwords are among them


class Built(msgspec.Struct, frozen=True):
    """Settings, the source of every value that is not a default, and what was ignored."""

    settings: Settings
    sources: Mapping[str, str]
    warnings: tuple[str, ...]


def from_toml(text: str, source: str) -> Layer:
    """Read a TOML file's text; raise ConfigError with the place of a syntax error."""
    import tomllib  # a start by flags reads no file

    try:
        return Layer(source, tomllib.loads(text))
    except (ValueError, RecursionError) as exc:  # TOMLDecodeError, a number of thousands of digits, tables in tables
        raise ConfigError(f"{source}: not TOML: {exc}") from exc


def from_optstr(text: str) -> Layer:
    """Read ODP's ``-o name=value,name=value``."""
    values: dict[str, Any] = {}
    for number, item in enumerate(text.split(","), 1):
        name, equals, value = item.partition("=")
        if not equals and item.strip():  # it may be the rest of a password: not shown
            form = "name=value (a value cannot hold a comma; a URL has %2C for it)"
            raise ConfigError(f"-o: item {number} is not of the form {form}")
        if not equals:
            continue
        values[name.strip()] = value.strip()
    return Layer("-o", values, lenient=True)


def from_flags(values: Mapping[str, Any]) -> Layer:
    """Wrap what embedders or flags said; None is not said."""
    return Layer("command line", {name: value for name, value in values.items() if value is not None})


def build(*layers: Layer, base: Settings | None = None) -> Built:
    """Merge layers, weakest first, and check the whole; raise ConfigError naming every mistake.

    ``base`` is below all of them: the defaults, or settings that somebody made.
    """
    base = Settings() if base is None else base
    check = _Check(base)
    for layer in layers:
        check.warnings += layer.warnings
        for name, value in layer.values.items():
            check.take(layer, name, value)
    check.add_default_cluster()
    check.check_rslists()
    check.check_proxy_id()
    if check.mistakes:
        raise ConfigError("; ".join(check.mistakes))
    settings = msgspec.structs.replace(base, **check.values, clusters=check.clusters)
    return Built(settings, check.sources, tuple(check.warnings))


_PROXY_ID_V1: Final = 255


class _Check:
    """Collects values and mistakes."""

    def __init__(self, base: Settings) -> None:
        self.base = base
        self.values: dict[str, Any] = {}
        self.sources: dict[str, str] = {}
        self.clusters: dict[str, ClusterSettings] = dict(base.clusters)
        self.mistakes: list[str] = []
        self.without_rslist: dict[str, str] = {}
        self.warnings: list[str] = []

    def take(self, layer: Layer, name: str, value: Any) -> None:
        if name == "clusters":
            if not isinstance(value, dict):
                self.mistakes.append(f"{layer.source}: clusters = {_shown(value)} is no table: write [clusters.NAME]")
                return
            for cluster, table in value.items():
                self._take_cluster(layer, cluster, table)
        elif (described := options().get(name)) is not None:
            self._take_option(layer, described, value)
        elif name in FOREIGN:
            text = f"{layer.source}: {name} is an option of ODP that means nothing here: {FOREIGN[name]}"
            (self.warnings if layer.lenient else self.mistakes).append(text)
        else:
            self.mistakes.append(f"{layer.source}: {name!r} is unknown{did_you_mean(name, (*options(), 'clusters'))}")

    def _take_option(self, layer: Layer, described: Described, value: Any) -> None:
        try:
            self.values[described.name] = read_option(described, value, as_odp=layer.lenient)
            self.sources[described.name] = layer.source
        except ConfigError as exc:
            self.mistakes.append(f"{layer.source}: {exc}")

    def _take_cluster(self, layer: Layer, name: str, table: Any) -> None:
        where = f"{layer.source}: [clusters.{name}]"
        try:
            if not READERS["text"](name):
                raise ConfigError("is empty")
        except ConfigError as exc:
            self.mistakes.append(f"{layer.source}: clusters: the name {_shown(name)} {exc}")
            return
        if not isinstance(table, dict):
            self.mistakes.append(f"{where}: must be a table")
            return
        known = self.clusters.get(name, ClusterSettings(()))
        if "rslist" not in table:
            self.without_rslist.setdefault(name, where)
        values: dict[str, Any] = {}
        mistakes = len(self.mistakes)
        scopes = {scope: dict(named) for scope, named in known.scopes.items()}
        for key, value in table.items():
            try:
                if key == "tenants" or is_scoped(key):
                    continue
                values[key] = _read_cluster_key(key, value)
            except ConfigError as exc:
                self.mistakes.append(f"{where}: {exc}")
        mine: list[tuple[str, str, str]] = []
        self._take_scope(where, ("", ""), {key: table[key] for key in table if is_scoped(key)}, scopes, mine)
        for tenant, inner in self._tables(where, "tenants", table):
            below = f"{where[:-1]}.tenants.{tenant}]"
            self._take_scope(below, (tenant, ""), {key: inner[key] for key in inner if key != "users"}, scopes, mine)
            for user, options_of_user in self._tables(below, "users", inner):
                self._take_scope(f"{below[:-1]}.users.{user}]", (tenant, user), options_of_user, scopes, mine)
        if len(self.mistakes) == mistakes:
            self.clusters[name] = msgspec.structs.replace(known, **values, scopes=scopes)
            if values or f"clusters.{name}" not in self.sources:
                self.sources[f"clusters.{name}"] = layer.source
            self.sources |= {scoped_source(name, *scoped): layer.source for scoped in mine}

    def _tables(self, where: str, key: str, table: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
        """Return the named tables under a key."""
        named = table.get(key, {})
        if isinstance(named, dict) and all(isinstance(inner, dict) for inner in named.values()):
            return list(named.items())
        self.mistakes.append(f"{where}: {key} must hold tables: [clusters.NAME.{key}.…]")
        return []

    def _take_scope(
        self,
        where: str,
        scope: tuple[str, str],
        table: Mapping[str, Any],
        scopes: dict[tuple[str, str], dict[str, Any]],
        taken: list[tuple[str, str, str]],
    ) -> None:
        """Read options for a cluster, a tenant or a user; ``taken`` gets tenant, user and name of each."""
        for key, value in table.items():
            if not is_scoped(key):
                known = tuple(name for name, described in options().items() if described.option.scoped)
                far = f"; {key} can only be set for the whole proxy" if key in options() else did_you_mean(key, known)
                self.mistakes.append(f"{where}: {key!r} cannot be set here{far}")
                continue
            try:
                scopes.setdefault(scope, {})[key] = read_option(options()[key], value)
                taken.append((*scope, key))
            except ConfigError as exc:
                self.mistakes.append(f"{where}: {exc}")

    @property
    def _has_config_server(self) -> bool:
        return bool(self.value("obproxy_config_server_url"))

    def value(self, name: str) -> Any:
        """Return the value so far."""
        return self.values.get(name, getattr(self.base, name))

    def check_rslists(self) -> None:
        """Without a config server every cluster needs its rslist."""
        if not self._has_config_server:
            self.mistakes += [
                f'{where}: a cluster needs rslist = "ip:port;ip:port"'
                for name, where in self.without_rslist.items()
                if name not in self.clusters or not self.clusters[name].rslist
            ]

    def check_proxy_id(self) -> None:
        """Connection ids of version 1 have fewer bits for it."""
        number = self.value("proxy_id")
        if self.value("client_session_id_version") == 1 and number > _PROXY_ID_V1:
            self.mistakes.append(f"proxy_id = {number} is above {_PROXY_ID_V1} (client_session_id_version = 1)")

    def add_default_cluster(self) -> None:
        """-r and -c name a cluster too; -r needs -c, and -c alone must pick a configured one."""
        rslist, name = self.value("rootservice_list"), self.value("rootservice_cluster_name")
        if rslist and not name:
            self.mistakes.append("rootservice_list (-r) needs rootservice_cluster_name (-c)")
        elif rslist:
            source = self.sources.get("rootservice_list", "settings")
            try:
                known = self.clusters.get(name) or ClusterSettings(rslist=())
                self.clusters[name] = msgspec.structs.replace(known, rslist=parse_rslist(rslist))
                self.sources[f"clusters.{name}"] = source
            except ConfigError as exc:
                self.mistakes.append(f"{source}: rootservice_list: {exc}")
        elif name and name not in self.clusters and not self.mistakes and not self._has_config_server:
            near = did_you_mean(name, tuple(self.clusters))
            self.mistakes.append(
                f"rootservice_cluster_name: cluster {name!r} is not configured and has no rslist{near}"
            )


def scoped_source(cluster: str, tenant: str, user: str, name: str) -> str:
    """Return the key of ``Built.sources`` for a value of a cluster, a tenant or a user."""
    return f"clusters.{cluster}.tenants.{tenant}.users.{user}.{name}"


def is_scoped(name: str) -> bool:
    """Whether an option may be set for a cluster, a tenant or a user."""
    described = options().get(name)
    return described is not None and described.option.scoped


def _read_cluster_key(key: str, value: Any) -> Any:
    kind = _CLUSTER_KINDS.get(key)
    if kind is None:
        raise ConfigError(f"{key!r} is unknown{did_you_mean(key, tuple(_CLUSTER_KINDS))}")
    try:
        result = READERS[kind](value)
        if isinstance(result, int) and not 0 <= result < 1 << 63:
            raise ConfigError("is out of range: 0 to 2^63 - 1")
        return parse_rslist(str(result)) if kind == "rslist" else result
    except ConfigError as exc:
        raise ConfigError(f"{key} = {'***' if kind == 'secret' else _shown(value)}: {exc}") from exc


def read_option(described: Described, value: Any, *, as_odp: bool = False) -> Any:
    """Read one option's value and check its range; raise ConfigError naming option, value and what is allowed.

    ``as_odp`` reads a bare number in ODP's own unit.
    """
    option = described.option
    masked = masked_url(value) if option.kind == "url" and isinstance(value, str) else value
    shown = f"{described.name} = {'***' if option.kind == 'secret' else _shown(masked)}"
    if option.odp_unit and is_bare(value):
        if not as_odp:
            raise ConfigError(f'{shown} needs a unit, as in "15s": {allowed(described)}')
        value = f"{value}{option.odp_unit}"
    try:
        result = READERS[option.kind](value)
    except ConfigError as exc:
        raise ConfigError(f"{shown} {exc}") from exc
    if isinstance(result, int | float) and not isinstance(result, bool):
        low, high = option.low, option.high
        if (low is not None and not result >= low) or (high is not None and not result <= high):
            raise ConfigError(f"{shown} is out of range: {allowed(described)}")
    if option.choices and result not in option.choices:
        raise ConfigError(f"{shown} is none of {', '.join(option.choices)}")
    return result


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # an int too long to be written
        return "(a very long number)"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def allowed(described: Described) -> str:
    """Return the range of an option in words."""
    option = described.option
    if option.choices:
        return " | ".join(option.choices)
    if option.low is None and option.high is None:
        return option.kind
    low, high = (_bound_text(option.kind, bound) for bound in (option.low, option.high))
    return f"{low} to {high}"


def _bound_text(kind: str, bound: float | None) -> str:
    match kind:
        case _ if bound is None:
            return ""
        case "duration":
            return write_duration(bound)
        case "capacity":
            return write_capacity(int(bound))
        case _:
            return f"{bound:g}"


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """Return a hint at the name that is nearest to an unknown one; empty if none is near."""
    import difflib  # where nobody is mistaken it is not needed

    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
