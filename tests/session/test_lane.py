"""The express lane: what goes through, what is parked, how it ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio

from odp_trio.net.reactor import BUFFER_BYTES
from odp_trio.session.events import End, Ended, Failed, Parked
from odp_trio.wire.packets import packet
from tests.paths import breaks_the_code
from tests.session.lane_bed import PLAIN_OK, PROXY_OK, Bed, extra_ok, open_bed, query, result

ERR = b"\xff\x7a\x04#42S02Table 'x' doesn't exist"
pytestmark = pytest.mark.parametrize("mode", ["inside", "nested"])


async def ended(bed: Bed) -> Ended:
    with trio.fail_after(10):
        event = await bed.lane.events.wait()
    assert isinstance(event, Ended), event
    return event


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(10):
        while not condition():
            await trio.lowlevel.checkpoint()


async def failed(bed: Bed) -> Failed:
    with trio.fail_after(10):
        event = await bed.lane.events.wait()
    assert isinstance(event, Failed), event
    return event


async def test_a_result_passes_and_the_extra_ok_does_not(mode: str) -> None:
    async with open_bed(mode) as bed:
        for number in range(3):
            sql = query(b"select %d" % number)
            assert await bed.ask(sql) == sql
            await bed.answer(result(b"\x01a") + extra_ok(6), seen=result(b"\x01a"))

        assert bed.lane.traffic.statements == 3
        assert not bed.lane.busy


async def test_an_answer_may_come_byte_by_byte(mode: str) -> None:
    whole = result(b"\x01a", b"\x01b") + extra_ok(7)
    async with open_bed(mode) as bed:
        await bed.ask(query(b"select 1"))

        for at in range(len(whole)):
            await bed.server.send_all(whole[at : at + 1])
            await trio.testing.wait_all_tasks_blocked()

        assert await bed.at_client(len(whole) - 12) == whole[:-12]
        await bed.ask(query(b"select 2"))
        await bed.answer(packet(1, PROXY_OK), seen=packet(1, PLAIN_OK))


async def test_a_request_may_come_byte_by_byte(mode: str) -> None:
    async with open_bed(mode) as bed:
        sql = query(b"select 1")
        for at in range(len(sql)):
            await bed.client.send_all(sql[at : at + 1])
            await trio.testing.wait_all_tasks_blocked()

        assert await bed.at_server(len(sql)) == sql
        await bed.answer(result(b"\x01a") + extra_ok(6), seen=result(b"\x01a"))


async def test_a_plain_ok_loses_what_only_proxies_are_told(mode: str) -> None:
    state = b"\x00\x0f\x0aautocommit\x03OFF\x02\x02\x011"
    told = b"\0\x01\x05\x20\x40\0\0" + b"\x05 done" + bytes((len(state),)) + state
    async with open_bed(mode) as bed:
        await bed.ask(query(b"set autocommit=0"))

        await bed.answer(packet(1, told), seen=packet(1, b"\0\x01\x05\x20\0\0\0 done"))


async def test_commands_sent_ahead_run_one_at_a_time(mode: str) -> None:
    first, second = query(b"select 1"), query(b"select 22")
    async with open_bed(mode) as bed:
        await bed.client.send_all(first + second)

        assert await bed.at_server(len(first)) == first
        await bed.answer(result(b"\x01a") + extra_ok(6), seen=result(b"\x01a"))
        assert await bed.at_server(len(second)) == second
        await bed.answer(result(b"\x01b") + extra_ok(6), seen=result(b"\x01b"))


async def test_commands_without_an_answer_do_not_hold_up_the_next(mode: str) -> None:
    close = packet(0, b"\x19\x01\0\0\0")
    async with open_bed(mode) as bed:
        await bed.client.send_all(close + close + query(b"select 1"))

        assert await bed.at_server(len(close) * 2 + 13) == close + close + query(b"select 1")
        await bed.answer(result(b"\x01a") + extra_ok(6), seen=result(b"\x01a"))


async def test_what_the_client_sent_early_is_served_first(mode: str) -> None:
    async with open_bed(mode, early=query(b"select 1")) as bed:
        assert await bed.at_server(13) == query(b"select 1")


async def test_a_large_request_streams_and_holds_the_client_back(mode: str) -> None:
    sql = query(b"x" * 3_000_000)
    async with open_bed(mode) as bed, trio.open_nursery() as nursery:
        nursery.start_soon(bed.client.send_all, sql)
        await trio.testing.wait_all_tasks_blocked()

        assert len(bed.lane._server.owed) <= BUFFER_BYTES  # nobody reads at the server
        assert not bed.lane._client.reading
        assert await bed.at_server(len(sql)) == sql
        await bed.answer(packet(1, PROXY_OK), seen=packet(1, PLAIN_OK))


async def test_a_request_of_more_than_16_mib_has_several_packets(mode: str) -> None:
    sql = query(b"x" * (0xFFFFFF + 10))
    async with open_bed(mode) as bed, trio.open_nursery() as nursery:
        nursery.start_soon(bed.client.send_all, sql)

        assert await bed.at_server(len(sql)) == sql
        await bed.answer(packet(2, PROXY_OK), seen=packet(2, PLAIN_OK))


async def test_a_slow_client_holds_the_server_back(mode: str) -> None:
    rows = result(*[b"\xfd\xa0\x86\x01" + b"r" * 100_000] * 200)
    async with open_bed(mode) as bed, trio.open_nursery() as nursery:
        await bed.ask(query(b"select big"))
        nursery.start_soon(bed.server.send_all, rows + extra_ok(204))
        await trio.testing.wait_all_tasks_blocked()

        assert 0 < len(bed.lane._client.owed) <= BUFFER_BYTES  # nobody reads at the client
        assert not bed.lane._server.reading
        assert await bed.at_client(len(rows)) == rows
        await bed.ask(query(b"select 1"))


async def test_a_client_that_leaves_while_it_is_owed_bytes_ends_the_lane(mode: str) -> None:
    rows = result(*[b"\xfd\xa0\x86\x01" + b"r" * 100_000] * 200)
    async with open_bed(mode) as bed, trio.open_nursery() as nursery:
        await bed.ask(query(b"select big"))
        nursery.start_soon(bed.server.send_all, rows)
        await trio.testing.wait_all_tasks_blocked()

        await bed.client.aclose()

        assert (await ended(bed)).why is End.CLIENT_GONE
        nursery.cancel_scope.cancel()


async def test_a_client_that_leaves_at_rest_ends_the_lane(mode: str) -> None:
    async with open_bed(mode) as bed:
        await bed.client.aclose()

        assert (await ended(bed)).why is End.CLIENT_GONE


async def test_a_client_that_leaves_while_the_server_works_ends_the_lane(mode: str) -> None:
    async with open_bed(mode) as bed:
        await bed.ask(query(b"select sleep(100)"))
        await bed.client.aclose()

        assert (await ended(bed)).why is End.CLIENT_GONE


async def test_a_statement_whose_server_is_lost_is_to_be_ruled_on(mode: str) -> None:
    async with open_bed(mode) as bed:
        await bed.ask(query(b"select 1"))
        await bed.client.send_all(query(b"select 2"))
        await until(lambda: bool(bed.lane._waiting))
        await bed.server.aclose()

        event = await failed(bed)

        assert (event.unanswered, event.whole, event.received) == (True, True, True)
        assert event.waiting == query(b"select 2")
        assert "closed by the server" in str(event.error)


async def test_a_server_that_is_known_to_be_dead_is_like_one_that_is_lost(mode: str) -> None:
    async with open_bed(mode) as bed:
        await bed.ask(query(b"select 1"))
        bed.lane.server_dead(RuntimeError("3 probes failed"))

        event = await failed(bed)

        assert event.unanswered
        assert "3 probes failed" in str(event.error)


async def test_a_server_lost_in_the_middle_of_an_answer_says_so(mode: str) -> None:
    async with open_bed(mode) as bed:
        await bed.ask(query(b"select 1"))
        await bed.answer(result(b"\x01a")[:30])
        await bed.server.aclose()

        assert not (await failed(bed)).unanswered


async def test_a_server_lost_with_a_piece_of_an_answer_says_so_too(mode: str) -> None:
    async with open_bed(mode) as bed:
        await bed.ask(query(b"insert into t values (1)"))
        await bed.server.send_all(packet(1, PROXY_OK)[:5])  # held until it is whole
        await until(lambda: bool(bed.lane._held))
        await bed.server.aclose()

        assert not (await failed(bed)).unanswered


async def test_a_statement_that_was_not_sent_whole_has_not_run(mode: str) -> None:
    async with open_bed(mode) as bed:
        long = query(b"insert into t values ('" + b"x" * 200_000 + b"')")
        await bed.client.send_all(long[:100_000])
        await bed.at_server(100_000)
        await bed.server.aclose()
        await bed.client.send_all(long[100_000:100_500])

        event = await failed(bed)

        assert (event.unanswered, event.whole, event.received) == (True, False, False)


async def test_an_error_after_which_it_may_go_elsewhere_is_withheld(mode: str) -> None:
    refusal = packet(1, b"\xff\x1e\x14#HY000tenant not in server")  # 5150
    async with open_bed(mode) as bed:
        bed.withheld.add(5150)
        await bed.ask(query(b"select 1"))
        await bed.server.send_all(refusal)
        await bed.server.send_all(extra_ok(2))

        event = await failed(bed)

        assert (event.refusal, event.errno, event.error) == (refusal, 5150, None)
        with pytest.raises(trio.TooSlowError), trio.fail_after(0.02):
            await bed.client.receive_some()


async def test_another_error_or_a_later_one_is_shown(mode: str) -> None:
    refusal = packet(1, b"\xff\x1e\x14#HY000tenant not in server")
    async with open_bed(mode) as bed:
        bed.withheld.add(5150)
        for _ in range(2):
            await bed.ask(query(b"select 1"))
            await bed.answer(packet(1, ERR) + extra_ok(2), seen=packet(1, ERR))
        await bed.ask(query(b"select 1"))
        rows = result(b"\x01a")[:-9]
        late = packet(5, refusal[4:])
        await bed.answer(rows + late + extra_ok(6), seen=rows + late)
        await bed.ask(query(b"select 1"))
        await bed.answer(rows)
        await bed.answer(late + extra_ok(6), seen=late)
        await bed.ask(query(b"select 1; select 2"))
        more = result(b"\x01a", status=b"\x0a\0")
        await bed.answer(more + packet(6, refusal[4:]) + extra_ok(7), seen=more + packet(6, refusal[4:]))


async def test_a_server_lost_at_rest_ends_the_lane(mode: str) -> None:
    async with open_bed(mode) as bed:
        await bed.server.aclose()

        event = await ended(bed)

        assert (event.why, event.tell_seq) == (End.SERVER_GONE, None)


@pytest.mark.parametrize("nonsense", [packet(1, b"\x01") + packet(2, b"\0"), packet(1, b""), packet(1, PLAIN_OK) * 2])
async def test_an_answer_that_is_none_ends_the_lane(mode: str, nonsense: bytes) -> None:
    async with open_bed(mode) as bed:
        await bed.ask(packet(0, b"\x0e"))
        await bed.server.send_all(nonsense)

        assert (await ended(bed)).why is End.SERVER_PROTOCOL


async def test_a_server_that_speaks_unasked_ends_the_lane(mode: str) -> None:
    async with open_bed(mode) as bed:
        await bed.server.send_all(packet(0, ERR))

        assert (await ended(bed)).why is End.SERVER_PROTOCOL


@pytest.mark.parametrize("bad", [packet(1, b"\x03select 1"), b"\0\0\0\0", b"\0\0\0\0\x03"])
async def test_a_bad_packet_of_the_client_leaves_room_for_an_error(mode: str, bad: bytes) -> None:
    async with open_bed(mode) as bed:
        await bed.client.send_all(bad)

        event = await ended(bed)

        assert (event.why, event.tell_seq) == (End.CLIENT_PROTOCOL, 1)


@pytest.mark.parametrize("command", [b"\x01", b"\x11user\0", b"\xa1", b"\x12\4\0\0\0", b"\x08"])
async def test_what_must_wait_or_be_refused_is_parked(mode: str, command: bytes) -> None:
    async with open_bed(mode) as bed:
        await bed.client.send_all(packet(0, command))

        with trio.fail_after(10):
            assert await bed.lane.events.wait() == Parked(command[0], packet(0, command))
        assert bed.reactor.sockets == 0
        bed.lane.open()
        await bed.ask(query(b"select 1"))


async def test_an_error_is_reported_back_and_the_session_goes_on(mode: str) -> None:
    async with open_bed(mode) as bed:
        await bed.ask(query(b"select x"))
        await bed.answer(packet(1, ERR) + extra_ok(2), seen=packet(1, ERR))
        await bed.ask(query(b"select 1"))

        assert bed.errnos == [1146]
        assert bed.lane.traffic.errors == 1


async def test_a_local_file_goes_up_in_pieces(mode: str) -> None:
    content = packet(2, b"line\n" * 30_000) + packet(3, b"more\n") + packet(4, b"")
    async with open_bed(mode) as bed, trio.open_nursery() as nursery:
        await bed.ask(query(b"load data local infile 'f' into table t"))
        await bed.answer(packet(1, b"\xfbf"))
        nursery.start_soon(bed.client.send_all, content)

        assert await bed.at_server(len(content)) == content
        await bed.answer(packet(5, PROXY_OK), seen=packet(5, PLAIN_OK))
        await bed.ask(query(b"select 1"))


async def test_a_refused_local_file_is_read_to_its_end(mode: str) -> None:
    async with open_bed(mode) as bed:
        await bed.ask(query(b"load data local infile 'f' into table t"))
        await bed.answer(packet(1, b"\xfbf"))
        await bed.ask(packet(2, b"line\n"))
        await bed.answer(packet(3, ERR) + extra_ok(4), seen=packet(3, ERR))
        await bed.ask(packet(3, b""))

        await bed.ask(query(b"select 1"))


@breaks_the_code
async def test_a_bug_in_a_callback_reaches_the_task_of_its_session(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_bed(mode) as bed:
        await bed.ask(query(b"select 1"))
        monkeypatch.setattr("odp_trio.wire.response.ResponseTracker.feed", lambda *_: 1 / 0)
        await bed.server.send_all(packet(1, PROXY_OK))

        event = await ended(bed)

        assert event.why is End.CRASHED
        assert isinstance(event.error, ZeroDivisionError)


async def test_draining_ends_a_lane_at_rest_at_once(mode: str) -> None:
    async with open_bed(mode) as bed:
        bed.lane.drain()

        event = await ended(bed)

        assert (event.why, event.tell_seq) == (End.DRAINED, 0)


async def test_draining_lets_a_statement_end(mode: str) -> None:
    async with open_bed(mode) as bed:
        await bed.ask(query(b"select 1"))
        bed.lane.drain()
        await bed.answer(result(b"\x01a") + extra_ok(6), seen=result(b"\x01a"))

        assert (await ended(bed)).why is End.DRAINED


async def test_draining_lets_a_transaction_end(mode: str) -> None:
    async with open_bed(mode) as bed:
        await bed.ask(query(b"begin"))
        await bed.answer(packet(1, b"\0\0\0\x23\0\0\0\0"), seen=packet(1, b"\0\0\0\x23\0\0\0"))
        bed.lane.drain()
        await bed.ask(query(b"select 1"))
        await bed.answer(
            result(b"\x01a", status=b"\x23\0") + extra_ok(6, b"\x23\0"), seen=result(b"\x01a", status=b"\x23\0")
        )
        await bed.ask(query(b"commit"))
        await bed.answer(packet(1, PROXY_OK), seen=packet(1, PLAIN_OK))

        assert (await ended(bed)).why is End.DRAINED


async def test_a_statement_that_comes_while_draining_is_told(mode: str) -> None:
    async with open_bed(mode) as bed:
        await bed.client.send_all(query(b"select 1")[:3])
        await trio.testing.wait_all_tasks_blocked()
        bed.lane._draining = True
        await bed.client.send_all(query(b"select 1")[3:])

        event = await ended(bed)

        assert (event.why, event.tell_seq) == (End.DRAINED, 1)


async def test_a_cancelled_wait_leaves_the_lane_to_be_closed(mode: str) -> None:
    async with open_bed(mode) as bed:
        with trio.move_on_after(0):
            await bed.lane.events.wait()

        await bed.ask(query(b"select 1"))
        bed.lane.close()

        assert bed.reactor.sockets == 0


@pytest.mark.parametrize("kilobytes", range(150, 300, 10))
async def test_a_command_behind_another_waits_until_the_client_has_taken_the_answer(mode: str, kilobytes: int) -> None:
    """At some of these lengths the whole answer is here, and only a part of it there."""
    async with open_bed(mode) as bed:
        first, second = query(b"select 1"), query(b"select 2")
        await bed.client.send_all(first + second)
        assert await bed.at_server(len(first)) == first
        answer = result(*[b"\xfc\xe8\x03" + b"x" * 1000] * kilobytes)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bed.server.send_all, answer + extra_ok((kilobytes + 5) & 0xFF))
            await until(lambda: bool(bed.lane.owed) or bed.lane.traffic.statements == 1)
            if bed.lane.owed:
                with pytest.raises(trio.TooSlowError), trio.fail_after(0.01):
                    await bed.at_server(1)
            assert await bed.at_client(len(answer)) == answer
        assert await bed.at_server(len(second)) == second
