"""Certificates for servers on loopback: an authority of one's own, and what it signs; PEM throughout.

The authority's key is never written: who wants another certificate makes another authority.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ta_pipeline.local.components import write_private

VALID = timedelta(days=365)
RENEWED_BEFORE = timedelta(days=30)
"""A certificate that ends so soon is made anew."""
_CLOCKS_DIFFER = timedelta(minutes=5)


@dataclass(frozen=True)
class Authority:
    """A certificate authority."""

    certificate: x509.Certificate
    _key: ec.EllipticCurvePrivateKey

    @classmethod
    def make(cls, name: str) -> Self:
        """An authority that signs with a new key."""
        key = ec.generate_private_key(ec.SECP256R1())
        own = _name(name)
        now = datetime.now(UTC)
        unsigned = (
            _builder(own, own, key, now - _CLOCKS_DIFFER, now + 2 * VALID)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
        )
        return cls(unsigned.sign(key, hashes.SHA256()), key)

    @property
    def pem(self) -> str:
        """What clients trust (`TA_KAFKA_CA_FILE`)."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def issue(self, name: str, hosts: Sequence[str], until: datetime | None = None) -> str:
        """A server's key and certificate, as one PEM text: Kafka's `ssl.keystore.type=PEM`.

        Args:
            name: the certificate's common name.
            hosts: host names and IP addresses it is for.
            until: when it ends; default: `VALID` from now.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        end = until or datetime.now(UTC) + VALID
        begin = min(datetime.now(UTC), end - timedelta(days=1)) - _CLOCKS_DIFFER
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        signed = (
            _builder(_name(name), self.certificate.subject, key, begin, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return private + signed.public_bytes(Encoding.PEM).decode()


def ensure_certificates(ca_file: Path, key_store: Path, name: str, hosts: Sequence[str]) -> bool:
    """Make both files unless they are there and good for `RENEWED_BEFORE`; returns whether they were made.

    Args:
        ca_file: the authority's certificate.
        key_store: the server's key and certificate, readable by this user only.
        name: the certificate's common name.
        hosts: host names and IP addresses it is for.
    """
    if ca_file.exists() and key_store.exists():
        present = x509.load_pem_x509_certificate(key_store.read_bytes())
        if present.not_valid_after_utc - datetime.now(UTC) > RENEWED_BEFORE:
            return False
    authority = Authority.make(f"{name} authority")
    write_private(key_store, authority.issue(name, hosts))
    write_private(ca_file, authority.pem)
    return True


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates, key_cert_sign=signs_certificates, crl_sign=signs_certificates,
        content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )
