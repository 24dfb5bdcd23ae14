"""A fake cluster: its topology, the verbs that change it, and what its OBServers got.

Pure: time is passed in, chance is a seed, and what must happen to sockets is asked of whoever serves them.
The verbs have the names of ``odp_trio.testing.bed``; those that are asynchronous there are so here.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, final

from odp_trio.model import Address
from odp_trio.testing.fakes.connection import FakeConnection
from odp_trio.testing.fakes.direct import run_directly
from odp_trio.testing.fakes.nodes import Tree
from odp_trio.testing.fakes.records import Armed, FakeServer, FakeTenant, FakeZone, Statement
from odp_trio.testing.fakes.session import Session
from odp_trio.testing.fakes.store import Store
from odp_trio.testing.fakes.variables import DEFAULTS
from odp_trio.wire.reroute import VARIABLE, write_reroute

RECORDED: Final = 20_000
PORT: Final = 2881
FIRST_TENANT_ID: Final = 1002
PROXYRO_PASSWORD: Final = "proxyro_pw"
APP_USER: Final = "app"
APP_PASSWORD: Final = "app_pw"


@final
class FakeCluster:
    """OBServers are numbered from 0; ``addresses`` or 127.0.0.1, 127.0.0.2 … at ``port``; a zone each.

    ``seed`` decides scrambles.  All tenants share the tables, as in the test bed.
    """

    def __init__(
        self,
        *,
        observers: int = 3,
        port: int = PORT,
        name: str = "demo",
        tenants: Iterable[str] = ("sys", "mytenant"),
        seed: int = 0,
        addresses: Iterable[Address] = (),
    ) -> None:
        self.name = name
        self.seed = seed
        self.port = port
        self.servers: dict[int, FakeServer] = {}
        self.zones: dict[str, FakeZone] = {}
        self.tenants: dict[str, FakeTenant] = {}
        self.users: dict[str, str] = {"root": "", "proxyro": PROXYRO_PASSWORD, APP_USER: APP_PASSWORD}
        """Passwords by user; the same in every tenant, but proxyro is in sys only."""
        self.store = Store()
        self.global_variables: dict[str, str] = dict(DEFAULTS)
        self.trees: dict[tuple[str, ...], Tree] = {}
        """Statements that were read, by shape."""
        self.record: deque[Statement] = deque(maxlen=RECORDED)
        self.connections: dict[int, FakeConnection] = {}
        """Those that are open, by connection id."""
        self.listening_changed: Callable[[FakeServer], None] = lambda server: None
        """Called when a server begins or ends to accept connections."""
        self.work: Callable[[], float] = lambda: 0.0
        """Seconds that the next command takes, on a server that is not slow."""
        self.finishes = False
        """A command whose client has gone is run to its end: as on a server that looks only when it answers."""
        self.on_statement: Callable[[Statement], None] | None = None
        """Called with each statement that a server got, before it is run."""
        self.on_failure: Callable[[str, Exception], None] | None = None
        """Called when a fake itself failed at a statement; its session has ended with error 1105."""
        self.failures = 0
        """How often that was."""
        self.app_user, self.app_password = APP_USER, APP_PASSWORD
        self.root_password, self.proxyro_password = "", PROXYRO_PASSWORD
        self._leaders: dict[int, int] = {}
        self.now = 0.0
        """The latest time that any connection was told."""
        self._made = 0
        given = list(addresses) or [Address(f"127.0.0.{number + 1}", port) for number in range(observers)]
        for number, address in enumerate(given):
            self._add(number, address, f"zone{number + 1}")
        for tenant in dict.fromkeys(("sys", *tenants)):
            number = 1 if tenant == "sys" else FIRST_TENANT_ID + 2 * (len(self.tenants) - 1)
            self.tenants[tenant] = FakeTenant(tenant, number, list(self.servers))

    def _add(self, number: int, address: Address, zone: str) -> FakeServer:
        server = self.servers[number] = FakeServer(number, address, zone)
        self.zones.setdefault(zone, FakeZone(zone, f"idc{len(self.zones) + 1}"))
        return server

    # ---- what is asked ------------------------------------------------------------

    @property
    def cluster(self) -> str:
        """The name, as the test bed calls it."""
        return self.name

    @property
    def rslist(self) -> str:
        """``ip:port;ip:port`` of every OBServer."""
        return ";".join(str(server.address) for server in self.servers.values())

    @property
    def observers(self) -> list[FakeServer]:
        """The OBServers, by their numbers."""
        return list(self.servers.values())

    def server_at(self, address: Address) -> FakeServer | None:
        """Return the OBServer at an address."""
        return next((server for server in self.servers.values() if server.address == address), None)

    def statements(self, pattern: str = "", *, by_proxy: bool | None = None) -> list[Statement]:
        """Return what the OBServers got, oldest first, whose text matches a regular expression.

        Metadata queries (user proxyro) are left out unless the pattern is empty.
        """
        return [
            statement
            for statement in self.record
            if re.search(pattern, statement.sql)
            and (not pattern or statement.user != "proxyro")
            and (by_proxy is None or statement.by_proxy == by_proxy)
        ]

    def forget_statements(self) -> None:
        """Empty the record."""
        self.record.clear()

    def connect(self, address: Address) -> FakeConnection | None:
        """Return a new connection to the OBServer at an address; None where nobody listens."""
        server = self.server_at(address)
        if server is None or not server.listening:
            return None
        self._made += 1
        server.connections += 1
        connection = FakeConnection(self, server, self._made)
        self.connections[connection.id] = connection
        return connection

    def note_statement(self, statement: Statement) -> None:
        """A server got a statement."""
        self.record.append(statement)
        if self.on_statement is not None:
            self.on_statement(statement)

    def note_failure(self, sql: str, failure: Exception) -> None:
        """A fake failed at a statement for a reason that is no answer: a bug of the fake."""
        self.failures += 1
        if self.on_failure is not None:
            self.on_failure(sql, failure)

    def tell_reroute(self, session: Session, address: Address) -> None:
        """Have the OK behind an error 5727 name the server to ask."""
        session.pending.user[VARIABLE] = write_reroute(address)

    def find_table(self, tenant: str, database: str, name: str) -> tuple[int, int, int] | None:
        """Return id, number of partitions and schema version of a table that a tenant has; None if there is none."""
        if tenant not in self.tenants:
            return None
        if (database, name) == ("oceanbase", "__all_dummy"):
            return 135, 1, 0
        table = self.store.find(database.lower(), name.lower())
        if table is None:
            return None
        return table.number, 1 if table.partitions is None else len(table.partitions.tablets), table.version

    def places(self, tenant: str, tablet: int) -> list[tuple[str, int, bool, int]]:
        """Return address, whether it leads, and how many there are, of each replica of a tablet."""
        hosts = [self.servers[number] for number in self.tenants[tenant].servers]
        leader = self.leader(tenant, tablet)
        return [(each.address.ip, each.address.port, each.number == leader, len(hosts)) for each in hosts]

    def leader(self, tenant: str, tablet: int) -> int:
        """Return the number of the server that leads a tablet; -1 if the tenant has no server."""
        hosts = self.tenants[tenant].servers
        moved = self._leaders.get(tablet)
        if moved in hosts:
            return moved
        return hosts[tablet % len(hosts)] if hosts else -1

    def missed(self, tenant: str, server: int, tablets: set[int]) -> bool:
        """Whether a server leads none of the tablets that a statement has touched."""
        return bool(tablets) and all(self.leader(tenant, tablet) != server for tablet in tablets)

    # ---- servers --------------------------------------------------------------------

    async def kill(self, number: int, *, noticed: bool = True) -> None:
        """Close the listener and reset every connection; with ``noticed`` the server list says INACTIVE."""
        self.refuse(number)
        self._drop_connections(number)
        if noticed:
            await self.set_server(number, status="INACTIVE", started=False)

    async def revive(self, number: int) -> None:
        """Undo ``kill``, ``refuse`` and ``freeze``."""
        server = self.servers[number]
        server.listening = True
        self.listening_changed(server)
        await self.thaw(number)
        await self.set_server(number, status="ACTIVE", started=True, stopped=False)

    def refuse(self, number: int) -> None:
        """Refuse new connections; open ones go on."""
        self.servers[number].listening = False
        self.listening_changed(self.servers[number])

    def freeze(self, number: int) -> None:
        """Accept, and never answer; open connections stop as well."""
        self.servers[number].frozen = True

    async def thaw(self, number: int) -> None:
        """Undo ``freeze``."""
        server = self.servers[number]
        server.frozen = False
        for connection in tuple(self.connections.values()):
            if connection.server is server:
                connection.wake()

    def slow(self, number: int, seconds: float) -> None:
        """Let every request wait before it is run; 0 to end that."""
        self.servers[number].slow = seconds

    def lag(self, number: int, seconds: float) -> None:
        """Let a server's followers be behind: weak reads see what was committed so long ago."""
        self.servers[number].lag = seconds

    def cut(self, number: int, *, after_bytes: int) -> None:
        """Reset the connection of the next request after so many bytes of its answer."""
        self.servers[number].cut_after = after_bytes

    async def query(self, *statements: str) -> list[dict[str, Any]]:
        """Run statements as root straight on the tables; return the rows of the last one.  Raises SQLError."""
        return run_directly(self, statements)

    def _drop_connections(self, number: int) -> None:
        for connection in tuple(self.connections.values()):
            if connection.server.number == number:
                connection.lost()
                connection.reset()

    # ---- answers --------------------------------------------------------------------

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
        """Answer statements that match a regular expression with an error, as ``Testbed.answer`` does."""
        told = None if reroute is None else self.servers[reroute].address
        fault = Armed(errno, sqlstate, message, times, re.compile(match, re.IGNORECASE), told)
        for server in self._chosen(number):
            server.answers.append(fault)

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
        fault = Armed(errno, sqlstate, message, times)
        for server in self._chosen(number):
            server.logins.append(fault)

    def miss(self, match: str, *, times: int = 1, number: int | None = None) -> None:
        """Tell proxies in the answer to matching statements that the partition is elsewhere."""
        fault = Armed(0, "", "", times, re.compile(match, re.IGNORECASE))
        for server in self._chosen(number):
            server.misses.append(fault)

    async def restore(self) -> None:
        """End every fault, and bring servers, zones, leaders and the tenants' places to their first state.

        Servers and tenants that were added are to be dropped before.
        """
        self.end_faults()
        self._leaders.clear()
        listed = [server.number for server in self.servers.values() if server.listed]
        for number in listed:
            server = self.servers[number]
            server.lag = 0.0
            await self.revive(number)
            await self.set_server(number, zone=f"zone{number + 1}")
        for at, zone in enumerate(self.zones.values()):
            zone.status, zone.idc, zone.region, zone.kind = "ACTIVE", f"idc{at + 1}", "region1", "ReadWrite"
        for tenant in self.tenants.values():
            tenant.servers = list(listed)

    def end_faults(self) -> None:
        """Forget every slowness, cut, answer and miss that is armed; what was killed or is frozen stays so."""
        for server in self.servers.values():
            server.end_faults()

    def _chosen(self, number: int | None) -> list[FakeServer]:
        return list(self.servers.values()) if number is None else [self.servers[number]]

    # ---- metadata -------------------------------------------------------------------

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
        server = self.servers[number]
        server.status = server.status if status is None else status
        server.started = server.started if started is None else started
        server.stopped = server.stopped if stopped is None else stopped
        if zone is not None:
            server.zone = zone
            self.zones.setdefault(zone, FakeZone(zone, f"idc{len(self.zones) + 1}"))

    async def add_server(self, *, zone: str = "zone1", address: Address | None = None) -> int:
        """Add an OBServer, listed; return its number.  Of the tenants only sys is there."""
        number = max(self.servers, default=-1) + 1
        server = self._add(number, address or Address(f"127.0.0.{number + 1}", self.port), zone)
        self.tenants["sys"].servers.append(number)
        self.listening_changed(server)
        return number

    async def drop_server(self, number: int) -> None:
        """Take a server out of the list, and the tenants from it, and end it for good."""
        self.servers[number].listed = False
        for tablet in [tablet for tablet, leader in self._leaders.items() if leader == number]:
            del self._leaders[tablet]
        for tenant in self.tenants.values():
            if number in tenant.servers:
                tenant.servers.remove(number)
        self.refuse(number)
        self._drop_connections(number)

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
        found = self.zones[zone]
        found.status = found.status if status is None else status
        found.idc = found.idc if idc is None else idc
        found.region = found.region if region is None else region
        found.kind = found.kind if kind is None else kind

    async def move_leader(self, table: str, number: int) -> None:
        """Make a server the leader of every tablet of ``database.table``; without partitions, of tablet 0."""
        database, _, name = table.rpartition(".")
        for tablet in (0, *await self.tablets(database, name)):
            await self.move_tablet(tablet, number)

    async def tablets(self, database: str, table: str) -> list[int]:
        """Return the tablets of a table's partitions, in their order; none for one that is not partitioned."""
        found = self.store.table(database, table)
        return [] if found.partitions is None else list(found.partitions.tablets)

    async def move_tablet(self, tablet: int, number: int) -> None:
        """Make a server the leader of one tablet."""
        self._leaders[tablet] = number

    async def add_tenant(self, tenant: str, numbers: Iterable[int] | None = None) -> None:
        """Add a tenant, on these servers or on all."""
        number = FIRST_TENANT_ID + 2 * (max(0, *(each.number for each in self.tenants.values())) // 2 - 500)
        listed = [each.number for each in self.servers.values() if each.listed]
        self.tenants[tenant] = FakeTenant(tenant, number, listed if numbers is None else list(numbers))

    async def place_tenant(self, tenant: str, numbers: Iterable[int]) -> None:
        """Say which servers host a tenant; elsewhere logins to it are refused only if ``answer_login`` says so."""
        self.tenants[tenant].servers = sorted(set(numbers))

    async def drop_tenant(self, tenant: str) -> None:
        """Take a tenant away: logins to it are refused, queries about it find nothing."""
        del self.tenants[tenant]
