"""TLS: what is in force, and who uses it."""

from __future__ import annotations

import msgspec

from odp_trio.admin.census import Census
from odp_trio.net.certificates import Certificates


class TlsStatus(msgspec.Struct, frozen=True):
    """Both legs.  ``loads`` counts how often the files were taken into force."""

    offered: bool = False
    """Clients may use TLS."""
    forced: bool = False
    """Clients must."""
    server: str = ""
    """How servers are met: server_ssl_mode; empty: in plain text."""
    loads: int = 0
    problem: str = ""
    """Why the files as they are now cannot be used; the ones before are in force, if there were any."""
    clients: dict[str, int] = {}
    """Sessions by version of TLS (``plain``: none) towards the client."""
    server_sessions: dict[str, int] = {}
    """Server sessions, likewise."""

    @property
    def why_degraded(self) -> tuple[str, ...]:
        """What an operator should look at."""
        return (f"certificates: {self.problem}",) if self.problem else ()


def tls_status(certificates: Certificates, census: Census) -> TlsStatus:
    """Return the state at this moment."""
    return TlsStatus(
        certificates.client is not None,
        certificates.forced,
        certificates.server_mode,
        certificates.loads,
        certificates.problem,
        dict(census.clients),
        dict(census.server_sessions),
    )
