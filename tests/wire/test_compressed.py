"""Compressed frames: known ones, any split, any damage, numbers, and bombs."""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odp_trio.errors import ClientProtocolError, OutOfOrder, ProtocolError, ServerProtocolError
from odp_trio.wire.compressed import (
    FRAME_BYTES,
    ClientCodec,
    Codec,
    CompressedReader,
    ServerCodec,
    compressed_frame,
)
from odp_trio.wire.fields import MAX_PAYLOAD
from odp_trio.wire.packets import packet
from tests.wire.chunks import cut, every_split

SELECT_1 = packet(0, b"\x03select 1")
SEEN_REQUEST = bytes.fromhex("150000000d0000 789ce3646060602e4ecd494d2e5130040 00ed202de".replace(" ", ""))
ROW = bytes.fromhex(
    "0100000101 170000020364656600000001 31000c3f001400000008810000 0000 05000003fe00000200 020000040131"
)
OK = bytes.fromhex("05000005fe00000200 080000060000002200000000")
SEEN_ANSWER = compressed_frame(1, ROW, 0) + compressed_frame(1, OK, 0)
PING = packet(0, b"\x0e")
CLOSE = packet(0, b"\x19\1\0\0\0")


def read(codec: Codec | CompressedReader, chunks: list[bytes], room: int = 65536) -> bytes:
    """Feed chunks and read all there is after each."""
    found, buffer = bytearray(), bytearray(room)
    for chunk in chunks:
        codec.feed(chunk)
        while count := codec.read_into(buffer):
            found += buffer[:count]
        assert not codec.pending
    return bytes(found)


def write(codec: Codec, data: bytes) -> list[bytes]:
    """Encode all of ``data``; return the frames."""
    frames, view = [], memoryview(data)
    while view:
        taken, coded = codec.encode(view)
        assert 0 < taken <= len(view)
        view = view[taken:]
        if coded:
            frames.append(coded)
    return frames


def anything(_: int) -> None:
    """Any number of a frame will do."""


def reader() -> CompressedReader:
    return CompressedReader(ServerProtocolError, anything)


def with_header(seq: int, body: bytes, plain: int) -> bytes:
    return len(body).to_bytes(3, "little") + bytes((seq,)) + plain.to_bytes(3, "little") + body


# ---- frames --------------------------------------------------------------------------


def test_frames_that_were_seen() -> None:
    assert zlib.decompress(SEEN_REQUEST[7:]) == SELECT_1
    assert SEEN_ANSWER[:14].hex() == "3a0000012f000078010 12f00d0ff".replace(" ", "")
    for chunks in every_split(SEEN_REQUEST):
        assert read(reader(), chunks) == SELECT_1
    for chunks in every_split(SEEN_ANSWER):
        assert read(reader(), chunks) == ROW + OK


@given(st.lists(st.binary(min_size=1, max_size=400), max_size=6), st.data())
def test_what_was_written_is_read_whatever_the_pieces_and_the_room(pieces: list[bytes], data: st.DataObject) -> None:
    levels = st.sampled_from([None, 0, 1, 9])
    coded = b"".join(compressed_frame(at, piece, data.draw(levels)) for at, piece in enumerate(pieces))
    points = data.draw(st.lists(st.integers(0, 2000), max_size=8))

    assert read(reader(), cut(coded, points), data.draw(st.integers(1, 500))) == b"".join(pieces)


def test_frames_of_16_mib() -> None:
    plain = b"0123456789abcdef" * (1 << 20)

    for level in (None, 1):
        coded = compressed_frame(0, plain[:MAX_PAYLOAD], level)
        found = reader()
        assert read(found, cut(coded, list(range(0, len(coded), 100_000)))) == plain[:MAX_PAYLOAD]


@given(st.binary(min_size=1, max_size=300), st.integers(0, 9))
def test_zlib_takes_what_is_written(data: bytes, level: int) -> None:
    for size in (1, 7, 300):  # of the little and of the large ones, of one block and of several
        plain = (data * size)[: FRAME_BYTES if size == 300 else None]
        frame = compressed_frame(0, plain, level)
        assert zlib.decompress(frame[7:]) == plain
        assert int.from_bytes(frame[:3], "little") == len(frame) - 7
    assert zlib.decompress(compressed_frame(0, bytes(FRAME_BYTES), 0)[7:]) == bytes(FRAME_BYTES)


@given(st.binary(max_size=200))
def test_any_bytes_give_something_or_a_protocol_error(data: bytes) -> None:
    for codec in (reader(), ClientCodec(6), ServerCodec(0, checksum=True)):
        try:
            assert len(read(codec, [data])) < 1 << 20
        except ProtocolError:
            continue


@given(st.integers(0, len(SEEN_ANSWER) - 1), st.integers(1, 255))
def test_a_changed_byte_is_noticed_or_changes_nothing(at: int, change: int) -> None:
    """Numbers are for others to check; all else is: by lengths, by zlib, by its checksum."""
    damaged = bytearray(SEEN_ANSWER)
    damaged[at] ^= change
    try:
        found = read(reader(), [bytes(damaged)])
    except ServerProtocolError:
        return
    # A number, or a length that has grown: then more is waited for.
    assert at in (3, 68) or not (ROW + OK).startswith(found) or len(found) < len(ROW + OK)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda _, size: with_header(0, b"", size), "no bytes"),
        (lambda _, size: with_header(0, b"nonsense", size), "zlib"),
        (lambda plain, size: with_header(0, zlib.compress(plain)[:-1] + b"\x55", size), "zlib"),
        (lambda plain, size: with_header(0, zlib.compress(plain + b"!"), size), "more than its header says"),
        (lambda plain, size: with_header(0, zlib.compress(plain * 3), size), "more than its header says"),
        (lambda plain, size: with_header(0, zlib.compress(plain[1:]), size), "1 bytes missing"),
        (lambda plain, size: with_header(0, zlib.compress(plain) + b"xy", size), "2 bytes behind"),
        (lambda plain, size: with_header(0, zlib.compress(plain)[:-2], size), "cut"),
        (lambda _, size: with_header(0, zlib.compress(b""), size), r"\d bytes missing"),
    ],
)
@pytest.mark.parametrize("size", [5, FRAME_BYTES + 1])
def test_what_is_wrong_is_named_however_it_comes(damage: Callable[[bytes, int], bytes], says: str, size: int) -> None:
    coded = damage(b"x" * size, size)
    for chunks in every_split(coded):
        with pytest.raises(ServerProtocolError, match=says):
            read(reader(), chunks)


def test_nothing_is_read_of_a_frame_whose_checksum_is_wrong() -> None:
    good = compressed_frame(1, b"good" * 8192, 0)
    found, buffer = reader(), bytearray(65536)
    found.feed(good + good[:-1] + bytes((good[-1] ^ 1,)))
    with pytest.raises(ServerProtocolError, match="incorrect data check"):
        while found.read_into(buffer):
            pass
    assert bytes(buffer) == b"good" * 8192 + bytes(32768)


@pytest.mark.parametrize("size", [10, 100_000])
def test_nothing_of_a_wrong_frame_is_read_behind_its_fault(size: int) -> None:
    found, buffer = reader(), bytearray(2 * size)
    found.feed(with_header(0, zlib.compress(b"x" * 2 * size), size))
    with pytest.raises(ServerProtocolError, match="more"):
        while found.read_into(buffer):
            pass
    assert bytes(buffer[size:]) == bytes(size)


def test_a_bomb_takes_no_more_memory_than_is_asked_for() -> None:
    """16 MiB out of 16 KiB, read 4 KiB at a time; and one whose header is a lie."""
    bomb = with_header(0, zlib.compress(bytes(MAX_PAYLOAD), 9), MAX_PAYLOAD)
    liar = with_header(0, zlib.compress(bytes(32 << 20), 9), 1000)
    assert len(bomb) < 20_000
    buffer = bytearray(4096)
    tracemalloc.start()
    found, count = reader(), 0
    found.feed(bomb)
    while size := found.read_into(buffer):
        count += size
    lied = reader()
    lied.feed(liar)
    with pytest.raises(ServerProtocolError, match="more than its header"):
        while lied.read_into(buffer):
            pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == MAX_PAYLOAD
    assert peak < 400_000 + len(liar)


# ---- the client's leg -------------------------------------------------------------------


def test_a_commands_frames_are_counted_and_the_answer_goes_on_from_them() -> None:
    codec = ClientCodec(6)
    assert read(codec, [compressed_frame(0, b"ab", None), compressed_frame(1, b"cd", 6)]) == b"abcd"
    answer = write(codec, bytes(2 * FRAME_BYTES))
    assert [frame[3] for frame in answer] == [2, 3]
    assert read(codec, [compressed_frame(4, b"upload", None)]) == b"upload"
    assert write(codec, b"ok")[0][3] == 5
    assert read(codec, [compressed_frame(0, b"next", None)]) == b"next"
    assert write(codec, b"ok")[0][3] == 1


def test_numbers_of_frames_go_round() -> None:
    codec = ClientCodec(1)
    assert read(codec, [compressed_frame(at & 0xFF, b"x", None) for at in range(600)]) == b"x" * 600
    assert write(codec, b"ok")[0][3] == 600 & 0xFF


@pytest.mark.parametrize("numbers", [(1,), (0, 2), (0, 1, 3), (0, 255)])
def test_a_client_that_counts_wrongly_is_told(numbers: tuple[int, ...]) -> None:
    with pytest.raises(OutOfOrder, match="expected, got"):
        read(ClientCodec(6), [compressed_frame(number, b"x", None) for number in numbers])


def test_a_small_answer_is_not_compressed_and_a_large_one_is() -> None:
    codec = ClientCodec(9)
    assert write(codec, b"x" * 49) == [with_header(0, b"x" * 49, 0)]
    large = write(codec, b"x" * 50)[0]
    assert large[4:7] == b"\x32\0\0"
    assert zlib.decompress(large[7:]) == b"x" * 50


@given(st.binary(min_size=1, max_size=300_000), st.integers(0, 9))
def test_a_client_reads_what_it_was_answered(data: bytes, level: int) -> None:
    assert read(reader(), write(ClientCodec(level), data)) == data


def test_a_wrong_frame_of_a_client_is_the_clients_fault() -> None:
    with pytest.raises(ClientProtocolError):
        read(ClientCodec(6), [with_header(0, b"nonsense", 5)])


# ---- the server's leg ---------------------------------------------------------------------


def server(level: int = 0, *, checksum: bool = True) -> ServerCodec:
    return ServerCodec(level, checksum=checksum)


def numbers(codec: ServerCodec, data: bytes) -> list[int]:
    return [frame[3] for frame in write(codec, data)]


def answer(*frames: int, level: int | None = 0) -> list[bytes]:
    return [compressed_frame(number, b"x", level) for number in frames]


def test_requests_have_a_checksum_at_level_0() -> None:
    assert write(server(), SELECT_1) == [with_header(0, zlib.compress(SELECT_1, 0), len(SELECT_1))]
    assert write(server(checksum=False), SELECT_1) == [with_header(0, SELECT_1, 0)]
    for checksum in (True, False):
        (frame,) = write(server(6, checksum=checksum), SELECT_1)
        assert frame[3:7] == SEEN_REQUEST[3:7]
        assert zlib.decompress(frame[7:]) == SELECT_1


def test_the_checksum_is_switched_as_the_server_does() -> None:
    codec = server()
    write(codec, SELECT_1)
    read(codec, answer(1, 1, level=None))
    assert write(codec, SELECT_1) == [with_header(0, SELECT_1, 0)]
    read(codec, answer(1, 1, level=0))
    assert write(codec, SELECT_1)[0][4:7] == b"\x0d\0\0"


def test_every_command_begins_at_0_and_a_frame_ends_with_its_packet() -> None:
    codec = server()
    assert [len(frame) for frame in write(codec, CLOSE + SELECT_1)] == [7 + 9 + 11, 7 + 13 + 11]
    assert numbers(codec, CLOSE + CLOSE + PING) == [0, 0, 0]
    long = packet(0, b"\x03" + bytes(MAX_PAYLOAD + 10))
    frames = write(codec, long)
    assert [frame[3] for frame in frames] == [at & 0xFF for at in range(len(frames))]
    assert read(reader(), frames) == long


@given(st.lists(st.integers(0, 200), max_size=20))
def test_requests_come_out_as_they_went_in_however_they_are_cut(points: list[int]) -> None:
    codec = server(checksum=False)
    commands = CLOSE + SELECT_1 + packet(0, b"\x03" + b"y" * 90)
    frames = [frame for piece in cut(commands, points) for frame in write(codec, piece)]

    assert read(reader(), frames) == commands
    starts = [0, len(CLOSE), len(CLOSE) + len(SELECT_1), len(commands)]
    begun = [sum(len(frame) - 7 for frame in frames[:at]) for at, frame in enumerate(frames) if not frame[3]]
    assert begun == starts[:3]


@pytest.mark.parametrize(
    "frames",
    [(0,), (1, 1), (1, 2, 3, 3), (1, 2, 3, 0), [*range(1, 256), *range(100), 99], [*range(1, 256), 0, 0]],
)
def test_answers_that_count_as_servers_do(frames: list[int]) -> None:
    codec = server()
    for _ in range(2):
        assert numbers(codec, SELECT_1) == [0]
        assert read(codec, answer(*frames)) == b"x" * len(frames)


@pytest.mark.parametrize("frames", [(2,), (1, 3), (1, 2, 4), (255,), (1, 2, 1)])
def test_an_answer_with_a_gap_is_refused(frames: tuple[int, ...]) -> None:
    codec = server()
    numbers(codec, SELECT_1)
    with pytest.raises(ServerProtocolError, match="expected, got"):
        read(codec, answer(*frames))


def test_a_frame_behind_the_last_one_is_refused() -> None:
    codec = server()
    numbers(codec, SELECT_1)
    with pytest.raises(ServerProtocolError, match="behind the last one"):
        read(codec, answer(1, 1, 2))


def test_a_command_is_not_sent_into_an_answer() -> None:
    codec = server()
    numbers(codec, SELECT_1)
    read(codec, answer(1, 2))
    with pytest.raises(ServerProtocolError, match="missing"):
        codec.encode(SELECT_1)


def test_a_long_command_is_answered_from_1_or_from_its_own_number() -> None:
    for frames in ((1, 2, 2), (4, 5, 3), (3,), (0,)):
        codec = server()
        assert numbers(codec, packet(0, b"\x03" + bytes(FRAME_BYTES * 3))) == [0, 1, 2, 3]
        read(codec, answer(*frames))
        assert numbers(codec, PING) == [0]


def test_an_upload_goes_on_from_the_request_for_it() -> None:
    codec = server()
    assert numbers(codec, SELECT_1) == [0]
    read(codec, answer(0))
    upload = [packet(seq & 0xFF, b"1,a\n") for seq in range(2, 700)]
    assert [number for each in upload for number in numbers(codec, each)] == [at & 0xFF for at in range(1, 699)]
    assert numbers(codec, packet(700 & 0xFF, b"")) == [699 & 0xFF]
    read(codec, answer(699 & 0xFF))
    assert numbers(codec, PING) == [0]


def test_a_password_that_is_asked_for_goes_on_from_the_question() -> None:
    codec = server()
    numbers(codec, packet(0, b"\x11user"))
    read(codec, answer(1))
    assert numbers(codec, packet(2, b"token")) == [2]
    read(codec, answer(2))
    assert numbers(codec, PING) == [0]
