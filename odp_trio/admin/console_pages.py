"""The files of the console: a page, its style and its scripts.  They are public: what they show is not in them."""

from __future__ import annotations

from importlib import resources
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

_TYPES: Final = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
SECURITY_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


def _read() -> dict[str, tuple[bytes, str]]:
    place = resources.files("odp_trio.admin") / "console"
    files = {}
    for file in place.iterdir():
        kind = _TYPES.get(file.name.rpartition(".")[2])
        if kind is not None:
            files["/" if file.name == "index.html" else f"/console/{file.name}"] = file.read_bytes(), kind
    return files


PAGES: Final = _read()
"""Content and media type by path; read when this module is imported, which is late and in a thread."""


async def page(request: Request) -> Response:
    """Return a file of the console."""
    content, kind = PAGES[request.url.path]
    return Response(content, media_type=kind, headers=SECURITY_HEADERS)
