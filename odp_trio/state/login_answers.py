"""What logins told of variables: the first login of a client session is what its other server sessions must equal.

A further server session begins with the global values of its moment.  Where
SET GLOBAL came between, or a server has another default, the variables that
differ are set to what the first login told.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, final

from odp_trio.state.client import TIME_LIMITS, UNSYNCED
from odp_trio.wire.state import SessionState, find_variable, parse_ok

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


@final
class LoginAnswers:
    """The OKs of first logins, each one kept once however many sessions have it; and which variables cannot be set."""

    __slots__ = ("_known", "unsettable")

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, bytes] = OrderedDict()
        self.unsettable: set[bytes] = set()
        """Names that a server refused to set because they are global or read-only: never sent again."""

    def shared(self, ok: bytes) -> bytes:
        """Return the OK that is kept and equal to this one."""
        known = self._known.setdefault(ok, ok)
        self._known.move_to_end(ok)
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return known

    def differing(self, first: bytes, further: bytes) -> dict[bytes, bytes]:
        """Return the variables that a further login has otherwise than the first, with the values of the first."""
        if first == further:
            return {}
        there = (parse_ok(further).state or SessionState()).system
        return {
            name: value
            for name, value in (parse_ok(first).state or SessionState()).system.items()
            if there.get(name, value) != value
            and name not in UNSYNCED
            and name not in self.unsettable
            and not name.startswith((b"ob_proxy_", b"_ob_proxy_"))
        }


def needed_variables(ok: bytes) -> dict[bytes, bytes]:
    """Return what routing and time-outs need of a login's OK."""
    return {name: value for name in _NEEDED if (value := find_variable(ok, name)) is not None}
