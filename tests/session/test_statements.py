"""Prepared statements of one session: where their commands go, what is kept, what is refused."""

from __future__ import annotations

from odp_trio.errors import NotRoutable, TooManyStatements
from odp_trio.routing.request import Route
from odp_trio.state.prepared import Copy, Prepared
from odp_trio.state.prepared_texts import PreparedTexts
from odp_trio.wire.command import Com
from odp_trio.wire.fields import Status
from odp_trio.wire.packets import packet
from tests.session.statement_bed import StatementBed, open_statement_bed
from tests.session.test_preparing import PREPARE, QUERY, TEXT, execution, prepared

OK = b"\0\0\0\x22\0\0\0"


def long_data(piece: bytes, number: int = 1, parameter: int = 0) -> bytes:
    return bytes((Com.STMT_SEND_LONG_DATA,)) + number.to_bytes(4, "little") + parameter.to_bytes(2, "little") + piece


def command(com: Com, number: int = 1) -> bytes:
    return bytes((com,)) + number.to_bytes(4, "little") + bytes(4 if com is Com.STMT_FETCH else 0)


def use(bed: StatementBed, number: int, *, in_transaction: bool = False) -> None:
    """The last statement ran on this server."""
    bed.router.servers.active = bed.upstreams[number]
    bed.router.state.last = bed.upstreams[number].address
    bed.router.tracker.status = int(Status.AUTOCOMMIT | (Status.IN_TRANS if in_transaction else 0))


def keep(bed: StatementBed, payload: bytes) -> None:
    """A piece of long data is kept, not sent."""
    assert not bed.read(payload)
    assert bed.statements.answer_here(payload, bed.router.state) is None


async def place(bed: StatementBed, payload: bytes, on: int) -> bytes:
    """Make a server ready for a command, as the session's task does, and return the command as it goes there."""
    assert bed.read(payload)
    upstream = bed.upstreams[on]
    if not bed.statements.is_ready(upstream, payload[0]):
        await bed.preparing.make_ready(upstream)
    data = bed.preparing.with_types(upstream, bytearray(packet(0, payload)))
    bed.router.take(upstream, Route(upstream.address, "test"), data)
    return bytes(data)


def executed(bed: StatementBed, on: int, errno: int = 0) -> None:
    bed.router.servers.active = bed.upstreams[on]
    bed.router.tracker.errno, bed.router.tracker.state = errno, None
    bed.router.answered()


# ---- long data ---------------------------------------------------------------------------


async def test_long_data_goes_where_the_execution_goes_and_is_used_up() -> None:
    async with open_statement_bed() as bed:
        statement = prepared(bed, on=1)
        keep(bed, long_data(b"abc"))
        keep(bed, long_data(b"def"))
        assert bed.fakes[1].commands == []

        await place(bed, execution(), on=2)
        executed(bed, on=2)
        await place(bed, execution(), on=2)

        server_id = bed.upstreams[2].copies[1].server_id
        expected = [PREPARE, long_data(b"abc", server_id), long_data(b"def", server_id)]
        assert await bed.fakes[2].heard(3) == expected
        assert statement.long_data is None
        assert bed.statements.prepared.long_data_size == 0


async def test_its_value_is_there_for_routing() -> None:
    async with open_statement_bed() as bed:
        prepared(bed, on=1)
        keep(bed, long_data(b"ab"))
        keep(bed, long_data(b"cd"))

        bed.read(b"\x17\1\0\0\0\0\1\0\0\0" + b"\0\1\xfd\0")

        assert bed.router.values.parameters == ["abcd"]


async def test_a_server_that_would_not_run_it_keeps_nothing_of_it_and_the_next_gets_all() -> None:
    async with open_statement_bed() as bed:
        statement = prepared(bed, on=1)
        keep(bed, long_data(b"abc"))
        await place(bed, execution(), on=1)
        executed(bed, on=1, errno=8001)
        assert statement.long_data is not None
        assert 1 not in bed.upstreams[1].copies

        await place(bed, execution(), on=3)

        assert await bed.fakes[3].heard(2) == [PREPARE, long_data(b"abc", bed.upstreams[3].copies[1].server_id)]


async def test_a_reset_forgets_it_without_asking_anybody() -> None:
    async with open_statement_bed() as bed:
        statement = prepared(bed, on=1)
        use(bed, 2, in_transaction=True)
        keep(bed, long_data(b"abc"))

        assert not bed.read(command(Com.STMT_RESET))
        answer = bed.statements.answer_here(command(Com.STMT_RESET), bed.router.state)

        assert answer == packet(1, b"\0\0\0\x23\0\0\0")
        assert statement.long_data is None


async def test_more_than_is_kept_goes_to_a_server_and_the_execution_follows() -> None:
    async with open_statement_bed() as bed:
        statement = prepared(bed, on=1)
        keep(bed, long_data(b"a" * 1_000_000))
        await place(bed, long_data(b"b" * 100_000), on=2)
        assert statement.long_data is not None
        assert statement.long_data.on == bed.upstreams[2].address

        assert bed.read(long_data(b"c"))
        assert bed.router.request.owner == bed.upstreams[2].address
        assert bed.read(execution())
        assert bed.router.request.owner == bed.upstreams[2].address
        assert bed.statements.copies.is_bound_to(bed.upstreams[2])


async def test_it_does_not_leave_a_transaction_for_that_server() -> None:
    async with open_statement_bed() as bed:
        statement = prepared(bed, on=1)
        keep(bed, long_data(b"a" * 1_000_000))
        await place(bed, long_data(b"b" * 100_000), on=2)
        use(bed, 3, in_transaction=True)

        assert not bed.read(execution())

        assert isinstance(bed.statements.refusal, NotRoutable)
        assert statement.long_data is None


# ---- cursors and other commands ---------------------------------------------------------------


async def test_rows_are_fetched_where_the_cursor_is_and_the_answer_says_what_the_session_is_in() -> None:
    async with open_statement_bed() as bed:
        prepared(bed, on=1).cursor_on = bed.upstreams[1].address
        use(bed, 2, in_transaction=True)

        await place(bed, command(Com.STMT_FETCH), on=1)
        assert bed.router.request.owner == bed.upstreams[1].address
        tracker = bed.router.tracker
        tracker.begin(Com.STMT_FETCH)
        data = bytearray(packet(1, b"\0\0\5") + packet(2, b"\xfe\0\0\x42\0") + packet(3, b"\0\0\0\x22\0\0\0\0"))
        tracker.feed(data, 0, len(data))
        bed.router.answered()

        assert data[11:16] == b"\xfe\0\0\x43\0"
        assert bed.router.servers.active is bed.upstreams[2]
        assert tracker.in_transaction
        assert tracker.also == 0


async def test_a_cursor_that_went_with_its_connection_is_none() -> None:
    async with open_statement_bed() as bed:
        statement = prepared(bed, on=1)
        statement.cursor_on = bed.upstreams[1].address
        bed.router.servers.closed_idle(bed.upstreams[1])

        assert bed.read(command(Com.STMT_FETCH))

        assert bed.router.request.owner is None
        assert statement.cursor_on is None


async def test_the_cursor_of_an_execution_before_is_closed_where_it_is() -> None:
    async with open_statement_bed() as bed:
        statement = prepared(bed, on=1)
        statement.cursor_on = bed.upstreams[1].address

        await place(bed, execution(), on=2)

        assert statement.cursor_on is None
        assert 1 not in bed.upstreams[1].copies


async def test_close_goes_to_every_server_that_has_it() -> None:
    async with open_statement_bed() as bed:
        prepared(bed, on=1)
        bed.upstreams[2].copies[1] = Copy(77)
        use(bed, 1)

        await place(bed, command(Com.STMT_CLOSE), on=1)

        assert bed.statements.prepared.statements == {}
        assert bed.upstreams[1].copies == bed.upstreams[2].copies == {}
        assert bed.upstreams[2].leg.owed == b""


async def test_an_unknown_id_that_means_another_statement_there_is_not_asked_about() -> None:
    async with open_statement_bed() as bed:
        prepared(bed, on=1)
        bed.upstreams[2].copies[1] = Copy(77)

        assert bed.read(execution(78))
        assert not bed.read(execution(77))
        answer = bed.statements.answer_here(execution(77), bed.router.state)

        assert answer is not None
        assert answer[4:7] == b"\xff\xdb\x04"


# ---- long executions ---------------------------------------------------------------------------


async def test_a_long_execution_gets_the_types_that_a_server_lacks() -> None:
    async with open_statement_bed() as bed:
        statement = prepared(bed, on=1)
        statement.types, statement.types_version = b"\xfd\0", 1
        whole = b"\x17\1\0\0\0\0\1\0\0\0" + b"\0\0" + b"\xfd\x20\xa1\x07" + b"x" * 500_000
        cut = packet(0, whole)[:60_000]
        assert bed.router.read(bytearray(cut), len(cut))
        bed.upstreams[2].copies[1] = Copy(9)

        sent = bed.preparing.with_types(bed.upstreams[2], bytearray(cut))

        assert int.from_bytes(sent[:3], "little") == len(whole) + 2
        assert bytes(sent[14:18]) == b"\0\1\xfd\0"
        assert len(sent) == len(cut) + 2


async def test_one_of_16_mib_goes_where_its_types_are_known() -> None:
    async with open_statement_bed() as bed:
        statement = prepared(bed, on=1)
        statement.types, statement.types_version = b"\xfd\0", 1
        bed.upstreams[3].copies[1] = Copy(9, types_version=1)
        head = b"\xff\xff\xff\0" + b"\x17\1\0\0\0\0\1\0\0\0" + b"\0\0" + b"\xfe" + (20_000_000).to_bytes(8, "little")

        assert bed.router.read(bytearray(head), len(head))
        assert bed.router.request.owner == bed.upstreams[3].address

        use(bed, 1, in_transaction=True)
        assert not bed.router.read(bytearray(head), len(head))


async def test_an_execution_waits_until_its_types_are_there() -> None:
    async with open_statement_bed() as bed:
        statement = prepared(bed, 1, 1, b"select " + b"+".join([b"?"] * 3000))
        data = packet(0, b"\x17\1\0\0\0\0\1\0\0\0" + bytes(375) + b"\1" + b"\x08\0" * 3000 + bytes(24_000))

        assert statement.parameters == 3000
        assert not bed.router.read(bytearray(data[:5000]), 5000)
        assert bed.router.wants(data[:5000]) == 4 + 10 + 375 + 1 + 6000
        assert bed.router.read(bytearray(data[:7000]), 7000)
        assert statement.types == b"\x08\0" * 3000


async def test_new_types_that_come_along_need_no_preparation() -> None:
    async with open_statement_bed() as bed:
        statement = prepared(bed, on=1)

        assert bed.read(execution())

        assert statement.types == b"\x08\0"
        assert bed.statements.is_ready(bed.upstreams[1], Com.STMT_EXECUTE)


# ---- preparing ---------------------------------------------------------------------------------


def note_prepared(bed: StatementBed, payload: bytes, number: int, parameters: int) -> Prepared:
    """A client's PREPARE is answered with this id."""
    assert bed.read(payload)
    tracker = bed.router.tracker
    bed.router.servers.active = bed.upstreams[1]
    tracker.ids_taken, tracker.statement_id = bed.statements.prepared.statements, 0
    tracker.begin(Com.STMT_PREPARE)
    eof = [b"\x03def" + bytes(20), b"\xfe\0\0\2\0"] if parameters else []
    payloads = [b"\0" + number.to_bytes(4, "little") + b"\0\0" + bytes((parameters, 0, 0, 0, 0)), *eof, OK + b"\0"]
    data = bytearray(b"".join(packet(at + 1, each) for at, each in enumerate(payloads)))
    at = 0
    while not tracker.ended:
        tracker.feed(data, at, len(data))
        at = tracker.pos
    bed.router.answered()
    found: Prepared = bed.statements.prepared.statements[number]
    return found


async def test_sessions_share_what_is_known_of_a_text() -> None:
    async with open_statement_bed() as bed, open_statement_bed() as other:
        texts = PreparedTexts(100, 1 << 20)
        bed.statements.lend(texts, 0)
        other.statements.lend(texts, 0)

        one = note_prepared(bed, PREPARE, 5, 1)
        two = note_prepared(other, PREPARE, 9, 1)

        assert one.text is two.text
        assert one.shape is two.shape
        assert one.literals is two.literals
        assert (texts.hits, texts.misses, len(texts)) == (1, 1, 1)


async def test_a_session_has_so_many_statements_and_no_more() -> None:
    async with open_statement_bed() as bed:
        bed.statements.lend(None, 2)
        for number in (1, 2):
            note_prepared(bed, PREPARE, number, 1)

        assert not bed.read(PREPARE)
        assert isinstance(bed.statements.refusal, TooManyStatements)
        answer = bed.statements.answer_here(PREPARE, bed.router.state)
        assert answer is not None
        assert answer[4:13] == b"\xff\xb5\x05#42000"

        bed.statements.copies.close(bed.statements.prepared.statements[1], None)
        assert bed.read(PREPARE)


async def test_a_text_is_waited_for_to_its_end() -> None:
    async with open_statement_bed() as bed:
        data = packet(0, PREPARE + b" " * 5000)

        assert not bed.router.read(bytearray(data[:4200]), 4200)
        assert bed.router.wants(data[:4200]) == len(data)
        assert bed.router.read(bytearray(data), len(data))
        assert bed.statements.opening.text == TEXT + b" " * 5000


async def test_one_that_is_too_long_to_be_kept_stays_on_its_server() -> None:
    async with open_statement_bed() as bed:
        data = packet(0, PREPARE + b" " * 2_000_000)
        assert bed.router.read(bytearray(data[:5000]), 5000)
        assert not bed.statements.opening.whole
        statement = prepared(bed, on=2)
        statement.whole = False

        assert bed.read(execution())

        assert bed.router.request.owner == bed.upstreams[2].address


# ---- names -------------------------------------------------------------------------------------


async def test_execute_is_routed_as_what_its_name_means_with_the_values_of_using() -> None:
    async with open_statement_bed() as bed:
        state = bed.router.state
        state.user[b"A"] = (b"-5", 1)
        state.user[b"b"] = (rb"'it\'s'", 1)
        make = QUERY + b"prepare S from 'select v from t where id = ? and v = ?'"
        assert bed.read(make)
        executed(bed, on=1)

        bed.read(QUERY + b"execute s using @a, @B")

        assert bed.router.request.shape.facts.tables[0].name == "t"
        assert bed.router.values.parameters == [-5, "it's"]
        assert bed.router.names.running == "S"


async def test_a_text_is_said_again_as_it_was_meant() -> None:
    cases = {
        b"prepare s from 'select ''x'', \"y\"'": b"select 'x', \"y\"",
        b'prepare s from "select \'x\', ""y"""': b"select 'x', \"y\"",
        rb"prepare s from 'select \'a\\b\''": rb"select 'a\b'",
        b"prepare /* 'no' */ s from /* it */ 'select 1'": b"select 1",
    }
    async with open_statement_bed() as bed:
        for sql, meant in cases.items():
            assert bed.read(QUERY + sql)
            executed(bed, on=1)
            made = bed.router.state.text_prepared["S"]
            assert (made.source, made.on) == (meant, None), sql


async def test_what_cannot_be_said_again_stays_where_it_is() -> None:
    async with open_statement_bed() as bed:
        for sql in (b"prepare s from 'select ' '1'", b"prepare s from _latin1'select 1'", b"prepare s from @unknown"):
            assert bed.read(QUERY + sql)
            executed(bed, on=2)
            bed.read(QUERY + b"execute s")
            assert bed.router.request.owner == bed.upstreams[2].address, sql

        use(bed, 1, in_transaction=True)
        bed.read(QUERY + b"execute s")
        assert bed.router.request.owner is None


async def test_several_statements_in_one_command_may_make_names() -> None:
    async with open_statement_bed() as bed:
        assert bed.read(QUERY + b"prepare s from 'select 1'")
        executed(bed, on=1)
        assert bed.read(QUERY + b"set @a = 1; prepare S from 'select 2'")
        executed(bed, on=3)

        bed.read(QUERY + b"execute s")

        assert bed.router.request.owner == bed.upstreams[3].address


async def test_ddl_by_execute_is_noticed() -> None:
    async with open_statement_bed() as bed:
        statement = prepared(bed, 1, 1, b"lock tables t write")
        statement.watched = True
        assert bed.read(execution())
        assert bed.router.watching
        executed(bed, on=1)
        assert bed.router.state.locked_tables

        assert bed.read(QUERY + b"prepare u from 'unlock tables'")
        executed(bed, on=1)
        bed.read(QUERY + b"execute u")
        assert bed.router.watching
        executed(bed, on=1)
        assert not bed.router.state.locked_tables


async def test_names_that_mean_nothing_any_more_do_not_fill_a_server() -> None:
    async with open_statement_bed() as bed:
        route = Route(bed.upstreams[2].address, "test")
        for number in range(8):
            assert bed.read(QUERY + b"prepare s%d from 'select 1'" % number)
            executed(bed, on=2)
            bed.router.names.note_ended(bed.upstreams[1], f"S{number}")
        bed.upstreams[2].state.database = bed.router.state.database
        assert len(bed.upstreams[2].texts) == 8

        assert bed.read(PREPARE)
        assert not bed.router.is_ready(bed.upstreams[2], route)
        await bed.preparing.make_ready(bed.upstreams[2])

        assert bed.router.is_ready(bed.upstreams[2], route)
        assert await bed.fakes[2].heard(8) == [QUERY + b"DEALLOCATE PREPARE `S%d`" % number for number in range(8)]
