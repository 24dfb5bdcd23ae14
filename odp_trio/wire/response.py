"""Where a response ends, and what its last packets say.

Theory of operation.  A response is a run of MySQL packets.  The tracker walks
their headers, never their rows: each packet has a *kind* (by its first byte and
length), each point of a response is a *phase*, and the tables of ``phases`` say
which phase follows.  To a connection that logged in as a proxy an OBServer appends
one more OK packet after a final EOF or ERR; it carries the session state and is
never shown to the client.  An OK that the client does see is rewritten into
the form that a plain connection gets.

``feed()`` is called with whatever has arrived.  Bytes of rows go out at once,
packets that must be seen whole (OK, ERR, EOF, prepare-OK) are held until they
are.  Nothing here allocates for a packet of a row.
"""

from __future__ import annotations

from collections.abc import Container
from struct import Struct
from typing import Final

from odp_trio.errors import ServerProtocolError
from odp_trio.wire.command import Com, command_name
from odp_trio.wire.fields import MAX_PAYLOAD, Status
from odp_trio.wire.packets import packet
from odp_trio.wire.phases import DATA_NEXT, FIRST, KINDS, PHASES, Kind, Phase
from odp_trio.wire.resultset import ok_payload
from odp_trio.wire.state import OKPacket, SessionState, parse_ok, parse_ok_head, plain_ok, shown_ok, tracked_ok

_DATA, _EOF, _OK, _ERR = Kind.DATA, Kind.EOF, Kind.OK, Kind.ERR
_HEADER: Final = Struct("<IB").unpack_from
_RESULT, _DEFINITIONS, _ROWS, _EXTRA_OK, _END = map(
    int, (Phase.RESULT, Phase.DEFINITIONS, Phase.ROWS, Phase.EXTRA_OK, Phase.END)
)
_ACKNOWLEDGE, _PREPARE, _UPLOAD = int(Phase.ACKNOWLEDGE), int(Phase.PREPARE), int(Phase.UPLOAD)
_IN_TRANS, _MORE = (int(flag) for flag in (Status.IN_TRANS, Status.MORE_RESULTS))
_UNUSUAL = int(Status.CURSOR_EXISTS | Status.PS_OUT_PARAMS)
_ERROR_BYTES: Final = 1024
"""More of an error is not kept."""
_DATA_PHASES: Final = (_ROWS, _DEFINITIONS)
_HEAD_BYTES: Final = 1024
"""The definitions of a result that are longer are not kept."""
_EOF_BYTES, _OK_BYTES = 9, 12


class ResponseTracker:
    """Follows the response to one command at a time.

    ``begin(command)``, then for each chunk ``feed(buffer, start, end)``:

    * the return value ``stop`` says that ``buffer[start:stop]`` is to be forwarded as it is;
    * ``tail`` (bytes, often empty) is to be forwarded after that;
    * ``pos`` says how far the chunk was consumed (-1 before the first byte): feed again from there while it is less
      than ``end`` and ``held`` is false;
    * ``held`` says that ``buffer[pos:end]`` is the beginning of a packet that must be seen
      whole: keep these bytes and feed them again with what comes next;
    * ``ended`` says that the response is over; ``status``, ``errno`` and ``state`` describe it.

    Raises ServerProtocolError when the bytes cannot be a response; any bytes give an answer or that.
    An answer to COM_STMT_PREPARE keeps the server's id, ``prepared_id``, unless that
    is one of ``ids_taken``: then the buffer, which must be writable, gets
    ``statement_id``; afterwards that is the id which the client was told.
    ``also`` are status flags that the client is shown in an EOF or an OK that do not have them.
    ``extra_ok`` is false for a plain server connection, which gets no extra OK
    and whose OK packets are passed on unchanged.
    """

    # fmt: off
    __slots__ = (
        "_columns", "_continued", "_head", "_head_bytes", "_kept", "_parameters", "_phase",
        "_remaining", "_tail", "_tail_status", "_tracks", "also", "command", "ended",
        "errno", "error_first", "error_text", "extra_ok", "held", "ids_taken", "pos",
        "prepared_id", "seq", "state", "statement_id", "status", "tail",
    )
    # fmt: on

    def __init__(self, *, extra_ok: bool = True, session_track: bool = False) -> None:
        self.extra_ok = extra_ok
        self.also = 0
        self.command = 0
        self.ended = True
        self.held = False
        self.status = 0
        self.errno = 0
        self.error_first = False
        """Of an answer with an errno: the ERR packet was in the first bytes that were fed."""
        self.error_text = b""
        """Of an answer with an errno: the payload of its ERR packet, or what has room of it."""
        self.state: SessionState | None = None
        self.tail = b""
        self.pos = 0
        self.seq = 0
        self.statement_id = 0
        self.ids_taken: Container[int] | None = None
        self.prepared_id = 0
        self._phase: int = _END
        self._remaining = 0
        self._continued = False
        self._columns = self._parameters = 0
        self._head = self._tail = b""  # of a result that came twice: up to its rows, and behind them
        self._head_bytes = self._tail_status = 0
        self._tracks = session_track
        self._kept = SessionState()  # told in packets that the client does not see, owed to a tracking client

    def begin(self, command: int) -> None:
        """Expect the response to ``command``; raise ServerProtocolError if it has none."""
        phase = FIRST[command]
        if phase is None:
            raise ServerProtocolError(f"{command_name(command)} has no response to track")
        self._phase = phase
        self.command = command
        self.ended = False
        self.errno = 0
        self.pos = -1
        self.state = None

    def abandon(self) -> None:
        """No answer will come: the connection is gone.  Nothing of it has been fed."""
        self._phase = _END
        self.ended = True
        self.held = False

    @property
    def phase(self) -> Phase:
        """Where the response stands."""
        return Phase(self._phase)

    @property
    def wants_upload(self) -> bool:
        """Whether the server waits for the content of a local file."""
        return self._phase == _UPLOAD

    def uploaded(self) -> None:
        """The file's content has been sent: expect OK or ERR."""
        self._phase = _RESULT

    @property
    def parameters(self) -> int:
        """How many parameters the statement has that was prepared last."""
        return self._parameters

    @property
    def in_transaction(self) -> bool:
        """IN_TRANS of the last status seen."""
        return bool(self.status & _IN_TRANS)

    def whole(self, buffer: bytearray, end: int) -> int:
        """Take ``buffer[:end]`` if that is all of a result like the one before, but for its rows.

        Answers how many bytes of it are to be forwarded; the response has ended then, with ``tail`` and ``state``
        empty.  Answers 0, and has done nothing, if it is not, or not the first that comes of the response: feed it.
        """
        pos, last = len(self._head), end - len(self._tail)
        if not pos or self.pos >= 0 or self._phase != _RESULT or not buffer.startswith(self._head):
            return 0
        while pos < last:
            header, first = _HEADER(buffer, pos)
            if first >= 0xFE or not (length := header & 0xFFFFFF):
                return 0
            pos += 4 + length
        if pos != last or not buffer.startswith(self._tail, pos):
            return 0
        self._phase, self.pos, self.ended, self.tail = _END, end, True, b""
        self.status = self._tail_status
        return pos + _EOF_BYTES

    def _remember(self, buffer: bytes | bytearray, head: int, tail: int, end: int) -> None:
        """Keep what a whole result has besides its rows, if the one before was like it: see ``whole``."""
        if head != self._head_bytes:
            self._head_bytes = head
        elif head <= _HEAD_BYTES:
            self._head, self._tail, self._tail_status = bytes(buffer[:head]), bytes(buffer[tail:end]), self.status

    def feed(self, buffer: bytes | bytearray, start: int, end: int) -> int:
        """Walk ``buffer[start:end]``; see the class for what the answer means."""
        pos = start
        head = 0
        phase = self._phase
        self.tail = b""
        self.held = False
        if remaining := self._remaining:
            if remaining > end - pos:
                self._remaining = remaining - (end - pos)
                self.pos = end
                return end
            pos += remaining
            self._remaining = 0
            if phase == _END and not self._continued:  # the string of COM_STATISTICS was the last packet
                self.ended = True
                self.pos = pos
                return pos
        while end - pos > 4:
            header, first = _HEADER(buffer, pos)
            length = header & 0xFFFFFF
            following = pos + 4 + length
            if self._continued:
                kind = _DATA
            else:
                # The common cases first: a row or a column definition, then the packets that close a result.
                if following <= end and 0 < length < MAX_PAYLOAD:
                    if first < 0xFE:
                        if phase in _DATA_PHASES:
                            pos = following
                            continue
                        if phase == _EXTRA_OK and length == 8 and not first | buffer[pos + 5] | buffer[pos + 6]:
                            self.status = buffer[pos + 7] | buffer[pos + 8] << 8
                            self._phase = _END
                            if head and following == end and self.pos < 0 and following - pos == _OK_BYTES:
                                self._remember(buffer, head, pos - _EOF_BYTES, end)
                            self.pos = following
                            self.ended = True
                            return pos
                    elif first == 0xFE and length == 5:
                        status = buffer[pos + 7] | buffer[pos + 8] << 8
                        if phase == _DEFINITIONS and not status & _UNUSUAL:
                            phase = self._phase = _ROWS
                            pos = following
                            if not start:
                                head = pos
                            continue
                        if phase == _ROWS and not status & _MORE and self.extra_ok:
                            self.status = status
                            phase = self._phase = _EXTRA_OK
                            pos = following
                            continue
                if not length:
                    raise self._unexpected("an empty packet")
                kind = KINDS[phase].get(first, _DATA)
                if kind is _EOF and length > 8:
                    kind = _DATA
            if kind is _DATA:
                if not self._continued:
                    after = DATA_NEXT[phase]
                    if after is None:
                        raise self._unexpected(f"a packet beginning with 0x{first:02x}")
                    self._phase = phase = after
                self._continued = length == MAX_PAYLOAD
                if following > end:
                    self._remaining = following - end
                    self.pos = end
                    return end
                pos = following
                if phase == _END and not self._continued:
                    self.ended = True
                    self.pos = pos
                    return self.pos
                continue
            if following > end:
                break  # a packet that must be seen whole
            self.seq = header >> 24
            stop = pos
            pos = following
            if self._control(kind, buffer, stop, following):
                stop = following
            phase = self._phase
            if stop != pos or phase == _END:  # dropped, replaced, or the last one
                self.pos = pos
                self.ended = phase == _END
                return stop
        if pos < end:
            pos = self._header_only(buffer, pos, end)
        self.pos = pos
        self.held = pos < end
        return pos

    def _header_only(self, buffer: bytes | bytearray, pos: int, end: int) -> int:
        """Consume an empty packet that closes a 16 MiB split; anything else waits for more bytes."""
        if end - pos < 4 or any(buffer[pos : pos + 3]):
            return pos
        if not self._continued:
            raise self._unexpected("an empty packet")
        self._continued = False
        self.ended = self._phase == _END
        return end

    def _control(self, kind: Kind, buffer: bytes | bytearray, start: int, end: int) -> bool:
        """Take note of a whole control packet; answer whether it is forwarded as it is."""
        after = PHASES[Phase(self._phase)].get(kind)
        if after is None:
            raise self._unexpected(f"an {kind.value} packet")
        if kind is _EOF:
            self._eof(buffer, start, end, after)
            return True
        if kind is _ERR:
            self.errno = buffer[start + 5] | buffer[start + 6] << 8 if end - start > 6 else 0
            self.error_first = self.pos < 0
            self.error_text = bytes(buffer[start + 4 : min(end, start + 4 + _ERROR_BYTES)])
            self._finish(after)
            return True
        if kind is _OK:
            if self._phase == _PREPARE:
                self._prepared(buffer, start, end)
                return True
            return self._ok(buffer, start, end)
        self._phase = after
        return True

    def _add_flags(self, buffer: bytes | bytearray, at: int) -> None:
        """Write into a status what the session is in, and this server is not; see ``also``."""
        if self.also and isinstance(buffer, bytearray):
            buffer[at] |= self.also & 0xFF

    def _finish(self, after: Phase) -> None:
        self._phase = _END if after == _EXTRA_OK and not self.extra_ok else after

    def _eof(self, buffer: bytes | bytearray, start: int, end: int, after: Phase) -> None:
        if end - start < 9:
            raise self._unexpected("an EOF packet without status flags")
        self._add_flags(buffer, start + 7)
        self.status = status = buffer[start + 7] | buffer[start + 8] << 8
        phase = self._phase
        if phase == Phase.DEFINITIONS and self.command == Com.STMT_EXECUTE and status & _UNUSUAL:
            # Either the rows come by COM_STMT_FETCH, or they are OUT parameters: their last EOF says that nothing
            # follows, and an OK does (seen on seekdb 1.3.0; MySQL says that more follows).
            after = Phase.EXTRA_OK if status & Status.CURSOR_EXISTS else Phase.OUT_ROWS
        elif phase == Phase.ROWS and status & _MORE:
            after = Phase.RESULT
        elif phase == Phase.PARAMETERS and self._columns:
            after = Phase.COLUMNS
        self._finish(after)

    def _prepared(self, buffer: bytes | bytearray, start: int, end: int) -> None:
        if end - start < 4 + 9:
            raise self._unexpected("a short answer to COM_STMT_PREPARE")
        self.prepared_id = int.from_bytes(buffer[start + 5 : start + 9], "little")
        if self.ids_taken is not None:
            if self.prepared_id not in self.ids_taken:
                self.statement_id = self.prepared_id
            elif isinstance(buffer, bytearray):
                buffer[start + 5 : start + 9] = self.statement_id.to_bytes(4, "little")
        self._columns = buffer[start + 9] | buffer[start + 10] << 8
        self._parameters = buffer[start + 11] | buffer[start + 12] << 8
        if self._parameters:
            self._phase = Phase.PARAMETERS
        elif self._columns:
            self._phase = Phase.COLUMNS
        else:
            self._finish(Phase.EXTRA_OK)

    def _ok(self, buffer: bytes | bytearray, start: int, end: int) -> bool:
        """Read an OK; drop it if it is the extra one, else rewrite it for the client."""
        if end - start == 12 and not buffer[start + 5] and not buffer[start + 6]:  # nothing but flags
            self.status = buffer[start + 7] | buffer[start + 8] << 8
            if self._phase == _EXTRA_OK:
                self._phase = _END
                return False
        if not self.extra_ok:
            self._note_plain(bytes(buffer[start + 4 : end]))
            return True
        if self._phase == _ACKNOWLEDGE and end - start >= 11 and not buffer[start + 5] | buffer[start + 6]:
            self._add_flags(buffer, start + 7)
        if self._phase != _EXTRA_OK and not self._tracks and (shown := shown_ok(buffer, start, end)):
            self.status = buffer[start + 7] | buffer[start + 8] << 8
            self.tail, self.state, self._phase = shown, None, _END
            return False
        payload = bytes(buffer[start + 4 : end])
        ok = parse_ok(payload)
        self.status = ok.status
        if self._phase == _EXTRA_OK:
            self._drop(ok)
            return False
        self.state = ok.state
        rewritten = self._for_tracking(ok) if self._tracks else plain_ok(payload)
        self.tail = len(rewritten).to_bytes(3, "little") + bytes((buffer[start + 3],)) + rewritten
        self._phase = Phase.RESULT if ok.status & _MORE else _END
        return False

    def _note_plain(self, payload: bytes) -> None:
        self.status = parse_ok_head(payload)[2]
        self._phase = Phase.RESULT if self.status & _MORE else _END

    def _drop(self, ok: OKPacket) -> None:
        self._phase = _END
        self.state = ok.state
        if self._tracks and ok.state is not None:
            self._kept.merge(ok.state, owed=True)

    def _for_tracking(self, ok: OKPacket) -> bytes:
        """Write an OK with the state that is owed, which waits for the last result."""
        if ok.state is not None or self._kept.changed:
            last = not ok.status & _MORE
            self._kept.merge(ok.state or SessionState(), owed=not last)
            if last:
                ok.state, self._kept = self._kept, SessionState()
        return tracked_ok(ok)

    def own_ok(self, status: int) -> bytes:
        """Return an OK that is our own answer, with the state that is owed to a tracking client."""
        ok = OKPacket(0, 0, status, 0, b"", None)
        payload = self._for_tracking(ok) if self._tracks else ok_payload(status)
        return packet(1, payload)

    def _unexpected(self, what: str) -> ServerProtocolError:
        return ServerProtocolError(
            f"{what} in the {Phase(self._phase).name} phase of the response to {command_name(self.command)}"
        )
