"""Packets and frames of MySQL's compressed protocol: whole against in pieces, encoded against decoded."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from fuzz.cutting import Choices, outcome, pieces
from odp_trio.errors import ClientProtocolError, OutOfOrder, ProtocolError, ServerProtocolError
from odp_trio.wire.compressed import ClientCodec, Codec, CompressedReader, ServerCodec, compressed_frame
from odp_trio.wire.packets import PacketReader, packet

LIMIT = 1 << 16
_MOST_PLAIN = 1 << 18
"""Decoded bytes of one input that are looked at: a few kilobytes may hold a frame of 16 MiB."""


def one_input(data: bytes) -> None:
    """Read the same bytes as packets and as frames, of clients and of servers."""
    choices = Choices(data)
    mode, size = choices.byte(), choices.byte() % 64 + 1
    rest = choices.rest
    if mode % 4 == 0:
        _packets(rest, size)
    elif mode % 4 == 1:
        _frames(rest, size)
    elif mode % 4 == 2:
        _built_frames(choices, size)
    else:
        _coded(choices)


def _packets(data: bytes, size: int) -> None:
    for error in (ClientProtocolError, ServerProtocolError):
        at_once = _read_packets(data, error, 0)
        assert at_once == _read_packets(data, error, size)
        for seq, payload in at_once[0]:
            assert _read_packets(packet(seq, payload), error, 0) == ([(seq, payload)], None)


def _read_packets(
    data: bytes, error: type[ProtocolError], size: int
) -> tuple[list[tuple[int, bytes]], type[Exception] | None]:
    reader = PacketReader(error, LIMIT)
    found: list[tuple[int, bytes]] = []
    for piece in pieces(data, size):
        reader.feed(piece)
        while True:
            one = outcome(reader.next_packet, error, OutOfOrder)
            if isinstance(one, type):
                return found, one
            if one is None:
                break
            found.append(one)
            assert len(one[1]) <= LIMIT
        assert len(reader.buffer) <= LIMIT + 4 + len(piece), "more is held than one packet may have"
    return found, None


def _frames(data: bytes, size: int) -> None:
    makers = (lambda: ClientCodec(6), lambda: ServerCodec(0, checksum=True), lambda: ServerCodec(6, checksum=False))
    for make in makers:
        _same_decoded(make, data, size)
    assert _decode(CompressedReader(ServerProtocolError, lambda _: None), data, 0) == _decode(
        CompressedReader(ServerProtocolError, lambda _: None), data, 0
    )


def _same_decoded(make: object, data: bytes, size: int) -> None:
    assert callable(make)
    plain, error = _decode(make(), data, 0)
    cut, cut_error = _decode(make(), data, size)
    if len(plain) >= _MOST_PLAIN or len(cut) >= _MOST_PLAIN:
        return
    assert error == cut_error, f"{error} at once, {cut_error} in pieces of {size}"
    if error is None:
        assert plain == cut
    else:  # of the frame that is wrong more or less may have been given out
        shorter = min(len(plain), len(cut))
        assert plain[:shorter] == cut[:shorter]


def _decode(codec: Codec | CompressedReader, data: bytes, size: int) -> tuple[bytes, type[Exception] | None]:
    found, buffer = bytearray(), bytearray(16384)
    for piece in pieces(data, size):
        codec.feed(piece)
        while True:
            count = outcome(lambda: codec.read_into(buffer), ProtocolError)
            if isinstance(count, type):
                return bytes(found), count
            found += buffer[:count]
            if not count:
                assert not codec.pending, "bytes are said to be there, and none come"
                break
            if len(found) >= _MOST_PLAIN:
                return bytes(found), None
    return bytes(found), None


def _built_frames(choices: Choices, size: int) -> None:
    """Frames with zlib's checksums as they must be, unless the input says that they are not."""
    data = b""
    for _ in range(4):
        kind, seq, skew = choices.byte(), choices.byte(), choices.byte()
        plain = choices.piece() * (1 + kind // 16)
        if not plain:
            break
        coded = zlib.compress(plain, kind % 10)
        if skew & 1:
            coded += choices.piece(8)
        if skew & 2:
            coded = coded[: -1 - choices.byte() % 8]
        claimed = len(plain) + (choices.byte() - 128 if skew & 4 else 0)
        data += len(coded).to_bytes(3, "little") + bytes((seq,)) + (claimed & 0xFFFFFF).to_bytes(3, "little") + coded
    _same_decoded(lambda: ClientCodec(6), data, size)
    _same_decoded(lambda: ServerCodec(0, checksum=True), data, size)


def _coded(choices: Choices) -> None:
    """What one side encodes the other one decodes."""
    level, seq, size = choices.byte() % 10, choices.byte(), choices.byte()
    data = choices.rest
    if not data:
        return
    for how in (level, None):
        frame = compressed_frame(seq, data, how)
        seen: list[int] = []
        assert _decode(CompressedReader(ServerProtocolError, seen.append), frame, size) == (data, None)
        assert seen == [seq]
    codec, sent, at = ServerCodec(level, checksum=True), b"", 0
    stream = packet(0, data)
    while at < len(stream):
        taken, coded = codec.encode(stream[at : at + size + 1])
        assert taken > 0
        at += taken
        sent += coded
    assert _decode(ClientCodec(level), sent, 0) == (stream, None)


def seeds() -> Iterator[bytes]:
    """Give packets and frames of each mode."""
    yield b"\x00\x01" + packet(0, b"\x03select 1") + packet(1, b"") + packet(7, b"x" * 300)
    yield b"\x00\x05" + b"\xff\xff\xff\x00" + b"a" * 40
    for level in (None, 0, 6):
        yield b"\x01\x03" + compressed_frame(0, packet(0, b"\x03select 1" * 9), level)
        yield b"\x01\x40" + compressed_frame(1, b"a" * 70000, level)[:400]
        two = compressed_frame(1, packet(1, b"abc" * 30), level) + compressed_frame(1, packet(2, b"d" * 60), level)
        yield b"\x01\x02" + two
    yield b"\x02\x07" + b"\x16\x00\x00" + b"\x20" + b"abcdefgh" * 4 + b"\x00\x00\x01\x05\x03hey"
    yield b"\x02\x07" + b"\x16\x00\x04" + b"\x20" + b"abcdefgh" * 4 + b"\x90" + b"\x06\x01\x02\x05hello\x02"
    yield b"\x03\x00\x06\x00\x05" + b"\x03select a, b from t where a = 5" * 4
