"""The OBServers of a simulation: fake ones, and what is noted of all that they run and store."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Final, final

from odp_trio.model import Address
from odp_trio.testing.fakes.cluster import FakeCluster
from odp_trio.testing.fakes.direct import run_directly
from odp_trio.testing.fakes.records import FakeServer, Statement
from odp_trio.testing.fakes.store import Row, Table
from odp_trio.testing.ledger import Number
from odp_trio.testing.simulation.rules import Rule, Rules
from odp_trio.testing.simulation.trace import Trace

CLUSTER: Final = "demo"
SQL_PORT: Final = 2881
ZONES: Final = 3
TENANTS: Final = ("sys", "shop", "bank")
TABLE: Final = "ledger.writes"
_SHOWN: Final = 120
"""Characters of a statement that the trace has."""
_WORK_SECONDS: Final = 0.001
_BEGINNING: Final = (
    "create database ledger",
    "create database other",
    # without a unique key, so that a statement that ran twice is seen as two rows
    "create table ledger.writes (home int not null, client int not null, seq int not null, key (home, client, seq))",
)


def address_of(number: int) -> Address:
    """Return where an OBServer is."""
    return Address(f"10.0.{number // 200}.{number % 200 + 1}", SQL_PORT)


def make_cluster(seed: int, rng: Random, observers: int = 3) -> FakeCluster:
    """Return a cluster with the table that clients write."""
    addresses = [address_of(number) for number in range(observers)]
    cluster = FakeCluster(name=CLUSTER, tenants=TENANTS, seed=seed, addresses=addresses)
    cluster.work = lambda: _WORK_SECONDS * (1 + rng.random())
    cluster.finishes = True
    run_directly(cluster, _BEGINNING)
    return cluster


def listed(cluster: FakeCluster) -> list[FakeServer]:
    """Return the OBServers that belong to the cluster now."""
    return [server for server in cluster.servers.values() if server.listed]


async def add_server(cluster: FakeCluster) -> None:
    """Add an OBServer that hosts every tenant."""
    number = len(cluster.servers)
    await cluster.add_server(zone=f"zone{number % ZONES + 1}", address=address_of(number))
    for tenant in cluster.tenants.values():
        await cluster.place_tenant(tenant.name, [*tenant.servers, number])


@final
class Journal:
    """What OBServers run and store, of the table that clients write.

    A write that runs twice is noticed when it runs, whatever becomes of its transaction.
    """

    def __init__(self, cluster: FakeCluster, rules: Rules, trace: Trace) -> None:
        self._table = cluster.store.table(*TABLE.split("."))
        self._rules, self._trace = rules, trace
        self._executed: Counter[Number] = Counter()
        self.statements = 0
        cluster.store.on_write = self._ran
        cluster.store.on_commit = self._committed
        cluster.on_statement = self._got
        cluster.on_failure = self._failed

    def rows(self) -> list[Number]:
        """Return the writes that are committed, each as often as it is there."""
        return [_number(row) for row in self._table.rows.values()]

    def _ran(self, table: Table, row: Row) -> None:
        if table is self._table:
            number = _number(row)
            self._executed[number] += 1
            times = self._executed[number]
            self._rules.check(times < 2, Rule.TWICE, f"write {number} ran {times} times")

    def _committed(self, table: Table, row: Row) -> None:
        if table is self._table:
            self._trace.note(f"committed {_number(row)}")

    def _got(self, statement: Statement) -> None:
        self.statements += 1
        who = f"server {statement.observer} session {statement.connection}"
        self._trace.note(f"{who}: {statement.command} {statement.sql[:_SHOWN]}")

    def _failed(self, sql: str, failure: Exception) -> None:
        self._rules.check(False, Rule.ENGINE, f"{failure!r} at {sql[:_SHOWN]!r}")


def _number(row: Row) -> Number:
    _, client, sequence, *_ = row
    assert isinstance(client, int)
    assert isinstance(sequence, int)
    return client, sequence
