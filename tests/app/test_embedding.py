"""A proxy inside a program: without a port, drained, reloaded, several at once.  The proxy's own account needs no server."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pymysql
import pytest
import trio
import trio.testing

import odp_trio
from odp_trio import events
from odp_trio.app import Proxy, open_proxy
from odp_trio.app.connection import Connection, ConnectionLost
from odp_trio.catalog.own_rules import own_rule
from odp_trio.config import ClusterSettings, Secret, Settings
from odp_trio.config.changes import Change
from odp_trio.errors import ConfigError, Draining
from odp_trio.model import Address
from odp_trio.wire.answers import StatementFailed
from odp_trio.wire.fields import Capability
from odp_trio.wire.handshake import AuthSwitch, Greeting
from odp_trio.wire.packets import packet
from tests.paths import ROOT

ADMIN = "root@proxysys"
PASSWORD = "of the proxy"
SETTINGS = Settings(
    listen_port=0,
    local_bound_ip="127.0.0.1",
    enable_http=False,
    clusters={"demo": ClusterSettings((Address("127.0.0.1", 1),))},
    obproxy_sys_password=Secret(PASSWORD),
    hot_upgrade_exit_timeout=0.1,
)


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    async with open_proxy(SETTINGS, listen=False) as proxy:
        yield proxy


async def admin(proxy: Proxy) -> Connection:
    return await proxy.connect(ADMIN, PASSWORD)


# ---- import --------------------------------------------------------------------------------


def test_the_package_alone_costs_nothing() -> None:
    code = "import sys, odp_trio; print({'trio', 'msgspec', 'odp_trio.app'} & set(sys.modules)); odp_trio.open_proxy"
    done = subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True)

    assert done.stdout.strip() == "set()"


def test_what_is_named_is_there() -> None:
    assert odp_trio.open_proxy is open_proxy
    assert {name for name in odp_trio.__all__ if getattr(odp_trio, name) is None} == set()
    with pytest.raises(AttributeError, match="no attribute 'open_porxy'"):
        _ = odp_trio.open_porxy
    assert (Path(odp_trio.__file__).parent / "py.typed").exists()


# ---- without a port ------------------------------------------------------------------------


async def test_no_port_is_open_and_the_proxy_is_ready_for_its_own_process(proxy: Proxy) -> None:
    assert proxy.addresses == ()
    assert proxy.http_address is None
    assert proxy.accepting
    assert not any("listener" in task.path for task in proxy.statistics().tasks)


async def test_a_connection_is_a_session_like_any_other(proxy: Proxy) -> None:
    async with await admin(proxy) as connection:
        rows = (await connection.query("show proxysession")).rows

        assert connection.connection_id in proxy.sessions.table
        assert connection.server_version == proxy.settings().mysql_version
        assert connection.capabilities & Capability.PROTOCOL_41
        assert any(connection.connection_id in row for row in rows)
        assert proxy.sessions.table[connection.connection_id].client == "this process"
    with trio.fail_after(5):
        while proxy.sessions.table:  # noqa: ASYNC110
            await trio.sleep(0.01)
    assert proxy.ends.clients[-1].reason == "client_gone"


async def test_it_is_a_stream_of_packets(proxy: Proxy) -> None:
    connection = await admin(proxy)
    await connection.wait_send_all_might_not_block()
    await connection.send_all(b"\x01\0\0\0\x0e")  # COM_PING

    first = await connection.receive_some(4)
    rest = await connection.receive_some()

    assert (first + rest)[:5] == b"\x07\0\0\x01\0"
    await connection.quit()
    with trio.fail_after(5):
        while proxy.sessions.table:  # noqa: ASYNC110
            await trio.sleep(0.01)
    assert proxy.ends.clients[-1].reason == "client_quit"


async def test_errors_leave_the_connection_well_and_a_kill_does_not(proxy: Proxy) -> None:
    connection, other = await admin(proxy), await admin(proxy)

    with pytest.raises(StatementFailed) as raised:
        await connection.query("show nonsense")
    assert raised.value.errno
    assert (await connection.query("show proxystat")).rows
    await other.query(f"kill proxysession {connection.connection_id}")
    with pytest.raises(ConnectionLost):
        await connection.query("show proxystat")
    with pytest.raises(ConnectionLost) as lost:
        await connection.query("show proxystat")
    assert not lost.value.sent
    await other.aclose()


async def test_a_wrong_password_is_refused_as_a_client_is(proxy: Proxy) -> None:
    with pytest.raises(StatementFailed, match="Access denied") as raised:
        await proxy.connect(ADMIN, "wrong")

    assert (raised.value.errno, raised.value.sqlstate) == (1045, "42000")
    assert not proxy.sessions.table


async def test_a_statement_that_is_not_waited_for_ends_the_connection(autojump_clock: trio.testing.MockClock) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    connection = Connection(ours)
    with trio.move_on_after(1) as scope:
        await connection.query("select sleep(10)")

    assert scope.cancelled_caught
    assert await theirs.receive_some()
    assert await theirs.receive_some() == b""
    with pytest.raises(ConnectionLost, match="not waited for") as lost:
        await connection.query("select 1")
    assert not lost.value.sent


async def test_a_password_is_told_by_native_password_only() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    switch = AuthSwitch(b"x" * 20, b"mysql_clear_password")
    await theirs.send_all(packet(0, Greeting(b"5.7.25", 1, b"y" * 20).to_bytes()) + packet(2, switch.to_bytes()))

    with pytest.raises(ConnectionLost, match="mysql_clear_password") as lost:
        await Connection.log_in(ours, "app", "s3cret", "")

    assert not lost.value.sent
    assert b"s3cret" not in await theirs.receive_some()
    assert await theirs.receive_some() == b""


async def test_clients_wait_for_a_place_as_in_the_listen_queue(proxy: Proxy) -> None:
    await proxy.configuration.alter(
        [Change("client_max_connections", 1), Change("client_max_connections_policy", "wait")]
    )
    first, second = await admin(proxy), trio.Event()

    async def another() -> None:
        async with await admin(proxy):
            second.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(another)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert not second.is_set()
        await first.aclose()
        with trio.fail_after(5):
            await second.wait()


async def test_pymysql_in_a_thread_by_a_socket(proxy: Proxy) -> None:
    def ask() -> object:
        connection = pymysql.connect(user=ADMIN, password=PASSWORD, defer_connect=True)
        connection.connect(trio.from_thread.run(proxy.dial))
        try:
            with connection.cursor() as cursor:
                cursor.execute("show proxystat")
                return cursor.fetchone()
        finally:
            connection.close()

    assert await trio.to_thread.run_sync(ask)


# ---- the end -------------------------------------------------------------------------------


async def test_drain_ends_sessions_and_nobody_is_let_in_any_more(proxy: Proxy) -> None:
    connection = await admin(proxy)

    drained = await proxy.drain(0.05)

    assert drained.sessions == 1
    assert (proxy.draining, proxy.accepting) == (True, False)
    with pytest.raises(Draining):
        await proxy.connect(ADMIN, PASSWORD)
    with pytest.raises(Draining):
        await proxy.dial()
    with pytest.raises(ConnectionLost):
        await connection.query("show proxystat")
    await connection.aclose()


async def test_drain_closes_ports_and_may_be_asked_for_twice() -> None:
    async with open_proxy(SETTINGS) as proxy:
        connection = await admin(proxy)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(proxy.drain, 0.1)
            nursery.start_soon(proxy.drain, 0.1)

        with pytest.raises(ConnectionRefusedError), socket.create_connection(proxy.addresses[0]):
            pass
        assert not any(task.restarts for task in proxy.statistics().tasks)
        await connection.aclose()


async def test_who_waits_for_a_place_at_the_end_is_told() -> None:
    refused: list[str] = []

    async def late(proxy: Proxy) -> None:
        try:
            await admin(proxy)
        except Draining as exc:
            refused.append(str(exc))

    async with trio.open_nursery() as nursery:
        settings = msgspec.structs.replace(
            SETTINGS, client_max_connections=1, client_max_connections_policy="wait", hot_upgrade_exit_timeout=0.0
        )
        async with open_proxy(settings, listen=False) as proxy:
            connection = await admin(proxy)
            nursery.start_soon(late, proxy)
            await trio.testing.wait_all_tasks_blocked(0.05)
        await connection.aclose()

    assert refused == ["the proxy is ending and takes no clients any more"]


# ---- settings ------------------------------------------------------------------------------


async def test_reload_of_settings_and_of_a_file(proxy: Proxy, tmp_path: Path) -> None:
    happened = proxy.events()
    await proxy.configuration.alter([Change("query_digest_time_threshold", "3s")])

    report = await proxy.reload(
        msgspec.structs.replace(SETTINGS, connect_timeout=1.5, query_digest_time_threshold=9.0, listen_backlog=7)
    )

    settings = proxy.settings()
    assert (settings.connect_timeout, settings.query_digest_time_threshold) == (1.5, 3.0)
    assert settings.listen_backlog == SETTINGS.listen_backlog
    assert {each.name: each.restart for each in report.changed} == {"connect_timeout": False, "listen_backlog": True}
    assert [await anext(happened), await anext(happened)] == [
        events.ConfigurationChanged(pytest.approx(trio.current_time(), abs=5), ("query_digest_time_threshold",)),
        events.ConfigurationChanged(pytest.approx(trio.current_time(), abs=5), ("connect_timeout",)),
    ]

    file = tmp_path / "odp.toml"
    file.write_text(
        "connect_timeout = '2s'\n[clusters.demo]\nrslist = '127.0.0.1:1'\n[clusters.demo.tenants.shop]\nproxy_idc_name = 'x'\n"
    )
    report = await proxy.reload(file)
    assert proxy.settings().connect_timeout == 2.0
    assert ("proxy_idc_name", "shop") in {(each.name, each.scope.tenant) for each in report.changed}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("connect_timeout = 'soon'", "connect_timeout"),
        ("[clusters.other]\nrslist = '127.0.0.1:1'", "those of the start"),
        ("[clusters.demo]\nrslist = '127.0.0.2:1'", "those of the start"),
        ("???", "not TOML"),
    ],
)
async def test_what_cannot_be_reloaded_changes_nothing(proxy: Proxy, tmp_path: Path, text: str, complaint: str) -> None:
    before = proxy.settings()
    file = tmp_path / "odp.toml"
    file.write_text(text)

    with pytest.raises(ConfigError, match=complaint):
        await proxy.reload(file)

    assert proxy.settings() is before


async def test_a_file_may_be_what_a_proxy_is_opened_with(tmp_path: Path) -> None:
    file = tmp_path / "odp.toml"
    file.write_text("connect_timeout = '2s'\n[clusters.demo]\nrslist = '127.0.0.1:1'\n")

    async with open_proxy(file, listen=False) as proxy:
        assert proxy.settings().connect_timeout == 2.0


# ---- own rules -----------------------------------------------------------------------------


def nothing(request: object, view: object) -> None:
    """Leave it to others."""


async def test_rules_are_objects() -> None:
    shadow = own_rule(nothing, name="shadow", mode="shadow")

    async with open_proxy(SETTINGS, listen=False, rules=[nothing, shadow]) as proxy:
        assert [rule.name for rule in proxy.rules.own] == ["nothing", "shadow"]


async def waits(request: object, view: object) -> None: ...


@pytest.mark.parametrize(
    ("rules", "complaint"),
    [
        ([nothing, nothing], "several own rules"),
        ([waits], "cannot wait"),
        ([lambda: None], "must take"),
        ([3], "not a function"),
    ],
)
async def test_what_cannot_be_a_rule(rules: list, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        async with open_proxy(SETTINGS, listen=False, rules=rules):
            pass


@pytest.mark.parametrize("given", [{"mode": "sometimes"}, {"budget": 5.0}, {"name": "leader"}])
def test_what_a_rule_cannot_have(given: dict) -> None:
    with pytest.raises(ConfigError):
        own_rule(nothing, **given)


# ---- several -------------------------------------------------------------------------------


async def test_two_on_one_loop_know_nothing_of_each_other() -> None:
    other = msgspec.structs.replace(SETTINGS, obproxy_sys_password=Secret("another"), connect_timeout=1.0)
    async with open_proxy(SETTINGS) as one, open_proxy(other, listen=False) as two:
        heard = two.events()
        async with await admin(one) as first, await two.connect(ADMIN, "another") as second:
            await first.query("alter proxyconfig set connect_timeout = '9s'")
            assert (one.settings().connect_timeout, two.settings().connect_timeout) == (9.0, 1.0)
            assert len(one.sessions.table) == len(two.sessions.table) == 1
            with pytest.raises(StatementFailed, match="Access denied"):
                await two.connect(ADMIN, PASSWORD)
            one.announcements.tell(events.ConfigServerLost(0.0, "only of the first"))
            assert (await second.query("show proxystat")).rows
        kinds = set()
        with trio.move_on_after(0.2):
            async for event in heard:
                kinds.add(type(event).__name__)
        assert kinds == {"SessionBegan", "SessionEnded"}
        await two.drain(0.0)
        async with await admin(one) as again:
            assert (await again.query("show proxystat")).rows


async def test_warnings_are_those_of_one_proxy(caplog: pytest.LogCaptureFixture) -> None:
    async with open_proxy(SETTINGS, listen=False) as one, open_proxy(SETTINGS, listen=False) as two:
        with pytest.raises(StatementFailed):
            await one.connect("root@proxysys", "wrong")

        texts = [[line.log for line in proxy.logs.ring.lines()] for proxy in (one, two)]
        assert any("root" in text for text in texts[0])
        assert not any("root" in text for text in texts[1])


async def test_two_loops_in_two_threads() -> None:
    answers: list[int] = []

    async def serve() -> None:
        async with open_proxy(SETTINGS, listen=False) as proxy, await admin(proxy) as connection:
            answers.append(len((await connection.query("show proxystat")).rows))

    threads = [threading.Thread(target=trio.run, args=(serve,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await trio.to_thread.run_sync(thread.join)

    assert len(answers) == 2
    assert all(answers)
