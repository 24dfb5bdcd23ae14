"""Prepared statements on their way to further servers."""

from __future__ import annotations

import pytest

from odp_trio.errors import StatementRefused, UpstreamError
from odp_trio.session.preparing import TOO_MANY_OPEN
from odp_trio.state.prepared import Copy, Prepared, TextPrepared
from odp_trio.wire.command import Com
from tests.session.statement_bed import StatementBed, open_statement_bed

TEXT = b"select v from t where id = ?"
PREPARE = bytes((Com.STMT_PREPARE,)) + TEXT
QUERY = bytes((Com.QUERY,))


def prepared(bed: StatementBed, on: int, number: int = 1, text: bytes = TEXT) -> Prepared:
    """A statement that one server has under the same number."""
    shape, literals = bed.router._shape_of(text, 0)
    statement = Prepared(number, text, shape, tuple(literals), text.count(b"?"))
    bed.statements.prepared.statements[number] = statement
    bed.upstreams[on].copies[number] = Copy(number)
    return statement


def execution(number: int = 1) -> bytes:
    return b"\x17" + number.to_bytes(4, "little") + b"\0\1\0\0\0" + b"\0\1\x08\0" + (5).to_bytes(8, "little")


async def test_a_statement_is_prepared_where_it_is_needed_and_not_again() -> None:
    async with open_statement_bed() as bed:
        statement = prepared(bed, on=1)
        assert bed.read(execution())

        await bed.preparing.make_ready(bed.upstreams[2])
        await bed.preparing.make_ready(bed.upstreams[2])

        assert bed.fakes[2].commands == [PREPARE]
        assert bed.upstreams[2].copies[statement.id].server_id == 2
        assert bed.counts.reprepares == 1


async def test_a_refusal_is_the_servers_own_words() -> None:
    async with open_statement_bed() as bed:
        prepared(bed, on=1)
        bed.fakes[2].errors[PREPARE] = [1146]
        assert bed.read(execution())

        with pytest.raises(StatementRefused) as refused:
            await bed.preparing.make_ready(bed.upstreams[2])

        assert refused.value.payload == b"\xff\x7a\x04#HY000no"
        assert refused.value.errno == 1146
        assert 1 not in bed.upstreams[2].copies


async def test_a_server_that_is_not_fit_is_left_for_another() -> None:
    async with open_statement_bed() as bed:
        prepared(bed, on=1)
        bed.fakes[2].errors[PREPARE] = [8001]
        assert bed.read(execution())

        with pytest.raises(UpstreamError):
            await bed.preparing.make_ready(bed.upstreams[2])


async def test_room_is_made_on_a_server_that_has_too_many_statements() -> None:
    async with open_statement_bed() as bed:
        prepared(bed, on=1)
        with_cursor = prepared(bed, 2, 7, b"select 7")
        with_cursor.cursor_on = bed.upstreams[2].address
        prepared(bed, 2, 8, b"select 8")
        bed.fakes[2].errors[PREPARE] = [TOO_MANY_OPEN]
        assert bed.read(execution())

        await bed.preparing.make_ready(bed.upstreams[2])

        close = bytes((Com.STMT_CLOSE,)) + (8).to_bytes(4, "little")
        assert bed.fakes[2].commands == [PREPARE, close, PREPARE]
        assert set(bed.upstreams[2].copies) == {1, 7}


async def test_no_room_can_be_made() -> None:
    async with open_statement_bed() as bed:
        prepared(bed, on=1)
        bed.fakes[2].errors[PREPARE] = [TOO_MANY_OPEN]
        assert bed.read(execution())

        with pytest.raises(StatementRefused):
            await bed.preparing.make_ready(bed.upstreams[2])

        assert bed.fakes[2].commands == [PREPARE]


async def test_a_name_is_made_and_ended_where_it_is_used() -> None:
    async with open_statement_bed() as bed:
        state = bed.router.state
        shape = bed.router._shape_of(b"select 1", 0)
        meant = state.text_prepared["S1"] = TextPrepared("S1", rb"select 'a\n'", *shape)
        bed.read(QUERY + b"execute s1")
        await bed.preparing.make_ready(bed.upstreams[2])
        assert bed.upstreams[2].texts == {"S1": meant}

        del state.text_prepared["S1"]
        bed.read(QUERY + b"execute s1")
        await bed.preparing.make_ready(bed.upstreams[2])

        assert bed.fakes[2].commands == [
            QUERY + rb"PREPARE `S1` FROM 'select ''a\\n'''",
            QUERY + b"DEALLOCATE PREPARE `S1`",
        ]
        assert bed.upstreams[2].texts == {}


async def test_a_name_that_cannot_be_made_is_answered_in_the_servers_words() -> None:
    async with open_statement_bed() as bed:
        source = b"select * from gone"
        bed.router.state.text_prepared["S1"] = TextPrepared("S1", source, *bed.router._shape_of(source, 0))
        bed.fakes[3].errors[QUERY + b"PREPARE `S1` FROM 'select * from gone'"] = [1146]
        bed.read(QUERY + b"execute S1")

        with pytest.raises(StatementRefused):
            await bed.preparing.make_ready(bed.upstreams[3])

        assert bed.upstreams[3].texts == {}
