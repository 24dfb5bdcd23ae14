"""What TLS needs on each leg: certificates, keys and authorities, read again when the files change.

Files are looked at every few seconds rather than at a signal: whoever renews a
certificate (certbot, cert-manager, a mounted Kubernetes secret) only replaces
files and knows nothing of the proxy's processes.  What cannot be used is
refused whole, and the one before stays in force.
"""

from __future__ import annotations

import logging
import os
import ssl
from typing import Final, NoReturn, Protocol, final

import msgspec
import trio

from odp_trio.config import Settings
from odp_trio.config.ssl_attributes import ssl_attributes
from odp_trio.net.tls import describe

log = logging.getLogger("odp_trio.net")

LOOK_SECONDS: Final = 3.0
_VERIFY: Final = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


class Started(Protocol):
    """Trio's task status."""

    def started(self) -> None:
        """Tell that the task has begun."""
        ...


class CannotLoad(Exception):
    """Files that cannot be used; the message names them."""


class ServerTls(msgspec.Struct, frozen=True):
    """TLS towards servers.  ``context`` is None when its files cannot be used."""

    context: ssl.SSLContext | None
    required: bool
    """A server that does not offer TLS is not logged in to."""
    problem: str = ""


@final
class Certificates:
    """The contexts in force.  ``watch`` keeps them up to date; connections that exist keep what they began with.

    ``client`` is for connections of clients, None while there is nothing to offer; ``server`` for those to servers,
    None without enable_server_ssl.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._files = _files(settings)
        self._seen: tuple[object, ...] | None = None
        self.client: ssl.SSLContext | None = None
        self.server: ServerTls | None = None
        self.loads = 0
        self.problem = ""
        """Why the files as they are now cannot be used; empty when they are in force."""
        if settings.enable_server_ssl:
            self.server = ServerTls(None, settings.server_ssl_mode != "PREFERRED", "not loaded yet")

    @property
    def wanted(self) -> bool:
        """Whether TLS is used on any leg."""
        return self._settings.enable_client_ssl or self._settings.enable_server_ssl

    @property
    def forced(self) -> bool:
        """Whether clients may not log in without TLS."""
        return ssl_attributes(self._settings.ssl_attributes).force

    @property
    def server_mode(self) -> str:
        """How servers are met; empty: in plain text."""
        return self._settings.server_ssl_mode if self._settings.enable_server_ssl else ""

    async def load(self) -> None:
        """Read the files in a thread if they have changed; what is wrong is logged and kept in ``problem``."""
        await trio.to_thread.run_sync(self._load, abandon_on_cancel=True)

    async def watch(self, *, task_status: Started) -> NoReturn:
        """Look at the files for ever."""
        task_status.started()
        while True:
            await trio.sleep(LOOK_SECONDS)
            await self.load()

    def _load(self) -> None:
        seen = tuple(_signature(path) for path in self._files)
        if seen == self._seen and not self.problem:
            return
        try:
            client = client_leg(self._settings) if self._settings.enable_client_ssl else None
            server = server_leg(self._settings) if self._settings.enable_server_ssl else None
        except CannotLoad as exc:
            if str(exc) != self.problem:
                kept = "the ones before stay in force" if self.loads else "TLS is not offered"
                log.error("certificates: %s; %s", exc, kept)
                if self.server is not None and self.server.context is None:
                    self.server = msgspec.structs.replace(self.server, problem=str(exc))
                self.problem = str(exc)
            return
        self._seen, self.problem = seen, ""
        self.client = client
        if server is not None:
            self.server = ServerTls(server, self._settings.server_ssl_mode != "PREFERRED")
        self.loads += 1
        log.info("certificates: loaded %s", ", ".join(self._files) or "none")


def _files(settings: Settings) -> tuple[str, ...]:
    named = (
        *(settings.ssl_cert_file, settings.ssl_key_file, settings.ssl_ca_file),
        *(settings.server_ssl_cert_file, settings.server_ssl_key_file, settings.server_ssl_ca_file),
    )
    return tuple(dict.fromkeys(path for path in named if path))


def _signature(path: str) -> object:
    """Return what changes when a file is replaced, or written to; of a link the target's."""
    try:
        found = os.stat(path)
    except OSError as exc:
        return exc.errno
    return found.st_ino, found.st_size, found.st_mtime_ns


def client_leg(settings: Settings) -> ssl.SSLContext:
    """Make what clients are met with; raise CannotLoad."""
    if not settings.ssl_cert_file:
        raise CannotLoad("enable_client_ssl needs ssl_cert_file")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _common(context, settings)
    _load_own(context, settings, "ssl_cert_file", settings.ssl_cert_file, settings.ssl_key_file)
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    context.verify_mode = _VERIFY[settings.client_ssl_verify]
    if context.verify_mode != ssl.CERT_NONE:
        if not settings.ssl_ca_file:
            raise CannotLoad(f"client_ssl_verify = {settings.client_ssl_verify} needs ssl_ca_file")
        _load_authorities(context, "ssl_ca_file", settings.ssl_ca_file)
    return context


def server_leg(settings: Settings) -> ssl.SSLContext:
    """Make what servers are met with; raise CannotLoad."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = settings.server_ssl_mode == "VERIFY_IDENTITY"
    verify = settings.server_ssl_mode in ("VERIFY_CA", "VERIFY_IDENTITY")
    context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
    _common(context, settings)
    if settings.server_ssl_cert_file:
        named = settings.server_ssl_cert_file, settings.server_ssl_key_file
        _load_own(context, settings, "server_ssl_cert_file", *named)
    if verify:
        name = "server_ssl_ca_file" if settings.server_ssl_ca_file else "ssl_ca_file"
        path = settings.server_ssl_ca_file or settings.ssl_ca_file
        if not path:
            raise CannotLoad(f"server_ssl_mode = {settings.server_ssl_mode} needs server_ssl_ca_file or ssl_ca_file")
        _load_authorities(context, name, path)
    return context


def _common(context: ssl.SSLContext, settings: Settings) -> None:
    least = ssl_attributes(settings.ssl_attributes).min_version
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if least == "TLSV1.3" else ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION


def _load_own(context: ssl.SSLContext, settings: Settings, name: str, cert: str, key: str) -> None:
    try:  # without a password OpenSSL would ask for one at the terminal
        context.load_cert_chain(cert, key or cert, lambda: settings.ssl_key_password.value)
    except OSError as exc:  # an SSLError is one
        raise CannotLoad(f"{name} {cert}, key {key or cert}: {_reason(exc)}") from exc


def _load_authorities(context: ssl.SSLContext, name: str, path: str) -> None:
    try:
        context.load_verify_locations(path)
    except OSError as exc:
        raise CannotLoad(f"{name} {path}: {_reason(exc)}") from exc


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return describe(error) if error.reason else "no PEM file of that kind"
    return error.strerror or str(error)
