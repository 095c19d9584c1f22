"""A token issuer of the tests' own over HTTPS: its key set and its introspection endpoint (RFC 7662)."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import urllib.parse
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from stack import authority as certificates

CLIENT_ID, CLIENT_SECRET = "sippo xmpp", "geheim:+%/ ü-0123456789"
"""With every character that Basic credentials have to be form-encoded for (RFC 6749, section 2.3.1)."""


class Authority(certificates.Authority):
    """A private certificate authority and one server certificate for 127.0.0.1 and localhost."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder)
        self.ca_file = self.root
        self.certificate, self.key = self.issue("127.0.0.1", "localhost")

    def server_context(self) -> ssl.SSLContext:
        """For a server that shows the certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


class HttpDouble:
    """An HTTP(S) server that records requests and answers with `handler(method, path, headers, body)`."""

    def __init__(self, handler: Callable[..., tuple[int, Any]], context: ssl.SSLContext | None = None) -> None:
        self.requests: list[tuple[str, str, dict[str, str], str]] = []
        self.concurrent = self.most_concurrent = 0
        self._lock = threading.Lock()
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
                request = (self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                with double._lock:
                    double.requests.append(request)
                    double.concurrent += 1
                    double.most_concurrent = max(double.most_concurrent, double.concurrent)
                try:
                    status, payload = handler(*request)
                finally:
                    with double._lock:
                        double.concurrent -= 1
                data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = answer

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass  # a client that gave up, or took us for someone else

        self._server = Server(("127.0.0.1", 0), Handler)
        self._scheme = "http"
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self._scheme = "https"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Its base."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stops it."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> HttpDouble:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Introspection:
    """Answers about opaque tokens (RFC 7662) to whoever knows `secret`; `tokens` maps a token to what is said of it."""

    def __init__(self) -> None:
        self.tokens: dict[str, dict[str, Any]] = {}
        self.status = 200
        self.secret = CLIENT_SECRET

    def __call__(self, method: str, path: str, headers: dict[str, str], body: str) -> tuple[int, Any]:
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        given = [urllib.parse.unquote_plus(part) for part in base64.b64decode(credentials).decode().split(":")]
        if scheme != "Basic" or given != [CLIENT_ID, self.secret]:
            return 401, {"error": "invalid_client"}
        if method != "POST" or headers.get("content-type") != "application/x-www-form-urlencoded":
            return 400, {"error": "invalid_request"}
        token = urllib.parse.parse_qs(body).get("token", [""])[0]
        return self.status, self.tokens.get(token, {"active": False})
