"""OB 2.0: frames whole against byte by byte, two readers against each other, extra info and shared session info."""

from __future__ import annotations

from collections.abc import Iterator

from fuzz.cutting import Choices, outcome, pieces
from odp_trio.errors import ServerProtocolError
from odp_trio.state.session_info import ServerInfo, SharedInfo
from odp_trio.wire.extra_info import Key, entries, entry, is_lock_session, write_entries
from odp_trio.wire.ob20 import HEADER_BYTES, OUTER_BYTES, TAIL_BYTES, Flag, Frame, FrameReader, frames
from odp_trio.wire.ob20_answers import AnswerDecoder
from odp_trio.wire.ob20_requests import RequestEncoder
from odp_trio.wire.packets import packet

CONNECTION = 0x01020304
_PING = packet(0, b"\x0e")
Decoded = tuple[bytes, list[tuple[int, bytes]], bool, int]


def one_input(data: bytes) -> None:
    """Read bytes as frames of an answer, as extra info, and as a request that is to be framed."""
    choices = Choices(data)
    mode, size = choices.byte(), choices.byte() % 32 + 1
    if mode % 4 == 0:
        _answer(choices.rest, size, inner=bool(mode & 4))
    elif mode % 4 == 1:
        _answer(_built(choices), size, inner=False)
    elif mode % 4 == 2:
        _extra_info(choices.rest)
    else:
        _request(choices, size)


def _answer(data: bytes, size: int, *, inner: bool) -> None:
    at_once = outcome(lambda: _decode(data, 0, inner=inner), ServerProtocolError)
    for cut in (1, size):
        found = outcome(lambda cut=cut: _decode(data, cut, inner=inner), ServerProtocolError)  # type: ignore[misc]
        assert found == at_once
    if isinstance(at_once, type) or inner:
        return
    whole = outcome(lambda: _read(data), ServerProtocolError)
    assert not isinstance(whole, type), "one reader takes what the other one refuses"
    mysql, _, over, _ = at_once
    assert whole.startswith(mysql)
    assert not over or len(whole) == len(mysql)


def _decode(data: bytes, size: int, *, inner: bool) -> Decoded:
    """Decode the answer to a ping; return bytes, extra info, whether it is over, the last flags."""
    requests = RequestEncoder(CONNECTION)
    requests.encode(_PING)
    extra: list[tuple[int, bytes]] = []
    decoder = AnswerDecoder(CONNECTION, requests, lambda key, value: extra.append((key, value)), inner=inner)
    found = b""
    for piece in pieces(data, size):
        buffer = bytearray(b"#" + piece + b"#")
        stop = decoder.decode(buffer, 1, 1 + len(piece))
        assert 1 <= stop <= 1 + len(piece), "more comes out than goes in"
        assert buffer[0] == buffer[-1] == ord("#")
        found += buffer[1:stop]
    return found, extra, decoder.over, decoder.flags if decoder.over else 0


def _read(data: bytes) -> bytes:
    reader = FrameReader(ServerProtocolError, CONNECTION)
    reader.feed(data)
    found = b""
    while (frame := reader.next_frame()) is not None:
        found += frame.mysql
        one = FrameReader(ServerProtocolError, CONNECTION)
        one.feed(frame.to_bytes())
        again = one.next_frame()
        assert again is not None
        assert again.mysql == frame.mysql
        assert again.extra == frame.extra
    head = OUTER_BYTES + HEADER_BYTES
    if len(reader.buffer) > head:  # a frame that is cut, of which the other reader gives out what has come
        found += _beginning(bytes(reader.buffer))
    return found


def _beginning(cut: bytes) -> bytes:
    """Return the MySQL bytes of a frame that is cut, as far as they have come."""
    start = OUTER_BYTES + HEADER_BYTES
    flags = int.from_bytes(cut[start - 8 : start - 4], "little")
    size = int.from_bytes(cut[:3], "little") - HEADER_BYTES - TAIL_BYTES
    payload = cut[start : start + size]
    if flags & Flag.EXTRA_INFO:
        payload = payload[4 + int.from_bytes(payload[:4], "little") :] if len(payload) >= 4 else b""
    return payload


def _built(choices: Choices) -> bytes:
    """Frames with checksums as they must be."""
    found = b""
    for _ in range(3):
        flags, seq, request = choices.number(1), choices.byte(), choices.byte()
        info, mysql = choices.piece(), choices.piece()
        if not choices.left and not mysql:
            break
        extra = {choices.number(): info} if info and flags & Flag.NEW_EXTRA_INFO else {}
        frame = Frame(CONNECTION, request, seq, flags, mysql, extra, b"" if extra else info)
        found += frame.to_bytes()
    return found


def _extra_info(data: bytes) -> None:
    found = outcome(lambda: list(entries(data)), ServerProtocolError)
    outcome(lambda: is_lock_session(data), ServerProtocolError)
    shared = SharedInfo()
    first, second = ServerInfo(shared), ServerInfo(shared)
    taken = outcome(lambda: first.arrived(data), ServerProtocolError)
    if isinstance(found, type):
        assert found == taken
        return
    assert write_entries(found) == data
    kept = dict(found)
    assert shared.size == sum(map(len, kept.values()))
    assert first.outgoing() == b""
    assert dict(entries(second.outgoing())) == kept
    second.refused()
    assert dict(entries(second.outgoing())) == kept
    assert second.outgoing() == b""


def _request(choices: Choices, size: int) -> None:
    """A run of packets, cut anywhere, comes out of the frames as it went in."""
    level = 6 if choices.flag() else 0
    info = entry(Key.SESS_INFO, choices.piece()) if choices.flag() else b""
    stream = b""
    while choices.left:
        stream += packet(choices.byte(), choices.piece())
    encoder = RequestEncoder(CONNECTION, level)
    reader, found, at = FrameReader(ServerProtocolError, CONNECTION), b"", 0
    while at < len(stream):
        piece = stream[at : at + size * 8]
        coded, taken = encoder.encode(piece, 0, info if encoder.between else b"")
        assert 0 < taken <= len(piece)
        at += taken
        if not level:
            reader.feed(coded)
            frame = reader.next_frame()
            assert frame is not None
            assert frame.request_id == encoder.request_id
            assert frame.is_last == encoder.between or not frame.is_last
            found += frame.mysql
    assert level or found == stream
    assert encoder.between


def seeds() -> Iterator[bytes]:
    """Give frames of each kind, with checksums and without."""
    ok = packet(1, b"\0\0\0\x02\0\0\0")
    extras: tuple[dict[int, bytes], ...] = (
        {},
        {Key.FULL_TRC: b"abc"},
        {Key.SESS_INFO: write_entries([(4, b"xyz"), (9, b"")])},
    )
    for extra in extras:
        whole = frames(CONNECTION, 1, 1, ok, extra=extra)
        yield b"\x00\x03" + whole
        yield b"\x00\x02" + _unchecked(whole)
        yield b"\x04\x02" + _unchecked(whole)[OUTER_BYTES:]
    split = Frame(CONNECTION, 1, 1, 0, ok[:5]).to_bytes() + Frame(CONNECTION, 1, 2, Flag.LAST, ok[5:]).to_bytes()
    yield b"\x00\x03" + split
    yield b"\x00\x03" + _unchecked(split)
    yield b"\x01\x03" + b"\x02\x01\x01\x00\x0b" + ok
    yield b"\x01\x03" + b"\x0a\x01\x01\x03abc\x0b" + ok + b"\xd3\x07"
    yield b"\x02\x00" + write_entries([(1, b"abc"), (2, b""), (4, b"x" * 30)])
    yield b"\x02\x00" + entry(0, b"1")
    yield b"\x03\x05\x00\x00" + b"\x00\x05\x03abcd\x00\x03\x0eab"
    yield b"\x03\x01\x00\x01\x04info" + b"\x00\x05\x03abcd"


def _unchecked(data: bytes) -> bytes:
    """Set the header checksum and the tail of each frame to zero: not to be checked."""
    found, at = b"", 0
    while at < len(data):
        length = OUTER_BYTES + int.from_bytes(data[at : at + 3], "little")
        frame = data[at : at + length]
        head = OUTER_BYTES + HEADER_BYTES
        found += frame[: head - 2] + b"\0\0" + frame[head:-TAIL_BYTES] + bytes(TAIL_BYTES)
        at += length
    return found
