"""The local stack's token issuer: a key pair, its JWK set (RFC 7517), and access tokens (RFC 7519)."""

from __future__ import annotations

import json
import time
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from stack.paths import write_private

ISSUER = "urn:sippo-xmpp:local-issuer"
AUDIENCE = "sippo-xmpp"
KEY_ID = "local"
LIFETIME = 3600


class Issuer:
    """Keys in `folder`, made when they are not there yet."""

    def __init__(self, folder: Path) -> None:
        self.key_file = folder / "key.pem"
        self.jwks_file = folder / "jwks.json"

    @property
    def jwks_url(self) -> str:
        """For `[auth] jwksUrl`."""
        return self.jwks_file.resolve().as_uri()

    def create(self) -> None:
        """Makes key and JWK set unless they are there."""
        if self.key_file.exists() and self.jwks_file.exists():
            return
        key = ec.generate_private_key(ec.SECP256R1())
        write_private(self.key_file, key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode())
        public = json.loads(ECAlgorithm.to_jwk(key.public_key()))
        write_private(self.jwks_file, json.dumps({"keys": [public | {"kid": KEY_ID, "use": "sig", "alg": "ES256"}]}))

    def environment(self) -> dict[str, str]:
        """What has the functions trust this issuer."""
        return {
            "SIPPO_AUTH__ISSUER": ISSUER,
            "SIPPO_AUTH__AUDIENCE": AUDIENCE,
            "SIPPO_AUTH__JWKS_URL": self.jwks_url,
        }

    def token(self, username: str, domain: str, capabilities: list[str], lifetime: float = LIFETIME) -> str:
        """An access token; a negative `lifetime` makes an expired one."""
        now = time.time()
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": int(now + min(lifetime, 0) - 1),
            "exp": int(now + lifetime),
            "preferred_username": username,
            "domain": domain,
            "capabilities": capabilities,
        }
        return jwt.encode(claims, self.key_file.read_text(), algorithm="ES256", headers={"kid": KEY_ID})
