"""Access tokens as a platform's issuer signs them (RFC 7519), and as an attacker forges them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ISSUER = "https://issuer.test/realms/platform"
AUDIENCE = "sippo-xmpp"
_ALGORITHMS = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}


class Key:
    """A signing key of the issuer."""

    def __init__(self, algorithm: str, kid: str | None = None) -> None:
        self.algorithm, self.kid = algorithm, kid or f"{algorithm.lower()}-1"
        if algorithm == "RS256":
            self.private: Any = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        elif algorithm == "ES256":
            self.private = ec.generate_private_key(ec.SECP256R1())
        else:
            self.private = ed25519.Ed25519PrivateKey.generate()

    def jwk(self) -> dict[str, Any]:
        """The public half as the issuer publishes it (RFC 7517)."""
        return json.loads(_ALGORITHMS[self.algorithm].to_jwk(self.private.public_key())) | {
            "kid": self.kid, "use": "sig", "alg": self.algorithm}

    def public_pem(self) -> bytes:
        """The public half as a file."""
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        """A correctly signed token; `header` entries are added, or left out where None."""
        headers = {"kid": self.kid, **header}
        return jwt.encode(claims, self.private, algorithm=self.algorithm,
                          headers={name: value for name, value in headers.items() if value is not None})


def claims(user: str = "alice@example.test", *, without: tuple[str, ...] = (), **changes: Any) -> dict[str, Any]:
    """Good claims for `user` (plain username, last @ divides), changed as asked."""
    username, _, domain = user.rpartition("@")
    now = int(time.time())
    good = {
        "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 600,
        "preferred_username": username, "domain": domain, "capabilities": ["chat"],
    }
    return {name: value for name, value in {**good, **changes}.items() if name not in without}


def jwks(*keys: Key) -> str:
    """A JWK set."""
    return json.dumps({"keys": [key.jwk() for key in keys]})


def write_jwks(path: Path, *keys: Key) -> str:
    """Publishes keys in a file and returns its URL."""
    path.write_text(jwks(*keys))
    return path.resolve().as_uri()


def base64url(data: bytes) -> str:
    """Base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forge(header: dict[str, Any], payload: dict[str, Any], secret: bytes | None = None, signature: bytes = b"") -> str:
    """A token with any header, signed with HMAC-SHA256 under `secret`, or with the given signature."""
    signed = ".".join(base64url(json.dumps(part).encode()) for part in (header, payload))
    if secret is not None:
        signature = hmac.digest(secret, signed.encode(), hashlib.sha256)
    return f"{signed}.{base64url(signature)}"
