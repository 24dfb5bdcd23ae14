"""What checks ask: connections, tables, faults, proxies of one's own."""

from __future__ import annotations

import re
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from itertools import count
from typing import Any, Final, Self, TypeVar, final

import msgspec
import pymysql
import trio

from odp_trio.app import Proxy, open_proxy
from odp_trio.config import Secret, Settings
from odp_trio.conformance.needs import ABSENT, Needs
from odp_trio.conformance.notes import Notes
from odp_trio.conformance.processes import OwnProcess, own_process
from odp_trio.conformance.record import Record
from odp_trio.conformance.session import Session
from odp_trio.errors import OdpError
from odp_trio.model import Address
from odp_trio.testing.bed import Testbed
from odp_trio.testing.client import Client, Row, StatementFailed
from odp_trio.testing.fakes.cluster import FakeCluster
from odp_trio.testing.fakes.records import Statement as FakeStatement
from odp_trio.testing.ocp import ConfigServerBed, open_config_server
from odp_trio.testing.raw_client import Tape
from odp_trio.testing.relay import Statement

PATIENCE: Final = 15.0
"""Seconds for a login and for each answer."""
_PAUSE: Final = 0.02

Bed = Testbed | FakeCluster
Leaders = Callable[[str, str], Awaitable[list[int]]]
"""From database and table to the number of the server that leads each partition, in order."""


P = TypeVar("P")


class Unanswered(OdpError):
    """Something was asked of a target that does not have it; the check should have said that it needs it."""


class Account(msgspec.Struct, frozen=True):
    """Who logs in."""

    user: str
    tenant: str
    password: Secret = Secret("")


class Table(msgspec.Struct, frozen=True):
    """A table of the check's own.  ``leaders`` has the server of each partition, and is empty where nobody can say."""

    database: str
    name: str
    leaders: list[int]

    def __str__(self) -> str:
        return f"{self.database}.{self.name}"


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What a target is made of; what is None or empty is not there."""

    name: str
    has: Needs
    front: Address
    """Where clients connect: the proxy or, without one, a server."""
    cluster: str
    """Told in logins; "" where no proxy needs it."""
    account: Account
    """Whose tables the checks work on."""
    sys_account: Account | None = None
    admin: Account | None = None
    """``root@proxysys`` or another login that reaches the proxy itself; its tenant is not used."""
    servers: Sequence[Address] = ()
    """The OBServers, as clients reach them round the proxy."""
    bed: Bed | None = None
    restore: Callable[[], Awaitable[None]] | None = None
    """Brings the bed to its first state."""
    tablets: Callable[[str, str], Awaitable[list[int]]] | None = None
    """From database and table to the tablets of its partitions, in order; none of a table that has no partitions."""
    stored: Callable[[str, str, str], Awaitable[int]] | None = None
    """From database, table and key, as SQL, to the number of the partition that has a row; None: a server is asked."""
    record: Record | None = None
    leaders: Leaders | None = None
    settings: Callable[..., Settings] | None = None
    """Makes settings of a further proxy before the same servers, of options by name."""
    run_options: Sequence[str] = ()
    """Arguments of ``odp-trio run`` for a proxy before the same servers."""
    environment: Mapping[str, str] = {}
    """Its passwords."""
    front_proxy: Proxy | None = None
    """The proxy at the front, where it is one of ours in this process."""
    database: str = "odp_conformance"
    mended: Callable[[], Awaitable[None]] | None = None
    """Waits until the front has noticed that everything is as it was."""


@final
class Target:
    """What the checks run on.  Everything that a check opens is closed when it ends."""

    def __init__(self, parts: Parts, lacks: Mapping[Needs, str] | None = None) -> None:
        self.parts = parts
        self.name = parts.name
        self.has = parts.has
        self.database = parts.database
        self.cluster = parts.cluster
        self.account = parts.account
        self.servers = tuple(parts.servers)
        self.notes = Notes()
        self.tape: Tape | None = None
        """Is told of every command at the front and its answer."""
        self._lacks = {**ABSENT, **(lacks or {})}
        self._stack = AsyncExitStack()
        self._tables = count(1)
        self._sessions = count(1)

    def lacks(self, needs: Needs) -> list[str]:
        """Return why a check with these needs cannot run here; empty if it can."""
        return [self._lacks[need] for need in needs & ~self.has]

    # ---- connections ------------------------------------------------------------

    @property
    def front(self) -> Address:
        """Where clients connect."""
        return self.parts.front

    def login(self, account: Account | None = None, *, cluster: str | None = None) -> str:
        """Return the login name ``user@tenant#cluster``; without ``#cluster`` where no proxy takes it off."""
        who = account or self.account
        told = self.cluster if cluster is None else cluster
        name = f"{who.user}@{who.tenant}" if who.tenant else who.user
        return f"{name}#{told}" if told else name

    async def connect(
        self,
        account: Account | None = None,
        *,
        login: str | None = None,
        password: str | None = None,
        database: str | None = None,
        at: Address | Proxy | None = None,
        patience: float = PATIENCE,
    ) -> Session:
        """Log in, at the front unless ``at`` says where; to the suite's database unless another is named, or "".

        Raises StatementFailed for a refusal, ConnectionLost.
        """
        where = address_of(at) if isinstance(at, Proxy) else at or self.front
        name = login or self.login(account)
        secret = (account or self.account).password.value if password is None else password
        chosen = self.database if database is None else database
        try:
            client = await Client.connect(where, name, secret, database=chosen, patience=patience)
        except OdpError as exc:
            self.notes.add("login", f"{name} at {where}", f"error: {exc}")
            raise
        session = Session(client, f"session {next(self._sessions)}", self.notes, self.parts.record)
        self.notes.add(session.name, f"log in as {name} at {where}", "logged in")
        self._stack.callback(session.close)
        return session

    async def connect_server(self, number: int = 0, account: Account | None = None, **options: Any) -> Session:
        """Log in to an OBServer round the proxy."""
        return await self.connect(account, at=self.servers[number], login=self.login(account, cluster=""), **options)

    async def login_error(self, login: str, password: str = "", **options: Any) -> StatementFailed:
        """Log in, which must be refused; return the error."""
        try:
            await self.connect(login=login, password=password, **options)
        except StatementFailed as exc:
            return exc
        raise AssertionError(f"{login} was to be refused, and could log in")

    async def pymysql(
        self, *, at: Address | Proxy | None = None, **options: Any
    ) -> pymysql.connections.Connection[Any]:
        """Open a PyMySQL connection, for what needs typed values or its own ways; use it by ``in_thread``."""
        where = address_of(at) if isinstance(at, Proxy) else at or self.front
        defaults: dict[str, Any] = {
            "user": self.login(),
            "password": self.account.password.value,
            "database": self.database,
            "autocommit": True,
            "connect_timeout": PATIENCE,
            "read_timeout": PATIENCE,
            "charset": "utf8mb4",
        }
        opened = partial(pymysql.connect, host=where.ip, port=where.port, **{**defaults, **options})
        connection: pymysql.connections.Connection[Any] = await trio.to_thread.run_sync(opened)
        self._stack.callback(connection._force_close)  # type: ignore[attr-defined]
        self.notes.add("PyMySQL", f"log in as {options.get('user', self.login())} at {where}", "logged in")
        return connection

    async def in_thread(self, function: Callable[..., Any], *args: Any, **named: Any) -> Any:
        """Run something that blocks."""
        return await trio.to_thread.run_sync(partial(function, *args, **named))

    async def admin(self, sql: str, *, at: Address | Proxy | None = None) -> list[Row]:
        """Run a statement as the proxy's administrator; return its rows."""
        account = self._of(self.parts.admin, Needs.ADMIN)
        password = at.settings().obproxy_sys_password.value if isinstance(at, Proxy) else account.password.value
        session = await self.connect(login=f"{account.user}@{account.tenant}", password=password, database="", at=at)
        rows = await session.query(sql)
        session.close()
        return rows

    # ---- what there is ----------------------------------------------------------

    @property
    def bed(self) -> Bed:
        """The test bed and its verbs: MOVES, TOPOLOGY, FAULTS, METADATA."""
        if self.parts.bed is None:
            raise Unanswered(f"{self.name}: {self._lacks[Needs.FAULTS]}")
        return self.parts.bed

    @property
    def sys_account(self) -> Account:
        """A user of the tenant sys."""
        return self._of(self.parts.sys_account, Needs.SYS)

    @property
    def front_proxy(self) -> Proxy:
        """The proxy at the front, where it is ours and in this process."""
        return self._of(self.parts.front_proxy, Needs.OWN_PROXY)

    async def table(
        self, columns: str = "id int primary key, v int", partitioned: str = "", *, rows: str = ""
    ) -> Table:
        """Create a table; ``partitioned`` is SQL, ``rows`` what follows VALUES.  Leaders are spread if they can be."""
        session = await self.connect()
        name = f"t{next(self._tables)}"
        await session.query(f"create table {name}({columns}) {partitioned}")
        leaders = await self.parts.leaders(self.database, name) if self.parts.leaders is not None else []
        if self.has & Needs.MOVES:
            leaders = await self.lead(
                Table(self.database, name, leaders), [at % len(self.servers) for at in range(len(leaders))]
            )
        if rows:
            await session.query(f"insert into {name} values {rows}")
        return Table(self.database, name, leaders)

    async def lead(self, table: Table, numbers: Sequence[int]) -> list[int]:
        """Move the leader of each partition of a table; return them."""
        tablets = await self._of(self.parts.tablets, Needs.MOVES)(table.database, table.name)
        if not tablets:
            await self.bed.move_leader(str(table), numbers[0])
        for tablet, number in zip(tablets, numbers, strict=bool(tablets)):
            await self.bed.move_tablet(tablet, number)
        self.notes.add("suite", f"leaders of {table}", f"moved to servers {list(numbers)}")
        return list(numbers)

    @asynccontextmanager
    async def proxy(self, *, ready: bool = True, **options: Any) -> AsyncIterator[Proxy]:
        """Run a further proxy of ours with other options; with ``ready`` its server list is there."""
        make = self._of(self.parts.settings, Needs.OWN_PROXY)
        defaults: dict[str, Any] = {
            "enable_http": False,
            "hot_upgrade_exit_timeout": 0.2,
            "etc_dir": self.directory(),
        }
        self.notes.add("suite", "start a proxy", ", ".join(f"{name}={value}" for name, value in options.items()))
        async with open_proxy(make(**{**defaults, **options})) as proxy:
            if ready:
                with trio.fail_after(PATIENCE):
                    await proxy.clusters.wait_available(self.cluster)
            yield proxy

    @asynccontextmanager
    async def config_server(self, **clusters: str) -> AsyncIterator[ConfigServerBed]:
        """Run a config server that names this cluster, and others by their rslists."""
        rslist = ";".join(str(server) for server in self.servers)
        async with open_config_server({self.cluster: rslist, **clusters}) as server:
            yield server

    @asynccontextmanager
    async def proxy_by(self, config_server: ConfigServerBed, **options: Any) -> AsyncIterator[Proxy]:
        """Run a further proxy of ours that learns its clusters from a config server."""
        url = {"clusters": {}, "obproxy_config_server_url": config_server.url, "rootservice_cluster_name": ""}
        async with self.proxy(ready=False, **{**url, **options}) as proxy:
            yield proxy

    @asynccontextmanager
    async def process(self, *options: str, guard: Sequence[str] | None = None) -> AsyncIterator[OwnProcess]:
        """Run a proxy of ours as a process, below ``odp-trio watch`` with the options ``guard`` if there are any."""
        words = [*self.parts.run_options, "-o", ",".join(["enable_http=false", *options])]
        environment = {**self.parts.environment, "ODP_ETC_DIR": self.directory()}
        self.notes.add("suite", f"start odp-trio {'run' if guard is None else 'watch'}", " ".join([*(guard or ())]))
        async with own_process(words, environment, guard) as process:
            yield process

    def directory(self) -> str:
        """Return a directory for this check alone."""
        return self._stack.enter_context(tempfile.TemporaryDirectory(prefix="odp-trio-conformance-"))

    def metadata(self, pattern: str) -> list[Statement | FakeStatement]:
        """Return the metadata queries of proxies that match a regular expression, oldest first: METADATA."""
        return [
            one for one in self.bed.statements() if one.user == "proxyro" and re.search(pattern, one.sql, re.IGNORECASE)
        ]

    async def until(self, condition: Callable[[], bool], what: str, seconds: float = 10.0) -> None:
        """Wait for a condition; fail with ``what`` when it does not come."""
        began = trio.current_time()
        with trio.move_on_after(seconds):
            while not condition():  # noqa: ASYNC110  # the condition is of many kinds
                await trio.sleep(_PAUSE)
            self.notes.add("suite", f"wait until {what}", f"{trio.current_time() - began:.2f} s")
            return
        raise AssertionError(f"did not happen within {seconds:g} s: {what}")

    async def sleep(self, seconds: float) -> None:
        """Wait by the target's clock."""
        await trio.sleep(seconds)

    def _of(self, part: P | None, need: Needs) -> P:
        if part is None:
            raise Unanswered(f"{self.name}: {self._lacks[need]}")
        return part

    # ---- life -------------------------------------------------------------------

    async def start(self) -> None:
        """Make the database that everything is in; raise StatementFailed, ConnectionLost if that cannot be."""
        async with self.during():
            session = await self.connect(database="")
            await session.query(f"drop database if exists {self.database}")
            await session.query(f"create database {self.database}")

    async def stop(self) -> None:
        """Remove the database."""
        with trio.CancelScope(shield=True, deadline=trio.current_time() + PATIENCE), suppress(OdpError):
            async with self.during():
                session = await self.connect(database="")
                await session.query(f"drop database if exists {self.database}")

    @asynccontextmanager
    async def during(self, needs: Needs = Needs.NOTHING) -> AsyncIterator[Self]:
        """Frame one check: begin with empty notes; close what it opened; mend what it may have broken."""
        self.notes = Notes()
        self._stack = AsyncExitStack()
        try:
            async with self._stack:
                yield self
        finally:
            if needs & (Needs.FAULTS | Needs.TOPOLOGY) and self.parts.restore is not None:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + PATIENCE):
                    await self.parts.restore()
                    if self.parts.mended is not None:
                        await self.parts.mended()


def address_of(proxy: Proxy) -> Address:
    """Return where clients of a proxy of ours connect."""
    return Address(*proxy.addresses[0])
