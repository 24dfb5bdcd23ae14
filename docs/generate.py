"""Make again what is made from the code: ``python docs/generate.py`` (also ``nox -s docs``)."""

from __future__ import annotations

from pathlib import Path

from odp_trio.config.render import render_example, render_markdown
from odp_trio.routing.render import render_policies, render_rules
from odp_trio.wire.phases import render_phases

ROOT = Path(__file__).parents[1]


def filled(text: str, **tables: str) -> str:
    """Return a page with its tables, each between ``<!-- name -->`` and ``<!-- /name -->``, made again."""
    for name, table in tables.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        head, _, rest = text.partition(begin)
        _, _, tail = rest.partition(end)
        text = f"{head}{begin}\n{table}\n\n{end}{tail}"
    return text


def pages() -> dict[Path, str]:
    """Return every made file and what it should hold."""
    wire, routing = ROOT / "docs" / "wire.md", ROOT / "docs" / "routing.md"
    return {
        ROOT / "etc" / "odp.toml": render_example(),
        ROOT / "docs" / "options.md": render_markdown(),
        wire: filled(wire.read_text(encoding="utf-8"), phases=render_phases()),
        routing: filled(routing.read_text(encoding="utf-8"), rules=render_rules(), policies=render_policies()),
    }


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
