"""What the routing of a session is lent, as protocols: views of the cluster, and where feedback goes."""

from __future__ import annotations

from typing import Protocol

from odp_trio.model import Address, TenantKey
from odp_trio.routing.view import View
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
