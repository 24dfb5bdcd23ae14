"""What a client sends once it is in: where requests end, COM_STMT_EXECUTE and its values, long data."""

from __future__ import annotations

from collections.abc import Iterator

from fuzz.cutting import Choices, outcome, pieces
from odp_trio.errors import ClientProtocolError
from odp_trio.state.prepared import LongData
from odp_trio.wire.command import RequestTracker, command_name, first_packet_end, is_too_short
from odp_trio.wire.packets import packet
from odp_trio.wire.parameters import head_bytes, parse_execute, read_values, with_types
from tests.wire.captured import exchanges

_ENCODINGS = ("utf-8", "gb18030", "latin-1", "ascii")


def one_input(data: bytes) -> None:
    """Read bytes as a stream of commands, and as the parameters of one."""
    choices = Choices(data)
    mode, size = choices.byte(), choices.byte() % 32 + 1
    if mode % 2:
        _execute(choices)
    else:
        _requests(choices.rest, size, upload=bool(mode & 2), seq=mode >> 2)


def _requests(data: bytes, size: int, *, upload: bool, seq: int) -> None:
    at_once = outcome(lambda: _follow(data, 0, upload=upload, seq=seq), ClientProtocolError)
    assert outcome(lambda: _follow(data, 1, upload=upload, seq=seq), ClientProtocolError) == at_once
    assert outcome(lambda: _follow(data, size, upload=upload, seq=seq), ClientProtocolError) == at_once
    if data:
        command_name(data[0])
    if len(data) >= 4:
        assert 0 < first_packet_end(data) <= len(data)
    outcome(lambda: is_too_short(data, size), ClientProtocolError)


def _follow(data: bytes, size: int, *, upload: bool, seq: int) -> tuple[list[int], bool]:
    """Return where requests end, and whether the last one is whole."""
    tracker, done = RequestTracker(), 0
    ends: list[int] = []
    begun = False
    for piece in pieces(data, size):
        at = 0
        while at < len(piece):
            if not begun:
                if upload and not ends:
                    tracker.begin_upload(seq)
                else:
                    tracker.begin()
                begun = True
            stop = tracker.feed(piece, at, len(piece))
            assert at < stop <= len(piece), "the tracker stands still"
            done += stop - at
            at = stop
            if tracker.complete:
                ends.append(done)
                begun = False
    return ends, tracker.complete


def _execute(choices: Choices) -> None:
    count, encoding = choices.number() % 300, _ENCODINGS[choices.byte() % len(_ENCODINGS)]
    known = choices.piece()
    long_data = LongData()
    if choices.flag():
        for _ in range(3):
            long_data.add(choices.piece(40))
        assert long_data.size >= sum(map(len, long_data.pieces))
    sent = long_data.values()
    payload = choices.rest
    execute = outcome(lambda: parse_execute(payload, count), ClientProtocolError)
    written = with_types(payload, count, bytes(2 * count))
    assert len(written) in (len(payload), len(payload) + 2 * count)
    if isinstance(execute, type) or not count:
        return
    assert execute.values_at <= max(head_bytes(count), len(payload))
    types = execute.types if execute.types is not None else (known * (2 * count))[: 2 * count]
    if len(types) < 2 * count:
        return
    found = outcome(lambda: read_values(payload, count, types, execute.values_at, encoding, sent), ClientProtocolError)
    if isinstance(found, type):
        return
    assert len(found) == count
    told = with_types(payload, count, types)
    again = parse_execute(told, count)
    assert again.types == types
    assert repr(read_values(told, count, again.types, again.values_at, encoding, sent)) == repr(found)


def seeds() -> Iterator[bytes]:
    """Give commands that were captured, an upload, and parameters of every type."""
    for each in exchanges("commands_plain"):
        if len(each.request) < 300:
            yield b"\0\3" + each.request
            if each.request[4] == 0x17:
                yield b"\1\0\2\0\0\0\0" + each.request[4:]
    yield b"\x12\3" + packet(4, b"1,2\n") + packet(5, b"")
    yield b"\0\1" + b"\xff\xff\xff\0" + b"\3select"
    date = b"\x0b\xe8\x07\x02\x1d\x17\x3b\x3b\x40\x42\x0f\0"
    time = b"\x0c\1\2\0\0\0\3\4\5\6\0\0\0"
    values = {
        0x01: b"\xff", 0x02: b"\1\2", 0x03: b"\1\2\3\4", 0x08: b"\xff" * 8, 0x04: b"\0\0\x80\x3f",
        0x05: b"\0\0\0\0\0\0\xf0\x3f", 0x0C: date, 0x0A: date[:1].replace(b"\x0b", b"\4") + date[1:5], 0x0B: time,
        0xF6: b"\x05-1.50", 0xFD: b"\3abc", 0xFC: b"\xfc\4\0abcd", 0x06: b"", 0x07: b"\0",
    }  # fmt: skip
    head = b"\x17\1\0\0\0\0\1\0\0\0"
    for kind, value in values.items():
        yield b"\1\0\1\0\0\0\0" + head + b"\0\1" + bytes((kind, 0)) + value
        yield b"\1\0\1\0\0\2" + bytes((kind, 0x80)) + b"\0" + head + b"\0\0" + value
    every = head + b"\0\0\1" + b"".join(bytes((kind, 0)) for kind in values) + b"".join(values.values())
    yield b"\1\0" + bytes((len(values), 0)) + b"\0\0\0" + every
    yield b"\1\0\1\0\0\0\1\5\0\0abc\4\0\0de\0" + head + b"\0\1\xfd\0"
