"""Login tokens minted apart from the service: JWT (RFC 7519), HS256, key by HKDF-SHA256 (RFC 5869)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

INFO = b"sippo-xmpp login token v1"


def derive_key(admin_token: str, info: bytes = INFO) -> bytes:
    """HKDF-SHA256 with an empty salt, 32 bytes: one block, so extract and expand are one HMAC each."""
    pseudorandom_key = hmac.digest(bytes(32), admin_token.encode(), hashlib.sha256)
    return hmac.digest(pseudorandom_key, info + b"\x01", hashlib.sha256)


def base64url(data: bytes) -> str:
    """Base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def encode(claims: Any, key: bytes, header: Any | None = None, signature: bytes | None = None) -> str:
    """A JWS of `claims`, correctly signed with HS256 whatever `header` says, unless `signature` is given."""
    header = {"alg": "HS256", "typ": "JWT"} if header is None else header
    signed = ".".join(base64url(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    if signature is None:
        signature = hmac.digest(key, signed.encode(), hashlib.sha256)
    return f"{signed}.{base64url(signature)}"


def mint(
    admin_token: str,
    jid: str,
    *,
    ttl: float = 300,
    info: bytes = INFO,
    header: Any | None = None,
    signature: bytes | None = None,
    without: tuple[str, ...] = (),
    **claims: Any,
) -> str:
    """A login token for the bare JID `jid`; every other parameter makes it a bad one.

    `claims` replace or add claims, `without` leaves claims out, a negative `ttl` has it expired.
    """
    payload = {"sub": jid, "aud": jid.rpartition("@")[2], "exp": int(time.time() + ttl), **claims}
    payload = {name: value for name, value in payload.items() if name not in without}
    return encode(payload, derive_key(admin_token, info), header, signature)
