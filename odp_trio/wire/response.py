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
from odp_trio.wire.phases import FIRST_PHASE, PHASES, Kind, Phase
from odp_trio.wire.resultset import ok_payload
from odp_trio.wire.state import OKPacket, SessionState, parse_ok, parse_ok_head, plain_ok, tracked_ok

# First byte -> kind, where it is not DATA.  A row may begin with 0x00 (an empty
# column, a binary row) and, when it is 9 bytes or longer, with 0xFE.
_ALWAYS: Final = {0xFF: Kind.ERR, 0xFE: Kind.EOF}
_KINDS: Final[list[dict[int, Kind]]] = [dict(_ALWAYS) for _ in Phase]
for _phase in (Phase.RESULT, Phase.EXTRA_OK, Phase.ACKNOWLEDGE, Phase.PREPARE, Phase.CHANGE_USER):
    _KINDS[_phase][0x00] = Kind.OK
_KINDS[Phase.RESULT][0xFB] = Kind.FILE
_KINDS[Phase.CHANGE_USER][0xFE] = Kind.SWITCH
_DATA_NEXT: Final = [PHASES[phase].get(Kind.DATA) for phase in Phase]
_HEADER: Final = Struct("<IB").unpack_from
# Plain integers: an enum member costs a look-up and a slower comparison in the loop below.
_DEFINITIONS, _ROWS, _EXTRA_OK, _END = (
    int(phase) for phase in (Phase.DEFINITIONS, Phase.ROWS, Phase.EXTRA_OK, Phase.END)
)
_IN_TRANS, _MORE = (int(flag) for flag in (Status.IN_TRANS, Status.MORE_RESULTS))
_UNUSUAL = int(Status.CURSOR_EXISTS | Status.PS_OUT_PARAMS)
_ERROR_BYTES: Final = 1024
"""More of an error is not kept."""
_DATA_PHASES: Final = (_ROWS, _DEFINITIONS)
_FIRST: Final = [FIRST_PHASE.get(command) for command in range(256)]


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

    __slots__ = (
        "_columns",
        "_continued",
        "_kept",
        "_parameters",
        "_phase",
        "_remaining",
        "_tracks",
        "also",
        "command",
        "ended",
        "errno",
        "error_first",
        "error_text",
        "extra_ok",
        "held",
        "ids_taken",
        "pos",
        "prepared_id",
        "seq",
        "state",
        "statement_id",
        "status",
        "tail",
    )

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
        self._phase: int = Phase.END
        self._remaining = 0
        self._continued = False
        self._columns = 0
        self._parameters = 0
        self._tracks = session_track
        self._kept = SessionState()  # told in packets that the client does not see, owed to a tracking client

    def begin(self, command: int) -> None:
        """Expect the response to ``command``; raise ServerProtocolError if it has none."""
        phase = _FIRST[command]
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
        return self._phase == Phase.UPLOAD

    def uploaded(self) -> None:
        """The file's content has been sent: expect OK or ERR."""
        self._phase = Phase.RESULT

    @property
    def parameters(self) -> int:
        """How many parameters the statement has that was prepared last."""
        return self._parameters

    @property
    def in_transaction(self) -> bool:
        """IN_TRANS of the last status seen."""
        return bool(self.status & _IN_TRANS)

    def feed(self, buffer: bytes | bytearray, start: int, end: int) -> int:
        """Walk ``buffer[start:end]``; see the class for what the answer means."""
        pos = start
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
                kind = Kind.DATA
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
                            self.pos = following
                            self.ended = True
                            return pos
                    elif first == 0xFE and length == 5:
                        status = buffer[pos + 7] | buffer[pos + 8] << 8
                        if phase == _DEFINITIONS and not status & _UNUSUAL:
                            phase = self._phase = _ROWS
                            pos = following
                            continue
                        if phase == _ROWS and not status & _MORE and self.extra_ok:
                            self.status = status
                            phase = self._phase = _EXTRA_OK
                            pos = following
                            continue
                if not length:
                    raise self._unexpected("an empty packet")
                kind = _KINDS[phase].get(first, Kind.DATA)
                if kind is Kind.EOF and length > 8:
                    kind = Kind.DATA
            if kind is Kind.DATA:
                if not self._continued:
                    after = _DATA_NEXT[phase]
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
        if kind is Kind.EOF:
            self._eof(buffer, start, end, after)
            return True
        if kind is Kind.ERR:
            self.errno = buffer[start + 5] | buffer[start + 6] << 8 if end - start > 6 else 0
            self.error_first = self.pos < 0
            self.error_text = bytes(buffer[start + 4 : min(end, start + 4 + _ERROR_BYTES)])
            self._finish(after)
            return True
        if kind is Kind.OK:
            if self._phase == Phase.PREPARE:
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
        if self._phase == Phase.ACKNOWLEDGE and end - start >= 11 and not buffer[start + 5] | buffer[start + 6]:
            self._add_flags(buffer, start + 7)
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
