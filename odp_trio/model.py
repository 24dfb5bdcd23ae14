"""Values that every layer shares: addresses and names."""

from __future__ import annotations

import ipaddress
from typing import Self

import msgspec

from odp_trio.errors import BadAddress


class Address(msgspec.Struct, frozen=True, gc=False, order=True):
    """Where an OBServer listens for SQL: an IP address and its SQL port."""

    ip: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``ip:port`` or ``[ipv6]:port``; raise BadAddress naming the text."""
        host, colon, port = text.strip().rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        try:
            ipaddress.ip_address(host)
            number = int(port)
        except ValueError as exc:
            raise BadAddress(f"{text!r} is not an address of the form ip:port") from exc
        if not colon or not 0 < number < 65536:
            raise BadAddress(f"{text!r}: port must be between 1 and 65535")
        return cls(host, number)

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"


def parse_rslist(text: str) -> tuple[Address, ...]:
    """Read ``ip:port;ip:port``, as ODP's ``-r`` takes it; raise BadAddress if it is empty or one is wrong."""
    addresses = tuple(Address.parse(part) for part in text.split(";") if part.strip())
    if not addresses:
        raise BadAddress(f"{text!r} names no address; write ip:port;ip:port")
    return tuple(dict.fromkeys(addresses))


class LoginName(msgspec.Struct, frozen=True, gc=False):
    """A login name taken apart.  ``tenant`` and ``cluster`` are None where the client left them out."""

    user: str
    tenant: str | None
    cluster: str | None
    cluster_id: int | None = None


class TenantKey(msgspec.Struct, frozen=True, gc=False):
    """One tenant of one cluster."""

    cluster: str
    tenant: str
