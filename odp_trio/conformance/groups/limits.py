"""Limits: how many clients there may be, how long anything may take, how much is kept."""

from __future__ import annotations

from contextlib import AsyncExitStack, suppress
from typing import Any

import trio

from odp_trio.conformance import expect
from odp_trio.conformance.needs import Needs
from odp_trio.conformance.raw import PATIENCE, connected, empty_table, form, proxied, refusal
from odp_trio.conformance.registry import check
from odp_trio.conformance.target import Target, address_of
from odp_trio.model import Address
from odp_trio.testing.answers import Answer
from odp_trio.testing.client import ConnectionLost
from odp_trio.testing.raw_client import LoginRefused, RawClient
from odp_trio.wire.command import Com
from odp_trio.wire.packets import packet

OWN = Needs.PROXY | Needs.OWN_PROXY
SQL = Needs.SQL
_TOO_MANY = (1203, 1040)


async def _comes_in_again(target: Target, at: Address) -> None:
    """A place that was left must be free soon."""
    with trio.move_on_after(5.0):
        while True:
            try:
                async with proxied(target, at=at) as client:
                    await expect.alive(client, "a place was left")
                    return
            except LoginRefused:
                await trio.sleep(0.05)
    raise AssertionError("asked: log in when a client has left\nexpected: a place\nseen: refused for 5 s")


@check("limits.clients", "limits", needs=OWN)
async def clients(target: Target) -> None:
    """A client beyond client_max_connections is refused with 1203, and comes in when another has left."""
    async with target.proxy(client_max_connections=2) as proxy:
        at = address_of(proxy)
        async with proxied(target, at=at) as first:
            async with proxied(target, at=at):
                refused = await refusal(target, at=at)
                expect.that(refused.errno == 1203, "a third client where two may be", "1203", refused)
                expect.that(refused.sqlstate == "42000", "its SQLSTATE", "42000", refused.sqlstate)
                await expect.alive(first, "a refused client")
            await _comes_in_again(target, at)


@check("limits.clients.administrator", "limits", needs=OWN)
async def clients_administrator(target: Target) -> None:
    """The administrator comes into a proxy that is full."""
    async with target.proxy(client_max_connections=1) as proxy:
        at, password = address_of(proxy), proxy.settings().obproxy_sys_password.value
        async with (
            proxied(target, at=at),
            proxied(target, at=at, user="root@proxysys", password=password, database=None) as client,
        ):
            await expect.ok(client, "show proxysession")


@check("limits.clients.failed-logins", "limits", needs=OWN)
async def clients_failed(target: Target) -> None:
    """Logins that are refused take nobody's place."""
    async with target.proxy(client_max_connections=1) as proxy:
        at = address_of(proxy)
        for _ in range(3):
            refused = await refusal(target, at=at, password="wrong")
            expect.that(refused.errno in (1045, *_TOO_MANY), "log in with a wrong password", "1045", refused)
            await _comes_in_again(target, at)


@check("limits.clients.idle-goes", "limits", needs=OWN)
async def clients_displaced(target: Target) -> None:
    """With enable_client_connection_lru_disconnect who was idle for longest goes, not who is in a transaction."""
    options: dict[str, Any] = {"client_max_connections": 2, "enable_client_connection_lru_disconnect": True}
    table = await empty_table(target)
    async with target.proxy(**options) as proxy:
        at = address_of(proxy)
        async with proxied(target, at=at) as working, proxied(target, at=at) as idle:
            await expect.ok(working, "begin", f"insert into {table} (id, v) values (1, 'x')")
            await expect.ok(idle, "select 1")
            await trio.sleep(0.1)
            async with proxied(target, at=at) as third:
                await expect.alive(third, "another client was displaced")
                await expect.ok(working, "commit")
                with suppress(ConnectionLost):
                    answer = await idle.query("select 1")
                    expect.failed(answer, "select 1 of the client that was displaced")


@check("limits.tenant", "limits", needs=OWN)
async def tenant(target: Target) -> None:
    """A client beyond tenant_max_connections is refused with 1040."""
    async with target.proxy(tenant_max_connections=1) as proxy:
        at = address_of(proxy)
        async with proxied(target, at=at):
            refused = await refusal(target, at=at)
            expect.that(refused.errno == 1040, "a second client of a tenant that may have one", "1040", refused)
        await _comes_in_again(target, at)


@check("limits.tenant.apart", "limits", needs=OWN | Needs.TENANT | Needs.SYS)
async def tenant_apart(target: Target) -> None:
    """One tenant's limit leaves another tenant its places."""
    async with target.proxy(tenant_max_connections=1) as proxy:
        at = address_of(proxy)
        async with proxied(target, at=at), proxied(target, target.sys_account, at=at, database=None) as other:
            await expect.alive(other, "another tenant is full")


@check("limits.user", "limits", needs=OWN)
async def user(target: Target) -> None:
    """A client beyond user_max_connections is refused with 1203."""
    async with target.proxy(user_max_connections=1) as proxy:
        at = address_of(proxy)
        async with proxied(target, at=at):
            refused = await refusal(target, at=at)
            expect.that(refused.errno in (1203, 1226), "a second client of a user that may have one", "1203", refused)
        await _comes_in_again(target, at)


@check("limits.memory", "limits", needs=OWN | SQL)
async def memory(target: Target) -> None:
    """Who keeps more in the session than client_max_memory_size is told 4080 and ended, and others go on."""
    async with target.proxy(client_max_memory_size=64 << 10) as proxy:
        at = address_of(proxy)
        async with proxied(target, at=at) as client, proxied(target, at=at) as other:
            answer: Answer | None = None
            for number in range(200):
                answer = await client.query(f"set @v{number} = repeat('x', 1000)")
                if answer.errno:
                    break
            assert answer is not None
            expect.failed(answer, "200 variables of 1,000 bytes in 64 KiB", (4080,))
            expect.that(await client.until_closed() == b"", "what comes behind it", "the end", "more")
            await expect.alive(other, "another client kept too much")


@check("limits.login-time", "limits", needs=OWN)
async def login_time(target: Target) -> None:
    """A client that does not log in within login_timeout is sent away."""
    async with target.proxy(login_timeout=0.4) as proxy:
        client = await RawClient.open(address_of(proxy), patience=PATIENCE)
        try:
            await client.greet()
            began = trio.current_time()
            await client.until_closed()
            took = trio.current_time() - began
            expect.that(
                took < 4, "say nothing behind the greeting, with login_timeout 0.4 s", "the end", f"{took:.1f} s"
            )
        finally:
            await client.close()


@check("limits.idle-time", "limits", needs=SQL | Needs.PROXY)
async def idle_time(target: Target) -> None:
    """A client that is idle for wait_timeout is sent away, and one that asks something is not."""
    async with proxied(target) as idle, proxied(target) as busy:
        for client in (idle, busy):
            await expect.ok(client, "set wait_timeout = 1")
        gone = False

        async def wait() -> None:
            nonlocal gone
            await idle.until_closed()
            gone = True

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            for _ in range(12):
                await trio.sleep(0.25)
                expect.good(await busy.ping(), "COM_PING every 0.25 s, with wait_timeout 1")
                if gone:
                    break
            nursery.cancel_scope.cancel()
        expect.that(gone, "idle for 3 s with wait_timeout 1", "the end of the connection", "it is there")


@check("limits.read-time", "limits", needs=SQL | Needs.PROXY)
async def read_time(target: Target) -> None:
    """A command that does not go on for net_read_timeout ends its connection."""
    async with proxied(target) as client:
        await expect.ok(client, "set net_read_timeout = 1")
        await client.stream.send_all(packet(0, b"\x03select 1")[:7])
        began = trio.current_time()
        await client.until_closed()
        took = trio.current_time() - began
        expect.that(took < 6, "half a command, with net_read_timeout 1", "the end within 6 s", f"{took:.1f} s")


@check("limits.query-time", "limits", needs=SQL)
async def query_time(target: Target) -> None:
    """A statement that takes longer than ob_query_timeout ends with 4012, and its session goes on."""
    async with proxied(target) as client:
        await expect.ok(client, "set ob_query_timeout = 300000")
        await expect.error(client, "select sleep(5)", 4012)
        await expect.alive(client, "a statement that took too long")


@check("limits.query-time.hint", "limits", needs=SQL)
async def query_time_hint(target: Target) -> None:
    """The hint query_timeout does the same for one statement."""
    async with proxied(target) as client:
        await expect.error(client, "select /*+ query_timeout(300000) */ sleep(5)", 4012)
        await expect.alive(client, "a statement that took too long")


@check("limits.transaction-time", "limits", needs=SQL)
async def transaction_time(target: Target) -> None:
    """A transaction that takes longer than ob_trx_timeout is over: statements fail, and the client can begin anew."""
    table = await empty_table(target)
    async with proxied(target) as client:
        await expect.ok(client, "set ob_trx_timeout = 300000", "begin", f"insert into {table} (id, v) values (1, 'x')")
        await trio.sleep(0.5)
        expect.failed(await client.query(f"insert into {table} (id, v) values (2, 'x')"), "insert after ob_trx_timeout")
        await client.query("rollback")
        await expect.ok(
            client, "set ob_trx_timeout = 100000000", "begin", f"insert into {table} (id, v) values (3, 'x')"
        )
        await expect.ok(client, "commit")
        await expect.value(client, f"select group_concat(id) from {table}", "3")


@check("limits.server-time", "limits", needs=OWN | Needs.FAULTS | SQL)
async def server_time(target: Target) -> None:
    """A client whose server answers nothing is not left waiting for longer than its time-outs say."""
    table = await empty_table(target)
    options: dict[str, Any] = {"observer_query_timeout_delta": 0.5, "server_detect_mode": 0, "connect_timeout": 1.0}
    async with target.proxy(**options) as proxy, proxied(target, at=address_of(proxy)) as client:
        await expect.ok(
            client, "set ob_query_timeout = 500000", "begin", f"insert into {table} (id, v) values (1, 'x')"
        )
        for number in range(len(target.servers)):
            target.bed.freeze(number)
        began = trio.current_time()
        seen: str = "closed"
        try:
            seen = (await client.query(f"insert into {table} (id, v) values (2, 'x')")).said()
        except ConnectionLost:
            pass
        finally:
            for number in range(len(target.servers)):
                await target.bed.thaw(number)
        took = trio.current_time() - began
        expect.that(took < 8, "a statement whose server is frozen", "an error or the end within 8 s", f"{took:.1f} s")
        expect.that(seen == "closed" or seen.startswith("ERR"), "the same", "an error or the end", seen)


@check("limits.packet", "limits", needs=SQL)
async def long_packet(target: Target) -> None:
    """A statement longer than max_allowed_packet is refused or its connection closed, and others go on."""
    async with proxied(target) as client, proxied(target) as other:
        longest = int(str(await expect.read(client, "select @@max_allowed_packet")))
        if longest > 32 << 20:
            return
        seen = "closed"
        with suppress(ConnectionLost):
            seen = (await client.query(f"select length('{'x' * longest}')")).said()
        expect.that(seen == "closed" or seen.startswith("ERR"), f"a statement of {longest} bytes", "an error", seen)
        await expect.alive(other, "a statement that was too long")


@check("limits.columns", "limits", needs=SQL)
async def many_columns(target: Target) -> None:
    """A result of 1,000 columns comes whole."""
    async with proxied(target) as client:
        answer = await expect.ok(client, "select " + ", ".join(map(str, range(1000))))
        expect.that(answer.rows == [tuple(map(str, range(1000)))], "select 1,000 numbers", "them", answer.said()[:200])


@check("limits.parameters", "limits", needs=SQL)
async def many_parameters(target: Target) -> None:
    """A prepared statement of 500 parameters is executed."""
    async with proxied(target) as client:
        prepared = await client.prepare("select " + ", ".join("?" for _ in range(500)))
        expect.that(prepared.parameters == 500, "prepare a statement of 500 parameters", "500", prepared.parameters)
        answer = expect.good(await client.execute(prepared.id, tuple(range(500))), "execute it")
        expect.that(answer.rows == [tuple(range(500))], "its row", "500 numbers", answer.said()[:200])


@check("limits.names", "limits")
async def long_names(target: Target) -> None:
    """A login name of 5,000 characters is refused, and other clients go on."""
    async with proxied(target) as other:
        client = await RawClient.open(target.front, patience=PATIENCE)
        try:
            await client.log_in(form(target, user="u" * 5000, database=None))
        except (LoginRefused, ConnectionLost):
            pass
        else:
            raise AssertionError("asked: log in with a name of 5,000 characters\nexpected: a refusal\nseen: logged in")
        finally:
            await client.close()
        await expect.alive(other, "a login name of 5,000 characters")


@check("limits.silent-clients", "limits")
async def silent_clients(target: Target) -> None:
    """Forty clients that say nothing behind their greeting do not keep another one from coming in."""
    async with AsyncExitStack() as stack:
        for _ in range(40):
            client = await RawClient.open(target.front, patience=PATIENCE)
            stack.push_async_callback(client.close)
        late = await connected(target, target.front, form(target))
        stack.push_async_callback(late.close)
        await expect.alive(late, "forty silent clients came before")
        expect.good(await late.command(bytes((Com.PING,))), "COM_PING")
