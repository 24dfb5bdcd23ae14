"""From layers to Settings: merged weakest first, then checked as a whole.

Every mistake is reported, not only the first, each with the option, the value,
what is allowed and where it was written.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from odp_trio.config.foreign import FOREIGN
from odp_trio.config.options import ClusterSettings, Described, Settings, options
from odp_trio.config.values import READERS, Secret, write_duration
from odp_trio.errors import ConfigError
from odp_trio.model import parse_rslist

_CLUSTER_KEYS = ("rslist", "observer_sys_user", "observer_sys_password", "observer_sys_password1")


class Layer(msgspec.Struct, frozen=True):
    """Values from one source.  ``lenient`` layers (ODP's -o) may name ODP options that mean nothing here."""

    source: str
    values: Mapping[str, Any]
    lenient: bool = False


class Built(msgspec.Struct, frozen=True):
    """Settings, the source of every value that is not a default, and what was ignored."""

    settings: Settings
    sources: Mapping[str, str]
    warnings: tuple[str, ...]


def from_toml(text: str, source: str) -> Layer:
    """Read a TOML file's text; raise ConfigError with the place of a syntax error."""
    try:
        return Layer(source, tomllib.loads(text))
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"{source}: not TOML: {exc}") from exc


def from_optstr(text: str) -> Layer:
    """Read ODP's ``-o name=value,name=value``."""
    values: dict[str, Any] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = item.partition("=")
        if not equals:
            raise ConfigError(f"-o: {item!r} is not of the form name=value")
        values[name.strip()] = value.strip()
    return Layer("-o", values, lenient=True)


def from_flags(values: Mapping[str, Any]) -> Layer:
    """Wrap what command-line flags said; None is not said."""
    return Layer("command line", {name: value for name, value in values.items() if value is not None})


def build(*layers: Layer) -> Built:
    """Merge layers, weakest first, and check the whole; raise ConfigError naming every mistake."""
    check = _Check()
    for layer in layers:
        for name, value in layer.values.items():
            check.take(layer, name, value)
    check.add_default_cluster()
    if check.mistakes:
        raise ConfigError("; ".join(check.mistakes))
    settings = Settings(**check.values, clusters=check.clusters)
    return Built(settings, check.sources, tuple(check.warnings))


class _Check:
    """Collects values and mistakes."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.sources: dict[str, str] = {}
        self.clusters: dict[str, ClusterSettings] = {}
        self.mistakes: list[str] = []
        self.warnings: list[str] = []

    def take(self, layer: Layer, name: str, value: Any) -> None:
        if name == "clusters" and isinstance(value, dict):
            for cluster, table in value.items():
                self._take_cluster(layer, cluster, table)
        elif (described := options().get(name)) is not None:
            self._take_option(layer, described, value)
        elif name in FOREIGN:
            text = f"{layer.source}: {name} is an option of ODP that means nothing here"
            (self.warnings if layer.lenient else self.mistakes).append(text)
        else:
            self.mistakes.append(f"{layer.source}: {name!r} is unknown{_did_you_mean(name, (*options(), 'clusters'))}")

    def _take_option(self, layer: Layer, described: Described, value: Any) -> None:
        try:
            self.values[described.name] = read_option(described, value)
            self.sources[described.name] = layer.source
        except ConfigError as exc:
            self.mistakes.append(f"{layer.source}: {exc}")

    def _take_cluster(self, layer: Layer, name: str, table: Any) -> None:
        where = f"{layer.source}: [clusters.{name}]"
        if not isinstance(table, dict) or "rslist" not in table:
            self.mistakes.append(f'{where}: a cluster needs rslist = "ip:port;ip:port"')
            return
        for key in table:
            if key not in _CLUSTER_KEYS:
                self.mistakes.append(f"{where}: {key!r} is unknown{_did_you_mean(key, _CLUSTER_KEYS)}")
        try:
            self._add_cluster(name, READERS["rslist"](table["rslist"]), table)
            self.sources[f"clusters.{name}"] = layer.source
        except ConfigError as exc:
            self.mistakes.append(f"{where}: rslist: {exc}")

    def _add_cluster(self, name: str, rslist: object, table: Mapping[str, Any]) -> None:
        self.clusters[name] = ClusterSettings(
            rslist=parse_rslist(str(rslist)),
            observer_sys_user=str(table.get("observer_sys_user", "")),
            observer_sys_password=Secret(str(table.get("observer_sys_password", ""))),
            observer_sys_password1=Secret(str(table.get("observer_sys_password1", ""))),
        )

    def add_default_cluster(self) -> None:
        """-r and -c name a cluster too; -r needs -c, and -c alone must pick a configured one."""
        rslist, name = self.values.get("rootservice_list", ""), self.values.get("rootservice_cluster_name", "")
        if rslist and not name:
            self.mistakes.append("rootservice_list (-r) needs rootservice_cluster_name (-c)")
        elif rslist:
            try:
                self._add_cluster(name, rslist, {})
            except ConfigError as exc:
                self.mistakes.append(f"{self.sources['rootservice_list']}: rootservice_list: {exc}")
        elif name and name not in self.clusters and not self.mistakes:
            near = _did_you_mean(name, tuple(self.clusters))
            self.mistakes.append(
                f"rootservice_cluster_name: cluster {name!r} is not configured and has no rslist{near}"
            )


def read_option(described: Described, value: Any) -> Any:
    """Read one option's value and check its range; raise ConfigError naming option, value and what is allowed."""
    option = described.option
    shown = "***" if option.kind == "secret" else repr(value)
    try:
        result = READERS[option.kind](value)
    except ConfigError as exc:
        raise ConfigError(f"{described.name} = {shown} {exc}") from exc
    if isinstance(result, int | float) and not isinstance(result, bool):
        low, high = option.low, option.high
        if (low is not None and result < low) or (high is not None and not result <= high):
            raise ConfigError(f"{described.name} = {shown} is out of range: {allowed(described)}")
    if option.choices and result not in option.choices:
        raise ConfigError(f"{described.name} = {shown} is none of {', '.join(option.choices)}")
    if described.name == "mysql_version" and not str(result).replace(".", "").isdigit():
        raise ConfigError(f"{described.name} = {shown} is not made of digits and dots")
    return result


def allowed(described: Described) -> str:
    """Return the range of an option in words."""
    option = described.option
    if option.choices:
        return " | ".join(option.choices)
    if option.low is None and option.high is None:
        return option.kind
    low, high = (
        "" if bound is None else write_duration(bound) if option.kind == "duration" else f"{bound:g}"
        for bound in (option.low, option.high)
    )
    return f"{low} to {high}"


def _did_you_mean(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
