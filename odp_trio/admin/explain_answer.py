"""The answer of /api/explain as a type, for its schema; ``explain.explanation_object`` makes it."""

from __future__ import annotations

import msgspec

from odp_trio.routing.decide import Considered, Opinion, Step


class ExplainedPartition(msgspec.Struct, frozen=True):
    """The partition that the statement is about."""

    name: str
    tablet_id: int | None


class ExplainedHint(msgspec.Struct, frozen=True):
    """A hint in the statement; ``ignored`` says why it has no effect, else it is empty."""

    text: str
    ignored: str


class ExplainedCounts(msgspec.Struct, frozen=True):
    """What has become of statements like it."""

    routed: int
    missed: int
    not_computable: int


class ExplainAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a statement would go, and why: docs/explain.md."""

    cluster: str
    tenant: str
    what_if: tuple[str, ...]
    kind: str
    tables: tuple[str, ...]
    consistency: str
    consistency_reason: str
    partition: ExplainedPartition | None
    reason: str
    key: tuple[str, ...]
    leader: str | None
    dirty: bool
    rule: str
    policy: str
    tier: str
    server: str | None
    error: str
    candidates: tuple[Considered, ...]
    steps: tuple[Step, ...]
    shadows: tuple[Opinion, ...]
    hints: tuple[ExplainedHint, ...]
    parsed_by: str
    why_not_parsed: str
    counts: ExplainedCounts
