"""Every option that needs no restart: changed under a session that goes on, and in force afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import trio

from odp_trio.app import Proxy, open_proxy
from odp_trio.config import Secret, Settings, options
from odp_trio.config.changes import Change, Scope
from odp_trio.config.options import Described
from odp_trio.model import Address
from odp_trio.testing.bed import Testbed
from odp_trio.testing.client import Client
from odp_trio.testing.demo import settings_for
from odp_trio.testing.ocp import open_config_server

DYNAMIC = {name: described for name, described in options().items() if not described.option.restart}
OTHERS = {
    "mysql_version": "5.7.30",
    "proxy_tenant_name": "sys",
    "proxy_idc_name": "idc1",
    "proxy_primary_zone_name": "zone1;zone2",
    "init_sql": "set @a = 1",
    "username_separator": ":",
    "proxy_protocol_networks": "10.0.0.0/8",
    "compression_algorithm": "zlib:1",
}
"""What options of free text are set to; others get another value of their range."""


def other_value(described: Described, bed: Testbed) -> Any:
    """Return a value that is allowed and not the default."""
    option, default = described.option, described.default
    if described.name == "target_db_server":
        return bed.rslist.split(";")[0]
    if described.name in OTHERS:
        return OTHERS[described.name]
    if option.choices:
        return next(choice for choice in option.choices if choice != default)
    if isinstance(default, bool):
        return not default
    if isinstance(default, Secret):
        return "another"
    if option.kind in ("int", "capacity", "duration", "fraction"):
        near = default - 1 if default == option.high else default * 2 or 1
        value = min(near, option.high) if option.high is not None else near
        return {"capacity": f"{int(value)}B", "duration": f"{round(value * 1e6)}us"}.get(option.kind, value)
    raise AssertionError(f"{described.name} needs a value in OTHERS")


async def test_every_dynamic_option_is_changed_and_changed_back_under_a_session_that_goes_on(bed: Testbed) -> None:
    settings = settings_for(bed, enable_http=False, hot_upgrade_exit_timeout=0.2)
    async with open_proxy(settings) as proxy:
        with trio.fail_after(100):
            client = await Client.connect(Address(*proxy.addresses[0]), "root@sys", "")
            await client.query("create database if not exists alter_test")
            await client.query("create table if not exists alter_test.t (a int primary key)")
            prepared = await client.prepare("select a from alter_test.t where a = ?")
            for name, described in DYNAMIC.items():
                before = getattr(proxy.settings(), name)
                for value in (other_value(described, bed), None):
                    (changed,) = (await proxy.configuration.alter([Change(name, value)])).changed
                    assert (getattr(proxy.settings(), name) == before) is (value is None), changed

                    assert await client.query("select 6 * 7") == [("42",)], changed
                    assert await client.query("select a from alter_test.t where a = 1") == [], changed
                    assert await client.execute(prepared, [1]) == [], changed
            await client.query("drop database alter_test")
            assert proxy.counts.ends == {}
            await client.quit()


class Watched(Settings, frozen=True, kw_only=True):
    """Settings that note which options are read."""

    def __getattribute__(self, name: str) -> Any:
        READ.add(name)
        return super().__getattribute__(name)


READ: set[str] = set()
TOLD = {
    "client_max_memory_size": "Sessions.settings_changed",
    "client_sock_option_flag_out": "Sessions.settings_changed",
    "client_tcp_keepcnt": "Sessions.settings_changed",
    "client_tcp_keepidle": "Sessions.settings_changed",
    "client_tcp_keepintvl": "Sessions.settings_changed",
    "client_tcp_user_timeout": "Sessions.settings_changed",
    "enable_global_ps_cache": "Sessions.settings_changed",
    "max_prepared_stmt_count": "Sessions.settings_changed",
    "request_buffer_length": "Sessions.settings_changed",
    "routing_cache_mem_limited": "follow_changes",
}
"""Copies of options, and who brings them up to date; tests/admin/test_follow.py shows that it does."""
RARELY = {
    "connect_observer_max_retries": "when a server failed a statement",
    "default_inactivity_timeout": "when a server is silent",
    "observer_query_timeout_delta": "when a server is silent",
    "min_congested_connect_timeout": "when a client left while a server was connected to",
    "enable_client_connection_lru_disconnect": "when there are as many clients as may be",
    "detect_server_timeout": "at a probe",
    "hot_upgrade_exit_timeout": "when the proxy ends",
    "http_token": "at a request",
    "inspector_password": "at a login",
    "skip_proxyro_check": "at a login as that account",
    "proxy_protocol_networks": "when a client sends such a header",
    "delay_update_entry_interval": "when a location is renewed",
    "normal_pl_update_threshold": "when a location is renewed",
    "limited_pl_update_threshold": "when a location is renewed",
    "enable_get_rslist_remote": "when a cluster resource is made",
    "ignore_local_config": "when the config server fails",
    "monitor_item_limit": "when a tenant is met for the first time",
}
"""Asked each time, at a moment that does not come here."""


def section(wanted: str) -> set[str]:
    """Return the options of a section of the table."""
    found, now = set(), ""
    for name, described in options().items():
        now = described.option.section or now
        if now == wanted:
            found.add(name)
    return found


OF_LOGS = section("Logs")
"""ProxyLogs is told of all of them; tests/logs shows what it does."""


async def test_every_dynamic_option_is_asked_for_again_or_told(bed: Testbed, tmp_path: Path) -> None:
    """What statements, logins, refreshes and probes read after a change is read of the new settings."""
    async with open_config_server({bed.cluster: bed.rslist}) as ocp:
        given = settings_for(bed, clusters={}, obproxy_config_server_url=ocp.url, enable_http=False)
        fields = {name: getattr(given, name) for name in given.__struct_fields__}
        quick = {"server_state_refresh_interval": 0.1, "etc_dir": str(tmp_path), "enable_ob_protocol_v2": True}
        async with open_proxy(Watched(**{**fields, **quick, "obproxy_sys_password": Secret("x")})) as proxy:
            with trio.fail_after(100):
                await ask_everything(proxy)
                await proxy.configuration.alter([Change("config_server_refresh_interval", "10s")])
                READ.clear()
                proxy.locations.drop_tenant("demo", "sys")
                await ask_everything(proxy)

    unread = DYNAMIC.keys() - READ
    assert sorted(unread - set(TOLD) - set(RARELY) - set(OF_LOGS)) == []
    assert not [name for name in RARELY if name not in DYNAMIC]


async def ask_everything(proxy: Proxy) -> None:
    refreshes = proxy.statistics().clusters[0].refreshes if proxy.clusters.names else 0
    client = await Client.connect(Address(*proxy.addresses[0]), "root", "")
    await client.query("create database if not exists alter_test")
    await client.query("create table if not exists alter_test.p (a int primary key) partition by hash(a) partitions 3")
    await client.query("select * from alter_test.p where a = 1")
    await client.query("drop database alter_test")
    await client.quit()
    admin = await Client.connect(Address(*proxy.addresses[0]), "root@proxysys", "x")
    await admin.quit()
    while proxy.statistics().clusters[0].refreshes < refreshes + 3:  # noqa: ASYNC110
        await trio.sleep(0.05)


async def test_a_value_for_one_user_is_in_force_in_the_session_that_is_there(bed: Testbed) -> None:
    async with open_proxy(settings_for(bed, enable_http=False, hot_upgrade_exit_timeout=0.2)) as proxy:
        with trio.fail_after(60):
            client = await Client.connect(Address(*proxy.addresses[0]), "root@sys", "")
            await client.query("select 1")
            target = bed.rslist.split(";")[2]
            scope = Scope(bed.cluster, "sys", "root")

            await proxy.configuration.alter([Change("target_db_server", target, scope)])
            await client.query("select 'there'")
            (statement,) = bed.statements("select 'there'")
            await proxy.configuration.alter([Change("target_db_server", None, scope)])
            await client.quit()

    assert str(bed.observers[statement.observer].address) == target
