"""The proxy as a process: signals, the ready file, systemd, the parent that watches it."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

import msgspec
import trio

from odp_trio.admin.configuration import Configuration, configuration_of
from odp_trio.app import Proxy, open_proxy
from odp_trio.config import Settings
from odp_trio.process.inherited import NOTHING_INHERITED, Inherited, mismatch
from odp_trio.process.link import Beat, HandOver, Link, Listen, Prepared, Serve, Serving, Upgrade, Warm
from odp_trio.process.scheduling import schedule_as
from odp_trio.process.sd_notify import Notifier

if TYPE_CHECKING:
    from odp_trio.workers.member import Member

log = logging.getLogger("odp_trio")

BEAT_SECONDS: Final = 0.25
_POLL_SECONDS: Final = 0.02
_FULL_COLLECTION: Final = 50
"""Collections of the middle generation before one of everything: some 6,000 sessions that have come, not 1,200."""
_HTTP_LIMIT: Final = 5.0
"""How long the start waits for the HTTP service, which may come later."""


async def run_proxy(
    settings: Settings | Configuration,
    *,
    ready_file: Path | None = None,
    announce: Callable[[Proxy], None] | None = None,
    inherited: Inherited = NOTHING_INHERITED,
) -> int:
    """Run until SIGTERM, SIGINT or SIGUSR1, then drain; a second one ends at once.  Return the exit status.

    SIGUSR2 starts a new version on the same sockets, and drains when that serves.
    """
    configuration = configuration_of(settings) if isinstance(settings, Settings) else settings
    return await _Service(configuration, ready_file, announce, inherited).run()


@final
class _Service:
    """One process of the proxy."""

    def __init__(
        self,
        configuration: Configuration,
        ready_file: Path | None,
        announce: Callable[[Proxy], None] | None,
        inherited: Inherited,
    ) -> None:
        self._configuration = configuration
        self._ready_file = ready_file
        self._announce = announce
        self._inherited = inherited
        self._link: Link | None = inherited.link
        self._notifier = Notifier()
        self._proxy: Proxy | None = None
        self._nursery: trio.Nursery
        self._order = Serve(outlive=True)
        self._upgrading = False
        self._member: Member | None = None
        self._may_listen = trio.Event()

    async def run(self) -> int:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2) as signals:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._obey_signals, signals)
                await self._serve()
                nursery.cancel_scope.cancel()
        if self._ready_file is not None:
            remove_ready_file(self._ready_file)
        return 0

    async def _serve(self) -> None:
        if self._link is not None and not await self._take_order(self._link):
            return
        if self._link is not None:  # a spare may have waited for long
            self._configuration.read_again()
        if self._order.outlive and self._inherited.unix is not None:  # nobody else is left to remove its file
            self._inherited = msgspec.structs.replace(self._inherited, owns_path=True)
        if self._order.workers > 1:
            await self._join()
        if text := mismatch(self._configuration.settings(), self._inherited):
            log.warning("%s", text)
        schedule_as(self._configuration.settings().cpu_scheduling_policy)
        async with open_proxy(
            self._configuration,
            inherited=self._inherited,
            version=self._order.version,
            before_listening=self._before_listening,
            workers=self._member,
        ) as proxy:
            if self._announce is not None:
                self._announce(proxy)
            if self._order.when_ready:
                await self._await_http(proxy)
            if self._ready_file is not None:
                write_ready_file(self._ready_file, proxy)
            gc.freeze()  # what is there now stays: the collector need not look at it again and again
            gc.set_threshold(*gc.get_threshold()[:2], _FULL_COLLECTION)
            self._tell(Serving())
            self._notifier.ready(f"serving on port {proxy.addresses[0][1]}")
            await proxy.wait_shutdown()
            log.info("draining for at most %g s", proxy.settings().hot_upgrade_exit_timeout)
            if not proxy.handed_over:
                self._notifier.stopping("draining")

    async def _join(self) -> None:
        """Be one of several workers: the parent speaks for all of them, to whoever reads files."""
        from odp_trio.admin.across.joining import take_settings  # one that is alone has no use for these
        from odp_trio.process.crew import join

        self._inherited, self._member = join(self._inherited, self._order)
        self._ready_file = None
        if self._member is not None:
            self._nursery.start_soon(self._member.run)
            if not self._order.when_ready:  # after a hot upgrade all have what they have read
                await take_settings(self._configuration, self._member)

    # ---- the parent -------------------------------------------------------------------

    async def _take_order(self, link: Link) -> bool:
        """Wait to be told to serve; False when the parent goes instead.  Meanwhile everything is imported."""
        try:
            first = link.receive_nowait()
        except BlockingIOError:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_warm_up, link)
                first = await link.receive()
                nursery.cancel_scope.cancel()  # who is called before all is imported need not wait for it
        if not isinstance(first, Serve):
            return False
        self._order = first
        self._nursery.start_soon(self._obey_parent, link)
        return True

    async def _obey_parent(self, link: Link) -> None:
        while (message := await link.receive()) is not None:
            if isinstance(message, HandOver) and self._proxy is not None:
                self._proxy.shut_down(handed_over=True)
            elif isinstance(message, Listen):
                self._may_listen.set()
        self._link = None
        if not self._order.outlive:
            log.warning("the watch is gone: draining")
            self._end()

    async def _before_listening(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._nursery.start_soon(self._notifier.keep_watchdog, lambda: proxy.listens or proxy.draining)
        if self._member is not None:
            self._member.join()
        if self._link is not None:
            self._nursery.start_soon(self._beat, proxy)
        if self._order.when_ready:
            await trio.to_thread.run_sync(_import_rest)
            while proxy.statistics().why_not_ready and not proxy.draining:  # noqa: ASYNC110  # of many kinds
                await trio.sleep(_POLL_SECONDS)
        if self._order.together:
            self._tell(Prepared())
            await self._may_listen.wait()

    async def _await_http(self, proxy: Proxy) -> None:
        """An older version leaves HTTP to us when we say that we serve: then it should be there."""
        with trio.move_on_after(_HTTP_LIMIT):
            while any(task.path == "http" and task.state != "running" for task in proxy.statistics().tasks):  # noqa: ASYNC110
                await trio.sleep(_POLL_SECONDS)

    async def _beat(self, proxy: Proxy) -> None:
        while True:
            reasons = () if proxy.listens else proxy.statistics().why_not_ready
            self._tell(Beat(proxy.accepting, reasons, proxy.settings().hot_upgrade_exit_timeout))
            await trio.sleep(BEAT_SECONDS)

    def _tell(self, message: Beat | Prepared | Serving | Upgrade) -> None:
        if self._link is not None:
            self._link.send(message)

    # ---- signals ------------------------------------------------------------------------

    async def _obey_signals(self, signals: AsyncIterator[int]) -> None:
        async for number in signals:
            if number != signal.SIGUSR2:
                self._end(signal.Signals(number).name)
            elif self._link is not None:
                self._tell(Upgrade())
            elif self._proxy is not None and not self._upgrading and not self._proxy.draining:
                self._upgrading = True
                self._nursery.start_soon(self._upgrade, self._proxy)

    def _end(self, name: str = "") -> None:
        """Drain; asked for the second time, or before there is anything to drain, end at once."""
        if self._proxy is None or self._proxy.draining:
            log.warning("%s: ending at once", name or "no parent")
            self._nursery.cancel_scope.cancel()
        if self._proxy is not None:
            self._proxy.shut_down()

    async def _upgrade(self, proxy: Proxy) -> None:
        """Start a new version of this program on our sockets, and leave them to it once it serves."""
        from odp_trio.process.child import own_command
        from odp_trio.process.upgrade import take_over

        self._notifier.reloading("hot upgrade")
        ours = proxy.bound
        new = await take_over(
            own_command(sys.argv[1:]), ours, self._order.version + 1, self._notifier.environment(), self._nursery
        )
        self._upgrading = False
        if new is None:
            self._notifier.ready("serving; a hot upgrade failed")
            return
        self._notifier.tell(f"MAINPID={new}")
        proxy.shut_down(handed_over=True)


async def _warm_up(link: Link) -> None:
    await trio.to_thread.run_sync(_import_rest, abandon_on_cancel=True)
    link.send(Warm())


def _import_rest() -> None:
    """What is imported late otherwise, or slowly made."""
    import_module("odp_trio.sql.dml").prepare()
    import_module("odp_trio.routing.partition")
    import_module("odp_trio.admin.http")


def remove_ready_file(path: Path) -> None:
    """Take the ready file away, unless it is of another process by now."""
    try:
        if msgspec.json.decode(path.read_bytes())["pid"] == os.getpid():
            path.unlink()
    except (OSError, msgspec.DecodeError, KeyError, TypeError):
        return


def write_ready_file(path: Path, proxy: Proxy) -> None:
    """Write where the proxy listens, as JSON, in one step."""
    record = {
        "pid": os.getpid(),
        "mysql": proxy.addresses[0],
        "http": proxy.http_address,
        "clusters": proxy.clusters.names,
    }
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_bytes(msgspec.json.encode(record))
    temporary.replace(path)
