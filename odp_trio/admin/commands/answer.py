"""From a text to the packets that answer it: the one way in for every session.

A result is encoded in slices, others run between, and is at most ``MOST_BYTES`` long.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Final

import trio

from odp_trio.admin.across.commands import MOST_BYTES, run
from odp_trio.admin.across.commands import answer as part
from odp_trio.admin.commands.asides import aside, is_setting, select
from odp_trio.admin.commands.command import Asked, Column, Command, Rows, Who
from odp_trio.admin.commands.syntax import Found, Text, take_apart
from odp_trio.admin.commands.table import COMMANDS
from odp_trio.errors import AccessDenied, NotSupported, SessionMemoryExceeded, SyntaxRefused
from odp_trio.session.kill import Killer
from odp_trio.session.login import ADMIN_TENANT
from odp_trio.session.services import Session
from odp_trio.wire.packets import packet
from odp_trio.wire.resultset import LOCAL_STATUS, ok_payload, result_head, result_row, result_tail

if TYPE_CHECKING:
    from odp_trio.app import Proxy

log = logging.getLogger("odp_trio.admin")

_SLICE: Final = 256
_NAMED: Final = 4
_LONGEST_HEAD: Final = 4


def find(text: Text, commands: Sequence[Command] = COMMANDS) -> tuple[Command, Found] | None:
    """Return the command that a text is, with its arguments; None when it is none.

    A key word comes before a bare word that could be an argument: the command that begins with more of them is meant.
    """
    fits = [(command, arguments) for command in commands if (arguments := command.syntax.read(text)) is not None]
    return max(fits, key=lambda fit: len(fit[0].syntax.head), default=None)


def refusal(text: Text, commands: Sequence[Command] = COMMANDS) -> SyntaxRefused:
    """Return what is told of a text that is no command: where it goes wrong, and the commands that are nearest."""
    if not text.tokens:
        return SyntaxRefused("You have an error in your SQL syntax: there is no command; try SHOW PROXYHELP")
    reached = [(command.syntax.reaches(text), command) for command in commands]
    furthest = max(count for count, _ in reached)
    begun = [command for command in commands if command.syntax.begins(text)]
    near = text.near(furthest)
    wrong = f"You have an error in your SQL syntax near {near!r}" if near else "The command is not complete"
    if begun:
        best = [command for count, command in reached if count == furthest and command in begun] or begun
        typed = tuple(text.words(furthest).split())
        best += [command for command in commands if command.syntax.head[:furthest] == typed and command not in best]
        return SyntaxRefused(f"{wrong}; it is written {_either([one.syntax.notation for one in best[:_NAMED]])}")
    heads = list(dict.fromkeys(" ".join(command.syntax.head) for command in commands))
    closest: dict[str, float] = {}
    for count in range(1, _LONGEST_HEAD + 1):
        said = text.words(count)
        for head in difflib.get_close_matches(said, heads, n=_NAMED, cutoff=0.7):
            closest[head] = max(closest.get(head, 0.0), difflib.SequenceMatcher(None, head, said).ratio())
    named = sorted(closest, key=lambda head: closest[head], reverse=True)[:_NAMED]
    if not named:
        return SyntaxRefused(f"{wrong}: this is no command of the proxy; try SHOW PROXYHELP")
    return SyntaxRefused(f"{wrong}; did you mean {_either(named)}? SHOW PROXYHELP lists all commands")


def _either(names: Sequence[str]) -> str:
    return " or ".join((", ".join(names[:-1]), names[-1]) if len(names) > 1 else names)


def may(killer: Killer, who: Who) -> bool:
    """Whether somebody who is logged in to a cluster, or root of the proxy itself, may give a command."""
    return who is not Who.ADMINISTRATORS or killer.everything or is_administrator(killer)


def is_administrator(killer: Killer) -> bool:
    """Whether somebody may give every command: root of the proxy itself, or of a cluster's tenant sys."""
    return killer.everything or (killer.is_sys and killer.user == "root")


async def answer(
    proxy: Proxy, session: Session, killer: Killer, found: tuple[Command, Found], status: int = LOCAL_STATUS
) -> bytes:
    """Run a command and return its whole answer, numbered from 1; raise OdpError for what cannot be done."""
    command, arguments = found
    if command.nothing:
        what = " ".join(command.syntax.head)
        raise NotSupported(f"{what} is a command of ODP that means nothing here: {command.nothing}")
    if not command.columns and command.who is not Who.PROBES:
        log.info("%s: %s", session, " ".join(command.syntax.words))
    asked = Asked(proxy, session, killer, arguments)
    if proxy.workers.count > 1:
        return await _answer_for_all(asked, command, status)
    result = command.run(asked)
    done = await result if isinstance(result, Awaitable) else result
    if not command.columns:
        return packet(1, ok_payload(status, info=done if isinstance(done, str) else "", tracked=session.tracks))
    assert done is not None
    return await encode(command.columns, done, status)


async def _answer_for_all(asked: Asked, command: Command, status: int) -> bytes:
    done = await run(asked, command)
    if done.rows is None:
        tracked = asked.session is not None and asked.session.tracks
        return packet(1, ok_payload(status, info=done.says, tracked=tracked))
    return await encode(command.columns, done.rows, status, warnings=len(done.missing))


async def answer_worker(proxy: Proxy, body: bytes) -> bytes:
    """Answer a command that was given to a worker, for this one's part."""
    return await part(proxy, COMMANDS, body)


async def encode(columns: Sequence[Column], rows: Rows, status: int = LOCAL_STATUS, *, warnings: int = 0) -> bytes:
    """Return a result set; raise SessionMemoryExceeded for one that is too long."""
    pieces = result_head([(column.name, column.number) for column in columns], status)
    whole = bytearray(pieces)
    seq = 1 + len(columns) + 2
    iterator = iter(rows)
    while chunk := list(islice(iterator, _SLICE)):
        for row in chunk:
            if row is not None:
                whole += result_row(seq, row)
                seq += 1
        if len(whole) > MOST_BYTES:
            raise SessionMemoryExceeded(f"the answer is longer than {MOST_BYTES} bytes; ask for less with LIKE")
        await trio.lowlevel.checkpoint()
    whole += result_tail(seq, status, warnings)
    return bytes(whole)


async def answer_client(proxy: Proxy, session: Session, killer: Killer, sql: str, status: int) -> bytes | None:
    """Answer a client of a cluster; None when a server is to answer: its statement is no command that it may give.

    SELECT PROXY_VERSION() and PROXY_STATUS() are answered to everybody.
    Raises SyntaxRefused for a command of everybody that is written wrongly, and for any that an administrator does so.
    """
    text = take_apart(sql)
    found = find(text)
    if found is not None and may(killer, found[0].who):
        return await answer(proxy, session, killer, found, status)
    if text.words(1) == "SELECT":
        with suppress(NotSupported):  # written in another way than is known here: a server will say what it is
            return await encode(*select(text, proxy, session), status)
        return None
    if text.words(2) == "KILL PROXYSESSION":
        raise refusal(text, [command for command in COMMANDS if command.who is not Who.ADMINISTRATORS])
    if is_administrator(killer) or any(
        command.who is not Who.ADMINISTRATORS and command.syntax.begins(text) for command in COMMANDS
    ):
        raise refusal(text)
    return None


async def answer_proxysys(proxy: Proxy, session: Session, killer: Killer, sql: str) -> bytes:
    """Answer a client of the proxy itself; raise SyntaxRefused for what is no command."""
    text = take_apart(sql)
    found = find(text)
    if found is not None:
        if not (killer.everything or found[0].who is Who.PROBES):
            raise AccessDenied(f"{killer.user}@{ADMIN_TENANT} may say PING PROXY and nothing else")
        return await answer(proxy, session, killer, found)
    if is_setting(text):
        return packet(1, ok_payload())
    result = aside(text, proxy, session)
    if result is None:
        raise refusal(text)
    return await encode(*result)
