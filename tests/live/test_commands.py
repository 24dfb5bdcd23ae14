"""Every command but COM_QUERY, straight to the server and through a proxy: every packet is to be the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from odp_trio.wire.command import Com
from odp_trio.wire.fields import Capability
from tests.live.corpus import DATABASE, differences, fresh_database
from tests.live.test_corpus import Sides
from tests.live.test_corpus import sides as sides  # a fixture
from tests.raw_client import PLAIN, READ_ONLY_CURSOR, TRACKING, Answer, RawClient

pytestmark = [pytest.mark.live, pytest.mark.slow]
Script = Callable[[RawClient], Iterator[Answer]]

TABLE = "create table bound (id int primary key, i bigint, d double, s varchar(100), b longblob, n decimal(12, 3), t datetime(6))"
INSERT = "insert into bound values (?, ?, ?, ?, ?, ?, ?)"
ROWS = [
    (1, 10, 1.5, "text", b"\0\xff", "12.345", "2020-02-03 04:05:06.789"),
    (2, None, None, None, None, None, None),
    (3, -(2**63), -0.0, "", b"", "-1", "1000-01-01"),
    (4, 2**63 - 1, 1e300, "🦆 naïve", bytes(range(256)) * 40, "0.001", "9999-12-31 23:59:59.999999"),
]


def parameters(client: RawClient) -> Iterator[Answer]:
    """Values of all kinds, bound with and without their types."""
    yield client.query(TABLE)
    insert = client.prepare(INSERT)
    yield insert.answer
    for row in ROWS:
        yield client.execute(insert.id, row)
    yield client.execute(insert.id, (5, 50, 0.5, "five", b"5", "5", "2005-05-05"), send_types=False)
    yield client.execute(insert.id, ROWS[0])  # a duplicate key
    yield client.execute(insert.id, ("no number", *ROWS[0][1:]))
    select = client.prepare("select * from bound where id >= ? and (s <> ? or ? is null) order by id")
    yield select.answer
    yield client.execute(select.id, (0, "five", None))
    yield client.execute(select.id, (4, "nothing", 1))
    yield client.execute(select.id, (4, "five", 1), send_types=False)
    yield client.execute(select.id, (99, "nothing", 1))
    update = client.prepare("update bound set s = concat(s, ?) where id < ?")
    yield update.answer
    yield client.execute(update.id, ("!", 3))
    yield client.query("select * from bound order by id")


def long_data(client: RawClient) -> Iterator[Answer]:
    """COM_STMT_SEND_LONG_DATA in pieces, reset, and sent again."""
    yield client.query(TABLE)
    insert = client.prepare("insert into bound (id, b) values (?, ?)")
    yield insert.answer
    for piece in (b"first ", b"", b"x" * 300_000, b" last"):
        client.long_data(insert.id, 1, piece)
    yield client.execute(insert.id, (1, b""), long_data=(1,))
    client.long_data(insert.id, 1, b"forgotten")
    yield client.reset(insert.id)
    yield client.execute(insert.id, (2, b"short"))
    client.long_data(insert.id, 1, b"y" * 5_000_000)
    yield client.execute(insert.id, (3, b""), long_data=(1,))
    yield client.query("select id, length(b), md5(b) from bound order by id")


def cursors(client: RawClient) -> Iterator[Answer]:
    """Several cursors at once, read in parts, opened again, read past the end."""
    yield client.query("create table counted (id int primary key, v varchar(40))")
    yield client.query(
        "insert into counted with recursive n (i) as (select 1 union all select i + 1 from n where i < 500)"
        " select i, concat('row ', i) from n"
    )
    one, two = (
        client.prepare("select * from counted order by id"),
        client.prepare("select v from counted where id <= ?"),
    )
    yield one.answer
    yield two.answer
    yield client.execute(one.id, cursor=READ_ONLY_CURSOR)
    yield client.execute(two.id, (3,), cursor=READ_ONLY_CURSOR)
    for statement, rows in ((one, 1), (two, 2), (one, 100), (two, 1), (one, 398), (one, 50), (one, 1), (two, 5)):
        yield client.fetch(statement.id, rows)
    yield client.execute(one.id, cursor=READ_ONLY_CURSOR)
    yield client.fetch(one.id, 3)
    yield client.query("select 'in between'")
    yield client.fetch(one.id, 3)
    yield client.reset(one.id)
    yield client.fetch(one.id, 3)
    yield client.execute(one.id)
    client.close_statement(two.id)
    yield client.execute(two.id, (1,))
    yield client.fetch(two.id, 1)


def unknown_statements(client: RawClient) -> Iterator[Answer]:
    """Statements that were never prepared, or are closed."""
    yield client.execute(77)
    yield client.fetch(77, 1)
    yield client.reset(77)
    client.close_statement(77)
    client.long_data(77, 0, b"lost")
    for sql in (
        "selec 1",
        "select * from nothing",
        "",
        "select 1; select 2",
        "select ?",
        "set @a = ?",
        "call nothing(?)",
    ):
        prepared = client.prepare(sql)
        yield prepared.answer
        if prepared.id:
            client.close_statement(prepared.id)
    yield client.query("select 'after'")


def many_statements(client: RawClient) -> Iterator[Answer]:
    """Fifty statements prepared at once, used in another order."""
    statements = [client.prepare(f"select {number}, ?") for number in range(50)]
    yield from (each.answer for each in statements)
    for at, each in enumerate(statements[::-1]):
        yield client.execute(each.id, (at,))
    for each in statements[::2]:
        client.close_statement(each.id)
    yield client.execute(statements[1].id, ("still there",))
    yield client.execute(statements[2].id, ("gone",))


def small_commands(client: RawClient) -> Iterator[Answer]:
    """The commands that are one packet."""
    yield client.query("create table listed (id int primary key, name varchar(20) default 'x', big decimal(20, 5))")
    for payload in (
        b"\x0e",  # COM_PING
        b"\x02" + DATABASE.encode(),  # COM_INIT_DB
        b"\x02no_such_database",
        b"\x04listed\0%",  # COM_FIELD_LIST
        b"\x04listed\0n%",
        b"\x04nothing\0",
        b"\x09",  # COM_STATISTICS
        b"\x0d",  # COM_DEBUG
        b"\x1b\0\0",  # COM_SET_OPTION
        b"\x1b\1\0",
        b"\x07\x01",  # COM_REFRESH
        b"\x03",  # an empty COM_QUERY
        b"\x03 ",
        b"\x03;",
        b"\x03\xff\xfe\x00",
        b"\x16",
    ):
        yield client.command(payload)
    yield client.query("set @a = 1, autocommit = 0")
    yield client.command(bytes((Com.RESET_CONNECTION,)))
    yield client.query("select @a, @@autocommit, database()")


def statements_of_a_procedure(client: RawClient) -> Iterator[Answer]:
    """CALL by the binary protocol: results, then OUT parameters."""
    yield client.query(
        "create procedure doubled(in a int, out b int) begin select a; set b = a * 2; select 'two', b; end"
    )
    call = client.prepare("call doubled(?, @b)")
    yield call.answer
    if call.id:
        yield client.execute(call.id, (21,))
    yield client.query("select @b")
    out = client.prepare("call doubled(?, ?)")
    yield out.answer
    if out.id:
        yield client.execute(out.id, (4, None))
    yield client.query("select 'after'")


SCRIPTS = [
    parameters,
    long_data,
    cursors,
    unknown_statements,
    many_statements,
    small_commands,
    statements_of_a_procedure,
]


def answers(sides: Sides, script: Script, capabilities: int, *, through: bool) -> list[Answer]:
    fresh_database(sides.direct)
    address = sides.proxied if through else sides.direct
    with RawClient(address, sides.user, database=DATABASE, capabilities=capabilities) as client:
        return [*script(client), client.command(bytes((Com.PING,)))]


@pytest.mark.parametrize("capabilities", [PLAIN, TRACKING, PLAIN | Capability.FOUND_ROWS], ids=str)
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_every_answer_to_a_command_is_the_same(sides: Sides, script: Script, capabilities: int) -> None:
    one, other = (answers(sides, script, capabilities, through=through) for through in (False, True))

    assert len(one) == len(other)
    found = [
        line
        for number, (direct, proxied) in enumerate(zip(one, other, strict=True))
        for line in differences(b"answer %d" % number, direct, proxied)
    ]
    assert not found, "\n".join(found)
    print(f"{script.__name__}: {len(one)} answers compared")  # noqa: T201


def test_quit_closes_the_connection_without_a_word(sides: Sides) -> None:
    for address in (sides.direct, sides.proxied):
        with RawClient(address, sides.user) as client:
            assert client.quit() == b""
