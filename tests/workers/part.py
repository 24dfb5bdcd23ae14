"""Somebody who takes part in agreements, and remembers what was said."""

from __future__ import annotations

from dataclasses import dataclass, field

import trio

from odp_trio.errors import OdpError


@dataclass
class Part:
    """``refuses`` is raised by prepare; ``hangs`` makes it sleep until it is cancelled."""

    refuses: OdpError | None = None
    hangs: bool = False
    said: list[str] = field(default_factory=list)

    async def prepare(self, body: bytes) -> bytes:
        self.said.append(f"prepare {body.decode()}")
        if self.hangs:
            await trio.sleep_forever()
        if self.refuses is not None:
            raise self.refuses
        return b"prepared " + body

    def commit(self) -> None:
        self.said.append("commit")

    def abandon(self) -> None:
        self.said.append("abandon")
