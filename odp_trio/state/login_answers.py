"""What logins told of variables: the first login of a client session is what its other server sessions must equal.

A further server session begins with the global values of its moment.  Where
SET GLOBAL came between, or a server has another default, the variables that
differ are set to what the first login told.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, final

from odp_trio.state.client import TIME_LIMITS, UNSYNCED, login_defaults
from odp_trio.wire.fields import Status, lenenc_str
from odp_trio.wire.resultset import ok_payload
from odp_trio.wire.state import SessionState, find_number, find_variable, parse_ok

_KEPT: Final = 64
_NEEDED: Final = (
    b"ob_read_consistency",
    b"ob_route_policy",
    b"autocommit",
    b"lower_case_table_names",
    b"time_zone",
    b"collation_connection",
    b"character_set_client",
    b"sql_mode",
    *TIME_LIMITS,
)
"""Variables of the login's OK that routing and time-outs need."""
_NLS: Final = (b"nls_date_format", b"nls_timestamp_format", b"nls_timestamp_tz_format")
_ON: Final = (b"ON", b"1")


@final
class LoginAnswer:
    """The OK of a login with what the proxy reads in it: read once, however many sessions get the same."""

    __slots__ = ("capabilities", "checksum", "defaults", "global_version", "ok", "plain", "privileges", "tracked")

    def __init__(self, ok: bytes) -> None:
        self.ok = ok
        """The payload: 26 KB that list every variable of the session."""
        self.capabilities = find_number(ok, b"ob_capability_flag")
        """What the server grants: bits of OBCapability."""
        self.privileges = find_number(ok, b"ob_proxy_user_privilege")
        self.checksum = (find_variable(ok, b"ob_enable_transmission_checksum") or b"ON").upper() in _ON
        """Whether frames of the compressed protocol have one."""
        self.global_version = find_variable(ok, b"ob_proxy_global_variables_version") or b"0"
        self.defaults = login_defaults(needed_variables(ok))
        """What ``ClientState`` begins with; shared, never changed."""
        self.plain = _for_client(ok, tracks=False)
        """The payload of the OK that a client gets."""
        self.tracked = _for_client(ok, tracks=True)
        """The same for a client with SESSION_TRACK."""


def _for_client(server_ok: bytes, *, tracks: bool) -> bytes:
    """Build the client's OK out of the server's.

    A client with SESSION_TRACK is told the three nls formats, as a server does directly (seen on seekdb 1.3.0).
    """
    status = int.from_bytes(server_ok[3:5], "little") & ~Status.SESSION_STATE_CHANGED
    block = b""
    for name in _NLS if tracks else ():
        if (value := find_variable(server_ok, name)) is not None:
            block += b"\0" + lenenc_str(lenenc_str(name) + lenenc_str(value))
    if not block:
        return ok_payload(status)
    return ok_payload(status | Status.SESSION_STATE_CHANGED) + b"\0" + lenenc_str(block)


@final
class LoginAnswers:
    """The OKs of first logins, each one kept once however many sessions have it; and which variables cannot be set."""

    __slots__ = ("_known", "_last", "unsettable")

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, LoginAnswer] = OrderedDict()
        self._last: LoginAnswer | None = None
        self.unsettable: set[bytes] = set()
        """Names that a server refused to set because they are global or read-only: never sent again."""

    def shared(self, ok: bytes) -> LoginAnswer:
        """Return the answer that is kept and equal to this one."""
        last = self._last
        if last is not None and last.ok == ok:  # as nearly always; hashing 26 KB costs more than comparing them
            return last
        known = self._known.get(ok)
        if known is None:
            known = self._known[ok] = LoginAnswer(ok)
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(ok)
        self._last = known
        return known

    def differing(self, first: LoginAnswer, further: LoginAnswer) -> dict[bytes, bytes]:
        """Return the variables that a further login has otherwise than the first, with the values of the first."""
        if first.ok == further.ok:
            return {}
        there = (parse_ok(further.ok).state or SessionState()).system
        return {
            name: value
            for name, value in (parse_ok(first.ok).state or SessionState()).system.items()
            if there.get(name, value) != value
            and name not in UNSYNCED
            and name not in self.unsettable
            and not name.startswith((b"ob_proxy_", b"_ob_proxy_"))
        }


def needed_variables(ok: bytes) -> dict[bytes, bytes]:
    """Return what routing and time-outs need of a login's OK."""
    return {name: value for name in _NEEDED if (value := find_variable(ok, name)) is not None}
