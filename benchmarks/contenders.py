"""Who is compared: nothing in between, HAProxy in TCP mode, a textbook relay, odp_trio in several ways."""

from __future__ import annotations

import resource
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import trio

from benchmarks.figures import Skipped
from benchmarks.processes import first_answer, free_port, python, running
from benchmarks.session import Account

_MAXCONN = 20000
DIRECT, HAPROXY, ODP_TRIO = "direct", "haproxy", "odp_trio"
TRIO_RELAY = "textbook Trio relay"
ODP_TRIO_2 = "odp_trio, 2 workers"
ODP_TRIO_OB20 = "odp_trio, OB 2.0"
ODP_TRIO_COMPRESSED = "odp_trio, compressed client"
_OPTIONS = {
    ODP_TRIO: "",
    ODP_TRIO_OB20: ",enable_ob_protocol_v2=true",
    ODP_TRIO_COMPRESSED: ",client_compression_level=1",
}
"""The same program in other ways: what is added to its options."""
_ARGUMENTS = {ODP_TRIO_2: ("--workers", "2")}
"""The same program in other ways: what is added to its command line."""
TLS = "TLS"
_CERTIFICATE = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=bench -days 2"

_HAPROXY_CONFIG = """\
global
    nbthread 1
    maxconn {maxconn}
defaults
    mode tcp
    maxconn {maxconn}
    timeout connect 1h
    timeout client 1h
    timeout server 1h
listen odp
    bind 127.0.0.1:{listen}
    server backend {host}:{backend}
"""


@dataclass(frozen=True, slots=True)
class Backend:
    """An OBServer and how it is logged in to."""

    account: Account
    cluster: str
    proxyro_password: str
    pid: int
    log_dir: Path


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to the back end.  ``pid`` is the proxy's; None when there is none."""

    name: str
    account: Account
    pid: int | None


def _haproxy_command(backend: Backend, port: int) -> list[str]:
    config = backend.log_dir / f"haproxy-{port}.cfg"
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    maxconn = min(_MAXCONN, files // 2 - 100)  # it refuses to start when it could run out of descriptors
    account = backend.account
    config.write_text(_HAPROXY_CONFIG.format(listen=port, host=account.host, backend=account.port, maxconn=maxconn))
    return ["haproxy", "-db", "-f", str(config)]


def odp_trio_command(backend: Backend, port: int, more: str = "", http: int = 0) -> list[str]:
    """Return the command that runs it: ``more`` options for ``-o``, ``http`` the port of HTTP, 0 for any."""
    options = f"observer_sys_password={backend.proxyro_password},local_bound_ip=127.0.0.1{more}"
    command = python("odp_trio", "run", "-p", str(port), "-l", str(http or free_port()), "-c", backend.cluster)
    command += ["-r", f"{backend.account.host}:{backend.account.port}", "-o", options]
    return [*command, "--ready-file", str(backend.log_dir / f"odp-trio-{port}.ready")]


def _trio_relay_command(backend: Backend, port: int) -> list[str]:
    return python("benchmarks.trio_relay", str(port), backend.account.host, str(backend.account.port))


def _with_arguments(arguments: tuple[str, ...], backend: Backend, port: int) -> list[str]:
    return [*odp_trio_command(backend, port), *arguments]


_COMMANDS: Mapping[str, Callable[[Backend, int], list[str]]] = {
    HAPROXY: _haproxy_command,
    TRIO_RELAY: _trio_relay_command,
    **{name: partial(odp_trio_command, more=more) for name, more in _OPTIONS.items()},
    **{name: partial(_with_arguments, arguments) for name, arguments in _ARGUMENTS.items()},
}
NAMES = (DIRECT, *_COMMANDS)
"""All contenders that a plan may name."""


@cache
def missing() -> tuple[Skipped, ...]:
    """Return the contenders that this machine, or this commit, does not have."""
    found = []
    if "--workers" not in subprocess.run(python("odp_trio", "run", "--help"), capture_output=True, text=True).stdout:
        found.append(Skipped(ODP_TRIO_2, "odp-trio run has no --workers"))
    if shutil.which("haproxy") is None:
        found.append(Skipped(HAPROXY, "haproxy is not installed (Debian package: haproxy)"))
    if shutil.which("openssl") is None:
        found.append(Skipped(TLS, "openssl is not installed (Debian package: openssl)"))
    return tuple(found)


@asynccontextmanager
async def open_contender(name: str, backend: Backend) -> AsyncIterator[Contender]:
    """Start one contender; it answers when the block begins."""
    if name == DIRECT:
        yield Contender(name, backend.account, None)
        return
    account = replace(backend.account, port=free_port(), host="127.0.0.1", compressed=name == ODP_TRIO_COMPRESSED)
    log = backend.log_dir / f"{name}-{account.port}.log"
    async with running(_COMMANDS[name](backend, account.port), log) as process:
        await first_answer(account, process, log)
        yield Contender(name, account, process.pid)


@asynccontextmanager
async def open_tls_contender(backend: Backend) -> AsyncIterator[Contender]:
    """Start an odp_trio whose clients use TLS."""
    cert, key = backend.log_dir / "bench-cert.pem", backend.log_dir / "bench-key.pem"
    await trio.run_process([*_CERTIFICATE.split(), "-keyout", str(key), "-out", str(cert)], capture_stderr=True)
    account = replace(backend.account, port=free_port(), host="127.0.0.1", tls=True)
    log = backend.log_dir / f"odp-trio-tls-{account.port}.log"
    more = f",enable_client_ssl=true,ssl_cert_file={cert},ssl_key_file={key}"
    async with running(odp_trio_command(backend, account.port, more), log) as process:
        await first_answer(account, process, log)
        yield Contender(ODP_TRIO, account, process.pid)


@asynccontextmanager
async def open_contenders(backend: Backend, names: Iterable[str]) -> AsyncIterator[tuple[Contender, ...]]:
    """Start those of ``names`` that this machine has."""
    absent = {skipped.what for skipped in missing()}
    async with AsyncExitStack() as stack:
        chosen = [name for name in names if name not in absent]
        yield tuple([await stack.enter_async_context(open_contender(name, backend)) for name in chosen])


async def start_up_seconds(name: str, backend: Backend) -> float:
    """Start a proxy and return how long it took until it had answered its first query."""
    account = replace(backend.account, port=free_port(), host="127.0.0.1")
    command = _COMMANDS[name](backend, account.port)
    log = backend.log_dir / f"{name}-{account.port}.log"
    begun = trio.current_time()
    async with running(command, log) as process:
        return await first_answer(account, process, log) - begun
