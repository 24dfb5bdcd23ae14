"""Where two proxies differ: the same checks and the same statements before both, answer by answer.

Direct against proxied is the same thing: a server itself may be either side.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Final

import msgspec

from odp_trio.conformance import corpus
from odp_trio.conformance.normalise import NORMALISATIONS, Normalisation, differences
from odp_trio.conformance.raw import command_text, proxied
from odp_trio.conformance.recording import Recording
from odp_trio.conformance.registry import Check
from odp_trio.conformance.results import Outcome
from odp_trio.conformance.runner import run_check
from odp_trio.conformance.target import Target
from odp_trio.testing.answers import Answer
from odp_trio.testing.raw_client import PLAIN, TRACKING, RawClient

GROUPS: Final = ("login", "wire", "session", "prepared", "transactions")
"""Groups whose exchanges are compared unless others are named."""
BY_NATURE: Final[Mapping[str, str]] = {
    "session.last-insert-id": "AUTO_INCREMENT goes on from the run before",
    "session.found-rows": "AUTO_INCREMENT goes on from the run before",
    "session.processlist": "the clients of the moment",
    "login.storm": "its statements run side by side",
    "session.side-by-side": "its statements run side by side",
    "session.kill.query": "how far the statement got",
    "session.kill.connection": "how the end arrives",
    "session.kill.command": "how the end arrives",
}
"""Checks whose answers are not compared, and why; whether they pass still is."""
_SHOWN: Final = 48
_LONGEST: Final = 300


class Difference(msgspec.Struct, frozen=True):
    """One command that both sides answered otherwise; ``packets`` has position and hex of both sides."""

    source: str
    statement: str
    one: str
    other: str
    packets: list[tuple[int, str, str]] = []


class Comparison(msgspec.Struct):
    """What came of it."""

    one: str
    other: str
    compared: int = 0
    differences: list[Difference] = []
    outcomes: list[Difference] = []
    """Checks that pass on one side only: ``statement`` is what must hold."""
    normalised: dict[str, int] = {}
    """How often each normalisation has made answers equal, or closer."""
    not_compared: dict[str, str] = {}

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not self.differences and not self.outcomes

    def count(self, name: str) -> None:
        """Count a normalisation."""
        self.normalised[name] = self.normalised.get(name, 0) + 1


async def differ(
    one: Target,
    other: Target,
    checks: Sequence[Check],
    *,
    files: Sequence[str] | None = None,
    says: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Run checks and statements before both targets; ``files`` are of the corpus, all of them unless named."""
    found = Comparison(one.name, other.name, not_compared={})
    for target in (one, other):
        target.tape = Recording(target.servers)
        await target.start()
    try:
        for check in checks:
            says(check.id)
            await _compare_check(found, one, other, check)
        for name in corpus.names() if files is None else files:
            for way, run in _WAYS.items():
                says(f"{name}, {way}")
                await _compare_file(found, one, other, name, way, run)
    finally:
        for target in (one, other):
            target.tape = None
            await target.stop()
    return found


async def _compare_check(found: Comparison, one: Target, other: Target, check: Check) -> None:
    results = []
    kept = []
    for target in (one, other):
        results.append(await run_check(target, check))
        assert isinstance(target.tape, Recording)
        kept.append(target.tape.take())
    left, right = results
    if Outcome.SKIPPED in (left.outcome, right.outcome):
        return
    if left.outcome is not right.outcome:
        one_said, other_said = (result.reason or result.outcome.value for result in results)
        found.outcomes.append(Difference(check.id, check.sentence, one_said, other_said))
        return
    if check.id in BY_NATURE:
        found.not_compared[check.id] = BY_NATURE[check.id]
        return
    _compare(found, check.id, kept[0], kept[1])


async def _compare_file(found: Comparison, one: Target, other: Target, name: str, way: str, run: Run) -> None:
    kept = []
    for target in (one, other):
        capabilities = TRACKING if way == "tracking" else PLAIN
        async with target.during(), proxied(target, capabilities=capabilities) as client:
            async for _ in run(client, corpus.statements(name)):
                pass
        assert isinstance(target.tape, Recording)
        kept.append(target.tape.take())
    _compare(found, f"{name}.sql, {way}", kept[0], kept[1])


def _compare(found: Comparison, source: str, one: Recording, other: Recording) -> None:
    for command, left, right in one.pairs(other):
        text = command_text(command)[:_LONGEST]
        if left is None or right is None:
            one_said, other_said = ("not asked" if it is None else it.said()[:_LONGEST] for it in (left, right))
            found.differences.append(Difference(source, text, one_said, other_said))
            continue
        found.compared += 1
        _count_normalisations(found, command, left, right)
        if differing := differences(command, left, right):
            packets = [(at, _hex(a), _hex(b)) for at, a, b in differing[:3]]
            found.differences.append(Difference(source, text, left.said()[:_LONGEST], right.said()[:_LONGEST], packets))


def _count_normalisations(found: Comparison, command: bytes, left: Answer, right: Answer) -> None:
    if left.packets == right.packets:
        return
    for each in NORMALISATIONS:
        if any(_applies(each, command, packet) for packet in (*left.packets, *right.packets)):
            found.count(each.name)


def _applies(normalisation: Normalisation, command: bytes, packet: bytes) -> bool:
    return normalisation.apply(command, packet[4:]) != packet[4:]


def _hex(packet: bytes) -> str:
    if not packet:
        return "none"
    payload = packet[4 : 4 + _SHOWN]
    text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in payload)
    more = f" … {len(packet) - 4} bytes" if len(packet) - 4 > _SHOWN else ""
    return f"seq {packet[3]} [{payload.hex(' ')}{more}] {text!r}"


# ---- statements ---------------------------------------------------------------------

Run = Callable[[RawClient, Sequence[str]], AsyncIterator[Answer]]


async def _as_text(client: RawClient, statements: Sequence[str]) -> AsyncIterator[Answer]:
    for sql in statements:
        yield await client.query(sql)


async def _as_prepared(client: RawClient, statements: Sequence[str]) -> AsyncIterator[Answer]:
    """Prepare and execute each statement; run it as text if it cannot be prepared."""
    for sql in statements:
        prepared = await client.prepare(sql)
        yield prepared.answer
        if not prepared.id:
            yield await client.query(sql)
        elif not prepared.parameters:
            yield await client.execute(prepared.id)
        if prepared.id:
            await client.close_statement(prepared.id)


_WAYS: Final[Mapping[str, Run]] = {"text": _as_text, "tracking": _as_text, "prepared": _as_prepared}


# ---- the report ---------------------------------------------------------------------


def lines(found: Comparison) -> list[str]:
    """Write a comparison for a reader."""
    said = [f"A: {found.one}", f"B: {found.other}", ""]
    for each in found.outcomes:
        said += [f"{each.source}: {each.statement}", f"  A: {_indented(each.one)}", f"  B: {_indented(each.other)}", ""]
    for each in found.differences:
        said += [f"{each.source}: {each.statement}", f"  A: {each.one}", f"  B: {each.other}"]
        for at, left, right in each.packets:
            said += [f"  packet {at}, A: {left}", f"  packet {at}, B: {right}"]
        said.append("")
    reasons = {each.name: each.reason for each in NORMALISATIONS}
    said += [f"Normalised: {name}, {count} times: {reasons[name]}" for name, count in sorted(found.normalised.items())]
    said += [f"Not compared: {name}: {reason}" for name, reason in sorted(found.not_compared.items())]
    sources = Counter(each.source for each in found.differences)
    said.append(
        f"{found.compared} answers compared: {len(found.differences)} differ"
        + (f", in {len(sources)} checks and files" if sources else "")
        + (f"; {len(found.outcomes)} checks pass on one side only" if found.outcomes else "")
    )
    return said


def _indented(text: str) -> str:
    return text.replace("\n", "\n     ")
