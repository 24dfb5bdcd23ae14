"""Fake OBServers without sockets: what sessions see of one another, locks, faults, the same bytes for the same seed."""

from __future__ import annotations

import struct

import pytest

from odp_trio.model import Address
from odp_trio.testing.fakes.cluster import FakeCluster
from odp_trio.testing.fakes.session import Pause
from odp_trio.wire.command import Com
from odp_trio.wire.packets import packet
from odp_trio.wire.resultset import parse_err
from odp_trio.wire.state import parse_ok
from tests.testing.fake_client import Client, last_ok, payloads


@pytest.fixture
def cluster() -> FakeCluster:
    cluster = FakeCluster()
    Client(cluster).run(
        "create table t (id int primary key, v int, unique key uv (v))", "insert into t values (1, 1), (2, 2)"
    )
    return cluster


def test_the_same_seed_gives_the_same_bytes() -> None:
    def bytes_of(seed: int) -> list[bytes]:
        client = Client(FakeCluster(seed=seed), as_proxy=True)
        return [bytes(client.connection.scramble), client.answer, client.ask("select now(), @@version") or b""]

    assert bytes_of(1) == bytes_of(1)
    assert bytes_of(1)[0] != bytes_of(2)[0]


def test_a_transaction_is_seen_by_others_when_it_is_committed(cluster: FakeCluster) -> None:
    one, other = Client(cluster), Client(cluster, 1)
    one.run("begin", "update t set v = 10 where id = 1", "insert into t values (3, 3)", "delete from t where id = 2")

    assert one.run("select group_concat(v order by id) from t") == ["10,3"]
    assert other.run("select group_concat(v order by id) from t") == ["1,2"]
    one.run("commit")
    assert other.run("select group_concat(v order by id) from t") == ["10,3"]


def test_a_lost_connection_rolls_back_and_gives_its_locks_up(cluster: FakeCluster) -> None:
    one, other = Client(cluster), Client(cluster)
    one.run("begin", "update t set v = 10 where id = 1")
    assert isinstance(other.ask("update t set v = 20 where id = 1"), Pause)
    woken: list[bool] = []
    other.connection.wake = lambda: woken.append(True)

    one.connection.lost()

    assert woken
    assert last_ok(other.step()).affected_rows == 1
    assert other.run("select v from t where id = 1") == ["20"]


def test_who_waits_for_a_lock_reads_the_row_anew(cluster: FakeCluster) -> None:
    one, other = Client(cluster), Client(cluster)
    one.run("begin", "update t set v = v + 10 where id = 1")
    assert isinstance(other.ask("update t set v = v + 100 where id = 1"), Pause)
    one.run("commit")
    other.step()
    assert other.run("select v from t where id = 1") == ["111"]


def test_a_lock_is_waited_for_until_the_time_out(cluster: FakeCluster) -> None:
    one, other = Client(cluster), Client(cluster)
    one.run("begin", "update t set v = 10 where id = 1")
    other.run("set ob_query_timeout = 2000000")
    pause = other.ask("delete from t where id = 1")
    assert isinstance(pause, Pause)
    assert pause.until == 2.0
    other.now = 2.0
    assert parse_err(payloads(other.step())[0]).errno == 1205


def test_two_that_wait_for_one_another_are_a_deadlock(cluster: FakeCluster) -> None:
    one, other = Client(cluster), Client(cluster)
    one.run("begin", "update t set v = 10 where id = 1")
    other.run("begin", "update t set v = 20 where id = 2")
    assert isinstance(one.ask("update t set v = 11 where id = 2"), Pause)
    assert other.error("update t set v = 21 where id = 1").errno == 1213
    assert last_ok(one.step()).affected_rows == 1


def test_a_duplicate_that_is_not_committed_is_waited_for(cluster: FakeCluster) -> None:
    one, other = Client(cluster), Client(cluster)
    one.run("begin", "insert into t values (5, 5)")
    assert isinstance(other.ask("insert into t values (6, 5)"), Pause)
    one.run("rollback")
    assert last_ok(other.step()).affected_rows == 1
    assert one.error("insert into t values (7, 5)").errno == 1062


def test_kill_query_ends_what_sleeps(cluster: FakeCluster) -> None:
    one, other = Client(cluster), Client(cluster)
    assert isinstance(one.ask("select sleep(5)"), Pause)
    other.run(f"kill query {one.connection.shown_id}")
    assert parse_err(payloads(one.step())[0]).errno == 1317
    assert one.run("select 1") == ["1"]


def test_a_proxy_gets_state_and_an_ok_behind_everything(cluster: FakeCluster) -> None:
    proxy = Client(cluster, as_proxy=True)
    state = parse_ok(proxy.answer[4:]).state
    assert state is not None
    assert state.system[b"autocommit"] == b"ON"
    proxy.run("select 1")

    told = last_ok(proxy.ask("set @a = 'x', autocommit = 0")).state
    assert told is not None
    assert (told.user, told.system) == ({b"a": b"'x'"}, {b"autocommit": b"OFF"})
    assert len(payloads(proxy.ask("select 1") or b"")) == 6  # type: ignore[arg-type]
    error = payloads(proxy.ask("selec") or b"")  # type: ignore[arg-type]
    assert [each[0] for each in error] == [0xFF, 0]


def test_a_server_that_leads_nothing_of_it_says_so(cluster: FakeCluster) -> None:
    leader = cluster.leader("mytenant", 0)
    here, there = Client(cluster, leader, as_proxy=True), Client(cluster, (leader + 1) % 3, as_proxy=True)

    def missed(client: Client, sql: str) -> bool:
        state = last_ok(client.ask(sql)).state
        return state is not None and state.system.get(b"ob_proxy_partition_hit") == b"OFF"

    assert not missed(here, "select * from t where id = 1")
    assert missed(there, "select * from t where id = 1")
    assert missed(there, "update t set v = 9 where id = 1")
    assert not missed(there, "select /*+ read_consistency(weak) */ * from t where id = 1")
    assert not missed(there, "select 1")


async def test_weak_reads_of_a_server_that_is_behind_see_the_past(cluster: FakeCluster) -> None:
    cluster.lag(1, 5.0)
    writer, reader = Client(cluster, 0), Client(cluster, 1)
    writer.now, reader.now = 100.0, 103.0
    writer.run("update t set v = 50 where id = 1")

    assert reader.run("select v from t where id = 1") == ["50"]
    assert reader.run("select /*+ read_consistency(weak) */ v from t where id = 1") == ["1"]
    reader.now = 105.0
    assert reader.run("select /*+ read_consistency(weak) */ v from t where id = 1") == ["50"]


async def test_faults_are_used_up(cluster: FakeCluster) -> None:
    client = Client(cluster)
    cluster.answer("from t", errno=4012, times=2)
    assert [client.error("select * from t").errno for _ in range(2)] == [4012, 4012]
    assert client.run("select count(*) from t") == ["2"]

    cluster.answer_login(errno=8001, number=0)
    refused = Client(cluster)
    assert parse_err(refused.answer[4:]).errno == 8001
    assert Client(cluster).run("select 1") == ["1"]

    await cluster.place_tenant("mytenant", [1, 2])
    assert parse_err(Client(cluster, 0).answer[4:]).errno == 5150


async def test_a_killed_server_forgets_its_sessions(cluster: FakeCluster) -> None:
    client = Client(cluster, 1)
    ended: list[bool] = []
    client.connection.reset = lambda: ended.append(True)
    client.run("begin", "update t set v = 10 where id = 1")

    await cluster.kill(1)

    assert ended
    assert client.connection.ended
    assert cluster.connect(Address("127.0.0.2", 2881)) is None
    assert Client(cluster).run("select v from t where id = 1") == ["1"]
    await cluster.revive(1)
    assert Client(cluster, 1).run("select 1") == ["1"]


def test_a_binary_statement_takes_values_and_long_data(cluster: FakeCluster) -> None:
    client = Client(cluster)
    client.run("create table b (id int primary key, s varchar(20), f double)")
    answer = client.ask("insert into b values (?, ?, ?)", Com.STMT_PREPARE)
    assert isinstance(answer, bytes)
    number, _, parameters = struct.unpack("<IHH", payloads(answer)[0][1:9])
    assert parameters == 3
    head = number.to_bytes(4, "little")
    client.connection.feed(packet(0, bytes((Com.STMT_SEND_LONG_DATA,)) + head + b"\1\0long"))
    assert client.step() == b""
    values = (7).to_bytes(8, "little") + struct.pack("<d", 1.5)
    types = bytes((8, 0, 0xFC, 0, 5, 0))
    client.connection.feed(packet(0, bytes((Com.STMT_EXECUTE,)) + head + b"\0\1\0\0\0" + b"\0\1" + types + values))
    assert last_ok(client.step()).affected_rows == 1
    assert client.run("select id, s, f from b") == ["7", "long", "1.5"]


@pytest.mark.parametrize(
    ("sql", "errno", "state"),
    [
        ("selec 1", 1064, "42000"),
        ("select * from nothing", 1146, "42S02"),
        ("select nothing from t", 1054, "42S22"),
        ("insert into t values (1, 5)", 1062, "23000"),
        ("insert into t values (9, 1)", 1062, "23000"),
        ("use nowhere", 1049, "42000"),
        ("kill 99999", 1094, "HY000"),
        ("set no_such = 1", 1193, "HY000"),
        ("insert into t values ('x', 1)", 1366, "HY000"),
        ("select no_such(1)", 1305, "42000"),
    ],
)
def test_errors_have_oceanbases_numbers(cluster: FakeCluster, sql: str, errno: int, state: str) -> None:
    error = Client(cluster).error(sql)
    assert (error.errno, error.sqlstate) == (errno, state)


def test_a_snapshot_does_not_move(cluster: FakeCluster) -> None:
    one, other = Client(cluster), Client(cluster)
    one.run("set tx_isolation = 'REPEATABLE-READ'", "begin", "select count(*) from t")
    other.run("insert into t values (3, 3)", "update t set v = 10 where id = 1")
    assert one.run("select group_concat(v order by id) from t") == ["1,2"]
    one.run("commit")
    assert one.run("select group_concat(v order by id) from t") == ["10,2,3"]


def test_a_transaction_that_may_not_write_does_not(cluster: FakeCluster) -> None:
    client = Client(cluster)
    client.run("start transaction read only")
    assert client.error("insert into t values (3, 3)").errno == 1792
    client.run("commit", "insert into t values (3, 3)")


def test_a_transaction_that_is_too_old_is_over(cluster: FakeCluster) -> None:
    client = Client(cluster)
    client.run("set ob_trx_timeout = 5000000", "begin", "insert into t values (3, 3)")
    client.now = 6.0
    assert (client.error("select * from t").errno, client.error("commit").errno) == (4012, 6002)
    assert client.run("select count(*) from t") == ["2"]


def test_a_frozen_server_answers_when_it_is_thawed(cluster: FakeCluster) -> None:
    client = Client(cluster)
    cluster.freeze(0)
    assert isinstance(client.ask("select 1"), Pause)
    cluster.servers[0].frozen = False
    assert payloads(client.step())[-1][0] == 0xFE


def test_a_slow_server_takes_its_time(cluster: FakeCluster) -> None:
    client = Client(cluster)
    cluster.slow(0, 2.0)
    assert client.ask("select 1") == Pause(2.0)
    client.now = 2.0
    assert payloads(client.step())[-1][0] == 0xFE


def test_a_cut_answer_ends_the_connection(cluster: FakeCluster) -> None:
    client = Client(cluster)
    cluster.cut(0, after_bytes=10)
    answer = client.ask("select 1")
    assert isinstance(answer, bytes)
    assert len(answer) == 10
    assert client.connection.ended


async def test_partitions_are_told_and_led(cluster: FakeCluster) -> None:
    client = Client(cluster)
    client.run("create table p (id int primary key, v int) partition by hash(id) partitions 3")
    tablets = await cluster.tablets("test", "p")
    assert len(tablets) == 3
    for at, tablet in enumerate(tablets):
        await cluster.move_tablet(tablet, at)
    proxies = [Client(cluster, number, as_proxy=True) for number in range(3)]

    def missed(client: Client, sql: str) -> bool:
        state = last_ok(client.ask(sql)).state
        return state is not None and state.system.get(b"ob_proxy_partition_hit") == b"OFF"

    for key in range(6):
        assert [missed(each, f"replace into p values ({key}, {key})") for each in proxies] == [
            number != key % 3 for number in range(3)
        ]
