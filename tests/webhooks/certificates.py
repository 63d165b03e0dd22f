"""An authority of our own, and certificates that are as bad as a test wants."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


@dataclass(frozen=True)
class Authority:
    """Signs certificates; `file` is what those who trust it are given."""

    key: ec.EllipticCurvePrivateKey
    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "authority.pem"

    def server(self, host: str, *, days: int = 1, self_signed: bool = False) -> ssl.SSLContext:
        """TLS of a server that calls itself `host`; `days` below 0: expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = _name(host if self_signed else "Tests")
        certificate = (
            _builder(_name(host), issuer, key, days)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .sign(key if self_signed else self.key, hashes.SHA256())
        )
        file = self.folder / f"{host}.pem"
        file.write_bytes(_pem(certificate) + _key_pem(key))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(file)
        return context


def make_authority(folder: Path) -> Authority:
    """A new authority, its file written."""
    authority = Authority(ec.generate_private_key(ec.SECP256R1()), folder)
    certificate = (
        _builder(_name("Tests"), _name("Tests"), authority.key, days=1)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority.key, hashes.SHA256())
    )
    authority.file.write_bytes(_pem(certificate))
    return authority


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    end = datetime.now(UTC) + timedelta(days=days)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - timedelta(days=30))
        .not_valid_after(end)
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
