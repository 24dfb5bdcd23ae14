"""What must be told when settings change: whoever keeps a copy of an option, or sleeps for an interval."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Protocol

import trio

from odp_trio.admin.configuration import Configuration
from odp_trio.catalog.clusters import Clusters
from odp_trio.config import Settings
from odp_trio.session.sessions import Sessions
from odp_trio.session.views import Views
from odp_trio.sql.cache import Statements
from odp_trio.topology.location_table import Locations

if TYPE_CHECKING:
    from odp_trio.config.impact import Seen

LOCATION_BYTES = 512
"""What ODP reckons for one location, of three quarters of the memory that locations may take."""


def location_limit(settings: Settings) -> int:
    """Return how many locations may be kept."""
    return settings.routing_cache_mem_limited * 3 // 4 // LOCATION_BYTES


class Parts(Protocol):
    """Those of a proxy that have copies of options, or know of their surroundings."""

    configuration: Configuration
    clusters: Clusters
    locations: Locations
    sessions: Sessions
    statements: Statements
    views: Views


def follow_changes(parts: Parts, rng: random.Random) -> None:
    """Keep the parts of a proxy up to date with its settings."""

    def changed(old: Settings, new: Settings) -> None:
        parts.statements.text_limit = new.request_buffer_length
        parts.locations.resize(location_limit(new))
        period = new.location_expire_period_time
        if period and period != old.location_expire_period_time:
            now = trio.current_time()
            parts.locations.expire_all(lambda: now + period * (0.5 + rng.random() / 2))
        parts.views.settings_changed()
        parts.clusters.settings_changed(old, new)
        parts.sessions.settings_changed(new)

    def look() -> Seen:
        from odp_trio.config.impact import Seen

        known = [resource for resource in parts.clusters.resources() if resource.available]
        return Seen(
            len(parts.sessions.table),
            {each.name: frozenset(filter(None, [zone.idc for zone in each.zones.values()])) for each in known},
            {each.name: frozenset(each.zones) for each in known},
        )

    parts.configuration.look = look
    parts.configuration.subscribe(changed)
