"""Where a response ends, and what its client sees."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from odp_trio.errors import ServerProtocolError
from odp_trio.wire.command import Com
from odp_trio.wire.packets import packet
from odp_trio.wire.phases import FIRST_PHASE, PHASES, Kind, Phase
from odp_trio.wire.response import ResponseTracker
from tests.wire.answers import Generated, answers
from tests.wire.captured import Exchange, exchanges
from tests.wire.chunks import cut, every_split
from tests.wire.following import Seen, bytewise, follow, whole
from tests.wire.reference import Reader, Refused, read_answer, split

COMMANDS = range(len(exchanges("commands_proxy")))
KINDS_OF_CONNECTION = pytest.mark.parametrize(
    ("proxy", "tracks"), [(True, False), (True, True), (False, False)], ids=["proxy", "tracking", "plain"]
)


def parts_of(exchange: Exchange) -> list[bytes]:
    """Split a captured answer behind a file request."""
    first, *others = exchange.answer
    if first[4] == 0xFB:
        return [first, b"".join(others)]
    return [b"".join(exchange.answer)]


# ---- captured answers -----------------------------------------------------


@pytest.mark.parametrize("at", COMMANDS)
def test_a_client_of_a_proxy_connection_sees_what_a_plain_connection_gets(at: int) -> None:
    proxy, plain = exchanges("commands_proxy")[at], exchanges("commands_plain")[at]

    seen = follow(ResponseTracker(), proxy.request[4], parts_of(proxy))

    assert seen.client == b"".join(plain.answer)
    assert seen.ended
    assert not seen.surplus


def test_a_tracking_client_of_a_proxy_connection_sees_what_a_plain_tracking_connection_gets() -> None:
    tracker = ResponseTracker(session_track=True)
    different = []
    for proxy, tracking in zip(exchanges("commands_proxy"), exchanges("commands_tracking"), strict=True):
        seen = follow(tracker, proxy.request[4], parts_of(proxy))
        if seen.client != b"".join(tracking.answer):
            different.append((proxy.request, split(seen.client), tracking.answer))

    assert different == []


@pytest.mark.parametrize("name", ["commands_plain", "commands_tracking"])
def test_a_plain_connection_is_passed_on_as_it_is(name: str) -> None:
    tracker = ResponseTracker(extra_ok=False)
    for exchange in exchanges(name):
        seen = follow(tracker, exchange.request[4], parts_of(exchange))

        assert (seen.client, seen.ended) == (b"".join(exchange.answer), True)


@pytest.mark.parametrize("at", COMMANDS)
@pytest.mark.parametrize("name", ["commands_proxy", "commands_plain"])
def test_a_captured_answer_reads_the_same_at_every_split(name: str, at: int) -> None:
    exchange = exchanges(name)[at]
    *before, last = parts_of(exchange)
    expected = None
    for chunks in every_split(last):
        tracker = ResponseTracker(extra_ok=name == "commands_proxy")
        seen = follow(tracker, exchange.request[4], [*before, last], lambda part: chunks if part is last else [part])  # noqa: B023
        expected = expected or seen
        assert seen == expected


def test_the_ok_behind_out_parameters_is_the_clients() -> None:
    tracker, plain_tracker = ResponseTracker(), ResponseTracker(extra_ok=False)
    for proxy, plain in zip(exchanges("out_parameters_proxy"), exchanges("out_parameters_plain"), strict=True):
        assert follow(tracker, proxy.request[4], parts_of(proxy)).client == b"".join(plain.answer)
        assert follow(plain_tracker, plain.request[4], parts_of(plain)).client == b"".join(plain.answer)


def test_an_error_and_the_status_are_noted() -> None:
    by_request = {each.request[5:]: each for each in exchanges("commands_proxy")}
    tracker = ResponseTracker()

    failed = follow(tracker, Com.QUERY, parts_of(by_request[b"select nothing from t"]))

    assert (failed.errno, failed.status & 2) == (1054, 2)
    assert failed.state is not None
    assert b"ob_statement_trace_id" in failed.state.system
    changed = follow(tracker, Com.QUERY, parts_of(by_request[b"set @a=1, @b='x', autocommit=0"]))
    assert (changed.errno, changed.status & 2) == (0, 0)
    assert changed.state is not None
    assert changed.state.user == {b"a": b"1", b"b": b"'x'"}


# ---- generated answers ----------------------------------------------------


def compare(reader: Reader, tracker: ResponseTracker, answer: Generated, cuts: list[int]) -> Seen:
    expected = reader.read(answer.command, split(answer.data))
    seen = follow(tracker, answer.command, answer.parts, lambda part: cut(part, cuts))
    assert expected.ended
    assert (seen.client, seen.ended, seen.surplus) == (expected.client, True, b"")
    assert (seen.errno, seen.uploads) == (expected.errno, expected.uploads)
    if reader.extra_ok or not seen.errno:  # an ERR has no status of its own
        assert seen.status == expected.status
    return seen


@KINDS_OF_CONNECTION
@given(data=st.data(), cuts=st.lists(st.integers(0, 2000), max_size=6))
def test_generated_answers_are_seen_as_the_reference_sees_them(
    data: st.DataObject, cuts: list[int], *, proxy: bool, tracks: bool
) -> None:
    tracker = ResponseTracker(extra_ok=proxy, session_track=tracks)
    reader = Reader(proxy, tracks)

    for answer in data.draw(st.lists(answers(proxy=proxy), min_size=1, max_size=3)):
        compare(reader, tracker, answer, cuts)


@KINDS_OF_CONNECTION
@pytest.mark.parametrize("command", sorted(FIRST_PHASE), ids=lambda command: Com(command).name)
@given(data=st.data())
def test_the_answer_to_each_command_does_not_depend_on_chunks(
    data: st.DataObject, command: int, *, proxy: bool, tracks: bool
) -> None:
    answer = data.draw(answers(proxy=proxy, command=command))
    results = []
    for way in (whole, bytewise):
        tracker = ResponseTracker(extra_ok=proxy, session_track=tracks)
        results.append(follow(tracker, command, answer.parts, way))

    assert results[0] == results[1]
    assert results[0].ended


@KINDS_OF_CONNECTION
@given(data=st.data())
def test_an_answer_has_not_ended_before_its_last_byte(data: st.DataObject, *, proxy: bool, tracks: bool) -> None:
    answer = data.draw(answers(proxy=proxy))
    end = data.draw(st.integers(0, max(0, len(answer.parts[-1]) - 1)))
    tracker = ResponseTracker(extra_ok=proxy, session_track=tracks)

    seen = follow(
        tracker, answer.command, [*answer.parts[:-1], answer.parts[-1][:end]], lambda part: [part] if part else []
    )

    assert not seen.ended


# ---- broken answers -------------------------------------------------------


def outcome(proxy: bool, tracks: bool, command: int, data: bytes, chunks: list[bytes]) -> Seen | str:
    tracker = ResponseTracker(extra_ok=proxy, session_track=tracks)
    try:
        return follow(tracker, command, [data], lambda _: chunks)
    except ServerProtocolError as exc:
        return str(exc)


@KINDS_OF_CONNECTION
@given(
    command=st.sampled_from(sorted(FIRST_PHASE)),
    packets=st.lists(
        st.tuples(
            st.sampled_from([b"", b"\0", b"\xfe", b"\xff", b"\xfb", b"\1"]), st.binary(max_size=12), st.integers(-1, 1)
        ),
        max_size=6,
    ),
    cuts=st.lists(st.integers(0, 100), max_size=3),
)
@example(Com.STATISTICS, [(b"\1", b"", 0), (b"\0", b"", 0)], [])
@example(Com.QUERY, [(b"", b"", 0)], [])
def test_any_packets_give_an_answer_or_a_server_error_whatever_the_chunks(
    command: int, packets: list[tuple[bytes, bytes, int]], cuts: list[int], *, proxy: bool, tracks: bool
) -> None:
    data = b""
    for seq, (first, rest, surplus) in enumerate(packets):
        payload = first + rest
        data += max(0, len(payload) + surplus).to_bytes(3, "little") + bytes((seq + 1,)) + payload

    results = [outcome(proxy, tracks, command, data, chunks) for chunks in ([data], bytewise(data), cut(data, cuts))]

    assert results[0] == results[1] == results[2]


@KINDS_OF_CONNECTION
@given(data=st.data(), noise=st.binary(max_size=4))
def test_a_damaged_answer_is_an_answer_or_a_server_error_whatever_the_chunks(
    data: st.DataObject, noise: bytes, *, proxy: bool, tracks: bool
) -> None:
    answer = data.draw(answers(proxy=proxy))
    good = answer.data
    start, end = sorted(data.draw(st.tuples(st.integers(0, len(good)), st.integers(0, len(good)))))
    damaged = good[:start] + noise + good[min(end, start + 4) :]

    results = [outcome(proxy, tracks, answer.command, damaged, chunks) for chunks in ([damaged], bytewise(damaged))]

    assert results[0] == results[1]


@KINDS_OF_CONNECTION
@given(data=st.data())
def test_an_answer_to_another_command_is_refused_where_the_reference_refuses_it(
    data: st.DataObject, *, proxy: bool, tracks: bool
) -> None:
    answer = data.draw(answers(proxy=proxy).filter(lambda each: len(each.parts) == 1))
    command = data.draw(st.sampled_from(sorted(FIRST_PHASE)))
    try:
        expected = read_answer(command, split(answer.data), extra_ok=proxy, tracks=tracks)
    except (Refused, IndexError):
        return
    if expected.uploads:
        return

    seen = outcome(proxy, tracks, command, answer.data, [answer.data])

    if not isinstance(seen, str):
        assert (seen.client, seen.ended) == (expected.client, expected.ended)


@pytest.mark.parametrize("command", [Com.STMT_CLOSE, Com.STMT_SEND_LONG_DATA, Com.QUIT, Com.SLEEP, 0xA1, 0xFF])
def test_a_command_without_an_answer_cannot_be_begun(command: int) -> None:
    with pytest.raises(ServerProtocolError, match="has no response"):
        ResponseTracker().begin(command)


@pytest.mark.parametrize(
    ("command", "data", "what"),
    [
        (Com.QUERY, packet(1, b"\xfe\0\0\2\0"), "an EOF packet in the RESULT phase"),
        (Com.QUERY, packet(1, b""), "an empty packet in the RESULT phase"),
        (Com.QUERY, packet(1, b"\1") + packet(2, b"def") + packet(3, b"\xfe\0"), "an EOF packet without status"),
        (Com.PING, packet(1, b"\1"), "a packet beginning with 0x01 in the ACKNOWLEDGE phase"),
        (Com.STMT_PREPARE, packet(1, b"\0\1\0\0"), "a short answer to COM_STMT_PREPARE"),
        (
            Com.STMT_FETCH,
            packet(1, b"\xfe\0\0\2\0") + packet(2, b"row"),
            "a packet beginning with 0x72 in the EXTRA_OK",
        ),
    ],
)
def test_what_cannot_be_an_answer_is_named(command: int, data: bytes, what: str) -> None:
    with pytest.raises(ServerProtocolError, match=what):
        follow(ResponseTracker(), command, [data])


def test_the_tables_lead_from_every_first_phase_to_the_end() -> None:
    ends = {Phase.END, Phase.EXTRA_OK}
    for phase in Phase:
        reached = {phase}
        while not reached >= (following := {after for each in reached for after in PHASES[each].values()}):
            reached |= following
        assert phase is Phase.END or reached & ends
    assert set(PHASES) == set(Phase)
    assert all(Kind.ERR in PHASES[phase] for phase in Phase if phase not in (Phase.EXTRA_OK, Phase.END))


# ---- whole results ------------------------------------------------------------


@given(results=st.lists(answers(proxy=True, command=Com.QUERY), min_size=1, max_size=3), turns=st.data())
def test_a_whole_result_like_the_one_before_is_seen_as_when_it_is_fed(
    results: list[Generated], turns: st.DataObject
) -> None:
    quick, careful = ResponseTracker(), ResponseTracker()
    for answer in turns.draw(st.lists(st.sampled_from(results), min_size=3, max_size=8)):
        if len(answer.parts) > 1:
            continue
        buffer = bytearray(answer.data) + bytearray(turns.draw(st.binary(max_size=30)))  # what was in it before
        end = turns.draw(st.sampled_from([len(answer.data), max(len(answer.data) - 1, 1)]))
        careful.begin(Com.QUERY)
        stop = careful.feed(bytearray(buffer), 0, end)
        quick.begin(Com.QUERY)
        taken = quick.whole(buffer, end)
        if not taken:
            assert quick.pos == -1
            assert not quick.ended
            quick.feed(buffer, 0, end)
        else:
            assert taken == stop
            assert (quick.tail, quick.state) == (careful.tail, careful.state) == (b"", None)
        assert (quick.pos, quick.ended, quick.errno) == (careful.pos, careful.ended, careful.errno)
        assert quick.status == careful.status
        if not careful.ended:
            quick, careful = ResponseTracker(), ResponseTracker()


def result_of(*rows: bytes, status: int = 2) -> bytearray:
    eof = b"\xfe\0\0" + status.to_bytes(2, "little")
    payloads = [b"\x01", b"\x03def" + b"c" * 20, eof, *rows, eof, b"\0\0\0" + status.to_bytes(2, "little") + bytes(3)]
    return bytearray(b"".join(packet(number, payload) for number, payload in enumerate(payloads, 1)))


def test_a_result_is_taken_whole_when_it_has_come_twice() -> None:
    tracker = ResponseTracker()
    taken = []
    for row in (b"\x01a", b"\x02bb", b"\x03ccc"):
        answer = result_of(row)
        tracker.begin(Com.QUERY)
        taken.append(stop := tracker.whole(answer, len(answer)))
        if not stop:
            tracker.feed(answer, 0, len(answer))
        assert tracker.ended

    assert taken == [0, 0, len(answer) - 12]


@pytest.mark.parametrize(
    "other",
    [result_of(b"\x01a", b"\x01b"), result_of(b"\x01a", status=3), result_of(b"\xfe" + bytes(9)), result_of()],
    ids=["more rows", "another status", "a long value first", "no row"],
)
def test_another_result_is_not_taken_for_the_one_before(other: bytearray) -> None:
    tracker, answer = ResponseTracker(), result_of(b"\x01a")
    for _ in range(2):
        tracker.begin(Com.QUERY)
        tracker.feed(answer, 0, len(answer))

    tracker.begin(Com.QUERY)

    assert tracker.whole(answer, len(answer) - 1) == 0
    assert tracker.whole(other, len(other)) == 0
    assert tracker.pos == -1
    assert not tracker.ended
