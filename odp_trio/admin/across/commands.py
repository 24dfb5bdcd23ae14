"""A command that is given to one worker, and answered for all of them.

The others are told the command by its notation, with its arguments and who gives it; what the table says of the command
decides whether one, the one that has what is named, or all of them run it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio

from odp_trio.admin.across.rows import Asks
from odp_trio.admin.commands.command import Asked, Command, Rows
from odp_trio.errors import NoSuchEntry, OdpError, SessionMemoryExceeded, UnknownTask, UnknownThread, WorkerMissing
from odp_trio.session.kill import Killer
from odp_trio.session.kill_elsewhere import patience
from odp_trio.session.services import Session
from odp_trio.workers.asking import Answer, Question

if TYPE_CHECKING:
    from odp_trio.app import Proxy

log = logging.getLogger("odp_trio.admin")

ABOUT: Final = "command"
MOST_BYTES: Final = 16 << 20
"""Of the rows of an answer: ODP's internal_cmd_mem_limited."""
_SLICE: Final = 256
_MANY: Final = 1000
"""Rows that are folded at once; more are folded in a thread."""
_NOT_THERE: Final = (UnknownThread, UnknownTask, NoSuchEntry)

Row = Sequence[Any]


class Given(msgspec.Struct, frozen=True):
    """A command that somebody has given to a worker."""

    notation: str
    arguments: tuple[tuple[str, str], ...]
    killer: Killer
    session: int
    """The id of the one who gives it: a session of one of the workers."""
    by: str


class Done(msgspec.Struct, frozen=True):
    """What came of it: rows, or what an OK says.  ``missing`` workers have said nothing."""

    rows: Sequence[Row] | None
    says: str = ""
    missing: tuple[str, ...] = ()


class _Part(msgspec.Struct, frozen=True):
    """One worker's part of it as it is sent: rows in pieces, None where there are none."""

    pieces: list[bytes] | None
    says: str = ""


async def run(asked: Asked, command: Command) -> Done:
    """Return what comes of a command for all workers; raise OdpError for what cannot be done."""
    workers = asked.proxy.workers
    if workers.count == 1:
        return await run_here(asked, command)
    match command.across.asks:
        case Asks.ONE:
            return await run_here(asked, command)
        case Asks.OWNER:
            return await _by_owner(asked, command)
        case Asks.ALL:
            return await _by_all(asked, command)
        case Asks.EACH:
            return await _by_each(asked, command)


async def run_here(asked: Asked, command: Command) -> Done:
    """Run a command in this worker."""
    result = command.run(asked)
    done = await result if isinstance(result, Awaitable) else result
    if not command.columns:
        return Done(None, done if isinstance(done, str) else "")
    assert done is not None
    assert not isinstance(done, str)
    return Done(await _listed(done))


async def _listed(rows: Rows) -> list[Row]:
    """Return rows; others run between."""
    found: list[Row] = []
    iterator = iter(rows)
    while chunk := list(islice(iterator, _SLICE)):
        found += [row for row in chunk if row is not None]
        await trio.lowlevel.checkpoint()
    return found


# ---- asking -------------------------------------------------------------------------------


def _question(asked: Asked, command: Command) -> Question:
    session = asked.session.id if asked.session is not None else 0
    given = Given(command.syntax.notation, asked.everything, asked.killer, session, asked.by)
    return Question(ABOUT, msgspec.msgpack.encode(given))


async def _by_owner(asked: Asked, command: Command) -> Done:
    """Have it done by the worker that has the session which is named; without a name it is one's own."""
    workers, number = asked.proxy.workers, asked.number("id")
    try:
        return await run_here(asked, command)
    except UnknownThread:
        owner = None if number is None else asked.proxy.services.ids.worker_of(number)
        if number is None or owner == workers.number:
            raise
        question, seconds = _question(asked, command), patience(asked.proxy.services)
        if owner is not None:
            return await _done(await workers.ask_one(owner, question, seconds=seconds))
        return await _first_done(await workers.ask_all(question, seconds=seconds))


async def _by_each(asked: Asked, command: Command) -> Done:
    return await _first_done(await asked.proxy.workers.ask_all(_question(asked, command)))


async def _by_all(asked: Asked, command: Command) -> Done:
    answers = await asked.proxy.workers.ask_all(_question(asked, command))
    told = {answer.worker: (await _done(answer)).rows or () for answer in answers if not answer.missing}
    fold, columns = command.across.fold, [column.name for column in command.columns]
    assert fold is not None
    if sum(map(len, told.values())) > _MANY:
        rows = await trio.to_thread.run_sync(fold, columns, told)
    else:
        rows = fold(columns, told)
    if command.across.limited and (asked.number("count") is not None):
        offset = asked.number("offset") or 0
        rows = rows[offset : offset + (asked.number("count") or 0)]
    return Done(rows, missing=_missing(answers, " ".join(command.syntax.head)))


async def _done(answer: Answer) -> Done:
    """Return what a worker says; raise what it refused with, or WorkerMissing."""
    if answer.missing:
        raise WorkerMissing(answer.missing)
    if answer.refusal is not None:
        raise answer.refusal.error()
    part = msgspec.msgpack.decode(answer.body, type=_Part)
    if part.pieces is None:
        return Done(None, part.says)
    rows: list[Row] = []
    for piece in part.pieces:
        rows += msgspec.msgpack.decode(piece)
        await trio.lowlevel.checkpoint()
    return Done(rows)


async def _first_done(answers: Iterable[Answer]) -> Done:
    """Return the first that has done it; raise the error that says most of the others'."""
    found: Done | None = None
    errors: list[OdpError] = []
    for answer in answers:
        try:
            done = await _done(answer)
            found = found or done
        except OdpError as exc:
            errors.append(exc)
    telling = [error for error in errors if not isinstance(error, (*_NOT_THERE, WorkerMissing))]
    if telling:
        raise telling[0]
    missing = [error for error in errors if isinstance(error, WorkerMissing)]
    if found is None:
        raise (missing or errors)[0]
    return msgspec.structs.replace(found, says="; ".join(filter(None, (found.says, *map(str, missing)))))


def _missing(answers: Iterable[Answer], what: str) -> tuple[str, ...]:
    missing = tuple(answer.missing for answer in answers if answer.missing)
    if missing:
        log.warning("%s: the answer is not complete: %s", what, "; ".join(missing))
    return missing


# ---- answering ----------------------------------------------------------------------------


async def answer(proxy: Proxy, commands: Sequence[Command], body: bytes) -> bytes:
    """Run a command that was given to some worker, and return what came of it."""
    given = msgspec.msgpack.decode(body, type=Given)
    command = next(one for one in commands if one.syntax.notation == given.notation)
    session: Session | None = proxy.sessions.table.get(given.session)
    done = await run_here(Asked(proxy, session, given.killer, given.arguments, given.by, part=True), command)
    return msgspec.msgpack.encode(_Part(None if done.rows is None else await _pieces(done.rows), done.says))


async def _pieces(rows: Sequence[Row]) -> list[bytes]:
    """Encode rows; others run between.  Raise SessionMemoryExceeded if they are too long."""
    pieces: list[bytes] = []
    for start in range(0, len(rows), _SLICE):
        pieces.append(msgspec.msgpack.encode(rows[start : start + _SLICE], enc_hook=str))
        await trio.lowlevel.checkpoint()
    if sum(map(len, pieces)) > MOST_BYTES:
        raise SessionMemoryExceeded(f"the answer is longer than {MOST_BYTES} bytes; ask for less with LIKE")
    return pieces
