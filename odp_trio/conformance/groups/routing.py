"""Where statements run: leaders, transactions, what is read from a statement."""

from __future__ import annotations

from odp_trio.conformance.needs import Needs
from odp_trio.conformance.registry import check
from odp_trio.conformance.target import Target

SEEN = Needs.PROXY | Needs.WHERE | Needs.LEADERS | Needs.SEVERAL
PARTED = SEEN | Needs.PARTITIONS
SIX = "partition by hash(id) partitions 6"


@check("routing.strong.leader", "routing", proves=("RT-31", "RT-37"), needs=PARTED)
async def strong_reads_and_writes(target: Target) -> None:
    """Writes and strong reads of a partition run on the server that leads it."""
    table = await target.table(partitioned=SIX)
    session = await target.connect()
    for key, leader in enumerate(table.leaders):
        assert await session.where(f"insert into {table} values({key}, {key})") == leader
        assert await session.where(f"update {table} set v = v + 1 where id = {key}") == leader
        assert await session.where(f"select v from {table} where id = {key}") == leader
        assert await session.where(f"select v from {table} where id = {key} for update") == leader
        assert await session.where(f"delete from {table} where id = {key}") == leader


@check("routing.session.many-servers", "routing", proves=("RT-1", "RT-31"), needs=PARTED)
async def one_session_many_servers(target: Target) -> None:
    """One session of a client reaches every server that leads a partition it works on."""
    table = await target.table(partitioned=SIX)
    session = await target.connect()
    reached = {await session.where(f"insert into {table} values({key}, 0)") for key in range(6)}
    assert reached == set(table.leaders)
    assert await session.value(f"select count(*) from {table}") == "6"


@check("routing.session.state-follows", "routing", proves=("RT-31",), needs=PARTED)
async def state_follows(target: Target) -> None:
    """Database, variables and character set of a session are the same on each server that it reaches."""
    rows = ",".join(f"({key}, 0)" for key in range(6))
    table = await target.table(partitioned=SIX, rows=rows)
    session = await target.connect()
    await session.query("set @word = 'it''s', @number = 42")
    await session.query("set ob_query_timeout = 7654321")
    asked = "select @word, @number, @@ob_query_timeout, database()"
    for key in range(6):
        assert await session.query(f"{asked} from {table} where id = {key}") == [
            ("it's", "42", "7654321", target.database)
        ]


@check("routing.transaction.stays", "routing", proves=("RT-33",), needs=PARTED)
async def transactions_stay(target: Target) -> None:
    """The statements of a transaction run on the server where its first one ran, whatever they touch."""
    table = await target.table(partitioned=SIX)
    session = await target.connect()
    await session.query("begin")
    servers = [await session.where(f"insert into {table} values({key}, 0)") for key in range(6)]
    await session.query("commit")
    assert servers == [table.leaders[0]] * 6


@check("routing.no-table.spread", "routing", proves=("RT-37",), needs=SEEN)
async def without_a_table(target: Target) -> None:
    """Sessions whose statements name no table are spread over the servers."""
    servers = set()
    for _ in range(30):
        session = await target.connect()
        servers.add(await session.where("select 1"))
        await session.quit()
        if len(servers) > 1:
            break
    assert len(servers) > 1, f"30 sessions all went to server {servers}"


@check("routing.parse.names", "routing", proves=("RT-35", "RT-41"), needs=PARTED)
async def names_are_found(target: Target) -> None:
    """Table and key are found in quoted, qualified, aliased and commented forms of a statement."""
    table = await target.table(partitioned=SIX, rows=",".join(f"({key}, 0)" for key in range(6)))
    session = await target.connect()
    elsewhere = await target.connect(database="")
    quoted = f"`{table.database}`.`{table.name}`"
    for key, leader in enumerate(table.leaders):
        assert await session.where(f"select v from {table.name} where id = {key}") == leader
        assert await session.where(f"select /* from other */ t.v from {quoted} as t where t.id = {key}") == leader
        assert await session.where(f"SELECT v\n FROM {quoted} -- where id = 99\n WHERE {key} = `id`") == leader
        assert await elsewhere.where(f"update {quoted} set v = 1 where `{table.name}`.id = {key} and v >= 0") == leader


@check("routing.parse.complex", "routing", proves=("RT-35",), needs=PARTED | Needs.SQL)
async def complex_expressions(target: Target) -> None:
    """Expressions beyond table and key do not keep a statement from the server of its partition."""
    table = await target.table(partitioned=SIX, rows=",".join(f"({key}, {key})" for key in range(6)))
    session = await target.connect()
    for key, leader in enumerate(table.leaders):
        sql = (
            f"select case when v between 0 and 9 then concat('from nowhere where id = ', v) else null end from {table} "
            f"where (v * 2 + abs(-1)) > -5 and id = {key} and v in (0,1,2,3,4,5) order by v desc limit 1"
        )
        assert await session.where(sql) == leader


@check("routing.parse.servers-judge", "routing", proves=("RT-35",), needs=Needs.PROXY | Needs.SQL)
async def servers_judge(target: Target) -> None:
    """What the parser does not understand is sent on, and the client gets the server's own word on it."""
    session = await target.connect()
    for sql in ("selec 1", "select * from", "))))", "select 'never ends", "frobnicate table t"):
        assert (await session.refused(sql)).errno == 1064
    assert (await session.refused("select 1 from not_there")).errno == 1146
    assert await session.value("select 1") == "1"


@check("routing.input.wish-of-user", "routing", proves=("RT-33",), needs=SEEN | Needs.MOVES)
async def a_wish_of_the_user(target: Target) -> None:
    """A server that the user names for a statement takes it, against what its table says; one that is none is refused."""
    table = await target.table(rows="(1, 1)")
    await target.lead(table, [0])
    session = await target.connect()
    assert await session.where(f"select v from {table} where id = 1") == 0
    named = f"/* target_db_server='{target.servers[2]}' */ select v from {table} where id = 1"
    assert await session.where(named) == 2
    nowhere = f"/* target_db_server='127.0.0.9:1' */ select v from {table} where id = 1"
    assert "server" in (await session.refused(nowhere)).message


@check("routing.last-statement.follows", "routing", proves=("RT-33",), needs=PARTED | Needs.SQL)
async def about_the_last_statement(target: Target) -> None:
    """What asks about the last statement runs where that one ran."""
    table = await target.table(partitioned=SIX)
    session = await target.connect()
    for key, leader in enumerate(table.leaders):
        await session.query(f"insert into {table} values({key}, 0)")
        assert await session.where("select row_count()") == leader
