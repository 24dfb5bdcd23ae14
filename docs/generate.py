"""Make again what is made from the code: ``python docs/generate.py`` (also ``nox -s docs``)."""

from __future__ import annotations

from pathlib import Path

from odp_trio.config.render import render_example, render_markdown
from odp_trio.wire.phases import render_phases

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- phases -->\n", "<!-- /phases -->"


def wire_page(text: str) -> str:
    """Return docs/wire.md with its tables made again."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{render_phases()}\n{END}{tail}"


def pages() -> dict[Path, str]:
    """Return every made file and what it should hold."""
    wire = ROOT / "docs" / "wire.md"
    return {
        ROOT / "etc" / "odp.toml": render_example(),
        ROOT / "docs" / "options.md": render_markdown(),
        wire: wire_page(wire.read_text(encoding="utf-8")),
    }


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
