"""One question to the rules, and what they may answer."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, final

import msgspec

from odp_trio.errors import OdpError
from odp_trio.model import Address
from odp_trio.routing.partition import Located, NotComputable
from odp_trio.routing.values import Values
from odp_trio.sql.facts import Kind, Shape, StatementFacts
from odp_trio.sql.literals import Annotation
from odp_trio.state.client import ClientState
from odp_trio.topology.location import Location, TableEntry, TableKey
from odp_trio.topology.location_table import TenantTables

NO_TEXT: Final = Shape(StatementFacts(kind=Kind.OTHER, why="a command without text"))
"""The shape of commands that carry no statement."""
PING: Final = Shape(StatementFacts(kind=Kind.OTHER, why="COM_PING", binds_last=("ping",)))
"""The shape of COM_PING, which leaves warnings and row counts as they are."""


class Route(msgspec.Struct, frozen=True):
    """The statement goes to ``server``; the rest says why and what feedback is about."""

    server: Address
    rule: str
    policy: str = ""
    letters: str = ""
    """Tier of the policy."""
    location: Location | None = None
    """Set when the choice came from a location: feedback about it counts."""
    weak: bool = False
    to_leader: bool = False
    renew: Location | None = None
    """A dirty location that was used and should be renewed in the background."""
    tally: list[int] | None = None
    """Of the table and the policy: statements routed and missed."""


class Lookup(msgspec.Struct, frozen=True):
    """A location is missing: fetch it and ask again.  Without ``tablet_id`` the table's."""

    key: TableKey
    entry: TableEntry | None = None
    tablet_id: int = 0


class Refuse(msgspec.Struct, frozen=True):
    """The client gets an error."""

    error: OdpError
    rule: str = ""


Decision = Route | Lookup | Refuse
Home = tuple[TenantTables, bytes, bool, TableEntry]
"""The table of a shape: for this tenant, this database and this way of comparing names it is this one."""


@final
class RouteRequest:
    """A statement and its session.  One object serves all statements of a session.

    What the rules work out on the way (table entry, partition, location) is
    kept here, for feedback and for ``explain``.
    """

    __slots__ = (
        "_home",
        "_home_of",
        "annotation",
        "entry",
        "located",
        "location",
        "lookup_failure",
        "owner",
        "owner_why",
        "reason",
        "refused",
        "shape",
        "state",
        "turn",
        "user",
        "values",
        "weak",
    )

    def __init__(self, state: ClientState, values: Values) -> None:
        self.state = state
        self.values = values
        self.user = ""
        self.turn = 0
        """Chooses among equals; the caller changes it between statements."""
        self.shape = NO_TEXT
        self.refused: Collection[Address] = ()
        """Servers that this statement has tried in vain."""
        self.owner: Address | None = None
        """The one server that can run it (its cursor, its prepared statement), and why."""
        self.owner_why = ""
        self.annotation: Annotation | None = None
        self.entry: TableEntry | None = None
        self.location: Location | None = None
        self.located: Located | NotComputable | None = None
        self.reason = ""
        """Why there is no location."""
        self.weak = False
        self._home: Home | None = None
        self._home_of: Shape | None = None
        self.lookup_failure = ""
        """Why the location could not be looked up: the statement goes on without one."""

    def begin(self, shape: Shape) -> None:
        """Forget what was worked out for the statement before."""
        self.shape = shape
        self.owner = None
        self.annotation = None
        self.refused = ()
        self.lookup_failure = ""

    def recalled(self, tables: TenantTables) -> TableEntry | None:
        """Return the entry that this shape had the last time, in any session of the tenant, or else in this one."""
        home: Home | None = self.shape.home  # type: ignore[assignment]
        if home is None or home[0] is not tables:
            home = self._home
            if home is None or self._home_of is not self.shape or home[0] is not tables:
                return None
        entry = home[3]
        state = self.state
        same = home[1] == state.database and home[2] == state.lower_case_names and not entry.gone
        return entry if same else None

    def remember(self, entry: TableEntry, tables: TenantTables) -> None:
        """Keep an entry for the next statement of this shape."""
        self._home = self.shape.home = (tables, self.state.database, self.state.lower_case_names, entry)
        self._home_of = self.shape
