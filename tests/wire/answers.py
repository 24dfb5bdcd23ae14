"""Answers of a server, generated: every command, every form that an answer takes."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from odp_trio.wire.command import Com
from odp_trio.wire.fields import lenenc_int, lenenc_str
from odp_trio.wire.packets import packet
from odp_trio.wire.phases import FIRST_PHASE
from tests.wire.model import MORE, OK, TRACE_ID, State, oks, states
from tests.wire.reference import CURSOR, PS_OUT


@dataclass(frozen=True)
class Generated:
    """One answer: the bytes before, between and after uploads."""

    command: int
    parts: tuple[bytes, ...]

    @property
    def data(self) -> bytes:
        return b"".join(self.parts)


rows = st.one_of(
    st.binary(min_size=1, max_size=12).filter(lambda row: row[0] < 0xFC),
    st.binary(max_size=8).map(lambda row: b"\0" + row),
    st.binary(max_size=3).map(lambda row: b"\xfb" + row),
    st.binary(min_size=8, max_size=20).map(lambda row: b"\xfe" + row),
    st.binary(min_size=300, max_size=300).map(lambda row: lenenc_str(row)),
)
definitions = st.binary(min_size=6, max_size=20).map(lambda rest: lenenc_str(b"def") + rest)
errors = st.builds(
    lambda errno, text: b"\xff" + errno.to_bytes(2, "little") + b"#HY000" + text,
    st.integers(1, 65535),
    st.binary(max_size=20),
)
flags = st.sampled_from([0x02, 0x22, 0x03, 0x00])


class _Writer:
    """Draws packets one after the other; the sequence number counts."""

    def __init__(self, draw: st.DrawFn, *, proxy: bool) -> None:
        self.draw = draw
        self.proxy = proxy
        self.parts = [b""]
        self._seq = 1

    def say(self, payload: bytes) -> None:
        self.parts[-1] += packet(self._seq, payload)
        self._seq += 1

    def say_ok(self, *, more: bool = False) -> None:
        ok: OK = self.draw(oks(more=more))
        self.say(ok.to_proxy() if self.proxy else ok.to_plain())

    def say_eof(self, extra_flags: int = 0) -> None:
        self.say(b"\xfe\0\0" + (self.draw(flags) | extra_flags).to_bytes(2, "little"))

    def say_error(self) -> None:
        self.say(self.draw(errors))
        self.extra_ok(State(system=((TRACE_ID, b"YB42"),)))

    def extra_ok(self, state: State | None = None) -> None:
        if self.proxy:
            state = self.draw(st.none() | st.just(state) | states)
            self.say(self.draw(st.sampled_from([OK(), OK(state=state), OK(status=0xA2, state=state)])).to_proxy())

    def upload(self) -> None:
        self.parts.append(b"")
        self._seq += self.draw(st.integers(1, 3))


@st.composite
def answers(draw: st.DrawFn, *, proxy: bool, command: int | None = None) -> Generated:
    """Make a whole answer to some command."""
    if command is None:
        command = draw(st.sampled_from([Com.QUERY, *sorted(FIRST_PHASE)]))
    writer = _Writer(draw, proxy=proxy)
    if draw(st.integers(0, 9)) == 0:
        writer.say_error()
    else:
        match command:
            case Com.QUERY | Com.STMT_EXECUTE | Com.PROCESS_INFO:
                _results(writer, command)
            case Com.STMT_PREPARE:
                _prepared(writer)
            case Com.STMT_FETCH | Com.FIELD_LIST:
                if _packets_and_eof(writer, rows if command == Com.STMT_FETCH else definitions):
                    writer.extra_ok()
            case Com.STATISTICS:
                writer.say(draw(st.sampled_from([b"Active threads not support", b"Uptime: 1", b"\xfe23456789", b"\0"])))
            case Com.DEBUG:
                writer.say_eof()
            case Com.CHANGE_USER if draw(st.booleans()):
                writer.say(draw(st.sampled_from([b"\xfe", b"\xfemysql_native_password\0" + b"s" * 20 + b"\0"])))
            case Com.SET_OPTION if draw(st.booleans()):
                writer.say_eof()
            case _:
                writer.say_ok()
    return Generated(command, tuple(writer.parts))


def _results(writer: _Writer, command: int) -> None:
    draw = writer.draw
    for left in reversed(range(draw(st.integers(1, 4)))):
        kind = draw(st.sampled_from(["rows", "rows", "ok", "file", "error", "cursor", "out"]))
        if kind == "error":
            return writer.say_error()
        if kind == "ok":
            writer.say_ok(more=left > 0)
        elif kind == "file":
            writer.say(b"\xfb" + draw(st.binary(max_size=9)))
            writer.upload()
            if draw(st.booleans()):
                return writer.say_error()
            writer.say_ok(more=left > 0)
        else:
            writer.say(draw(st.sampled_from([b"\1", b"\2", lenenc_int(251), lenenc_int(70000), lenenc_int(1 << 24)])))
            extra_flags = {"cursor": CURSOR, "out": PS_OUT}.get(kind, 0)
            if not _packets_and_eof(writer, definitions, extra_flags):
                return
            if kind == "out" and command == Com.STMT_EXECUTE:
                if _packets_and_eof(writer, rows, draw(st.sampled_from([0, MORE]))):
                    writer.say_ok()
                return
            if kind == "cursor" and command == Com.STMT_EXECUTE:
                return writer.extra_ok()
            if not _packets_and_eof(writer, rows, MORE if left else 0):
                return
            if not left:
                writer.extra_ok()


def _packets_and_eof(writer: _Writer, payloads: st.SearchStrategy[bytes], extra_flags: int = 0) -> bool:
    for payload in writer.draw(st.lists(payloads, max_size=4)):
        writer.say(payload)
    if writer.draw(st.integers(0, 9)) == 0:
        writer.say_error()
        return False
    writer.say_eof(extra_flags)
    return True


def _prepared(writer: _Writer) -> None:
    parameters, columns = writer.draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    writer.say(b"\0\1\0\0\0" + columns.to_bytes(2, "little") + parameters.to_bytes(2, "little") + b"\0\0\0")
    for count in (parameters, columns):
        if count:
            for _ in range(count):
                writer.say(writer.draw(definitions))
            writer.say_eof()
    writer.extra_ok()
