"""A session whose every statement may run on another server gives the same results as one that stays."""

from __future__ import annotations

import itertools
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from functools import partial

import pytest
import trio
from hypothesis import HealthCheck, Phase, given, settings

from odp_trio.app import open_proxy
from odp_trio.model import Address
from odp_trio.session import replaying
from odp_trio.state.client import ClientState, ServerState
from odp_trio.state.sync import SetVariables, UseDatabase, sync_plan
from odp_trio.testing.bed import Testbed
from odp_trio.testing.demo import settings_for
from odp_trio.testing.live import KernelProcess
from odp_trio.wire.command import Com
from tests.live import sysbench
from tests.live.clients import connect, in_thread
from tests.live.corpus import again_files, corpus_files
from tests.live.rotation import ALLOWED_ROTATED, RULE, WHEEL, rotating_process, rotating_proxy
from tests.live.session_scripts import SCRIPTS, SIDES, Pair, Step, play, prepare_databases
from tests.live.test_corpus import WAYS, Sides, compare
from tests.raw_client import READ_ONLY_CURSOR, RawClient

pytestmark = [pytest.mark.live, pytest.mark.slow]
SCRIPT_COUNT = int(os.environ.get("ODP_TRIO_SCRIPTS", "100"))
SEEDS = tuple(map(int, os.environ.get("ODP_TRIO_SEEDS", "1").split(",")))


async def test_the_route_is_rotated(bed: Testbed) -> None:
    async with open_proxy(settings_for(bed, enable_http=False, own_rules=RULE, hot_upgrade_exit_timeout=0.2)) as proxy:
        with trio.fail_after(20):
            await proxy.clusters.wait_available(bed.cluster)
        WHEEL.place = None

        def ask() -> None:
            with closing(connect(proxy.addresses[0])) as connection, connection.cursor() as cursor:
                for number in range(30):
                    cursor.execute(f"select {number} as rotated")

        await in_thread(ask)

        servers = [statement.observer for statement in bed.statements("as rotated")]
        assert set(servers) == {0, 1, 2}
        assert sum(one != other for one, other in itertools.pairwise(servers)) > 10


# ---- the corpus ------------------------------------------------------------------------


@pytest.fixture(scope="module", params=SEEDS)
def rotated(request: pytest.FixtureRequest, kernel: KernelProcess, kernel_address: Address) -> Iterator[Sides]:
    with rotating_process(kernel, request.param) as proxied:
        yield Sides(kernel_address, proxied)


def ways_to_run() -> list[tuple[str, str]]:
    """Each file in one way, all ways in turn; in every way when seeds were asked for."""
    every = [(name, way) for name in corpus_files() for way in WAYS]
    chosen = (
        every if "ODP_TRIO_SEEDS" in os.environ else [one for one in every if one[0] in again_files()][:: len(WAYS) + 1]
    )
    missing = dict.fromkeys(again_files(), "text")
    for name, _ in chosen:
        missing.pop(name, None)
    return [*chosen, *missing.items(), ("load_data", "text")]


@pytest.mark.parametrize(("name", "way"), ways_to_run())
def test_a_client_cannot_tell_that_its_statements_move(rotated: Sides, name: str, way: str) -> None:
    count = compare(rotated, name, *WAYS[way], allowed=ALLOWED_ROTATED)

    print(f"{name}, {way}: {count} answers compared")  # noqa: T201


@pytest.mark.skipif(not sysbench.IS_INSTALLED, reason="sysbench is not installed")
def test_transactions_of_sysbench_move_without_an_error(rotated: Sides, kernel: KernelProcess) -> None:
    """Each transaction stays where it began; the next one, and its prepared statements, are elsewhere."""
    kernel.run("create database if not exists sbtest")

    report = sysbench.read_and_write(rotated.proxied, "app@sys#demo", "app_pw", "auto")

    print(f"sysbench, {sysbench.SECONDS} s: {report}")  # noqa: T201
    assert report.transactions
    assert not report.reconnects


# ---- random scripts -----------------------------------------------------------------------


async def test_random_scripts_leave_the_same_state(kernel: KernelProcess, kernel_address: Address) -> None:
    async with rotating_proxy(kernel) as proxied:
        try:
            played = await trio.to_thread.run_sync(partial(_play_many, kernel_address, proxied, SCRIPT_COUNT))
        finally:
            WHEEL.place = None
    done = ", ".join(f"{number} {what}" for what, number in played.items())
    print(f"{done}: no difference")  # noqa: T201


@pytest.mark.parametrize("command", [b"\x09", b"\x16insert into t values (6, 'y')"], ids=["statistics", "prepare"])
async def test_a_transaction_stays_open_behind_an_answer_without_a_status(
    kernel: KernelProcess, kernel_address: Address, command: bytes
) -> None:
    def counted(proxied: Address) -> bytes:
        prepare_databases(kernel_address)
        WHEEL.place = 0
        with closing(Pair(kernel_address, proxied, first_id=1)) as pair:
            client = pair.sides[1].client
            for place, sql in enumerate(("begin", "", "insert into t values (5, 'x')", "rollback")):
                WHEEL.place = place
                answer = client.query(sql) if sql else client.command(command)
                assert not answer.errno
            return client.query("select count(*) from t").packets[-2][-1:]

    async with rotating_proxy(kernel) as proxied:
        try:
            assert await trio.to_thread.run_sync(counted, proxied) == b"1"
        finally:
            WHEEL.place = None


async def test_scripts_find_a_variable_that_is_not_replayed(
    kernel: KernelProcess, kernel_address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgetful(client: ClientState, server: ServerState) -> tuple[UseDatabase | SetVariables, ...]:
        client.user.clear()
        return sync_plan(client, server)

    monkeypatch.setattr(replaying, "sync_plan", forgetful)
    async with rotating_proxy(kernel) as proxied:
        try:
            with pytest.raises(AssertionError, match="state"):
                await trio.to_thread.run_sync(partial(_play_many, kernel_address, proxied, 3000, shrink=False))
        finally:
            WHEEL.place = None


def _play_many(staying: Address, proxied: Address, count: int, *, shrink: bool = True) -> Counter[str]:
    """Play random scripts until one leaves a difference; return what was done."""
    ids, done = itertools.count(int(time.time()) * 100, 100_000), Counter[str]()
    prepare_databases(staying)

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize="ODP_TRIO_SCRIPTS" not in os.environ,
        suppress_health_check=list(HealthCheck),
        phases=[phase for phase in Phase if shrink or phase is Phase.generate],
    )
    @given(SCRIPTS)
    def scripts_agree(script: list[Step]) -> None:
        done["scripts"] += 1
        done["steps"] += sum(step.verb != "nothing" for step in script)
        done["looks"] += 1 + sum(step.look is not None for step in script)
        found = _played(staying, proxied, script, next(ids))
        assert not found, "\n".join([*(str(step) for step in script if step.verb != "nothing"), *found])

    scripts_agree()
    return done


def _played(staying: Address, rotated: Address, script: list[Step], first_id: int) -> list[str]:
    WHEEL.place = 0
    with closing(Pair(staying, rotated, first_id=first_id)) as pair:
        return play(pair, script, WHEEL)


# ---- what random scripts have found -------------------------------------------------------------

FOUND = {
    "a statement made by PREPARE is executed inside the transaction": (
        Step("query", "prepare p1 from 'insert into t (v) values (?)'", place=0),
        Step("query", "set @a = 'x'", place=2),
        Step("query", "begin", place=1),
        Step("query", "execute p1 using @a", place=0, look=1),
        Step("query", "rollback", place=0),
        Step("query", "select count(*) from t", place=2),
        Step("query", "execute p1 using @a", place=2),
        Step("query", "select count(*) from t", place=0),
    ),
    "DEALLOCATE elsewhere counts everywhere": (
        Step("query", "prepare p2 from 'select 2'", place=0),
        Step("query", "execute p2", place=1),
        Step("query", "deallocate prepare p2", place=2),
        Step("query", "execute p2", place=0),
        Step("query", "execute p2", place=1),
    ),
    "a name that is prepared anew means the new text everywhere": (
        Step("query", "prepare p2 from 'select 2'", place=0),
        Step("query", "execute p2", place=1),
        Step("query", "set @a = 'select 3'", place=1),
        Step("query", "prepare p2 from @a", place=2),
        Step("query", "set @a = 'select 4'", place=1),
        Step("query", "execute p2", place=0),
        Step("query", "execute p2", place=1),
    ),
    "a command about a statement that is elsewhere does not leave the transaction": (
        Step("prepare", "select ?, @@autocommit", slot=0, place=0),
        Step("prepare", "select id, v from t where id > ? order by id", slot=1, place=0),
        Step("open a cursor", slot=1, number=0, place=0),
        Step("query", "begin", place=1),
        Step("query", "insert into t (v) values ('in')", place=1),
        Step("fetch", slot=0, look=0),
        Step("reset", slot=0),
        Step("query", "select count(*) from t", place=0),
        Step("close", slot=1),
        Step("query", "rollback", place=2),
        Step("query", "select count(*) from t", place=0),
    ),
    "nor does it leave a pending SET TRANSACTION": (
        Step("prepare", "select ?, @@autocommit", slot=0, place=0),
        Step("query", "set transaction read only", place=1),
        Step("fetch", slot=0),
        Step("query", "insert into t (v) values ('one')", place=0),
    ),
    "timestamp is a variable like others": (
        Step("query", "set timestamp = 86400", place=0),
        Step("query", "select unix_timestamp(), now()", place=1),
        Step("query", "set timestamp = default", place=2),
        Step("query", "select unix_timestamp() > 86400", place=0),
    ),
}


@pytest.mark.parametrize("name", FOUND)
async def test_found(name: str, kernel: KernelProcess, kernel_address: Address) -> None:
    def run(proxied: Address) -> list[str]:
        prepare_databases(kernel_address)
        return _played(kernel_address, proxied, list(FOUND[name]), 1000)

    async with rotating_proxy(kernel) as proxied:
        try:
            assert await trio.to_thread.run_sync(partial(run, proxied)) == []
        finally:
            WHEEL.place = None


async def test_rows_are_fetched_elsewhere_in_the_midst_of_a_transaction(
    kernel: KernelProcess, kernel_address: Address
) -> None:
    def run(proxied: Address) -> None:
        prepare_databases(kernel_address)
        with RawClient(proxied, "root@sys", database=SIDES[1]) as client:
            WHEEL.place = 0
            for sql in ("insert into t values (1, 'a'), (2, 'b'), (3, 'c')", "set @a = 1"):
                assert not client.query(sql).errno
            cursor = client.prepare("select id from t where id > ? order by id")
            assert client.execute(cursor.id, (0,), cursor=READ_ONLY_CURSOR).cursor_is_open
            WHEEL.place = 1
            for sql in ("begin", "insert into t values (4, 'd')"):
                assert not client.query(sql).errno
            fetched = client.fetch(cursor.id, 2)
            assert [row[2] for row in fetched.payloads if row[0] == 0] == [1, 2]
            WHEEL.place = 2
            assert client.query("select count(*) from t").payloads[-2] == b"\x014"
            assert not client.query("rollback").errno
            assert client.query("select count(*) from t").payloads[-2] == b"\x013"

    async with rotating_proxy(kernel) as proxied:
        try:
            await trio.to_thread.run_sync(partial(run, proxied))
        finally:
            WHEEL.place = None


async def test_the_id_of_a_statement_that_a_reset_has_ended_is_not_known_any_more(
    kernel: KernelProcess, kernel_address: Address
) -> None:
    def errno(address: Address) -> int:
        with RawClient(address, "root@sys") as client:
            statement = client.prepare("select ?")
            WHEEL.place = 1
            for command in (b"\x03select 1", bytes((Com.RESET_CONNECTION,)), bytes((Com.RESET_CONNECTION,))):
                assert not client.command(command).errno
            return client.execute(statement.id, (1,)).errno

    async with rotating_proxy(kernel) as proxied:
        WHEEL.place = 0
        try:
            assert await in_thread(errno, proxied) == await in_thread(errno, kernel_address) == 1243
        finally:
            WHEEL.place = None


def test_kernel_refuses_user_locks_on_connections_of_proxies(kernel_address: Address) -> None:
    """So scripts have none: GET_LOCK is a difference of the kernel's own."""
    with RawClient(kernel_address, as_proxy=True) as client:
        assert client.query("select get_lock('x', 0)").errno == 1235
