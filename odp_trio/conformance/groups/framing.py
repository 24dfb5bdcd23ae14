"""TLS, the compressed protocol and OB 2.0: other ways to carry the same packets."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from odp_trio.conformance import expect
from odp_trio.conformance.certificate import believing, certificate
from odp_trio.conformance.compare import queries, same
from odp_trio.conformance.needs import Needs
from odp_trio.conformance.raw import PATIENCE, direct, empty_table, form, on, proxied, refusal
from odp_trio.conformance.registry import check
from odp_trio.conformance.runner import Skip
from odp_trio.conformance.target import Target, address_of
from odp_trio.model import Address
from odp_trio.testing.client import ConnectionLost
from odp_trio.testing.raw_client import PLAIN, LoginRefused, RawClient
from odp_trio.wire.fields import Capability

SQL = Needs.PROXY | Needs.SQL
OWN = Needs.PROXY | Needs.OWN_PROXY
COMPRESSED = PLAIN | Capability.COMPRESS
_INSECURE = 3159
STATEMENTS = (
    "select 1", "select 1, 'two', null", "set @a = 5", "select @a", "selec", "select 1; select 2", "begin", "rollback",
    "select repeat('x', 70000)", "select 1 from dual where 1 = 0", "show variables like 'sql_mode'",
)  # fmt: skip


@asynccontextmanager
async def tls_front(target: Target, **options: Any) -> AsyncIterator[tuple[Address, ssl.SSLContext]]:
    """Give a proxy that offers TLS: the front if it does, else one of ours; raise Skip if neither can be had."""
    if target.has & Needs.TLS and not options:
        yield target.front, believing()
        return
    if not target.has & Needs.OWN_PROXY:
        raise Skip("the proxy offers no TLS, and none that does can be started here")
    async with certificate() as made:
        files: dict[str, Any] = {"ssl_cert_file": str(made.cert), "ssl_key_file": str(made.key)}
        async with target.proxy(enable_client_ssl=True, **files, **options) as proxy:
            yield address_of(proxy), made.context()


@check("tls.login", "tls", needs=Needs.PROXY)
async def tls_login(target: Target) -> None:
    """A client may log in over TLS where the greeting offers it."""
    async with tls_front(target) as (at, context), proxied(target, at=at, tls=context) as client:
        offered = client.greeting.capabilities & Capability.SSL
        expect.that(
            offered, "the greeting of a proxy with TLS", "the SSL capability", hex(client.greeting.capabilities)
        )
        await expect.value(client, "select 1", "1")


@check("tls.plain-too", "tls", needs=Needs.PROXY)
async def plain_too(target: Target) -> None:
    """Where TLS is offered and not demanded, a client without it comes in as before."""
    async with tls_front(target) as (at, _), proxied(target, at=at) as client:
        await expect.value(client, "select 1", "1")


@check("tls.versions", "tls", needs=Needs.PROXY)
async def tls_versions(target: Target) -> None:
    """TLS 1.2 and TLS 1.3 are both spoken."""
    async with tls_front(target) as (at, context):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.maximum_version = version
            async with proxied(target, at=at, tls=context) as client:
                await expect.value(client, "select 1", "1")


@check("tls.same", "tls", needs=SQL | Needs.SERVERS)
async def tls_same(target: Target) -> None:
    """Over TLS a client gets packet by packet what the server says."""
    async with tls_front(target) as (at, context):
        await same(target, queries(*STATEMENTS), at=at, tls=context)


@check("tls.big", "tls", needs=SQL)
async def tls_big(target: Target) -> None:
    """Statements and results of 1 MB come whole over TLS."""
    async with tls_front(target) as (at, context), proxied(target, at=at, tls=context) as client:
        await expect.value(client, f"select length('{'a' * 1_000_000}')", "1000000")
        answer = await expect.ok(client, "select repeat('x', 1000000)")
        expect.that(len(str(answer.rows[0][0])) == 1_000_000, "a value of 1 MB", "1000000 bytes", answer.said())


@check("tls.refused", "tls", needs=Needs.PROXY)
async def tls_refused(target: Target) -> None:
    """A wrong password over TLS is refused with 1045."""
    async with tls_front(target) as (at, context):
        refused = await refusal(target, at=at, tls=context, password="wrong")
        expect.that(refused.errno == 1045, "log in over TLS with a wrong password", "1045", refused)


@check("tls.demanded", "tls", needs=OWN)
async def tls_demanded(target: Target) -> None:
    """Where TLS is demanded, a client without it is refused, and one with it comes in."""
    async with tls_front(target, ssl_attributes='{"using_ssl":"ENABLE_FORCE"}') as (at, context):
        try:
            refused: object = await refusal(target, at=at)
        except AssertionError as exc:
            if not isinstance(exc.__cause__, ConnectionLost):
                raise
            refused = "closed"  # as ODP does
        good = refused == "closed" or (isinstance(refused, LoginRefused) and refused.errno == _INSECURE)
        expect.that(good, "log in without TLS where it is demanded", "3159, or the end", refused)
        async with proxied(target, at=at, tls=context) as client:
            await expect.value(client, "select 1", "1")


@check("tls.least-version", "tls", needs=OWN)
async def tls_least_version(target: Target) -> None:
    """A client that speaks nothing newer than TLS 1.2 does not come in where TLS 1.3 is the least."""
    async with tls_front(target, ssl_attributes='{"min_tls_version":"TLSV1.3"}') as (at, context):
        async with proxied(target, at=at, tls=context) as client:
            await expect.alive(client, "a login by TLS 1.3")
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        try:
            async with proxied(target, at=at, tls=context):
                raise AssertionError("asked: log in by TLS 1.2\nexpected: no way in\nseen: logged in")
        except ConnectionLost:
            return


@check("tls.not-offered", "tls", needs=Needs.PROXY)
async def tls_not_offered(target: Target) -> None:
    """A client that asks for TLS which was not offered gets no session, and others go on."""
    client = await RawClient.open(target.front, patience=PATIENCE)
    try:
        await client.greet()
        if client.greeting.capabilities & Capability.SSL:
            raise Skip("this proxy offers TLS")
        try:
            await client.log_in(form(target, tls=believing()))
        except (ConnectionLost, LoginRefused, ssl.SSLError):
            pass
        else:
            raise AssertionError("asked: TLS where it was not offered\nexpected: no session\nseen: logged in")
    finally:
        await client.close()
    async with proxied(target) as other:
        await expect.alive(other, "a client that asked for TLS")


@check("tls.shown", "tls", needs=Needs.PROXY)
async def tls_shown(target: Target) -> None:
    """SHOW PROXYSESSION says which clients use TLS."""
    async with (
        tls_front(target) as (at, context),
        proxied(target, at=at, tls=context) as client,
        proxied(target, at=at) as plain,
    ):
        seen = {}
        answer = await expect.ok(client, "show proxysession")
        names = [column.name for column in answer.result.columns]
        for row in answer.rows:
            seen[row[names.index("Id")]] = row[names.index("using_ssl")]
        expected = {str(client.greeting.connection_id): "1", str(plain.greeting.connection_id): "0"}
        found = {number: seen.get(number) for number in expected}
        expect.that(found == expected, "show proxysession: Id, using_ssl", f"{expected}", found)


# ---- compression --------------------------------------------------------------------


@asynccontextmanager
async def compressing(target: Target) -> AsyncIterator[Address]:
    """Give a proxy that offers compression: the front if it does, else one of ours."""
    client = await RawClient.open(target.front, patience=PATIENCE)
    await client.greet()
    await client.close()
    if client.greeting.capabilities & Capability.COMPRESS:
        yield target.front
        return
    if not target.has & Needs.OWN_PROXY:
        raise Skip("the proxy offers no compression, and none that does can be started here")
    async with target.proxy(client_compression_level=3) as proxy:
        yield address_of(proxy)


@check("tls.compression.same", "tls", needs=SQL | Needs.SERVERS)
async def compressed_same(target: Target) -> None:
    """A client of the compressed protocol gets packet by packet what the server says to one without."""
    async with compressing(target) as at:
        await same(target, queries(*STATEMENTS), at=at, front_capabilities=COMPRESSED)


@check("tls.compression.compresses", "tls", needs=SQL)
async def compressed_results(target: Target) -> None:
    """A result that can be compressed comes compressed, and statements in small frames are put together."""
    async with compressing(target) as at, proxied(target, at=at, capabilities=COMPRESSED, frame_bytes=5) as client:
        answer = await expect.ok(client, "select repeat('odp', 100000)")
        expect.that(len(str(answer.rows[0][0])) == 300_000, "a value of 300 kB", "300000 bytes", answer.said())
        assert client.compressed is not None
        seen = client.compressed.received
        expect.that(seen < 30_000, "the same, in bytes of the wire", "less than 30000", seen)


@check("tls.compression.not-offered", "tls", needs=Needs.PROXY)
async def compression_not_offered(target: Target) -> None:
    """A client that would compress speaks plainly to a proxy that does not offer it."""
    async with proxied(target, capabilities=COMPRESSED) as client:
        if client.greeting.capabilities & Capability.COMPRESS:
            raise Skip("this proxy offers compression")
        await expect.value(client, "select 1", "1")


# ---- towards servers ----------------------------------------------------------------

_LEGS: dict[str, tuple[str, dict[str, Any]]] = {
    "ob20": ("in OB 2.0 frames", {"enable_ob_protocol_v2": True}),
    "ob20-zlib": ("in compressed OB 2.0 frames", {"enable_ob_protocol_v2": True, "compression_algorithm": "zlib:6"}),
    "compressed": ("in frames of the compressed protocol", {"enable_compression_protocol": True}),
}


def _server_leg(name: str, words: str, options: dict[str, Any]) -> None:
    async def unchanged(target: Target) -> None:
        async with target.proxy(**options) as proxy:
            await same(target, queries(*STATEMENTS), at=address_of(proxy))

    unchanged.__doc__ = f"A client cannot tell from its packets that its servers are talked to {words}."
    check(f"tls.servers.{name}.same", "tls", needs=OWN | SQL | Needs.SERVERS)(unchanged)

    async def state(target: Target) -> None:
        table = await empty_table(target)
        async with target.proxy(**options) as proxy, proxied(target, at=address_of(proxy)) as client:
            await expect.ok(
                client, on(target, 0, "set @kept = 'it''s', time_zone = '+03:30', sql_mode = 'ANSI_QUOTES'")
            )
            for number in (1, 2, 0):
                await expect.rows(
                    client,
                    on(target, number, "select @kept, @@time_zone, @@sql_mode"),
                    [("it's", "+03:30", "ANSI_QUOTES")],
                )
            prepared = await client.prepare(on(target, 1, f"insert into {table} (id, v) values (?, 'x')"))
            await expect.ok(client, "begin")
            expect.good(await client.execute(prepared.id, (1,)), "execute in a transaction")
            await expect.ok(client, on(target, 2, "commit"))
            await expect.value(client, on(target, 2, f"select count(*) from {table}"), "1")

    state.__doc__ = f"State, prepared statements and transactions follow where servers are talked to {words}."
    check(f"tls.servers.{name}.state", "tls", needs=OWN | SQL | Needs.SEVERAL)(state)


for _name, (_words, _options) in _LEGS.items():
    _server_leg(_name, _words, _options)


@check("tls.servers.checked", "tls", needs=OWN | Needs.SERVERS)
async def servers_checked(target: Target) -> None:
    """A proxy that demands TLS of its servers does not use one that has none."""
    async with direct(target) as client:
        if client.greeting.capabilities & Capability.SSL:
            raise Skip("the servers have TLS")
    async with target.proxy(ready=False, enable_server_ssl=True, server_ssl_mode="REQUIRED") as proxy:
        try:
            await refusal(target, at=address_of(proxy))
        except AssertionError as exc:
            if not isinstance(exc.__cause__, ConnectionLost):
                raise
