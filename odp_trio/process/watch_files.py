"""What a watch writes for others to read: its status, and where the proxy is."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

log = logging.getLogger("odp_trio.watch")


def write_record(path: Path, record: Mapping[str, object]) -> None:
    """Replace a JSON file in one step; what cannot be written is logged."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)  # a link that somebody put there is removed, not followed
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        with open(descriptor, "w") as file:
            file.write(json.dumps(record) + "\n")
        temporary.replace(path)
    except OSError as exc:
        log.error("%s cannot be written: %s", path, exc.strerror)


def remove_own(path: Path) -> None:
    """Remove a file that says this process' id."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        if json.loads(path.read_text())["pid"] == os.getpid():
            path.unlink()
