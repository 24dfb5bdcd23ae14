"""What a session is lent, as protocols: views of the cluster, where feedback goes, who measures its statements."""

from __future__ import annotations

from typing import Final, Protocol, final

from odp_trio.model import Address, TenantKey
from odp_trio.routing.request import Route
from odp_trio.routing.view import View
from odp_trio.session.ledger import EndRecord
from odp_trio.session.reasons import End
from odp_trio.topology.congestion import Failure
from odp_trio.topology.location import Location


class TenantViews(Protocol):
    """What the router is lent: views, which change with what is known of the cluster."""

    generation: int

    def view(self, key: TenantKey, user: str) -> View | None:
        """Return the view of a tenant for a user; None when the tenant's servers must be fetched first."""
        ...


class Feedback(Protocol):
    """Where feedback about locations goes."""

    def note_dirty(self, location: Location) -> None:
        """A location is wrong."""
        ...

    def renew(self, location: Location) -> bool:
        """Begin to renew a dirty location that is in use."""
        ...

    def tables_changed(self, key: TenantKey, database: str, sql: bytes) -> None:
        """DDL was executed."""
        ...

    def tenant_moved(self, key: TenantKey) -> None:
        """A server says that the tenant is not there."""
        ...

    def server_failed(self, key: TenantKey, address: Address, failure: Failure) -> None:
        """A server failed a session of the tenant."""
        ...

    def server_answered(self, key: TenantKey, address: Address) -> None:
        """A server has answered a statement well."""
        ...

    def misrouted(self, key: TenantKey, route: Route, sql: bytes) -> None:
        """A server says that it has not the data of a statement that was sent there by its location."""
        ...


class Diagnosing(Protocol):
    """Who writes down what becomes of connections.  Each is called on the loop, and returns at once."""

    @property
    def wants_connections(self) -> bool:
        """Whether it is to be told of logins and ends."""
        ...

    def logged_in(self, end: EndRecord) -> None:
        """A client has logged in; the record says who it is, as it would if it ended now."""
        ...

    def ended(self, end: EndRecord, why: End) -> None:
        """A client's connection has ended."""
        ...

    def misrouted(self, key: TenantKey, route: Route, sql: bytes) -> None:
        """A statement went to a server without its data."""
        ...


class Measures(Protocol):
    """Who is told what statements took: ``session.measuring``."""

    def finish(self, arrived: int, sent: int, first: int, came: int, errno: int = 0) -> None:
        """The answer of a server has been given to the client; its last bytes ``came`` then."""
        ...

    def answered_here(self, arrived: int, answer: bytes) -> None:
        """A statement that no server was asked about, or that none has answered, has got ``answer``, whole packets."""
        ...


@final
class Unmeasured:
    """Measures nothing."""

    __slots__ = ()

    def finish(self, arrived: int, sent: int, first: int, came: int, errno: int = 0) -> None:
        """Do nothing."""

    def answered_here(self, arrived: int, answer: bytes) -> None:
        """Do nothing."""


UNMEASURED: Final = Unmeasured()
