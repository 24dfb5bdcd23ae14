"""Partition hits: keys, locations that are kept, feedback of misses, leaders that move."""

from __future__ import annotations

from odp_trio.conformance.groups.routing import PARTED, SEEN, SIX
from odp_trio.conformance.needs import Needs
from odp_trio.conformance.registry import check
from odp_trio.conformance.target import Table, Target

_LOCATIONS = r"__all_virtual_proxy_(schema|partition)"
_FORMS = {
    "hash": ("id int primary key, v int", SIX, [str(key) for key in range(6)]),
    "key": ("id varchar(20) primary key, v int", "partition by key(id) partitions 3", ["'a'", "'bc'", "'d e'", "'ü'"]),
    "range": (
        "id int primary key, v int",
        "partition by range(id) (partition a values less than (10), partition b values less than (20), "
        "partition c values less than maxvalue)",
        ["-5", "9", "10", "19", "20", "1000000"],
    ),
    "list": (
        "id int primary key, v int",
        "partition by list(id) (partition a values in (1, 2), partition b values in (3), partition c values in (4, 5))",
        ["1", "2", "3", "4", "5"],
    ),
    "columns": (
        "id datetime primary key, v int",
        "partition by range columns(id) (partition a values less than ('2025-01-01'), "
        "partition b values less than ('2026-01-01'), partition c values less than maxvalue)",
        ["'2024-12-31 23:59:59'", "'2025-01-01'", "'2026-06-01 10:00:00'"],
    ),
}


async def _stored(target: Target, table: Table, key: str) -> int:
    """Return the number of the partition in which a row is, as the servers have it, asked round the proxy."""
    if target.parts.stored is not None:
        return await target.parts.stored(table.database, table.name, key)
    session = await target.connect_server()
    names = await session.query(
        "select partition_name from information_schema.partitions "
        f"where table_schema = '{table.database}' and table_name = '{table.name}' order by partition_ordinal_position"
    )
    for number, (name,) in enumerate(names):
        if await session.query(f"select 1 from {table} partition({name}) where id = {key}"):
            return number
    raise AssertionError(f"no partition of {table} has {key}")


async def _hits(target: Target, form: str) -> None:
    columns, partitioned, keys = _FORMS[form]
    table = await target.table(columns, partitioned)
    session = await target.connect()
    for key in keys:
        server = await session.where(f"insert into {table} values({key}, 0)")
        leader = table.leaders[await _stored(target, table, key)]
        assert server == leader, f"{key} is in a partition that server {leader} leads, and was written on {server}"
        assert await session.where(f"select v from {table} where id = {key}") == leader


_HIT = PARTED | Needs.SERVERS
_EVERY = _HIT | Needs.EVERY_PARTITIONING


@check("partitions.hit.hash", "partitions", proves=("RT-31", "RT-41"), needs=_HIT)
async def hash_partitions(target: Target) -> None:
    """A row is written and read on the leader of its hash partition."""
    await _hits(target, "hash")


@check("partitions.hit.key", "partitions", proves=("RT-31", "RT-41"), needs=_EVERY)
async def key_partitions(target: Target) -> None:
    """A row is written and read on the leader of its partition by key."""
    await _hits(target, "key")


@check("partitions.hit.range", "partitions", proves=("RT-31", "RT-41"), needs=_HIT)
async def range_partitions(target: Target) -> None:
    """A row is written and read on the leader of its range partition, bounds included."""
    await _hits(target, "range")


@check("partitions.hit.list", "partitions", proves=("RT-31", "RT-41"), needs=_EVERY)
async def list_partitions(target: Target) -> None:
    """A row is written and read on the leader of its list partition."""
    await _hits(target, "list")


@check("partitions.hit.range-columns", "partitions", proves=("RT-31", "RT-41"), needs=_EVERY)
async def range_columns_partitions(target: Target) -> None:
    """A row is written and read on the leader of its partition by range of a date."""
    await _hits(target, "columns")


@check("partitions.hit.bound", "partitions", proves=("RT-31", "RT-41"), needs=PARTED | Needs.MOVES)
async def bound_keys(target: Target) -> None:
    """A prepared statement runs on the leader of the partition that its parameter names, each time anew."""
    table = await target.table(partitioned=SIX, rows=",".join(f"({key}, {key * 11})" for key in range(6)))
    session = await target.connect()
    statement = await session.prepare(f"select v from {table} where id = ?")
    target.bed.forget_statements()
    for key in range(6):
        assert await session.execute(statement, [key]) == [(key * 11,)]
    executed = [one.observer for one in target.bed.statements(f"select v from {table}") if "EXECUTE" in one.command]
    assert executed == table.leaders


@check("partitions.all-of-them", "partitions", proves=("RT-41",), needs=Needs.PROXY | Needs.PARTITIONS)
async def all_partitions(target: Target) -> None:
    """A statement that names no partition sees the rows of all of them."""
    table = await target.table(partitioned=SIX, rows=",".join(f"({key}, {key})" for key in range(12)))
    session = await target.connect()
    assert await session.query(f"select count(*), sum(v) from {table}") == [("12", "66")]
    await session.query(f"update {table} set v = 1")
    assert await session.value(f"select sum(v) from {table}") == "12"


def _fetches(target: Target, table: Table) -> int:
    return len([one for one in target.metadata(_LOCATIONS) if f"'{table.name}'" in one.sql])


@check("partitions.location.kept", "partitions", proves=("RT-41", "RT-42"), needs=SEEN | Needs.METADATA | Needs.MOVES)
async def locations_are_kept(target: Target) -> None:
    """The location of a table is asked for at its first statement, and then taken from memory, by other sessions too."""
    table = await target.table()
    target.bed.forget_statements()
    first = await target.connect()
    await first.query(f"insert into {table} values(1, 1)")
    asked = _fetches(target, table)
    assert asked == 1, f"the location was asked for {asked} times"
    for session in (first, await target.connect()):
        for key in range(2, 6):
            await session.query(f"select v from {table} where id = {key}")
    assert _fetches(target, table) == asked


@check(
    "partitions.location.triggered", "partitions", proves=("RT-43", "RT-46"), needs=SEEN | Needs.METADATA | Needs.MOVES
)
async def locations_are_renewed_by_a_trigger(target: Target) -> None:
    """A location is not asked for again by and by, but when an answer says that it is wrong."""
    table = await target.table(rows="(1, 1)")
    await target.lead(table, [0])
    session = await target.connect()
    await session.query(f"select v from {table} where id = 1")
    asked = _fetches(target, table)
    await target.sleep(0.5)
    await session.query(f"select v from {table} where id = 1")
    assert _fetches(target, table) == asked
    target.bed.miss(f"update {table} ", times=1)
    await session.query(f"update {table} set v = 2 where id = 1")
    await session.query(f"select v from {table} where id = 1")
    await target.until(lambda: _fetches(target, table) > asked, "the location is asked for again")


@check(
    "partitions.feedback.leader-moved",
    "partitions",
    proves=("RT-43", "RT-44", "RT-45", "RT-46"),
    needs=SEEN | Needs.MOVES | Needs.FAULTS,
)
async def feedback_of_a_moved_leader(target: Target) -> None:
    """When a leader has moved, a session sends at most one statement to the old one, whose answer tells the proxy."""
    table = await target.table(rows="(1, 1)")
    await target.lead(table, [0])
    sql = f"update {table} set v = v + 1 where id = 1"
    sessions = [await target.connect() for _ in range(3)]
    for session in sessions:
        assert await session.where(sql) == 0
    await target.lead(table, [1])
    target.bed.miss(f"update {table} ", times=-1, number=0)
    for session in sessions:
        servers = [await session.where(sql) for _ in range(5)]
        assert servers.count(0) <= 1, f"the old leader got {servers.count(0)} statements of one session: {servers}"
        assert servers[-3:] == [1, 1, 1]
    assert await sessions[0].value(f"select v from {table} where id = 1") == str(1 + 3 + 15)


@check("partitions.feedback.none", "partitions", proves=("RT-45",), needs=PARTED | Needs.METADATA | Needs.MOVES)
async def hits_renew_nothing(target: Target) -> None:
    """Answers that report no miss make the proxy ask for no location."""
    table = await target.table(partitioned=SIX, rows=",".join(f"({key}, 0)" for key in range(6)))
    session = await target.connect()
    for key in range(6):
        await session.query(f"select v from {table} where id = {key}")
    asked = _fetches(target, table)
    for key in range(30):
        await session.query(f"update {table} set v = v + 1 where id = {key % 6}")
    assert _fetches(target, table) == asked


@check("partitions.made-anew", "partitions", proves=("RT-43",), needs=PARTED | Needs.MOVES)
async def a_table_made_anew(target: Target) -> None:
    """A table that was dropped and made with partitions is routed by them."""
    table = await target.table(rows="(1, 1)")
    session = await target.connect()
    await session.query(f"select v from {table} where id = 1")
    await session.query(f"drop table {table}")
    await session.query(f"create table {table}(id int primary key, v int) {SIX}")
    await target.lead(table, [0, 1, 2, 0, 1, 2])
    for key in range(6):
        assert await session.where(f"insert into {table} values({key}, 0)") == key % 3
