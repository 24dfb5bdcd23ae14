"""What a command is: how it is written, who may give it, what it shows or does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Final, final

import msgspec

from odp_trio.admin.across.rows import ONE, Across
from odp_trio.admin.commands.syntax import Found, Syntax
from odp_trio.config.like import is_like
from odp_trio.errors import OutOfRange
from odp_trio.session.kill import Killer
from odp_trio.session.services import Session

if TYPE_CHECKING:
    from odp_trio.app import Proxy

Rows = Iterable[Sequence[object] | None]
"""None is no row: something that was looked at and left out, so that others run between however much that is."""

LIKE: Final = "[LIKE 'pattern']"
_HIGHEST: Final = (1 << 63) - 1


class Who(Enum):
    """Who may give a command."""

    ADMINISTRATORS = "administrators"
    """root@proxysys, and root@sys of a cluster."""
    EVERYBODY = "everybody"
    """Whoever is logged in; what it shows is what they may see."""
    PROBES = "everybody, inspector@proxysys too"


class Column(msgspec.Struct, frozen=True):
    """One column of an answer: a BIGINT if ``number``, else a VARCHAR."""

    name: str
    number: bool = False


@final
class Asked:
    """A command that somebody gave: who, and its arguments.

    ``session`` is whose it is; None if that one is in another worker.  ``part``: the answer is one of several that
    become one.
    """

    __slots__ = ("arguments", "by", "everything", "killer", "part", "proxy", "session")

    def __init__(
        self,
        proxy: Proxy,
        session: Session | None,
        killer: Killer,
        arguments: Found,
        by: str = "",
        *,
        part: bool = False,
    ) -> None:
        self.proxy, self.session, self.killer = proxy, session, killer
        self.everything = arguments
        self.by = by or str(session)
        """Who gives it, for the log."""
        self.part = part
        self.arguments = dict(arguments)

    def text(self, name: str) -> str | None:
        """Return an argument; None when it was left out."""
        return self.arguments.get(name)

    def number(self, name: str) -> int | None:
        """Return an argument that is a number; raise OutOfRange for one that no column could show."""
        text = self.arguments.get(name)
        if text is None:
            return None
        if int(text) > _HIGHEST:
            raise OutOfRange(f"{name} = {text} is out of range: 0 to {_HIGHEST}")
        return int(text)

    def like(self, name: str) -> bool:
        """Whether the LIKE of the command, if it has one, admits a name."""
        return is_like(name, self.arguments.get("pattern"))


Run = Callable[[Asked], Rows | str | Awaitable[Rows | str | None] | None]
"""Returns rows; or, of a command that is answered with OK, what the OK says besides."""


def meaningless(_: Asked) -> None:
    """Do nothing: never called, the command says why it cannot be."""
    raise AssertionError("a command that means nothing is not run")


class Command(msgspec.Struct, frozen=True):
    """One line of the table.

    ``meaning`` is the sentence that help and documentation give.  Without ``columns`` the answer is OK.
    """

    syntax: Syntax
    columns: tuple[Column, ...]
    run: Run
    meaning: str
    who: Who = Who.ADMINISTRATORS
    own: bool = False
    """ODP does not have it."""
    nothing: str = ""
    """Why it means nothing here, although ODP has it; empty for a command that does something."""
    across: Across = ONE
    """What becomes of it where there are several workers."""


def columns(text: str) -> tuple[Column, ...]:
    """Read ``name V, value L``: V is a VARCHAR, L a BIGINT."""
    found = []
    for part in text.split(","):
        name, kind = part.strip().rsplit(" ", 1)
        if kind not in ("V", "L"):
            raise ValueError(f"{part!r}: a column is V or L")
        found.append(Column(name, kind == "L"))
    return tuple(found)


def show(
    notation: str,
    of: str,
    run: Run,
    meaning: str,
    *,
    across: Across,
    who: Who = Who.ADMINISTRATORS,
    own: bool = False,
) -> Command:
    """Make a command that answers with rows."""
    return Command(Syntax(notation), columns(of), run, meaning, who, own, across=across)


def order(
    notation: str, run: Run, meaning: str, *, across: Across, who: Who = Who.ADMINISTRATORS, own: bool = False
) -> Command:
    """Make a command that answers OK."""
    return Command(Syntax(notation), (), run, meaning, who, own, across=across)


def nothing(notation: str, why: str, *, who: Who = Who.ADMINISTRATORS) -> Command:
    """Make a command of ODP that means nothing here, and says why."""
    return Command(Syntax(notation), (), meaningless, f"means nothing here: {why}", who, nothing=why)
