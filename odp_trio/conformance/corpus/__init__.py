"""Statements that two proxies are compared by, file by file; each file is run on a fresh connection.

A statement ends with ``;;`` at the end of a line; lines that begin with ``##`` are for the reader.  Files make and
remove the tables that they use, and give every key themselves, so that a second run is answered as the first.
"""

from __future__ import annotations

from importlib.resources import files


def names() -> list[str]:
    """Return the names of the files, without their ending."""
    found = (entry.name for entry in files(__name__).iterdir())
    return sorted(name.removesuffix(".sql") for name in found if name.endswith(".sql"))


def statements(name: str) -> list[str]:
    """Return the statements of one file, in order."""
    text = (files(__name__) / f"{name}.sql").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("##")]
    pieces = ("\n".join(lines) + "\n").split(";;\n")
    return [piece.strip("\n") for piece in pieces if piece.strip()]
