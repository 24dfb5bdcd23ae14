"""What travels beside the packets of one server session in OB 2.0: extra info, both ways.

Session info of the client's other servers, its address once, and what is traced go with requests; session info and
whether the session holds locks come with answers.
"""

from __future__ import annotations

from typing import Final, final

from odp_trio.model import Address
from odp_trio.session.tracing import Tracer
from odp_trio.session.upstream import ServerSession
from odp_trio.state.client import ClientState
from odp_trio.state.session_info import ServerInfo
from odp_trio.wire.command import Com
from odp_trio.wire.extra_info import Key, entry, is_lock_session
from odp_trio.wire.fields import OBCapability

_BARE: Final = frozenset({Com.QUIT, Com.STMT_SEND_LONG_DATA, Com.STMT_CLOSE, Com.STMT_RESET})
"""Commands with which servers take nothing over: seen on seekdb 1.3.0 for those without an answer."""
_CARRIED: Final = OBCapability.OB_PROTOCOL_V2 | OBCapability.SESSION_SYNC | OBCapability.SESSION_VAR_SYNC


@final
class Extras:
    """The extra info of one server session; see ``net.ob20_stream.Beside``."""

    __slots__ = ("_address", "_info", "_state", "_syncs", "tracer")

    def __init__(self, server: ServerSession, state: ClientState, tracer: Tracer) -> None:
        self._address: Address = server.address
        self._state = state
        self._syncs = bool(server.capabilities & OBCapability.SESSION_SYNC)
        self._info = ServerInfo(state.shared)
        self.tracer = tracer if server.capabilities & OBCapability.FULL_LINK_TRACING else None

    def outgoing(self, command: int) -> bytes:
        """Return the extra info for a command that begins now; empty when there is none."""
        if command in _BARE:
            return b""
        info = self._info.outgoing() if self._syncs else b""
        extra = entry(Key.SESS_INFO, info) if info else b""
        if self.tracer is not None:
            extra += self.tracer.span(command)
        if self._state.trace_info:
            extra = entry(Key.TRACE_INFO, self._state.trace_info) + extra
            self._state.trace_info = b""
        return extra

    def arrived(self, key: int, value: bytes) -> None:
        """Take an entry of an answer's extra info; what is not known is skipped."""
        if key == Key.SESS_INFO and self._syncs:
            self._info.arrived(value)
        elif key == Key.FULL_TRC and self.tracer is not None:
            self.tracer.control(value)
        elif key == Key.FEEDBACK_PROXY_INFO and (holds := is_lock_session(value)) is not None:
            self._state.note_locks(self._address, holds)

    def refused(self) -> None:
        """The running request was answered with an error."""
        self._info.refused()


def carries_variables(capabilities: int) -> bool:
    """Whether a server session gets the client's system variables as session info."""
    return capabilities & _CARRIED == _CARRIED
