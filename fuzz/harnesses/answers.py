"""Answers to commands: where they end, whole against byte by byte; OK packets and their three forms; result sets."""

from __future__ import annotations

from collections.abc import Iterator

from fuzz.cutting import Choices, outcome
from odp_trio.errors import ServerProtocolError
from odp_trio.wire.packets import packet
from odp_trio.wire.phases import FIRST_PHASE
from odp_trio.wire.response import ResponseTracker
from odp_trio.wire.resultset import parse_err, parse_row, text_result
from odp_trio.wire.state import SessionState, parse_ok, parse_ok_head, parse_state, plain_ok, shown_ok, tracked_ok
from tests.wire.captured import exchanges
from tests.wire.following import Seen, bytewise, follow, whole

_COMMANDS = sorted(int(command) for command in FIRST_PHASE)
_MANY = 64
"""Rows, columns, variables of one input."""


def one_input(data: bytes) -> None:
    """Read bytes as the answer to each kind of command, as an OK, as one row."""
    choices = Choices(data)
    command = _COMMANDS[choices.byte() % len(_COMMANDS)]
    form, size = choices.byte(), choices.byte() % 48 + 2
    rest = choices.rest
    if form & 4:
        _ok(rest)
        outcome(lambda: parse_row(rest), ServerProtocolError)
        outcome(lambda: parse_err(rest), ServerProtocolError)
    else:
        _answer(command, rest, size, extra_ok=not form & 1, tracks=bool(form & 2))


def _answer(command: int, data: bytes, size: int, *, extra_ok: bool, tracks: bool) -> None:
    def run(cut: object) -> Seen:
        tracker = ResponseTracker(extra_ok=extra_ok, session_track=tracks)
        return follow(tracker, command, [data], cut)  # type: ignore[arg-type]

    at_once = outcome(lambda: run(whole), ServerProtocolError)
    for cut in (bytewise, lambda data: [data[at : at + size] for at in range(0, len(data), size)]):
        found = outcome(lambda cut=cut: run(cut), ServerProtocolError)  # type: ignore[misc]
        assert found == at_once, f"{at_once} at once, {found} in pieces"
    if not isinstance(at_once, type):
        assert len(at_once.client) + len(at_once.surplus) <= 2 * len(data) + 16 * _MANY
        _like_the_one_before(command, data, extra_ok=extra_ok, tracks=tracks)


def _like_the_one_before(command: int, data: bytes, *, extra_ok: bool, tracks: bool) -> None:
    """The short way for a result like the one before gives what the long way gives."""
    tracker, again = (ResponseTracker(extra_ok=extra_ok, session_track=tracks) for _ in range(2))
    for _ in range(3):
        buffer = bytearray(data)
        expected = follow(again, command, [data])
        if not expected.ended or expected.surplus:
            return
        tracker.begin(command)
        if stop := tracker.whole(buffer, len(buffer)):
            assert bytes(buffer[:stop]) + tracker.tail == expected.client
            assert (tracker.ended, tracker.status, tracker.errno) == (True, expected.status, expected.errno)
        else:
            tracker.abandon()
            assert follow(tracker, command, [data]) == expected


def _ok(data: bytes) -> None:
    outcome(lambda: parse_ok_head(data), ServerProtocolError)
    plain = outcome(lambda: plain_ok(data), ServerProtocolError)
    framed = packet(1, data) if len(data) < 60000 else b""
    if framed and data[:1] == b"\0" and (shown := shown_ok(framed, 0, len(framed))):
        assert not isinstance(plain, type)
        assert shown == packet(1, plain)
    ok = outcome(lambda: parse_ok(data), ServerProtocolError)
    if not isinstance(ok, type):
        assert ok.state is None or ok.state.size <= len(data)
        told = parse_ok(tracked_ok(ok))
        assert (told.affected_rows, told.last_insert_id) == (ok.affected_rows, ok.last_insert_id)
        merged = SessionState()
        if ok.state is not None:
            merged.merge(ok.state)
            merged.merge(ok.state, owed=True)
            assert merged.size <= ok.state.size
    outcome(lambda: parse_state(data), ServerProtocolError)


def seeds() -> Iterator[bytes]:
    """Give answers that were captured, one of each kind of command, and OKs alone."""
    for form, name in enumerate(("commands_proxy", "commands_plain", "commands_tracking", "out_parameters_proxy")):
        for each in exchanges(name):
            command = each.request[4]
            answer = b"".join(each.answer)
            if command in _COMMANDS and len(answer) < 900:
                yield bytes((_COMMANDS.index(command), (0, 1, 1, 0)[form], 9)) + answer
            for one in each.answer:
                if one[4] == 0 and len(one) < 300:
                    yield b"\0\4\0" + one[4:]
    yield b"\0\4\0" + text_result(("a", "b"), [(1, None)])
