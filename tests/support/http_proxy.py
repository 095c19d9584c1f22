"""An HTTP proxy before the fake AWS, of which the tests' proxies are made."""

from __future__ import annotations

import http.client
import socket
import threading
from abc import ABC, abstractmethod
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class HttpProxy(ABC):
    """Hands each call to `serve`; `url` is what a client uses instead of the fake AWS's."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                proxy.serve(self, self.headers.get("x-amz-target", ""), body)

            def reply(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("content-type", "application/x-amz-json-1.0")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def cut(self) -> None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: object) -> None:
                pass  # clients that go away are part of the tests

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def start(self) -> None:
        """Serves from now on: whoever makes it a proxy is complete."""
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.server_port

    @property
    def url(self) -> str:
        """AWS_ENDPOINT_URL."""
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @abstractmethod
    def serve(self, handler: Any, target: str, body: bytes) -> None:
        """Answers a call (`handler.reply`), or ends its connection (`handler.cut`)."""

    def forward(self, headers: Any, body: bytes) -> tuple[int, bytes]:
        """The fake AWS's status and answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.target_port, timeout=30)
        try:
            kept = {name: value for name, value in headers.items() if name.lower() not in ("host", "content-length")}
            connection.request("POST", "/", body, kept)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()
