"""The statement corpus, and what may differ between two runs of it.

Files are tests/data/statements/*.sql.  A statement ends with ``;;`` at the end of
a line; lines that begin with ``##`` are for the reader; ``{{text*1000}}`` stands
for so many repetitions.  Each file is run on a fresh connection in a fresh,
empty database.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from odp_trio.errors import ServerProtocolError
from odp_trio.model import Address
from odp_trio.wire.command import Com
from odp_trio.wire.fields import Capability, Cursor, OBCapability, Status, lenenc_str
from tests.raw_client import PLAIN, Answer, RawClient

ASKED: Final = os.environ.get("ODP_TRIO_CORPUS", "")
FILES: Final = Path(__file__).parents[1] / "data" / "statements"
DATABASE: Final = "corpus"
PROXY_CAPABILITIES: Final = (
    OBCapability.PARTITION_TABLE
    | OBCapability.CHANGE_USER
    | OBCapability.PL_ROUTE
    | OBCapability.LOCAL_FILES
    | OBCapability.CLIENT_SESSION_ID
)
UPLOADS: Final = {
    b"rows.csv": b"1,one\n2,two\n3,\n",
    b"empty.csv": b"",
    b"long.csv": b"".join(b"%d,%s\n" % (number, b"x" * 90) for number in range(30_000)),
    b"bad.csv": b"1,one\nno number,two\n1,one again\n",
}


@dataclass(frozen=True)
class Difference:
    """Bytes of a payload that may differ, in the answers to statements that match."""

    name: str
    reason: str
    statement: re.Pattern[bytes]
    normalise: Callable[[bytes], bytes]


def difference(name: str, reason: str, statement: bytes, pattern: bytes, replacement: bytes) -> Difference:
    compiled = re.compile(pattern, re.DOTALL)
    return Difference(name, reason, re.compile(statement), lambda payload: compiled.sub(replacement, payload))


_TRACE_ID: Final = re.compile(rb"\x00\x38\x15ob_statement_trace_id\x21.{33}", re.DOTALL)


def without_told(told: re.Pattern[bytes], payload: bytes) -> bytes:
    """Write an OK as it would be if what ``told`` matches were not in its session state."""
    if payload[:1] != b"\0" or not told.search(payload):
        return payload
    cursor = Cursor(payload, ServerProtocolError)
    cursor.uint(1)
    cursor.lenenc()
    cursor.lenenc()
    head, status, warnings = payload[: cursor.pos], cursor.uint(2), cursor.take(2)
    info, block = cursor.lestr(), told.sub(b"", cursor.lestr())
    if block == b"\x02\x02\x011":
        bare = (status & ~Status.SESSION_STATE_CHANGED).to_bytes(2, "little") + warnings
        return head + bare + (lenenc_str(info) if info else b"")
    return head + status.to_bytes(2, "little") + warnings + lenenc_str(info) + lenenc_str(block)


ALLOWED: Final = (
    Difference(
        "ob_statement_trace_id",
        "told to tracking clients of a statement that took longer than a second",
        re.compile(rb"."),
        partial(without_told, _TRACE_ID),
    ),
    difference(
        "connection_id",
        "every session has its own number: digits with their length, or a binary integer",
        rb"select connection_id\(\)$",
        rb"^([\x01-\x0a][0-9]{1,10}|\0\0.{4}|\0\0.{8})$",
        b"<id>",
    ),
    difference(
        "ob_last_schema_version",
        "a time in microseconds: when the table was made",
        rb".",
        rb"(ob_last_schema_version\x10)[0-9]{16}",
        rb"\1<version>",
    ),
    difference(
        "kill query of an unknown session",
        "the kernel answers OK on a plain connection and 1094 on one of a proxy",
        rb"^kill query 999999999$",
        rb"^(\0.*|\xff\x46\x04.*)$",
        b"<unknown>",
    ),
    difference(
        "owed mark",
        "DROP USER and SET PASSWORD that fail owe a tracking client a bare 'something changed', and tell no proxy",
        rb"owes a mark",
        rb"^\0\x01\0\x22(\0\0\0|@\0\0\0\x04\x02\x02\x011)$",
        b"<mark>",
    ),
)
"""All that may differ.  Add to it only with a reason."""


def corpus_files(*, slow: bool = False) -> list[str]:
    """Name the files: those beginning with ``slow`` or the others; LOAD DATA has a test of its own."""
    names = sorted(path.stem for path in FILES.glob("*.sql"))
    return [name for name in names if name.startswith("slow") == slow and not name.startswith("load_data")]


def again_files() -> list[str]:
    """Name the files that run in more ways than one: DDL, of which the kernel takes long, only when it is asked for."""
    return [name for name in corpus_files() if name != "ddl" or ASKED == "all"]


def statements(name: str) -> list[bytes]:
    """Read the statements of one file."""
    lines = [line for line in (FILES / f"{name}.sql").read_text().splitlines() if not line.startswith("##")]
    pieces = re.split(r";;\n", "\n".join(lines) + "\n")
    found = [piece.strip("\n") for piece in pieces if piece.strip()]
    return [
        re.sub(r"\{\{(.*?)\*(\d+)\}\}", lambda match: match[1] * int(match[2]), piece, flags=re.DOTALL).encode()
        for piece in found
    ]


def normalised(statement: bytes, payload: bytes, allowed: Sequence[Difference] = ALLOWED) -> bytes:
    """Return a payload without what is allowed to differ."""
    for each in allowed:
        if each.statement.search(statement):
            payload = each.normalise(payload)
    return payload


def differences(statement: bytes, one: Answer, other: Answer, allowed: Sequence[Difference] = ALLOWED) -> list[str]:
    """Describe what differs in two answers to one statement, sequence numbers included."""
    left, right = ([_comparable(statement, packet, allowed) for packet in answer.packets] for answer in (one, other))
    if left == right:
        return []
    lines = [f"{statement[:200]!r}: {len(left)} packets, {len(right)} packets"]
    for at, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return [*lines, f"  packet {at}: {a[:400]!r}", f"  {' ' * len(f'packet {at}')}: {b[:400]!r}"]
    return lines


def _comparable(statement: bytes, packet: bytes, allowed: Sequence[Difference]) -> bytes:
    """The packet with its content normalised, without its length."""
    return packet[3:4] + normalised(statement, packet[4:], allowed)


# ---- runs -----------------------------------------------------------------

Run = Callable[[RawClient, list[bytes]], Iterator[tuple[bytes, Answer]]]


def fresh_database(address: Address) -> None:
    """Make the database anew, and undo what a file does to the whole server."""
    with RawClient(address) as client:
        for sql in (
            f"drop database if exists {DATABASE}",
            f"drop database if exists {DATABASE}_two",
            "drop user if exists corpus_user",
            "set global local_infile = 1",
            "set global max_allowed_packet = 67108864",
            "alter system flush plan cache global",  # a plan found there has the column lengths of another statement
            "alter system flush pl cache",
            f"create database {DATABASE}",
        ):
            answer = client.query(sql)
            assert not answer.errno, (sql, answer.payloads[-1])


def as_text(client: RawClient, script: list[bytes]) -> Iterator[tuple[bytes, Answer]]:
    """Run each statement by COM_QUERY."""
    for sql in script:
        yield sql, client.query(sql, UPLOADS.__getitem__)


def as_prepared(client: RawClient, script: list[bytes]) -> Iterator[tuple[bytes, Answer]]:
    """Prepare, execute, execute again through a cursor, and close each statement; run it as text if it cannot be."""
    for sql in script:
        prepared = client.prepare(sql.decode())
        yield sql, _without_statement_id(prepared.answer)
        if not prepared.id:
            yield sql, client.query(sql)
        elif not prepared.parameters:
            yield sql, client.execute(prepared.id)
            if prepared.columns:
                yield sql, (opened := client.execute(prepared.id, cursor=1))
                while opened.cursor_is_open:
                    yield sql, (opened := client.fetch(prepared.id, 200))
                yield sql, client.reset(prepared.id)
            client.close_statement(prepared.id)


def _without_statement_id(answer: Answer) -> Answer:
    """Blank the id that a server gave a statement: each server counts for itself, and the session uses several."""
    first = answer.packets[0]
    if first[4:5] != b"\0":
        return answer
    return Answer([first[:5] + b"<id>" + first[9:], *answer.packets[1:]], answer.status, answer.errno)


def run(
    address: Address,
    user: str,
    script: list[bytes],
    how: Run,
    *,
    capabilities: int = PLAIN,
    rewriting: bool = False,
    tls: ssl.SSLContext | None = None,
) -> list[tuple[bytes, Answer]]:
    """Run a script on a fresh connection; the first answer is that to the login."""
    with RawClient(
        address,
        user,
        database=DATABASE,
        capabilities=capabilities | Capability.LOCAL_FILES,
        rewriting=rewriting,
        proxy_capabilities=PROXY_CAPABILITIES,
        tls=tls,
    ) as client:
        login = [] if rewriting else [(b"login", Answer([bytes(4) + client.login_answer], 0, 0))]
        answers = [*login, *how(client, script)]
        answers.append((b"ping", client.command(bytes((Com.PING,)))))
        return answers
