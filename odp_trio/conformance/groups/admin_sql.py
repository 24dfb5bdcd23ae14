"""Commands for the proxy itself: who may say them, and that what tools read of them is there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from odp_trio.conformance import expect
from odp_trio.conformance.needs import Needs
from odp_trio.conformance.raw import proxied
from odp_trio.conformance.registry import check
from odp_trio.conformance.target import Target
from odp_trio.testing.answers import Cell
from odp_trio.testing.client import ConnectionLost
from odp_trio.testing.raw_client import RawClient

ADMIN = Needs.PROXY | Needs.ADMIN
_HARMLESS = "connect_observer_max_retries"
"""An option that both proxies have, whose change nobody notices in the moment of a check."""


@asynccontextmanager
async def administrator(target: Target) -> AsyncIterator[RawClient]:
    """Log in to the proxy itself."""
    account = target.parts.admin
    assert account is not None
    user = f"{account.user}@{account.tenant}"
    async with proxied(target, user=user, password=account.password.value, database=None) as client:
        yield client


async def shown(client: RawClient, sql: str, columns: Collection[str] = ()) -> list[dict[str, Cell]]:
    """Run a SHOW command that must give at least these columns; return its rows by their names."""
    answer = await expect.ok(client, sql)
    names = [column.name for column in answer.result.columns]
    lacking = set(columns) - set(names)
    expect.that(not lacking, sql, f"columns {', '.join(columns)}", ", ".join(names))
    return [dict(zip(names, row, strict=True)) for row in answer.rows]


async def option(client: RawClient, name: str) -> str:
    """Return an option's value."""
    rows = await shown(client, f"show proxyconfig like '{name}'", ("name", "value"))
    found = [str(row["value"]) for row in rows if row["name"] == name]
    expect.that(len(found) == 1, f"show proxyconfig like '{name}'", "one row of that name", rows)
    return found[0]


@asynccontextmanager
async def changed(target: Target, **options: object) -> AsyncIterator[RawClient]:
    """Set options of the proxy for the length of the block, by ALTER PROXYCONFIG."""
    async with administrator(target) as client:
        before = {name: await option(client, name) for name in options}
        try:
            for name, value in options.items():
                await expect.ok(client, f"alter proxyconfig set {name} = '{value}'")
            yield client
        finally:
            for name, value in before.items():
                await client.query(f"alter proxyconfig set {name} = '{value}'")


@check("admin.login", "admin", needs=ADMIN)
async def login(target: Target) -> None:
    """The administrator comes in with the proxy's own password, and no server is needed for it."""
    async with administrator(target) as client:
        expect.good(await client.ping(), "COM_PING")
        await expect.ok(client, "show proxyconfig like 'listen_port'")


@check("admin.config.columns", "admin", needs=ADMIN)
async def config_columns(target: Target) -> None:
    """SHOW PROXYCONFIG has the columns that tools read, and a row for each option."""
    async with administrator(target) as client:
        rows = await shown(client, "show proxyconfig", ("name", "value", "info", "need_reboot", "visible_level"))
    expect.that(len(rows) > 50, "show proxyconfig", "more than 50 options", len(rows))


@check("admin.config.like", "admin", needs=ADMIN)
async def config_like(target: Target) -> None:
    """SHOW PROXYCONFIG LIKE shows what matches, and nothing for what does not."""
    async with administrator(target) as client:
        rows = await shown(client, "show proxyconfig like '%listen%'")
        wrong = [row["name"] for row in rows if "listen" not in str(row["name"])]
        expect.that(rows and not wrong, "show proxyconfig like '%listen%'", "options with listen in their name", rows)
        await expect.rows(client, "show proxyconfig like 'no_such_option'", [])


@check("admin.config.change", "admin", needs=ADMIN)
async def config_change(target: Target) -> None:
    """ALTER PROXYCONFIG SET changes an option at once, and SHOW PROXYCONFIG shows the new value."""
    async with administrator(target) as client:
        before = await option(client, _HARMLESS)
        wanted = "4" if before != "4" else "5"
        async with changed(target, **{_HARMLESS: wanted}):
            seen = await option(client, _HARMLESS)
            expect.that(seen == wanted, f"alter proxyconfig set {_HARMLESS} = {wanted}", wanted, seen)
        after = await option(client, _HARMLESS)
        expect.that(after == before, "the same back again", before, after)


@check("admin.config.refused", "admin", needs=ADMIN)
async def config_refused(target: Target) -> None:
    """An option that there is not and a value that cannot be are refused, and nothing is changed."""
    async with administrator(target) as client:
        before = await option(client, _HARMLESS)
        for sql in ("alter proxyconfig set no_such_option = 1", f"alter proxyconfig set {_HARMLESS} = 'no number'"):
            expect.failed(await client.query(sql), sql)
        after = await option(client, _HARMLESS)
        expect.that(after == before, f"{_HARMLESS} behind refused changes", before, after)


@check("admin.config.secrets", "admin", needs=ADMIN)
async def config_secrets(target: Target) -> None:
    """SHOW PROXYCONFIG does not show passwords in clear."""
    assert target.parts.admin is not None
    async with administrator(target) as client:
        rows = await shown(client, "show proxyconfig like '%password%'")
    secrets = {target.parts.admin.password.value, target.account.password.value} - {""}
    told = [row["name"] for row in rows if str(row["value"]) in secrets]
    expect.that(not told, "show proxyconfig like '%password%'", "no password in clear", told)


@check("admin.syntax", "admin", needs=ADMIN)
async def syntax(target: Target) -> None:
    """What is no command is refused with an error, and the administrator's session goes on."""
    async with administrator(target) as client:
        for sql in ("show proxyclutser", "alter proxyconfig set", "select * from no_such_table"):
            expect.failed(await client.query(sql), sql)
        await shown(client, "show proxyconfig like 'listen_port'")


@check("admin.sessions.shown", "admin", needs=ADMIN)
async def sessions(target: Target) -> None:
    """SHOW PROXYSESSION has a row for a client, by the number of its greeting, with its cluster, tenant and user."""
    async with proxied(target) as client, administrator(target) as admin:
        await expect.ok(client, "select 1")
        rows = await shown(
            admin, "show proxysession", ("proxy_sessid", "Id", "Cluster", "Tenant", "User", "Host", "db", "state")
        )
        number = str(client.greeting.connection_id)
        mine = [row for row in rows if row["Id"] == number]
        expect.that(len(mine) == 1, "show proxysession", f"one row of Id {number}", [row["Id"] for row in rows])
        seen = tuple(mine[0][name] for name in ("Cluster", "Tenant", "User", "db"))
        expected = (target.cluster, target.account.tenant, target.account.user, target.database)
        expect.that(seen == expected, f"show proxysession, Id {number}", f"{expected}", seen)


@check("admin.sessions.attribute", "admin", needs=ADMIN)
async def attribute(target: Target) -> None:
    """SHOW PROXYSESSION ATTRIBUTE tells of a client and of the server sessions that it has."""
    async with proxied(target) as client, administrator(target) as admin:
        await expect.ok(client, "select 1")
        number = client.greeting.connection_id
        rows = await shown(admin, f"show proxysession attribute {number}", ("attribute_name", "value", "info"))
        named = {str(row["attribute_name"]): row["value"] for row in rows}
        wanted = {"cs_id", "cluster", "tenant", "user", "host_ip", "server_ip", "server_port"}
        lacking = wanted - named.keys()
        expect.that(not lacking, f"show proxysession attribute {number}", f"{sorted(wanted)}", sorted(named))
        expect.that(named["cs_id"] == str(number), "its cs_id", str(number), named["cs_id"])


@check("admin.sessions.variables", "admin", needs=ADMIN | Needs.SQL)
async def variables(target: Target) -> None:
    """SHOW PROXYSESSION VARIABLES shows what a client has changed."""
    async with proxied(target) as client, administrator(target) as admin:
        await expect.ok(client, "set wait_timeout = 1234", "set @kept = 5")
        number = client.greeting.connection_id
        rows = await shown(admin, f"show proxysession variables {number}", ("variable_name", "value"))
        named = {str(row["variable_name"]): str(row["value"]) for row in rows}
        seen = named.get("wait_timeout"), named.get("kept")
        expect.that(seen == ("1234", "5"), f"show proxysession variables {number}", "wait_timeout 1234, kept 5", seen)


@check("admin.sessions.kill", "admin", needs=ADMIN)
async def kill(target: Target) -> None:
    """KILL PROXYSESSION ends that client, and no other."""
    async with proxied(target) as client, proxied(target) as other, administrator(target) as admin:
        await expect.ok(admin, f"kill proxysession {client.greeting.connection_id}")
        try:
            answer = await client.query("select 1")
        except ConnectionLost:
            pass
        else:
            expect.failed(answer, "select 1 of a client that was killed")
        await expect.alive(other, "KILL PROXYSESSION of another")
        expect.failed(await admin.query("kill proxysession 999999999"), "kill proxysession 999999999")


@check("admin.clusters", "admin", needs=ADMIN)
async def clusters(target: Target) -> None:
    """SHOW PROXYCLUSTER shows the cluster that clients use."""
    async with proxied(target) as client, administrator(target) as admin:
        await expect.ok(client, "select 1")
        rows = await shown(admin, "show proxycluster", ("cluster_name",))
    seen = {str(row["cluster_name"]) for row in rows}
    expect.that(target.cluster in seen, "show proxycluster", f"{target.cluster} among them", seen)


@check("admin.congestion", "admin", needs=ADMIN | Needs.SERVERS)
async def congestion(target: Target) -> None:
    """SHOW PROXYCONGESTION ALL shows every server of the cluster."""
    async with proxied(target) as client, administrator(target) as admin:
        await expect.ok(client, "select 1")
        rows = await shown(
            admin, "show proxycongestion all", ("cluster_name", "zone_name", "server_ip", "server_state")
        )
    seen = {str(row["server_ip"]) for row in rows if row["cluster_name"] == target.cluster}
    expected = {str(server) for server in target.servers}
    expect.that(expected <= seen, "show proxycongestion all", f"{sorted(expected)}", sorted(seen))


@check("admin.statistics", "admin", needs=ADMIN)
async def statistics(target: Target) -> None:
    """SHOW PROXYSTAT counts statements."""

    async def total(client: RawClient) -> int:
        rows = await shown(client, "show proxystat", ("stat_name", "value"))
        named = {str(row["stat_name"]): row["value"] for row in rows}
        expect.that("client_select_requests" in named, "show proxystat", "client_select_requests", sorted(named)[:20])
        return int(str(named["client_select_requests"]))

    async with administrator(target) as admin, proxied(target) as client:
        before = await total(admin)
        for _ in range(3):
            await expect.ok(client, "select 1")
        after = await total(admin)
    expect.that(after >= before + 3, "client_select_requests behind three SELECTs", f">= {before + 3}", after)


@check("admin.others.refused", "admin", needs=Needs.PROXY)
async def others_refused(target: Target) -> None:
    """An ordinary user cannot read or change the proxy's options, nor end others' sessions."""
    async with proxied(target) as client, proxied(target) as other:
        number = other.greeting.connection_id
        for sql in ("show proxyconfig", f"alter proxyconfig set {_HARMLESS} = 3", f"kill proxysession {number}"):
            expect.failed(await client.query(sql), f"{sql}, as an ordinary user")
        await expect.alive(other, "an ordinary user's KILL PROXYSESSION")


@check("admin.others.own-session", "admin", needs=Needs.PROXY)
async def own_session(target: Target) -> None:
    """An ordinary user sees its own session by SHOW PROXYSESSION."""
    async with proxied(target) as client:
        rows = await shown(client, "show proxysession", ("Id", "User"))
        number = str(client.greeting.connection_id)
        seen = [row["Id"] for row in rows]
        expect.that(number in seen, "show proxysession, as an ordinary user", f"{number} among them", seen)


@check("admin.others.in-transaction", "admin", needs=Needs.PROXY)
async def in_transaction(target: Target) -> None:
    """A command for the proxy within a transaction leaves it open, and says so."""
    async with proxied(target) as client:
        await expect.ok(client, "begin")
        answer = expect.good(await client.query("show proxysession"), "show proxysession")
        expect.that(
            answer.in_transaction, "show proxysession behind BEGIN", "a status of an open transaction", answer.said()
        )
        await expect.ok(client, "rollback")


@check("admin.ping", "admin", needs=Needs.PROXY)
async def ping(target: Target) -> None:
    """PING PROXY is answered by the proxy itself."""
    async with proxied(target) as client:
        await expect.ok(client, "ping proxy")


@check("admin.version", "admin", needs=ADMIN)
async def version(target: Target) -> None:
    """SELECT PROXY_VERSION() tells the administrator the version of the proxy."""
    async with administrator(target) as client:
        seen = await expect.read(client, "select proxy_version()")
        expect.that(seen, "select proxy_version()", "a version", seen)


@check("admin.others.version", "admin", needs=Needs.PROXY)
async def others_version(target: Target) -> None:
    """SELECT PROXY_VERSION() and PROXY_STATUS() of an ordinary user are answered by the proxy, in a transaction too."""
    async with proxied(target) as client:
        await expect.ok(client, "begin")
        for sql in ("select proxy_version()", "SELECT proxy_version( ) AS v;", "select proxy_status() `state`"):
            answer = await client.query(sql)
            expect.that(len(answer.rows) == 1 and answer.rows[0][0], sql, "one row with a text", answer.said())
            expect.transaction(answer, sql, open=True)
        await expect.ok(client, "rollback")
        seen = await expect.read(client, "select proxy_status()")
        expect.that(seen in ("ACTIVE", "BE_INACTIVE", "INACTIVE"), "select proxy_status()", "ACTIVE, or another", seen)
        answer = await client.query("select proxy_version() as v")
        names = [column.name for column in answer.result.columns]
        expect.that(names == ["v"], "select proxy_version() as v", "a column v", names)
