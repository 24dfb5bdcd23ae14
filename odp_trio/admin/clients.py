"""How many clients there are, against how many there may be."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from odp_trio.config import Settings
from odp_trio.model import TenantKey
from odp_trio.session.admission import Admission
from odp_trio.session.login import DEFAULT_TENANT

MOST_USERS = 100
"""Users that are listed: those with the most clients."""


class TenantClients(msgspec.Struct, frozen=True):
    """Clients of one tenant now.  ``limit`` 0 is none; of several workers each may have as many."""

    cluster: str
    tenant: str
    clients: int
    limit: int
    known: bool
    """Whether it is one that the proxy knows; else somebody tries to log in to it."""


class UserClients(msgspec.Struct, frozen=True):
    """Clients of one user of a tenant now."""

    cluster: str
    tenant: str
    user: str
    clients: int
    limit: int


class ClientsStatus(msgspec.Struct, frozen=True):
    """Clients that are logged in or logging in.  Logins to the proxy itself do not count."""

    clients: int = 0
    limit: int = 0
    """Of all workers together."""
    policy: str = "refuse"
    refused: dict[str, int] = {}
    """By the limit that was reached: ``proxy``, ``tenant``, ``user``."""
    displaced: int = 0
    """Sent away, idle, to make room for others."""
    tenants: tuple[TenantClients, ...] = ()
    users: tuple[UserClients, ...] = ()


def clients_status(admission: Admission, settings: Settings, known: Collection[TenantKey]) -> ClientsStatus:
    """Return the state at this moment; ``known`` are the tenants other than sys that the proxy knows."""
    tenants = sorted(admission.tenants.items(), key=lambda item: (item[0].cluster, item[0].tenant))
    return ClientsStatus(
        admission.clients,
        settings.client_max_connections,
        settings.client_max_connections_policy,
        dict(admission.refused),
        admission.displaced,
        tuple(
            TenantClients(
                key.cluster,
                key.tenant,
                clients,
                settings.scoped(key.cluster, key.tenant, "").tenant_max_connections,
                key.tenant == DEFAULT_TENANT or key in known,
            )
            for key, clients in tenants
        ),
        tuple(
            UserClients(
                key.cluster,
                key.tenant,
                user,
                clients,
                settings.scoped(key.cluster, key.tenant, user).user_max_connections,
            )
            for (key, user), clients in admission.users.most_common(MOST_USERS)
        ),
    )
