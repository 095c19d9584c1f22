"""An HTTP proxy before the fake AWS that lets calls fail."""

from __future__ import annotations

import json
import random
import threading
from dataclasses import dataclass, field
from typing import Any

from support.http_proxy import HttpProxy


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


class Proxy(HttpProxy):
    """The proxy."""

    def __init__(self, target_port: int) -> None:
        super().__init__(target_port)
        self.faults = Faults()
        self.failed_entries = 0
        self.broken_calls = 0
        self.batches = 0
        self.held = 0
        self.secret = ""
        self.secret_reads = 0
        self._random = random.Random(7)
        self._lock = threading.Lock()
        self.start()

    def serve(self, handler: Any, target: str, body: bytes) -> None:
        if target == "AmazonSQS.SendMessageBatch":
            self._send(handler, body)
        elif target == "secretsmanager.GetSecretValue":
            self.secret_reads += 1
            arn = json.loads(body)["SecretId"]
            handler.reply(200, json.dumps({"ARN": arn, "Name": "broker", "SecretString": self.secret}).encode())
        else:
            handler.reply(*self.forward(handler.headers, body))

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
            status, raw = self.forward(handler.headers, json.dumps(request | {"Entries": kept}).encode())
            answer = json.loads(raw)
        if status == 200 and failed:
            self.failed_entries += len(failed)
            answer["Failed"] = answer.get("Failed", []) + failed
        if self._chance(self.faults.unanswered):
            self.broken_calls += 1
            return handler.cut()
        handler.reply(status, json.dumps(answer).encode())
