"""The tree of supervised tasks as a record: what runs, since when, how often it was started again, and why."""

from __future__ import annotations

import msgspec

from odp_trio.supervise.statistics import ChildStatistics, SupervisorStatistics


class TreeNode(msgspec.Struct, frozen=True):
    """One task, or one block of tasks.  Times are in seconds from now."""

    name: str
    path: str
    """Names it from the root."""
    state: str
    """starting, running, backing_off or stopped; a block is always running."""
    since: float
    """How long it has been in this state."""
    restarts: int
    last_error: str
    """What ended its last life that failed; empty when none did."""
    next_attempt: float | None
    """When a task that backs off is started again."""
    children: tuple[TreeNode, ...]


def task_tree(root: SupervisorStatistics, now: float) -> TreeNode:
    """Return the whole tree; ``now`` is a Trio time."""
    children = tuple(_node(child, "", now) for child in root.children)
    oldest = max((child.since for child in children), default=0.0)
    return TreeNode(root.name, "", "running", oldest, 0, "", None, children)


def _node(child: ChildStatistics, prefix: str, now: float) -> TreeNode:
    path = f"{prefix}{child.name}"
    return TreeNode(
        name=child.name,
        path=path,
        state=child.state.value,
        since=round(now - child.since, 3),
        restarts=child.restarts,
        last_error=child.last_error,
        next_attempt=None if child.next_attempt is None else round(max(0.0, child.next_attempt - now), 3),
        children=tuple(_node(below, f"{path}/", now) for below in child.children),
    )
