"""Certificates for tests: an authority, and what it signs."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Signed:
    """A certificate with its key, as PEM files."""

    cert: Path
    key: Path


class Authority:
    """Signs certificates; everything is written below ``place``.  Not secret, and valid for a day."""

    def __init__(self, place: Path, name: str = "test authority") -> None:
        self._place = place
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        place.mkdir(parents=True, exist_ok=True)
        self.ca = place / "ca.pem"
        self._write_cert(self.ca, self._build(self._name, self._key, is_ca=True))

    def sign(self, name: str, *, ips: tuple[str, ...] = ("127.0.0.1", "::1"), password: str = "") -> Signed:
        """Make a certificate for a name and addresses; its files are ``NAME-cert.pem`` and ``NAME-key.pem``."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signed = Signed(self._place / f"{name}-cert.pem", self._place / f"{name}-key.pem")
        encryption = (
            serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
        )
        signed.key.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        )
        self._write_cert(signed.cert, self._build(subject, key, name=name, ips=ips))
        return signed

    def _build(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        *,
        is_ca: bool = False,
        name: str = "",
        ips: tuple[str, ...] = (),
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        )
        if name:
            names: list[x509.GeneralName] = [x509.DNSName(name)]
            names += [x509.IPAddress(ipaddress.ip_address(ip)) for ip in ips]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def _write_cert(self, path: Path, certificate: x509.Certificate) -> None:
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    # ---- contexts of the test's own side ------------------------------------------

    def server_context(self, signed: Signed, *, asks: bool = False) -> ssl.SSLContext:
        """Return what a server needs; ``asks`` demands a certificate of this authority from its clients."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(signed.cert, signed.key)
        if asks:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.ca)
        return context

    def client_context(self, signed: Signed | None = None) -> ssl.SSLContext:
        """Return what a client needs that believes this authority; ``signed`` is its own certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.ca)
        if signed is not None:
            context.load_cert_chain(signed.cert, signed.key)
        return context
