"""Who keeps a copy of an option, or sleeps for an interval, is told when settings change; nobody keeps settings."""

from __future__ import annotations

import ast
import socket
from collections.abc import Iterator
from pathlib import Path

import trio
from trio.testing import MockClock

import odp_trio
from odp_trio.app import Proxy, open_proxy
from odp_trio.config import ClusterSettings, Settings, options
from odp_trio.config.changes import Change
from odp_trio.model import Address
from odp_trio.topology.location import TableEntry, TableKey
from odp_trio.topology.location_table import Locations

PACKAGE = Path(odp_trio.__file__).parent
MAY_KEEP = {
    "admin/configuration.py": "it is the configuration",
    "admin/what_if.py": "it imagines others",
    "catalog/congestion.py": "compared with those in force, each time",
    "logs/output.py": "told by ProxyLogs",
    "logs/proxy_logs.py": "subscribes",
    "net/certificates.py": "all of TLS takes a restart",
}


def classes(tree: ast.Module) -> Iterator[ast.ClassDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))


def test_nobody_keeps_settings() -> None:
    """A component that keeps a Settings object does not see changes: it is to keep what returns them."""
    keepers = set()
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        if name.startswith(("testing/", "config/")):
            continue
        for cls in classes(ast.parse(path.read_text(encoding="utf-8"))):
            for function in (node for node in cls.body if isinstance(node, ast.FunctionDef)):
                given = {
                    arg.arg
                    for arg in (*function.args.args, *function.args.kwonlyargs)
                    if arg.annotation is not None and ast.unparse(arg.annotation) in ("Settings", "Settings | None")
                }
                for node in ast.walk(function):
                    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and node.value.id in given:
                        keepers |= {name for target in node.targets if isinstance(target, ast.Attribute)}

    assert keepers - set(MAY_KEEP) == set()


def test_what_a_proxy_copies_at_its_start_takes_a_restart_or_is_told() -> None:
    told = {
        "hot_upgrade_exit_timeout": "asked when the drain begins, and told to the watch",
        "request_buffer_length": "follow_changes",
        "monitor_item_limit": "asked each time",
        "syslog_level": "of the log",
    }
    read = {
        node.attr
        for path in (PACKAGE / "app").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in options()
    }

    assert {name for name in read if not options()[name].option.restart} - set(told) == set()


async def altered(proxy: Proxy, **values: object) -> None:
    await proxy.configuration.alter([Change(name, value) for name, value in values.items()])


SETTINGS = Settings(
    listen_port=0,
    local_bound_ip="127.0.0.1",
    enable_http=False,
    clusters={"demo": ClusterSettings((Address("127.0.0.1", 1),))},
    hot_upgrade_exit_timeout=0.0,
)


async def test_bounds_of_texts_and_locations_follow() -> None:
    async with open_proxy(SETTINGS) as proxy:
        await altered(proxy, request_buffer_length="8KB", routing_cache_mem_limited="1MB")

        assert proxy.statements.text_limit == 8192
        assert proxy.locations.limit == (1 << 20) * 3 // 4 // 512


async def test_the_cache_of_prepared_texts_is_lent_or_not() -> None:
    async with open_proxy(SETTINGS) as proxy:
        assert proxy.services.texts() is proxy.prepared_texts

        await altered(proxy, enable_global_ps_cache="off")

        assert proxy.services.texts() is None


async def test_clients_that_come_later_have_the_new_socket_options() -> None:
    changed = {
        "client_tcp_keepidle": 33,
        "client_tcp_keepintvl": 11,
        "client_tcp_keepcnt": 4,
        "client_tcp_user_timeout": 9,
    }
    known = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
    async with open_proxy(SETTINGS) as proxy:

        async def found() -> tuple[list[int], bool]:
            client = await trio.open_tcp_stream(*proxy.addresses[0])
            await client.receive_some(100)  # the greeting
            sock = list(proxy.sessions.table.values())[-1].sock
            values = [sock.getsockopt(socket.IPPROTO_TCP, name) for name in known]
            no_delay = bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            await client.aclose()
            return values, no_delay

        with trio.fail_after(20):
            assert await found() == ([5, 5, 5, 0], True)
            await altered(
                proxy, **{name: str(value) for name, value in changed.items()}, client_sock_option_flag_out="2"
            )
            assert await found() == ([33, 11, 4, 9000], False)


async def test_views_are_made_anew() -> None:
    async with open_proxy(SETTINGS) as proxy:
        before = proxy.views.generation

        await altered(proxy, proxy_idc_name="hz")

        assert proxy.views.generation > before


async def test_who_waits_for_a_place_gets_one_that_is_new(autojump_clock: MockClock) -> None:
    settings = Settings(**{**fields(SETTINGS), "client_max_connections": 1, "client_max_connections_policy": "wait"})
    async with open_proxy(settings) as proxy, trio.open_nursery() as nursery:
        proxy.sessions.table[1] = proxy.sessions.table[2] = None  # type: ignore[assignment]  # two places are taken
        nursery.start_soon(proxy.sessions.wait_slot)
        await trio.testing.wait_all_tasks_blocked()
        proxy.sessions.table.clear()  # without a word to who waits

        with trio.fail_after(5):
            await altered(proxy, client_max_connections=5)


def fields(settings: Settings) -> dict[str, object]:
    return {name: getattr(settings, name) for name in settings.__struct_fields__}


async def test_a_shorter_interval_does_not_wait_for_the_end_of_the_longer(autojump_clock: MockClock) -> None:
    settings = Settings(**{**fields(SETTINGS), "server_state_refresh_interval": 3600.0})
    async with open_proxy(settings) as proxy:
        await trio.testing.wait_all_tasks_blocked()
        (cluster,) = proxy.clusters.resources()
        with trio.move_on_after(1000):
            await trio.sleep_forever()
        before = cluster.failures

        await altered(proxy, server_state_refresh_interval="10s")
        await trio.sleep(25)

        assert cluster.failures >= before + 2


def test_locations_that_were_to_stay_for_ever_expire_when_that_is_asked_for() -> None:
    locations = Locations()
    entries = [TableEntry(TableKey("c", "t", "d", name), 0.0, expires_at=float("inf")) for name in "ab"]
    for entry in entries:
        locations.store(entry)

    locations.expire_all(lambda: 10.0)

    assert (locations.expire(9.0), locations.expire(10.0)) == (0, 2)


def test_fewer_locations_are_kept_at_once() -> None:
    locations = Locations(10)
    for number in range(8):
        locations.store(TableEntry(TableKey("c", "t", "d", str(number)), 0.0))

    locations.resize(3)

    assert len(locations.entries()) == 3
