"""Certificates of a private authority: the cells' of a local stack, and the tests'."""

from __future__ import annotations

import datetime
import ipaddress
import itertools
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from stack.paths import write_private

VALID = datetime.timedelta(days=365)
"""How long certificates are valid, and, for clocks that differ, for how long they have been a 365th of that."""

_numbers = itertools.count(1)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Authority:
    """Signs certificates; `root` is what a client has to trust."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder.resolve()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "an authority of sippo-xmpp's local stacks")])
        self.root = self.folder / "root.pem"
        # With what RFC 5280 asks for of an authority (sections 4.2.1.1 to 4.2.1.3): Python 3.13 insists on it.
        usage = dict.fromkeys(("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
                               "key_agreement", "encipher_only", "decipher_only"), False)
        root = self._builder(self._name, self._key).add_extension(x509.BasicConstraints(True, 0), True) \
            .add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), True) \
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), False)
        self.root.write_bytes(root.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def _builder(self, name: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.timezone.utc)
        return (x509.CertificateBuilder().subject_name(name).issuer_name(self._name).public_key(key.public_key())
                .serial_number(x509.random_serial_number())
                .not_valid_before(now - VALID / 365).not_valid_after(now + VALID))

    def issue(self, *names: str) -> tuple[Path, Path]:
        """Files with a certificate for these names and addresses, and with its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = [x509.IPAddress(ipaddress.ip_address(name)) if _is_address(name) else x509.DNSName(name)
                        for name in names]
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
        signed = self._builder(subject, key).add_extension(x509.SubjectAlternativeName(alternatives), False) \
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), False) \
            .add_extension(x509.BasicConstraints(False, None), True).sign(self._key, hashes.SHA256())
        number = next(_numbers)
        certificate_file, key_file = self.folder / f"certificate{number}.pem", self.folder / f"key{number}.pem"
        certificate_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        write_private(key_file, key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode())
        return certificate_file, key_file
