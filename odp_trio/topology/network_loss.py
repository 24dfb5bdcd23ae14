"""Have the servers failed, or have we lost our network?  One rule."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from odp_trio.model import Address
from odp_trio.topology.congestion import Entry


def healthy_before(entries: Iterable[Entry], since: float) -> list[Entry]:
    """Return the servers that the server list calls in service and that belonged on no list at ``since``."""
    return [entry for entry in entries if entry.serves and (entry.due_since is None or entry.due_since >= since)]


def network_is_lost(healthy: Collection[Entry], failing: Collection[Address], since: float) -> str:
    """Say why the network seems to be lost; empty when it does not.

    ``failing`` are the servers that failed, a session or a probe, after the
    last sign of life of any server of the cluster.  The network is lost when
    there are two healthy servers or more, nine in ten of them at least have
    failed since ``since`` and after that sign, and one of them belongs on a list.
    """
    failed = sum(entry.address in failing and entry.trouble_at >= since for entry in healthy)
    if len(healthy) < 2 or failed < len(healthy) - len(healthy) // 10:
        return ""
    if all(entry.due_since is None for entry in healthy):
        return ""
    return f"{failed} of {len(healthy)} servers have failed, and none has answered since"
