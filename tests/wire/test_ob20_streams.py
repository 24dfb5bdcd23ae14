"""OB 2.0 as it comes: requests framed and answers taken out of their frames, whatever the chunks, whatever the damage."""

from __future__ import annotations

import contextlib
import tracemalloc

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from odp_trio.errors import ClientProtocolError, ServerProtocolError
from odp_trio.wire.compressed import CompressedReader
from odp_trio.wire.extra_info import Key, entry
from odp_trio.wire.fields import MAX_PAYLOAD
from odp_trio.wire.ob20 import HEADER_BYTES, OUTER_BYTES, SPLIT_BYTES, Flag, Frame, FrameReader, frames, header_crc
from odp_trio.wire.ob20_answers import AnswerDecoder
from odp_trio.wire.ob20_requests import RequestEncoder
from odp_trio.wire.packets import packet
from tests.wire.test_ob20 import SEEN_ANSWER, SEEN_REQUEST

ID = 0xC0041B8D
SELECT = packet(0, b"\x03select 1")
ROWS = SEEN_ANSWER[31:-4]


class Session:
    """Both sides of a server session, without a socket."""

    def __init__(self, level: int = 0) -> None:
        self.extra: list[tuple[int, bytes]] = []
        self.encoder = RequestEncoder(ID, level)
        self.decoder = AnswerDecoder(
            ID, self.encoder, lambda key, value: self.extra.append((key, value)), inner=bool(level)
        )

    def ask(self, data: bytes = SELECT) -> bytes:
        """Frame one or more whole requests."""
        coded = b""
        while data:
            frame, taken = self.encoder.encode(data)
            coded, data = coded + frame, data[taken:]
        return coded

    def read(self, data: bytes, size: int = 1 << 30) -> bytes:
        """Take an answer in chunks of ``size``."""
        found = b""
        for start in range(0, len(data), size):
            buffer = bytearray(data[start : start + size])
            found += buffer[: self.decoder.decode(buffer, 0, len(buffer))]
        return found


def answer(mysql: bytes, request: int = 1, seq: int = 1, **more: object) -> bytes:
    return frames(ID, request, seq, mysql, **more)  # type: ignore[arg-type]


# ---- requests -----------------------------------------------------------------------


def test_a_request_is_framed_as_it_was_seen() -> None:
    assert Session().ask() == SEEN_REQUEST


def test_requests_are_numbered_and_none_shares_a_frame() -> None:
    reader = FrameReader(ClientProtocolError, ID)
    reader.feed(Session().ask(SELECT + packet(0, b"\x0e") + packet(5, b"") + SELECT))

    found = [reader.next_frame() for _ in range(4)]

    assert [(f.request_id, f.seq, f.is_last, f.mysql) for f in found if f] == [
        (1, 0, True, SELECT),
        (2, 0, True, packet(0, b"\x0e")),
        (3, 0, True, packet(5, b"")),
        (4, 0, True, SELECT),
    ]


def test_request_ids_begin_anew_after_24_bits() -> None:
    session = Session()
    session.encoder.request_id = 0xFFFFFE
    session.ask()
    assert session.read(answer(ROWS, 0xFFFFFF)) == ROWS
    session.ask()
    assert session.encoder.request_id == 0
    assert session.read(answer(ROWS, 0)) == ROWS


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=4), st.integers(1, 9))
def test_a_request_may_come_in_any_pieces(payloads: list[bytes], size: int) -> None:
    data = b"".join(packet(0, b"\x03" + payload) for payload in payloads)
    encoder, reader = RequestEncoder(ID), FrameReader(ClientProtocolError, ID)
    for start in range(0, len(data), size):
        piece = data[start : start + size]
        while piece:
            frame, taken = encoder.encode(piece)
            reader.feed(frame)
            piece = piece[taken:]

    got: dict[int, bytes] = {}
    ended: list[int] = []
    while (found := reader.next_frame()) is not None:  # which checks that frames count on
        got[found.request_id] = got.get(found.request_id, b"") + found.mysql
        ended += [found.request_id] * found.is_last
    assert list(got.values()) == [packet(0, b"\x03" + payload) for payload in payloads]
    assert ended == list(got)
    assert encoder.between


@pytest.mark.parametrize("length", [SPLIT_BYTES - 4, SPLIT_BYTES - 3, MAX_PAYLOAD - 1, MAX_PAYLOAD, MAX_PAYLOAD + 1])
def test_a_long_request_is_split_and_only_its_end_is_marked(length: int) -> None:
    data = packet(0, bytes(length))
    reader = FrameReader(ClientProtocolError, ID)
    reader.feed(Session().ask(data))

    found = []
    while (frame := reader.next_frame()) is not None:
        found.append(frame)

    assert b"".join(frame.mysql for frame in found) == data
    assert [frame.is_last for frame in found] == [False] * (len(found) - 1) + [True]
    assert all(len(frame.to_bytes()) <= 0xFFFFFE for frame in found)


def test_flags_and_extra_info_go_with_the_first_frame() -> None:
    encoder, reader = RequestEncoder(ID), FrameReader(ClientProtocolError, ID)
    info = entry(Key.TRACE_INFO, b"client_ip=127.0.0.1")
    frame, taken = encoder.encode(SELECT[:6], int(Flag.FREE_ROUTE), info)
    reader.feed(frame + encoder.encode(SELECT[taken:])[0])

    first, second = reader.next_frame(), reader.next_frame()

    assert first
    assert second
    assert first.flags == Flag.FREE_ROUTE | Flag.EXTRA_INFO | Flag.NEW_EXTRA_INFO
    assert dict(first.extra) == {Key.TRACE_INFO: b"client_ip=127.0.0.1"}
    assert (second.flags, second.mysql) == (Flag.LAST, SELECT[6:])


# ---- answers ------------------------------------------------------------------------


def test_an_answer_as_it_was_seen() -> None:
    session = Session()
    session.ask()

    assert session.read(SEEN_ANSWER) == ROWS
    assert session.decoder.flags == Flag.LAST


@given(
    st.lists(st.tuples(st.binary(max_size=200), st.dictionaries(st.integers(1, 9), st.binary(max_size=9), max_size=2)),
             min_size=1, max_size=5),
    st.integers(1, 60),
)  # fmt: skip
@example([(b"", {}), (b"x", {1: b"one"}), (b"", {2: b""})], 1)
def test_answers_come_out_whatever_the_chunks(pieces: list[tuple[bytes, dict[int, bytes]]], size: int) -> None:
    session = Session()
    session.ask()
    data = b"".join(
        Frame(ID, 1, 1 + at, int(Flag.LAST) if at == len(pieces) - 1 else 0, mysql, extra).to_bytes()
        for at, (mysql, extra) in enumerate(pieces)
    )

    assert session.read(data, size) == b"".join(mysql for mysql, _ in pieces)
    assert session.extra == [item for _, extra in pieces for item in extra.items()]
    assert session.decoder.over


@given(st.lists(st.integers(1, 80), min_size=1, max_size=8), st.integers(0, 3))
def test_where_it_is_written_to_does_not_matter(sizes: list[int], shift: int) -> None:
    session, found, at = Session(), b"", 0
    session.ask()
    data = answer(b"ab" * 70, extra={5: b"five"})
    while at < len(data):
        size = sizes[at % len(sizes)]
        buffer = bytearray(bytes(shift) + data[at : at + size] + b"behind")
        stop = session.decoder.decode(buffer, shift, len(buffer) - 6)
        assert buffer[:shift] == bytes(shift)
        assert buffer.endswith(b"behind")
        found, at = found + buffer[shift:stop], at + size

    assert found == b"ab" * 70


def test_an_answer_is_never_over_before_its_last_frame_was_checked() -> None:
    """The last byte waits for the checksum, and of a frame that is not the last one for what goes on."""
    session = Session()
    session.ask()
    first = Frame(ID, 1, 1, 0, b"all of it").to_bytes()
    last = Frame(ID, 1, 2, int(Flag.LAST), b"", {7: b"seven"}).to_bytes()

    assert session.read(first) == b"all of i"
    for at in range(len(last) - 1):
        assert session.read(last[at : at + 1]) == b""
    assert not session.extra
    assert session.read(last[-1:]) == b"t"
    assert session.extra == [(7, b"seven")]


def test_bytes_of_a_long_frame_come_out_before_it_is_whole_and_nothing_is_kept() -> None:
    session = Session()
    session.ask()
    data = answer(bytes(8 << 20))
    tracemalloc.start()
    out = 0
    for start in range(0, len(data) - 65536, 65536):
        buffer = bytearray(data[start : start + 65536])
        out += session.decoder.decode(buffer, 0, len(buffer))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert out >= len(data) - 2 * 65536 - 40
    assert peak < 4 * 65536


def test_extra_info_of_the_form_without_types_is_skipped() -> None:
    session = Session()
    session.ask()

    assert session.read(Frame(ID, 1, 1, int(Flag.LAST), ROWS, old_extra=b"\x16\x04old").to_bytes()) == ROWS
    assert session.extra == []


def header(data: bytes, at: int, value: bytes) -> bytes:
    """Change bytes of a frame's header, and its checksum."""
    changed = data[:at] + value + data[at + len(value) :]
    return changed[:29] + header_crc(changed[:29]).to_bytes(2, "little") + changed[31:]


WRONG = {
    "magic": (header(SEEN_ANSWER, 7, b"\xac"), "no OB 2.0 frame"),
    "version": (header(SEEN_ANSWER, 9, b"\x15"), "version 21"),
    "connection id": (header(SEEN_ANSWER, 11, b"\x8e"), "on connection"),
    "request id before": (header(SEEN_ANSWER, 15, b"\x00"), "an answer to request 0"),
    "request id behind": (header(SEEN_ANSWER, 15, b"\x02"), "an answer to request 2"),
    "number": (header(SEEN_ANSWER, 18, b"\x02"), "frame 2 of request 1, expected 1"),
    "outer length": (header(SEEN_ANSWER, 0, b"\xa4"), "a frame of 164 bytes"),
    "payload length": (header(SEEN_ANSWER, 19, b"\x86"), "with a payload of 134"),
    "compressed": (header(SEEN_ANSWER, 4, b"\x86"), "which was not agreed on"),
    "header checksum": (SEEN_ANSWER[:29] + b"\x4d" + SEEN_ANSWER[30:], "header checksum 0x5f4d"),
    "payload checksum": (SEEN_ANSWER[:-1] + b"\xa4", "payload checksum 0xa457609f"),
    "payload": (SEEN_ANSWER[:40] + b"\0" + SEEN_ANSWER[41:], "payload checksum"),
    "extra info too long": (header(SEEN_ANSWER, 23, b"\x03"), "extra info of"),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("size", [1, 33, 1 << 20])
def test_what_is_wrong_is_refused(what: str, size: int) -> None:
    data, message = WRONG[what]
    session = Session()
    session.ask()

    with pytest.raises(ServerProtocolError, match=message):
        session.read(data, size)


def test_an_answer_that_nobody_asked_for_is_refused() -> None:
    with pytest.raises(ServerProtocolError, match="an answer to request 1"):
        Session().read(SEEN_ANSWER)
    session = Session()
    session.ask()
    session.read(SEEN_ANSWER)
    with pytest.raises(ServerProtocolError, match="an answer to request 1"):
        session.read(SEEN_ANSWER)


def test_a_gap_in_the_frames_of_an_answer_is_refused() -> None:
    session = Session()
    session.ask()
    session.read(Frame(ID, 1, 1, 0, b"a").to_bytes())

    with pytest.raises(ServerProtocolError, match="expected 2 of 1"):
        session.read(Frame(ID, 1, 3, int(Flag.LAST), b"b").to_bytes())


def test_a_file_may_be_refused_in_the_midst_of_it() -> None:
    session = Session()
    session.ask(packet(2, b"1,one\n") + packet(3, b"two\n") + packet(4, b""))

    assert session.read(answer(b"refused", 2)) == b"refused"
    with pytest.raises(ServerProtocolError):
        session.read(answer(b"again", 2))


@given(st.binary(max_size=400), st.integers(1, 50))
def test_any_bytes_give_mysql_bytes_or_the_error(data: bytes, size: int) -> None:
    for before in (b"", SEEN_ANSWER[:20], SEEN_ANSWER[:-30]):
        session = Session()
        session.ask()
        with contextlib.suppress(ServerProtocolError):
            session.read(before + data, size)


@given(st.integers(0, len(SEEN_ANSWER) - 1), st.integers(1, 255), st.integers(1, 200))
def test_one_wrong_byte_is_always_found(at: int, change: int, size: int) -> None:
    assume(at != 3)  # the outer number repeats the inner one
    damaged = bytearray(SEEN_ANSWER)
    damaged[at] ^= change
    session = Session()
    session.ask()
    try:
        found = session.read(bytes(damaged), size)
    except ServerProtocolError:
        return
    assert not session.decoder.over  # longer than it was: the rest has not come
    assert len(found) < len(ROWS)


# ---- inside zlib --------------------------------------------------------------------


def inflated(data: bytes) -> bytes:
    reader, buffer, found = CompressedReader(ServerProtocolError, lambda seq: None), bytearray(5000), b""
    reader.feed(data)
    while count := reader.read_into(buffer):
        found += buffer[:count]
    return found


@pytest.mark.parametrize("sql", [b"select 1", b"select " + b"1," * 100 + b"1"])
def test_a_compressed_request_is_one_frame_whose_checksum_covers_no_outer_header(sql: bytes) -> None:
    coded = Session(6).ask(packet(0, b"\x03" + sql))
    inner = inflated(coded)

    assert OUTER_BYTES + int.from_bytes(coded[:3], "little") == len(coded)
    assert int.from_bytes(coded[4:7], "little") == (0 if len(sql) < 20 else len(inner))
    assert header_crc(inner[:22]) == int.from_bytes(inner[22:24], "little")
    assert inner[HEADER_BYTES:-4] == packet(0, b"\x03" + sql)


def test_a_long_request_is_compressed_in_pieces_that_do_not_keep_the_loop() -> None:
    session = Session(1)
    data, taken = packet(0, bytes(300_000)), []
    while data:
        frame, count = session.encoder.encode(data)
        assert inflated(frame)[11] == len(taken)
        taken.append(count)
        data = data[count:]

    assert taken == [65536] * 4 + [300_004 - 4 * 65536]


@given(st.integers(1, 100))
def test_an_inner_answer_comes_out_whatever_the_chunks(size: int) -> None:
    session = Session(6)
    session.ask()
    inner = bytearray(answer(ROWS, extra={4: b"four"})[OUTER_BYTES:])
    inner[22:24] = header_crc(bytes(inner[:22])).to_bytes(2, "little")

    assert session.read(bytes(inner), size) == ROWS
    assert session.extra == [(4, b"four")]
