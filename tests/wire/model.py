"""OK packets as values: what a server means, and the three forms of it on the wire.

Written apart from odp_trio.wire.state, in the plainest way, to be compared with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import strategies as st

from odp_trio.wire.fields import lenenc_int, lenenc_str

MORE, STATE_CHANGED = 0x0008, 0x4000
TRACE_ID = b"ob_statement_trace_id"
UNTOLD = (b"ob_proxy_partition_hit",)
MOMENTARY = (TRACE_ID, *UNTOLD)
LAST = b"ob_proxy_set_trx_executed"
Pairs = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True)
class State:
    """Session state of one OK."""

    system: Pairs = ()
    user: Pairs = ()
    schema: bytes | None = None

    def to_bytes(self) -> bytes:
        """Write OceanBase's form: one block of variables."""
        pairs = list(self.system)
        if self.user:
            pairs += [(b"__NULL", b"__NULL"), *self.user]
        variables = b"".join(lenenc_str(name) + lenenc_str(value) for name, value in pairs)
        return (b"\0" + lenenc_str(variables) if pairs else b"") + _schema(self.schema) + b"\x02\x02\x011"

    def told(self, hidden: tuple[bytes, ...]) -> State | None:
        """Return what a client may know of it: nothing if all of it is hidden."""
        system = tuple(pair for pair in self.system if pair[0] not in hidden)
        if self.system and not system and not self.user and self.schema is None:
            return None
        return replace(self, system=system)


@dataclass(frozen=True)
class OK:
    """One OK packet; ``info`` has the filler blank if it is not empty."""

    affected: int = 0
    insert_id: int = 0
    status: int = 0x22
    warnings: int = 0
    info: bytes = b""
    state: State | None = None

    @property
    def wire_status(self) -> int:
        return self.status | (STATE_CHANGED if self.state is not None else 0)

    def to_proxy(self) -> bytes:
        """Write what a proxy connection gets."""
        block = b"" if self.state is None else lenenc_str(self.state.to_bytes())
        return self._head(self.wire_status) + lenenc_str(self.info) + block

    def to_plain(self) -> bytes:
        """Write what a plain connection gets."""
        return self._head(self.status) + self.info

    def to_tracking(self, told: list[State]) -> bytes:
        """Write what a plain connection with SESSION_TRACK gets that is to be told these states."""
        if self.status & MORE:
            return self._head(self.status) + lenenc_str(self.info)
        info = self.info.removeprefix(b" ")
        if not told:
            return self._head(self.status) + (lenenc_str(info) if info else b"")
        variables: dict[bytes, bytes] = {}
        schema = None
        for state in told:
            if LAST in dict(state.system):
                variables.pop(LAST, None)
            variables.update(state.system)
            schema = state.schema if state.schema is not None else schema
        blocks = [b"\0" + lenenc_str(lenenc_str(name) + lenenc_str(value)) for name, value in variables.items()]
        block = b"".join(blocks) + _schema(schema) + b"\x02\x02\x011"
        return self._head(self.status | STATE_CHANGED) + lenenc_str(info) + lenenc_str(block)

    def _head(self, status: int) -> bytes:
        numbers = lenenc_int(self.affected) + lenenc_int(self.insert_id)
        return b"\0" + numbers + status.to_bytes(2, "little") + self.warnings.to_bytes(2, "little")


def _schema(name: bytes | None) -> bytes:
    return b"" if name is None else b"\x01" + lenenc_str(lenenc_str(name))


names = st.sampled_from([b"autocommit", b"time_zone", b"a", LAST])
hidden = st.sampled_from(MOMENTARY)
values = st.binary(max_size=6)
pairs = st.dictionaries(names, values, max_size=3).map(lambda found: tuple(found.items()))
traced = st.builds(lambda found, name, value: (*found, (name, value)), pairs, hidden, values)
states = st.builds(State, pairs | traced, pairs, st.none() | values)
numbers = st.sampled_from([0, 0, 0, 1, 2, 250, 251, 70000, 1 << 24, (1 << 64) - 1])


def oks(*, more: bool | None = None) -> st.SearchStrategy[OK]:
    """Make OK packets; ``more`` says whether another result follows."""
    flags = st.sampled_from([0x22, 0x23, 0x20, 0x02, 0x00])
    if more is None:
        flags |= flags.map(lambda status: status | MORE)
    elif more:
        flags = flags.map(lambda status: status | MORE)
    info = st.sampled_from([b"", b"", b" Rows matched: 1  Changed: 1  Warnings: 0", b" " + b"x" * 300])
    return st.just(OK(status=0x22 | (MORE if more else 0))) | st.builds(
        OK, numbers, numbers, flags, st.sampled_from([0, 0, 1, 65535]), info, st.none() | states
    )
