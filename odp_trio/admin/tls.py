"""TLS: what is in force, and who uses it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

import msgspec

from odp_trio.net.certificates import Certificates
from odp_trio.session.services import Session

PLAIN = "plain"


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


def tls_status(certificates: Certificates, sessions: Collection[Session]) -> TlsStatus:
    """Return the state at this moment."""
    upstreams = (one for session in sessions if session.router for one in session.router.servers.by_address.values())
    return TlsStatus(
        certificates.client is not None,
        certificates.forced,
        certificates.server_mode,
        certificates.loads,
        certificates.problem,
        dict(Counter(session.tls or PLAIN for session in sessions)),
        dict(Counter(one.tls or PLAIN for one in upstreams)),
    )
