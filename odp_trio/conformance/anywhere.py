"""Targets that are somebody's: any OceanBase, behind any proxy, behind ours, or alone."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final

import msgspec

from odp_trio.app import open_proxy
from odp_trio.config import Secret, Settings
from odp_trio.config.options import ClusterSettings
from odp_trio.conformance.needs import Needs
from odp_trio.conformance.target import Account, Parts, Target, address_of
from odp_trio.conformance.targets import REAL
from odp_trio.conformance.views import Ask, what_views_tell
from odp_trio.errors import ConfigError
from odp_trio.model import Address
from odp_trio.testing.client import Client, Row
from odp_trio.testing.raw_client import RawClient
from odp_trio.wire.fields import Capability

_PATIENCE: Final = 15.0
_OURS: Final = Needs.OWN_PROXY | Needs.PROCESS | Needs.CONFIG_SERVER
_NO_PROXYRO: Final = "no proxy of ours is started here: the password of proxyro was not given"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where somebody's OceanBase and proxy are."""

    cluster: str
    account: Account
    rslist: tuple[Address, ...] = ()
    config_url: str = ""
    proxy: Address | None = None
    """A proxy that runs; None for ours, started before the servers."""
    direct: bool = False
    """No proxy at all."""
    sys_account: Account | None = None
    admin: Account | None = None
    proxyro_password: Secret = Secret("")
    """What a proxy of ours logs in to the servers with."""
    database: str = ""


@asynccontextmanager
async def anywhere(place: Place) -> AsyncIterator[Target]:
    """Make a target of somebody's OceanBase.  Raises ConfigError when too little is said, ConnectionLost."""
    ours = place.proxy is None and not place.direct
    if not (place.rslist or place.proxy or (ours and place.config_url)):
        raise ConfigError("where is the OceanBase? give --rslist, --config-url or --proxy")
    if place.direct and not place.rslist:
        raise ConfigError("--direct needs --rslist: the first server of it is asked")
    if ours and not place.proxyro_password.value:
        raise ConfigError("a proxy of ours needs the password of proxyro: set ODP_CONFORMANCE_PROXYRO_PASSWORD")
    async with AsyncExitStack() as stack:
        has = REAL
        parts: dict[str, Any] = {"servers": place.rslist, "account": place.account, "sys_account": place.sys_account}
        if place.proxyro_password.value and place.rslist:
            parts |= {"settings": partial(_settings, place), **_process(place)}
            has |= _OURS
        if ours:
            settings = _settings(place, enable_http=False)
            proxy = await stack.enter_async_context(open_proxy(settings))
            parts |= {"front": address_of(proxy), "front_proxy": proxy}
            parts["admin"] = Account("root", "proxysys", settings.obproxy_sys_password)
        else:
            parts |= {"front": place.rslist[0] if place.direct else place.proxy, "admin": place.admin}
        has |= _stated(place, parts) | await _offers(parts["front"])
        views = await what_views_tell(*_asks(place, parts["front"]))
        parts |= {"record": views.record, "leaders": views.leaders}
        name = f"OceanBase {place.cluster} " + ("without a proxy" if place.direct else f"behind {parts['front']}")
        cluster = "" if place.direct else place.cluster
        database = place.database or f"odp_conformance_{secrets.token_hex(4)}"
        made = Parts(name=name, has=has | views.has, cluster=cluster, database=database, **parts)
        unstarted = dict.fromkeys(_OURS & ~has, _NO_PROXYRO) if place.rslist and not place.direct else {}
        yield Target(made, {**unstarted, **views.lacks})


def _stated(place: Place, parts: dict[str, Any]) -> Needs:
    """Return what there is because somebody said so."""
    has = Needs.NOTHING
    has |= Needs.NOTHING if place.direct else Needs.PROXY
    has |= Needs.SERVERS if place.rslist else Needs.NOTHING
    has |= Needs.ADMIN if parts.get("admin") is not None else Needs.NOTHING
    has |= Needs.TENANT if place.account.tenant != "sys" else Needs.NOTHING
    has |= Needs.SYS if place.sys_account is not None else Needs.NOTHING
    return has


def _settings(place: Place, **changes: Any) -> Settings:
    """Return settings of a proxy of ours before these servers: loopback only."""
    known = {place.cluster: ClusterSettings(rslist=place.rslist)} if place.rslist else {}
    values: dict[str, Any] = {
        "clusters": known,
        "local_bound_ip": "127.0.0.1",
        "listen_port": 0,
        "prometheus_listen_port": 0,
        "observer_sys_password": place.proxyro_password,
        "obproxy_sys_password": Secret(secrets.token_urlsafe(9)),
    }
    if not known:
        values |= {"obproxy_config_server_url": place.config_url, "rootservice_cluster_name": place.cluster}
    return Settings(**{**values, **changes})


def _process(place: Place) -> dict[str, Any]:
    rslist = ";".join(str(server) for server in place.rslist)
    password = place.proxyro_password.value
    return {
        "run_options": ["-p", "0", "-l", "0", "-r", rslist, "-c", place.cluster],
        "environment": {"ODP_OBSERVER_SYS_PASSWORD": password, "ODP_LOCAL_BOUND_IP": "127.0.0.1"},
    }


async def _offers(front: Address) -> Needs:
    """Return what the greeting at the front offers."""
    client = await RawClient.open(front, patience=_PATIENCE)
    try:
        await client.greet()
    finally:
        await client.close()
    return Needs.TLS if client.greeting.capabilities & Capability.SSL else Needs.NOTHING


async def _ask(at: Address, login: str, password: str, sql: str) -> list[Row]:
    """Ask the servers something as the user, on a connection of its own."""
    client = await Client.connect(at, login, password, patience=_PATIENCE)
    try:
        return await client.query(sql)
    finally:
        await client.quit()


def _asks(place: Place, front: Address) -> tuple[Ask, list[Ask]]:
    """Return what asks the OceanBase, and what asks each server of the rslist."""
    login, password = f"{place.account.user}@{place.account.tenant}", place.account.password.value
    each: list[Ask] = [partial(_ask, server, login, password) for server in place.rslist]
    return (each[0] if each else partial(_ask, front, f"{login}#{place.cluster}", password)), each
