"""How far each OBServer is from the proxy: same IDC (A), same region (B), another region (C).

The proxy is told the name of its IDC (``proxy_idc_name``, or the session's
``@proxy_idc_name``).  Its region is found by, in this order: a server whose
IDC has that name, a server whose zone's name begins with it, the IDC list of
the config server.  A name that matches nothing switches nearness off: then
every server counts as A.  IDC and zone names are compared without case,
regions with it (as ODP does).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from odp_trio.model import Address
from odp_trio.topology.cluster import Server, Zone

OFF: Final = ""
BY_IDC: Final = "MATCHED_BY_IDC"
BY_ZONE_PREFIX: Final = "MATCHED_BY_ZONE_PREFIX"
BY_URL: Final = "MATCHED_BY_URL"


class Nearness(msgspec.Struct, frozen=True):
    """The distance of every server of a cluster, seen from one IDC."""

    idc: str
    matched: str
    """How the IDC was found; empty when nearness is off."""
    distances: Mapping[Address, str]

    def of(self, address: Address) -> str:
        """``A``, ``B`` or ``C``; a server that the list does not have is far, unless nearness is off."""
        return self.distances.get(address, "C" if self.matched else "A")


def measure(
    idc: str,
    servers: Mapping[Address, Server],
    zones: Mapping[str, Zone],
    idc_list: Mapping[str, str] | None = None,
) -> Nearness:
    """Measure a cluster from an IDC; ``idc_list`` maps IDC to region, as the config server has it."""
    wanted = idc.casefold()
    if not wanted:
        return Nearness(idc, OFF, {})
    placed = {address: zones.get(server.zone) for address, server in servers.items()}
    by_idc = {zone.region for zone in placed.values() if zone is not None and zone.idc.casefold() == wanted}
    by_prefix = {
        zone.region for zone in placed.values() if zone is not None and zone.name.casefold().startswith(wanted)
    }
    if by_idc:
        return Nearness(idc, BY_IDC, _distances(placed, by_idc, wanted, prefix=False))
    if by_prefix:
        return Nearness(idc, BY_ZONE_PREFIX, _distances(placed, by_prefix, wanted, prefix=True))
    by_url = {region for name, region in (idc_list or {}).items() if name.casefold() == wanted}
    if by_url:
        return Nearness(idc, BY_URL, _distances(placed, by_url, wanted, prefix=False))
    return Nearness(idc, OFF, {})


def _distances(
    placed: Mapping[Address, Zone | None], regions: set[str], wanted: str, *, prefix: bool
) -> dict[Address, str]:
    return {address: _distance(zone, regions, wanted, prefix=prefix) for address, zone in placed.items()}


def _distance(zone: Zone | None, regions: set[str], wanted: str, *, prefix: bool) -> str:
    if zone is None or zone.region not in regions:
        return "C"
    here = zone.name.casefold().startswith(wanted) if prefix else zone.idc.casefold() == wanted
    return "A" if here else "B"
