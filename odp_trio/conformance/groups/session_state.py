"""Session state: what a client has set on one server holds on the next, and where it cannot, the session stays."""

from __future__ import annotations

import trio

from odp_trio.conformance import expect
from odp_trio.conformance.needs import Needs
from odp_trio.conformance.raw import empty_table, form, mark, on, proxied
from odp_trio.conformance.registry import check
from odp_trio.conformance.runner import Skip
from odp_trio.conformance.target import Target
from odp_trio.testing.raw_client import RawClient
from odp_trio.wire.command import Com

MOVES = Needs.SEVERAL
SQL = Needs.SEVERAL | Needs.SQL
_EVERYWHERE = (0, 1, 2)
_NOT_SUPPORTED = 1235


async def _everywhere(target: Target, client: RawClient, sql: str, expected: str | None) -> None:
    """Ask each server."""
    for number in _EVERYWHERE:
        await expect.value(client, on(target, number, sql), expected)


@check("session.moves", "session", needs=MOVES | Needs.WHERE | Needs.PROXY)
async def moves(target: Target) -> None:
    """A comment target_db_server sends a statement to that server, so that one session uses several."""
    seen = []
    async with proxied(target) as client:
        for number in (0, 1, 0):
            word = mark()
            await expect.ok(client, on(target, number, f"select '{word}'"))
            assert target.parts.record is not None
            seen += await target.parts.record.servers(word)
    expect.that(seen == [0, 1, 0], "statements for the servers 0, 1 and 0", "[0, 1, 0]", seen)


def _user_variable(name: str, literal: str, read: str, expected: str | None) -> None:
    async def body(target: Target) -> None:
        async with proxied(target) as client:
            await expect.ok(client, on(target, 0, f"set @kept = {literal}"))
            await _everywhere(target, client, f"select {read}", expected)

    body.__doc__ = f"A user variable that was set to {name} on one server has that value on every other."
    slug = name.replace("a ", "").replace("an ", "").replace(" ", "-")
    check(f"session.user-variable.{slug}", "session", needs=SQL)(body)


for _name, _literal, _read, _expected in (
    ("an integer", "12345678901234567", "@kept + 1", "12345678901234568"),
    ("a decimal", "-1.250", "@kept * 2", "-2.500"),
    ("a text with quotes", "'it''s \\\\ \"x\"'", "@kept", 'it\'s \\ "x"'),
    ("a text of four bytes a character", "'🦆é'", "hex(@kept)", "F09FA686C3A9"),
    ("null", "null", "@kept", None),
    ("bytes", "x'00ff27'", "hex(@kept)", "00FF27"),
    ("an empty text", "''", "concat('<', @kept, '>')", "<>"),
    ("a long text", "repeat('v', 6000)", "length(@kept)", "6000"),
):
    _user_variable(_name, _literal, _read, _expected)


@check("session.user-variable.follows", "session", needs=MOVES)
async def user_variable(target: Target) -> None:
    """A user variable that was set on one server has its value on every other, and its last one at that."""
    async with proxied(target) as client:
        await expect.ok(client, on(target, 0, "set @kept = 1"))
        await _everywhere(target, client, "select @kept", "1")
        await expect.ok(client, on(target, 1, "set @kept = 2"))
        await _everywhere(target, client, "select @kept", "2")


@check("session.user-variable.in-select", "session", needs=SQL)
async def assigned_in_select(target: Target) -> None:
    """A user variable that a SELECT assigns follows too, by := as by INTO."""
    async with proxied(target) as client:
        await expect.ok(client, on(target, 0, "select @kept := 41 + 1"))
        await _everywhere(target, client, "select @kept", "42")
        await expect.ok(client, on(target, 1, "select 'into' into @kept"))
        await _everywhere(target, client, "select @kept", "into")


@check("session.user-variable.many", "session", needs=SQL)
async def many_variables(target: Target) -> None:
    """Fifty user variables follow, not only the last."""
    async with proxied(target) as client:
        await expect.ok(client, on(target, 0, "set " + ", ".join(f"@kept{n} = {n}" for n in range(50))))
        total = " + ".join(f"@kept{n}" for n in range(50))
        await _everywhere(target, client, f"select {total}", str(sum(range(50))))


def _system_variable(name: str, value: str, shown: str) -> None:
    async def body(target: Target) -> None:
        async with proxied(target) as client:
            await expect.ok(client, on(target, 0, f"set {name} = {value}"))
            await _everywhere(target, client, f"select @@{name}", shown)

    body.__doc__ = f"The session's {name} that was set on one server holds on every other."
    check(f"session.system-variable.{name.replace('_', '-')}", "session", needs=SQL)(body)


for _name, _literal, _shown in (
    ("time_zone", "'+03:30'", "+03:30"),
    ("group_concat_max_len", "77", "77"),
    ("ob_query_timeout", "21000000", "21000000"),
    ("ob_trx_timeout", "101000000", "101000000"),
    ("transaction_isolation", "'REPEATABLE-READ'", "REPEATABLE-READ"),
    ("auto_increment_increment", "10", "10"),
    ("sql_select_limit", "3", "3"),
    ("foreign_key_checks", "0", "0"),
    ("wait_timeout", "28801", "28801"),
    ("autocommit", "0", "0"),
):
    _system_variable(_name, _literal, _shown)


@check("session.system-variable.sql-mode", "session", needs=SQL | Needs.MODES)
async def sql_mode(target: Target) -> None:
    """The session's sql_mode decides on every server how a statement is read."""
    async with proxied(target) as client:
        await expect.ok(client, on(target, 0, "set sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT'"))
        for number in _EVERYWHERE:
            await expect.value(client, on(target, number, "select 'a' || 'b'"), "ab")
            await expect.error(client, on(target, number, 'select "no_such_column"'), 1054)


@check("session.system-variable.default", "session", needs=SQL)
async def back_to_default(target: Target) -> None:
    """A variable that is set back to its default is back on every server."""
    async with proxied(target) as client:
        before = await expect.read(client, "select @@group_concat_max_len")
        await expect.ok(client, on(target, 0, "set group_concat_max_len = 20"))
        await expect.value(client, on(target, 1, "select @@group_concat_max_len"), "20")
        await expect.ok(client, on(target, 1, "set group_concat_max_len = default"))
        await _everywhere(target, client, "select @@group_concat_max_len", str(before))


@check("session.system-variable.refused", "session", needs=SQL)
async def refused_set(target: Target) -> None:
    """A SET that fails changes nothing on any server."""
    async with proxied(target) as client:
        await expect.ok(client, on(target, 0, "set @kept = 'old'"))
        await expect.error(client, on(target, 1, "set no_such_variable = 1"), 1193)
        await _everywhere(target, client, "select @kept", "old")


@check("session.system-variable.by-procedure", "session", needs=SQL | Needs.PROCEDURES)
async def set_by_procedure(target: Target) -> None:
    """What a procedure sets in the session follows."""
    async with proxied(target) as client:
        await expect.ok(client, "drop procedure if exists kept_p")
        await expect.ok(client, "create procedure kept_p(n bigint) begin set @kept = n; set time_zone = '+07:00'; end")
        await expect.ok(client, on(target, 0, "call kept_p(9)"))
        await _everywhere(target, client, "select concat(@kept, @@time_zone)", "9+07:00")
        await expect.ok(client, "drop procedure kept_p")


@check("session.system-variable.by-multi", "session", needs=SQL)
async def set_by_several(target: Target) -> None:
    """What several statements in one packet set follows."""
    async with proxied(target) as client:
        await expect.ok(client, on(target, 0, "set @kept = 5; set time_zone = '+02:00'; select 1"))
        await _everywhere(target, client, "select concat(@kept, @@time_zone)", "5+02:00")


@check("session.names", "session", needs=SQL | Needs.CHARSETS)
async def names(target: Target) -> None:
    """SET NAMES holds on every server: texts come in that character set."""
    async with proxied(target) as client:
        await expect.ok(client, on(target, 0, "set names latin1"))
        for number in _EVERYWHERE:
            answer = await client.query(on(target, number, "select _utf8mb4 x'C3A9' as x, @@character_set_client"))
            seen = answer.payloads[-2] if not answer.errno else answer.said().encode()
            expect.that(seen == b"\x01\xe9\x06latin1", "é after SET NAMES latin1", "one byte e9, latin1", seen)


@check("session.database.use", "session", needs=MOVES)
async def use(target: Target) -> None:
    """USE holds on every server."""
    async with proxied(target, database=None) as client:
        await _everywhere(target, client, "select database()", None)
        await expect.ok(client, on(target, 0, f"use {target.database}"))
        await _everywhere(target, client, "select database()", target.database)


@check("session.database.init-db", "session", needs=MOVES)
async def init_db(target: Target) -> None:
    """COM_INIT_DB holds on every server, and a database that there is not changes nothing."""
    async with proxied(target, database=None) as client:
        answer = await client.command(bytes((Com.INIT_DB,)) + target.database.encode())
        expect.good(answer, f"COM_INIT_DB {target.database}")
        await _everywhere(target, client, "select database()", target.database)
        answer = await client.command(bytes((Com.INIT_DB,)) + b"no_such_database")
        expect.failed(answer, "COM_INIT_DB no_such_database", (1049, 1044))
        await _everywhere(target, client, "select database()", target.database)


@check("session.database.login", "session", needs=MOVES)
async def database_of_login(target: Target) -> None:
    """The database of the login holds on servers that are used later."""
    name = await empty_table(target)
    async with proxied(target) as client:
        await expect.ok(client, f"insert into {name} (id, v) values (1, 'here')")
        await _everywhere(target, client, "select v from kept where id = 1", "here")


@check("session.database.dropped", "session", needs=SQL)
async def dropped_database(target: Target) -> None:
    """A current database that is dropped is no longer current on any server."""
    gone = f"{target.database}_gone"
    async with proxied(target) as client:
        await expect.ok(client, on(target, 0, f"create database if not exists {gone}"), on(target, 1, f"use {gone}"))
        await expect.value(client, on(target, 2, "select database()"), gone)
        await expect.ok(client, on(target, 0, f"drop database {gone}"))
        await _everywhere(target, client, "select database()", None)


@check("session.last-insert-id", "session", needs=SQL)
async def last_insert_id(target: Target) -> None:
    """LAST_INSERT_ID() is known on every server, as it is after an INSERT on one."""
    name = await empty_table(target)
    async with proxied(target) as client:
        answer = await expect.ok(client, on(target, 0, f"insert into {name} (v) values ('x')"))
        number = str(answer.result.insert_id)
        expect.that(number != "0", "insert into an AUTO_INCREMENT table", "an insert id in the OK", answer.said())
        await expect.ok(client, on(target, 1, f"insert into {name} (id, v) values (last_insert_id() + 1000000, 'y')"))
        await _everywhere(target, client, "select last_insert_id()", number)


@check("session.found-rows", "session", needs=SQL)
async def found_rows(target: Target) -> None:
    """FOUND_ROWS() and ROW_COUNT() are about the statement before, wherever that ran."""
    name = await empty_table(target)
    async with proxied(target) as client:
        await expect.ok(client, on(target, 0, f"insert into {name} (v) values ('a'), ('b'), ('c')"))
        await expect.value(client, "select row_count()", "3")
        await expect.ok(client, on(target, 1, f"select sql_calc_found_rows v from {name} limit 1"))
        await expect.value(client, "select found_rows()", "3")


@check("session.warnings", "session", needs=SQL)
async def warnings(target: Target) -> None:
    """SHOW WARNINGS tells of the statement before, wherever that ran."""
    async with proxied(target) as client:
        await expect.ok(client, on(target, 0, "select 1"), on(target, 1, "select cast('x' as signed)"))
        answer = await client.query("show warnings")
        expect.that(len(answer.rows) == 1, "show warnings after one", "one row", answer.said())


@check("session.reset-connection", "session", needs=SQL)
async def reset_connection(target: Target) -> None:
    """COM_RESET_CONNECTION leaves nothing of the state on any server, and keeps the connection."""
    async with proxied(target) as client:
        await expect.ok(client, on(target, 0, "set @kept = 1, time_zone = '+09:00'"), on(target, 1, "select @kept"))
        expect.good(await client.command(bytes((Com.RESET_CONNECTION,))), "COM_RESET_CONNECTION")
        await _everywhere(target, client, "select @kept", None)
        for number in _EVERYWHERE:
            seen = await expect.read(client, on(target, number, "select @@time_zone"))
            expect.that(seen != "+09:00", "select @@time_zone behind it", "not the old one", seen)


@check("session.change-user", "session", needs=SQL)
async def change_user(target: Target) -> None:
    """COM_CHANGE_USER leaves nothing of the state on any server."""
    async with proxied(target) as client:
        await expect.ok(client, on(target, 0, "set @kept = 1"), on(target, 1, "select @kept"))
        expect.good(await client.change_user(form(target)), "COM_CHANGE_USER")
        await _everywhere(target, client, "select @kept", None)


@check("session.apart", "session", needs=MOVES)
async def apart(target: Target) -> None:
    """Two clients of one user see nothing of each other's state, though they use the same servers."""
    async with proxied(target) as one, proxied(target) as other:
        await expect.ok(one, on(target, 0, "set @kept = 'one'"))
        await expect.ok(other, on(target, 0, "set @kept = 'other'"))
        for number in _EVERYWHERE:
            await expect.value(one, on(target, number, "select @kept"), "one")
            await expect.value(other, on(target, number, "select @kept"), "other")


@check("session.temporary-table", "session", needs=SQL)
async def temporary_table(target: Target) -> None:
    """A session with a temporary table stays where that is, whatever a comment says."""
    async with proxied(target) as client:
        made = await client.query(on(target, 0, "create temporary table kept_tt (a int)"))
        if made.errno == _NOT_SUPPORTED:
            raise Skip("the server has no temporary tables")
        expect.good(made, "create temporary table")
        await expect.ok(client, on(target, 1, "insert into kept_tt values (1), (2)"))
        await expect.value(client, on(target, 2, "select count(*) from kept_tt"), "2")
        await expect.ok(client, on(target, 1, "drop table kept_tt"))


@check("session.long-chain", "session", needs=MOVES)
async def long_chain(target: Target) -> None:
    """A counter that is carried in a user variable over fifty statements on changing servers is right in the end."""
    async with proxied(target) as client:
        await expect.ok(client, "set @n = 0")
        for number in range(1, 51):
            await expect.ok(client, on(target, number, f"set @n = {number}"))
            await expect.value(client, on(target, number + 1, "select @n"), str(number))


@check("session.pipelined", "session", needs=MOVES)
async def pipelined(target: Target) -> None:
    """Commands that a client sends without waiting are answered in their order, though their servers differ."""
    async with proxied(target) as client:
        for number in range(6):
            await client.send(b"\x03" + on(target, number, f"select {number}").encode())
        for number in range(6):
            answer = await client.answer(Com.QUERY)
            expect.that(answer.rows == [(str(number),)], f"answer {number} of 6", str(number), answer.said())


@check("session.side-by-side", "session", needs=MOVES)
async def side_by_side(target: Target) -> None:
    """Ten clients at once, on changing servers, each get their own answers."""

    async def one(who: int) -> None:
        async with proxied(target) as client:
            await expect.ok(client, f"set @who = {who}")
            for number in range(10):
                await expect.value(
                    client, on(target, number + who, f"select concat(@who, '.{number}')"), f"{who}.{number}"
                )

    async with trio.open_nursery() as nursery:
        for who in range(10):
            nursery.start_soon(one, who)
