"""Prepared statements, of the text and the binary protocol: they work on whatever server they come to."""

from __future__ import annotations

from odp_trio.conformance import expect
from odp_trio.conformance.needs import Needs
from odp_trio.conformance.raw import empty_table, form, on, proxied
from odp_trio.conformance.registry import check
from odp_trio.conformance.target import Target
from odp_trio.testing.answers import Answer, Cells, Prepared, binary_row
from odp_trio.testing.raw_client import READ_ONLY_CURSOR, Parameter, RawClient
from odp_trio.wire.command import Com

MOVES = Needs.SEVERAL
SQL = Needs.SEVERAL | Needs.SQL
_UNKNOWN = (1243, 1210)
_NO_ENTRY = 4201
"""What OceanBase itself says of a statement id that it does not know."""
_THREE = (0, 1, 2)


async def _prepared(client: RawClient, sql: str) -> Prepared:
    prepared = await client.prepare(sql)
    expect.that(prepared.id, f"prepare {sql}", "a statement id", prepared.answer.said())
    return prepared


async def _prepared_on(target: Target, client: RawClient, number: int, sql: str) -> Prepared:
    """Prepare a statement on a certain server: within a transaction that has begun there."""
    await expect.ok(client, "begin", on(target, number, "select 'here'"))
    prepared = await _prepared(client, sql)
    await expect.ok(client, "rollback")
    return prepared


async def _gives(client: RawClient, statement: int, values: tuple[Parameter, ...], expected: list[Cells]) -> Answer:
    answer = await client.execute(statement, values)
    asked = f"execute {statement} with {values!r}"
    expect.that(not answer.errno and answer.rows == expected, asked, f"rows {expected!r}", answer.said())
    return answer


# ---- PREPARE ... FROM ---------------------------------------------------------------


@check("prepared.text.execute", "prepared", needs=MOVES | Needs.SQL)
async def text_execute(target: Target) -> None:
    """A statement of PREPARE ... FROM can be executed on every server, with variables of the session."""
    async with proxied(target) as client:
        await expect.ok(client, on(target, 0, "prepare p from 'select ? as q'"), on(target, 0, "set @a = 7"))
        for number in _THREE:
            await expect.value(client, on(target, number, "execute p using @a"), "7")
        await expect.ok(client, on(target, 2, "set @a = 8"))
        await expect.value(client, on(target, 1, "execute p using @a"), "8")


@check("prepared.text.replaced", "prepared", needs=MOVES | Needs.SQL)
async def text_replaced(target: Target) -> None:
    """A name that is prepared anew stands for the new text on every server."""
    async with proxied(target) as client:
        await expect.ok(client, on(target, 0, "prepare p from 'select 1'"), on(target, 1, "execute p"))
        await expect.ok(client, on(target, 2, "prepare p from 'select 2'"))
        for number in _THREE:
            await expect.value(client, on(target, number, "execute p"), "2")


@check("prepared.text.deallocated", "prepared", needs=MOVES | Needs.SQL)
async def text_deallocated(target: Target) -> None:
    """A name that was deallocated is unknown on every server."""
    async with proxied(target) as client:
        await expect.ok(client, on(target, 0, "prepare p from 'select 1'"), on(target, 1, "execute p"))
        await expect.ok(client, on(target, 2, "deallocate prepare p"))
        for number in _THREE:
            await expect.error(client, on(target, number, "execute p"), *_UNKNOWN)


@check("prepared.text.unknown", "prepared", needs=Needs.SQL)
async def text_unknown(target: Target) -> None:
    """A name that nobody prepared is refused with 1243, and so is one of another client."""
    async with proxied(target) as client, proxied(target) as other:
        await expect.ok(other, "prepare others from 'select 1'")
        await expect.error(client, "execute others", *_UNKNOWN)
        await expect.error(client, "deallocate prepare no_such", *_UNKNOWN)


@check("prepared.text.from-variable", "prepared", needs=SQL)
async def text_from_variable(target: Target) -> None:
    """PREPARE ... FROM @variable prepares the text that the variable had then."""
    async with proxied(target) as client:
        await expect.ok(client, on(target, 0, "set @text = 'select 41 + 1'"), on(target, 1, "prepare p from @text"))
        await expect.ok(client, on(target, 1, "set @text = 'select 2'"))
        for number in _THREE:
            await expect.value(client, on(target, number, "execute p"), "42")


@check("prepared.text.refused", "prepared", needs=SQL)
async def text_refused(target: Target) -> None:
    """PREPARE ... FROM with a text that is no statement fails, and the name is unknown."""
    async with proxied(target) as client:
        await expect.error(client, "prepare p from 'selec 1'", 1064)
        await expect.error(client, "execute p", *_UNKNOWN)


@check("prepared.text.state", "prepared", needs=SQL)
async def text_state(target: Target) -> None:
    """What a prepared statement sets follows as if it had been said in text."""
    async with proxied(target) as client:
        await expect.ok(client, on(target, 0, "prepare p from 'set @kept = 5'"), on(target, 1, "execute p"))
        for number in _THREE:
            await expect.value(client, on(target, number, "select @kept"), "5")


@check("prepared.text.many", "prepared", needs=SQL)
async def text_many(target: Target) -> None:
    """Twenty names at once keep apart on changing servers."""
    async with proxied(target) as client:
        for number in range(20):
            await expect.ok(client, on(target, number, f"prepare p{number} from 'select {number}'"))
        for number in range(20):
            await expect.value(client, on(target, number + 1, f"execute p{number}"), str(number))


# ---- the binary protocol ------------------------------------------------------------


@check("prepared.binary.values", "prepared", needs=Needs.SQL)
async def binary_values(target: Target) -> None:
    """Parameters of every type come back as they were sent."""
    values: tuple[Parameter, ...] = (1, -5, 2**62, 2.5, "text", "", "🦆", None)
    async with proxied(target) as client:
        prepared = await _prepared(client, "select " + ", ".join("?" for _ in values))
        expect.that(prepared.parameters == len(values), "parameters of it", f"{len(values)}", prepared.parameters)
        await _gives(client, prepared.id, values, [values])  # type: ignore[list-item]


@check("prepared.binary.moves", "prepared", needs=MOVES | Needs.SQL)
async def binary_moves(target: Target) -> None:
    """A statement that was prepared on one server is executed on the others, with changing values."""
    async with proxied(target) as client:
        statements = [await _prepared_on(target, client, number, "select ? + 1") for number in _THREE]
        for round_ in _THREE:
            await expect.ok(client, "begin", on(target, round_, "select 'here'"))  # all that follows runs there
            for statement in statements:
                answer = await client.execute(statement.id, (round_,))
                seen = str(answer.rows[0][0]) if answer.rows else ""
                expect.that(float(seen or -1) == round_ + 1, "select ? + 1", f"{round_ + 1}", answer.said())
            await expect.ok(client, "rollback")


@check("prepared.binary.ids", "prepared", needs=MOVES)
async def binary_ids(target: Target) -> None:
    """Statements of one client have ids of their own, whichever servers gave them."""
    async with proxied(target) as client:
        ids = [(await _prepared_on(target, client, number, f"select {number}")).id for number in range(6)]
        expect.that(len(set(ids)) == 6, "ids of six statements", "six different ones", ids)
        for number, statement in enumerate(ids):
            await _gives(client, statement, (), [(number,)])


@check("prepared.binary.interleaved", "prepared", needs=MOVES)
async def binary_interleaved(target: Target) -> None:
    """Two clients whose statements have the same ids at a server never get each other's."""
    async with proxied(target) as one, proxied(target) as other:
        first = await _prepared_on(target, one, 0, "select 'one'")
        second = await _prepared_on(target, other, 0, "select 'other'")
        for _ in range(3):
            await _gives(one, first.id, (), [("one",)])
            await _gives(other, second.id, (), [("other",)])


@check("prepared.binary.types-once", "prepared", needs=Needs.SQL)
async def binary_types_once(target: Target) -> None:
    """Types that were bound by an earlier execution hold for one that sends none."""
    async with proxied(target) as client:
        prepared = await _prepared(client, "select ?, ?")
        await _gives(client, prepared.id, (5, "a"), [(5, "a")])
        answer = await client.execute(prepared.id, (6, "b"), send_types=False)
        expect.that(answer.rows == [(6, "b")], "execute without types", "[(6, 'b')]", answer.said())


@check("prepared.binary.closed", "prepared")
async def binary_closed(target: Target) -> None:
    """A statement that was closed is unknown, and its closing has no answer."""
    async with proxied(target) as client:
        prepared = await _prepared(client, "select 1")
        await client.close_statement(prepared.id)
        await expect.alive(client, "COM_STMT_CLOSE")
        await _is_unknown(client, prepared.id)


@check("prepared.binary.unknown", "prepared")
async def binary_unknown(target: Target) -> None:
    """A statement id that nobody gave is refused."""
    async with proxied(target) as client:
        await _is_unknown(client, 77_777)


async def _is_unknown(client: RawClient, statement: int) -> None:
    """An execution must fail; ODP closes the connection behind the error, a server does not."""
    expect.failed(await client.execute(statement), f"execute statement {statement}", (*_UNKNOWN, _NO_ENTRY))


@check("prepared.binary.refused", "prepared", needs=Needs.SQL)
async def binary_refused(target: Target) -> None:
    """What is no statement is refused when it is prepared, and the client goes on."""
    async with proxied(target) as client:
        for sql, errno in (("selec ?", 1064), ("select * from no_such_table", 1146), ("select no_such_column", 1054)):
            expect.failed((await client.prepare(sql)).answer, f"prepare {sql}", (errno,))
        await expect.alive(client, "three refused PREPAREs")


@check("prepared.binary.changes", "prepared", needs=SQL)
async def binary_changes(target: Target) -> None:
    """INSERT and UPDATE with parameters change what they say, and tell how many rows."""
    name = await empty_table(target)
    async with proxied(target) as client:
        insert = await _prepared(client, f"insert into {name} (id, v) values (?, ?)")
        for number in range(5):
            answer = expect.good(await client.execute(insert.id, (number + 1, f"v{number}")), "insert")
            expect.that(answer.result.affected == 1, "insert of one row", "1 row changed", answer.said())
        update = await _prepared_on(target, client, 1, f"update {name} set v = ? where id > ?")
        answer = expect.good(await client.execute(update.id, ("x", 2)), "update")
        expect.that(answer.result.affected == 3, "update of three rows", "3 rows changed", answer.said())
        await expect.value(client, on(target, 2, f"select group_concat(v order by id) from {name}"), "v0,v1,x,x,x")


@check("prepared.binary.duplicate", "prepared", needs=Needs.SQL)
async def binary_duplicate(target: Target) -> None:
    """An execution that fails tells the error, and the statement can be executed again."""
    name = await empty_table(target)
    async with proxied(target) as client:
        insert = await _prepared(client, f"insert into {name} (id, v) values (?, 'a')")
        expect.good(await client.execute(insert.id, (1,)), "insert 1")
        expect.failed(await client.execute(insert.id, (1,)), "insert 1 again", (1062,))
        expect.good(await client.execute(insert.id, (2,)), "insert 2")


@check("prepared.binary.transaction", "prepared", needs=SQL)
async def binary_transaction(target: Target) -> None:
    """Statements that were prepared before a transaction, on other servers, work in it and belong to it."""
    name = await empty_table(target)
    async with proxied(target) as client:
        inserts = [
            await _prepared_on(target, client, number, f"insert into {name} (id, v) values (?, 'a')")
            for number in _THREE
        ]
        await expect.ok(client, "begin")
        for number, insert in enumerate(inserts):
            answer = await client.execute(insert.id, (number + 1,))
            expect.transaction(answer, "insert in a transaction", open=True)
        await expect.value(client, f"select count(*) from {name}", "3")
        await expect.ok(client, "rollback")
        await expect.value(client, f"select count(*) from {name}", "0")


@check("prepared.binary.long-data", "prepared", needs=Needs.SQL)
async def binary_long_data(target: Target) -> None:
    """A value that was sent in pieces arrives whole, and COM_STMT_RESET forgets it."""
    async with proxied(target) as client:
        prepared = await _prepared(client, "select length(?)")
        for piece in (b"x" * 70_000, b"y" * 5):
            await client.long_data(prepared.id, 0, piece)
        answer = await client.execute(prepared.id, ("",), long_data=(0,))
        expect.that(answer.rows == [(70_005,)], "length of 70,005 bytes in two pieces", "70005", answer.said())
        await client.long_data(prepared.id, 0, b"forgotten")
        expect.good(await client.reset(prepared.id), "COM_STMT_RESET")
        await _gives(client, prepared.id, ("abc",), [(3,)])


@check("prepared.binary.cursor", "prepared", needs=SQL)
async def binary_cursor(target: Target) -> None:
    """A cursor gives its rows though other statements run on other servers meanwhile."""
    async with proxied(target) as client:
        union = " union all ".join(f"select {number} as n" for number in range(7))
        prepared = await _prepared_on(target, client, 0, f"select n from ({union}) q order by n")
        answer = expect.good(await client.execute(prepared.id, cursor=READ_ONLY_CURSOR), "open a cursor")
        columns, seen = answer.result.columns, list(answer.rows)
        for number in range(9):
            if not answer.cursor_is_open:
                break
            await expect.ok(client, on(target, 1 + number, "select 'between'"))
            answer = expect.good(await client.fetch(prepared.id, 3), "COM_STMT_FETCH")
            seen += [binary_row(row, columns) for row in answer.payloads if row[:1] == b"\0"]
        expected: list[Cells] = [(number,) for number in range(7)]
        expect.that(seen == expected, "fetch seven rows, three at a time", f"{expected}", seen)


@check("prepared.binary.after-ddl", "prepared", needs=SQL)
async def binary_after_ddl(target: Target) -> None:
    """A statement on a table that is gone fails with 1146, and the client goes on."""
    async with proxied(target) as client:
        await expect.ok(client, "create table kept_gone (a int)")
        prepared = await _prepared(client, "select a from kept_gone")
        await _gives(client, prepared.id, (), [])
        await expect.ok(client, "drop table kept_gone")
        expect.failed(await client.execute(prepared.id), "select from a table that is gone", (1146,))
        await expect.alive(client, "an execution that failed")


@check("prepared.binary.many", "prepared", needs=MOVES)
async def binary_many(target: Target) -> None:
    """Forty statements at once on changing servers each give their own answer."""
    async with proxied(target) as client:
        found = [await _prepared_on(target, client, number, f"select {number}") for number in range(40)]
        for number, prepared in reversed(list(enumerate(found))):
            await _gives(client, prepared.id, (), [(number,)])


@check("prepared.binary.state", "prepared", needs=SQL)
async def binary_state(target: Target) -> None:
    """What an execution sets follows, and executions see what was set in text elsewhere."""
    async with proxied(target) as client:
        setting = await _prepared_on(target, client, 0, "set @kept = ?")
        expect.good(await client.execute(setting.id, (6,)), "set @kept = ?")
        for number in _THREE:
            await expect.value(client, on(target, number, "select @kept"), "6")
        reading = await _prepared_on(target, client, 1, "select concat(@kept, '')")
        await expect.ok(client, on(target, 2, "set @kept = 'seven'"))
        await _gives(client, reading.id, (), [("seven",)])


@check("prepared.binary.reset-connection", "prepared", needs=Needs.SQL)
async def binary_reset_connection(target: Target) -> None:
    """COM_RESET_CONNECTION forgets the statements of the session, of either kind."""
    async with proxied(target) as client:
        prepared = await _prepared(client, "select 1")
        await expect.ok(client, "prepare p from 'select 1'")
        expect.good(await client.command(bytes((Com.RESET_CONNECTION,))), "COM_RESET_CONNECTION")
        await expect.error(client, "execute p", *_UNKNOWN)
        await _is_unknown(client, prepared.id)


@check("prepared.binary.change-user", "prepared", needs=Needs.SQL)
async def binary_change_user(target: Target) -> None:
    """COM_CHANGE_USER forgets the statements of the session."""
    async with proxied(target) as client:
        prepared = await _prepared(client, "select 1")
        expect.good(await client.change_user(form(target)), "COM_CHANGE_USER")
        await _is_unknown(client, prepared.id)
