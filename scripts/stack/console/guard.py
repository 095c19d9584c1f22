"""Who may ask the console for what: only its own page, opened with this run's key."""

from __future__ import annotations

import secrets
import urllib.parse

from stack.http1 import Request

KEY_HEADER = "x-console-key"
KEY_PARAMETER = "key"
"""For WebSockets, to which a page can add no header."""


class Guard:
    """Checks requests; any page that a browser has open can send some to loopback, and any host name may lead there."""

    def __init__(self, port: int, key: str) -> None:
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._key = key.encode()

    def refusal(self, request: Request) -> str | None:
        """Why a request is refused whatever it is for; None when it is not."""
        host = request.headers.get("host", "")
        if host not in self._hosts:
            return "this is the console of a local stack; open it by the address that scripts/run prints"  # DNS rebinding
        origin = request.headers.get("origin")
        if origin is not None and origin != f"http://{host}":
            return "other pages may not use the console"
        if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return "other pages may not use the console"
        return None

    def has_key(self, request: Request) -> bool:
        """Whether it comes from a page that was opened with the key."""
        return self._is_key(request.headers.get(KEY_HEADER, ""))

    def has_key_in_query(self, request: Request) -> bool:
        """The same of a WebSocket's opening; those always have an origin."""
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(request.path).query)
        return "origin" in request.headers and self._is_key(query.get(KEY_PARAMETER, [""])[0])

    def _is_key(self, shown: str) -> bool:
        return secrets.compare_digest(shown.encode(), self._key)

    def headers(self, request: Request) -> dict[str, str]:
        """What every answer has: the page runs the console's own scripts only, and talks to the console only."""
        # Older browsers do not count WebSockets of the same host as 'self'.
        sockets = f"ws://{request.headers['host']}" if request.headers.get("host") in self._hosts else ""
        policy = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
                  f"connect-src 'self' {sockets}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
        return {
            "content-security-policy": policy,
            "cache-control": "no-store",
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "same-origin",
            "permissions-policy": "camera=(), microphone=(), geolocation=()",
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
        }
