"""``odp-trio testbed``: a kernel and OBServers, for any proxy to be put before them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import trio
from rich.console import Console

from odp_trio.testing.bed import Testbed, open_testbed
from odp_trio.testing.demo import run_command, say, until_signal


async def testbed(*, observers: int, port: int, directory: Path | None, command: Sequence[str]) -> int:
    """Start a test bed, run ``command`` or wait for Ctrl-C, tear it down; return the exit status."""
    console = Console(stderr=True, highlight=False)

    async def work() -> int:
        async with open_testbed(
            observers=observers, port=port, directory=directory, progress=partial(say, console)
        ) as bed:
            if command:
                return await run_command(command, environment(bed))
            _show(console, bed)
            await trio.sleep_forever()

    return await until_signal(work, with_command=bool(command))


def _show(console: Console, bed: Testbed) -> None:
    show = partial(console.print, soft_wrap=True)
    show("[bold green]The OBServers are up.[/] Start a proxy before them:\n")
    options = f"observer_sys_password={bed.proxyro_password},local_bound_ip=127.0.0.1"
    show(f"  odp-trio run -p 2883 -r '{bed.rslist}' -c {bed.cluster} -o '{options}'\n")
    users = f"root (no password), {bed.app_user} ({bed.app_password})"
    show(f"  tenants: {', '.join(bed.tenants)}; users: {users}")
    show("\n[bold]Ctrl-C ends it.[/]")


def environment(bed: Testbed) -> dict[str, str]:
    """Return what a command behind ``--`` finds in its environment."""
    return {
        "ODP_USER": "root@sys",
        "ODP_PASSWORD": bed.root_password,
        "ODP_CLUSTER": bed.cluster,
        "ODP_RSLIST": bed.rslist,
        "ODP_PROXYRO_PASSWORD": bed.proxyro_password,
    }
