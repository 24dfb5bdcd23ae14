"""Metadata queries: ``proxyro@sys`` on an OBServer, in a worker thread.

A Trio cancel cannot interrupt a thread, so every call has socket time-outs,
and an abandoned call closes its own connection.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, final

import msgspec
import trio

from odp_trio.catalog.metadata_connection import Connection
from odp_trio.config import Settings
from odp_trio.config.options import ClusterSettings
from odp_trio.errors import MetadataRefused, MetadataUnavailable, OdpError
from odp_trio.model import Address
from odp_trio.net.certificates import ServerTls
from odp_trio.net.network import KERNEL, AskServer, Network
from odp_trio.wire.answers import StatementFailed

log = logging.getLogger("odp_trio.catalog")

Row = Mapping[str, Any]
_ACCESS_DENIED = 1045
_ANSWERS = frozenset({1142, 1146})
"""No privilege, no such table: what is asked about is not to be had, wherever it is asked."""
_PATIENCE = 0.2
"""Share of the time-out after which the next server is asked too."""
_SLOW_SECONDS = 20.0
_MOST_SERVERS = 1024
_IDLE_KEPT = 2
"""For one server."""


class Credentials(msgspec.Struct, frozen=True):
    """Who asks: user name and passwords to try in turn, each clear or a 40-digit stage-1 hash."""

    user: str
    passwords: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Credentials(user={self.user!r})"


class MetadataConnection(Protocol):
    """The port: asks one of ``servers``; rows have lower-case column names.

    Raises MetadataUnavailable, which names each server and why.
    """

    async def query(self, sql: str, servers: Sequence[Address]) -> Sequence[Row]:
        """Run one statement."""
        ...

    def close(self) -> None:
        """Give connections back; calls still in a thread close theirs themselves."""
        ...


class _Race:
    """One query, and what came of it."""

    def __init__(self) -> None:
        self.rows: Sequence[Row] | None = None
        self.failures: dict[str, Exception] = {}
        self.silent: dict[str, None] = {}
        """Servers that were asked and have said nothing."""
        self.won: trio.CancelScope

    def failure(self, user: str, seconds: float) -> MetadataUnavailable:
        """Return what is wrong with each server; sorted, so that the same failures read the same."""
        reasons = {address: _reason(exc) for address, exc in self.failures.items()}
        reasons |= dict.fromkeys(self.silent, f"no answer within {seconds:g} s")
        text = f"{user}@sys got no answer from " + "; ".join(f"{name}: {reasons[name]}" for name in sorted(reasons))
        numbers = {_number(exc) for exc in self.failures.values()}
        if numbers and numbers <= _ANSWERS and not self.silent:
            return MetadataRefused(text, max(numbers))
        return MetadataUnavailable(text)


@final
class MetadataClient:
    """The real one.  Keeps a few idle connections; asks servers in the order given until one answers.

    All of them together have ``timeout()`` seconds, asked each time, since settings
    change; ``threads`` is how many questions one server may be asked at a time.  ``ask_server``, if there is one,
    asks in the place of our connections and their threads.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        timeout: Callable[[], float],
        connect_timeout: Callable[[], float],
        threads: int = 4,
        tls: Callable[[], ServerTls | None] = lambda: None,
        ask_server: AskServer | None = None,
    ) -> None:
        self._credentials = credentials
        self._ask_server = ask_server
        self._tls = tls
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._threads = threads
        self._limiters: dict[Address, trio.CapacityLimiter] = {}
        """For each server its own: threads that hang on one take nothing from the others."""
        self._slow: dict[Address, float] = {}
        """Servers to be asked last, until a time."""
        self._lock = threading.Lock()
        self._idle: dict[Address, list[Connection]] = {}
        self._closed = False
        self.queries = 0

    @property
    def idle(self) -> int:
        """How many connections wait for the next query."""
        return sum(map(len, self._idle.values()))

    async def query(self, sql: str, servers: Sequence[Address]) -> Sequence[Row]:
        """Run ``sql`` on the first of ``servers`` that answers."""
        if not servers:
            raise MetadataUnavailable("no server to ask")
        self.queries += 1
        race, timeout = _Race(), self._timeout()
        with trio.move_on_after(timeout):
            await self._run_race(race, sql, self._order(servers), timeout * _PATIENCE)
        if race.rows is None:
            raise race.failure(self._credentials.user, timeout)
        return race.rows

    async def _run_race(self, race: _Race, sql: str, servers: Sequence[Address], patience_seconds: float) -> None:
        """Ask one after the other; who has not answered after a while gets company, and is asked last from then on."""
        async with trio.open_nursery() as nursery:
            race.won = nursery.cancel_scope
            for address in servers:
                failed = trio.Event()
                race.silent[str(address)] = None
                nursery.start_soon(self._enter_race, race, sql, address, failed)
                with trio.move_on_after(patience_seconds) as patience:
                    await failed.wait()
                if patience.cancelled_caught:
                    self._slow[address] = trio.current_time() + _SLOW_SECONDS

    async def _enter_race(self, race: _Race, sql: str, address: Address, failed: trio.Event) -> None:
        limiter = self._limiters.setdefault(address, trio.CapacityLimiter(self._threads))
        try:
            race.rows = await self._ask(sql, address, limiter)
            race.won.cancel()
        except Exception as exc:  # of what a server sent: garbage may raise anything
            race.failures[str(address)] = exc
            del race.silent[str(address)]
            failed.set()

    async def _ask(self, sql: str, address: Address, limiter: trio.CapacityLimiter) -> Sequence[Row]:
        if self._ask_server is None:
            question = partial(self._ask_one, sql, address)
            return await trio.to_thread.run_sync(question, abandon_on_cancel=True, limiter=limiter)
        async with limiter:
            return await self._ask_server(self._credentials.user, self._credentials.passwords, sql, address)

    def _order(self, servers: Sequence[Address]) -> list[Address]:
        """Put servers last that were slow a short while ago."""
        now = trio.current_time()
        self._slow = {address: until for address, until in self._slow.items() if until > now}
        if len(self._limiters) > _MOST_SERVERS:
            self._limiters = {address: used for address, used in self._limiters.items() if used.borrowed_tokens}
        return sorted(servers, key=self._slow.__contains__)

    def close(self) -> None:
        """Close the idle connections, and every other one as soon as its call is over."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                _close(connection)

    # ---- in a worker thread -----------------------------------------------------

    def _ask_one(self, sql: str, address: Address) -> Sequence[Row]:
        connection = self._take(address)
        if connection is not None:
            try:
                rows = _run(connection, sql)
            except (OdpError, OSError) as exc:
                _close(connection)
                if _number(exc) in _ANSWERS:
                    raise
                # It was idle for long: once more on a new one (these queries only read).
            else:
                self._keep(address, connection)
                return rows
        connection = self._connect(address)
        try:
            rows = _run(connection, sql)
        except BaseException:
            _close(connection)
            raise
        self._keep(address, connection)
        return rows

    def _take(self, address: Address) -> Connection | None:
        with self._lock:
            idle = self._idle.get(address)
            return idle.pop() if idle else None

    def _keep(self, address: Address, connection: Connection) -> None:
        with self._lock:
            idle = self._idle.setdefault(address, [])
            if len(idle) < _IDLE_KEPT and not self._closed:
                idle.append(connection)
                return
        _close(connection)

    def _connect(self, address: Address) -> Connection:
        refusal: StatementFailed | None = None
        for password in self._credentials.passwords or ("",):
            try:
                return Connection.open(
                    address,
                    f"{self._credentials.user}@sys",
                    password,
                    connect_timeout=self._connect_timeout(),
                    timeout=self._timeout(),
                    tls=self._tls(),
                )
            except StatementFailed as exc:
                if exc.errno != _ACCESS_DENIED:
                    raise
                refusal = exc
        assert refusal is not None
        raise refusal


def open_metadata(
    current: Callable[[], Settings],
    name: str,
    tls: Callable[[], ServerTls | None] = lambda: None,
    network: Network = KERNEL,
) -> MetadataClient:
    """Return a client for one cluster: with its own account and passwords where it has them, else the global ones."""
    settings = current()
    own = settings.clusters.get(name) or ClusterSettings(())
    passwords = [
        str(secret.value)
        for secret in (
            own.observer_sys_password or settings.observer_sys_password,
            own.observer_sys_password1 or settings.observer_sys_password1,
        )
        if secret
    ]
    return MetadataClient(
        Credentials(own.observer_sys_user or settings.observer_sys_user, tuple(dict.fromkeys(passwords))),
        timeout=lambda: current().short_async_task_timeout,
        connect_timeout=lambda: min(current().connect_timeout, current().short_async_task_timeout),
        tls=tls,
        ask_server=network.ask_server,
    )


def _run(connection: Connection, sql: str) -> Sequence[Row]:
    result = connection.query(sql, _is_object)
    names = [name.lower() for name in result.columns]
    return [{name: _value(name, value) for name, value in zip(names, row, strict=True)} for row in result.rows]


def _is_object(name: str) -> bool:
    """Whether a column holds serialised objects: they are declared as text (seen on seekdb 1.3.0)."""
    return name.lower().endswith(("_bin", "default_value"))


def _value(name: str, value: Any) -> Any:
    """Decode what is a text, though it was declared as binary."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) and not _is_object(name) else value


def _close(connection: Connection) -> None:
    try:
        connection.close()
    except OSError as exc:
        log.debug("closing a metadata connection: %s", exc)


def _number(error: Exception) -> int:
    return error.errno if isinstance(error, StatementFailed) else 0


def _reason(error: Exception) -> str:
    """One line: ``(1045) Access denied …``."""
    if isinstance(error, StatementFailed):
        return f"({error.errno}) {error.message}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, OdpError | OSError) and str(error):
        return str(error)
    return f"{type(error).__name__}: {error}"
