"""A real OceanBase kernel as a child process: the ``seekdb`` server that the wheel of pylibseekdb carries.

What is known of it (seen on 1.3.0.post5): it listens on every loopback address
of its port; a login during start-up gets 8001; a port that is taken makes it
exit with status 0 after some seconds; SIGTERM ends it at once with status 137;
a stopped directory may be copied and started elsewhere, which is much faster
than initialising one.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, final

import pymysql
import pymysql.cursors
import trio

from odp_trio.errors import OdpError

PACKAGE: Final = "pylibseekdb"
VERSION: Final = "1.3.0.post5"
INITIALIZING: Final = 8001
_PARAMETERS: Final = ("memory_limit=1G", "datafile_size=32M")
_START_LIMIT: Final = 120.0
_PAUSE: Final = 0.02
_MAKING: Final = "making-"
_MAKING_LIMIT: Final = 600.0
"""Seconds after which nobody is making a template any more."""
_PR_SET_PDEATHSIG: Final = 1

Progress = Callable[[str], None]
Row = dict[str, Any]


class KernelUnavailable(OdpError):
    """No kernel can be run here: the package is not installed, or the process did not come up."""


def kernel_directory() -> Path:
    """Return where the server binary and its libraries are; raise KernelUnavailable if they are not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    places = list(spec.submodule_search_locations or ()) if spec else []
    for place in places:
        if (Path(place) / "seekdb").exists():
            return Path(place)
    raise KernelUnavailable(f"no OceanBase kernel is installed: pip install 'odp-trio[demo]' ({PACKAGE}=={VERSION})")


def free_port(addresses: Sequence[str] = ("127.0.0.1",)) -> int:
    """Return a port that is free on every one of ``addresses`` at this moment."""
    for _ in range(100):
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(socket.socket())
            first.bind((addresses[0], 0))
            port: int = first.getsockname()[1]
            try:
                for address in addresses[1:]:
                    stack.enter_context(socket.socket()).bind((address, port))
            except OSError:
                continue
            return port
    raise KernelUnavailable("no port is free")


@final
class KernelProcess:
    """One running kernel.  ``root_password`` is empty: it serves loopback only.

    Use ``open_kernel`` in Trio code; ``start``/``stop`` block, for fixtures and scripts.
    """

    def __init__(self, directory: Path, port: int, cluster: str) -> None:
        self.directory = directory
        self.port = port
        self.cluster = cluster
        self.start_up_errors: list[int] = []
        """Errnos that logins got while it started."""
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        # Of its own: a bed's verbs must work while clients block in all the threads that there are.
        self._limiter = trio.CapacityLimiter(1)
        self._connection: pymysql.connections.Connection[Any] | None = None

    @property
    def pid(self) -> int:
        """Process id; 0 when it does not run."""
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        """Start the process and wait until a login and a query succeed; raise KernelUnavailable."""
        self.spawn()
        self.wait_ready()

    def spawn(self) -> None:
        """Start the process.  To be called in the main thread: the kernel dies with the thread that started it."""
        home = kernel_directory()
        self.directory.mkdir(parents=True, exist_ok=True)
        arguments = ["--nodaemon", "--port", str(self.port), "--base-dir", str(self.directory)]
        if not (self.directory / "etc").exists():  # they persist, and a warm start must not say otherwise
            for parameter in (*_PARAMETERS, f"cluster={self.cluster}"):
                arguments += ["--parameter", parameter]
        with open(self.directory.with_name(self.directory.name + ".log"), "ab") as log:
            self._process = subprocess.Popen(
                [str(home / "seekdb"), *arguments],
                env={**os.environ, "LD_LIBRARY_PATH": str(home)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=partial(_die_with_parent, os.getpid()),
            )

    def wait_ready(self) -> None:
        """Wait until a login and a query succeed; end the process and raise KernelUnavailable if they do not."""
        try:
            self._wait_ready()
        except BaseException:
            self.stop()
            raise

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + _START_LIMIT
        assert self._process is not None
        while time.monotonic() < deadline:
            if (status := self._process.poll()) is not None:
                raise KernelUnavailable(
                    f"the kernel ended with status {status} while it started; is port {self.port} taken, "
                    f"or {self.directory} in use?"
                )
            try:
                with self.connect(read_timeout=2) as connection, connection.cursor() as cursor:
                    cursor.execute("select 1")
                return
            except (pymysql.err.MySQLError, OSError) as exc:
                self.start_up_errors.append(int(exc.args[0]) if exc.args else 0)
                threading.Event().wait(_PAUSE)
        raise KernelUnavailable(f"the kernel did not answer within {_START_LIMIT:g} s")

    def stop(self) -> None:
        """End the process; nothing is lost that was acknowledged."""
        with self._lock:
            if self._connection is not None:
                with contextlib.suppress(pymysql.err.MySQLError, OSError):
                    self._connection.close()
                self._connection = None
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def connect(
        self, user: str = "root", password: str = "", read_timeout: float = 60
    ) -> pymysql.connections.Connection[Any]:
        """Open a connection of your own, straight to the kernel."""
        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user=user,
            password=password,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=5,
            read_timeout=read_timeout,
            cursorclass=pymysql.cursors.DictCursor,
        )

    def run(self, *statements: str) -> list[Row]:
        """Run statements as root, one after the other; return the rows of the last one."""
        with self._lock:
            if self._connection is None or not self._connection.open:  # PyMySQL closes a connection that was lost
                self._connection = self.connect()
            with self._connection.cursor() as cursor:
                rows: list[Row] = []
                for statement in statements:
                    cursor.execute(statement)
                    rows = list(cursor.fetchall())
            return rows

    async def query(self, *statements: str) -> list[Row]:
        """Run statements as root from a worker thread; return the rows of the last one."""
        return await trio.to_thread.run_sync(partial(self.run, *statements), limiter=self._limiter)


_prctl = ctypes.CDLL(None).prctl


def _die_with_parent(parent: int) -> None:
    """Have the kernel killed when the thread that started it goes away, however that happens (Linux)."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was killed before this was asked for
        os._exit(1)


def cache_directory() -> Path:
    """Return where initialised directories are kept: ``ODP_TRIO_CACHE``, else below the user's cache."""
    own = os.environ.get("ODP_TRIO_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "odp-trio"


def prepare_template(key: str, cluster: str, statements: Iterable[str], progress: Progress) -> Path:
    """Return an initialised kernel directory on which ``statements`` ran, making it if it is not there.

    Made beside its place and renamed: two processes that make it at once do no harm.
    """
    place = cache_directory() / f"{importlib.metadata.version(PACKAGE)}-{cluster}-{key}"
    if place.exists():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    _clear_half_made(place.parent)
    progress("initialising an OceanBase kernel (once; about 10 s)")
    with tempfile.TemporaryDirectory(prefix=_MAKING, dir=place.parent) as making:
        kernel = KernelProcess(Path(making) / "base", free_port(), cluster)
        try:
            kernel.start()
            kernel.run(*statements)
        finally:
            kernel.stop()
        copy_sparsely(kernel.directory, Path(making) / "sparse")
        with contextlib.suppress(OSError):  # somebody else was faster
            os.rename(Path(making) / "sparse", place)
    if not place.exists():
        raise KernelUnavailable(f"{place} could not be written; ODP_TRIO_CACHE names another cache directory")
    return place


def _clear_half_made(cache: Path) -> None:
    """Remove what processes left that were killed while they made a template."""
    for left in cache.glob(f"{_MAKING}*"):
        with contextlib.suppress(OSError):  # somebody else was faster
            if time.time() - left.stat().st_mtime > _MAKING_LIMIT:
                shutil.rmtree(left)


def copy_sparsely(source: Path, target: Path) -> None:
    """Copy a kernel directory, holes as holes: 50 MB instead of 200."""
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", "--sparse=always", str(source), str(target)], check=True)


@asynccontextmanager
async def open_kernel(
    directory: Path | None,
    *,
    cluster: str,
    template: Callable[[], Path],
    port: int = 0,
    progress: Progress = lambda _: None,
) -> AsyncIterator[KernelProcess]:
    """Run a kernel for the length of the block, in ``directory`` (kept) or a temporary one (removed).

    ``port`` 0 is a free one.  Raises KernelUnavailable when it does not come up.
    """
    place = directory or Path(await trio.to_thread.run_sync(partial(tempfile.mkdtemp, prefix="odp-trio-")))
    kernel = KernelProcess(place / "kernel", port or free_port(), cluster)
    try:
        if not kernel.directory.exists():
            # The template is made in this thread's stead, by a thread that outlives the kernel it starts.
            await trio.to_thread.run_sync(lambda: copy_sparsely(template(), kernel.directory))
        progress("starting the kernel")
        kernel.spawn()
        await trio.to_thread.run_sync(kernel.wait_ready)
        yield kernel
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 15):
            await trio.to_thread.run_sync(kernel.stop)
            if directory is None:
                await trio.to_thread.run_sync(partial(shutil.rmtree, place, ignore_errors=True))
