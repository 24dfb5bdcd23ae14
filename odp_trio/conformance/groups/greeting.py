"""The first packets: the greeting that clients decide by, and the answer to a login."""

from __future__ import annotations

from odp_trio.conformance import expect
from odp_trio.conformance.needs import Needs
from odp_trio.conformance.raw import PATIENCE, form, proxied
from odp_trio.conformance.registry import check
from odp_trio.conformance.runner import Skip
from odp_trio.conformance.target import Target
from odp_trio.testing.raw_client import TRACKING, LoginRefused, RawClient
from odp_trio.wire.auth import native_token
from odp_trio.wire.fields import Capability, Status

_WANTED = {
    "PROTOCOL_41": Capability.PROTOCOL_41,
    "SECURE_CONNECTION": Capability.SECURE_CONNECTION,
    "CONNECT_WITH_DB": Capability.CONNECT_WITH_DB,
    "TRANSACTIONS": Capability.TRANSACTIONS,
    "PLUGIN_AUTH": Capability.PLUGIN_AUTH,
    "CONNECT_ATTRS": Capability.CONNECT_ATTRS,
    "SESSION_TRACK": Capability.SESSION_TRACK,
    "LOCAL_FILES": Capability.LOCAL_FILES,
}


async def _greeted(target: Target) -> RawClient:
    client = await RawClient.open(target.front, patience=PATIENCE)
    await client.greet()
    return client


@check("login.greeting.layout", "login")
async def layout(target: Target) -> None:
    """The greeting is HandshakeV10 with number 0 and a scramble of twenty bytes of which none is NUL."""
    client = await _greeted(target)
    await client.close()
    greeting, raw = client.greeting, client.greeting_payload
    expect.that(raw[0] == 10, "the greeting", "protocol version 10", raw[:20].hex(" "))
    expect.that(client.login_packets[0][1][3] == 0, "its number", "0", client.login_packets[0][1][3])
    expect.that(greeting.version, "its version", "a text", greeting.version)
    holds = len(greeting.scramble) == 20 and 0 not in greeting.scramble
    expect.that(holds, "its scramble", "20 bytes, none of them NUL", greeting.scramble.hex(" "))
    after = raw[raw.index(b"\0") + 1 :]
    expect.that(after[20] == 21, "its length of authentication data", "21", after[20])
    expect.that(raw.endswith(greeting.plugin + b"\0"), "its end", "the plugin's name with a NUL", raw[-30:].hex(" "))


@check("login.greeting.plugin", "login")
async def plugin(target: Target) -> None:
    """The greeting announces mysql_native_password, which is what OceanBase checks."""
    client = await _greeted(target)
    await client.close()
    seen = client.greeting.plugin
    expect.that(seen == b"mysql_native_password", "the plugin of the greeting", "mysql_native_password", seen)


@check("login.greeting.capabilities", "login")
async def capabilities(target: Target) -> None:
    """The greeting offers what drivers need, and not DEPRECATE_EOF, which OceanBase does not speak."""
    client = await _greeted(target)
    await client.close()
    offered = client.greeting.capabilities
    lacking = [name for name, bit in _WANTED.items() if not offered & bit]
    expect.that(not lacking, f"capabilities {offered:#010x}", f"{', '.join(_WANTED)}", f"without {', '.join(lacking)}")
    deprecated = offered & Capability.DEPRECATE_EOF
    expect.that(not deprecated, f"capabilities {offered:#010x}", "no DEPRECATE_EOF", "it is there")


@check("login.greeting.ids", "login")
async def ids(target: Target) -> None:
    """Clients that are connected at the same time have different connection ids."""
    clients = [await _greeted(target) for _ in range(5)]
    seen = [client.greeting.connection_id for client in clients]
    for client in clients:
        await client.close()
    expect.that(len(set(seen)) == 5, "the connection ids of five clients", "five different ones", seen)


@check("login.greeting.at-once", "login")
async def at_once(target: Target) -> None:
    """The greeting comes before the client has said anything."""
    client = await _greeted(target)
    await client.close()


@check("login.greeting.replay", "login")
async def replay(target: Target) -> None:
    """The answer to one greeting's scramble is of no use for another."""
    if not target.account.password.value:
        raise Skip("the user has no password")
    first, second = await _greeted(target), await _greeted(target)
    try:
        if first.greeting.scramble == second.greeting.scramble:
            raise Skip("this proxy greets everybody with one scramble (ODP's enable_proxy_scramble is off)")
        token = native_token(target.account.password.value, first.greeting.scramble)
        try:
            await second.log_in(form(target, token=token))
        except LoginRefused as exc:
            expect.that(exc.errno == 1045, "log in with the answer to another scramble", "1045", exc)
            return
        raise AssertionError("asked: log in with the answer to another scramble\nexpected: 1045\nseen: logged in")
    finally:
        await first.close()
        await second.close()


@check("login.answer.plain", "login")
async def plain_answer(target: Target) -> None:
    """A login is answered with a bare OK, without session state that the client did not ask for."""
    async with proxied(target) as client:
        seen, number = client.login_answer, client.login_packets[-1][1][3]
    expect.that(len(seen) == 7 and seen[:3] == b"\0\0\0", "log in", "an OK of 7 bytes", seen[:60].hex(" "))
    expect.that(number == 2, "the number of the answer to a login", "2", number)


@check("login.answer.status", "login")
async def status(target: Target) -> None:
    """The answer to a login says that autocommit is on and that no transaction is open."""
    async with proxied(target) as client:
        seen = int.from_bytes(client.login_answer[3:5], "little")
    holds = seen & Status.AUTOCOMMIT and not seen & Status.IN_TRANS
    expect.that(holds, "the status of the OK of a login", "AUTOCOMMIT, not IN_TRANS", f"{seen:#06x}")


@check("login.answer.tracking", "login", needs=Needs.SQL)
async def tracking(target: Target) -> None:
    """A client with SESSION_TRACK comes in, and nothing that is meant for proxies is told to it."""
    async with proxied(target, capabilities=TRACKING) as client:
        seen = client.login_answer
        expect.that(len(seen) < 1000, "log in with SESSION_TRACK", "an OK without 800 variables", f"{len(seen)} bytes")
        expect.that(b"__NULL" not in seen, "log in with SESSION_TRACK", "none of a proxy's state", seen[:80].hex(" "))
        await expect.value(client, "select 1", "1")
