"""What one execution of a statement brings along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final


@final
class Values:
    """What one execution of a statement brings along.  A session has one and changes it."""

    __slots__ = (
        "collation",
        "encoding",
        "literals",
        "now",
        "parameters",
        "time_zone",
        "user_variables",
    )

    def __init__(
        self,
        literals: Sequence[bytes] = (),
        parameters: Sequence[Any] | None = (),
        user_variables: Mapping[str, Any] | None = None,
        time_zone: str = "+08:00",
    ) -> None:
        self.literals = literals
        """Raw text of each slot."""
        self.parameters = parameters
        """Python values of the placeholders; None or too few when they are not known."""
        self.user_variables: Mapping[str, Any] = user_variables or {}
        """By lower-case name."""
        self.time_zone = time_zone
        self.collation = 45
        """Id of collation_connection."""
        self.encoding = "utf-8"
        """Of the text, as Python names it."""
        self.now: float | None = None
        """Seconds since the epoch, if NOW() is to be computed."""
