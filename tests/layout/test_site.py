"""The documentation as a site: pages, links and anchors, without building it (``nox -s site`` does)."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.site_hooks import LINK, PAGES, linked_files
from tests.paths import ROOT

ALL = (*PAGES, *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))
_CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def slug(title: str) -> str:
    """Return a heading's anchor as Python-Markdown makes it."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*]", lambda found: found[1] or "", title)
    ascii_only = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", ascii_only).strip().lower())


def anchors(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    found: Counter[str] = Counter()
    names = set(re.findall(r'<a (?:id|name)="([^"]+)"', text))
    for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        name = slug(title)
        names.add(f"{name}_{found[name]}" if found[name] else name)
        found[name] += 1
    return names


def named(nav: list[Any]) -> list[str]:
    found: list[str] = []
    for entry in nav:
        for value in entry.values() if isinstance(entry, dict) else (entry,):
            found += named(value) if isinstance(value, list) else [value]
    return found


def test_every_page_is_in_the_navigation_once() -> None:
    nav = named(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])

    assert sorted(nav) == sorted((*PAGES.values(), *(page.removeprefix("docs/") for page in ALL if "/" in page)))


@pytest.mark.parametrize("page", ALL)
def test_links_lead_somewhere(page: str) -> None:
    wrong = []
    text = _CODE.sub("", (ROOT / page).read_text())
    for target, anchor in LINK.findall(text):
        path = (ROOT / page).parent / target
        if not path.is_file():
            wrong.append(target)
        elif anchor and path.suffix == ".md" and anchor[1:] not in anchors(path):
            wrong.append(f"{target}{anchor}")
    wrong += [f"#{anchor}" for anchor in re.findall(r"\]\(#([^)]+)\)", text) if anchor not in anchors(ROOT / page)]

    assert wrong == []


def test_files_that_pages_link_to_are_on_the_site() -> None:
    files = linked_files()

    assert "etc/odp.toml" in files
    assert all((ROOT / file).is_file() for file in files)
