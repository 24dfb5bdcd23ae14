"""The sentences of the requirement, numbered, and which checks prove them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from typing import Final

import msgspec

from odp_trio.conformance.registry import Check

RULE: Final = (
    "A sentence ends with a full stop, or with the paragraph or list item that it is in. "
    "Headings and pictures are none."
)


class Sentence(msgspec.Struct, frozen=True):
    """One sentence, in our own words.  ``untestable`` says why no check can prove it."""

    id: str
    section: str
    text: str
    untestable: str = ""


@cache
def read_sentences() -> tuple[Mapping[str, str], tuple[Sentence, ...]]:
    """Return the documents by the letters of their sentences, and all the sentences in order."""
    file = resources.files(__package__ or "odp_trio.conformance") / "sentences.toml"
    record = tomllib.loads(file.read_text(encoding="utf-8"))
    documents: dict[str, str] = record["documents"]
    sentences = [
        Sentence(f"{letters}-{number}", **entry)
        for letters in documents
        for number, entry in enumerate(record[letters], 1)
    ]
    return documents, tuple(sentences)


def proofs(checks: Iterable[Check]) -> dict[str, list[Check]]:
    """Return the checks that prove each sentence; an id that is no sentence's is there too."""
    found: dict[str, list[Check]] = {sentence.id: [] for sentence in read_sentences()[1]}
    for check in checks:
        for sentence in check.proves:
            found.setdefault(sentence, []).append(check)
    return found


def sentence_table(checks: Iterable[Check]) -> str:
    """Return the table of sentences and the checks that prove them, as Markdown."""
    documents, sentences = read_sentences()
    by_sentence = proofs(checks)
    lines: list[str] = []
    for letters, title in documents.items():
        lines += ["", f"**{title}**", "", "| | section | the sentence, in our words | checks |", "|---|---|---|---|"]
        for one in sentences:
            if one.id.startswith(f"{letters}-"):
                proven = ", ".join(f"`{check.id}`" for check in by_sentence[one.id])
                cell = proven or f"*not testable here:* {one.untestable}"
                lines.append(f"| {one.id} | {one.section} | {one.text} | {cell} |")
    return "\n".join(lines[1:])


def check_table(checks: Iterable[Check]) -> str:
    """Return the table of checks, as Markdown."""
    lines = ["| check | what must hold | proves |", "|---|---|---|"]
    lines += [f"| `{check.id}` | {check.sentence} | {', '.join(check.proves)} |" for check in checks]
    return "\n".join(lines)
