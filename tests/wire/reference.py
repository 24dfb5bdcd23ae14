"""What a client is to see of a server's answer: slow, whole packets, no phases.

To be compared with ResponseTracker.  It is written from the rules of ODP
(which packets end an answer, where the extra OK stands), not from the tracker.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from odp_trio.wire.command import Com
from odp_trio.wire.fields import MAX_PAYLOAD
from tests.wire.model import MOMENTARY, MORE, OK, STATE_CHANGED, UNTOLD, State

CURSOR, PS_OUT = 0x0040, 0x1000


class Refused(Exception):
    """These packets are no answer to that command."""


def split(data: bytes) -> list[bytes]:
    """Split bytes into packets, headers included; what a split continues is one packet with several headers."""
    packets: list[bytes] = []
    at, joined = 0, False
    while at < len(data):
        length = int.from_bytes(data[at : at + 3], "little")
        piece = data[at : at + 4 + length]
        packets[-1:] = [packets[-1] + piece] if joined else [*packets[-1:], piece]
        joined = length == MAX_PAYLOAD
        at += 4 + length
    return packets


@dataclass
class Answer:
    """What a client sees of an answer and what it says."""

    client: bytes = b""
    status: int = 0
    errno: int = 0
    ended: bool = False
    uploads: int = 0


@dataclass
class Reader:
    """Reads one answer after the other on one connection."""

    extra_ok: bool
    tracks: bool
    owed: list[State] = field(default_factory=list)
    answer: Answer = field(default_factory=Answer)
    _packets: Iterator[bytes] = field(default_factory=lambda: iter(()))

    def read(self, command: int, packets: list[bytes]) -> Answer:
        """Read the answer to a command; ``ended`` is false when packets are missing."""
        self.answer = Answer(status=self.answer.status)
        self._packets = iter(packets)
        try:
            self._read(command)
        except StopIteration:
            return self.answer
        self.answer.ended = True
        if next(self._packets, None) is not None:
            raise Refused("bytes behind the end")
        return self.answer

    def _read(self, command: int) -> None:
        match command:
            case Com.QUERY | Com.STMT_EXECUTE | Com.PROCESS_INFO:
                self._results(command)
            case Com.STMT_PREPARE:
                self._prepared()
            case Com.STMT_FETCH | Com.FIELD_LIST:
                if self._until_eof():
                    self._extra()
            case Com.STATISTICS:
                if self._show_unless_error(self._next()):
                    return
            case Com.DEBUG:
                packet = self._next()
                if self._show_unless_error(packet):
                    self._eof(packet)
            case Com.CHANGE_USER:
                packet = self._next()
                if packet[4] == 0xFE:
                    self._show(packet)
                else:
                    self._acknowledge(packet)
            case _:
                packet = self._next()
                if _is_eof(packet):
                    self._show(packet)
                    self._eof(packet)
                else:
                    self._acknowledge(packet)

    def _results(self, command: int) -> None:
        while True:
            packet = self._next()
            if packet[4] == 0xFB:
                self._show(packet)
                self.answer.uploads += 1
                packet = self._next()
                if packet[4] not in (0x00, 0xFF):
                    raise Refused("neither OK nor ERR behind a file")
            if packet[4] == 0x00:
                if not self._ok(packet):
                    return
                continue
            if _is_eof(packet):
                raise Refused("an EOF instead of a result")
            if not self._show_unless_error(packet):
                return
            if not self._until_eof():
                return
            if command == Com.STMT_EXECUTE and self.answer.status & CURSOR:
                return self._extra()
            out_parameters = command == Com.STMT_EXECUTE and self.answer.status & PS_OUT
            if not self._until_eof():
                return
            if not out_parameters and not self.answer.status & MORE:
                return self._extra()

    def _prepared(self) -> None:
        packet = self._next()
        if not self._show_unless_error(packet):
            return
        if packet[4] or len(packet) < 13:
            raise Refused("no answer to a prepare")
        for count in (int.from_bytes(packet[11:13], "little"), int.from_bytes(packet[9:11], "little")):
            if count and not self._until_eof():
                return
        self._extra()

    def _until_eof(self) -> bool:
        """Show packets up to an EOF; answer whether none of them was an error."""
        while True:
            packet = self._next()
            if not self._show_unless_error(packet):
                return False
            if _is_eof(packet):
                self._eof(packet)
                return True

    def _acknowledge(self, packet: bytes) -> None:
        if packet[4] == 0x00:
            self._ok(packet, last=True)
        elif self._show_unless_error(packet):
            raise Refused("neither OK nor ERR")

    def _ok(self, packet: bytes, *, last: bool = False) -> bool:
        """Show an OK in the client's form; answer whether another result follows."""
        if not self.extra_ok:
            self._show(packet)
            self.answer.status = plain_status(packet[4:])
        else:
            ok = read_ok(packet[4:])
            self.answer.status = ok.wire_status
            self._show_rewritten(packet[3], ok)
        return bool(self.answer.status & MORE)

    def _show_rewritten(self, seq: int, ok: OK) -> None:
        payload = ok.to_plain()
        if self.tracks:
            self._owe(ok, MOMENTARY if ok.status & MORE else UNTOLD)
            payload = ok.to_tracking(self.owed)
            if not ok.status & MORE:
                self.owed.clear()
        self.answer.client += len(payload).to_bytes(3, "little") + bytes((seq,)) + payload

    def _extra(self) -> None:
        """Take the OK that only a proxy gets."""
        if not self.extra_ok:
            return
        packet = self._next()
        if packet[4]:
            raise Refused("no extra OK")
        ok = read_ok(packet[4:])
        self.answer.status = ok.wire_status
        self._owe(ok, MOMENTARY)

    def _owe(self, ok: OK, hidden: tuple[bytes, ...]) -> None:
        """Keep what an OK says for a client that is told of the session."""
        told = ok.state.told(hidden) if ok.state is not None else None
        if told is not None:
            self.owed.append(told)

    def _show_unless_error(self, packet: bytes) -> bool:
        self._show(packet)
        if packet[4] != 0xFF:
            return True
        self.answer.errno = int.from_bytes(packet[5:7], "little")
        self._extra()
        return False

    def _eof(self, packet: bytes) -> None:
        self.answer.status = int.from_bytes(packet[7:9], "little")

    def _show(self, packet: bytes) -> None:
        self.answer.client += packet

    def _next(self) -> bytes:
        packet = next(self._packets)
        if len(packet) == 4:
            raise Refused("an empty packet")
        return packet


def read_answer(command: int, packets: list[bytes], *, extra_ok: bool, tracks: bool) -> Answer:
    """Read one answer of a fresh connection."""
    return Reader(extra_ok, tracks).read(command, packets)


def _is_eof(packet: bytes) -> bool:
    return packet[4] == 0xFE and len(packet) < 4 + 9


def plain_status(payload: bytes) -> int:
    """Return the status of an OK of a plain connection."""
    _, at = _number(payload, 1)
    _, at = _number(payload, at)
    return int.from_bytes(payload[at : at + 2], "little")


def read_ok(payload: bytes) -> OK:
    """Read an OK of a proxy connection."""
    affected, at = _number(payload, 1)
    insert_id, at = _number(payload, at)
    status, warnings = (int.from_bytes(payload[at + skip : at + skip + 2], "little") for skip in (0, 2))
    at += 4
    info, at = _text(payload, at) if at < len(payload) else (b"", at)
    state = None
    if status & STATE_CHANGED:
        block, at = _text(payload, at)
        state = _state(block)
    return OK(affected, insert_id, status & ~STATE_CHANGED, warnings, info, state)


def _state(block: bytes) -> State:
    system: list[tuple[bytes, bytes]] = []
    user: list[tuple[bytes, bytes]] = []
    schema, at = None, 0
    while at < len(block):
        kind = block[at]
        content, at = _text(block, at + 1)
        inner, target = 0, system
        while kind == 0 and inner < len(content):
            name, inner = _text(content, inner)
            value, inner = _text(content, inner)
            if name == value == b"__NULL":
                target = user
            else:
                target.append((name, value))
        if kind == 1:
            schema, _ = _text(content, 0)
    return State(tuple(system), tuple(user), schema)


def _number(data: bytes, at: int) -> tuple[int, int]:
    size = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(data[at], 0)
    if not size:
        return data[at], at + 1
    return int.from_bytes(data[at + 1 : at + 1 + size], "little"), at + 1 + size


def _text(data: bytes, at: int) -> tuple[bytes, int]:
    length, at = _number(data, at)
    return data[at : at + length], at + length
