"""Cluster and tenant routing: rslists, the server list, the routes of tenants."""

from __future__ import annotations

import trio

from odp_trio.conformance.needs import Needs
from odp_trio.conformance.registry import check
from odp_trio.conformance.target import Target, address_of
from odp_trio.model import parse_rslist
from odp_trio.testing.ocp_answers import Question, ServedCluster

_OWN = Needs.PROXY | Needs.OWN_PROXY
_BED = _OWN | Needs.TOPOLOGY | Needs.WHERE
_CONFIG = _OWN | Needs.CONFIG_SERVER
_SERVERS = r"DBA_OB_SERVERS"
_TENANT = r"__all_virtual_proxy_schema.*__all_dummy"


@check("clusters.name.login", "clusters", proves=("RT-3", "RT-4"), needs=Needs.PROXY)
async def a_login_names_its_cluster(target: Target) -> None:
    """A login that names the cluster comes in; one that names a cluster nobody knows is refused with a reason."""
    session = await target.connect()
    assert await session.value("select 1") == "1"
    account = target.account
    error = await target.login_error(target.login(cluster="no_such_cluster"), account.password.value, database="")
    assert error.errno
    assert error.message


@check("clusters.rslist.option", "clusters", proves=("RT-4",), needs=_OWN)
async def the_rslist_of_the_options(target: Target) -> None:
    """A proxy that is started with an rslist serves the cluster of that name by it."""
    async with target.proxy() as proxy:
        session = await target.connect(at=proxy)
        assert await session.value("select 7 * 6") == "42"
        assert proxy.clusters.names == (target.cluster,)
        assert proxy.statistics().clusters[0].rslist_source != "config server"


@check("clusters.rslist.config-server", "clusters", proves=("RT-3", "RT-5", "HA-30"), needs=_CONFIG)
async def the_rslist_of_a_config_server(target: Target) -> None:
    """A proxy that is started with nothing but a URL learns there which rslist a cluster's name has."""
    async with target.config_server() as ocp, target.proxy_by(ocp) as proxy:
        assert proxy.clusters.names == ()
        session = await target.connect(at=proxy)
        assert await session.value("select 7 * 6") == "42"
        asked = ocp.asked(Question.RSLIST)
        target.notes.add("suite", "what the config server was asked", asked)
        assert len(asked) == 1
        assert target.cluster in asked[0]


@check("clusters.several.names", "clusters", proves=("RT-1", "RT-3", "RT-5"), needs=_CONFIG)
async def several_clusters(target: Target) -> None:
    """One proxy serves several clusters by their names, each by an rslist of its own."""
    async with target.config_server() as ocp, target.proxy_by(ocp) as proxy:
        ocp.set_cluster("conform_other", ServedCluster(str(target.servers[-1]), real_name=target.cluster))
        for name in (target.cluster, "conform_other"):
            session = await target.connect(at=proxy, login=target.login(cluster=name))
            assert await session.value("select 1") == "1"
        assert set(proxy.clusters.names) == {target.cluster, "conform_other"}
        error = await target.login_error(target.login(cluster="conform_none"), target.account.password.value, at=proxy)
        assert "conform_none" in error.message


@check("clusters.rslist.partial", "clusters", proves=("RT-6",), needs=_BED | Needs.PARTITIONS)
async def one_server_is_enough(target: Target) -> None:
    """Of an rslist with one server the proxy learns the others from the server list, and uses them."""
    table = await target.table(partitioned="partition by hash(id) partitions 3")
    one = parse_rslist(str(target.servers[0]))
    async with target.config_server() as ocp:
        ocp.set_cluster(target.cluster, str(target.servers[0]))
        async with target.proxy_by(ocp) as proxy:
            session = await target.connect(at=proxy)
            reached = {await session.where(f"insert into {table} values({key}, 0)") for key in range(3)}
            assert reached == {0, 1, 2}
            assert len(one) == 1
            assert len(proxy.clusters.resources()[0].servers) == len(target.servers)


@check("clusters.rslist.in-memory", "clusters", proves=("RT-11",), needs=_CONFIG)
async def the_rslist_is_kept(target: Target) -> None:
    """The rslist is fetched at the first login to a cluster, not before, and later logins ask for it no more."""
    async with target.config_server() as ocp, target.proxy_by(ocp) as proxy:
        await target.until(lambda: bool(ocp.asked(Question.DOCUMENT)), "the proxy has asked which clusters there are")
        await target.sleep(0.2)
        assert not ocp.asked(Question.RSLIST)
        for _ in range(5):
            await (await target.connect(at=proxy)).quit()
            assert len(ocp.asked(Question.RSLIST)) == 1


@check("clusters.sys.proxyro", "clusters", proves=("RT-16", "RT-29"), needs=_BED | Needs.METADATA)
async def proxyro_asks(target: Target) -> None:
    """With the rslist in hand the proxy logs in as proxyro@sys to one of its servers and asks for the server list."""
    async with target.config_server() as ocp:
        ocp.set_cluster(target.cluster, str(target.servers[1]))
        target.bed.forget_statements()
        async with target.proxy_by(ocp) as proxy:
            await target.connect(at=proxy)
        seen = target.metadata(_SERVERS)
        target.notes.add(
            "suite", "who asked for the server list", {(one.user, one.tenant, one.observer) for one in seen}
        )
        assert {(one.user, one.tenant) for one in seen} == {("proxyro", "sys")}
        assert any("cluster" in one.sql and one.observer == 1 for one in seen)


@check("clusters.sys.everywhere", "clusters", proves=("RT-14", "RT-17"), needs=_BED | Needs.SYS | Needs.SEVERAL)
async def sys_is_everywhere(target: Target) -> None:
    """The route of the tenant sys is the server list: its sessions come to every server of it, wherever others live."""
    await target.bed.place_tenant(target.account.tenant, [0])
    async with target.proxy() as proxy:
        reached = set()
        for _ in range(40):
            session = await target.connect(target.sys_account, at=proxy, database="")
            reached.add(await session.where("select 'sys'"))
            await session.quit()
            if len(reached) == len(target.servers):
                break
        assert reached == set(range(len(target.servers)))
        assert {str(one) for one in proxy.clusters.resources()[0].sys_route()} == {str(one) for one in target.servers}


@check("clusters.refresh.default", "clusters", proves=("RT-18", "RT-25"), needs=_OWN | Needs.ADMIN)
async def fifteen_seconds(target: Target) -> None:
    """Where nobody says otherwise the server list is asked for every 15 seconds."""
    async with target.proxy() as proxy:
        assert proxy.settings().server_state_refresh_interval == 15.0
        rows = await target.admin("show proxyconfig like 'server_state_refresh_interval'", at=proxy)
        assert "15s" in rows[0]


@check("clusters.refresh.follows", "clusters", proves=("RT-18", "RT-25", "RT-29"), needs=_BED | Needs.METADATA)
async def the_server_list_is_followed(target: Target) -> None:
    """A server that joins the cluster is used, one that leaves is not, each within the interval of refreshes."""
    async with target.proxy(server_state_refresh_interval=0.3) as proxy:
        cluster = proxy.clusters.resources()[0]
        count, refreshes = len(target.servers), cluster.refreshes
        number = await target.bed.add_server(zone="zone2")
        began = trio.current_time()
        try:
            await target.until(lambda: len(cluster.servers) == count + 1, "the new server is known", 3)
            took = trio.current_time() - began
            reached = set()
            for _ in range(40):
                session = await target.connect(target.parts.sys_account, at=proxy, database="")
                reached.add(await session.where("select 'joined'"))
                if number in reached:
                    break
            assert number in reached
        finally:
            await target.bed.drop_server(number)
        await target.until(lambda: len(cluster.servers) == count, "the server is forgotten", 3)
        assert took < 2.5
        await target.until(lambda: cluster.refreshes >= refreshes + 3, "refreshes go on")


@check("clusters.sys.metadata", "clusters", proves=("RT-19", "RT-29"), needs=_BED | Needs.PARTITIONS | Needs.METADATA)
async def what_sys_tells(target: Target) -> None:
    """Through the tenant sys the proxy asks for zones, tenants and the places of partitions as well."""
    table = await target.table(partitioned="partition by hash(id) partitions 3")
    target.bed.forget_statements()
    async with target.proxy(server_state_refresh_interval=0.3) as proxy:
        session = await target.connect(at=proxy)
        await session.query(f"insert into {table} values(1, 1)")
        for view in ("DBA_OB_ZONES", "DBA_OB_TENANTS", "__all_virtual_proxy_partition"):
            await target.until(lambda view=view: bool(target.metadata(view)), f"{view} is asked for", 3)  # type: ignore[misc]
        assert {one.tenant for one in target.metadata("")} == {"sys"}


@check(
    "clusters.tenants.reached",
    "clusters",
    proves=("RT-1", "RT-13", "RT-14", "RT-30"),
    needs=Needs.PROXY | Needs.SYS | Needs.TENANT,
)
async def each_tenant(target: Target) -> None:
    """Logins reach the tenant that they name, sys and an ordinary one alike."""
    for account in (target.account, target.sys_account):
        session = await target.connect(account, database="")
        assert await session.value("select 1") == "1"


@check("clusters.tenants.unknown", "clusters", proves=("RT-13",), needs=Needs.PROXY)
async def no_such_tenant(target: Target) -> None:
    """A login to a tenant that is none is refused with an error that says so."""
    login = f"{target.account.user}@no_such_tenant#{target.cluster}"
    error = await target.login_error(login, target.account.password.value, database="")
    target.notes.add("suite", "the error", f"{error.errno}: {error.message}")
    assert error.errno


@check("clusters.tenant.route", "clusters", proves=("RT-21", "RT-22", "RT-23", "RT-29"), needs=_BED | Needs.METADATA)
async def a_tenant_has_servers_of_its_own(target: Target) -> None:
    """A tenant's sessions come to its own servers only, which are asked for by its name and the table name __all_dummy."""
    tenant = target.account.tenant
    await target.bed.place_tenant(tenant, [1, 2])
    async with target.proxy() as proxy:
        target.bed.forget_statements()
        reached = set()
        for _ in range(12):
            session = await target.connect(at=proxy)
            reached.add(await session.where("select 'here'"))
        assert reached == {1, 2}
        queries = [one.sql for one in target.metadata(_TENANT)]
        target.notes.add("suite", "what was asked about the tenant", queries)
        assert len(queries) == 1
        assert f"'{tenant}'" in queries[0]
        assert not target.metadata("unit")


@check("clusters.tenant.kept", "clusters", proves=("RT-24", "RT-25", "RT-26"), needs=_BED | Needs.METADATA)
async def a_tenants_route_is_kept(target: Target) -> None:
    """A tenant's route is fetched at the first access, kept in memory, and not fetched again by and by."""
    async with target.proxy(server_state_refresh_interval=0.2) as proxy:
        target.bed.forget_statements()
        await target.sleep(0.1)
        assert not target.metadata(_TENANT)
        await target.connect(at=proxy)
        assert len(target.metadata(_TENANT)) == 1
        refreshes = proxy.clusters.resources()[0].refreshes
        await target.until(
            lambda: proxy.clusters.resources()[0].refreshes > refreshes + 3, "the server list is fetched"
        )
        for _ in range(5):
            await target.connect(at=proxy)
        assert len(target.metadata(_TENANT)) == 1


@check(
    "clusters.tenant.renewed",
    "clusters",
    proves=("RT-24", "RT-27", "RT-28"),
    needs=_BED | Needs.METADATA | Needs.FAULTS,
)
async def a_tenants_route_is_renewed(target: Target) -> None:
    """When a server says that a tenant is not there its route is fetched anew, and the client notices nothing."""
    tenant, bed = target.account.tenant, target.bed
    await bed.place_tenant(tenant, [0])
    async with target.proxy() as proxy:
        session = await target.connect(at=proxy)
        assert await session.where("select 'before'") == 0
        bed.forget_statements()
        await bed.place_tenant(tenant, [2])
        bed.answer_login(errno=5150, message="Tenant not in this server", number=0, times=-1)
        bed.answer("select '(during|before)'", errno=5150, message="Tenant not in this server", number=0, times=-1)
        moved = await target.connect(at=proxy)
        assert await moved.where("select 'after'") == 2
        assert len(target.metadata(_TENANT)) == 1
        assert await session.where("select 'during'") == 2
        assert address_of(proxy).port


@check("clusters.alias.real-name", "clusters", proves=("RT-3",), needs=_CONFIG)
async def an_alias(target: Target) -> None:
    """A cluster whose servers have another name than its clients use is reached by the name that clients use."""
    async with target.config_server() as ocp, target.proxy_by(ocp) as proxy:
        rslist = ";".join(str(server) for server in target.servers)
        ocp.set_cluster("conform_alias", ServedCluster(rslist, real_name=target.cluster))
        session = await target.connect(at=proxy, login=target.login(cluster="conform_alias"))
        assert await session.value("select 1") == "1"
