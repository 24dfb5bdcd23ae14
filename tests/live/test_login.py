"""Who may come in, where to, and what the others are told."""

from __future__ import annotations

import hashlib
import socket
from contextlib import closing
from random import Random

import pymysql
import pytest
import trio

from odp_trio.app import Proxy, open_proxy
from odp_trio.config import Secret
from odp_trio.testing.bed import Testbed
from odp_trio.testing.demo import settings_for
from tests.live.clients import Connection, connect, in_thread, login_error, through, until


@pytest.mark.parametrize(
    "user",
    ["app@sys#demo", "app@sys", "app", "app#demo", "demo:sys:app", "demo-sys-app", "demo.sys.app", "app@mytenant#demo"],
)
async def test_every_form_of_a_login_name_finds_its_server(bed: Testbed, proxy: Proxy, user: str) -> None:
    assert await through(proxy, f"select user() as {'x' + str(len(user))}", user) == (("app@127.0.0.1",),)

    (statement,) = bed.statements(f"x{len(user)}")
    assert statement.by_proxy
    assert statement.tenant == ("mytenant" if "mytenant" in user else "sys")


async def test_a_user_without_a_password_comes_in(bed: Testbed, proxy: Proxy) -> None:
    assert await through(proxy, "select 1", "root@sys#demo", "") == ((1,),)


async def test_a_wrong_password_gets_1045_from_the_server(proxy: Proxy) -> None:
    errno, message = await login_error(proxy, "app@sys#demo", "wrong")

    assert errno == 1045
    assert message.startswith("Access denied for user 'app'@'xxx.xxx.xxx.xxx'")  # the server's own words


@pytest.mark.parametrize(
    ("user", "errno", "said"),
    [
        ("app@sys#nowhere", 4669, "cluster 'nowhere' does not exist"),
        ("app@nobody#demo", 1045, "Access denied for user 'app@nobody#demo'@'127.0.0.1' (using password: YES)"),
        ("proxyro@sys#demo", 1045, "Access denied for user 'proxyro@sys#demo'@'127.0.0.1' (using password: YES)"),
        ("@sys#demo", 1045, "Access denied"),
        ("root@proxysys", 1045, "Access denied"),
        ("other@proxysys", 1045, "Access denied"),
    ],
)
async def test_a_refused_login_has_the_right_error(proxy: Proxy, user: str, errno: int, said: str) -> None:
    got, message = await login_error(proxy, user)

    assert got == errno
    assert said in message


async def test_a_password_with_a_bad_scramble_is_not_known_to_us(
    bed: Testbed, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    await through(proxy, "select 1")
    await login_error(proxy, "app@sys#demo", "hunter2")

    for secret in ("app_pw", "hunter2", bed.proxyro_password):
        assert secret not in caplog.text


async def test_the_connection_id_is_the_one_of_the_greeting_and_kill_understands_it(proxy: Proxy) -> None:
    from tests.live.clients import connect

    connection = await in_thread(connect, proxy.addresses[0])
    with connection, connection.cursor() as cursor:
        await in_thread(cursor.execute, "select connection_id()")
        assert cursor.fetchone()[0] == connection.thread_id()


@pytest.mark.parametrize("errno", [8001, 8002, 4124])
async def test_a_server_that_is_starting_is_left_for_another(bed: Testbed, proxy: Proxy, errno: int) -> None:
    for number in (0, 1):
        bed.answer_login(errno=errno, sqlstate="08004", message="Server is initializing", number=number, times=-1)

    for _ in range(3):
        assert await through(proxy, "select 'startup'") == (("startup",),)
    assert {statement.observer for statement in bed.statements("startup")} == {2}


async def test_when_every_server_is_starting_the_client_is_told_so(bed: Testbed, proxy: Proxy) -> None:
    bed.answer_login(errno=8001, sqlstate="08004", message="Server is initializing", times=-1)

    errno, message = await login_error(proxy, "app@sys#demo")

    assert (errno, message) == (8001, "Server is initializing")


async def test_a_tenant_that_moved_is_asked_for_again(bed: Testbed, proxy: Proxy) -> None:
    await bed.place_tenant("mytenant", [0])
    assert await through(proxy, "select 'before'", "app@mytenant#demo")
    await bed.place_tenant("mytenant", [2])
    bed.answer_login(errno=5150, message="Tenant not in this server", number=0, times=-1)

    assert await through(proxy, "select 'after'", "app@mytenant#demo")

    assert [statement.observer for statement in bed.statements("before|after")] == [0, 2]
    assert proxy.counts.tenant_fetches == 2
    assert proxy.counts.tenant_invalidations == 1


async def test_a_5150_in_the_middle_of_a_session_asks_again_and_goes_elsewhere(bed: Testbed, proxy: Proxy) -> None:
    bed.answer("select 'gone'", errno=5150, message="Tenant not in this server")

    assert await through(proxy, "select 'gone'", "app@mytenant#demo") == (("gone",),)

    assert len({statement.observer for statement in bed.statements("gone")}) == 2
    assert proxy.counts.tenant_fetches == 2


async def test_a_tenants_first_logins_share_one_fetch(bed: Testbed, proxy: Proxy) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(through, proxy, "select 1", "app@mytenant#demo")

    assert proxy.counts.tenant_fetches == 1
    assert len([s for s in bed.statements() if "__all_dummy" in s.sql]) == 1


@pytest.mark.parametrize("hashed", [False, True])
async def test_the_proxys_own_password_may_be_clear_or_hashed(bed: Testbed, hashed: bool) -> None:
    password = hashlib.sha1(bed.proxyro_password.encode()).hexdigest() if hashed else bed.proxyro_password
    settings = settings_for(bed, enable_http=False, observer_sys_password=Secret(password))
    async with open_proxy(settings, rng=Random(0)) as proxy:
        assert await through(proxy, "select 1") == ((1,),)


async def test_a_second_password_is_tried_when_the_first_is_refused(bed: Testbed) -> None:
    settings = settings_for(
        bed, enable_http=False, observer_sys_password=Secret("old"), observer_sys_password1=Secret(bed.proxyro_password)
    )
    async with open_proxy(settings) as proxy:
        assert await through(proxy, "select 1") == ((1,),)


async def test_a_refused_proxyro_is_a_clear_error_without_the_password(bed: Testbed) -> None:
    settings = settings_for(bed, enable_http=False, observer_sys_password=Secret("hunter2"))
    async with open_proxy(settings) as proxy:
        errno, message = await login_error(proxy, "app@sys#demo")

    assert errno == 4012
    assert "proxyro@sys got no answer" in message
    assert "(1045) Access denied for user 'proxyro'" in message
    assert "hunter2" not in message


async def test_a_wrong_rslist_is_a_clear_error(bed: Testbed) -> None:
    for number in range(3):
        await bed.kill(number, noticed=False)
    async with open_proxy(settings_for(bed, enable_http=False)) as proxy:
        errno, message = await login_error(proxy, "app@sys#demo")

        assert errno == 4012
        assert all(f"127.0.0.{n}:{bed.port}: Connection refused" in message for n in (1, 2, 3))
        for number in range(3):
            await bed.revive(number)
        assert await through(proxy, "select 1") == ((1,),)


async def test_an_rslist_of_another_cluster_is_named(bed: Testbed) -> None:
    bed.cluster = "other"
    async with open_proxy(settings_for(bed, enable_http=False)) as proxy:
        errno, message = await login_error(proxy, "app@sys#other")

    assert errno == 4666
    assert "call themselves 'demo', not 'other'" in message


async def test_a_frozen_server_costs_a_login_its_time_out_and_no_more(bed: Testbed) -> None:
    async with open_proxy(settings_for(bed, enable_http=False, connect_timeout=0.3)) as proxy:
        assert await through(proxy, "select 1")
        bed.freeze(0)
        bed.freeze(1)
        assert await through(proxy, "select 'thawed'") == (("thawed",),)
        await bed.thaw(0)
        await bed.thaw(1)


async def test_at_the_limit_clients_wait_if_they_are_not_to_be_refused(bed: Testbed) -> None:
    settings = settings_for(bed, enable_http=False, client_max_connections=1, client_max_connections_policy="wait")
    async with open_proxy(settings) as proxy:
        first = await in_thread(connect, proxy.addresses[0])
        answers: list[object] = []

        async def second() -> None:
            answers.append(await through(proxy, "select 'second'"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(second)
            await trio.sleep(0.3)  # long enough for a login that is let in
            assert answers == []
            assert len(proxy.sessions.table) == 1
            await in_thread(first.close)

        assert answers == [(("second",),)]


async def test_nothing_is_left_behind(bed: Testbed, proxy: Proxy) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(through, proxy, f"select {number}")
    await until(lambda: not proxy.sessions.table, "every session has ended")

    assert proxy.reactor.sockets == 0
    assert proxy.counts.ends["client_quit"] == 20


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY TCP4 10.1.2.3 10.9.9.9 40000 2883\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\x01\x02\x03\x0a\x09\x09\x09\x9c\x40\x0b\x43",
    ],
)
async def test_a_load_balancer_says_who_the_client_is(bed: Testbed, header: bytes) -> None:
    def log_in(address: tuple[str, int]) -> Connection:
        sock = socket.create_connection(address, timeout=20)
        sock.sendall(header)
        connection = pymysql.connect(user="app@sys#demo", password="app_pw", defer_connect=True)
        connection.connect(sock)
        return connection

    settings = settings_for(bed, enable_http=False, proxy_protocol_networks="192.168.0.0/16,127.0.0.0/8")
    async with open_proxy(settings) as proxy:
        with closing(await in_thread(log_in, proxy.addresses[0])):
            (session,) = proxy.sessions.table.values()
            assert session.peer == ("10.1.2.3", 40000)
        with closing(await in_thread(connect, proxy.addresses[0])):  # no header: a client of its own
            assert "127.0.0.1" in {session.peer[0] for session in proxy.sessions.table.values()}
    async with open_proxy(settings_for(bed, enable_http=False)) as proxy:
        with pytest.raises(pymysql.err.OperationalError, match="PROXY header from 127.0.0.1"):
            await in_thread(log_in, proxy.addresses[0])
