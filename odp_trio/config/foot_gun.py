"""One thing that somebody may not expect of a setting."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from odp_trio.config.options import Settings


class FootGun(msgspec.Struct, frozen=True):
    """One thing to know.  ``text`` may show values of the settings before and after."""

    name: str
    options: tuple[str, ...]
    text: str
    when: Callable[[Settings, Settings], bool]

    def told(self, old: Settings, new: Settings) -> str:
        """Return what to tell of a change; empty: nothing."""
        if not any(getattr(old, name) != getattr(new, name) for name in self.options):
            return ""
        return self.text.format(old=old, new=new) if self.when(old, new) else ""


def when(name: str, options: str, text: str, holds: Callable[[Settings, Settings], bool]) -> FootGun:
    """Return a foot-gun of the way from settings to others."""
    return FootGun(name, tuple(options.split()), text, holds)


def whenever(name: str, options: str, text: str, holds: Callable[[Settings], bool]) -> FootGun:
    """Return a foot-gun of settings as they are."""
    return FootGun(name, tuple(options.split()), text, lambda _, new: holds(new))


def lowered(name: str) -> Callable[[Settings, Settings], bool]:
    """Return whether an option has less than before."""
    return lambda old, new: getattr(new, name) < getattr(old, name)
