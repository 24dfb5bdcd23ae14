"""One question to the rules, and what they may answer."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, final

import msgspec

from odp_trio.errors import OdpError
from odp_trio.model import Address
from odp_trio.routing.located import Located, NotComputable
from odp_trio.routing.values import Values
from odp_trio.sql.facts import Kind, Shape, StatementFacts
from odp_trio.sql.literals import Annotation
from odp_trio.state.client import ClientState
from odp_trio.topology.location import Location, TableEntry, TableKey
from odp_trio.topology.location_table import TenantTables
from odp_trio.topology.scope import Scope

NO_TEXT: Final = Shape(StatementFacts(kind=Kind.OTHER, why="a command without text"))
"""The shape of commands that carry no statement."""
PING: Final = Shape(StatementFacts(kind=Kind.OTHER, why="COM_PING", binds_last=("ping",)))
"""The shape of COM_PING, which leaves warnings and row counts as they are."""


class Route(msgspec.Struct, frozen=True, gc=False):
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
    """Of the table and the policy: statements routed and missed.  None of a route that its location keeps."""


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


@final
class RouteRequest:
    """A statement and its session.  One object serves all statements of a session.

    What the rules work out on the way (table entry, partition, location) is
    kept here, for feedback and for ``explain``.
    """

    __slots__ = (
        "_scope",
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
        self._scope: Scope | None = None
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
        """Return the entry that this shape had the last time, in any session of the tenant."""
        home = self.scope(tables).find(self.shape)
        if home is None:
            return None
        entry = home.table if type(home) is Location else home
        return None if entry.gone else entry

    def remember(self, entry: TableEntry, tables: TenantTables) -> None:
        """Keep an entry for the next statement of this shape."""
        self.scope(tables).remember(self.shape, entry)

    def scope(self, tables: TenantTables) -> Scope:
        """Return what names mean in the session as it is now."""
        scope, state = self._scope, self.state
        if (
            scope is None
            or scope.tables is not tables
            or scope.database != state.database
            or scope.lower is not state.lower_case_names
        ):
            scope = self._scope = tables.scope(state.database, lower=state.lower_case_names)
        return scope
