"""Variables of the environment that are options: ODP's own, those of its container, and ``ODP_`` before any option."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from odp_trio.config.settings import Layer

PLAIN: Final[Mapping[str, str]] = {
    "observer_sys_password": "observer_sys_password",
    "observer_sys_password1": "observer_sys_password1",
    "APP_NAME": "app_name",
    "CONFIG_URL": "obproxy_config_server_url",
    "OB_CLUSTER": "rootservice_cluster_name",
    "RS_LIST": "rootservice_list",
    "PROXYRO_PASSWORD": "observer_sys_password",
    "PROXYRO_PASSWORD_HASH": "observer_sys_password",
    "PROXYSYS_PASSWORD": "obproxy_sys_password",
    "PROXYSYS_PASSWORD_HASH": "obproxy_sys_password",
}
"""Variable and option, weakest first.  The first two are ODP's own, the others those of its container."""
PREFIX: Final = "ODP_"
_TOLD_NAMES: Final = "HOST HTTP_PORT USER PASSWORD CLUSTER RSLIST ADMIN_PASSWORD PROXYRO_PASSWORD"
_TOLD: Final = {f"{PREFIX}{name}" for name in _TOLD_NAMES.split()}
"""What ``odp-trio demo`` and ``testbed`` tell a command."""
_OF_SERVICE: Final = re.compile(r"ODP(_\w+)?_(SERVICE_HOST|SERVICE_PORT\w*|PORT_\d+_(TCP|UDP|SCTP)\w*)")
"""What Kubernetes tells of a service whose name begins with ``odp``; ``ODP_PORT`` is another of these."""


def from_environment(environ: Mapping[str, str]) -> tuple[Layer, ...]:
    """Return a layer for each variable that is an option, weakest first; an empty variable says nothing.

    With ``CONFIG_URL`` the container's ``RS_LIST`` and ``OB_CLUSTER`` are not used, as there.  ``ODP_`` before a
    name that is no option is a mistake of that layer, unless it is known to be somebody else's.
    """
    layers = []
    for variable, option in PLAIN.items():
        if value := environ.get(variable):
            if environ.get("CONFIG_URL") and variable in ("RS_LIST", "OB_CLUSTER"):
                layers.append(Layer(f"${variable}", {}, warnings=(f"${variable}: CONFIG_URL is used instead",)))
            else:
                layers.append(Layer(f"${variable}", {option: value}, lenient=True))
    if root := environ.get("OBPROXY_ROOT"):
        layers.append(Layer("$OBPROXY_ROOT", {"etc_dir": f"{root}/etc"}))
    for variable, value in sorted(environ.items()):
        name = variable.removeprefix(PREFIX).lower()
        if value and name != variable.lower() and variable.startswith(PREFIX) and not _is_of_others(variable):
            layers.append(Layer(f"${variable}", {name: value}, lenient=True))
    return tuple(layers)


def _is_of_others(variable: str) -> bool:
    return (
        variable in _TOLD
        or variable.startswith(("ODP_TRIO_", "ODP_CONFORMANCE_"))
        or variable == "ODP_PORT"
        or _OF_SERVICE.fullmatch(variable) is not None
    )
