"""What may differ in two answers to the same command, by name and with the reason; all else is a difference."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from odp_trio.errors import ServerProtocolError
from odp_trio.testing.answers import Answer
from odp_trio.wire.command import Com
from odp_trio.wire.fields import Status, lenenc_str, server_cursor


class Normalisation(msgspec.Struct, frozen=True):
    """``apply`` takes a command and the payload of one packet of its answer, and returns what is to be compared."""

    name: str
    reason: str
    apply: Callable[[bytes, bytes], bytes]


def _pattern(name: str, reason: str, command: bytes, pattern: bytes, replacement: bytes) -> Normalisation:
    about, found = re.compile(command, re.DOTALL | re.IGNORECASE), re.compile(pattern, re.DOTALL)

    def apply(said: bytes, payload: bytes) -> bytes:
        return found.sub(replacement, payload) if about.match(said) else payload

    return Normalisation(name, reason, apply)


_TOLD: Final = re.compile(rb"\x00.\x15ob_statement_trace_id\x21.{33}", re.DOTALL)


def _without_trace_id(_: bytes, payload: bytes) -> bytes:
    """Write an OK as it is if no trace id is told to a client that tracks its session."""
    if payload[:1] != b"\0" or not _TOLD.search(payload):
        return payload
    try:
        cursor = server_cursor(payload)
        cursor.take(1)
        cursor.lenenc()
        cursor.lenenc()
        head, status, warnings = payload[: cursor.pos], cursor.uint(2), cursor.take(2)
        info, block = cursor.lestr(), _TOLD.sub(b"", cursor.lestr())
    except ServerProtocolError:
        return payload
    if block == b"\x02\x02\x011":
        bare = (status & ~Status.SESSION_STATE_CHANGED).to_bytes(2, "little") + warnings
        return head + bare + (lenenc_str(info) if info else b"")
    return head + status.to_bytes(2, "little") + warnings + lenenc_str(info) + lenenc_str(block)


def _without_statement_id(command: bytes, payload: bytes) -> bytes:
    if command[:1] == bytes((Com.STMT_PREPARE,)) and payload[:1] == b"\0" and len(payload) == 12:
        return payload[:1] + b"<id>" + payload[5:]
    return payload


NORMALISATIONS: Final[Sequence[Normalisation]] = (
    Normalisation("statement-id", "every session numbers its prepared statements as it likes", _without_statement_id),
    _pattern(
        "connection-id",
        "every session has a number of its own",
        rb"\x03.*select connection_id\(\)",
        rb"^[\x01-\x14]([0-9]{1,20})$",
        b"<id>",
    ),
    _pattern("mark", "the word by which a check finds its own statement again", rb".", rb"mark[0-9]{6}", b"<mark>"),
    _pattern(
        "schema-version",
        "a time in microseconds: when a table was made",
        rb".",
        rb"(ob_last_schema_version\x10)[0-9]{16}",
        rb"\1<version>",
    ),
    Normalisation("trace-id", "told to tracking clients of a statement that took long", _without_trace_id),
    _pattern(
        "refused-address",
        "a refusal names the client's address, which a server does not know behind a proxy",
        rb"login",
        rb"'@'[^']*'",
        b"'@'<address>'",
    ),
    _pattern(
        "statistics",
        "COM_STATISTICS: counts and times of the server",
        rb"\x09$",
        rb"(?s)^.*$",
        b"<statistics>",
    ),
)
"""All that may differ.  Add to it only with a reason."""


def normalised(command: bytes, payload: bytes) -> bytes:
    """Return what is to be compared of one packet's payload."""
    for each in NORMALISATIONS:
        payload = each.apply(command, payload)
    return payload


def comparable(command: bytes, packet: bytes) -> tuple[int, bytes]:
    """Return what is to be compared of one packet: its sequence number and its payload; the length follows."""
    return packet[3], normalised(command, packet[4:])


def differences(command: bytes, one: Answer, other: Answer) -> list[tuple[int, bytes, bytes]]:
    """Return the packets that differ: position, what the first said, what the second said; b"" for none."""
    left = [comparable(command, packet) for packet in one.packets]
    right = [comparable(command, packet) for packet in other.packets]
    if left == right:
        return []
    found = []
    for at in range(max(len(left), len(right))):
        a, b = (side[at] if at < len(side) else None for side in (left, right))
        if a != b:
            found.append((at, one_side(one.packets, at), one_side(other.packets, at)))
    return found


def one_side(packets: Sequence[bytes], at: int) -> bytes:
    """Return a packet, or nothing where there is none."""
    return packets[at] if at < len(packets) else b""
