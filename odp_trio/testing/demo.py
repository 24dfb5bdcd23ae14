"""``odp-trio demo``: a kernel, OBServers and the proxy on this machine, in one process tree."""

from __future__ import annotations

import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import pymysql
import trio
from rich.console import Console

from odp_trio.app import Proxy, open_proxy
from odp_trio.config import Secret, Settings
from odp_trio.config.options import ClusterSettings
from odp_trio.model import parse_rslist
from odp_trio.supervise.supervisor import sole_exception
from odp_trio.testing.bed import Testbed, open_testbed
from odp_trio.testing.demo_verbs import HELP, read_verbs

CLUSTER = "demo"
HOST = "127.0.0.1"
NOTICES_SOON: Final[Mapping[str, Any]] = {
    "server_state_refresh_interval": 0.5,
    "server_detect_mode": 2,
    "server_detect_refresh_interval": 0.3,
    "min_keep_congestion_interval": 1.0,
    "congestion_retry_interval": 1.0,
}
"""Options of the demo: who breaks a server wants to see it within two seconds, clients or not."""


def settings_for(bed: Testbed, *, port: int = 0, http_port: int = 0, **changes: Any) -> Settings:
    """Return settings of a proxy before a test bed: loopback only."""
    clusters = {bed.cluster: ClusterSettings(rslist=parse_rslist(bed.rslist))}
    values: dict[str, Any] = {
        "clusters": clusters,
        "local_bound_ip": HOST,
        "listen_port": port,
        "prometheus_listen_port": http_port,
        "observer_sys_password": Secret(bed.proxyro_password),
        "obproxy_sys_password": Secret(secrets.token_urlsafe(9)),
        **changes,
    }
    return Settings(**values)


def environment(bed: Testbed, proxy: Proxy) -> dict[str, str]:
    """Return what a command behind ``--`` finds in its environment."""
    host, port = proxy.addresses[0]
    http = proxy.http_address
    return {
        "ODP_HOST": host,
        "ODP_PORT": str(port),
        "ODP_HTTP_PORT": str(http[1]) if http else "",
        "ODP_USER": f"root@sys#{bed.cluster}",
        "ODP_PASSWORD": bed.root_password,
        "ODP_CLUSTER": bed.cluster,
        "ODP_RSLIST": bed.rslist,
        "ODP_ADMIN_PASSWORD": proxy.settings().obproxy_sys_password.value,
        "ODP_HTTP_TOKEN": proxy.settings().http_token.value,
    }


async def demo(*, observers: int, port: int, http_port: int, directory: Path | None, command: Sequence[str]) -> int:
    """Start everything, run ``command`` or wait for Ctrl-C, tear everything down; return the exit status."""
    console = Console(stderr=True, highlight=False)
    progress = partial(say, console)
    token = Secret(secrets.token_urlsafe(9))

    async def work() -> int:
        async with (
            open_testbed(observers=observers, directory=directory, cluster=CLUSTER, progress=progress) as bed,
            open_proxy(settings_for(bed, port=port, http_port=http_port, http_token=token, **NOTICES_SOON)) as proxy,
        ):
            values = environment(bed, proxy)
            if command:
                return await run_command(command, values)
            answer = await trio.to_thread.run_sync(_first_query, values)
            _show(console, values, answer)
            if sys.stdin.isatty():
                console.print(f"Or break something here, and look what clients see of it:\n\n{HELP}\n")
                await read_verbs(bed, progress)
            await trio.sleep_forever()

    return await until_signal(work, with_command=bool(command))


async def until_signal(work: Callable[[], Awaitable[int]], *, with_command: bool) -> int:
    """Run ``work`` until it returns its status, or SIGINT or SIGTERM ends it with status 0.

    With a command only SIGTERM does: Ctrl-C reaches the command itself, whose end is ours.
    What ``work`` raises comes out as it is.
    """
    status = 0

    async def obey(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
        async for number in signals:
            if number == signal.SIGTERM or not with_command:
                scope.cancel()

    try:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(obey, signals, nursery.cancel_scope)
                status = await work()
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise sole_exception(group) or group from None
    return status


def say(console: Console, text: str) -> None:
    """Show progress."""
    console.print(f"[dim]…[/] {text}")


async def run_command(command: Sequence[str], values: Mapping[str, str]) -> int:
    """Run a command with ``values`` added to its environment; return its exit status, 128 + n after signal n."""
    try:
        done = await trio.run_process(
            list(command), env={**os.environ, **values}, stdin=sys.stdin if sys.stdin.isatty() else None, check=False
        )
    except FileNotFoundError as exc:
        print(f"odp-trio: {exc.strerror}: {command[0]}", file=sys.stderr)
        return 127
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


def _first_query(values: Mapping[str, str]) -> Sequence[Any]:
    """Ask something through the proxy, as a client would."""
    with (
        pymysql.connect(
            host=values["ODP_HOST"],
            port=int(values["ODP_PORT"]),
            user=values["ODP_USER"],
            password=values["ODP_PASSWORD"],
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("select version(), connection_id(), 6 * 7")
        return cursor.fetchone() or ()


def _show(console: Console, values: Mapping[str, str], answer: Sequence[Any]) -> None:
    show = partial(console.print, soft_wrap=True)  # what is to be pasted must not be broken
    host, port, user, password = (values[name] for name in ("ODP_HOST", "ODP_PORT", "ODP_USER", "ODP_PASSWORD"))
    given = f" -p{password}" if password else ""
    show(f"[bold green]It works:[/] {answer[0]} answered 6 * 7 = {answer[2]} to session {answer[1]}.\n")
    show("Paste into another terminal:\n")
    show(f"  mariadb -h {host} -P {port} -u '{user}'{given}")
    show(f"  mariadb -h {host} -P {port} -u root@proxysys -p{values['ODP_ADMIN_PASSWORD']} -e 'show proxyserver'")
    if values["ODP_HTTP_PORT"]:
        url = f"http://{HOST}:{values['ODP_HTTP_PORT']}"
        show(f"  curl {url}/metrics")
    literal = f"host={host!r}, port={port}, user={user!r}, password={password!r}"
    show(
        f'  {sys.executable} -c "import pymysql; c = pymysql.connect({literal}).cursor(); '
        "c.execute('show databases'); print(c.fetchall())\""
    )
    if values["ODP_HTTP_PORT"]:
        show(f"\nThe console: [bold]{url}/[/], with the token {values['ODP_HTTP_TOKEN']} for what changes something.")
    show("\n[bold]Ctrl-C ends it.[/]")
