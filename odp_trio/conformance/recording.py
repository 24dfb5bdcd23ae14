"""What passed between clients and the front of a target while checks ran, command by command."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Final, final

from odp_trio.model import Address
from odp_trio.testing.answers import Answer
from odp_trio.wire.command import Com

_MARK: Final = re.compile(rb"mark\d{6}")
_HAS_STATEMENT: Final = (Com.STMT_EXECUTE, Com.STMT_FETCH, Com.STMT_RESET)
_KILL: Final = re.compile(rb"(?i)^(\x03(?:kill|show proxysession|kill proxysession)\b.*?)\d{2,}")

Exchange = tuple[bytes, Answer]


@final
class Recording:
    """Keeps every exchange, under a name for the command that does not depend on the run."""

    def __init__(self, servers: tuple[Address, ...]) -> None:
        self._servers = [str(server).encode() for server in servers]
        self._kept: defaultdict[bytes, list[Exchange]] = defaultdict(list)
        self._order: list[bytes] = []

    def add(self, command: bytes, answer: Answer) -> None:
        """Keep one exchange."""
        name = self._name(command)
        self._kept[name].append((command, answer))
        self._order.append(name)

    def take(self) -> Recording:
        """Return what was kept since, and begin anew."""
        taken = Recording(())
        taken._kept, taken._order = self._kept, self._order
        self._kept, self._order = defaultdict(list), []
        return taken

    def _name(self, command: bytes) -> bytes:
        if command[0] in _HAS_STATEMENT:
            return command[:1] + command[5:]
        for number, server in enumerate(self._servers):
            command = command.replace(server, b"<server %d>" % number)
        return _KILL.sub(rb"\1<id>", _MARK.sub(b"mark", command))

    def pairs(self, other: Recording) -> Iterator[tuple[bytes, Answer | None, Answer | None]]:
        """Yield each command with both answers; None where one side was not asked it.

        Commands with the same text are paired in the order in which they were said.
        """
        seen: defaultdict[bytes, int] = defaultdict(int)
        for name in self._order:
            at = seen[name]
            seen[name] += 1
            theirs = other._kept.get(name, [])
            command, answer = self._kept[name][at]
            yield command, answer, theirs[at][1] if at < len(theirs) else None
        for name, exchanges in other._kept.items():
            for command, answer in exchanges[len(self._kept.get(name, ())) :]:
                yield command, None, answer
