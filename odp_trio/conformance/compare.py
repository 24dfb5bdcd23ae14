"""The same commands round the proxy and through it, packet by packet."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from odp_trio.conformance.normalise import differences
from odp_trio.conformance.raw import command_text, direct, empty_table, proxied
from odp_trio.conformance.target import Target
from odp_trio.model import Address
from odp_trio.testing.answers import Answer
from odp_trio.testing.raw_client import RawClient, Upload
from odp_trio.wire.command import Com

Script = Callable[[RawClient], AsyncIterator[tuple[bytes, Answer]]]
"""Commands on one connection, each with its answer."""
_SHOWN: Final = 64
_TOO_MANY: Final = 3


def queries(*statements: str, upload: Upload | None = None) -> Script:
    """Return a script that runs statements in the text protocol."""

    async def script(client: RawClient) -> AsyncIterator[tuple[bytes, Answer]]:
        for sql in statements:
            command = bytes((Com.QUERY,)) + sql.encode()
            yield command, await client.command(command, upload)

    return script


def commands(*payloads: bytes) -> Script:
    """Return a script that sends commands."""

    async def script(client: RawClient) -> AsyncIterator[tuple[bytes, Answer]]:
        for payload in payloads:
            yield payload, await client.command(payload)

    return script


async def same(
    target: Target,
    script: Script,
    *,
    table: bool = False,
    at: Address | None = None,
    tls: ssl.SSLContext | None = None,
    front_capabilities: int | None = None,
    **form: Any,
) -> int:
    """Run a script round the proxy and then through it; fail where answers differ.  Returns how many there were.

    With ``table`` the suite's table is empty before either.  The proxy is the front unless ``at`` says another one;
    ``tls`` and ``front_capabilities`` are for the way through it only.
    """
    kept: list[tuple[bytes, Answer]] = []
    if table:
        await empty_table(target)
    async with direct(target, **form) as client:
        async for command, answer in script(client):
            kept.append((command, answer))
    if table:
        await empty_table(target)
    number = 0
    through = form if front_capabilities is None else {**form, "capabilities": front_capabilities}
    async with proxied(target, at=at, tls=tls, **through) as client:
        async for command, answer in script(client):
            asked, expected = kept[number]
            number += 1
            if command != asked:
                raise AssertionError(
                    f"asked: {command_text(command)}\nexpected: {command_text(asked)}\nseen: otherwise"
                )
            if found := differences(command, expected, answer):
                raise AssertionError(described(command, expected, answer, found))
    if number != len(kept):
        raise AssertionError(f"asked: {len(kept)} commands\nexpected: as many answers\nseen: {number}")
    return number


def described(command: bytes, one: Answer, other: Answer, found: list[tuple[int, bytes, bytes]]) -> str:
    """Write what was asked, what was expected and what was seen, packet by packet."""
    lines = [
        f"asked: {command_text(command)}",
        f"expected (round the proxy): {one.said()}, in {len(one.packets)} packets",
        f"seen (through it): {other.said()}, in {len(other.packets)} packets",
    ]
    for at, left, right in found[:_TOO_MANY]:
        lines.append(f"packet {at}: expected {_packet(left)}")
        lines.append(f"packet {at}: seen     {_packet(right)}")
    if len(found) > _TOO_MANY:
        lines.append(f"… and {len(found) - _TOO_MANY} packets more")
    return "\n".join(lines)


def _packet(packet: bytes) -> str:
    if not packet:
        return "none"
    payload = packet[4 : 4 + _SHOWN]
    text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in payload)
    more = f" … {len(packet) - 4} bytes" if len(packet) - 4 > _SHOWN else ""
    return f"seq {packet[3]} [{payload.hex(' ')}{more}] {text!r}"
