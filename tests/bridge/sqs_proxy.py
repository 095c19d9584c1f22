"""An HTTP proxy before the fake AWS that lets calls fail."""

from __future__ import annotations

import http.client
import json
import random
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Faults:
    """What goes wrong; all of it may change while calls come."""

    entries: float = 0.0
    """Share of a batch's entries that fail."""
    unsent: float = 0.0
    """Share of batches whose connection ends before SQS has seen them."""
    unanswered: float = 0.0
    """Share of batches whose connection ends after SQS has taken them."""
    refused: str = ""
    """An entry whose body has this is refused for its content."""
    refused_batch: str = ""
    """A batch with an entry whose body has this is refused as a whole, as by a gateway or an older SQS."""
    paused: threading.Event = field(default_factory=threading.Event)
    """While set, batches wait."""


class Proxy:
    """The proxy; `url` is what a client uses instead of the fake AWS's."""

    def __init__(self, target_port: int) -> None:
        self.faults = Faults()
        self.failed_entries = 0
        self.broken_calls = 0
        self.batches = 0
        self.held = 0
        self.secret = ""
        self.secret_reads = 0
        self._target = target_port
        self._random = random.Random(7)
        self._lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                action = self.headers.get("x-amz-target", "")
                if action == "AmazonSQS.SendMessageBatch":
                    proxy._send(self, body)
                elif action == "secretsmanager.GetSecretValue":
                    proxy.secret_reads += 1
                    arn = json.loads(body)["SecretId"]
                    self.reply(200, json.dumps({"ARN": arn, "Name": "broker", "SecretString": proxy.secret}).encode())
                else:
                    self.reply(*proxy._forward(self.headers, body))

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
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _forward(self, headers: Any, body: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._target, timeout=20)
        try:
            kept = {name: value for name, value in headers.items() if name.lower() not in ("host", "content-length")}
            connection.request("POST", "/", body, kept)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def _chance(self, share: float) -> bool:
        with self._lock:
            return self._random.random() < share

    def _send(self, handler: Any, body: bytes) -> None:
        with self._lock:
            self.batches += 1
            self.held += 1
        while self.faults.paused.is_set():
            threading.Event().wait(0.02)
        with self._lock:
            self.held -= 1
        if self._chance(self.faults.unsent):
            self.broken_calls += 1
            return handler.cut()
        request = json.loads(body)
        if self.faults.refused_batch and any(self.faults.refused_batch in one["MessageBody"] for one in request["Entries"]):
            return handler.reply(400, json.dumps({
                "__type": "com.amazonaws.sqs#InvalidMessageContents", "message": "injected"}).encode())
        kept, failed = [], []
        for entry in request["Entries"]:
            if self.faults.refused and self.faults.refused in entry["MessageBody"]:
                failed.append({"Id": entry["Id"], "SenderFault": True, "Code": "InvalidMessageContents"})
            elif self._chance(self.faults.entries):
                failed.append({"Id": entry["Id"], "SenderFault": False, "Code": "InternalError", "Message": "injected"})
            else:
                kept.append(entry)
        status, answer = 200, {"Successful": []}
        if kept:
            status, raw = self._forward(handler.headers, json.dumps(request | {"Entries": kept}).encode())
            answer = json.loads(raw)
        if status == 200 and failed:
            self.failed_entries += len(failed)
            answer["Failed"] = answer.get("Failed", []) + failed
        if self._chance(self.faults.unanswered):
            self.broken_calls += 1
            return handler.cut()
        handler.reply(status, json.dumps(answer).encode())
