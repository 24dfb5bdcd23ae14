"""Who may ask what over HTTP: a token, or this machine; and no web page that is not ours.

A browser lends its place on this machine to every page that it shows.  So a request without a token must
name us by an address or as ``localhost`` (a name may be pointed at us: DNS rebinding), and must not come from
a page of another origin.  What changes something needs the token, which no foreign page has.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from enum import Enum
from typing import Final

import msgspec

FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-real-ip")
"""Headers of a proxy between: then the peer's address says nothing about who asks."""


class Visitor(Enum):
    """Who asks."""

    TOKEN = "token"
    LOCAL = "local"
    """From this machine, without a token."""
    STRANGER = "stranger"


class Refusal(msgspec.Struct, frozen=True):
    """What is answered instead: a status code, and why."""

    code: int
    error: str


NO_TOKEN: Final = Refusal(401, "a token is needed: Authorization: Bearer …, the proxy's http_token")
WRONG_TOKEN: Final = Refusal(401, "the token is wrong")
NOT_CONFIGURED: Final = Refusal(403, "nothing can be changed over HTTP: the proxy has no http_token")


def visitor(headers: Mapping[str, str], peer: str, token: str) -> Visitor | Refusal:
    """Return who asks; ``headers`` by names in small letters, ``peer`` an IP address, ``token`` empty for none."""
    host = headers.get("host", "")
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] != host:
        return Refusal(403, f"a page of {origin} may not ask here")
    authorization = headers.get("authorization")
    if authorization is not None:
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return Refusal(401, "Authorization must be: Bearer TOKEN")
        return Visitor.TOKEN if is_token(given.strip(), token) else WRONG_TOKEN
    if not is_loopback(peer) or any(name in headers for name in FORWARDED):
        return Visitor.STRANGER
    if not names_us(host):
        return Refusal(403, f"Host {host[:100]!r} is neither an address nor localhost: ask so, or with a token")
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return Refusal(403, "a page of another site may not ask here")
    return Visitor.LOCAL


def check(who: Visitor | Refusal, token: str, *, writes: bool) -> Refusal | None:
    """Return why somebody may not read, or may not change anything; None when it may."""
    if isinstance(who, Refusal):
        return who
    if writes and not token:
        return NOT_CONFIGURED
    allowed = who is Visitor.TOKEN or (who is Visitor.LOCAL and not writes)
    return None if allowed else NO_TOKEN


def is_token(given: str, token: str) -> bool:
    """Whether a token is the one, in a time that does not tell how much of it is right; an empty one never is."""
    return bool(token) and hmac.compare_digest(given.encode(errors="replace"), token.encode())


def is_loopback(peer: str) -> bool:
    """Whether an address is this machine's own."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def names_us(host: str) -> bool:
    """Whether a Host header is an IP address or localhost, with a port or without."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if name.lower().rstrip(".") == "localhost":
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
