"""The table of options as text: etc/odp.toml, docs/options.md, and the settings in force."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from odp_trio.config.options import Described, options
from odp_trio.config.settings import Built, allowed
from odp_trio.config.values import Secret, masked_url, write_capacity, write_duration

_HEAD = """\
# Settings of odp-trio.  Every option is shown with its default; remove the '#' to change it.
# Check a file with: odp-trio check-config FILE
# Made from the table of options (nox -s docs); a test holds it against the table.
"""

_CLUSTERS = """
# ---- Clusters that may be logged in to; any number of them ----
# Behind all options above: TOML tables come last.

# [clusters.demo]
# rslist = "10.0.0.1:2881;10.0.0.2:2881"   # sql ports; not every server needs to be named
# cluster_id = 1                           # told to servers, which check it; none: not told
# observer_sys_user = "proxyro"            # as above, for this cluster
# observer_sys_password = ""
# observer_sys_password1 = ""
# proxy_idc_name = "hz1"                   # options marked "also for a cluster, a tenant, a user"

# [clusters.demo.tenants.reports]
# obproxy_read_consistency = 1

# [clusters.demo.tenants.reports.users.batch]
# proxy_route_policy = "FOLLOWER_ONLY"
"""


def value_text(described: Described, value: Any) -> str:
    """Write a value as TOML; a secret, and what may be one in a URL, as ``***``."""
    if isinstance(value, Secret):
        return '"***"' if value else '""'
    if isinstance(value, bool):
        return str(value).lower()
    if described.option.kind == "duration":
        return f'"{write_duration(value)}"'
    if described.option.kind == "capacity":
        return f'"{write_capacity(value)}"'
    if described.option.kind == "url":
        return _quoted(masked_url(value))
    return _quoted(value) if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)


def _quoted(text: str) -> str:
    """Write a TOML string: what JSON escapes TOML escapes alike."""
    return msgspec.json.encode(text).decode()


def toml_key(name: str) -> str:
    """Write a TOML key, quoted where it must be."""
    return name if re.fullmatch("[A-Za-z0-9_-]+", name) else _quoted(name)


def toml_value(value: Any) -> str:
    """Write a value of a TOML file."""
    if isinstance(value, bool):
        return str(value).lower()
    return _quoted(value) if isinstance(value, str) else repr(value)


def written(described: Described, value: Any) -> Any:
    """Return a value as a file has it: what reading it gives again, secrets in clear."""
    if isinstance(value, Secret):
        return value.value
    if described.option.kind == "duration":
        return write_duration(value)
    return write_capacity(value) if described.option.kind == "capacity" else value


def render_example() -> str:
    """Return the text of etc/odp.toml."""
    lines = [_HEAD.rstrip()]
    for described in options().values():
        option = described.option
        if option.section:
            lines += ["", f"# ---- {option.section} ----"]
        notes = [allowed(described)]
        if option.odp_unit:
            notes.append("always with a unit")
        if option.restart:
            notes.append("takes effect at a restart")
        elif option.takes:
            notes.append(f"takes effect for {option.takes}")
        if option.scoped:
            notes.append("also for a cluster, a tenant, a user")
        lines += ["", f"# {option.text}", f"# ({'; '.join(notes)})"]
        lines.append(f"# {described.name} = {value_text(described, described.default)}")
    return "\n".join(lines) + "\n" + _CLUSTERS


def render_markdown() -> str:
    """Return docs/options.md."""
    lines = [
        "# Options",
        "",
        "Written in a TOML file (`odp-trio run --config FILE`), as `-o name=value,name=value`, as variables of the "
        "environment or by `ALTER PROXYCONFIG`: see [configuration.md](configuration.md).",
        "Names are those of ODP where ODP has the option. Durations are written `15s`, `10ms`, `2h`.",
        "This page is made from the table of options; a test holds it against the table.",
    ]
    for described in options().values():
        option = described.option
        if option.section:
            lines += [
                "",
                f"## {option.section}",
                "",
                "| option | default | allowed | a change is in force | scopes | ODP | meaning |",
            ]
            lines += ["|---|---|---|---|---|---|---|"]
        default = value_text(described, described.default)
        flags = " | ".join("yes" if flag else "no" for flag in (option.scoped, not option.own))
        words = allowed(described).replace("|", "or")
        lines.append(f"| `{described.name}` | `{default}` | {words} | {option.in_force} | {flags} | {option.text} |")
    lines += ["", "## `[clusters.NAME]`", "", "| key | meaning |", "|---|---|"]
    lines += [
        '| `rslist` | root servers, `"ip:port;ip:port"` or a list; SQL ports |',
        "| `cluster_id` | told to servers, which check it; without one nothing is told |",
        "| `observer_sys_user`, `observer_sys_password`, `observer_sys_password1` | as above, for this cluster |",
    ]
    lines += [
        "| `tenants.TENANT`, `tenants.TENANT.users.USER` | tables of options that have scopes; such an option may also "
        "stand in the cluster's own table. User beats tenant beats cluster beats the whole proxy |",
    ]
    return "\n".join(lines) + "\n"


def effective(built: Built) -> str:
    """Return the settings in force as TOML, each with where it comes from; secrets masked."""
    lines = []
    for described in options().values():
        source = built.sources.get(described.name, "default")
        lines.append(f"{described.name} = {value_text(described, getattr(built.settings, described.name))}  # {source}")
    for name, cluster in built.settings.clusters.items():
        lines += ["", f"[clusters.{toml_key(name)}]  # {built.sources.get(f'clusters.{name}', 'default')}"]
        lines.append(f"rslist = {_quoted(';'.join(map(str, cluster.rslist)))}")
        if cluster.cluster_id is not None:
            lines.append(f"cluster_id = {cluster.cluster_id}")
        if cluster.observer_sys_user:
            lines.append(f"observer_sys_user = {_quoted(cluster.observer_sys_user)}")
        for key in ("observer_sys_password", "observer_sys_password1"):
            if getattr(cluster, key):
                lines.append(f'{key} = "***"')
        for (tenant, user), values in cluster.scopes.items():
            if tenant:
                below = f".users.{toml_key(user)}" if user else ""
                lines += ["", f"[clusters.{toml_key(name)}.tenants.{toml_key(tenant)}{below}]"]
            lines += [f"{option} = {value_text(options()[option], value)}" for option, value in values.items()]
    return "\n".join(lines) + "\n"


def _json_value(described: Described, value: Any) -> Any:
    if described.option.kind == "url":
        return masked_url(value)
    return str(value) if isinstance(value, Secret) else value


def effective_json(built: Built, impacts: Sequence[msgspec.Struct] = ()) -> bytes:
    """Return the same as JSON, with what to expect of it."""
    values = {
        name: {
            "value": _json_value(described, value),
            "source": built.sources.get(name, "default"),
        }
        for name, described in options().items()
        for value in (getattr(built.settings, name),)
    }
    clusters = {name: [str(address) for address in c.rslist] for name, c in built.settings.clusters.items()}
    record = {"options": values, "clusters": clusters, "warnings": built.warnings, "impacts": impacts}
    return msgspec.json.encode(record)
