"""A certificate for a proxy that a check starts: made by the openssl command, thrown away behind it."""

from __future__ import annotations

import shutil
import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import trio

from odp_trio.conformance.runner import Skip


class Certificate(msgspec.Struct, frozen=True):
    """PEM files of a certificate that signs itself, for localhost."""

    cert: Path
    key: Path

    def context(self, newest: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        """Return what a client uses that believes this certificate only; ``newest`` is the newest TLS it speaks."""
        context = ssl.create_default_context(cafile=str(self.cert))
        if newest is not None:
            context.maximum_version = newest
        return context


@asynccontextmanager
async def certificate() -> AsyncIterator[Certificate]:
    """Make one; raise Skip where there is no openssl command."""
    if shutil.which("openssl") is None:
        raise Skip("no openssl command here to make a certificate with")
    with tempfile.TemporaryDirectory(prefix="odp-trio-conformance-") as name:
        made = Certificate(Path(name) / "cert.pem", Path(name) / "key.pem")
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        command += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        files = ["-keyout", str(made.key), "-out", str(made.cert)]
        done = await trio.run_process([*command, *files], capture_stderr=True, check=False)
        if done.returncode:
            raise Skip(f"openssl makes no certificate: {done.stderr.decode(errors='replace')[-200:]}")
        yield made


def believing() -> ssl.SSLContext:
    """Return what a client uses that believes any certificate: for a proxy whose authority is not known here."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
