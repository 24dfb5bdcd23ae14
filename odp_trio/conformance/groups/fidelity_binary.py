"""Wire fidelity of commands and of the binary protocol: packet by packet what the server says."""

from __future__ import annotations

from collections.abc import AsyncIterator

from odp_trio.conformance.compare import Script, commands, same
from odp_trio.conformance.groups.fidelity import BOTH, SQL, TYPES
from odp_trio.conformance.registry import check
from odp_trio.conformance.target import Target
from odp_trio.testing.answers import Answer
from odp_trio.testing.raw_client import READ_ONLY_CURSOR, Parameter, RawClient
from odp_trio.wire.command import Com


@check("wire.commands", "wire", needs=SQL)
async def other_commands(target: Target) -> None:
    """PING, INIT_DB, SET_OPTION, FIELD_LIST and RESET_CONNECTION are answered as by the server."""
    name = target.database.encode()
    payloads = (
        b"\x0e",
        b"\x02" + name,
        b"\x02no_such_database",
        b"\x0e",
        b"\x1b\x01\0",
        b"\x1b\0\0",
        b"\x1f",
        b"\x02" + name,
        b"\x09",
        b"\x0e",
    )
    await same(target, commands(*payloads))


@check("wire.commands.sequence", "wire", needs=BOTH)
async def sequence_numbers(target: Target) -> None:
    """Sequence numbers of an answer begin at 1 and leave none out."""

    async def script(client: RawClient) -> AsyncIterator[tuple[bytes, Answer]]:
        for sql in ("select 1", "set @a = 1", "select 1 union all select 2", "selec"):
            command = b"\x03" + sql.encode()
            answer = await client.command(command)
            numbers = [packet[3] for packet in answer.packets]
            assert numbers == list(range(1, len(numbers) + 1)), f"asked: {sql}\nexpected: 1, 2, 3, …\nseen: {numbers}"
            yield command, answer

    await same(target, script)


def _executions(sql: str, *values: tuple[Parameter, ...]) -> Script:
    async def script(client: RawClient) -> AsyncIterator[tuple[bytes, Answer]]:
        command = b"\x16" + sql.encode()
        prepared = await client.prepare(sql)
        yield command, prepared.answer
        for each in values:
            if prepared.id:
                yield b"\x17" + sql.encode(), await client.execute(prepared.id, each)
        if prepared.id:
            yield b"\x1a" + sql.encode(), await client.reset(prepared.id)
            await client.close_statement(prepared.id)

    return script


@check("wire.prepared", "wire", needs=SQL)
async def prepared(target: Target) -> None:
    """Prepared statements are described and answered as by the server, refused ones too."""
    for sql, *values in (
        ("select 1", ()),
        ("select ?, ? + 1, concat(?, 'x')", (1, 2.5, "a"), (None, -1, "🦆"), ("x", 3, b"\0\xff")),
        (TYPES, ()),
        ("selec ?", ()),
        ("select * from no_such_table", ()),
        ("set @p = ?", (5,)),
        ("do ?", (1,)),
        ("begin", ()),
        ("commit", ()),
        ("select 1; select 2", ()),
        ("", ()),
    ):
        await same(target, _executions(str(sql), *values))


@check("wire.prepared.changes", "wire", needs=SQL)
async def prepared_changes(target: Target) -> None:
    """INSERT, UPDATE and DELETE as prepared statements are answered as by the server."""

    async def script(client: RawClient) -> AsyncIterator[tuple[bytes, Answer]]:
        for sql, *values in (
            ("insert into kept (id, v, n) values (?, ?, ?)", (1, "a", 1), (2, None, 2.5), (3, "b", "x"), (1, "dup", 1)),
            ("update kept set v = ? where id = ?", ("c", 1), ("c", 1), ("c", 99)),
            ("delete from kept where id < ?", (2,), (0,)),
        ):
            async for each in _executions(str(sql), *values)(client):
                yield each

    await same(target, script, table=True)


@check("wire.prepared.cursor", "wire", needs=SQL)
async def cursors(target: Target) -> None:
    """A cursor gives its rows in the portions that are asked for, and says when there are no more."""

    async def script(client: RawClient) -> AsyncIterator[tuple[bytes, Answer]]:
        prepared = await client.prepare(
            "select 1 union all select 2 union all select 3 union all select 4 union all select 5"
        )
        yield b"\x17open", (answer := await client.execute(prepared.id, cursor=READ_ONLY_CURSOR))
        while answer.cursor_is_open:
            yield b"\x1cfetch", (answer := await client.fetch(prepared.id, 2))
        yield b"\x1creset", await client.reset(prepared.id)
        yield b"\x1cfetch behind reset", await client.fetch(prepared.id, 2)

    await same(target, script)


@check("wire.prepared.long-data", "wire", needs=SQL)
async def long_data(target: Target) -> None:
    """A value that was sent in pieces is put together."""

    async def script(client: RawClient) -> AsyncIterator[tuple[bytes, Answer]]:
        prepared = await client.prepare("select length(?), ?")
        await client.long_data(prepared.id, 0, b"x" * 70_000)
        await client.long_data(prepared.id, 0, b"y" * 5)
        yield b"\x17long data", await client.execute(prepared.id, ("", 7), long_data=(0,))
        yield b"\x17none", await client.execute(prepared.id, ("abc", 8))

    await same(target, script)


@check("wire.commands.unknown", "wire", needs=BOTH)
async def unknown_commands(target: Target) -> None:
    """A command that there is not is refused with an error, and the connection goes on."""

    async def script(client: RawClient) -> AsyncIterator[tuple[bytes, Answer]]:
        await client.send(bytes((Com.TABLE_DUMP,)) + b"\0")
        _seq, payload = await client.next_packet()
        assert payload[:1] == b"\xff", f"asked: COM_TABLE_DUMP\nexpected: an ERR packet\nseen: {payload[:40].hex(' ')}"
        answer = await client.query("select 1")
        assert answer.rows == [("1",)], f"asked: select 1 behind it\nexpected: 1\nseen: {answer.said()}"
        yield b"\x03select 1", answer

    await same(target, script)
