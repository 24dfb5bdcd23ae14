"""Reports for machines: JUnit and JSON."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Final

import msgspec

from odp_trio.conformance.notes import Note
from odp_trio.conformance.results import Outcome, Run
from odp_trio.conformance.sentences import read_sentences

_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(run: Run) -> str:
    """Return the report as JUnit XML: a suite, a case a check."""
    counts = run.counts()
    suite = ET.Element(
        "testsuite",
        name=f"odp-trio conformance: {run.target}",
        tests=str(len(run.results)),
        failures=str(counts["failed"]),
        errors=str(counts["broken"]),
        skipped=str(counts["skipped"]),
        time=f"{run.seconds:.3f}",
        timestamp=run.began,
    )
    for result in run.results:
        case = ET.SubElement(
            suite, "testcase", classname=f"conformance.{result.group}", name=result.id, time=f"{result.seconds:.3f}"
        )
        tags = {Outcome.FAILED: "failure", Outcome.BROKEN: "error", Outcome.SKIPPED: "skipped"}
        if result.outcome in tags:
            told = ET.SubElement(case, tags[result.outcome], message=_xml(result.reason))
            if result.outcome is not Outcome.SKIPPED:
                told.text = _xml(f"{result.sentence}\n{result.reason}\n\n" + "\n".join(map(line, result.notes)))
    suites = ET.Element("testsuites")
    suites.append(suite)
    ET.indent(suites)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def as_json(run: Run) -> str:
    """Return the report as JSON, with every sentence of the requirement."""
    record = {
        **msgspec.to_builtins(run),
        "counts": run.counts(),
        "sentences": msgspec.to_builtins(read_sentences()[1]),
    }
    return msgspec.json.format(msgspec.json.encode(record), indent=2).decode() + "\n"


def line(note: Note) -> str:
    """Return a note as a line of text."""
    return f"{note.who}: {note.asked} -> {note.seen}" if note.seen else f"{note.who}: {note.asked}"


def _xml(text: str) -> str:
    """Return text without what XML cannot hold."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
