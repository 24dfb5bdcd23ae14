"""A test bed: a real kernel, OBServers before it, and verbs for what may happen to them.

async with open_testbed() as bed:
    ...                                  # put any proxy before bed.rslist
    await bed.kill(1)
    assert bed.statements("select 42")[0].observer == 2
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final, final

import msgspec
import trio

from odp_trio.model import Address
from odp_trio.testing import topology
from odp_trio.testing.faults import Answer, LoginError, Miss
from odp_trio.testing.live import KernelProcess, Progress, Row, free_port, open_kernel, prepare_template
from odp_trio.testing.observers import Observer, Shared
from odp_trio.testing.participants import Transactions
from odp_trio.testing.relay import Statement
from odp_trio.testing.topology import Node

CLUSTER: Final = "demo"
TENANTS: Final = ("sys", "mytenant")
_SPARE: Final = 5
"""Addresses beyond the first OBServers' on which the port must be free, for ``add_server``."""


@final
class Testbed:
    """A running test bed.  OBServers are numbered from 0; every verb that changes metadata returns when it shows."""

    __test__ = False  # for pytest: this is no test class

    def __init__(self, kernel: KernelProcess, cluster: str, tenants: Iterable[str]) -> None:
        self.kernel = kernel
        self.cluster = cluster
        self.observers: list[Observer] = []
        self.root_password = ""
        self.proxyro_password = topology.PROXYRO_PASSWORD
        self.app_user = topology.APP_USER
        self.app_password = topology.APP_PASSWORD
        self._tenants = list(tenants)
        self._nodes: dict[int, Node] = {}
        self._places: dict[str, tuple[int, ...]] = {}
        self._tenant_ids = count(topology.FIRST_TENANT_ID + 2 * len(self._tenants), 2)
        self._shared = Shared(lambda: frozenset(self._tenants))
        self._nursery: trio.Nursery
        self._port = 0
        self._first: list[Node] = []

    @property
    def transactions(self) -> Transactions:
        """The open transactions of proxies; ``allowed`` lets their statements run on several OBServers."""
        return self._shared.transactions

    @property
    def rslist(self) -> str:
        """``ip:port;ip:port`` of every OBServer."""
        return ";".join(observer.address for observer in self.observers)

    @property
    def port(self) -> int:
        """The port that all OBServers share."""
        return self._port

    @property
    def tenants(self) -> tuple[str, ...]:
        """Names of the tenants; all have the same tables, because the kernel has one tenant only."""
        return tuple(self._tenants)

    def statements(self, pattern: str = "", *, by_proxy: bool | None = None) -> list[Statement]:
        """Return what the OBServers got, oldest first, whose text matches a regular expression.

        Metadata queries (user proxyro) are left out unless the pattern is empty.
        """
        return [
            statement
            for statement in self._shared.record
            if re.search(pattern, statement.sql)
            and (not pattern or statement.user != "proxyro")
            and (by_proxy is None or statement.by_proxy == by_proxy)
        ]

    def forget_statements(self) -> None:
        """Empty the record."""
        self._shared.record.clear()

    # ---- servers ----------------------------------------------------------------

    async def kill(self, number: int, *, noticed: bool = True) -> None:
        """Close the listener and reset every connection; with ``noticed`` the server list says INACTIVE."""
        self.observers[number].refuse()
        await self.observers[number].drop_connections()
        if noticed:
            await self.set_server(number, status="INACTIVE", started=False)

    async def revive(self, number: int) -> None:
        """Undo ``kill``, ``refuse`` and ``freeze``."""
        observer = self.observers[number]
        observer.listen()
        await self.thaw(number)
        await self.set_server(number, status="ACTIVE", started=True, stopped=False)

    def refuse(self, number: int) -> None:
        """Refuse new connections; open ones go on."""
        self.observers[number].refuse()

    def freeze(self, number: int) -> None:
        """Accept, and never answer; open connections stop as well."""
        faults = self.observers[number].faults
        if faults.thawed is None:
            faults.thawed = trio.Event()

    async def thaw(self, number: int) -> None:
        """Undo ``freeze``."""
        faults = self.observers[number].faults
        if faults.thawed is not None:
            faults.thawed.set()
            faults.thawed = None

    def slow(self, number: int, seconds: float) -> None:
        """Let every request wait before it is passed on; 0 to end that."""
        self.observers[number].faults.slow = seconds

    def cut(self, number: int, *, after_bytes: int) -> None:
        """Reset the connection of the next request after so many bytes of its answer, and later ones if it is short."""
        self.observers[number].faults.cut_after = after_bytes

    # ---- answers ----------------------------------------------------------------

    def answer(
        self,
        match: str,
        *,
        errno: int,
        sqlstate: str = "HY000",
        message: str = "injected",
        times: int = 1,
        number: int | None = None,
        reroute: int | None = None,
    ) -> None:
        """Answer statements that match a regular expression with an error, instead of running them.

        ``times`` of them, < 0 for all, on server ``number`` or, all servers counted together, anywhere.
        Proxies are told that the statement belongs to server ``reroute`` (error 5727).
        """
        told = None if reroute is None else Address.parse(self.observers[reroute].address)
        fault = Answer(re.compile(match, re.IGNORECASE), errno, sqlstate, message, times, told)
        for observer in self._chosen(number):
            observer.faults.answers.append(fault)

    def answer_login(
        self,
        *,
        errno: int,
        sqlstate: str = "HY000",
        message: str = "injected",
        times: int = 1,
        number: int | None = None,
    ) -> None:
        """Answer logins with an error; ``times`` and ``number`` as for ``answer``."""
        fault = LoginError(errno, sqlstate, message, times)
        for observer in self._chosen(number):
            observer.faults.logins.append(fault)

    def miss(self, match: str, *, times: int = 1, number: int | None = None) -> None:
        """Tell proxies in the answer to matching statements that the partition is elsewhere.

        ``times`` and ``number`` as for ``answer``.  An answer of more than 1 MiB stays as it is.
        """
        fault = Miss(re.compile(match, re.IGNORECASE), times)
        for observer in self._chosen(number):
            observer.faults.misses.append(fault)

    def end_faults(self) -> None:
        """Forget every slowness, cut, answer and miss that is armed; what was killed or is frozen stays so."""
        for observer in self.observers:
            observer.faults.end()

    def _chosen(self, number: int | None) -> list[Observer]:
        return self.observers if number is None else [self.observers[number]]

    # ---- metadata ---------------------------------------------------------------

    async def set_server(
        self,
        number: int,
        *,
        status: str | None = None,
        started: bool | None = None,
        stopped: bool | None = None,
        zone: str | None = None,
    ) -> None:
        """Change a server's row of DBA_OB_SERVERS."""
        changes = {"status": status, "started": started, "stopped": stopped, "zone": zone}
        given = {name: value for name, value in changes.items() if value is not None}
        node = self._nodes[number] = msgspec.structs.replace(self._nodes[number], **given)
        await self.kernel.query(topology.node_statement(node, self._port))

    async def add_server(self, *, zone: str = "zone1") -> int:
        """Start one more OBServer, listed; return its number.  Of the tenants only sys is there."""
        number = len(self.observers)
        observer = self._make(number)
        observer.listen()
        self._nodes[number] = Node(number, observer.ip, zone)
        await self.kernel.query(topology.node_statement(self._nodes[number], self._port))
        await self.place_tenant("sys", self._nodes)
        return number

    async def drop_server(self, number: int) -> None:
        """Take a server out of the list, and the tenants from it, and end it for good."""
        del self._nodes[number]
        await self.kernel.query(
            f"delete from oceanbase.lab_node where ord={number}",
            f"delete from oceanbase.lab_leader where ord={number}",
        )
        for tenant, numbers in tuple(self._places.items()):
            if number in numbers:
                await self.place_tenant(tenant, [other for other in numbers if other != number])
        self.observers[number].refuse()
        await self.observers[number].drop_connections()

    async def set_zone(
        self,
        zone: str,
        *,
        status: str | None = None,
        idc: str | None = None,
        region: str | None = None,
        kind: str | None = None,
    ) -> None:
        """Change a zone's row of DBA_OB_ZONES."""
        for column, value in (("status", status), ("idc", idc), ("region", region), ("type", kind)):
            if value is not None:
                await self.kernel.query(f"update oceanbase.lab_zone set {column}='{value}' where zone='{zone}'")

    async def move_leader(self, table: str, number: int) -> None:
        """Make a server the leader of every tablet of ``database.table``."""
        database, _, name = table.rpartition(".")
        for tablet in (0, *await self.tablets(database, name)):
            await self.move_tablet(tablet, number)

    async def tablets(self, database: str, table: str) -> list[int]:
        """Return the tablets of a table's partitions, in their order; none for one that is not partitioned."""
        which = f"tenant_name='sys' and database_name='{database}' and table_name='{table}' and tablet_id=0"
        parts = await self.kernel.query(f"select part_num, table_id from oceanbase.lab_proxy_schema where {which}")
        if not parts or parts[0]["part_num"] <= 1:
            return []
        rows = await self.kernel.query(
            "select tablet_id from oceanbase.__all_virtual_proxy_partition where tenant_name='sys' "
            f"and table_id={parts[0]['table_id']}"
        )
        return [int(row["tablet_id"]) for row in rows]

    async def move_tablet(self, tablet: int, number: int) -> None:
        """Make a server the leader of one tablet."""
        await self.kernel.query(f"replace into oceanbase.lab_leader values({tablet},{number})")

    async def add_tenant(self, tenant: str, numbers: Iterable[int] | None = None) -> None:
        """Add a tenant, on these servers or on all."""
        await self.kernel.query(*topology.tenant_statements(next(self._tenant_ids), tenant))
        self._tenants.append(tenant)
        await self.place_tenant(tenant, self._nodes if numbers is None else numbers)

    async def place_tenant(self, tenant: str, numbers: Iterable[int]) -> None:
        """Say which servers host a tenant.  Whether they refuse it elsewhere (5150) is ``answer_login``'s affair.

        Tablets whose leader was not moved by hand are led by one of these servers each.
        """
        self._places[tenant] = tuple(numbers)
        await self.kernel.query(*topology.placement_statements(tenant, self._places[tenant]))

    async def drop_tenant(self, tenant: str) -> None:
        """Take a tenant away: logins to it are refused, queries about it find nothing."""
        self._tenants.remove(tenant)
        self._places.pop(tenant, None)
        await self.kernel.query(*topology.drop_tenant_statements(tenant))

    async def query(self, *statements: str) -> list[Row]:
        """Run statements as root straight on the kernel; return the rows of the last one."""
        return await self.kernel.query(*statements)

    # ---- life -------------------------------------------------------------------

    def _make(self, number: int) -> Observer:
        observer = Observer(number, self._port, self.kernel.port, self._nursery, self._shared)
        self.observers.append(observer)
        return observer

    async def start(self, observers: int, port: int, nursery: trio.Nursery) -> None:
        """Bring the topology to its first state and listen."""
        self._nursery = nursery
        self._port = port or free_port([f"127.0.0.{number + 1}" for number in range(observers + _SPARE)])
        nodes = [Node(number, f"127.0.0.{number + 1}", f"zone{number + 1}") for number in range(observers)]
        self._first = nodes
        await self._reset()
        for number in range(observers):
            self._make(number).listen()

    async def restore(self) -> None:
        """End every fault, and bring servers, zones, leaders and the tenants' places to their first state.

        Servers and tenants that were added are to be dropped before.
        """
        self.end_faults()
        for node in self._first:
            self.observers[node.number].listen()
            await self.thaw(node.number)
        await self._reset()

    async def _reset(self) -> None:
        self._nodes = {node.number: node for node in self._first}
        self._places = {tenant: tuple(self._nodes) for tenant in ("sys", *self._tenants)}
        await self.kernel.query(*topology.reset_statements(self._first, self._port, self._tenants))


def template(cluster: str = CLUSTER, progress: Progress = lambda _: None) -> Path:
    """Return the initialised kernel directory that test beds start from; it is made at the first call."""
    return prepare_template(topology.template_key(), cluster, topology.initial_statements(), progress)


@asynccontextmanager
async def open_testbed(
    *,
    observers: int = 3,
    port: int = 0,
    directory: Path | None = None,
    cluster: str = CLUSTER,
    tenants: Iterable[str] = TENANTS,
    kernel: KernelProcess | None = None,
    progress: Progress = lambda _: None,
) -> AsyncIterator[Testbed]:
    """Run a test bed for the length of the block.

    ``kernel`` is one that runs already (its topology is reset); else one is
    started, in ``directory`` or a temporary one.
    """
    own = open_kernel(directory, cluster=cluster, template=partial(template, cluster, progress), progress=progress)
    async with nullcontext(kernel) if kernel is not None else own as running, trio.open_nursery() as nursery:
        assert running is not None
        bed = Testbed(running, cluster, tenants)
        progress(f"starting {observers} OBServers")
        await bed.start(observers, port, nursery)
        try:
            yield bed
        finally:
            nursery.cancel_scope.cancel()
