"""What the site needs beside docs/: the pages at the root of the project, and the files that pages link to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "SECURITY.md": "security.md"}
FILES: Final = "files"
"""Where the files go that are no pages."""
LINK: Final = re.compile(r"(?<!!)\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")


def moved(target: str, page: str) -> str:
    """Return where a link of a page leads to on the site; ``page`` is relative to the root of the project."""
    path = (ROOT / page).parent / target
    within = Path(*path.parts[len(ROOT.parts) :]) if ".." not in path.parts else path.resolve().relative_to(ROOT)
    name = within.as_posix()
    if name in PAGES:
        return PAGES[name]
    return within.relative_to("docs").as_posix() if within.parts[0] == "docs" else f"{FILES}/{name}"


def linked_files() -> list[str]:
    """Return the files that pages link to and that are no pages themselves."""
    found = set()
    for page in (*PAGES, *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))):
        for target, _ in LINK.findall((ROOT / page).read_text()):
            place = moved(target, page)
            if place.startswith(f"{FILES}/"):
                found.add(place.removeprefix(f"{FILES}/"))
    return sorted(found)


def on_files(files: Any, config: Any) -> Any:
    """Add pages and files."""
    from mkdocs.structure.files import File

    added = dict(PAGES) | {name: f"{FILES}/{name}" for name in linked_files()}
    for name, place in added.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links of the project's tree into links of the site."""
    back = {place: name for name, place in PAGES.items()}
    own = back.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    return LINK.sub(lambda found: f"]({moved(found[1], own)}{found[2] or ''})", markdown)
