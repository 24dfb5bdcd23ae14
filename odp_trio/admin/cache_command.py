"""``odp-trio check-cache``: what a local file of rslists holds, or why it is refused.

Imports wait until the verb runs.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from odp_trio.topology.rslist_file import Contents

BAD_INPUT: Final = 2
_UNITS: Final = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))


def add_verb(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to a command line."""
    check = verbs.add_parser(
        "check-cache",
        help="print the rslists of a local file and their age",
        description="Print what a local file of rslists holds, as a proxy would read it. The file is not changed.",
        epilog="Exit status: 0, 1 when the file cannot be read, 2 when a proxy would refuse it.",
    )
    check.set_defaults(verb=check_cache)
    check.add_argument("file", metavar="FILE", type=Path, help="obproxy_rslist_info.json, or its directory")
    check.add_argument("--json", action="store_true", help="print JSON")


def check_cache(options: argparse.Namespace) -> int:
    """Run ``odp-trio check-cache`` and return the exit status; raise OSError for a file that cannot be read."""
    from odp_trio.catalog.files import read_whole
    from odp_trio.catalog.rslist_file import NAME
    from odp_trio.errors import BadCacheFile
    from odp_trio.topology.rslist_file import MOST_BYTES, read_rslist_file

    path: Path = options.file / NAME if options.file.is_dir() else options.file
    now = time.time()
    try:
        contents = read_rslist_file(read_whole(path, MOST_BYTES), now)
    except BadCacheFile as exc:
        if options.json:
            sys.stdout.write(json.dumps({"path": str(path), "refused": str(exc)}) + "\n")
        sys.stderr.write(f"odp-trio: {path} is refused: {exc}\n")
        return BAD_INPUT
    found = as_json(path, contents, now)
    sys.stdout.write((json.dumps(found, indent=2) if options.json else "\n".join(as_text(found))) + "\n")
    return 0


def as_json(path: Path, contents: Contents, now: float) -> dict[str, Any]:
    """Return what a file holds; ages in seconds, None where they are not known."""
    clusters = [
        {
            "cluster": entry.rslist.cluster,
            "cluster_id": cluster.cluster_id,
            "type": cluster.role.value,
            "real_name": entry.rslist.real_name,
            "age": round(now - entry.fetched_at),
            "unused_for": round(now - entry.used_at) if entry.used_at else None,
            "servers": [str(server) for server in cluster.servers],
            "readonly": [str(server) for server in cluster.readonly],
            "idcs": dict(entry.idcs.get(cluster.cluster_id, {})),
        }
        for entry in contents.entries
        for cluster in entry.rslist.clusters
    ]
    return {
        "path": str(path),
        "made_by": contents.made_by,
        "age": round(now - contents.written_at),
        "ahead_of_clock": round(contents.ahead),
        "clusters": clusters,
    }


def as_text(found: dict[str, Any]) -> Iterator[str]:
    """Return the lines for a person."""
    yield f"{found['path']}: written {_span(found['age'])} ago by {found['made_by']}"
    if found["ahead_of_clock"]:
        yield f"its times are {_span(found['ahead_of_clock'])} ahead of this machine's clock: ages count from now"
    rows = [("CLUSTER", "ID", "TYPE", "AGE", "UNUSED FOR", "SERVERS")]
    for one in found["clusters"]:
        unused = "not known" if one["unused_for"] is None else _span(one["unused_for"])
        servers = [*one["servers"], *(f"{server} (read-only)" for server in one["readonly"])]
        rows.append((one["cluster"], str(one["cluster_id"]), one["type"], _span(one["age"]), unused, " ".join(servers)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


def _span(seconds: float) -> str:
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
