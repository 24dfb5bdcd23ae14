"""The trees of workers as one, and paths that name a worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from odp_trio.admin.tree import TreeNode

WORKER: Final = "worker:"
"""What stands before the number of a worker in the path of its tasks."""


def tree(values: Sequence[TreeNode], numbers: Sequence[int]) -> TreeNode:
    """Hang the trees of workers below one root; ``numbers`` are those of the workers."""
    below = tuple(_placed(one, f"{WORKER}{number}") for one, number in zip(values, numbers, strict=True))
    return msgspec.structs.replace(values[0], since=max(one.since for one in values), children=below)


def _placed(root: TreeNode, name: str) -> TreeNode:
    children = tuple(_below(child, name) for child in root.children)
    return msgspec.structs.replace(root, name=name, path=name, children=children)


def _below(node: TreeNode, prefix: str) -> TreeNode:
    children = tuple(_below(child, prefix) for child in node.children)
    return msgspec.structs.replace(node, path=f"{prefix}/{node.path}", children=children)


def of_worker(path: str) -> tuple[int | None, str]:
    """Take the path of a task apart: the number of its worker, None for all, and the path in there."""
    head, _, rest = path.partition("/")
    number = head.removeprefix(WORKER)
    if rest and head != number and number.isascii() and number.isdigit():
        return int(number), rest
    return None, path
