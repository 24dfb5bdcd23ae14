"""Login forms and refusals: every way to say who one is, and what those are told who may not come in."""

from __future__ import annotations

import trio

from odp_trio.conformance import expect
from odp_trio.conformance.needs import Needs
from odp_trio.conformance.raw import PATIENCE, connected, direct, form, proxied, refusal
from odp_trio.conformance.registry import check
from odp_trio.conformance.target import Target
from odp_trio.testing.client import ConnectionLost
from odp_trio.testing.raw_client import PLAIN, LoginRefused, RawClient
from odp_trio.wire.fields import Capability

_DENIED = (1045, 1044)


async def _comes_in(target: Target, user: str, password: str | None = None) -> None:
    secret = target.account.password.value if password is None else password
    async with proxied(target, user=user, password=secret) as client:
        seen = str(await expect.read(client, "select user()")).partition("@")[0]
        expect.that(seen in user, f"select user() after a login as {user!r}", "a part of that name", seen)
        expect.that(bool(seen), "select user()", "a name before the @", seen)


@check("login.form.user-tenant-cluster", "login", proves=("RT-1",), needs=Needs.PROXY)
async def full_name(target: Target) -> None:
    """A client may log in as user@tenant#cluster."""
    who = target.account
    await _comes_in(target, f"{who.user}@{who.tenant}#{target.cluster}")


@check("login.form.user-tenant", "login")
async def without_cluster(target: Target) -> None:
    """A client may leave the cluster out of its login name."""
    await _comes_in(target, f"{target.account.user}@{target.account.tenant}")


@check("login.form.user-only", "login", needs=Needs.SYS)
async def user_only(target: Target) -> None:
    """A login name without a tenant is one of the tenant sys."""
    who = target.sys_account
    await _comes_in(target, who.user, who.password.value)


@check("login.form.user-cluster", "login", needs=Needs.PROXY | Needs.SYS)
async def user_and_cluster(target: Target) -> None:
    """A client may log in as user#cluster, which is one of the tenant sys."""
    who = target.sys_account
    await _comes_in(target, f"{who.user}#{target.cluster}", who.password.value)


def _separated(separator: str) -> None:
    names = {":": "colons", "-": "dashes", ".": "dots"}

    async def body(target: Target) -> None:
        who = target.account
        await _comes_in(target, separator.join((target.cluster, who.tenant, who.user)))

    body.__doc__ = f"A client may log in as cluster{separator}tenant{separator}user."
    check(f"login.form.{names[separator]}", "login", needs=Needs.PROXY)(body)


for _separator in ":-.":
    _separated(_separator)


@check("login.form.second-tenant", "login", proves=("RT-13", "RT-30"), needs=Needs.PROXY | Needs.TENANT | Needs.SYS)
async def two_tenants(target: Target) -> None:
    """Clients of two tenants are served at the same time by one proxy, each its own tenant."""
    async with proxied(target) as one, proxied(target, target.sys_account, database=None) as other:
        await expect.value(one, "select 'tenant one'", "tenant one")
        await expect.value(other, "select 'tenant two'", "tenant two")


@check("login.database.chosen", "login")
async def database(target: Target) -> None:
    """The database that a login names is the one that statements find."""
    async with proxied(target) as client:
        await expect.value(client, "select database()", target.database)


@check("login.database.none", "login")
async def no_database(target: Target) -> None:
    """A login without a database has none: a table without its database is not found."""
    async with proxied(target, database=None) as client:
        await expect.value(client, "select database()", None)
        await expect.error(client, "select * from no_such_table", 1046, 1146)


@check("login.database.unknown", "login")
async def unknown_database(target: Target) -> None:
    """A login to a database that there is not is refused with 1049 (or 1044)."""
    refused = await refusal(target, database="no_such_database")
    expect.that(refused.errno in (1049, 1044), "log in to no_such_database", "1049 or 1044", refused)


@check("login.refused.password", "login")
async def wrong_password(target: Target) -> None:
    """A wrong password is refused with 1045 and an SQLSTATE of class 28 or 42."""
    refused = await refusal(target, password="this is not the password")
    expect.that(refused.errno == 1045, "log in with a wrong password", "1045", refused)
    expect.that(refused.sqlstate in ("28000", "42000"), "its SQLSTATE", "28000 or 42000", refused.sqlstate)


@check("login.refused.as-direct", "login", needs=Needs.SERVERS)
async def refused_as_direct(target: Target) -> None:
    """A wrong password is told with the same error, state and words as by the server itself."""
    through = await refusal(target, password="wrong")
    try:
        async with direct(target, password="wrong"):
            raise AssertionError("the server let a wrong password in")
    except LoginRefused as exc:
        seen, expected = (through.errno, through.sqlstate), (exc.errno, exc.sqlstate)
        expect.that(seen == expected, "log in with a wrong password, through the proxy", f"{expected}", seen)
        expect.that(through.message == exc.message, "the words of it", exc.message, through.message)


@check("login.refused.no-password", "login")
async def no_password(target: Target) -> None:
    """A user that has a password cannot come in without one."""
    if not target.account.password.value:
        return
    refused = await refusal(target, password="")
    expect.that(refused.errno == 1045, "log in without a password", "1045", refused)


@check("login.refused.user", "login")
async def unknown_user(target: Target) -> None:
    """A user that there is not is refused with 1045."""
    name = target.login().replace(target.account.user, "nobody_of_that_name", 1)
    refused = await refusal(target, user=name)
    expect.that(refused.errno in _DENIED, f"log in as {name}", "1045", refused)


@check("login.refused.empty-user", "login", needs=Needs.PROXY)
async def empty_user(target: Target) -> None:
    """A login name without a user is refused, and the connection is not left hanging."""
    name = target.login().removeprefix(target.account.user)
    try:
        refused = await refusal(target, user=name)
    except AssertionError as exc:
        if isinstance(exc.__cause__, ConnectionLost):
            return  # closed without a word is no session either
        raise
    expect.that(refused.errno in _DENIED, f"log in as {name!r}", "1045", refused)


@check("login.refused.tenant", "login", needs=Needs.PROXY)
async def unknown_tenant(target: Target) -> None:
    """A tenant that there is not is refused with 1045."""
    name = f"{target.account.user}@no_such_tenant#{target.cluster}"
    refused = await refusal(target, user=name)
    expect.that(refused.errno in _DENIED, f"log in as {name}", "1045", refused)
    expect.that("no_such_tenant" in refused.message, "its message", "the name that was typed", refused.message)


@check("login.refused.cluster", "login", needs=Needs.PROXY)
async def unknown_cluster(target: Target) -> None:
    """A cluster that the proxy does not know is refused with an error that names it or denies access."""
    name = f"{target.account.user}@{target.account.tenant}#no_such_cluster"
    refused = await refusal(target, user=name)
    expect.that(refused.errno in (4669, 4666, 4018, 1045), f"log in as {name}", "4669", refused)


@check("login.refused.proxyro", "login", needs=Needs.PROXY)
async def proxyro(target: Target) -> None:
    """The account with which the proxy asks for metadata is not for clients."""
    refused = await refusal(target, user=f"proxyro@sys#{target.cluster}", password="anything", database=None)
    expect.that(refused.errno == 1045, "log in as proxyro@sys", "1045", refused)


@check("login.refused.administrator", "login", needs=Needs.PROXY)
async def administrator(target: Target) -> None:
    """The proxy's own administrator cannot come in with a wrong password."""
    refused = await refusal(target, user="root@proxysys", password="not the password", database=None)
    expect.that(refused.errno == 1045, "log in as root@proxysys", "1045", refused)


@check("login.refused.closes", "login")
async def refused_closes(target: Target) -> None:
    """Behind a refusal the connection is closed."""
    client = await RawClient.open(target.front, patience=PATIENCE)
    try:
        try:
            await client.log_in(form(target, password="wrong"))
        except LoginRefused:
            behind = await client.until_closed()
            expect.that(behind == b"", "what comes behind the ERR packet", "the end of the connection", behind[:40])
            return
        raise AssertionError("a wrong password was let in")
    finally:
        await client.close()


@check("login.refused.leaves-others", "login")
async def refusals_leave_others(target: Target) -> None:
    """Refused logins change nothing for a client that is there, nor for those that come later."""
    async with proxied(target) as client:
        await expect.ok(client, "set @here = 1")
        for _ in range(5):
            await refusal(target, password="wrong")
        await expect.value(client, "select @here", "1")
    async with proxied(target) as client:
        await expect.alive(client, "five refused logins")


@check("login.database.user-function", "login", needs=Needs.SQL)
async def user_function(target: Target) -> None:
    """The server knows the user without tenant and cluster."""
    async with proxied(target) as client:
        seen = str(await expect.read(client, "select user()"))
    expect.that(seen.startswith(f"{target.account.user}@"), "select user()", f"{target.account.user}@host", seen)
    expect.that("#" not in seen, "select user()", "no cluster in it", seen)


@check("login.change-user.same", "login")
async def change_user(target: Target) -> None:
    """COM_CHANGE_USER to the same user gives a session without the state of the old one."""
    async with proxied(target) as client:
        await expect.ok(client, "set @left = 1", "set autocommit = 0")
        answer = await client.change_user(form(target))
        expect.good(answer, "COM_CHANGE_USER")
        await expect.rows(client, "select @left, @@autocommit", [(None, "1")])


@check("login.change-user.database", "login")
async def change_user_database(target: Target) -> None:
    """COM_CHANGE_USER without a database leaves none chosen, and one with a database chooses it."""
    async with proxied(target) as client:
        expect.good(await client.change_user(form(target, database="information_schema")), "COM_CHANGE_USER")
        seen = str(await expect.read(client, "select database()")).lower()
        expect.that(seen == "information_schema", "select database()", "information_schema", seen)
        expect.good(await client.change_user(form(target)), "COM_CHANGE_USER")
        await expect.value(client, "select database()", target.database)


@check("login.change-user.wrong-password", "login")
async def change_user_refused(target: Target) -> None:
    """COM_CHANGE_USER with a wrong password is refused with 1045."""
    async with proxied(target) as client:
        answer = await client.change_user(form(target, password="wrong"))
        expect.failed(answer, "COM_CHANGE_USER with a wrong password", (1045,))


@check("login.change-user.other-tenant", "login", needs=Needs.PROXY)
async def change_user_tenant(target: Target) -> None:
    """COM_CHANGE_USER to another tenant is refused: the session belongs to its tenant."""
    async with proxied(target) as client:
        said = form(target, user=f"{target.account.user}@other_tenant#{target.cluster}")
        expect.failed(await client.change_user(said), "COM_CHANGE_USER to another tenant")


@check("login.old-protocol", "login")
async def old_protocol(target: Target) -> None:
    """A login of the protocol before MySQL 4.1 is refused or closed, and does not hang."""
    client = await RawClient.open(target.front, patience=PATIENCE)
    try:
        await client.greet()
        await client.stream.send_all(b"\x0b\0\0\x01\x05\x24\0\0\0user\0\0")
        with trio.fail_after(PATIENCE):
            said = await client.until_closed()
        expect.that(said[4:5] in (b"", b"\xff"), "log in as before MySQL 4.1", "ERR or the end", said[:60])
    finally:
        await client.close()


@check("login.malformed", "login")
async def malformed(target: Target) -> None:
    """Bytes that are no login end that connection, and no other."""
    async with proxied(target) as other:
        client = await RawClient.open(target.front, patience=PATIENCE)
        try:
            await client.greet()
            await client.stream.send_all(b"\x28\0\0\x01" + b"\xff" * 40)
            said = await client.until_closed()
            expect.that(said[4:5] in (b"", b"\xff"), "log in with 40 bytes 0xff", "ERR or the end", said[:60])
        finally:
            await client.close()
        await expect.alive(other, "another client's malformed login")


@check("login.storm", "login")
async def storm(target: Target) -> None:
    """Twenty clients that log in at once all come in."""
    came: list[int] = []

    async def one(number: int) -> None:
        client = await connected(target, target.front, form(target))
        try:
            await expect.value(client, f"select {number}", str(number))
            came.append(number)
        finally:
            await client.close()

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(one, number)
    expect.that(len(came) == 20, "20 logins at once", "20 clients that were answered", len(came))


@check("login.quit", "login")
async def goodbye(target: Target) -> None:
    """Behind COM_QUIT the connection is closed without a further byte."""
    async with proxied(target) as client:
        said = await client.quit()
        expect.that(said == b"", "COM_QUIT", "the end of the connection", said[:40])


@check("login.capabilities.few", "login")
async def few_capabilities(target: Target) -> None:
    """A client that asks for no more than PROTOCOL_41 and SECURE_CONNECTION comes in."""
    few = Capability.PROTOCOL_41 | Capability.SECURE_CONNECTION | Capability.CONNECT_WITH_DB
    async with proxied(target, capabilities=few) as client:
        await expect.value(client, "select 1", "1")


@check("login.capabilities.attributes", "login")
async def attributes(target: Target) -> None:
    """A client may send connect attributes as every driver does."""
    said = {b"_client_name": b"libmysql", b"program_name": b"conformance", b"_pid": b"1"}
    async with proxied(target, capabilities=PLAIN | Capability.CONNECT_ATTRS, attributes=said) as client:
        await expect.value(client, "select 1", "1")


@check("login.capabilities.other-plugin", "login")
async def other_plugin(target: Target) -> None:
    """A client that begins with another authentication plugin is brought to one that it shares with the server."""
    async with proxied(target, plugin=b"caching_sha2_password", token=None) as client:
        await expect.value(client, "select 1", "1")


@check("login.charset", "login", needs=Needs.SQL)
async def charset(target: Target) -> None:
    """The character set of the login packet is the one of the session."""
    for number, name in ((8, "latin1"), (28, "gbk"), (45, "utf8mb4")):
        async with proxied(target, charset=number) as client:
            await expect.value(client, "select @@character_set_client", name)
