"""Fake OBServers without sockets: indexes, what is told of rows, and a fake that fails."""

from __future__ import annotations

import pytest

from odp_trio.testing.fakes.cluster import FakeCluster
from tests.testing.fake_client import Client


@pytest.fixture
def cluster() -> FakeCluster:
    cluster = FakeCluster()
    Client(cluster).run(
        "create table t (id int primary key, v int, unique key uv (v))", "insert into t values (1, 1), (2, 2)"
    )
    return cluster


def test_an_index_finds_what_a_scan_finds(cluster: FakeCluster) -> None:
    client, other = Client(cluster), Client(cluster, 1)
    client.run(
        "create table i (a int, b int, c int, key (a, b))",
        "create table s (a int, b int, c int)",
        "insert into i values (1, 1, 1), (1, 1, 2), (1, 2, 3), (null, 1, 4)",
        "begin",
        "insert into i values (1, 1, 5), (1, 3, 6)",
        "update i set b = 1 where c = 3",
        "update i set a = 9 where c = 1",
        "delete from i where c = 2",
    )
    asked = "select group_concat(c order by c) from i where {} and c + 0 > 0"
    by_index, by_scan = "b = 1 and a = 1", "b + 0 = 1 and a + 0 = 1"

    assert client.run(asked.format(by_index)) == client.run(asked.format(by_scan)) == ["3,5"]
    assert other.run(asked.format(by_index)) == other.run(asked.format(by_scan)) == ["1,2"]
    client.run("commit", "delete from i where c = 5", "create table j like i", "insert into j select * from i")
    for name in "ij":
        assert other.run(f"select group_concat(c) from {name} where a = 1 and b = 1") == ["3"]
        assert other.run(f"select group_concat(c) from {name} where a = 9 and b in (1, 2)") == ["1"]
    client.run("truncate table i", "insert into i values (1, 1, 7)")
    assert other.run(asked.format(by_index)) == ["7"]


def test_every_row_that_is_written_and_committed_is_told(cluster: FakeCluster) -> None:
    client, store = Client(cluster), cluster.store
    ran: list[object] = []
    committed: list[object] = []
    store.on_write = lambda table, row: ran.append((table.name, *row))
    store.on_commit = lambda table, row: committed.append((table.name, *row))

    client.run("insert into t values (3, 3)", "begin", "insert into t values (4, 4)", "rollback")
    client.run("begin", "update t set v = 5 where id = 3", "delete from t where id = 1", "commit")
    assert ran == [("t", 3, 3), ("t", 4, 4), ("t", 3, 5)]
    assert committed == [("t", 3, 3), ("t", 3, 5)]


def test_a_fake_that_fails_ends_that_session_and_says_so(cluster: FakeCluster) -> None:
    def fail(table: object, row: object) -> None:
        raise ZeroDivisionError("of a fake")

    failures: list[object] = []
    cluster.on_failure = lambda sql, failure: failures.append((sql, failure))
    client, other = Client(cluster), Client(cluster, 1)
    cluster.store.on_write = fail
    error = client.error("insert into t values (8, 8)")

    assert (error.errno, error.sqlstate) == (1105, "HY000")
    assert "ZeroDivisionError" in error.message
    assert client.connection.ended
    assert cluster.failures == len(failures) == 1
    assert "insert into t values (8, 8)" in str(failures)
    assert other.run("select count(*) from t") == ["2"]
    cluster.store.on_write = None
    other.run("update t set v = 8 where id = 2")
    assert not other.connection.ended
