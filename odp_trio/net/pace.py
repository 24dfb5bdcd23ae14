"""How much of a turn of the loop goes to what can wait: logins, so that a storm of them does not stop statements."""

from __future__ import annotations

from typing import final

from odp_trio.net.reactor import Reactor


@final
class Pace:
    """Allows so many steps in one turn of the reactor.

    Who is not allowed one leaves his socket as it is: it is reported again in the next turn, behind the others.
    """

    __slots__ = ("_left", "_reactor", "_steps", "_turn")

    def __init__(self, reactor: Reactor, steps: int) -> None:
        self._reactor, self._steps = reactor, steps
        self._turn, self._left = -1, 0

    def allows(self) -> bool:
        """Whether one more step is allowed in this turn; it counts as taken then."""
        if self._turn != self._reactor.turns:
            self._turn, self._left = self._reactor.turns, self._steps
        if not self._left:
            return False
        self._left -= 1
        return True
