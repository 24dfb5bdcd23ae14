"""Processes that change the configuration and are killed in the middle of it: ``killed_writer.py DIRECTORY COUNT``.

Says how often a file was left beside, which shows that a kill came in the middle of a write.  Ends with 1 when the file
is not one whole version, or an older one.
"""

from __future__ import annotations

import os
import random
import select
import signal
import sys
from itertools import count
from pathlib import Path

from odp_trio.admin.configuration import keep
from odp_trio.admin.start import read_sources
from odp_trio.config.changes import GLOBAL, Overlay, Scope
from odp_trio.config.sources import KEPT_NAME, Sources, render_kept

SCOPES = [Scope("demo", f"tenant{number}") for number in range(10)]
LONG = "x" * 60_000


def read(directory: Path) -> Sources:
    """Read what a start in a directory would."""
    return read_sources(
        None, None, {}, f"etc_dir={directory},rootservice_list=10.0.0.1:1,rootservice_cluster_name=demo"
    )


def text(number: int) -> str:
    """Return a file with the same number everywhere."""
    of_tenants = {scope: {"tenant_max_connections": number} for scope in SCOPES}
    return render_kept(Overlay({GLOBAL: {"init_sql": f"{LONG}{number}"}, **of_tenants}))


def write(directory: Path, ready: int) -> None:
    """Keep one version after the other, as ALTER PROXYCONFIG does."""
    first = check(directory) + 1 if (directory / KEPT_NAME).exists() else 1
    for number in count(first):
        keep(directory / KEPT_NAME, text(number))
        if number == first:
            os.write(ready, b"x")


def check(directory: Path) -> int:
    """Return the version of the file; leave with 1 when it has several."""
    settings = read(directory).build().settings
    numbers = {settings.scoped("demo", scope.tenant, "").tenant_max_connections for scope in SCOPES}
    numbers.add(int(settings.init_sql.removeprefix(LONG)))
    if len(numbers) != 1:
        raise SystemExit(f"the file has parts of {len(numbers)} versions")
    return numbers.pop()


def main(directory: Path, kills: int) -> None:
    """Kill so many writers."""
    chance, left, versions = random.Random(1), 0, [0]
    for _ in range(kills):
        heard, ready = os.pipe()
        child = os.fork()
        if not child:
            write(directory, ready)
        os.read(heard, 1)
        select.select([], [], [], chance.uniform(0, 0.02))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(heard)
        os.close(ready)
        versions.append(check(directory))
        if versions[-1] <= versions[-2]:
            raise SystemExit(f"version {versions[-1]} came after {versions[-2]}")
        for path in directory.glob(f"{KEPT_NAME}.tmp-*"):
            left += 1
            path.unlink()
    sys.stdout.write(f"{kills} writers killed, {left} in the middle of a write; {versions[-1]} versions written\n")
    if not left:
        raise SystemExit("no kill came in the middle of a write")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
