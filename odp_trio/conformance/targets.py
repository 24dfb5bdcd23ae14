"""Targets that are ours to break: the embedded kernel or fake OBServers, with our proxy, any front, or none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final

import trio

from odp_trio.app import Proxy, open_proxy
from odp_trio.config import Secret
from odp_trio.conformance.needs import Needs
from odp_trio.conformance.record import BedRecord
from odp_trio.conformance.target import Account, Bed, Parts, Target, address_of
from odp_trio.model import Address, parse_rslist
from odp_trio.testing.bed import Testbed, open_testbed
from odp_trio.testing.demo import settings_for
from odp_trio.testing.fakes.cluster import FakeCluster
from odp_trio.testing.fakes.serving import open_fake_cluster
from odp_trio.testing.live import KernelProcess, Progress

TENANT: Final = "mytenant"
PLACEABLE: Final = (
    Needs.SERVERS
    | Needs.SEVERAL
    | Needs.WHERE
    | Needs.LEADERS
    | Needs.MOVES
    | Needs.TOPOLOGY
    | Needs.FAULTS
    | Needs.METADATA
    | Needs.TENANT
    | Needs.SYS
)
FAKE: Final = Needs.SQL | Needs.PARTITIONS
REAL: Final = (
    FAKE | Needs.KERNEL | Needs.EVERY_PARTITIONING | Needs.PROCEDURES | Needs.CHARSETS | Needs.MODES | Needs.UPLOADS
)
OURS: Final = Needs.PROXY | Needs.ADMIN | Needs.OWN_PROXY | Needs.PROCESS | Needs.CONFIG_SERVER
_NOTICES_SOON: Final[Mapping[str, Any]] = {
    "server_state_refresh_interval": 0.3,
    "min_keep_congestion_interval": 0.2,
    "congestion_retry_interval": 0.2,
}

Tablets = Callable[[str, str], Awaitable[list[int]]]


@asynccontextmanager
async def embedded(
    kernel: KernelProcess | None = None,
    *,
    proxied: bool = True,
    front: Address | None = None,
    cluster: str | None = None,
    bed: Testbed | None = None,
    progress: Progress = lambda _: None,
) -> AsyncIterator[Target]:
    """The embedded kernel, started unless one is given, behind our proxy, or behind what is at ``front``, or alone.

    ``bed`` is one that stands before the kernel already; ``cluster`` is what logins at ``front`` name, "" for nothing.
    Raises KernelUnavailable.
    """
    async with AsyncExitStack() as stack:
        if bed is None:
            bed = await stack.enter_async_context(open_testbed(kernel=kernel, progress=progress))
        common: dict[str, Any] = {"restore": bed.restore, "tablets": bed.tablets}
        target = await _target(stack, "the embedded kernel", bed, REAL, common, front, proxied=proxied)
        target.cluster = target.cluster if cluster is None else cluster
        yield target


@asynccontextmanager
async def faked(*, proxied: bool = True) -> AsyncIterator[Target]:
    """Fake OBServers in this process, behind our proxy or alone."""
    async with open_fake_cluster() as bed, AsyncExitStack() as stack:
        common: dict[str, Any] = {"restore": bed.restore, "tablets": bed.tablets, "stored": partial(_stored, bed)}
        yield await _target(stack, "fake OBServers", bed, FAKE, common, None, proxied=proxied)


async def _target(
    stack: AsyncExitStack,
    name: str,
    bed: Bed,
    has: Needs,
    common: dict[str, Any],
    front: Address | None,
    *,
    proxied: bool,
) -> Target:
    """Make a target of a bed, and start our proxy before it if it is to be there."""
    servers = list(parse_rslist(bed.rslist))
    common |= {
        "cluster": bed.cluster,
        "account": Account(bed.app_user, TENANT, Secret(bed.app_password)),
        "sys_account": Account(bed.app_user, "sys", Secret(bed.app_password)),
        "servers": servers,
        "bed": bed,
        "record": BedRecord(bed),
        "leaders": partial(_leaders, common["tablets"]),
    }
    if front is not None:
        has |= PLACEABLE | Needs.PROXY
        return Target(Parts(name=f"{name} behind {front}", has=has, front=front, **common))
    if not proxied:
        return Target(
            Parts(name=f"{name} without a proxy", has=has | PLACEABLE, front=servers[0], **common | {"cluster": ""})
        )
    settings = partial(settings_for, bed)  # type: ignore[arg-type]  # it asks for what both have
    first = settings(enable_http=False, hot_upgrade_exit_timeout=0.2, **_NOTICES_SOON)
    proxy = await stack.enter_async_context(open_proxy(first))
    with trio.fail_after(20):
        await proxy.clusters.wait_available(bed.cluster)
    parts = Parts(
        name=f"{name} behind our proxy",
        has=has | PLACEABLE | OURS,
        front=address_of(proxy),
        admin=Account("root", "proxysys", first.obproxy_sys_password),
        settings=settings,
        run_options=["-p", "0", "-l", "0", "-r", bed.rslist, "-c", bed.cluster],
        environment={"ODP_OBSERVER_SYS_PASSWORD": bed.proxyro_password, "ODP_LOCAL_BOUND_IP": "127.0.0.1"},
        front_proxy=proxy,
        mended=partial(_mended, proxy, len(servers)),
        **common,
    )
    return Target(parts)


async def _mended(proxy: Proxy, count: int) -> None:
    """Wait until the proxy uses every server again."""
    (cluster,) = proxy.clusters.resources()
    while (  # noqa: ASYNC110  # what others keep
        len(cluster.sys_route()) != count or proxy.views.congestion.refusals(cluster.name).lists
    ):
        await trio.sleep(0.05)


async def _leaders(tablets: Tablets, database: str, table: str) -> list[int]:
    """Return as many leaders as there are partitions; who they are is decided by moving them."""
    return [0] * max(1, len(await tablets(database, table)))


async def _stored(bed: FakeCluster, database: str, table: str, key: str) -> int:
    """Return which partition of a table of fake OBServers has a row."""
    found = bed.store.table(database, table)
    assert found.partitions is not None
    return found.partitions.tablets.index(found.tablet((int(key),)))
